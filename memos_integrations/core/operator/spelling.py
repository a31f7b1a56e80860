"""What likeness of spelling says, where memories are in a language whose words the stemmer does not know. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from memos_integrations.core.operator.traits import Traits
from memos_integrations.core.ranking import Floats, bm25, idf, shape_of, unevenness
from memos_integrations.core.text import pieces

FEW, ENOUGH = 0.15, 0.25
"""Share of English function words: texts in other languages have the first at most, English ones the second or more."""

TOLD_BY = 50
"""So many memories tell the language."""


def foreign(traits: Sequence[Traits]) -> float:
    """How far the memories are in another language than English, 0..1."""
    told = traits[:TOLD_BY]
    length = sum(each.length for each in told)
    share = sum(each.english * each.length for each in told) / length if length else 1.0
    return min(1.0, max(0.0, (ENOUGH - share) / (ENOUGH - FEW)))


def as_spelt(
    weights: Mapping[str, float], traits: Sequence[Traits], query: str
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The weights, and the signal `pieces` where memories are not in English: BM25 over pieces of words, 0..1.

    Of English it says nothing that words do not say better.
    """
    fitted = dict(weights)
    fitted["pieces"] = weights.get("pieces", 0.0) * (foreign(traits) if "pieces" in weights else 0.0)
    if not fitted["pieces"]:
        del fitted["pieces"]
        return fitted, {}
    told = [each.pieces for each in traits]
    lengths = np.array([float(len(each)) for each in told])
    words = np.array([each.length for each in traits])
    average, b = float(lengths.mean()), shape_of(float(words.mean()) / 2.0, unevenness(words)).b
    scores = np.zeros(len(told))
    for piece in sorted(pieces(query)):
        held = np.array([float(piece in each) for each in told])
        if count := int(held.sum()):
            scores += bm25(held, lengths, weight=idf(len(told), count), average=average, b=b)
    top = scores.max(initial=0.0)
    return fitted, {"pieces": scores / top if top > 0.0 else scores}
