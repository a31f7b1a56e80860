"""What a statement says, as words with roles: whose it is, what it is about, what it denies, ends, changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from memos_integrations.core.claims import statements_of
from memos_integrations.core.claims.claim import KINDS
from memos_integrations.core.contrast.lexicon import (
    BEGINNING,
    BESIDES,
    CHANGING,
    CORRECTING,
    DAYS,
    DETERMINERS,
    ENDED,
    ENDING,
    ENDING_PAIRS,
    FILLERS,
    FRAMES,
    FRESH,
    GIVEN_UP,
    KIN,
    MANY,
    ME,
    MONTHS,
    NEGATIONS,
    NUMERALS,
    OPPOSED,
    ORDINALS,
    OVER,
    PARTS,
    PASSING,
    PAST,
    SUCCESSION,
    UNSURE,
    root,
)
from memos_integrations.core.text.words import fold

_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['-][^\W\d_]+)*")
_QUOTED = re.compile(r"[\"“„«][^\"”“»]{3,}[\"”“»]")
_REPORTED = re.compile(r"\b(?:says?|said|saying|wrote|writes|asked|asks|goes|motto|replied|claims?|told me)\b", re.IGNORECASE)
_SPLIT = re.compile(r"\s*[;:]\s+|,\s+|\s+(?:but|because|although|while|whereas|so that|weil|aber|porque|pero|sino)\s+|"
                    r"\s+and\s+(?=(?:i|we|he|she|they|it|now|is|am|are|has|have)\s)", re.IGNORECASE)  # fmt: skip
_KIND_OF = {root(word): kind for kind, words in KINDS.items() for word in words}
_SHORT = [(re.compile(pattern, re.IGNORECASE), into) for pattern, into in (
    (r"\bcan't\b|\bcannot\b", "can not"), (r"\bwon't\b", "will not"), (r"n't\b", " not"), (r"'ve\b", " have"),
    (r"'re\b", " are"), (r"'ll\b", " will"), (r"'m\b", " am"), (r"'d\b", " would"),
    (r"\b(it|he|she|that|there|what|here)'s\b", r"\1 is"),
)]  # fmt: skip
_OPENERS = frozenset("actually sorry please correction update note fyi now currently today recently"
                     " so and but no well because then also turns jetzt ahora ya".split())  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its root (or the frame it belongs to), and the kind of value it may be."""

    low: str
    root: str
    place: int = 0
    lead: str = ""
    kind: str = ""
    after_determiner: bool = False
    predicate: bool = False
    indefinite: bool = False
    unit: str = ""

    @property
    def is_value(self) -> bool:
        """Whether it is a number, a time, a name or one of a closed kind."""
        return bool(self.kind)


