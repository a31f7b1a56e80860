"""Training one adapter: lessons and a teacher in, weights out. Needs the extra `hf`.

Two losses on the answer of each lesson: cross-entropy, and the divergence from a teacher, which is the same model while
it reads the one memory that the lesson is about (context distillation: Snell et al., arXiv 2209.15189). A third, on
the model's own answers to general questions and on sentences about other things, holds the student to what the model
says without any adapter. Every batch is a function of seed, step and what was missed before; all is kept, so that a
training that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.apart import Apart, Spread
from memos_integrations.backends.lora.before import Before
from memos_integrations.backends.lora.checkpoints import clear_state, put_back, read_state, tensors_of, write_state
from memos_integrations.backends.lora.everyday import ASKED
from memos_integrations.backends.lora.files import IN_CLEAR, Files
from memos_integrations.backends.lora.lessons import Curriculum, Lesson
from memos_integrations.backends.lora.mending import QUESTIONS, SURE, Mending, first
from memos_integrations.backends.lora.quiet import quieten
from memos_integrations.backends.lora.recipe import Recipe
from memos_integrations.backends.lora.rows import Row, drawn, joined, nearly_said, pack, packs, picked, predicted
from memos_integrations.backends.lora.strength import strength_of
from memos_integrations.backends.lora.student import Student
from memos_integrations.backends.lora.wording import Wording
from memos_integrations.backends.lora.yardstick import RETAINED
from memos_integrations.core.cube import canonical_json, sha256
from memos_integrations.core.errors import ModelError, TrainingCancelledError

if TYPE_CHECKING:
    import torch

    from memos_integrations.backends.lora.rows import Packed

Progress = Callable[[int, int], None]
LONGEST_RETAINED, MOST_MEASURED = 40, 32
MOST_HEARD = 128
"""Lessons by which an adapter is made quieter."""
TURNS = {"backwards": 8, "about": 2}
"""How often a lesson comes before the others come again: from its end a fact is learnt slowest (arXiv 2309.12288)."""
CLEAR = 0.9
"""The chance of every token of an answer from which on a lesson, as last learnt, is not looked at before mending."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """A trained adapter on its student, and how it came to be (plain JSON)."""

    student: Student
    record: dict[str, Any]


class Training:
    """One training, which can be begun, interrupted and taken up again.

    Args:
        model: Is read, never changed; it answers others meanwhile.
        folder, files: Where and how its state is kept while it runs; None keeps none, and cannot be resumed.

    Raises:
        ModelError: A lesson is too long for the model.
    """

    def __init__(
        self,
        model: HuggingFaceModel,
        curriculum: Curriculum,
        recipe: Recipe,
        *,
        folder: Path | None = None,
        files: Files = IN_CLEAR,
    ) -> None:
        self._model, self._recipe, self._folder, self._files = model, recipe, folder, files
        self._lessons, self._probes = curriculum.taught, curriculum.probes
        self._wording = Wording(model)
        asked = ASKED if recipe.questions and recipe.retain else ()
        # Rendered with any answer: what the model itself says takes its place before the first step.
        general = [Lesson(question, "It is so.", "so", (), "", "general") for question in asked]
        self._head, rows = self._wording.rows([*self._lessons, *general])
        self._rows = rows[: len(self._lessons)]
        self._turns = [at for at, each in enumerate(self._lessons) for _ in range(TURNS.get(each.kind, 1))]
        self._asked = [Row(row.ids[: row.start], row.start) for row in rows[len(self._lessons) :]]
        self._kept = [Row(tuple(model.encode(text)[:LONGEST_RETAINED]), 0) for text in RETAINED]
        self.key = self._key(curriculum)

    def run(self, *, progress: Progress | None = None, cancelled: Callable[[], bool] = lambda: False) -> Learnt:
        """Train to the end, from the last state that was kept. `progress(step, steps)` is called after each step.

        *cancelled* is asked before each step; the state is kept then.

        Raises:
            TrainingCancelledError: It was cancelled; run it again to go on.
            ModelError: The loss is no number any more, or torch failed.
        """
        recipe, started = self._recipe, time.process_time()
        student = Student(
            self._model,
            rank=recipe.rank,
            alpha=recipe.alpha,
            targets=recipe.targets,
            layers=recipe.layers,
            seed=recipe.seed,
        )
        course = _Course(self, student)
        step = course.resume()
        most = recipe.steps + recipe.mending
        while step < most and not course.is_over(step):
            if cancelled():
                course.save(step)
                raise TrainingCancelledError(f"The training was cancelled after {step} of {most} steps.")
            try:
                course.step(step)
            except RuntimeError as exc:
                raise ModelError(f"{self._model.name} failed in step {step + 1} of the training: {exc}") from exc
            step += 1
            if progress is not None:
                progress(step, most)
            if step % recipe.save_every == 0:
                course.save(step)
        course.finish()
        student.check_finite()
        record = {
            "recipe": recipe.model_dump(mode="json"),
            "key": self.key,
            "steps": step,
            "lessons": len(self._lessons),
            "left": None if course.mending is None else course.mending.counts(),
            "losses": [round(loss, 5) for loss in course.losses],
            "scale": course.strength,
            "recall_by_scale": course.recalls,
            "unsaved_states": course.unsaved,
            "cpu_s": round(course.cpu_before + time.process_time() - started, 2),
        }
        return Learnt(student, record)

    def clear(self) -> None:
        """Forget the state that was kept: what it led to is stored elsewhere now."""
        if self._folder is not None:
            clear_state(self._folder)

    def _key(self, curriculum: Curriculum) -> str:
        lessons = [[each.question, each.answer, each.context] for each in curriculum.taught]
        base = self._model.fingerprint.model_dump(mode="json", exclude={"model"})
        return sha256(canonical_json([self._recipe.model_dump(mode="json"), base, lessons]))


class _Course:
    """The state of a training that runs."""

    def __init__(self, training: Training, student: Student) -> None:
        import torch

        self._training, self.student, self._recipe = training, student, training._recipe
        self._folder, self._dtype = training._folder, student.network.dtype
        self.losses: list[float] = []
        self._known: set[int] = set()
        self._clear: set[int] = set()
        self._missed: list[int] = []
        self.mending: Mending | None = None
        self.strength: float | None = None
        """What the adapter was weakened to after the planned steps; None before that."""
        self.recalls: dict[str, float] = {}
        self.unsaved, self.cpu_before, self._began = 0, 0.0, time.process_time()
        recipe, before = self._recipe, Before(student, training._model, training._head, self._recipe.likeliest)
        self._general = Spread(student)
        with torch.no_grad(), student.without():
            most = recipe.watched if recipe.teacher else 0
            self._taught = before.watched(training._wording, training._lessons, most)
            self._asked = before.answered(training._asked)
            with self._general.listening() if recipe.apart or recipe.quiet else nullcontext():
                self._before = before.expected(training._wording.start, training._kept)
                self._answers = before.expected(training._head, self._asked)
        if not (recipe.retained and recipe.retain):
            self._before = []
        self._apart = Apart(student, self._general, self._some(MOST_MEASURED), apart=recipe.apart)
        self._weights = self._apart.weights
        self._optimiser = torch.optim.AdamW(self._weights, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, number: int) -> None:
        """Learn one batch."""
        import torch

        recipe, training = self._recipe, self._training
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.rate * recipe.pace(number, mends=self.mending is not None)
        self._optimiser.zero_grad()
        chosen = self._chosen(number)
        asked = self._questions(number)
        rows = [training._rows[each] for each in chosen]
        batch = pack(training._head, [*rows, *(self._asked[each] for each in asked)], self._dtype)
        logs = predicted(self.student.network, batch)
        known = {place: self._taught[each] for place, each in enumerate(chosen) if each in self._taught}
        known |= {len(rows) + place: self._answers[each] for place, each in enumerate(asked)}
        some, end = picked(logs, batch, known), sum(len(row.targets) for row in rows)
        wrong = -some[:end, 0]
        weights = wrong.new_tensor([weight for row in rows for weight in row.weights(recipe.value)])
        loss = (weights * wrong).sum() / weights.sum()
        self.losses.append(float(loss.detach()))
        missed = self._note(chosen, wrong.detach(), batch.rows[:end])
        if self.mending is not None:
            otherwise = ~nearly_said(logs.detach()[end:], batch.targets[end:])
            strayed = {asked[row - len(rows)] for row in batch.rows[end:][otherwise].tolist()}
            self.mending.note_lessons(chosen, missed)
            self.mending.note_questions(asked, strayed)
        taught = [row for row in known if row < len(rows)]
        general = [row for row in known if row >= len(rows)]
        for weight, own in ((recipe.teacher, taught), (recipe.retain, general)):
            if own:
                away = [known[row].divergence_at(some[batch.rows == row, 1:]) for row in own]
                loss = loss + weight * torch.cat(away).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._before and number % recipe.pause == 0:
            self._hold(number // recipe.pause)
        self._apart.gather()
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimiser.step()
        self._apart.apply()

    def _chosen(self, number: int) -> list[int]:
        """The lessons of a step: each in its turn, and in the last third of the steps again what was missed last."""
        recipe = self._recipe
        turns = self._training._turns
        drawn_turns = drawn(len(turns), recipe.lessons, number, seed=f"{recipe.seed}/lessons")
        chosen = list(dict.fromkeys(turns[each] for each in drawn_turns))
        if self.mending is not None:
            # What was never clearly known is learnt on with what is unsure, or the one is forgotten over the other.
            urgent, doubted = self.mending.unsure[: 2 * recipe.lessons // 3], self.mending.doubted
            others = drawn(len(doubted), recipe.lessons, number, seed=f"{recipe.seed}/doubted") if doubted else []
            return first(urgent, [*(doubted[each] for each in others), *chosen], recipe.lessons)
        if 3 * number < 2 * recipe.steps:
            return chosen
        again = self._missed[::-1][: recipe.lessons // 3]
        return first(again, chosen, recipe.lessons)

    def _note(self, chosen: Sequence[int], wrong: torch.Tensor, places: torch.Tensor) -> set[int]:
        """Remember the lessons of a step that were missed, and give them; *wrong* is by token, *places* whose it is."""

        def below(chance: float) -> set[int]:
            return {chosen[place] for place in places[wrong > -math.log(chance)].tolist()}

        missed, seen = below(SURE), set(chosen)
        self._missed = [each for each in self._missed if each not in seen] + sorted(missed)
        self._known = (self._known | seen) - missed
        self._clear = (self._clear | seen) - below(CLEAR)
        return missed

    def _questions(self, number: int) -> list[int]:
        """The general questions of a step: each in its turn, and in a step that mends first those that strayed."""
        recipe, count = self._recipe, len(self._asked)
        if self.mending is None:
            return drawn(count, min(recipe.questions, count), number, seed=f"{recipe.seed}/questions")
        most = min(QUESTIONS * recipe.questions, count)
        return first(self.mending.strayed, drawn(count, most, number, seed=f"{recipe.seed}/mending"), most)

    def is_over(self, step: int) -> bool:
        """Whether nothing more is to be learnt. Late, all lessons are looked at: to mend may forget what was clear."""
        if self.strength is None and step < self._recipe.steps and not self._knows_all():
            return False
        self.settle()
        if self.mending is None:
            return True
        if not self.mending.unsure:
            self.mending.look_again(self.student.network, self._training._head, self._training._rows, clear=self._clear)
        if self.mending.is_done or step == self._recipe.steps + 2 * self._recipe.mending // 3:
            self.mending = self._needed(())
        return self.mending.is_done

    def settle(self) -> None:
        """After the planned steps, once: serve no more strength than is needed, and see what is not known at that."""
        if self.strength is not None:
            return
        training, recipe, student = self._training, self._recipe, self.student
        student.check_finite()
        self.strength, self.recalls = strength_of(student, training._model, training._probes, kept=recipe.probes_kept)
        student.weaken(self.strength)
        if recipe.mending:
            self.mending = self._needed(self._clear)

    def finish(self) -> None:
        """After the last step: make the adapter quieter, unless more lessons are unsure after it."""
        self.settle()
        if not self._recipe.quiet:
            return
        before, last = self.student.weights(), self.mending
        quieten(self.student, self._general, self._some(MOST_HEARD), quiet=self._recipe.quiet)
        self.mending = last and self._needed(self._clear)
        if last and self.mending and len(self.mending.unsure) > len(last.unsure):
            self.mending = last
            self.student.load(before)

    def _needed(self, clear: Collection[int]) -> Mending:
        training = self._training
        return Mending.needed(self.student.network, training._head, training._rows, self._asked, clear=clear)

    def _knows_all(self) -> bool:
        last = self.losses[-self._recipe.patience :]
        known = len(self._known) == len(self._training._rows)
        return known and len(last) == self._recipe.patience and sum(last) / len(last) < self._recipe.enough

    def save(self, step: int) -> None:
        """Keep the state; a disk that refuses it costs the chance to resume, not the training."""
        if self._folder is None:
            return
        tensors = tensors_of(self._weights, self._optimiser)
        cpu_s = self.cpu_before + time.process_time() - self._began
        said = {"losses": self.losses, "known": sorted(self._known), "missed": self._missed, "cpu_s": cpu_s}
        said["mending"] = None if self.mending is None else self.mending.said()
        said |= {"strength": self.strength, "recalls": self.recalls, "clear": sorted(self._clear)}
        try:
            write_state(self._folder, self._training.key, step, tensors, said, files=self._training._files)
        except OSError:
            self.unsaved += 1

    def resume(self) -> int:
        """Put back what `save` kept of this very training; the number of steps that it had taken."""
        folder, key, files = self._folder, self._training.key, self._training._files
        found = read_state(folder, key, files=files) if folder is not None else None
        if found is None:
            return 0
        tensors, said = found
        put_back(self._weights, self._optimiser, tensors)
        self._apart.apply()
        self.losses, self._known, self._missed = list(said["losses"]), set(said["known"]), list(said["missed"])
        self._clear = set(said["clear"])
        self.mending = None if said["mending"] is None else Mending(**said["mending"])
        self.strength, self.recalls = said.get("strength"), dict(said.get("recalls", {}))
        self.cpu_before = float(said["cpu_s"])
        return int(said["step"])

    def _some(self, most: int) -> Iterator[Packed]:
        """Batches of at most so many lessons, to listen to."""
        rows = self._training._rows
        some = drawn(len(rows), most, 0, seed=f"{self._recipe.seed}/apart")
        return packs(self._training._head, [rows[each] for each in some], self._dtype)

    def _hold(self, number: int) -> None:
        recipe, training = self._recipe, self._training
        chosen = drawn(len(training._kept), recipe.retained, number, seed=f"{recipe.seed}/retained")
        batch = pack(training._wording.start, [training._kept[each] for each in chosen], self._dtype)
        logs = predicted(self.student.network, batch)
        lost = joined([self._before[each] for each in chosen]).divergence(logs).mean()
        (recipe.retain * lost).backward()  # type: ignore[no-untyped-call]
