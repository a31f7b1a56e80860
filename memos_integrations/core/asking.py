"""What stands on recall: answers without a model, and lasting memories drawn from what was said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.answer import Answer, answered
from memos_integrations.core.asked import known_ids, whole
from memos_integrations.core.cube import (
    Channel,
    MemCube,
    Origin,
    Provenance,
    Trust,
    TrustLabel,
    first_problem,
)
from memos_integrations.core.errors import AlreadyRememberedError, ModelError
from memos_integrations.core.looking import Looking
from memos_integrations.core.operator import MemoryOptions, draft_memory
from memos_integrations.core.operator.summary import Summarise
from memos_integrations.core.ports import CubeFilter

MOST_EXTRACTED = 256
RAW = ("message",)
"""What memories are drawn from where the caller does not say: raw turns, never what was drawn before."""


class Extracted(BaseModel):
    """One memory drawn from turns: its words, its kind, and the places (from 0) of the turns it was drawn from."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1, max_length=4_000)
    semantic_type: str = Field(default="fact", min_length=1, max_length=100)
    sources: tuple[int, ...] = Field(default=(), max_length=64)


Extractor = Callable[[Sequence[MemCube]], Sequence[Any]]
"""Draws memories from turns, oldest first: texts, mappings or objects with `text`, `semantic_type` and `sources`."""


class Asking(Looking):
    """`Looking`, with what is made of a recall."""

    def answer(self, question: str, *, by: Principal, k: int = 10, **how: Any) -> Answer:
        """The answer to *question* from what *by* may know, without a model; `how` is what `recall` takes.

        By rules: a date for "when" (resolved on the day of the message), a number, a name, a place, yes or no, else the
        telling words of the best sentence. `abstained` when nothing that was recalled speaks of what is asked. What
        does not hold yet answers "when", and questions about what will be.

        Raises:
            IdentityError, InvalidMemoryError: As `recall`.
        """
        return answered(self.recall(question, by=by, k=k, **{"needed": True, **how}))

    async def aanswer(self, question: str, *, by: Principal, **how: Any) -> Answer:
        """`answer`, in the read pool."""
        return await self._off_loop(self.answer, question, by=by, **how)

    def extract(
        self,
        extractor: Extractor,
        *,
        by: Principal,
        where: CubeFilter | None = None,
        k: int = 32,
        context: CallContext | None = None,
    ) -> list[MemCube]:
        """Draw facts, preferences, events from the newest *k* turns of *by* that pass *where*; durable on return.

        What is drawn is derived from its turns: it has their trust at most and never more than `unverified`, is
        private to *by*, and dies with them; the turns stay. A turn that something was drawn from is not shown to
        *extractor* again, however the conversation grows: what was drawn from it is given back. Nothing that was itself
        drawn, summarised or recalled is drawn from: only turns that name no source of their own.

        Raises:
            ModelError: The extractor gave something else than memories; nothing was written.
            IdentityError: *by* is not a principal.
        """
        caller = self._caller(by, context)
        scope = where or CubeFilter(semantic_types=RAW)
        turns = [
            cube
            for cube in sorted(self.find(scope, by=by, k=k, context=context), key=_said)
            if not cube.provenance.derived_from and cube.governance.owner == by.subject
        ]
        if not turns:
            return []
        drawn = [cube for turn in turns for cube in self._drawn(turn, caller)]
        used = {ref for cube in drawn for ref in cube.provenance.derived_from}
        fresh = [turn for turn in turns if turn.ref not in used]
        if not fresh:
            return drawn
        by_turn: dict[str, list[Extracted]] = {}
        for each in _checked(extractor(fresh), len(fresh)):
            by_turn.setdefault(fresh[each.sources[-1] if each.sources else -1].id, []).append(each)
        return drawn + [
            self._keep(each, fresh, caller, number=number, count=len(same))
            for same in by_turn.values()
            for number, each in enumerate(same)
        ]

    async def aextract(self, extractor: Extractor, *, by: Principal, **how: Any) -> list[MemCube]:
        """`extract`, off the loop."""
        return await self._off_loop(self.extract, extractor, by=by, **how)

    def summarise(
        self,
        cube_ids: Sequence[str],
        *,
        by: Principal,
        most: int = 5,
        write: Summarise | None = None,
        context: CallContext | None = None,
        **options: Unpack[MemoryOptions],
    ) -> MemCube:
        """A memory that sums up others, derived from them: by rules at most *most* of their sentences, or by *write*.

        By rules the same sources always give the same words. It is no more trusted than the least of its sources, lives
        no longer, and dies with one that is forgotten. When one changes it is not recalled until it was made anew: by
        `feedback` and `tick` where rules made it, by `renew_summaries(write=...)` where a callable did.

        Raises:
            CubeNotFoundError: *by* may not know of one of them.
            InvalidMemoryError: There are none, too many, or one is no text.
            ModelError: *write* gave no text; nothing was written.
        """
        caller = self._caller(by, context)
        ids = known_ids(cube_ids)
        return self._summaries.make(ids, caller, most=most, write=write, options=options)

    def renew_summaries(
        self,
        *,
        by: Principal,
        write: Summarise | None = None,
        limit: int = 1_000,
        edited: bool = False,
        context: CallContext | None = None,
    ) -> tuple[str, ...]:
        """Make those summaries of *by* anew of which a source changed, at most *limit*; their ids.

        Those of which others are made come first. Sources that left recall are left out, but for what was merged: there
        what stands for it is summed up; where none is left the summary is archived. Those that a callable wrote need
        *write*. One whose words somebody changed is made anew only if *edited* is true: until then it stays as
        that somebody left it, out of recall, and `tick` names it.
        """
        return self._summaries.renew(
            self._caller(by, context), write=write, limit=whole("limit", limit), edited=edited
        ).made

    def _drawn(self, turn: MemCube, caller: Caller) -> list[MemCube]:
        """What was drawn before and is kept under this turn, its last source; nothing where that was not finished."""
        first = self._writer.known(_key(turn, 0), caller)
        if first is None:
            return []
        count = int(str(first.provenance.trigger).rpartition("/")[2])
        found = [first, *(self._writer.known(_key(turn, number), caller) for number in range(1, count))]
        return [cube for cube in found if cube is not None] if all(found) else []

    def _keep(self, drawn: Extracted, turns: Sequence[MemCube], caller: Caller, *, number: int, count: int) -> MemCube:
        sources = [turns[place] for place in dict.fromkeys(drawn.sources)] or list(turns)
        last = sources[-1]
        speakers = {cube.provenance.speaker for cube in sources}
        provenance = Provenance(
            source="memos.extract",
            trigger=f"extraction {number + 1}/{count}",
            speaker=last.provenance.speaker if len(speakers) == 1 else None,
            thread_id=last.provenance.thread_id,
            occurred_at=last.provenance.occurred_at or last.descriptive.created_at,
            derived_from=tuple(cube.ref for cube in sources),
        )
        draft = draft_memory(
            drawn.text,
            caller,
            {
                "namespace": last.namespace,
                "semantic_type": drawn.semantic_type,
                "origin": Origin.INFERENCE_EXTRACTION,
                "trust": Trust(channel=Channel.ASSISTANT, label=TrustLabel.UNVERIFIED),
                "provenance": provenance,
            },
        )
        cube, written = self._writer.remember(draft, caller, key=_key(last, number))
        try:
            if written is not None:
                written.result()
        except AlreadyRememberedError:
            return self._writer.known(_key(last, number), caller) or cube
        return cube


