"""What a prompt asks: the type of its question, and the slots that an answer has to fill."""

from __future__ import annotations

import re
from collections.abc import Collection

from memos_integrations.core.reader.call import NO_SLOTS, QuestionType, Slots
from memos_integrations.core.reader.intent import command, straight
from memos_integrations.core.text import STOP_WORDS
from memos_integrations.core.text.words import fold
from memos_integrations.core.when import TimeWindow

_I = re.IGNORECASE


_AUX = (
    r"(?:do|does|did|is|are|am|was|were|has|have|had|can|could|would|will|should|shall|may|might|must|isn't|aren't"
    r"|wasn't|weren't|didn't|doesn't|don't|hasn't|haven't|hadn't|won't|wouldn't|can't|couldn't|shouldn't)"
)
_LEAD = r"^(?:(?:and|but|so|also|then|or|roughly|approximately|exactly) )*"
_HOW_LONG = re.compile(
    rf"{_LEAD}(?:for )?how (?:long|old)\b(?! ago)|\bhow many (?:years|months|weeks|days|hours"
    rf"|minutes)\b(?! (?:ago|later))"
    r"|^how much time\b",
    _I,
)
_WHEN = re.compile(
    rf"{_LEAD}(?:when|since when|how long ago|how many (?:years|months|weeks|days) (?:ago|later)"
    r"|(?:in |on |at |by |during |around )?(?:what|which) (?:exact )?(?:day|date|time|year|month|week|weekend|season)"
    r"|what(?:'s| is| was) the (?:exact )?(?:date|time))\b(?! of (?:music|food))",
    _I,
)
_HOW_MANY = re.compile(rf"{_LEAD}(?:about |at )?how (?:many|much|often|far|tall|big|large|heavy|high|expensive)\b", _I)
_WHO = re.compile(rf"{_LEAD}(?:(?:with|to|from|by|for|about) )?(?:who|whom|who's|whose)\b", _I)
_WHERE = re.compile(
    rf"{_LEAD}(?:(?:from|to|in|at|near|on) )?(?:where|where's|(?:what|which) (?:\w+ )?(?:place|city|town|country|state"
    r"|location|address|street|room|venue|region|area))\b",
    _I,
)
_WHY = re.compile(rf"{_LEAD}(?:why|how come|for what reason|what(?:'s| is| was) the reason|what (?:made|caused))\b", _I)
_HOW = re.compile(rf"{_LEAD}how\b", _I)
_YES_NO = re.compile(rf"{_LEAD}{_AUX}\b", _I)
_OR = re.compile(r"\bor\b", _I)
_LIST = re.compile(
    rf"{_LEAD}(?:list|name|enumerate)\b|{_LEAD}(?:what|which)(?: \w+){{0,3}}? (?:all|things)\b"
    rf"|{_LEAD}(?:what|which) (?:are|were) (?!the (?:date|time))|\bwhat (?:kinds?|types?|sorts?) of \w+s\b"
    rf"|{_LEAD}(?:in )?(?:what|which) (?:\w+(?:[-/]\w+)* ){{0,2}}?(?!is|was|does|has|this|class|business|process)"
    rf"[a-z]+[^\Wsu]s (?:{_AUX}|of|that|from|in)\b",
    _I,
)
_WHAT = re.compile(rf"{_LEAD}(?:(?:in|on|at|for|to|with|from|by|about|of|under) )?(?:what|what's|which)\b", _I)

_WH_NOUN = re.compile(
    rf"{_LEAD}(?:(?:in|on|at|for|to|with|from|by|about|of) )?(?:what|which|whose|how many|how much)"
    r"(?: (?:kinds?|types?|sorts?|brands?|makes?|pieces?) of)?"
    r"(?: of (?:my|our|your|his|her|their|the|these|those))?"
    rf" (?P<noun>(?!(?:{_AUX}|the|a|an|i|we|he|she|they|you|happen(?:s|ed)?|of)\b)[\w'/-]+"
    rf"(?: (?!{_AUX}\b)[\w'/-]+){{0,3}}?)"
    rf" (?={_AUX}\b|to\b|that\b|of\b|for\b|in\b|on\b|at\b|from\b|with\b|I\b|we\b|you\b|\w+(?:s|ed) )",
    _I,
)
_BE = r"(?:'s| is| are| was| were)"
_IS_OF = re.compile(
    rf"^(?:what|who|where|when|which){_BE} (?:the )?(?P<noun>[\w'-]+(?: [\w'-]+){{0,3}}?) (?:of|for)"
    r" (?P<of>[\w' -]+?)[?.! ]*$",
    _I,
)
_POSSESSED = re.compile(
    rf"^(?:what|who|where|when|which|how){_BE} (?P<of>(?:my |our |the )?[\w-]+(?: (?:and )?[\w-]+)?(?:'s|s')"
    r"|my|our|your|his|her|their|its)"
    r" (?P<noun>[\w' -]+?)(?= (?:for|in|on|at|with|about|regarding|during|after|before|to)\b|[?.! ]*$)",
    _I,
)
_SUBJECT = re.compile(
    rf"\b{_AUX} (?!(?:in|on|at|for|to|with|from|by|about|of|under)\b)"
    r"(?P<of>(?:my |our |your |his |her |their |the )?[\w'-]+(?: and [\w'-]+)?)",
    _I,
)
_EMBEDDED = re.compile(rf"^(?P<wh>what|who|where|when|which) (?P<rest>(?!{_AUX}\b).+?) (?P<be>is|are|was|were)$", _I)
_PLAIN = {
    QuestionType.WHEN: "time",
    QuestionType.HOW_LONG: "duration",
    QuestionType.WHO: "person",
    QuestionType.WHERE: "place",
    QuestionType.HOW_MANY: "number",
    QuestionType.WHY: "reason",
    QuestionType.HOW: "manner",
    QuestionType.YES_NO: "yes or no",
    QuestionType.SUMMARY: "summary",
}
_WHAT_ORDER = (
    (QuestionType.HOW_LONG, _HOW_LONG),
    (QuestionType.WHEN, _WHEN),
    (QuestionType.HOW_MANY, _HOW_MANY),
    (QuestionType.WHO, _WHO),
    (QuestionType.WHERE, _WHERE),
    (QuestionType.WHY, _WHY),
    (QuestionType.HOW, _HOW),
    (QuestionType.LIST, _LIST),
    (QuestionType.WHAT, _WHAT),
)


