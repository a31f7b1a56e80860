"""Several model families, tiny and random: exact where they can be, refused where they cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import KVStore
from memos_integrations.backends.kv.batch import answer_batch
from memos_integrations.backends.kv.composition import Composition
from memos_integrations.core.errors import ModelError
from tests.tiny_llama import build_tiny_llama

IDS = [(11 * n * n + 5) % 250 for n in range(140)]
COMMON: dict[str, Any] = {
    "vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 256, "eos_token_id": 258, "bos_token_id": 257, "pad_token_id": 256,
    "initializer_range": 0.3,
}  # fmt: skip


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "vocab_size": 259}
    return GPT2LMHeadModel(GPT2Config(**sizes, eos_token_id=258, bos_token_id=257, initializer_range=0.3))


def qwen2() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**COMMON, num_key_value_heads=1))


def qwen2_mixed_windows() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    windows = {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}
    return Qwen2ForCausalLM(Qwen2Config(**COMMON, num_key_value_heads=2, **windows))


def mistral() -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**COMMON, num_key_value_heads=2, sliding_window=24, head_dim=8))


def llama_scaled() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    rope = {
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**COMMON, num_key_value_heads=2, rope_parameters=rope))


def mamba() -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=259, hidden_size=32, num_hidden_layers=2, state_size=8))


def qwen3_next() -> Any:
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    sizes = {
        "num_key_value_heads": 2, "head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1,
        "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "layer_types": None,
    }  # fmt: skip
    return Qwen3NextForCausalLM(Qwen3NextConfig(**{**COMMON, "num_hidden_layers": 4}, **sizes))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Any]], HuggingFaceModel]:
    """Saves and opens a family as a user would, with the tokenizer of the tiny Llama."""
    known: dict[str, HuggingFaceModel] = {}

    def build(family: Callable[[], Any]) -> HuggingFaceModel:
        import torch

        if family.__name__ not in known:
            folder = build_tiny_llama(tmp_path_factory.mktemp("family") / family.__name__)
            with torch.random.fork_rng():
                torch.manual_seed(3)
                family().save_pretrained(folder)
            known[family.__name__] = HuggingFaceModel(folder)
        return known[family.__name__]

    return build


EXACT = [gpt2, qwen2, qwen2_mixed_windows, mistral, llama_scaled]
SHARING = {"gpt2", "qwen2", "llama_scaled"}


@pytest.mark.parametrize("family", EXACT)
@pytest.mark.parametrize("memory", [10, 60, 120])
def test_injection_is_exact(opened: Any, family: Callable[[], Any], memory: int) -> None:
    """Also beyond the window of those that have one."""
    import torch

    model = opened(family)
    store = KVStore(model)
    prefix = store.put(IDS[:memory], tenant="a")
    assert prefix.shared == (family.__name__ in SHARING)
    query = IDS[memory : memory + 15]
    cold = [token.id for token in model.stream(IDS[: memory + 15], max_new_tokens=10)]
    assert [token.id for token in model.stream(IDS[: memory + 15], max_new_tokens=10, prefix=prefix)] == cold
    assert store.verify(prefix) <= 1e-4
    with torch.inference_mode():
        whole = model.network(torch.tensor([IDS[: memory + 15]]), use_cache=False).logits[0, -15:]
        for shared in (True, False):
            warm = model.network(torch.tensor([query]), past_key_values=prefix.fork(shared=shared)).logits[0]
            assert float((whole - warm).abs().max()) <= 1e-4


def test_another_window_is_another_key(opened: Any, tmp_path: Path) -> None:
    """The weights are the same files; what they compute is not."""
    model = opened(mistral)
    shutil.copytree(model.folder, tmp_path / "wide")
    config = json.loads((tmp_path / "wide" / "config.json").read_text())
    (tmp_path / "wide" / "config.json").write_text(json.dumps(config | {"sliding_window": 12}))
    one, two = model.fingerprint, HuggingFaceModel(tmp_path / "wide").fingerprint
    assert one.weights == two.weights
    assert one.positions != two.positions


@pytest.mark.parametrize("family", EXACT)
def test_rows_of_a_batch_share_one_memory(opened: Any, family: Callable[[], Any]) -> None:
    model = opened(family)
    store = KVStore(model)
    prefix = store.put(IDS[:50], tenant="a")
    prompts = [IDS[:51], [*IDS[:50], *IDS[70:90]], [*IDS[:50], *IDS[20:27]], IDS[:50]]
    alone = [[token.id for token in model.stream(ids, max_new_tokens=7)] for ids in prompts]
    rows = answer_batch(model, prompts, max_new_tokens=7, prefix=prefix)
    assert [[token.id for token in row] for row in rows] == alone
    for row, ids in zip(rows, prompts, strict=True):
        assert [token.usage is not None for token in row] == [False] * (len(row) - 1) + [True]
        assert row[-1].usage is not None
        assert row[-1].usage.input_tokens == len(ids)
    with pytest.raises(ModelError, match="not the beginning"):
        answer_batch(model, [IDS[1:20]], max_new_tokens=1, prefix=prefix)
    with pytest.raises(ModelError, match="no prompts"):
        answer_batch(model, [], max_new_tokens=1)


@pytest.mark.parametrize("family", [mamba, qwen3_next])
@pytest.mark.filterwarnings("ignore")
def test_a_model_with_a_running_state_is_refused(opened: Any, family: Callable[[], Any]) -> None:
    from memos_integrations.backends.kv.fingerprint import check_family

    with pytest.raises(ModelError, match="cannot be exact"):
        check_family(family())


def test_a_hybrid_that_is_opened_is_refused_by_the_store(opened: Any) -> None:
    with pytest.raises(ModelError, match="cannot be exact"):
        KVStore(opened(qwen3_next))


@pytest.mark.parametrize("family", [gpt2, mistral])
def test_positions_that_cannot_be_shifted_are_not_joined(opened: Any, family: Callable[[], Any]) -> None:
    with pytest.raises(ModelError, match="cannot be shifted"):
        Composition(KVStore(opened(family)))
