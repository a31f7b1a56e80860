"""A clause of a later and one of an earlier text, with what they share and what only one says. Pure."""

from __future__ import annotations

from typing import NamedTuple

from memos_integrations.core.contrast.lexicon import (
    CHANGING,
    IRREGULAR,
    MANY,
    NEGATING_PREFIXES,
    NEGATING_SUFFIXES,
    WISHING,
    root,
)
from memos_integrations.core.contrast.saying import Saying
from memos_integrations.core.contrast.word import Word

OWN = (frozenset({"@me"}), frozenset({"@mine"}))
_MEASURED = {"number", "time", "day", "month", "ordinal"}
_BESIDE = {"well", "badli", "fine", "properli", "wieder", "again", "nuevo", "after", "before", "without", "yet"} | {
    "yesterday",
    "todai",
    "tonight",
    "tomorrow",
    "weekend",
    "morn",
    "even",
    "afternoon",
    "week",
    "month",
    "year",
}
_UNITS = frozenset(map(root, "year month week day hour minute second".split()))
_OF_MANY = {"@like", "@drink", "@favourite", "@fear"}


class Pair(NamedTuple):
    """A clause of each, with what they share and what only one has."""

    n: Saying
    o: Saying
    shared: frozenset[str]
    only_n: tuple[Word, ...]
    only_o: tuple[Word, ...]

    @property
    def argument(self) -> bool:
        """Whether they share more than a predicate that can have many values."""
        return bool(self.shared - MANY - CHANGING - _OF_MANY - self._spans - self.o.holder - self.n.holder)

    @property
    def _spans(self) -> frozenset[str]:
        """The units of time that both count: "34 years old", "married for 6 years"."""
        mine, theirs = ({word.unit for word in saying.words} for saying in (self.n, self.o))
        other = [any(word.kind not in _MEASURED for word in only) for only in (self.only_n, self.only_o)]
        return _UNITS & mine & theirs if all(other) else frozenset()

    @property
    def couple(self) -> bool:
        """Whether both are about the same two people: "Renske is married to Anders", "Renske and Anders"."""
        people = [
            k for k in self.shared & self.n.matter.keys() if self.n.matter[k].kind == "name" or k in self.n.holder
        ]
        return len(people) > 1

    @property
    def held(self) -> bool:
        """Whether both say whose it is, and it is the same one's."""
        both = self.n.holder, self.o.holder
        return all(both) and (all(each in OWN for each in both) or bool(self.n.holder & self.o.holder))

    @property
    def opposed(self) -> bool:
        """Whether they use words that exclude each other."""
        return bool({(scale, 1 - side) for scale, side in self.n.scales} & self.o.scales) or _prefixed(self)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of values of which each has one that the other has not."""
        return frozenset(
            mine.kind
            for mine in self.only_n
            for theirs in self.only_o
            if mine.kind and _one_kind(mine, theirs) and (not (mine.unit and theirs.unit) or mine.unit == theirs.unit)
        )

    @property
    def one_of_many(self) -> bool:
        """Whether they share only a thing of which there can be others: "a branch in Oslo", "a branch in Bergen"."""
        things = (self.shared - MANY - self.n.holder - self.o.holder) & self.n.matter.keys()
        return bool(things) and all(self.n.matter[key].indefinite and self.o.matter[key].indefinite for key in things)

    @property
    def other_doing(self) -> bool:
        """Whether each says another predicate of many values of it."""
        mine, theirs = ({word.root for word in words} & MANY - WISHING for words in (self.only_n, self.only_o))
        return bool(mine and theirs)

    @property
    def compound(self) -> bool:
        """Whether a word stands beside a shared thing in one clause only, and makes another thing of it."""
        things = self.shared - MANY - CHANGING - self.n.holder - self.o.holder
        return any(
            abs(word.place - saying.matter[key].place) == 1
            for saying, only in ((self.n, self.only_n), (self.o, self.only_o))
            for word in only
            if word.kind not in _MEASURED
            and not _is_told(word)
            and word.root not in MANY | CHANGING | _BESIDE
            and word.root[0] != "@"
            for key in things & saying.matter.keys()
            if not key.startswith("@")
        )

    @property
    def of_two_heads(self) -> bool:
        """Whether a shared word leads another word in each, right after it: "blood pressure", "blood sugar"."""
        after = (
            {word.place - 1 for word in only if not word.predicate and not word.kind}
            for only in (self.only_n, self.only_o)
        )
        mine, theirs = after
        return any(
            self.n.matter[key].place in mine and self.o.matter[key].place in theirs
            for key in self.shared & self.n.matter.keys() & self.o.matter.keys()
        )

    @property
    def of_its_owner(self) -> bool:
        """Whether one is of somebody, the other of a thing or an animal of theirs that the first does not name."""
        mine, theirs = self.n.holder, self.o.holder
        if {mine, theirs} != set(OWN):
            return False
        first = (self.n if mine == OWN[1] else self.o).words[:1]
        return bool(first) and first[0].root not in self.shared and first[0].place == 1

    @property
    def alike(self) -> float:
        """The share of their content that both have."""
        return len(self.shared) / max(1, len(self.shared) + _runs(self.only_n) + _runs(self.only_o))

    @property
    def cover(self) -> float:
        """How much of what the earlier says is in the later."""
        return len(self.shared) / max(1, len(self.shared) + len(self.only_o))


def _is_told(word: Word) -> bool:
    """Whether a word between a thing and another is a verb of what happened: "the team hired a tester"."""
    return (word.low.endswith("ed") or word.low in IRREGULAR) and not word.after_determiner


def _one_kind(mine: Word, theirs: Word) -> bool:
    """Whether two values are of one kind: "at 19" may be a number or an hour."""
    if mine.kind == theirs.kind:
        return True
    return {mine.kind, theirs.kind} == {"time", "number"} and mine.low.isdigit() and theirs.low.isdigit()


def _runs(words: tuple[Word, ...]) -> int:
    """How many words, those of one value ("Station Road") as one."""
    places = {word.place: word.kind for word in words}
    return sum(not (word.kind and places.get(word.place - 1)) for word in words)


def _prefixed(pair: Pair) -> bool:
    mine, theirs = {word.low for word in pair.only_n}, {word.low for word in pair.only_o}
    return any(
        a.removeprefix(prefix) == b or b.removeprefix(prefix) == a
        for prefix in NEGATING_PREFIXES
        for a in mine
        for b in theirs
        if a != b
    ) or any(f"{a}{suffix}" == b or f"{b}{suffix}" == a for suffix in NEGATING_SUFFIXES for a in mine for b in theirs)
