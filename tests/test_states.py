"""Every path honours the state of a memory, and a hold on it: one table of what is read, one of what is changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from memos_integrations import MemOS, Principal, State
from memos_integrations.core.cube import CubeRef, MemCube, ModelFingerprint, Provenance
from memos_integrations.core.errors import (
    ClockError,
    CubeNotFoundError,
    CyclicDerivationError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    MemOSError,
    SourceGoneError,
)
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.pipeline.steps import Archive, Find, Merge
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain import MemOSRetriever as LangChainRetriever
from memos_integrations.langgraph import memory_subgraph
from memos_integrations.llama_index import MemOSRetriever as LlamaIndexRetriever
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
EVE = Principal(tenant="other", user="eve")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HELD = "held"
MODEL = ModelFingerprint(model="m", weights="w", tokenizer="t", chat_template="c", dtype="float32", positions="rope")


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    with MemOS(vault, clock=lambda: START) as made:
        yield made
        assert made.verify_audit().ok


def in_state(memos: MemOS, state: State | str) -> MemCube:
    """A memory of Ana's in a state, or on hold, with two versions."""
    cube = memos.remember("The kettle is green.", by=ANA)
    memos.update(cube.id, by=ANA, text="The kettle is blue.")
    moved_to(memos, cube, state)
    return cube


class Store:
    """A store of derived memory."""

    def __init__(self) -> None:
        self.held: set[CubeRef] = set()

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        gone = {ref for ref in self.held if ref.id in cube_ids}
        self.held -= gone
        return len(gone)

    def sources(self) -> set[tuple[str, CubeRef]]:
        return {("acme", ref) for ref in self.held}


# --- reading

RECALLED = {State.GENERATED, State.ACTIVATED, State.FROZEN, HELD}
KEPT = RECALLED | {State.MERGED, State.ARCHIVED}
ASKED = "Which colour is the kettle?"

READS: dict[str, tuple[set[Any], Callable[[MemOS, str], list[str]]]] = {
    "recall": (RECALLED, lambda m, _: [h.text for h in m.recall(ASKED, by=ANA, needed=True).hits]),
    "find": (RECALLED, lambda m, _: [c.text for c in m.find(CubeFilter(), by=ANA)]),
    "answer": (RECALLED, lambda m, _: [m.answer("What colour is the kettle?", by=ANA).sentence or ""]),
    "langchain": (
        RECALLED,
        lambda m, _: [d.page_content for d in LangChainRetriever(memos=m, principal=ANA).invoke(ASKED)],
    ),
    "llama_index": (
        RECALLED,
        lambda m, _: [n.text for n in LlamaIndexRetriever(m, principal=ANA).retrieve(ASKED)],
    ),
    "langgraph": (
        RECALLED,
        lambda m, _: [
            h["text"]
            for h in memory_subgraph(m, principal=ANA).invoke({"messages": [HumanMessage(ASKED)]})["recalled"]["hits"]
        ],
    ),
    "atomic": (RECALLED, lambda m, _: recalled_within(m)),
    "get": (KEPT, lambda m, cube_id: [got(m, cube_id)]),
    "get_many": (KEPT, lambda m, cube_id: [c.text for c in m.get_many([cube_id], by=ANA)]),
    "use_in_prompt": (KEPT, lambda m, cube_id: [c.text for c in m.get_many([cube_id], by=ANA, verb="use_in_prompt")]),
}


def recalled_within(memos: MemOS) -> list[str]:
    with memos.atomic(by=ANA) as memory:
        return [hit.text for hit in memory.recall(ASKED, by=ANA, needed=True).hits]


def got(memos: MemOS, cube_id: str) -> str:
    try:
        return memos.get(cube_id, by=ANA).text
    except CubeNotFoundError:
        return ""


@pytest.mark.answers("AISVS 8.3.1")
@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("state", [*State, HELD])
def test_what_is_read_in_which_state(memos: MemOS, state: State | str, path: str) -> None:
    cube = in_state(memos, state)
    shown_in, read = READS[path]
    assert any("blue" in text for text in read(memos, cube.id)) == (state in shown_in)


# --- changing


def appended_within(memos: MemOS, cube_id: str) -> None:
    with memos.atomic(by=ANA) as memory:
        memory.append(cube_id, "More.", by=ANA)


