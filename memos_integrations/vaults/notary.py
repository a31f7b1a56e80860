"""The notary of a vault: seals what the writer thread writes, and refuses to build on what was changed behind its back.

What a transaction is about to change must still carry its seal, so that an edit from outside is never sealed along;
afterwards the touched rows get new seals. The sums of tenants and vault are kept by difference, never made from what
stands in the tables: a row that somebody removed stays missed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError, MemOSError
from memos_integrations.core.ports import EmbedderIdentity, Erase, Expect, Move, Receipt, Room, Use
from memos_integrations.vaults.absent import Made
from memos_integrations.vaults.integrity import (
    ENTRY,
    Sealed,
    check_meta,
    seal_meta,
    sealed,
    stored_root,
    stored_tally,
)
from memos_integrations.vaults.ledger import Ledger
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.marks import PUT_MARKS, keys_mark, nothing, put_marks
from memos_integrations.vaults.merkle import EVERY, add_checkpoints
from memos_integrations.vaults.seals import MARKS, Sealer, added
from memos_integrations.vaults.sqlite_batch import Batch
from memos_integrations.vaults.sqlite_insert import Row, insert_rows, insert_values
from memos_integrations.vaults.sqlite_rows import Prepared, PutRows, VectorRow
from memos_integrations.vaults.sqlite_use import use_sealed
from memos_integrations.vaults.sqlite_write import Head, apply, bind, write_head

Change = PutRows | VectorRow | Erase | Use | Move
Held = dict[str, Sealed]

_AGAIN = "ON CONFLICT (cube) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in ("mac", "digest", "history", *MARKS, "used")
)

_SUMS = ("commit_number", "cubes", "total", "entries", "log", "forgotten", "reserved", "mac")
_TALLIES = f"tallies (tenant, {', '.join(_SUMS)})"
_TALLIED = "ON CONFLICT (tenant) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in _SUMS)

_USED_NOW = """SELECT c.id, c.seq, b.body FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN behaviour AS b ON b.cube = c.seq"""

_KEYS_OF = """SELECT t.number, t.name, k.key FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN keys AS k ON k.cube = c.seq CROSS JOIN tenants AS t ON t.number = c.tenant"""


class Notary:
    """Seals for the writer thread: `begin`, then the jobs, then `finish` or `forget`, in one write transaction."""

    def __init__(self, sealer: Sealer, locks: Locks | None = None) -> None:
        self._sealer = sealer
        self.ledger = Ledger(sealer, locks)
        self._none = {group: nothing(sealer, group) for group in ("keys", "past")}
        self._block_full = False
        self._fresh: list[tuple[tuple[Any, ...], MemCube | None]] = []
        self.made = Made()

    def encrypted(self, locks: Locks) -> None:
        """The vault was encrypted a moment ago."""
        self.ledger.locks = locks

    def begin(self, connection: sqlite3.Connection) -> Head:
        """Start a group; the vault's counters.

        Raises:
            IntegrityError: They are not what was sealed.
        """
        return self.ledger.begin(connection)

    def forget(self) -> None:
        """The group failed, and nothing of it was written."""
        self.ledger.forget()
        self._block_full = False
        self._fresh = []
        self.made.taken()

    def written(self) -> list[tuple[tuple[Any, ...], MemCube | None]]:
        """The new cubes of the group that was just committed, as the rows that `Handing` would read.

        With the cube itself where the row is encrypted, and does not say it.
        """
        fresh, self._fresh = self._fresh, []
        return fresh

    def apply(self, connection: sqlite3.Connection, head: Head, transaction: Prepared) -> tuple[Head, Receipt]:
        """`sqlite_write.apply`, sealed.

        Raises:
            IntegrityError: A row that is to be changed is not what was sealed.
            MemOSError: The transaction is refused; the caller undoes what it did so far.
        """
        if uses := transaction.only_uses:
            use_sealed(connection, self._sealer, uses)
            return head._replace(commit=head.commit + 1), Receipt(head.commit + 1)
        self._open_accounts(connection, [transaction])
        self.made.note([transaction])
        held = self._before(connection, transaction)
        back = self._coming_back(connection, transaction)
        forgotten = self._keys_of(connection, transaction)
        self.ledger.tenants.clear()  # the transaction may change their rows
        after, receipt = apply(connection, head, transaction)
        for tenant, key in back:
            self.ledger.note_forgotten(connection, tenant, key, -1)
        for number, key, mac, tenant in forgotten:
            row = [(number, key, mac)]
            if insert_rows(connection, "forgotten", row, "ON CONFLICT DO NOTHING"):
                self.ledger.note_forgotten(connection, tenant, key, 1)
        touched: dict[str, list[Change]] = {}
        for change in transaction.changes:
            if not isinstance(change, Expect | Room):
                touched.setdefault(_cube_id(change), []).append(change)
        if touched:
            self._seal_cubes(connection, touched, held)
        if transaction.audit:
            self._note_entries(connection, connection.execute(ENTRY + "number > ?", (head.entries,)).fetchall())
        rows = [*enumerate(transaction.events, start=self.ledger.root.events + 1)]
        insert_rows(connection, "outbox", rows)
        self._note_events(rows)
        return after, receipt

    def inserted(
        self, connection: sqlite3.Connection, head: Head, transactions: Sequence[Prepared], *, keep: bool = True
    ) -> tuple[Head, list[Receipt | MemOSError]]:
        """Many transactions that only bring something new, sealed; see `sqlite_batch`.

        What is sealed is what was written, so nothing is read back. With *keep* it stays at hand for who reads next.

        Raises:
            IntegrityError: The counts of a tenant are not what was sealed; the caller undoes what was done.
        """
        self._open_accounts(connection, transactions)
        self.made.note(transactions)
        batch = Batch(connection, self.ledger, head)
        outcomes = [batch.add(transaction) for transaction in transactions]
        batch.flush()
        seals: list[object] = []
        counts: dict[str, tuple[int, int]] = {}
        share = self._sealer.share
        for put, row in batch.cubes:
            tenant, sealed = put.cube.namespace[0], self._new(put, row)
            seals += sealed
            cubes, total = counts.get(tenant, (0, 0))
            counts[tenant] = (cubes + 1, total + share(sealed[1]))
            if keep:
                told = (put.body, tenant, *sealed[1:], put.behaviour, put.digest, *row)
                self._fresh.append((told, None if put.locks is None else put.cube))
        for tenant, (cubes, total) in counts.items():
            self.count(connection, tenant, cubes, total)
        insert_values(connection, "seals", 5 + len(MARKS), seals)
        self._note_entries(connection, batch.entries)
        self._note_events(batch.events)
        return batch.head, outcomes

    def _new(self, put: PutRows, row: Row) -> tuple[Any, ...]:
        """The row of `seals` of a new cube."""
        sealer, none = self._sealer, self._none
        keys = none["keys"] if put.key is None else keys_mark(sealer, [put.key[1]])
        history = sealer.history(b"", 1, put.digest)
        ordered = (*put_marks(sealer, put), keys, none["past"])  # as in `MARKS`
        mac = sealer.cube((put.cube.tenant, put.digest, history, *ordered, *row))
        return (row[0], mac, put.digest, history, *ordered, sealer.used(put.cube.id, put.behaviour))

    def _note_entries(self, connection: sqlite3.Connection, entries: Sequence[Row]) -> None:
        entry = self._sealer.entry
        for columns in entries:
            account = self.ledger.account(connection, str(columns[1]))
            account.entries, account.changed = account.entries + 1, True
            account.log = added(account.log, entry(columns))
            self._block_full |= columns[0] % EVERY == 0  # type: ignore[operator]

    def _note_events(self, rows: Sequence[tuple[int, bytes]]) -> None:
        root, event = self.ledger.root, self._sealer.event
        root.outbox = added(root.outbox, sum([event(number, body) for number, body in rows]))
        root.events += len(rows)

    def bind(self, connection: sqlite3.Connection, head: Head, identity: EmbedderIdentity) -> tuple[Head, None]:
        """`sqlite_write.bind`, sealed.

        Raises:
            EmbedderMismatchError: Another embedder is bound.
            IntegrityError: The vault's own records are not what was sealed.
        """
        check_meta(connection, self._sealer)
        outcome = bind(connection, head, identity)
        seal_meta(connection, self._sealer)
        self.ledger.identity = identity
        return outcome

    def finish(self, connection: sqlite3.Connection, head: Head) -> None:
        """Seal the tenants that the group changed, and the vault's counters: the last thing before its COMMIT."""
        sealer, commit, root = self._sealer, head.commit, self.ledger.root
        if self._block_full:
            add_checkpoints(connection, head.entries)
            self._block_full = False
        tallies: list[Row] = []
        for tenant, account in self.ledger.opened.items():
            if not account.changed:
                continue
            stored, covered = stored_tally(sealer, tenant, account.tally(commit))
            mac = sealer.tally(tenant, self.ledger.stored_tenant(connection, tenant), covered)
            tallies.append((tenant, *stored, mac))
            if account.before:
                root.total = added(root.total, -sealer.share(account.before))
            else:
                root.tenants += 1
            root.total = added(root.total, sealer.share(mac))
            account.before, account.changed = mac, False
        insert_rows(connection, _TALLIES, tallies, _TALLIED)
        sums = stored_root(sealer, commit, root)
        connection.execute(
            "UPDATE roots SET tenants = ?, total = ?, events = ?, outbox = ?, mac = ?",
            (*sums, sealer.root((*head.row, *sums))),
        )
        self.ledger.head = head

    # --- parts

    def _open_accounts(self, connection: sqlite3.Connection, transactions: Sequence[Prepared]) -> None:
        # Before anything is changed: a tally's seal covers the tenant's row.
        for transaction in transactions:
            for said, _ in transaction.audit:
                self.ledger.account(connection, said[0])
            for put in transaction.puts:
                self.ledger.account(connection, put.cube.namespace[0]).named(put.cube.id)

    def _before(self, connection: sqlite3.Connection, transaction: Prepared) -> Held:
        """What stands already of the cubes that are to be changed, checked."""
        ids = {
            _cube_id(change)
            for change in transaction.changes
            if not isinstance(change, Expect | Room) and not (isinstance(change, PutRows) and change.cube.version == 1)
        }
        doomed = {change.cube_id for change in transaction.changes if isinstance(change, Erase)}
        held: Held = {}
        asked = "c.id IN (SELECT value FROM json_each(?))"
        for row in sealed(connection, asked, (json.dumps(list(ids)),)) if ids else ():
            if row.cube_id not in doomed:  # what is damaged may still be erased
                row.check(self._sealer)
            if row.tenant is not None:
                self.ledger.account(connection, row.tenant)
            held[row.cube_id] = row
        return held

    def _coming_back(self, connection: sqlite3.Connection, transaction: Prepared) -> list[tuple[str, bytes]]:
        """Tenants and keys of what was forgotten and is now written again."""
        told = [(put.cube.tenant, put.key[1]) for put in transaction.puts if put.key is not None]
        return [each for each in dict.fromkeys(told) if self.ledger.is_forgotten(connection, *each)]

    def _keys_of(self, connection: sqlite3.Connection, transaction: Prepared) -> list[tuple[int, bytes, bytes, str]]:
        """The rows of `forgotten` that the transaction's lasting erasures leave, each with its tenant's name."""
        ids = [change.cube_id for change in transaction.changes if isinstance(change, Erase) and change.lasting]
        if not ids:
            return []
        rows = connection.execute(_KEYS_OF, (json.dumps(ids),)).fetchall()
        return [(tenant, key, self._sealer.forgotten(name, key), name) for tenant, name, key in rows]

    def adopt(self, connection: sqlite3.Connection, head: Head) -> Head:
        """Seal the records of what was forgotten before they were added up; the counters after that.

        Raises:
            IntegrityError: One is not ours, or the counts of a tenant are not what was sealed.
        """
        self.begin(connection)
        rows = connection.execute(
            "SELECT t.name, f.key, f.mac FROM forgotten AS f JOIN tenants AS t ON t.number = f.tenant"
        ).fetchall()
        if not rows:
            return head
        for tenant, key, mac in rows:
            if self._sealer.forgotten(tenant, key) != mac:
                raise IntegrityError(f"A record of what was forgotten in tenant {tenant!r} is not ours")
            self.ledger.note_forgotten(connection, tenant, key, 1)
        head = head._replace(commit=head.commit + 1)
        write_head(connection, head)
        self.finish(connection, head)
        return head

    def _seal_used(self, connection: sqlite3.Connection, ids: Sequence[str]) -> None:
        found = connection.execute(_USED_NOW, (json.dumps(list(ids)),)).fetchall()
        connection.executemany(
            "UPDATE seals SET used = ? WHERE cube = ?",
            [(self._sealer.used(cube_id, behaviour), seq) for cube_id, seq, behaviour in found],
        )

    def _seal_cubes(self, connection: sqlite3.Connection, touched: dict[str, list[Change]], held: Held) -> None:
        used = [cube_id for cube_id, changes in touched.items() if all(isinstance(each, Use) for each in changes)]
        if used:
            self._seal_used(connection, used)
            touched = {cube_id: touched[cube_id] for cube_id in touched.keys() - used}
        if not touched:
            return
        rows = connection.execute(
            """SELECT t.name, b.body, c.* FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
            JOIN tenants AS t ON t.number = c.tenant LEFT JOIN behaviour AS b ON b.cube = c.seq""",
            (json.dumps(list(touched)),),
        ).fetchall()
        there = {row[3]: row for row in rows}
        new = []
        for cube_id, changes in touched.items():
            before, now = held.get(cube_id), there.get(cube_id)
            if now is not None:
                new.append(self._sealed(connection, before, changes, now))
                self.count(connection, now[0], 1, self._sealer.share(new[-1][1]))
            if before is not None and before.mac is not None and before.tenant is not None:
                self.count(connection, before.tenant, -1, -self._sealer.share(before.mac))
        insert_rows(connection, "seals", new, _AGAIN)

    def _sealed(
        self, connection: sqlite3.Connection, before: Sealed | None, changes: Sequence[Change], now: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        sealer, (tenant, behaviour, *row) = self._sealer, now
        digest, history = ("", b"") if before is None else (before.digest, before.history)
        marks = dict(zip(MARKS, before.marks, strict=True)) if before else {**self._none}
        last = None if before is None else before.reading
        for change in changes:
            if isinstance(change, PutRows):
                if last is not None:
                    marks["past"] = sealer.past(marks["past"], last)
                last = (change.cube.version, change.recorded_at, change.audience)
                digest = change.digest
                history = sealer.history(history, change.cube.version, digest)
                marks |= zip(PUT_MARKS, put_marks(sealer, change), strict=True)
                if change.key is not None:
                    found = connection.execute("SELECT key FROM keys WHERE cube = ?", (row[0],))
                    marks["keys"] = keys_mark(sealer, [key for (key,) in found])
            elif isinstance(change, VectorRow):
                marks["vector"] = sealer.vector(change.vector)
        ordered = tuple(marks[group] for group in MARKS)
        mac = sealer.cube((tenant, digest, history, *ordered, *row))
        return (row[0], mac, digest, history, *ordered, sealer.used(row[1], behaviour))

    def count(self, connection: sqlite3.Connection, tenant: str, cubes: int, share: int) -> None:
        """Add so many cubes, and what their seals contribute, to the sums of a tenant."""
        account = self.ledger.account(connection, tenant)
        account.cubes, account.total, account.changed = account.cubes + cubes, added(account.total, share), True


def _cube_id(change: Change) -> str:
    return change.cube.id if isinstance(change, PutRows) else change.cube_id
