"""What of a sentence answers a question: the phrase, for each type of question. Pure, by rules."""

from __future__ import annotations

import re
from collections.abc import Collection

from memos_integrations.core.text import STOP_WORDS, entities, with_forms
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.text.words import fold

_I = re.IGNORECASE
_WORD = re.compile(
    r"https?://[^\s<>\"')\]]*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[^\W_]+(?:['’.&-][^\W_]+)*"  # noqa: RUF001
)
_BREAK = re.compile(r"[,;:!?.()\[\]–—\n]| - ")  # noqa: RUF001
_JOINTS = frozenset("but because so which that when while where and or".split())
_SMALL = frozenset(
    """
    really just also so very much lot lots bit great good nice awesome amazing wow thanks thank yeah yes hey hi hello
    glad cool sure definitely totally get got getting love loved thing things way super pretty always still ever even
    back well kind sort right oh haha absolutely actually recently lately last next new guess know think thought feel
    felt make makes made been going went go say said told tell talk like want wanted hope yesterday today tomorrow week
    weekend month year ago time day days happy excited proud looks sounds take took
    """.split()
)
"""Words that tell how something is said, or when; rarely what it is."""

WORTH_KEEPING = 0.3
LONGEST_PHRASE = 14

_QUOTED = re.compile(r"[\"“]([^\"“”]{2,120})[\"”]|(?<!\w)['‘]([^'‘’]{3,80})['’](?!\w)")  # noqa: RUF001
_TITLED = re.compile(
    r"\b(?:books?|novels?|movies?|films?|songs?|albums?|shows?|series|games?|poems?|titles?|quotes?|tracks?|podcasts?"
    r"|bands?|plays?|called|named|names?)\b",
    _I,
)
_PLACE = re.compile(
    r"\b(?:in|at|to|from|near|around|on|into|inside|under|behind|through|across|outside|along|by|off|visit(?:ed|ing)?) "
    r"(?=((?:the |a |an |my |our |his |her |their |this |that )?[^\W\d_][\w'’-]*(?: (?:of |the |de "  # noqa: RUF001
    r"|and )?[^\W\d_][\w'’-]*){0,4}))",  # noqa: RUF001
)
_PLACE_ENDS = re.compile(
    r" (?:and|but|with|for|last|next|this|on|in|at|from|when|where|because|since|after|before|to|yesterday|today"
    r"|that|i|we"
    r"|it|is|was|were|has|had|have|so|as|by|while|which|who"
    r"|(?:an?|a few|several|one|two|three|four|five|six|seven|eight|nine|ten|\d+)"
    r" (?:minute|hour|day|night|week|weekend|month|year)s?)\b",
    _I,
)
_NAMED_PLACE = re.compile(r"\b(?:country|city|town|state|continent|island|region|village)\b", _I)
_NO_PLACE = re.compile(
    r"^(?:(?:the |my |our |a |this |that |his |her |their )?(?:last|next|past|morning|evening|afternoon|night"
    r"|weekend|week"
    r"|month|year|day|future|meantime|end|beginning|time|moment|way|first|same|me|you|him|them|it|us|myself|being|be|do"
    r"|make|see|get|have|take|go|help|hear|learn|keep|try|know|share|create|come|let|start|talk|find|show|meet"
    r"|look|feel"
    r"|mind|all|least|once|work on|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february"
    r"|march|april"
    r"|june|july|august|september|october|november|december)\b)",
    _I,
)
_ONES = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen"
)
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_UP_TO_99 = rf"(?:(?:{_TENS})(?:[- ](?:{_ONES}))?|{_ONES})"
_NUMBER = (
    r"(?:\$ ?|€ ?|£ ?)?\d[\d,.]*(?:%|[kKmM]\b)?(?: (?:hundred|thousand|million|billion)\b)?|(?<!\w)(?:"
    rf"(?:{_UP_TO_99}|an?|a few|several|half a)(?: (?:hundred|thousand|million|billion))+(?: and {_UP_TO_99})?"
    rf"|{_UP_TO_99}|hundred|a dozen|dozens|a couple|a few|several|once|twice|both|half)(?!\w)"
)
_NAMED_BY = re.compile(
    r"\b(?:number|no\.?|nr\.?|page|room|chapter|pier|gate|platform|floor|line|version|item|box|building) $", _I
)
"""A number after one of these says which one it is, not how many there are."""
_HOURS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|1?\\d"
_COUNTED = re.compile(rf"({_NUMBER})(?=((?: [^\W\d_][\w'’-]*){{0,3}}))", _I)  # noqa: RUF001
_EVERY = re.compile(
    r"\b(?:(?:once|twice|one|two|three|four|five|six|several|\d+)(?: times?)? (?:a|an|per|each|every) \w+"
    r"|every (?:\w+ )?(?:day|week|month|year|morning|evening|night|weekend|\w+days?|couple of \w+|few \w+)|daily"
    r"|weekly|monthly)\b",
    _I,
)
_KIN = re.compile(
    r"\b(?:my|our|his|her|their|a|an|the|your) (?:(?:close|best|old|good|new|little|older|younger|big|great|late) )?"
    r"(?:mother|mom|mum|father|dad|parents?|brothers?|sisters?|siblings?|wife|husband|partner|spouse|girlfriend"
    r"|boyfriend"
    r"|fianc[eé]e?|sons?|daughters?|kids?|child(?:ren)?|friends?|boss|colleagues?|co-?workers?|neighbou?rs?|uncle|aunt"
    r"|cousins?|nephew|niece|grand(?:ma|pa|mother|father|parents|mom|dad)|family|team(?:mates?)?|doctor|teacher"
    r"|coach|mentors?"
    r"|roommates?|buddy|buddies|manager|landlord|dentist|therapist)\b",
    _I,
)
_CLOCK = re.compile(
    r"\b(?:[01]?\d|2[0-3])[:.][0-5]\d(?: ?[ap]\.?m\b)?|\b1?\d ?[ap]\.?m\b"
    rf"|\b(?:half|(?:a )?quarter|five|ten|twenty|twenty-five)(?: minutes)? (?:past|to) (?:{_HOURS})\b"
    rf"|\b(?:{_HOURS}) o'clock\b|\b(?:noon|midnight|o'clock)\b",
    _I,
)
_WHICH = re.compile(r"\b(?:which|what) ([^\W\d_]{3,})\b(?! (?:of|kind|type))", _I)
_REASON = re.compile(
    r"\b(?:because(?: of)?|since|so that|so (?=i |we |he |she |they |it |you )|in order to|due to|thanks to"
    r"|as it|which is why)"
    r"[ ,]+(?=\w)",
    _I,
)
_PURPOSE = re.compile(r"\b(?:to (?!the\b|my\b|a\b|an\b|our\b|this\b|that\b|be\b|go\b|\w+ing\b|[A-Z])[a-z]+ )", 0)
_CONTRAST = re.compile(r"(?:,| and| but) not (?P<not>(?!only\b|yet\b|just\b)[^,;.!?]{2,60}?)(?=[,;.!?]|$| but\b)", _I)
_DENIED = re.compile(
    r"\b(?:no|not|never|nobody|nothing|none|neither|without|no longer|any ?more|stopped|quit|cancel(?:l?ed)?|refused?"
    r"|declined|\w+n't|cannot|hardly|can't)\b",
    _I,
)


