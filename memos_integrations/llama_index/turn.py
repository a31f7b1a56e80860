"""One recall a turn, however often a framework asks: which turn it is, and what was found for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from llama_index.core.base.llms.types import MessageRole

from memos_integrations.core.cube import MemCube
from memos_integrations.core.operator import Hit, Recall, render
from memos_integrations.llama_index.transcript import Entry, readable

MOST_TURNS = 256

Place = tuple[str, ...]
"""A session, and whose: vault, tenant, subject, namespace."""

Turn = tuple[str, str | None]
"""A question, and the user message that it is."""

Found = list[tuple[Hit, str]]
"""Hits, each with its line."""


class Turns:
    """What was found for the last turn of each session."""

    def __init__(self) -> None:
        self._turns: dict[Place, tuple[Turn, Found]] = {}
        self._lock = threading.Lock()

    def known(self, place: Place, turn: Turn) -> Found | None:
        """What was found, when it is still the same turn."""
        with self._lock:
            last, found = self._turns.get(place, (None, []))
        return found if last == turn else None

    def keep(self, place: Place, turn: Turn, recall: Recall, within: Sequence[str] = ()) -> Found:
        """Keep what a recall found, *within* this namespace only; the oldest sessions go when there are too many."""
        pairs = zip(recall.hits, recall.text.split("\n") if recall.text else [], strict=True)
        found = [(hit, line) for hit, line in pairs if not within or hit.cube.namespace == tuple(within)]
        with self._lock:
            self._turns.pop(place, None)
            self._turns[place] = (turn, found)
            if len(self._turns) > MOST_TURNS:
                del self._turns[next(iter(self._turns))]
        return found

    def forget(self, place: Place) -> None:
        """Keep nothing of this session."""
        with self._lock:
            self._turns.pop(place, None)


def turn_of(input: str | None, entries: Sequence[Entry]) -> Turn | None:
    """The turn: the input, or else the last thing that the user said; None when that is nothing."""
    said = next((entry for entry in reversed(entries) if entry.message.role is MessageRole.USER), None)
    question = readable(input or (said.message.content if said else None) or "")
    return (question, said.cube_id if said else None) if question else None


def lines(found: Found, read: Sequence[MemCube], shown: Sequence[Entry]) -> list[str]:
    """What is shown of the hits: those that may be read now, in their present words, and not in the history anyway."""
    there = {entry.cube_id for entry in shown}
    now = {cube.id: cube for cube in read}
    kept = []
    for hit, line in found:
        cube = now.get(hit.cube.id)
        if cube is not None and cube.id not in there:
            kept.append(line if cube.version == hit.cube.version else render(hit.model_copy(update={"cube": cube})))
    return kept
