"""Conflicts and repeats through `MemOS`: decided on writing or in a pass, on record, and undone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictModel, ConflictRules, Ruling, Verdict
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import CubeRef, MemCube, Provenance, Relation, State, Trust, TrustLabel
from memos_integrations.core.errors import AlreadyUndoneError, CubeNotFoundError, LegalHoldError
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


def messages_of(*texts: str) -> tuple[Message, ...]:
    return tuple(
        Message(id=f"m{n}", speaker="Ana", text=text, at=START - timedelta(days=9 - n)) for n, text in enumerate(texts)
    )


class Clock:
    """A clock that moves on a day with each look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    if request.param == "memory":
        made = MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=Clock())
    else:
        made = MemOS.open(tmp_path, embedder=WordsEmbedder(), conflicts=ConflictRules(), clock=Clock())
    with made:
        yield made
        assert made.verify_audit().ok


def test_a_change_archives_the_old_fact_and_keeps_it(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    kept = memos.get(old.id, by=ANA)
    assert kept.state is State.ARCHIVED
    assert kept.descriptive.valid_to is not None
    assert kept.text == old.text
    assert [hit.cube.id for hit in memos.recall("Is it Lisbon or Porto where I live?", by=ANA).hits] == [new.id]
    (decision,) = memos.decisions(new.id, by=ANA)
    assert (decision.ruling, decision.newer, decision.older) == (Ruling.SUPERSEDE, new.id, old.id)
    assert decision.evidence[0].older == "I live in Lisbon."
    assert [each.id for each in memos.decisions(old.id, by=ANA)] == [decision.id]


def test_undoing_brings_both_back_and_is_not_decided_again(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    (decision,) = memos.decisions(new.id, by=ANA)
    assert memos.undo(decision, by=ANA).undone
    back = memos.get(old.id, by=ANA)
    assert back.state is State.ACTIVATED
    assert back.descriptive.valid_to is None
    assert not memos.get(new.id, by=ANA).provenance.links
    assert memos.consolidate(by=ANA) == []
    with pytest.raises(AlreadyUndoneError):
        memos.undo(decision.id, by=ANA)
    assert memos.decisions(new.id, by=ANA)[0].undone


def test_a_repeat_is_merged_with_lineage_both_ways(memos: MemOS) -> None:
    first = memos.remember("My favourite colour is teal.", by=ANA)
    again = memos.remember("My favorite color is teal.", by=ANA)
    assert again.state is State.MERGED
    kept, merged = memos.get(first.id, by=ANA), memos.get(again.id, by=ANA)
    assert [(link.relation, link.target) for link in merged.provenance.links] == [(Relation.MERGED_INTO, first.id)]
    assert [(link.relation, link.target) for link in kept.provenance.links] == [(Relation.MERGED_FROM, again.id)]
    (decision,) = memos.decisions(again.id, by=ANA)
    memos.undo(decision, by=ANA)
    assert memos.get(again.id, by=ANA).state is State.ACTIVATED


def test_late_news_does_not_retire_what_is_newer(memos: MemOS) -> None:
    new = memos.remember("I live in Porto.", by=ANA, occurred_at=START)
    late = memos.remember("I live in Lisbon.", by=ANA, occurred_at=START - timedelta(days=400))
    assert late.state is State.ARCHIVED
    assert memos.get(new.id, by=ANA).state is State.GENERATED


def test_the_less_trusted_is_flagged_and_retires_nothing(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I live in Porto.", by=ANA, trust=Trust(label=TrustLabel.UNTRUSTED))
    assert memos.get(old.id, by=ANA).state is State.GENERATED
    (decision,) = memos.decisions(new.id, by=ANA)
    assert decision.ruling is Ruling.FLAG
    assert memos.get(new.id, by=ANA).provenance.links[0].relation is Relation.CONTRADICTS
    memos.undo(decision, by=ANA)
    assert not memos.get(new.id, by=ANA).provenance.links


def test_what_is_replaced_in_part_stands_as_it_was_told_until_somebody_rewrites_it(memos: MemOS) -> None:
    both = memos.remember("I live in Lisbon. I play the cello in an orchestra.", by=ANA)
    then = memos.get(both.id, by=ANA).descriptive.recorded_at
    new = memos.remember("I moved to Porto.", by=ANA)
    kept = memos.get(both.id, by=ANA)
    assert (kept.state, kept.text, kept.version) == (State.GENERATED, both.text, 1)
    (decision,) = memos.decisions(new.id, by=ANA)
    assert (decision.ruling, decision.reason) == (Ruling.FLAG, "only part of what it states was replaced")
    assert [each.older for each in decision.evidence] == ["I live in Lisbon."]
    memos.update(both.id, by=ANA, text="I play the cello in an orchestra.")
    assert not memos.consolidate(by=ANA)
    assert memos.restore(both.id, 1, by=ANA).text == both.text
    assert "Lisbon" in memos.get(both.id, by=ANA, as_of=then).text


def test_what_a_wrong_memory_had_retired_comes_back_and_goes_again_with_better_news(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    doubted = memos.feedback(new.id, "wrong", by=ANA)
    back = memos.get(old.id, by=ANA)
    assert (back.state, back.descriptive.valid_to) == (State.ACTIVATED, None)
    assert doubted.descriptive.valid_from is None
    made = memos.decisions(new.id, by=ANA)
    assert [(each.ruling, each.undone) for each in made] == [(Ruling.SUPERSEDE, True), (Ruling.FLAG, False)]
    assert [link.relation for link in doubted.provenance.links] == [Relation.CONTRADICTS]
    memos.feedback(old.id, "wrong", by=ANA)  # now it is no more trusted than what contradicts it
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert [(each.ruling, each.undone) for each in memos.decisions(new.id, by=ANA)] == [
        (Ruling.SUPERSEDE, True),
        (Ruling.FLAG, True),
        (Ruling.SUPERSEDE, False),
    ]


def test_what_somebody_undid_is_not_decided_again_by_feedback(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    memos.undo(memos.decisions(new.id, by=ANA)[0], by=ANA)
    memos.feedback(old.id, "wrong", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED
    assert all(each.undone for each in memos.decisions(new.id, by=ANA))


def test_feedback_leaves_what_is_held_and_what_is_decided_of_repeats(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    again = memos.remember("I moved to Porto!", by=ANA)
    assert again.state is State.MERGED
    memos.hold(old.id, by=ADMIN)
    memos.feedback(new.id, "wrong", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert memos.get(again.id, by=ANA).state is State.MERGED


def test_a_repeat_of_what_is_doubted_stands_beside_it_and_of_what_is_helpful_is_merged(memos: MemOS) -> None:
    doubted = memos.remember("I live in Lisbon.", by=ANA)
    memos.feedback(doubted.id, "wrong", by=ANA)
    assert memos.remember("I live in Lisbon.", by=ANA).state is State.GENERATED
    helpful = memos.remember("My dentist is Dr. Abreu.", by=ANA)
    memos.feedback(helpful.id, "helpful", by=ANA)
    assert memos.remember("My dentist is Dr. Abreu.", by=ANA).state is State.MERGED


class Failing(ConflictRules):
    """Rules that fail when they are asked for the *fails*th time."""

    def __init__(self, fails: int) -> None:
        super().__init__()
        self.left = fails

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("the judge is gone")
        return super().judge(newer, older)


@pytest.mark.parametrize("fails", [3, 4, 5])
def test_feedback_and_all_that_follows_from_it_is_true_together_or_not_at_all(tmp_path: Path, fails: int) -> None:
    judge = Failing(0)
    with MemOS.open(tmp_path, conflicts=judge, clock=Clock()) as memos:
        kept = [memos.remember(text, by=ANA) for text in ("I live in Lisbon.", "I moved to Porto.", "I moved to Faro.")]
        before = [memos.get(each.id, by=ANA) for each in kept]
        judge.left = fails - 2
        with pytest.raises(RuntimeError, match="the judge is gone"):
            memos.feedback(kept[1].id, "wrong", by=ANA)
        assert [memos.get(each.id, by=ANA) for each in kept] == before
        assert not memos.audit(by=ANA, operation="feedback")
        assert not memos.audit(by=ANA, operation="undo")
        judge.left = 0
        memos.feedback(kept[1].id, "wrong", by=ANA)
        assert memos.audit(by=ANA, operation="feedback")
        assert memos.audit(by=ANA, operation="undo")


def test_feedback_within_an_atomic_block_goes_with_it(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)

    def doubted() -> None:
        with memos.atomic(by=ANA) as memory:
            memory.feedback(new.id, "wrong", by=ANA)
            assert memory.get(old.id, by=ANA).state is State.ACTIVATED
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        doubted()
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert memos.get(new.id, by=ANA).trust == new.trust


def test_feedback_without_a_judge_takes_back_what_a_pass_decided_and_decides_nothing_new(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, clock=Clock()) as memos:
        old = memos.remember("I live in Lisbon.", by=ANA)
        new = memos.remember("I moved to Porto.", by=ANA)
        memos.feedback(old.id, "helpful", by=ANA)
        assert not memos.decisions(new.id, by=ANA)
        memos.consolidate(by=ANA)
        assert memos.get(old.id, by=ANA).state is State.ARCHIVED
        memos.feedback(new.id, "wrong", by=ANA)
        assert memos.get(old.id, by=ANA).state is State.ACTIVATED


def test_somebody_else_does_not_retire_what_one_said_of_oneself(memos: MemOS) -> None:
    said = memos.remember("I live in Lisbon.", by=ANA, provenance=Provenance(speaker="Mira"))
    heard = memos.remember("Mira lives in Porto.", by=ANA, provenance=Provenance(speaker="Jonas"))
    assert memos.get(said.id, by=ANA).state is State.GENERATED
    assert memos.decisions(heard.id, by=ANA)[0].ruling is Ruling.FLAG


def test_what_is_on_hold_is_not_retired_and_undo_respects_it(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    memos.hold(old.id, by=ADMIN)
    new = memos.remember("I moved to Porto.", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.GENERATED
    assert memos.decisions(new.id, by=ANA)[0].ruling is Ruling.FLAG
    memos.hold(new.id, by=ADMIN)
    with pytest.raises(LegalHoldError):
        memos.undo(memos.decisions(new.id, by=ANA)[0], by=ANA)


def test_other_people_s_memories_are_never_touched(memos: MemOS) -> None:
    theirs = memos.remember("Mira lives in Lisbon.", by=BEN, readers=["*"], writers=["ana"], namespace=("acme",))
    memos.remember("Mira moved to Porto.", by=ANA, namespace=("acme",))
    assert memos.get(theirs.id, by=BEN).state is State.GENERATED


def test_nobody_else_undoes_a_decision(memos: MemOS) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    (decision,) = memos.decisions(new.id, by=ANA)
    for other in (BEN, Principal(tenant="globex", user="ana")):
        with pytest.raises(CubeNotFoundError):
            memos.undo(decision, by=other)
        with pytest.raises(CubeNotFoundError):
            memos.decisions(new.id, by=other)


def test_a_change_that_is_still_to_come_retires_nothing_yet(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    memos.remember("I live in Porto.", by=ANA, valid_from=START + timedelta(days=90))
    kept = memos.get(old.id, by=ANA)
    assert kept.descriptive.valid_to == START + timedelta(days=90)
    assert kept.state is State.GENERATED


def test_many_at_once_are_decided_too(memos: MemOS) -> None:
    cubes = memos.remember_many(["I live in Lisbon.", "I like olives.", "I moved to Porto."], by=ANA)
    assert [memos.get(cube.id, by=ANA).state for cube in cubes] == [State.ARCHIVED, State.GENERATED, State.GENERATED]


def test_messages_are_a_record_and_stay(memos: MemOS) -> None:
    messages = [
        Message(id=f"m{n}", speaker="Mira", text=text, at=START + timedelta(hours=n))
        for n, text in enumerate(["I live in Lisbon.", "I moved to Porto."])
    ]
    report = memos.ingest(Conversation(id="c", messages=messages), by=ANA)
    assert {memos.get(cube_id, by=ANA).state for cube_id in report.cubes} == {State.GENERATED}


def test_a_key_still_writes_once(memos: MemOS) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    first = memos.remember("I moved to Porto.", by=ANA, key="k")
    assert memos.remember("I moved to Porto.", by=ANA, key="k").id == first.id


def test_a_pass_decides_what_was_written_without_a_judge(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, clock=Clock()) as plain:
        texts = ["I live in Lisbon.", "The weekly review is on Monday.", "I like olives.", "I live in Porto now."]
        cubes = [plain.remember(text, by=ANA) for text in texts]
        others = plain.remember("I live in Lisbon.", by=BEN)
        (decision,) = plain.consolidate(by=ANA)
        assert (decision.newer, decision.older) == (cubes[3].id, cubes[0].id)
        assert plain.consolidate(by=ANA) == []
        assert plain.get(others.id, by=BEN).state is State.GENERATED
        assert plain.verify_audit().ok


def test_what_was_computed_from_a_retired_memory_goes(memos: MemOS) -> None:
    class Held:
        """A store of derived memory that remembers what it was told to drop."""

        def __init__(self) -> None:
            self.dropped: set[str] = set()

        def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
            self.dropped.update(cube_ids)
            return len(cube_ids)

        def sources(self) -> set[tuple[str, CubeRef]]:
            return set()

    held = Held()
    memos.attach(held)
    old = memos.remember("I live in Lisbon.", by=ANA)
    derived = memos.remember("Ana is a neighbour.", by=ANA, provenance=Provenance(derived_from=(old.ref,)))
    memos.remember("I moved to Porto.", by=ANA)
    assert old.id in held.dropped
    with pytest.raises(CubeNotFoundError):
        memos.get(derived.id, by=ANA)


def test_the_log_holds_no_words_of_a_decision(memos: MemOS) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    memos.remember("I moved to Porto.", by=ANA)
    entries = memos.audit(by=ADMIN, operation="supersede")
    assert entries
    told = " ".join(entry.model_dump_json() for entry in entries)
    assert "Lisbon" not in told
    assert "Porto" not in told


@pytest.mark.parametrize(
    ("reply", "rulings"),
    [
        ('{"ruling": "supersede", "reason": "gone"}', [Ruling.SUPERSEDE]),
        ('Sure! {"ruling": "none"}', []),
        ("I would rather not say.", [Ruling.SUPERSEDE]),
        ('{"ruling": "explode"}', [Ruling.SUPERSEDE]),
        ("{]", [Ruling.SUPERSEDE]),
    ],
)
def test_a_model_decides_and_the_rules_where_it_cannot(reply: str, rulings: list[Ruling]) -> None:
    shown: list[str] = []

    def ask(prompt: str) -> str:
        shown.append(prompt)
        return reply

    with MemOS(InMemoryVault(), conflicts=ConflictModel(ask), clock=Clock()) as memos:
        old = memos.remember("Rex is our dog.", by=ANA)
        memos.remember("The tax office opens at eight.", by=ANA)
        new = memos.remember("Our dog Rex passed away.", by=ANA)
        gone = Ruling.SUPERSEDE in rulings
        assert memos.get(old.id, by=ANA).state is (State.ARCHIVED if gone else State.GENERATED)
        assert len(shown) == 1
        assert '"Rex is our dog."' in shown[0]
        assert [each.ruling for each in memos.decisions(new.id, by=ANA)] == rulings


def test_what_is_so_as_of_this_year_is_the_later() -> None:
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=Clock()) as memos:
        old = memos.remember("Ms Lund has a 10% loyalty discount.", by=ANA)
        new = memos.remember("Ms Lund's loyalty discount is 15% as of this year.", by=ANA)
        (decision,) = memos.decisions(new.id, by=ANA)
        assert (decision.newer, decision.older) == (new.id, old.id)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("I gave up pottery.", "I'm into pottery again."),
        ("I gave up pottery.", "I'm into pottery."),
        ("We have no pets.", "We adopted a puppy."),
        ("I don't have a job.", "I was hired by a bakery."),
        ("The app is in beta.", "The app is out of beta."),
        ("I'm on medication for anxiety.", "I'm off my anxiety medication."),
        ("My wife is pregnant.", "Our daughter was born last night."),
        ("I have an appointment on Monday.", "My appointment was moved to Tuesday."),
        ("I work from home full time.", "I'm back in the office five days a week."),
        ("My rent is $1,400 a month.", "My landlord raised the rent to $1,550."),
        ("We have three cats.", "One of our cats died."),
    ],
)
def test_what_cannot_both_hold_is_noticed_though_it_shares_few_words(older: str, newer: str) -> None:
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=Clock()) as memos:
        old = memos.remember(older, by=ANA)
        new = memos.remember(newer, by=ANA)
        assert [each.older for each in memos.decisions(new.id, by=ANA)] == [old.id]


def test_who_has_no_job_was_not_hired() -> None:
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=Clock()) as memos:
        memos.remember("I'm unemployed.", by=ANA)
        new = memos.remember("I still don't have a job.", by=ANA)
        assert not memos.decisions(new.id, by=ANA)


def test_where_a_model_gives_nonsense_the_rules_still_decide() -> None:
    with MemOS(InMemoryVault(), conflicts=ConflictModel(lambda _: "?"), clock=Clock()) as memos:
        old = memos.remember("I live in Lisbon.", by=ANA)
        memos.remember("I moved to Porto.", by=ANA)
        assert memos.get(old.id, by=ANA).state is State.ARCHIVED


def test_a_model_cannot_let_the_less_trusted_retire_anything() -> None:
    with MemOS(InMemoryVault(), conflicts=ConflictModel(lambda _: '{"ruling": "supersede"}'), clock=Clock()) as memos:
        old = memos.remember("I live in Lisbon.", by=ANA)
        memos.remember("I live in Porto.", by=ANA, trust=Trust(label=TrustLabel.UNTRUSTED))
        assert memos.get(old.id, by=ANA).state is State.GENERATED


def test_what_is_ingested_is_judged_like_what_is_remembered(memos: MemOS) -> None:
    talk = Conversation(id="facts", messages=messages_of("I live in Lisbon.", "I moved to Porto.", "I like tea."))
    report = memos.ingest(talk, by=ANA, semantic_type="fact")
    old, new, tea = (memos.get(each, by=ANA) for each in report.cubes)
    assert (old.state, new.state, tea.state) == (State.ARCHIVED, State.GENERATED, State.GENERATED)
    (decision,) = memos.decisions(old.id, by=ANA)
    assert (decision.newer, decision.older) == (new.id, old.id)
    later = memos.ingest(
        Conversation(id="later", messages=messages_of("I live in Lisbon.", "I moved to Rome.")), by=ANA
    )
    assert {memos.get(each, by=ANA).state for each in later.cubes} == {State.GENERATED}  # messages are a record
    again = memos.ingest(talk, by=ANA, semantic_type="fact")
    assert again.known == 3
    assert len(memos.decisions(old.id, by=ANA)) == 1


def test_what_is_ingested_is_judged_against_what_was_there(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA, occurred_at=START - timedelta(days=9))
    talk = Conversation(id="facts", messages=messages_of("I moved to Porto."))
    memos.ingest(talk, by=ANA, semantic_type="fact", namespace=("acme", "ana"))
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED


def test_nothing_is_judged_without_a_judge(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "plain") as plain:
        talk = Conversation(id="facts", messages=messages_of("I live in Lisbon.", "I moved to Porto."))
        report = plain.ingest(talk, by=ANA, semantic_type="fact")
        assert {plain.get(each, by=ANA).state for each in report.cubes} == {State.GENERATED}
