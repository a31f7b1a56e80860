"""Numbers that are spelled out digit by digit are found as those in digits are, and counting is no number."""

from __future__ import annotations

import pytest

from memos_integrations.core.gate import Ruling, WriteGate, personal_in


@pytest.mark.answers("ASI06 2", "AISVS 8.2.1")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("my card is four five three nine one four eight eight zero three four three six four six seven", "card"),
        ("Four one, one one, one one one one. one one one one, one one one one is the card", "card"),
        ("ring me: zero seven seven double zero nine double zero four six one", "phone"),
        ("call me at five five five, two six seven one oh nine", "phone"),
        ("my number is four one five 5 5 five two six seven one", "phone"),
        ("meine Nummer: null eins sieben sechs vier vier fünf fünf eins zwei neun acht", "phone"),
        ("mon numéro: zéro six un deux trois quatre cinq six sept huit", "phone"),
        ("llámame: seis uno dos tres cuatro cinco seis siete ocho", "phone"),
        ("ssn five three six nine zero four three nine nine", "us_ssn"),
        ("my passport number is five three six nine zero four three nine nine", "national_id"),
    ],
)
def test_a_number_in_words_is_found(text: str, kind: str) -> None:
    found = personal_in(text)
    assert [each.kind for each in found] == [kind]
    left = WriteGate(personal=Ruling.REDACT).examine(text).text
    assert f"[{kind}]" in left
    assert "four" not in left.casefold().split()


@pytest.mark.parametrize(
    "text",
    [
        "one two three four five six seven, all good children go to heaven, call them in",
        "the score went one two one two one two one",
        "order number four four four two two two nine nine",
        "I have one or two of four cats, six or seven left; call me",
        "call me in two or three days, or four",
        "ten nine eight seven six five four three two one, ring the bell",
        "we need one oh two tiles for the hall",
    ],
)
def test_counting_is_no_number_of_anybody(text: str) -> None:
    assert personal_in(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("french nr 06 12 34 56 78 ok?", "phone"),
        ("reach me on 91 98765 43210", "phone"),
        ("ABCPE1234F for taxes", "in_pan"),
        ("my sin is 046 454 286", "national_id"),
    ],
)
def test_what_the_seventh_set_showed(text: str, kind: str) -> None:
    (found,) = personal_in(text)
    assert found.kind == kind
    assert text[found.start : found.end].replace(" ", "").isalnum()
