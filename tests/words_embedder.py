"""A small real embedder for tests: the same text always gives the same vector, and shared words draw near."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from memos_integrations.core.ports import Vectors


class WordsEmbedder:
    """Fills the `Embedder` port without a model: each stem adds one to a place that its hash chooses."""

    name = "words-64"
    dim = 64

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row per text, shape (len(texts), 64); a text without words gets the first axis."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.casefold()):
                digest = hashlib.blake2b(_stem(word).encode("utf-8", "replace"), digest_size=8).digest()
                row[digest[0] % self.dim] += 1 if digest[1] % 2 else -1
            if not row.any():
                row[0] = 1
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)]
    return word
