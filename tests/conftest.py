"""Shared fixtures: real weights where a test needs sense, a tiny model where it only needs a model."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lifetime import Clock
from tests.tiny_llama import build_tiny_llama
from tests.words_embedder import WordsEmbedder

if TYPE_CHECKING:
    from memos_integrations.backends.huggingface import HuggingFaceModel

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# llama_index's synchronous calls make an event loop where none was ever set, and never close it; told that there is
# none, they run in one of their own, and close that.
asyncio.set_event_loop(None)
ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected lives as long as the run: the collector looks at none of it, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock()


@pytest.fixture(scope="session")
def models() -> dict[str, Path]:
    """The folders of all-MiniLM-L6-v2 (`minilm`) and SmolLM2-135M-Instruct (`smollm2`), fetched when missing."""
    from memos_integrations.backends.weights import ensure

    return ensure(os.environ.get("MEMOS_MODELS") or ROOT / ".models", say=print)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny randomly initialised Llama and its tokenizer."""
    return build_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_model(tiny_llama: Path) -> HuggingFaceModel:
    """The tiny Llama, opened."""
    from memos_integrations.backends.huggingface import HuggingFaceModel

    return HuggingFaceModel(tiny_llama)


@pytest.fixture(scope="session")
def smollm2(models: dict[str, Path]) -> HuggingFaceModel:
    """SmolLM2-135M-Instruct, opened once for the whole run."""
    from memos_integrations.backends.huggingface import HuggingFaceModel

    return HuggingFaceModel(models["smollm2"])


@pytest.fixture
def words() -> WordsEmbedder:
    """A small real embedder."""
    return WordsEmbedder()
