"""A corpus that is the same wherever it is made: clustered unit vectors, texts by Zipf's law, many tenants.

Nothing here imports the engine, so that a peer's process carries the peer alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

DIM = 384
CHUNK = 10_000
_CLUSTERS, _SPREAD = 4_000, 0.6
_VOCABULARY, _WORDS = 20_000, 30
_ADDED, _ASKED = 1 << 30, (1 << 30) + 1


@dataclass(frozen=True, slots=True)
class Rows:
    """Some memories: the number of each, its tenant's number, its text, its unit vector of `DIM`."""

    numbers: list[int]
    tenants: list[int]
    texts: list[str]
    vectors: Floats

    def __len__(self) -> int:
        return len(self.numbers)

    def cut(self, start: int, stop: int) -> Rows:
        """The rows from *start* up to *stop*."""
        where = slice(start, stop)
        return Rows(self.numbers[where], self.tenants[where], self.texts[where], self.vectors[where])

    def singly(self) -> list[Rows]:
        """Each row for itself."""
        return [self.cut(place, place + 1) for place in range(len(self))]


class Corpus:
    """Synthetic memories, made chunk by chunk from a seed and never held as a whole.

    Unit vectors around 4,000 centres; texts of 30 words, the first a name of the row (`m17`), the others drawn by
    Zipf's law (rank 1 stands in nearly every text). Neighbouring rows belong to different tenants.
    """

    def __init__(self, cubes: int, tenants: int, seed: int) -> None:
        self.cubes, self.tenants, self.seed = cubes, tenants, seed
        self._centres = np.random.default_rng([seed, 0]).standard_normal((_CLUSTERS, DIM), dtype=np.float32)
        self._centres /= np.linalg.norm(self._centres, axis=1, keepdims=True)
        self._words = np.array([f"w{rank}" for rank in range(1, _VOCABULARY + 1)], dtype=object)
        mass = np.cumsum(1.0 / np.arange(1, _VOCABULARY + 1))
        self._chances = mass / mass[-1]

    def chunks(self, size: int = CHUNK) -> Iterator[Rows]:
        """Every row, in order, at most *size* at a time."""
        for start in range(0, self.cubes, CHUNK):
            rows = self._rows(1 + start // CHUNK, start, CHUNK).cut(0, self.cubes - start)
            yield from (rows.cut(place, place + size) for place in range(0, len(rows), size))

    def added(self, count: int) -> Rows:
        """Rows that come after the corpus."""
        return self._rows(_ADDED, self.cubes, count)

    def questions(self, count: int) -> Rows:
        """Questions drawn as the rows were: the tenant that is asked, a text without a row's name, a vector."""
        rows = self._rows(_ASKED, 0, count)
        return Rows(rows.numbers, rows.tenants, [text.partition(" ")[2] for text in rows.texts], rows.vectors)

    def words(self, first: int, last: int, count: int, draw: int) -> str:
        """*count* words of ranks *first* to *last* (1 is the commonest), the same for the same *draw*."""
        ranks = np.random.default_rng([self.seed, _ASKED, draw]).choice(last - first + 1, count, replace=False)
        return " ".join(f"w{first + rank}" for rank in ranks)

    def _rows(self, stream: int, start: int, count: int) -> Rows:
        random = np.random.default_rng([self.seed, stream])
        vectors = self._centres[random.integers(_CLUSTERS, size=count)]
        vectors += random.standard_normal((count, DIM), dtype=np.float32) * np.float32(_SPREAD / DIM**0.5)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        places = np.searchsorted(self._chances, random.random((count, _WORDS - 1)))
        numbers = list(range(start, start + count))
        words = self._words[np.minimum(places, _VOCABULARY - 1)].tolist()
        texts = [f"m{number} {' '.join(row)}" for number, row in zip(numbers, words, strict=True)]
        return Rows(numbers, [number % self.tenants for number in numbers], texts, vectors)


def number_of(text: str) -> int:
    """The row that a text of the corpus belongs to."""
    return int(text.partition(" ")[0].removeprefix("m"))


def recall_at(found: Sequence[int], numbers: Numbers, vectors: Floats, query: Floats, k: int) -> float:
    """The share of the true k best of *vectors* (rows of these sorted *numbers*) that *found* holds.

    A row that ties with the last of the best, to single precision, is as good as it; one that is not among *numbers*
    counts for nothing.
    """
    scores = vectors @ query
    k = min(k, scores.size)
    if not k:
        return 1.0
    threshold = float(np.partition(scores, scores.size - k)[scores.size - k]) - 1e-6
    places = np.flatnonzero(np.isin(numbers, found))
    return min(1.0, int((scores[places] >= threshold).sum()) / k)


class Lookup:
    """An embedder that costs nothing: it knows the vector of every text it is told of."""

    def __init__(self) -> None:
        self._vectors: dict[str, Floats] = {}

    def know(self, rows: Rows) -> None:
        """Take in the vectors of these texts."""
        self._vectors.update(zip(rows.texts, rows.vectors, strict=True))

    def forget(self, rows: Rows) -> None:
        """Let the vectors of these texts go."""
        for text in rows.texts:
            self._vectors.pop(text, None)

    def rows(self, texts: Sequence[str]) -> Floats:
        """The vectors of the texts, shape `(len(texts), DIM)`."""
        return np.stack([self._vectors[text] for text in texts])

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        rows: list[list[float]] = self.rows(texts).tolist()
        return rows
