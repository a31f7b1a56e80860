"""What offers opened on a memory: remembered, so that to withdraw one takes back that and nothing else. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from memos_integrations.core.cube import Governance, Label, Labels, Licence, Value, unique
from memos_integrations.core.memstore.values import Publication


class Opened(Value):
    """For one memory: its standing offers, which of them opened it to each reader, and what stood there before."""

    offers: Labels = ()
    readers: dict[Label, Labels] = Field(default_factory=dict)
    purposes: Labels = ()
    licence: Licence | None = None

    def with_offer(self, offer: Publication, rules: Governance) -> Opened:
        """With one more offer; whom the owner named by hand, it does not open the memory to."""
        there = dict(self.readers)
        for each in offer.audience:
            if each in there or each not in rules.readers:
                there[each] = unique((*there.get(each, ()), offer.name))
        return self.model_copy(update={"offers": unique((*self.offers, offer.name)), "readers": there})

    def without_offer(self, offer: Publication) -> Opened:
        """With one less."""
        there = {reader: tuple(name for name in by if name != offer.name) for reader, by in self.readers.items()}
        kept = {reader: by for reader, by in there.items() if by}
        offers = tuple(name for name in self.offers if name != offer.name)
        return self.model_copy(update={"offers": offers, "readers": kept})


def before_any(rules: Governance) -> Opened:
    """What a memory is before its first offer."""
    return Opened(purposes=rules.purposes, licence=rules.licence)


def opening(offer: Publication, rules: Governance) -> dict[str, Any]:
    """What an offer changes on a memory of these rules."""
    changes: dict[str, Any] = {"readers": unique((*rules.readers, *offer.audience))}
    changes |= {"purposes": offer.purposes} if offer.purposes else {}
    return changes | ({"licence": offer.licence} if offer.licence is not None else {})


def closing(offer: Publication, rules: Governance, known: Opened) -> dict[str, Any]:
    """What withdrawing an offer changes on a memory of these rules, of which *known* is remembered.

    Purposes and licence go back to what they were when no offer stands any more, if they still are what it said.
    """
    left = known.without_offer(offer)
    gone = known.readers.keys() - left.readers.keys()
    changes: dict[str, Any] = {"readers": tuple(each for each in rules.readers if each not in gone)}
    if not left.offers:
        changes |= {"purposes": left.purposes} if offer.purposes and rules.purposes == offer.purposes else {}
        changes |= {"licence": left.licence} if offer.licence and rules.licence == offer.licence else {}
    return changes
