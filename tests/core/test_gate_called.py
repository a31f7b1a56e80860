"""Phone numbers in the groups of any country, and cards and account numbers that a word beside them tells."""

from __future__ import annotations

import pytest

from memos_integrations.core.gate import personal_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Phone:\n60-56-85-91", "60-56-85-91"),
        ("Can someone call me on 9472 7916?", "9472 7916"),
        ("You can reach Dana at 24410 65 034 after six.", "24410 65 034"),
        ("text (0121)4960295 when you land", "(0121)4960295"),
        ("her new number: 62/296-0836", "62/296-0836"),
        ("call me on 03/ 111 10 21, please", "03/ 111 10 21"),
        ("My phone number is 8 551 416 14 25.", "8 551 416 14 25"),
        ("416 60 039 office", "416 60 039"),
        ("Emergency contact: my brother, 1338 7607", "1338 7607"),
        ("you can call 33 93 31", "33 93 31"),
        ("001-748-088-2851x818 is the desk", "001-748-088-2851x818"),
        ("She left (790)091-7442 with us", "(790)091-7442"),
        ("+90(311)109-7817x460", "+90(311)109-7817x460"),
    ],
)
def test_a_number_beside_a_label_is_a_phone_in_whatever_groups(text: str, number: str) -> None:
    assert [(text[found.start : found.end], found.kind) for found in personal_in(text)] == [(number, "phone")]


@pytest.mark.parametrize(
    ("text", "number", "kind"),
    [
        ("I have lost my card 180016070420458.", "180016070420458", "card"),
        ("What is the limit for card 501864667909?", "501864667909", "card"),
        ("paid with 676371115897 yesterday", "676371115897", "card"),
        ("My IBAN is GB97JWWF1620883635029 at the bank", "GB97JWWF1620883635029", "iban"),
        ("iban: RU26 6872 2179 8261 41", "RU26 6872 2179 8261 41", "iban"),
    ],
)
def test_a_word_beside_it_tells_a_card_or_an_account(text: str, number: str, kind: str) -> None:
    assert [(text[found.start : found.end], found.kind) for found in personal_in(text)] == [(number, kind)]


@pytest.mark.parametrize(
    "text",
    [
        "reached 10 000 000 users",
        "call between 2019-2024",
        "call on 12-05-24",
        "call me on 3 12 2025",
        "call me between 10 30 and 11 45",
        "order 123-456-7890",
        "the phone cost 1 299 000 won",
        "ring size 52 54 56",
        "fax sales fell 20-30-40",
        "score was 21-14-7-3",
        "mobile 5 10 15 20 25 30 minutes",
        "useful tips: 10 20 30 40 50",
        "the ticket 501864667909 was scanned",
        "the iban of that bank is long",
    ],
)
def test_dates_counts_and_goods_are_none(text: str) -> None:
    assert personal_in(text) == []


@pytest.mark.parametrize("piece", ["1 ", "(1)", "12-", "call ", "(0", "123-456-7890x", "IBAN ", "1/ "])
def test_long_runs_of_what_numbers_are_made_of_are_read_to_the_end(piece: str) -> None:
    assert all(found.end <= len(piece) * 3000 for found in personal_in(piece * 3000))
