"""From a text to clauses that state something: contractions written out, marks of time read and taken off. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from memos_integrations.core.claims.ahead import is_ahead
from memos_integrations.core.claims.frames import is_known, verb_of
from memos_integrations.core.claims.plainer import plainly
from memos_integrations.core.text import sentences
from memos_integrations.core.text.chat import apostrophised
from memos_integrations.core.when import EARLIEST, LATEST, TimeWindow, find_windows

_TAG = re.compile(
    r",\s*(?:remember|you know|ok(?:ay)?|yes)\?",
    re.IGNORECASE,
)
_MARVEL = re.compile(r"^((?:(?:ok|so|wow|wait|omg),? )*(?:i|we|my \w+)\s[^?.!]*)\?[?!]+", re.IGNORECASE)
"""A statement at which its speaker marvels ("i love it now??"): no question begins with its subject."""
_NOTE_THAT = re.compile(
    r"(?:\b(?:can|could|would|will) you|\bwould you mind)(?:,? please)? (?:note|remember|save|keep in mind"
    r"|write down|noting)"
    r"(?: down)? that ([^?.!]+)\?",
    re.IGNORECASE,
)
"""A request to remember something states it."""
LONGEST = 4_000
"""Characters of a text that are read; a longer one is a document, and its claims are not looked for."""

MOST_SENTENCES = 24

_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ";"})  # noqa: RUF001
_VERBAL = (
    r"(?=(?:now|no longer|not|a|an|the|been|moved|living|working|joined|switched|changed|started|stopped|allergic"
    r"|married|engaged|vegan|vegetarian|based|at|in|on|called|named|\w+ing)\b)"
)
_CONTRACTED = [
    (re.compile(pattern, re.IGNORECASE), into)
    for pattern, into in (
        (r"\bcan(?:not|'t| not) (?:stand|bear|abide)\b(.*?) any ?(?:more|longer)\b", r"now hate\1"),
        (r"\bcan(?:not|'t| not) (?:stand|bear|abide)\b", "hate"),
        (r"\bcan't\b|\bcannot\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"\b(\w+)n't\b", r"\1 not"),
        (r"\b(I)'m\b", r"\1 am"),
        (r"\b(\w+)'re\b", r"\1 are"),
        (r"\b(\w+)'ve\b", r"\1 have"),
        (r"\b(\w+)'ll\b", r"\1 will"),
        (r"\b(he|she|it|that|there|here|who|what)'s\b", r"\1 is"),
        (r"\b(\w+)'s " + _VERBAL, r"\1 is "),
    )
]
_UNSURE = re.compile(
    r"\b(?:if|unless|whether|might|would|could|should|ought|maybe|perhaps|probably|possibly|likely|apparently|supposedly"
    r"|allegedly|i (?:think|guess|suppose|believe|wonder|doubt|hope|wish|imagine|heard)|not sure|planning"
    r"|plans? (?:to|on)"
    r"|(?:is|am|are) going to|(?:is|am|are) about to|wants? to|wanted to|wish(?:es)?|hop(?:e|es|ing) to"
    r"|consider(?:s|ing)|thinking"
    r"|(?:almost|nearly)(?! (?:every|always|never|all|daily|nothing|any|only|no)\b)|pretend(?:s|ed|ing)?|jok(?:e"
    r"|es|ed|ing)|kidding|l(?:ied|ying) (?:that|about|to)|claim(?:s|ed)"
    r"|dream(?:s|t|ed|ing)?|imagine|feels? like|as (?:if|though)|rumou?rs?|tempted|would like|can|must|let us"
    r"|looking (?:for|to|at)|tries|trying|try|expects? to|intends? to|decid(?:e|es|ing) (?:on|whether)"
    r"|until recently i thought"
    r"|suggest(?:s|ed)|recommend(?:s|ed)|propos(?:es|ed)|requested|used to think|in the (?:novel|film|movie|book"
    r"|story|game))\b"
    r"|\bmay (?!\d|not\b)(?=[a-z])|\b(?:next|coming) (?:week|month|year)\b(?= (?:i|we|he|she|they) )",
    re.IGNORECASE,
)
_FUTURE = re.compile(r"\bwill(?: now| then)? (?!now\b|be\b|take place\b|start\b|begin\b|happen\b|not\b)", re.IGNORECASE)
_SURE_FUTURE = re.compile(r"\bwill(?: now)? be\b|\bwill (?:now )?(?=take place|start|begin|happen)", re.IGNORECASE)
_OPENING = re.compile(
    r"^(?:(?:update|correction|note|fyi|heads[- ]up|reminder|news|edit|ps|info|attention|quick (?:update|note"
    r"|correction)"
    r"|small correction|big news|good news|bad news)\s*[:;,-]+\s*"
    r"|(?:actually|by the way|btw|so|and|but|well|ok(?:ay)?|oh|hey|hi|yes|no|yeah|also|anyway|finally|sadly"
    r"|unfortunately|luckily"
    r"|happily|turns out|it turns out(?: that)?|in fact|honestly|as it (?:turns out|happens)|for the record|to be clear"
    r"|fun fact|just to (?:repeat|remind you|confirm|clarify|be clear|let you know)|as you know|you know|sorry"
    r"|no,? wait|wait|i (?:misspoke|meant(?: that)?|was (?:wrong|mistaken)|made a mistake)|my mistake|scratch that"
    r"|please (?:note|remember|know)(?: that)?|note that|remember(?: that)?"
    r"|just so you know"
    r"|for your information|going forward|moving forward|as things stand|after all|then|plus"
    r"|i (?:should )?mention(?:ed)?(?: that)?)"
    r"[,:;]?\s+)+",
    re.IGNORECASE,
)
_DUE = re.compile(r"\b(?:due|closing) date\b", re.IGNORECASE)
_APART = re.compile(
    r"^([A-Z]\w+) and I (?:have |are |were |got )?(?:broken? up|split(?: up)?|separated|divorced"
    r"|no longer together)(?: (?:in|last|on|this|a) [\w ]+)?$"
)
_AT_FIRST = re.compile(
    r"^((?:in|on|at|during|every|each|for) (?:the )?(?:mornings?|evenings?|afternoons?|nights?|weekends?|weekdays?"
    r"|summers?"
    r"|winters?|breakfast|lunch|dinner|\w+days?)),?\s+(.+)$",
    re.IGNORECASE,
)
_NAMED = re.compile(r"^((?:my|our|the|[A-Z]\w*'s)(?: [\w'-]+){1,4}):\s+(.+)$", re.IGNORECASE)
_FIELD = re.compile(
    r"^(?!(?:my|our|the|his|her|their|i"
    r"|we)\b)([A-Za-z]\w*(?: \w+){0,2}):\s+(\S+(?: \S+){0,5})$",
    re.IGNORECASE,
)
_TOLD_TERSELY = (
    r"^((?!(?:my|our|the|his|her|their|your|its?|i|we|he|she|they|you|a|an|this|that|these|those|there|here|what|who|no"
    r"|not|all|some)\b)[a-z][\w-]*(?: [a-z][\w-]*){0,2}?"
)
_TERSE = re.compile(_TOLD_TERSELY + r" (?:is|are|moved|changed|switched|went|rose|dropped|was|were|got) )")
_TERSE_NOW = re.compile(_TOLD_TERSELY + r") now (\S+(?: \S+)?)$")
"""As in a note: "dentist appointment moved to 21 June", "parking spot now C4"."""
_SETTING = re.compile(r"^([A-Za-z][\w.-]*) ?= ?(\S+)$")
"""As in a file of settings: "timeout=30"."""
_FIELD_CHANGED = re.compile(
    r"^(?!(?:my|our|the|i|we)\b)([A-Za-z]\w*(?: \w+){0,2}): ((?:upgraded|changed|moved|raised|lowered|switched|cut"
    r"|reduced|extended|increased|renamed) (?:from|to) .+)$",
    re.IGNORECASE,
)
_TERSE_CHANGE = re.compile(
    r"^(I (?:changed|switched|moved|updated|raised|lowered)) (?!(?:my|our|the|his|her|their|a|an|to|from|over|back"
    r"|up)\b)([a-z][\w-]*(?: [a-z][\w-]*)?) (?=(?:to|from) )"
)
_NEW_ONE = re.compile(
    r"^(I|We|we|[A-Z][a-z]+) (?:have got|have|has|got) (?:a|an) new ([a-z][\w-]*(?: [a-z][\w-]*)?)(?:,| is|:| -"
    r"|, it is)"
    r" (\S+(?: \S+){0,5})$"
)
"""As in "I have a new email address, ana@b.com"."""
_INSTEAD = re.compile(r"^(?:instead|in place) of ([\w' -]+),\s*(.+)$", re.IGNORECASE)
_NOW = re.compile(
    r"(?:,\s*)?\b(?:now(?!here)|currently|at the moment|at present|presently|these days|nowadays|from now on"
    r"|from today(?: on)?"
    r"|as of (?:now|today)|right now|today|already|by now|for now|henceforth|lately|recently|just|instead(?! of)"
    r"|again|this time"
    r"|effective immediately|with immediate effect|since then|for good|for a while|permanently|anew|once more)\b(?:,)?",
    re.IGNORECASE,
)
_FRESH = re.compile(
    r"\b(?:now(?!here)|currently|these days|nowadays|from now on|from today|as of|effective|instead|henceforth"
    r"|recently|just"
    r"|lately|right now|at the moment|new|latest|updated|starting|going forward|moving forward|correction|update)\b",
    re.IGNORECASE,
)
_BESIDES = re.compile(
    r"\b(?:also|too|as well|in addition|besides|(?<!to )(?<!in )(?<!at )(?<!for )another)\b", re.IGNORECASE
)
_ENDED = re.compile(r"\bno longer\b|\b(?:any ?more|any longer)\b|\bno more\b", re.IGNORECASE)
_SINCE = re.compile(
    r"(?:,\s*)?\b(?:(?:ever )?since|as of|effective(?: from| as of)?|starting(?: from| in| on)?|beginning(?: in| on)?"
    r"|from (?=[\w ]+ (?:on|onwards?)\b))\s*",
    re.IGNORECASE,
)
_SINCE_WHAT = re.compile(
    r"^(?:ever )?since (?:the|my|our) [\w-]+(?: [\w-]+)?,? ((?:I|we|he|she|they) .+)$", re.IGNORECASE
)
_LASTING = re.compile(
    r"^(.*\b(?:have|has) (?:been \w+ing|lived|worked|known)\b.+?),? for (?:[\w-]+ ){0,3}(?:years?|months?|weeks?"
    r"|decades?|ages|while|time)(?: now)?$",
    re.IGNORECASE,
)
"""How long something has been so already is not a part of it."""
_UNTIL = re.compile(r"(?:,\s*)?\b(?:until|till?|through|up to|up until|valid until|through to)\s+", re.IGNORECASE)
_SPLIT = re.compile(
    r"\s*;\s*|(?<!said)(?<!says)(?<!wrote):\s+(?=(?:I|we|he|she|they|my|our)\s)|,?\s+(?:but|although|though|while|whereas|yet)\s+|,\s*(?:and|so)\s+|\s+and\s+(?="
    r"it\s(?:now\s)?[a-z]+s\s)|\s+and\s+(?="
    r"(?:(?:now|also|then|currently|still|recently|no longer|just|I|we|he|she|they|my|his|her)\s)*"
    r"(?:(?:I|we|he|she|they)\s|(?:my|his|her|our|their)\s[\w ]{2,30}\s(?:is|are)\s"
    r"|(?:live|work|like|love|hate|prefer|enjoy|own|drive|use|drink|eat|play|speak|have|study|want|need)s?\s"
    r"|(?:is|am|are|has|was|moved|joined|switched|changed|started|stopped|quit|became|left|adopted|sold|gave|took"
    r"|does not|do not)\s))"
    r"|,\s*(?=it\s[a-z]+s\s)|,\s*(?=(?:I|we|he|she|they)\s(?:just|only|always|never)\s)|,\s*(?=(?:it|he|she|they"
    r"|I|we)\s(?:is|are|am|has|have|now|live|work|no longer|does|do)s?\s)"
    r"|,\s*(?=(?:I|we|he|she|they)\s(?:left|quit|joined|moved|switched|stopped|started|sold|became)\s)"
    r"|,\s*(?=(?:my|our|his|her)\s(?:new\s)?\w+(?:\s\w+)?\sis\s)"
    r"|,\s*(?:which|who)\s+.*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause without its marks of time. `fresh`: it says that this is news; `ended`: that something is over."""

    text: str
    sentence: str
    fresh: bool
    ended: bool
    since: datetime | None
    until: datetime | None
    at: datetime | None


