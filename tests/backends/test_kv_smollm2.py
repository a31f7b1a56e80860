"""Activation memory of a real model: the same words, the same logits, in float32 and in bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import KVStore
from memos_integrations.backends.kv.tiers import Precision, exact, rounded

MEMORY = "The office cat is called Miso. Ben feeds it tuna at nine. It sleeps on the printer. " * 4
QUESTION = "\nQuestion: What is the cat called?\nAnswer: The cat is called"


def ids(model: HuggingFaceModel, prompt: list[int], tokens: int, **how: object) -> list[int]:
    return [token.id for token in model.stream(prompt, max_new_tokens=tokens, **how)]  # type: ignore[arg-type]


def test_a_real_model_answers_alike_with_a_stored_memory(smollm2: HuggingFaceModel) -> None:
    store = KVStore(smollm2)
    memory, question = smollm2.encode(MEMORY), smollm2.encode(QUESTION)
    prefix = store.put(memory, tenant="a")
    assert prefix.shared
    assert store.verify(prefix) <= 1e-4
    answer = ids(smollm2, memory + question, 6, prefix=prefix)
    assert answer == ids(smollm2, memory + question, 6)
    assert "Miso" in smollm2.decode(answer)


def test_int8_is_a_quarter_of_the_size(smollm2: HuggingFaceModel) -> None:
    prefix = KVStore(smollm2).put(smollm2.encode(MEMORY), tenant="a")
    segment = exact([layer[0] for layer in prefix.layers])
    assert segment.size / rounded(segment, Precision.INT8).size >= 3.8
    assert segment.size / rounded(segment, Precision.FP16).size == 2.0


@pytest.mark.slow
def test_bfloat16_says_the_same_words(models: dict[str, Path]) -> None:
    model = HuggingFaceModel(models["smollm2"], dtype="bfloat16")
    memory, question = model.encode(MEMORY), model.encode(QUESTION)
    prefix = KVStore(model).put(memory, tenant="a")
    assert ids(model, memory + question, 6, prefix=prefix) == ids(model, memory + question, 6)
