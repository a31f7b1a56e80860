"""When two clauses are about two things, though they share words. Pure."""

from __future__ import annotations

from memos_integrations.core.contrast.pair import Pair


def of_two_things(pair: Pair) -> bool:
    """Whether each begins with another thing of somebody's: "my knee hurts", "my shoulder does not hurt"."""
    n, o = (saying.words[:1] for saying in (pair.n, pair.o))
    return all(
        first and first[0] in only and not first[0].kind and saying.owners.get(first[0].root)
        for first, only, saying in ((n, pair.only_n, pair.n), (o, pair.only_o, pair.o))
    )


def named_apart(pair: Pair) -> bool:
    """Whether each begins with a thing that the other does not name: "the office is", "the canteen is"."""
    return all(
        bool(first := saying.words[:1])
        and first[0] in only
        and not first[0].kind
        and first[0].place == 1
        and first[0].after_determiner
        for saying, only in ((pair.n, pair.only_n), (pair.o, pair.only_o))
    )


def two_subjects(pair: Pair) -> bool:
    """Whether each begins with a thing that the other does not name: "the legal department", "the whole team"."""
    mine, theirs = pair.n.words[:2], pair.o.words[:1]
    noun = len(mine) == 2 and mine[1].place == mine[0].place + 1 and all(word in pair.only_n for word in mine)
    told = theirs and theirs[0] in pair.only_o and not theirs[0].kind and theirs[0].after_determiner
    return bool(noun and told and mine[0].after_determiner and not any(word.kind for word in mine))