OPEN = {State.GENERATED, State.ACTIVATED, State.MERGED, State.ARCHIVED}
CHANGES: dict[str, tuple[set[Any], Callable[[MemOS, str], Any]]] = {
    "update": (OPEN, lambda m, i: m.update(i, by=ANA, text="Other.")),
    "append": (OPEN, lambda m, i: m.append(i, "More.", by=ANA)),
    "relabel": (OPEN, lambda m, i: m.relabel(i, by=ANA, add=["x"])),
    "helpful": (OPEN, lambda m, i: m.feedback(i, "helpful", by=ANA)),
    "outdated": (OPEN, lambda m, i: m.feedback(i, "outdated", by=ANA)),
    "restore": (OPEN, lambda m, i: m.restore(i, 1, by=ANA)),
    "forget": (OPEN | {State.EXPIRED}, lambda m, i: m.forget(i, by=ANA)),
    "merge": (
        {State.GENERATED, State.ACTIVATED},
        lambda m, i: m.merge([i, m.remember("Another.", by=ANA).id], by=ANA),
    ),
    "archive": (
        {State.GENERATED, State.ACTIVATED, State.MERGED, State.EXPIRED},
        lambda m, i: m.move(i, "archived", by=ANA),
    ),
    "freeze": ({State.GENERATED, State.ACTIVATED, State.ARCHIVED}, lambda m, i: m.move(i, "frozen", by=ANA)),
    "in a pipeline": (
        {State.GENERATED, State.ACTIVATED},
        lambda m, i: m.run(
            MemPipeline("p", [lambda run: [i, run.memory.remember("A.", by=ANA).id], Merge.model_validate(
                {"in": "<lambda>"})]), by=ANA
        ),
    ),
    "in a block": (OPEN, appended_within),
}  # fmt: skip


@pytest.mark.parametrize("verb", CHANGES)
@pytest.mark.parametrize("state", [*State, HELD])
def test_what_is_changed_in_which_state(memos: MemOS, state: State | str, verb: str) -> None:
    cube = in_state(memos, state)
    before = memos._governance._vault.history("acme", cube.id)
    open_in, change = CHANGES[verb]
    if state in open_in:
        change(memos, cube.id)
        assert memos._governance._vault.history("acme", cube.id) != before
        return
    with pytest.raises((LegalHoldError, IllegalTransitionError, CubeNotFoundError)):
        change(memos, cube.id)
    assert memos._governance._vault.history("acme", cube.id) == before


@pytest.mark.parametrize(
    "verb", ["update", "append", "restore", "outdated", "merge", "archive", "forget", "in a block"]
)
def test_what_was_computed_goes_with_every_change(memos: MemOS, verb: str) -> None:
    cube, store = in_state(memos, State.GENERATED), Store()
    store.held = {memos.get(cube.id, by=ANA).ref}
    memos.attach(store)
    CHANGES[verb][1](memos, cube.id)
    assert store.held == set()


def moved_to(memos: MemOS, cube: MemCube, state: State | str) -> None:
    """Bring a memory of Ana's into a state, or under a hold."""
    if state is State.MERGED:
        memos.merge([cube.id, memos.remember("A spoon.", by=ANA).id], by=ANA, text="The kettle is red now. A spoon.")
    elif state == HELD:
        memos.hold(cube.id, by=ADMIN)
    elif state is not State.GENERATED:
        memos.move(cube.id, state, by=ANA)


@pytest.mark.parametrize("state", [*State, HELD])
def test_keys_and_values_are_given_out_while_their_source_is_recalled(memos: MemOS, state: State | str) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    kept = memos.keep_activation(
        b"keys and values", [cube], token_count=3, token_ids_digest="a" * 64, key="k", fingerprint=MODEL, by=ANA
    )
    assert [each.id for each in memos.activations(by=ANA)] == [kept.id]
    moved_to(memos, cube, state)
    there = state in {State.GENERATED, State.ACTIVATED}  # the others made a version, or left recall
    assert bool(memos.activations(by=ANA)) == there
    assert (memos.find_activation("k", by=ANA) is not None) == there


@pytest.mark.parametrize("state", [*State, HELD])
def test_an_adapter_is_used_while_its_source_is_recalled(memos: MemOS, state: State | str) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    memos.attach(Store())
    kept = memos.keep_parameter(b"weights", [cube], base=MODEL, training={"gates": {"failed": []}}, by=ANA)
    moved_to(memos, cube, state)
    there = state in {State.GENERATED, State.ACTIVATED}  # the others made a version, or left recall
    assert memos.recall(ASKED, by=ANA, needed=True).adapters == ((kept.id,) if there else ())


def test_what_was_computed_of_a_memory_is_used_as_long_as_that_holds(tmp_path: Path) -> None:
    now = [START]
    with MemOS.open(tmp_path, clock=lambda: now[0]) as memos:
        ends = memos.remember("The kettle is blue.", by=ANA, valid_to=START + timedelta(days=5))
        stays = memos.remember("The kettle is from Oslo.", by=ANA)
        memos.attach(Store())
        kept = memos.keep_parameter(b"w", [ends, stays], base=MODEL, training={"gates": {"failed": []}}, by=ANA)
        how: dict[str, Any] = {"token_count": 3, "token_ids_digest": "a" * 64, "key": "k", "fingerprint": MODEL}
        memos.keep_activation(b"keys and values", [ends, stays], **how, by=ANA)
        assert memos.recall(ASKED, by=ANA, needed=True).adapters == (kept.id,)
        assert len(memos.activations(by=ANA)) == 1
        now[0] += timedelta(days=6)
        found = memos.recall(ASKED, by=ANA, needed=True)
        assert [hit.text for hit in found.hits] == [stays.text]
        assert found.adapters == ()
        assert memos.activations(by=ANA) == []


