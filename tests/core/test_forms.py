"""Irregular forms: what no stemmer joins is found all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.operator.scopes import WORDS_EACH
from memos_integrations.core.text import forms, terms, with_forms
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")


@pytest.fixture(params=["sqlite", "memory"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) if request.param == "memory" else MemOS.open(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("asked", "said"),
    [("buy", "bought"), ("child", "children"), ("teach", "taught"), ("woman", "women"), ("swim", "swum")],
)
def test_forms_of_one_word_lead_to_each_other(asked: str, said: str) -> None:
    assert set(terms(said)) <= set(forms(*terms(asked)))
    assert set(terms(asked)) <= set(forms(*terms(said)))


def test_the_words_themselves_come_first_and_nothing_twice() -> None:
    assert with_forms(["buy", "kite", "bought", "buy"]) == ("buy", "kite", "bought")
    assert with_forms([]) == ()
    assert forms("kite") == ()
    assert all(each not in forms(each) for each in ("leav", "found", "lay"))


def test_a_question_in_the_plain_form_finds_what_was_said_in_the_past(memos: MemOS) -> None:
    for text in ("I bought a kite.", "The weather was fine.", "Shops close at six."):
        memos.remember(text, by=ANA)
    found = memos.recall("What did I buy?", by=ANA, k=3)
    assert found.hits[0].text == "I bought a kite."
    assert found.hits[0].parts["bm25"] > 0.0


def test_what_is_asked_for_little_is_chosen_among_as_much_as_what_is_asked_for_much(memos: MemOS) -> None:
    memos.remember_many([f"Kettle number {number} of the row." for number in range(WORDS_EACH + 60)], by=ANA)
    few, many = (memos.recall("Which kettle of the row?", by=ANA, k=k) for k in (1, 50))
    assert few.cost.candidates == many.cost.candidates >= WORDS_EACH
