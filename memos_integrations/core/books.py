"""The books of `MemStore`: items in which it keeps offers, places of subscribers and dead letters. Pure."""

from __future__ import annotations

from memos_integrations.core.cube import MemCube, State

ITEM = "item"
"""The semantic type of every item."""

BOOKS = ("memstore",)
"""Below this place in a tenant they stand."""

STANDING = frozenset(State) - {State.EXPIRED}
"""The states in which they are read: an offer ends when it is withdrawn, not when a memory would be archived."""


def is_of_the_books(cube: MemCube) -> bool:
    """Whether it is one of them."""
    return cube.descriptive.semantic_type == ITEM and cube.namespace[1:2] == BOOKS
