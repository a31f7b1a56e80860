"""What a caller may see, compiled for a vault: the wall, and what rules hide. What is hidden is not even counted.

What only the engine can decide is decided once per version of a memory: of what changed since, events tell, and of
what time alone changes, the next moment is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memos_integrations.core.access import Caller, Verb, hidden_fields
from memos_integrations.core.cube import MemCube
from memos_integrations.core.events import CubeErased, CubeWritten
from memos_integrations.core.policy import Compiled, Engine, without
from memos_integrations.core.ports import CubeFilter, Limit, Stage, Vault, VaultQuery, Visibility

MOST_DECIDED = 64
"""For so many askers it is remembered what rules refuse them."""

MOST_NEWS = 1_000
"""Beyond so many events everything is decided anew: as fast, and less to remember."""

_EVERYTHING = CubeFilter(states=frozenset(), tiers=frozenset())


@dataclass(frozen=True, slots=True)
class _Decided:
    """What was refused, as of a change number and an event, and the times between which it holds."""

    policy: Engine
    generation: int
    event: int
    refused: frozenset[str]
    since: datetime
    until: datetime | None
    ids: tuple[str, ...]

    def holds(self, policy: Engine, now: datetime) -> bool:
        """Whether it still holds but for what was written since."""
        return self.policy is policy and self.since <= now and (self.until is None or now <= self.until)


class Sight:
    """Compiles callers over one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._tells = not isinstance(vault, Stage)  # of what is staged, no event tells
        self._decided: dict[tuple[Any, ...], _Decided] = {}

    def of(self, caller: Caller, wanted: CubeFilter) -> Visibility:
        """What the caller may see where *wanted* is looked for, for a vault to go by before it picks the best."""
        if caller.policy is None:
            return _visible_to(caller, ())
        compiled = caller.policy.compiled(caller)
        partly = caller.policy.partly(caller, wanted)
        if compiled.is_whole:
            return _visible_to(caller, compiled.hidden + partly, compiled.limits)
        refused = self._refused(caller.policy, caller, compiled)
        more = (CubeFilter(ids=refused, states=frozenset(), tiers=frozenset()),) if refused else ()
        return _visible_to(caller, compiled.hidden + partly + more, compiled.limits)

    @staticmethod
    def bare(caller: Caller) -> Visibility:
        """What the caller may see by the wall alone."""
        return _visible_to(caller, ())

    def shown(self, cubes: Sequence[MemCube], caller: Caller) -> list[MemCube]:
        """The cubes without what rules keep back of them, or of what they were derived from."""
        policy = caller.policy
        if policy is None or not policy.hides_fields:
            return list(cubes)
        shown = []
        for cube in cubes:
            hidden, frontier, seen = set(hidden_fields(cube, caller)), cube.provenance.derived_from, {cube.id}
            while wanted := [ref.id for ref in frontier if ref.id not in seen]:
                seen.update(wanted)
                sources = self._vault.get(caller.by.tenant, wanted)
                hidden.update(*(hidden_fields(source, caller) for source in sources))
                frontier = tuple(ref for source in sources for ref in source.provenance.derived_from)
            shown.append(without(cube, frozenset(hidden)) if hidden else cube)
        return shown

    def is_partial(self, cube_id: str, caller: Caller) -> bool:
        """Whether rules keep back a part of a cube."""
        return any(hidden_fields(cube, caller) for cube in self._vault.get(caller.by.tenant, [cube_id]))

    def would_lose(self, newer: MemCube, caller: Caller) -> bool:
        """Whether a version was made of what the caller was shown, and lacks the parts that rules keep back."""
        if newer.version == 1 or caller.policy is None or not caller.policy.hides_fields:
            return False
        present = self._vault.get(caller.by.tenant, [newer.id])
        hidden = frozenset(part for cube in present for part in hidden_fields(cube, caller))
        lost = any(without(cube, hidden) != cube for cube in present)
        return lost and without(newer, hidden) == newer

    def _refused(self, policy: Engine, caller: Caller, said: Compiled) -> tuple[str, ...]:
        """Which memories are refused by rules that only the engine can decide; remembered until something changes."""
        key = (id(policy), caller.by, caller.context)
        generation = self._vault.generation(caller.by.tenant)
        known = self._decided.get(key)
        if known is None or not known.holds(policy, caller.now):
            fresh = self._anew(policy, caller, said, generation)
        elif known.generation == generation:
            return known.ids
        else:
            fresh = self._caught_up(known, caller, generation) or self._anew(policy, caller, said, generation)
        if len(self._decided) >= MOST_DECIDED:
            self._decided.clear()
        self._decided[key] = fresh
        return fresh.ids

    def _anew(self, policy: Engine, caller: Caller, said: Compiled, generation: int) -> _Decided:
        event = self._last_event() if self._tells else 0
        sight = _visible_to(caller, said.hidden, said.limits)
        found = self._vault.search(VaultQuery(k=sys.maxsize, filter=_EVERYTHING), sight)
        cubes = [match.cube for match in found.matches]
        refused = frozenset(cube.id for cube in cubes if policy.refusal(cube, Verb.READ, caller))
        until = policy.holds_until(cubes, caller.now)
        return _Decided(policy, generation, event, refused, caller.now, until, tuple(sorted(refused)))

    def _caught_up(self, known: _Decided, caller: Caller, generation: int) -> _Decided | None:
        """What was known, with what was written and erased since; None where events do not tell."""
        news = self._vault.events(known.event, MOST_NEWS) if self._tells else []
        mine = [event for _, event in news if event.tenant == caller.by.tenant]
        touched = {event.cube_id for event in mine if isinstance(event, CubeWritten | CubeErased)}
        if len(news) == MOST_NEWS or not mine:
            return None
        cubes = self._vault.get(caller.by.tenant, list(touched))
        now_refused = {cube.id for cube in cubes if known.policy.refusal(cube, Verb.READ, caller)}
        refused = (known.refused - touched) | now_refused
        ends = [end for end in (known.until, known.policy.holds_until(cubes, caller.now)) if end is not None]
        ids = known.ids if refused == known.refused else tuple(sorted(refused))
        until = min(ends, default=None)
        return _Decided(known.policy, generation, news[-1][0], frozenset(refused), caller.now, until, ids)

    def _last_event(self) -> int:
        """The number of the newest event, asked for by halves."""
        low, high = 0, 1
        while self._vault.events(high, 1):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._vault.events(middle, 1) else (low, middle)
        return high if self._vault.events(low, 1) else low


def _visible_to(caller: Caller, hidden: tuple[CubeFilter, ...], limits: tuple[Limit, ...] = ()) -> Visibility:
    return Visibility(
        tenant=caller.by.tenant,
        subjects=caller.by.subjects,
        now=caller.now,
        purpose=caller.context.purpose,
        application=caller.context.application,
        hidden=hidden,
        limits=limits,
    )
