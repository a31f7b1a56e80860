"""Phone numbers in whatever groups their country writes them, where a label stands right before or right behind them.

By form alone `60-56-85-91` and `99 668472` could be anything; after *Phone:*, after *call me on* or before *-Fax* they
are numbers that somebody answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LETTER = "0-9A-Za-z_\u00aa-\u0dff\u1e00-\u1fff"
"""Letters and digits, but those of scripts without spaces."""

_START = rf"(?<![{_LETTER}/#$€£+.-])(?<!\d[,:])"
_STOP = rf"(?![{_LETTER}/%]|-\d|[.,:]\d)"
_EXTENSION = r"x\d{1,6}"
_GROUPS = re.compile(
    rf"{_START}(?:\(\d{{2,6}}\)|\d{{1,12}})(?:(?:/ ?|[ \u00a0-]|(?<=\)))(?:\(\d{{2,6}}\)|\d{{1,11}})){{0,6}}{_STOP}",
)
_AMERICAN = re.compile(
    rf"{_START}(?:(?:\+|00)?\d{{1,3}}[-. ])?(?:\(\d{{3}}\) ?|\d{{3}}[-.])\d{{3}}[-.]\d{{4}}(?:{_EXTENSION})?{_STOP}"
    rf"|(?<![{_LETTER}/#$€£.-])\+\d{{1,3}}[-. ]?\(?\d{{3}}\)?[-. ]?\d{{3}}[-. ]?\d{{4}}{_EXTENSION}(?!\w)"
)
"""Three, three and four, as in North America, also with an extension; whether the area exists is not asked."""

_THOUSANDS = re.compile(r"\d{1,3}(?: \d{3})+|\d{1,3}(?:-\d{3})+")
_PAIRS = re.compile(r"\d\d(?:([ -])\d\d)(?:\1\d\d)+")
_YEARS = re.compile(r"(?:(?:1[89]|20)\d\d[ -]?)+")
_DAY = re.compile(
    r"(?:(?:1[89]|20)\d\d([- /])\d\d?\1\d\d?|\d\d?([- /])\d\d?\2(?:1[89]|20)\d\d|\d\d?([-/])\d\d?\3\d\d)(?: \d\d?)?"
)

_CALLS = r"(?:call|ring|dial|text|phone|contact|reach)(?:ed|ing|s)?"
_BEFORE = re.compile(
    r"\b(?:(?:tele|mobile |cell |home |work |office |smart)?phone(?: (?:no|number|nr|#))?|tel|mobile|mob|cell|fax"
    r"|landline|whatsapp|gsm|hotline|handy|telefon\w*|telefoon\w*|tel[ée]fono|t[ée]l[ée]phone|telefone|cellulare"
    r"|celular|m[óo]vil|portable|puhelin"
    rf"|{_CALLS}(?: (?:me|us|him|her|them|back|it))*(?: (?:at|on|under))?"
    rf"|{_CALLS}(?: [^\W\d_]{{1,20}}){{1,3}} (?:at|on|under)|emergency contact\b[^.!?\d]{{0,30}}"
    r"|(?:answer(?:s|ing)?|picks? up|available|reachable|reached) (?:at|on|under)"
    r"|(?:messages?|sms|texts?) (?:to|from|on)|my registered"
    r"|(?:my|his|her|their|our|new|old|whose|business|contact|mobile|cell|registered) (?:number|no))\b"
    r"[^\w.!?]{0,4}(?:is|now|under|at|ist|est|es|è)?[^\w.!?]{0,4}$",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\s?[-\u2013,(\\]{0,2}\s?(?:office|home|work|mobile?|mob|cell|fax|tel|phone|direct|landline|handy|büro"
    r"|bureau)\b",
    re.IGNORECASE,
)
_REACHED = re.compile(r"\b(?:reach|text|ring|contact|signal)(?:ed|ing|s)?\W{0,4}$", re.IGNORECASE)
NEAR = 36


def american_in(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers stand in the groups of North America; what else they may number is for the caller to ask."""
    yield from (found.span() for found in _AMERICAN.finditer(text))


def called_in(text: str) -> Iterator[tuple[int, int]]:
    """Where numbers of 6 to 15 digits stand whose label says that one calls them; dates, years and counts do not."""
    for found in _GROUPS.finditer(text):
        written, (start, end) = found[0], found.span()
        groups = re.findall(r"\d+", written)
        digits = sum(map(len, groups))
        if not (_PAIRS.fullmatch(written) or 7 <= digits <= 15):
            continue
        if _YEARS.fullmatch(written) or _DAY.fullmatch(written):
            continue
        if max(map(len, groups)) < 3 and not _PAIRS.fullmatch(written):
            continue
        before = text[max(0, start - NEAR) : start]
        if _THOUSANDS.fullmatch(written) and _REACHED.search(before):
            continue
        if _BEFORE.search(before) or _BEHIND.match(text, end, end + NEAR):
            yield start, end
