"""Words: search terms, sentences, tags and a token estimate."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from memos_integrations.core.kept import Kept
from memos_integrations.core.text.stem import stem

# Function words only. "may" and "will" stay searchable: they are also a month and a name.
STOP_WORDS = frozenset(
    """
    a an the this that these those some any each every either neither both all such same own other another
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves who whom whose which what when where why how
    everyone everybody everything someone somebody something anyone anybody anything nobody nothing
    am is are was were be been being do does did doing done have has had having can could would should shall might must
    and or but nor if then than so because as until while before after since now of at by for with about against
    between into through during to from in out on off onto upon over under again further here there only too very just
    also not no yes
    im ive id ill youre youve youd youll hes shes its theyre theyve theyd theyll weve thats whats wheres whos whens hows
    theres heres lets isnt arent wasnt werent dont doesnt didnt havent hasnt hadnt cant cannot couldnt wont wouldnt
    shouldnt mustnt aint
    """.split()
)

# Content words that say little about what a text is about: searched for, but neither tags nor topics.
LIGHT_WORDS = frozenset(
    """
    go goes went going gone come came say says said tell tells told talk talked talking mention mentioned discuss
    discussed think thinks thought know knows knew mean means feel felt feels like likes liked love loves loved want
    wants wanted
    need needs needed get gets got getting make makes made take takes took give gives gave find found see sees saw look
    looks looked use uses used keep kept put let try tried start started live lived lives work worked works happen
    happened remember visit visited buy bought meet met first last next new old ago one two three thing things lot lots
    way bit time day days week weeks month months year years today yesterday tomorrow tonight really even still always
    never ever much many more most well good great nice sure maybe back will may longer anymore
    """.split()
)

# Marks that Unicode normalisation splits off and that readers leave out: Latin, Greek and Cyrillic accents, Hebrew
# points, Arabic vowel signs. The vowel signs of Indic and Thai scripts are letters in all but name and stay.
_DIACRITICS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0670]+")
_UNDIVIDED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"}
)

_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‘": "'", "＇": "'"})  # noqa: RUF001 - the look-alikes are the point
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_SIGNS = "\u0900-\u0963\u0970-\u0dff\u0e30-\u0e4e\u0eb1-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
_WORD = re.compile(rf"(?:[^\W_]|[{_SIGNS}])+(?:'(?:[^\W_]|[{_SIGNS}])+)*")
_CJK = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_CJK_RUN = re.compile(f"([{_CJK}]+)")

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”]*|\n+")  # noqa: RUF001
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|no|approx|dept|inc|ltd|fig|a\.m|p\.m)|\b[a-z]"
    r"|\b(?:[a-z]\.)+[a-z])\.$",
    re.IGNORECASE,
)
_PIECE = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")
_ASCII_TOKEN = re.compile(r"[A-Za-z]{1,7}|[^A-Za-z\s]")
"""One match for each token that `_piece_tokens` counts."""


def terms(text: str) -> list[str]:
    """The terms that full-text search compares, in order, with repeats.

    Compatibility forms (NFKC), case and diacritics are folded; the text is split at everything that is not a letter
    or a digit; the possessive 's, an elided letter (o'clock, l'hiver) and inner apostrophes go; `STOP_WORDS` go; what
    is left is stemmed. If every word is a stop word they are all kept, so that "to be or not to be" can be found.

    Chinese, Japanese and Korean runs give overlapping character pairs, because they are written without reliable
    spaces and pairs need no dictionary (the indexing unit of Lucene's `CJKBigramFilter`); a lone character stands
    for itself.
    """
    return _content(words_of(text))


def _content(words: list[str]) -> list[str]:
    content = [term for term in map(_term, words) if term is not None]
    return content or words


@lru_cache(maxsize=1 << 14)
def _term(word: str) -> str | None:
    """The term that a word is searched by; None for a stop word."""
    return None if word in STOP_WORDS else stem(word)


def terms_and_keywords(text: str, speaker: str | None = None) -> tuple[list[str], tuple[str, ...]]:
    """`terms` of the text under the name of who said it, and `keywords` of the text alone, in one walk over it."""
    words = words_of(text)
    known = [*map(_KNOWN.__getitem__, words)]
    keys = _most(known, 5)
    if speaker and not (text.isascii() and speaker.isascii()):
        return _content(words_of(f"{speaker}: {text}")), keys
    named = [*map(_term, words_of(speaker))] if speaker else []
    content = [term for term in named if term is not None] + [each[0] for each in known if each[0] is not None]
    return content or [*(words_of(speaker) if speaker else ()), *words], keys


def sentences(text: str) -> list[str]:
    """The sentences of a text, stripped, in order; line breaks end one, usual abbreviations do not."""
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end.group().startswith(".") and _is_abbreviation(text, end.end()):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def keywords(text: str, k: int = 5) -> tuple[str, ...]:
    """At most *k* content words as they stand in the text, in lower case: the most frequent first, then the longest.

    Forms of one word ("run", "running") count together and are shown as first met. Left out: stop words, words that
    say little ("went", "really"), numbers, and words of fewer than three letters except in scripts without spaces.
    """
    return _ranked(words_of(text), k)


def _ranked(words: list[str], k: int) -> tuple[str, ...]:
    return _most(map(_KNOWN.__getitem__, words), k)


_Known = tuple[str | None, str | None, str, int]
"""Of a word: the term that it is searched by, the stem under which it counts as a keyword, itself, its weight."""


def _most(known: Iterable[_Known], k: int) -> tuple[str, ...]:
    shown: dict[str, str] = {}
    weights: dict[str, int] = {}  # how often, then how long: in one number, which needs no Python to be compared
    for _, stemmed, word, weight in known:
        if stemmed in weights:
            weights[stemmed] += _ONCE
        elif stemmed is not None:
            shown[stemmed], weights[stemmed] = word, weight
    ranked = sorted(weights, key=weights.__getitem__, reverse=True)  # stable: first met wins a tie
    return tuple([shown[key] for key in ranked[: max(k, 0)]])


_ONCE = 1 << 32


def _is_light(word: str) -> bool:
    """Whether a word that is searched for cannot be a keyword."""
    if word in LIGHT_WORDS or word.isdigit():
        return True
    return len(word) < 3 and _CJK_RUN.match(word) is None


def _as_known(word: str) -> _Known:
    term = _term(word)
    # A stop word is no keyword, and the stem of any other is its term.
    return term, None if term is None or _is_light(word) else term, word, _ONCE + len(word)


_KNOWN: Kept[str, _Known] = Kept(_as_known, 1 << 16)


def estimate_tokens(text: str) -> int:
    """About how many tokens a byte-pair vocabulary of some 50,000 entries makes of a text.

    A rule of thumb: one token for each digit and each sign, one for each seven letters of a word or part of them,
    and one for each character outside the Latin alphabets. An empty text has none. Meant for budgets; count with
    the model's own tokenizer where exactness matters.
    """
    if text.isascii():
        return len(_ASCII_TOKEN.findall(text))
    return sum(_piece_tokens(piece) for piece in _PIECE.findall(text))


def fold(text: str) -> str:
    """*text* with compatibility forms, case, diacritics and apostrophe shapes folded together."""
    if text.isascii():
        return text.lower()
    opened = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _DIACRITICS.sub("", opened)).translate(_UNDIVIDED).translate(_APOSTROPHES)


def words_of(text: str) -> list[str]:
    """The words of a text in order, folded, stop words too; of CJK runs the overlapping pairs."""
    folded = fold(text)
    if folded.isascii():
        found = _ASCII_WORD.findall(folded)
        return [_without_apostrophe(word) for word in found] if "'" in folded else found
    return [piece for word in _WORD.findall(folded) for piece in _pieces(_without_apostrophe(word))]


def _without_apostrophe(word: str) -> str:
    start = 0
    while word[start : start + 1] != "'" == word[start + 1 : start + 2] and len(word) - start > 4:
        start += 2  # who asks for a clock, or "hiver", means this word too
    word = word[start:]
    if "'" not in word:
        return word
    owner, _, rest = word.partition("'")
    return owner if rest == "s" and owner not in _CONTRACTED else word.replace("'", "")


# "it's" is "it is", a stop word like its parts; "Ana's" is Ana.
_CONTRACTED = frozenset("it that what where who when how there here let he she".split())


def _pieces(word: str) -> list[str]:
    """A word as search units: CJK runs in it as overlapping pairs, the rest whole."""
    pieces: list[str] = []
    for run in _CJK_RUN.split(word):
        if not run:
            continue
        is_pairs = len(run) > 1 and _CJK_RUN.match(run) is not None
        pieces += [run[i : i + 2] for i in range(len(run) - 1)] if is_pairs else [run]
    return pieces


def _is_abbreviation(text: str, end: int) -> bool:
    """Whether the full stop before *end* closes an abbreviation and not the sentence."""
    tail = text[max(0, end - 12) : end]
    following = text[end : end + 40].lstrip()
    if not following or not _ABBREVIATION.search(tail):
        return False
    closes_clock = tail.lower().endswith((".m.", "etc."))
    is_pronoun_i = tail.endswith(" I.")
    return following[0].islower() or not (closes_clock or is_pronoun_i)


def _piece_tokens(piece: str) -> int:
    if piece.isascii() or "\u00c0" <= piece[0] <= "\u024f":
        return -(-len(piece) // 7)
    return len(piece)
