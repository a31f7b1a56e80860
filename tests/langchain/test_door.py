"""The door itself: what it offers, and what opening it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import memos_integrations.langchain as door


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_opening_the_door_loads_no_torch_and_no_other_framework() -> None:
    heavy = "('torch', 'transformers', 'langgraph', 'llama_index', 'langchain', 'langchain_classic')"
    assert (
        run(f"import sys, memos_integrations.langchain; print([m for m in {heavy} if m in sys.modules])").strip()
        == "[]"
    )


def test_everything_promised_is_there() -> None:
    assert set(door.__all__) <= set(dir(door))
    for name in door.__all__:
        assert getattr(door, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        door.nothing_of_the_kind  # noqa: B018


@pytest.mark.parametrize(
    ("module", "extra", "package"),
    [
        ("memos_integrations.langchain", "langchain", "langchain_core"),
        ("memos_integrations.langgraph", "langgraph", "langgraph"),
        ("memos_integrations.llama_index", "llama-index", "llama_index"),
    ],
)
def test_a_missing_extra_is_named_with_its_pip_line(module: str, extra: str, package: str) -> None:
    assert f'pip install "memos-integrations[{extra}]"' in run(without(package, f"import {module}"))


@pytest.mark.parametrize(
    ("name", "extra", "package"),
    [("MemOSMiddleware", "agents", "langchain"), ("MemOSMemory", "classic", "langchain_classic")],
)
def test_what_needs_more_says_so_and_the_rest_works_without(name: str, extra: str, package: str) -> None:
    works = "from memos_integrations.langchain import MemOSRetriever, memory_tools, MemOSChatMessageHistory"
    lacks = f"from memos_integrations.langchain import {name}"
    first, told = run(without(package, f"{works}; print('ok'); {lacks}")).split("\n", 1)
    assert first == "ok"
    assert f'pip install "memos-integrations[{extra}]"' in told


def without(package: str, code: str) -> str:
    """A program in which a distribution looks as if it were not installed."""
    return f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from memos_integrations.core.errors import MissingExtraError
try:
    {code}
except MissingExtraError as exc:
    print(exc)
"""
