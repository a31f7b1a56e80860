"""Turning encryption on and changing keys, batch by batch: a crash leaves a whole step, and the next opening goes on.

A change of keys makes a new master key under the new provider, wraps the old one with that provider too, and wraps
every data key anew; then the old master key goes. From its first transaction on only the new provider opens the vault.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

from memos_integrations.core.errors import VaultError, VaultKeyError
from memos_integrations.core.ports import KeyProvider
from memos_integrations.vaults.integrity import check_meta, seal_meta
from memos_integrations.vaults.locks import (
    BLIND,
    DATA_KEY_BYTES,
    KEK,
    MASTER,
    WORD_KEY,
    Locks,
    about,
    check_not_erased,
    is_sealed,
    masters_in,
)
from memos_integrations.vaults.numbering import word_check
from memos_integrations.vaults.seals import Sealer

_SEALING = "sealing"
_BATCH = 500

Run = Callable[[Callable[[sqlite3.Connection], None]], None]
"""Runs a function in a write transaction of the writer thread, and returns when that is durable."""


def opened_locks(
    connection: sqlite3.Connection, keys: KeyProvider | None, connect: Callable[[], sqlite3.Connection]
) -> Locks | None:
    """The keys of an encrypted vault; None when it is not encrypted.

    Raises:
        VaultKeyError: It is, and *keys* are none or not its own.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (KEK,)).fetchone()
    if row is None:
        return None
    check_not_erased(dict(connection.execute("SELECT name, value FROM meta")))
    if keys is None:
        raise VaultKeyError(f"The vault is encrypted with {bytes(row[0]).decode()!r}. Open it with `keys=`.")
    return Locks(keys, connection, connect)


def encrypt(
    connection: sqlite3.Connection, sealer: Sealer, keys: KeyProvider, connect: Callable[[], sqlite3.Connection]
) -> Locks:
    """Within the write transaction of an opening: give the vault its first master key, and wrap its word key.

    What is in it is sealed by `Rekeying.finish`.
    """
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    wrapped = keys.wrap(os.urandom(DATA_KEY_BYTES), about(meta, 1))
    _put(connection, {KEK: keys.name.encode(), f"{MASTER}1": wrapped, _SEALING: b"\x01"})
    locks = Locks(keys, connection, connect)
    _put(connection, {"word_key": locks.wrap(meta["word_key"], WORD_KEY)})
    seal_meta(connection, sealer)
    return locks


def blind(connection: sqlite3.Connection, sealer: Sealer, locks: Locks | None) -> None:
    """Within the write transaction of an opening: from now on vectors and numbers are sealed too.

    Raises:
        VaultError: The vault is not encrypted.
    """
    if locks is None:
        raise VaultError("Only an encrypted vault can be blinded: give `keys=` too.")
    if not locks.blind:
        _put(connection, {BLIND: b"\x01", _SEALING: b"\x01"})
        seal_meta(connection, sealer)
        locks.refresh(connection)


def word_key(meta: dict[str, bytes], locks: Locks | None) -> bytes:
    """The word key of the vault."""
    found = meta["word_key"]
    if locks is None:
        return found
    key = locks.unwrap(found, WORD_KEY)
    return key if meta["word_check"] == word_check(key) else b""


