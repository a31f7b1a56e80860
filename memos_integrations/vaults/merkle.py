"""Merkle checkpoints over the audit log (RFC 6962 §2.1 hashing), and proofs that an entry stands under one.

A leaf is the 32 bytes of an entry's hash, which covers number, predecessor and record. Every `EVERY` entries a row of
`checkpoints` keeps the root of the newest block and the root over the whole log so far; blocks are a power of two
long, so block roots are nodes of the big tree, and neither a checkpoint nor a proof reads the log from its start. A
root that was published or printed lets anybody check an entry with `proves`, without the vault and without its key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from memos_integrations.core.errors import VaultError

EVERY = 1024
"""Entries per block."""

CHECKPOINTS = """CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, entries INTEGER NOT NULL, block BLOB NOT NULL, root BLOB NOT NULL) STRICT"""


@dataclass(frozen=True, slots=True)
class Proof:
    """That entry `number` is one of the first `size` entries of the log with this `root`. `path`: leaf's side first."""

    number: int
    size: int
    root: str
    path: tuple[str, ...]


def leaf(entry_hash: str) -> bytes:
    """The leaf of an entry with this hash."""
    return sha256(b"\x00" + bytes.fromhex(entry_hash)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs


def root_of(nodes: Sequence[bytes]) -> bytes:
    """The root over leaves, or over the roots of whole blocks of equal length; of nothing it is SHA-256 of nothing."""
    level = list(nodes)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256().digest()


def _path(nodes: Sequence[bytes], at: int) -> list[bytes]:
    level, path = list(nodes), []
    while len(level) > 1:
        if at ^ 1 < len(level):
            path.append(level[at ^ 1])
        level, at = _above(level), at // 2
    return path


def proves(proof: Proof, entry_hash: str) -> bool:
    """Whether the proof shows that an entry with this hash stands at its place (RFC 9162 §2.1.3.2)."""
    at, last, here = proof.number - 1, proof.size - 1, leaf(entry_hash)
    if not 0 <= at <= last:
        return False
    for step in proof.path:
        if last == 0:
            return False
        if at % 2 or at == last:
            here = _node(bytes.fromhex(step), here)
            while at % 2 == 0 and at:
                at, last = at // 2, last // 2
        else:
            here = _node(here, bytes.fromhex(step))
        at, last = at // 2, last // 2
    return last == 0 and here.hex() == proof.root


def _leaves(connection: sqlite3.Connection, after: int, until: int) -> list[bytes]:
    rows = connection.execute("SELECT hash FROM audit WHERE number > ? AND number <= ? ORDER BY number", (after, until))
    return [leaf(entry_hash) for (entry_hash,) in rows]


def _blocks(connection: sqlite3.Connection) -> list[bytes]:
    return [block for (block,) in connection.execute("SELECT block FROM checkpoints ORDER BY number")]


def add_checkpoints(connection: sqlite3.Connection, entries: int) -> None:
    """Within a write transaction: make the checkpoints that a log of so many entries lacks."""
    blocks = _blocks(connection)
    while (end := (len(blocks) + 1) * EVERY) <= entries:
        blocks.append(root_of(_leaves(connection, end - EVERY, end)))
        row = (len(blocks), end, blocks[-1], root_of(blocks))
        connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", row)


def check_checkpoints(connection: sqlite3.Connection) -> Iterator[str | None]:
    """Make every checkpoint again from the log; per checkpoint None, or what is wrong with it."""
    (entries,) = connection.execute("SELECT entries FROM head").fetchone()
    stored = {row[0]: row[1:] for row in connection.execute("SELECT number, entries, block, root FROM checkpoints")}
    blocks: list[bytes] = []
    while (end := (len(blocks) + 1) * EVERY) <= entries:
        blocks.append(root_of(_leaves(connection, end - EVERY, end)))
        found = stored.pop(len(blocks), None)
        right = found == (end, blocks[-1], root_of(blocks))
        yield None if right else f"checkpoint {len(blocks)} is missing or not the root of its {end} audit entries"
    yield from (f"checkpoint {number} stands for entries that are not there" for number in stored)


def prove(connection: sqlite3.Connection, number: int) -> Proof:
    """That an entry of the log stands under the newest checkpoint, or before the first one, under the whole log.

    Raises:
        VaultError: There is no such entry, or it is newer than the newest checkpoint.
    """
    (entries,) = connection.execute("SELECT entries FROM head").fetchone()
    blocks = _blocks(connection)
    size = len(blocks) * EVERY or entries
    if not 1 <= number <= size:
        raise VaultError(f"Audit entry {number} is not among the first {size}, for which there is a root.")
    start = (number - 1) // EVERY * EVERY if blocks else 0
    leaves = _leaves(connection, start, start + EVERY if blocks else size)
    path = _path(leaves, number - 1 - start) + (_path(blocks, start // EVERY) if blocks else [])
    root = root_of(blocks) if blocks else root_of(leaves)
    return Proof(number, size, root.hex(), tuple(step.hex() for step in path))
