"""What was merged away comes back when what it was merged into goes: no true fact is lost with another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core.cube import Provenance, State
from memos_integrations.core.errors import CubeNotFoundError, LegalHoldError
from memos_integrations.memos import MemOS
from tests.lifetime import ADMIN, ANA, DAY, Clock, WalkingClock, judging

LISBON, CELLO = "Ana lives in Lisbon.", "Ana plays the cello."


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS, question: str = "Ana lives in Lisbon plays the cello") -> list[str]:
    return sorted(hit.text for hit in memos.recall(question, by=ANA, needed=True).hits)


# --- merged by hand

GOES: dict[str, Callable[[MemOS, str, Clock], object]] = {
    "forget": lambda m, i, _: m.forget(i, by=ANA),
    "update": lambda m, i, _: m.update(i, by=ANA, text="Ana lives in Faro."),
    "append": lambda m, i, _: m.append(i, "In a house.", by=ANA),
    "wrong": lambda m, i, _: m.feedback(i, "wrong", by=ANA),
    "outdated": lambda m, i, _: m.feedback(i, "outdated", by=ANA),
    "narrower": lambda m, i, _: m.update(i, by=ANA, purposes=["work"]),
    "quarantine": lambda m, i, _: m.quarantine([i], by=ANA),
    "in a block": lambda m, i, _: updated_within(m, i),
    "in a branch": lambda m, i, _: updated_in_a_branch(m, i),
}


def updated_within(memos: MemOS, cube_id: str) -> None:
    with memos.atomic(by=ANA) as memory:
        memory.update(cube_id, by=ANA, text="Ana lives in Faro.")


def updated_in_a_branch(memos: MemOS, cube_id: str) -> None:
    with memos.branch(by=ANA) as branch:
        branch.memos.update(cube_id, by=ANA, text="Ana lives in Faro.")
        branch.merge()


@pytest.mark.parametrize("what", GOES)
def test_what_was_merged_with_it_comes_back_when_a_source_goes(memos: MemOS, clock: Clock, what: str) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    entries = memos.audit(by=ADMIN, limit=1_000)[-1].number
    GOES[what](memos, home.id, clock)
    assert memos.get(music.id, by=ANA).state is State.ACTIVATED
    assert CELLO in told(memos)
    with pytest.raises(CubeNotFoundError):
        memos.get(merged.id, by=ANA)
    (back,) = (e for e in memos.audit(by=ADMIN, operation="unmerge", after=entries) if e.record.cube_id == music.id)
    assert back.record.detail["of"] == merged.id


@pytest.mark.parametrize("what", ["update", "append", "wrong", "restore"])
def test_a_source_that_says_something_else_speaks_for_itself_again(memos: MemOS, clock: Clock, what: str) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    memos.merge([home.id, music.id], by=ANA)
    if what == "restore":
        memos.restore(home.id, 1, by=ANA)
    else:
        GOES[what](memos, home.id, clock)
    assert memos.get(home.id, by=ANA).text in "\n".join(told(memos, "Where does Ana live? Lisbon Faro"))
    assert memos.get(home.id, by=ANA).state is State.ACTIVATED


def test_what_changes_no_word_of_a_source_leaves_the_merged_memory_as_it_is(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    memos.relabel(home.id, by=ANA, add=["x"])
    memos.feedback(home.id, "helpful", by=ANA)
    memos.hold(music.id, by=ADMIN)
    memos.verify([home.id], by=ADMIN)
    assert told(memos) == [merged.text]
    assert memos.get(home.id, by=ANA).state is memos.get(music.id, by=ANA).state is State.MERGED


def test_when_a_source_expires_the_other_comes_back_with_the_tick(memos: MemOS, clock: Clock) -> None:
    home = memos.remember(LISBON, by=ANA, ttl=DAY)
    music = memos.remember(CELLO, by=ANA)
    memos.merge([home.id, music.id], by=ANA)
    clock.now += 2 * DAY
    assert memos.tick(by=ANA).returned == (music.id,)
    assert told(memos) == [CELLO]
    assert memos.tick(by=ANA).returned == ()


def test_a_merged_memory_holds_no_longer_than_the_first_of_its_sources(memos: MemOS, clock: Clock) -> None:
    home = memos.remember(LISBON, by=ANA, valid_to=clock.now + DAY)
    music = memos.remember(CELLO, by=ANA, valid_to=clock.now + 9 * DAY)
    merged = memos.merge([home.id, music.id], by=ANA)
    assert merged.descriptive.valid_to == home.descriptive.valid_to
    clock.now += 2 * DAY
    assert memos.tick(by=ANA).returned == (home.id, music.id)
    memos.tick(by=ANA)
    assert told(memos) == [CELLO]
    assert memos.get(merged.id, by=ANA).state is State.ARCHIVED


def test_a_merge_of_merges_that_is_over_gives_back_what_it_was_made_of_however_deep(memos: MemOS, clock: Clock) -> None:
    music, home = memos.remember(CELLO, by=ANA), memos.remember(LISBON, by=ANA, valid_to=clock.now + DAY)
    other = memos.remember("Ana has a boat.", by=ANA)
    first = memos.merge([music.id, home.id], by=ANA)
    memos.merge([first.id, other.id], by=ANA)
    clock.now += 2 * DAY
    memos.tick(by=ANA)
    assert memos.get(music.id, by=ANA).state is State.ACTIVATED
    assert memos.get(other.id, by=ANA).state is State.ACTIVATED
    assert memos.get(home.id, by=ANA).state is State.ARCHIVED
    assert CELLO in told(memos)


def test_a_merge_is_taken_back_by_forgetting_what_it_made(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    receipt = memos.forget(merged.id, by=ANA)
    assert set(receipt.returned) == {home.id, music.id}
    assert told(memos) == [LISBON, CELLO]


def test_what_comes_back_with_what_was_out_of_recall_stays_out(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    memos.move(merged.id, "archived", by=ANA)
    memos.forget(home.id, by=ANA)
    assert memos.get(music.id, by=ANA).state is State.ARCHIVED
    assert told(memos) == []


def test_a_merge_of_a_merge_comes_apart_as_a_whole(memos: MemOS) -> None:
    home, music, dog = (memos.remember(text, by=ANA) for text in (LISBON, CELLO, "Ana has a dog called Rex."))
    two = memos.merge([home.id, music.id], by=ANA)
    memos.merge([two.id, dog.id], by=ANA)
    memos.forget(home.id, by=ANA)
    assert told(memos, "Ana Lisbon cello dog Rex") == sorted([CELLO, dog.text])


def test_a_memory_on_hold_comes_back_too_it_is_not_changed_by_that(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    memos.merge([home.id, music.id], by=ANA)
    held = memos.hold(music.id, by=ADMIN)
    memos.forget(home.id, by=ANA)
    back = memos.get(music.id, by=ANA)
    assert (back.state, back.version) == (State.ACTIVATED, held.version)


OTHERWISE: dict[str, Callable[[MemOS, str], object]] = {
    "update": lambda m, i: m.update(i, by=ANA, text="Ana lives in Lisbon. She likes jazz."),
    "in a block": lambda m, i: within(m, lambda inner: inner.update(i, by=ANA, text="ana lives in  Lisbon.")),
    "in a branch": lambda m, i: in_a_branch(m, lambda inner: inner.update(i, by=ANA, text=LISBON)),
}


def within(memos: MemOS, change: Callable[[MemOS], object]) -> None:
    with memos.atomic(by=ANA) as memory:
        change(memory)


def in_a_branch(memos: MemOS, change: Callable[[MemOS], object]) -> None:
    with memos.branch(by=ANA) as branch:
        change(branch.memos)
        branch.merge()


@pytest.mark.parametrize("what", OTHERWISE)
def test_what_a_merged_memory_says_no_longer_is_recalled_again(memos: MemOS, what: str) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    entries = memos.audit(by=ADMIN, limit=1_000)[-1].number
    OTHERWISE[what](memos, merged.id)
    assert memos.get(music.id, by=ANA).state is State.ACTIVATED
    assert memos.get(home.id, by=ANA).state is State.MERGED  # it is said still
    assert told(memos) == sorted([CELLO, memos.get(merged.id, by=ANA).text])
    (back,) = memos.audit(by=ADMIN, operation="unmerge", after=entries)
    assert (back.record.cube_id, back.record.detail) == (music.id, {"of": merged.id})


def test_words_added_to_a_merged_memory_leave_its_sources_where_they_are(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)
    longer = memos.append(merged.id, "Ana likes jazz.", by=ANA)
    memos.relabel(merged.id, by=ANA, add=["x"])
    assert told(memos) == [longer.text]
    memos.update(merged.id, by=ANA, text=CELLO)
    memos.restore(merged.id, 1, by=ANA)
    assert memos.get(merged.id, by=ANA).text == merged.text


# --- repeats

TEAL = "My favourite colour is teal."


def repeated(memos: MemOS, **how: object) -> tuple[str, str]:
    """The ids of a memory, and of what repeats it and was merged into it."""
    first = memos.remember(TEAL, by=ANA, **how)
    again = memos.remember(TEAL, by=ANA)
    assert again.state is State.MERGED
    return first.id, again.id


def test_what_is_forgotten_takes_its_repeats_along(memos: MemOS) -> None:
    first, again = repeated(memos)
    third = memos.remember("My favorite color is teal.", by=ANA)
    receipt = memos.forget(first, by=ANA)
    assert set(receipt.repeats) == {again, third.id}
    assert told(memos, "favourite colour teal") == []
    for gone in (first, again, third.id):
        with pytest.raises(CubeNotFoundError):
            memos.get(gone, by=ANA)


def test_the_same_words_merged_by_hand_go_too_and_others_come_back(memos: MemOS) -> None:
    texts = [LISBON, "ana lives in  Lisbon.", CELLO]
    cubes = [memos.remember(text, by=ANA, semantic_type="message") for text in texts]
    memos.merge([each.id for each in cubes], by=ANA)
    receipt = memos.forget(cubes[0].id, by=ANA)
    assert receipt.repeats == (cubes[1].id,)
    assert receipt.returned == (cubes[2].id,)
    assert told(memos) == [CELLO]


def test_a_repeat_on_hold_keeps_what_it_repeats_from_being_forgotten(memos: MemOS) -> None:
    first, again = repeated(memos)
    memos.hold(again, by=ADMIN)
    with pytest.raises(LegalHoldError, match=again):
        memos.forget(first, by=ANA)
    assert told(memos, "favourite colour teal") == [TEAL]


@pytest.mark.parametrize("what", ["update", "outdated", "archived"])
def test_a_repeat_is_as_outdated_as_what_it_repeats(memos: MemOS, clock: Clock, what: str) -> None:
    first, again = repeated(memos)
    if what == "archived":
        memos.move(first, "archived", by=ANA)
    elif what == "update":
        memos.update(first, by=ANA, text="My favourite colour is red.")
    else:
        GOES[what](memos, first, clock)
    assert memos.get(again, by=ANA).state is State.MERGED
    assert TEAL not in told(memos, "favourite colour teal red")


def test_a_repeat_has_its_own_time(memos: MemOS, clock: Clock) -> None:
    first, again = repeated(memos)
    memos.update(first, by=ANA, expires_at=clock.now + DAY)
    clock.now += 2 * DAY
    assert memos.tick(by=ANA).returned == (again,)
    assert told(memos, "favourite colour teal") == [TEAL]
    assert memos.get(again, by=ANA).state is State.ACTIVATED


def test_a_repeat_that_is_given_other_words_speaks_for_itself(memos: MemOS) -> None:
    first, again = repeated(memos)
    memos.update(again, by=ANA, text="My favourite car is a Saab.")
    assert memos.get(again, by=ANA).state is State.ACTIVATED
    assert told(memos, "favourite colour teal car Saab") == ["My favourite car is a Saab.", TEAL]
    memos.forget(first, by=ANA)
    assert told(memos, "favourite colour teal car Saab") == ["My favourite car is a Saab."]


def test_a_repeat_that_came_the_same_way_is_set_apart_too_and_one_that_came_another_way_is_not(memos: MemOS) -> None:
    first, again = repeated(memos)
    other = memos.remember(TEAL, by=ANA, provenance=Provenance(source="a letter"))
    assert other.state is State.MERGED
    assert memos.quarantine([first], by=ANA) == sorted([first, again])
    assert told(memos, "favourite colour teal") == [TEAL]
    assert memos.get(other.id, by=ANA).state is State.ACTIVATED
    memos.release([again], by=ADMIN)
    assert memos.get(again, by=ANA).state is State.ACTIVATED


def test_a_repeat_of_what_was_drawn_comes_back_when_that_dies_with_its_source(memos: MemOS) -> None:
    source = memos.remember("Ana signed a lease in the Rua Augusta.", by=ANA, semantic_type="message")
    drawn = memos.remember(LISBON, by=ANA, provenance=Provenance(derived_from=(source.ref,), author="user:ana"))
    said = memos.remember(LISBON, by=ANA, provenance=Provenance(author="user:ana"))
    assert said.state is State.MERGED
    memos.forget(source.id, by=ANA)
    assert told(memos) == [LISBON]
    with pytest.raises(CubeNotFoundError):
        memos.get(drawn.id, by=ANA)


def test_what_ends_earlier_takes_no_repeat_in_that_holds_on(memos: MemOS, clock: Clock) -> None:
    memos.remember(TEAL, by=ANA, valid_to=clock.now + DAY)
    assert memos.remember(TEAL, by=ANA).state is State.GENERATED
    clock.now += 2 * DAY
    memos.tick(by=ANA)
    assert told(memos, "favourite colour teal") == [TEAL]


def test_saying_it_again_takes_nothing_from_what_was_derived_from_it(memos: MemOS) -> None:
    first = memos.remember(TEAL, by=ANA)
    drawn = memos.remember("Ana likes blue-green things.", by=ANA, provenance=Provenance(derived_from=(first.ref,)))
    memos.remember(TEAL, by=ANA)
    assert memos.get(first.id, by=ANA).version == 2
    assert memos.get(drawn.id, by=ANA).text in told(memos, "blue-green things")
    memos.move(first.id, "frozen", by=ANA)
    assert memos.get(drawn.id, by=ANA).text == drawn.text
    memos.move(first.id, "activated", by=ANA)
    memos.update(first.id, by=ANA, text="My favourite colour is red.")
    with pytest.raises(CubeNotFoundError):
        memos.get(drawn.id, by=ANA)


def test_undoing_a_block_undoes_what_came_back(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    merged = memos.merge([home.id, music.id], by=ANA)

    def forgotten() -> None:
        with memos.atomic(by=ANA) as memory:
            memory.forget(home.id, by=ANA)
            assert CELLO in told(memory)
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        forgotten()
    assert told(memos) == [merged.text]
    assert memos.get(music.id, by=ANA).state is State.MERGED


def test_what_came_back_and_was_merged_again_stands_with_the_later_merge(memos: MemOS) -> None:
    home, music = memos.remember(LISBON, by=ANA), memos.remember(CELLO, by=ANA)
    first = memos.merge([home.id, music.id], by=ANA, text="A first version: Ana lives in Lisbon, plays the cello.")
    memos.forget(first.id, by=ANA)
    text = "A second version: Ana lives in Lisbon, plays the cello."
    second = memos.merge([home.id, music.id], by=ANA, text=text)
    assert told(memos, "first second version") == [text]
    memos.forget(second.id, by=ANA)
    assert told(memos) == [LISBON, CELLO]
