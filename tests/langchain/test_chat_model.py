"""The local model as LangChain sees it: standard tests, streaming, usage, stop, tools, and the cache key."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, ValidationError

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.core.errors import ModelError
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.langchain.tool_calls import ToolCallReader
from tests.backends.kv_prefix import Prefix
from tests.tiny_llama import build_tiny_llama


@cache
def tiny(seed: int = 0) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(Path(mkdtemp()) / "tiny-llama", seed=seed))


class TestStandard(ChatModelUnitTests):
    """LangChain's own tests, unmodified."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return MemOSChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": tiny()}


@pytest.mark.slow
class TestStandardOnSmolLM2(ChatModelIntegrationTests):
    """LangChain's own integration tests, unmodified, on the model that is shipped.

    Its template has no tools and it was not trained to call them: the suite's own flags leave those tests out.
    """

    @pytest.fixture(autouse=True)
    def _open(self, smollm2: HuggingFaceModel) -> None:
        self.opened = smollm2

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return MemOSChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.opened, "max_tokens": 48}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


@pytest.fixture
def chat() -> MemOSChatModel:
    return MemOSChatModel(model=tiny(), max_tokens=24)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# --- answers -----------------------------------------------------------------------------------------------------


def test_the_real_model_answers(smollm2: HuggingFaceModel) -> None:
    answer = MemOSChatModel(model=smollm2).invoke("What is the capital of France?")
    assert answer.text == "The capital of France is Paris."
    assert answer.response_metadata == {"model_name": "SmolLM2-135M-Instruct", "finish_reason": "stop"}


def test_a_stream_is_many_chunks_that_join_to_the_answer(chat: MemOSChatModel) -> None:
    chunks = list(chat.stream("Hello"))
    assert len(chunks) > 5
    whole = sum(chunks[1:], chunks[0])
    assert whole.text == chat.invoke("Hello").text
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert whole.response_metadata["model_name"] == "tiny-llama"


def test_tokens_come_while_the_answer_is_being_made(chat: MemOSChatModel) -> None:
    stream = chat.stream("Hello", max_tokens=200)
    started = time.perf_counter()
    next(stream)
    first = time.perf_counter() - started
    list(stream)
    assert first < (time.perf_counter() - started) / 3


def test_usage_is_counted_and_reported_to_callbacks(chat: MemOSChatModel) -> None:
    usage = UsageMetadataCallbackHandler()
    answer = chat.invoke([SystemMessage("Be kind."), HumanMessage("Hello")], config={"callbacks": [usage]})
    prompt = chat.model.render([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}])
    assert answer.usage_metadata == {
        "input_tokens": len(prompt),
        "output_tokens": 24,
        "total_tokens": len(prompt) + 24,
        "input_token_details": {"cache_read": 0},
    }
    assert usage.usage_metadata == {"tiny-llama": answer.usage_metadata}


def test_a_kv_prefix_is_read_and_changes_nothing(chat: MemOSChatModel) -> None:
    messages = [SystemMessage("Ana likes tea."), HumanMessage("What does Ana like?")]
    beginning = chat.model.render([{"role": "system", "content": "Ana likes tea."}], add_generation_prompt=False)
    cold = chat.invoke(messages)
    warm = chat.invoke(messages, kv_prefix=Prefix(chat.model, beginning))
    assert warm.text == cold.text
    assert warm.usage_metadata is not None
    assert warm.usage_metadata["input_token_details"] == {"cache_read": len(beginning)}


def test_a_stop_string_ends_the_answer_in_every_way_of_asking(chat: MemOSChatModel) -> None:
    whole = chat.invoke("Hello").text
    stop = whole[6:9]
    before = whole[: whole.index(stop)]
    assert chat.invoke("Hello", stop=[stop]).text == before
    assert MemOSChatModel(model=tiny(), max_tokens=24, stop=[stop]).invoke("Hello").text == before
    assert "".join(chunk.text for chunk in chat.stream("Hello", stop=[stop])) == before
    assert MemOSChatModel(model=tiny(), max_tokens=24, stop=[stop]).invoke("Hello", stop=[]).text == whole


