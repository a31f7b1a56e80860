"""Statements held against each other word by word: each signal, and what keeps two statements apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.contrast import contrast, frames_of


@pytest.mark.parametrize(
    ("older", "newer", "rule"),
    [
        ("I read the Tribune on Sundays.", "I cancelled the Tribune.", "it has ended"),
        ("The heating hums.", "The heating does not hum.", "it is denied"),
        ("The terrace is open.", "The terrace is closed.", "it is the opposite"),
        ("The ferry leaves at 7:10.", "The ferry now leaves at 7:40.", "it has changed"),
        ("The exam lasts 2 hours.", "I got it wrong, the exam lasts 3 hours.", "it is corrected"),
        ("We bake with Solis flour.", "We bake with rye instead of Solis flour.", "it names the former"),
        ("The toll is 5 euros.", "The toll is 6 euros.", "it measures otherwise"),
        ("I am waiting for the visa.", "The visa arrived today.", "it ends the state"),
        ("Rui is looking for a cellar.", "Rui has found a cellar.", "it ends the state"),
        ("Ines is pregnant.", "Ines gave birth on Friday.", "it ends the state"),
        ("Ines is in hospital.", "Ines is back from hospital.", "it ends the state"),
        ("The licence for the bar is valid.", "The licence for the bar was revoked on 3 May.", "it has ended"),
        (
            "Ms Ferro chairs the wine guild.",
            "Mr Lobo succeeded Ms Ferro as chair of the wine guild.",
            "it names the former",
        ),
        ("Ich spiele Harfe.", "Ich habe die Harfe verkauft.", "it has ended"),
        ("Billing runs on Umbra.", "Billing has moved to Solis.", "it has changed"),
        ("Budget for the fair: 9k.", "Kofi cut the fair budget to 7k.", "it has changed"),
        ("The grain is with Umbra.", "The grain is at Solis since May.", "it has changed"),
        ("Rui has not signed the lease.", "Rui signed the lease yesterday.", "it is denied"),
        ("We have three boats.", "We ordered two more boats.", "it is one more"),
    ],
)
def test_each_signal_is_told_by_its_name(older: str, newer: str, rule: str) -> None:
    found = contrast(newer, older)
    assert found is not None
    assert found.rule == rule
    assert (found.newer, found.older) == (newer, older)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Ines plays the harp.", "Bruno no longer plays the harp."),
        ("The east gate is open.", "The west gate is closed."),
        ("Rosa's rent is 700 euros.", "My rent is now 800 euros."),
        ("The deadline for Alder is 3 May.", "The deadline for Birch is now 9 May."),
        ("I run a bakery.", "I might close the bakery."),
        ("The pool is open on Mondays.", "The pool is closed this Monday."),
        ("I love my bakery.", 'A guest wrote: "I hate the bakery."'),
        ("I do not like plums.", "I hate plums."),
        ("We have a depot in Graz.", "We now have a depot in Linz."),
        ("I sell lamps.", "I now sell rugs too."),
        ("I love marzipan.", "I hate olives now."),
        ("I am allergic to figs.", "My son is not allergic to figs."),
        ("Mein Sohn spielt Harfe.", "Meine Tochter spielt nicht mehr Harfe."),
        ("I live in Graz.", "My parents moved to Linz."),
        ("The bakery in Graz closes at 5.", "The bakery in Linz now closes at 4."),
        ("Ida's band rehearses in a barn.", "Ida's old band broke up."),
        ("Crate 12 is waiting for the customs officer.", "The customs officer replied about crate 14."),
        ("The bakery is closed on Fridays.", "The cellar is open on Fridays."),
        ("My vintner is Dr. Lobo.", "My notary is now Dr. Ferro."),
        ("Ida and Rui share a barn.", "Ida had her own barn before she met Rui."),
        (
            "The whole crew works from the ground floor of the tower.",
            "The legal section has moved to the top floor of the tower.",
        ),
    ],
)
def test_nothing_is_said_of_what_can_stand_side_by_side(older: str, newer: str) -> None:
    assert contrast(newer, older) is None


def test_one_of_several_statements_is_doubtful_only() -> None:
    found = contrast("The terrace is closed.", "The terrace is open. It has forty seats.")
    assert found is not None
    assert found.weight == 1


def test_a_move_and_a_home_are_of_one_frame_and_of_one_holder() -> None:
    assert frames_of("I live in Turku.") == frames_of("We moved to Vaasa.") == (("@me", "@reside"),)
    assert frames_of("Ich wohne in Celle.") == (("@me", "@reside"),)
    assert frames_of("Ada lives in Turku.") != frames_of("I live in Turku.")


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_can_be_held_against_each_other(one: str, other: str) -> None:
    contrast(one, other)


@given(st.sampled_from(["I moved to Bari.", "The door is not locked.", "No more sugar for me.", "My bus is at 7 now."]))
def test_nothing_contradicts_itself(text: str) -> None:
    assert contrast(text, text) is None


def test_a_clause_without_a_subject_is_about_whom_the_one_before_is() -> None:
    assert contrast("I sold the Skoda and bought a Fiat.", "Jonas sold the Seat and bought a Skoda.") is None
    assert contrast("I sold the Volvo and bought a Seat.", "I own a Seat.") is None
    gone = contrast("I sold the Volvo and bought a Seat.", "I own a Volvo.")
    assert gone is not None
    assert gone.weight == 2


def test_a_part_is_not_the_whole_and_one_thing_not_another() -> None:
    whole = "The budget for the trade fair is 12,000 euros."
    assert contrast("We have spent 8,000 euros of the budget for the trade fair so far.", whole) is None
    assert contrast("The budget for the trade fair is now 8,000 euros.", whole) is not None
    assert contrast("My shoulder doesn't hurt any more.", "My knee hurts when I run.") is None
    assert contrast("My knee doesn't hurt any more.", "My knee hurts when I run.") is not None


def test_the_spanish_yes_is_no_if() -> None:
    assert contrast("Ahora sí bebo vino.", "No bebo vino.") is not None
    assert contrast("Ahora, si bebo vino, canto.", "No bebo vino.") is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("My loom is a Solis.", "I replaced the pedal of my loom."),
        ("My aunt lives in Bari.", "My aunt lost her ring in Bari."),
        ("The archive is on Mill Lane.", "The archive no longer lends films."),
        ("I take zinc drops.", "I've run out of zinc drops."),
        ("I have a nephew.", "My nephew does not eat plums."),
        ("I read biographies.", "I've finished the biography of Curie."),
        ("I play the zither.", "The zither teacher retired."),
        ("I use Umbra.", "I've changed the font in Umbra."),
        ("The barn is green.", "We've moved the plough to the barn."),
        ("The barn has a window.", "We had the tiles of the barn replaced."),
        ("The number of my phone is 744.", "Kofi changed the phone number to 800."),
        ("Ana works at Halvorsen.", "Ana has relocated from Bari to Porto."),
    ],
)
def test_news_of_something_of_it_retire_nothing(older: str, newer: str) -> None:
    assert contrast(newer, older) is None


def test_words_of_one_family_that_have_many_values_are_read() -> None:
    contrast("My visitors are outside.", "I visit him inside.")


def test_a_noun_that_begins_a_sentence_is_nobody() -> None:
    found = contrast("We upgraded the press to model 9.", "Press is model 7.")
    assert found is not None
    assert found.rule == "it has changed"
