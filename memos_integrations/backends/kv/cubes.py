"""Activation cubes: what the store computed, kept in the vault under governance, and taken back from there."""

from __future__ import annotations

import hashlib
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from memos_integrations.backends.kv.fingerprint import fingerprint_of
from memos_integrations.backends.kv.layout import Layout, MemoryLine
from memos_integrations.backends.kv.memories import Memories
from memos_integrations.backends.kv.memory import ActivationMemory, Use
from memos_integrations.backends.kv.prefix import StoredPrefix
from memos_integrations.backends.kv.prompt import MemoryPrompt
from memos_integrations.backends.kv.transfer import dump, undump
from memos_integrations.backends.pace import Pace
from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.costs import FormCosts, Spent
from memos_integrations.core.cube import ActivationPayload, MemCube, ModelFingerprint, Tier
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IntegrityError,
    InvalidMemoryError,
    ModelError,
    VaultClosedError,
    VersionConflictError,
)
from memos_integrations.core.operator import Hit, Recall, render
from memos_integrations.core.operator.tiering import Measured
from memos_integrations.core.tiers import Placement, TierDecision, may_activate

if TYPE_CHECKING:
    from memos_integrations.backends.huggingface import Usage
    from memos_integrations.backends.kv.layers import Part


TEND_EVERY = timedelta(hours=1)


