"""Signs of a contradiction, weighed together: what they find that no rule reads, and what they leave alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.claims import claims_of
from memos_integrations.core.conflict import ConflictRules, Ruling
from memos_integrations.core.conflict.signs import of_one_matter, signs_of, words_in
from memos_integrations.core.conflict.weighed import is_likely, weighed
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
SAID = datetime(2026, 3, 2, 9, tzinfo=UTC)


def likely(older: str, newer: str) -> bool:
    return is_likely(newer, older, *(claims_of(text, SAID, "ana") for text in (newer, older)))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The oven in the bakery is broken.", "Somebody came by and the oven in the bakery works again."),
        ("The quay is closed for repairs.", "The quay is open again, the repairs are done."),
        ("Our choir has no pianist.", "We found a pianist for the choir at last."),
    ],
)
def test_signs_find_what_is_told_in_other_words(older: str, newer: str) -> None:
    assert likely(older, newer)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The oven in the bakery is broken.", "The oven in the bakery is broken."),
        ("The oven in the bakery is broken.", "The bakery sells rye bread."),
        ("Ruth plays the harp.", "Tomas no longer plays the harp."),
        ("I drink mint tea in the morning.", "The ferry was late again this morning, so I walked."),
        ("Rosa might move to Ghent one day.", "Rosa has moved to Bremen."),
        ("Ines works for Umbra.", "Ines has stopped playing the harp."),
    ],
)
def test_signs_leave_alone_what_is_told_twice_or_of_another_matter(older: str, newer: str) -> None:
    assert not likely(older, newer)


def test_what_is_found_by_signs_alone_is_flagged_and_both_stay() -> None:
    older, newer = (
        "The quay is closed for repairs.",
        "Somebody came by, and the quay is in use again after the repairs.",
    )
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=lambda: SAID) as memos:
        first = memos.remember(older, by=ANA)
        second = memos.remember(newer, by=ANA)
        (decision,) = memos.decisions(second.id, by=ANA)
        assert (decision.ruling, decision.rules) == (Ruling.FLAG, ("many signs together",))
        assert memos.get(first.id, by=ANA).state is first.state


def test_a_page_is_not_weighed() -> None:
    older = "The quay is closed for repairs."
    page = "Somebody came by, and the quay is in use again after the repairs." + " The soup was hot." * 16
    assert likely(older, page)
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=lambda: SAID) as memos:
        memos.remember(older, by=ANA)
        assert not memos.decisions(memos.remember(page, by=ANA).id, by=ANA)


def test_names_and_figures_are_read_as_what_they_are() -> None:
    assert words_in("We moved to Ghent on Friday, at 9.") == ("we", "move+", "to", "@name", "on", "@day", "at", "#")


def test_the_order_of_signs_does_not_count() -> None:
    signs = sorted(signs_of("The quay is open again.", "The quay is closed.", (), ()))
    assert weighed(signs) == weighed(reversed(signs))


def test_what_is_only_about_the_same_one_or_time_is_of_two_matters() -> None:
    assert of_one_matter("The quay is open.", "The quay is closed.", (), ())
    assert not of_one_matter("I walk in the morning.", "I drink tea in the morning.", (), ())
    assert not of_one_matter("The quay is open.", '"The quay is closed", wrote Rui.', (), ())
