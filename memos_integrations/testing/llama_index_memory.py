"""LlamaIndexMemoryContract: what chat engines, agents and workflows expect of a LlamaIndex memory, as tests to inherit.

    class TestMyMemory(LlamaIndexMemoryContract):
        def memory(self, session_id, token_limit=30_000):
            return MyMemory(session_id=session_id, token_limit=token_limit)

A memory that cannot be opened twice on the same session overrides nothing more; the tests that need it are skipped.
"""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.memory.types import BaseMemory
from llama_index.core.workflow import JsonSerializer

MANY = 50


def user(text: str) -> ChatMessage:
    """What a user said."""
    return ChatMessage(role=MessageRole.USER, content=text)


def assistant(text: str) -> ChatMessage:
    """What the assistant said."""
    return ChatMessage(role=MessageRole.ASSISTANT, content=text)


def tool_turn(call_id: str = "call-1", size: int = 1) -> list[ChatMessage]:
    """A turn in which the assistant called a tool and got an answer; *size* stretches the arguments."""
    block = ToolCallBlock(tool_call_id=call_id, tool_name="look_up", tool_kwargs={"what": "word " * size})
    return [
        user("Look it up, please."),
        ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text="One moment."), block]),
        ChatMessage(role=MessageRole.TOOL, content="It is 42.", additional_kwargs={"tool_call_id": call_id}),
        assistant("It is 42."),
    ]


def said(messages: list[ChatMessage]) -> list[str]:
    """The words of messages."""
    return [str(message.content) for message in messages]


