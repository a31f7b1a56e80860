"""Signals that look beyond the single message, held against numbers worked out by hand, and the rules of shape."""

import numpy as np
import pytest

from memos_integrations.core.ranking import around, late_interaction, neighbours, packed_rows, shape_of, unevenness

SESSIONS = np.array([7, 7, 7, 9, 0, 0])


def rows(*kinds: int, dim: int = 4) -> np.ndarray:
    return np.eye(dim, dtype=np.float32)[list(kinds)]


def test_neighbours_are_of_the_same_session_and_nothing_is_beside_what_has_none() -> None:
    before, after = neighbours(SESSIONS)
    assert before.tolist() == [-1, 0, 1, -1, -1, -1]
    assert after.tolist() == [1, 2, -1, -1, -1, -1]


def test_short_messages_lean_on_their_neighbours_and_long_ones_do_not() -> None:
    short, long = shape_of(10), shape_of(120)
    assert (short.b, short.near) == (0.4, 1.0)
    assert (long.b, long.near) == (1.0, 0.0)
    assert 0.0 < shape_of(50).near < 1.0


def test_where_pages_stand_beside_remarks_length_is_paid_for() -> None:
    assert unevenness(np.array([12.0, 20.0, 9.0, 15.0])) == 0.0
    assert unevenness(np.array([5.0, 5.0, 5.0, 5.0, 5.0, 90.0])) == 1.0
    assert unevenness(np.zeros(3)) == unevenness(np.zeros(0)) == 0.0
    assert (shape_of(10, 1.0).b, shape_of(10, 1.0).near) == (1.0, 1.0)
    remark_and_page = [np.array([1.0, 2.0, 0, 0, 0, 0])]
    lengths, alone = np.array([4.0, 200.0, 6.0, 5.0, 4.0, 6.0]), np.zeros(6, np.int64)
    words = around(remark_and_page, [2], lengths, alone, documents=6, average=37.5)["words"]
    assert words[0] > words[1]


@pytest.mark.parametrize("average", [8.0, 120.0])
def test_an_answer_is_found_by_the_words_of_its_question_where_messages_are_short(average: float) -> None:
    scores = around([np.array([1.0, 0, 0, 0, 0, 0])], [1], np.full(6, average), SESSIONS, documents=6, average=average)
    assert scores["words"].tolist()[1:] == [0.0] * 5
    assert (scores["context"][1] > 0.0) == (average == 8.0)
    assert (scores["earlier"][2] > 0.0) == (average == 8.0)
    assert scores["context"][3] == 0.0, "another session is no neighbour"
    assert scores["session"][0] == scores["session"][2] > scores["session"][3]


def test_a_name_that_most_messages_hold_does_not_decide_the_context() -> None:
    name, rare = np.ones(40), np.zeros(40)
    name[3], rare[3] = 0.0, 1.0
    scores = around([name, rare], [39, 1], np.full(40, 6.0), np.zeros(40, np.int64), documents=40, average=6.0)
    assert int(np.argmax(scores["context"])) == 3
    assert not scores["context"][[0, 9]].any()
    alone = around([name], [39], np.full(40, 6.0), np.zeros(40, np.int64), documents=40, average=6.0)
    assert alone["context"][0] > 0.0, "but it counts where there is no other word"


def test_nothing_is_scored_where_there_is_nothing() -> None:
    empty = np.zeros(0)
    scores = around([empty], [0], empty, np.zeros(0, np.int64), documents=0, average=0.0)
    assert all(each.size == 0 for each in scores.values())


def test_late_interaction_by_hand() -> None:
    memories = [packed_rows(rows(0, 1), np.array([10, 11])), packed_rows(rows(2), np.array([12]))]
    scores, _ = late_interaction(rows(0, 1), np.array([10, 11]), memories)
    assert scores == pytest.approx([1.0, 0.0], abs=0.01)


def test_an_answer_is_found_by_the_tokens_of_its_question() -> None:
    memories = [packed_rows(rows(0), np.array([10])), packed_rows(rows(1), np.array([11]))]
    own, both = late_interaction(rows(0), np.array([10]), memories, np.array([-1, 0]))
    assert own == pytest.approx([1.0, 0.0], abs=0.01)
    assert both == pytest.approx([1.0, 0.9], abs=0.01)
    alone = late_interaction(rows(0), np.array([10]), memories)
    assert alone[1] == pytest.approx(alone[0])


def test_a_long_memory_is_judged_by_its_best_window() -> None:
    far = np.full(400, 2)
    far[0], far[399] = 0, 1
    together = np.full(400, 2)
    together[[0, 1]] = 0, 1
    memories = [packed_rows(rows(*far), np.arange(400)), packed_rows(rows(*together), np.arange(400))]
    scattered, near = late_interaction(rows(0, 1), np.array([900, 901]), memories)[0]
    assert near == pytest.approx(1.0, abs=0.01)
    assert scattered == pytest.approx(0.5, abs=0.01)


def test_late_interaction_of_nothing() -> None:
    nothing = (np.zeros((0, 4), np.int8), np.zeros(0, np.int64))
    assert late_interaction(rows(0), np.array([1]), [nothing])[0].tolist() == [0.0]
    assert late_interaction(rows(), np.zeros(0, np.int64), [packed_rows(rows(0), np.array([1]))])[0].tolist() == [0.0]
