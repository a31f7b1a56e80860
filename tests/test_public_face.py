"""What `import memos_integrations` gives, and what it must not load."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import memos_integrations

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("langchain", "langgraph", "llama_index", "torch", "transformers", "faiss", "safetensors", "tokenizers", "peft")


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def blocked(*roots: str) -> str:
    """Code that makes distributions look as if they were not installed."""
    return f"import sys\nfor root in {roots!r}: sys.modules[root] = None\n"


@pytest.mark.parametrize("module", ["memos_integrations", "memos_integrations.memos", "memos_integrations.cli"])
def test_importing_it_loads_no_framework_and_no_torch(module: str) -> None:
    loaded = ast.literal_eval(run(f"import sys, {module}; print(sorted(m for m in sys.modules if '.' not in m))"))
    assert "memos_integrations" in loaded
    assert not [name for name in loaded if name.startswith(HEAVY)]


def test_it_works_without_any_extra() -> None:
    """The base install remembers and recalls with every optional distribution out of reach."""
    code = (
        blocked(
            "langchain",
            "langchain_core",
            "langgraph",
            "llama_index",
            "torch",
            "transformers",
            "safetensors",
            "tokenizers",
        )
        + "import tempfile\n"
        "from memos_integrations import MemOS, Principal\n"
        "ana = Principal(tenant='acme', user='ana')\n"
        "with tempfile.TemporaryDirectory() as folder, MemOS.open(folder) as memos:\n"
        "    memos.remember('I moved to Lisbon in March.', by=ana)\n"
        "    print(memos.recall('Where did I move?', by=ana).hits[0].text)\n"
    )
    assert run(code) == "I moved to Lisbon in March."


@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("langchain_core", "import memos_integrations.langchain", "langchain"),
        ("langgraph", "import memos_integrations.langgraph", "langgraph"),
        ("langchain", "import memos_integrations.langgraph", "langgraph"),
        ("llama_index", "import memos_integrations.llama_index", "llama-index"),
        ("nats", "import memos_integrations.backends.nats_wire", "nats"),
        ("redis", "import memos_integrations.backends.redis_wire", "redis"),
        (
            "opentelemetry",
            "from memos_integrations.backends.metrics import LedgerMetrics as M; M(None, by=None, meter=None)",
            "otel",
        ),
        ("yaml", "from memos_integrations.backends.pipelines import load_pipeline as f; f('nightly')", "pipelines"),
        ("torch", "from memos_integrations.backends.huggingface import HuggingFaceModel as M; M('.')", "hf"),
        ("transformers", "from memos_integrations.backends.huggingface import HuggingFaceModel as M; M('.')", "hf"),
        ("tokenizers", "from memos_integrations.backends.minilm import MiniLMEmbedder as M; M(MINILM)", "embeddings"),
        ("safetensors", "from memos_integrations.backends.minilm import MiniLMEmbedder as M; M(MINILM)", "embeddings"),
    ],
)
def test_a_missing_extra_is_told_with_its_pip_line(
    missing: str, code: str, extra: str, models: dict[str, Path]
) -> None:
    code = code.replace("MINILM", repr(str(models["minilm"])))
    told = run(
        blocked(missing) + f"try:\n    {code}\nexcept ImportError as exc:\n    print(type(exc).__name__, exc, sep='|')"
    )
    assert told.startswith("MissingExtraError|")
    assert f'pip install "memos-integrations[{extra}]"' in told
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("name", memos_integrations.__all__)
def test_every_name_of_the_face_is_there_and_explained(name: str) -> None:
    thing = getattr(memos_integrations, name)
    assert inspect.getdoc(thing)
    assert thing.__module__.startswith("memos_integrations.")


def test_every_error_says_that_it_is_ours() -> None:
    from memos_integrations.core import errors

    ours = [thing for thing in vars(errors).values() if inspect.isclass(thing) and thing.__module__ == errors.__name__]
    assert len(ours) > 10
    assert all(issubclass(error, memos_integrations.MemOSError) for error in ours)
