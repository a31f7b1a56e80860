"""The keys of an encrypted vault: what is sealed before it is stored, and opened when it is read.

Three layers. The provider's key wraps the vault's master key, which stands so in `meta` and is unwrapped once, when the
vault opens. The master key wraps one data key for each cube (`locks`), and one for each blob (`blob_seal.py`). The data
key seals every version's body, its token vectors and, in a blinded vault, the cube's vector: AES-256-GCM (NIST SP
800-38D) with random nonces, bound to cube id, version and column, so that nothing can be put in another's place. An
erased cube's data key is overwritten with it.

Reading connections see what is opened: temporary views over the tables of the same name. Only the writer's connection
sees what is stored. So no statement that reads knows of encryption, and a vault without it pays nothing.

A blinded vault has no vector on the disk in clear, so no index there either: a first search opens the tenant's vectors
and keeps them in memory. Numbers of structured payloads are read from the opened bodies when they are filtered by.

The word key, from which the numbers of words, labels and values are made, is wrapped with the master key too: without
it the numbers in the file tell no words.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import lru_cache
from struct import Struct
from struct import error as StructError
from threading import Lock
from typing import Any

from memos_integrations.core.errors import IntegrityError, VaultKeyError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import KeyProvider
from memos_integrations.vaults.leaves import numbers_in

DATA_KEY_BYTES, LOCK_BYTES = 32, 64
"""A lock is the number of the master key (4 bytes), a nonce (12) and the data key under it (32 and a tag of 16)."""

KEK, MASTER, BLIND, ERASED = "kek", "master ", "blind", "keys erased"
"""Rows of `meta`: the provider's name, each master key wrapped by it, whether vectors are sealed too, when all went."""

WORD_KEY = "\0word key"
"""What the word key's lock is bound to: no cube has such an id."""

MOST_KEPT = 4096
"""So many unwrapped data keys are kept in memory at most, until something is erased: about 12 MB."""

_SEALED, _NONCE, _NUMBER = b"\x01", 12, Struct(">I")

_IDENTITY = """(SELECT lock FROM main.locks WHERE cube = x.cube), (SELECT id FROM main.cubes WHERE seq = x.cube)"""
_BODIES = f"""CREATE TEMP VIEW versions AS SELECT number, cube, version, digest,
    memos_opened(body, {_IDENTITY}, version, 'body') AS body FROM main.versions AS x"""
_TOKENS = f"""CREATE TEMP VIEW tokens AS SELECT cube,
    memos_opened(row, {_IDENTITY}, (SELECT version FROM main.cubes WHERE seq = x.cube), 'tokens') AS row
    FROM main.tokens AS x"""
_HIDDEN = (
    f"""CREATE TEMP VIEW vectors AS SELECT number, cube,
    memos_opened(row, {_IDENTITY}, (SELECT version FROM main.cubes WHERE seq = x.cube), 'vector') AS row
    FROM main.vectors AS x""",
    f"""CREATE TEMP VIEW leaves AS SELECT cube, path, content, ifnull(number, memos_number(path, (
        SELECT memos_opened(body, {_IDENTITY.replace("x.cube", "v.cube")}, version, 'body')
        FROM main.versions AS v WHERE v.cube = x.cube ORDER BY v.version DESC LIMIT 1))) AS number
    FROM main.leaves AS x""",
)


