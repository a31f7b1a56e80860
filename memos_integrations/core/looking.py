"""What is looked up: by id, by a filter, and the bytes beside it; as it is, or as it was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from memos_integrations.core.access import READING, CallContext, Principal, Verb
from memos_integrations.core.asked import aware, is_id, known_id, whole
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.queries import in_time
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.releasing import holds
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

        Its state is that of then; who may read it is decided as of now, and by the version of then.

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
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        holding: bool = False,
        counts: bool = True,
        context: CallContext | None = None,
    ) -> list[MemCube]:
        """The current versions of those of the ids with which *by* may do *verb* now, in order; others are absent.

        With *as_of* those known then, with *valid_at* those that held then in the world, as by `get`; *holding* leaves
        out what holds no longer, or not yet (`valid_to`, `valid_from`). It is a use of them, but where *counts* is
        false: for what only looks them over. A licence that counts uses is used, but for what *by* was given within the
        last ten minutes; what is spent is absent.
        """
        if verb not in READING:
            raise InvalidMemoryError(f"get_many gives words away: read, use_in_prompt or train_on, not {verb!r}.")
        ids = [cube_id for cube_id in cube_ids if is_id(cube_id)]
        caller = self._caller(by, context)
        found = self._governance.readable(ids, caller, verb=Verb(verb), counted=counts, as_of=aware(as_of))
        found = [cube for cube in found if self._governance.handed.again(cube, caller, self._governance.use_up)]
        if holding:
            found = [cube for cube in found if holds(cube, caller.now)]
        if as_of is None and valid_at is None:
            return found
        then = (self._times.then(cube, caller, as_of=aware(as_of), valid_at=aware(valid_at)) for cube in found)
        return [cube for cube in then if cube is not None]

    def find(
        self,
        where: CubeFilter,
        *,
        by: Principal,
        k: int = 100,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        counts: bool = True,
        context: CallContext | None = None,
    ) -> list[MemCube]:
        """The newest *k* cubes that pass *where* and that *by* may read, newest first: a list, not a recall.

        With *as_of* the cubes as they were known then, in their states of then; with *valid_at* those that held then in
        the world, which may be archived by now. Both as by `recall`.

        On record like every read; it warms no cube. It is a use of each, which is then not archived tonight, but where
        *counts* is false: for reports, audits and copies, that look all memories over.
        """
        query = VaultQuery(k=whole("k", k), filter=in_time(where, aware(valid_at)), as_of=aware(as_of))
        return self._governance.find(query, self._caller(by, context), counted=counts)

    def read_blob(
        self,
        cube_id: str,
        *,
        by: Principal,
        number: int = 0,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        context: CallContext | None = None,
    ) -> BinaryIO:
        """The bytes beside a cube that *by* may read, from their start, checked against their digest; close the stream.

        With *as_of* or *valid_at* those beside the version that `get` gives.

        Raises:
            CubeNotFoundError: The cube does not exist, or not then, or *by* may not know that it does.
            InvalidMemoryError: It names no such blob.
            IntegrityError: The bytes are missing or were changed.
        """
        caller = self._caller(by, context)
        if as_of is None and valid_at is None:
            return self._governance.open_blob(known_id(cube_id), number, caller)
        cube = self._times.at(known_id(cube_id), caller, as_of=aware(as_of), valid_at=aware(valid_at))
        return self._governance.blob_of(cube, number)

    async def aget(self, cube_id: str, *, by: Principal, **how: Any) -> MemCube:
        """`get`, in the read pool."""
        return await self._off_loop(self.get, cube_id, by=by, **how)

    async def aget_many(self, cube_ids: Iterable[str], *, by: Principal, **how: Any) -> list[MemCube]:
        """`get_many`, in the read pool."""
        return await self._off_loop(self.get_many, cube_ids, by=by, **how)

    async def afind(self, where: CubeFilter, *, by: Principal, **how: Any) -> list[MemCube]:
        """`find`, in the read pool."""
        return await self._off_loop(self.find, where, by=by, **how)
