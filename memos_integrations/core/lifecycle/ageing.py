"""What time does to a memory: how much it still weighs, and when it is archived, expires or is collected. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import Field

from memos_integrations.core.cube import Label, MemCube, State, Value
from memos_integrations.core.errors import ClockError
from memos_integrations.core.lifecycle.then import has_begun

LAST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
RECALLED = frozenset({State.GENERATED, State.ACTIVATED})
DAY = timedelta(days=1)
ENDED = ("its time is over", "it holds no longer")
"""The reasons of moves that no use prevents."""


class Ageing(Value):
    """By which measure memories age.

    idle: unused for so long, a memory is archived; None: never. `rest`: what was written or used within it stays.
    archive_below, expire_below: weights (see `weight`) of memories with a half-life. keep_expired: how long what has
    expired is kept before it is collected. budgets: at most so many memories within recall, by the last part of the
    namespace or the whole of it joined with "/"; those that weigh least are archived.
    """

    idle: timedelta | None = timedelta(days=365)
    rest: timedelta = Field(default=DAY, gt=timedelta(0))
    archive_below: float = Field(default=0.125, gt=0.0, lt=1.0)
    expire_below: float = Field(default=0.015625, gt=0.0, lt=1.0)
    keep_expired: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    budgets: dict[str, int] = Field(default_factory=dict)


class Aged(NamedTuple):
    """Where a memory goes, and why."""

    after: State
    reason: Label


def last_use(cube: MemCube) -> datetime:
    """When it was last written or used."""
    written = cube.descriptive.recorded_at
    return written if cube.behaviour.last_read is None else max(written, cube.behaviour.last_read)


def counted_from(cube: MemCube, now: datetime) -> datetime:
    """The moment from which disuse and decay count: the last use, or later its beginning in the world."""
    begins, used = cube.descriptive.valid_from, last_use(cube)
    return used if begins is None or begins > now else max(used, begins)


def since(now: datetime, rest: timedelta) -> datetime:
    """The moment *rest* before now; of a rest longer than time, its beginning."""
    try:
        return now - rest
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def used_at(cube: MemCube, at: datetime) -> MemCube:
    """The cube as it stands once a use at *at* was noted in it."""
    return cube.model_copy(update={"behaviour": cube.behaviour.model_copy(update={"last_read": at})})


def weight(cube: MemCube, now: datetime) -> float:
    """What a memory weighs: its importance, halved with each half-life since it was last used, or began to hold.

    Importance is 1, up to twice as much or nothing by priority, and a half more for each time it was said to help, up
    to four; halved for each time it was said to be wrong.
    """
    helpful, wrong = min(cube.behaviour.helpful, 4), min(cube.behaviour.wrong, 8)
    importance = (1.0 + cube.governance.priority / 100.0) * (1.0 + 0.5 * helpful) * 0.5**wrong
    half_life = cube.governance.half_life
    if half_life is None:
        return importance
    age = max(timedelta(0), now - counted_from(cube, now))
    return float(importance * 0.5 ** (age / half_life))


def due(cube: MemCube, now: datetime, ageing: Ageing) -> Aged | None:
    """Where time takes a memory now; None: it stays. What is frozen, on hold, or was used within `rest`, stays."""
    if cube.state is State.FROZEN or cube.governance.legal_hold or cube.state is State.EXPIRED:
        return None
    if cube.governance.is_expired(now):
        return Aged(State.EXPIRED, ENDED[0])
    ends = cube.descriptive.valid_to
    if ends is not None and ends <= now and cube.state in RECALLED:
        return Aged(State.ARCHIVED, ENDED[1])
    if now - counted_from(cube, now) < ageing.rest or not has_begun(cube, now):
        return None
    return _faded(cube, now, ageing)


def _faded(cube: MemCube, now: datetime, ageing: Ageing) -> Aged | None:
    if cube.governance.half_life is not None:
        left = weight(cube, now)
        if left < ageing.expire_below and cube.state is State.ARCHIVED:
            return Aged(State.EXPIRED, "decay")
        if left < ageing.archive_below and cube.state in RECALLED:
            return Aged(State.ARCHIVED, "decay")
    kept = cube.governance.priority > 0 or cube.behaviour.helpful > cube.behaviour.wrong
    idle = ageing.idle is not None and now - counted_from(cube, now) > ageing.idle
    return Aged(State.ARCHIVED, "disuse") if idle and not kept and cube.state in RECALLED else None


def over_budget(cubes: Iterable[MemCube], now: datetime, ageing: Ageing) -> list[MemCube]:
    """Those within recall that go because their namespace holds too many: the lightest, then the longest unused."""
    held: dict[str, list[MemCube]] = defaultdict(list)
    for cube in cubes:
        if cube.state in RECALLED and has_begun(cube, now):
            for name in {"/".join(cube.namespace), cube.namespace[-1]} & ageing.budgets.keys():
                held[name].append(cube)
    gone: dict[str, MemCube] = {}
    for name, inside in held.items():
        excess = len(inside) - ageing.budgets[name]
        free = [
            cube for cube in inside if not cube.governance.legal_hold and now - counted_from(cube, now) >= ageing.rest
        ]
        free.sort(key=lambda cube: (weight(cube, now), counted_from(cube, now), cube.id))
        gone |= {cube.id: cube for cube in free[: max(0, excess)]}
    return list(gone.values())


def ahead_of(cubes: Sequence[MemCube], now: datetime) -> list[MemCube]:
    """Those written or used more than a day after *now*, by a clock that was wrong: they rest until that day.

    Where that is all that there is, it is the present that is wrong.

    Raises:
        ClockError: Everything was written or used more than a day after *now*, or no day comes after it.
    """
    if now > LAST:
        raise ClockError(
            f"It is said to be {now.isoformat()}, the end of time. Nothing was changed; set the clock right."
        )
    ahead = [cube for cube in cubes if last_use(cube) > now + DAY]
    if ahead and len(ahead) == len(cubes):
        latest = max(last_use(cube) for cube in ahead)
        raise ClockError(
            f"It is said to be {now.isoformat()}, but memories were written or used until {latest.isoformat()}, and "
            "none before. Nothing was changed; set the clock right."
        )
    return ahead
