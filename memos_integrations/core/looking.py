"""What is looked up: by id, by a filter, and the bytes beside it; as it is, or as it was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from memos_integrations.core.access import READING, CallContext, Principal, Verb
from memos_integrations.core.asked import aware, is_id, known_id
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.walk import Walk


class Looking(Walk):
    """`Walk`, with look-ups. What was looked up today is not archived tonight, as what was recalled."""

    def get(
        self,
        cube_id: str,
        *,
        by: Principal,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """The current version of a cube, or the one known at *as_of*, if it held in the world at *valid_at*.

        Raises:
            CubeNotFoundError: It does not exist, or not then, or *by* may not know that it does.
        """
        if as_of is not None or valid_at is not None:
            caller = self._caller(by, context)
            return self._times.at(known_id(cube_id), caller, as_of=aware(as_of), valid_at=aware(valid_at))
        return self._governance.read(known_id(cube_id), self._caller(by, context))

    def get_many(
        self,
        cube_ids: Iterable[str],
        *,
        by: Principal,
        verb: Verb | str = Verb.READ,
        counts: bool = True,
        context: CallContext | None = None,
    ) -> list[MemCube]:
        """The current versions of those of the ids with which *by* may do *verb* now, in order; others are absent.

        It is a use of them, but where *counts* is false: for what only looks them over.
        """
        if verb not in READING:
            raise InvalidMemoryError(f"get_many gives words away: read, use_in_prompt or train_on, not {verb!r}.")
        ids = [cube_id for cube_id in cube_ids if is_id(cube_id)]
        return self._governance.readable(ids, self._caller(by, context), verb=Verb(verb), counted=counts)

    def find(
        self,
        where: CubeFilter,
        *,
        by: Principal,
        k: int = 100,
        counts: bool = True,
        context: CallContext | None = None,
    ) -> list[MemCube]:
        """The newest *k* cubes that pass *where* and that *by* may read, newest first: a list, not a recall.

        On record like every read; it warms no cube. It is a use of each, which is then not archived tonight, but where
        *counts* is false: for reports, audits and copies, that look all memories over.
        """
        if not isinstance(k, int) or k < 1:
            raise InvalidMemoryError(f"k must be a whole number of at least 1, not {k!r}.")
        return self._governance.find(VaultQuery(k=k, filter=where), self._caller(by, context), counted=counts)

    def read_blob(
        self, cube_id: str, *, by: Principal, number: int = 0, context: CallContext | None = None
    ) -> BinaryIO:
        """The bytes beside a cube that *by* may read, from their start, checked against their digest; close the stream.

        Raises:
            CubeNotFoundError: The cube does not exist, or *by* may not know that it does.
            InvalidMemoryError: It names no such blob.
            IntegrityError: The bytes are missing or were changed.
        """
        return self._governance.open_blob(known_id(cube_id), number, self._caller(by, context))

    async def aget(self, cube_id: str, *, by: Principal, context: CallContext | None = None) -> MemCube:
        """`get`, in the read pool."""
        return await self._off_loop(self.get, cube_id, by=by, context=context)

    async def aget_many(self, cube_ids: Iterable[str], *, by: Principal, **how: Any) -> list[MemCube]:
        """`get_many`, in the read pool."""
        return await self._off_loop(self.get_many, cube_ids, by=by, **how)

    async def afind(self, where: CubeFilter, *, by: Principal, **how: Any) -> list[MemCube]:
        """`find`, in the read pool."""
        return await self._off_loop(self.find, where, by=by, **how)
