"""Summaries obey their sources: the same words for the same sources, made anew when one changes, gone with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations import MemCube, MemOS, Principal, State
from memos_integrations.core.errors import (
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    ModelError,
)
from memos_integrations.core.operator.summary import summary_of
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXTS = [
    "The pump of the north well was replaced. It took two days.",
    "The pump of the south well hums. Nobody knows why the pump hums.",
    "Lunch was late. The pump of the south well was greased.",
]


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    with MemOS(vault, clock=lambda: START) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS) -> list[MemCube]:
    return [memos.remember(text, by=ANA, occurred_at=START - timedelta(days=9 - day)) for day, text in enumerate(TEXTS)]


def test_rules_choose_what_most_speak_of_in_the_order_told(memos: MemOS) -> None:
    cubes = told(memos)
    made = memos.summarise([cube.id for cube in reversed(cubes)], by=ANA, most=3)
    lines = made.text.splitlines()
    assert len(lines) == 3
    assert "Lunch was late." not in lines
    assert [line for text in TEXTS for line in text.replace(". ", ".\n").splitlines() if line in lines] == lines
    assert made.descriptive.semantic_type == "summary"
    assert set(made.provenance.derived_from) == {cube.ref for cube in cubes}
    assert memos.summarise([cube.id for cube in cubes], by=ANA, most=3).id == made.id


def test_a_summary_of_what_is_said_to_be_wrong_is_made_anew_and_trusted_no_more_than_that(memos: MemOS) -> None:
    cubes = [memos.remember(text, by=ANA) for text in ("The boiler is in the cellar.", "The bikes are in the shed.")]
    summary = memos.summarise([cube.id for cube in cubes], by=ANA)
    doubted = memos.feedback(cubes[0].id, "wrong", by=ANA)
    anew = memos.get(summary.id, by=ANA)
    assert doubted.ref in anew.provenance.derived_from
    assert (summary.trust.label, anew.trust.label) == (cubes[0].trust.label, doubted.trust.label)
    assert summary.trust.label != anew.trust.label


def test_feedback_on_a_source_makes_the_summary_anew_as_if_it_had_never_said_so(memos: MemOS) -> None:
    cubes = told(memos)
    made = memos.summarise([cube.id for cube in cubes], by=ANA, most=3)
    memos.feedback(cubes[0].id, "outdated", by=ANA)
    now = memos.get(made.id, by=ANA)
    assert now.version == 2
    assert now.text == summary_of(cubes[1:], 3)
    assert "north" not in now.text
    assert {ref.id for ref in now.provenance.derived_from} == {cube.id for cube in cubes[1:]}
    assert memos.recall("north well pump", by=ANA, needed=True, where=None).hits[0].cube.id != cubes[0].id


def test_a_changed_source_hides_the_summary_until_a_pass_makes_it_anew(memos: MemOS) -> None:
    cubes = told(memos)
    made = memos.summarise([cube.id for cube in cubes], by=ANA, most=6)
    memos.update(cubes[1].id, text="The pump of the south well is quiet again.", by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(made.id, by=ANA)
    assert memos.tick(by=ANA).renewed == (made.id,)
    assert "quiet again" in memos.get(made.id, by=ANA).text
    assert "hums" not in memos.get(made.id, by=ANA).text
    assert memos.tick(by=ANA).renewed == ()


def test_a_summary_dies_with_a_source_that_is_forgotten(memos: MemOS) -> None:
    cubes = told(memos)
    made = memos.summarise([cube.id for cube in cubes], by=ANA)
    memos.forget(cubes[2].id, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(made.id, by=ANA)
    assert "greased" not in memos.recall("south well greased", by=ANA, needed=True).text


def test_what_a_callable_wrote_is_renewed_by_a_callable_only(memos: MemOS) -> None:
    cubes = told(memos)
    asked: list[list[str]] = []

    def write(sources: Sequence[MemCube]) -> str:
        asked.append([cube.id for cube in sources])
        return f"{len(sources)} notes on wells, the newest of version {sources[-1].version}."

    made = memos.summarise([cube.id for cube in cubes], by=ANA, write=write)
    assert asked == [[cube.id for cube in cubes]]
    memos.append(cubes[2].id, "And painted.", by=ANA)
    assert memos.tick(by=ANA).renewed == ()
    assert memos.renew_summaries(by=ANA, write=write) == (made.id,)
    assert memos.get(made.id, by=ANA).text == "3 notes on wells, the newest of version 2."
    with pytest.raises(ModelError):
        memos.summarise([cubes[0].id], by=ANA, write=lambda _: " ")


def test_another_writer_or_place_gives_another_summary(memos: MemOS) -> None:
    cube = memos.remember("The roof was sealed.", by=ANA)
    one = memos.summarise([cube.id], by=ANA, write=lambda _: "Sealed.")
    assert memos.summarise([cube.id], by=ANA, write=lambda _: "It is tight.").text == "It is tight."
    assert memos.summarise([cube.id], by=ANA, write=lambda _: "Sealed.").id == one.id
    there = memos.summarise([cube.id], by=ANA, write=lambda _: "Sealed.", namespace=("acme", "ana", "roof"))
    assert there.namespace == ("acme", "ana", "roof")


def test_where_no_source_is_left_in_recall_the_summary_leaves_too(memos: MemOS) -> None:
    cube = memos.remember("The ferry leaves at nine.", by=ANA)
    made = memos.summarise([cube.id], by=ANA)
    memos.feedback(cube.id, "outdated", by=ANA)
    assert "ferry" not in memos.recall("ferry", by=ANA, needed=True).text
    assert memos.tick(by=ANA).renewed == ()
    with pytest.raises(CubeNotFoundError):
        memos.get(made.id, by=ANA)


def test_a_summary_obeys_its_sources(memos: MemOS) -> None:
    mine = memos.remember("The vault code is kept by Ana.", by=ANA, ttl=timedelta(days=1), sensitivity=["secret"])
    bens = memos.remember("The vault is in the cellar.", by=BEN, readers=["ana"])
    made = memos.summarise([mine.id, bens.id], by=ANA)
    assert made.governance.expires_at == START + timedelta(days=1)
    assert made.governance.sensitivity == ("secret",)
    with pytest.raises(CubeNotFoundError):
        memos.get(made.id, by=BEN)
    private = memos.remember("Ben's own.", by=BEN)
    with pytest.raises(CubeNotFoundError):
        memos.summarise([private.id], by=ANA)


def test_a_frozen_summary_is_left_alone_and_its_source_too(memos: MemOS) -> None:
    cube = memos.remember("The roof was sealed.", by=ANA)
    made = memos.summarise([cube.id], by=ANA)
    memos.move(made.id, "frozen", by=ANA)
    with pytest.raises(IllegalTransitionError, match=made.id):
        memos.append(cube.id, "Twice.", by=ANA)
    memos.relabel(cube.id, by=ANA, add=["roof"])
    assert memos.tick(by=ANA).renewed == ()
    assert memos.get(made.id, by=ANA).version == 2


def test_bad_requests_are_refused(memos: MemOS) -> None:
    cube = memos.remember("The roof was sealed.", by=ANA)
    for ids, most in (([], 5), ([cube.id], 0), ([cube.id], 51)):
        with pytest.raises(InvalidMemoryError):
            memos.summarise(ids, by=ANA, most=most)
    assert memos.get(cube.id, by=ANA).state is State.GENERATED


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60).filter(str.strip), min_size=1, max_size=8), st.integers(1, 6))
def test_the_order_of_the_sources_does_not_matter_and_nothing_is_made_up(texts: list[str], most: int) -> None:
    with MemOS(InMemoryVault(), clock=lambda: START) as memos:
        try:
            cubes = [memos.remember(text, by=ANA) for text in texts]
        except InvalidMemoryError:
            return
        made = summary_of(cubes, most)
        assert made == summary_of(cubes[::-1], most)
        assert len(made.splitlines()) <= max(most, len(made.splitlines()))
        assert all(any(line.strip() in text or line in text for text in texts) for line in made.split("\n"))


def test_words_that_somebody_changed_are_kept_and_named_until_they_are_given_up(memos: MemOS) -> None:
    cubes = told(memos)
    made = memos.summarise([cube.id for cube in cubes], by=ANA, most=6)
    memos.update(made.id, text="Ask Ana about the wells.", by=ANA)
    assert memos.tick(by=ANA).edited == ()
    memos.update(cubes[1].id, text="The pump of the south well is quiet again.", by=ANA)
    passed = memos.tick(by=ANA)
    assert (passed.renewed, passed.edited) == ((), (made.id,))
    assert memos.renew_summaries(by=ANA) == ()
    assert memos.renew_summaries(by=ANA, edited=True) == (made.id,)
    assert "quiet again" in memos.get(made.id, by=ANA).text
    memos.update(cubes[1].id, text="The pump of the south well hums again.", by=ANA)
    assert memos.tick(by=ANA).renewed == (made.id,)


@pytest.mark.parametrize("how", ["held", "frozen"])
def test_nobody_takes_a_summary_away_that_is_held_or_frozen_by_letting_its_source_expire(
    memos: MemOS, how: str
) -> None:
    cubes = told(memos)
    summary = memos.summarise([cube.id for cube in cubes], by=ANA)
    if how == "held":
        memos.hold(summary.id, by=ADMIN)
    else:
        memos.move(summary.id, "frozen", by=ANA)
    with pytest.raises(LegalHoldError if how == "held" else IllegalTransitionError, match=summary.id):
        memos.move(cubes[0].id, "expired", by=ANA)
    assert memos.get(summary.id, by=ANA).text == summary.text
    memos.move(cubes[0].id, "archived", by=ANA)
    assert memos.get(summary.id, by=ANA).text == summary.text, "what is only archived takes nothing away"
