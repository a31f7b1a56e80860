"""Whether a memory still says what an earlier version of it said: then what was derived from that stands. Pure."""

from __future__ import annotations

from memos_integrations.core.cube import MemCube, TrustLabel

OF_NO_ACCOUNT = {"priority", "legal_hold"}
"""Rules that change nothing about who may read a memory, for what, and for how long."""


def says_the_same(then: MemCube, now: MemCube) -> bool:
    """Whether *now* says what *then* said: the same content, no shorter, to the same people, and no less trusted.

    Tags, links, priority, a hold, and since when it holds may be other ones.
    """
    order, mine, theirs = list(TrustLabel), then.descriptive, now.descriptive
    no_shorter = theirs.valid_to is None or (mine.valid_to is not None and mine.valid_to <= theirs.valid_to)
    return (
        then.payload == now.payload
        and no_shorter
        and mine.semantic_type == theirs.semantic_type
        and then.trust.quarantined == now.trust.quarantined
        and order.index(then.trust.label) <= order.index(now.trust.label)
        and then.governance.model_dump(exclude=OF_NO_ACCOUNT) == now.governance.model_dump(exclude=OF_NO_ACCOUNT)
        and then.provenance.derived_from == now.provenance.derived_from
    )
