"""`memos.extract` with a chat model as the extractor."""

from __future__ import annotations

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.errors import ModelError
from memos_integrations.langchain.reflection import ChatExtractor
from memos_integrations.vaults.memory import InMemoryVault
from tests.langchain.scripted import ScriptedModel, call

ANA = Principal(tenant="acme", user="ana")


def test_any_chat_model_draws_memories() -> None:
    answer = call("Reflections", memories=[{"text": "Ana prefers tea.", "sources": [0]}])
    with MemOS(InMemoryVault()) as memos:
        turn = memos.remember("I prefer tea.", by=ANA, semantic_type="message")
        drawn = memos.extract(ChatExtractor(ScriptedModel(lines=[answer])), by=ANA)
    assert [(cube.text, cube.provenance.derived_from) for cube in drawn] == [("Ana prefers tea.", (turn.ref,))]


def test_what_a_model_says_instead_is_refused() -> None:
    with MemOS(InMemoryVault()) as memos:
        memos.remember("I prefer tea.", by=ANA, semantic_type="message")
        with pytest.raises(ModelError):
            memos.extract(ChatExtractor(ScriptedModel(lines=["Sure! Here you go."])), by=ANA)
