"""The next version of a memory that somebody changes, and where it stands with that."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from memos_integrations.core.access import Caller
from memos_integrations.core.conflict.forms import joined
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.write import Draft
from memos_integrations.core.records import NewVersion, Steps


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


def _is_over(cube: MemCube, now: datetime) -> bool:
    ends = cube.descriptive.valid_to
    return ends is not None and ends <= now
