"""Which adapter answers: chosen from the plan for what was found, told why, and swapped while others ask."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationMemory, KVStore
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.operator.adapter import fitting_adapters
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.scheduler import adapter_order
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.llama_index.llm import MemOSLLM
from memos_integrations.vaults.memory import InMemoryVault
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ROME, OSLO = "Where does Miso live?", "Where does Tofu live?"
QUICK = Recipe(steps=4, mending=0, questions=0, retained=0, teacher=0.0)
LENIENT = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny", context=1024)


@pytest.fixture
def model(folder: Path) -> HuggingFaceModel:
    return HuggingFaceModel(folder)


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) as opened:
        yield opened


@pytest.fixture
def governed(memos: MemOS, model: HuggingFaceModel, tmp_path: Path) -> Iterator[ParameterCubes]:
    with ParameterMemory(AdapterStore(model, tmp_path / "a"), recipe=QUICK, gates=LENIENT) as memory:
        yield ParameterCubes(memos, memory)


def two(memos: MemOS, governed: ParameterCubes) -> tuple[list[MemCube], list[MemCube]]:
    """Two memories, and the cube of an adapter of each."""
    sources = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    return sources, [governed.distil([each.id], by=ANA) for each in sources]


def test_the_plan_names_them_and_what_is_found_decides(memos: MemOS, governed: ParameterCubes) -> None:
    _, made = two(memos, governed)
    for question, own in zip((ROME, OSLO), made, strict=True):
        found = memos.recall(question, by=ANA, k=1, needed=True)
        assert set(found.plan.adapters) == {cube.id for cube in made}, "the plan names what comes into consideration"
        assert found.adapters == (own.id,), "one of them, that knows what was found"
        assert f"{own.id} for" in found.why_adapters
        assert "knows 1 of the 1 memories found" in str(found.explain())
        name = governed.adapter_for(found)
        assert name == governed.adapter_of(own, by=ANA)
        governed.memory.store.retire(name or "")
        assert governed.adapter_for(found) == name, "it is loaded again when it is asked for"
    assert memos.recall("Hello!", by=ANA).adapters == ()
    memos.remember("The oven is broken.", by=ANA)
    other = memos.recall("What about the oven?", by=ANA, k=1, needed=True)
    assert other.adapters == ()
    assert other.why_adapters == "none of 2 adapters was learnt from what was found"


def test_nobody_is_answered_with_what_is_not_for_him(memos: MemOS, governed: ParameterCubes) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    shared = memos.remember("Miso lives in a tower.", by=ANA, readers=["ben"])
    cube = governed.distil([source.id], by=ANA)
    his = memos.recall(ROME, by=BEN, needed=True)
    assert [hit.cube.id for hit in his.hits] == [shared.id]
    assert his.plan.adapters == his.adapters == ()
    hers = memos.recall(ROME, by=ANA, k=2, needed=True)
    assert hers.adapters == (cube.id,)
    assert governed.adapter_for(hers.model_copy(update={"caller": his.caller})) is None
    assert governed.adapter_for(type(hers).model_validate_json(hers.model_dump_json())) is None, "a dump loads nothing"
    both = governed.distil([shared.id], by=ANA)
    assert memos.recall(ROME, by=BEN, needed=True).adapters == (both.id,)
    memos.update(both.id, by=ANA, readers=[])
    forged = his.plan.model_copy(update={"adapters": (both.id,)})
    assert memos.execute(forged, his.call, by=BEN).adapters == (), "nor does a plan that somebody made up"


def test_an_adapter_tells_neither_of_the_past_nor_beyond_a_filter(memos: MemOS, governed: ParameterCubes) -> None:
    two(memos, governed)
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert memos.recall(ROME, by=ANA, needed=True, now=later).adapters
    assert memos.recall(ROME, by=ANA, needed=True, as_of=later).adapters == ()
    assert memos.recall(ROME, by=ANA, needed=True, valid_at=later).adapters == ()
    assert memos.recall(ROME, by=ANA, needed=True, where=CubeFilter(namespace=("acme",))).adapters == ()


@pytest.mark.parametrize("how", ["forget", "update"])
def test_what_changed_is_recalled_as_text_at_once(memos: MemOS, governed: ParameterCubes, how: str) -> None:
    sources = memos.remember_many(["Miso lives in Rome.", "Miso eats tuna."], by=ANA)
    governed.distil([each.id for each in sources], by=ANA)
    before = memos.recall("Miso", by=ANA, k=2, needed=True)
    assert governed.adapter_for(before) is not None
    if how == "forget":
        memos.forget(sources[0].id, by=ANA)
    else:
        memos.update(sources[0].id, by=ANA, text="Miso lives in Oslo.")
    assert governed.adapter_for(before) is None, "an old recall loads it no more"
    after = memos.recall("Miso", by=ANA, k=2, needed=True)
    assert after.plan.adapters == after.adapters == ()
    assert sources[1].id in {hit.cube.id for hit in after.hits}, "what still holds is there in words"
    assert "Rome" not in after.text


def test_rejected_ones_and_those_of_another_base_are_left_out(
    memos: MemOS, governed: ParameterCubes, tmp_path: Path
) -> None:
    _, (cube, other) = two(memos, governed)
    assert adapter_order([cube, other])[0] == max((cube, other), key=lambda each: each.descriptive.created_at).id
    payload = cube.payload.model_copy(update={"training": {"gates": {"failed": ["taught 0.10 < 0.95"]}}})
    assert adapter_order([cube.model_copy(update={"payload": payload})]) == ()
    unknown = cube.payload.model_copy(update={"training": None})
    assert adapter_order([cube.model_copy(update={"payload": unknown})]) == ()

    found = memos.recall(ROME, by=ANA, k=1, needed=True)
    torn = build_tiny_llama(tmp_path / "torn", context=512)  # positions are part of the fingerprint
    with ParameterMemory(AdapterStore(HuggingFaceModel(torn), tmp_path / "b")) as elsewhere:
        foreign = ParameterCubes(memos, elsewhere)
        assert found.adapters == (cube.id,)
        assert foreign.adapter_for(found) is None
        assert cube.id in foreign.refused
    assert governed.adapter_for(found) is not None


def test_one_for_each_base_and_of_equals_the_narrower(memos: MemOS, governed: ParameterCubes) -> None:
    sources = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    wide = governed.distil([each.id for each in sources], by=ANA)
    narrow = governed.distil([sources[0].id], by=ANA)
    found: dict[CubeRef, float] = {sources[0].ref: 0.5}
    chosen, why = fitting_adapters([wide, narrow], found)
    assert chosen == [narrow]
    assert "of 2 adapters" in why
    assert fitting_adapters([wide, narrow], {each.ref: 0.5 for each in sources})[0] == [wide]
    base = wide.payload.base.model_copy(update={"weights": "other"})
    elsewhere = wide.model_copy(update={"payload": wide.payload.model_copy(update={"base": base})})
    assert {cube.payload.base for cube in fitting_adapters([elsewhere, narrow], found)[0]} == {
        base,
        narrow.payload.base,
    }
    old = {CubeRef(id=sources[0].id, version=9): 1.0}
    assert fitting_adapters([wide, narrow], old)[0] == [], "another version of it is another memory"


def test_both_doors_load_it_and_keys_and_values_are_its_own(
    memos: MemOS, governed: ParameterCubes, model: HuggingFaceModel
) -> None:
    two(memos, governed)
    found = memos.recall(ROME, by=ANA, k=1, needed=True)
    name = governed.adapter_for(found)
    plain = MemOSChatModel(model=model, max_tokens=8)
    expected = plain.invoke(ROME, recall=found, adapters=(name,)).text
    assert MemOSChatModel(model=model, parameters=governed, max_tokens=8).invoke(ROME, recall=found).text == expected
    without = MemOSChatModel(model=model, parameters=governed, max_tokens=8).invoke(ROME, recall=found, adapters=())
    assert without.text == plain.invoke(ROME, recall=found).text
    llm = MemOSLLM(model, parameters=governed, max_tokens=8)
    with llm.using(recall=found):
        assert llm.complete(ROME).text == expected
    with ActivationMemory(KVStore(model)) as kept:
        chat = MemOSChatModel(model=model, memory=kept, parameters=governed, max_tokens=8)
        first = chat.invoke(ROME, recall=found)
        assert first.text == expected
        chat.invoke(ROME, recall=found, adapters=())
        again = chat.invoke(ROME, recall=found)
        assert again.text == expected
        assert again.usage_metadata is not None
        assert again.usage_metadata["input_token_details"]["recomputed"] == 0  # type: ignore[typeddict-item]
        bare = MemOSChatModel(model=model, memory=kept, max_tokens=8).invoke(ROME, recall=found)
        assert bare.text == without.text, "what an adapter computed is not the base's"


def test_adapters_change_under_requests_and_none_answers_with_another(
    memos: MemOS, governed: ParameterCubes, model: HuggingFaceModel
) -> None:
    two(memos, governed)
    recalls = [memos.recall(question, by=ANA, k=1, needed=True) for question in (ROME, OSLO)]
    llm = MemOSChatModel(model=model, parameters=governed, max_tokens=6)
    alone = [llm.invoke(ROME, recall=recall).text for recall in recalls]

    def ask(number: int) -> tuple[int, str]:
        return number % 2, llm.invoke(ROME, recall=recalls[number % 2]).text

    with ThreadPoolExecutor(4) as pool:
        for which, text in pool.map(ask, range(12)):
            assert text == alone[which]
