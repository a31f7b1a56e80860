"""What is a repeat: the same words in the same order. Whatever may say something else is kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules, Evidence, Ruling, Verdict
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.operator import cited_context
from memos_integrations.core.text import same_words
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")

DIFFERENT = [
    ("Take the blue pills before meals.", "Take the blue pills after meals."),
    ("The freezer temperature is 5 degrees.", "The freezer temperature is -5 degrees."),
    ("My blood type is A+.", "My blood type is A-."),
    ("The account balance is 200 euros.", "The account balance is -200 euros."),
    ("The entry fee for the pool is $5.", "The entry fee for the pool is €5."),
    ("The alarm rings when x < 5.", "The alarm rings when x > 5."),
    ("Tom writes the parser in C.", "Tom writes the parser in C#."),
    ("Tom writes the parser in C#.", "Tom writes the parser in C++."),
    ("The serial of the router is abc-DEF.", "The serial of the router is ABC-def."),
    ("The slides are at bit.ly/AbC today.", "The slides are at bit.ly/abc today."),
    ("I water the orchid every day.", "I water the orchid every other day."),
    ("The side door is always locked.", "The side door is sometimes locked."),
    ("Dogs are only allowed in the garden.", "Dogs are also allowed in the garden."),
    ("Sweets at noon: Eva 5, Max 7.", "Sweets at noon: Eva 7, Max 5."),
    ("Indent the code with tabs, not spaces.", "Indent the code with spaces, not tabs."),
    ("The night train goes from Rome to Oslo.", "The night train goes from Oslo to Rome."),
    ("I like tea more than coffee.", "I like coffee more than tea."),
    ("Deploy to staging first, then to production.", "Deploy to production first, then to staging."),
    ("Rex gets 1 pill in the morning and 2 at night.", "Rex gets 2 pills in the morning and 1 at night."),
    ("Rex gets 1 pill in the morning and 2 at night.", "Rex gets 2 pill in the morning and 1 at night."),
    ("The discount on the sofa is 5%.", "The discount on the sofa is 5."),
    ("I have a few friends in Oslo.", "I have few friends in Oslo."),
    ("Kim is a boss at the shop.", "Kim is the boss at the shop."),
    ("The wifi password is Sunshine.", "The wifi password is sunshine."),
    ("The wifi password is sunshine!", "The wifi password is sunshine."),
    ("I just eat fish at home.", "I eat fish at home."),
    ("My aunt is moving to Polish villages.", "My aunt is moving to polish villages."),
    ("The picnic is on Sunday?", "The picnic is on Sunday."),
    ('Eva said "I am ill" on the phone.', "Eva said I am ill on the phone."),
    ("The tank holds 1.5 litres.", "The tank holds 15 litres."),
    ("The tank holds 10² litres.", "The tank holds 102 litres."),
    ("Note that Bill is due in March.", "bill is due in March."),
    ("I never had the measles.", "I had the measles."),
    ("We meet in the park on Fridays.", "We meet at the park on Fridays."),
    ("I live in Lisbon.", "I live in Lisbon half of the year."),
]

SAME = [
    ("My favourite colour is teal.", "My favorite color is teal."),
    ("My favourite colour is teal.", "  my favourite   colour is teal"),
    ("I'm allergic to peanuts.", "I am allergic to peanuts!"),
    ("Eva says I'm late for dinner.", "Eva says I am late for dinner."),
    ("I don't eat fish at home.", "I do not eat fish at home."),
    ("My phone number is 555-1.", "Just to repeat: my phone number is 555-1."),
    ("The Apollo deadline is May 5.", "Reminder: the Apollo deadline is May 5."),
    ("My dentist is Dr. Abreu.", "By the way, my dentist is Dr. Abreu."),
    ("My dentist is Dr. Abreu.", "Please remember that my dentist is Dr. Abreu."),
    ("Ana has three cats.", "Ana has 3 cats."),
    ("Eva said “I am ill” on the phone.", 'Eva said "I am ill" on the phone.'),
    ("The canoe was painted red.", "The canoe was painted red!"),
]

BOTH_ORDERS = [*DIFFERENT, *((newer, older) for older, newer in DIFFERENT)]
BOTH_WAYS = [*SAME, *((newer, older) for older, newer in SAME)]


def opened(judge: ConflictRules | None = None) -> MemOS:
    times = (datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(hours=hours) for hours in count())
    return MemOS(InMemoryVault(), conflicts=judge or ConflictRules(), clock=lambda: next(times))


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with opened() as memos:
        yield memos


@pytest.mark.parametrize(("older", "newer"), BOTH_ORDERS)
def test_what_says_something_else_is_not_merged_and_outlives_the_first(memos: MemOS, older: str, newer: str) -> None:
    first, second = memos.remember(older, by=ANA), memos.remember(newer, by=ANA)
    assert second.state is not State.MERGED
    assert newer in [hit.text for hit in memos.recall(newer, by=ANA).hits]
    assert memos.forget(first.id, by=ANA).repeats == ()
    assert memos.get(second.id, by=ANA).text == newer
    assert newer in [hit.text for hit in memos.recall(newer, by=ANA).hits]


@pytest.mark.parametrize(("older", "newer"), BOTH_ORDERS)
def test_both_are_evidence(older: str, newer: str) -> None:
    with MemOS(InMemoryVault()) as memos:
        texts = {memos.remember(text, by=ANA).text for text in (older, newer)}
        recall = memos.recall(f"{older} {newer}", by=ANA)
        assert {hit.text for hit in recall.hits} == texts
        assert cited_context(recall, token_budget=500).duplicates == 0


@pytest.mark.parametrize(("older", "newer"), BOTH_WAYS)
def test_a_repeat_is_merged_and_goes_with_what_it_repeats(memos: MemOS, older: str, newer: str) -> None:
    first, second = memos.remember(older, by=ANA), memos.remember(newer, by=ANA)
    assert second.state is State.MERGED
    assert memos.forget(first.id, by=ANA).repeats == (second.id,)
    with pytest.raises(CubeNotFoundError):
        memos.get(second.id, by=ANA)


class Merging(ConflictRules):
    """Finds that everything says the same."""

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        return Verdict(Ruling.MERGE, "it seems so", (Evidence(rule="seems"),))


@pytest.mark.parametrize(("older", "newer"), BOTH_ORDERS)
def test_what_a_judge_merged_although_it_says_something_else_comes_back(older: str, newer: str) -> None:
    with opened(Merging()) as memos:
        first, second = memos.remember(older, by=ANA), memos.remember(newer, by=ANA)
        assert second.state is State.MERGED
        receipt = memos.forget(first.id, by=ANA)
        assert (receipt.repeats, receipt.returned) == ((), (second.id,))
        assert [hit.text for hit in memos.recall(newer, by=ANA).hits] == [newer]


def test_the_same_words_told_at_another_time_may_claim_something_else(memos: MemOS) -> None:
    memos.remember("I live in Lisbon until Friday.", by=ANA)
    later = datetime(2026, 5, 2, 9, tzinfo=UTC)
    assert memos.remember("I live in Lisbon until Friday.", by=ANA, occurred_at=later).state is not State.MERGED


@given(st.text(alphabet="aAbI'+-<$5, .!?\n", max_size=12), st.text(alphabet="aAbI'+-<$5, .!?\n", max_size=12))
def test_it_does_not_matter_which_comes_first(one: str, other: str) -> None:
    assert same_words(one, one)
    assert same_words(one, other) == same_words(other, one)
    if same_words(one, other):
        assert [c for c in one if c in "+-<$5,?"] == [c for c in other if c in "+-<$5,?"]
