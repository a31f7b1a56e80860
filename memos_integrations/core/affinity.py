"""How near a text is to what memory says of a question. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.core.operator import Hit
from memos_integrations.core.text import terms as terms_of


def affinity(texts: Sequence[str], hits: Sequence[Hit]) -> list[float]:
    """For each text, 0..1: how many words of a hit it shares, at most over the hits, each weighed by its score."""
    best = max((hit.score for hit in hits), default=0.0)
    if best <= 0:
        return [0.0] * len(texts)
    known = [(hit.score / best, words) for hit in hits if (words := set(terms_of(hit.text)))]
    told = [set(terms_of(text)) for text in texts]
    return [max((weight * len(words & own) / len(own) for weight, own in known), default=0.0) for words in told]