def test_settings_can_be_given_per_call(chat: MemOSChatModel) -> None:
    short = chat.invoke("Hello", max_tokens=3)
    assert short.usage_metadata is not None
    assert short.usage_metadata["output_tokens"] == 3
    hot = [chat.invoke("Hello", temperature=1.0, seed=seed).text for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_an_answer_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(ModelError, match="within 0"):
        MemOSChatModel(model=tiny(), timeout=0.0).invoke("Hello")


def test_settings_without_sense_are_refused() -> None:
    for wrong in ({"temperature": -1}, {"max_tokens": 0}):
        with pytest.raises(ValidationError):
            MemOSChatModel(model=tiny(), **wrong)  # type: ignore[arg-type]


# --- asynchronous ------------------------------------------------------------------------------------------------


async def test_asynchronous_answers_are_the_same(chat: MemOSChatModel) -> None:
    assert (await chat.ainvoke("Hello")).text == chat.invoke("Hello").text
    chunks = [chunk async for chunk in chat.astream("Hello")]
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks) == chat.invoke("Hello").text
    assert chunks[-1].usage_metadata


async def test_the_event_loop_goes_on_while_the_model_computes(chat: MemOSChatModel) -> None:
    # While the test holds the model's lock nothing can be computed, and the loop must still turn.
    chat.model.lock.acquire()
    try:
        answer = asyncio.create_task(chat.ainvoke("Hello"))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not answer.done()
    finally:
        chat.model.lock.release()
    assert (await answer).text


async def test_an_error_reaches_the_one_who_awaits(chat: MemOSChatModel) -> None:
    with pytest.raises(ModelError, match="not loaded"):
        await chat.ainvoke("Hello", adapters=("nobody",))


def test_the_model_stops_when_nobody_listens_any_more(smollm2: HuggingFaceModel) -> None:
    """`asyncio.run` waits for the worker: the whole answer would take it the better part of a minute."""

    async def listen_to_one_chunk() -> None:
        stream = MemOSChatModel(model=smollm2, max_tokens=1000).astream("Write a long story about a dog.")
        await anext(stream)
        await stream.aclose()

    started = time.perf_counter()
    asyncio.run(listen_to_one_chunk())
    assert time.perf_counter() - started < 10


# --- messages ----------------------------------------------------------------------------------------------------


def prompt_of(chat: MemOSChatModel, messages: list[Any]) -> str:
    from memos_integrations.langchain.chat_model import _to_chat

    return chat.model.tokenizer.decode(chat.model.render(_to_chat(messages, [])))


def test_system_messages_become_one_and_come_first(chat: MemOSChatModel) -> None:
    rendered = prompt_of(chat, [HumanMessage("Hi"), SystemMessage("One."), AIMessage("Yes?"), SystemMessage("Two.")])
    assert rendered == (
        "<|im_start|>system\nOne.\n\nTwo.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_without_a_system_message_the_models_own_stands(chat: MemOSChatModel) -> None:
    assert prompt_of(chat, [HumanMessage("Hi")]).startswith("<|im_start|>system\nYou are tiny.<|im_end|>\n")


def test_text_blocks_are_read_and_pictures_refused(chat: MemOSChatModel) -> None:
    blocks = HumanMessage([{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}])
    assert prompt_of(chat, [blocks]) == prompt_of(chat, [HumanMessage("Hi there")])
    with pytest.raises(ModelError, match=r"'image'.*text only"):
        chat.invoke([HumanMessage([{"type": "image", "url": "https://example.org/cat.png"}])])


def test_calls_and_results_are_told_again(chat: MemOSChatModel) -> None:
    turns = [
        HumanMessage("2+3?"),
        AIMessage("", tool_calls=[tool_call(name="add", args={"a": 2, "b": 3}, id="1")]),
        ToolMessage("5", tool_call_id="1"),
        ChatMessage("thanks", role="user"),
    ]
    rendered = prompt_of(chat, turns)
    assert '<|im_start|>assistant\n<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>' in rendered
    assert "<|im_start|>user\n<tool_response>\n5\n</tool_response><|im_end|>" in rendered


def test_tokens_are_counted_with_the_models_own_tokenizer(chat: MemOSChatModel) -> None:
    assert chat.get_num_tokens("héllo") == 6
    answer = chat.invoke("Hello")
    assert answer.usage_metadata is not None
    assert chat.get_num_tokens_from_messages([HumanMessage("Hello")]) == answer.usage_metadata["input_tokens"]
    assert chat.get_num_tokens_from_messages([HumanMessage("Hello")], tools=[add]) > 200


# --- tools -------------------------------------------------------------------------------------------------------

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'


def read(text: str, size: int = 3) -> tuple[str, str, list[Any], list[Any]]:
    reader = ToolCallReader(["add"])
    shown = "".join(reader.push(text[at : at + size]) for at in range(0, len(text), size))
    return shown, *reader.finish()


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        CALL.removesuffix("</tool_call>"),
        CALL.replace("{", '[{"name": "add", "arguments": {"a": 2, "b": 3}}]', 1).split("]")[0] + "]</tool_call>",
        '{"name": "add", "arguments": {"a": 2, "b": 3}}',
        '{"name": "add", "parameters": {"a": 2, "b": 3}}',
        '```json\n{"name": "add", "arguments": "{\\"a\\": 2, \\"b\\": 3}"}\n```',
        '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}',
    ],
)
def test_a_call_is_recognised_in_its_usual_forms(text: str) -> None:
    shown, rest, calls, invalid = read(text)
    assert [(call["name"], call["args"]) for call in calls] == [("add", {"a": 2, "b": 3})]
    assert (shown, rest, invalid) == ("", "", [])


