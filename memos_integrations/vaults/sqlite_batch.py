"""Many new cubes and records at once: each transaction is checked alone, then every table filled in few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from memos_integrations.core.errors import AlreadyRememberedError, ForgottenError, MemOSError, VersionConflictError
from memos_integrations.core.ports import Receipt
from memos_integrations.vaults import postings
from memos_integrations.vaults.audit_chain import entry_hash
from memos_integrations.vaults.ledger import Ledger, TenantRow
from memos_integrations.vaults.rules import check_fits
from memos_integrations.vaults.sqlite_insert import Row, insert_rows, insert_values
from memos_integrations.vaults.sqlite_rows import Prepared, PutRows
from memos_integrations.vaults.sqlite_write import Head

_TABLES = {
    "cubes": 18,  # parents first, so that every reference holds at once
    "vectors": 3,
    "tokens": 2,
    "versions (cube, version, digest, body)": 4,
    "behaviour": 2,
    "locks": 2,
    "labels": 3,
    "words": 3,
    "leaves": 4,
    "links": 3,
    "keys": 3,
    "audit": 11,
    "outbox": 2,
    "audiences": 2,
}
"""Which tables are filled, in this order, and how many values a row of each has."""

_CHANGED = "ON CONFLICT (number) DO UPDATE SET changed = excluded.changed, tail = excluded.tail"


class Batch:
    """Transactions that only bring new cubes, records and events (`Prepared.is_new`), on their way into the tables.

    A transaction that must be refused leaves nothing; its error stands in the place of its receipt. `cubes` are the new
    ones as `(put, row of cubes)`, `entries` what seals cover of the new rows of the audit log, `events` the rows of the
    outbox.

    Raises:
        sqlite3.IntegrityError: By `flush`: an id is taken. The caller undoes the batch and finds out whose it was.
    """

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger, head: Head) -> None:
        self.cubes: list[tuple[PutRows, Row]] = []
        self.entries: list[Row] = []
        self.events: list[tuple[int, bytes]] = []
        self._head = head
        self._commit, self._seq, self._vector = head.commit, head.cubes, head.vectors
        self._connection, self._ledger = connection, ledger
        self._keys: dict[tuple[str, bytes], str] = {}
        self._back: list[tuple[str, bytes]] = []
        self._touched: dict[str, TenantRow] = {}
        self._event = ledger.root.events
        self._values: dict[str, list[object]] = {table: [] for table in _TABLES}

    @property
    def head(self) -> Head:
        """The vault's counters after what was added."""
        return self._head._replace(commit=self._commit, cubes=self._seq, vectors=self._vector)

    def add(self, transaction: Prepared) -> Receipt | MemOSError:
        """The receipt of a transaction whose rows are now on their way, or why it is refused."""
        puts = transaction.puts
        refusal = self._refusal(puts)
        if refusal is not None:
            return refusal
        self._commit += 1
        for put in puts:
            self._put(put)
        self._log(transaction)
        values, number = self._values["outbox"], self._event
        for event in transaction.events:
            number += 1
            values += (number, event)
            self.events.append((number, event))
        self._event = number
        return Receipt(self._commit)

    def _log(self, transaction: Prepared) -> None:
        number, last, values = self._head.entries, self._head.hash, self._values["audit"]
        for outline, raw in transaction.audit:
            number, previous = number + 1, last
            last = entry_hash(number, previous, raw)
            values += (number, *outline, raw, previous, last)
            self.entries.append((number, *outline, previous, last))
        self._head = self._head._replace(entries=number, hash=last)

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
        values, cube, audience = self._values, put.cube, put.audience
        name = cube.namespace[0]
        tenant = self._touched.get(name)
        if tenant is None:
            tenant = self._touched[name] = self._ledger.tenant(self._connection, name)
        self._seq = seq = self._seq + 1
        vector, number = None, tenant.number
        if put.vector is not None:
            self._vector = vector = self._vector + 1
            values["vectors"] += (vector, seq, put.stored_vector)
        row = put.row(seq, number, vector, self._commit)
        self.cubes.append((put, row))
        values["cubes"] += row
        values["versions (cube, version, digest, body)"] += (seq, 1, put.digest, put.body)
        values["behaviour"] += (seq, put.behaviour)
        labels = values["labels"]
        for kind, value, _ in put.labels:
            labels += (seq, kind, value)
        if put.words:
            values["words"] += (number, seq, put.words)
        self._rarely(put, seq, number)
        if audience not in self._ledger.audiences:
            self._ledger.audiences.add(audience)
            for subject in put.subjects:
                values["audiences"] += (subject, audience)
        tenant.changed, tenant.tail = self._commit, tenant.tail + 1

    def _rarely(self, put: PutRows, seq: int, tenant: int) -> None:
        """What most cubes have none of."""
        values = self._values
        if put.tokens is not None:
            values["tokens"] += (seq, put.tokens)
        if put.lock is not None:
            values["locks"] += (seq, put.stored_lock)
        for leaf in put.stored_leaves if put.leaves else ():
            values["leaves"] += (seq, *leaf)
        for link in put.links:
            values["links"] += (seq, *link)
        if put.key is not None:
            self._keys[put.cube.tenant, put.key[1]] = put.cube.id
            values["keys"] += (tenant, put.key[1], seq)

    def flush(self) -> None:
        """Fill the tables."""
        for name, key in self._back:
            number = self._ledger.tenant(self._connection, name).number
            self._connection.execute("DELETE FROM forgotten WHERE tenant = ? AND key = ?", (number, key))
            self._ledger.note_forgotten(self._connection, name, key, -1)
        if len(self._touched) > 1:  # words stand by tenant: those of one go on one page after another
            words = self._values["words"]
            rows = sorted(zip(words[::3], words[1::3], words[2::3], strict=True))
            self._values["words"] = [*chain.from_iterable(rows)]
        for into, values in self._values.items():
            if values:
                otherwise = "ON CONFLICT DO NOTHING" if into == "audiences" else ""
                insert_values(self._connection, into, _TABLES[into], values, otherwise)
        touched = self._touched.values()
        insert_rows(self._connection, "tenants", [each.fields for each in touched], _CHANGED)
        for tenant in touched:
            if tenant.tail >= postings.FOLD_AT:
                tenant.tail, tenant.merged = 0, postings.fold(self._connection, tenant.number)
