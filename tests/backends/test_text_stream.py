"""Pieces of a stream, however they are cut, make the text of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.backends.text_stream import Detokeniser, StopStrings
from memos_integrations.core.errors import ModelError


def as_bytes(ids: Sequence[int]) -> str:
    """A tokenizer of one token per byte: characters beyond ASCII are spread over several tokens."""
    return bytes(ids).decode("utf-8", errors="replace")


@given(st.lists(st.integers(0, 255)))
def test_the_pieces_join_to_the_whole_even_where_bytes_make_no_text(ids: list[int]) -> None:
    words = Detokeniser(as_bytes)
    assert "".join([words.push(token) for token in ids] + [words.flush()]) == as_bytes(ids)


@given(st.text())
def test_no_character_is_shown_before_it_is_finished(text: str) -> None:
    words = Detokeniser(as_bytes)
    shown = ""
    for token in text.encode("utf-8", errors="replace"):
        shown += words.push(token)
        assert text.encode("utf-8", errors="replace").startswith(shown.encode())


def cut(text: str, stops: list[str]) -> str:
    """The text before the stop string that is complete first."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@given(
    st.lists(st.text("abc", max_size=4), max_size=12),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_a_stop_string_cuts_wherever_the_pieces_end(pieces: list[str], stops: list[str]) -> None:
    reader = StopStrings(stops)
    shown = ""
    stopped = False
    for piece in pieces:
        text, stopped = reader.push(piece)
        shown += text
        if stopped:
            break
    if not stopped:
        shown += reader.flush()
    assert shown == cut("".join(pieces), stops)


def test_text_that_cannot_become_a_stop_string_is_not_held_back() -> None:
    reader = StopStrings(["END"])
    assert reader.push("fine E") == ("fine ", False)
    assert reader.push("asy") == ("Easy", False)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ModelError, match="empty"):
        StopStrings([""])
