"""The next version of a memory that somebody changes, and where it stands with that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from memos_integrations.core.access import Caller
from memos_integrations.core.conflict.forms import joined
from memos_integrations.core.conflict.rules import JUDGED
from memos_integrations.core.cube import MemCube, State, TrustLabel
from memos_integrations.core.duties import may_vouch
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.write import UNREAD, Draft
from memos_integrations.core.records import NewVersion, Steps
from memos_integrations.core.text import same_words


def revising(cube: MemCube, draft: Draft, caller: Caller, resolver: Resolver, embedding: Embedding) -> Steps:
    """The steps that put *draft* in the place of *cube*.

    What a decision had retired, or merged as a repeat, and is given other words is recalled again, the decision undone;
    and so is what was over and is said to hold on. What was archived otherwise stays archived.
    """
    others, moves = Steps(), tuple[tuple[MemCube, State], ...]()
    lasts = _is_over(cube, caller.now) and not _is_over(draft.cube, caller.now)
    if cube.state in {State.ARCHIVED, State.MERGED} and (lasts or draft.cube.payload != cube.payload):
        form, others = resolver.released(cube, draft.cube, caller, comes=lasts)
        draft = replace(draft, cube=form)
        if others.records or cube.state is State.MERGED or lasts:
            moves = ((cube, State.ACTIVATED),)
    row = embedding.written([draft.text])
    version = NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0], verdict=draft.verdict)
    return joined(Steps((version,), moves), others)


def begins_now(draft: Draft, cube: MemCube, now: datetime, changes: Mapping[str, Mapping[str, Any]]) -> Draft:
    """The draft of a fact in other words, valid from *now* where nothing is said of that: until then the old held.

    What is only written otherwise (`same_words`) began when it began.
    """
    own, was = draft.cube.descriptive, cube.descriptive
    said = "valid_from" in changes["descriptive"] or same_words(draft.cube.text, cube.text)
    begun = was.valid_from is None or was.valid_from <= now
    if said or not begun or own.semantic_type not in JUDGED or (own.valid_to is not None and own.valid_to < now):
        return draft
    return replace(
        draft, cube=draft.cube.model_copy(update={"descriptive": own.model_copy(update={"valid_from": now})})
    )


def written_by(draft: Draft, caller: Caller) -> Draft:
    """The draft with who wrote its words: what another writer puts into a memory is not its owner's word.

    Other words of a verifier are not verified; who is none may not change what is.
    """
    told, trust = draft.cube.provenance, draft.cube.trust
    changes: dict[str, Any] = {}
    if told.author not in (caller.by.subject, None):
        changes["provenance"] = told.model_copy(update={"author": caller.by.subject})
    if trust.label is TrustLabel.VERIFIED and may_vouch(caller):
        changes["trust"] = trust.model_copy(update=UNREAD)
    return replace(draft, cube=draft.cube.model_copy(update=changes)) if changes else draft


def _is_over(cube: MemCube, now: datetime) -> bool:
    ends = cube.descriptive.valid_to
    return ends is not None and ends <= now
