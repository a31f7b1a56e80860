"""What the writer thread knows of the file's counters and sums, so that it need not read them at every commit.

It holds for as long as nobody else commits: `PRAGMA data_version` changes when any other connection did, in this
process or another, and then everything is read, and held against its seal, anew. After a failure too.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from memos_integrations.core.ports import EmbedderIdentity
from memos_integrations.core.ruling import RESERVED
from memos_integrations.vaults.integrity import check_forgotten, read_account, read_root
from memos_integrations.vaults.locks import Locks, read_keys
from memos_integrations.vaults.seals import NONE_RESERVED, SOME_RESERVED, Fields, Root, Sealer, Tally, added
from memos_integrations.vaults.sqlite_write import GENESIS_HEAD, Head, read_head, read_identity, tenant_of

_FORGOTTEN = "SELECT 1 FROM forgotten WHERE key = ? AND tenant = (SELECT number FROM tenants WHERE name = ?)"

_MOST = 10_000
"""How many tenants are kept in mind."""


@dataclass(slots=True)
class Account:
    """A tenant's tally. `before` is its seal so far, empty for a new one.

    `whole`: the keys of what was forgotten were found to add up to their sum.
    """

    cubes: int
    total: int
    entries: int
    log: int
    forgotten: int
    reserved: bytes
    before: bytes
    changed: bool = False
    whole: bool = False

    def tally(self, commit: int) -> Tally:
        """As it is to be stored."""
        return Tally(commit, self.cubes, self.total, self.entries, self.log, self.forgotten, self.reserved)

    def named(self, cube_id: str) -> None:
        """A cube of this id is about to be written."""
        if cube_id.startswith(RESERVED):
            self.reserved, self.changed = SOME_RESERVED, True


@dataclass(slots=True)
class TenantRow:
    """A tenant's row in `tenants`."""

    number: int
    name: str
    changed: int
    tail: int
    merged: int

    @property
    def fields(self) -> Fields:
        """As it stands in the table."""
        return (self.number, self.name, self.changed, self.tail, self.merged)


@dataclass(slots=True)
class Ledger:
    """Counters, sums, tenants and sets of readers as of the last commit; `opened` are the accounts of this group."""

    sealer: Sealer
    locks: Locks | None = None
    head: Head = GENESIS_HEAD
    root: Root = field(default_factory=Root)
    identity: EmbedderIdentity | None = None
    accounts: dict[str, Account] = field(default_factory=dict)
    opened: dict[str, Account] = field(default_factory=dict)
    tenants: dict[str, TenantRow] = field(default_factory=dict)
    audiences: set[object] = field(default_factory=set)
    alone: bool = False
    """Whether nobody else committed between the last group and this one."""
    _version: tuple[sqlite3.Connection, int] | None = None

    def begin(self, connection: sqlite3.Connection) -> Head:
        """The counters as of the connection's write transaction.

        Raises:
            IntegrityError: They are not what was sealed.
            VaultCorruptError: They are damaged.
            VaultKeyError: Another process changed the vault's keys to some that this one does not have.
        """
        self.opened = {}
        self.alone = self.is_as_begun(connection)
        if not self.alone:
            self.forget()
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            self.head = read_head(connection)
            self.root = read_root(connection, self.sealer)
            self.identity = read_identity(connection)
            read_keys(connection, self.locks)
            self._version = (connection, version)
        elif len(self.accounts) > _MOST or len(self.audiences) > _MOST:
            self._clear()
        return self.head

    def is_as_begun(self, connection: sqlite3.Connection) -> bool:
        """Whether nobody else committed since the last group that this connection began."""
        return self._version == (connection, *connection.execute("PRAGMA data_version").fetchone())

    def forget(self) -> None:
        """Read everything anew next time."""
        self._version = None
        self._clear()

    def _clear(self) -> None:
        self.accounts, self.opened, self.tenants, self.audiences = {}, {}, {}, set()

    def account(self, connection: sqlite3.Connection, tenant: str) -> Account:
        """The tally of a tenant, to be changed.

        Raises:
            IntegrityError: It is not what was sealed.
        """
        account = self.accounts.get(tenant)
        if account is None:
            tally, mac, row = read_account(connection, self.sealer, tenant)
            sums = (tally.cubes, tally.total, tally.entries, tally.log, tally.forgotten)
            reserved = tally.reserved if mac else NONE_RESERVED  # of a new tenant all is known
            account = self.accounts[tenant] = Account(*sums, reserved, mac)
            if row:
                self.tenants[tenant] = TenantRow(*row)
        self.opened[tenant] = account
        return account

    def is_forgotten(self, connection: sqlite3.Connection, tenant: str, key: bytes) -> bool:
        """Whether the cube of a key was forgotten for good.

        Raises:
            IntegrityError: A record of what was forgotten in the tenant was changed, added or removed.
        """
        account = self.account(connection, tenant)
        if not account.whole:
            check_forgotten(connection, self.sealer, tenant, account.forgotten)
            account.whole = True
        if not account.forgotten:
            return False
        return connection.execute(_FORGOTTEN, (key, tenant)).fetchone() is not None

    def note_forgotten(self, connection: sqlite3.Connection, tenant: str, key: bytes, times: int) -> None:
        """A record of what was forgotten was added (1) or taken away (-1)."""
        account = self.account(connection, tenant)
        share = self.sealer.share(self.sealer.forgotten(tenant, key))
        account.forgotten, account.changed = added(account.forgotten, times * share), True

    def tenant(self, connection: sqlite3.Connection, name: str) -> TenantRow:
        """The row of a tenant, made when there is none."""
        row = self.tenants.get(name)
        if row is None:
            found = self._found(connection, name)
            if not found:
                tenant_of(connection, name)
                found = self._found(connection, name)
            row = self.tenants[name] = TenantRow(*found)
        return row

    def _found(self, connection: sqlite3.Connection, name: str) -> tuple[Any, ...]:
        return connection.execute("SELECT * FROM tenants WHERE name = ?", (name,)).fetchone() or ()

    def stored_tenant(self, connection: sqlite3.Connection, name: str) -> Fields:
        """The row of a tenant as it stands in the table; empty when there is none."""
        row = self.tenants.get(name)
        return self._found(connection, name) if row is None else row.fields
