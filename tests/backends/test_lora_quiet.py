"""A trained adapter made quieter: general text hears less of it, the lessons nearly the same."""

from __future__ import annotations

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import Training, lessons_of
from memos_integrations.backends.lora.apart import Apart
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


def test_an_adapter_that_is_kept_apart_learns_on_from_what_was_put_in_its_place(model: HuggingFaceModel) -> None:
    import torch

    student = Student(model, rank=4, alpha=4, targets=(), layers=())
    apart = Apart(student, spread(student), [batch(LESSONS)], apart=0.05)
    learnt, weight, through = apart._held[0]
    wanted = weight.detach() * 0.5 + 0.01
    weight.data.copy_(wanted)
    apart.take()
    assert torch.allclose(weight, wanted, atol=1e-4)
    assert torch.equal(weight, learnt @ through)


def test_a_training_is_made_quieter_before_it_mends_and_after(model: HuggingFaceModel) -> None:
    recipe = SHORT.model_copy(update={"mending": 2, "probes_kept": 1.0})
    training = Training(model, lessons_of(cubes("Miso lives in Rome.")), recipe)

    def course(quiet: float) -> _Course:
        training._recipe = recipe.model_copy(update={"quiet": quiet})
        made = _Course(training, Student(model, rank=recipe.rank, alpha=recipe.alpha))
        for step in range(recipe.steps):
            made.step(step)
        return made

    def loud(made: _Course) -> float:
        return heard(made.student, made._asked)

    plain, quiet = course(0.0), course(1.0)
    assert loud(plain) == loud(quiet)
    for each in (plain, quiet):
        each.settle()
    assert loud(quiet) < 0.9 * loud(plain)
    quiet.step(recipe.steps)
    before, seen = loud(quiet), quiet.mending
    quiet.finish()
    assert loud(quiet) < before
    assert quiet.mending is not seen, "what is left is looked at again"
