"""What a derived memory takes over from its sources, and when it is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memos_integrations.core.access import Caller, Verb, is_own
from memos_integrations.core.cube import CubeRef, MemCube, TrustLabel, canonical_json, sha256, unique
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.write import Draft
from memos_integrations.core.ports import RECALLABLE

MOST_BEFORE = 64


def sources_of(draft: Draft, caller: Caller, governance: MemGovernance) -> list[MemCube]:
    """The memories that a draft is derived from, which the caller may read."""
    refs = draft.cube.provenance.derived_from
    return [governance.fetch(ref.id, Verb.READ, caller, operation="remember") for ref in refs]


def said_before(draft: Draft, caller: Caller, governance: MemGovernance) -> MemCube | None:
    """The caller's own memory that says just what the draft says, among those it comes from, however far back.

    To recall something and to draw it again, in other words and in these, adds nothing. At most `MOST_BEFORE` are
    looked at, the nearest first.
    """
    said, seen = _words(draft.cube.text), set[CubeRef]()
    sources = sources_of(draft, caller, governance)
    refs = draft.cube.provenance.derived_from
    while sources and len(seen) < MOST_BEFORE:
        present = [each for each in sources if each.ref in refs and each.ref not in seen]
        for each in present:
            if is_own(each, caller) and each.state in RECALLABLE and _words(each.text) == said:
                return each
        seen.update(each.ref for each in present)
        refs = tuple(ref for each in present for ref in each.provenance.derived_from)
        sources = governance.present([ref.id for ref in refs], caller)
    return None


def drawn_key(draft: Draft) -> str:
    """What is the same for all that is drawn in the same words from the same versions."""
    cube = draft.cube
    sources = sorted([ref.id, ref.version] for ref in cube.provenance.derived_from)
    told = [_words(cube.text), sources, list(cube.namespace), cube.descriptive.semantic_type, cube.provenance.thread_id]
    return f"drawn {sha256(canonical_json(told))}"


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


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