def test_several_calls_and_words_around_them() -> None:
    shown, rest, calls, invalid = read(f"I will add.\n{CALL}\n{CALL.replace('2', '7')}")
    assert (shown + rest).strip() == "I will add."
    assert [call["args"]["a"] for call in calls] == [2, 7]
    assert len({call["id"] for call in calls}) == 2
    assert invalid == []


@pytest.mark.parametrize(
    "inside",
    ['{"name": "add", "arguments": {"a": 2, "b"', '{"arguments": {}}', '{"name": "add", "arguments": [1]}', "[]", "x"],
)
def test_a_broken_call_is_invalid_and_not_guessed(inside: str) -> None:
    _, _, calls, invalid = read(f"<tool_call>{inside}</tool_call>")
    assert calls == []
    assert invalid[0]["args"] == f"<tool_call>{inside}"
    assert invalid[0]["error"]


@pytest.mark.parametrize("text", ['{"name": "Ana", "age": 7}', "[1, 2]", "```py\nprint(1)\n```", "{", "a < b", "<tool"])
def test_json_and_code_that_call_nothing_are_words(text: str) -> None:
    shown, rest, calls, invalid = read(text)
    assert (shown + rest, calls, invalid) == (text, [], [])


@given(st.text(alphabet="<tool_cal>{}[]` ab\n", max_size=60), st.integers(1, 7))
def test_words_are_neither_lost_nor_shown_twice(text: str, size: int) -> None:
    assert read(text, size)[:2] == ("", "") or "".join(read(text, size)[:2]) == "".join(read(text, 1)[:2])
    if "<tool_call>" not in text:
        assert "".join(read(text, size)[:2]) == text


def test_a_forced_call_begins_as_one_and_is_parsed(smollm2: HuggingFaceModel) -> None:
    chat = MemOSChatModel(model=smollm2, max_tokens=48)
    answer = chat.bind_tools([add], tool_choice="add").invoke("Add 2 and 3 with the tool.")
    assert [call["name"] for call in answer.tool_calls] + [call["name"] for call in answer.invalid_tool_calls]
    assert answer.text == ""
    for call in answer.tool_calls:
        assert set(call["args"]) <= {"a", "b"} or call["args"] == {}


def test_streamed_calls_survive_the_joining_of_chunks(chat: MemOSChatModel) -> None:
    """The tiny model writes no JSON: a forced call becomes an invalid one, and stays it."""
    chunks = list(chat.bind_tools([add], tool_choice="any").stream("2+3?"))
    whole = sum(chunks[1:], chunks[0])
    assert whole.tool_calls == []  # type: ignore[attr-defined]
    assert len(whole.invalid_tool_calls) == 1  # type: ignore[attr-defined]
    assert whole.invalid_tool_calls[0]["args"].startswith('<tool_call>\n{"name": "add", "arguments": ')  # type: ignore[attr-defined]
    assert chat.bind_tools([add], tool_choice="any").invoke("2+3?").invalid_tool_calls


def test_tools_are_described_unless_none_are_wanted(chat: MemOSChatModel) -> None:
    def tokens(**how: Any) -> int:
        answer = chat.bind_tools([add], **how).invoke("2+3?")
        assert answer.usage_metadata is not None
        return answer.usage_metadata["input_tokens"]

    assert tokens() == tokens(tool_choice="auto") == tokens(tool_choice=False)
    assert tokens(tool_choice="none") == len(chat.model.render([{"role": "user", "content": "2+3?"}])) < tokens()
    named = {"type": "function", "function": {"name": "add"}}
    assert tokens(tool_choice=named) == tokens(tool_choice="required") == tokens(tool_choice=True) > tokens()
    with pytest.raises(ModelError, match="'subtract' is none of the tools"):
        chat.bind_tools([add], tool_choice="subtract")


