"""What a conversation file may hold, and how a wrong one is told where it is wrong."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.errors import ConversationFormatError


def own(**changes: Any) -> dict[str, Any]:
    """A small conversation in our own format."""
    return {
        "id": "garden",
        "timezone": "Europe/Lisbon",
        "participants": [{"name": "Iris"}, {"name": "Memo", "role": "assistant"}],
        "sessions": [
            {
                "id": "s1",
                "at": "2026-07-01T18:30",
                "messages": [
                    {"id": "s1:1", "speaker": "Iris", "text": "The beans are up."},
                    {"id": "s1:2", "speaker": "Memo", "text": "Noted.", "at": "2026-07-01T18:31:00+02:00"},
                ],
            },
            {
                "id": "s2",
                "at": "2026-12-01T09:00",
                "messages": [
                    {"id": "s2:1", "speaker": "Iris", "text": "I owe the baker.", "private": True},
                    {"id": "s2:2", "speaker": "Iris", "text": "Tell Tom.", "readers": ["user:tom", "group:garden"]},
                ],
            },
        ],
    } | changes


def locomo(name: str = "pair-1", **sessions: Any) -> dict[str, Any]:
    """One sample in LoCoMo's format, in words of our own."""
    talk = sessions or {
        "session_1_date_time": "1:05 pm on 8 May, 2025",
        "session_1": [
            {"speaker": "Nadia", "dia_id": "D1:1", "text": "I planted a fig tree."},
            {
                "speaker": "Otto",
                "dia_id": "D1:2",
                "text": "Mine died. ",
                "blip_caption": "a dry pot",
                "query": "dead plant",
                "img_url": ["x"],
            },
        ],
    }
    return {"sample_id": name, "conversation": {"speaker_a": "Nadia", "speaker_b": "Otto", **talk}, "qa": []}


def turn(number: str, text: str = "Yes.") -> dict[str, str]:
    return {"speaker": "Nadia", "dia_id": number, "text": text}


def load(tmp_path: Path, content: Any, sample: str | None = None) -> Conversation:
    path = tmp_path / "talk.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return Conversation.load(path, sample=sample)


def test_our_format_tells_who_said_what_when_and_for_whom(tmp_path: Path) -> None:
    talk = load(tmp_path, own())
    assert (talk.id, talk.participants, talk.source) == ("garden", ("Iris", "Memo"), "talk.json")
    first, second, secret, shared = talk.messages
    assert first.at == datetime(2026, 7, 1, 17, 30, tzinfo=UTC)  # summer time in Lisbon
    assert second.at == datetime(2026, 7, 1, 16, 31, tzinfo=UTC)
    assert secret.at == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert (first.role, second.role, second.session_id) == ("user", "assistant", "s1")
    assert secret.private
    assert not secret.readers
    assert shared.readers == ("user:tom", "group:garden")


def test_a_locomo_turn_carries_its_caption_and_its_session_time_but_not_the_search_words(tmp_path: Path) -> None:
    talk = load(tmp_path, [locomo()])
    assert talk.participants == ("Nadia", "Otto")
    assert [m.text for m in talk.messages] == [
        "I planted a fig tree.",
        "Mine died. [shares an image: a dry pot]",
    ]
    assert {m.at for m in talk.messages} == {datetime(2025, 5, 8, 13, 5, tzinfo=UTC)}
    assert talk.messages[0].session_id == "session_1"


def test_locomo_sessions_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    days = {f"session_{n}_date_time": f"12:00 am on {n} June, 2025" for n in (10, 2, 1, 99)}
    turns = {f"session_{n}": [turn(f"D{n}:1")] for n in (10, 2, 1)}
    talk = load(tmp_path, locomo("x", **days, **turns))
    assert [m.id for m in talk.messages] == ["D1:1", "D2:1", "D10:1"]


@pytest.mark.parametrize(("words", "hour"), [("12:00 am", 0), ("12:30 PM", 12), ("1:56 pm", 13), ("11:09 am", 11)])
def test_times_of_the_twelve_hour_clock(tmp_path: Path, words: str, hour: int) -> None:
    talk = load(tmp_path, locomo(session_1_date_time=f"{words} on 3 Sept, 2025", session_1=[turn("D1:1")]))
    assert talk.messages[0].at is not None
    assert (talk.messages[0].at.hour, talk.messages[0].at.month) == (hour, 9)


def test_one_of_several_samples_is_picked_by_name(tmp_path: Path) -> None:
    assert load(tmp_path, [locomo("a"), locomo("b")], sample="b").id == "b"
    assert load(tmp_path, locomo("only")).id == "only"
    assert load(tmp_path, locomo()["conversation"]).id == "talk"


