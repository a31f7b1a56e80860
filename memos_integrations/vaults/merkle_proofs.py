"""Proofs over the audit log at any size (RFC 6962 §2.1.1 and §2.1.2), made from whole blocks and few leaves.

An inclusion proof shows that an entry stands under a root; a consistency proof that a later log only added to an
earlier one. Whoever holds two signed checkpoints needs nothing else to check either; `verifier.py` does it alone.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from memos_integrations.core.errors import VaultError
from memos_integrations.vaults.merkle import EVERY, Proof, _blocks, _leaves, _node, root_of


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the log with `root` over `size` entries begins with the one that had `first_root` over `first` entries."""

    first: int
    size: int
    first_root: str
    root: str
    path: tuple[str, ...]


class LogTree:
    """The Merkle tree over the log as one reading connection sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._blocks = _blocks(connection)
        (self.size,) = connection.execute("SELECT entries FROM head").fetchone()

    def root(self, size: int) -> bytes:
        """The root over the first *size* entries.

        Raises:
            VaultError: The log has fewer.
        """
        self._check(0, size)
        return self._root(0, size)

    def _check(self, first: int, size: int) -> None:
        if not 0 <= first <= size <= self.size:
            raise VaultError(f"The audit log has {self.size} entries; {first} of {size} is not in it.")

    def _root(self, start: int, end: int) -> bytes:
        if end - start == EVERY and start // EVERY < len(self._blocks):
            return self._blocks[start // EVERY]
        if end - start <= EVERY:
            return root_of(self._below(start, end))
        half = _half(end - start)
        return _node(self._root(start, start + half), self._root(start + half, end))

    def _below(self, start: int, end: int) -> list[bytes]:
        leaves = _leaves(self._connection, start, end)
        if len(leaves) != end - start:
            raise VaultError(f"Audit entries between {start + 1} and {end} are missing. Run `memos doctor`.")
        return leaves

    def inclusion(self, number: int, size: int | None = None) -> Proof:
        """That entry *number* is among the first *size* (default: all) entries.

        Raises:
            VaultError: It is not.
        """
        size = self.size if size is None else size
        if not 1 <= number <= size:
            raise VaultError(f"Audit entry {number} is not among the first {size}.")
        self._check(0, size)
        path = self._path(number - 1, 0, size)
        return Proof(number, size, self._root(0, size).hex(), tuple(step.hex() for step in path))

    def _path(self, at: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        half = start + _half(end - start)
        if at < half:
            return [*self._path(at, start, half), self._root(half, end)]
        return [*self._path(at, half, end), self._root(start, half)]

    def consistency(self, first: int, size: int | None = None) -> Consistency:
        """That the first *size* (default: all) entries begin with the first *first* entries.

        Raises:
            VaultError: The log has fewer, or *first* is below 1.
        """
        size = self.size if size is None else size
        self._check(first, size)
        if first < 1:
            raise VaultError("Nothing needs a proof to be the beginning of a log: ask for a size of at least 1.")
        path = self._grown(first, 0, size, whole=True) if first < size else []
        roots = self._root(0, first).hex(), self._root(0, size).hex()
        return Consistency(first, size, *roots, tuple(step.hex() for step in path))

    def _grown(self, first: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if first == end:
            return [] if whole else [self._root(start, end)]
        half = start + _half(end - start)
        if first <= half:
            return [*self._grown(first, start, half, whole=whole), self._root(half, end)]
        return [*self._grown(first, half, end, whole=False), self._root(start, half)]


def _half(width: int) -> int:
    return 1 << (width - 1).bit_length() - 1


def extends(proof: Consistency) -> bool:
    """Whether the proof shows that the larger log begins with the smaller one (RFC 9162 §2.1.4.2)."""
    if proof.first == proof.size:
        return not proof.path and proof.first_root == proof.root
    if not 0 < proof.first < proof.size:
        return False
    path = [bytes.fromhex(step) for step in proof.path]
    if proof.first & (proof.first - 1) == 0:
        path.insert(0, bytes.fromhex(proof.first_root))
    if not path:
        return False
    at, last = proof.first - 1, proof.size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = _node(step, before), _node(step, after)
            while at & 1 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before.hex() == proof.first_root and after.hex() == proof.root
