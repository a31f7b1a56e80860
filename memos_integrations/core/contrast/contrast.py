"""How a later text stands to an earlier one: whether it ends, denies, changes or corrects what that states. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from memos_integrations.core.contrast.amounts import (
    a_part,
    it_is_one_more,
    it_is_so_at_other_times,
    it_measures_otherwise,
)
from memos_integrations.core.contrast.apart import modified_apart, named_apart, of_two_things, two_subjects
from memos_integrations.core.contrast.lexicon import (
    CHANGING,
    DETERMINERS,
    FILLERS,
    FRAMES,
    KINDRED,
    MANY,
    OPPOSED,
    SINGLE,
    WISHING,
    root,
)
from memos_integrations.core.contrast.marks import DENIED_VALUE, FORMER, SUCCESSION
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Saying, Statement, said
from memos_integrations.core.contrast.turns import AJAR, OF_PEOPLE, TURNS, turned
from memos_integrations.core.contrast.word import Word
from memos_integrations.core.text.words import fold

FAMILY = 5
"""Letters that words of one family begin with."""

ALIKE, SURELY = 0.2, 0.3
"""Two clauses that share less of their content are not about the same; that share less than this, not surely."""


FEW = 0.12
"""What the two share at least where one thing's value is said to have moved to another of its kind."""

MOST_APART = 2
"""Words that only one has, where the later is said to be so in the place of the earlier."""

ALIKE_ENOUGH = 0.4


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
        for o in said(older)
        for n in said(newer)
        if not (n.quoted or o.quoted or _unsure(n, o))
        for weight, rule in _signals(n, o)
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
        _WANTS.search(fold(n.text))
        and _WANTS.search(fold(o.text))
        and (n.fresh or FORMER.search(fold(n.text)) or _NOT_TO.search(fold(n.text)))
    ):
        return True
    return bool(n.unsure and o.unsure and n.wish and n.wish == o.wish and (n.fresh or n.corrects))


_NOT_TO = re.compile(r"\b(?:to stop|not to|no more)\b")
_WANTS = re.compile(
    r"\b(?:prefers?|wants?|wished?|asks?|asked|likes?|would (?:now |much )?rather|requests?|requested)\b"
)


def _signals(n: Statement, o: Statement) -> Iterator[tuple[int, str]]:
    for pair in _pairs(n, o):
        for rule in _RULES:
            near = pair.alike >= ALIKE or rule is _it_ends_the_state
            near = near or (pair.alike >= FEW and (rule is _it_names_the_former or _moves(pair)))
            weight = rule(n, o, pair) if near else 0
            if weight:
                sure = pair.alike >= SURELY and not o.unsure
                yield weight if sure else 1, rule.__name__.strip("_").replace("_", " ")


def _moves(pair: Pair) -> bool:
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


def _pairs(n: Statement, o: Statement) -> Iterator[Pair]:
    for mine in (_of_things(each, o) for each in n.sayings):
        for theirs in (_of_things(each, n) for each in o.sayings):
            both = mine.matter.keys() & theirs.matter.keys() - (_named(FORMER, o) if theirs.changes else frozenset())
            shared = frozenset(key for key in both if _one_head(key, mine, theirs))
            if not _one_holder(mine, n, theirs, o) or modified_apart(mine, theirs, corrected=n.corrects):
                continue
            kin = dict(_kin(mine, theirs, shared))
            over = {key for key, its in kin.items() if its in mine.ending}
            pair = Pair(
                replace(mine, ending=mine.ending | over) if over else mine,
                theirs,
                shared | kin.keys(),
                tuple(word for key, word in mine.matter.items() if key not in shared and key not in kin.values()),
                tuple(word for key, word in theirs.matter.items() if key not in shared and key not in kin),
            )
            yield pair


def _of_things(saying: Saying, other: Statement) -> Saying:
    """The clause; of nobody, where the other text has in small letters what only begins it: "Lunch", "the lunch"."""
    named = saying.holder and saying.holder <= other.small and not saying.holder & KINDRED
    return replace(saying, holder=frozenset()) if named else saying


