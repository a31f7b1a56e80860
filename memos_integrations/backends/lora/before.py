"""What is read off before the first step: what a teacher says, and what the model says that is to stay. Needs `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.answers import greedy
from memos_integrations.backends.lora.beginning import Beginning
from memos_integrations.backends.lora.lessons import Lesson
from memos_integrations.backends.lora.rows import Known, Row, expected
from memos_integrations.backends.lora.student import Student
from memos_integrations.backends.lora.wording import Wording

LONGEST_SAID = 10
SHORT = 64
"""Tokens of a memory and a question up to which a row of them costs less than a fork."""


@dataclass(frozen=True, slots=True)
class Before:
    """Read while the student's adapter is off.

    Args:
        head: What all lessons and questions begin with.
        likeliest: How many tokens of each expectation are kept.
    """

    student: Student
    model: HuggingFaceModel
    head: Sequence[int]
    likeliest: int

    def watched(self, wording: Wording, lessons: Sequence[Lesson], most: int) -> dict[int, Known]:
        """What a teacher says where lessons are answered, by their number: at most so many of each memory.

        It reads one memory at a time, and each once: lessons are answered behind forks of the keys and values that it
        has of the memory, which are themselves behind a fork of what all prompts begin with. A short memory with one
        lesson is a row with it, several of them side by side, of which none sees another.
        """
        by_context: dict[str, list[int]] = {}
        for number, lesson in enumerate(lessons):
            by_context.setdefault(lesson.context, []).append(number)
        known: dict[int, Known] = {}
        network, start = self.student.network, tuple(self.head)
        first = Beginning.read(network, start) if most else None
        short: dict[int, Row] = {}
        for context, numbers in by_context.items() if most else ():
            chosen = numbers[:most]
            told, rows = wording.rows([lessons[each] for each in chosen], context=context)
            rest = tuple(told[len(start) :])
            alike = tuple(told[: len(start)]) == start
            if alike and len(rows) == 1 and len(rest) <= SHORT:
                short[chosen[0]] = Row(rest + rows[0].ids, len(rest) + rows[0].start)
                continue
            memory = Beginning.read(network, told, after=first if alike else None)
            said = expected(network, told, rows, network.dtype, self.likeliest, read=memory)
            known |= zip(chosen, said, strict=True)
        said = expected(network, start, list(short.values()), network.dtype, self.likeliest, read=first)
        return known | dict(zip(short, said, strict=True))

    def answered(self, asked: Sequence[Row]) -> list[Row]:
        """The general questions, each with what the model answers to it."""
        prompts = [[*self.head, *row.ids] for row in asked]
        said = greedy(self.student.network, prompts, max_new_tokens=LONGEST_SAID, ends=self.model._ends)
        end = int(self.model.tokenizer.eos_token_id)
        whole = [ids if len(ids) == LONGEST_SAID else [*ids, end] for ids in said]
        return [Row((*row.ids, *ids), row.start) for row, ids in zip(asked, whole, strict=True)]

    def expected(self, shared: Sequence[int], rows: Sequence[Row]) -> list[Known]:
        """What the model expects in each row."""
        network = self.student.network
        return expected(network, shared, rows, network.dtype, self.likeliest, read=None)
