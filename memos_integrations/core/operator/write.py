"""Writing: from what was said to a cube with tags, entities, a fingerprint and its place among its neighbours. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from memos_integrations.core.access import EVERYONE, Caller
from memos_integrations.core.cube import (
    Behaviour,
    Descriptive,
    Governance,
    Json,
    Layer,
    Link,
    MemCube,
    Namespace,
    PlaintextPayload,
    Provenance,
    Relation,
    Trust,
    TrustLabel,
    check_text,
    first_problem,
    new_id,
    unique,
)
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.kept import Kept
from memos_integrations.core.ports import Durability
from memos_integrations.core.text import entities as entities_of
from memos_integrations.core.text import keywords, sentences, terms_and_keywords
from memos_integrations.core.text import terms as terms_of

CHANGE_WORDS = re.compile(
    r"\b(?:no longer|not any ?more|(?:has |have |was |were |been |is |got )?(?:moved|changed|switched|"
    r"rescheduled|postponed|pushed back|brought forward)\s+(?:from|to|until|back|forward|by)|is now|are now|"
    r"now (?:is|are)|from now on)\b",
    re.IGNORECASE,
)
_CHANGE_HINTS = "longer more now moved changed switched rescheduled postponed pushed brought".split()
"""One of these stands in everything that `CHANGE_WORDS` finds."""
MAX_REPLACED = 3
"""So many statements a memory has at most that one change of one of them replaces."""

MIN_SHARED_TERMS = 2
MIN_STATEMENT_WORDS = 4
MIN_OVERLAP = 0.5
MAX_FOUND_LABELS = 64
MAX_FOUND_LENGTH = 120
UNREAD: dict[str, Any] = {"label": TrustLabel.STATED, "verified_by": None}
"""What the trust of verified words becomes where they are put in other words, which nobody has verified."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A cube ready to be embedded and put: its words for full text, the text for the embedder, what it must survive.

    `verdict` is what the gate has to say of it in the audit log, if anything.
    """

    cube: MemCube
    terms: tuple[str, ...]
    text: str
    durability: Durability | None = None
    verdict: dict[str, Any] | None = None


def search_text(cube: MemCube) -> str:
    """What is indexed of a cube: its words under the name of who said them."""
    return spoken(cube.text, cube.provenance.speaker)


def spoken(text: str, speaker: str | None) -> str:
    """Words under the name of who said them."""
    return f"{speaker}: {text}" if speaker else text


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
    value: Json = None,
    **descriptive: Any,
) -> Draft:
    """A new cube around *text*, with its entities and tags found by rules.

    Raises:
        InvalidMemoryError: A field is not valid; the message names it.
    """
    try:
        payload = PlaintextPayload.of_words(text) if value is None else PlaintextPayload(text=text, value=value)
        searched = spoken(text, provenance.speaker)
        found, told = terms_and_keywords(text, provenance.speaker)
        words = tuple(found)
        given: dict[str, Any] = {"created_at": now, "recorded_at": now, "entities": _found(entities_of(text))}
        given["tags"] = unique([*tags, *_found(told)]) if tags else _found(told)
        # With nothing said but the text, every label was found in a text that is checked.
        make = Descriptive if tags or descriptive else Descriptive.of_checked
        if links:
            provenance = provenance.model_copy(update={"links": unique_links([*provenance.links, *links])})
        place = tuple(namespace)
        # What the cube consists of is checked by now but for its place, which many share.
        make_cube = MemCube.of_checked if _is_place(place) else MemCube
        cube = make_cube(
            id=new_id(),
            namespace=place,
            payload=payload,
            descriptive=make(**given, **descriptive),
            provenance=provenance,
            trust=trust,
            governance=governance,
            behaviour=Behaviour.of_checked(fingerprint=fingerprint(words)),
        )
    except (ValidationError, TypeError) as exc:
        raise InvalidMemoryError(f"This memory cannot be stored: {_problem(exc)}.") from exc
    return Draft(cube, words, searched)


@lru_cache(maxsize=4096)
def _is_place(namespace: tuple[str, ...]) -> bool:
    """Whether a cube may stand there as it is written."""
    try:
        return _PLACES.validate_python(namespace, strict=True) == namespace
    except ValidationError:
        return False


_PLACES: TypeAdapter[Namespace] = TypeAdapter(Namespace)


def revised(cube: MemCube, now: datetime, *, text: str | None, changes: dict[str, dict[str, Any]]) -> Draft:
    """The next version of a cube: new words, and the header fields in *changes* (`{"governance": {...}, ...}`).

    Raises:
        InvalidMemoryError: A field is not valid; the message names it.
    """
    if text is not None and not isinstance(text, str):
        raise InvalidMemoryError(f"A memory is text (str), not {type(text).__name__}.")
    fields: dict[str, Any] = cube.model_dump(by_alias=True, exclude={"state", "behaviour"})
    for part, values in changes.items():
        fields[part] |= values if part != "trust" else _lowered(cube.trust, Trust(**values))
    rules = changes.get("governance", {})
    if rules.keys() & {"readers", "writers", "sharers"} and not rules.get("layer"):
        stays = cube.governance.layer is Layer.GLOBAL and "readers" not in rules
        fields["governance"]["layer"] = Layer.GLOBAL if stays else layer_for(fields["governance"])
    fields["version"] = cube.version + 1
    fields["descriptive"]["recorded_at"] = max(now, cube.descriptive.recorded_at)  # a clock may jump back
    if text is not None:
        # What the rules found in the old words goes with them: a tag must not tell what was redacted.
        kept = [tag for tag in fields["descriptive"]["tags"] if tag not in _found(keywords(cube.text))]
        blob = {"blob": cube.payload.blob} if isinstance(cube.payload, PlaintextPayload) else {}
        fields["payload"] = {"kind": "plaintext", "text": text} | blob
        fields["descriptive"]["tags"] = unique([*kept, *_found(keywords(text))])
        fields["descriptive"]["entities"] = _found(entities_of(text))
    try:
        newer = MemCube.model_validate({**fields, "state": cube.state})
    except (ValidationError, TypeError) as exc:
        raise InvalidMemoryError(f"This change cannot be stored: {_problem(exc)}.") from exc
    return finished(newer)


def _lowered(was: Trust, arrived: Trust) -> dict[str, Any]:
    """What other words change of a memory's trust: it falls to theirs, but for what was verified."""
    order = list(TrustLabel)
    if was.label is TrustLabel.VERIFIED or order.index(arrived.label) >= order.index(was.label):
        return {}
    return {"channel": arrived.channel, "label": arrived.label}


