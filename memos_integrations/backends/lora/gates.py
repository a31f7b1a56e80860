"""What an adapter has to show before it serves anybody: that it knows, and that it has spoilt nothing. Needs `hf`.

Everything is measured on the adapter as it was written to disk, on a second body over the model's weights, so that
nobody is served by what has not passed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.adapter_file import attach_adapter, read_adapter
from memos_integrations.backends.lora.answers import greedy
from memos_integrations.backends.lora.files import IN_CLEAR, Files
from memos_integrations.backends.lora.lessons import Curriculum, Lesson
from memos_integrations.backends.lora.rows import Row, pack, predicted
from memos_integrations.backends.lora.student import bare_copy
from memos_integrations.backends.lora.wording import Wording
from memos_integrations.backends.lora.yardstick import QUESTIONS, UNRELATED
from memos_integrations.core.cube import Labels, Value

CANDIDATE = "candidate"
MOST_TAUGHT = 48
LONGEST_ANSWER = 24


class GateReport(Value):
    """What was measured. Recalls are shares of 0..1; percentages are of 100; `failed` says which gate did not hold."""

    recall_taught: float
    recall_probes: float
    perplexity_before: float
    perplexity_after: float
    questions: int
    right_before: int
    lost: int
    gained: int
    neighbours: dict[str, float] = Field(default_factory=dict)
    failed: Labels = ()

    @property
    def passed(self) -> bool:
        """Whether every gate held."""
        return not self.failed

    @property
    def perplexity_change_pct(self) -> float:
        """How much the unrelated texts surprise the model more."""
        return 100.0 * (self.perplexity_after / self.perplexity_before - 1.0)

    @property
    def lost_pct(self) -> float:
        """Of all general questions, those that were answered right before and are not any more.

        What turned right meanwhile (`gained`) makes up for none of them.
        """
        return 100.0 * self.lost / self.questions


class Gates(Value):
    """The least that an adapter must show.

    `taught` and `probes` are recalls on phrasings that were trained and that never were; `perplexity_pct` is how much
    the unrelated texts may surprise the model more; `lost_pct` how many of the general questions may turn wrong;
    `neighbours` what the other active adapters must keep of their own recall.
    """

    taught: float = Field(default=0.95, ge=0, le=1)
    probes: float = Field(default=0.8, ge=0, le=1)
    perplexity_pct: float = Field(default=7.0, ge=0)
    lost_pct: float = Field(default=5.0, ge=0)
    neighbours: float = Field(default=0.95, ge=0, le=1)


class Trial:
    """A second body over a model's weights, on which adapters are tried."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self.model, self.network, self.wording = model, bare_copy(model), Wording(model)
        self._loaded: set[str] = set()

    def load(self, name: str, folder: Path, *, files: Files = IN_CLEAR) -> None:
        """Load an adapter from its files.

        Raises:
            ModelError: It does not fit.
        """
        attach_adapter(self.network, name, *read_adapter(folder, files=files))
        self._loaded.add(name)

    def answers(self, questions: Sequence[str], adapter: str | None, most: int = LONGEST_ANSWER) -> list[str]:
        """What is answered with an adapter, or without any."""
        prompts = [self.wording.prompt(question) for question in questions]
        named = [adapter] * len(prompts) if self._loaded else None
        rows = greedy(self.network, prompts, max_new_tokens=most, ends=self.model._ends, adapters=named)
        return [self.model.decode(row) for row in rows]

    def recall(self, lessons: Sequence[Lesson], adapter: str | None) -> float:
        """The share of the lessons whose value is in the answer."""
        if not lessons:
            return 1.0
        longest = max(len(self.model.encode(lesson.answer)) for lesson in lessons) + 8
        said = self.answers([lesson.question for lesson in lessons], adapter, min(longest, 64))
        return sum(map(holds, said, [(lesson.value,) for lesson in lessons])) / len(lessons)

    def perplexity(self, adapter: str | None) -> float:
        """Of the unrelated texts."""
        self._apply(adapter)
        return perplexity(self.network, self.model, UNRELATED)

    def known(self, adapter: str | None) -> list[bool]:
        """Which of the general questions are answered right."""
        said = self.answers([question for question, _ in QUESTIONS], adapter, 16)
        return list(map(holds, said, [right for _, right in QUESTIONS]))

    def _apply(self, adapter: str | None) -> None:
        if self._loaded:
            if adapter is None:
                self.network.disable_adapters()
            else:
                self.network.enable_adapters()
                self.network.set_adapter(adapter)


