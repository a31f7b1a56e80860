"""What a derived memory takes over from its sources. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memos_integrations.core.cube import MemCube, TrustLabel, unique
from memos_integrations.core.operator.write import Draft


def inherited(draft: Draft, sources: Sequence[MemCube]) -> Draft:
    """The draft, no more trusted than the least of its sources, living no longer, and as sensitive as all of them."""
    if not sources:
        return draft
    order = list(TrustLabel)
    label = min([draft.cube.trust.label, *(each.trust.label for each in sources)], key=order.index)
    sensitivity = unique(name for each in [draft.cube, *sources] for name in each.governance.sensitivity)
    least = min([draft.cube, *sources], key=lambda each: order.index(each.trust.label))
    ends = [each.governance.expires_at for each in [draft.cube, *sources] if each.governance.expires_at]
    cube = draft.cube.model_copy(
        update={
            "trust": draft.cube.trust.model_copy(update={"label": label, "channel": least.trust.channel}),
            "governance": draft.cube.governance.model_copy(
                update={"expires_at": min(ends, default=None), "sensitivity": sensitivity}
            ),
        }
    )
    return replace(draft, cube=cube)
