"""vLLM and SGLang over HTTP, against a local server that speaks their protocol (no real engine was run)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, Recall
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.inference_server import InferenceServer
from memos_integrations.core.errors import ModelError
from memos_integrations.vaults.memory import InMemoryVault
from tests.backends.fake_engine import BLOCK, FakeEngine, fake_engine

ANA = Principal(tenant="acme", user="ana")
EVE = Principal(tenant="globex", user="eve")
ASK = [{"role": "user", "content": "What is the cat called?"}]


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with fake_engine() as running:
        yield running


def recalled(by: Principal) -> Recall:
    with MemOS(InMemoryVault()) as memos:
        for text in ("The cat is called Miso.", "The cat eats tuna on Mondays."):
            memos.remember(text, by=by)
        return memos.recall("What about the cat?", by=by, needed=True)


def server(running: FakeEngine, model: HuggingFaceModel, **how: Any) -> InferenceServer:
    return InferenceServer(running.url, "tiny", model, secret=b"s" * 32, **how)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_warm_memory_is_cached_and_the_server_says_so(
    engine: FakeEngine, tiny_model: HuggingFaceModel, kind: Any
) -> None:
    served, recall = server(engine, tiny_model, engine=kind), recalled(ANA)
    cold = list(served.stream(ASK, recall=recall))
    warm = list(served.stream([{"role": "user", "content": "Another question"}], recall=recall))
    assert "".join(token.text for token in warm) == "The cat is Miso."
    assert [token.usage is not None for token in warm] == [False] * (len(warm) - 1) + [True]
    one, two = cold[-1].usage, warm[-1].usage
    assert one is not None
    assert two is not None
    assert (one.cached_tokens, one.recomputed_tokens) == (0, one.memory_tokens - one.memory_tokens % BLOCK)
    assert two.cached_tokens >= two.memory_tokens - two.memory_tokens % BLOCK > 0
    assert two.recomputed_tokens == 0
    assert warm[-1].finish == "stop"


def test_warming_up_computes_the_memory_before_anybody_asks(engine: FakeEngine, tiny_model: HuggingFaceModel) -> None:
    served, recall = server(engine, tiny_model), recalled(ANA)
    served.warm(recall)
    assert engine.asked[0][1]["max_tokens"] == 1
    *_, last = served.stream(ASK, recall=recall)
    assert last.usage is not None
    assert last.usage.cached_tokens >= last.usage.memory_tokens - last.usage.memory_tokens % BLOCK
    sent = engine.asked[1][1]["prompt"]
    assert sent[: len(engine.asked[0][1]["prompt"])] == engine.asked[0][1]["prompt"]


def test_tenants_never_share_blocks(engine: FakeEngine, tiny_model: HuggingFaceModel) -> None:
    served = server(engine, tiny_model)
    list(served.stream(ASK, recall=recalled(ANA)))
    *_, other = served.stream(ASK, recall=recalled(EVE))
    assert other.usage is not None
    assert other.usage.cached_tokens == 0
    salts = {body["cache_salt"] for _, body, _ in engine.asked}
    assert len(salts) == 2
    assert not any("acme" in salt or "globex" in salt for salt in salts)
    assert server(engine, tiny_model).cache_salt("acme") == served.cache_salt("acme")
    assert InferenceServer(engine.url, "tiny", tiny_model).cache_salt("acme") != served.cache_salt("acme")


def test_without_memory_it_is_a_plain_prompt_that_nobody_shares(
    engine: FakeEngine, tiny_model: HuggingFaceModel
) -> None:
    served = server(engine, tiny_model, api_key="k")
    for _ in range(2):
        *_, last = served.stream(ASK, max_new_tokens=2)
    assert last.finish == "length"
    assert last.usage is not None
    assert (last.usage.cached_tokens, last.usage.memory_tokens) == (0, 0)
    assert engine.asked[0][1]["prompt"] == tiny_model.render(ASK)
    assert engine.asked[0][2]["Authorization"] == "Bearer k"
    with pytest.raises(ModelError, match="nothing to warm"), MemOS(InMemoryVault()) as memos:
        served.warm(memos.recall("What?", by=ANA, needed=True))


@pytest.mark.parametrize(
    ("fault", "says"), [("500", "refused with 500"), ("cut", "without its usage"), ("garbage", "something else than")]
)
def test_a_server_that_fails_is_an_error_of_ours(
    engine: FakeEngine, tiny_model: HuggingFaceModel, fault: str, says: str
) -> None:
    engine.fault = fault
    with pytest.raises(ModelError, match=says):
        list(server(engine, tiny_model).stream(ASK))


def test_an_answer_or_a_message_of_sglang_that_is_not_whole(engine: FakeEngine, tiny_model: HuggingFaceModel) -> None:
    served = server(engine, tiny_model, engine="sglang")
    engine.fault = "cut"
    with pytest.raises(ModelError, match="cut short"):
        list(served.stream(ASK))
    engine.fault = "garbage"
    with pytest.raises(ModelError, match="something else than sglang"):
        served.unload_adapter("ana")


def test_a_server_that_is_not_there(tiny_model: HuggingFaceModel) -> None:
    with fake_engine() as engine:
        url = engine.url
    with pytest.raises(ModelError, match="cannot be used"):
        list(InferenceServer(url, "tiny", tiny_model).stream(ASK))
    for wrong in ("ftp://x", "localhost:8000"):
        with pytest.raises(ModelError, match="http://host:port"):
            InferenceServer(wrong, "tiny", tiny_model)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_adapters_are_loaded_asked_for_and_unloaded(
    engine: FakeEngine, tiny_model: HuggingFaceModel, tmp_path: Path, kind: Any
) -> None:
    served, recall = server(engine, tiny_model, engine=kind), recalled(ANA)
    with pytest.raises(ModelError, match="no adapter found"):
        served.load_adapter("ana", tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    served.load_adapter("ana", tmp_path)
    assert engine.adapters == {"ana": str(tmp_path)}
    with pytest.raises(ModelError, match="already been loaded"):
        served.load_adapter("ana", tmp_path)
    list(served.stream(ASK, recall=recall))
    one, two = (list(served.stream(ASK, recall=recall, adapter="ana"))[-1].usage for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.cached_tokens == 0, "what the base computed is of no use to an adapter"
    assert two.cached_tokens > 0
    served.unload_adapter("ana")
    assert engine.adapters == {}
    with pytest.raises(ModelError, match="404"):
        list(served.stream(ASK, recall=recall, adapter="ana"))
    with pytest.raises(ModelError, match="cannot be found"):
        served.unload_adapter("ana")
