"""What a question says of the memories it wants beside what they are about, and what recall makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from memos_integrations import Conversation, MemOS, Message, Principal
from memos_integrations.core.cube import Channel, Trust, TrustLabel
from memos_integrations.core.reader import read_by_rules
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("What is the latest on the boiler?", ("recency",)),
        ("Where do I currently work?", ("recency",)),
        ("Which phone do I use these days?", ("recency",)),
        ("What is my most recent address?", ("recency",)),
        ("What are the most important things about the trip?", ("importance",)),
        ("Which tasks have a high priority?", ("importance",)),
        ("What do we know for sure about the leak?", ("trust",)),
        ("Is the date confirmed?", ("trust",)),
        ("Which recipe do I ask for most often?", ("heat",)),
        ("What is most frequently needed in the workshop?", ("heat",)),
        ("Which shop sells the newest and most reliable pumps?", ("recency", "trust")),
        ("When did the boiler break?", ()),
        ("Which book was she currently reading in May?", ()),
        ("How long have I had my current job?", ()),
        ("What did Ana read about current affairs?", ()),
        ("Why is sleep important to her?", ()),
        ("How often does he swim?", ()),
        ("Who used the saw last summer?", ()),
    ],
)
def test_what_of_the_header_is_asked_for(prompt: str, asked: tuple[str, ...]) -> None:
    assert read_by_rules(prompt, now=NOW).asks_for == asked


@pytest.mark.parametrize(
    ("prompt", "whose"),
    [
        ("What did you recommend against the rust?", "assistant"),
        ("Which glue have you suggested?", "assistant"),
        ("What was your advice about the roof?", "assistant"),
        ("Remind me what you said about the roof.", "assistant"),
        ("What did I tell you about the roof?", "user"),
        ("Have I mentioned my allergies?", "user"),
        ("What was my question about the roof?", "user"),
        ("What did you answer when I asked about the roof?", None),
        ("What did Noor recommend?", None),
        ("Where is the key?", None),
    ],
)
def test_whose_words_are_asked_for(prompt: str, whose: str | None) -> None:
    assert read_by_rules(prompt, now=NOW).statement_of == whose


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as opened:
        yield opened


def best(memos: MemOS, question: str) -> str:
    return memos.recall(question, by=ANA, k=1, needed=True, now=NOW).hits[0].text


def test_the_latest_stands_first_where_it_is_asked_for(memos: MemOS) -> None:
    memos.remember("My phone is a Pixel, a phone with a cracked screen.", by=ANA, occurred_at=NOW - timedelta(days=300))
    memos.remember("My phone is a Fairphone now, since the other one was cracked for good.", by=ANA, occurred_at=NOW)
    memos.remember("The tomatoes are ripe.", by=ANA, occurred_at=NOW)
    assert "Pixel" in best(memos, "Which phone is mine?")
    assert "Fairphone" in best(memos, "Which phone is currently mine?")


def test_what_was_given_priority_stands_first_where_the_important_is_asked_for(memos: MemOS) -> None:
    memos.remember("For the trip: trip snacks for the trip.", by=ANA)
    memos.remember("For the trip the passports have to be renewed by May.", by=ANA, priority=20)
    assert "snacks" in best(memos, "What about the trip?")
    assert "passports" in best(memos, "What is the most important thing about the trip?")


def test_what_is_verified_stands_first_where_the_sure_is_asked_for(memos: MemOS) -> None:
    memos.remember("The leak comes from the roof.", by=ANA)
    memos.remember(
        "The leak comes from the bathroom pipe behind the tiles.",
        by=ANA,
        trust=Trust(channel=Channel.USER, label=TrustLabel.UNVERIFIED),
    )
    sure = memos.remember("The leak comes from the gutter, which the plumber has opened.", by=ANA)
    memos.verify([sure.id], by=Principal(tenant="acme", user="vera", roles=frozenset({"verifier"})))
    assert "roof" in best(memos, "Where does the leak come from?")
    assert "gutter" in best(memos, "What is verified about the leak?")


def test_what_is_often_recalled_stands_first_where_the_warm_is_asked_for() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW, read_audit="strict") as memos:
        memos.remember("A recipe, the recipe of recipes: plum cake.", by=ANA)
        memos.remember("The recipe for lentil soup with vinegar and bay leaves.", by=ANA)
        for _ in range(5):
            memos.recall("lentil soup vinegar bay", by=ANA, k=1, needed=True)
        assert "plum" in best(memos, "Which recipe is there?")
        assert "lentil" in best(memos, "Which recipe do I ask for most often?")


def test_the_words_of_the_one_who_is_asked_after_stand_first(memos: MemOS) -> None:
    said = [
        ("user", "Against the rust I thought of oil, rust is rust, and oil is cheap."),
        ("assistant", "Against the rust on the gate phosphoric acid helps, then paint it within a day."),
        ("user", "Good. And the roof?"),
        ("assistant", "The roof can wait until the spring."),
    ]
    messages = tuple(
        Message(id=str(place), speaker=role, role=role, text=text, session_id="s", at=NOW)  # type: ignore[arg-type]
        for place, (role, text) in enumerate(said)
    )
    memos.ingest(Conversation(id="gate", messages=messages), by=ANA)
    assert "oil" in best(memos, "What did I say against the rust?")
    assert "acid" in best(memos, "What did you recommend against the rust?")
