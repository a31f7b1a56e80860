"""Many new cubes and records at once: each transaction is checked alone, then every table filled in few statements."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from memos_integrations.core.errors import AlreadyRememberedError, MemOSError, VersionConflictError
from memos_integrations.core.ports import EmbedderIdentity, Receipt
from memos_integrations.vaults.rules import check_fits
from memos_integrations.vaults.sqlite_insert import Row, insert_rows
from memos_integrations.vaults.sqlite_rows import Prepared, PutRows
from memos_integrations.vaults.sqlite_write import Head, chained, read_identity, tenant_changed, tenant_of


def insert(
    connection: sqlite3.Connection, head: Head, transactions: Sequence[Prepared]
) -> tuple[Head, list[Receipt | MemOSError]]:
    """Apply transactions that only bring new cubes, records and events (`Prepared.is_new`), in their order.

    A transaction that must be refused leaves nothing; its error stands in the place of its receipt.
    """
    batch = _Batch(connection, head, [put for each in transactions for put in each.puts])
    outcomes = [batch.outcome(each) for each in transactions]
    batch.flush()
    return batch.head, outcomes


class _Batch:
    """Rows on their way into the tables."""

    def __init__(self, connection: sqlite3.Connection, head: Head, puts: Sequence[PutRows]) -> None:
        self.head = head
        self._connection = connection
        self._versions = _versions(connection, [put.cube.id for put in puts])
        self._keys: dict[tuple[str, bytes], str] = {}
        self._tenants: dict[str, int] = {}
        self._changed: dict[int, int] = {}
        self._fresh: Counter[int] = Counter()
        self._identity: EmbedderIdentity | None = None
        self._seq = self._vector = 0
        if puts:
            self._identity = read_identity(connection)
            self._seq, self._vector = _last(connection, "cubes"), _last(connection, "vectors")
        self._columns = tuple(puts[0].columns) if puts else ()
        self._rows: dict[str, list[Row]] = {}
        self._audiences: set[Row] = set()

    def outcome(self, transaction: Prepared) -> Receipt | MemOSError:
        """The receipt of a transaction whose rows are now on their way, or why it is refused."""
        refusal = self._refusal(transaction.puts)
        if refusal is not None:
            return refusal
        self.head, entries = chained(replace(self.head, commit=self.head.commit + 1), transaction)
        for put in transaction.puts:
            self._put(put, self.head.commit)
        self._extend("audit", entries)
        self._extend("outbox (body)", [(event,) for event in transaction.events])
        return Receipt(self.head.commit)

    def _refusal(self, puts: Sequence[PutRows]) -> MemOSError | None:
        seen = dict(self._versions)
        for put in puts:
            cube = put.cube
            if put.key is not None and (taken := self._taken(cube.tenant, put.key[1])) is not None:
                return AlreadyRememberedError(put.key[0], taken)
            if cube.id in seen:
                return VersionConflictError(cube.id, 0, seen[cube.id])
            seen[cube.id] = 1
            if put.vector is not None:
                try:
                    check_fits(put.vector, self._identity)
                except MemOSError as exc:
                    return exc
        keys = [(put.cube.tenant, put.key[1]) for put in puts if put.key is not None]
        if len(set(keys)) < len(keys):
            twice = next(put for put in puts if put.key and keys.count((put.cube.tenant, put.key[1])) > 1)
            return AlreadyRememberedError(twice.key[0] if twice.key else "", twice.cube.id)
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

    def _put(self, put: PutRows, commit: int) -> None:
        cube = put.cube
        tenant = self._tenants.get(cube.tenant)
        if tenant is None:
            tenant = self._tenants[cube.tenant] = tenant_of(self._connection, cube.tenant)
        self._seq += 1
        seq, vector = self._seq, None
        if put.vector is not None:
            self._vector += 1
            vector = self._vector
            self._add("vectors", (vector, seq, put.vector.astype("<f4", copy=False).tobytes()))
        self._add("cubes", (*put.columns.values(), seq, tenant, vector, commit))
        self._add("versions (cube, version, digest, body)", (seq, 1, put.digest, put.body))
        self._add("behaviour", (seq, put.behaviour))
        self._extend("labels", [(seq, *label) for label in put.labels])
        if put.words:
            self._add("words", (tenant, seq, put.words))
        self._extend("leaves", [(seq, *leaf) for leaf in put.leaves])
        self._extend("links", [(seq, *link) for link in put.links])
        self._audiences.update((subject, put.columns["audience"]) for subject in put.subjects)
        self._versions[cube.id] = 1
        self._changed[tenant] = commit
        self._fresh[tenant] += 1
        if put.key is not None:
            self._keys[cube.tenant, put.key[1]] = cube.id
            self._add("keys", (tenant, put.key[1], seq))

    def _add(self, into: str, row: Row) -> None:
        self._rows.setdefault(into, []).append(row)

    def _extend(self, into: str, rows: Iterable[Row]) -> None:
        self._rows.setdefault(into, []).extend(rows)

    def flush(self) -> None:
        """Fill the tables."""
        cubes = self._rows.pop("cubes", [])
        # Parents first, so that every reference holds at once.
        insert_rows(self._connection, f"cubes ({', '.join(self._columns)}, seq, tenant, vector, changed)", cubes)
        for into, rows in self._rows.items():
            insert_rows(self._connection, into, rows)
        insert_rows(self._connection, "audiences", list(self._audiences), "ON CONFLICT DO NOTHING")
        for tenant, commit in self._changed.items():
            tenant_changed(self._connection, tenant, commit, self._fresh[tenant])


def _versions(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    if not ids:
        return {}
    return dict(
        connection.execute(
            "SELECT c.id, c.version FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value",
            (json.dumps(ids),),
        )
    )


def _last(connection: sqlite3.Connection, table: str) -> int:
    """The highest number that AUTOINCREMENT gave out in a table."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])
