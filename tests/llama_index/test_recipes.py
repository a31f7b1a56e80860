"""Recipes: a query engine and an agent with memory, each in at most 15 lines, run as printed; the README has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

QUERY_ENGINE = """
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from memos_integrations import MemOS, Principal
from memos_integrations.llama_index import MemOSAccessPostprocessor, MemOSNodePostprocessor

ana = Principal(tenant="acme", user="ana")
index = VectorStoreIndex([TextNode(text="Trains to Bled run hourly.")], embed_model=MockEmbedding(embed_dim=8))
with MemOS.open("vault") as memos:
    memos.remember("I get sick on buses.", by=ana)
    guard, memory = MemOSAccessPostprocessor(memos, principal=ana), MemOSNodePostprocessor(memos, principal=ana)
    engine = index.as_query_engine(llm=MockLLM(), node_postprocessors=[guard, memory])  # MockLLM shows the prompt
    print(engine.query("Train or bus to Bled? What do I get sick on?"))
"""

AGENT = """
import asyncio
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import MockFunctionCallingLLM
from memos_integrations import MemOS, Principal
from memos_integrations.llama_index import MemOSMemory, MemOSToolSpec

ana = Principal(tenant="acme", user="ana")
with MemOS.open("vault") as memos:
    tools = MemOSToolSpec(memos, principal=ana).to_tool_list()
    agent = FunctionAgent(tools=tools[1:2], llm=MockFunctionCallingLLM(), streaming=False)
    memory = MemOSMemory(memos, principal=ana, session_id="trip")
    async def turn():
        return await agent.run("I get sick on buses.", memory=memory)
    asyncio.run(turn())
    later = MemOSMemory(memos, principal=ana, session_id="next day")
    print(later.get(input="What do I get sick on?")[0].content)  # - [2026-03-09] user: I get sick on buses.
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("recipe", [QUERY_ENGINE, AGENT], ids=["query engine", "agent"])
def test_a_recipe_does_what_it_says(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len([line for line in recipe.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(recipe, "recipe", "exec"), {"__name__": "recipe"})
    assert "I get sick on buses." in capsys.readouterr().out


def test_the_readme_has_both_in_at_most_fifteen_lines() -> None:
    """It is run, with the rest of the README, by tests/test_readme.py."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    section = readme.split("### LlamaIndex", 1)[1].split("\n### ", 1)[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks)
    assert "as_query_engine(" in code
    assert "FunctionAgent(" in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
