"""Callbacks and traces: standard events everywhere, and no recalled words for those who should not see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, get_buffer_string
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.langchain import (
    MemOSMemory,
    MemOSMiddleware,
    MemOSRetriever,
    RedactedCallbacks,
    memory_tools,
    redact,
)
from memos_integrations.langchain.redaction import WITHHELD
from memos_integrations.langchain.transcript import recalled_message
from memos_integrations.memos import MemOS
from tests.langchain.scripted import ScriptedModel, call


@dataclass
class Who:
    tenant: str
    user_id: str


class Everything(BaseTracer):
    """A tracer that keeps every run, as those that send runs elsewhere do."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


class Names(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[str] = []

    def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("retriever_start")

    def on_retriever_end(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("retriever_end")

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("tool_start")

    def on_tool_end(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("tool_end")

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("chat_model_start")


def run(memos: MemOS, *handlers: BaseCallbackHandler) -> ScriptedModel:
    model = ScriptedModel(lines=[call("recall", query="Where is my tea tin?"), "As you like."])
    agent = create_agent(
        model, memory_tools(memos), middleware=[MemOSMiddleware(memos, k=1)], context_schema=Who, name="ana"
    )
    retriever = MemOSRetriever(memos=memos)
    chain = RunnableLambda(lambda text: (retriever.invoke(text), agent.invoke({"messages": text}))[1])
    config: Any = {"callbacks": list(handlers), "configurable": {"tenant": "home", "user_id": "ana"}}
    chain.invoke("Which tea do I like?", config)
    return model


def test_standard_events_come_from_every_part(memos: MemOS) -> None:
    names = Names()
    run(memos, names)
    assert names.events == [
        "retriever_start", "retriever_end", "chat_model_start", "tool_start", "tool_end", "chat_model_start",
    ]  # fmt: skip


def test_a_trace_holds_recalled_words_unless_they_are_withheld(memos: MemOS) -> None:
    bare, inner = Everything(), Everything()
    model = run(memos, bare, RedactedCallbacks(inner))
    assert "honey" in repr(model.texts)
    assert "blue tin" in repr(model.texts)

    def traced(tracer: Everything) -> str:
        assert tracer.runs
        return repr([each.model_dump() if hasattr(each, "model_dump") else each.dict() for each in tracer.runs])

    assert "honey" in traced(bare)
    assert "honey" not in traced(inner)
    assert "blue tin" not in traced(inner)
    assert WITHHELD in traced(inner)
    assert "Which tea do I like?" in traced(inner)
    assert "As you like." in traced(inner)


def test_every_form_of_recalled_words_is_known(memos: MemOS, ana: Principal) -> None:
    block = recalled_message(["- [2026-03-09] Ana likes tea with rum.", "- [2026-03-09] Ana has rum."])
    documents = MemOSRetriever(memos=memos, principal=ana).invoke("honey")
    told = memory_tools(memos, principal=ana)[1].invoke(
        {"type": "tool_call", "id": "1", "name": "recall", "args": {"query": "honey"}}
    )
    plain = [HumanMessage("rum"), AIMessage("honey"), Document("honey"), {"content": "rum"}, "rum", 7, None]
    for payload in (
        {"messages": [[block, told]], "documents": documents},
        {"messages": [dumpd(block), dumpd(told)], "documents": [dumpd(document) for document in documents]},
        {"messages": [block.model_dump(), told.model_dump()], "documents": [d.model_dump() for d in documents]},
        get_buffer_string([block]),
        (block, [told]),
    ):
        assert "rum" in repr(payload)
        assert "rum" not in repr(redact(payload))
        assert "honey" not in repr(redact(payload))
    assert redact(plain) == plain
    assert "rum" in block.text
    rest = redact(get_buffer_string([block, HumanMessage("What now?")]))
    assert "What now?" in rest


def test_recalled_words_within_unmarked_texts_and_values_are_known(memos: MemOS, ana: Principal) -> None:
    block = recalled_message(["- [2026-03-09] Ana likes tea with honey."]).text
    recall = memos.recall("Which tea do I like?", by=ana)
    hits = [{"id": hit.cube.id, "text": hit.text, "provenance": {}} for hit in recall.hits]
    for payload in (
        SystemMessage(f"Be kind.\n\n{block}"),
        HumanMessage([{"type": "text", "text": f"{block}\nHuman: What now?"}]),
        {"invocation_params": {"recall": recall, "temperature": 0.0}},
        {"recalled": {"text": recall.text, "hits": hits}, "memory": {"tokens": 9}},
        [recall],
        (ChatPromptValue(messages=[SystemMessage(block)]), StringPromptValue(text=block)),
    ):
        assert "honey" in repr(payload)
        assert "honey" not in repr(redact(payload))
    assert redact(SystemMessage(f"Be kind.\n\n{block}")).text.startswith("Be kind.")
    assert recall.hits[0].cube.id in repr(redact(recall))


def test_a_trace_of_a_conversation_chain_holds_no_recalled_words(memos: MemOS, ana: Principal) -> None:
    inner, model = Everything(), ScriptedModel(lines=["As you like."])
    prompt = PromptTemplate.from_template("{past}\nHuman: {question}")
    memory = MemOSMemory(memos=memos, principal=ana, session_id="s", memory_key="past", input_key="question")
    chain = prompt | model
    asked = {"question": "Which tea do I like?"}
    chain.invoke(asked | memory.load_memory_variables(asked), {"callbacks": [RedactedCallbacks(inner)]})
    assert "honey" in repr(model.texts)
    (root,) = inner.runs
    assert root.child_runs
    told = [(each.inputs, each.outputs) for each in (root, *root.child_runs)]
    assert "honey" not in repr(told)
    assert WITHHELD in repr(root.child_runs[-1].inputs)


def test_a_policy_of_ones_own(memos: MemOS) -> None:
    inner = Everything()
    run(
        memos,
        RedactedCallbacks(inner, policy=lambda payload: "***" if isinstance(payload, str | list | dict) else payload),
    )
    assert "Which tea do I like?" not in repr([each.inputs for each in inner.runs])

    class Later(AsyncCallbackHandler):
        pass

    with pytest.raises(InvalidMemoryError):
        RedactedCallbacks(Later())


def test_hooks_of_the_middleware_record_no_state(memos: MemOS) -> None:
    tracer = Everything()
    run(memos, tracer)

    def walk(runs: Any) -> Any:
        for each in runs:
            yield each
            yield from walk(each.child_runs)

    hooks = [each for each in walk(tracer.runs) if each.name.startswith("MemOSMiddleware.")]
    assert hooks
    assert not [each for each in hooks if each.inputs not in ({}, {"input": {}}) or "honey" in repr(each.outputs)]
