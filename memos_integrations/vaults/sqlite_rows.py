"""From values to rows: what a transaction becomes before it meets the writer thread.

Runs in the caller's thread, but for single new cubes: those of a group are made together where they are written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import NamedTuple

import orjson
from pydantic import TypeAdapter

from memos_integrations.core.cube import MemCube, PlaintextPayload, sha256
from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.events import CubeWritten, MemEvent
from memos_integrations.core.ports import (
    Direct,
    Put,
    PutVector,
    Transaction,
    Use,
)
from memos_integrations.vaults.audit_chain import Outline, outline, record_json
from memos_integrations.vaults.leaves import as_number, leaves
from memos_integrations.vaults.locks import DATA_KEY_BYTES, Locks
from memos_integrations.vaults.numbering import Kind, Label, Words
from memos_integrations.vaults.postings import packed_terms
from memos_integrations.vaults.rules import checked_rows, edges_from, micros
from memos_integrations.vaults.sealing import seal
from memos_integrations.vaults.seals import Sealer

_EVENTS: TypeAdapter[MemEvent] = TypeAdapter(MemEvent)
_WRITTEN = {*CubeWritten.model_fields}


def event_of(body: bytes) -> MemEvent:
    """The event whose canonical bytes these are. Most are of one kind, which no model checks: the seal says one did.

    Raises:
        ValueError: They are none.
    """
    said = orjson.loads(body)
    if isinstance(said, dict) and said.get("kind") == "cube_written" and said.keys() == _WRITTEN:
        said["at"] = datetime.fromisoformat(said["at"]).astimezone(UTC)
        return CubeWritten.of_checked(**said)
    return _EVENTS.validate_json(body)


class PutRows(NamedTuple):
    """A Put as rows, except for the numbers that only the write transaction can give; `labels` sorted, each once.

    `columns` are those of `COLUMNS`. `vector` is in bytes.
    """

    cube: MemCube
    body: bytes
    behaviour: str
    digest: str
    columns: tuple[object, ...]
    recorded_at: int
    audience: int
    subjects: tuple[int, ...]
    labels: list[Label]
    leaves: tuple[tuple[int, int | None, float | None], ...]
    links: tuple[tuple[str, str], ...]
    words: bytes
    vector: bytes | None
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
        return self.sealed or self.vector or b""

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
        return (seq, self.cube.id, tenant, *self.columns, vector, self.recorded_at, commit)


COLUMNS = (
    "version",
    "state",
    "tier",
    "quarantined",
    "expires_at",
    "occurred_at",
    "valid_from",
    "valid_to",
    "purposes",
    "applications",
    "audience",
    "length",
)
"""The columns of `cubes` between `tenant` and `vector`, in the order of the table."""


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A PutVector whose vector was checked."""

    cube_id: str
    version: int
    vector: bytes
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

    @property
    def only_uses(self) -> tuple[Use, ...]:
        """The uses of which it is made; empty when there is something else in it."""
        uses = tuple([change for change in self.changes if isinstance(change, Use)])
        return () if self.audit or self.events or len(uses) < len(self.changes) else uses


def prepared(transaction: Transaction, words: Words, sealer: Sealer, locks: Locks | None = None) -> Prepared:
    """The rows of a transaction.

    Raises:
        EmbeddingError: A vector is not one finite unit row.
    """
    return prepared_together([transaction], words, sealer, locks)[0]


def prepared_together(
    transactions: Sequence[Transaction], words: Words, sealer: Sealer, locks: Locks | None = None
) -> list[Prepared]:
    """The rows of many transactions: made one after another, they take a fraction of the time that each takes alone.

    Raises:
        EmbeddingError: A vector of one of them is not one finite unit row.
    """
    told = [change for each in transactions for change in each.changes if isinstance(change, Put | PutVector)]
    vectors = iter(checked_rows([change.vector for change in told if change.vector is not None]))
    return [_prepared(each, vectors, words, sealer, locks) for each in transactions]


def _prepared(
    transaction: Transaction, vectors: Iterator[bytes], words: Words, sealer: Sealer, locks: Locks | None
) -> Prepared:
    changes: list[PutRows | VectorRow | Direct] = []
    for change in transaction.changes:
        if isinstance(change, Put):
            row = None if change.vector is None else next(vectors)
            changes.append(_locked(_put(change, row, words, sealer), locks))
        elif isinstance(change, PutVector):
            tokens = _tokens(change, sealer)
            changes.append(VectorRow(change.cube_id, change.version, next(vectors), locks, tokens))
        else:
            changes.append(change)
    return Prepared(
        changes=tuple(changes),
        audit=tuple([(outline(record), record_json(record)) for record in transaction.audit]),
        events=tuple([event._canonical for event in transaction.events]),
    )


def is_one_new(transaction: Transaction) -> bool:
    """Whether it brings one new cube, without blobs, and changes nothing else."""
    if len(transaction.changes) != 1:
        return False
    (change,) = transaction.changes
    return isinstance(change, Put) and change.cube.version == 1 and not change.cube.blobs


