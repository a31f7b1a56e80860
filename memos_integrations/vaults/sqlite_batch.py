"""Many new cubes and records at once: each transaction is checked alone, then every table filled in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from memos_integrations.core.errors import AlreadyRememberedError, ForgottenError, MemOSError, VersionConflictError
from memos_integrations.core.ports import Receipt
from memos_integrations.vaults import postings
from memos_integrations.vaults.ledger import Ledger, TenantRow
from memos_integrations.vaults.rules import check_fits
from memos_integrations.vaults.sqlite_insert import Row, insert_rows
from memos_integrations.vaults.sqlite_rows import Prepared, PutRows
from memos_integrations.vaults.sqlite_write import Head, chained

_TABLES = (
    "cubes",  # parents first, so that every reference holds at once
    "vectors",
    "tokens",
    "versions (cube, version, digest, body)",
    "behaviour",
    "locks",
    "labels",
    "words",
    "leaves",
    "links",
    "keys",
    "audit",
    "outbox",
    "audiences",
)

_CHANGED = "ON CONFLICT (number) DO UPDATE SET changed = excluded.changed, tail = excluded.tail"


class Batch:
    """Transactions that only bring new cubes, records and events (`Prepared.is_new`), on their way into the tables.

    A transaction that must be refused leaves nothing; its error stands in the place of its receipt. `cubes` are the new
    ones as `(put, row of cubes)`, `entries` and `events` the rows of the audit log and of the outbox.

    Raises:
        sqlite3.IntegrityError: By `flush`: an id is taken. The caller undoes the batch and finds out whose it was.
    """

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger, head: Head) -> None:
        self.cubes: list[tuple[PutRows, Row]] = []
        self._head = head
        self._commit, self._seq, self._vector = head.commit, head.cubes, head.vectors
        self._connection, self._ledger = connection, ledger
        self._keys: dict[tuple[str, bytes], str] = {}
        self._back: list[tuple[str, bytes]] = []
        self._touched: dict[str, TenantRow] = {}
        self._event = ledger.root.events
        self._rows: dict[str, list[Row]] = {table: [] for table in _TABLES}

    @property
    def head(self) -> Head:
        """The vault's counters after what was added."""
        return self._head._replace(commit=self._commit, cubes=self._seq, vectors=self._vector)

    @property
    def entries(self) -> list[Row]:
        """The new rows of the audit log."""
        return self._rows["audit"]

    @property
    def events(self) -> list[Row]:
        """The new rows of the outbox."""
        return self._rows["outbox"]

    def add(self, transaction: Prepared) -> Receipt | MemOSError:
        """The receipt of a transaction whose rows are now on their way, or why it is refused."""
        puts = transaction.puts
        refusal = self._refusal(puts)
        if refusal is not None:
            return refusal
        self._commit += 1
        self._head, entries = chained(self._head, transaction)
        for put in puts:
            self._put(put)
        self.entries.extend(entries)
        for event in transaction.events:
            self._event += 1
            self.events.append((self._event, event))
        return Receipt(self._commit)

    def _refusal(self, puts: Sequence[PutRows]) -> MemOSError | None:
        seen: set[str] = set()
        keys: dict[tuple[str, bytes], str] = {}
        back: list[tuple[str, bytes]] = []
        for put in puts:
            cube = put.cube
            if put.key is not None:
                key = (cube.tenant, put.key[1])
                taken = keys.get(key) or self._taken(*key)
                if taken is not None:
                    return AlreadyRememberedError(put.key[0], taken)
                if self._ledger.is_forgotten(self._connection, *key):
                    if not put.again:
                        return ForgottenError(put.key[0])
                    back.append(key)
                keys[key] = cube.id
            if cube.id in seen:
                return VersionConflictError(cube.id, 0, 1)
            seen.add(cube.id)
            if put.vector is not None:
                try:
                    check_fits(put.vector, self._ledger.identity)
                except MemOSError as exc:
                    return exc
        self._back += back
        return None

    def _taken(self, tenant: str, key: bytes) -> str | None:
        if (tenant, key) in self._keys:
            return self._keys[tenant, key]
        row = self._connection.execute(
            """SELECT cubes.id FROM tenants JOIN keys ON keys.tenant = tenants.number AND keys.key = ?
            JOIN cubes ON cubes.seq = keys.cube WHERE tenants.name = ?""",
            (key, tenant),
        ).fetchone()
        return None if row is None else str(row[0])

    def _put(self, put: PutRows) -> None:
        rows, name, audience = self._rows, put.cube.tenant, put.audience
        tenant = self._touched.get(name)
        if tenant is None:
            tenant = self._touched[name] = self._ledger.tenant(self._connection, name)
        self._seq = seq = self._seq + 1
        vector, number = None, tenant.number
        if put.vector is not None:
            self._vector = vector = self._vector + 1
            rows["vectors"].append((vector, seq, put.stored_vector))
        if put.tokens is not None:
            rows["tokens"].append((seq, put.tokens))
        row = put.row(seq, number, vector, self._commit)
        self.cubes.append((put, row))
        rows["cubes"].append(row)
        rows["versions (cube, version, digest, body)"].append((seq, 1, put.digest, put.body))
        rows["behaviour"].append((seq, put.behaviour))
        rows["labels"] += [(seq, kind, value) for kind, value, _ in put.labels]
        if put.lock is not None:
            rows["locks"].append((seq, put.stored_lock))
        if put.words:
            rows["words"].append((number, seq, put.words))
        if put.leaves:
            rows["leaves"] += [(seq, *leaf) for leaf in put.stored_leaves]
        if put.links:
            rows["links"] += [(seq, *link) for link in put.links]
        if put.key is not None:
            self._keys[name, put.key[1]] = put.cube.id
            rows["keys"].append((number, put.key[1], seq))
        if audience not in self._ledger.audiences:
            self._ledger.audiences.add(audience)
            rows["audiences"] += [(subject, audience) for subject in put.subjects]
        tenant.changed, tenant.tail = self._commit, tenant.tail + 1

    def flush(self) -> None:
        """Fill the tables."""
        for name, key in self._back:
            number = self._ledger.tenant(self._connection, name).number
            self._connection.execute("DELETE FROM forgotten WHERE tenant = ? AND key = ?", (number, key))
            self._ledger.note_forgotten(self._connection, name, key, -1)
        for into, rows in self._rows.items():
            insert_rows(self._connection, into, rows, "ON CONFLICT DO NOTHING" if into == "audiences" else "")
        touched = self._touched.values()
        insert_rows(self._connection, "tenants", [each.fields for each in touched], _CHANGED)
        for tenant in touched:
            if tenant.tail >= postings.FOLD_AT:
                tenant.tail, tenant.merged = 0, postings.fold(self._connection, tenant.number)
