"""Where an adapter listens: not where general text speaks; which layers it is on; and what a batch of prompts costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.answers import greedy
from memos_integrations.backends.lora.apart import Apart, Spread
from memos_integrations.backends.lora.rows import Packed, Row, pack, predicted
from memos_integrations.backends.lora.student import Student, adapted_blocks, adapted_names
from tests.backends.test_lora import _gpt2
from tests.tiny_llama import build_tiny_llama

GENERAL = [Row(tuple(range(40, 60)), 0), Row(tuple(range(45, 55)), 0)]
LESSONS = [Row(tuple(range(120, 140)), 0), Row(tuple(range(140, 150)), 0)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny"))


def batch(rows: list[Row]) -> Packed:
    import torch

    return pack([1], rows, torch.float32)


def heard(student: Student, rows: list[Row]) -> float:
    """How loud what A makes of some text is, on average over its layers and tokens."""
    import torch

    loud: list[float] = []
    listening = [each for name, each in student.network.named_modules() if name.endswith("lora_A.learning")]
    hooks = [
        each.register_forward_hook(lambda _, given, made: loud.append(float(made.norm() / given[0].norm())))
        for each in listening
    ]
    with torch.no_grad():
        predicted(student.network, batch(rows))
    for each in hooks:
        each.remove()
    return sum(loud) / len(loud)


def spread(student: Student) -> Spread:
    """Of the general text."""
    found = Spread(student)
    with student.without(), found.listening():
        predicted(student.network, batch(GENERAL))
    return found


def ratio(model: HuggingFaceModel, apart: float) -> float:
    student = Student(model, rank=4, alpha=4, targets=(), layers=())
    Apart(student, spread(student), [batch(LESSONS)], apart=apart)
    return heard(student, GENERAL) / heard(student, LESSONS)


def test_general_text_is_heard_less_than_lessons_the_stricter_the_less(model: HuggingFaceModel) -> None:
    assert ratio(model, 0.01) < ratio(model, 0.2) < 0.9 * ratio(model, 0.0)


def test_lessons_are_heard_as_loud_as_before(model: HuggingFaceModel) -> None:
    student = Student(model, rank=16, alpha=16, targets=(), layers=())
    before = heard(student, LESSONS)
    Apart(student, spread(student), [batch(LESSONS)], apart=0.1)
    assert heard(student, LESSONS) == pytest.approx(before, rel=0.5)


def test_a_step_leaves_the_weights_apart(model: HuggingFaceModel) -> None:
    import torch

    student = Student(model, rank=4, alpha=4, targets=(), layers=())
    apart = Apart(student, spread(student), [batch(LESSONS)], apart=0.05)
    a, r = next((weight, learnt) for learnt, weight, _ in apart._held)
    through = apart._held[0][2]
    optimiser = torch.optim.SGD(apart.weights, lr=0.1)
    a.grad = torch.ones_like(a)
    before = r.detach().clone()
    apart.gather()
    optimiser.step()
    apart.apply()
    assert torch.allclose(r, before - 0.1 * torch.ones_like(a) @ through, atol=1e-6)
    assert torch.allclose(a, r @ through)
    assert a.grad is None


def test_padding_is_no_text() -> None:
    assert batch([Row((5, 6, 7), 0), Row((8,), 0)] * 3).real.sum() == 2 + 3 * 4
    assert batch(GENERAL[:1]).real.all()


@pytest.mark.parametrize("build", [build_tiny_llama, _gpt2])
def test_facts_are_learnt_in_the_feed_forward_layers_of_the_middle(build: Any, tmp_path: Path) -> None:
    network = HuggingFaceModel(build(tmp_path / "m")).network
    names = adapted_names(network, None)
    expected = {"c_fc", "mlp.c_proj"} if build is _gpt2 else {"down_proj", "gate_proj", "up_proj"}
    assert set(names) == expected
    assert set(adapted_names(network, ())) > {name.rpartition(".")[2] for name in expected}
    assert adapted_names(network, ("q_proj",)) == ["q_proj"]
    network.config.num_hidden_layers = 30
    assert adapted_blocks(network, None) == list(range(4, 20))
    assert adapted_blocks(network, ()) is None
    assert adapted_blocks(network, (3,)) == [3]


def test_a_prefill_of_many_rows_hands_the_output_layer_one_piece(model: HuggingFaceModel) -> None:
    pieces: list[bool] = []
    output = model.network.get_output_embeddings()
    forward = output.forward
    output.forward = lambda x: (pieces.append(x.is_contiguous()), forward(x))[1]
    try:
        greedy(model.network, [[1, 40, 41], [1, 50, 51, 52]], max_new_tokens=2, ends=())
    finally:
        del output.forward
    assert pieces
    assert all(pieces)
