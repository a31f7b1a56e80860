"""Conflicts on pairs of statements, held to floors.

`conflict_pairs.tsv` was written before the rules were looked at; a third of it is held out. `conflict_held_out.tsv` was
written before the rules were changed for it: only its totals are looked at. `conflict_worked_on.tsv` is what the rules
were mended against, `conflict_worked_on_more.tsv` (notes, chats, states that end) what they were mended against later.

The others were written before the rules were measured on them, each in another style. What the rules found when they
had never seen them (precision, recall, true facts retired): `conflict_another_hand.tsv`, long sentences, chat, work,
German, Spanish: 90.0, 67.9, 2 of 47. `conflict_fourth_hand.tsv`, notes, chat, third person, formal, lists: 89.1, 65.1,
1 of 58. `conflict_fifth_hand.tsv`, a diary, a help desk, a family, a team: 85.7, 58.1, 1 of 29.
`conflict_sixth_hand.tsv`, a user's profile, a club, a house to let, a journey, a school, letters: 90.4, 78.3, 5 of 60.
`conflict_seventh_hand.tsv`, a laboratory, a shop, talk, a game: 100, 73.3, 0 of 30. After each measurement the rules
were mended against it, so the floors below say what is kept, not what a new text would see.
`conflict_eighth_hand.tsv`, home, health, work, travel, hobbies, pets, in an ordinary user's words: 100, 60.0, 0 of 30.
`conflict_worked_on_third.tsv` is what was mended then: facts of another sort told by one verb, limited in time or to
some people, of one of several bearers, in jest; and events that end a state. Before, 34 of its 60 changes were found,
and 16 of its 68 true facts retired.
The next were written one after another, each before the rules were measured on it and after they had been mended
against those before; everyday changes, and what stands beside them, jest, plans, quotes and exceptions among it. At
first sight: `conflict_ninth_hand.tsv` 87.8, 60.0, 4 of 42; `conflict_tenth_hand.tsv` 93.5, 48.3, 1 of 40;
`conflict_eleventh_hand.tsv` 100, 66.7, 0 of 40; `conflict_twelfth_hand.tsv` 95.7, 73.3, 1 of 40;
`conflict_thirteenth_hand.tsv` 96.4, 64.3, 0 of 33.
Three in other registers, each read for the first time after the rules had been mended against those before it:
`conflict_fourteenth_hand.tsv`, teams and coding agents: 92.3, 40.0, 0 of 32; `conflict_fifteenth_hand.tsv`, families
and help desks: 96.6, 46.7, 1 of 32; `conflict_sixteenth_hand.tsv`, profiles, chat, long sentences, policies, settings:
96.8, 45.5, 0 of 36 (the rules as they were before the first of the three: 96.3, 39.4). So much of what is told in such
words is found; what the floors keep was mended afterwards.
Three in plain everyday speech, statements of a user to an assistant, by kind (place, job, money, diet, …), each
committed before the rules were run on it. At first sight: `conflict_seventeenth_hand.tsv` 96.0, 77.4, 0 of 62;
`conflict_nineteenth_hand.tsv`, after the rules had been mended against that one: 96.2, 69.4, 1 of 44;
`conflict_eighteenth_hand.tsv`, written with the first and held back until both had been mended against: 96.1, 70.5,
0 of 62 (the rules as they were before: 96.0, 77.4; 96.2, 69.4; 96.0, 68.6). So seven of ten changes in everyday speech
are found where nobody mended for them.
`conflict_beside.tsv` has news of a thing that leave what was known of it as it is: at first sight 11 of its 70 pairs
were false alarms, and 6 true facts retired; of the 50 of `conflict_beside_more.tsv`, seen after that was mended, 4 and
2. `conflict_beside_third.tsv` is what the rules for everyday speech were tried on for false alarms: 5 of its 65, and
1 true fact retired, before they were narrowed.
`conflict_denied.tsv` is what the rule on denials of another particular was written against.
Two in six registers (notes, telegrams or agents, letters, third person, British and American talk), each committed
before anything was run on it. At first sight the rules alone: `conflict_twentieth_hand.tsv` 94.1, 45.1, 1 of 92;
`conflict_twenty_first_hand.tsv` 100, 32.8, 0 of 77. With the weighed signs (`core/conflict/weighed.py`), which are
learned from the first of them and from all the other sets above but `conflict_held_out.tsv`, the second, of which
nothing was learned, at first sight: 97.0, 52.5, 0 of 77, where odds of five to three were enough. They have to be nine
to one since the floors below and the simulated year were looked at: 100, 41.0, 0 of 77.
`conflict_twenty_second_hand.tsv`, twelve further registers (a farm, a stage, minutes, a logbook, …), was written
before sentence vectors were weighed (`core/conflict/meaning.py`), and nothing is learned from it either. The rules
alone: 91.4, 37.6, 1 of 85; with the weighed signs 92.7, 44.7; with MiniLM's vectors, where odds of twelve to one were
enough, 94.0, 55.3. They have to be twenty to one since the simulated year was looked at: 93.5, 50.6. The twenty-first
likewise: 100, 54.1, then 100, 49.2 (`test_conflict_meaning.py`).
Two halves of one set of statements as a user or an agent stores them (jobs, homes, prices, versions, settings,
policies, pets, …), written before anything was run on them: `conflict_twenty_third_hand.tsv` was looked at, mended
against and learned from (at first sight 88.9, 70.6, 2 of 78; with vectors 90.6, 70.6),
`conflict_twenty_fourth_hand.tsv` was not (at first sight 95.9, 69.1, 0 of 70; with vectors 96.3, 76.5).
`conflict_twenty_fifth_hand.tsv` (profiles, agents, chat, projects, households, short notes), written along with them,
was held back until that was done: before it 93.9, 41.8, 2 of 108, with vectors 92.5, 44.5; after it, at first sight,
95.0, 51.8, 2 of 108, with vectors 95.5, 58.2. Then its false alarms were looked at, so it has been seen since; nothing
is learned from it.
`conflict_of_one.txt`: what is told of one bearer, what changes it, and what says the same; learned from only.
`tests/benchmarks/conflict_weights.py --apart` judges each set by weights that were learned from the others. What a
floor of a set that was learned from says is that it is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictJudge, ConflictModel, ConflictRules, Ruling
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
SAID = datetime(2026, 3, 2, 9, tzinfo=UTC)
THIRDS = ("looked_at", "checked", "held_out")


class Pair(NamedTuple):
    kind: str
    conflict: bool
    older: str
    newer: str


class Score(NamedTuple):
    """Counts over pairs; a conflict counts as found when it is decided: superseded or flagged."""

    found: int
    retired: int
    conflicts: int
    false_alarms: int
    wrongly_retired: int
    kept: int

    @property
    def precision(self) -> float:
        return 100 * self.found / max(1, self.found + self.false_alarms)

    @property
    def recall(self) -> float:
        return 100 * self.found / self.conflicts


def read(name: str) -> list[Pair]:
    lines = Path(__file__).with_name(name).read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [Pair(kind, label == "conflict", older, newer) for kind, label, older, newer in rows]


def pairs(third: str) -> list[Pair]:
    """Every third pair of the file: each third has every kind in it."""
    return read("conflict_pairs.tsv")[THIRDS.index(third) :: 3]


def ruled(pair: Pair, judge: ConflictJudge | None = None) -> set[Ruling]:
    times = (SAID + timedelta(hours=hours) for hours in count())
    with MemOS(InMemoryVault(), conflicts=judge or ConflictRules(), clock=lambda: next(times)) as memos:
        memos.remember(pair.older, by=ANA)
        new = memos.remember(pair.newer, by=ANA)
        return {decision.ruling for decision in memos.decisions(new.id, by=ANA)} - {Ruling.MERGE}


def scored(asked: list[Pair], judge: ConflictJudge | None = None) -> Score:
    judged = [(pair, ruled(pair, judge)) for pair in asked]
    yes = [rulings for pair, rulings in judged if pair.conflict]
    no = [rulings for pair, rulings in judged if not pair.conflict]
    retired = [sum(Ruling.SUPERSEDE in each for each in those) for those in (yes, no)]
    return Score(sum(map(bool, yes)), retired[0], len(yes), sum(map(bool, no)), retired[1], len(no))


FLOORS = {"looked_at": (97, 95, 0), "checked": (94, 95, 0), "held_out": (95, 84, 0)}
"""Precision and recall in per cent, and how many true facts may be retired: what was reached, not what is wanted."""


@pytest.mark.parametrize("third", THIRDS)
def test_rules_reach_what_they_reached(third: str) -> None:
    precision, recall, wrongly_retired = FLOORS[third]
    reached = scored(pairs(third))
    assert reached.precision >= precision
    assert reached.recall >= recall
    assert reached.wrongly_retired <= wrongly_retired


def test_rules_reach_what_is_wanted_on_pairs_that_they_were_never_mended_against() -> None:
    reached = scored(read("conflict_held_out.tsv"))
    assert reached.precision >= 95
    assert reached.recall >= 80
    assert 100 * reached.wrongly_retired / reached.kept <= 1


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [
        ("conflict_another_hand.tsv", 100, 92),
        ("conflict_fourth_hand.tsv", 98, 80),
        ("conflict_fifth_hand.tsv", 100, 70),
        ("conflict_sixth_hand.tsv", 100, 90),
        ("conflict_seventh_hand.tsv", 100, 83),
        ("conflict_eighth_hand.tsv", 100, 76),
        ("conflict_ninth_hand.tsv", 100, 93),
        ("conflict_tenth_hand.tsv", 100, 78),
        ("conflict_eleventh_hand.tsv", 100, 95),
        ("conflict_twelfth_hand.tsv", 100, 85),
        ("conflict_thirteenth_hand.tsv", 100, 76),
        ("conflict_fourteenth_hand.tsv", 100, 76),
        ("conflict_fifteenth_hand.tsv", 100, 61),
        ("conflict_sixteenth_hand.tsv", 100, 56),
        ("conflict_seventeenth_hand.tsv", 100, 96),
        ("conflict_eighteenth_hand.tsv", 98, 78),
        ("conflict_nineteenth_hand.tsv", 100, 91),
        ("conflict_worked_on_more.tsv", 100, 90),
        ("conflict_twenty_first_hand.tsv", 100, 40),
        ("conflict_twenty_third_hand.tsv", 100, 80),
        ("conflict_twenty_fourth_hand.tsv", 97, 73),
        ("conflict_twenty_fifth_hand.tsv", 98, 51),
    ],
)
def test_rules_reach_what_they_reached_on_pairs_by_other_hands(name: str, precision: float, recall: float) -> None:
    reached = scored(read(name))
    assert reached.precision >= precision
    assert reached.recall >= recall
    assert reached.wrongly_retired == 0


def test_rules_reach_what_they_reached_in_registers_of_which_nothing_was_learned() -> None:
    reached = scored(read("conflict_twenty_second_hand.tsv"))
    assert reached.precision >= 92
    assert reached.recall >= 44
    assert reached.wrongly_retired <= 1


@pytest.mark.parametrize(
    ("name", "false_alarms"),
    [("conflict_beside.tsv", 2), ("conflict_beside_more.tsv", 1), ("conflict_beside_third.tsv", 0)],
)
def test_news_of_a_thing_leave_what_was_known_of_it(name: str, false_alarms: int) -> None:
    reached = scored(read(name))
    assert reached.false_alarms <= false_alarms
    assert reached.wrongly_retired == 0


def test_a_denial_of_another_particular_retires_nothing() -> None:
    reached = scored(read("conflict_denied.tsv"))
    assert (reached.precision, reached.recall, reached.wrongly_retired) == (100, 100, 0)


def test_true_facts_side_by_side_stand_and_events_end_states() -> None:
    reached = scored(read("conflict_worked_on_third.tsv"))
    assert reached.precision >= 96
    assert reached.recall >= 85
    assert reached.wrongly_retired == 0


def test_rules_reach_what_they_reached_on_the_pairs_that_they_were_mended_against() -> None:
    reached = scored(read("conflict_worked_on.tsv"))
    assert reached.precision >= 94
    assert reached.recall >= 93
    assert reached.wrongly_retired == 0


@pytest.mark.parametrize("name", ["conflict_seventeenth_hand.tsv", "conflict_eighteenth_hand.tsv"])
def test_a_model_that_knows_is_asked_about_nearly_all_changes(name: str) -> None:
    """How many a model can find, not how many one does: this one is told the answer. Of both sets 191 of 198."""
    found = [
        bool(ruled(pair, ConflictModel(lambda _, pair=pair: f'{{"ruling": "{_answer(pair)}"}}'))) for pair in read(name)
    ]
    right = [pair.conflict for pair in read(name)]
    assert not [pair for pair, said, so in zip(read(name), found, right, strict=True) if said and not so]
    assert 100 * sum(found) / sum(right) >= 95


def _answer(pair: Pair) -> str:
    return "supersede" if pair.conflict else "none"
