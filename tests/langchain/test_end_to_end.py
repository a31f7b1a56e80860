"""Whole agents: the model that is shipped, tools, middleware, checkpointer; and the recipes of the README."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langgraph.checkpoint.memory import InMemorySaver

from memos_integrations import MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain import MemOSMiddleware, memory_tools
from memos_integrations.langchain.chat_model import MemOSChatModel


@dataclass
class Who:
    tenant: str
    user_id: str


ANA, BOB = Who("home", "ana"), Who("home", "bob")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sync", "async"])
async def test_an_agent_with_tools_middleware_checkpointer_and_the_local_model(
    tmp_path: Path, smollm2: HuggingFaceModel, how: str
) -> None:
    ana, saver = Principal(tenant="home", user="ana"), InMemorySaver()
    chat = MemOSChatModel(model=smollm2, max_tokens=40)
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("Ana's cat is called Miso.", by=ana)
        agent = create_agent(
            chat, memory_tools(memos), middleware=[MemOSMiddleware(memos, timeout=60)], context_schema=Who,
            checkpointer=saver,
        )  # fmt: skip
        config: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 12}

        async def ask(text: str) -> str:
            asked = {"messages": text}
            result = (
                await agent.ainvoke(asked, config, context=ANA)
                if how == "async"
                else agent.invoke(asked, config, context=ANA)
            )
            return str(result["messages"][-1].text)

        assert "Miso" in await ask("What is the name of my cat? Answer in one sentence.")
        await ask("I moved to Lisbon.")
        said = [cube.text for cube in memos.find(CubeFilter(semantic_types=("message",), thread_id="t"), by=ana)]
        assert {"What is the name of my cat? Answer in one sentence.", "I moved to Lisbon."} <= set(said)
        assert "one memory a line" not in repr(list(saver.list(config)))
    with MemOS.open(tmp_path / "vault") as memos:
        assert "Lisbon" in memos.recall("Where did I move?", by=ana).text


def test_a_shared_cache_serves_no_one_elses_answer(tmp_path: Path, tiny_model: HuggingFaceModel) -> None:
    """Two users, one agent, one LLM cache, the same words, nothing remembered that would tell the prompts apart."""
    kept = InMemoryCache()
    set_llm_cache(kept)
    try:
        with MemOS.open(tmp_path / "vault") as memos:
            agent = create_agent(
                MemOSChatModel(model=tiny_model, max_tokens=4),
                [],
                middleware=[MemOSMiddleware(memos, remember=())],
                context_schema=Who,
            )
            sizes = []
            for who in (ANA, BOB, ANA):
                agent.invoke({"messages": "Hello!"}, context=who)
                sizes.append(len(kept._cache))
            assert sizes == [1, 2, 2]
    finally:
        set_llm_cache(None)


RECIPES = Path(__file__).with_name("recipes.md").read_text("utf-8").split("```")


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_recipe_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    code = RECIPES[number].removeprefix("python\n")
    assert len(code.strip().splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"recipe {number}", "exec"), {"__name__": "__main__"})
    promised = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    assert promised
    assert capsys.readouterr().out.splitlines() == promised
