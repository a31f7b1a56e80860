"""From texts to vectors that the vault takes: checked, unit length, of the embedder that the vault remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.tokens import Stored, TokenCache
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.ports import CubeFilter, Embedder, EmbedderIdentity, TokenEmbedder, VaultQuery, Vectors
from memos_integrations.core.ranking import Floats, Numbers, late_interaction, unread
from memos_integrations.core.vectors import unit_rows


class Looked(NamedTuple):
    """Texts looked at token by token: what each scores by itself and with the text before it, and how many tokens.

    A score is NaN, and there are 0 tokens, where those of a text are not there yet. `unread` is how far the embedder
    does not read them, 0..1 (see `ranking.unread`).
    """

    own: Floats
    with_before: Floats
    tokens: Numbers
    unread: float


class Embedding:
    """An embedder beside a vault, or none: then there are no vectors, and recall goes by words.

    Raises:
        EmbedderMismatchError: The vault was filled with another embedder.
        EmbeddingError: The embedder has no usable name or dimension.
    """

    def __init__(self, governance: MemGovernance, embedder: Embedder | None) -> None:
        self._governance = governance
        self._embedder = embedder
        self._tokens = TokenCache(embedder) if isinstance(embedder, TokenEmbedder) else None
        if self._tokens is not None:
            governance.tokens_of = self._packed
        self._bound = False
        if embedder is not None:
            self._identity = _identity(embedder)
            self._bound = governance.embedder() is not None
            if self._bound:
                governance.bind_embedder(self._identity)

    @property
    def embedder(self) -> Embedder | None:
        """The embedder, if there is one."""
        return self._embedder

    @property
    def is_there(self) -> bool:
        """Whether there is an embedder."""
        return self._embedder is not None

    def has_vectors(self) -> bool:
        """Whether there is an embedder, and the vault holds vectors of it."""
        if self._embedder is not None and not self._bound:
            self._bound = self._governance.embedder() is not None
        return self._bound

    def has_tokens(self) -> bool:
        """Whether the embedder tells the vectors of single tokens."""
        return self._tokens is not None

    def late(
        self,
        query: str,
        texts: Sequence[str],
        before: Sequence[int] | None = None,
        stored: Stored | None = None,
        keys: Sequence[bytes] = (),
    ) -> Looked:
        """How well each text answers to the tokens of a question, by itself and with the text before it.

        *before* has the place of that text, -1 for none; see `ranking.late_interaction`. *stored* reads the tokens that
        the vault keeps, *keys* are the digests of the texts. What is not there yet is made, for the first texts
        first, within a budget.

        Raises:
            EmbeddingError: The embedder has no tokens, or failed.
        """
        if self._tokens is None:
            raise EmbeddingError("Late interaction needs an embedder that has `embed_with_tokens`.")
        asked, ids = self._tokens.asked(query)
        rows = self._tokens.of(texts, stored, keys)
        there = [place for place, each in enumerate(rows) if each is not None]
        at = {place: number for number, place in enumerate(there)}
        earlier = np.array([at.get(before[place], -1) for place in there] if before else [], dtype=np.int64)
        known = [each for each in rows if each is not None]
        own, both = late_interaction(asked, ids, known, earlier if before else None)
        nothing, length = np.full(len(texts), np.nan), np.zeros(len(texts), dtype=np.int64)
        found = Looked(nothing, nothing.copy(), length, unread(ids, [each[1] for each in known]))
        found.own[there], found.with_before[there] = own, both
        found.tokens[there] = [len(each[1]) for each in known]
        return found

    def tokens_asked(self, query: str) -> int:
        """How many tokens a question has; 0 without an embedder that tells them."""
        return 0 if self._tokens is None else len(self._tokens.asked(query)[1])

    def drop(self, texts: Sequence[str]) -> None:
        """Forget what is held in memory of texts that were erased."""
        if self._tokens is not None:
            self._tokens.drop(texts)

    def asked(self, query: str) -> Vectors:
        """The unit row of a question.

        Raises:
            EmbeddingError: There is no embedder, or it failed.
        """
        if self._embedder is None:
            raise EmbeddingError("The plan searches by meaning, but no embedder was given to MemOS.")
        if self._tokens is not None:
            return self._checked(self._tokens.question(query))
        row: Vectors = self._rows(self._embedder, [query])[0]
        return row

    def cosines(self, cubes: Sequence[MemCube], row: Vectors, caller: Caller) -> list[float]:
        """The cosine of each memory with the unit *row* of a question; by the vector in the vault, where it is there.

        Raises:
            EmbeddingError: A memory has no vector yet, and the embedder failed.
        """
        if not cubes:
            return []
        wanted = CubeFilter(ids=tuple(cube.id for cube in cubes), states=frozenset(), tiers=frozenset())
        query = VaultQuery(k=len(cubes), vector=row, filter=wanted)
        found = {match.cube.ref: match.cosine for match in self._governance.search(query, caller).matches}
        known = (found.get(cube.ref) for cube in cubes)
        return [
            float(self.asked(cube.text) @ row) if cosine is None else cosine
            for cube, cosine in zip(cubes, known, strict=True)
        ]

    def written(self, texts: Sequence[str]) -> Vectors | None:
        """Unit rows for texts that are about to be written, or None without an embedder.

        Raises:
            EmbeddingError: The embedder gave another shape, or numbers that are not finite.
        """
        if self._embedder is None:
            return None
        if self._tokens is None:
            rows = self._rows(self._embedder, texts)
        else:
            rows = unit_rows(self._tokens.written(texts), count=len(texts), dim=self._embedder.dim, source=self._source)
        if not self._bound:
            # Not before there is a vector: opening a vault with the wrong embedder must not tie it to that one.
            self._governance.bind_embedder(self._identity)
            self._bound = True
        return rows

    def _packed(self, cube: MemCube) -> bytes | None:
        return None if self._tokens is None else self._tokens.packed(search_text(cube))

    @property
    def _source(self) -> str:
        return f"Embedder {self._identity.name!r}"

    def _checked(self, row: Vectors) -> Vectors:
        one: Vectors = unit_rows(row[None], count=1, dim=self._identity.dim, source=self._source)[0]
        return one

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
