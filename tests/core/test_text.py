"""What full-text search compares, and what is read out of a text without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.text import entities, estimate_tokens, keywords, sentences, stem, terms

# Pairs given in the published description of the algorithm, and the steps it names.
PORTER2 = {
    "consign": "consign", "consigned": "consign", "consigning": "consign", "consistency": "consist",
    "consolation": "consol", "conspicuously": "conspicu", "knack": "knack", "knavish": "knavish",
    "knightly": "knight", "knots": "knot", "caresses": "caress", "ties": "tie", "cries": "cri", "gas": "gas",
    "this": "this", "gaps": "gap", "kiwis": "kiwi", "agreed": "agre", "feed": "feed", "luxuriated": "luxuri",
    "hopping": "hop", "hoping": "hope", "bed": "bed", "cry": "cri", "by": "by", "say": "say", "happiness": "happi",
    "generate": "generat", "general": "general", "communism": "communism", "skies": "sky", "dying": "die",
    "news": "news", "inning": "inning", "proceed": "proceed", "exceeded": "exceed", "rational": "ration",
    "adjustment": "adjust", "controlling": "control", "youth": "youth", "sensibly": "sensibl",
    "archaeologist": "archaeolog",
    "added": "add", "past": "past", "yyy": "yyy",
}  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), PORTER2.items())
def test_a_word_is_stemmed_as_porter2_says(word: str, expected: str) -> None:
    assert stem(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ana was running in the parks", ["ana", "run", "park"]),
        ("Ana’s dogs", ["ana", "dog"]),
        ("five o'clock, don't", ["five", "clock"]),
        ("L’hiver, l'eau et d'accord: O'Brien's", ["hiver", "eau", "et", "accord", "brien"]),
        ("Crème BRÛLÉE", ["creme", "brule"]),
        ("ﬁne Łódź Straße", ["fine", "lodz", "strass"]),
        ("GPT-4 at 3.5 snake_case", ["gpt", "4", "3", "5", "snake", "case"]),
        ("to be or not to be", ["to", "be", "or", "not", "to", "be"]),
        ("run run", ["run", "run"]),
        ("東京に住む", ["東京", "京に", "に住", "住む"]),
        ("猫 and iPhone猫が", ["猫", "iphon", "猫が"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("👍 … !", []),
        ("May will call", ["may", "will", "call"]),
    ],
)
def test_texts_are_compared_by_these_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(("one", "other"), [("She moved", "moving"), ("Zoë", "ZOE"), ("wedding’s", "Weddings")])
def test_two_ways_to_write_a_word_meet(one: str, other: str) -> None:
    assert terms(one) == terms(other)


@given(st.text())
def test_any_text_gives_clean_terms_twice_the_same(text: str) -> None:
    found = terms(text)
    assert found == terms(text)
    assert all(term and not term.isspace() and "'" not in term for term in found)
    assert found == terms(text.upper().lower()) or not text.isascii()


@given(st.text(alphabet=st.characters()), st.integers(0, 9))
def test_no_text_breaks_the_readers_of_text(text: str, k: int) -> None:
    assert len(keywords(text, k)) <= k
    assert all(name for name in entities(text))
    assert all(sentence == sentence.strip() != "" for sentence in sentences(text))
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert estimate_tokens(text) >= (1 if text.strip() and not text.isspace() and text.isprintable() else 0)


def test_sentences_end_where_they_end() -> None:
    text = "Mr. Brown came at 3 p.m. He left. It costs 3.5 euros, e.g. now. Really?! J. R. Hill agreed\n"
    text += "New line. 東京。大阪！"
    assert sentences(text) == [
        "Mr. Brown came at 3 p.m.", "He left.", "It costs 3.5 euros, e.g. now.", "Really?!", "J. R. Hill agreed",
        "New line.", "東京。", "大阪！",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When did Noor join the NASA choir?", ("Noor", "NASA")),
        ("Noor went to Rome with Dr. Okafor and Ana-Maria.", ("Noor", "Rome", "Dr. Okafor", "Ana-Maria")),
        ("Did Ana visit the University of Vienna in March?", ("Ana", "University of Vienna")),
        ("Ask Maria about LangChain", ("Maria", "LangChain")),
        (
            "Write to ana@example.org, @bob_x or https://example.org/a.",
            ("ana@example.org", "@bob_x", "https://example.org/a"),
        ),
        ("I'm off on Monday. Dinner was great. Painting helps. OK?", ()),
        ("Ana and Bob moved", ("Ana", "Bob")),
        ("It was Bob’s. ANA saw BOB at NASA too", ("Bob", "ANA", "NASA")),
        ("WHERE DOES ANA LIVE", ()),
        ("Where is she? Zurich. I like Zurich", ("Zurich",)),
        ("a book by J. K. Hill and the iPhone", ("J. K. Hill", "iPhone")),
        ("Hi Ana! Yeah Bob, see you in June", ("Ana", "Bob")),
        ("Ludwig van Beethoven wrote this in May", ("Ludwig van Beethoven",)),
    ],
)
def test_names_are_found_and_sentence_openings_are_not(text: str, expected: tuple[str, ...]) -> None:
    assert entities(text) == expected


def test_tags_are_the_frequent_then_the_long_content_words() -> None:
    text = "I love running. Running with my dog in the park makes the dog happy; dogs run on 24 Fridays"
    assert keywords(text, 3) == ("running", "dog", "fridays")
    assert keywords("I really went there last week") == ()


def test_token_estimates_grow_with_the_text() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("Where does Ana live?") == 5
    assert estimate_tokens("2023-05-07") == 10
    assert estimate_tokens("東京") == 2
    assert estimate_tokens("a " * 100) == 100


@given(st.text(st.characters(codec="ascii"), max_size=80))
def test_plain_text_is_counted_as_it_is_beside_other_letters(text: str) -> None:
    assert estimate_tokens(text) == estimate_tokens(f"{text} é") - 1


def test_a_word_of_thousands_of_apostrophes_is_a_word() -> None:
    assert terms("a'" * 50_000 + "hiver") == terms("hiver")
