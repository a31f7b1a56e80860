"""Verbs of an in-memory vault for which there is nothing to spare or to keep: all in one commit, all page by page."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from memos_integrations.core.cube import CubeRef, MemCube
from memos_integrations.core.ports import CubeFilter, Durability, Found, Receipt, Transaction, VaultQuery, Visibility


class Wholes(ABC):
    """`submit_whole` and `walk` by way of `submit` and `search`: in memory there is nothing to spare."""

    @abstractmethod
    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Apply a transaction; see `Vault.submit`."""

    @abstractmethod
    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible; see `Vault.search`."""

    def submit_whole(self, transactions: Iterable[Transaction]) -> Receipt:
        """Make all of *transactions* true at once, or none; see `Vault.submit_whole`."""
        return self.submit(joined(list(transactions))).result()

    def walk(self, wanted: CubeFilter, visible: Visibility, *, page: int = 500) -> Iterator[list[MemCube]]:
        """All that is visible and wanted, page by page, by id; see `Vault.walk`."""
        found = self.search(VaultQuery(k=sys.maxsize, filter=wanted), visible)
        cubes = sorted((match.cube for match in found.matches), key=lambda cube: cube.id)
        yield from (cubes[start : start + page] for start in range(0, len(cubes), page))

    def tokens(self, tenant: str, refs: Sequence[CubeRef]) -> dict[str, bytes]:
        """None: who made them still has them in memory, as long as this vault is there; see `Vault.tokens`."""
        return {}


def joined(staged: Sequence[Transaction]) -> Transaction:
    """Several transactions as one, in their order."""
    return Transaction(
        tuple(change for each in staged for change in each.changes),
        tuple(record for each in staged for record in each.audit),
        tuple(event for each in staged for event in each.events),
    )