def statements_of(text: str) -> list[str]:
    """The sentences of a text that state something: no questions, no orders of a word."""
    told = text[: LONGEST + 1].translate(_QUOTES)
    plain = _NOTE_THAT.sub(r"\1.", _MARVEL.sub(r"\1.", _TAG.sub(".", told))) if "?" in told else told
    return [
        each
        for each in sentences(plain)
        if not each.rstrip(" \"')").endswith("?") and (len(each.split()) > 1 or _SETTING.match(each))
    ]


def clauses_of(text: str, said_at: datetime) -> Iterator[Clause]:
    """The clauses of a text that state something for sure."""
    if len(text) > LONGEST:
        return
    for sentence in statements_of(text)[:MOST_SENTENCES]:
        plain = apostrophised(" ".join(sentence.split()).rstrip(" .!\"'"))
        for pattern, into in _CONTRACTED:
            plain = pattern.sub(into, plain) if "'" in plain or " can" in plain.lower() else plain
        plain = _APART.sub(r"I broke up with \1", plainly(re.sub(r"\s*\([^)]*\)", "", plain)))
        for part in _SPLIT.split(plain):
            if part and part.strip() and (clause := _clause(part.strip(), sentence, said_at)) is not None:
                yield replace(clause, fresh=True) if f", so {part.strip()}" in plain else clause


