"""What is indexed of a memory is not what is handed to a model: each has a form of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from memos_integrations import Conversation, MemOS, Message, Principal
from memos_integrations.core.operator import cited_context
from memos_integrations.core.operator.write import search_text
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
SAID = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.fixture
def memos() -> Iterator[MemOS]:
    said = (("1", "Idris", "Which wood did you take for the canoe?"), ("2", "Nora", "Larch,\nfrom the yard."))
    messages = tuple(Message(id=name, speaker=who, text=text, session_id="s", at=SAID) for name, who, text in said)
    with MemOS(InMemoryVault()) as opened:
        opened.ingest(Conversation(id="talk", messages=messages), by=ANA)
        yield opened


def test_a_memory_is_found_by_who_said_it_and_handed_out_as_it_was_said(memos: MemOS) -> None:
    hit = memos.recall("Nora", by=ANA, k=1, needed=True).hits[0]
    assert hit.text == hit.cube.text == "Larch,\nfrom the yard."
    assert search_text(hit.cube) == "Nora: Larch,\nfrom the yard."


def test_the_words_around_find_a_memory_and_are_not_handed_out_with_it(memos: MemOS) -> None:
    recall = memos.recall("the wood of the canoe", by=ANA, k=2, needed=True)
    answer = next(hit for hit in recall.hits if "Larch" in hit.text)
    assert answer.parts["context"] > 0.0
    assert answer.parts["bm25"] == 0.0
    assert "canoe" not in answer.text


def test_a_model_is_handed_dates_speakers_and_markers_that_no_index_holds(memos: MemOS) -> None:
    recall = memos.recall("Which wood is it?", by=ANA, k=2, needed=True)
    assert "- [2026-03-09] Nora: Larch, from the yard." in recall.text.splitlines()
    assert cited_context(recall).text.splitlines()[1].startswith("[2] (2026-03-09) Nora: ")
    assert not memos.recall("2026-03-09", by=ANA, k=2, needed=True).hits or all(
        hit.parts.get("bm25", 0.0) == 0.0 for hit in memos.recall("2026-03-09", by=ANA, k=2, needed=True).hits
    )


def test_a_long_memory_is_indexed_whole_and_handed_out_in_part(memos: MemOS) -> None:
    memos.remember("rope " * 400 + "the winch is under the deck " + "sail " * 400, by=ANA)
    recall = memos.recall("Where is the winch?", by=ANA, k=1, token_budget=80)
    assert "the winch is under the deck" in recall.text
    assert recall.token_count <= 80
    assert len(recall.hits[0].text) > 4_000 > len(recall.text)
