"""The arm of the benchmark that trains a prefix of keys and values: it begins as the text, and learns."""

from __future__ import annotations

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import lessons_of
from memos_integrations.backends.lora.rows import Row, pack, predicted
from memos_integrations.backends.lora.wording import Wording
from tests.backends.test_lora import cubes
from tests.benchmarks.lora_cartridge import Cartridge
from tests.tiny_llama import build_tiny_llama

TEXT = "Miso lives in Rome."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny"))


def lessons(model: HuggingFaceModel) -> tuple[list[int], list[Row]]:
    return Wording(model).rows(lessons_of(cubes(TEXT)).taught)


def test_before_it_is_trained_it_is_the_text_itself(model: HuggingFaceModel) -> None:
    import torch

    head, rows = lessons(model)
    words = model.encode(TEXT)
    made = Cartridge(model, head, TEXT, len(words))
    with torch.no_grad():
        logs, _ = made.predicted(rows[:3])
        plain = predicted(made.network, pack([*head, *words], rows[:3], made.network.dtype))
    assert torch.allclose(logs, plain, atol=1e-3)
    assert made.bytes_fp16 == 2 * made.weights.numel()
    assert made.file_bytes() > 2 * made.bytes_fp16, "PEFT's file holds the head, too"


def test_it_learns_and_neither_the_model_nor_the_head_changes(model: HuggingFaceModel) -> None:
    import torch

    head, rows = lessons(model)
    made = Cartridge(model, head, TEXT, 16)
    frozen = made.encoder.frozen_embedding.clone()
    weights = [weight.clone() for weight in model.network.parameters()]
    losses = made.learn(rows, 12, seed=0)
    assert sum(losses[-4:]) < sum(losses[:4])
    assert torch.equal(made.encoder.frozen_embedding, frozen)
    assert all(torch.equal(*pair) for pair in zip(weights, model.network.parameters(), strict=True))
    assert 0.0 <= made.recall([("Where does Miso live?", "Rome"), ("Who lives in Rome?", "Miso")]) <= 1.0