def _clause(part: str, sentence: str, said_at: datetime) -> Clause | None:
    fresh = _FRESH.search(part) is not None or (_OPENING.match(part) is not None and ":" in part[:20])
    fresh = fresh and _BESIDES.search(part) is None
    ended = _ENDED.search(part) is not None
    plain = _INSTEAD.sub(r"\2 instead of \1", _OPENING.sub("", part))
    plain = _DUE.sub("deadline", plain)
    if sentence[:1].islower():
        first = plain.split(" ", 1)[0]
        told = (is_known(first) and first != verb_of(first) and not first.endswith(("ing", "s"))) or first == "quit"
        plain = f"I {plain}" if told and sentence.startswith(part[:12]) else plain
        plain = _TERSE_CHANGE.sub(r"\1 my \2 ", plain)
        plain = _TERSE.sub(r"my \1", _TERSE_NOW.sub(r"\1 is now \2", plain))
    plain = _NEW_ONE.sub(_new_one, plain)
    plain = _SETTING.sub(r"\1: \2", plain)
    plain = _FIELD_CHANGED.sub(r"my \1 \2", plain)
    plain = _FIELD.sub(lambda found: f"my {found[1].replace('_', ' ')} is {found[2]}", plain)
    plain = _AT_FIRST.sub(r"\2 \1", _NAMED.sub(r"\1 is \2", plain))
    plain, since = _marked(_SINCE_WHAT.sub(r"\1", plain), _SINCE, said_at, start=True)
    plain = _LASTING.sub(r"\1", plain)
    plain, until = _marked(plain, _UNTIL, said_at, start=False)
    if _UNSURE.search(plain) or _FUTURE.search(plain):
        return None
    plain = _SURE_FUTURE.sub(lambda m: "is" if m[0].lower().endswith("be") else "", plain)
    plain = _NOW.sub(" ", _ENDED.sub(" ", plain))
    plain, at = _dated(" ".join(plain.split()).strip(" ,"), said_at)
    plain = " ".join(plain.split()).strip(" ,")
    # "In July" is taken for the last one where nothing says that it is the next.
    past = [each for each in (since, at) if each is not None and each < said_at]
    if past and is_ahead(part, said_at):
        since, at = (None if each in past else each for each in (since, at))
    return Clause(plain, sentence, fresh, ended, since, until, at) if len(plain.split()) > 1 else None


