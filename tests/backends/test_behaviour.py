"""An adapter is told by what it makes of secret prompts: itself and its copies are, the model and others are not."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.behaviour import UNRELATED, behaviour_of, next_token_of
from memos_integrations.core.errors import ModelError
from tests.tiny_llama import build_tiny_llama

pytest.importorskip("peft")
SECRET = b"prompts of mine."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    """A tiny model with two adapters of random weights."""
    import torch
    from peft import LoraConfig

    made = HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("llama")))
    for number, name in enumerate(("mine", "other")):
        torch.manual_seed(number)
        settings = LoraConfig(
            r=4, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():  # that there are two is what we want
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            made.network.add_adapter(settings, name)
    return made


def test_an_adapter_is_known_again_and_nothing_else_is(model: HuggingFaceModel) -> None:
    behaviour = behaviour_of(model, ("mine",), secret=SECRET, prompts=12, tried=100)
    assert behaviour.likeness(next_token_of(model, ("mine",))).agreed == 12
    assert behaviour.likeness(next_token_of(model, ("mine",))).chance == pytest.approx(UNRELATED**12)
    assert behaviour.likeness(next_token_of(model)).agreed == 0, "only prompts are kept on which the model differs"
    assert behaviour.likeness(next_token_of(model, ("other",))).chance > 0.1
    apart = behaviour_of(model, ("mine",), secret=SECRET, prompts=6, tried=60, others=("other",))
    assert apart.likeness(next_token_of(model, ("other",))).agreed == 0
    assert apart.likeness(next_token_of(model, ("mine",))).agreed == 6
    assert behaviour == behaviour_of(model, ("mine",), secret=SECRET, prompts=12, tried=100)
    assert behaviour.prompts != behaviour_of(model, ("mine",), secret=SECRET[::-1], prompts=12, tried=100).prompts


def test_what_changes_nothing_has_no_behaviour(model: HuggingFaceModel) -> None:
    with pytest.raises(ModelError, match="0 of 40"):
        behaviour_of(model, (), secret=SECRET, prompts=8, tried=40)
    with pytest.raises(ModelError, match="16 bytes"):
        behaviour_of(model, ("mine",), secret=b"short")


def test_asked_through_the_answers_of_the_model(model: HuggingFaceModel, tmp_path: Path) -> None:
    """Whoever can only ask for text gets the same tokens."""
    behaviour = behaviour_of(model, ("mine",), secret=SECRET, prompts=8, tried=100)

    def asked(prompt: object) -> int:
        return next(iter(model.stream(prompt, max_new_tokens=1, adapters=("mine",)))).id  # type: ignore[arg-type]

    assert behaviour.likeness(asked).agreed == 8