def reworded(cube: MemCube, text: str, value: Json, tags: Mapping[str, str]) -> MemCube:
    """The cube with other words, as the gate leaves them, and with *tags* instead of others.

    What was found in the old words goes with them.

    Raises:
        InvalidMemoryError: It cannot be stored so.
    """
    told_before = _found(keywords(cube.text))
    kept = [tags.get(tag, tag) for tag in cube.descriptive.tags if tag not in told_before]
    blob = cube.payload.blob if isinstance(cube.payload, PlaintextPayload) else None
    told = {"tags": unique([*kept, *_found(keywords(text))]), "entities": _found(entities_of(text))}
    try:
        payload = PlaintextPayload(text=text, value=value, blob=blob)
    except ValidationError as exc:
        raise InvalidMemoryError(f"This memory cannot be stored: {_problem(exc)}.") from exc
    return cube.model_copy(update={"payload": payload, "descriptive": cube.descriptive.model_copy(update=told)})


def finished(cube: MemCube) -> Draft:
    """The cube with its contextual fingerprint, its terms and the text to embed."""
    text = search_text(cube)
    words = tuple(terms_of(text))
    return Draft(cube.with_checked(behaviour=Behaviour.of_checked(fingerprint=fingerprint(words))), words, text)


def fingerprint(words: Sequence[str]) -> str:
    """A 64-bit SimHash of the terms in hexadecimal (Charikar 2002): near-duplicates differ in few bits."""
    if not words:
        return "0" * 16
    if len(words) < 256:
        ones = sum(map(_LANES.__getitem__, words)).to_bytes(64, "big")
        return f"{int(ones.translate(_more_than(len(words) // 2)), 2):016x}"
    parts = [sum(map(_LANES.__getitem__, words[at : at + 255])).to_bytes(64, "big") for at in range(0, len(words), 255)]
    counts = np.frombuffer(b"".join(parts), "u1").reshape(-1, 64).sum(axis=0, dtype=np.int64)
    return np.packbits(counts > len(words) // 2).tobytes().hex()


@lru_cache(maxsize=256)
def _more_than(half: int) -> bytes:
    """Translates counts into binary digits: numpy would cost more than all the rest on 64 of them."""
    return b"0" * (half + 1) + b"1" * (255 - half)


_SPREAD = tuple([bytes([byte >> bit & 1 for bit in range(7, -1, -1)]) for byte in range(256)])
"""The bits of every byte, each in a byte of its own."""


def _lanes(word: str) -> int:
    """The 64 hash bits of a word, each in a byte of one number: adding 255 such numbers counts all bits at once."""
    return int.from_bytes(b"".join(map(_SPREAD.__getitem__, blake2b(word.encode(), digest_size=8).digest())))


_LANES = Kept(_lanes, 1 << 15)


def says_change(text: str) -> bool:
    """Whether a statement in *text* announces that something is no longer as it was."""
    folded = text.casefold()
    if not any(map(folded.__contains__, _CHANGE_HINTS)) or CHANGE_WORDS.search(text) is None:
        return False
    return any(CHANGE_WORDS.search(sentence) for sentence in _statements(text))


def replaces(newer: Draft, older: MemCube) -> bool:
    """Whether a memory announces a change of what an older one, of the same speaker and no more trusted, states.

    Rules for precision rather than completeness: the sentence that announces the change and one statement of the
    older memory share two terms at least, and half of the shorter of the two. What both say alike is no change. A text
    of more than `MAX_REPLACED` statements is not replaced for one of them.
    """
    trust = list(TrustLabel)
    if older.provenance.speaker != newer.cube.provenance.speaker:
        return False
    if trust.index(newer.cube.trust.label) < trust.index(older.trust.label):
        return False
    before = _statements(older.text)
    if len(before) > MAX_REPLACED:
        return False
    announced = [CHANGE_WORDS.sub(" ", s) for s in _statements(newer.cube.text) if CHANGE_WORDS.search(s)]
    return any(_same_matter(ours, theirs) for ours in announced for theirs in before)


def _same_matter(ours: str, theirs: str) -> bool:
    mine, other = set(terms_of(ours)), set(terms_of(CHANGE_WORDS.sub(" ", theirs)))
    shared = len(mine & other)
    if mine == other and CHANGE_WORDS.search(theirs):
        return False
    return shared >= MIN_SHARED_TERMS and shared >= MIN_OVERLAP * min(len(mine), len(other))


def _statements(text: str) -> list[str]:
    """The sentences that state something: no questions, no exclamations of a word or two."""
    return [s for s in sentences(text) if not s.rstrip().endswith("?") and len(s.split()) >= MIN_STATEMENT_WORDS]


def supersede(draft: Draft, older: MemCube) -> Draft:
    """The draft with a SUPERSEDES link to *older*."""
    link = Link(relation=Relation.SUPERSEDES, target=older.id)
    links = unique_links([*draft.cube.provenance.links, link])
    provenance = draft.cube.provenance.model_copy(update={"links": links})
    return replace(draft, cube=draft.cube.model_copy(update={"provenance": provenance}))


def followed(draft: Draft, before: str | None) -> Draft:
    """The draft with a FOLLOWS link to the cube *before* it, when there is one."""
    if before is None:
        return draft
    links = (*draft.cube.provenance.links, Link(relation=Relation.FOLLOWS, target=before))
    provenance = draft.cube.provenance.model_copy(update={"links": links})
    return replace(draft, cube=draft.cube.model_copy(update={"provenance": provenance}))


def scoped_key(key: str, caller: Caller) -> str:
    """Keys are each principal's own, so that nobody learns whether another has written one.

    Raises:
        InvalidMemoryError: It is not a text that can be stored.
    """
    try:
        check_text(key)
    except (ValueError, TypeError) as exc:
        raise InvalidMemoryError(f"Not a key: {exc}.") from exc
    return json.dumps([caller.by.subject, key])


def unique_links(links: Sequence[Link]) -> tuple[Link, ...]:
    """The links without repeats, in their order."""
    return tuple(dict.fromkeys(links))


def _problem(exc: ValidationError | TypeError) -> str:
    return first_problem(exc) if isinstance(exc, ValidationError) else str(exc)


def layer_for(subjects: Mapping[str, Sequence[str]]) -> Layer:
    """The layer that fits the named subjects: global for the reader `*`, shared for anybody, else private."""
    if EVERYONE in subjects.get("readers", ()):
        return Layer.GLOBAL
    named = any(subjects.get(name) for name in ("readers", "writers", "sharers"))
    return Layer.SHARED if named else Layer.PRIVATE


def _found(labels: Sequence[str]) -> tuple[str, ...]:
    """What the rules found, within the limits of a header: a long URL is no tag."""
    return tuple([label for label in labels if len(label) <= MAX_FOUND_LENGTH][:MAX_FOUND_LABELS])
