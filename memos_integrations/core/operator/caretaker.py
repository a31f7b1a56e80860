"""What time does to memories, carried out: archived, expired, collected; a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.aftermath import AGEING, is_over
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import Label, MemCube, State, Tier, Value
from memos_integrations.core.errors import (
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import Aged, Ageing, due, over_budget
from memos_integrations.core.lifecycle.ageing import ENDED, ahead_of, last_use, since, used_at
from memos_integrations.core.operator.relearning import Relearnt
from memos_integrations.core.operator.tiering import Tiered
from memos_integrations.core.ports import LogQuery, Use
from memos_integrations.core.records import LOOKS, Steps, looks_in, record_of

TOGETHER = 256
LOG_PAGE = 10_000


class Tick(Value):
    """What a pass did: ids by what became of them, with the reason of each move. `more`: another pass has work.

    `ahead` were written or used by a clock that was wrong, more than a day later than now: their own end (`expires_at`,
    `valid_to`) counts, but decay, disuse and budgets leave them until that day.
    `returned` had been merged into what ended, and are back. `renewed` are summaries that were made anew, because a
    source had changed; `edited` those that were not, because somebody had changed their words:
    `MemOS.renew_summaries(edited=True)` does. `relearnt` says what became of adapters, where the pass had seconds for
    that; `tiered` which memories were given another form. `unscrubbed`: so many erasures, of anybody, whose copies the
    vault's file may still hold; see `MemOS.scrub`.
    """

    archived: dict[Label, Label] = Field(default_factory=dict)
    expired: dict[Label, Label] = Field(default_factory=dict)
    collected: tuple[Label, ...] = ()
    returned: tuple[Label, ...] = ()
    ahead: tuple[Label, ...] = ()
    renewed: tuple[Label, ...] = ()
    edited: tuple[Label, ...] = ()
    relearnt: Relearnt = Relearnt()
    tiered: Tiered = Tiered()
    unscrubbed: int = 0
    more: bool = False


class Caretaker:
    """Ages the memories of one principal through governance."""

    def __init__(
        self,
        governance: MemGovernance,
        forget: Callable[[str, Caller], object],
        dropped: Callable[[Collection[str]], None],
    ) -> None:
        self._governance, self._forget, self._dropped = governance, forget, dropped

    def tick(self, caller: Caller, ageing: Ageing, *, limit: int, spent: bool = False) -> Tick:
        """One pass: at most *limit* memories move or are collected; each batch of moves is one transaction.

        With *spent*, keys and values of what says something else by now are collected too.

        Raises:
            ClockError: The present lies well before all that was recorded; nothing was changed.
        """
        cubes = self._governance.owned(caller)
        ahead = tuple(cube.id for cube in ahead_of(cubes, caller.now))
        moves = self._going({cube.id: cube for cube in cubes}, caller, ageing)
        done = [
            each
            for start in range(0, min(len(moves), limit), TOGETHER)
            for each in self._moved(moves[start : min(start + TOGETHER, limit)], caller)
        ]
        self._governance.lapsed(cubes, caller)  # the owner reads on; those who were given them are told
        returned = self._returned([cube for cube in cubes if cube.state is State.MERGED], caller)
        left = limit - min(len(moves), limit)
        collected = self._collected([cube for cube in cubes if cube.state is State.EXPIRED], ageing, caller, left)
        if spent:
            computed = [cube for cube in cubes if cube.tier is Tier.ACTIVATION and cube.id not in collected]
            collected += self._forgotten(self._governance.went_on(computed, caller), caller, left - len(collected))
        told = {state: {c.id: aged.reason for c, aged in done if aged.after is state} for state in State}
        more = len(moves) > limit or len(collected) == left > 0
        done_with = Tick(archived=told[State.ARCHIVED], expired=told[State.EXPIRED], collected=tuple(collected))
        return done_with.model_copy(update={"returned": returned, "more": more, "ahead": ahead})

    def _returned(self, merged: Sequence[MemCube], caller: Caller) -> tuple[str, ...]:
        """Those merged away that are back: with what ended in this pass, or because nothing stands for them."""
        now = self._governance.held([cube.id for cube in merged], caller) if merged else {}
        there = [cube for cube in now.values() if not cube.governance.legal_hold]
        for cube in self._governance.aftermath.stranded(there, caller.now):
            record = record_of("unmerge", caller, about=cube.id, detail={"of": None})
            with suppress(VersionConflictError, CubeNotFoundError):  # changed meanwhile: the next pass looks again
                after = State.ARCHIVED if is_over(cube, caller.now) else State.ACTIVATED
                self._governance.change(
                    Steps(moves=((cube, after),), records=(record,)), caller, operation=AGEING
                ).result()
                now[cube.id] = cube.model_copy(update={"state": after})
        back = (cube.id for cube in now.values() if cube.state in {State.ACTIVATED, State.ARCHIVED})
        return tuple(sorted(back))

    def _going(self, cubes: dict[str, MemCube], caller: Caller, ageing: Ageing) -> list[tuple[MemCube, Aged]]:
        """What is due, once the log was asked whether it was looked up; that is noted in what was."""
        # Look-ups stand in the log alone, so that they cost no more than that. Those of single memories are found
        # however long ago; those of lists within `rest`, so that a pass every night misses none.
        listed: dict[str, datetime] | None = None
        asked: set[str] = set()
        looked: list[Use] = []
        while True:
            moves = _due(cubes.values(), caller.now, ageing)
            fresh = [cube for cube, aged in moves if cube.id not in asked and aged.reason not in ENDED]
            if not fresh:
                self._governance.looked(looked)
                return moves
            if listed is None:
                start = since(caller.now, ageing.rest)
                listed = self._looks(LogQuery(tenant=caller.by.tenant, since=start, limit=LOG_PAGE))
            first = min(last_use(cube) for cube in fresh)
            asked |= {cube.id for cube in fresh}
            ids = tuple(cube.id for cube in fresh)
            alone = self._looks(LogQuery(tenant=caller.by.tenant, cube_ids=ids, since=first, limit=LOG_PAGE))
            for cube in fresh:
                at = max((told[cube.id] for told in (listed, alone) if cube.id in told), default=last_use(cube))
                if at > last_use(cube):
                    cubes[cube.id] = used_at(cube, at)
                    looked.append(Use(cube.id, at, "", looked=True))

    def _looks(self, query: LogQuery) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for operation in LOOKS:
            asked = query.model_copy(update={"operation": operation})
            while entries := self._governance.lifecycle_log(asked):
                for cube_id, at in looks_in(entries).items():
                    found[cube_id] = max(at, found.get(cube_id, at))
                asked = asked.model_copy(update={"after": entries[-1].number})
                if len(entries) < LOG_PAGE:
                    break
        return found

    def _moved(self, batch: Sequence[tuple[MemCube, Aged]], caller: Caller) -> list[tuple[MemCube, Aged]]:
        """Those that moved: all together, or, where one was used or changed meanwhile, the others one by one."""
        try:
            self._governance.change(_steps(batch, caller), caller, operation=AGEING).result()
        except (VersionConflictError, CubeNotFoundError):
            if len(batch) == 1:
                return []
            return [each for one in batch for each in self._moved([one], caller)]
        self._dropped([cube.id for cube, _ in batch])
        return list(batch)

    def _collected(self, expired: Sequence[MemCube], ageing: Ageing, caller: Caller, limit: int) -> list[str]:
        over = (
            cube
            for cube in expired
            if caller.now - (cube.governance.expires_at or self._ended(cube, caller)) >= ageing.keep_expired
        )
        return self._forgotten(over, caller, limit)

    def _forgotten(self, cubes: Iterable[MemCube], caller: Caller, limit: int) -> list[str]:
        """Erase at most so many; the ids of those that went."""
        gone: list[str] = []
        for cube in cubes:
            if len(gone) == limit:
                break
            if cube.governance.legal_hold:
                continue
            try:
                self._forget(cube.id, caller)
            except (LegalHoldError, IllegalTransitionError, CubeNotFoundError, StillDerivedError):
                continue  # something derived from it is on hold or frozen, or it went already
            gone.append(cube.id)
        return gone

    def _ended(self, cube: MemCube, caller: Caller) -> datetime:
        query = LogQuery(tenant=caller.by.tenant, cube_id=cube.id, operation="to_expired", limit=10_000)
        entries = self._governance.lifecycle_log(query)
        return entries[-1].record.at if entries else caller.now


def _due(cubes: Iterable[MemCube], now: datetime, ageing: Ageing) -> list[tuple[MemCube, Aged]]:
    cubes = [cube for cube in cubes if not is_of_the_books(cube)]
    moves = [(cube, aged) for cube in cubes if (aged := due(cube, now, ageing)) is not None]
    going = {cube.id for cube, _ in moves}
    staying = [cube for cube in cubes if cube.id not in going]
    told = (cube for cube in staying if cube.tier is Tier.PLAINTEXT)  # what is computed of them is no memory more
    return moves + [(each, Aged(State.ARCHIVED, "budget")) for each in over_budget(told, now, ageing)]


def _steps(batch: Sequence[tuple[MemCube, Aged]], caller: Caller) -> Steps:
    records = tuple(record_of(AGEING, caller, about=cube.id, detail={"reason": aged.reason}) for cube, aged in batch)
    return Steps(moves=tuple((cube, aged.after) for cube, aged in batch), records=records)
