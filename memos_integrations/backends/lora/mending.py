"""What is left after the planned steps of a training: what is not known for sure, what is not said as before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from memos_integrations.backends.lora.rows import Row, looked_at

SURE = 0.5
"""The chance of every token of an answer from which on a lesson counts as known: nothing else can be likelier."""
DOUBT = 0.7
"""A lesson with less chance is looked at again: what mends others may unsettle it."""
QUESTIONS = 2
"""How many times as many general questions as others a step holds that mends."""


@dataclass(slots=True)
class Mending:
    """The numbers of the lessons that are not known for sure, and of the general questions that are answered otherwise.

    Who has waited longest stands first. `doubted` are the lessons that were never clearly known.
    """

    unsure: list[int]
    strayed: list[int]
    doubted: list[int] = field(default_factory=list)

    @classmethod
    def needed(
        cls,
        network: Any,
        head: Sequence[int],
        lessons: Sequence[Row],
        asked: Sequence[Row],
        *,
        clear: Collection[int] = (),
    ) -> Mending:
        """By one look at the lessons but those that are *clear*, and at the questions with what was answered before."""
        numbers = [each for each in range(len(lessons)) if each not in clear]
        seen = looked_at(network, head, [lessons[each] for each in numbers])
        kept = looked_at(network, head, asked)
        chances = {number: chance for number, (chance, _) in zip(numbers, seen, strict=True)}
        found = cls(
            unsure=[],
            strayed=[number for number, (_, same) in enumerate(kept) if not same],
            doubted=[number for number, chance in chances.items() if chance < DOUBT],
        )
        found._order(chances)
        return found

    def look_again(
        self, network: Any, head: Sequence[int], lessons: Sequence[Row], *, clear: Collection[int] = ()
    ) -> None:
        """Look at the lessons that are doubted, and were not *clear* when they were last learnt."""
        numbers = [each for each in self.doubted if each not in clear]
        seen = looked_at(network, head, [lessons[each] for each in numbers])
        self._order({number: chance for number, (chance, _) in zip(numbers, seen, strict=True)})

    def _order(self, chances: Mapping[int, float]) -> None:
        self.unsure = sorted((each for each in chances if chances[each] < SURE), key=lambda each: chances[each])

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
        return {"unsure": len(self.unsure), "strayed": len(self.strayed)}

    def said(self) -> dict[str, list[int]]:
        """As plain JSON."""
        return asdict(self)


def first(urgent: Sequence[int], others: Sequence[int], most: int) -> list[int]:
    """At most so many numbers, each once: the urgent ones before the others."""
    return list(dict.fromkeys([*urgent, *others]))[:most]