@dataclass(frozen=True, slots=True)
class Saying:
    """One clause. `holder`: whose it is ({"@me"}, names, kin; empty for a thing). `matter`: its content words.

    `owners` of a word: whose it is said to be; `kept_apart`: the words before it, and after "for" and "of", that say
    which one is meant; `heads`: what a name before a noun belongs to.
    """

    words: tuple[Word, ...]
    holder: frozenset[str]
    names: frozenset[str]
    scales: frozenset[tuple[int, int]]
    ending: frozenset[str] = frozenset()
    denied: bool = False
    ended: bool = False
    changes: bool = False
    begins: bool = False
    owners: dict[str, frozenset[str]] = field(default_factory=dict)
    kept_apart: dict[str, frozenset[str]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    matter: dict[str, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence: its clauses, and the marks that count for all of it."""

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
    found = ((_whose(saying), key) for saying in sayings for key in saying.matter if key.startswith("@"))
    return tuple(dict.fromkeys(found))


def _whose(saying: Saying) -> str:
    return "@me" if "@mine" in saying.holder else min(saying.holder)


def _statement(sentence: str) -> Statement:
    sentence = _written_out(sentence)
    plain = fold(sentence)
    changed = any(root(word) in CHANGING for word in _WORD.findall(plain))
    return Statement(
        sentence,
        tuple(_sayings(sentence)),
        fresh=FRESH.search(plain) is not None or changed,
        ended=ENDED.search(plain) is not None,
        corrects=CORRECTING.search(plain) is not None,
        succeeds=SUCCESSION.search(plain) is not None or GIVEN_UP.search(plain) is not None,
        besides=BESIDES.search(plain) is not None,
        unsure=UNSURE.search(plain) is not None,
        past=PAST.search(plain) is not None,
        passing=PASSING.search(plain) is not None,
        quoted=_QUOTED.search(sentence) is not None or (":" in sentence and _REPORTED.search(plain) is not None),
    )


def _written_out(sentence: str) -> str:
    plain = sentence.replace("’", "'")  # noqa: RUF001
    for pattern, into in _SHORT:
        plain = pattern.sub(into, plain) if "'" in plain or "cannot" in plain else plain
    return plain


def _sayings(sentence: str) -> Iterator[Saying]:
    parts = [part for part in _SPLIT.split(sentence.rstrip(".!")) if part and part.strip()]
    before: Saying | None = None
    for part in parts:
        tokens = _WORD.findall(part)
        if tokens:
            saying = replace(_saying(tokens), ended=ENDED.search(fold(part)) is not None)
            leans = tokens[0].lower() in _LEANING and before is not None and not saying.holder - {"it"}
            if leans and before is not None:
                saying = _leaning(saying, before)
            elif before is not None and not saying.holder and tokens[0].lower() not in DETERMINERS:
                saying = replace(saying, holder=before.holder)
            before = saying
            yield saying


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


_NEWS = frozenset("new current former previous latest updated last own next".split())
_LEANING = frozenset("it he she they not now er sie es nicht".split())


def _saying(tokens: list[str]) -> Saying:
    lows = [fold(token).removesuffix("'s").removesuffix("'") for token in tokens]
    words = tuple(_word(tokens, lows, place) for place in range(len(tokens)))
    content = [word for word in words if word is not None]
    scales = {
        scale for low in lows if low not in {"like", "on", "off", "last"} or low == "like" for scale in OPPOSED.get(root(low), ())
    }
    return Saying(
        tuple(content),
        _holder(tokens, lows),
        frozenset(_names(lows)),
        frozenset(scales),
        frozenset(_ended(tokens, lows)),
        denied=any(low in NEGATIONS for low in lows),
        changes=any(root(low) in CHANGING for low in lows),
        owners={word.root: found for word in content if (found := _owners(tokens, lows, word))},
        kept_apart={word.root: found for word in content if (found := _qualifiers(content, word))},
        heads=dict(_heads(content)),
        begins=any(root(low) in BEGINNING for low in lows),
        matter={word.root: word for word in content},
    )


def _owners(tokens: list[str], lows: list[str], word: Word) -> frozenset[str]:
    """Whose a thing is said to be: "my", or the name with an apostrophe before it."""
    for place in range(word.place - 1, max(-1, word.place - 4), -1):
        if tokens[place].endswith(("'s", "s'")):
            return frozenset({root(lows[place])})
        if lows[place] in POSSESSIVE_ME:
            return frozenset({"@me"})
        if lows[place] in FILLERS and lows[place] not in _NEWS:
            break
    behind = word.place + 1
    if lows[behind : behind + 1] == ["of"]:  # "the number of Ana's phone"
        named = [place for place in range(behind + 1, min(behind + 3, len(lows))) if tokens[place].endswith(("'s", "s'"))]
        return frozenset(root(lows[place]) for place in named[:1])
    return frozenset()


def _heads(content: list[Word]) -> Iterator[tuple[str, str]]:
    """The names that stand before a noun, with it: "the Cobalt review"."""
    for one, other in zip(content, content[1:], strict=False):
        noun = not (other.kind or other.root in MANY | CHANGING or other.root.startswith("@"))
        if one.kind == "name" and noun and other.place == one.place + 1:
            yield one.root, other.root


def _qualifiers(content: list[Word], word: Word) -> frozenset[str]:
    """The words that say which one is meant: "the small box", "the deadline for the tax return"."""
    if word.root in MANY or word.root in CHANGING or word.root.startswith("@"):
        return frozenset()
    found, places = set[str](), {each.place: each for each in content}
    place = word.place - 1
    while (each := places.get(place)) is not None and each.kind not in {"number", "time"}:
        found.add(each.root)
        if each.after_determiner:
            break
        place -= 1
    else:
        found.clear()  # what stands there is no noun phrase
    after = next((each for each in content if each.place > word.place), None)
    if after is not None and after.lead in {"for", "of"} and after.place <= word.place + 3 and not after.predicate:
        found.add(after.root)
    return frozenset(found)


def _word(tokens: list[str], lows: list[str], place: int) -> Word | None:
    low = lows[place]
    plain = root(low)
    after = place == 0 or lows[place - 1] in DETERMINERS
    if after and place and plain in ENDING:
        plain = low  # "the left knee", "a finished book": no verb
    if low in FILLERS or (plain in ENDING and plain not in FRAMES) or low in OVER:
        return None
    framed = FRAMES.get(plain, plain)
    framed = plain if low in {"call", "calls", "calling"} else framed
    kind = _kind(tokens, lows, plain, place)
    kind = "" if kind == "standing" and framed.startswith("@") else kind
    said_of = any(each in _COPULAS for each in lows[:place])
    back = 2 if place > 1 and lows[place - 1] in DETERMINERS else 1
    lead = lows[place - back] if place else ""
    kind = "" if kind == "name" and lead in _WITH else kind
    one_of_many = any(each in _INDEFINITE for each in lows[max(0, place - 2) : place])
    unit = lows[place + 1] if kind == "number" and place + 1 < len(lows) and lows[place + 1] not in FILLERS else ""
    return Word(low, framed, place, lead, kind, after, said_of, one_of_many, root(unit) if unit else "")


def _kind(tokens: list[str], lows: list[str], plain: str, place: int) -> str:  # noqa: PLR0911 - a table of kinds
    token, low, lead = tokens[place], lows[place], lows[place - 1] if place else ""
    if token[0].isdigit():
        return "time" if ":" in token or lead in _BEFORE_TIMES else "number"
    if low in NUMERALS:
        return "number"
    if low in ORDINALS:
        return "ordinal"
    if low in DAYS or low.removesuffix("s") in DAYS:
        return "day"
    if low in MONTHS and token[0].isupper():
        return "month"
    if plain in _KIND_OF:
        return _KIND_OF[plain]
    if place > 0 and token[0].isupper():
        return "name"
    if low in PARTS:
        return ""
    if lead == "to" and "next" in lows[:place]:
        return "place"
    return "place" if {lead, lows[place - 2] if place > 1 and lead in DETERMINERS else ""} & _BEFORE_PLACES else ""


_COPULAS = frozenset("is are am was were be been ist sind es son".split())
_LEADS = frozenset("as in on at during since from for every each after before by until im am seit en desde".split())
_WHICH = frozenset("of last next this these those other few most recent".split())
_WITH = frozenset("with mit con".split())
_INDEFINITE = frozenset("a an ein eine einen un una".split())
_TIMES = DETERMINERS | PARTS | DAYS | MONTHS | _WHICH
_NOUN_FOLLOWS = frozenset("of on in at for per by without".split())
_BEFORE_TIMES = frozenset("at until till um around".split())
_BEFORE_PLACES = frozenset("in at on by near under behind beside opposite".split())


def _holder(tokens: list[str], lows: list[str]) -> frozenset[str]:
    """Whose it is: of the words before the verb, the person that they name last."""
    place = 0
    while place < len(lows) - 1 and (lows[place] in _OPENERS or lows[place] in MONTHS or lows[place] in DAYS):
        place += 1
    if lows[place] in _LEADS:
        later = place + 1
        while later < len(lows) - 1 and (lows[later] in _TIMES or lows[later].isdigit()):
            later += 1
        place = later if later > place + 1 else place
    first = lows[place]
    if first in POSSESSIVE_ME:
        noun = next((low for low in lows[place + 1 : place + 4] if low in KIN), None)
        near = [low for low in lows[place + 1 : place + 3] if low not in FILLERS]
        return frozenset({root(noun)}) if noun and noun in near else frozenset({"@mine"})
    if first in ME:
        return frozenset({"@me"})
    if root(first) in FRAMES.keys() | MANY | CHANGING | ENDING and not first.endswith("s"):
        return frozenset({"@me"})  # without a subject, as in a diary or in Spanish
    if first in DETERMINERS and lows[place + 1 : place + 2] and lows[place + 1] in KIN:
        return frozenset({root(lows[place + 1])})
    if tokens[place][0].isupper() and first not in FILLERS and first not in DETERMINERS:
        named = [root(first)]
        for each in range(place + 1, min(place + 4, len(tokens))):
            if lows[each] in KIN and tokens[each - 1].lower().endswith("'s"):
                return frozenset({root(lows[each])})
            if not (tokens[each][0].isupper() or lows[each] in {"and", "und", "y"}):
                break
            named.append(root(lows[each]))
        return frozenset(named)
    return frozenset()


POSSESSIVE_ME = frozenset("my our mein meine unser unsere mi mis nuestra".split())


def _names(lows: list[str]) -> Iterator[str]:
    for low in lows:
        yield "@me" if low in ME else root(low)


def _ended(tokens: list[str], lows: list[str]) -> Iterator[str]:
    """The roots of what the clause says has ended: what follows the verb of ending, else what goes before it."""
    for place, low in enumerate(lows):
        pair = any((root(low), low_after) in PAIRS for low_after in lows[place + 1 : place + 4])
        no_verb = place > 0 and lows[place - 1] in DETERMINERS | _NOUN_FOLLOWS
        verb = root(low) in ENDING and _is_told(low)
        named = place > 0 and tokens[place][0].isupper()
        if no_verb or named or low == "die" or not (verb or pair or low in OVER):
            continue
        if pair and root(low) in FRAMES:
            yield FRAMES[root(low)]  # "moved out": of where one lives
        after = [each for each in lows[place + 1 :] if each not in FILLERS]
        before = [each for each in lows[:place] if each not in FILLERS]
        chosen = before if (low in OVER and root(low) not in ENDING) or not after else after
        yield from (FRAMES.get(root(each), root(each)) for each in chosen[:5])


def _is_told(low: str) -> bool:
    """Whether a verb is in a form that tells of an event: "sells" is a habit."""
    return low.endswith(("ed", "ing")) or low in _EVENTS or low.startswith("ge")


_EVENTS = frozenset("left sold lost quit split gave swore withdrew sought vendi".split())
PAIRS = frozenset((root(verb), particle) for verb, particle in ENDING_PAIRS)
