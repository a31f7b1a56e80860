"""A radix tree over token ids: which beginnings are stored, under whose key, and what each is worth. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from memos_integrations.core.cube import CubeRef

S = TypeVar("S")

HALF_LIFE_S = 3600.0
"""Seconds after which a use counts half."""


@dataclass(slots=True, eq=False)
class Node(Generic[S]):
    """A run of tokens after its parent's. What is stored of it is in memory (`segment`), in a `file`, or both."""

    tokens: tuple[int, ...]
    parent: Node[S] | None
    children: dict[int, Node[S]] = field(default_factory=dict)
    segment: S | None = None
    file: Path | None = None
    stamp: tuple[int, ...] | None = None
    size: int = 0
    sources: frozenset[CubeRef] = frozenset()
    seconds: float = 0.0
    uses: float = 1.0
    used_at: float = 0.0
    pins: int = 0

    def path(self) -> list[Node[S]]:
        """The nodes from the first of the prompt to this one."""
        found: list[Node[S]] = []
        node: Node[S] | None = self
        while node is not None and node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]

    def below(self) -> Iterator[Node[S]]:
        """This node and all under it, children before parents."""
        for child in list(self.children.values()):
            yield from child.below()
        yield self

    def kept(self) -> bool:
        """Whether it is pinned, or something that goes on from it is."""
        return any(each.pins for each in self.below())

    def expected(self, now: float) -> float:
        """Uses so far, each counted less the longer ago it was."""
        return float(self.uses * 0.5 ** (max(0.0, now - self.used_at) / HALF_LIFE_S))

    def worth(self, now: float) -> float:
        """Seconds that keeping it is expected to save, per byte: what it cost times its uses, which cool with time."""
        return self.seconds * self.expected(now) / max(self.size, 1)

    def use(self, now: float) -> None:
        """Count a use."""
        self.uses = self.expected(now) + 1.0
        self.used_at = now


def walk(root: Node[S], tokens: Sequence[int]) -> tuple[Node[S], int, int]:
    """The deepest node that *tokens* reach, how many of its own tokens they share, and how many tokens in all."""
    node, done = root, 0
    while done < len(tokens):
        child = node.children.get(tokens[done])
        if child is None:
            break
        same = shared_length(child.tokens, tokens[done : done + len(child.tokens)])
        done += same
        node = child
        if same < len(child.tokens):
            return node, same, done
    return node, len(node.tokens), done


def shared_length(one: Sequence[int], two: Sequence[int]) -> int:
    """How many tokens two runs have in common from their start."""
    least = min(len(one), len(two))
    if tuple(one[:least]) == tuple(two[:least]):
        return least
    return next(at for at in range(least) if one[at] != two[at])
