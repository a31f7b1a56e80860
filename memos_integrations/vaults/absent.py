"""Ids that a vault was asked for and that no cube has, known for as long as nobody can have made such a cube.

Before most writes and reads the rules of the tenant are looked up, and most tenants adopted none. To find that out anew
each time takes as long as a third of the write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from memos_integrations.vaults.sqlite_rows import Prepared

MOST = 10_000
"""How many are kept."""


class Moment(NamedTuple):
    """When a read began: what was seen of others' changes then, and of this process's own."""

    epoch: int
    turn: int


class Made:
    """The cubes that a group of transactions makes."""

    def __init__(self) -> None:
        self._named: list[tuple[str, str]] | None = []

    def note(self, transactions: Sequence[Prepared]) -> None:
        """These are in the group."""
        named = self._named
        if named is None:
            return
        for transaction in transactions:
            named += [(put.cube.namespace[0], put.cube.id) for put in transaction.puts if put.cube.version == 1]
        if len(named) > MOST:
            self._named = None

    def taken(self) -> list[tuple[str, str]] | None:
        """Tenant and id of each, None where they are very many. The next group starts with none."""
        named, self._named = self._named, []
        return named


class Absent:
    """What is known to be absent. *epoch* below counts how often somebody else changed the file. Thread-safe.

    Own commits take `turn` on by one where they begin and where they end. What a read did not find is kept only if none
    was under way while it read; and what a commit brings is no longer absent when it is acknowledged.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = 0
        self._held: dict[tuple[str, str], int] = {}

    def begun(self, epoch: int) -> Moment:
        """The present, before a read begins."""
        return Moment(epoch, self._turn)

    def holds(self, tenant: str, ids: Sequence[str], moment: Moment) -> bool:
        """Whether it is known that none of these cubes is there."""
        held = self._held.get
        return all(held((tenant, each)) == moment.epoch for each in ids)

    def note(self, tenant: str, ids: Sequence[str], moment: Moment) -> None:
        """A read that began at *moment* did not find these."""
        with self._lock:
            if self._turn != moment.turn or self._turn % 2:
                return
            if len(self._held) + len(ids) > MOST:
                self._held.clear()
            if len(ids) <= MOST:
                self._held.update([((tenant, each), moment.epoch) for each in ids])

    @contextmanager
    def making(self, named: Sequence[tuple[str, str]] | None) -> Iterator[None]:
        """Around a commit of this process that makes these cubes, by tenant and id; None: very many."""
        with self._lock:
            self._turn += 1
        try:
            yield
        finally:
            with self._lock:
                self._turn += 1
                if named is None:
                    self._held.clear()
                else:
                    for each in named if self._held else ():
                        self._held.pop(each, None)

    def forget(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._held.clear()