class ActivationCubes:
    """Promotes memories to activation cubes of a MemOS, and loads these into an `ActivationMemory`.

    The cubes obey governance: readers are those who may read every source, and the cube is erased with the first source
    that is forgotten, and refused from the moment one changes. From its construction on, so is what the memory holds.

    From then on, too, memories that are asked for again and again are promoted in the background, once that costs less
    than computing them anew; a recall names the cube in its `prefix`, and the memory loads it where its store lacks it.
    `tend`, which runs there hourly while questions come, takes back what has gone cold. `MemOS.tick` does both for what
    the audit log tells of uses, across restarts, where it is given a `Tiering`.
    """

    def __init__(self, memos: Memories, memory: ActivationMemory) -> None:
        self._memos, self.memory = memos, memory
        self.refused = 0
        """Activation cubes that a recall named and that could not be loaded: their text was computed instead."""
        self._tended, self._pace = memory.now(), Pace(memory.model)
        memos.attach(memory, former=self)
        memory.keeper = self

    def promote(
        self,
        cube_ids: Sequence[str],
        *,
        by: Principal,
        system: str | None = None,
        context: CallContext | None = None,
        adapters: Sequence[str] = (),
        reason: str | None = None,
    ) -> MemCube:
        """The activation cube of these memories in canonical order, under a system message if one is given.

        With *adapters*, it is derived from what these were learnt from, too. *reason* is kept as the cube's trigger.

        Raises:
            CubeNotFoundError: *by* may not use one of them in a prompt.
            InvalidMemoryError: One must stay text: it expires, or its uses are licensed.
        """
        wanted = list(dict.fromkeys(cube_ids))
        sources = self._cubes(wanted, by, context)
        for cube in sources:
            if why := may_activate(cube):
                raise InvalidMemoryError(f"Cube {cube.id!r} is kept as text only: {why}.")
        lines = sorted(map(_line, sources), key=_place)
        chat = [{"role": "system", "content": system}] if system is not None else []
        layout = self.memory.layout([*chat, {"role": "user", "content": "?"}], lines)
        return self._keep(layout, lines, sources, by=by, context=context, adapters=adapters, reason=reason)

    def tokens_of(self, cube_ids: Sequence[str], *, by: Principal, context: CallContext | None = None) -> int:
        """How many tokens `promote` would compute of these memories; no word of them is kept anywhere.

        Raises:
            CubeNotFoundError: *by* may not use one of them in a prompt.
            InvalidMemoryError: One must stay text.
        """
        sources = self._cubes(list(dict.fromkeys(cube_ids)), by, context)
        for cube in sources:
            if reason := may_activate(cube):
                raise InvalidMemoryError(f"Cube {cube.id!r} is kept as text only: {reason}.")
        lines = sorted(map(_line, sources), key=_place)
        return len(self.memory.layout([{"role": "user", "content": "?"}], lines).memory)

    def consider(self, use: Use) -> None:
        """Promote a set of memories whose expected uses save more than computing it once and keeping it costs.

        What may not be promoted, or changed meanwhile, or stands in the prompt in other words than its own, is left.
        """
        if self.memory.now() - self._tended >= TEND_EVERY:
            self.tend()
        if use.kept is not None or use.caller is None:
            return
        if self.memory.decide(use, built=False).placement is Placement.TEXT:
            return
        by, context = use.caller.by, use.caller.context
        try:
            sources = self._cubes([line.ref.id for line in use.lines], by, context)
            said = [(line.text, line.ref) for line in use.lines]
            if said != [(_line(cube).text, cube.ref) for cube in sources] or any(map(may_activate, sources)):
                return
            use.kept = self._keep(use.layout, use.lines, sources, by=by, context=context).id, use.caller
        except (CubeNotFoundError, AccessDeniedError, VersionConflictError):
            return

    def bring(self, recall: Recall, token_ids: Sequence[int], adapters: Sequence[str]) -> None:
        """Load the activation cube that *recall* names and that is the beginning of these very tokens, if there is one.

        One that is damaged, or was erased meanwhile, is as good as none, and counted in `refused`.
        """
        if not recall.prefix or recall.caller is None:
            return
        by, context = recall.caller.by, recall.caller.context
        here = fingerprint_of(self.memory.model, adapters)
        named = self._memos.get_many(recall.prefix, by=by, verb=Verb.USE_IN_PROMPT, context=context)
        for cube in named:
            payload = cube.payload
            if not isinstance(payload, ActivationPayload) or _differences(here, payload.fingerprint):
                continue
            beginning = token_ids[: payload.token_count]
            if len(beginning) < payload.token_count or _digest(beginning) != payload.token_ids_digest:
                continue
            if self.memory.store.holds(beginning, tenant=cube.tenant, adapters=adapters) < len(beginning):
                try:
                    self.load(cube, by=by, context=context, adapters=adapters)
                except (CubeNotFoundError, IntegrityError, ModelError):
                    self.refused += 1
            return

    def tend(self) -> list[tuple[tuple[str, ...], TierDecision]]:
        """`ActivationMemory.tend`; and what it makes text again is no activation cube any more."""
        self._tended = self.memory.now()
        decided = self.memory.tend()
        for use in self.memory.uses:
            if use.kept is None or self.memory.decide(use).placement is not Placement.TEXT:
                continue
            cube_id, caller = use.kept
            use.kept = None
            with suppress(CubeNotFoundError, AccessDeniedError):  # gone with a source, or kept by somebody else
                self._memos.forget(cube_id, by=caller.by, context=caller.context)
        return decided

    # --- the Former port ----------------------------------------------------------------------------------------

    @property
    def form(self) -> Tier:
        """Activation memory."""
        return Tier.ACTIVATION

    @property
    def base(self) -> ModelFingerprint:
        """The model that computes, without adapters."""
        return fingerprint_of(self.memory.model)

    def costs(self, sources: Sequence[MemCube]) -> Measured:
        """What reading these memories takes, and their keys and values; as measured on this machine."""
        counts, model = self.memory.store.statistics, self.memory.model
        tokens = sum(len(model.encode(f"{_line(cube).text}\n")) for cube in sources)
        per_token = counts.built_seconds / counts.built_tokens if counts.built_tokens else self._pace.per_token
        size, reading = round(tokens * self._pace.bytes_per_token), tokens * per_token
        # Once loaded they stay in memory; until a load was timed, that is all that is known.
        load = counts.load_seconds / counts.loaded_bytes * size if counts.loaded_bytes else 0.0
        return Measured(reading, FormCosts(use_seconds=min(load, reading), build_seconds=reading, size=size))

    def refusal(self, sources: Sequence[MemCube]) -> str | None:
        """Any memories can be computed together."""
        return None

    def make(
        self,
        cube_ids: Sequence[str],
        *,
        reason: str,
        is_over: Callable[[], bool],
        by: Principal,
        context: CallContext | None,
    ) -> MemCube:
        """See `Former`; it is done at once, whatever *is_over* says."""
        return self.promote(cube_ids, by=by, context=context, reason=reason)

    def let_go(self, cube: MemCube) -> None:
        """See `Former`; what the store holds of it is as good as computed anew, and goes by the store's budgets."""

    def load(
        self, cube: MemCube | str, *, by: Principal, context: CallContext | None = None, adapters: Sequence[str] = ()
    ) -> StoredPrefix:
        """The prefix of an activation cube that *by* may read, checked and put into the store.

        Raises:
            CubeNotFoundError: It is not there for *by*, or a source of it changed.
            ModelError: It was computed with another model, tokenizer, template, dtype or adapter, or is not whole.
        """
        found = self._cubes([cube if isinstance(cube, str) else cube.id], by, context)[0]
        payload = found.payload
        if not isinstance(payload, ActivationPayload):
            raise InvalidMemoryError(f"Cube {found.id!r} is {found.tier} memory, not activation memory.")
        here, there = fingerprint_of(self.memory.model, adapters), payload.fingerprint
        if differs := _differences(here, there):
            raise ModelError(
                f"Cube {found.id!r} was computed with another {', '.join(differs)}; its text is used instead. Promote "
                "its sources again with this model."
            )
        with self._memos.read_blob(found.id, by=by, context=context) as blob:  # checked against its digest there
            content = bytearray(blob.read())
        read = Spent(model=self.memory.model.name, model_calls=0, read_bytes=len(content), cubes=(found.id,))
        self._memos.account(read, by=by, context=context)
        tokens, parts = undump(self.memory.model, content, f"cube {found.id}")
        if len(tokens) != payload.token_count or _digest(tokens) != payload.token_ids_digest:
            raise ModelError(f"Cube {found.id!r} holds other tokens than it says; it is not used.")
        return self._stored(tokens, parts, found, adapters)

    def verify(
        self, cube: MemCube | str, *, by: Principal, context: CallContext | None = None, adapters: Sequence[str] = ()
    ) -> float:
        """The largest difference of the next token's logits between an activation cube and a cold prefill.

        At most 1e-4 in float32. Costs a full prefill.
        """
        return self.memory.store.verify(self.load(cube, by=by, context=context, adapters=adapters), adapters=adapters)

    def _keep(
        self,
        layout: Layout,
        lines: Sequence[MemoryLine],
        sources: Sequence[MemCube],
        *,
        by: Principal,
        context: CallContext | None,
        adapters: Sequence[str] = (),
        reason: str | None = None,
    ) -> MemCube:
        more = sorted({ref.id for ref in self.memory.model.learnt_from(adapters)} - {cube.id for cube in sources})
        known = self.memory.store.holds(layout.memory, tenant=lines[0].tenant, adapters=adapters)
        started = time.monotonic()
        prefix = self.memory.put(layout, lines, adapters)
        if computed := len(layout.memory) - known:
            spent = Spent(
                model=self.memory.model.name,
                tokens_in=computed,
                wall_s=time.monotonic() - started,
                cubes=tuple(line.ref.id for line in lines),
            )
            self._memos.account(spent, by=by, context=context)
        if not prefix.exact:
            raise ModelError("What is stored of these memories was rounded; an activation cube is exact.")
        with tempfile.TemporaryFile() as content:
            dump(prefix, content)
            content.seek(0)
            return self._memos.keep_activation(
                content,
                [
                    *({cube.id: cube for cube in sources}[line.ref.id] for line in lines),
                    *self._cubes(more, by, context),
                ],
                token_count=len(prefix.token_ids),
                token_ids_digest=_digest(prefix.token_ids),
                key=prefix.key,
                fingerprint=fingerprint_of(self.memory.model, adapters),
                by=by,
                trigger=reason,
                context=context,
            )

    def answered(self, prompt: MemoryPrompt, usage: Usage, seconds: float) -> None:
        """Put into the log what an answer took."""
        if prompt.caller is None:
            return
        spent = Spent(
            model=self.memory.model.name,
            tokens_in=usage.input_tokens,
            tokens_out=usage.output_tokens,
            tokens_cached=usage.cached_tokens,
            wall_s=seconds,
            cubes=prompt.cubes,
        )
        with suppress(VaultClosedError):  # whoever reads the answer has it all the same
            self._memos.account(spent, by=prompt.caller.by, context=prompt.caller.context)

    def _stored(self, tokens: list[int], parts: Sequence[Part], cube: MemCube, adapters: Sequence[str]) -> StoredPrefix:
        store, sources = self.memory.store, cube.provenance.derived_from
        store.put_parts(tokens, parts, tenant=cube.tenant, sources=sources, adapters=adapters)
        return store.prefix_of(tokens, parts, tenant=cube.tenant, adapters=adapters)

    def _cubes(self, ids: list[str], by: Principal, context: CallContext | None) -> list[MemCube]:
        found = self._memos.get_many(ids, by=by, verb=Verb.USE_IN_PROMPT, context=context)
        if missing := set(ids) - {cube.id for cube in found}:
            raise CubeNotFoundError(min(missing))
        return found


def _line(cube: MemCube) -> MemoryLine:
    return MemoryLine(render(Hit(cube=cube, score=0.0)), cube.ref, cube.tenant)


def _differences(here: ModelFingerprint, there: ModelFingerprint) -> list[str]:
    """What differs between two fingerprints; nothing when it is only the name of the model's folder."""
    differs = [each for each in type(here).model_fields if getattr(here, each) != getattr(there, each)]
    return differs if set(differs) - {"model"} else []


def _place(line: MemoryLine) -> tuple[str, int]:
    return (line.ref.id, line.ref.version)


def _digest(tokens: Sequence[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(tokens)}I", *tokens)).hexdigest()
