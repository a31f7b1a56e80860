"""Two adapters for one request: only where each keeps its own and nothing else is spoilt; else one by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory
from memos_integrations.backends.rebuilding import Rebuilding
from memos_integrations.core.cube import Tier
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from tests.backends.test_lora import ANA, BEN, LENIENT, SHORT, _gpt2
from tests.tiny_llama import build_tiny_llama

QUICK = SHORT.model_copy(update={"steps": 3, "questions": 0, "apart": 0.0})
FACTS = ("Miso lives in Rome.", "Tofu lives in Oslo.")


@pytest.fixture(params=[build_tiny_llama, _gpt2], scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(request.param(tmp_path_factory.mktemp("m") / "tiny"))


@dataclass(frozen=True)
class Taught:
    """Two memories, and an adapter of each in a folder."""

    memos: MemOS
    cubes: list[MemCube]
    names: list[str]
    folder: Path


@pytest.fixture(scope="module")
def taught(model: HuggingFaceModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taught]:
    folder = tmp_path_factory.mktemp("taught") / "kept"
    with MemOS(InMemoryVault()) as memos:
        cubes = memos.remember_many(FACTS, by=ANA)
        with ParameterMemory(AdapterStore(model, folder), recipe=QUICK, gates=LENIENT) as memory:
            names = [memory.learn([cube]).name for cube in cubes]
        yield Taught(memos, cubes, names, folder)


@pytest.fixture
def memory(model: HuggingFaceModel, taught: Taught, tmp_path: Path) -> Iterator[ParameterMemory]:
    """A memory over a copy of them; both serve."""
    shutil.copytree(taught.folder, tmp_path / "kept")
    with ParameterMemory(AdapterStore(model, tmp_path / "kept"), recipe=QUICK, gates=LENIENT) as opened:
        for name in taught.names:
            opened.store.activate(name)
        yield opened


def logits(model: HuggingFaceModel, adapters: tuple[str, ...] = ()) -> Any:
    from transformers import DynamicCache

    return model._forward(
        model.render([{"role": "user", "content": "Where does Miso live?"}]), DynamicCache(), adapters
    )


def test_the_sum_does_what_both_do(taught: Taught, memory: ParameterMemory) -> None:
    import torch

    one, other = taught.names
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


def test_merged_by_ties_it_is_as_small_as_either(taught: Taught, memory: ParameterMemory) -> None:
    one, other = taught.names
    made = memory.compose(one, other, how="ties")
    assert made.training == {"composed": [one, other], "how": "ties"}
    assert made.size == pytest.approx(memory.store.get(one).size, rel=0.05)
    assert memory.compose(one, other).size > 1.5 * made.size


def test_what_fails_its_gates_is_kept_and_never_serves(taught: Taught, memory: ParameterMemory, tmp_path: Path) -> None:
    memos, cubes, (one, other) = taught.memos, taught.cubes, taught.names
    memory.gates = Gates(probes=1.0, neighbours=0.95, perplexity_pct=1e9, lost_pct=100.0)
    made = memory.compose(one, other)
    assert not made.accepted
    assert made.name not in memory.store.active
    with pytest.raises(ModelError, match="did not pass"):
        memory.store.activate(made.name)
    assert memory.store.composed_of(one, other) is None
    assert AdapterStore(memory.model, tmp_path / "kept").get(made.name).report == made.report, "the evidence stays"
    assert memory.adapter_for(recalled(memos, cubes)) in {one, other}


def test_a_request_that_needs_both_gets_both_and_another_only_its_own(taught: Taught, memory: ParameterMemory) -> None:
    memos, cubes, (one, other) = taught.memos, taught.cubes, taught.names
    made = memory.compose(one, other)
    assert memory.adapter_for(recalled(memos, cubes)) == made.name
    assert memory.adapter_for(recalled(memos, cubes[:1])) == one
    assert memory.adapter_for(recalled(memos, cubes[1:])) == other


def test_it_goes_with_either_source_and_with_either_part(taught: Taught, memory: ParameterMemory) -> None:
    cubes, (one, other) = taught.cubes, taught.names
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


def test_only_two_accepted_adapters_of_one_tenant_are_composed(taught: Taught, memory: ParameterMemory) -> None:
    one, other = taught.names
    with pytest.raises(ModelError, match="two different"):
        memory.compose(one, one)
    theirs = taught.memos.remember_many(["Ume lives in Bonn."], by=Principal(tenant="globex", user="eve"))
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


# --- as cubes -------------------------------------------------------------------------------------------------------

CY = Principal(tenant="acme", user="cy")


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and a vault of two memories for other readers and a parameter cube of each."""
    folder = tmp_path_factory.mktemp("distilled")
    model = HuggingFaceModel(build_tiny_llama(folder / "tiny"))
    with (
        MemOS.open(folder / "vault") as memos,
        ParameterMemory(AdapterStore(model, folder / "cubes"), recipe=QUICK, gates=LENIENT) as memory,
    ):
        governed = ParameterCubes(memos, memory)
        for text, readers in zip(FACTS, (["ben", "cy"], ["ben"]), strict=True):
            governed.distil([memos.remember(text, by=ANA, readers=readers).id], by=ANA)
    return folder


