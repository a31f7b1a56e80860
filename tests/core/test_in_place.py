"""One value in the place of another, without a word of change; and what stands beside what was told."""

from __future__ import annotations

import pytest

from memos_integrations.core.conflict import Ruling
from memos_integrations.core.conflict.in_place import takes_its_place
from memos_integrations.core.conflict.swapped import swap_of
from memos_integrations.core.contrast import contrast
from tests.core.test_conflict_pairs import Pair, ruled


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The hen sleeps in the barn.", "The hen sleeps in the kitchen."),
        ("Guests may stay for two nights a month.", "Guests may stay for five nights a month."),
        ("The rota belongs to the night team.", "The rota belongs to the day team now."),
        ("The jury meets every week.", "The jury meets every three weeks."),
        ("The jury meets every other Friday.", "The jury meets once a month."),
        ("Our ferry leaves from pier 3.", "Our ferry leaves from pier 8."),
        ("Rui edits the chronicle.", "The chronicle is edited by Signe."),
        ("The trust has its seat in Turku.", "The trust's seat is in Oulu."),
        ("I drink my cocoa with cream.", "I drink my cocoa plain."),
        ("My tablet runs Windows.", "My tablet runs Linux."),
    ],
)
def test_one_value_in_the_place_of_another_is_flagged(older: str, newer: str) -> None:
    assert takes_its_place(newer, older)
    assert ruled(Pair("", True, older, newer)) == {Ruling.FLAG}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("I play chess.", "I play darts."),
        ("Rui works in Turku.", "Rui works in Oulu."),
        ("The hen sleeps in the barn.", "The goat sleeps in the kitchen."),
        ("There are six seats in the front row.", "There are nine seats in the back row."),
        ("The hen slept in the barn.", "The hen slept in the kitchen."),
        ("I swim twice a week.", "I swam four times last week."),
        ("The pass costs 10 euros a month.", "The pass costs 120 euros a year."),
        ("The film lasts two hours.", "The film lasts 120 minutes."),
        ("A friend of mine sleeps in the attic.", "A friend of mine sleeps in the cellar."),
        ("The essay is for Signe.", "The essay is about whales."),
        ("The jury meets in Turku.", "The jury also meets in Oulu."),
        ("I have a call at 10.", "I have a call at 14."),
        ("The call is at 3.", "The call is at 15:00."),
        ("Rui plays the harp.", "Signe plays the harp."),
        ("Rui teaches chess.", "Signe teaches chess."),
        ("Reminder: 10 eggs", "Reminder: 2 loaves"),
    ],
)
def test_what_can_be_so_in_several_ways_stands(older: str, newer: str) -> None:
    assert not takes_its_place(newer, older)


def test_words_are_laid_side_by_side_without_what_says_that_it_is_so_now() -> None:
    swap = swap_of("The hen sleeps in the kitchen now.", "The hen sleeps in the barn.")
    assert swap is not None
    assert (swap.before, swap.newer, swap.older) == (("hen", "sleeps", "in"), ("kitchen",), ("barn",))
    assert swap_of("It rained. The hen slept.", "The hen sleeps.") is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The choir tour costs 120 euros.", "There are places left on the choir tour."),
        ("The boat has new sails.", "The boat has done 900 miles."),
        ("The rehearsal is at 9:30.", "We have our rehearsal at half past nine."),
        ("Signe is on parental leave.", "Signe has gone on parental leave."),
        ("The archive takes volunteers.", "Repair of the archive roof is over."),
        ("The barn door is locked.", "Beans grow behind the barn."),
        ("The ledger is on hold.", "Rui passed the ledger on to Signe."),
        ("The ledger is kept on paper.", "The ledger's price was raised to 40 euros."),
        ("Orion runs Debian.", "The wiki is hosted on Lyra instead of Orion."),
        ("The pump's gauge is broken.", "The pump runs on diesel."),
        ("Rui doesn't drink alcohol.", "Rui drinks a lot of lemonade."),
        ("Our dog eats dry food.", "Our cat eats wet food."),
        ("I lost my keys.", "My keys are lost."),
        ("The hall on floor 3 is closed.", "The hall on floor 2 is open."),
        ("Signe is based in the Turku mill.", "Signe works out of the Turku mill."),
        ("The red wool is out of stock.", "The red wool is sold out."),
    ],
)
def test_what_tells_of_no_end_and_no_change_leaves_what_was_told(older: str, newer: str) -> None:
    found = contrast(newer, older)
    assert found is None or found.weight < 2
    assert Ruling.SUPERSEDE not in ruled(Pair("", False, older, newer))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("The bill is unpaid.", "The bill has not been paid."),
        ("The well is closed.", "The well is not open."),
        ("The lift does not work.", "The lift is out of order."),
        ("The guided tour is free.", "The guided tour costs nothing."),
    ],
)
def test_the_same_in_words_of_denial_is_no_contradiction(older: str, newer: str) -> None:
    assert ruled(Pair("", False, older, newer)) == set()


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Goats are not allowed in the shop.", "Goats are welcome in the shop."),
        ("Rui's coach is Ada Lund.", "Rui has a new coach named Tor Vik."),
        ("The pump is out of order.", "The pump has been repaired."),
        ("Our rent is 700 euros.", "The landlord put the rent up to 760 euros."),
        ("The crew has no cook.", "The crew hired a cook."),
    ],
)
def test_changes_in_other_words_are_found(older: str, newer: str) -> None:
    assert ruled(Pair("", True, older, newer))
