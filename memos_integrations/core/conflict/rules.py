"""ConflictRules: what two memories are to each other, decided by their claims, time, trust and source. Pure.

For precision rather than completeness: a memory is retired only when all that it states is replaced by a later
statement about the same attribute of the same subject, by a source that is no less trusted. What is doubtful is
flagged, and both stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from datetime import datetime, timedelta

from memos_integrations.core.claims import (
    Claim,
    claims_of,
    kind_of,
    statements_of,
)
from memos_integrations.core.claims.ahead import is_ahead
from memos_integrations.core.claims.claim import ANY
from memos_integrations.core.conflict.decision import Evidence, Ruling, Verdict
from memos_integrations.core.conflict.in_place import takes_its_place
from memos_integrations.core.conflict.limits import is_fewer
from memos_integrations.core.conflict.meaning import Meaning, meaning_of
from memos_integrations.core.conflict.standing import Found, is_of_somebody, learned, told
from memos_integrations.core.conflict.weighed import is_likely
from memos_integrations.core.contrast import contrast, denied_of_another, says_news
from memos_integrations.core.cube import MemCube, TrustLabel
from memos_integrations.core.ports import Embedder
from memos_integrations.core.text import same_words
from memos_integrations.core.text import terms as terms_of

JUDGED = frozenset({"fact", "preference", "persona", "profile", "user_preference", "note"})
"""Semantic types that are judged. A message, a document or an event is a record of what was said: it is not retired."""

ONE_SITTING = timedelta(hours=24)
"""Two statements told within it may be of one state."""

STATEMENT = 300
"""Characters of a text whose signs are weighed together: the weights were learned from statements, not from pages."""

FEWEST_TERMS = 3
"""A text that claims nothing and has fewer is an answer, or a title: it says nothing by itself."""

_OF_ITS_DAY = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|ago|just|this|last|next|past|coming|recently)\b", re.IGNORECASE
)
"""A text with one of these tells something else on another day: "I took a pill this morning"."""
_PLANNED = frozenset({"when", "leaves", "arrives", "ends", "opens"})
NOT_YET = "it says what will be, and the older may hold until then"

_ROLES = frozenset("user assistant system tool human ai me you".split())


def said_at(cube: MemCube) -> datetime:
    """When a memory's statement begins to count: its validity, else when it was said, else when it was written."""
    return cube.descriptive.valid_from or cube.provenance.occurred_at or cube.descriptive.created_at


