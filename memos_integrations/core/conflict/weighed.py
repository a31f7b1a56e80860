"""How likely it is that a later statement says against an earlier one, by all their signs together. Pure.

Logistic regression (Berkson 1944) over `signs`. The weights in `weights.json` were learned from the pairs of statements
that are kept with the tests, by `tests/benchmarks/conflict_weights.py`, which also says what is found of a set that was
not learned from. Where no rule can decide by itself, they say that both are worth a look; they retire nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from math import fsum

from memos_integrations.core.claims import Claim
from memos_integrations.core.conflict.meaning import Meaning
from memos_integrations.core.conflict.signs import of_one_matter, signs_of

LIKELY = 1.7
"""The log-odds above which two statements are said to contradict each other: more than five to one for it."""

LIKELY_BY_MEANING = 2.2
"""The same where sentence vectors are weighed too: nine to one. They see less well which of two things is meant."""


def is_likely(
    newer: str, older: str, mine: Sequence[Claim], theirs: Sequence[Claim], meaning: Meaning | None = None
) -> bool:
    """Whether the later of two texts with these claims is likely to say against the earlier: of one matter only.

    Raises:
        EmbeddingError: The embedder of *meaning* failed.
    """
    if meaning is not None:
        return meaning.log_odds(newer, older, mine, theirs) > LIKELY_BY_MEANING
    if not of_one_matter(newer, older, mine, theirs):
        return False
    return weighed(signs_of(newer, older, mine, theirs)) > LIKELY


def weighed(signs: Iterable[str]) -> float:
    """What signs speak for, added up: the log-odds, to the base e, that the later says against the earlier."""
    weights = _weights()
    return fsum([weights[""], *(weights.get(sign, 0.0) for sign in signs)])


@cache
def _weights() -> dict[str, float]:
    """The weight of each sign; that of the empty sign counts always."""
    told: dict[str, float] = json.loads(files(__package__).joinpath("weights.json").read_text("utf-8"))
    return told