class Rekeying:
    """Does in batches what a vault's keys still lack.

    *run* is the writer's, *run_last* as well but leaves the write-ahead log empty; *blobs* does the same for the blobs.
    """

    def __init__(self, locks: Locks, sealer: Sealer, run: Run, run_last: Run, blobs: Callable[[Run], int]) -> None:
        self._locks, self._sealer, self._run, self._run_last, self._blobs = locks, sealer, run, run_last, blobs

    def turn(self, connection: sqlite3.Connection, keys: KeyProvider) -> None:
        """Within a write transaction: a new master key, under *keys*."""
        locks = self._locks
        check_meta(connection, self._sealer)
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        fresh = max(masters_in(meta)) + 1
        rows = {KEK: keys.name.encode()}
        for number, wrapped in masters_in(meta).items():
            master = locks.provider.unwrap(wrapped, about(meta, number))
            rows[f"{MASTER}{number}"] = keys.wrap(master, about(meta, number))
        rows[f"{MASTER}{fresh}"] = keys.wrap(os.urandom(DATA_KEY_BYTES), about(meta, fresh))
        _put(connection, rows)
        words = locks.unwrap(meta["word_key"], WORD_KEY)
        locks.provider = keys
        locks.refresh(connection)
        _put(connection, {"word_key": locks.wrap(words, WORD_KEY)})
        seal_meta(connection, self._sealer)

    def finish(self, meta: dict[str, bytes]) -> int:
        """Seal what is not sealed, and wrap anew what is wrapped with an older master key; how many keys that was."""
        if _SEALING not in meta and len(masters_in(meta)) == 1:
            return 0
        done = self._each(self._sealed if _SEALING in meta else self._wrapped)
        if _SEALING in meta and len(masters_in(meta)) > 1:
            done += self._each(self._wrapped)
        done += self._blobs(self._run)
        self._run_last(self._settled)
        return done

    def _each(self, step: Callable[[sqlite3.Connection, int, list[Any]], None]) -> int:
        done, after, seen = 0, -1, list[Any]()
        while True:
            seen.clear()
            self._run(lambda connection, after=after: step(connection, after, seen))  # type: ignore[misc]
            if not seen:
                return done
            done, after = done + len(seen), seen[-1]

    def _sealed(self, connection: sqlite3.Connection, after: int, seen: list[Any]) -> None:
        locks = self._locks
        cubes = "SELECT seq, id, version FROM cubes WHERE seq > ? ORDER BY seq LIMIT ?"
        for seq, name, version in connection.execute(cubes, (after, _BATCH)).fetchall():
            seen.append(seq)
            key = locks.key_of(connection, seq, name)
            bodies = connection.execute("SELECT number, version, body FROM versions WHERE cube = ?", (seq,)).fetchall()
            for number, which, body in bodies:
                if not is_sealed(body, "body"):
                    sealed = locks.seal(key, body, name, which, "body")
                    connection.execute("UPDATE versions SET body = ? WHERE number = ?", (sealed, number))
            for (row,) in connection.execute("SELECT row FROM tokens WHERE cube = ?", (seq,)).fetchall():
                if not is_sealed(row, "tokens"):
                    sealed = locks.seal(key, row, name, version, "tokens")
                    connection.execute("UPDATE tokens SET row = ? WHERE cube = ?", (sealed, seq))
            if not locks.blind:
                continue
            connection.execute("UPDATE leaves SET number = NULL WHERE cube = ?", (seq,))
            vectors = connection.execute("SELECT number, row FROM vectors WHERE cube = ?", (seq,)).fetchall()
            for number, row in vectors:
                if not is_sealed(row, "vector"):
                    sealed = locks.seal(key, row, name, version, "vector")
                    connection.execute("UPDATE vectors SET row = ? WHERE number = ?", (sealed, number))

    def _wrapped(self, connection: sqlite3.Connection, after: int, seen: list[Any]) -> None:
        rows = connection.execute(
            "SELECT l.cube, c.id, l.lock FROM locks AS l JOIN cubes AS c ON c.seq = l.cube WHERE l.cube > ? "
            "ORDER BY l.cube LIMIT ?",
            (after, _BATCH),
        ).fetchall()
        seen += [seq for seq, _, _ in rows]
        fresh = [(self._locks.current(lock, name), seq) for seq, name, lock in rows]
        connection.executemany("UPDATE locks SET lock = ? WHERE cube = ?", fresh)

    def _settled(self, connection: sqlite3.Connection) -> None:
        """Everything is done: what says that it is not, goes. Keys that are still needed stay for the next time."""
        newest = self._locks.newest
        if connection.execute(
            "SELECT 1 FROM locks WHERE substr(lock, 1, 4) <> ? LIMIT 1", (newest.to_bytes(4),)
        ).fetchone():
            return
        check_meta(connection, self._sealer)
        gone = [(_SEALING,), *((f"{MASTER}{number}",) for number in range(1, newest))]
        connection.executemany("DELETE FROM meta WHERE name = ?", gone)
        seal_meta(connection, self._sealer)


def _put(connection: sqlite3.Connection, rows: dict[str, bytes]) -> None:
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows.items())
