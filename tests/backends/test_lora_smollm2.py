"""SmolLM2 learns twenty invented facts, and shows it in phrasings that were never taught. Minutes of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from memos_integrations import MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.backends.lora.gates import holds
from memos_integrations.backends.lora.yardstick import QUESTIONS
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.lora import Bench, faster_dtype
from tests.benchmarks.lora_general import GENERAL


def turned_wrong(bench: Bench, adapter: str) -> float:
    """The share of some 300 general questions that are answered right without an adapter, and wrong with it."""
    asked = [*QUESTIONS, *GENERAL]
    chats = [[{"role": "user", "content": text}] for text, _ in asked]
    plain, said = (
        bench.memory.answer_batch(chats, adapters=[each] * len(chats), max_new_tokens=16) for each in (None, adapter)
    )
    pairs = zip(plain, said, asked, strict=True)
    return sum(holds(was, right) and not holds(now, right) for was, now, (_, right) in pairs) / len(asked)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_twenty_facts_are_learnt_and_little_is_spoilt(models: dict[str, Path], tmp_path: Path) -> None:
    """What one seed shows on any processor.

    Whether a last lesson is missed, and how many of 48 questions turn, is for rounding to decide, and for the benchmark
    to tell. So recall is held to what the gates ask, and some 300 questions are asked.
    """
    bench = Bench(models["smollm2"], tmp_path, None)
    try:
        before = bench.logits()
        found = bench.one(0)
        spoilt = turned_wrong(bench, found["name"])
        bench.memory.store.retire(found["name"], erase=True)
        after = bench.logits()
    finally:
        bench.close()
    assert found["recall_train"] >= Gates().taught
    assert found["recall_heldout"] >= 0.8
    assert found["recall_without"] <= 0.2
    assert found["perplexity_change_pct"] <= 7.0
    assert spoilt <= 0.1
    assert found["adapter_bytes_fp16"] <= 5_000_000
    assert torch.equal(after, before)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_two_parameter_cubes_are_composed_where_that_spoils_neither_and_answer_one_by_one_where_it_does(
    models: dict[str, Path], tmp_path: Path
) -> None:
    ana, quick = Principal(tenant="acme", user="ana"), Recipe(steps=12, mending=0, questions=0, retained=0, apart=0.0)
    lenient = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)
    store = AdapterStore(HuggingFaceModel(models["smollm2"], dtype=faster_dtype()), tmp_path / "a")
    with MemOS(InMemoryVault()) as memos, ParameterMemory(store, recipe=quick, gates=lenient) as memory:
        governed = ParameterCubes(memos, memory)
        facts = memos.remember_many(["Mirela Vond lives in Bergen.", "Tarik Osei lives in Kyoto."], by=ana)
        parts = [governed.distil([fact.id], by=ana) for fact in facts]
        memory.gates = Gates(taught=0.8, probes=0.5, neighbours=0.8, perplexity_pct=1e9, lost_pct=100.0)
        cube = governed.compose(parts[0].id, parts[1].id, by=ana)
        found = memos.recall("Where do Mirela Vond and Tarik Osei live?", by=ana, k=2, needed=True)
        failed = cube.payload.training["gates"]["failed"]  # type: ignore[union-attr]
        if failed:
            assert found.adapters[0] in {part.id for part in parts}
        else:
            assert found.adapters == (cube.id,)
            name = governed.adapter_for(found)
            chats = [[{"role": "user", "content": f"Where does {who} live?"}] for who in ("Mirela Vond", "Tarik Osei")]
            said = memory.answer_batch(chats, adapters=[name, name], max_new_tokens=20)
            assert "Bergen" in said[0]
            assert "Kyoto" in said[1]
        memos.forget(facts[0].id, by=ana)
        assert governed.adapter_of(cube, by=ana) is None
        assert len(list(store)) == 1
