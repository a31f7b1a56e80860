"""Where the later says that one is out of what the earlier says one is in, or that the child is born. Pure."""

from __future__ import annotations

from memos_integrations.core.contrast.lexicon import root
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Saying, Statement

_IN = frozenset({"in", "on", "at"})
_FROM_THERE = frozenset(map(root, "work operate trade".split()))
_SKIPPED = frozenset("the my our his her their a an of".split())


def it_is_out_of_it(n: Statement, o: Statement, pair: Pair) -> int:
    """What was in it, or on it, is out of it, or off it: "in beta", "out of beta"; "on the list", "off the list"."""
    told = n.past or o.past or pair.n.denied or pair.o.denied or n.besides
    if pair.n.acts & _FROM_THERE:
        return 0  # "is based in the office", "works out of the office"
    if told or {"people", "some", "many"} & {*pair.n.lows} or not _one_subject(pair):
        return 0
    inside = {key for key in pair.shared & pair.o.matter.keys() if _led(pair.o, key, _IN) and pair.o.matter[key].lead}
    both = frozenset(low for low in pair.n.lows if root(low) in pair.shared)
    out = any(_led(pair.n, key, frozenset({"out", "off", "behind"}), both) for key in inside & pair.n.matter.keys())
    return 2 if out else 0


def _led(saying: Saying, key: str, leads: frozenset[str], both: frozenset[str] = frozenset()) -> bool:
    """Whether one of the leads stands before the word, with an article between, or words that *both* say."""
    place = saying.matter[key].place - 1
    while place >= 0 and (saying.lows[place] in _SKIPPED - {"of"} | both or saying.lows[place : place + 1] == ("of",)):
        place -= 1
    return place >= 0 and saying.lows[place] in leads


def _one_subject(pair: Pair) -> bool:
    """Whether both are of the same one, or begin with the same thing."""
    first = pair.n.words[:1], pair.o.words[:1]
    return pair.held or bool(first[0] and first[1] and first[0][0].root == first[1][0].root)


_BORN = frozenset(map(root, "born birth arrived".split()))
_CHILD = frozenset(map(root, "daughter son baby child twins boy girl".split()))
_EXPECTING = frozenset(map(root, "pregnant expecting".split()))
_PARENT = frozenset(map(root, "wife partner girlfriend fiancee".split())) | {"@me"}


def is_born(n: Statement, o: Statement) -> bool:
    """Whether the child that a couple expected is there: "my wife is pregnant", "our daughter was born"."""
    born = (each for each in n.sayings if each.acts & _BORN and not each.denied)
    ours = any(each.holder in OWN or each.holder & _CHILD for each in born)
    return (
        ours
        and not n.past
        and any(each.acts & _EXPECTING and each.holder & _PARENT and not each.denied for each in o.sayings)
    )
