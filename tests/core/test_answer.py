"""Answers without a model: what is asked, and the few words of a memory that say it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.answer import answered
from memos_integrations.core.answer.times import length_in, times_in
from memos_integrations.core.reader import QuestionType, read_by_rules
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2023, 7, 15, 12, tzinfo=UTC)  # a Saturday
ANA = Principal(tenant="acme", user="ana")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("I went there yesterday.", "14 July 2023"),
        ("I signed up two days ago.", "13 July 2023"),
        ("Last Friday I went to a meeting.", "Friday, 14 July 2023"),
        ("We had a picnic last week.", "the week before 15 July 2023"),
        ("Last weekend we went biking.", "the weekend before 15 July 2023"),
        ("We camped two weekends ago.", "two weekends before 15 July 2023"),
        ("I saw the doctor a few days ago.", "a few days before 15 July 2023"),
        ("I applied this week.", "the week of 15 July 2023"),
        ("Last month I got hurt.", "June 2023"),
        ("I read it last year.", "2022"),
        ("We will camp next month.", "August 2023"),
        ("It opens on 3 May 2024.", "3 May 2024"),
        ("We are planning a reunion next summer.", "summer 2024"),
    ],
)
def test_a_time_is_told_so_that_it_holds_on_any_day(said: str, told: str) -> None:
    assert times_in(said, NOW)[0][0] == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("I've known them for 4 years.", "4 years"),
        ("I paint since 2016.", "since 2016"),
        ("That was three days ago.", None),
        ("Nothing here.", None),
    ],
)
def test_a_length_of_time(said: str, told: str | None) -> None:
    assert length_in(said) == told


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When did Mia move?", QuestionType.WHEN),
        ("In which month did Mia move?", QuestionType.WHEN),
        ("How long has Mia lived there?", QuestionType.HOW_LONG),
        ("Who has the spare key?", QuestionType.WHO),
        ("Where does Mia live?", QuestionType.WHERE),
        ("Which city did Mia visit?", QuestionType.WHERE),
        ("How many cats does Mia have?", QuestionType.HOW_MANY),
        ("Does Mia have a cat?", QuestionType.YES_NO),
        ("Why did Mia move?", QuestionType.WHY),
        ("How did Mia travel?", QuestionType.HOW),
        ("What did Mia paint?", QuestionType.WHAT),
        ("Does Mia prefer tea or coffee?", QuestionType.WHAT),
        ("Which books has Mia read?", QuestionType.LIST),
        ("Summarise the meeting.", QuestionType.SUMMARY),
        ("Tell me where Mia lives.", QuestionType.WHERE),
        ("I moved to Lisbon.", None),
        ("hello", None),
    ],
)
def test_the_type_of_a_question(question: str, kind: QuestionType | None) -> None:
    assert read_by_rules(question, now=NOW).question_type == kind


@pytest.mark.parametrize(
    ("question", "asked_for", "of", "about", "time"),
    [
        ("Which book did Melanie read last summer?", "book", "Melanie", "read", "last summer"),
        ("How many cats does Mia have?", "cats", "Mia", None, None),
        ("What is my sister's name?", "name", "my sister", None, None),
        ("When did Mia move to Lisbon?", "time", "Mia", "move Lisbon", None),
        ("What colour is the boat?", "colour", "the boat", None, None),
        ("Which of my friends lives in Oslo?", "friends", "Oslo", "lives", None),
        ("Remind me what Ana's address is", "address", "Ana", None, None),
        ("What's Bob's wife called?", "name", "Bob's wife", None, None),
        ("What happened to the tent?", None, "", "happened tent", None),
        ("Whose birthday is in May?", "birthday", "", None, "May"),
    ],
)
def test_slots(question: str, asked_for: str | None, of: str, about: str | None, time: str | None) -> None:
    slots = read_by_rules(question, now=NOW).slots
    assert (slots.asked_for, slots.about, slots.time) == (asked_for, about, time)
    assert (slots.of or "").removeprefix("the ") == of.removeprefix("the ")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("When did I sign up for the pottery class?", "14 July 2023"),
        ("How many paddles does the canoe have?", "three"),
        ("Where is the spare key?", "the blue drawer"),
        ("Is the canoe insured?", "Yes"),
        ("When does the ferry leave?", "7:40"),
        ("From which pier does the ferry leave?", "6"),
    ],
)
def test_a_memory_answers(question: str, told: str) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        for text in (
            "I signed up for a pottery class yesterday.",
            "The canoe has three paddles.",
            "The spare key is in the blue drawer.",
            "The canoe is insured with Heron Mutual.",
            "The ferry leaves at 7:40 from pier 6.",
        ):
            memos.remember(text, by=ANA)
        answer = answered(memos.recall(question, by=ANA))
    assert told in answer.text
    assert answer.evidence is not None
    assert 0 < answer.confidence <= 1


def test_what_memory_does_not_know_is_not_answered() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        memos.remember("The canoe has three paddles.", by=ANA)
        answer = answered(memos.recall("When is the tax return of Brazil due?", by=ANA, needed=True))
        nothing = answered(memos.recall("hello", by=ANA))
    assert answer.abstained
    assert nothing.abstained
    assert answer.text == ""
    assert "Nothing" in str(answer)


HOUSEHOLD = (
    "I lent Marcus two hundred euros for the clutch of his car.",
    "Lotte plays the trombone, not the cello.",
    "We sold the tent to the couple at number six for ninety.",
    "The band stops at half past ten.",
    "My sister Mia moved to Oslo two weeks ago because of her new job.",
    "Ana's email is ana@example.org.",
    "My favourite colour is green.",
    "The cellar has twenty-five shelves.",
)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How much money did I lend Marcus?", "two hundred"),
        ("How many shelves does the cellar have?", "twenty-five shelves"),
        ("Does Lotte play the trombone?", "Yes"),
        ("Does Lotte play the cello?", "No"),
        ("Which instrument does Lotte play?", "trombone"),
        ("How much did we get for the tent?", "ninety"),
        ("When does the band stop?", "half past ten"),
        ("Where did my sister move to?", "Oslo"),
        ("Did Mia move to Oslo?", "Yes"),
        ("Did Mia move to Bergen?", ""),
        ("What is Ana's email address?", "ana@example.org"),
        ("What is my favorite color?", "green"),
    ],
)
def test_an_answer_is_the_words_asked_for_and_no_more(question: str, told: str) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        for text in HOUSEHOLD:
            memos.remember(text, by=ANA)
        assert memos.answer(question, by=ANA).text == told