def measure(
    trial: Trial,
    curriculum: Curriculum,
    gates: Gates,
    *,
    adapter: str = CANDIDATE,
    neighbours: Mapping[str, tuple[Sequence[Lesson], float]] | None = None,
) -> GateReport:
    """The report on a loaded adapter. *neighbours* are the other ones loaded: their probes, and what they recalled."""
    taught = curriculum.taught[:MOST_TAUGHT]
    before, after = trial.known(None), trial.known(adapter)
    kept = {
        name: (trial.recall(probes, name) / known if known else 1.0)
        for name, (probes, known) in (neighbours or {}).items()
    }
    report = GateReport(
        recall_taught=trial.recall(taught, adapter),
        recall_probes=trial.recall(curriculum.probes, adapter),
        perplexity_before=trial.perplexity(None),
        perplexity_after=trial.perplexity(adapter),
        questions=len(QUESTIONS),
        right_before=sum(before),
        lost=sum(was and not now for was, now in zip(before, after, strict=True)),
        gained=sum(now and not was for was, now in zip(before, after, strict=True)),
        neighbours=kept,
    )
    return judged(report, gates)


def judged(report: GateReport, gates: Gates) -> GateReport:
    """The report with what failed of some gates."""
    return report.model_copy(update={"failed": _failed(report, gates)})


def perplexity(network: Any, model: HuggingFaceModel, texts: Sequence[str]) -> float:
    """How much texts surprise a network: e to the mean surprise of a token, in nats."""
    import torch

    total, count, start = 0.0, 0, Wording(model).start
    for place in range(0, len(texts), 4):
        rows = [Row(tuple(model.encode(text)[:200]), 0) for text in texts[place : place + 4]]
        batch = pack(start, rows, network.dtype)
        with torch.inference_mode():
            logs = predicted(network, batch)
        total -= float(logs.gather(-1, batch.targets[:, None]).sum())
        count += len(batch.targets)
    return math.exp(min(total / count, 700.0))


def holds(answer: str, right: Sequence[str]) -> bool:
    """Whether an answer holds one of the right words."""
    # A short word has to stand alone ("4" is not in "40"); a longer one may have an ending ("parrots").
    forms = (re.escape(word.casefold()) + (r"(?!\w)" if len(word) < 4 else "") for word in right)
    return any(re.search(rf"(?<!\w){form}", answer.casefold()) for form in forms)


def _failed(report: GateReport, gates: Gates) -> tuple[str, ...]:
    checks: list[tuple[Any, bool]] = [
        (f"taught {report.recall_taught:.2f} < {gates.taught}", report.recall_taught < gates.taught),
        (f"probes {report.recall_probes:.2f} < {gates.probes}", report.recall_probes < gates.probes),
        (
            f"perplexity {report.perplexity_change_pct:+.1f} % > {gates.perplexity_pct} %",
            report.perplexity_change_pct > gates.perplexity_pct,
        ),
        (f"questions lost {report.lost_pct:.1f} % > {gates.lost_pct} %", report.lost_pct > gates.lost_pct),
    ]
    checks += [
        (f"neighbour {name} keeps {kept:.2f} < {gates.neighbours}", kept < gates.neighbours)
        for name, kept in report.neighbours.items()
    ]
    return tuple(text for text, wrong in checks if wrong)
