"""SmolLM2 learns twenty invented facts, and shows it in phrasings that were never taught. Minutes of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.lora import Bench, faster_dtype


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_twenty_facts_are_learnt_and_nothing_is_spoilt(models: dict[str, Path], tmp_path: Path) -> None:
    bench = Bench(models["smollm2"], tmp_path, None)
    try:
        found = bench.run(1)
    finally:
        bench.close()
    assert found["recall_train"] == 1.0
    assert found["recall_heldout"] >= 0.8
    assert found["recall_heldout_without_memory"] <= 0.2
    assert found["perplexity_change_pct"] <= 7.0
    assert found["general_lost_pct"] <= 5.0
    assert found["adapter_bytes_fp16"] <= 5_000_000
    assert found["retired_bit_identical"]


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
