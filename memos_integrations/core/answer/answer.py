"""An answer without a model: the sentence that says it, and the words of it that the question asks for.

By rules over what was recalled: a date for "when", a number for "how many", a name for "who". It says no more than
what is written there; where nothing recalled speaks of what is asked, it abstains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from pydantic import Field

from memos_integrations.core.answer import phrases
from memos_integrations.core.answer.statements import Asked, Statement, statements, told
from memos_integrations.core.answer.times import day_in_words, length_in, times_in
from memos_integrations.core.cube import Value
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.core.operator.surfacing import Surfaced
from memos_integrations.core.reader import MemoryCall, QuestionType
from memos_integrations.core.text import terms as terms_of

LEAST_COVERED = 0.12
"""Less of the question than this in the best sentence and what it answers, and nothing is answered."""

LEAST_TO_AGREE = 0.4
"""What neither says yes nor no to so much of the question is no answer to a yes-or-no question."""

MOST_ITEMS = 6
LIST_STATEMENTS = 6


class Answer(Value):
    """What memory answers: `text` in few words, the `evidence` it was taken from, and how sure that is (0..1).

    `sentence` is the sentence of the evidence that says it, `supporting` the other memories that were used (for a
    list or a count). Nothing fits: `abstained`, `text` is empty and `evidence` None. `reason` says which rule answered.
    """

    text: str
    kind: QuestionType | None
    confidence: float = Field(ge=0.0, le=1.0)
    reason: str
    recall: Recall
    evidence: Hit | None = None
    sentence: str = ""
    supporting: tuple[Hit, ...] = ()

    @property
    def abstained(self) -> bool:
        """Whether nothing that was recalled answers."""
        return self.evidence is None

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """One line: what is answered, how sure that is, and from what."""
        yield from ((None, self.text), ("confidence", self.confidence), ("reason", self.reason))
        yield "evidence", self.evidence

    def __str__(self) -> str:
        return self.text or "Nothing that you may read answers this."


Found = tuple[str, Statement, str, float]
"""A text, the statement it is from, the rule, and how much that rule is to be believed."""


def answered(recall: Recall) -> Answer:
    """The answer to the prompt of a recall, by rules; see `Answer`."""
    call, hits = recall.call, [hit for hit in recall.hits if _may_answer(hit, recall)]
    asked = Asked(call, hits)
    found = statements(asked, hits)
    if not found:
        return _abstained(recall, "nothing was recalled")
    rule = _RULES.get(call.question_type or QuestionType.WHAT, _what)
    text, said, why, belief = rule(call, asked, found) or _what(call, asked, found)
    if said.covered < LEAST_COVERED or not text.strip():
        return _abstained(recall, "what was recalled does not speak of what is asked")
    used = [said.hit]
    if call.question_type in {QuestionType.LIST, QuestionType.HOW_MANY}:
        used += [each.hit for each in found[:LIST_STATEMENTS] if each.covered >= LEAST_COVERED]
    others = {hit.cube.id: hit for hit in used if hit.cube.id != said.hit.cube.id}
    return Answer(
        text=" ".join(text.split()),
        kind=call.question_type,
        confidence=round(_confidence(said, call, hits) * belief, 3),
        reason=why,
        recall=recall,
        evidence=said.hit,
        sentence=said.text,
        supporting=tuple(others.values()),
    )


def _may_answer(hit: Hit, recall: Recall) -> bool:
    """Whether a memory holds at the time that is asked about; one that is still to begin does not hold now."""
    begins, call, plan = hit.cube.descriptive.valid_from, recall.call, recall.plan
    at = plan.valid_at or plan.as_of or (recall.caller.now if recall.caller else None)
    if begins is None or at is None or begins <= at or call.question_type is QuestionType.WHEN:
        return True
    return call.about_future or (call.window is not None and call.window.end > at)


def _abstained(recall: Recall, why: str) -> Answer:
    return Answer(text="", kind=recall.call.question_type, confidence=0.0, reason=why, recall=recall)


def _confidence(said: Statement, call: MemoryCall, hits: Sequence[Hit]) -> float:
    """Less when little of the question is covered, or it names another speaker; or it was replaced, or is untrusted."""
    sure = 0.3 + 0.7 * said.covered
    speakers = {speaker.casefold() for hit in hits if (speaker := hit.provenance.speaker)}
    asked = set(terms_of(call.query))
    named = {speaker for speaker in speakers if set(terms_of(speaker)) & asked}
    speaker = (said.hit.provenance.speaker or "").casefold()
    if len(named) == 1 and speaker and speaker not in named:
        sure *= 0.5
    if said.hit.superseded_by and not call.about_past:
        sure *= 0.5
    if said.hit.surfaced is Surfaced.UNTRUSTED:
        sure *= 0.5
    return sure


# --- rules, one for each type of question ---------------------------------------------------------------------------


def _what(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found:
    best = found[0]
    named = phrases.titles(best.text, call.slots.asked_for or "")
    if named:
        return ", ".join(named), best, "the title in the sentence", 0.9
    for statement in _likely(found)[:3]:
        which = phrases.numbered(statement.text, call.query)
        if which:
            return which, statement, "which one the sentence names", 0.9
    so, not_so = phrases.contrast(best.text)
    said = best.text if asked.terms & set(terms_of(not_so)) else so
    return phrases.phrase(said, asked.terms), best, "the telling words of the best sentence", 0.7


def _when(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    for statement in _likely(found):
        for text in (statement.text, *_beside(statement)):
            times = times_in(text, statement.hit.said_at)
            if times and times[0][1] is not None and re.search(r"\bago\b", call.query, re.IGNORECASE):
                return times[0][1].text, statement, "the time that the message names, as it was said", 0.8
            if times:
                return times[0][0], statement, "the time that the message names", 0.9
        clock = phrases.clock(statement.text)
        if clock:
            return clock, statement, "the time of day that the message names", 0.8
    best = found[0]
    begins = best.hit.cube.descriptive.valid_from
    if begins is not None and begins > best.hit.said_at:
        return day_in_words(begins.date()), best, "the day from which it holds", 0.8
    day = day_in_words(best.hit.said_at.date())
    return day, best, "the message names no time: the day on which it was said", 0.4


def _how_long(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    for statement in _likely(found):
        for text in (statement.text, *_beside(statement)):
            length = length_in(text)
            if length:
                return length, statement, "the length of time that the message names", 0.9
    return None


def _how_many(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    often = re.search(r"\bhow often\b", call.query, re.IGNORECASE) is not None
    for statement in _likely(found):
        value = phrases.every(statement.text) if often else phrases.number(statement.text, call.slots.asked_for)
        if value:
            return value, statement, "the number that the message names", 0.9
    if often or not re.search(r"\bhow many\b", call.query, re.IGNORECASE):
        return None
    days = {each.hit.said_at.date() for each in found if each.parts["words"] >= 0.6 and not each.parts["question"]}
    return (str(len(days)), found[0], "counted: the days on which it was spoken of", 0.3) if days else None


def _who(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    by_subject = re.search(
        r"\bwho(?:'s)? (?!(?:do|does|did|can|could|will|would|should|have|has|had|were) )", call.query, re.I
    )
    speakers = {hit.provenance.speaker for hit in (each.hit for each in found) if hit.provenance.speaker}
    for statement in _likely(found)[:2]:
        speaker = statement.hit.provenance.speaker
        first_person = re.match(r"(?:\W*\w+[,!.]? ){0,2}?(?:I|I'm|I've|I'd|we|We)\b", statement.text)
        named = speaker and speaker.casefold() not in {"user", "assistant"}
        if by_subject and first_person and speaker and named and not set(terms_of(speaker)) & asked.speakers:
            return speaker, statement, "who said so of themselves", 0.7
        people = phrases.people(statement.text, asked.terms | asked.speakers, speakers)
        if people:
            return ", ".join(people[:3]), statement, "whom the sentence names", 0.8
    return None


def _where(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    speakers = {each.hit.provenance.speaker or "" for each in found} - {""}
    for statement in _likely(found)[:4]:
        for text in (statement.text, *_beside(statement)[:1]):
            where = phrases.place(text, asked.terms, call.slots.asked_for, speakers)
            if where:
                return where, statement, "the place that the message names", 0.8
    return None


def _yes_no(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    said = next((each for each in found if not each.parts["question"]), found[0])
    if said.covered < LEAST_TO_AGREE:
        return "", said, "", 0.0
    guess = re.search(r"\b(?:would|could|might|likely|probably)\b", call.query, re.IGNORECASE) is not None
    if not guess and any(_is_missing(name, said) for name in call.entities):
        return "", said, "", 0.0
    so, not_so = phrases.contrast(said.text)
    of_that = bool(not_so and asked.terms & (set(terms_of(not_so)) - set(terms_of(so))))
    no = (of_that or phrases.denied(so)) != phrases.denied(re.sub(r"^\w+n't\b", "", call.query))
    word = ("Likely no" if no else "Likely yes") if guess else ("No" if no else "Yes")
    return word, said, "what the best sentence says or denies", 0.3 if guess else 0.7


def _is_missing(name: str, said: Statement) -> bool:
    """Whether a memory does not speak of a name at all: it neither confirms nor denies anything about it."""
    held = {*terms_of(said.hit.text), *terms_of(said.hit.provenance.speaker or "")}
    return not held & set(terms_of(name))


def _why(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    for statement in _likely(found)[:3]:
        for text in (statement.text, *_beside(statement)[:1]):
            why = phrases.reason(text)
            if why:
                return why, statement, "the reason that the message gives", 0.8
    best = found[0]
    following = _beside(best)[:1]
    return phrases.phrase(" ".join([best.text, *following]), asked.terms), best, "what was said with it", 0.5


def _list(call: MemoryCall, asked: Asked, found: Sequence[Statement]) -> Found | None:
    items: dict[str, str] = {}
    for statement in _likely(found)[:LIST_STATEMENTS]:
        named = phrases.titles(statement.text, call.slots.asked_for or "")
        for item in named or phrases.phrase(statement.text, asked.terms).split(", "):
            key = " ".join(terms_of(item))
            if key and not any(key in known for known in items):
                items[key] = item
    kept = list(items.values())[: MOST_ITEMS * 2]
    return (", ".join(kept), found[0], "what the best sentences name", 0.5) if kept else None


def _likely(found: Sequence[Statement]) -> list[Statement]:
    """The statements that are about as good as the best."""
    best = found[0].score
    return [each for each in found if each.score >= 0.6 * best][:8]


def _beside(statement: Statement) -> list[str]:
    """The sentences after and before a statement in its memory."""
    every = told(statement.hit.text)
    return [*every[statement.number + 1 :], *reversed(every[: statement.number])]


_RULES: dict[QuestionType, Callable[[MemoryCall, Asked, Sequence[Statement]], Found | None]] = {
    QuestionType.WHEN: _when,
    QuestionType.HOW_LONG: _how_long,
    QuestionType.HOW_MANY: _how_many,
    QuestionType.WHO: _who,
    QuestionType.WHERE: _where,
    QuestionType.YES_NO: _yes_no,
    QuestionType.WHY: _why,
    QuestionType.LIST: _list,
}