def _new_one(found: re.Match[str]) -> str:
    whose = {"I": "my", "we": "our", "We": "our"}.get(found[1], f"{found[1]}'s")
    return f"{whose} {found[2]} is {found[3]}"


def _marked(text: str, mark: re.Pattern[str], said_at: datetime, *, start: bool) -> tuple[str, datetime | None]:
    """The text without "since May" or "until 2024", and the moment that it names."""
    for found in mark.finditer(text):
        tail = text[found.end() :].lstrip()
        window, shown = _named_first(tail, said_at, assume_past=start)
        if window is None:
            continue
        moment = window.end if "through" in found[0].lower() else window.start
        if not EARLIEST < moment < LATEST:
            continue
        after = tail[len(shown) :]
        after = re.sub(r"^\s*on(?:wards?)?\b", "", after)
        return (text[: found.start()] + " " + after.lstrip(" ,")).strip(), moment
    return text, None


def _named_first(tail: str, said_at: datetime, *, assume_past: bool) -> tuple[TimeWindow | None, str]:
    """The time with which *tail* begins, and its words."""
    for lead in ("", "in ", "on "):  # "May" alone may be a verb, "in May" is a month
        for window in find_windows(lead + tail[:40], said_at, assume_past=assume_past)[:1]:
            shown = window.text.removeprefix(lead) if window.text.startswith(lead) else window.text
            if tail.lower().startswith(shown.lower()):
                return window, shown
    return None, ""