def words_in(text: str) -> list[re.Match[str]]:
    """The words of a text."""
    return list(_WORD.finditer(text))


def is_content(word: str) -> bool:
    """Whether a word is more than a function word."""
    return fold(word).replace("'", "") not in STOP_WORDS


def phrase(sentence: str, asked: frozenset[str]) -> str:
    """The words of a sentence that the question does not have, those that tell most, in order.

    A word tells more after a word of the question and in its clause, as a name or a number, and less when it only
    colours what is said. Neighbours stay together with the small words between them; where something was left out
    stands a comma.
    """
    tokens = words_in(sentence)
    known = [is_content(token.group()) and _is_asked(token.group(), asked) for token in tokens]
    clauses = _clauses(sentence, tokens)
    told = {clause for clause, is_known in zip(clauses, known, strict=True) if is_known}
    first = known.index(True) if any(known) else len(tokens)
    worth = [
        None
        if is_known or not is_content(token.group())
        else _worth(token.group(), opens=place == 0, after=place > first, beside=clauses[place] in told)
        for place, (token, is_known) in enumerate(zip(tokens, known, strict=True))
    ]
    chosen = [place for place, value in enumerate(worth) if value is not None and value >= WORTH_KEEPING]
    if not chosen:
        some = [place for place, value in enumerate(worth) if value is not None]
        chosen = [max(some, key=lambda place: worth[place] or 0.0)] if some else list(range(len(tokens)))
    return _joined(sentence, tokens, clauses, chosen[:LONGEST_PHRASE])


def _is_asked(word: str, asked: frozenset[str]) -> bool:
    """Whether a word, or another form of it, stands in the question; an address that holds one does not."""
    return "@" not in word and "//" not in word and bool(asked.intersection(with_forms(terms_of(word))))


def _worth(word: str, *, opens: bool, after: bool, beside: bool) -> float:
    low = fold(word)
    value = 1.2 * after + 0.5 * beside
    if any(letter.isdigit() for letter in word):
        value += 1.5
    elif word[0].isupper() and not opens:
        value += 1.0
    if low in _SMALL:
        value -= 1.5
    elif low.endswith("ly"):
        value -= 0.5
    return value + (0.4 if len(word) > 5 else 0.0) - (0.4 if opens else 0.0)


def _clauses(sentence: str, tokens: list[re.Match[str]]) -> list[int]:
    found, clause, end = [], 0, 0
    for token in tokens:
        if _BREAK.search(sentence[end : token.start()]) or token.group().lower() in _JOINTS:
            clause += 1
        found.append(clause)
        end = token.end()
    return found