class LlamaIndexMemoryContract:
    """Promises of a `BaseMemory`. Override `memory`; list in `known_faults` what your memory does not keep, and why."""

    known_faults: ClassVar[Mapping[str, str]] = {}
    """Name of a test -> reason: it is expected to fail, and noticed when it no longer does."""

    hangs: ClassVar[Mapping[str, str]] = {}
    """Name of a test -> reason: it would never end, and is not run."""

    def memory(self, session_id: str, token_limit: int = 30_000) -> BaseMemory:
        """A memory of this session: empty when the session is new, else with what was put into it."""
        raise NotImplementedError

    def reopened(self, session_id: str) -> BaseMemory:
        """The same session after a restart, from what is durable."""
        pytest.skip("this memory says nothing about restarts")

    @pytest.fixture(autouse=True)
    def _faults(self, request: pytest.FixtureRequest) -> None:
        name = request.node.originalname
        if name in self.hangs:
            pytest.xfail(self.hangs[name])
        if name in self.known_faults:
            request.applymarker(pytest.mark.xfail(reason=self.known_faults[name], strict=True))

    # --- history

    def test_what_was_put_is_the_history_in_order(self) -> None:
        memory = self.memory("order")
        messages = [user("One."), assistant("Two."), user("Three.")]
        for message in messages:
            memory.put(message)
        assert said(memory.get_all()) == ["One.", "Two.", "Three."]
        assert [message.role for message in memory.get_all()] == [message.role for message in messages]

    def test_both_ways_of_putting_write_the_same(self) -> None:
        memory = self.memory("both")
        memory.put_messages([user("One."), assistant("Two.")])
        asyncio.run(memory.aput_messages([user("Three."), assistant("Four.")]))
        asyncio.run(memory.aput(user("Five.")))
        assert said(memory.get_all()) == said(asyncio.run(memory.aget_all())) == "One. Two. Three. Four. Five.".split()

    def test_putting_nothing_is_no_error(self) -> None:
        memory = self.memory("nothing")
        asyncio.run(memory.aput_messages([]))
        assert memory.get_all() == []

    def test_a_message_comes_back_whole(self) -> None:
        memory = self.memory("whole")
        messages = tool_turn()
        memory.put_messages(copy.deepcopy(messages))
        assert [message.model_dump() for message in memory.get_all()] == [message.model_dump() for message in messages]

    def test_the_callers_messages_are_left_as_they_are(self) -> None:
        memory = self.memory("callers")
        message = user("Mine.")
        before = message.model_dump()
        memory.put(message)
        asyncio.run(memory.aput(message))
        assert message.model_dump() == before

    def test_changing_what_was_given_changes_no_memory(self) -> None:
        memory = self.memory("given")
        memory.put(user("As it was."))
        for given in (memory.get()[-1], memory.get_all()[-1]):
            given.blocks[:] = [TextBlock(text="Something else.")]
        assert said(memory.get_all()) == ["As it was."]

    def test_setting_replaces_the_history_and_resetting_empties_it(self) -> None:
        memory = self.memory("set")
        memory.put_messages([user("Old."), assistant("Older.")])
        memory.set([user("New.")])
        assert said(memory.get_all()) == ["New."]
        memory.put(assistant("Newer."))
        assert said(memory.get_all()) == ["New.", "Newer."]
        memory.reset()
        assert memory.get_all() == []

    def test_messages_without_words_are_no_error(self) -> None:
        memory = self.memory("wordless")
        memory.put_messages([user(""), ChatMessage(role=MessageRole.ASSISTANT, blocks=[]), user("Words.")])
        assert [len(message.blocks) for message in memory.get_all()] in ([1, 0, 1], [0, 0, 1])
        assert said(memory.get())[-1] == "Words."

    # --- what a model is shown

    def test_get_takes_what_engines_pass(self) -> None:
        memory = self.memory("passed")
        memory.put(user("Hello there."))
        assert said(memory.get(initial_token_count=10))[-1] == "Hello there."
        assert "Hello there." in said(memory.get(input="Something new?"))
        assert said(asyncio.run(memory.aget(initial_token_count=10)))[-1] == "Hello there."

    def test_tool_calls_count_as_tokens(self) -> None:
        limit = 600
        memory = self.memory("tokens", token_limit=limit)
        for number in range(6):
            memory.put_messages(tool_turn(f"call-{number}", size=250))
        shown = sum(len(message.model_dump_json().split()) for message in memory.get())
        assert shown <= limit

    def test_no_tool_result_is_shown_without_its_call(self) -> None:
        memory = self.memory("pairs", token_limit=120)
        for number in range(12):
            memory.put_messages(tool_turn(f"call-{number}", size=5))
        called: set[str | None] = set()
        for message in memory.get():
            called |= {block.tool_call_id for block in message.blocks if isinstance(block, ToolCallBlock)}
            if message.role is MessageRole.TOOL:
                assert message.additional_kwargs["tool_call_id"] in called

    def test_a_short_context_still_holds_the_last_message(self) -> None:
        memory = self.memory("short", token_limit=60)
        for number in range(20):
            memory.put_messages([user(f"Question {number}?"), assistant(f"Answer {number}.")])
        memory.put(user("The last question?"))
        assert said(memory.get())[-1] == "The last question?"
        assert len(memory.get()) < 41

    # --- many at once

    def test_concurrent_puts_keep_every_message_in_the_order_of_the_calls(self) -> None:
        memory = self.memory("concurrent")

        async def talk() -> None:
            puts = [memory.aput(user(f"Message {number}.")) for number in range(MANY)]
            gets = [memory.aget() for _ in range(MANY)]
            await asyncio.gather(*(each for pair in zip(puts, gets, strict=True) for each in pair))

        asyncio.run(talk())
        assert said(memory.get_all()) == [f"Message {number}." for number in range(MANY)]

    def test_threads_lose_nothing(self) -> None:
        memory = self.memory("threads")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: memory.put(user(f"Message {number}.")), range(MANY)))
        assert sorted(said(memory.get_all())) == sorted(f"Message {number}." for number in range(MANY))

    def test_sessions_have_histories_of_their_own(self) -> None:
        one, other = self.memory("one"), self.memory("other")
        one.put(user("In one."))
        other.put(user("In the other."))
        assert (said(one.get_all()), said(other.get_all())) == (["In one."], ["In the other."])
        one.reset()
        assert said(other.get_all()) == ["In the other."]

    # --- stored and restored

    def test_a_workflows_context_keeps_it(self) -> None:
        memory = self.memory("context")
        memory.put_messages([user("Before."), assistant("Yes.")])
        stored: Any = json.loads(json.dumps(JsonSerializer().serialize(memory)))
        restored = JsonSerializer().deserialize(stored)
        assert said(restored.get_all()) == ["Before.", "Yes."]
        restored.put(user("After."))
        assert said(restored.get_all()) == ["Before.", "Yes.", "After."]

    def test_a_pickled_copy_keeps_it(self) -> None:
        assert said(self._after_pickling([user("Before."), assistant("Yes.")])) == ["Before.", "Yes."]

    def _after_pickling(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        """What a pickled copy has of *messages*; of its own, so that a test that fails holds no memory."""
        memory = self.memory("pickled")
        memory.put_messages(messages)
        there, here = multiprocessing.Pipe()
        with there, here:
            there.send(memory)
            copied: BaseMemory = here.recv()
        return copied.get_all()

    def test_a_restart_loses_nothing(self) -> None:
        memory = self.memory("restart")
        memory.put_messages(tool_turn())
        again = self.reopened("restart")
        assert [message.model_dump() for message in again.get_all()] == [m.model_dump() for m in tool_turn()]
