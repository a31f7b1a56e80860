"""The notary of a vault: seals what the writer thread writes, and refuses to build on what was changed behind its back.

What a transaction is about to change must still carry its seal, so that an edit from outside is never sealed along;
afterwards the touched rows get new seals. The sums of tenants and vault are kept by difference, never made from what
stands in the tables: a row that somebody removed stays missed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import EmbedderIdentity, Erase, Expect, Move, Receipt, Use
from memos_integrations.vaults.integrity import (
    ENTRY,
    Sealed,
    check_meta,
    read_root,
    read_tally,
    root_seal,
    seal_meta,
    sealed,
    stored_root,
    tally_seal,
)
from memos_integrations.vaults.marks import keys_mark, nothing, put_marks
from memos_integrations.vaults.merkle import EVERY, add_checkpoints
from memos_integrations.vaults.seals import MARKS, Root, Sealer, added
from memos_integrations.vaults.sqlite_insert import insert_rows
from memos_integrations.vaults.sqlite_rows import Prepared, PutRows, VectorRow
from memos_integrations.vaults.sqlite_write import Head, apply, bind

Change = PutRows | VectorRow | Erase | Use | Move
Held = dict[str, Sealed]

_AGAIN = "ON CONFLICT (cube) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in ("mac", "digest", "history", *MARKS, "used")
)


@dataclass(slots=True)
class _Account:
    """A tenant's tally while a group of transactions is written. `before` is its seal so far, empty for a new one."""

    cubes: int
    total: int
    entries: int
    log: int
    before: bytes
    changed: bool = False


