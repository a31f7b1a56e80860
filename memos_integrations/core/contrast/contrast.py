"""How a later text stands to an earlier one: whether it ends, denies, changes or corrects what that states. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from memos_integrations.core.contrast.amounts import (
    it_is_one_more,
    it_is_so_at_other_times,
    it_measures_otherwise,
)
from memos_integrations.core.contrast.apart import named_apart, of_two_things
from memos_integrations.core.contrast.changed import WANTS, it_has_changed, moves
from memos_integrations.core.contrast.kinds import it_is_had_now
from memos_integrations.core.contrast.leaving import is_born, it_is_out_of_it
from memos_integrations.core.contrast.lexicon import (
    CHANGING,
    KINDRED,
    MANY,
    OPPOSED,
    root,
)
from memos_integrations.core.contrast.marks import DENIED_VALUE, FORMER, SUCCESSION
from memos_integrations.core.contrast.meeting import meetings, named_by
from memos_integrations.core.contrast.over import is_one_of_them, it_has_ended, it_is_denied
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Statement, said
from memos_integrations.core.contrast.turns import AJAR, OF_PEOPLE, TURNS, turned
from memos_integrations.core.contrast.word import Word
from memos_integrations.core.text.words import fold

ALIKE, SURELY = 0.2, 0.3
"""Two clauses that share less of their content are not about the same; that share less than this, not surely."""


FEW = 0.12
"""What the two share at least where one thing's value is said to have moved to another of its kind."""


class Contrast(NamedTuple):
    """`weight` 2: the earlier no longer holds; 1: doubtful. `rule` says why; the two sentences are the evidence."""

    weight: int
    rule: str
    newer: str
    older: str


def contrast(newer: str, older: str) -> Contrast | None:
    """What the later text says against the earlier one; None where both can stand. The strongest counts."""
    found = [
        Contrast(weight, rule, n.text, o.text)
        for n, o, pairs in meetings(newer, older)
        if not (n.quoted or o.quoted or _unsure(n, o))
        for weight, rule in _signals(n, o, pairs)
    ]
    whole = len(said(older)) == 1
    best = max(found, key=lambda each: each.weight, default=None)
    return best if best is None or whole else best._replace(weight=min(1, best.weight))


def _unsure(n: Statement, o: Statement) -> bool:
    """Whether one of them is no fact; a wish in the place of the same sort of wish counts, as a doubt."""
    given_up = o.unsure and o.planned and n.drops
    return ((n.unsure and not n.ended) or o.unsure) and not (_wishes(n, o) or given_up)


def _wishes(n: Statement, o: Statement) -> bool:
    if (
        WANTS.search(fold(n.text))
        and WANTS.search(fold(o.text))
        and (n.fresh or FORMER.search(fold(n.text)) or _NOT_TO.search(fold(n.text)))
    ):
        return True
    return bool(n.unsure and o.unsure and n.wish and n.wish == o.wish and (n.fresh or n.corrects))


_NOT_TO = re.compile(r"\b(?:to stop|not to|no more)\b")


def _signals(n: Statement, o: Statement, pairs: Sequence[Pair]) -> Iterator[tuple[int, str]]:
    if is_born(n, o):
        yield 1, "it is born"
    for pair in pairs:
        alike = pair.alike
        near = alike >= ALIKE or (alike >= FEW and moves(pair))
        for rule in _RULES:
            named = rule is _it_names_the_former and alike >= FEW
            weight = rule(n, o, pair) if near or named or rule in _OF_ITSELF else 0
            if weight:
                sure = (alike >= SURELY or rule is it_is_had_now) and not o.unsure
                yield weight if sure else 1, rule.__name__.strip("_").replace("_", " ")


def _it_is_the_opposite(n: Statement, o: Statement, pair: Pair) -> int:
    if pair.kinds & {"time", "number"} and not pair.n.changes:
        return 0  # "opens at 9", "closes at 6"; "floor 3 is closed", "floor 2 is open"
    if not pair.opposed or pair.n.denied != pair.o.denied or n.past or o.past or n.passing or named_apart(pair):
        return 0
    if not n.fresh and all(_is_somewhere(only) for only in (pair.only_n, pair.only_o)):
        return 0  # "allowed on the balcony", "banned in the hall"
    left = [word for word in (*pair.only_n, *pair.only_o) if not OPPOSED.keys() & {word.root, root(word.low)}]
    if pair.n.changes:  # "works the early shift", "switched to the late shift"
        left = [word for word in left if word.root not in CHANGING and not word.root.startswith("@")]
    if not pair.argument and not pair.couple and (left or not pair.held):
        return 0  # "I hate olives", "I love marzipan"
    frames = [{word.root for word in words if word.root[0] == "@"} for words in (pair.only_n, pair.only_o)]
    if all(frames) or _is_for_some(n, pair):
        return 0  # "I live in the north of the city", "I go to school in the south of the city"
    return 2 if pair.cover >= 0.4 else 1


def _it_is_denied_in_other_words(n: Statement, o: Statement, pair: Pair) -> int:
    """One denies in another word of the same sense: "are not allowed", "are welcome"."""
    if pair.n.denied == pair.o.denied or n.past or o.past or n.passing or n.besides or named_apart(pair):
        return 0
    if not pair.n.scales & pair.o.scales or of_two_things(pair) or _is_for_some(n, pair) or not pair.argument:
        return 0
    if pair.n.acts & pair.o.acts & OPPOSED.keys() or pair.compound:
        return 0  # "I like tea", "I do not like green tea"
    left = [word for word in (*pair.only_n, *pair.only_o) if word.root not in OPPOSED]
    return 0 if len(left) > 1 else 1


