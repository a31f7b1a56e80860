"""What offers opened on a memory: remembered, so that to withdraw one takes back that and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    unless by the owner's own hand or by one of the *others*: the offers that stand. Where they all say the same, that
    is the licence of the memory; else each binds its audience. Where none says any, that from before the first is back.
    """
    left = known.without_offer(offer)
    after = left.with_offer(offer, rules, known) if opens else left
    gone = known.readers.keys() - after.readers.keys()
    audience = offer.audience if opens else ()
    changes: dict[str, Any] = {"readers": tuple(e for e in unique((*rules.readers, *audience)) if e not in gone)}
    standing = [each for each in others if each.name in left.offers] + [offer] * opens
    granted = _licence(sorted(standing, key=lambda e: (e.at, e.name)), known.licence)
    if granted is not None:
        changes["licence"] = granted
    elif rules.licence is not None and rules.licence in (known.granted, terms_of(offer)):
        changes["licence"] = known.licence
    return changes, after.model_copy(update={"granted": granted})


def _licence(standing: Sequence[Publication], before: Licence | None) -> Licence | None:
    """The licence of a memory with these offers, by age; None where none of them says any."""
    said = [terms_of(each) for each in standing]
    if len(said) < 2 or (len({*said}) == 1 and (said[0] is None or said[0].uses_left is None)):
        return said[0] if said else None  # an equal rate is each person's own
    told = [terms or Licence() for terms in said]
    apart = tuple(
        # An equal one is another only by its offer: the uses of the first are not those of the second.
        terms.model_copy(update={"to": each.audience, "offer": each.name if terms in told[:number] else None})
        for number, (each, terms) in enumerate(zip(standing, told, strict=True))
    )
    return (before or Licence()).model_copy(update={"apart": apart})