def test_what_was_computed_of_what_is_to_begin_is_used_from_then_on(tmp_path: Path) -> None:
    now, begins = [START], START + timedelta(days=5)
    with MemOS.open(tmp_path, clock=lambda: now[0]) as memos:
        cube = memos.remember("The kettle is blue.", by=ANA, valid_from=begins)
        memos.attach(Store())
        kept = memos.keep_parameter(b"w", [cube], base=MODEL, training={"gates": {"failed": []}}, by=ANA)
        how: dict[str, Any] = {"token_count": 3, "token_ids_digest": "a" * 64, "key": "k", "fingerprint": MODEL}
        memos.keep_activation(b"keys and values", [cube], **how, by=ANA)
        found = memos.recall(ASKED, by=ANA, needed=True)
        assert (found.hits, found.adapters, memos.activations(by=ANA)) == ((), (), [])
        now[0] = begins
        found = memos.recall(ASKED, by=ANA, needed=True)
        assert (len(found.hits), found.adapters, len(memos.activations(by=ANA))) == (1, (kept.id,), 1)


@pytest.mark.parametrize("state", [*State, HELD])
def test_a_subscriber_gets_what_a_reader_gets_and_in_which_state_it_is(memos: MemOS, state: State | str) -> None:
    ben = Principal(tenant="acme", user="ben")
    memos.store.subscribe("news", by=ben)
    cube = memos.remember("The kettle is blue.", by=ANA, readers=["ben"])
    moved_to(memos, cube, state)
    told = [each.cube for each in memos.store.pull("news", by=ben).deliveries if each.cube and "blue" in each.cube.text]
    assert bool(told) == (state in KEPT)
    assert all(each.state is (State.GENERATED if state == HELD else state) for each in told)


# --- bad input


def test_bad_times_and_ends(memos: MemOS) -> None:
    with pytest.raises(InvalidMemoryError):
        memos.remember("A kettle.", by=ANA, valid_from=START, valid_to=START - timedelta(days=1))
    cube = memos.remember("A kettle.", by=ANA)
    with pytest.raises(InvalidMemoryError), memos.atomic(by=ANA) as memory:
        memory.update(cube.id, by=ANA, valid_from=START, valid_to=START - timedelta(days=1))
    with pytest.raises(ClockError):
        memos.tick(by=ANA, now=START - timedelta(days=365))
    assert memos.get(cube.id, by=ANA).version == 1


def test_a_pipeline_under_a_clock_that_jumped_back(memos: MemOS) -> None:
    cube = memos.remember("A kettle.", by=ANA)
    early = MemOS(memos._governance._vault, clock=lambda: START - timedelta(days=365))
    steps = [Find.model_validate({"as": "x"}), Archive.model_validate({"in": "x"})]
    report = early.run(MemPipeline("p", steps), by=ANA)
    assert [change.what for change in report.changes] == ["moved"]
    early.append(cube.id, "More.", by=ANA)
    times = [each.descriptive.recorded_at for each in early.history(cube.id, by=ANA)]
    assert times == sorted(times)


def test_merging_is_refused_across_tenants_and_in_rings(memos: MemOS) -> None:
    mine, theirs = memos.remember("Mine.", by=ANA), memos.remember("Theirs.", by=EVE)
    with pytest.raises(CubeNotFoundError):
        memos.merge([mine.id, theirs.id], by=ANA)
    derived = memos.remember("Derived.", by=ANA, provenance=Provenance(derived_from=(mine.ref,)))
    with pytest.raises(CyclicDerivationError):
        memos.merge([mine.id, derived.id], by=ANA)


def test_a_version_whose_source_was_deleted_stays_away(memos: MemOS) -> None:
    source = memos.remember("A source.", by=ANA)
    derived = memos.remember("Derived.", by=ANA, provenance=Provenance(derived_from=(source.ref,)))
    memos.update(source.id, by=ANA, text="Another source.")
    pipeline = MemPipeline("back", [lambda run: run.memory.restore(derived.id, 1, by=run.by)])
    with pytest.raises(SourceGoneError):
        memos.run(pipeline, by=ANA)
    memos.forget(source.id, by=ANA)
    with pytest.raises(MemOSError):
        memos.run(pipeline, by=ANA)
