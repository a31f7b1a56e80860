"""A vault comes under another base model: the price is shown first, then keys, values and adapters are made anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.backends.rebuilding import Rebuilding
from memos_integrations.cli import app
from memos_integrations.core.cube import ActivationPayload, ParameterPayload, Tier
from memos_integrations.core.errors import CubeNotFoundError, ModelError
from memos_integrations.core.ports import CubeFilter
from tests.tiny_llama import build_tiny_llama

ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
SHORT = Recipe(steps=6, mending=0, save_every=1, questions=0, retained=0, retain=0.0, teacher=0.0)
LENIENT = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)
FACTS = ("Miso lives in Rome.", "Tofu lives in Oslo.")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("m")
    return [build_tiny_llama(place / str(seed), seed=seed, context=1024) for seed in (0, 1)]


@contextmanager
def under(
    memos: MemOS, model: HuggingFaceModel, adapters: Path, gates: Gates = LENIENT
) -> Iterator[tuple[ActivationCubes, ParameterCubes]]:
    with ExitStack() as stack:
        memory = stack.enter_context(ActivationMemory(KVStore(model)))
        learning = stack.enter_context(ParameterMemory(AdapterStore(model, adapters), recipe=SHORT, gates=gates))
        yield ActivationCubes(memos, memory), ParameterCubes(memos, learning)


def computed(memos: MemOS, by: Principal = ANA) -> list[MemCube]:
    return memos.find(CubeFilter(tiers=frozenset({Tier.ACTIVATION, Tier.PARAMETER})), by=by, k=100)


def test_the_price_is_told_and_nothing_done_until_it_is_asked_for(folders: list[Path], tmp_path: Path) -> None:
    old, new = (HuggingFaceModel(folder) for folder in folders)
    with MemOS.open(tmp_path / "vault") as memos:
        facts = memos.remember_many(FACTS, by=ANA)
        ids = [cube.id for cube in facts]
        with under(memos, old, tmp_path / "old") as (activations, parameters):
            cache, adapter = activations.promote(ids, by=ANA), parameters.distil(ids, by=ANA)
            assert Rebuilding(memos, activations=activations, parameters=parameters).plan(by=ANA).rebuilds == ()

        with under(memos, new, tmp_path / "new") as (activations, parameters):
            works = Rebuilding(memos, activations=activations, parameters=parameters)
            plan = works.plan(by=ANA)
            told = {each.tier: each for each in plan.due}
            assert {each.id for each in plan.due} == {cache.id, adapter.id}
            assert plan.model == new.fingerprint.model
            assert told[Tier.ACTIVATION].tokens == activations.tokens_of(ids, by=ANA) > 0
            assert told[Tier.ACTIVATION].size == told[Tier.ACTIVATION].tokens * activations.memory.store.bytes_per_token
            assert told[Tier.ACTIVATION].size > 0
            assert told[Tier.PARAMETER].size == adapter.blobs[0].size
            assert min(each.seconds for each in plan.due) > 0
            assert {cube.id for cube in computed(memos)} == {cache.id, adapter.id}, "nothing was done"
            assert works.plan(by=BEN).rebuilds == ()

            assert works.run(plan, by=ANA, is_over=lambda: True).made == {}
            seen: list[str] = []
            done = works.run(plan, by=ANA, progress=lambda each: seen.append(each.id))
            assert set(seen) == done.made.keys() == {cache.id, adapter.id}
            assert done.left == {}
            for cube in computed(memos):
                assert isinstance(cube.payload, ActivationPayload | ParameterPayload)
                made = cube.payload.fingerprint if isinstance(cube.payload, ActivationPayload) else cube.payload.base
                assert made.weights == new.fingerprint.weights
            assert {cube.id for cube in computed(memos)} == set(done.made.values())
            for gone in (cache.id, adapter.id):
                with pytest.raises(CubeNotFoundError):
                    memos.get(gone, by=ANA)
            assert activations.verify(done.made[cache.id], by=ANA) <= 1e-4
            parameters.load(done.made[adapter.id], by=ANA)
            assert works.plan(by=ANA).rebuilds == (), "once"
        assert [each.text for each in memos.get_many(ids, by=ANA)] == list(FACTS)


def test_what_cannot_be_made_says_why_and_stays(folders: list[Path], tmp_path: Path) -> None:
    old, new = (HuggingFaceModel(folder) for folder in folders)
    with MemOS.open(tmp_path / "vault") as memos:
        facts = memos.remember_many(FACTS, by=ANA)
        with under(memos, old, tmp_path / "old") as (activations, parameters):
            cache = activations.promote([facts[0].id], by=ANA)
            adapter = parameters.distil([facts[1].id], by=ANA)
        with pytest.raises(ModelError, match="which model"):
            Rebuilding(memos).plan(by=ANA)
        with under(memos, new, tmp_path / "new") as (activations, _):
            works = Rebuilding(memos, activations=activations)
            plan = works.plan(by=ANA)
            assert {each.id: each.stays for each in plan.rebuilds} == {
                cache.id: "",
                adapter.id: "no store of parameter memory was given",
            }
            memos.forget(facts[0].id, by=ANA)  # and with it, what was computed of it
            done = works.run(plan, by=ANA)
            assert done.made == {}
            assert done.left.keys() == {cache.id, adapter.id}
            assert [cube.id for cube in computed(memos)] == [adapter.id]


def test_what_did_not_pass_is_named_and_not_tried_again_unasked(folders: list[Path], tmp_path: Path) -> None:
    old, new = (HuggingFaceModel(folder) for folder in folders)
    strict = LENIENT.model_copy(update={"taught": 1.0})
    with MemOS.open(tmp_path / "vault") as memos:
        ids = [cube.id for cube in memos.remember_many(FACTS, by=ANA)]
        with under(memos, old, tmp_path / "old") as (_, parameters):
            adapter = parameters.distil(ids, by=ANA)
        with under(memos, new, tmp_path / "new", strict) as (activations, parameters):
            works = Rebuilding(memos, activations=activations, parameters=parameters)
            done = works.run(works.plan(by=ANA), by=ANA)
            assert done.made == {}
            assert "did not pass its gates: taught" in done.left[adapter.id]
            (told,) = works.plan(by=ANA).rebuilds
            assert told.id == adapter.id
            assert "did not pass its gates: taught" in told.stays
            before = {cube.id for cube in computed(memos)}
            assert works.run(works.plan(by=ANA), by=ANA).left == {adapter.id: told.stays}
            assert {cube.id for cube in computed(memos)} == before, "nothing was learnt once more"
            assert [each.id for each in works.plan(by=ANA, again=True).due] == [adapter.id]


def test_from_a_tiny_model_to_smollm2_and_from_the_shell(
    models: dict[str, Path], folders: list[Path], tmp_path: Path
) -> None:
    with MemOS.open(tmp_path / "vault") as memos:
        facts = memos.remember_many(FACTS, by=ANA)
        with ActivationMemory(KVStore(HuggingFaceModel(folders[0]))) as memory:
            cache = ActivationCubes(memos, memory).promote([cube.id for cube in facts], by=ANA)
        assert isinstance(cache.payload, ActivationPayload)
    words = ["rebuild", str(models["smollm2"]), "--vault", str(tmp_path / "vault"), "--tenant", "acme"]
    words += ["--user", "ana", "--json"]
    shown = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    (told,) = shown["plan"]["rebuilds"]
    assert (told["id"], shown["done"]) == (cache.id, None)
    assert 0 < told["tokens"] < cache.payload.token_count, "counted by its own tokenizer, which knows words"
    assert told["size"] > 1_000 * told["tokens"]
    assert shown["plan"]["seconds"] > 0
    done = json.loads(CliRunner().invoke(app, [*words, "--yes"], catch_exceptions=False).stdout)["done"]
    with MemOS.open(tmp_path / "vault") as memos:
        (rebuilt,) = computed(memos)
        assert done["made"] == {cache.id: rebuilt.id}
        assert isinstance(rebuilt.payload, ActivationPayload)
        assert rebuilt.payload.token_count == told["tokens"]
    again = CliRunner().invoke(app, [word for word in words if word != "--json"], catch_exceptions=False).stdout
    assert "Nothing is to be done" in again
