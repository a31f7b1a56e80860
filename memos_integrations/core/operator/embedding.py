"""From texts to vectors that the vault takes: checked, unit length, of the embedder that the vault remembers."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import Embedder, EmbedderIdentity, Vectors
from memos_integrations.core.vectors import unit_rows


class Embedding:
    """An embedder beside a vault, or none: then there are no vectors, and recall goes by words.

    Raises:
        EmbedderMismatchError: The vault was filled with another embedder.
        EmbeddingError: The embedder has no usable name or dimension.
    """

    def __init__(self, governance: MemGovernance, embedder: Embedder | None) -> None:
        self._governance = governance
        self._embedder = embedder
        self._bound = False
        if embedder is not None:
            self._identity = _identity(embedder)
            self._bound = governance.embedder() is not None
            if self._bound:
                governance.bind_embedder(self._identity)

    def has_vectors(self) -> bool:
        """Whether there is an embedder, and the vault holds vectors of it."""
        if self._embedder is not None and not self._bound:
            self._bound = self._governance.embedder() is not None
        return self._bound

    def asked(self, query: str) -> Vectors:
        """The unit row of a question.

        Raises:
            EmbeddingError: There is no embedder, or it failed.
        """
        if self._embedder is None:
            raise EmbeddingError("The plan searches by meaning, but no embedder was given to MemOS.")
        row: Vectors = self._rows(self._embedder, [query])[0]
        return row

    def written(self, texts: Sequence[str]) -> Vectors | None:
        """Unit rows for texts that are about to be written, or None without an embedder.

        Raises:
            EmbeddingError: The embedder gave another shape, or numbers that are not finite.
        """
        if self._embedder is None:
            return None
        rows = self._rows(self._embedder, texts)
        if not self._bound:
            # Not before there is a vector: opening a vault with the wrong embedder must not tie it to that one.
            self._governance.bind_embedder(self._identity)
            self._bound = True
        return rows

    @staticmethod
    def _rows(embedder: Embedder, texts: Sequence[str]) -> Vectors:
        source = f"Embedder {embedder.name!r}"
        return unit_rows(embedder.embed(texts), count=len(texts), dim=embedder.dim, source=source)


def _identity(embedder: Embedder) -> EmbedderIdentity:
    name, dim = embedder.name, embedder.dim
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 500:
        raise EmbeddingError(f"An embedder needs a name of printable characters, not {name!r}.")
    if not isinstance(dim, int) or dim < 1:
        raise EmbeddingError(f"An embedder needs a whole number of dimensions, not {dim!r}.")
    return EmbedderIdentity(name, dim)
