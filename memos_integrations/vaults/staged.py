"""StagedVault: several transactions on their way to become one. What is written here is seen here, and nowhere else.

It lies over another vault and holds what would change; everything else is read through. Nothing reaches the vault
below until `pending` is submitted to it: one transaction, all or nothing, refused when a cube that was changed, used or
fetched here was changed there meanwhile. Blobs go straight below: nobody names them until then, and if nobody ever
does, they are collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from typing import BinaryIO

from memos_integrations.core.access import Verb, subjects_for
from memos_integrations.core.cube import BlobRef, CubeRef, MemCube, unique
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.events import AccessDenied, AlarmRaised, MemEvent
from memos_integrations.core.operator import finished
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
    Put,
    PutVector,
    Receipt,
    Transaction,
    Vault,
    VaultQuery,
    Visibility,
)
from memos_integrations.vaults.audit_chain import matches
from memos_integrations.vaults.brought import Brought, differs, licensed_uses, reads
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.memory_search import Row
from memos_integrations.vaults.memory_whole import joined
from memos_integrations.vaults.sealing import seal
from memos_integrations.vaults.staged_search import Below, search_over

FAR = 1 << 53
"""Audit entries that are only staged are numbered from here on, after all that are true."""


class StagedVault(InMemoryVault):
    """A vault over *base*, for one *tenant*: reads as if its writes were true, and keeps them to itself.

    What other tenants have below is not there. No match is missing, but BM25 of a cube that was written here is scaled
    to the scores from below, which do not count its words yet. What is erased below is gone here too; what got another
    version there is as it is there, unless it was rewritten here. `close` lets go of what is staged, never of *base*.
    """

    def __init__(self, base: Vault, tenant: str) -> None:
        super().__init__()
        self._base, self.tenant = base, tenant
        self._before: dict[str, MemCube] = {}  # what was loaded from below, as it stood
        self._brought = Brought(base, tenant, self._before)
        self._as_below: set[str] = set()  # those of them whose words and vector are still those below
        self._gone: dict[str, bool] = {}  # erased here -> for good
        self._seen: dict[str, int] = {}  # versions of below as they were first handed out
        self._relied_on: dict[str, int] = {}  # those that were fetched: what was decided on them must hold at the end
        self._staged: list[Transaction] = []
        identity = base.embedder()
        if identity is not None:
            super().bind_embedder(identity)

    # --- what becomes of it

    def pending(self) -> Transaction:
        """Everything that was written here, in order, as one transaction for the vault below."""
        with self._lock:
            whole = joined(self._staged)
            if not whole.changes:
                return whole
            expected = [Expect(cube_id, version) for cube_id, version in self._relied_on.items()]
            return replace(whole, changes=(*expected, *whole.changes))

    def read_only(self) -> Transaction:
        """The records of what was only read, or refused: they are true even if nothing of the rest becomes so."""
        with self._lock:
            records = tuple(record for each in self._staged if reads(each.changes) for record in each.audit)
            new = {cube_id for cube_id in self._rows if cube_id not in self._before}
            events = [event for each in self._staged for event in each.events]
            told = tuple(e for e in events if isinstance(e, AccessDenied | AlarmRaised) and e.cube_id not in new)
            uses = tuple(change for change in licensed_uses(self._staged) if change.cube_id not in new)
            return Transaction(uses, tuple(record for record in records if record.cube_id not in new), told)

    def beneath(self, ids: Sequence[str]) -> dict[str, list[tuple[MemCube, MemCube | None]]]:
        """Those of *ids* that were brought up, as they were and as they stand below; see `Stage.beneath`."""
        with self._lock:
            return self._brought.beneath(ids)

    def changed(self) -> list[tuple[MemCube | None, MemCube | None]]:
        """What would be another one: each cube as it stands below (None: not there) and as it would stand."""
        with self._lock:
            now = {each: row.current() for each, row in self._living()}
            pairs = [(self._before.get(each), now.get(each)) for each in unique([*self._before, *now])]
            return [(was, now) for was, now in pairs if was is None or now is None or differs(was, now)]

    # --- writing

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Apply a transaction here; the future is done on return, and says nothing of the vault below."""
        with self._lock:
            self._check_open()
            try:
                for change in transaction.changes:
                    self._load(change)
            except MemOSError as exc:
                refused: Future[Receipt] = Future()
                refused.set_exception(exc)
                return refused
            done = super().submit(transaction)
            if done.exception() is None:
                self._staged.append(transaction)
                for change in transaction.changes:
                    self._note(change)
            return done

    def _load(self, change: Change) -> None:
        """Bring up from below what a change is about."""
        if isinstance(change, Put):
            self._load_key(change)
        self._load_cube(change.cube.id if isinstance(change, Put) else change.cube_id)
        if isinstance(change, Erase):
            for edge in self._base.pointing_at(self.tenant, [change.cube_id]):
                if edge.relation == "derived_from":
                    self._load_cube(edge.source)

    def _load_cube(self, cube_id: str) -> None:
        if cube_id in self._as_below and self._brought.otherwise().get(cube_id) is not None:
            self._rows.pop(cube_id)  # only used or moved here: it is brought up anew
        if cube_id in self._rows or cube_id in self._gone:
            return
        versions = self._base.history(self.tenant, cube_id)
        if not versions:
            return
        now = versions[-1]
        # Where it is another one by now than was handed out before, the end will refuse the whole.
        self._relied_on.setdefault(cube_id, self._seen.setdefault(cube_id, now.version))
        readers = tuple(subjects_for(Verb.READ, each.governance) for each in versions)
        bodies = tuple(seal(each) for each in versions)
        terms = finished(now).terms if now.text else ()
        row = Row(now, bodies, readers[-1], terms, None, now.state, now.behaviour, readers_then=readers)
        self._rows[cube_id], self._before[cube_id] = row, now
        self._as_below.add(cube_id)

    def _load_key(self, put: Put) -> None:
        name = (put.cube.tenant, put.key or "")
        if put.key is None or (name in self._keys and self._keys[name] not in self._gone):
            return
        owner = self._keys.get(name) or self._base.find_key(*name)
        if owner is None:
            taken = "" if self._base.forgotten(name[0], [name[1]]) else None
        else:
            taken = owner if owner not in self._gone else "" if self._gone[owner] else None
        if taken is not None:
            self._keys[name] = taken
        else:
            self._keys.pop(name, None)

    def _note(self, change: Change) -> None:
        cube_id = change.cube.id if isinstance(change, Put) else change.cube_id
        if isinstance(change, Put | PutVector | Erase):
            self._as_below.discard(cube_id)
        if isinstance(change, Erase):
            self._gone[cube_id] = change.lasting

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, here and below."""
        self._base.bind_embedder(identity)
        super().bind_embedder(identity)

    def put_blob(self, source: bytes | BinaryIO, media_type: str = "application/octet-stream") -> BlobRef:
        """Store bytes below; see the module."""
        self._check_open()
        return self._base.put_blob(source, media_type)

    def open_blob(self, ref: BlobRef) -> BinaryIO:
        """A blob of the vault below."""
        self._check_open()
        return self._base.open_blob(ref)

    def collect_blobs(self, now: datetime, grace: timedelta = timedelta(days=1)) -> int:
        """Nothing: what is named here only would look as if nobody named it."""
        self._check_open()
        return 0

    # --- reading

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The versions that are current here; see `Vault.get`."""
        with self._lock:
            there = {cube.id: cube for cube in super().get(tenant, ids)}
            if tenant == self.tenant:
                there = self._brought.followed(there, self._as_below)
            rest = [each for each in unique(ids) if each not in self._rows and each not in self._gone]
            if rest and tenant == self.tenant:
                there |= {cube.id: cube for cube in self._handed(self._base.get(tenant, rest), relied_on=True)}
            return [there[each] for each in unique(ids) if each in there]

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version here; see `Vault.history`."""
        with self._lock:
            if tenant == self.tenant and self._brought.follows(cube_id, self._as_below):
                return self._base.history(tenant, cube_id)
            if cube_id in self._rows or cube_id in self._gone or tenant != self.tenant:
                return super().history(tenant, cube_id)
            versions = self._base.history(tenant, cube_id)
            self._handed(versions[-1:], relied_on=True)
            return versions

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key; see `Vault.find_key`."""
        with self._lock:
            found = super().find_key(tenant, key)
            if found is None and tenant == self.tenant:
                found = self._base.find_key(tenant, key)
            return None if found in self._gone else found

    def forgotten(self, tenant: str, keys: Sequence[str]) -> set[str]:
        """Those of *keys* whose cube was erased for good, here or below; see `Vault.forgotten`."""
        with self._lock:
            if tenant != self.tenant:
                return super().forgotten(tenant, keys)
            free = [key for key in keys if self.find_key(tenant, key) is None]
            here = {key for key in free if self._gone.get(self._base.find_key(tenant, key) or "")}
            return here | super().forgotten(tenant, free) | self._base.forgotten(tenant, free)

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible here; see `Vault.search`."""
        with self._lock:
            self._check_open()
            if visible.tenant != self.tenant:
                return super().search(query, visible)
            asked = None if query.vector is None else self._fitting(query.vector)
            below = Below(self._base, self._before, self._as_below, frozenset(self._gone), self._chain)
            rows = {i: row for i, row in self._living() if i in self._as_below or not self._brought.follows(i, ())}
            own = self._rows or self._gone
            found = search_over(below, rows, query, asked, visible) if own else self._base.search(query, visible)
            if query.as_of is None:
                self._handed([match.cube for match in found.matches], relied_on=False)
            return found

    def _handed(self, cubes: Sequence[MemCube], *, relied_on: bool) -> Sequence[MemCube]:
        """Note the versions from below that are handed out."""
        for cube in cubes:
            if cube.id not in self._rows:
                self._seen.setdefault(cube.id, cube.version)
                if relied_on:
                    self._relied_on.setdefault(cube.id, self._seen[cube.id])
        return cubes

    def places(self, wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
        """One cube of every namespace in which there is a visible one here; see `Vault.places`."""
        with self._lock:
            if visible.tenant != self.tenant:
                return super().places(wanted, visible)
            named = {cube.namespace: cube for cube in self._base.places(wanted, visible)}
            touched = {*self._rows, *self._gone}
            for namespace in [each for each, cube in named.items() if cube.id in touched]:
                named.pop(namespace)
                other = self._other(replace(wanted, namespace=namespace), visible, touched)
                named.update([(namespace, other)] if other is not None else [])
            named = {cube.namespace: cube for cube in super().places(wanted, visible)} | named
            return [cube for _, cube in sorted(named.items())]

    def _other(self, wanted: CubeFilter, visible: Visibility, touched: set[str]) -> MemCube | None:
        """One cube of this very namespace below that nothing here touches; None where there is none."""
        k = len(touched) + 1
        while True:  # until one is found, or all were seen
            there = [match.cube for match in self._base.search(VaultQuery(k=k, filter=wanted), visible).matches]
            others = (cube for cube in there if cube.namespace == wanted.namespace and cube.id not in touched)
            found = next(others, None)
            if found is not None or len(there) < k:
                return found
            k *= 8

    def generation(self, tenant: str) -> int:
        """A number that changes with the tenant, here or below; see `Vault.generation`."""
        below = self._base.generation(tenant) if tenant == self.tenant else 0
        return (below << 24) + super().generation(tenant)

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges of versions that are current here; see `Vault.pointing_at`."""
        with self._lock:
            ours = super().pointing_at(tenant, ids)
            if tenant != self.tenant:
                return ours
            theirs = [
                edge
                for edge in self._base.pointing_at(tenant, ids)
                if edge.source not in self._rows and edge.source not in self._gone
            ]
            return sorted([*ours, *theirs], key=lambda edge: edge.source)

    def tokens(self, tenant: str, refs: Sequence[CubeRef]) -> dict[str, bytes]:
        """Those of versions that are the present ones below; see `Vault.tokens`."""
        return self._base.tokens(tenant, refs) if tenant == self.tenant else {}

    def unembedded(self, limit: int) -> list[MemCube]:
        """Cubes of this tenant without a vector here; see `Vault.unembedded`."""
        with self._lock:
            ours = [cube for cube in super().unembedded(limit + len(self._rows)) if cube.id not in self._as_below]
            changed = self._rows.keys() - self._as_below | self._gone.keys()
            theirs = [cube for cube in self._base.unembedded(limit + len(changed)) if cube.tenant == self.tenant]
            return [*ours, *(cube for cube in theirs if cube.id not in changed)][:limit]

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries of the vault below, then those that are staged, numbered from `FAR`."""
        with self._lock:
            self._check_open()
            found = self._base.log(query) if query.after < FAR else []
            here = query.model_copy(update={"after": max(0, query.after - FAR)})
            ours = [each for each in self._chain if matches(here, each)][: query.limit - len(found)]
            return [*found, *(each.model_copy(update={"number": each.number + FAR}) for each in ours)]

    def verify_audit(self) -> AuditReport:
        """The chain of the vault below: what is staged has none yet."""
        self._check_open()
        return self._base.verify_audit()

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Events of the vault below: what is staged has not happened."""
        self._check_open()
        return self._base.events(after, limit)

    def last_event(self) -> int:
        """The newest event of the vault below."""
        self._check_open()
        return self._base.last_event()

    def traces(self, cube_id: str) -> dict[str, int]:
        """How many rows of a cube each place would still hold."""
        with self._lock:
            if cube_id in self._gone:
                return dict.fromkeys(self._base.traces(cube_id), 0)
            below = cube_id in self._as_below or cube_id not in self._rows
            return self._base.traces(cube_id) if below else super().traces(cube_id)
