"""The offers that hold a subscriber to a rate or an end, kept by the number of the last event that was looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.books import ITEM, STANDING
from memos_integrations.core.cube import MemCube
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.memstore.offering import MOST_LISTED, PAGE, PUBLICATIONS, publication_of
from memos_integrations.core.memstore.values import Publication
from memos_integrations.core.ports import CubeFilter, ValueTest, VaultQuery

MOST_KEPT = 256
"""So many subscribers' offers are kept."""

FEW = 32
"""So few events are looked at memory by memory; of more, the offers among them are searched for."""

_BOUND = (
    (ValueTest(("value", "rate", "count"), "exists"),),
    (ValueTest(("value", "licence", "until"), "ne", None),),
)


class _Kept(NamedTuple):
    upto: int
    offers: dict[str, Publication]


class Bounds:
    """The offers with a rate or an end that are for a caller. Thread-safe: what is kept is replaced, never changed."""

    def __init__(self, governance: MemGovernance) -> None:
        self._governance = governance
        self._kept: dict[tuple[Principal, CallContext, str | None], _Kept] = {}

    def of(self, caller: Caller) -> list[Publication]:
        """The offers with a rate or an end that *caller* knows of and that are not withdrawn."""
        place = (caller.by, caller.context, None if caller.policy is None else caller.policy.revision)
        known = self._kept.get(place)
        found = self._listed(caller) if known is None else self._followed(known, caller)
        if len(self._kept) >= MOST_KEPT and place not in self._kept:
            self._kept = {}
        self._kept[place] = found
        return list(found.offers.values())

    def _listed(self, caller: Caller) -> _Kept:
        # The number first: what is offered in between is looked at twice, not missed.
        upto = self._governance.last_event()
        return _Kept(upto, self._offers(caller, ()))

    def _followed(self, known: _Kept, caller: Caller) -> _Kept:
        if self._governance.last_event() - known.upto >= PAGE:
            return self._listed(caller)
        events, upto = self._governance.happened(known.upto, PAGE, caller)
        ids = tuple(dict.fromkeys(event.cube_id for _, event in events))
        if not ids:
            return _Kept(upto, known.offers)
        there = self._few(ids, caller) if len(ids) <= FEW else self._offers(caller, ids)
        return _Kept(upto, {cube_id: offer for cube_id, offer in known.offers.items() if cube_id not in ids} | there)

    def _few(self, ids: tuple[str, ...], caller: Caller) -> dict[str, Publication]:
        cubes = self._governance.deliverable(ids, caller).values()
        place = (caller.by.tenant, *PUBLICATIONS)
        return _bound([cube for cube in cubes if cube.namespace[: len(place)] == place])

    def _offers(self, caller: Caller, ids: tuple[str, ...]) -> dict[str, Publication]:
        place = (caller.by.tenant, *PUBLICATIONS)
        scope = CubeFilter(namespace=place, ids=ids, semantic_types=(ITEM,), states=STANDING)
        asked = [VaultQuery(k=MOST_LISTED, filter=replace(scope, value=tests)) for tests in _BOUND]
        return _bound([cube for query in asked for cube in self._governance.find(query, caller)])


def _bound(cubes: list[MemCube]) -> dict[str, Publication]:
    offers = {cube.id: publication_of(cube) for cube in cubes}
    return {cube_id: offer for cube_id, offer in offers.items() if offer and not offer.withdrawn and _binds(offer)}


def _binds(offer: Publication) -> bool:
    return offer.rate is not None or (offer.licence is not None and offer.licence.until is not None)
