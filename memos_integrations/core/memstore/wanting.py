"""What an offer names, and what a subscriber wants to hear of."""

from __future__ import annotations

from memos_integrations.core.access import Caller, is_own
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import MemCube, Tier
from memos_integrations.core.memstore.values import Kind, Publication, Wants
from memos_integrations.core.operator.about import About
from memos_integrations.core.operator.embedding import Embedding


def is_offered(offer: Publication, cube: MemCube) -> bool:
    """Whether an offer is of this memory: its publisher's, and the one named, or one that the query names."""
    if cube.governance.owner != offer.publisher:
        return False
    if offer.cube_id is not None:
        return cube.id == offer.cube_id
    return _names(offer.namespace, offer.tags, offer.semantic_types, cube)


def _names(place: tuple[str, ...], tags: tuple[str, ...], types: tuple[str, ...], cube: MemCube) -> bool:
    said = cube.descriptive
    return (
        cube.tier is Tier.PLAINTEXT
        and said.semantic_type != ITEM
        and cube.namespace[: len(place)] == place
        and (not tags or not set(tags).isdisjoint(said.tags))
        and (not types or said.semantic_type in types)
    )


class Matcher:
    """Decides for one subscriber what is news to it."""

    def __init__(self, wants: Wants, embedding: Embedding, caller: Caller) -> None:
        self._wants, self._caller = wants, caller
        tenant = caller.by.tenant
        self._place = wants.namespace if wants.namespace[:1] in ((), (tenant,)) else (tenant, *wants.namespace)
        self._about = About(wants.about, wants.at_least, embedding, caller) if wants.about.strip() else None

    def hears(self, kind: Kind) -> bool:
        """Whether it listens for such events."""
        return not self._wants.kinds or kind in self._wants.kinds

    def wants(self, kind: Kind, cube: MemCube) -> bool:
        """Whether this is news that it wants."""
        named = _names(self._place, self._wants.tags, self._wants.semantic_types, cube)
        theirs = self._wants.own or not is_own(cube, self._caller)
        return self.hears(kind) and named and theirs and (self._about is None or self._about([cube])[0])