def test_structured_output_gives_the_class_or_says_why_not(smollm2: HuggingFaceModel) -> None:
    class Person(BaseModel):
        """A person."""

        name: str

    chat = MemOSChatModel(model=smollm2, max_tokens=48).with_structured_output(Person, include_raw=True)
    answer = chat.invoke("Ana is here. Give the person.")
    assert isinstance(answer, dict)
    assert isinstance(answer["parsed"], Person) or answer["raw"].invalid_tool_calls or answer["parsing_error"]


# --- what others store about it ----------------------------------------------------------------------------------


@pytest.fixture
def llm_cache() -> Any:
    kept = InMemoryCache()
    set_llm_cache(kept)
    yield kept
    set_llm_cache(None)


@pytest.mark.usefixtures("llm_cache")
def test_an_answer_of_one_model_is_not_served_for_another() -> None:
    """Same name, same settings, same prompt, other weights."""
    one = MemOSChatModel(model=tiny(), max_tokens=12)
    two = MemOSChatModel(model=tiny(1), max_tokens=12)
    assert one.model.name == two.model.name
    assert one.invoke("Hello").text != two.invoke("Hello").text


@pytest.mark.usefixtures("llm_cache")
def test_the_same_question_is_answered_from_the_cache(chat: MemOSChatModel) -> None:
    computed = chat.invoke("Hello")
    chat.model.lock.acquire()  # from another thread nothing can be computed now
    try:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(chat.invoke("Hello")))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    finally:
        chat.model.lock.release()
    assert found[0].text == computed.text


@pytest.mark.usefixtures("llm_cache")
def test_what_is_set_for_good_is_in_the_key_too() -> None:
    """Also where the arguments of a call have the same names."""
    whole = MemOSChatModel(model=tiny(), max_tokens=24).invoke("Hello", model="any").text
    assert MemOSChatModel(model=tiny(), max_tokens=24, stop=[whole[6:9]]).invoke("Hello", model="any").text != whole
    assert MemOSChatModel(model=tiny(1), max_tokens=24).invoke("Hello", model="any").text != whole
    assert MemOSChatModel(model=tiny(), max_tokens=5).invoke("Hello", model="any").text != whole


@pytest.mark.usefixtures("llm_cache")
def test_an_answer_made_with_one_users_memory_is_not_served_to_another(llm_cache: InMemoryCache) -> None:
    """However the memory reaches the model: with the call, bound, or set for good."""
    chat = MemOSChatModel(model=tiny(), max_tokens=5)
    for told in (
        {"memory_fingerprint": "ana"},
        {"memory_fingerprint": "bob"},
        {"memory_ids": ["1"]},
        {"memory_ids": []},
    ):
        before = len(llm_cache._cache)
        chat.invoke("Hello", **told)
        chat.bind(**told).invoke("Hello")
        assert len(llm_cache._cache) == before + 1
    before = len(llm_cache._cache)
    for name in ("ana", "bob", "bob"):
        MemOSChatModel(model=tiny(), max_tokens=5, memory_fingerprint=name).invoke("Hello")
    assert len(llm_cache._cache) == before + 2


@pytest.mark.usefixtures("llm_cache")
@pytest.mark.parametrize("setting", [{"temperature": 0.5}, {"max_tokens": 5}, {"seed": 3}, {"adapters": ()}])
def test_every_setting_is_in_the_key_of_the_cache(
    chat: MemOSChatModel, llm_cache: InMemoryCache, setting: dict[str, Any]
) -> None:
    chat.invoke("Hello")
    before = len(llm_cache._cache)
    chat.invoke("Hello", **setting)
    assert len(llm_cache._cache) == before + 1


def test_neither_weights_nor_paths_are_shown_or_traced(chat: MemOSChatModel) -> None:
    folder = str(chat.model.folder)
    shown = [
        repr(chat),
        str(chat.model_dump()),
        json.dumps(chat._identifying_params),
        json.dumps(chat._get_ls_params()),
    ]
    assert not [text for text in shown if folder in text or "Llama" in text]
    assert chat._llm_type == "memos-huggingface"
    assert chat._identifying_params["fingerprint"] == chat.model.fingerprint.model_dump()
