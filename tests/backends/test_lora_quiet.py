"""A trained adapter made quieter: general text hears less of it, the lessons nearly the same."""

from __future__ import annotations

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import Training, lessons_of
from memos_integrations.backends.lora.quiet import EVEN, _kept, quieten
from memos_integrations.backends.lora.student import Student
from memos_integrations.backends.lora.training import _Course
from tests.backends.test_lora import SHORT, cubes
from tests.backends.test_lora_apart import GENERAL, LESSONS, batch, heard, spread
from tests.tiny_llama import build_tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny"))


def after(model: HuggingFaceModel, quiet: float) -> tuple[float, float]:
    """How loud general text and lessons are, as shares of before."""
    student = Student(model, rank=16, alpha=16, targets=(), layers=())
    before = heard(student, GENERAL), heard(student, LESSONS)
    quieten(student, spread(student), [batch(LESSONS)], quiet=quiet)
    return heard(student, GENERAL) / before[0], heard(student, LESSONS) / before[1]


def test_general_text_hears_less_of_it_and_lessons_nearly_the_same(model: HuggingFaceModel) -> None:
    general, lessons = after(model, 1.0)
    assert general < 0.5
    assert lessons > 0.8
    assert after(model, 10.0)[0] < general, "the more it weighs, the less"


def test_nothing_near_it_changes_both_less() -> None:
    import torch

    draw = torch.Generator().manual_seed(0)
    xs, ys = torch.randn(40, 12, generator=draw), torch.randn(30, 12, generator=draw) * torch.linspace(0.1, 2.0, 12)
    told, other, a = xs.t() @ xs, ys.t() @ ys, torch.randn(3, 12, generator=draw)
    found = a @ _kept(told, other, 0.5)

    def cost(tried: torch.Tensor) -> float:
        lessons = ((tried - a) @ (told / told.trace()) @ (tried - a).t()).trace()
        general = (tried @ (other / other.trace()) @ tried.t()).trace()
        return float(lessons + 0.5 * general + EVEN / 12 * tried.square().sum())

    for _ in range(20):
        assert cost(found + 0.05 * torch.randn(3, 12, generator=draw)) > cost(found)
    assert cost(found) < cost(a)


def test_a_training_ends_quieter_unless_that_unsettles_lessons(model: HuggingFaceModel) -> None:
    import torch

    recipe = SHORT.model_copy(update={"mending": 2, "quiet": 1.0})
    training = Training(model, lessons_of(cubes("Miso lives in Rome.")), recipe)

    def course() -> _Course:
        made = _Course(training, Student(model, rank=recipe.rank, alpha=recipe.alpha))
        for step in range(recipe.steps):
            made.step(step)
        made.settle()
        return made

    made = course()
    assert made.mending is not None
    assert made.mending.unsure, "so short a training is sure of little"
    before, seen = heard(made.student, made._asked), made.mending
    made.finish()
    assert heard(made.student, made._asked) < 0.9 * before
    assert made.mending is not seen, "what is left is looked at again"

    made = course()
    assert made.mending is not None
    made.mending.unsure.clear()  # as if all had been known for sure: now more are not
    weights, seen = made.student.weights(), made.mending
    made.finish()
    assert all(torch.equal(weight, weights[name]) for name, weight in made.student.weights().items())
    assert made.mending is seen