def _is_somewhere(words: Sequence[Word]) -> bool:
    return any(word.kind == "place" and word.lead in {"in", "on", "at"} and word.root not in OPPOSED for word in words)


def _is_for_some(n: Statement, pair: Pair) -> bool:
    """Whether it is so for some only: "closed to members"."""
    return not n.fresh and any(word.lead in {"for", "to"} and word.predicate for word in pair.only_n)


def _it_ends_the_state(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """It tells of an event that ends what the earlier says is so: found what was looked for."""
    if pair.n.denied or pair.o.denied or n.besides or o.past or not (pair.shared or pair.held):
        return 0
    if pair.kinds & {"number", "time"} or named_apart(pair) or _is_for_some(n, pair):
        return 0  # "ticket 8841", "ticket 8850"
    if pair.of_two_heads:
        return 0  # "blood pressure", "blood sugar"
    told_again = _told_again(n)
    acts = pair.n.acts - AJAR if n.passing else pair.n.acts
    ended = turned(TURNS, acts, pair.o.acts) - told_again
    matter = pair.shared - pair.o.holder
    if of_two_things(pair) or (matter and all(is_one_of_them(key, pair) for key in matter)):
        return 0
    left = pair.o.matter.keys() - pair.o.holder - pair.shared - ended
    named = pair.held and pair.n.holder not in OWN and not pair.n.holder & KINDRED and pair.n.acts & {"again", "up"}
    if (pair.argument or named) and ended and pair.alike >= ALIKE:
        return 2 if not left and pair.held and pair.argument else 1
    if ended and pair.alike >= FEW and any(pair.o.matter[key].kind == "name" for key in matter & pair.o.matter.keys()):
        return 1  # "our cat Milo is missing", "we found Milo"
    named = pair.shared & pair.o.holder & pair.n.matter.keys()
    if ended and not left and any(pair.n.matter[key].kind == "name" for key in named):
        return 1  # "Rufus is missing", "we found Rufus"
    alone = turned(OF_PEOPLE, pair.n.acts, frozenset(pair.o.matter)) - told_again
    return 1 if alone and pair.held else 0


def _told_again(n: Statement) -> frozenset[str]:
    """What it says of the present; "paid what I owed", "back from hospital" do not say that it is so still."""
    words = (word for word in fold(n.text).replace(".", " ").split() if not word.endswith("ed"))
    return frozenset(map(root, words)) - named_by(FORMER, n)


def _it_is_corrected(n: Statement, o: Statement, pair: Pair) -> int:
    if pair.shared and named_by(DENIED_VALUE, n) & (pair.o.matter.keys() - pair.o.holder):
        return 2
    if not n.corrects or not pair.shared:
        return 0
    if pair.kinds:
        return 2
    return 1 if pair.only_n and pair.only_o and pair.argument else 0


def _it_is_taken_over(n: Statement, o: Statement, pair: Pair) -> int:
    """Somebody else has the part: "took over as treasurer of the choir", "handed the role over to Banerjee"."""
    if not SUCCESSION.search(fold(n.text)) or o.ended or o.past or pair.n.denied or pair.o.denied or n.besides:
        return 0
    part = {key for key in pair.shared - pair.o.holder - pair.n.holder - MANY - CHANGING if not key.startswith("@")}
    others = {word.root for word in pair.only_n if word.kind == "name"} | (pair.n.holder - pair.o.holder)
    if not part or not others - {"@me", "@mine"}:
        return 0
    if not pair.o.holder and pair.n.acts & _HANDING and not any(word.kind == "name" for word in pair.o.words):
        return 0  # "the plan is on hold", "Ruta passed the plan on to Aksel"
    left = [word for word in pair.only_o if word.root not in MANY and not word.root.startswith("@")]
    return 2 if pair.held and not [word for word in left if word.kind] else 1


_HANDING = frozenset({root("pass"), root("hand")})


def _it_names_the_former(n: Statement, o: Statement, pair: Pair) -> int:
    """It names the earlier's value as what was before: "from X", "instead of X"."""
    named = named_by(FORMER, n) & pair.shared
    former = named - pair.o.holder
    if former and pair.o.words[0].root in named and pair.shared - pair.o.holder == former and len(pair.o.words) > 2:
        return 0  # "Vega runs Debian", "the wiki is on Altair instead of Vega"
    if n.succeeds and not former and named and pair.argument and pair.cover > 0.5 and not o.ended:
        return 2  # "Lindqvist succeeded Oduya as chair"
    return 2 if former and not o.ended and (n.fresh or n.succeeds) else 0


def _it_is_given_up(n: Statement, o: Statement, pair: Pair) -> int:
    """A plan is given up: "going to buy an electric car", "decided against an electric car"."""
    return 1 if n.drops and o.planned and pair.argument and pair.held and not o.past else 0


_RULES: tuple[Callable[[Statement, Statement, Pair], int], ...] = (
    it_has_ended,
    it_is_denied,
    _it_is_the_opposite,
    _it_is_denied_in_other_words,
    it_has_changed,
    _it_ends_the_state,
    _it_is_corrected,
    _it_is_taken_over,
    _it_names_the_former,
    it_measures_otherwise,
    _it_is_given_up,
    it_is_so_at_other_times,
    it_is_one_more,
    it_is_had_now,
    it_is_out_of_it,
)
_OF_ITSELF = frozenset({_it_ends_the_state, it_is_had_now})
"""Rules for which two statements need not share words."""
