"""Token vectors of what was written or looked at lately: an index in memory, made anew where it is missing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import TokenEmbedder, Vectors
from memos_integrations.core.ranking import TokenRows, packed_rows

HELD_BYTES = 256_000_000
"""About 17,000 messages of 40 tokens with 384 dimensions; what was not looked at longest is let go."""

MADE_AT_ONCE = 24_000
"""How many characters one recall embeds at most, about two seconds of one core: after a restart the first recalls judge
the rest by their one vector, and find the tokens of the best candidates first."""

COUNTED = 1_200
"""A text counts as so many characters at most: embedders cut what is longer."""

Asked = tuple[Vectors, npt.NDArray[np.int64]]


class TokenCache:
    """Token vectors by text, in int8. Thread-safe. Nothing of it is written to disk."""

    def __init__(self, embedder: TokenEmbedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, TokenRows] = OrderedDict()
        self._bytes = 0
        self._last = threading.local()

    @property
    def held_bytes(self) -> int:
        """How much memory the token vectors take."""
        return self._bytes

    def written(self, texts: Sequence[str]) -> Vectors:
        """The rows of the texts; their token vectors are held from now on."""
        rows, tokens = self._embedder.embed_with_tokens(texts)
        for text, (each, ids) in zip(texts, tokens, strict=True):
            self._hold(_key(text), packed_rows(each, ids))
        return rows

    def question(self, query: str) -> Vectors:
        """The row of a question."""
        rows, tokens = self._embedder.embed_with_tokens([query])
        self._last.asked = (query, tokens[0])
        row: Vectors = rows[0]
        return row

    def asked(self, query: str) -> Asked:
        """The token vectors of a question, which most often was embedded just before, in this thread."""
        said: tuple[str, Asked] | None = getattr(self._last, "asked", None)
        if said is not None and said[0] == query:
            return said[1]
        return self._embedder.embed_with_tokens([query])[1][0]

    def of(self, texts: Sequence[str]) -> list[TokenRows | None]:
        """The token vectors of texts, made now where they are not held, in order, for `MADE_AT_ONCE` characters.

        None stands for those that were not reached: they are the next call's.
        """
        keys = [_key(text) for text in texts]
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
        missing: dict[bytes, str] = {}
        left = MADE_AT_ONCE
        for key, text in zip(keys, texts, strict=True):
            if key not in found and key not in missing and left > 0:
                missing[key] = text
                left -= min(len(text), COUNTED)
        if missing:
            for key, made in zip(missing, self._embedder.embed_with_tokens(list(missing.values()))[1], strict=True):
                found[key] = packed_rows(*made)
                self._hold(key, found[key])
        return [found.get(key) for key in keys]

    def drop(self, texts: Sequence[str]) -> None:
        """Let go of texts."""
        with self._lock:
            for text in texts:
                gone = self._held.pop(_key(text), None)
                self._bytes -= _size(gone)

    def _hold(self, key: bytes, rows: TokenRows) -> None:
        with self._lock:
            before = self._held.pop(key, None)
            self._bytes += (
                rows[0].nbytes + rows[1].nbytes - (0 if before is None else before[0].nbytes + before[1].nbytes)
            )
            self._held[key] = rows
            while self._bytes > HELD_BYTES and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= _size(gone)


def _size(rows: TokenRows | None) -> int:
    return 0 if rows is None else rows[0].nbytes + rows[1].nbytes


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
