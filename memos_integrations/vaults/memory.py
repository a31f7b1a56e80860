"""InMemoryVault: the readable reference of what a vault does. For tests, notebooks and short-lived agents.

Everything is a dictionary under one lock; every search looks at every cube. `SQLiteVault` must give the same answers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import BinaryIO, Self

from memos_integrations.core.cube import BlobRef, MemCube, Tier, sha256, unique
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    ForgottenError,
    MemOSError,
    StillDerivedError,
    VaultClosedError,
    VersionConflictError,
)
from memos_integrations.core.events import MemEvent
from memos_integrations.core.lifecycle.then import moves_for
from memos_integrations.core.ports import (
    AuditEntry,
    AuditReport,
    Change,
    CubeFilter,
    Durability,
    Edge,
    EmbedderIdentity,
    Erase,
    Expect,
    Found,
    LogQuery,
    Move,
    Put,
    PutVector,
    Receipt,
    Room,
    Transaction,
    Use,
    VaultQuery,
    Vectors,
    Visibility,
)
from memos_integrations.vaults.audit_chain import GENESIS, ChainWalk, link, matches, record_json
from memos_integrations.vaults.blobs import BlobsInMemory
from memos_integrations.vaults.memory_draft import Draft
from memos_integrations.vaults.memory_outbox import Outbox
from memos_integrations.vaults.memory_search import Row, places, search, tenants_in
from memos_integrations.vaults.memory_whole import Wholes
from memos_integrations.vaults.rules import (
    check_fits,
    check_room,
    check_same_embedder,
    checked_row,
    edges_from,
    given_of,
    state_conflict,
    used,
)
from memos_integrations.vaults.sealing import seal


class InMemoryVault(Wholes, Outbox):
    """A vault in this process's memory: the same promises as `SQLiteVault`, except that nothing outlives it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._closed = False
        self._rows: dict[str, Row | None] = {}
        self._keys: dict[tuple[str, str], str | None] = {}  # "" for what was erased for good
        self._chain: list[AuditEntry] = []
        self._outbox: list[MemEvent] = []
        self._embedder: EmbedderIdentity | None = None
        self._commit = 0
        self._changed_at: dict[str, int] = {}
        self._blobs = BlobsInMemory()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Apply a transaction; the future is done on return. Nothing outlives the process, whatever *durability*."""
        future: Future[Receipt] = Future()
        with self._lock:
            self._check_open()
            try:
                future.set_result(self._apply(transaction))
            except MemOSError as exc:
                future.set_exception(exc)
        return future

    def _apply(self, transaction: Transaction) -> Receipt:
        draft = Draft.over(self._rows, self._keys)
        for change in transaction.changes:
            self._change(draft, change)
        chain = list[AuditEntry]()
        for record in transaction.audit:
            last = (chain or self._chain)[-1:]
            number, head = (last[0].number, last[0].hash) if last else (0, GENESIS)
            chain.append(link(number + 1, head, record))
        # From here on nothing can fail: all of it becomes true.
        self._commit += 1
        self._changed_at |= dict.fromkeys(tenants_in(transaction.changes, draft.rows, self._rows), self._commit)
        draft.settle(self._rows, self._keys)
        self._chain += chain
        self._outbox += transaction.events
        self._blobs.follow(transaction, self._named_blobs)
        return Receipt(self._commit)

    def _change(self, draft: Draft, change: Change) -> None:
        if isinstance(change, Put):
            self._put(draft, change)
            return
        if isinstance(change, Room):
            check_room(change, (entry.record.version for entry in self.log(given_of(change))))
            return
        row = draft.rows.get(change.cube_id)
        if row is None:
            if isinstance(change, Use):
                return
            raise CubeNotFoundError(change.cube_id)
        if isinstance(change, Expect):
            if len(row.bodies) != change.version:
                raise VersionConflictError(change.cube_id, change.version, len(row.bodies))
            return
        if isinstance(change, Erase) and any(
            ("derived_from", change.cube_id) in edges_from(other.cube)
            for other in draft.rows.values()
            if other is not None
        ):
            raise StillDerivedError(change.cube_id)
        draft.rows[change.cube_id] = self._changed(row, change)
        if isinstance(change, Erase):
            draft.keys.update(dict.fromkeys(row.keys, "" if change.lasting else None))

    def _changed(self, row: Row, change: PutVector | Erase | Use | Move) -> Row | None:
        match change:
            case Erase():
                return None
            case Use():
                return replace(row, behaviour=used(row.behaviour, change))
            case Move():
                if row.state is not change.before:
                    raise state_conflict(change.cube_id, len(row.bodies), change.before, row.state)
                return replace(row, state=change.after)
            case PutVector():
                if len(row.bodies) != change.version:
                    raise VersionConflictError(change.cube_id, change.version, len(row.bodies))
                return replace(row, vector=self._fitting(change.vector))

    def _put(self, draft: Draft, put: Put) -> None:
        cube, body = put.cube, seal(put.cube)
        key = None if put.key is None else (cube.tenant, put.key)
        if key is not None and (taken := draft.keys.get(key)):
            raise AlreadyRememberedError(key[1], taken)
        if key is not None and not put.again and draft.keys.get(key) == "":
            raise ForgottenError(key[1])
        row = draft.rows.get(cube.id)
        if row is None:
            if cube.version != 1:
                raise CubeNotFoundError(cube.id)
            row = Row(cube, (), put.readers, (), None, cube.state, cube.behaviour)
        elif cube.version != len(row.bodies) + 1:
            raise VersionConflictError(cube.id, cube.version - 1, len(row.bodies))
        elif cube.tenant != row.cube.tenant:
            raise CubeNotFoundError(cube.id)
        draft.rows[cube.id] = replace(
            row,
            cube=MemCube.from_json(body),
            bodies=(*row.bodies, body),
            readers=put.readers,
            readers_then=(*row.readers_then, put.readers),
            terms=put.terms,
            vector=None if put.vector is None else self._fitting(put.vector),
            keys=row.keys if key is None else row.keys | {key},
        )
        if key is not None:
            draft.keys[key] = cube.id

    def _fitting(self, vector: Vectors) -> Vectors:
        row = checked_row(vector)
        check_fits(row, self._embedder)
        return row

    def put_blob(self, source: bytes | BinaryIO, media_type: str = "application/octet-stream") -> BlobRef:
        """Keep bytes under their digest; see `Vault.put_blob`."""
        with self._lock:
            self._check_open()
            return self._blobs.put(source, media_type)

    def collect_blobs(self, now: datetime, grace: timedelta = timedelta(days=1)) -> int:
        """Let go of blobs that no version names; see `Vault.collect_blobs`."""
        with self._lock:
            self._check_open()
            return self._blobs.collect(now - grace, self._named_blobs())

    def scrub(self, now: datetime, *, gently: bool = False) -> int:
        """Nothing to do: no copies are made. See `Vault.scrub`."""
        return 0

    def _named_blobs(self) -> set[str]:
        return {blob.digest for _, row in self._living() for version in row.versions() for blob in version.blobs}

    # --- reading

    def open_blob(self, ref: BlobRef) -> BinaryIO:
        """A blob to be read; see `Vault.open_blob`."""
        with self._lock:
            self._check_open()
            return self._blobs.open(ref)

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The current versions of those of *ids* that exist in *tenant*, in the order asked, each once."""
        with self._lock:
            self._check_open()
            rows = (self._rows.get(cube_id) for cube_id in unique(ids))
            return [row.current() for row in rows if row is not None and row.cube.tenant == tenant]

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version of a cube, oldest first; empty when there is none."""
        with self._lock:
            self._check_open()
            row = self._rows.get(cube_id)
            if row is None or row.cube.tenant != tenant:
                return []
            return [row.version(number) for number in range(1, len(row.bodies) + 1)]

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key."""
        with self._lock:
            self._check_open()
            return self._keys.get((tenant, key)) or None

    def forgotten(self, tenant: str, keys: Sequence[str]) -> set[str]:
        """Those of *keys* whose cube was erased for good; see `Vault.forgotten`."""
        with self._lock:
            self._check_open()
            return {key for key in keys if self._keys.get((tenant, key)) == ""}

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible; see `Vault.search`. Looks at every cube."""
        with self._lock:
            self._check_open()
            asked = None if query.vector is None else self._fitting(query.vector)
            return search((row for _, row in self._living()), query, asked, visible, moves_for(query, self._chain))

    def places(self, wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
        """One cube of every namespace in which there is a visible one; see `Vault.places`."""
        with self._lock:
            self._check_open()
            return places((row for _, row in self._living()), wanted, visible)

    def generation(self, tenant: str) -> int:
        """A number that changes with the tenant; see `Vault.generation`."""
        with self._lock:
            self._check_open()
            return self._changed_at.get(tenant, 0)

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges that end at one of *ids*: links of current versions, and their `derived_from`; by source."""
        with self._lock:
            self._check_open()
            cubes = [row.cube for _, row in sorted(self._living()) if row.cube.tenant == tenant]
            edges = [Edge(cube.id, relation, target) for cube in cubes for relation, target in edges_from(cube)]
            return [edge for edge in edges if edge.target in ids]

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector, of all tenants, by id."""
        with self._lock:
            self._check_open()
            waiting = (
                row for _, row in sorted(self._living()) if row.vector is None and row.cube.tier is Tier.PLAINTEXT
            )
            return [row.current() for row, _ in zip(waiting, range(limit), strict=False)]

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that this vault's vectors came from."""
        with self._lock:
            self._check_open()
            return self._embedder

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, once. See `Vault.bind_embedder`."""
        with self._lock:
            self._check_open()
            check_same_embedder(self._embedder or identity, identity)
            self._embedder = identity

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries, oldest first."""
        with self._lock:
            self._check_open()
            return [entry for entry in self._chain if matches(query, entry)][: max(0, query.limit)]

    def verify_audit(self) -> AuditReport:
        """Walk the whole chain, and hold every stored version against it."""
        with self._lock:
            self._check_open()
            walk = ChainWalk()
            for entry in self._chain:
                walk.step(entry.number, entry.previous, entry.hash, record_json(entry.record), entry.record)
            walk.hold(
                (cube_id, number, sha256(body), None)
                for cube_id, row in self._living()
                for number, body in enumerate(row.bodies, start=1)
            )
            return walk.report()

    def traces(self, cube_id: str) -> dict[str, int]:
        """How many rows of a cube each place still holds."""
        with self._lock:
            self._check_open()
            row = self._rows.get(cube_id)
            return {
                "cubes": 0 if row is None else 1,
                "versions": 0 if row is None else len(row.bodies),
                "vectors": 0 if row is None or row.vector is None else 1,
                "postings": 0 if row is None else len(set(row.terms)),
                "keys": sum(1 for named in self._keys.values() if named == cube_id),
                "blobs": 0
                if row is None
                else len({each.digest for version in row.versions() for each in version.blobs}),
            }

    def close(self) -> None:
        """Let everything go. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._rows, self._keys, self._chain, self._outbox = {}, {}, [], []

    def _living(self) -> Iterable[tuple[str, Row]]:
        return ((cube_id, row) for cube_id, row in self._rows.items() if row is not None)

    def _check_open(self) -> None:
        if self._closed:
            raise VaultClosedError("This vault was closed; what it held in memory is gone. Make a new one.")
