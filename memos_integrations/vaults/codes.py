"""One-bit codes of the vectors of one large tenant in a sealed segment: what may be near, in a fraction of the time."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from memos_integrations.core.ports import Vectors
from memos_integrations.vaults.columns import Numbers

_BATCH = 50_000


class Codes:
    """RaBitQ codes (Gao and Long 2024) in FAISS's FastScan layout: 56 bytes for a vector of length 384.

    Nothing is trained on but the mean. The file ends in the SHA-256 of what stands before.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def count(self) -> int:
        """How many vectors are coded."""
        return int(self._index.ntotal)

    def nearest(self, query: Vectors, count: int) -> Numbers:
        """The places of about the *count* nearest by inner product."""
        _, found = self._index.search(query.reshape(1, -1), count)
        places: Numbers = found[0][found[0] >= 0]
        return places


def made(rows: Vectors) -> Codes:
    """Codes of these rows."""
    import faiss

    index = faiss.IndexRaBitQFastScan(rows.shape[1], faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(rows[:: max(1, rows.shape[0] // _BATCH)]))
    for start in range(0, rows.shape[0], _BATCH):
        index.add(np.ascontiguousarray(rows[start : start + _BATCH]))
    return Codes(index)


def write_codes(file: Path, codes: Codes) -> None:
    """Write codes aside, sync and rename."""
    import faiss

    content = faiss.serialize_index(codes._index).tobytes()
    aside = file.with_name(f"{file.name}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content + hashlib.sha256(content).digest())
            out.flush()
            os.fsync(out.fileno())
        aside.replace(file)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def read_codes(file: Path, count: int) -> Codes | None:
    """The codes in a file, or None when there are none of *count* vectors that can be believed."""
    import faiss

    try:
        content = file.read_bytes()
    except OSError:
        return None
    # FAISS loads a file with a flipped bit without a word, so the digest decides.
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        return None
    try:
        index = faiss.deserialize_index(np.frombuffer(content[:-32], dtype=np.uint8))
    except RuntimeError:
        return None
    return Codes(index) if index.ntotal == count else None
