"""Two adapters for one request: only where each keeps its own and nothing else is spoilt; else one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterMemory
from memos_integrations.core.errors import ModelError
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.vaults.memory import InMemoryVault
from tests.backends.test_lora import ANA, LENIENT, SHORT, _gpt2
from tests.tiny_llama import build_tiny_llama

QUICK = SHORT.model_copy(update={"steps": 3, "questions": 0, "apart": 0.0})
FACTS = ("Miso lives in Rome.", "Tofu lives in Oslo.")


@pytest.fixture(params=[build_tiny_llama, _gpt2], scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(request.param(tmp_path_factory.mktemp("m") / "tiny"))


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) as opened:
        yield opened


@pytest.fixture
def memory(model: HuggingFaceModel, tmp_path: Path) -> Iterator[ParameterMemory]:
    with ParameterMemory(AdapterStore(model, tmp_path / "kept"), recipe=QUICK, gates=LENIENT) as opened:
        yield opened


def pair(memos: MemOS, memory: ParameterMemory) -> tuple[list[MemCube], list[str]]:
    cubes = memos.remember_many(FACTS, by=ANA)
    return cubes, [memory.learn([cube]).name for cube in cubes]


def logits(model: HuggingFaceModel, adapters: tuple[str, ...] = ()) -> Any:
    from transformers import DynamicCache

    return model._forward(
        model.render([{"role": "user", "content": "Where does Miso live?"}]), DynamicCache(), adapters
    )


def test_the_sum_does_what_both_do(memos: MemOS, memory: ParameterMemory) -> None:
    import torch

    _, (one, other) = pair(memos, memory)
    made = memory.compose(one, other)
    model = memory.model
    assert made.accepted
    assert made.name in memory.store.active
    assert made.report.neighbours.keys() == {one, other}
    network = model.network
    for layer in network.modules():
        if one in getattr(layer, "lora_A", {}):
            x = torch.randn(3, layer.lora_A[one].weight.shape[1])
            parts = [
                layer.lora_B[name](layer.lora_A[name](x)) * layer.scaling[name] for name in (one, other, made.name)
            ]
            assert torch.allclose(parts[0] + parts[1], parts[2], atol=2e-2 * float(parts[2].abs().max()) + 1e-6)
    assert not torch.equal(logits(model, (made.name,)), logits(model, (one,)))


def test_merged_by_ties_it_is_as_small_as_either(memos: MemOS, memory: ParameterMemory) -> None:
    _, (one, other) = pair(memos, memory)
    made = memory.compose(one, other, how="ties")
    assert made.training == {"composed": [one, other], "how": "ties"}
    assert made.size == pytest.approx(memory.store.get(one).size, rel=0.05)
    assert memory.compose(one, other).size > 1.5 * made.size


def test_what_fails_its_gates_is_kept_and_never_serves(memos: MemOS, memory: ParameterMemory, tmp_path: Path) -> None:
    cubes, (one, other) = pair(memos, memory)
    memory.gates = Gates(probes=1.0, neighbours=0.95, perplexity_pct=1e9, lost_pct=100.0)
    made = memory.compose(one, other)
    assert not made.accepted
    assert made.name not in memory.store.active
    with pytest.raises(ModelError, match="did not pass"):
        memory.store.activate(made.name)
    assert memory.store.composed_of(one, other) is None
    assert AdapterStore(memory.model, tmp_path / "kept").get(made.name).report == made.report, "the evidence stays"
    assert memory.adapter_for(recalled(memos, cubes)) in {one, other}


def test_a_request_that_needs_both_gets_both_and_another_only_its_own(memos: MemOS, memory: ParameterMemory) -> None:
    cubes, (one, other) = pair(memos, memory)
    made = memory.compose(one, other)
    assert memory.adapter_for(recalled(memos, cubes)) == made.name
    assert memory.adapter_for(recalled(memos, cubes[:1])) == one
    assert memory.adapter_for(recalled(memos, cubes[1:])) == other


def test_it_goes_with_either_source_and_with_either_part(memos: MemOS, memory: ParameterMemory) -> None:
    cubes, (one, other) = pair(memos, memory)
    before = logits(memory.model, (other,))
    made = memory.compose(one, other)
    memory.drop({cubes[0].id})
    assert made.name not in memory.store
    assert one not in memory.store
    assert bool((logits(memory.model, (other,)) == before).all())
    again = memory.learn([cubes[1]])
    both = memory.compose(other, again.name)
    memory.store.retire(again.name, erase=True)
    assert both.name not in memory.store


def test_only_two_accepted_adapters_of_one_tenant_are_composed(memos: MemOS, memory: ParameterMemory) -> None:
    _, (one, other) = pair(memos, memory)
    with pytest.raises(ModelError, match="two different"):
        memory.compose(one, one)
    theirs = memos.remember_many(["Ume lives in Bonn."], by=Principal(tenant="globex", user="eve"))
    with pytest.raises(ModelError, match="one tenant"):
        memory.compose(one, memory.learn(theirs).name)
    with pytest.raises(ModelError, match="no adapter"):
        memory.compose(one, "memos-none")
    made = memory.compose(one, other)
    with pytest.raises(ModelError, match="what adapter"):
        memory.compose(made.name, one)


def recalled(memos: MemOS, cubes: list[MemCube]) -> Recall:
    found = memos.recall("Where do they live?", by=ANA, needed=True)
    return found.model_copy(update={"hits": tuple(Hit(cube=cube, score=1.0) for cube in cubes)})
