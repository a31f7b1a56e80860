"""What is asked for again and again becomes an activation cube by itself, and the next answer begins with it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, Recall
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore, plain_prompt
from memos_integrations.backends.kv.layout import lines_of
from memos_integrations.core.cube import ActivationPayload, Tier
from memos_integrations.core.errors import CubeNotFoundError, ModelError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.scheduler import prefix_order
from memos_integrations.core.tiers import Placement
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.llama_index.llm import MemOSLLM
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
QUESTION = "What is the cat called?"
ASK = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny", context=1024))


@pytest.fixture
def memos(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault") as opened:
        for text in ("The cat is called Miso.", "The cat eats tuna."):
            opened.remember(text, by=ANA)
        yield opened


@pytest.fixture
def memory(model: HuggingFaceModel) -> Iterator[ActivationMemory]:
    with ActivationMemory(KVStore(model)) as opened:
        yield opened


def ask(memos: MemOS, by: Principal = ANA) -> Recall:
    return memos.recall("What about the cat?", by=by, needed=True)


def ids(tokens: Any) -> list[int]:
    return [token.id for token in tokens]


def cold(model: HuggingFaceModel, recall: Recall) -> list[int]:
    return ids(model.stream(plain_prompt(model, ASK, recall).ids, max_new_tokens=8))


def use(memos: MemOS, memory: ActivationMemory, times: int, by: Principal = ANA) -> None:
    for _ in range(times):
        list(memory.stream(ASK, recall=ask(memos, by), max_new_tokens=2))
    memory.settle()


def test_what_is_hot_is_promoted_and_the_next_answer_begins_with_it(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    ActivationCubes(memos, memory)
    use(memos, memory, 1)
    assert memos.activations(by=ANA) == [], "one use is no habit"
    use(memos, memory, 3)
    (cube,) = memos.activations(by=ANA)
    found = ask(memos)
    assert found.plan.prefix == found.prefix == (cube.id,)
    assert found.lead == tuple(line.ref.id for line in lines_of(found))
    assert {ref.id for ref in cube.provenance.derived_from} == set(found.lead)

    # Another program, with nothing in its store: the cube is loaded, nothing is computed, the answer is the same.
    with ActivationMemory(KVStore(model)) as other:
        ActivationCubes(memos, other)
        tokens = list(other.stream(ASK, recall=ask(memos), max_new_tokens=8))
        usage = tokens[-1].usage
        assert usage is not None
        assert isinstance(cube.payload, ActivationPayload)
        assert (usage.cached_tokens, usage.recomputed_tokens) == (cube.payload.token_count, 0)
        assert other.store.statistics.built_tokens == 0
        assert ids(tokens) == cold(model, ask(memos))


def test_both_doors_take_it_from_the_recall(memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel) -> None:
    ActivationCubes(memos, memory)
    use(memos, memory, 4)
    plain = MemOSChatModel(model=model, max_tokens=8).invoke(QUESTION, recall=ask(memos))
    for number in range(2):
        with ActivationMemory(KVStore(model)) as fresh:
            ActivationCubes(memos, fresh)
            if number == 0:
                answer = MemOSChatModel(model=model, memory=fresh, max_tokens=8).invoke(QUESTION, recall=ask(memos))
                assert answer.usage_metadata is not None
                details: dict[str, Any] = dict(answer.usage_metadata["input_token_details"])
                assert details["cache_read"] > details["recomputed"] == 0 < details["new"]
                assert answer.text == plain.text
            else:
                llm = MemOSLLM(model, memory=fresh, max_tokens=8)
                with llm.using(recall=ask(memos)):
                    said = llm.complete(QUESTION)
                told = said.additional_kwargs
                assert told["cached_tokens"] > told["recomputed_tokens"] == 0 < told["new_tokens"]
                assert told["cached_tokens"] + told["new_tokens"] == told["prompt_tokens"]
                assert told["approximate_memory"] is False
                assert said.text == plain.text


def test_more_memories_than_it_holds_stand_behind_it(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    ActivationCubes(memos, memory)
    first = memos.recall("tuna", by=ANA, k=1, needed=True)
    for _ in range(4):
        recall = memos.recall("tuna", by=ANA, k=1, needed=True)
        list(memory.stream(ASK, recall=recall, max_new_tokens=2))
    memory.settle()
    (cube,) = memos.activations(by=ANA)
    assert [ref.id for ref in cube.provenance.derived_from] == [first.hits[0].cube.id]
    both = ask(memos)
    assert both.prefix == (cube.id,)
    assert [line.ref.id for line in lines_of(both)] == [
        first.hits[0].cube.id,
        *(set(_found(both)) - set(_found(first))),
    ]
    assert lines_of(both)[0].ref.id > lines_of(both)[1].ref.id, "the newer memory stands first, because it is kept"
    with ActivationMemory(KVStore(model)) as fresh:
        ActivationCubes(memos, fresh)
        tokens = list(fresh.stream(ASK, recall=both, max_new_tokens=8))
        assert ids(tokens) == cold(model, both)
        assert tokens[-1].usage is not None
        assert isinstance(cube.payload, ActivationPayload)
        assert tokens[-1].usage.cached_tokens == cube.payload.token_count
        assert tokens[-1].usage.recomputed_tokens > 0


def _found(recall: Recall) -> list[str]:
    return [hit.cube.id for hit in recall.hits]


def test_a_forgotten_source_takes_it_out_of_plan_and_prompt(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    cubes = ActivationCubes(memos, memory)
    use(memos, memory, 4)
    old = ask(memos)
    receipt = memos.forget(old.hits[0].cube.id, by=ANA)
    assert receipt.derived == old.prefix
    found = ask(memos)
    assert found.plan.prefix == found.prefix == found.lead == ()
    assert memory.sources() == set()
    assert ids(memory.stream(ASK, recall=found, max_new_tokens=8)) == cold(model, found)
    list(memory.stream(ASK, recall=old, max_new_tokens=2))
    memory.settle()
    assert memos.activations(by=ANA) == [], "an old recall does not bring it back"
    with pytest.raises(CubeNotFoundError):
        cubes.load(old.prefix[0], by=ANA)


def test_a_changed_source_is_in_no_recalls_prefix(memos: MemOS, memory: ActivationMemory) -> None:
    ActivationCubes(memos, memory)
    use(memos, memory, 4)
    memos.update(ask(memos).hits[0].cube.id, by=ANA, text="The cat is called Tom.")
    assert ask(memos).prefix == ()


def test_what_is_promoted_is_seen_by_those_who_may_read_all_of_it(memos: MemOS, memory: ActivationMemory) -> None:
    ActivationCubes(memos, memory)
    memos.remember("The cat sleeps on the printer.", by=ANA, readers=["ben"])
    use(memos, memory, 4)
    assert len(ask(memos).prefix) == 1
    theirs = ask(memos, BEN)
    assert len(theirs.hits) == 1
    assert theirs.plan.prefix == theirs.prefix == ()
    use(memos, memory, 4, BEN)
    assert len(ask(memos, BEN).prefix) == 1


def test_what_has_gone_cold_becomes_text_again_and_may_come_back(memos: MemOS, model: HuggingFaceModel) -> None:
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]
    with ActivationMemory(KVStore(model), clock=lambda: moment[0]) as memory:
        cubes = ActivationCubes(memos, memory)
        use(memos, memory, 4)
        ((_, kept),) = cubes.tend()
        assert kept.placement is not Placement.TEXT
        assert len(memos.activations(by=ANA)) == 1
        moment[0] += timedelta(days=3_650)
        ((_, cold_now),) = cubes.tend()
        assert cold_now.placement is Placement.TEXT
        assert memos.activations(by=ANA) == []
        assert memory.store.statistics.prefixes <= 1, "the head, which quotes nobody"
        use(memos, memory, 4)
        assert len(ask(memos).prefix) == 1


def test_the_cold_goes_by_itself_while_others_are_asked_for(memos: MemOS, model: HuggingFaceModel) -> None:
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]
    with ActivationMemory(KVStore(model), clock=lambda: moment[0]) as memory:
        ActivationCubes(memos, memory)
        use(memos, memory, 4)
        assert len(memos.activations(by=ANA)) == 1
        moment[0] += timedelta(days=3_650)
        list(memory.stream(ASK, recall=memos.recall("tuna", by=ANA, k=1, needed=True), max_new_tokens=2))
        memory.settle()
        assert memos.activations(by=ANA) == []


def test_eight_threads_promote_once_and_answer_alike(memos: MemOS, memory: ActivationMemory) -> None:
    ActivationCubes(memos, memory)
    expected = cold(memory.model, ask(memos))
    with ThreadPoolExecutor(8) as threads:
        found = [
            threads.submit(lambda: ids(memory.stream(ASK, recall=ask(memos), max_new_tokens=8))) for _ in range(16)
        ]
        assert all(future.result() == expected for future in found)
    memory.settle()
    assert len(memos.activations(by=ANA)) == 1


def test_what_expires_is_never_promoted(memos: MemOS, memory: ActivationMemory) -> None:
    ActivationCubes(memos, memory)
    memos.remember("The cat is at the vet.", by=ANA, ttl=timedelta(days=1))
    use(memos, memory, 5)
    assert memos.activations(by=ANA) == []


def test_a_recall_that_was_read_back_from_a_dump_reads_text(memos: MemOS, memory: ActivationMemory) -> None:
    ActivationCubes(memos, memory)
    use(memos, memory, 4)
    found = ask(memos)
    assert "ana" not in found.model_dump_json(include={"caller"})
    again = Recall.model_validate_json(found.model_dump_json())
    assert again.caller is None
    assert again.prefix == found.prefix
    with ActivationMemory(KVStore(memory.model)) as fresh:
        ActivationCubes(memos, fresh)
        assert fresh.prepare(ASK, again).ids == fresh.prepare(ASK, found).ids
        assert fresh.store.statistics.loads == 0
        assert fresh.store.statistics.built_tokens > 0


def test_a_damaged_cube_is_computed_from_its_text(memos: MemOS, memory: ActivationMemory, tmp_path: Path) -> None:
    ActivationCubes(memos, memory)
    use(memos, memory, 4)
    found = ask(memos)
    (blob,) = [
        path for path in (tmp_path / "vault").rglob("*") if path.is_file() and b"F32" in path.read_bytes()[:4096]
    ]
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-8] + bytes(8))
    with ActivationMemory(KVStore(memory.model)) as fresh:
        cubes = ActivationCubes(memos, fresh)
        assert ids(fresh.stream(ASK, recall=found, max_new_tokens=8)) == cold(memory.model, found)
        assert cubes.refused == 1


def test_without_activation_memory_a_plan_names_nothing(memos: MemOS) -> None:
    assert ask(memos).plan.prefix == ask(memos).prefix == ask(memos).lead == ()
    assert prefix_order(memos.get_many([hit.cube.id for hit in ask(memos).hits], by=ANA)) == ()


def test_a_closed_memory_warms_nothing_more(memos: MemOS, model: HuggingFaceModel) -> None:
    memory = ActivationMemory(KVStore(model))
    memory.close()
    with pytest.raises(ModelError, match="was closed"):
        memory.warm(ask(memos))


def kept(memos: MemOS) -> list[str]:
    found = memos._governance.owned(memos._caller(ANA, None))
    return [cube.id for cube in found if cube.tier is Tier.ACTIVATION]


def test_what_says_the_same_again_is_promoted_again(memos: MemOS, memory: ActivationMemory) -> None:
    cubes = ActivationCubes(memos, memory)
    cat, tuna = sorted(memos.find(CubeFilter(), by=ANA), key=lambda cube: cube.id)
    first = cubes.promote([cat.id, tuna.id], by=ANA)
    memos.relabel(cat.id, by=ANA, add=["pet"])
    again = cubes.promote([cat.id, tuna.id], by=ANA)
    assert kept(memos) == [again.id] != [first.id]
    memos.update(cat.id, by=ANA, text="The cat is called Tofu.")
    memos.restore(cat.id, 1, by=ANA)
    third = cubes.promote([cat.id, tuna.id], by=ANA)
    assert (kept(memos), memos.activations(by=ANA)) == ([third.id], [third])
    memos.relabel(cat.id, by=ANA, add=["old"])
    memos.hold(third.id, by=ADMIN)
    with pytest.raises(CubeNotFoundError):
        cubes.promote([cat.id, tuna.id], by=ANA)
    assert kept(memos) == [third.id]


def test_what_was_computed_of_another_version_is_gone_after_a_pass(memos: MemOS, memory: ActivationMemory) -> None:
    cubes = ActivationCubes(memos, memory)
    cat, tuna = sorted(memos.find(CubeFilter(), by=ANA), key=lambda cube: cube.id)
    gone, stays = cubes.promote([cat.id], by=ANA), cubes.promote([tuna.id], by=ANA)
    memos.update(cat.id, by=ANA, text="The cat is called Tofu.")
    memos.move(tuna.id, "archived", by=ANA)
    assert memos.tick(by=ANA).collected == (gone.id,)
    assert kept(memos) == [stays.id], "an archived memory may come back, and its keys and values with it"
    assert memos.tick(by=ANA).collected == ()


def test_what_is_computed_of_memories_takes_no_place_in_their_budget(memos: MemOS, memory: ActivationMemory) -> None:
    cubes = ActivationCubes(memos, memory)
    for cube in memos.find(CubeFilter(), by=ANA):
        cubes.promote([cube.id], by=ANA)
    later = datetime.now(UTC) + timedelta(days=9)
    assert memos.tick(by=ANA, now=later, ageing=Ageing(budgets={"ana": 2})).archived == {}
    assert len(memos.tick(by=ANA, now=later, ageing=Ageing(budgets={"ana": 1})).archived) == 1
