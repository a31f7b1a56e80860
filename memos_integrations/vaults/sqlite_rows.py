"""From values to rows: what a transaction becomes before it meets the writer thread.

Runs in the caller's thread, so that many callers prepare at once and the one writer only executes SQL.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

from pydantic import TypeAdapter

from memos_integrations.core.cube import MemCube, PlaintextPayload, sha256
from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.events import MemEvent
from memos_integrations.core.kept import Kept
from memos_integrations.core.ports import (
    Direct,
    Put,
    PutVector,
    Transaction,
    Vectors,
)
from memos_integrations.vaults.audit_chain import Outline, outline, record_json
from memos_integrations.vaults.leaves import as_number, leaves, spelling
from memos_integrations.vaults.locks import DATA_KEY_BYTES, Locks
from memos_integrations.vaults.postings import packed
from memos_integrations.vaults.rules import checked_row, edges_from, micros, occurred_at
from memos_integrations.vaults.sealing import seal
from memos_integrations.vaults.seals import Sealer

EVENTS: TypeAdapter[MemEvent] = TypeAdapter(MemEvent)

KEY_BYTES = 32

WORDS_KEPT = 1 << 15
"""How many words and labels keep their number at hand."""


def word_check(key: bytes) -> bytes:
    """What stands beside a word key, to tell a damaged one."""
    return hashlib.sha256(b"word key:" + key).digest()


class Kind(IntEnum):
    """What a label says about a cube. The numbers stand in files: never change one."""

    PURPOSE = 2
    APPLICATION = 3
    NAMESPACE = 4
    SEMANTIC_TYPE = 5
    TAG = 6
    ENTITY = 7
    SPEAKER = 8
    THREAD = 9
    SESSION = 10


_TYPE, _ENTITY = int(Kind.SEMANTIC_TYPE), int(Kind.ENTITY)


class Words:
    """Turns words into the numbers that stand for them in one vault's file.

    Raises:
        VaultCorruptError: The key is not the one that *check* was made from; with another nothing would be found.
    """

    def __init__(self, key: bytes, check: bytes) -> None:
        self._key = key
        if not isinstance(key, bytes) or len(key) != KEY_BYTES or check != word_check(key):
            raise VaultCorruptError("The vault's word key is damaged. Restore it from a backup.")
        self._begun = hashlib.blake2b(digest_size=8, key=key)
        # Attributes and not methods: a write asks some fifty times.
        self.terms: Kept[str, int] = Kept(self._hashed_term, WORDS_KEPT)
        """The numbers of full-text terms."""
        self.term: Callable[[str], int] = self.terms.__getitem__
        """The number of a full-text term."""
        self.label: Callable[[Kind, str], int] = lru_cache(WORDS_KEPT)(self._hashed_label)
        """The number of a label."""
        self.namespace: Callable[[tuple[str, ...]], int] = lru_cache(1024)(self._hashed_namespace)
        """The number of a namespace prefix."""
        self._audience = lru_cache(1024)(self._hashed_audience)
        self.namespaces: Callable[[tuple[str, ...]], tuple[tuple[int, int], ...]] = lru_cache(1024)(self._prefixes)
        """The labels of a namespace: one for each of its prefixes, and for itself."""

    def _hashed_term(self, term: str) -> int:
        return self._number(b"t" + _bytes(term))

    def _hashed_label(self, kind: Kind, value: str) -> int:
        return self._number(b"l%d:" % kind + _bytes(value))

    def folded(self, kind: Kind, value: str) -> int:
        """The number of a label that is compared without regard to case."""
        return self.label(kind, value.casefold())

    def _hashed_namespace(self, parts: tuple[str, ...]) -> int:
        # Lengths are hashed in, so no character can stand for a boundary.
        return self.label(Kind.NAMESPACE, _joined(parts))

    def _prefixes(self, parts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
        return tuple([(int(Kind.NAMESPACE), self.namespace(parts[:depth])) for depth in range(1, len(parts) + 1)])

    def path(self, path: tuple[str, ...]) -> int:
        """The number of a path into a structured payload."""
        return self._number(b"p" + _bytes(_joined(path)))

    def leaf(self, value: object) -> int | None:
        """The number of what stands at a path; None for a list or an object."""
        spelled = spelling(value)
        return None if spelled is None else self._number(b"v" + _bytes(spelled))

    def subject(self, subject: str) -> int:
        """The number of somebody who may read."""
        return self._number(b"s" + _bytes(subject))

    def audience(self, readers: frozenset[str]) -> tuple[int, tuple[int, ...]]:
        """The number of a set of readers, and those of each of them."""
        return self._audience(readers)

    def _hashed_audience(self, readers: frozenset[str]) -> tuple[int, tuple[int, ...]]:
        named = sorted(readers)
        number = self._number(b"a" + _bytes(_joined(named)))
        return number, tuple([self.subject(reader) for reader in named])

    def key(self, key: str) -> bytes:
        """What stands for an idempotency key: 16 bytes, because a collision would drop a memory."""
        return hashlib.blake2b(b"k" + _bytes(key), digest_size=16, key=self._key).digest()

    def _number(self, content: bytes) -> int:
        made = self._begun.copy()  # costs half of what a new one costs
        made.update(content)
        return int.from_bytes(made.digest()) >> 1  # SQLite's integers are signed


def _joined(parts: Iterable[str]) -> str:
    return "".join(f"{len(part)}:{part}" for part in parts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class PutRows(NamedTuple):
    """A Put as rows, except for the numbers that only the write transaction can give; `labels` sorted, each once."""

    cube: MemCube
    body: bytes
    behaviour: str
    digest: str
    columns: dict[str, object]
    subjects: tuple[int, ...]
    labels: tuple[tuple[int, int], ...]
    leaves: tuple[tuple[int, int | None, float | None], ...]
    links: tuple[tuple[str, str], ...]
    words: bytes
    vector: Vectors | None
    key: tuple[str, bytes] | None
    again: bool
    locks: Locks | None = None
    lock: bytes | None = None
    """In an encrypted vault: its keys, and the data key of a new cube, wrapped."""
    sealed: bytes | None = None
    """The vector as it is stored, when that is another one than the vector's bytes."""
    tokens: bytes | None = None
    """The row of the token vectors; of a new cube, as it is stored."""

    @property
    def named(self) -> tuple[str, int]:
        """The version that it stores."""
        return self.cube.id, self.cube.version

    @property
    def stored_vector(self) -> bytes:
        """What stands in the table for the vector of a new cube."""
        return self.sealed or (b"" if self.vector is None else self.vector.tobytes())

    @property
    def stored_leaves(self) -> tuple[tuple[int, int | None, float | None], ...]:
        """What stands in the table for the leaves: no numbers in a blinded vault."""
        if self.locks is None or not self.locks.blind:
            return self.leaves
        return tuple([(path, content, None) for path, content, _ in self.leaves])

    @property
    def stored_lock(self) -> bytes:
        """The lock, under the newest master key."""
        if self.locks is None or self.lock is None:
            raise VaultCorruptError("A new cube of an encrypted vault came without its data key.")
        return self.locks.current(self.lock, self.cube.id)

    def row(self, seq: int, tenant: int, vector: int | None, commit: int) -> tuple[object, ...]:
        """Its row of `cubes`."""
        cube_id, *middle, recorded_at = self.columns.values()
        return (seq, cube_id, tenant, *middle, vector, recorded_at, commit)


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A PutVector whose vector was checked."""

    cube_id: str
    version: int
    vector: Vectors
    locks: Locks | None = None
    tokens: bytes | None = None

    @property
    def named(self) -> tuple[str, int]:
        """The version that gets it."""
        return self.cube_id, self.version


@dataclass(frozen=True)
class Prepared:
    """A transaction as rows."""

    changes: tuple[PutRows | VectorRow | Direct, ...]
    audit: tuple[tuple[Outline, bytes], ...]
    events: tuple[bytes, ...]

    @cached_property
    def puts(self) -> tuple[PutRows, ...]:
        """The versions that it stores."""
        return tuple([change for change in self.changes if isinstance(change, PutRows)])

    @property
    def is_new(self) -> bool:
        """Whether it only brings new cubes without blobs, records and events: nothing that changes what is there."""
        return all(
            isinstance(change, PutRows) and change.cube.version == 1 and not change.cube.blobs
            for change in self.changes
        )


def prepared(transaction: Transaction, words: Words, sealer: Sealer, locks: Locks | None = None) -> Prepared:
    """The rows of a transaction.

    Raises:
        EmbeddingError: A vector is not one finite unit row.
    """
    return Prepared(
        changes=tuple(
            _locked(_put(change, words, sealer), locks)
            if isinstance(change, Put)
            else VectorRow(change.cube_id, change.version, checked_row(change.vector), locks, _tokens(change, sealer))
            if isinstance(change, PutVector)
            else change
            for change in transaction.changes
        ),
        audit=tuple((outline(record), record_json(record)) for record in transaction.audit),
        events=tuple(event._canonical for event in transaction.events),
    )


_micros = lru_cache(256)(micros)
"""What is written at one moment names it several times."""


def _locked(put: PutRows, locks: Locks | None) -> PutRows:
    """In an encrypted vault: a new cube gets its data key here; a later version, where its key is read, is sealed."""
    if locks is None or put.cube.version > 1:
        return put._replace(locks=locks)
    key, cube = os.urandom(DATA_KEY_BYTES), put.cube
    sealed = None
    if put.vector is not None and locks.blind:
        sealed = locks.seal(key, put.vector.tobytes(), cube.id, cube.version, "vector")
    body = locks.seal(key, put.body, cube.id, cube.version, "body")
    tokens = None if put.tokens is None else locks.seal(key, put.tokens, cube.id, cube.version, "tokens")
    return put._replace(body=body, locks=locks, lock=locks.wrap(key, cube.id), sealed=sealed, tokens=tokens)


def _tokens(change: Put | PutVector, sealer: Sealer) -> bytes | None:
    if change.tokens is None:
        return None
    if isinstance(change, Put):
        return sealer.token_row(change.cube.id, change.cube.version, change.tokens)
    return sealer.token_row(change.cube_id, change.version, change.tokens)


def _put(put: Put, words: Words, sealer: Sealer) -> PutRows:
    cube, body = put.cube, seal(put.cube)
    when, rules, said = cube.descriptive, cube.governance, cube.provenance
    audience, subjects = words.audience(put.readers)
    return PutRows(
        cube=cube,
        body=body,
        behaviour=cube.behaviour._canonical.decode(),
        digest=cube.digest if body is cube.canonical() else sha256(body),
        columns={
            # In the order of the table, where `seq`, `tenant`, `vector` and `changed` come between.
            "id": cube.id,
            "version": cube.version,
            "state": cube.state.value,
            "tier": cube.tier.value,
            "quarantined": int(cube.trust.quarantined),
            "expires_at": None if rules.expires_at is None else _micros(rules.expires_at),
            "occurred_at": _micros(occurred_at(cube)),
            "valid_from": None if when.valid_from is None else _micros(when.valid_from),
            "valid_to": None if when.valid_to is None else _micros(when.valid_to),
            "purposes": int(bool(rules.purposes)),
            "applications": int(bool(rules.applications)),
            "audience": audience,
            "length": len(put.terms),
            "recorded_at": _micros(when.recorded_at),
        },
        subjects=subjects,
        labels=tuple(sorted(_labels(cube, words))),
        leaves=tuple(_leaves(cube, words)),
        links=tuple(edges_from(cube)) if said.links or said.derived_from else (),
        words=packed(_counted(put.terms, words)),
        vector=None if put.vector is None else checked_row(put.vector),
        key=None if put.key is None else (put.key, words.key(put.key)),
        again=put.again,
        tokens=_tokens(put, sealer),
    )


def _counted(terms: Iterable[str], words: Words) -> dict[int, int]:
    counts: dict[int, int] = {}
    for number in map(words.term, terms):
        counts[number] = counts.get(number, 0) + 1
    return counts


def _labels(cube: MemCube, words: Words) -> set[tuple[int, int]]:
    said, rules, when, label = cube.provenance, cube.governance, cube.descriptive, words.label
    found = {(_TYPE, label(Kind.SEMANTIC_TYPE, when.semantic_type))}
    for kind, values in ((Kind.PURPOSE, rules.purposes), (Kind.APPLICATION, rules.applications), (Kind.TAG, when.tags)):
        if values:
            number = int(kind)
            found.update([(number, label(kind, value)) for value in values])
    for kind, value in ((Kind.THREAD, said.thread_id), (Kind.SESSION, said.session_id)):
        if value is not None:
            found.add((int(kind), label(kind, value)))
    for entity in when.entities:
        found.add((_ENTITY, words.folded(Kind.ENTITY, entity)))
    if said.speaker is not None:
        found.add((int(Kind.SPEAKER), words.folded(Kind.SPEAKER, said.speaker)))
    found.update(words.namespaces(cube.namespace))
    return found


def _leaves(cube: MemCube, words: Words) -> Iterable[tuple[int, int | None, float | None]]:
    if isinstance(cube.payload, PlaintextPayload):
        for path, leaf in leaves(cube.payload.value):
            number = as_number(leaf) if isinstance(leaf, int | float) and not isinstance(leaf, bool) else None
            yield words.path(path), words.leaf(leaf), number
