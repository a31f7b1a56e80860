"""Where the later of two clauses says that something is news, and gives another value. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.contrast.amounts import a_part
from memos_integrations.core.contrast.apart import two_subjects
from memos_integrations.core.contrast.lexicon import CHANGING, MANY, SINGLE, root
from memos_integrations.core.contrast.meeting import done_to
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Statement
from memos_integrations.core.contrast.word import Word

MOST_APART = 2
"""Words that only one has, where the later is said to be so in the place of the earlier."""


ALIKE_ENOUGH = 0.4


def moves(pair: Pair) -> bool:
    """Whether the value of one thing is said to have moved to another of its kind."""
    of_one = (pair.held and pair.n.holder not in OWN) or _begin_alike(pair)
    return bool(pair.kinds) and of_one and pair.n.changes and _goes_to(pair)


def _begin_alike(pair: Pair) -> bool:
    """Whether both begin with the same thing, called by one word: not "server alpha", "server beta"."""
    first = pair.n.words[:1], pair.o.words[:1]
    of_one = bool(first[0] and first[1]) and first[0][0].root == first[1][0].root and not first[0][0].kind
    return of_one and not any(
        word.place == saying.words[0].place + 1 and word in only and word.root not in CHANGING | MANY
        for saying, only in ((pair.n, pair.only_n), (pair.o, pair.only_o))
        for word in saying.words[1:2]
    )


def it_has_changed(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: C901, PLR0911 - a table of cases
    """It says that something is news, and gives another value."""
    steps = bool(pair.kinds & _STEPS) and pair.argument
    begun = pair.n.begins and pair.held and (steps or bool(pair.shared & SINGLE - {"@begin"}))
    if pair.one_of_many or pair.other_doing or a_part(n, pair) or two_subjects(pair):
        return 0
    if _is_of_another_sort(pair):
        return 0
    if not (n.fresh or begun) or n.besides or n.passing or n.past or o.past or pair.n.denied or not pair.shared:
        return 0
    framed = not any(not key.startswith("@") for key in pair.shared - pair.o.holder - CHANGING)
    if framed and pair.n.holder != pair.o.holder and not pair.n.holder & pair.o.holder:
        return 0  # "I live in Bremen", "My parents moved to Hannover"
    moved = "@reside" in pair.n.matter and pair.n.changes and pair.held
    if moved and pair.only_o and all(_is_where(word) for word in pair.only_o):
        return 1
    if framed and not (pair.held and (pair.kinds or begun)):
        return 0  # they share a predicate alone
    single = bool(pair.shared & SINGLE)
    many = not pair.argument and not single
    if pair.kinds and not many:
        return 2
    if pair.kinds & _CALLED and pair.held and pair.n.holder not in OWN and pair.n.changes and _goes_to(pair):
        return 1
    if pair.only_n and pair.only_o and (single or begun or (pair.argument and pair.n.changes and _is_changed(pair))):
        return 1
    if pair.kinds & _OF_ONE_STATE and pair.held and not pair.other_doing:
        return 1
    return 1 if n.instead and _in_the_place(pair) else 0


def _is_of_another_sort(pair: Pair) -> bool:
    """Whether it changes to an hour, a day or a number, and the earlier tells none: "was put off to Friday"."""
    led = [word for word in pair.only_n if word.lead in {"to", "until", "till"}]
    if not (led and pair.n.changes and all(word.kind in _SCALED for word in led)):
        return False
    units = {_unit(word, pair.n.lows) for word in led} - {""}
    if units & pair.o.acts - pair.shared:
        return False  # "lasts an hour"
    ways = frozenset[str]().union(*(_SCALED[word.kind] for word in led))
    told = [word for word in pair.only_o if _SCALED.get(word.kind, frozenset()) & ways]
    if units & _DURATIONS:
        told = [word for word in told if word.kind == "number"]
    return all(bool(units) and _unit(word, pair.o.lows) != "" and not _one_scale(word, pair, units) for word in told)


def _unit(word: Word, lows: tuple[str, ...]) -> str:
    """What a number counts: the word after it."""
    after = lows[word.place + 1 : word.place + 2] if word.kind == "number" else ()
    return root(after[0]) if after and after[0] not in _NO_UNITS else ""


_NO_UNITS = frozenset("in on at to for of a an the per each and or by from with since".split())


def _one_scale(word: Word, pair: Pair, units: set[str]) -> bool:
    mine, theirs = ([scale for scale in _SCALES if scale & each] for each in (units, {_unit(word, pair.o.lows)}))
    return not mine or not theirs or mine == theirs


_DURATIONS, *_ = _SCALES = [
    frozenset(map(root, each.split()))
    for each in (
        "second minute hour day week month year",
        "percent",
        "euro dollar pound franc cent",
        "metre meter kilometre kilometer km cm mile",
        "gram kilo kilogram kg tonne",
        "gb tb mb kb gigabyte",
        "person people",
    )
]
_WHEN, _HOW_MUCH = frozenset({"when"}), frozenset({"how much", "when"})
_SCALED = {
    "day": _WHEN, "month": _WHEN, "time": _WHEN, "number": _HOW_MUCH, "ordinal": _HOW_MUCH, "season": _WHEN,
}  # fmt: skip
"""Kinds of values to what they can tell."""


_STEPS = {"number", "ordinal"}
"""Of what is told by its number, the next one begins when the one before is over: "third grade", "fourth grade"."""
_CALLED = {"name", "number", "ordinal", "day"}
_FOR_WHEN = {("for", kind) for kind in ("number", "ordinal", "day")}


_OF_ONE_STATE = {"shift", "marital", "diet", "standing", "seat"}
"""Kinds of which one is in one at a time, whatever else is told."""


def _goes_to(pair: Pair) -> bool:
    """Whether a change ends in a value: "CI moved to Actions", "Northwind upgraded to Enterprise"."""
    if all(any(word.root.startswith("@") for word in only) for only in (pair.only_n, pair.only_o)):
        return False  # "works at Halvorsen", "relocated to Porto"
    ends = {word.kind for word in pair.only_n if word.lead in {"to", "into"} or (word.lead, word.kind) in _FOR_WHEN}
    ends &= _CALLED
    return any(word.kind in ends and (word.kind != "name" or word.lead in _LEADING) for word in pair.only_o)


def _is_changed(pair: Pair) -> bool:
    """Whether what they share is changed itself, and not something of it: "changed the colours in vim"."""
    thing = done_to(pair.n)
    where = any(word.kind in _WHERE_KINDS or word.lead in _LEADING for word in pair.only_o)
    if _MOVE in pair.n.acts and not where:
        return False  # "The sofa is grey", "We moved the sofa"
    return thing is None or thing not in pair.only_n or not thing.after_determiner


_MOVE = root("move")


_WHERE_KINDS = {"place", "name", "time", "day", "month", "number", "ordinal"}


def _in_the_place(pair: Pair) -> bool:
    """Whether little else differs, so that what is told takes the place of what was: "with milk", "black now"."""
    little = 0 < len(pair.only_n) <= MOST_APART and 0 < len(pair.only_o) <= MOST_APART
    doing = {key for key in pair.shared - pair.o.holder if key in MANY or key.startswith("@")}
    of_one = pair.held or not (pair.n.holder and pair.o.holder)
    if little and pair.argument and of_one and _both_led(pair):
        return True
    wanted = WANTS.search(" ".join(pair.n.lows)) and WANTS.search(" ".join(pair.o.lows))
    return little and bool(doing or wanted) and pair.argument and of_one and pair.alike >= ALIKE_ENOUGH


def _both_led(pair: Pair) -> bool:
    """Whether both tell of the thing that they begin with where, from whom or with what it is."""
    led = (
        any(word.lead in _LEADING and word.kind in {"", "name", "place"} for word in only)
        for only in (pair.only_n, pair.only_o)
    )
    return _begin_alike(pair) and all(led)


_LEADING = frozenset("with by from at on in near via under".split())


def _is_where(word: Word) -> bool:
    """Whether it is where something is: "is in Bergen"."""
    return word.predicate and word.kind in {"place", "name"} and word.lead in {"in", "at", "on"}


WANTS = re.compile(
    r"\b(?:prefers?|wants?|wished?|asks?|asked|likes?|would (?:now |much )?rather|requests?|requested)\b"
)
