"""What offers opened on a memory: remembered, so that to withdraw one takes back that and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import Field

from memos_integrations.core.cube import Governance, Label, Labels, Licence, Value, unique
from memos_integrations.core.memstore.values import Publication


class Opened(Value):
    """For one memory: its standing offers, which of them opened it to each reader, and the licence before the first.

    `granted`: the licence that they put on it; where the owner has put another there since, that one stays.
    """

    offers: Labels = ()
    readers: dict[Label, Labels] = Field(default_factory=dict)
    licence: Licence | None = None
    granted: Licence | None = None

    def with_offer(self, offer: Publication, rules: Governance, before: Opened) -> Opened:
        """With one more offer; whom the owner named by hand, not an offer *before*, it does not open the memory to."""
        there = dict(self.readers)
        for each in offer.audience:
            if each in before.readers or each not in rules.readers:
                there[each] = unique((*there.get(each, ()), offer.name))
        return self.model_copy(update={"offers": unique((*self.offers, offer.name)), "readers": there})

    def without_offer(self, offer: Publication) -> Opened:
        """With one less."""
        there = {reader: tuple(name for name in by if name != offer.name) for reader, by in self.readers.items()}
        kept = {reader: by for reader, by in there.items() if by}
        offers = tuple(name for name in self.offers if name != offer.name)
        return self.model_copy(update={"offers": offers, "readers": kept})

    def and_readers(self, other: Opened) -> Opened:
        """With the readers of another too."""
        there = {
            each: unique((*self.readers.get(each, ()), *other.readers.get(each, ())))
            for each in (*self.readers, *other.readers)
        }
        return self.model_copy(update={"readers": there, "offers": unique((*self.offers, *other.offers))})


def before_any(rules: Governance) -> Opened:
    """What a memory is before its first offer."""
    return Opened(licence=rules.licence)


def terms_of(offer: Publication) -> Licence | None:
    """The licence that an offer puts on its memories: its own, for the purposes that it names."""
    if not offer.purposes:
        return offer.licence
    return (offer.licence or Licence()).model_copy(update={"purposes": offer.purposes})


def settled(
    offer: Publication, rules: Governance, known: Opened, others: Collection[Publication], *, opens: bool
) -> tuple[dict[str, Any], Opened]:
    """What an offer changes on a memory of these rules, of which *known* is remembered, and what to remember then.

    Where it *opens* the memory, its audience are readers; else, and whoever was in its audience once, they are not,
    unless by the owner's own hand or by one of the *others*: the offers that stand. Of the licences of all of them the
    one that was offered last is put on the memory; where there is none, that from before the first comes back.
    """
    left = known.without_offer(offer)
    after = left.with_offer(offer, rules, known) if opens else left
    gone = known.readers.keys() - after.readers.keys()
    audience = offer.audience if opens else ()
    changes: dict[str, Any] = {"readers": tuple(e for e in unique((*rules.readers, *audience)) if e not in gone)}
    standing = [each for each in others if each.name in left.offers] + [offer] * opens
    granted = [terms for each in sorted(standing, key=lambda e: (e.at, e.name)) if (terms := terms_of(each))]
    if granted:
        changes["licence"] = granted[-1]
    elif rules.licence is not None and rules.licence in (known.granted, terms_of(offer)):
        changes["licence"] = known.licence
    return changes, after.model_copy(update={"granted": granted[-1] if granted else None})
