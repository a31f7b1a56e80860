"""What a derived memory takes over from its sources, and when it is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from memos_integrations.core.access import Caller, Verb, is_own, subjects_for
from memos_integrations.core.cube import (
    Channel,
    CubeRef,
    MemCube,
    PlaintextPayload,
    TrustLabel,
    canonical_json,
    sha256,
    unique,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.write import Draft
from memos_integrations.core.ports import RECALLABLE, VaultQuery

MOST_BEFORE = 64

ALIKE, MOST_TERMS = 3, 12
"""Among so many memories, the most alike by so many words (the longest, as rare ones are), one in the same words is
looked for."""

TURNS = ("message",)


def sources_of(draft: Draft, caller: Caller, governance: MemGovernance) -> list[MemCube]:
    """The memories that a draft is derived from, which the caller may read."""
    refs = draft.cube.provenance.derived_from
    return [governance.fetch(ref.id, Verb.READ, caller, operation="remember") for ref in refs]


def said_already(draft: Draft, caller: Caller, governance: MemGovernance, *, keyed: bool) -> MemCube | None:
    """The caller's own memory that a draft only repeats: one it comes from, or one told before; None: it is new.

    What is drawn with a key of its own is known by that.
    """
    if is_drawn(draft.cube):
        return None if keyed else said_before(draft, caller, governance) or told_before(draft, caller, governance)
    return told_before(draft, caller, governance)


def is_drawn(cube: MemCube) -> bool:
    """Whether it is words that were drawn from others."""
    return bool(cube.text and cube.provenance.derived_from)


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


def told_before(draft: Draft, caller: Caller, governance: MemGovernance) -> MemCube | None:
    """The caller's own memory that says just what is drawn again from the same versions, or what a model tells again.

    What a model was shown and tells again, by whatever tool, is no second memory, and no more trusted for it. What is
    said in a conversation is another matter: it is kept as often as it is said. So is what held once, ended, and is
    told again, or is told of another time.
    """
    cube = draft.cube
    if not is_retold(cube):
        return None
    # Without a filter: what each write changes would be filtered anew, which takes longer than all the rest.
    terms = sorted(unique(draft.terms), key=len, reverse=True)[:MOST_TERMS]
    alike = governance.search(VaultQuery(k=ALIKE, terms=tuple(terms)), caller)
    drawn = drawn_key(cube)
    for found in (match.cube for match in alike.matches):
        if not is_own(found, caller) or not _is_same(found, cube):
            continue
        if drawn_key(found) == drawn if drawn else _holds(found, cube, caller):
            return found
    return None


def only_new(
    drafts: Iterable[Draft], caller: Caller, governance: MemGovernance, given: list[MemCube | str]
) -> Iterator[Draft]:
    """Of many drafts those that repeat nothing; of each, what stands for it: a memory, or the id of one of them."""
    seen: dict[str, str] = {}
    for draft in drafts:
        mark = repeat_key(draft.cube) if is_retold(draft.cube) else draft.cube.id
        before = seen.get(mark) or said_already(draft, caller, governance, keyed=False)
        given.append(before or draft.cube.id)
        if before is None:
            seen[mark] = draft.cube.id
            yield draft


def is_retold(cube: MemCube) -> bool:
    """Whether a memory may only repeat another: drawn from others, or told by a model beside the conversation."""
    payload = cube.payload
    if not isinstance(payload, PlaintextPayload) or not cube.text or payload.value is not None or cube.blobs:
        return False
    by_model = cube.trust.channel is Channel.ASSISTANT and cube.descriptive.semantic_type not in TURNS
    return by_model or is_drawn(cube)


def _is_same(found: MemCube, cube: MemCube) -> bool:
    theirs, ours = (subjects_for(Verb.READ, each.governance) for each in (found, cube))
    tags = set(cube.descriptive.tags) <= set(found.descriptive.tags)
    here = found.namespace == cube.namespace and found.state in RECALLABLE
    here = here and found.descriptive.semantic_type == cube.descriptive.semantic_type
    return here and theirs == ours and tags and _words(found.text) == _words(cube.text)


def _holds(found: MemCube, cube: MemCube, caller: Caller) -> bool:
    """Whether what was told before holds now, and nothing is said of another time."""
    ends = found.descriptive.valid_to
    return (ends is None or ends > caller.now) and _times(cube) in {(None, None, None), _times(found)}


def _times(cube: MemCube) -> tuple[datetime | None, datetime | None, datetime | None]:
    return cube.descriptive.valid_from, cube.descriptive.valid_to, cube.provenance.occurred_at


def drawn_key(cube: MemCube) -> str | None:
    """What is the same for all that is drawn in the same words from the same versions; None where it is not drawn."""
    if not is_drawn(cube):
        return None
    sources = sorted([ref.id, ref.version] for ref in cube.provenance.derived_from)
    told = [_words(cube.text), sources, list(cube.namespace), cube.descriptive.semantic_type, cube.provenance.thread_id]
    return f"drawn {sha256(canonical_json(told))}"


def repeat_key(cube: MemCube) -> str:
    """What is the same for all that only repeat each other."""
    told = [_words(cube.text), list(cube.namespace), cube.descriptive.semantic_type, list(cube.descriptive.tags)]
    readers = sorted(subjects_for(Verb.READ, cube.governance))
    times = [each and each.isoformat() for each in _times(cube)]
    return sha256(canonical_json([*told, readers, times, drawn_key(cube)]))


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


def inherited(draft: Draft, sources: Sequence[MemCube]) -> Draft:
    """The draft, no more trusted than the least of its sources, living no longer, and as sensitive as all of them.

    It holds since all of them hold, where nothing is said of that.
    """
    if not sources:
        return draft
    order = list(TrustLabel)
    label = min([draft.cube.trust.label, *(each.trust.label for each in sources)], key=order.index)
    sensitivity = unique(name for each in [draft.cube, *sources] for name in each.governance.sensitivity)
    least = min([draft.cube, *sources], key=lambda each: order.index(each.trust.label))
    ends = [each.governance.expires_at for each in [draft.cube, *sources] if each.governance.expires_at]
    cube = draft.cube.model_copy(
        update={
            "descriptive": draft.cube.descriptive.model_copy(update={"valid_from": _begins(draft.cube, sources)}),
            "trust": draft.cube.trust.model_copy(update={"label": label, "channel": least.trust.channel}),
            "governance": draft.cube.governance.model_copy(
                update={"expires_at": min(ends, default=None), "sensitivity": sensitivity}
            ),
        }
    )
    return replace(draft, cube=cube)


def _begins(cube: MemCube, sources: Sequence[MemCube]) -> datetime | None:
    """When a derived memory began to hold: when the last of its sources did; never after its end."""
    own = cube.descriptive
    begins = [begin for each in sources if (begin := each.descriptive.valid_from) is not None]
    if own.valid_from is not None or not begins or (own.valid_to is not None and own.valid_to <= max(begins)):
        return own.valid_from
    return max(begins)
