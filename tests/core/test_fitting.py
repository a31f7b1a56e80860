"""How the weights of a recall follow what one question and its material are like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.operator.evidence import (
    OF_A_VECTOR,
    OF_STRANGE_WORDS,
    Candidate,
    around_by_tokens,
    as_scored,
    held_share,
    in_shape,
    sessions_of,
)
from memos_integrations.core.operator.telling import units_of
from memos_integrations.core.operator.traits import traits_of
from memos_integrations.core.ranking import best_of_sessions, likeness_in_sessions, strangeness, unread
from memos_integrations.testing.cubes import cube

WEIGHTS = {"late": 0.4, "late_before": 0.4, "late_session": 0.2, "session": 0.15, "context": 0.05, "bm25": 0.05}
WEIGHTS |= {"dense": 0.05}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The kettle is blue.", 5),
        ("Wo liegt's?", 5),
        ("車の鍵は?", 5),
        ("車 keys", 2),
        ("a_b", 3),
        ("", 0),
        ("🫖 3.14", 4),
    ],
)
def test_words_and_signs_are_counted_and_characters_where_no_spaces_are(text: str, units: int) -> None:
    assert units_of(text) == units


@pytest.mark.parametrize(
    ("asked", "told", "strange"),
    [
        ((11, 10), [(52, 50), (30, 28)], 0.0),
        ((19, 10), [(17, 10), (18, 10)], 1.0),
        ((15, 10), [(30, 20), (15, 10)], 0.5),
        # A name in a plain question, and a plain question over code.
        ((19, 10), [(52, 50)], 0.0),
        ((11, 10), [(40, 20)], 0.0),
        # The ends of the longest are cut: they do not tell.
        ((19, 10), [(256, 400), (256, 300)], 1.0),
        ((19, 10), [(256, 400), (180, 100)], 1.0),
        ((19, 10), [], 1.0),
        ((0, 0), [], 0.0),
    ],
)
def test_a_language_that_is_cut_into_pieces_on_both_sides_is_strange(
    asked: tuple[int, int], told: list[tuple[int, int]], strange: float
) -> None:
    assert strangeness(asked, told) == pytest.approx(strange)


@pytest.mark.parametrize(
    ("asked", "told", "share"),
    [
        ([7, 7, 7, 1], [7, 7, 7, 2] * 20, 1.0),  # three of four are the token for what there is no token for
        ([7, 7, 3, 4, 5], [7, 7, 3, 8, 9] * 20, 2 / 3),
        ([7, 7, 7, 1], [7, 2, 3, 4, 5, 6] * 20, 0.0),  # the memories are read
        ([7, 1, 2, 3], [7, 7, 7, 2] * 20, 0.0),  # so is the question
        ([7, 7, 7, 1], [7, 7, 7, 2] * 15, 0.0),  # too few to tell
        ([], [7, 7] * 40, 0.0),
    ],
)
def test_what_is_not_read_is_one_and_the_same_on_both_sides(asked: list[int], told: list[int], share: float) -> None:
    assert unread(np.array(asked, dtype=np.int64), [np.array(told, dtype=np.int64)]) == pytest.approx(share)


def test_likeness_in_sessions_by_hand() -> None:
    sessions = np.array([1, 1, 2, 2])
    assert likeness_in_sessions(np.array([1.0, 1.0, 0.0, 0.0]), sessions) == pytest.approx(1.0)
    assert likeness_in_sessions(np.array([1.0, 0.0, 1.0, 0.0]), sessions) == pytest.approx(-1.0)
    # Two of three in one session; between 2 * (1/4 + 1/4) = 1, within (1/2 + 1/2) / 2 = 1/2.
    assert likeness_in_sessions(np.array([2.0, 1.0, 1.0, 0.0]), sessions) == pytest.approx((1 - 0.5) / (1 + 0.5))


@pytest.mark.parametrize("sessions", [[0, 0, 0], [1, 1, 1], [1, 2, 3], [0, 1, 2], []])
def test_nothing_is_alike_where_no_sessions_can_be_compared(sessions: list[int]) -> None:
    numbers = np.array(sessions, dtype=np.int64)
    assert likeness_in_sessions(np.arange(numbers.size, dtype=np.float64), numbers) == 0.0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=20))
def test_likeness_is_at_most_one_and_no_order_changes_it(told: list[tuple[int, float]]) -> None:
    scores, sessions = (np.array([each[at] for each in told]) for at in (1, 0))
    found = likeness_in_sessions(scores, sessions.astype(np.int64))
    assert np.isfinite(found)
    assert found <= 1.0 + 1e-9
    turned = likeness_in_sessions(scores[::-1], sessions[::-1].astype(np.int64))
    assert turned == pytest.approx(found, abs=1e-6)


def test_a_session_counts_its_best_three() -> None:
    found = best_of_sessions(np.array([1.0, 0.8, 0.6, 0.1, 0.5, 0.9]), np.array([1, 1, 1, 1, 2, 0]))
    assert found == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.5, 0.0])


def scored(dense: list[float], late: list[float]) -> dict[str, np.ndarray]:
    return {"dense": np.array(dense), "late": np.array(late)}


FLAT, PEAK = [0.0, 0.25, 0.5, 0.75, 1.0] * 8, [1.0] + [0.1, 0.15] * 20
UNTOLD = np.zeros(41, dtype=np.int64)


def test_a_vector_that_stands_out_counts_more_and_words_less() -> None:
    flat = as_scored(WEIGHTS, scored(FLAT, FLAT), np.zeros(40, dtype=np.int64))
    assert flat == WEIGHTS
    plain = as_scored(WEIGHTS, scored(PEAK, PEAK), UNTOLD)
    assert plain["dense"] == pytest.approx(WEIGHTS["dense"] + OF_A_VECTOR)
    assert plain["bm25"] == plain["context"] == 0.0
    assert {name: plain[name] for name in ("late", "late_before", "session")} == {
        name: WEIGHTS[name] for name in ("late", "late_before", "session")
    }


def test_a_vector_of_a_strange_language_does_not() -> None:
    assert as_scored(WEIGHTS, scored(PEAK, PEAK), UNTOLD, strange=1.0) == WEIGHTS


def test_a_session_whose_messages_are_not_alike_does_not_count() -> None:
    sessions = np.array([1, 1, 2, 2])
    alike = as_scored(WEIGHTS, scored([0.5] * 4, [1.0, 0.9, 0.1, 0.0]), sessions)
    assert alike == WEIGHTS
    apart = as_scored(WEIGHTS, scored([0.5] * 4, [1.0, 0.0, 1.0, 0.0]), sessions)
    assert apart["session"] == apart["late_session"] == 0.0
    assert apart["late_before"] == WEIGHTS["late_before"]


def test_only_the_weights_that_are_there_are_fitted_and_nothing_is_fitted_to_nothing() -> None:
    assert as_scored({"late": 1.0}, scored(PEAK, PEAK), UNTOLD) == {"late": 1.0}
    assert as_scored(WEIGHTS, scored([], []), np.zeros(0, dtype=np.int64)) == WEIGHTS


def test_words_tell_of_their_own_again_in_a_strange_language() -> None:
    short = traits_of([cube("Der Kessel ist blau.")])
    known, strange = (in_shape(WEIGHTS, short, 0.1, strange=each) for each in (0.0, 1.0))
    assert known["bm25"] < WEIGHTS["bm25"]
    assert known["context"] < WEIGHTS["context"]
    assert strange["bm25"] == WEIGHTS["bm25"]
    assert strange["context"] == pytest.approx(OF_STRANGE_WORDS)
    assert {name: known[name] for name in ("late", "dense")} == {name: strange[name] for name in ("late", "dense")}


def test_sessions_are_numbered_and_none_is_nothing() -> None:
    said = [cube("a", session_id="x"), cube("b"), cube("c", session_id="y"), cube("d", session_id="x")]
    assert sessions_of(traits_of(said)).tolist() == [1, 0, 2, 1]


def test_what_is_first_by_its_own_tokens_counts_most_and_the_next_half_as_much() -> None:
    signals = {"late": np.array([0.2, 1.0, 0.7]), "late_before": np.zeros(3)}
    found = around_by_tokens([-1, -1, -1], np.zeros(3, dtype=np.int64), signals)
    assert found["late_first"].tolist() == pytest.approx([1 / 3, 1.0, 0.5])
    assert (
        around_by_tokens([], np.zeros(0, dtype=np.int64), dict.fromkeys(signals, np.zeros(0)))["late_first"].size == 0
    )


def test_the_first_counts_more_where_messages_are_long_and_the_vector_less_beside_tokens() -> None:
    short, long = (traits_of([cube("word " * count)]) for count in (5, 400))
    weights = {"late": 0.4, "late_first": 0.05, "dense": 0.05}
    assert in_shape(weights, short)["late_first"] < in_shape(weights, long)["late_first"]
    assert (
        in_shape(weights, short)["dense"] < in_shape(weights, long)["dense"] < in_shape({"dense": 0.05}, long)["dense"]
    )


def test_a_question_is_held_by_another_form_of_its_word() -> None:
    told = [cube("I bought a kite."), cube("It rained.")]
    best = [Candidate(each, {"bm25": 1.0}) for each in told]
    assert held_share(best, traits_of(told), {"buy": 2.0, "snow": 2.0}) == pytest.approx(0.5)
