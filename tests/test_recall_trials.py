"""The ablation by shares gives what asking again gives; switches leave the scheduler as it was."""

from __future__ import annotations

from memos_integrations import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.invented import ME, collection, fill
from tests.benchmarks.recall_asked import Asked, Question, shares
from tests.benchmarks.recall_trials import SCHEDULERS, Trials, Without, difference, left_out, recalled

SIGNALS = ("context", "session", "statement", "recency", "tells", "bm25", "earlier")


def asked(memos: MemOS, question: Question, k: int = 50) -> Asked:
    hits = recalled(memos, ME, question.text, k).hits
    ids, scores = tuple(hit.cube.id for hit in hits), tuple(hit.score for hit in hits)
    return Asked(question, ids, scores, tuple(hit.parts for hit in hits), (0,) * len(hits), 0.0, 0.0)


def test_without_a_signal_the_shares_give_what_asking_again_gives() -> None:
    made = collection("talk", first=12)
    with MemOS(InMemoryVault()) as memos:
        ids = fill(memos, made)
        questions = [Question(n % 2, text, "single_hop", (ids[gold],)) for n, (text, gold) in enumerate(made.questions)]
        by_shares = left_out([shares(asked(memos, one, 100), SIGNALS) for one in questions], SIGNALS)
        assert "context" not in by_shares
        for signal in ("session", "statement", "recency"):
            memos._scheduler = Without(signal)
            again = [asked(memos, one).recall(10) for one in questions]
            assert abs(by_shares[signal] - 100 * sum(again) / len(again)) < 0.01


def test_trials_tell_what_each_switch_gives_and_leave_recall_as_it_was() -> None:
    made = collection("talk", first=4)
    with MemOS(InMemoryVault()) as memos:
        ids, given = fill(memos, made), memos._scheduler
        questions = [Question(0, text, "multi_hop", (ids[gold],)) for text, gold in made.questions]
        trials = Trials("lexical", ablation=True, switches=True)
        trials.add(memos, ME, questions, lambda one, k: asked(memos, one, k), {each: each for each in ids})
        assert memos._scheduler is given
    switched = trials.switched()
    assert switched.keys() == {"as it is", "cover", "asked again", *SCHEDULERS}
    assert switched["as it is"]["more_at_10"] == [0.0, 0.0, 0.0]
    assert trials.ablated(SIGNALS).keys() == {"", "late", *SIGNALS}


def test_a_difference_is_drawn_over_conversations() -> None:
    more, low, high = difference([1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1])
    assert (more, low) == (25.0, 0.0)
    assert high == 50.0
