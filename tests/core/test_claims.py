"""What statements claim, and what two of them are to each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.claims import claims_of
from memos_integrations.core.conflict import ConflictRules, Ruling, Verdict
from memos_integrations.core.operator import draft_memory

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("I live in Lisbon.", ("ana", "home", "Lisbon")),
        ("Ben is based in Madrid these days.", ("ben", "home", "Madrid")),
        ("The number of my dentist is 555-0192.", ("ana dentist", "phone", "555-0192")),
        ("My dentist's number is 555-0192.", ("ana dentist", "phone", "555-0192")),
        ("Ana's favorite color is teal.", ("ana favourite colour", "is", "teal")),
        ("Carla is my manager.", ("ana", "supervisor", "Carla")),
        ("I report to Carla.", ("ana", "supervisor", "Carla")),
        ("The Apollo deadline was pushed back to 14 June.", ("apollo deadline", "when", "14 June")),
        ("Apollo is due on 14 June.", ("apollo deadline", "when", "14 June")),
        ("Our rent went up to 950 euros.", ("ana", "rent", "950 euros")),
        ("dentist appt moved to 21 June", ("ana dentist appointment", "when", "21 June")),
        ("locker now 14", ("ana locker", "is", "14")),
        ("Server: upgraded from 8 GB to 32 GB", ("ana server", "is", "32 GB")),
        ("My bf is called Rui lol", ("ana", "partner", "Rui")),
        ("I live with my parents.", ("ana", "lives with", "my parents")),
        ("I live on my own.", ("ana", "lives with", "nobody")),
        ("i love figs now??", ("ana", "likes", "figs")),
        ("The retro moved to 10.", ("retro", "when", "at 10")),
        ("Ida is the head of procurement.", ("procurement head", "is", "Ida")),
    ],
)
def test_one_claim_however_it_is_put(text: str, claim: tuple[str, str, str]) -> None:
    found = {(each.subject, each.attribute, each.value) for each in claims_of(text, NOW, "Ana")}
    assert claim in found


@pytest.mark.parametrize(
    "text",
    [
        "If I move to Rome I'd be happy.",
        "I might move to Rome.",
        "I am thinking about working at Acme.",
        "Do I live in Rome?",
        "I wonder whether Ana lives in Rome.",
        "It rained all weekend.",
        "",
        "?!",
        "a" * 10_000,
    ],
)
def test_what_is_not_said_for_sure_claims_nothing(text: str) -> None:
    assert not [each for each in claims_of(text, NOW, "Ana") if each.attribute in {"home", "employer"}]


def test_a_claim_knows_its_time() -> None:
    (since,) = claims_of("Since May, Ben works at Initech.", NOW, "Ana")
    (until,) = claims_of("My sister lives in Rome until 2027.", NOW, "Ana")
    (moved,) = claims_of("I moved to Porto last week.", NOW, "Ana")
    assert since.since == datetime(2025, 5, 1, tzinfo=UTC)
    assert until.until == datetime(2027, 1, 1, tzinfo=UTC)
    assert moved.value == "Porto"
    assert moved.since == datetime(2026, 2, 23, tzinfo=UTC)


def verdict(older: str, newer: str) -> Verdict | None:
    cubes = [
        draft_memory(text, Caller(ANA, CallContext(), NOW + timedelta(days=day)), {}).cube
        for text, day in ((older, 0), (newer, 40))
    ]
    return ConflictRules().judge(cubes[1], cubes[0])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("I live in Seattle.", "I've relocated to Denver."),
        ("User works as a software engineer at Google.", "User now works as a product manager at Meta."),
        ("I'm a vegetarian.", "I eat meat now."),
        ("We use PostgreSQL for the main database.", "We migrated the main database from PostgreSQL to MySQL."),
        ("I am 29 years old.", "I just turned 30."),
        ("I am training for a half marathon.", "I'm no longer training for the half marathon."),
        ("Dana's email is dana@old.com.", "Dana's email changed to dana@new.org."),
        ("The meeting is on Tuesday at 3pm.", "The meeting has been moved to Wednesday at 10am."),
        ("I prefer window seats.", "I prefer aisle seats now."),
        ("My car is a Honda Civic.", "I bought a Toyota Prius to replace my Honda Civic."),
        ("Project Atlas is due March 15.", "The due date for Project Atlas was extended to April 2."),
        ("I hate cilantro.", "I actually love cilantro now."),
        ("I'm allergic to peanuts.", "Turns out I'm not allergic to peanuts."),
        ("My gym membership is active.", "I cancelled my gym membership."),
        ("The API rate limit is 100 requests per minute.", "The API rate limit was raised to 250 requests per minute."),
        ("I drink coffee.", "I switched from coffee to tea."),
        ("Petra is my manager.", "My manager changed from Petra to Tessa."),
    ],
)
def test_a_change_retires_what_it_replaces(older: str, newer: str) -> None:
    found = verdict(older, newer)
    assert found is not None
    assert found.ruling is Ruling.SUPERSEDE
    assert found.evidence[0].newer in newer
    assert found.evidence[0].older in older


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("I live in Seattle.", "I visited Denver last week."),
        ("My favorite food is pizza.", "My favorite drink is lemonade."),
        ("I like tea.", "I like coffee."),
        ("I prefer tea in the morning.", "I prefer coffee in the afternoon."),
        ("My sister lives in Rome.", "My brother lives in Oslo."),
        ("I work at Google.", "My wife works at Meta."),
        ("I live in Berlin.", "I was born in Paris."),
        ("I live in Rome.", "I want to move to Oslo next year."),
        ("My sister is Clara.", "My sister is Nora."),
        ("My wife is Clara.", "My wife moved to Rome."),
        ("I live in Portugal.", "I live in Lisbon, Portugal."),
        ("The train to Faro leaves at 7:40.", "The train to Porto leaves at 9:10."),
        ("My manager is nice.", "My manager is on holiday."),
        ("I joined a choir.", "I work at Google."),
        ("Ana is tired.", "Ana is happy."),
        ("I ran 5 km yesterday.", "I ran 10 km today."),
        ("Ben likes Ana.", "Ana likes Ben."),
    ],
)
def test_what_can_both_be_true_is_left_alone(older: str, newer: str) -> None:
    assert verdict(older, newer) is None


def test_what_is_only_partly_replaced_is_flagged() -> None:
    found = verdict("I live in Paris and work at Acme.", "I moved to Lisbon.")
    assert found is not None
    assert found.ruling is Ruling.FLAG
    assert "part" in found.reason


def test_the_same_in_other_words_is_merged() -> None:
    found = verdict("I live in Lisbon.", "As you know, I live in Lisbon.")
    assert found is not None
    assert found.ruling is Ruling.MERGE


def test_what_is_where_is_not_what_it_is() -> None:
    for text in ("My car is in the workshop.", "My manager is in Lisbon.", "My phone is on the shelf."):
        assert {each.attribute for each in claims_of(text, NOW, "Ana")} & {"vehicle", "supervisor", "phone"} == set()


def test_an_hour_without_a_half_of_the_day_may_be_either() -> None:
    assert verdict("The meeting is at 3.", "The meeting is at 15:00.") is None
    assert verdict("The meeting is at 3.", "The meeting moved to 4.") is not None
