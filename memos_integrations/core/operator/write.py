"""Writing: from what was said to a cube with tags, entities, a fingerprint and its place among its neighbours. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np
from pydantic import ValidationError

from memos_integrations.core.cube import (
    Behaviour,
    Descriptive,
    Governance,
    Link,
    MemCube,
    PlaintextPayload,
    Provenance,
    Relation,
    Trust,
    first_problem,
    new_id,
    unique,
)
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.text import entities as entities_of
from memos_integrations.core.text import keywords
from memos_integrations.core.text import terms as terms_of

CHANGE_WORDS = re.compile(
    r"\b(no longer|not any ?more|any ?more|instead|moved|changed|switched|rescheduled|postponed|cancelled|"
    r"brought forward|pushed (?:back|to)|correction|actually|from now on|as of|has become|"
    r"now (?:live|work|is|at|on|in|called)s?|new (?:address|number|phone|email|job|date|time|name|place|flat))\b",
    re.IGNORECASE,
)
MIN_SHARED_TERMS = 2
MIN_OVERLAP = 0.34


@dataclass(frozen=True, slots=True)
class Draft:
    """A cube ready to be embedded and put: its words for full text, the text for the embedder."""

    cube: MemCube
    terms: tuple[str, ...]
    text: str


def search_text(cube: MemCube) -> str:
    """What is indexed of a cube: its words under the name of who said them."""
    speaker = cube.provenance.speaker
    return f"{speaker}: {cube.text}" if speaker else cube.text


def draft_cube(
    text: str,
    *,
    namespace: Sequence[str],
    governance: Governance,
    now: datetime,
    provenance: Provenance,
    trust: Trust,
    tags: Sequence[str],
    links: Sequence[Link],
    **descriptive: Any,
) -> Draft:
    """A new cube around *text*, with its entities and tags found by rules.

    Raises:
        InvalidMemoryError: A field is not valid; the message names it.
    """
    try:
        cube = MemCube(
            id=new_id(),
            namespace=tuple(namespace),
            payload=PlaintextPayload(text=text),
            descriptive=Descriptive(
                created_at=now,
                recorded_at=now,
                tags=unique([*tags, *keywords(text)]),
                entities=entities_of(text),
                **descriptive,
            ),
            provenance=provenance.model_copy(update={"links": unique_links([*provenance.links, *links])}),
            trust=trust,
            governance=governance,
        )
    except (ValidationError, TypeError) as exc:
        raise InvalidMemoryError(f"This memory cannot be stored: {_problem(exc)}.") from exc
    return finished(cube)


def revised(cube: MemCube, now: datetime, *, text: str | None, changes: dict[str, dict[str, Any]]) -> Draft:
    """The next version of a cube: new words, and the header fields in *changes* (`{"governance": {...}, ...}`).

    Raises:
        InvalidMemoryError: A field is not valid; the message names it.
    """
    fields: dict[str, Any] = cube.model_dump(by_alias=True, exclude={"state", "behaviour"})
    for part, values in changes.items():
        fields[part] |= values
    fields["version"] = cube.version + 1
    fields["descriptive"]["recorded_at"] = now
    if text is not None:
        fields["payload"] = {"kind": "plaintext", "text": text}
    try:
        if text is not None:
            PlaintextPayload(text=text)
            fields["descriptive"]["entities"] = entities_of(text)
        newer = MemCube.model_validate({**fields, "state": cube.state})
    except (ValidationError, TypeError) as exc:
        raise InvalidMemoryError(f"This change cannot be stored: {_problem(exc)}.") from exc
    return finished(newer)


def finished(cube: MemCube) -> Draft:
    """The cube with its contextual fingerprint, its terms and the text to embed."""
    text = search_text(cube)
    words = tuple(terms_of(text))
    return Draft(cube.model_copy(update={"behaviour": Behaviour(fingerprint=fingerprint(words))}), words, text)


def fingerprint(words: Sequence[str]) -> str:
    """A 64-bit SimHash of the terms in hexadecimal (Charikar 2002): near-duplicates differ in few bits."""
    if not words:
        return "0" * 16
    hashes = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in words)
    bits = np.unpackbits(np.frombuffer(hashes, np.uint8).reshape(len(words), 8), axis=1)
    return np.packbits(bits.sum(axis=0) * 2 > len(words)).tobytes().hex()


def says_change(text: str) -> bool:
    """Whether the words announce that something is no longer as it was."""
    return CHANGE_WORDS.search(text) is not None


def replaces(newer: Draft, older: MemCube) -> bool:
    """Whether a memory that announces a change is about the same matter as an older one, by the same speaker.

    Rules of thumb, for precision rather than completeness: two shared terms and a third of the shorter text.
    """
    ours = set(terms_of(newer.cube.text))
    theirs = set(terms_of(older.text))
    shared = len(ours & theirs)
    same_speaker = older.provenance.speaker == newer.cube.provenance.speaker
    return same_speaker and shared >= MIN_SHARED_TERMS and shared >= MIN_OVERLAP * min(len(ours), len(theirs))


def supersede(draft: Draft, older: MemCube) -> Draft:
    """The draft with a SUPERSEDES link to *older*."""
    link = Link(relation=Relation.SUPERSEDES, target=older.id)
    links = unique_links([*draft.cube.provenance.links, link])
    provenance = draft.cube.provenance.model_copy(update={"links": links})
    return Draft(draft.cube.model_copy(update={"provenance": provenance}), draft.terms, draft.text)


def unique_links(links: Sequence[Link]) -> tuple[Link, ...]:
    """The links without repeats, in their order."""
    return tuple(dict.fromkeys(links))


def _problem(exc: ValidationError | TypeError) -> str:
    return first_problem(exc) if isinstance(exc, ValidationError) else str(exc)
