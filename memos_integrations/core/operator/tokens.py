"""Token vectors of what was written or looked at lately: in memory, read from the vault or made anew where missing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from struct import Struct

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import TokenEmbedder, Vectors
from memos_integrations.core.ranking import TokenRows, packed_rows

HELD_BYTES = 256_000_000
"""About 17,000 messages of 40 tokens with 384 dimensions; what was not looked at longest is let go."""

MADE_AT_ONCE = 24_000
"""How many characters one recall embeds at most, about two seconds of one core. Of what has no token vectors in the
vault, the first recalls judge the rest by their one vector, and find the tokens of the best candidates first."""

COUNTED = 4_800
"""A text counts as so many characters at most: embedders cut what is longer."""

ASKED_CHARACTERS = 1_200
"""Of a longer question so many are looked at token by token: each of them looks at every token of every memory."""

Asked = tuple[Vectors, npt.NDArray[np.int64]]

Stored = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The token vectors that a vault keeps of the texts at these places; those of which it keeps none are left out."""

_HEADER = Struct("<B16sHI")
"""The format, the digest of the text, how many dimensions, how many tokens; the vectors follow, then the ids."""

_FORMAT = 1


class TokenCache:
    """Token vectors by text, in int8. Thread-safe."""

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
            self._hold(key_of(text), packed_rows(each, ids))
        return rows

    def packed(self, text: str) -> bytes | None:
        """The token vectors of a text as a vault keeps them, if they are held."""
        key = key_of(text)
        with self._lock:
            held = self._held.get(key)
        return None if held is None else packed_bytes(key, held)

    def question(self, query: str) -> Vectors:
        """The row of a question."""
        rows, tokens = self._embedder.embed_with_tokens([query[:ASKED_CHARACTERS]])
        self._last.asked = (query, tokens[0])
        row: Vectors = rows[0]
        return row

    def asked(self, query: str) -> Asked:
        """The token vectors of a question, which most often was embedded just before, in this thread."""
        said: tuple[str, Asked] | None = getattr(self._last, "asked", None)
        if said is not None and said[0] == query:
            return said[1]
        return self._embedder.embed_with_tokens([query[:ASKED_CHARACTERS]])[1][0]

    def of(
        self, texts: Sequence[str], stored: Stored | None = None, keys: Sequence[bytes] = ()
    ) -> list[TokenRows | None]:
        """The token vectors of texts: held, or *stored*, or made now, in order, for `MADE_AT_ONCE` characters.

        *keys* are the digests of the texts (`key_of`), where they are known. None stands for those that were not
        reached: they are the next call's.
        """
        keys = keys or [key_of(text) for text in texts]
        with self._lock:
            held = self._held
            found = {key: held[key] for key in keys if key in held}
            for key in found:
                held.move_to_end(key)
        if stored is not None and len(found) < len(keys):
            found |= self._read(keys, found, stored)
        if len(found) == len(keys):
            return [found[key] for key in keys]  # most often so
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

    def _read(self, keys: Sequence[bytes], found: Mapping[bytes, TokenRows], stored: Stored) -> dict[bytes, TokenRows]:
        raw = stored([place for place, key in enumerate(keys) if key not in found])
        read = {keys[place]: unpacked_bytes(keys[place], each, self._embedder.dim) for place, each in raw.items()}
        there = {key: rows for key, rows in read.items() if rows is not None}
        for key, rows in there.items():
            self._hold(key, rows)
        return there

    def drop(self, texts: Sequence[str]) -> None:
        """Let go of texts."""
        with self._lock:
            for text in texts:
                gone = self._held.pop(key_of(text), None)
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


def packed_bytes(key: bytes, held: TokenRows) -> bytes:
    """Token vectors as a vault keeps them, under the digest of their text."""
    rows, ids = held
    return _HEADER.pack(_FORMAT, key, rows.shape[1], len(rows)) + rows.tobytes() + ids.astype("<u4").tobytes()


def unpacked_bytes(key: bytes, raw: bytes, dim: int) -> TokenRows | None:
    """What `packed_bytes` packed; None where it is of another text (a part is hidden from the asker) or format."""
    if len(raw) < _HEADER.size:
        return None
    version, named, width, count = _HEADER.unpack_from(raw)
    if (version, named, width) != (_FORMAT, key, dim) or len(raw) != _HEADER.size + count * (dim + 4):
        return None
    rows = np.frombuffer(raw, dtype=np.int8, count=count * dim, offset=_HEADER.size).reshape(count, dim)
    ids = np.frombuffer(raw, dtype="<u4", offset=_HEADER.size + count * dim)
    return rows, ids.astype(np.int64)


def key_of(text: str) -> bytes:
    """The digest of a text, under which its token vectors are kept."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
