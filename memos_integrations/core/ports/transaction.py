"""What goes into a vault: changes, audit records and events that become true together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from memos_integrations.core.cube import Licence, MemCube, State
from memos_integrations.core.events import MemEvent
from memos_integrations.core.ports.embedder import Vectors
from memos_integrations.core.ports.log import AuditRecord


@dataclass(frozen=True, slots=True)
class Put:
    """Store one version: version 1 makes the cube, version n replaces n - 1 as the current one.

    `readers` are the subjects that may read it; `terms` its words for full text, with repeats; `vector` its unit
    row of shape `(dim,)`; `tokens` what an embedder told of its single tokens, for `Vault.tokens`. `key` makes a first
    version happen at most once: a second Put with the same tenant and key is refused. Where a lasting Erase took the
    cube of a key away, a Put with that key brings it back only if it says *again*.
    """

    cube: MemCube
    readers: frozenset[str]
    terms: tuple[str, ...] = ()
    vector: Vectors | None = None
    key: str | None = None
    again: bool = True
    tokens: bytes | None = None


@dataclass(frozen=True, slots=True)
class PutVector:
    """Give a current version the vector that it lacks (or another one). No new version."""

    cube_id: str
    version: int
    vector: Vectors
    tokens: bytes | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """Go on only if the cube is at this version: what was decided on it still holds when the transaction commits."""

    cube_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Erase:
    """Take a cube out of every place it stands in: versions, vectors, full text, links, keys, behaviour.

    Refused while a cube is derived from it: what is derived is erased before it. *lasting*: of its keys a keyed hash
    is kept, so that nothing is written with one of them by mistake (see `Put`).
    """

    cube_id: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Count one use: reads + 1, warmer by one after cooling for the time since the last (see `cooled`).

    `recall_id` is empty where it was no recall. With `licence`, the cube's own, it is also a use of that: refused when
    none is left. Concurrent ones are counted one after the other. An `Expect` before it holds the licence to its cube.

    `looked`: it was looked up, not recalled: used then (`last_read`), but neither counted nor warmed. `judged`: as
    that, and somebody said that it helped, or was wrong, which is counted.
    """

    cube_id: str
    at: datetime
    recall_id: str
    licence: Licence | None = None
    looked: bool = False
    judged: Literal["helpful", "wrong"] | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Go on only if the audit log says fewer than `count` other versions of the cube given to `actor` since `since`.

    With `every`: fewer than `count` times, of whatever version.

    What counts are the entries of `tenant` that allow `operation`, as of this transaction: whoever gives something out
    and records it in one transaction with this exceeds no rate, whatever other processes give at the same time.
    """

    cube_id: str
    version: int
    tenant: str
    actor: str
    operation: str
    since: datetime
    count: int
    every: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Pass a cube to another state; refused when it is no longer in `before`."""

    cube_id: str
    before: State
    after: State


Direct = Expect | Erase | Use | Room | Move
"""Changes that say all there is: a vault has nothing to prepare for them."""

Change = Put | PutVector | Direct


@dataclass(frozen=True, slots=True)
class Transaction:
    """Changes, audit records and events that become true together, or not at all."""

    changes: tuple[Change, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    events: tuple[MemEvent, ...] = ()


class Durability(StrEnum):
    """What an acknowledged transaction survives.

    COMMIT: the death of the process and of the machine; it was flushed to the disk before it was acknowledged.
    PROCESS: the death of the process (`kill -9`) only. The operating system has it, the disk may not: power loss or a
    crash of the system takes the newest such transactions away, back to the last COMMIT or checkpoint. What is taken is
    always an end of the log, never one from the middle, and the file stays sound.
    """

    COMMIT = "commit"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction is done: `commit` is its number, growing by at least one with each.

    `durability` is what it survives: at least what was asked for, COMMIT when it shared a commit with one that asked
    for that.
    """

    commit: int
    durability: Durability = Durability.COMMIT


HEAT_HALF_LIFE_S = 7 * 24 * 3600.0


def cooled(heat: float, last: datetime | None, now: datetime) -> float:
    """Heat after the time since *last*: half of it is gone after a week (paper §5.4.2: frequency with decay)."""
    if last is None:
        return heat
    seconds: float = max(0.0, (now - last).total_seconds())
    return float(heat * 0.5 ** (seconds / HEAT_HALF_LIFE_S))
