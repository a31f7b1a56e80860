"""What is written in one spelling is found by another; scripts without spaces are found by a word inside a run."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.text import keywords, terms
from memos_integrations.core.text.spellings import pairs

FOUND = {
    "a soft hyphen": ("Donau\u00addampf\u00adschiff", "Donaudampfschiff"),
    "a word joiner": ("foo\u2060bar", "foobar"),
    "a direction mark": ("abc\u200edef", "abcdef"),
    "a zero-width joiner": ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0dc1\u0dca\u0dbb\u0dd3"),
    "a non-joiner, asked for without": ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u0631\u0648\u0645"),
    "a non-joiner, asked for in two words": ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc \u0631\u0648\u0645"),
    "stretched": ("\u0645\u0640\u062d\u0640\u0645\u062f", "\u0645\u062d\u0645\u062f"),
    "decomposed": (unicodedata.normalize("NFD", "Caf\u00e9 Ti\u1ebfng"), "caf\u00e9 ti\u1ebfng"),
    "of full width": ("\uff21\uff22\uff23\uff11", "abc1"),
    "of half width": ("\uff76\uff8c\uff6a", "\u30ab\u30d5\u30a7"),
    "another script's digits": ("\u0e51\u0e52 \u0663", "12 3"),
    "an emoji": ("I love \U0001f355 a lot", "\U0001f355"),
    "an emoji in colour": ("\u2764\ufe0f", "\u2764"),
    "an emoji with a skin": ("up \U0001f44d\U0001f3fd", "\U0001f44d"),
    "a family": ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f467"),
    "a flag": ("in \U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1ea"),
    "Thai": (
        "\u0e09\u0e31\u0e19\u0e0a\u0e2d\u0e1a\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27\u0e1c\u0e31\u0e14",
        "\u0e02\u0e49\u0e32\u0e27\u0e1c\u0e31\u0e14",
    ),
    "Thai of one letter": ("\u0e40\u0e02\u0e32\u0e21\u0e32\u0e01\u0e34\u0e19", "\u0e21\u0e32"),
    "Thai in another order": ("\u0e19\u0e49\u0e33", "\u0e19\u0e4d\u0e49\u0e32"),
    "Thai with a space that is not seen": (
        "\u0e01\u0e34\u0e19\u200b\u0e02\u0e49\u0e32\u0e27",
        "\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27",
    ),
    "Lao": ("\u0ea1\u0eb1\u0e81\u0e81\u0eb4\u0e99\u0ec0\u0e82\u0ebb\u0ec9\u0eb2", "\u0ec0\u0e82\u0ebb\u0ec9\u0eb2"),
    "Khmer": (
        "\u1785\u17bc\u179b\u1785\u17b7\u178f\u17d2\u178f\u1789\u17c9\u17b6\u17c6\u1794\u17b6\u1799",
        "\u1794\u17b6\u1799",
    ),
    "Khmer signs in another order": ("\u1789\u17c6\u17b6\u17c9", "\u1789\u17c9\u17b6\u17c6"),
    "Burmese": (
        "\u1010\u1031\u102c\u103a\u1011\u1019\u1004\u103a\u1038\u1005\u102c\u1038",
        "\u1011\u1019\u1004\u103a\u1038",
    ),
}


@pytest.mark.parametrize("how", FOUND)
def test_it_is_found(how: str) -> None:
    written, asked = FOUND[how]
    assert terms(asked)
    assert set(terms(asked)) <= set(terms(f"{written} and more"))


def test_a_space_that_is_not_seen_parts_other_words() -> None:
    assert terms("kettle\u200bblue") == ["kettl", "blue"]


def test_english_is_taken_apart_as_before() -> None:
    assert terms("Ana\u2019s caf\u00e9 \u2014 \u201cblue kettles\u201d cost 12\u20ac") == [
        "ana",
        "cafe",
        "blue",
        "kettl",
        "cost",
        "12",
    ]


def test_keywords_are_no_single_letters() -> None:
    assert all(
        len(pairs(word)) > 1
        for word in keywords(
            "\u0e41\u0e21\u0e27\u0e02\u0e2d\u0e07\u0e09\u0e31\u0e19\u0e0a\u0e37\u0e48\u0e2d\u0e21\u0e30\u0e25\u0e34"
        )
    )


SCRIPTS = st.one_of(
    *(st.characters(min_codepoint=a, max_codepoint=b) for a, b in ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF)))
)


@given(st.text(SCRIPTS, max_size=40), st.text(max_size=20))
def test_every_spelling_of_a_text_has_the_same_terms(run: str, rest: str) -> None:
    text = f"{run} {rest}"
    told = terms(text)
    assert terms(unicodedata.normalize("NFD", text)) == told
    assert terms(unicodedata.normalize("NFC", text)) == told


@given(st.text(SCRIPTS, min_size=1, max_size=60))
def test_no_letter_of_a_run_is_lost(run: str) -> None:
    assert "".join(sorted("".join(pairs(run)[: len(pairs(run)) // 2 + 1]))) == "".join(sorted(run))
