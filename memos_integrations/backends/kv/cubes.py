"""Activation cubes: what the store computed, kept in the vault under governance, and taken back from there."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from memos_integrations.backends.kv.fingerprint import fingerprint_of
from memos_integrations.backends.kv.layout import MemoryLine
from memos_integrations.backends.kv.memory import ActivationMemory
from memos_integrations.backends.kv.prefix import StoredPrefix
from memos_integrations.backends.kv.transfer import dump, undump
from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.cube import ActivationPayload, MemCube
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.operator import Hit, render
from memos_integrations.core.ports import Derivative
from memos_integrations.core.tiers import may_activate

if TYPE_CHECKING:
    from memos_integrations.backends.kv.layers import Part


class Memories(Protocol):
    """What is used of a `MemOS`."""

    def attach(self, derivative: Derivative) -> None:
        """See `MemOS.attach`."""
        ...

    def get_many(
        self, cube_ids: Iterable[str], *, by: Principal, verb: Verb | str, context: CallContext | None
    ) -> list[MemCube]:
        """See `MemOS.get_many`."""
        ...

    def read_blob(self, cube_id: str, *, by: Principal, context: CallContext | None) -> BinaryIO:
        """See `MemOS.read_blob`."""
        ...

    def keep_activation(self, content: bytes | BinaryIO, sources: Sequence[MemCube], **said: Any) -> MemCube:
        """See `MemOS.keep_activation`."""
        ...


class ActivationCubes:
    """Promotes memories to activation cubes of a MemOS, and loads these into an `ActivationMemory`.

    The cubes obey governance: readers are those who may read every source, and the cube is erased with the first source
    that is forgotten, and refused from the moment one changes. From its construction on, so is what the memory holds.
    """

    def __init__(self, memos: Memories, memory: ActivationMemory) -> None:
        self._memos, self.memory = memos, memory
        memos.attach(memory)

    def promote(
        self,
        cube_ids: Sequence[str],
        *,
        by: Principal,
        system: str | None = None,
        context: CallContext | None = None,
        adapters: Sequence[str] = (),
    ) -> MemCube:
        """The activation cube of these memories in canonical order, under a system message if one is given.

        Raises:
            CubeNotFoundError: *by* may not use one of them in a prompt.
            InvalidMemoryError: One must stay text: it expires, or its uses are licensed.
        """
        wanted = list(dict.fromkeys(cube_ids))
        sources = self._cubes(wanted, by, context)
        for cube in sources:
            if reason := may_activate(cube):
                raise InvalidMemoryError(f"Cube {cube.id!r} is kept as text only: {reason}.")
        lines = [MemoryLine(render(Hit(cube=cube, score=0.0)), cube.ref, cube.tenant) for cube in sources]
        chat = [{"role": "system", "content": system}] if system is not None else []
        layout = self.memory.layout([*chat, {"role": "user", "content": "?"}], sorted(lines, key=_place))
        prefix = self.memory.put(layout, sorted(lines, key=_place), adapters)
        if not prefix.exact:
            raise ModelError("What is stored of these memories was rounded; an activation cube is exact.")
        with tempfile.TemporaryFile() as content:
            dump(prefix, content)
            content.seek(0)
            return self._memos.keep_activation(
                content,
                sources,
                token_count=len(prefix.token_ids),
                token_ids_digest=_digest(prefix.token_ids),
                key=prefix.key,
                fingerprint=fingerprint_of(self.memory.model, adapters),
                by=by,
                context=context,
            )

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
        differs = [each for each in type(here).model_fields if getattr(here, each) != getattr(there, each)]
        if set(differs) - {"model"}:
            raise ModelError(
                f"Cube {found.id!r} was computed with another {', '.join(differs)}; its text is used instead. Promote "
                "its sources again with this model."
            )
        with self._memos.read_blob(found.id, by=by, context=context) as blob:  # checked against its digest there
            tokens, parts = undump(self.memory.model, bytearray(blob.read()), f"cube {found.id}")
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

    def _stored(self, tokens: list[int], parts: Sequence[Part], cube: MemCube, adapters: Sequence[str]) -> StoredPrefix:
        store, sources = self.memory.store, cube.provenance.derived_from
        store.put_parts(tokens, parts, tenant=cube.tenant, sources=sources, adapters=adapters)
        return store.prefix_of(tokens, parts, tenant=cube.tenant, adapters=adapters)

    def _cubes(self, ids: list[str], by: Principal, context: CallContext | None) -> list[MemCube]:
        found = self._memos.get_many(ids, by=by, verb=Verb.USE_IN_PROMPT, context=context)
        if missing := set(ids) - {cube.id for cube in found}:
            raise CubeNotFoundError(min(missing))
        return found


def _place(line: MemoryLine) -> tuple[str, int]:
    return (line.ref.id, line.ref.version)


def _digest(tokens: Sequence[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(tokens)}I", *tokens)).hexdigest()