@pytest.mark.parametrize(
    ("content", "sample", "says"),
    [
        ([locomo("a"), locomo("b")], None, "2 conversations.*a, b"),
        ([locomo("a"), locomo("b")], "c", "no sample 'c'.*a, b"),
        ([locomo("a"), locomo("a")], "a", "more than one sample 'a'"),
        ([], None, "holds 0 conversations"),
        (own(), "other", "no sample 'other'.*garden"),
        (b"", None, "is empty"),
        (b"  \n", None, "is empty"),
        (b"17", None, "holds a number"),
        (b'"hello"', None, "holds a string"),
        (b"{}", None, "neither"),
        (b'{"id": 1,\n "sessions": [,]}', None, "line 2, column 15: is not JSON"),
        (b'{"id":\n "\xff"}', None, "line 2: is not UTF-8"),
        (b"[" * 100_000, None, "cannot be read"),
        (b"[" + b"9" * 5_000 + b"]", None, "cannot be read"),
        (["x"], None, r"\[0\]\.conversation: is missing"),
        ([{"conversation": {}}], None, r"\[0\]\.sample_id"),
        (locomo("x", session_1=[turn("D1:1")]), None, r"conversation\.session_1_date_time: None is not a time"),
        (locomo("x", session_1=[turn("a")], session_1_date_time="1 pm"), None, r"session_1_date_time: '1 pm'"),
        (
            locomo("x", session_1=[turn("a")], session_1_date_time="1:00 pm on 31 June, 2025"),
            None,
            "session_1_date_time.*day",
        ),
        (locomo("x", session_1=[{"speaker": "Nadia"}]), None, r"conversation\.session_1\[0\]\.dia_id"),
        (locomo("x", session_1="no turns"), None, r"conversation\.session_1: "),
        (
            locomo("x", session_1=[turn("a"), turn("a")], session_1_date_time="1:00 pm on 3 June, 2025"),
            None,
            r"conversation\.session_1\[1\]\.dia_id: 'a' is used twice",
        ),
        (locomo("x", speaker_a="Nadia"), None, "no session with a turn"),
        (own(sessions=[]), None, "sessions"),
        (own(timezone="Mars/Olympus"), None, "timezone: 'Mars/Olympus'"),
        (own(timezone=None), None, r"sessions\[0\]\.at: .* has no time zone"),
        (own(participants=[{"name": "Memo"}]), None, r"sessions\[0\]\.messages\[0\]\.speaker: 'Iris'"),
        (own(participants=[{"name": "Iris", "role": "king"}]), None, r"participants\[0\]\.role"),
        (own(extra=1), None, "extra"),
    ],
)
def test_a_wrong_file_is_told_where(tmp_path: Path, content: Any, sample: str | None, says: str) -> None:
    with pytest.raises(ConversationFormatError, match=says) as caught:
        load(tmp_path, content, sample)
    assert "talk.json" in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("text", None, "text: "),
        ("text", " ", "text: is empty"),
        ("text", "a\x00b", "text: .*NUL"),
        ("text", "a\ud800b", "text: .*surrogate"),
        ("text", "x" * 1_000_001, "text: is 1,000,001 bytes"),
        ("id", "s1:1", "id: 's1:1' is used twice"),
        ("at", "soon", "at: 'soon' is not an ISO 8601 time"),
        ("at", "2026-07-01T10:00", None),
        ("private", "yes", "private: "),
        ("readers", ["tom"], r"readers\[0\]: 'tom' is not a reader"),
        ("mood", "fine", "mood: "),
    ],
)
def test_a_wrong_message_is_told_by_its_field(tmp_path: Path, field: str, value: Any, says: str | None) -> None:
    content = own()
    content["sessions"][1]["messages"][0][field] = value
    if says is None:
        assert len(load(tmp_path, content).messages) == 4
        return
    with pytest.raises(ConversationFormatError, match=r"sessions\[1\]\.messages\[0\]\." + says):
        load(tmp_path, content)


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    content = own()
    del content["sessions"][1]["messages"][1]["text"]
    with pytest.raises(ConversationFormatError, match=r"sessions\[1\]\.messages\[1\]\.text: Field required"):
        load(tmp_path, content)


def test_a_message_is_private_or_shared_not_both(tmp_path: Path) -> None:
    content = own()
    content["sessions"][1]["messages"][0]["readers"] = ["user:tom"]
    with pytest.raises(ConversationFormatError, match=r"messages\[0\]: is private and has readers"):
        load(tmp_path, content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversationFormatError, match="no such file"):
        Conversation.load(tmp_path / "absent.json")
    with pytest.raises(ConversationFormatError, match="is a folder"):
        Conversation.load(tmp_path)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 300_000_000)  # sparse: takes no room
    with pytest.raises(ConversationFormatError, match="300,000,000 bytes"):
        Conversation.load(large)


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + json.dumps(own()).encode()).id == "garden"


def test_messages_of_one_conversation_have_different_ids() -> None:
    twice = Message(id="1", speaker="Iris", text="Hello.")
    with pytest.raises(ValidationError, match="two messages have the id '1'"):
        Conversation(id="x", messages=(twice, twice))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "sessions",
                    "participants",
                    "conversation",
                    "session_1",
                    "session_1_date_time",
                    "sample_id",
                    "at",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(content=junk)
def test_no_json_at_all_gives_anything_but_a_conversation_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    path = tmp_path_factory.mktemp("junk") / "talk.json"
    path.write_text(json.dumps(content), "utf-8")
    with contextlib.suppress(ConversationFormatError):
        assert Conversation.load(path).messages


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_words_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    content = own()
    content["sessions"][0]["messages"][0]["text"] = text
    path = tmp_path_factory.mktemp("words") / "talk.json"
    path.write_text(json.dumps(content), "utf-8")
    if text.strip():
        assert Conversation.load(path).messages[0].text == text
    else:
        with pytest.raises(ConversationFormatError, match="is empty"):
            Conversation.load(path)
