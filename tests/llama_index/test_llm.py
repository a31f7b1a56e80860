"""The local model in LlamaIndex's words: real tokens, its own template, memory per request, an event loop left free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationMemory, KVStore, MemoryPrompt
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import ModelError
from memos_integrations.llama_index import MemOSLLM, MemOSMemory, MemOSRetriever
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.backends.kv_prefix import Prefix

ANA = Principal(tenant="home", user="ana")
ASKED = [ChatMessage(role="system", content="Be short."), ChatMessage(role="user", content="What is tea?")]


@pytest.fixture
def llm(tiny_model: HuggingFaceModel) -> MemOSLLM:
    return MemOSLLM(tiny_model, max_tokens=8)


async def test_every_way_of_asking_gives_the_same_answer(llm: MemOSLLM) -> None:
    answer = llm.chat(ASKED).message.content
    streamed = list(llm.stream_chat(ASKED))
    assert "".join(each.delta or "" for each in streamed) == answer == streamed[-1].message.content
    assert (await llm.achat(ASKED)).message.content == answer
    later = [each async for each in await llm.astream_chat(ASKED)]
    assert "".join(each.delta or "" for each in later) == answer
    done = llm.complete("What is tea?")
    assert done.text == llm.chat([ASKED[1]]).message.content == (await llm.acomplete("What is tea?")).text
    assert "".join(each.delta or "" for each in llm.stream_complete("What is tea?")) == done.text
    assert [each async for each in await llm.astream_complete("What is tea?")][-1].text == done.text
    assert llm.complete("What is tea?", formatted=True).raw["prompt_tokens"] < done.raw["prompt_tokens"]
    assert done.raw["completion_tokens"] <= 8
    assert llm.metadata.is_chat_model
    assert not llm.metadata.is_function_calling_model  # for ReActAgent; FunctionAgent would refuse it
    assert llm.metadata.context_window == llm.model.context_tokens


async def test_the_event_loop_goes_on(llm: MemOSLLM) -> None:
    slow = MemOSLLM(llm.model, max_tokens=60)
    answering = asyncio.ensure_future(slow.achat(ASKED))
    ticks, began = 0, time.perf_counter()
    while not answering.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 5, time.perf_counter() - began
    stream = await slow.astream_chat(ASKED)
    async for _ in stream:
        break
    await stream.aclose()


async def test_what_goes_wrong_in_a_stream_is_raised_and_nobody_waits_for_ever(llm: MemOSLLM) -> None:
    async def all_of(asking: Awaitable[AsyncIterator[object]]) -> list[object]:
        async with asyncio.timeout(60):
            return [each async for each in await asking]

    for asking in (llm.astream_chat(ASKED, adapters=["nobody"]), llm.astream_complete("Tea?", adapters=["nobody"])):
        with pytest.raises(ModelError, match="not loaded"):
            await all_of(asking)


async def test_tasks_at_once_have_what_is_theirs(llm: MemOSLLM) -> None:
    """A query engine passes no keywords on; what stands around it belongs to its own task."""

    async def ask(most: int) -> int:
        with llm.using(max_tokens=most):
            await asyncio.sleep(0)
            return int((await llm.achat(ASKED)).raw["completion_tokens"])

    assert await asyncio.gather(*(ask(most) for most in (2, 5, 3))) == [2, 5, 3]


def test_threads_share_one_model(llm: MemOSLLM) -> None:
    questions = [[ChatMessage(role="user", content=f"What is number {n}?")] for n in range(4)]
    alone = [llm.chat(question).message.content for question in questions]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda question: llm.chat(question).message.content, questions))
    assert together == alone


def test_memory_of_a_request_is_its_own_and_changes_no_answer(llm: MemOSLLM) -> None:
    ids = llm.model.render([{"role": "user", "content": "What is tea?"}])
    prefix = Prefix(llm.model, ids[:5])
    plain = llm.complete("What is tea?")
    with_prefix = llm.complete("What is tea?", kv_prefix=prefix)
    assert with_prefix.text == plain.text
    assert (plain.raw["cached_tokens"], with_prefix.raw["cached_tokens"]) == (0, 5)
    with llm.using(kv_prefix=prefix):
        assert llm.complete("What is tea?").raw["cached_tokens"] == 5
    assert llm.complete("What is tea?").raw["cached_tokens"] == 0
    with pytest.raises(ModelError, match="beginning"):
        llm.complete("Something else?", kv_prefix=Prefix(llm.model, [1, 2, 3]))
    with pytest.raises(ModelError, match="not loaded"):
        llm.chat(ASKED, adapters=["nobody"])
    with pytest.raises(ModelError, match="no setting"):
        llm.chat(ASKED, top_pp=1)
    with pytest.raises(ModelError, match="text only"):
        llm.chat([ChatMessage(role="user", blocks=[ImageBlock(url="http://example.org/x.png")])])


def test_a_recall_stands_in_the_prompt_and_its_keys_and_values_are_kept(llm: MemOSLLM) -> None:
    with MemOS(InMemoryVault()) as memos, ActivationMemory(KVStore(llm.model)) as kept:
        memos.remember("Ana likes green tea.", by=ANA)
        recall = memos.recall("Which tea does Ana like?", by=ANA)
        remembering = MemOSLLM(llm.model, memory=kept, max_tokens=8)
        plain = llm.chat(ASKED, recall=recall)
        assert plain.raw["prompt_tokens"] > llm.chat(ASKED).raw["prompt_tokens"]
        first, second = (remembering.chat(ASKED, recall=recall) for _ in range(2))
        assert plain.message.content == first.message.content == second.message.content
        assert second.raw["cached_tokens"] > 0 == second.raw["recomputed_tokens"]
        engine = SimpleChatEngine.from_defaults(llm=remembering, memory=MemOSMemory(memos, principal=ANA))
        with remembering.using(recall=recall):
            assert engine.chat("What is tea?").response is not None
        with pytest.raises(ModelError, match="formatted already"):
            remembering.complete("x", formatted=True, recall=recall)


async def test_keys_and_values_of_memories_are_not_computed_on_the_event_loop(llm: MemOSLLM) -> None:
    at_work: list[int] = []

    class Watched(ActivationMemory):
        def prepare(self, *args: Any, **kwargs: Any) -> MemoryPrompt:
            at_work.append(threading.get_ident())
            return super().prepare(*args, **kwargs)

    with MemOS(InMemoryVault()) as memos, Watched(KVStore(llm.model)) as kept:
        memos.remember("Ana likes green tea.", by=ANA)
        remembering = MemOSLLM(llm.model, memory=kept, max_tokens=4)
        with remembering.using(recall=memos.recall("Which tea does Ana like?", by=ANA)):
            answer = (await remembering.achat(ASKED)).message.content
            streamed = [each async for each in await remembering.astream_chat(ASKED)]
            assert streamed[-1].message.content == answer
            assert [each async for each in await remembering.astream_complete("What is tea?")]
    assert len(at_work) == 3
    assert threading.get_ident() not in at_work


def test_its_settings_travel(llm: MemOSLLM) -> None:
    settings = llm.to_dict()
    assert settings["max_tokens"] == 8
    assert MemOSLLM.from_dict(settings, model=llm.model).chat(ASKED).message.content == llm.chat(ASKED).message.content


@pytest.mark.slow
def test_a_real_model_answers_from_memory(smollm2: HuggingFaceModel, tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("The name of my cat is Mochi.", by=ANA)
        recall = memos.recall("What is the name of my cat?", by=ANA)
        engine = RetrieverQueryEngine(
            retriever=MemOSRetriever(memos, principal=ANA),
            response_synthesizer=get_response_synthesizer(llm=MemOSLLM(smollm2, max_tokens=24)),
        )
        assert "Mochi" in str(engine.query("What is the name of my cat?"))
        answer = MemOSLLM(smollm2, max_tokens=24).chat(
            [ChatMessage(role="user", content="What is the name of my cat?")], recall=recall
        )
    assert "Mochi" in str(answer.message.content)
