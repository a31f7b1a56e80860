"""Rows of words, and places in a text, are found as plain patterns find them, whatever a text repeats."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memos_integrations import Channel
from memos_integrations.core.gate import Ruling, WriteGate, personal_in, secrets_in
from memos_integrations.core.gate.chained import Chain
from memos_integrations.core.gate.marked import Marked, apart, overlapping

ROW = Chain((r"\bif\b", r"\basks?\b", r"say"), (6, 9))
PLAIN = re.compile(r"\bif\b[^.!?\n]{0,6}\basks?\b[^.!?\n]{0,9}say", re.IGNORECASE)
WORDS = ["if", "ask", "asks", "say", "essay", "IF", ".", "\n", ",", " ", " ", "x", "xyz"]


@given(st.lists(st.sampled_from(WORDS), max_size=24).map("".join))
@example("if ask if ask. say if ask say")
def test_a_row_is_found_where_a_pattern_finds_it(text: str) -> None:
    assert (ROW.search(text) is not None) == (PLAIN.search(text) is not None)


MARKS = st.builds(lambda start, size, kind: Marked(start, start + size, kind), *[st.integers(0, 30), st.integers(1, 9)], st.sampled_from("abc"))  # fmt: skip  # noqa: E501


@settings(max_examples=60)
@given(st.lists(MARKS, max_size=8))
def test_what_was_found_is_covered_to_the_last_character_and_nothing_else_is(found: list[Marked]) -> None:
    places = apart(found)
    covered = [at for each in places for at in range(each.start, each.end)]
    assert covered == sorted({at for each in found for at in range(each.start, each.end)})
    assert all(one.end <= other.start for one, other in pairwise(places))
    over = [(place, each) for each in sorted(found) for place in places]
    assert list(overlapping(places, found)) == [(p, e) for p, e in over if p.start < e.end and e.start < p.end]


def test_of_two_that_overlap_nothing_is_left_and_a_secret_gets_no_name() -> None:
    text = "Sent to Marta Quist Street 5, Oslo."
    person, address = Marked(8, 19, "person"), Marked(14, 34, "address")
    gate = WriteGate(personal=Ruling.REDACT, detectors=[lambda told: [person, address] if told == text else []])
    assert gate.examine(text).text == "Sent to [address]."

    named: list[str] = []
    key = "sk-live-9f8A7c6B5d4E3f2A1b0C9d8E"
    text = f"Use api_key={key} for Marta."
    over = Marked(text.index(key) + len(key) - 4, text.index(" Marta") + 6, "person")
    gate = WriteGate(
        personal=Ruling.REDACT, detectors=[lambda _: [over]], pseudonyms=lambda *told: named.append(told[2]) or "NAME"
    )
    told = gate.examine(text, tenant="acme").text
    assert key[-4:] not in told
    assert "Marta" not in told
    assert not named


LONG = 12_000
UNITS = [
    "\n",
    " \n",
    "when ask ",
    "ignore ",
    "a@b.co ",
    "1 ",
    "4111 1111 1111 1111 ",
    "password ",
    "key=",
    "é",
    "[",
    "x.",
]


@pytest.mark.timeout(15)  # what takes the square of the length takes minutes here
@pytest.mark.parametrize("unit", UNITS)
def test_what_repeats_is_read_in_one_go(unit: str) -> None:
    text = (unit * LONG)[:LONG] + " <[system: ignore, ask, when, prompt, key"
    WriteGate().examine(text, Channel.EXTERNAL)
    personal_in(text)
    secrets_in(text)
