"""One-bit codes of the vectors of one large tenant in a sealed segment: what may be near, in a fraction of the time."""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import Vectors
from memos_integrations.vaults.columns import Numbers
from memos_integrations.vaults.seals import Sealer

_BATCH = 50_000
_SAMPLED, _ASKED = 2_000, 50
_SEAL = 32
_SHARE, _DEVIATIONS = 0.999, 3.29
"""Of normal errors so many are within so many standard deviations."""

Scores = npt.NDArray[np.float32]


class Codes:
    """RaBitQ codes (Gao and Long 2024) in FAISS's FastScan layout: 56 bytes for a vector of length 384.

    Nothing is trained on but the mean. `error` is the standard deviation of what they say of an inner product; where
    some pairs are told much worse than others, that which the worst would give. The file is the index, the error as a
    double, and the seal of both under the file's name.
    """

    def __init__(self, index: Any, error: float) -> None:
        self._index, self.error = index, error

    @property
    def count(self) -> int:
        """How many vectors are coded."""
        return int(self._index.ntotal)

    def nearest(self, query: Vectors, count: int) -> tuple[Scores, Numbers]:
        """What the codes say of about the *count* nearest by inner product, best first, and their places."""
        told, found = self._index.search(query.reshape(1, -1), count)
        there = found[0] >= 0
        return told[0][there], found[0][there]


def made(rows: Vectors) -> Codes:
    """Codes of these rows."""
    index = _trained(np.ascontiguousarray(rows[:: max(1, rows.shape[0] // _BATCH)]))
    for start in range(0, rows.shape[0], _BATCH):
        index.add(np.ascontiguousarray(rows[start : start + _BATCH]))
    return Codes(index, _error(np.ascontiguousarray(rows[:: max(1, rows.shape[0] // _SAMPLED)])))


def _trained(rows: Vectors) -> Any:
    import faiss

    index = faiss.IndexRaBitQFastScan(rows.shape[1], faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    return index


def _error(rows: Vectors) -> float:
    """How far codes of such rows are from the truth, over all pairs: those of the nearest alone would flatter them.

    Rows of one time are alike, so who asks is taken from all of them. The highest of a thousand errors is taken and not
    their mean: rows near the middle of all are told well, however badly the others are.
    """
    index = _trained(rows)
    index.add(rows)
    asked = np.ascontiguousarray(rows[:: max(1, rows.shape[0] // _ASKED)])
    told, found = index.search(asked, rows.shape[0])
    true = np.take_along_axis(asked @ rows.T, np.maximum(found, 0), axis=1)
    return float(np.quantile(np.abs(told - true)[found >= 0], _SHARE) / _DEVIATIONS)


def write_codes(file: Path, codes: Codes, sealer: Sealer) -> None:
    """Write codes aside, sync and rename."""
    import faiss

    content = faiss.serialize_index(codes._index).tobytes() + np.float64(codes.error).tobytes()
    aside = file.with_name(f"{file.name}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content + _seal(file, content, sealer))
            out.flush()
            os.fsync(out.fileno())
        aside.replace(file)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _seal(file: Path, content: bytes, sealer: Sealer) -> bytes:
    return bytes.fromhex(sealer.outside(b"codes\0" + file.name.encode() + b"\0" + content))


def read_codes(file: Path, count: int, sealer: Sealer) -> Codes | None:
    """The codes in a file, or None when there are none of *count* vectors that can be believed."""
    import faiss

    try:
        content = file.read_bytes()
    except OSError:
        return None
    # FAISS loads a file with a flipped bit without a word, and an edited code would hide its row: the seal decides.
    if not hmac.compare_digest(_seal(file, content[:-_SEAL], sealer), content[-_SEAL:]):
        return None
    try:
        index = faiss.deserialize_index(np.frombuffer(content[: -_SEAL - 8], dtype=np.uint8))
    except RuntimeError:
        return None
    error = float(np.frombuffer(content[-_SEAL - 8 : -_SEAL], dtype=np.float64)[0])
    return Codes(index, error) if index.ntotal == count else None
