"""What a statement says, as words with roles: whose it is, what it is about, what it denies, ends, changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from memos_integrations.core.claims import statements_of
from memos_integrations.core.claims.plainer import plainly
from memos_integrations.core.contrast.ending import ended_in
from memos_integrations.core.contrast.holder import holder_of
from memos_integrations.core.contrast.lexicon import (
    BEGINNING,
    CHANGING,
    DETERMINERS,
    FILLERS,
    IRREGULAR,
    ME,
    NEGATIONS,
    OPPOSED,
    root,
)
from memos_integrations.core.contrast.marks import (
    BESIDES,
    CORRECTING,
    DROPPED,
    ENDED,
    FRESH,
    GIVEN_UP,
    PASSING,
    PAST,
    PLANNED,
    SUBSTITUTES,
    SUCCESSION,
    UNSURE,
    WISHES,
)
from memos_integrations.core.contrast.turns import LIVES
from memos_integrations.core.contrast.word import Word, heads_of, owners_of, qualifiers_of, word_of
from memos_integrations.core.text.chat import apostrophised
from memos_integrations.core.text.words import fold

_WORD = re.compile(r"[A-Za-z]\w*(?:[._]\w+)+|\d+(?:st|nd|rd|th)\b|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['-][^\W\d_]+)*")


_QUOTED = re.compile(r"[\"“„«][^\"”“»]{3,}[\"”“»]")


_REPORTED = re.compile(
    r"\b(?:says?|said|saying|wrote|writes|asked|asks|goes|motto|replied|claims?|told me)\b", re.IGNORECASE
)


_SPLIT = re.compile(r"\s*[;:]\s+|,\s+|\s+(?:but|because|although|while|whereas|so that|weil|aber|porque|pero|sino)\s+|"
                    r"\s+and\s+(?=(?:nobody|everybody|everyone|i|we|he|she|they|it|now|is|am|are|has|have|bought|got"
                    r"|adopted|joined|rented"
                    r"|began|works?|joined|started|took|installed|switched)\s)", re.IGNORECASE)  # fmt: skip


_SHORT = [(re.compile(pattern, re.IGNORECASE), into) for pattern, into in (
    (r"\bcan't\b|\bcannot\b", "can not"), (r"\bwon't\b", "will not"), (r"n't\b", " not"), (r"'ve\b", " have"),
    (r"'re\b", " are"), (r"'ll\b", " will"), (r"'m\b", " am"), (r"'d\b", " would"),
    (r"\b(it|he|she|that|there|what|here)'s\b", r"\1 is"),
    (r"\b([a-z]\w+)'s (?=(?:now|not|no longer|back"
     r"|alive|dead|broken|fine|gone|open|closed|ready|full|empty|over|fixed)\b)", r"\1 is "),
)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saying:
    """One clause. `holder`: whose it is ({"@me"}, names, kin; empty for a thing). `matter`: its content words.

    `owners` of a word: whose it is said to be; `kept_apart`: the words before it, and after "for" and "of", that say
    which one is meant; `heads`: what a name before a noun belongs to; `numbered`: the number of what it tells of ("the
    tenant of flat 5 owes"); `acts`: the roots of all its words.
    """

    words: tuple[Word, ...]
    holder: frozenset[str]
    names: frozenset[str]
    scales: frozenset[tuple[int, int]]
    ending: frozenset[str] = frozenset()
    denied: bool = False
    denied_at: int = -1
    ended: bool = False
    changes: bool = False
    begins: bool = False
    acts: frozenset[str] = frozenset()
    owners: dict[str, frozenset[str]] = field(default_factory=dict)
    kept_apart: dict[str, frozenset[str]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    numbered: dict[str, str] = field(default_factory=dict)
    matter: dict[str, Word] = field(default_factory=dict)
    lows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence: its clauses, and the marks that count for all of it; `small`: its words that are no names."""

    text: str
    sayings: tuple[Saying, ...]
    fresh: bool
    ended: bool
    corrects: bool
    succeeds: bool
    besides: bool
    unsure: bool
    past: bool
    passing: bool
    quoted: bool
    wish: str = ""
    instead: bool = False
    drops: bool = False
    planned: bool = False
    small: frozenset[str] = frozenset()

    @property
    def roots(self) -> frozenset[str]:
        """The roots of all its content."""
        return frozenset(each for saying in self.sayings for each in saying.matter)

    @property
    def mentions(self) -> frozenset[str]:
        """Everybody and everything that it names, whoever's it is."""
        return frozenset().union(*(saying.names for saying in self.sayings))


@lru_cache(maxsize=1 << 12)
def said(text: str) -> tuple[Statement, ...]:
    """The statements of a text."""
    alone = [text] if len(text.split()) == 1 and not text.endswith("?") else []
    return tuple(_statement(sentence) for sentence in (statements_of(text) or alone)[:6])


def is_in_passing(sentence: str) -> bool:
    """Whether a sentence says that something is so for once, besides, or perhaps, so that what was said still holds."""
    plain = fold(_written_out(sentence))
    passing = PASSING.search(plain) is not None and FRESH.search(PASSING.sub("", plain)) is None
    return passing or BESIDES.search(plain) is not None


def says_news(sentence: str) -> bool:
    """Whether a sentence says that something is new, changed, or put right."""
    return any(each.fresh or each.corrects for each in said(sentence))


def frames_of(text: str) -> tuple[tuple[str, str], ...]:
    """(whose it is, the frame) of what a text states: ("@me", "@reside") of "I live in Bonn", "We moved to Bonn"."""
    sayings = [saying for statement in said(text) for saying in statement.sayings if saying.holder]
    found = [(_whose(saying), key) for saying in sayings for key in saying.matter if key.startswith("@")]
    lives = [
        (_whose(saying), line)
        for saying in sayings
        for key in sorted(saying.acts & LIVES.keys())
        for line in sorted(LIVES[key])
    ]
    births = [("@me", line) for holder, line in lives if line == "@life0" and holder != "@me"]  # whoever gives birth
    return tuple(dict.fromkeys([*found, *lives, *births]))


def _whose(saying: Saying) -> str:
    return "@me" if "@mine" in saying.holder else min(saying.holder)


def _statement(sentence: str) -> Statement:
    sentence = _written_out(sentence)
    plain = fold(sentence)
    changed = any(root(word) in CHANGING and word not in _GROWING for word in _WORD.findall(plain))
    return Statement(
        sentence,
        tuple(_sayings(sentence)),
        fresh=FRESH.search(plain) is not None or changed,
        ended=ENDED.search(plain) is not None,
        corrects=CORRECTING.search(plain) is not None,
        succeeds=SUCCESSION.search(plain) is not None or GIVEN_UP.search(plain) is not None,
        besides=BESIDES.search(plain) is not None,
        unsure=UNSURE.search(_REASON.sub("", plain)) is not None,
        past=PAST.search(_SINCE_WHEN.sub("", plain)) is not None,
        passing=PASSING.search(plain) is not None,
        quoted=_QUOTED.search(sentence) is not None or (":" in sentence and _REPORTED.search(plain) is not None),
        wish=root(wish[1]) if (wish := WISHES.search(plain)) else "",
        instead=SUBSTITUTES.search(plain) is not None,
        planned=PLANNED.search(plain) is not None,
        drops=DROPPED.search(plain) is not None,
        small=frozenset(root(word) for word in _WORD.findall(sentence) if word[0].islower() or word[1:].isupper()),
    )


_GROWING = frozenset({"grow", "grows", "growing"})
"""What grows somewhere, or is grown, is no news."""


_SINCE_WHEN = re.compile(r"\bsince (?:i|we|he|she|they|it|the|my|our) .*$")
"""Since when something is so is told of the past; that it is so is not."""


_REASON = re.compile(r"\b(?:because|weil|porque)\b.*$")
"""Why something is so is no part of whether it is so."""


def _written_out(sentence: str) -> str:
    plain = apostrophised(_YES.sub("", sentence.replace("’", "'")))  # noqa: RUF001
    for pattern, into in _SHORT:
        plain = pattern.sub(into, plain) if "'" in plain or "cannot" in plain else plain
    return plainly(plain)


_YES = re.compile(r"\bsí\s", re.IGNORECASE)
"""Without its accent it would be "if"."""


def _sayings(sentence: str) -> Iterator[Saying]:
    told = _SHORT_FIELD.sub(r"\1 \2", " ".join(sentence.split()).rstrip(".!"))
    parts = [part for part in _SPLIT.split(told) if part and part.strip()]
    before: Saying | None = None
    for part in parts:
        tokens = _WORD.findall(part)
        if tokens:
            saying = replace(_saying(tokens), ended=ENDED.search(fold(part)) is not None)
            leans = tokens[0].lower() in _LEANING and before is not None and not saying.holder - {"it"}
            if leans and before is not None:
                saying = _leaning(saying, before)
            elif before is not None and (tokens[0].lower() in _GOING_ON or _is_bare(saying, tokens[0])):
                saying = replace(saying, holder=before.holder)
            before = saying
            yield saying


_SHORT_FIELD = re.compile(
    r"^(\w[\w'/-]*(?: [\w'/-]+){0,5})(?<!ed):\s+((?!(?:my|our|the|i|we|he|she|they|it|please|not"
    r"|no)\b)[^\s,]+(?: [^\s,]+){0,4})$",
    re.IGNORECASE,
)
"""What a note tells by a colon: "Budget for the offsite: 12k"."""


def _is_bare(saying: Saying, first: str) -> bool:
    return not saying.holder and first.lower() not in DETERMINERS


def _leaning(saying: Saying, before: Saying) -> Saying:
    """The clause with the subject of the one before: "it is green", "not Viktor"."""
    matter = {key: word for key, word in before.matter.items() if not word.kind or key in before.holder}
    return replace(
        saying,
        holder=before.holder,
        names=saying.names | before.names,
        owners=before.owners | saying.owners,
        kept_apart=before.kept_apart | saying.kept_apart,
        matter=matter | saying.matter,
    )


_GOING_ON = frozenset("bought got adopted joined rented began".split())
"""Verbs that a clause may begin with whose subject is that of the one before: "Jonas sold it and bought a boat"."""


_LEANING = frozenset("it he she they not now er sie es nicht".split())


def _saying(tokens: list[str]) -> Saying:
    lows = [fold(token).removesuffix("'s").removesuffix("'") for token in tokens]
    words = tuple(word_of(tokens, lows, place) for place in range(len(tokens)))
    content = [word for word in words if word is not None]
    holder = holder_of(tokens, lows)
    scaled = [
        low
        for low, after in zip(lows, [*lows[1:], ""], strict=True)
        if not (after and low in _PARTICLES) and not (low in _RUNS and after in {"on", "in", "at"})
    ]
    scales = {scale for low in scaled if low not in NEGATIONS for scale in OPPOSED.get(root(low), ())}
    return Saying(
        tuple(content),
        holder,
        frozenset(_names(lows)),
        frozenset(scales),
        frozenset(ended_in(tokens, lows)),
        denied=any(low in NEGATIONS for low in lows),
        denied_at=next((place for place, low in enumerate(lows) if low in _NO), -1),
        changes=any(root(low) in CHANGING and low not in _GROWING for low in lows),
        owners={word.root: found for word in content if (found := owners_of(tokens, lows, word))},
        acts=frozenset(map(root, lows)),
        kept_apart={word.root: found for word in content if (found := qualifiers_of(content, word) - holder)},
        heads=dict(heads_of(content)),
        numbered=dict(_numbered(lows)),
        begins=any(root(low) in BEGINNING for low in lows),
        matter={word.root: word for word in content},
        lows=tuple(lows),
    )


_PARTICLES = frozenset({"on", "off", "last", "up", "down"})
_RUNS = frozenset({"run", "runs", "work", "works"})
"""What runs on something is told by that, not that it runs."""
_NO = frozenset({"no", "not"})


def _numbered(lows: list[str]) -> Iterator[tuple[str, str]]:
    """Things with their numbers, of which something is told: a verb follows."""
    for noun, number, verb in zip(lows, lows[1:], lows[2:], strict=False):
        told = verb in _AUXILIARIES or verb in IRREGULAR or (verb.endswith(("ed", "es")) and verb not in FILLERS)
        if number[0].isdigit() and told and noun not in FILLERS and not noun[0].isdigit():
            yield root(noun), number


_AUXILIARIES = frozenset("is are was were has have had does do will can must ist sind hat haben es esta tiene".split())


def _names(lows: list[str]) -> Iterator[str]:
    for low in lows:
        yield "@me" if low in ME else root(low)
