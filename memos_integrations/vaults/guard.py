"""The guard of a SQLite vault: its integrity key, the notary who seals, the witness who checks, the anchor.

What this is worth depends on where the key is. Beside the data (the default, `vault.key`, mode 0600) it stops edits
of the database: by SQL, by an injection, by a restored page, by another program. Whoever can read the key as well can
forge everything. Kept elsewhere (`key=` from a secret store, `key_file=` on another mount) it stops whoever owns the
folder too, except for setting the whole folder back: only an anchor shows that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memos_integrations.core.errors import VaultCorruptError, VaultError
from memos_integrations.vaults.anchor import Anchor
from memos_integrations.vaults.blobs import blob_folder
from memos_integrations.vaults.integrity import check_meta, is_new, read_root, seal_meta, seal_new
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.respelling import respelled
from memos_integrations.vaults.seals import SEAL_KEY_BYTES, Sealer, key_file_of, key_from
from memos_integrations.vaults.sqlite_write import Head
from memos_integrations.vaults.vouched import Beside
from memos_integrations.vaults.witness import Witness


class Guard:
    """The guard of the vault in *database*. At most one of *key* (32 bytes) and *key_file* is given.

    Raises:
        VaultError: The key has the wrong length, or the anchor stands in the vault's own folder.
        VaultCorruptError: The database is empty, but was a vault before.
    """

    def __init__(
        self, database: Path, *, key: bytes | None = None, key_file: Path | None = None, anchor: Path | None = None
    ) -> None:
        if key is not None and (key_file is not None or len(key) != SEAL_KEY_BYTES):
            raise VaultError(f"Give one integrity key: {SEAL_KEY_BYTES} bytes as `key`, or a `key_file`.")
        if anchor is not None and anchor.absolute().parent.resolve() == database.absolute().parent.resolve():
            raise VaultError("An anchor beside the vault would be set back with it; name a file in another place.")
        self._key, self._key_file, self._anchor_file = key, key_file or key_file_of(database), anchor
        if key is None and database.stat().st_size == 0 and self._key_file.exists():
            raise VaultCorruptError(f"{database} is empty, but it has a key. Restore it from a backup.")
        if database.stat().st_size == 0 and any(blob_folder(database).glob("??/??/*")):
            raise VaultCorruptError(f"{database} is empty, but blobs stand beside it. Restore it from a backup.")
        stands = database.resolve()  # SQLite's log is beside the file, not beside a link to it
        self._log = stands.with_name(f"{stands.name}-wal")
        self._anchor: Anchor | None = None
        self._newest: Head | None = None
        self._notary: Notary | None = None
        self._witness: Witness | None = None

    @property
    def notary(self) -> Notary:
        """Who seals what is written.

        Raises:
            VaultError: The vault is not open.
        """
        if self._notary is None:
            raise VaultError("The vault is not open.")
        return self._notary

    @property
    def witness(self) -> Witness:
        """Who checks what is read.

        Raises:
            VaultError: The vault is not open.
        """
        if self._witness is None:
            raise VaultError("The vault is not open.")
        return self._witness

    @property
    def sealer(self) -> Sealer:
        """Who makes the seals, with the vault's key."""
        return self._sealer

    def opened(self, connection: sqlite3.Connection, head: Head, locks: Locks | None = None) -> None:
        """Within a write transaction at opening: seal a new vault, hold an older one against its key and its anchor.

        Raises:
            IntegrityError: The key is missing, the vault is not as it sealed it, or it is older than its anchor.
        """
        new = is_new(connection)
        self._sealer = sealer = Sealer(self._key or key_from(self._key_file, make=new))
        self._notary = Notary(sealer, locks)
        if new:
            seal_new(connection, sealer)
        check_meta(connection, sealer)
        read_root(connection, sealer)
        before = head
        if connection.execute("SELECT 1 FROM meta WHERE name = 'told'").fetchone() is None:
            head = self._notary.adopt(connection, head)  # a vault of before what was forgotten was added up
            connection.execute("INSERT INTO meta VALUES ('told', x'01')")
            seal_meta(connection, sealer)
        if self._anchor_file is not None:
            (vault,) = connection.execute("SELECT value FROM meta WHERE name = 'vault'").fetchone()
            known = connection.execute("SELECT 1 FROM meta WHERE name = 'anchored'").fetchone() is not None
            self._anchor = Anchor(self._anchor_file, sealer, bytes(vault).decode(), self._log)
            self._anchor.check(connection, before, expected=known)
            self._newest = head
            if not known:
                connection.execute("INSERT INTO meta VALUES ('anchored', x'01')")
                seal_meta(connection, sealer)
                self._anchor.note(head, every=0)

    def respell(self, connection: sqlite3.Connection, words: Words, locks: Locks | None) -> None:
        """Within the transaction of an opening, once for a vault: see `respelling.py`."""
        if connection.execute("SELECT 1 FROM meta WHERE name = 'spelled'").fetchone() is None:
            head = respelled(connection, self.notary, self._sealer, words, locks)
            if self._anchor is not None:
                self._newest = head
            connection.execute("INSERT INTO meta VALUES ('spelled', x'01')")
            seal_meta(connection, self._sealer)

    def watch(self, connection: sqlite3.Connection, beside: Beside, most: int) -> None:
        """Let the witness watch over a reading connection of its own; *beside* and *most* as in `Witness`."""
        self._witness = Witness(self._sealer, connection, beside, most=most)

    def begin(self, connection: sqlite3.Connection) -> Head:
        """A group of transactions starts, under the write lock; the vault's counters.

        Raises:
            IntegrityError: They are not what was sealed.
        """
        return self.notary.begin(connection)

    def commit(self, connection: sqlite3.Connection, head: Head) -> None:
        """Seal a group, whose new counters are *head*, and COMMIT it."""
        self.notary.finish(connection, head)
        witness, made, ledger = self.witness, self.notary.made.taken(), self.notary.ledger
        with witness.own(head.commit, alone=ledger.alone), witness.absent.making(made):
            connection.execute("COMMIT")
        if not ledger.is_as_begun(connection):
            witness.others()
        witness.handing.written(self.notary.written())
        self._newest = head
        if self._anchor is not None:
            with suppress(VaultError):  # the commit stands; `close` says so when the anchor cannot be written
                self._anchor.note(head)

    @contextmanager
    def saying_the_same(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Around what the writer's *connection* does to the files without a change of what they say."""
        try:
            with self.witness.own():
                yield
        finally:
            if not self.notary.ledger.is_as_begun(connection):  # somebody else committed meanwhile
                self.witness.doubt()

    def close(self) -> None:
        """Write the anchor's last line and stop watching.

        Raises:
            VaultError: The anchor cannot be written.
        """
        if self._witness is not None:
            self._witness.close()
        if self._anchor is not None and self._newest is not None:
            self._anchor.note(self._newest, every=1)
