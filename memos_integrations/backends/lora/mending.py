"""What is left after the planned steps of a training: what is not known for sure, what is not said as before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.lora.rows import Row, looked_at

if TYPE_CHECKING:
    import torch

SURE = 0.5
"""The chance of every token of an answer from which on a lesson counts as known: nothing else can be likelier."""
QUESTIONS = 3
"""How many times as many general questions as others a step holds that mends."""


@dataclass(slots=True)
class Mending:
    """The numbers of the lessons that are not known for sure, and of the general questions that are answered otherwise.

    Who has waited longest stands first.
    """

    unsure: list[int]
    strayed: list[int]

    @classmethod
    def needed(
        cls,
        network: Any,
        head: Sequence[int],
        lessons: Mapping[int, Row],
        asked: Sequence[Row],
        dtype: torch.dtype,
    ) -> Mending:
        """By one look at some lessons, by their numbers, and at the questions with what was answered before."""
        known, kept = (looked_at(network, head, rows, dtype) for rows in (list(lessons.values()), asked))
        return cls(
            [number for number, (chance, _) in zip(lessons, known, strict=True) if chance < SURE],
            [number for number, (_, same) in enumerate(kept) if not same],
        )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return not self.unsure and not self.strayed

    def note_lessons(self, seen: Collection[int], unsure: Collection[int]) -> None:
        """Of the lessons that a step saw, those that were not known for sure."""
        self.unsure = [each for each in self.unsure if each not in seen] + sorted(unsure)

    def note_questions(self, seen: Collection[int], strayed: Collection[int]) -> None:
        """Of the general questions that a step saw, those that were answered otherwise."""
        self.strayed = [each for each in self.strayed if each not in seen] + sorted(strayed)

    def counts(self) -> dict[str, int]:
        """How much is left."""
        return {name: len(numbers) for name, numbers in self.said().items()}

    def said(self) -> dict[str, list[int]]:
        """As plain JSON."""
        return asdict(self)


def first(urgent: Sequence[int], others: Sequence[int], most: int) -> list[int]:
    """At most so many numbers, each once: the urgent ones before the others."""
    return list(dict.fromkeys([*urgent, *others]))[:most]