@pytest.fixture
def memos(distilled: Path, tmp_path: Path) -> Iterator[MemOS]:
    """Over a copy of that vault."""
    shutil.copytree(distilled, tmp_path, dirs_exist_ok=True)
    with MemOS.open(tmp_path / "vault") as opened:
        yield opened


@pytest.fixture
def governed(memos: MemOS, tmp_path: Path) -> Iterator[ParameterCubes]:
    store = AdapterStore(HuggingFaceModel(tmp_path / "tiny"), tmp_path / "cubes")
    with ParameterMemory(store, recipe=QUICK, gates=LENIENT) as opened:
        yield ParameterCubes(memos, opened)


def two(memos: MemOS, governed: ParameterCubes) -> tuple[list[MemCube], list[MemCube]]:
    """The two memories, and the parameter cube of each."""
    parts = memos.find(CubeFilter(tiers=frozenset({Tier.PARAMETER})), by=ANA, k=2)
    by_source = {part.provenance.derived_from[0].id: part for part in parts}
    sources = sorted((memos.get(each, by=ANA) for each in by_source), key=lambda cube: FACTS.index(cube.text))
    return sources, [by_source[each.id] for each in sources]


def asked(memos: MemOS, by: Principal) -> Recall:
    return memos.recall("Where do Miso and Tofu live?", by=by, k=2, needed=True)


def test_a_recall_that_found_what_both_know_leads_to_both(memos: MemOS, governed: ParameterCubes) -> None:
    sources, parts = two(memos, governed)
    assert asked(memos, BEN).adapters[0] in {part.id for part in parts}, "one by one, before"
    cube = governed.compose(parts[0].id, parts[1].id, by=ANA)
    assert {ref for ref in cube.provenance.derived_from} == {each.ref for each in sources}
    assert cube.governance.readers == ("user:ben",), "who may read both"
    found = asked(memos, BEN)
    assert cube.id in found.plan.adapters
    assert found.adapters == (cube.id,)
    assert "knows 2 of the 2 memories found" in found.why_adapters
    name = governed.adapter_for(found)
    assert name == governed.adapter_of(cube, by=BEN)
    assert name is not None
    assert set(governed.memory.store.get(name).training["composed"]) == {
        governed.adapter_of(part, by=ANA) for part in parts
    }
    assert asked(memos, CY).adapters == (parts[0].id,), "the other half is not for him"
    assert governed.adapter_of(cube, by=CY) is None
    one = memos.recall("Where does Miso live?", by=ANA, k=1, needed=True)
    assert one.adapters == (parts[0].id,), "and who asks for one gets one"
    assert memos.verify_audit().ok


