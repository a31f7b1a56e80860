"""Where one of two clauses says that what the other tells is over, or is not so. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.contrast.apart import of_two_things
from memos_integrations.core.contrast.changed import MOST_APART
from memos_integrations.core.contrast.kinds import sorts_in
from memos_integrations.core.contrast.lexicon import ENDING, IRREGULAR, SINGLE, WISHING, root
from memos_integrations.core.contrast.pair import Pair
from memos_integrations.core.contrast.saying import Statement
from memos_integrations.core.contrast.word import Word
from memos_integrations.core.text.words import fold


def it_has_ended(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """Something that the earlier says goes on is over."""
    if o.ended or pair.o.denied or not pair.shared or pair.o.ending & pair.shared or pair.opposed:
        return 0
    over = any(not is_one_of_them(key, pair) for key in pair.n.ending & pair.shared)
    if not (over or (pair.n.ended and _is_what_ended(pair))):
        return 0
    if pair.only_o and pair.only_n and not pair.argument:
        return 0
    if of_two_things(pair) or _ITS_FORMER.search(n.text) or _told_again(pair) or _is_handed_on(n, pair):
        return 0
    matter = pair.shared - (pair.o.holder & pair.n.holder)
    if pair.only_o and pair.only_n and matter and matter <= SINGLE:
        return 0  # "I work at the hospital", "I stopped working nights"
    if n.passing and pair.only_o and not o.passing and _FOR_ONCE.search(fold(n.text)):
        return 0  # "I take the train to work", "The train was cancelled today"
    return 2 if pair.cover >= 0.5 else 1


def _told_again(pair: Pair) -> bool:
    """Whether both say by one word that it is over: "I lost my phone", "my phone is lost"."""
    ends = {each for each in pair.n.acts & pair.o.acts & ENDING if each in pair.o.acts}
    out = "out" in pair.n.lows and "out" in pair.o.lows  # "out of stock", "sold out"
    return (bool(ends) or out) and not pair.only_n


def _is_handed_on(n: Statement, pair: Pair) -> bool:
    """Whether a thing of which something is told has another keeper, and is as it was: "passed the plan on to Ina"."""
    kept = pair.o.holder or pair.n.holder & pair.o.matter.keys() or any(word.kind == "name" for word in pair.o.words)
    over = bool({"to", "over"} & {*pair.n.lows} and pair.n.acts & _HANDING)
    return n.succeeds and over and not kept and pair.o.words[0].root in pair.shared


_HANDING = frozenset(map(root, "hand pass take".split()))


def _is_what_ended(pair: Pair) -> bool:
    """Whether the earlier tells of what is so no longer: "the library no longer charges a fee" is of its fee alone."""
    behind = {key for key, word in pair.n.matter.items() if word.place > pair.n.denied_at}
    over = behind & (pair.shared | {"@employ", "@reside"}) or pair.n.matter.keys() <= behind
    akin = pair.shared - pair.n.matter.keys()
    return pair.n.denied_at < 0 or bool(over or akin) or not behind


def is_one_of_them(key: str, pair: Pair) -> bool:
    """Whether the earlier tells of many, the later of one: "I read novels", "I finished the novel"."""
    mine, theirs = pair.n.matter.get(key), pair.o.matter.get(key)
    return (
        mine is not None
        and theirs is not None
        and theirs.low in {f"{mine.low}s", f"{mine.low}es", f"{mine.low[:-1]}ies"}
    )


_FOR_ONCE = re.compile(r"\b(?:cancell?ed|missed|skipped|failed|called off|broke down)\b")
"""Said of today, it says nothing of other days."""


_ITS_FORMER = re.compile(r"^(?:[A-Z]\w*'s|my|our|his|her|their) (?:old|former|previous|ex|first) ", re.IGNORECASE)


def it_is_denied(n: Statement, o: Statement, pair: Pair) -> int:  # noqa: PLR0911 - a table of cases
    """One denies what the other says, or says the opposite."""
    done = pair.o.denied and not n.besides and (_NOT_YET.search(fold(o.text)) or _CAN_NOW.search(fold(n.text)))
    if pair.n.denied and not _is_what_ended(pair):
        return 0  # "I have a daughter", "My daughter does not like spinach"
    if pair.n.denied == pair.o.denied or not (pair.shared - pair.o.holder) or (n.passing and not done) or n.past:
        return 0
    if pair.shared - pair.o.holder == {"@drink"} and pair.only_n and "alcohol" not in _sorts(pair):
        return 0  # "I do not drink alcohol", "I drink a lot of water"
    if pair.opposed or (not done and (pair.n.ending | pair.o.ending) & pair.shared):
        return 0  # "I do not like it", "I hate it"
    if o.past and not n.past:
        return 0  # "I had a dog when I was little", "I do not have a dog"
    if pair.only_o and _HAS_NONE.search(fold(n.text)) and any(_led(pair, key) for key in pair.shared):
        return 0  # "I work with children", "I have no children"
    if pair.compound or pair.of_its_owner:
        return 0  # "fish", "fish fingers"; "I do not eat fish", "my cat eats fish"
    if pair.o.denied and not n.fresh and not done and any(_once(pair, key) for key in pair.shared):
        return 0  # "I do not watch TV", "I watched the final on TV"
    learnt = pair.o.denied and _CAN_NOW.search(fold(n.text)) and pair.held and pair.shared - pair.o.holder
    if (_told(pair.only_n) and _told(pair.only_o)) or not (pair.argument or pair.held):
        return 1 if learnt and len(pair.only_n) <= MOST_APART else 0
    return 2 if pair.cover >= 0.5 else 1


def _sorts(pair: Pair) -> set[str]:
    return {*sorts_in(pair.n), *sorts_in(pair.o)}


def _once(pair: Pair, key: str) -> bool:
    """Whether what is denied as a habit was done at a time."""
    mine, theirs = pair.n.matter.get(key), pair.o.matter.get(key)
    if mine is None or theirs is None or mine.low == theirs.low or mine.predicate:
        return False
    past = mine.low.endswith("ed") or IRREGULAR.get(mine.low) == theirs.low
    return past and not {"have", "has"} & {*pair.n.lows[: mine.place], *pair.o.lows}


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