def _said(cube: MemCube) -> tuple[datetime, str]:
    return cube.provenance.occurred_at or cube.descriptive.created_at, cube.id


def _key(turn: MemCube, number: int) -> str:
    return json.dumps(["memos.extract", turn.id, turn.version, number])


def _checked(drawn: object, turns: int) -> list[Extracted]:
    """What an extractor gave, as memories.

    Raises:
        ModelError: It is none, too many, or names turns that there are not.
    """
    if isinstance(drawn, str | bytes) or not isinstance(drawn, Sequence) or len(drawn) > MOST_EXTRACTED:
        raise ModelError(f"An extractor gives a list of at most {MOST_EXTRACTED} memories, not {type(drawn).__name__}.")
    found: list[Extracted] = []
    for each in drawn:
        told = {"text": each} if isinstance(each, str) else each
        try:
            one = Extracted.model_validate(told, from_attributes=True)
        except ValidationError as exc:
            raise ModelError(f"This is no memory that could be drawn: {first_problem(exc)}.") from exc
        if not one.text.strip() or any(not 0 <= place < turns for place in one.sources):
            raise ModelError("A drawn memory is empty, or names a turn that there is not.")
        found.append(one)
    unique = {" ".join(one.text.split()).casefold(): one for one in reversed(found)}
    return list(reversed(unique.values()))
