"""Which events are news to a subscriber, and what counts it when they are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from memos_integrations.core.access import Caller, is_own
from memos_integrations.core.cube import MemCube
from memos_integrations.core.delivering import Change, Sending
from memos_integrations.core.events import CubeErased, CubeMoved, LicenceEnded
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.memstore.values import Kind, Publication
from memos_integrations.core.memstore.wanting import Matcher, is_offered


class Chosen(NamedTuple):
    """Something to be told: the event's number, and the memory on its way; None where it was withdrawn."""

    number: int
    kind: Kind
    cube_id: str
    sending: Sending | None = None


class Choosing:
    """Chooses for one subscriber, as it stands now: what it wants, and the rated offers that hold it back."""

    def __init__(
        self, governance: MemGovernance, matcher: Matcher, rates: Sequence[Publication], caller: Caller
    ) -> None:
        self._governance, self._matcher, self._rates, self._caller = governance, matcher, rates, caller

    def of(self, events: Sequence[tuple[int, Change]], most: int) -> tuple[list[Chosen], int | None, bool]:
        """At most *most* of the events; where to go on when there are more, and whether a rate is why."""
        cubes = self._governance.deliverable([event.cube_id for _, event in events], self._caller)
        gone = self._given_before([event.cube_id for _, event in events if event.cube_id not in cubes])
        found: list[Chosen] = []
        for number, event in events:
            cube, kind = cubes.get(event.cube_id), _kind_of(event)
            if cube is None and event.cube_id in gone:
                found.append(Chosen(number, "withdrawn", event.cube_id))
            elif cube is not None and kind is not None and self._matcher.wants(kind, cube):
                found.append(Chosen(number, kind, cube.id, Sending(cube, self._limits(cube))))
            if len(found) > most:
                break
        chosen, held = self._while_there_is_room(found[:most])
        if held is not None:
            return chosen, held, True
        return chosen, found[most].number - 1 if len(found) > most else None, False

    def again(self, cube: MemCube) -> Sending:
        """A memory that the subscriber was told of before, on its way once more."""
        return self._counted([Sending(cube, self._limits(cube))])[0]

    def _given_before(self, ids: Sequence[str]) -> set[str]:
        if not ids or not self._matcher.hears("withdrawn"):
            return set()
        asked = self._governance.outside_the_books(ids, self._caller)
        return {cube_id for cube_id, versions in self._governance.delivered(asked, self._caller).items() if versions}

    def _limits(self, cube: MemCube) -> tuple[tuple[int, timedelta], ...]:
        if not self._rates:
            return ()
        return tuple(
            (each.rate.count, each.rate.per) for each in self._rates if each.rate is not None and is_offered(each, cube)
        )

    def _while_there_is_room(self, found: Sequence[Chosen]) -> tuple[list[Chosen], int | None]:
        """What is found, up to the first that a rate has no room for, and the number before that."""
        if all(each.sending is None or not self._is_metered(each.sending) for each in found):
            return list(found), None
        sendings = self._counted([each.sending for each in found if each.sending is not None])
        given = self._given_within(sendings)
        chosen: list[Chosen] = []
        counted = iter(sendings)
        for each in found:
            sending = None if each.sending is None else next(counted)
            for count, per in () if sending is None else sending.rates:
                assert sending is not None
                # What was given already is not counted again when it is given again.
                if len(given[per][sending.cube.id] - {sending.cube.version}) >= count:
                    return chosen, each.number - 1
            chosen.append(each._replace(sending=sending))
        return chosen, None

    def _counted(self, sendings: Sequence[Sending]) -> list[Sending]:
        """The sendings, each with whether its licence counted this version before."""
        licensed = [each.cube.id for each in sendings if self._is_licensed(each.cube)]
        if not licensed:
            return list(sendings)
        given = self._governance.delivered(licensed, self._caller)
        return [each._replace(again=each.cube.version in given.get(each.cube.id, ())) for each in sendings]

    def _is_licensed(self, cube: MemCube) -> bool:
        return cube.governance.licence is not None and not is_own(cube, self._caller)

    def _is_metered(self, sending: Sending) -> bool:
        return bool(sending.rates) or self._is_licensed(sending.cube)

    def _given_within(self, sendings: Sequence[Sending]) -> dict[timedelta, dict[str, set[int]]]:
        rated: dict[timedelta, list[str]] = {}
        for each in sendings:
            for _, per in each.rates:
                rated.setdefault(per, []).append(each.cube.id)
        return {per: self._governance.delivered(ids, self._caller, within=per) for per, ids in rated.items()}


def last_of_each(events: Sequence[tuple[int, Change]]) -> list[tuple[int, Change]]:
    """Of several events of one memory the last: what it is now is told once. That it was written outweighs the rest."""
    last: dict[str, tuple[int, Change]] = {}
    for number, event in events:
        before = last.get(event.cube_id)
        outweighed = before is not None and _weight(event) < _weight(before[1])
        last[event.cube_id] = (number, before[1] if outweighed and before is not None else event)
    return sorted(last.values(), key=lambda each: each[0])


def _weight(event: Change) -> int:
    return 0 if isinstance(event, LicenceEnded) else 1 if isinstance(event, CubeMoved) else 2


def _kind_of(event: Change) -> Kind | None:
    """As what it is told of whoever may read it: that it ended for others is no news."""
    if isinstance(event, CubeErased | LicenceEnded):
        return None
    return "moved" if isinstance(event, CubeMoved) else "written"
