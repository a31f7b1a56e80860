"""After the planned steps of a training: what is not known for sure is learnt, what is said otherwise is put right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import Recipe, Training, lessons_of
from memos_integrations.backends.lora.mending import SURE, Mending, first
from memos_integrations.backends.lora.rows import Row, looked_at
from memos_integrations.backends.lora.strength import STRENGTHS, strength_of
from memos_integrations.backends.lora.student import Student
from memos_integrations.backends.lora.training import _Course
from memos_integrations.core.errors import TrainingCancelledError
from tests.backends.test_lora import SHORT, cubes
from tests.tiny_llama import build_tiny_llama

LEARNING = SHORT.model_copy(update={"steps": 30, "retain": 0.2, "mending": 0, "quiet": 0.0})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny"))


def left(model: HuggingFaceModel, recipe: Recipe) -> tuple[Mending, dict[str, Any]]:
    """What is left after a training, and its record."""
    training = Training(model, lessons_of(cubes("Miso lives in Rome.")), recipe)
    learnt = training.run()
    asked = _Course(training, Student(model, rank=2, alpha=4))._asked
    return Mending.needed(learnt.student.network, training._head, training._rows, asked), learnt.record


def test_a_training_goes_on_with_what_it_has_not_learnt_until_nothing_is_left(model: HuggingFaceModel) -> None:
    before, plain = left(model, LEARNING)
    after, mended = left(model, LEARNING.model_copy(update={"mending": 20}))
    assert plain["steps"] == 30
    assert plain["left"] is None, "who mends nothing looks at nothing"
    assert before.unsure
    assert 30 < mended["steps"] <= 50
    assert mended["losses"][:30] == plain["losses"], "the planned steps are the same"
    assert len(after.unsure) < len(before.unsure)
    assert mended["left"]["unsure"] <= len(before.unsure)


def test_a_training_cancelled_while_it_mends_goes_on_as_if_it_had_not_been(
    model: HuggingFaceModel, tmp_path: Path
) -> None:
    import torch

    recipe = SHORT.model_copy(update={"mending": 4})
    lessons = lessons_of(cubes("Miso lives in Rome."))
    whole = Training(model, lessons, recipe).run()
    seen: list[int] = []
    with pytest.raises(TrainingCancelledError, match="after 8 of 10"):
        Training(model, lessons, recipe, folder=tmp_path).run(
            progress=lambda step, steps: seen.append(step), cancelled=lambda: len(seen) == 8
        )
    again = Training(model, lessons, recipe, folder=tmp_path).run(progress=lambda step, steps: seen.append(step))
    assert seen == list(range(1, 11))
    assert again.record["losses"] == whole.record["losses"]
    assert again.record["left"] == whole.record["left"]
    for name, weight in whole.student.weights().items():
        assert torch.equal(weight, again.student.weights()[name])


def test_a_step_that_mends_takes_what_waited_longest_and_fills_up_with_others(model: HuggingFaceModel) -> None:
    recipe = SHORT.model_copy(update={"lessons": 6, "mending": 4})
    course = _Course(
        Training(model, lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.")), recipe),
        Student(model, rank=2, alpha=4),
    )
    course.mending = Mending([9, 4, 7], [5, 2])
    lessons, asked = course._chosen(recipe.steps), course._questions(recipe.steps)
    assert lessons[:3] == [9, 4, 7]
    assert asked[:2] == [5, 2]
    assert len(set(lessons)) == 6
    assert len(set(asked)) == 4, "twice the questions of another step"
    course.mending.note_lessons(lessons, {4, lessons[-1]})
    course.mending.note_questions([5], set())
    assert course.mending == Mending(sorted({4, lessons[-1]}), [2])
    assert not course.mending.is_done
    assert Mending([], []).is_done


def test_the_urgent_come_first_and_nobody_twice() -> None:
    assert first([3, 1], [1, 2, 3, 4], 3) == [3, 1, 2]
    assert first([], [1, 2], 3) == [1, 2]
    assert first([1, 2, 3], [4], 2) == [1, 2]


def test_looking_at_rows_tells_what_is_answered(model: HuggingFaceModel) -> None:
    from memos_integrations.backends.lora.answers import greedy
    from memos_integrations.backends.lora.wording import Wording

    prompts = [Wording(model).prompt(f"What is {number}?") for number in range(40)]
    said = greedy(model.network, prompts, max_new_tokens=5, ends=())
    own = [Row((*prompt[1:], *ids), len(prompt) - 1) for prompt, ids in zip(prompts, said, strict=True)]
    others = [Row((*row.ids[:-1], row.ids[-1] ^ 1), row.start) for row in own]
    assert all(same for _, same in looked_at(model.network, prompts[0][:1], own))
    seen = looked_at(model.network, prompts[0][:1], others)
    assert len(seen) == 40
    assert not any(same for _, same in seen)
    assert all(chance < SURE for chance, _ in seen)


def test_an_adapter_is_weakened_only_as_far_as_it_still_knows(model: HuggingFaceModel) -> None:
    probes = lessons_of(cubes("Miso lives in Rome.")).probes
    student = trained(model)
    for kept in (0.0, 1.0):
        best, tried = strength_of(student, model, probes, kept=kept)
        assert tried[str(best)] >= kept * tried["1.0"]
        weaker = [float(each) for each in tried if float(each) < best]
        assert len(weaker) <= 1, "the first that costs too much is the last tried"
    assert strength_of(Student(model, rank=2, alpha=4), model, probes, kept=1.0)[0] == min(STRENGTHS)
    assert strength_of(student, model, (), kept=1.0)[0] == min(STRENGTHS), "nothing is asked, nothing is lost"


def test_full_strength_stays_where_less_forgets(model: HuggingFaceModel) -> None:
    probes = lessons_of(cubes("Miso lives in Rome.")).probes
    student = trained(model, steps=60)
    for part in (1.0, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5):  # from the wholly learnt, down to a strength that just knows
        student.weaken(part)
        best, tried = strength_of(student, model, probes, kept=1.0)
        if best == 1.0:
            break
    assert best == 1.0
    assert tried["0.85"] < tried["1.0"]


def test_what_is_mended_is_what_is_served(model: HuggingFaceModel) -> None:
    """The adapter is weakened first: what is put right stays right when it serves, and nothing weakens it again."""
    recipe = LEARNING.model_copy(update={"mending": 12, "probes_kept": 0.0})
    training = Training(model, lessons_of(cubes("Miso lives in Rome.")), recipe)
    course = _Course(training, Student(model, rank=recipe.rank, alpha=recipe.alpha, seed=recipe.seed))
    strong = course.student.weights()
    for each in range(2):
        course.settle()
        for name, weight in course.student.weights().items():
            part = min(STRENGTHS) if ".lora_B." in name else 1.0
            assert bool((weight == part * strong[name]).all()), f"time {each}"
    assert course.strength == min(STRENGTHS)
    assert course.mending is not None
    assert course.mending.unsure


def trained(model: HuggingFaceModel, steps: int = 30) -> Student:
    """A student that learnt one fact at full strength."""
    recipe = LEARNING.model_copy(update={"steps": steps, "probes_kept": 1.0})
    lessons = lessons_of(cubes("Miso lives in Rome."))
    training = Training(model, lessons, recipe)
    course = _Course(training, Student(model, rank=recipe.rank, alpha=recipe.alpha, seed=recipe.seed))
    for step in range(steps):
        course.step(step)
    return course.student


def test_while_it_mends_lessons_that_were_doubted_are_looked_at_again(model: HuggingFaceModel) -> None:
    course = _Course(
        Training(model, lessons_of(cubes("Miso lives in Rome.")), LEARNING), Student(model, rank=2, alpha=4)
    )
    rows, head = course._training._rows, course._training._head
    found = Mending.needed(model.network, head, rows, [])
    assert found.unsure, "an untaught model is sure of nothing"
    assert set(found.unsure) <= set(found.doubted)
    found.note_lessons(list(range(len(rows))), [])
    assert found.is_done
    found.look_again(model.network, head, rows)
    assert not found.is_done


def test_steps_grow_smaller_to_the_end_of_the_planned_ones_and_to_the_end_of_mending() -> None:
    recipe = LEARNING.model_copy(update={"steps": 30, "mending": 30})
    planned = [recipe.pace(number, mends=False) for number in range(4, 30)]
    assert planned == sorted(planned, reverse=True)
    mending = [recipe.pace(number, mends=True) for number in range(30, 60)]
    assert mending[0] == mending[20] > 2 * planned[-1]
    assert mending[20:] == sorted(mending[20:], reverse=True)
    assert 0 < mending[-1] < 0.3


def test_what_was_clear_when_it_was_last_learnt_is_not_looked_at_before_mending(model: HuggingFaceModel) -> None:
    course = _Course(
        Training(model, lessons_of(cubes("Miso lives in Rome.")), LEARNING), Student(model, rank=2, alpha=4)
    )
    rows, head = course._training._rows, course._training._head
    whole = Mending.needed(model.network, head, rows, [])
    clear = whole.unsure[::2]
    some = Mending.needed(model.network, head, rows, [], clear=clear)
    assert some.unsure == [each for each in whole.unsure if each not in clear]
    assert not set(clear) & set(some.doubted)


def test_a_lesson_is_clear_while_every_token_of_it_was_likely_the_last_time(model: HuggingFaceModel) -> None:
    import torch

    course = _Course(
        Training(model, lessons_of(cubes("Miso lives in Rome.")), LEARNING), Student(model, rank=2, alpha=4)
    )
    places = torch.tensor([0, 0, 1, 2])
    assert course._note([5, 6, 7], torch.tensor([0.01, 0.02, 0.4, 3.0]), places) == {7}
    assert course._clear == {5}
    assert course._known == {5, 6}
    assert course._note([5, 6, 7], torch.tensor([0.01, 0.4, 0.0, 0.0]), places) == set()
    assert course._clear == {6, 7}


@pytest.mark.parametrize("step", [SHORT.steps + 2, SHORT.steps + 4])
def test_what_was_clear_and_is_forgotten_while_it_mends_is_found(model: HuggingFaceModel, step: int) -> None:
    """When nothing seems left, and when two thirds of the steps that mend were taken."""
    training = Training(model, lessons_of(cubes("Miso lives in Rome.")), SHORT.model_copy(update={"mending": 6}))
    course = _Course(training, Student(model, rank=2, alpha=4))
    course.strength, course._clear = 1.0, set(range(len(training._rows)))
    course.mending = Mending([0] if step == SHORT.steps + 4 else [], [])
    assert not course.is_over(step)
    assert len(course.mending.unsure) > 1, "an untaught model is sure of nothing"


def test_a_step_that_mends_rehearses_what_was_doubted(model: HuggingFaceModel) -> None:
    recipe = SHORT.model_copy(update={"lessons": 6, "mending": 4})
    training = Training(model, lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.")), recipe)
    course = _Course(training, Student(model, rank=2, alpha=4))
    course.mending = Mending(list(range(20, 30)), [], [1, 2, 3, *range(20, 30)])
    chosen = course._chosen(recipe.steps)
    assert chosen[:4] == [20, 21, 22, 23], "two thirds are what is unsure"
    assert set(chosen[4:]) <= set(course.mending.doubted), "the rest is what was never clearly known"