class Locks:
    """The keys of one open vault. Thread-safe.

    *connect* gives a connection of one's own, to read the master keys anew when another process changed them.

    Raises:
        VaultKeyError: The master keys are wrapped with another key than the provider's.
    """

    def __init__(
        self, keys: KeyProvider, connection: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]
    ) -> None:
        self._gcm: Any = require("cryptography.hazmat.primitives.ciphers.aead", extra="encryption").AESGCM
        self._invalid: type[Exception] = require("cryptography.exceptions", extra="encryption").InvalidTag
        self.provider, self._connect = keys, connect
        self._lock = Lock()
        self._masters: dict[int, Any] = {}
        self._boxes: dict[tuple[bytes, str], Any] = {}
        self.newest = 0
        self.blind = False
        self.trouble: VaultKeyError | None = None
        """Why a row could not be opened lately, when it is the keys and not the row."""
        self.refresh(connection)

    # --- the master keys

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Take in the master keys that stand in the file now.

        Raises:
            VaultKeyError: They are wrapped with another key than the provider's.
        """
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        check_not_erased(meta)
        name = (meta.get(KEK) or b"").decode("utf-8", "replace")
        if name != self.provider.name:
            raise VaultKeyError(f"The vault's keys are wrapped with {name!r}, not with {self.provider.name!r}.")
        with self._lock:
            for number, wrapped in masters_in(meta).items():
                if number not in self._masters:
                    self._masters[number] = self._gcm(self.provider.unwrap(wrapped, about(meta, number)))
            self.newest, self.blind = max(masters_in(meta)), BLIND in meta

    def forget(self) -> None:
        """Let go of the master keys: what they sealed does not open any more in this process."""
        with self._lock:
            self._masters.clear()
            self._boxes.clear()

    def _master(self, number: int) -> Any:
        found = self._masters.get(number)
        if found is None:
            with closing(self._connect()) as connection:
                self.refresh(connection)
            found = self._masters.get(number)
        if found is None:
            raise LookupError(f"no master key {number}")
        return found

    # --- data keys

    def wrap(self, key: bytes, name: str) -> bytes:
        """The lock of a data key: wrapped with the newest master key, bound to what it is the key of."""
        number, nonce = self.newest, os.urandom(_NONCE)
        sealed: bytes = self._masters[number].encrypt(nonce, key, _bound("lock", name))
        return _NUMBER.pack(number) + nonce + sealed

    def unwrap(self, lock: bytes, name: str) -> bytes:
        """The data key in a lock.

        Raises:
            IntegrityError: It is not the lock of *name*, or was changed.
            VaultKeyError: It was made with a master key that another process made, which cannot be read.
        """
        try:
            master = self._master(_NUMBER.unpack(lock[:4])[0])
            key: bytes = master.decrypt(lock[4:16], lock[16:], _bound("lock", name))
            return key
        except (self._invalid, StructError, LookupError, ValueError, TypeError) as exc:
            raise IntegrityError(f"The data key of {name!r} does not open", name) from exc

    def current(self, lock: bytes, name: str) -> bytes:
        """The lock, made anew when its master key is not the newest."""
        if _NUMBER.unpack(lock[:4])[0] == self.newest:
            return lock
        return self.wrap(self.unwrap(lock, name), name)

    # --- what is stored

    def seal(self, key: bytes, content: bytes, name: str, version: int, column: str) -> bytes:
        """*content*, sealed with a data key as what stands in a column of a version of a cube."""
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._gcm(key).encrypt(nonce, content, _bound(column, name, version))
        return _SEALED + nonce + sealed

    def seal_more(self, connection: sqlite3.Connection, seq: int, name: str, version: int, **columns: bytes) -> bytes:
        """As `seal`, for one more column of a cube that has its lock in the table.

        Raises:
            IntegrityError: The lock does not open.
        """
        (column, content), *_ = columns.items()
        return self.seal(self.key_of(connection, seq, name), content, name, version, column)

    def key_of(self, connection: sqlite3.Connection, seq: int, name: str) -> bytes:
        """The data key of a cube, within a write transaction; made for one from before the vault was encrypted.

        Raises:
            IntegrityError: Its lock does not open.
        """
        found = connection.execute("SELECT lock FROM main.locks WHERE cube = ?", (seq,)).fetchone()
        if found is not None:
            return self.unwrap(found[0], name)
        key = os.urandom(DATA_KEY_BYTES)
        connection.execute("INSERT INTO locks VALUES (?, ?)", (seq, self.wrap(key, name)))
        return key

    def opened(self, sealed: Any, lock: Any, name: Any, version: Any, column: str) -> Any:
        """What was sealed; nothing when it does not open, which no seal fits. What was never sealed is as it was."""
        if lock is None or not is_sealed(sealed, column):
            return sealed
        try:
            box = self._boxes.get((lock, name)) or self._box(lock, name)
            return box.decrypt(sealed[1:13], sealed[13:], _bound(column, name, version))
        except VaultKeyError as exc:
            self.trouble = exc
        except (self._invalid, IntegrityError, ValueError):
            pass
        return b""

    def _box(self, lock: bytes, name: str) -> Any:
        """What opens with the data key in a lock; kept, as unwrapping takes longer than opening a short row."""
        box = self._gcm(self.unwrap(lock, name))
        if len(self._boxes) >= MOST_KEPT:
            self._boxes.clear()
        self._boxes[lock, name] = box
        return box

    def let_go(self) -> None:
        """Keep no data key in memory: some of them are of what was erased."""
        self._boxes.clear()

    # --- reading

    def install(self, connection: sqlite3.Connection, path_of: Callable[[tuple[str, ...]], int]) -> None:
        """Let a reading connection see what is opened. *path_of* numbers the paths into structured payloads."""

        @lru_cache(256)
        def numbers(body: bytes) -> dict[int, float]:
            return {path_of(path): number for path, number in numbers_in(body)}

        def number_at(path: int, body: bytes | None) -> float | None:
            return None if body is None else numbers(body).get(path)

        connection.create_function("memos_opened", 5, self.opened, deterministic=True)
        connection.create_function("memos_number", 2, number_at, deterministic=True)
        (only,) = connection.execute("PRAGMA query_only").fetchone()
        connection.execute("PRAGMA query_only = OFF")
        for view in (_BODIES, _TOKENS, *(_HIDDEN if self.blind else ())):
            connection.execute(view)
        connection.execute(f"PRAGMA query_only = {int(only)}")


def is_sealed(content: Any, column: str) -> bool:
    """Whether a stored value was sealed: bodies begin with a brace, tokens with a letter, vectors are whole floats."""
    if not isinstance(content, bytes) or content[:1] != _SEALED:
        return False
    return column != "vector" or len(content) % 4 == 1


def read_keys(connection: sqlite3.Connection, locks: Locks | None) -> None:
    """Take in the keys as they stand in the file now; of a vault that is not encrypted there are none.

    Raises:
        VaultKeyError: They are wrapped with a key that is not ours.
    """
    if locks is not None:
        locks.refresh(connection)
    elif connection.execute("SELECT 1 FROM meta WHERE name = ?", (KEK,)).fetchone() is not None:
        raise VaultKeyError("The vault is encrypted. Open it again with `keys=`; nothing was written.")


def masters_in(meta: dict[str, bytes]) -> dict[int, bytes]:
    """The wrapped master keys among the rows of `meta`, by number."""
    return {int(name.removeprefix(MASTER)): value for name, value in meta.items() if name.startswith(MASTER)}


def erased_at(meta: dict[str, bytes]) -> datetime | None:
    """When all keys were destroyed, by the rows of `meta`."""
    return datetime.fromisoformat(bytes(meta[ERASED]).decode()) if ERASED in meta else None


def check_not_erased(meta: dict[str, bytes]) -> None:
    """Refuse a vault whose keys are gone.

    Raises:
        VaultKeyError: They were erased.
    """
    gone = erased_at(meta)
    if gone is not None:
        raise VaultKeyError(f"The vault's keys were erased on {gone:%Y-%m-%d}: nobody can read it any more.")


def about(meta: dict[str, bytes], number: int) -> bytes:
    """What a master key is bound to when a provider wraps it."""
    return b"memos vault " + meta["vault"] + b" %d" % number


def _bound(*parts: object) -> bytes:
    return ascii(parts).encode()
