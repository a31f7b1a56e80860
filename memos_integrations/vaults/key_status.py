"""What can be said of a vault's keys without any of them; and how all of them are destroyed."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import NamedTuple

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import LegalHoldError
from memos_integrations.vaults.integrity import check_meta, seal_meta
from memos_integrations.vaults.locks import BLIND, ERASED, KEK, MASTER, Locks, erased_at, masters_in
from memos_integrations.vaults.seals import Sealer

_CURRENT = """SELECT c.id, c.version, v.body, l.lock FROM cubes AS c
    JOIN versions AS v ON v.cube = c.seq AND v.version = c.version JOIN locks AS l ON l.cube = c.seq"""


class KeyStatus(NamedTuple):
    """How a vault is encrypted.

    `provider` names the key that wraps its master keys (None: it is not encrypted), `masters` says how many cubes' keys
    each master key wraps. `unfinished`: a sealing or a change of keys goes on at the next opening. `erased`: when all
    keys were destroyed.
    """

    provider: str | None
    blinded: bool
    masters: dict[int, int]
    unfinished: bool
    erased: datetime | None


def key_status(connection: sqlite3.Connection) -> KeyStatus:
    """As the file says, in the connection's transaction; no key is needed."""
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    masters = dict.fromkeys(masters_in(meta), 0)
    for number, count in connection.execute("SELECT substr(lock, 1, 4), count(*) FROM locks GROUP BY 1"):
        masters[int.from_bytes(number)] = count
    provider = bytes(meta[KEK]).decode("utf-8", "replace") if KEK in meta else None
    return KeyStatus(provider, BLIND in meta, masters, len(masters) > 1 or "sealing" in meta, erased_at(meta))


def check_no_holds(connection: sqlite3.Connection, locks: Locks) -> None:
    """Within a write transaction: refuse to destroy what is under legal hold, in any tenant.

    Raises:
        LegalHoldError: A memory is.
    """
    for cube_id, version, body, lock in connection.execute(_CURRENT):
        said = locks.opened(body, lock, cube_id, version, "body")
        # Words in a text cannot look so, as their quotes are escaped; a structured payload can.
        if b'"legal_hold":true' in said and MemCube.from_json(said).governance.legal_hold:
            raise LegalHoldError(f"Cube {cube_id!r} is under legal hold: release it first. No key was erased.")


def erase_all_keys(connection: sqlite3.Connection, sealer: Sealer, now: datetime) -> None:
    """Within a write transaction of an encrypted vault: no key, no vector and no number in clear is left."""
    check_meta(connection, sealer)
    connection.execute("DELETE FROM meta WHERE name GLOB ?", (f"{MASTER}*",))
    connection.execute("UPDATE meta SET value = zeroblob(length(value)) WHERE name = 'word_key'")
    connection.execute("UPDATE locks SET lock = zeroblob(length(lock))")
    connection.execute("UPDATE vectors SET row = zeroblob(length(row))")
    connection.execute("UPDATE leaves SET number = NULL")
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (ERASED, now.isoformat().encode()))
    seal_meta(connection, sealer)