def question_type(query: str, prompt: str, *, summary: bool = False) -> QuestionType | None:
    """The type of the question in *query* (the prompt without greetings and the asking itself).

    None when nothing is asked. Of several questions the last that has a type counts, as people ask last what they want.
    """
    if summary:
        return QuestionType.SUMMARY
    for asked in (*reversed(_questions(query)), *reversed(_questions(command(prompt)))):
        kind = next((kind for kind, pattern in _WHAT_ORDER if pattern.search(asked)), None)
        if kind is not None:
            return kind
        if _YES_NO.match(asked):
            return QuestionType.WHAT if _OR.search(asked) and re.search(r"\w+ or \w+", asked) else QuestionType.YES_NO
    inner = re.search(r"\b(who|where|when|why|what|which|how (?:many|much|long))\b[^?.!]*\?", straight(prompt), _I)
    return question_type(inner.group(), inner.group()) if inner and inner.start() else None


def _questions(text: str) -> list[str]:
    """The sentences, those with a question mark if there are any, without what leads up to the question in them."""
    parts = [part.strip() for part in re.split(r"(?<=[.!?])\s+", straight(text)) if part.strip()]
    asked = [part for part in parts if part.rstrip('"” ').endswith("?")] or parts
    return [
        re.sub(rf"^[^?]*?, (?=(?:who|what|where|when|why|how|which|{_AUX})\b)", "", part, flags=_I) for part in asked
    ]


def slots_of(
    query: str,
    kind: QuestionType | None,
    *,
    entities: Collection[str],
    speakers: Collection[str],
    window: TimeWindow | None,
) -> Slots:
    """The slots of a question; empty ones when nothing is asked."""
    if kind is None:
        return NO_SLOTS
    text = straight(query).strip(" ?.!")
    time = window.text if window is not None else None
    timeless = re.sub(re.escape(time), " ", text, count=1, flags=_I) if time else text
    timeless = " ".join(timeless.split())
    told = _EMBEDDED.match(timeless)  # "(remind me) what Ana's address is"
    timeless = f"{told['wh']} {told['be']} {told['rest']}" if told else timeless
    possessed = _POSSESSED.match(timeless) or _IS_OF.match(timeless)
    noun = _WH_NOUN.match(f"{timeless} ")
    asked_for: str | None = None
    of: str | None = None
    if possessed is not None:
        asked_for, of = possessed["noun"], possessed["of"]
    elif noun is not None:
        asked_for = noun["noun"]
    of = of or _subject(timeless, entities, speakers)
    if asked_for is not None and asked_for.casefold().endswith(" called"):
        asked_for, of = "name", " ".join(filter(None, (of, asked_for.rsplit(" ", 1)[0])))
    asked_for = _bare(asked_for) or _PLAIN.get(kind)
    of = (
        {"my": "I", "our": "we", "your": "you"}.get(of.lower(), of.removesuffix("'s").removesuffix("'")) if of else None
    )
    return Slots(asked_for=asked_for, of=_bare(of), about=_about(timeless, asked_for, of), time=time)


def _subject(text: str, entities: Collection[str], speakers: Collection[str]) -> str | None:
    """Whom it is asked of: the grammatical subject, else the first speaker or name in the question."""
    found = _SUBJECT.search(text)
    named = [*speakers, *entities]
    subject = found["of"] if found else None
    if subject is not None:
        words = fold(subject).replace("'s", "").split()
        name = next((name for name in named if fold(name).split()[0] in words), None)
        if name is not None:
            return subject if " and " in subject else name
        if words[0] in {"i", "we", "my", "our", "he", "she", "they", "you", "his", "her", "their"} or len(words) > 1:
            return subject
    return named[0] if named else subject


def _about(text: str, asked_for: str | None, of: str | None) -> str | None:
    """The content words that are neither asked for nor whose it is."""
    gone = {fold(word).removesuffix("'s") for word in f"{asked_for or ''} {of or ''}".split()}
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text)
    kept = [
        word
        for word in words
        if (plain := fold(word).removesuffix("'s")).replace("'", "") not in STOP_WORDS
        and plain not in gone
        and plain not in {"many", "much", "long", "kind", "type", "sort", "list", "name", "called"}
    ]
    return " ".join(kept) or None


def _bare(words: str | None) -> str | None:
    text = re.sub(r"^(?:the|a|an) ", "", (words or "").strip(), flags=_I)
    return text or None