def _joined(sentence: str, tokens: list[re.Match[str]], clauses: list[int], chosen: list[int]) -> str:
    """The chosen words; those with nothing but small words of their clause between them stay one piece."""
    pieces: list[list[int]] = []
    for place in chosen:
        between = range(pieces[-1][-1] + 1, place) if pieces else range(0)
        small = all(not is_content(tokens[each].group()) for each in between)
        if pieces and small and len(between) <= 2 and clauses[pieces[-1][-1]] == clauses[place]:
            pieces[-1].append(place)
        else:
            pieces.append([place])
    return ", ".join(sentence[tokens[piece[0]].start() : tokens[piece[-1]].end()] for piece in pieces)


def clock(sentence: str) -> str:
    """The time of day that a sentence names, as it stands there; empty when it names none."""
    found = _CLOCK.search(sentence)
    return found.group() if found else ""


def numbered(sentence: str, question: str) -> str:
    """For "which platform": the number or letter that follows this word in a sentence; empty when none does."""
    asked = _WHICH.search(question)
    if asked is None:
        return ""
    found = re.search(rf"\b{re.escape(asked[1])} (?:number |no\. ?|#)?(\d[\w-]*|[A-Z]\b)", sentence, _I)
    return found[1] if found else ""


def titles(sentence: str, wanted: str) -> list[str]:
    """What stands in quotation marks, when something with a title is asked for; else the names that it holds."""
    if not _TITLED.search(wanted):
        return []
    return [" ".join((match[1] or match[2]).split()).rstrip(",.") for match in _QUOTED.finditer(sentence)]


def people(sentence: str, asked: frozenset[str], speakers: Collection[str]) -> list[str]:
    """The names and the kin that a sentence holds and the question does not, without those who are only addressed."""
    addressed = {fold(name).split()[0] for name in speakers}
    names = [
        name
        for name in entities(sentence)
        if not asked & set(terms_of(name))
        and fold(name).split()[0] not in addressed
        and not any(c.isdigit() for c in name)
    ]
    kin = [match.group() for match in _KIN.finditer(sentence) if not asked & set(terms_of(match.group()))]
    return [*names, *kin]


def place(sentence: str, asked: frozenset[str], wanted: str | None, speakers: Collection[str]) -> str | None:
    """Where: what follows "in", "at", "to" and the like; with a name rather than without.

    A country or a city is a name, wherever it stands in the sentence.
    """
    if wanted and _NAMED_PLACE.search(wanted):
        known = {fold(speaker).split()[0] for speaker in speakers}
        names = [
            name for name in entities(sentence) if not set(terms_of(name)) & set(asked) and fold(name) not in known
        ]
        return names[0] if names else None
    found = []
    for match in _PLACE.finditer(sentence):
        words = _PLACE_ENDS.split(match[1])[0]
        if not _NO_PLACE.match(words) and set(terms_of(words)) - set(asked) and any(map(is_content, words.split())):
            found.append(words)
    named = [words for words in found if any(word[0].isupper() for word in words.split())]
    return (named or found or [None])[0]


def number(sentence: str, wanted: str | None) -> str | None:
    """How many: the number that stands before what is counted, else the only number there is."""
    counted = set(terms_of(wanted or ""))
    found = [match for match in _COUNTED.finditer(sentence)]
    near = [match for match in found if counted & set(terms_of(match[2]))]
    if near:
        return f"{near[0][1]}{near[0][2]}".strip()
    if wanted and "time" in fold(wanted):
        many = [match[1] for match in found if fold(match[1]) in {"once", "twice"}]
        return many[0] if many else None
    plain = [
        match[1].strip()
        for match in found
        if fold(match[1]) not in {"one", "once", "half", "both"} and not _NAMED_BY.search(sentence[: match.start()])
    ]
    return plain[0] if len(plain) == 1 else None


def every(sentence: str) -> str | None:
    """How often: "three times a week", "every day"."""
    match = _EVERY.search(sentence)
    return match.group() if match else None


def reason(sentence: str) -> str | None:
    """Why: what follows "because" and the like, else what something was done for ("to help others")."""
    match = _REASON.search(sentence)
    if match is not None:
        return sentence[match.end() :].strip(" .!,") or None
    match = _PURPOSE.search(sentence)
    return re.split(r"[.!;]", sentence[match.start() :])[0].strip() if match else None


def contrast(sentence: str) -> tuple[str, str]:
    """A sentence without what it says is not so, and that: "She plays the trombone, not the cello"; empty for none."""
    match = _CONTRAST.search(sentence)
    return (sentence[: match.start()] + sentence[match.end() :], match["not"]) if match else (sentence, "")


def denied(sentence: str) -> bool:
    """Whether a sentence says that something is not so."""
    return _DENIED.search(sentence) is not None
