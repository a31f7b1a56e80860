"""What stands in the writer's queue, and how it is made ready to be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from memos_integrations.core.errors import MemOSError, VaultError
from memos_integrations.core.ports import Durability, Transaction
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.sqlite_rows import Prepared
from memos_integrations.vaults.sqlite_write import Head

UNFIT = (
    MemOSError,
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the rows of one transaction may fail with: its own failure too."""

Work = Callable[[sqlite3.Connection, Head], tuple[Head, Any]]


def _unmade(connection: sqlite3.Connection, head: Head) -> tuple[Head, Any]:
    raise VaultError("The rows of this transaction were not made.")


@dataclass(slots=True)
class Job:
    """One transaction in the queue. `erases` names the cubes that it takes away.

    `new` is the transaction itself when it only brings something new: then it may share its statements with others.
    `alone`: it is a commit of its own, and is done at most once. `anew`: before it the file is written anew. `raw`: its
    rows are yet to be made.
    """

    work: Work
    erases: tuple[str, ...] = ()
    new: Prepared | None = None
    durability: Durability = Durability.COMMIT
    alone: bool = False
    anew: bool = False
    raw: Transaction | None = None
    future: Future[Any] = field(default_factory=Future)

    @classmethod
    def of_one(cls, transaction: Transaction, durability: Durability) -> Job:
        """One new cube, whose rows are made where it is written."""
        return cls(_unmade, durability=durability, raw=transaction)

    @property
    def is_one_new(self) -> bool:
        """Whether it brings one new cube: whoever writes so waits for it."""
        return self.raw is not None or (self.new is not None and len(self.new.changes) == 1)


class Preparing:
    """Makes the rows that jobs still lack, all together."""

    def __init__(self, prepare: Callable[[Sequence[Transaction]], list[Prepared]], guard: Guard) -> None:
        self._prepare, self._guard = prepare, guard

    def __call__(self, jobs: list[Job]) -> list[Job]:
        """Those of them that can be written, with their rows; the futures of the others say why not."""
        raw = [(job, job.raw) for job in jobs if job.raw is not None]
        if not raw:
            return jobs
        try:
            rows = self._prepare([each for _, each in raw])
        except UNFIT as exc:
            if len(jobs) > 1:
                return [job for each in jobs for job in self([each])]
            jobs[0].future.set_exception(exc)
            return []
        for (job, _), new in zip(raw, rows, strict=True):
            job.work, job.new, job.raw = partial(self._guard.notary.apply, transaction=new), new, None
        return jobs