def test_what_fails_together_is_a_cube_with_its_report_and_answers_go_one_by_one(
    memos: MemOS, governed: ParameterCubes
) -> None:
    _, parts = two(memos, governed)
    governed.memory.gates = Gates(taught=1.0, probes=0.0, neighbours=0.0, perplexity_pct=1e9, lost_pct=100.0)
    cube = governed.compose(parts[0].id, parts[1].id, by=ANA, how="ties")
    gates = cube.payload.training["gates"]  # type: ignore[union-attr]
    assert "taught" in gates["failed"][0], "what was taught is asked again, from the memories behind them"
    assert asked(memos, BEN).adapters[0] in {part.id for part in parts}
    with pytest.raises(ModelError, match="did not pass"):
        governed.load(cube, by=ANA)


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_cube_goes_with_either_source_and_is_not_learnt_again(
    memos: MemOS, governed: ParameterCubes, which: int
) -> None:
    sources, parts = two(memos, governed)
    cube = governed.compose(parts[0].id, parts[1].id, by=ANA)
    found = asked(memos, BEN)
    receipt = memos.forget(sources[which].id, by=ANA)
    assert {cube.id, parts[which].id} <= set(receipt.derived)
    assert governed.adapter_for(found) is None, "not by an old recall either"
    with pytest.raises(CubeNotFoundError):
        governed.load(cube.id, by=ANA)
    kept = list(governed.memory.store)
    assert [each.sources for each in kept] == [frozenset({sources[1 - which].ref})]
    assert asked(memos, BEN).adapters == (parts[1 - which].id,)
    again = memos.tick(by=ANA, learn_seconds=600).relearnt
    assert cube.id in again.let_go
    assert cube.id not in again.made


def test_it_serves_no_longer_than_the_cubes_that_it_was_composed_of(memos: MemOS, governed: ParameterCubes) -> None:
    sources, parts = two(memos, governed)
    cube = governed.compose(parts[0].id, parts[1].id, by=ANA)
    memos.update(parts[1].id, by=ANA, readers=[])
    assert governed.adapter_of(cube, by=BEN) is None
    assert governed.adapter_of(cube, by=ANA) is not None
    memos.forget(parts[1].id, by=ANA)
    assert governed.adapter_of(cube, by=ANA) is None
    with pytest.raises(CubeNotFoundError):
        governed.load(cube, by=ANA)
    assert {hit.cube.id for hit in asked(memos, ANA).hits} == {each.id for each in sources}, "the text is there"


@pytest.mark.slow
def test_what_a_vault_gives_back_is_composed_and_given_back_again(
    memos: MemOS, governed: ParameterCubes, tmp_path: Path
) -> None:
    _, parts = two(memos, governed)
    model = HuggingFaceModel(build_tiny_llama(tmp_path / "tiny"))
    with ParameterMemory(AdapterStore(model, tmp_path / "elsewhere"), gates=LENIENT) as other:
        cube = ParameterCubes(memos, other).compose(parts[0].id, parts[1].id, by=ANA)
    with ParameterMemory(AdapterStore(model, tmp_path / "third"), gates=LENIENT) as third:
        assert ParameterCubes(memos, third).adapter_for(asked(memos, BEN)) is not None
        assert {each.sources for each in third.store} == {frozenset(cube.provenance.derived_from)}


def test_who_may_not_use_both_composes_nothing_and_what_contradicts_is_refused(
    memos: MemOS, governed: ParameterCubes
) -> None:
    _, parts = two(memos, governed)
    with pytest.raises(CubeNotFoundError):
        governed.compose(parts[0].id, parts[1].id, by=CY)
    other = governed.distil([memos.remember("Miso lives in Bern.", by=ANA).id], by=ANA)
    with pytest.raises(InvalidMemoryError, match="contradict"):
        governed.compose(parts[0].id, other.id, by=ANA)
    with pytest.raises(ModelError, match="two different"):
        governed.compose(parts[0].id, parts[0].id, by=ANA)


@pytest.mark.slow
def test_under_another_model_it_stays_what_its_parts_make_anew(memos: MemOS, governed: ParameterCubes) -> None:
    _, parts = two(memos, governed)
    cube = governed.compose(parts[0].id, parts[1].id, by=ANA)
    there = HuggingFaceModel(build_tiny_llama(governed.memory.store.folder.parent / "other", context=1024))
    with ParameterMemory(AdapterStore(there, governed.memory.store.folder.parent / "b")) as other:
        plan = Rebuilding(memos, parameters=ParameterCubes(memos, other)).plan(by=ANA)
    stays = {each.id: each.stays for each in plan.rebuilds}
    assert "composed" in stays[cube.id]
    assert all(stays[part.id] == "" for part in parts)