def told_at(cube: MemCube) -> datetime:
    """When it was said, else when it was written."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def speaker_of(cube: MemCube) -> str:
    """Who says "I" in a memory."""
    speaker = (cube.provenance.speaker or "").casefold()
    if speaker and speaker not in _ROLES:
        return speaker
    return (cube.provenance.author or cube.governance.owner).removeprefix("user:").casefold()


def claims_in(cube: MemCube) -> tuple[Claim, ...]:
    """The claims of a memory."""
    return claims_of(cube.text, told_at(cube), speaker_of(cube))


def is_told_again(one: MemCube, other: MemCube) -> bool:
    """Whether two memories are one statement: the same words (`same_words`) of one speaker, and day if it counts."""
    if not same_words(one.text, other.text) or speaker_of(one) != speaker_of(other):
        return False
    return _OF_ITS_DAY.search(one.text) is None or told_at(one).date() == told_at(other).date()


def accounts_for(newer: MemCube, older: MemCube) -> bool:
    """Whether all that a memory states is told by another, in whichever order of words, or was replaced by it.

    Time, trust and source are of no account: somebody wrote the other in the place of the memory.
    """
    ours = [set(terms_of(each)) for each in statements_of(newer.text) or [newer.text]]
    theirs = [set(terms_of(each)) for each in statements_of(older.text) or [older.text]]
    return all(each and any(each <= one for one in ours) for each in theirs) or replaces(newer, older)


def replaces(newer: MemCube, older: MemCube) -> bool:
    """Whether what a memory states was replaced, all of it, by what another says; by their words alone."""
    mine, theirs = claims_in(newer), claims_in(older)
    found = [(n, o, how) for n in mine for o in theirs if (how := told(n, o)) is not None]
    replaced = {id(o): n for n, o, how in found if how.weight == 2}
    if replaced:
        return not _left_over(older, theirs, replaced, found)
    against = None if found else contrast(newer.text, older.text)
    return against is not None and against.weight == 2


def is_about(newer: MemCube, older: MemCube) -> bool:
    """Whether words given to a memory are on the matter of what another says, so that they may correct that too."""
    claims = {each.key for each in claims_in(newer)} & {each.key for each in claims_in(older)}
    mine, theirs = set(terms_of(newer.text)), set(terms_of(older.text))
    alike = 2 * len(mine & theirs) >= min(len(mine), len(theirs))
    return bool(claims) or alike or contrast(newer.text, older.text) is not None


class ConflictRules:
    """A `ConflictJudge` by rules, without a language model.

    *types* are the semantic types that are judged at all; others are always left alone. With the *embedder*
    `MiniLMEmbedder` (`MemOS` gives its own to rules that have none) more changes are found where no rule decides: its
    vectors are weighed beside the words. For another embedder no weights were learned, and it is not asked.
    """

    def __init__(self, types: frozenset[str] = JUDGED, embedder: Embedder | None = None) -> None:
        self.types = types
        self._meaning = meaning_of(embedder)

    def reading_with(self, embedder: Embedder | None) -> ConflictRules:
        """The same rules with an embedder; these, where they have one, or it is none that they can read with."""
        meaning = None if self._meaning else meaning_of(embedder)
        if meaning is None:
            return self
        rules = copy(self)
        rules._meaning = meaning
        return rules

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        """See `ConflictJudge.judge`."""
        if not {newer.descriptive.semantic_type, older.descriptive.semantic_type} <= self.types:
            return None
        if denied_of_another(newer.text, older.text):
            return None
        mine, theirs = claims_in(newer), claims_in(older)
        theirs = tuple(learned(o, mine, older.descriptive.tags) for o in theirs)
        found = [(n, o, how) for n in mine for o in theirs if (how := told(n, o)) is not None]
        evidence = tuple(
            Evidence(rule=how.rule, subject=n.subject, attribute=o.attribute, newer=n.sentence, older=o.sentence)
            for n, o, how in found
            if how.weight
        )
        replaced = {id(o): n for n, o, how in found if how.weight == 2}
        if replaced:
            since = next((n.since for n in replaced.values() if n.since), None)
            doubt = _left_over(older, theirs, replaced, found) or _less_sure(newer, older, found)
            doubt = doubt or _two_views(newer, older, found) or _not_yet(newer, found)
            if doubt:
                return Verdict(Ruling.FLAG, doubt, evidence)
            return Verdict(Ruling.SUPERSEDE, "all that it states was replaced", evidence, since)
        if evidence:
            return Verdict(Ruling.FLAG, "both may be true", evidence)
        same = _repeated(newer, older, mine, theirs, found) if is_told_again(newer, older) else None
        by_words = same or _contrasted(newer, older)
        no_more = by_words is not None or bool(found)
        return by_words if no_more else _swapped(newer, older) or _likely(newer, older, mine, theirs, self._meaning)


def _swapped(newer: MemCube, older: MemCube) -> Verdict | None:
    """The verdict where the later says what the earlier says but for one value, without a word of change."""
    if speaker_of(newer) != speaker_of(older) or not takes_its_place(newer.text, older.text):
        return None
    evidence = Evidence(rule="one value for another", newer=newer.text, older=older.text)
    return Verdict(Ruling.FLAG, "both may be true", (evidence,))


def _likely(
    newer: MemCube, older: MemCube, mine: Sequence[Claim], theirs: Sequence[Claim], meaning: Meaning | None
) -> Verdict | None:
    """The verdict where no rule decides by itself: by all signs together, and only that both be looked at."""
    if max(len(newer.text), len(older.text)) > STATEMENT or speaker_of(newer) != speaker_of(older):
        return None
    if same_words(newer.text, older.text) or not is_likely(newer.text, older.text, mine, theirs, meaning):
        return None
    evidence = Evidence(rule="many signs together", newer=newer.text, older=older.text)
    return Verdict(Ruling.FLAG, "much speaks for a change, and nothing for sure", (evidence,))


def _contrasted(newer: MemCube, older: MemCube) -> Verdict | None:
    """The verdict where no claims of the same frame meet: by what the two texts share, and a signal of change."""
    fewer = is_fewer(newer.text, older.text)
    if speaker_of(newer) != speaker_of(older) or (is_of_somebody(newer.text) and not fewer):
        return None
    found = contrast(newer.text, older.text)
    if found is None:
        return None
    evidence = (Evidence(rule=found.rule, newer=found.newer, older=found.older),)
    doubt = less_trusted(newer, older)
    if is_ahead(found.newer, told_at(newer)):
        doubt = doubt or NOT_YET
    if told_at(newer) == told_at(older) and newer.provenance.source != older.provenance.source:
        doubt = doubt or "two sources say different things at the same time"
    if found.weight < 2 or doubt or fewer:
        return Verdict(Ruling.FLAG, doubt or "both may be true", evidence)
    return Verdict(Ruling.SUPERSEDE, "what it states was replaced", evidence)


def _left_over(
    older: MemCube,
    theirs: Sequence[Claim],
    replaced: dict[int, Claim],
    found: Sequence[tuple[Claim, Claim, Found]],
) -> str:
    """Why the older memory cannot go as a whole; empty when it can."""
    gone = {o.attribute for o in theirs if id(o) in replaced}
    repeated = {id(o) for _, o, how in found if how.weight == 0}
    for claim in theirs:
        goes_along = claim.attribute == "role" and "employer" in gone
        accounted = goes_along or claim.attribute == ANY or id(claim) in replaced or id(claim) in repeated
        if claim.stands and not accounted:
            return "only part of what it states was replaced"
    told = {claim.sentence for claim in theirs}
    if any(sentence not in told and len(sentence.split()) > 3 for sentence in statements_of(older.text)):
        return "it states more than what was replaced"
    return ""


def less_trusted(newer: MemCube, older: MemCube) -> str:
    """Why the newer may not retire the older for want of trust; empty when it may."""
    order = list(TrustLabel)
    if order.index(newer.trust.label) < order.index(older.trust.label):
        return f"the newer is {newer.trust.label}, the older {older.trust.label}"
    return ""


def _less_sure(newer: MemCube, older: MemCube, found: Sequence[tuple[Claim, Claim, Found]]) -> str:
    if doubt := less_trusted(newer, older):
        return doubt
    mine, theirs = speaker_of(newer), speaker_of(older)
    about = {o.subject.split()[0] for _, o, how in found if how.weight == 2}
    if mine != theirs and about <= {theirs}:
        return "the older is of the one it is about, the newer of somebody else"
    if told_at(newer) == told_at(older) and newer.provenance.source != older.provenance.source:
        return "two sources say different things at the same time"
    return ""


def _not_yet(newer: MemCube, found: Sequence[tuple[Claim, Claim, Found]]) -> str:
    """Why what the newer says is still to come; empty where it holds, or where it is known from when it will.

    That something will be at another time is a change of plans, which holds at once.
    """
    if newer.descriptive.valid_from is not None and newer.descriptive.valid_from > told_at(newer):
        return ""  # the older holds until then
    said = [n for n, _, how in found if how.weight == 2 and n.attribute not in _PLANNED]
    return NOT_YET if any(is_ahead(n.sentence, told_at(newer)) for n in said) else ""


def _two_views(newer: MemCube, older: MemCube, found: Sequence[tuple[Claim, Claim, Found]]) -> str:
    """Why two values may be two views of one state ("London", "Hackney"); empty where they are not.

    A home or an employer seldom changes between two statements of one day, and who tells of a change says so.
    """
    if max(abs(told_at(newer) - told_at(older)), abs(said_at(newer) - said_at(older))) > ONE_SITTING:
        return ""
    silent = [
        not (n.changed or n.was or n.ended or says_news(n.sentence)) and kind_of(n.value) in {"name", "words"}
        for n, _, how in found
        if how.weight == 2 and how.rule == "one at a time"
    ]
    return "both were told on one day, without a word of change" if silent and all(silent) else ""


def _repeated(
    newer: MemCube,
    older: MemCube,
    mine: Sequence[Claim],
    theirs: Sequence[Claim],
    found: Sequence[tuple[Claim, Claim, Found]],
) -> Verdict | None:
    if newer.descriptive.semantic_type != older.descriptive.semantic_type:
        return None
    mine_is, theirs_is = (each.governance.model_dump(exclude={"priority"}) for each in (newer, older))
    weighs_less = newer.governance.priority > older.governance.priority or _ends_before(older, newer)
    if mine_is != theirs_is or weighs_less or less_trusted(older, newer):
        return None  # what is kept would be seen by others, weigh less, end earlier, or be less trusted
    same = [how for _, _, how in found if how.weight == 0]
    if len(same) < max(len(mine), len(theirs)) or [c.until for c in mine] != [c.until for c in theirs]:
        return None  # told at another time, the same words claim something else
    if not same and len(set(terms_of(newer.text))) < FEWEST_TERMS:
        return None
    evidence = Evidence(rule="the same words", newer=newer.text[:400], older=older.text[:400])
    return Verdict(Ruling.MERGE, "it says the same in the same words", (evidence,))


def _ends_before(older: MemCube, newer: MemCube) -> bool:
    ends, later = older.descriptive.valid_to, newer.descriptive.valid_to
    return ends is not None and (later is None or later > ends)