class Notary:
    """Seals for the writer thread: `begin`, then the jobs, then `finish`, in one write transaction."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._accounts: dict[str, _Account] = {}
        self._root = Root()
        self._block_full = False

    def begin(self, connection: sqlite3.Connection) -> None:
        """Start a group.

        Raises:
            IntegrityError: The vault's counters are not what was sealed.
        """
        self._root = read_root(connection, self._sealer)
        self._accounts = {}

    def apply(self, connection: sqlite3.Connection, head: Head, transaction: Prepared) -> tuple[Head, Receipt]:
        """`sqlite_write.apply`, sealed.

        Raises:
            IntegrityError: A row that is to be changed is not what was sealed.
            MemOSError: The transaction is refused; the caller undoes what it did so far.
        """
        held = self._before(connection, [transaction])
        after, receipt = apply(connection, head, transaction)
        self._after(connection, head.entries, [transaction], held)
        return after, receipt

    def inserted(
        self,
        connection: sqlite3.Connection,
        head: Head,
        transactions: Sequence[Prepared],
        insert: Callable[[sqlite3.Connection, Head, Sequence[Prepared]], tuple[Head, list[Receipt | MemOSError]]],
    ) -> tuple[Head, list[Receipt | MemOSError]]:
        """`sqlite_batch.insert`, sealed.

        Raises:
            IntegrityError: The counts of a tenant are not what was sealed; nothing was done.
        """
        held = self._before(connection, transactions)
        after, outcomes = insert(connection, head, transactions)
        done = [each for each, said in zip(transactions, outcomes, strict=True) if not isinstance(said, MemOSError)]
        self._after(connection, head.entries, done, held)
        return after, outcomes

    def bind(self, connection: sqlite3.Connection, head: Head, identity: EmbedderIdentity) -> tuple[Head, None]:
        """`sqlite_write.bind`, sealed.

        Raises:
            EmbedderMismatchError: Another embedder is bound.
            IntegrityError: The vault's own records are not what was sealed.
        """
        check_meta(connection, self._sealer)
        outcome = bind(connection, head, identity)
        seal_meta(connection, self._sealer)
        return outcome

    def finish(self, connection: sqlite3.Connection, head: Head) -> None:
        """Seal the tenants that the group changed, and the vault's counters: the last thing before its COMMIT."""
        sealer, commit, root = self._sealer, head.commit, self._root
        if self._block_full:
            add_checkpoints(connection, head.entries)
            self._block_full = False
        for tenant, account in self._accounts.items():
            if not account.changed:
                continue
            stored = (
                commit,
                account.cubes,
                sealer.masked(tenant, commit, account.total),
                account.entries,
                sealer.masked(tenant + "\0log", commit, account.log),
            )
            mac = tally_seal(connection, sealer, tenant, stored)
            connection.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?)", (tenant, *stored, mac))
            if account.before:
                root.total = added(root.total, -sealer.share(account.before))
            else:
                root.tenants += 1
            root.total = added(root.total, sealer.share(mac))
        sums = stored_root(sealer, commit, root)
        connection.execute(
            "UPDATE roots SET tenants = ?, total = ?, events = ?, outbox = ?, mac = ?",
            (*sums, root_seal(connection, sealer, sums)),
        )

    # --- parts

    def _before(self, connection: sqlite3.Connection, transactions: Sequence[Prepared]) -> Held:
        """What stands already of the cubes that are to be changed, checked; the accounts of all tenants are open."""
        ids = []
        doomed = set()
        for transaction in transactions:
            for tenant in {put.cube.tenant for put in transaction.puts} | {said[0] for said, _ in transaction.audit}:
                self._account(connection, tenant)
            for change in transaction.changes:
                if isinstance(change, Expect):
                    continue
                if not (isinstance(change, PutRows) and change.cube.version == 1):
                    ids.append(_cube_id(change))
                if isinstance(change, Erase):
                    doomed.add(change.cube_id)
        held: Held = {}
        asked = "c.id IN (SELECT value FROM json_each(?))"
        for row in sealed(connection, asked, (json.dumps(ids),)) if ids else ():
            if row.cube_id not in doomed:  # what is damaged may still be erased
                row.check(self._sealer)
            if row.tenant is not None:
                self._account(connection, row.tenant)
            held[row.cube_id] = row
        return held

    def _after(
        self, connection: sqlite3.Connection, entries: int, transactions: Sequence[Prepared], held: Held
    ) -> None:
        touched: dict[str, list[Change]] = {}
        for transaction in transactions:
            for change in transaction.changes:
                if isinstance(change, Expect):
                    continue
                touched.setdefault(_cube_id(change), []).append(change)
        if touched:
            self._seal_cubes(connection, touched, held)
        if any(transaction.audit for transaction in transactions):
            for entry in connection.execute(ENTRY + "number > ?", (entries,)).fetchall():
                account = self._accounts[entry[1]]
                account.entries, account.changed = account.entries + 1, True
                account.log = added(account.log, self._sealer.entry(entry))
                self._block_full |= entry[0] % EVERY == 0

        events = sum(len(transaction.events) for transaction in transactions)
        if events:
            for row in connection.execute("SELECT number, body FROM outbox ORDER BY number DESC LIMIT ?", (events,)):
                self._root.outbox = added(self._root.outbox, self._sealer.event(*row))
            self._root.events += events

    def _seal_cubes(self, connection: sqlite3.Connection, touched: dict[str, list[Change]], held: Held) -> None:
        rows = connection.execute(
            """SELECT t.name, b.body, c.* FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
            JOIN tenants AS t ON t.number = c.tenant LEFT JOIN behaviour AS b ON b.cube = c.seq""",
            (json.dumps(list(touched)),),
        ).fetchall()
        there = {row[3]: row for row in rows}
        new, uses = [], []
        for cube_id, changes in touched.items():
            before, now = held.get(cube_id), there.get(cube_id)
            if now is not None and before is not None and all(isinstance(change, Use) for change in changes):
                uses.append((self._sealer.used(cube_id, now[1]), now[2]))
                continue
            if now is not None:
                new.append(self._sealed(connection, before, changes, now))
                self._count(now[0], 1, self._sealer.share(new[-1][1]))
            if before is not None and before.mac is not None and before.tenant is not None:
                self._count(before.tenant, -1, -self._sealer.share(before.mac))
        insert_rows(connection, "seals", new, _AGAIN)
        connection.executemany("UPDATE seals SET used = ? WHERE cube = ?", uses)

    def _sealed(
        self, connection: sqlite3.Connection, before: Sealed | None, changes: Sequence[Change], now: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        sealer, (tenant, behaviour, *row) = self._sealer, now
        digest, history = ("", b"") if before is None else (before.digest, before.history)
        marks = dict(zip(MARKS, before.marks, strict=True)) if before else _new_marks(sealer)
        last = None if before is None else before.reading
        for change in changes:
            if isinstance(change, PutRows):
                if last is not None:
                    marks["past"] = sealer.past(marks["past"], last)
                last = (change.cube.version, change.columns["recorded_at"], change.columns["audience"])
                digest = change.digest
                history = sealer.history(history, change.cube.version, digest)
                marks |= put_marks(sealer, change)
                if change.key is not None:
                    found = connection.execute("SELECT key FROM keys WHERE cube = ?", (row[0],))
                    marks["keys"] = keys_mark(sealer, [key for (key,) in found])
            elif isinstance(change, VectorRow):
                marks["vector"] = sealer.vector(change.vector)
        ordered = tuple(marks[group] for group in MARKS)
        mac = sealer.cube((tenant, digest, history, *ordered, *row))
        return (row[0], mac, digest, history, *ordered, sealer.used(row[1], behaviour))

    def _count(self, tenant: str, cubes: int, share: int) -> None:
        account = self._accounts[tenant]
        account.cubes, account.total, account.changed = account.cubes + cubes, added(account.total, share), True

    def _account(self, connection: sqlite3.Connection, tenant: str) -> None:
        if tenant not in self._accounts:
            tally, mac = read_tally(connection, self._sealer, tenant)
            self._accounts[tenant] = _Account(tally.cubes, tally.total, tally.entries, tally.log, mac)


def _new_marks(sealer: Sealer) -> dict[str, bytes]:
    return {group: nothing(sealer, group) for group in ("keys", "past")}


def _cube_id(change: Change) -> str:
    return change.cube.id if isinstance(change, PutRows) else change.cube_id