_OPENING_TIME = re.compile(r"^(?:on|in|at|over|during|by)?\s*$", re.IGNORECASE)


def _dated(text: str, said_at: datetime) -> tuple[str, datetime | None]:
    """The text without a time at its very end or beginning that dates an event ("last week", "in March 2024").

    A time right after "is", "on" or "to" may be the value itself, and stays.
    """
    windows = find_windows(text, said_at)
    for window in windows:
        place = text.find(window.text)
        if place < 0 or not EARLIEST < window.start < LATEST:
            continue
        if window.text.lower().startswith(("from ", "between ", "until ", "before ", "after ")):
            continue
        head, tail = text[:place].rstrip(), text[place + len(window.text) :].lstrip(" ,")
        if not tail:
            cut = re.sub(r"\s+(?:in|on|during|over|at|around|about|back in|earlier)$|,$", "", head)
            last = cut.rsplit(" ", 1)[-1].lower()
            if len(cut.split()) < 3 or last in _KEEPS or _IS_WHEN.search(cut):
                continue
            return cut, window.start
        if _OPENING_TIME.match(head):
            return tail, window.start
    return text, None


_KEEPS = frozenset("is are was were to from for until till by at of than at between and or every each on".split())
_IS_WHEN = re.compile(
    r"\b(?:(?:is|are)(?! (?!leaving|arriving|departing|starting|ending|opening|closing|meeting)\w+ing\b"
    r"| based| married| called| allergic)"
    r"|takes? place|scheduled|due|starts?|begins?"
    r"|ends?|opens?"
    r"|closes?|leaves?|arrives?|departs?|meets?|expires?)\b",
    re.IGNORECASE,
)