_micros = lru_cache(256)(micros)
"""What is written at one moment names it several times."""


def _locked(put: PutRows, locks: Locks | None) -> PutRows:
    """In an encrypted vault: a new cube gets its data key here; a later version, where its key is read, is sealed."""
    if locks is None:
        return put
    if put.cube.version > 1:
        return put._replace(locks=locks)
    key, cube = os.urandom(DATA_KEY_BYTES), put.cube
    sealed = None
    if put.vector is not None and locks.blind:
        sealed = locks.seal(key, put.vector, cube.id, cube.version, "vector")
    body = locks.seal(key, put.body, cube.id, cube.version, "body")
    tokens = None if put.tokens is None else locks.seal(key, put.tokens, cube.id, cube.version, "tokens")
    return put._replace(body=body, locks=locks, lock=locks.wrap(key, cube.id), sealed=sealed, tokens=tokens)


def _tokens(change: Put | PutVector, sealer: Sealer) -> bytes | None:
    if change.tokens is None:
        return None
    if isinstance(change, Put):
        return sealer.token_row(change.cube.id, change.cube.version, change.tokens)
    return sealer.token_row(change.cube_id, change.version, change.tokens)


def _put(put: Put, vector: bytes | None, words: Words, sealer: Sealer) -> PutRows:
    cube, body = put.cube, seal(put.cube)
    when, rules, said, payload = cube.descriptive, cube.governance, cube.provenance, cube.payload
    audience, subjects = words.audience(put.readers)
    return PutRows(
        cube=cube,
        body=body,
        behaviour=cube.behaviour._canonical.decode(),
        digest=cube.digest if body is cube._canonical else sha256(body),
        columns=(
            cube.version,
            cube.state._value_,
            payload.kind._value_,
            int(cube.trust.quarantined),
            None if rules.expires_at is None else _micros(rules.expires_at),
            _micros(said.occurred_at or when.created_at),
            None if when.valid_from is None else _micros(when.valid_from),
            None if when.valid_to is None else _micros(when.valid_to),
            1 if rules.purposes else 0,
            1 if rules.applications else 0,
            audience,
            len(put.terms),
        ),
        recorded_at=_micros(when.recorded_at),
        audience=audience,
        subjects=subjects,
        labels=labels_of(cube, words),
        leaves=leaves_of(cube, words),
        links=tuple(edges_from(cube)) if said.links or said.derived_from else (),
        words=packed_terms([*map(words.once, put.terms)]),
        vector=vector,
        key=None if put.key is None else (put.key, words.key(put.key)),
        again=put.again,
        tokens=_tokens(put, sealer),
    )


def labels_of(cube: MemCube, words: Words) -> list[Label]:
    """The labels of a cube, sorted, each once: kind after kind, as their numbers rise."""
    said, rules, when = cube.provenance, cube.governance, cube.descriptive
    found, spelled = words.standing(cube.namespace, when.semantic_type), words.stood(cube.namespace, when.semantic_type)
    if rules.purposes or rules.applications:
        told = words.labels(Kind.PURPOSE, rules.purposes) + words.labels(Kind.APPLICATION, rules.applications)
        found = told + found
    if when.tags:
        found = found + words.labels(Kind.TAG, when.tags)
        spelled = spelled + words.spelled(Kind.TAG, when.tags)
    if when.entities:
        found = found + words.labels(Kind.ENTITY, [entity.casefold() for entity in when.entities])
        spelled = spelled + words.spelled(Kind.ENTITY, when.entities)
    if said.speaker is not None:
        found = found + words.labels(Kind.SPEAKER, (said.speaker.casefold(),))
        spelled = spelled + words.spelled(Kind.SPEAKER, (said.speaker,))
    if said.thread_id is not None:
        found = found + words.labels(Kind.THREAD, (said.thread_id,))
    if said.session_id is not None:
        found = found + words.labels(Kind.SESSION, (said.session_id,))
    if spelled:
        found = found + sorted({*spelled})
    if when.created_at < when.recorded_at:
        found = [*found, words.created(_micros(when.created_at))]
    return found


def leaves_of(cube: MemCube, words: Words) -> tuple[tuple[int, int | None, float | None], ...]:
    """The scalars of a cube's structured payload: the numbers of path and content, and what is a number itself."""
    payload = cube.payload
    if isinstance(payload, PlaintextPayload) and payload.value is None:
        return ()
    return tuple(_leaves(cube, words))


def _leaves(cube: MemCube, words: Words) -> Iterable[tuple[int, int | None, float | None]]:
    if isinstance(cube.payload, PlaintextPayload):
        for path, leaf in leaves(cube.payload.value):
            number = as_number(leaf) if isinstance(leaf, int | float) and not isinstance(leaf, bool) else None
            yield words.path(path), words.leaf(leaf), number