def _kin(mine: Saying, theirs: Saying, shared: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Words of one family ("therapy", "therapist"), the earlier's first."""
    for key, word in theirs.matter.items():
        for other, its in mine.matter.items():
            short, long = sorted((key, other), key=len)
            akin = (len(short) >= FAMILY and long.startswith(short)) or long == f"{short}ment"
            one = akin and "name" not in {word.kind, its.kind}
            if one and not {key, other} & shared and not short.startswith("@"):
                yield key, other


def _one_head(key: str, mine: Saying, theirs: Saying) -> bool:
    """Whether a shared word belongs to one thing in both: in "the Cobalt review" and "the Cobalt fund" it does not."""
    one, other = mine.heads.get(key), theirs.heads.get(key)
    return one is None or other is None or one == other


def _one_holder(mine: Saying, n: Statement, theirs: Saying, o: Statement) -> bool:
    """Whether both can be about the same one: each one's holder is named by the other."""
    if _held(mine.holder, o, theirs) and _held(theirs.holder, n, mine):
        return True
    shared = mine.matter.keys() & theirs.matter.keys() - theirs.holder
    two = not {mine.holder, theirs.holder} & {*OWN, frozenset()} and not mine.holder & theirs.holder
    if not two and any("@me" in mine.owners.get(key, ()) and "@me" in theirs.owners.get(key, ()) for key in shared):
        return True
    if mine.changes and not theirs.holder and shared and not n.besides:
        done_to = _done_to(mine)
        if done_to is not None and done_to.root in shared:
            return True  # "Finance cut the budget": of the budget, whoever does it
    if mine.changes and theirs.holder in OWN and mine.holder & theirs.matter.keys() and not mine.holder & KINDRED:
        return True  # "We target Python 3.9", "Python was raised to 3.11"
    person = theirs.holder - {"@me", "@mine"}
    return n.succeeds and bool(person & n.mentions or (SUCCESSION.search(fold(n.text)) and len(shared) > 1))


def _held(holder: frozenset[str], other: Statement, by: Saying) -> bool:
    if not holder or not by.holder:
        return not holder or holder in OWN or bool(holder & other.mentions)
    if holder in OWN:
        return by.holder in OWN or "@me" in other.mentions
    return bool(holder & other.mentions)


# --- the signals


def _it_has_ended(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """Something that the earlier says goes on is over."""
    if o.ended or pair.o.denied or not pair.shared or pair.o.ending & pair.shared or pair.opposed:
        return 0
    over = any(not _is_one_of_them(key, pair) for key in pair.n.ending & pair.shared)
    if not (over or (pair.n.ended and _is_what_ended(pair))):
        return 0
    if pair.only_o and pair.only_n and not pair.argument:
        return 0
    if of_two_things(pair) or _ITS_FORMER.search(n.text):
        return 0
    matter = pair.shared - (pair.o.holder & pair.n.holder)
    if pair.only_o and pair.only_n and matter and matter <= SINGLE:
        return 0  # "I work at the hospital", "I stopped working nights"
    if n.passing and pair.only_o and not o.passing and _FOR_ONCE.search(fold(n.text)):
        return 0  # "I take the train to work", "The train was cancelled today"
    return 2 if pair.cover >= 0.5 else 1


def _is_what_ended(pair: Pair) -> bool:
    """Whether the earlier tells of what is so no longer: "the library no longer charges a fee" is of its fee alone."""
    behind = {key for key, word in pair.n.matter.items() if word.place > pair.n.denied_at}
    over = behind & (pair.shared | {"@employ", "@reside"}) or pair.n.matter.keys() <= behind
    akin = pair.shared - pair.n.matter.keys()
    return pair.n.denied_at < 0 or bool(over or akin) or not behind


def _is_one_of_them(key: str, pair: Pair) -> bool:
    """Whether the earlier tells of many, the later of one: "I read novels", "I finished the novel"."""
    mine, theirs = pair.n.matter.get(key), pair.o.matter.get(key)
    return mine is not None and theirs is not None and theirs.low in {f"{mine.low}s", f"{mine.low}es"}


_FOR_ONCE = re.compile(r"\b(?:cancell?ed|missed|skipped|failed|called off|broke down)\b")
"""Said of today, it says nothing of other days."""
_ITS_FORMER = re.compile(r"^(?:[A-Z]\w*'s|my|our|his|her|their) (?:old|former|previous|ex|first) ", re.IGNORECASE)


def _it_is_denied(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """One denies what the other says, or says the opposite."""
    done = pair.o.denied and not n.besides and (_NOT_YET.search(fold(o.text)) or _CAN_NOW.search(fold(n.text)))
    if pair.n.denied and not _is_what_ended(pair):
        return 0  # "I have a daughter", "My daughter does not like spinach"
    if pair.n.denied == pair.o.denied or not (pair.shared - pair.o.holder) or (n.passing and not done) or n.past:
        return 0
    if pair.opposed or (not done and (pair.n.ending | pair.o.ending) & pair.shared):
        return 0  # "I do not like it", "I hate it"
    if o.past and not n.past:
        return 0  # "I had a dog when I was little", "I do not have a dog"
    if pair.only_o and _HAS_NONE.search(fold(n.text)) and any(_led(pair, key) for key in pair.shared):
        return 0  # "I work with children", "I have no children"
    if pair.compound or pair.of_its_owner:
        return 0  # "fish", "fish fingers"; "I do not eat fish", "my cat eats fish"
    learnt = pair.o.denied and _CAN_NOW.search(fold(n.text)) and pair.held and pair.shared - pair.o.holder
    if (_told(pair.only_n) and _told(pair.only_o)) or not (pair.argument or pair.held):
        return 1 if learnt and len(pair.only_n) <= MOST_APART else 0
    return 2 if pair.cover >= 0.5 else 1


_CAN_NOW = re.compile(r"\bfound out\b|\b(?:learn(?:ed|t)|taught (?:my|him|her|them)sel(?:f|ves)) (?:how )?to\b")
_NOT_YET = re.compile(r"\b(?:has|have) not (?!(?:a|an|any|the|got)\b)|\bnot \w+(?: \w+)* yet\b")
"""What has not happened may happen once, and has happened from then on."""
_HAS_NONE = re.compile(r"\b(?:have|has) (?:no|not any)\b|\b(?:do|does) not have\b")


def _led(pair: Pair, key: str) -> bool:
    word = pair.o.matter.get(key)
    return word is not None and word.lead in {"with", "for", "about", "to"}


def _told(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words but for how it is wished for: "does not want it", "likes it"."""
    return tuple(word for word in words if word.root not in WISHING)


def _it_is_the_opposite(n: Statement, o: Statement, pair: Pair) -> int:
    if not pair.opposed or pair.n.denied != pair.o.denied or n.past or o.past or n.passing or named_apart(pair):
        return 0
    left = [word for word in (*pair.only_n, *pair.only_o) if not OPPOSED.keys() & {word.root, root(word.low)}]
    if pair.n.changes:  # "works the early shift", "switched to the late shift"
        left = [word for word in left if word.root not in CHANGING and not word.root.startswith("@")]
    if not pair.argument and not pair.couple and (left or not pair.held):
        return 0  # "I hate olives", "I love marzipan"
    frames = [{word.root for word in words if word.root[0] == "@"} for words in (pair.only_n, pair.only_o)]
    if all(frames) or _is_for_some(n, pair):
        return 0  # "I live in the north of the city", "I go to school in the south of the city"
    return 2 if pair.cover >= 0.4 else 1


def _is_for_some(n: Statement, pair: Pair) -> bool:
    """Whether it is so for some only: "closed to members"."""
    return not n.fresh and any(word.lead in {"for", "to"} and word.predicate for word in pair.only_n)


def _it_has_changed(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """It says that something is news, and gives another value."""
    begun = pair.n.begins and pair.held and bool(pair.shared & SINGLE - {"@begin"})
    if pair.one_of_many or pair.other_doing or a_part(n, pair) or two_subjects(pair):
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


_CALLED = {"name", "number", "ordinal", "day"}
_OF_ONE_STATE = {"shift", "marital", "diet", "standing", "seat"}
"""Kinds of which one is in one at a time, whatever else is told."""


def _goes_to(pair: Pair) -> bool:
    """Whether a change ends in a value: "CI moved to Actions", "Northwind upgraded to Enterprise"."""
    return any(word.kind in _CALLED and word.lead in {"to", "into", "for"} for word in pair.only_n)


def _is_changed(pair: Pair) -> bool:
    """Whether what they share is changed itself, and not something of it: "changed the colours in vim"."""
    done_to = _done_to(pair.n)
    where = any(word.kind in _WHERE_KINDS or word.lead in _LEADING for word in pair.only_o)
    if _MOVE in pair.n.acts and not where:
        return False  # "The sofa is grey", "We moved the sofa"
    return done_to is None or done_to not in pair.only_n or not done_to.after_determiner


_MOVE = root("move")
_WHERE_KINDS = {"place", "name", "time", "day", "month", "number", "ordinal"}


def _done_to(saying: Saying) -> Word | None:
    """What a verb of change is done to: the last word of the noun phrase right after it."""
    place = next((place for place, low in enumerate(saying.lows) if root(low) in CHANGING), len(saying.lows))
    after = [word for word in saying.words if word.place > place]
    last = after[0] if after else None
    for word in after[1:]:
        if last is None or word.place != last.place + 1 or word.kind:
            break
        last = word
    return last


def _in_the_place(pair: Pair) -> bool:
    """Whether little else differs, so that what is told takes the place of what was: "with milk", "black now"."""
    little = 0 < len(pair.only_n) <= MOST_APART and 0 < len(pair.only_o) <= MOST_APART
    doing = {key for key in pair.shared - pair.o.holder if key in MANY or key.startswith("@")}
    of_one = pair.held or not (pair.n.holder and pair.o.holder)
    if little and pair.argument and of_one and _both_led(pair):
        return True
    wanted = _WANTS.search(" ".join(pair.n.lows)) and _WANTS.search(" ".join(pair.o.lows))
    return little and bool(doing or wanted) and pair.argument and of_one and pair.alike >= ALIKE_ENOUGH


def _both_led(pair: Pair) -> bool:
    """Whether both tell of the thing that they begin with where, from whom or with what it is."""
    led = (
        any(word.lead in _LEADING and not word.kind.strip("placenm") for word in only)
        for only in (pair.only_n, pair.only_o)
    )
    return _begin_alike(pair) and all(led)


_LEADING = frozenset("with by from at on in near via under".split())


def _is_where(word: Word) -> bool:
    """Whether it is where something is: "is in Bergen"."""
    return word.predicate and word.kind in {"place", "name"} and word.lead in {"in", "at", "on"}


def _it_ends_the_state(n: Statement, o: Statement, pair: Pair) -> int:
    """It tells of an event that ends what the earlier says is so: found what was looked for."""
    if pair.n.denied or pair.o.denied or n.besides or o.past or not (pair.shared or pair.held):
        return 0
    if "number" in pair.kinds or named_apart(pair) or _is_for_some(n, pair):
        return 0  # "ticket 8841", "ticket 8850"
    if pair.of_two_heads:
        return 0  # "blood pressure", "blood sugar"
    told_again = _told_again(n)
    acts = pair.n.acts - AJAR if n.passing else pair.n.acts
    ended = turned(TURNS, acts, pair.o.acts) - told_again
    matter = pair.shared - pair.o.holder
    if of_two_things(pair) or (matter and all(_is_one_of_them(key, pair) for key in matter)):
        return 0
    left = pair.o.matter.keys() - pair.o.holder - pair.shared - ended
    named = pair.held and pair.n.holder not in OWN and not pair.n.holder & KINDRED and pair.n.acts & {"again", "up"}
    if (pair.argument or named) and ended and pair.alike >= ALIKE:
        return 2 if not left and pair.held and pair.argument else 1
    alone = turned(OF_PEOPLE, pair.n.acts, frozenset(pair.o.matter)) - told_again
    return 1 if alone and pair.held else 0


def _told_again(n: Statement) -> frozenset[str]:
    """What it says of the present; "paid what I owed", "back from hospital" do not say that it is so still."""
    words = (word for word in fold(n.text).replace(".", " ").split() if not word.endswith("ed"))
    return frozenset(map(root, words)) - _named(FORMER, n)


def _it_is_corrected(n: Statement, o: Statement, pair: Pair) -> int:
    if pair.shared and _named(DENIED_VALUE, n) & (pair.o.matter.keys() - pair.o.holder):
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
    left = [word for word in pair.only_o if word.root not in MANY and not word.root.startswith("@")]
    return 2 if pair.held and not [word for word in left if word.kind] else 1


def _it_names_the_former(n: Statement, o: Statement, pair: Pair) -> int:
    """It names the earlier's value as what was before: "from X", "instead of X"."""
    named = _named(FORMER, n) & pair.shared
    former = named - pair.o.holder
    if n.succeeds and not former and named and pair.argument and pair.cover > 0.5 and not o.ended:
        return 2  # "Lindqvist succeeded Oduya as chair"
    return 2 if former and not o.ended and (n.fresh or n.succeeds) else 0


def _it_is_given_up(n: Statement, o: Statement, pair: Pair) -> int:
    """A plan is given up: "going to buy an electric car", "decided against an electric car"."""
    return 1 if n.drops and o.planned and pair.argument and pair.held and not o.past else 0


def _named(mark: re.Pattern[str], n: Statement) -> frozenset[str]:
    """The roots of the words that *mark* finds in its groups."""
    found = mark.finditer(fold(n.text))
    words = [word for each in found for group in each.groups() if group for word in group.split()]
    plain = (word.removesuffix("'s") for word in words if word not in FILLERS | DETERMINERS)
    return frozenset(FRAMES.get(root(word), root(word)) for word in plain)


_RULES: tuple[Callable[[Statement, Statement, Pair], int], ...] = (
    _it_has_ended,
    _it_is_denied,
    _it_is_the_opposite,
    _it_has_changed,
    _it_ends_the_state,
    _it_is_corrected,
    _it_is_taken_over,
    _it_names_the_former,
    it_measures_otherwise,
    _it_is_given_up,
    it_is_so_at_other_times,
    it_is_one_more,
)
