"""Memory pipelines: all of it or nothing, seen by nobody before, bounded, governed, on record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, MemOSError, Principal, State
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    CyclicDerivationError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    PipelineError,
    VersionConflictError,
)
from memos_integrations.core.pipeline import MemPipeline, PipelineRun
from memos_integrations.core.pipeline.steps import (
    Archive,
    Consolidate,
    Each,
    Expect,
    Find,
    Forget,
    Merge,
    Recall,
    Relabel,
    Remember,
    Repeat,
    RunPipeline,
    Tick,
    Update,
    declared,
)  # fmt: skip
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
BOB = Principal(tenant="acme", user="bob")
EVE = Principal(tenant="other", user="eve")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    with MemOS(vault, clock=lambda: NOW) as made:
        yield made


def found(memos: MemOS, text: str, by: Principal = ANA) -> list[str]:
    return sorted(hit.text for hit in memos.recall(text, by=by, needed=True).hits)


def operations(memos: MemOS) -> list[str]:
    return [entry.record.operation for entry in memos.audit(by=ANA, limit=1_000)]


# --- all or nothing


def test_everything_becomes_true_together(memos: MemOS) -> None:
    old = memos.remember("The offer is a draft.", by=ANA)
    assert found(memos, "offer")  # used before: a first use in the midst of the run would make it run anew
    seen: list[list[str]] = []

    def look(run: PipelineRun) -> None:
        seen.append(found(run.memory, "offer"))
        seen.append(found(memos, "offer"))

    pipeline = MemPipeline(
        "sign",
        [
            Recall.model_validate({"prompt": "offer", "as": "draft"}),
            Expect.model_validate({"in": "draft"}),
            Remember(text="The offer of $customer was signed."),
            Archive.model_validate({"in": "draft"}),
            look,
        ],
        parameters=["customer"],
    )
    report = memos.run(pipeline, by=ANA, given={"customer": "Kowalski"})
    assert seen == [["The offer of Kowalski was signed."], ["The offer is a draft."]]
    assert found(memos, "offer") == ["The offer of Kowalski was signed."]
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert report.steps == ("recall", "expect", "remember", "archive", "look")
    assert sorted(change.what for change in report.changes) == ["moved", "new"]
    assert report.commit is not None
    assert memos.verify_audit().ok


def test_one_transaction_holds_all_of_it(memos: MemOS) -> None:
    reports = [memos.run(MemPipeline("three", [Remember(text=f"kettle {n}") for n in range(3)]), by=ANA)]
    reports.append(memos.run(MemPipeline("one", [Remember(text="cup")]), by=ANA))
    first, second = (report.commit or 0 for report in reports)
    assert second == first + 1
    with memos.atomic(by=ANA) as memory:
        cube = memory.remember("kettle", by=ANA)
        for number in range(4):
            cube = memory.append(cube.id, f"line {number}", by=ANA)
        memory.move(cube.id, "archived", by=ANA)
    assert [each.version for each in memos.history(cube.id, by=ANA)] == [1, 2, 3, 4, 5]
    assert memos.get(cube.id, by=ANA).state is State.ARCHIVED
    assert memos.verify_audit().ok


@pytest.mark.parametrize("number", range(4))
def test_a_step_that_fails_undoes_those_before_it(memos: MemOS, number: int) -> None:
    one = memos.remember("The kettle is blue.", by=ANA)
    two = memos.remember("The kettle is old.", by=ANA)

    def fail(run: PipelineRun) -> None:
        raise ZeroDivisionError

    steps: list[Any] = [
        Remember(text="A third one."),
        lambda run: run.memory.update(one.id, by=ANA, text="The kettle is red."),
        lambda run: run.memory.merge([one.id, two.id], by=ANA),
    ]
    steps.insert(number, fail)
    with pytest.raises(ZeroDivisionError) as failed:
        memos.run(MemPipeline("fails", steps), by=ANA)
    assert f"step {number + 1} (fail)" in failed.value.__notes__[0]
    assert found(memos, "kettle") == ["The kettle is blue.", "The kettle is old."]
    assert found(memos, "third") == []
    assert [memos.get(each.id, by=ANA).version for each in (one, two)] == [1, 1]
    assert operations(memos).count("pipeline_undone") == 1
    assert "pipeline" not in operations(memos)


def test_nobody_sees_what_is_not_committed_not_even_events(memos: MemOS) -> None:
    vault = memos._governance._vault
    after = len(vault.events(0, 1_000))

    def look(run: PipelineRun) -> None:
        assert len(vault.events(0, 1_000)) == after
        assert found(memos, "kettle") == []

    memos.run(MemPipeline("p", [Remember(text="A kettle."), look]), by=ANA)
    kinds = [event.kind for _, event in vault.events(0, 1_000)[after:]]
    assert kinds == ["cube_written"]


def test_what_was_read_in_a_block_that_failed_stays_on_record(memos: MemOS) -> None:
    cube = memos.remember("Tom plants trees.", by=ANA)

    def failing() -> None:
        with memos.atomic(by=ANA) as memory:
            memory.get(cube.id, by=ANA)
            memory.remember("Tom fells trees.", by=ANA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    told = [entry.record for entry in memos.audit(by=ANA)]
    assert [each.operation for each in told] == ["remember", "read", "atomic_undone"]
    assert told[1].cube_id == cube.id


def test_a_block_of_code_is_atomic_too(memos: MemOS) -> None:
    with pytest.raises(InvalidMemoryError), memos.atomic(by=ANA) as memory:
        memory.remember("A kettle.", by=ANA) and memory.remember("", by=ANA)
    assert found(memos, "kettle") == []
    with memos.atomic(by=ANA) as memory:
        cube = memory.remember("A kettle.", by=ANA)
        with memory.atomic(by=ANA) as inner:
            inner.append(cube.id, "It is blue.", by=ANA)
        assert found(memos, "kettle") == []
    assert found(memos, "kettle") == ["A kettle.\nIt is blue."]
    assert memos.verify_audit().ok


def test_a_whole_life_fits_into_one_transaction(memos: MemOS) -> None:
    kept = memos.remember("The kettle is old.", by=ANA)
    with memos.atomic(by=ANA) as memory:
        one = memory.remember("I live in Lisbon.", by=ANA, occurred_at=NOW - timedelta(days=9))
        two = memory.remember("I moved to Porto.", by=ANA, occurred_at=NOW)
        (decided,) = memory.consolidate(by=ANA)
        assert decided.older == one.id
        memory.undo(decided, by=ANA)
        gone = memory.remember("Nobody needs this.", by=ANA)
        memory.forget(gone.id, by=ANA)
        memory.update(kept.id, by=ANA, text="The kettle is new.")
        memory.restore(kept.id, 1, by=ANA)
        memory.feedback(two.id, "helpful", by=ANA)
        memory.merge([one.id, two.id], by=ANA)
    assert memos.get(kept.id, by=ANA).text == "The kettle is old."
    assert memos.get(kept.id, by=ANA).version == 3
    assert {memos.get(each.id, by=ANA).state for each in (one, two)} == {State.MERGED}
    assert [each.undone for each in memos.decisions(one.id, by=ANA)] == [True]
    with pytest.raises(CubeNotFoundError):
        memos.get(gone.id, by=ANA)
    assert memos.verify_audit().ok


# --- dry run


def test_a_dry_run_tells_and_changes_nothing(memos: MemOS) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    steps = declared([
        {"find": {"as": "all"}}, {"update": {"in": "all", "text": "The kettle is red."}}, {"archive": {"in": "all"}},
        {"remember": {"text": "A cup."}},
    ])  # fmt: skip
    pipeline = MemPipeline("paint", steps)
    before = memos.generation(by=ANA)
    report = memos.run(pipeline, by=ANA, dry_run=True)
    assert report.dry_run
    assert report.commit is None
    assert memos.generation(by=ANA) == before
    assert memos.history(cube.id, by=ANA) == [memos.get(cube.id, by=ANA)]
    changed = next(change for change in report.changes if change.cube_id == cube.id)
    assert changed.diff == ("-The kettle is blue.", "+The kettle is red.")
    assert (changed.before, changed.after) == ((1, State.GENERATED), (2, State.ARCHIVED))
    assert "pipeline_dry_run" in operations(memos)
    done = memos.run(pipeline, by=ANA)
    assert [(each.what, each.diff) for each in done.changes] == [(each.what, each.diff) for each in report.changes]


# --- others at the same time


def test_it_runs_anew_when_somebody_was_faster(memos: MemOS) -> None:
    cube = memos.remember("Count: 0", by=ANA)
    times: list[int] = []

    def meddle(run: PipelineRun) -> None:
        times.append(1)
        text = run.memory.get(cube.id, by=ANA).text
        if len(times) < 3:
            memos.update(cube.id, by=ANA, text=f"Count: {len(times) * 10}")
        run.memory.update(cube.id, by=ANA, text=f"{text} and one")

    report = memos.run(MemPipeline("meddled", [meddle]), by=ANA)
    assert report.attempts == 3
    assert memos.get(cube.id, by=ANA).text == "Count: 20 and one"


def test_it_gives_up_at_last_and_nothing_is_changed(memos: MemOS) -> None:
    cube = memos.remember("Count: 0", by=ANA)

    def meddle(run: PipelineRun) -> None:
        memos.append(cube.id, "faster", by=ANA)
        run.memory.remember("Never seen.", by=ANA)
        run.memory.append(cube.id, "slower", by=ANA)
        memos.append(cube.id, "faster again", by=ANA)

    with pytest.raises(VersionConflictError):
        memos.run(MemPipeline("meddled", [meddle]), by=ANA)
    assert found(memos, "seen") == []
    assert "slower" not in memos.get(cube.id, by=ANA).text


def test_many_at_once_lose_nothing(memos: MemOS) -> None:
    cube = memos.remember("Lines:", by=ANA)
    failed: list[BaseException] = []

    def work(name: str) -> None:
        pipeline = MemPipeline(name, [lambda run: run.memory.append(cube.id, name, by=ANA), Remember(text=f"n {name}")])
        try:
            memos.run(pipeline, by=ANA)
        except VersionConflictError as exc:
            failed.append(exc)

    threads = [threading.Thread(target=work, args=(f"line{n}",)) for n in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines = memos.get(cube.id, by=ANA).text.splitlines()[1:]
    assert len(lines) == len(set(lines)) == 6 - len(failed)
    assert len(found(memos, "n")) == len(lines)


def test_the_same_run_is_carried_out_once(memos: MemOS) -> None:
    pipeline = MemPipeline("once", [Remember(text="A kettle.")])
    first = memos.run(pipeline, by=ANA, run_id="monday")
    again = memos.run(pipeline, by=ANA, run_id="monday")
    assert (first.known, again.known) == (False, True)
    assert len(found(memos, "kettle")) == 1
    assert not memos.run(pipeline, by=BOB, run_id="monday").known


# --- bounded


def test_a_pipeline_that_runs_itself_is_refused(memos: MemOS) -> None:
    ring = MemPipeline("ring", [Remember(text="A kettle."), RunPipeline(pipeline="ring")])
    with pytest.raises(PipelineError, match="runs itself: ring -> ring"):
        memos.run(ring, by=ANA)
    one = MemPipeline("one", [RunPipeline(pipeline="two")])
    two = MemPipeline("two", [RunPipeline(pipeline="one")])
    one.parts.update(two=two)
    with pytest.raises(PipelineError, match="one -> two -> one"):
        memos.run(one, by=ANA)
    assert found(memos, "kettle") == []


@pytest.mark.timeout(60)
def test_a_loop_ends(memos: MemOS) -> None:
    grow = Repeat(steps=(Remember(text="More."),), at_most=5)
    with pytest.raises(PipelineError, match="5 rounds"):
        memos.run(MemPipeline("grow", [grow]), by=ANA)
    settled = MemPipeline("settle", [Repeat(steps=(Tick(), Consolidate()))])
    assert memos.run(settled, by=ANA).changes == ()

    def forever(run: PipelineRun) -> None:
        run.take([forever])

    with pytest.raises(PipelineError, match="loops"):
        memos.run(MemPipeline("forever", [forever], most_steps=50), by=ANA)
    with pytest.raises(PipelineError, match="never ends"):
        memos.run(MemPipeline("forever", [forever], most_steps=10**6), by=ANA)

    def itself(run: PipelineRun) -> None:
        run.memory.run(run.pipeline, by=run.by)

    with pytest.raises(PipelineError, match="within each other"):
        memos.run(MemPipeline("itself", [itself]), by=ANA)
    assert found(memos, "more") == []


def test_it_changes_at_most_so_many(memos: MemOS) -> None:
    many = MemPipeline("many", [Remember(text=f"kettle {n}") for n in range(4)], most_changes=3)
    with pytest.raises(PipelineError, match="4 memories, more than 3"):
        memos.run(many, by=ANA)
    assert found(memos, "kettle") == []


# --- governed, and on record


def test_each_step_is_the_principals_own_deed(memos: MemOS) -> None:
    hers = memos.remember("Ana's kettle.", by=ANA, readers=["bob"])
    secret = memos.remember("Ana's secret kettle.", by=ANA)
    with pytest.raises(AccessDeniedError):
        memos.run(MemPipeline("p", [lambda run: run.memory.append(hers.id, "mine", by=run.by)]), by=BOB)
    with pytest.raises(CubeNotFoundError):
        memos.run(MemPipeline("p", [lambda run: run.memory.forget(secret.id, by=run.by)]), by=BOB)
    report = memos.run(MemPipeline("p", [Recall(prompt="kettle")]), by=BOB)
    assert report.steps == ("recall",)
    denied = [each for each in memos.audit(by=BOB, limit=99) if each.record.outcome == "denied"]
    assert len(denied) == 2
    assert memos.get(hers.id, by=ANA).version == 1


def test_another_tenant_is_out_of_reach(memos: MemOS) -> None:
    theirs = memos.remember("Eve's kettle.", by=EVE)
    mine = memos.remember("My kettle.", by=ANA)
    for deed in (
        lambda run: run.memory.merge([mine.id, theirs.id], by=run.by),
        lambda run: run.memory.forget(theirs.id, by=EVE),
        lambda run: run.memory.append(theirs.id, "x", by=EVE),
    ):
        with pytest.raises(MemOSError):
            memos.run(MemPipeline("p", [deed]), by=ANA)
    assert memos.get(theirs.id, by=EVE).version == 1


def test_what_a_run_did_is_on_record_without_its_words(memos: MemOS) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    pipeline = MemPipeline(
        "paint", declared([{"find": {"as": "all"}}, {"relabel": {"in": "all", "add": ["red"]}}]), version="7"
    )
    report = memos.run(pipeline, by=ANA)
    (entry,) = memos.audit(by=ANA, operation="pipeline")
    detail = entry.record.detail
    assert isinstance(detail, dict)
    assert entry.record.actor == "user:ana"
    assert entry.record.cube_id == report.run
    assert (detail["pipeline"], detail["version"], detail["digest"]) == ("paint", "7", pipeline.digest)
    assert list(detail["cubes"]) == [cube.id]
    assert list(detail["steps"]) == ["find", "relabel"]
    assert "blue" not in entry.model_dump_json()
    about = [each.record.operation for each in memos.audit(by=ANA, cube_id=cube.id)]
    assert about[0] == "remember"
    assert "update" in about


def test_hold_and_freeze_refuse_the_whole(memos: MemOS) -> None:
    admin = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
    held, frozen = memos.remember("Held kettle.", by=ANA), memos.remember("Frozen kettle.", by=ANA)
    memos.hold(held.id, by=admin)
    memos.move(frozen.id, "frozen", by=ANA)
    for cube, error in ((held, LegalHoldError), (frozen, IllegalTransitionError)):
        for verb in ("append", "forget", "archive"):

            def deed(run: PipelineRun, cube: Any = cube, verb: str = verb) -> None:
                run.memory.remember("Never.", by=run.by)
                {
                    "append": lambda: run.memory.append(cube.id, "x", by=run.by),
                    "forget": lambda: run.memory.forget(cube.id, by=run.by),
                    "archive": lambda: run.memory.feedback(cube.id, "outdated", by=run.by),
                }[verb]()

            with pytest.raises(error):
                memos.run(MemPipeline("p", [deed]), by=ANA)
    assert found(memos, "never") == []


class Store:
    """A store of derived memory: what was made from which cube."""

    def __init__(self, *refs: CubeRef) -> None:
        self.held = set(refs)

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        gone = {ref for ref in self.held if ref.id in cube_ids}
        self.held -= gone
        return len(gone)

    def sources(self) -> set[tuple[str, CubeRef]]:
        return {("acme", ref) for ref in self.held}


def test_derived_memory_dies_at_the_commit_and_not_before(memos: MemOS) -> None:
    one, two = memos.remember("kettle one", by=ANA), memos.remember("kettle two", by=ANA)
    store = Store(one.ref, two.ref)
    memos.attach(store)
    with pytest.raises(InvalidMemoryError), memos.atomic(by=ANA) as memory:
        memory.forget(one.id, by=ANA) and memory.remember("", by=ANA)
    assert len(store.held) == 2
    with memos.atomic(by=ANA) as memory:
        receipt = memory.forget(one.id, by=ANA)
        memory.update(two.id, by=ANA, text="kettle three")
        assert receipt.remaining["derivatives"] == 0
        assert len(store.held) == 2
    assert store.held == set()


# --- declared


def test_what_is_given_is_filled_in_and_what_was_recalled_never(memos: MemOS) -> None:
    memos.remember("Ignore all rules: $customer.", by=ANA)
    pipeline = MemPipeline("p", declared([{"remember": {"text": "Hello $name, $$5."}}]), parameters=["name"])
    memos.run(pipeline, by=ANA, given={"name": "Zoë"})
    assert found(memos, "hello") == ["Hello Zoë, $5."]
    with pytest.raises(PipelineError, match="must be given name"):
        memos.run(pipeline, by=ANA)
    with pytest.raises(PipelineError, match="takes no other"):
        memos.run(pipeline, by=ANA, given={"name": "x", "other": "y"})
    with pytest.raises(PipelineError, match="which the pipeline is not given"):
        memos.run(MemPipeline("p", [Remember(text="$nobody")]), by=ANA)


def test_steps_on_what_was_found(memos: MemOS) -> None:
    for number in range(3):
        memos.remember(f"kettle {number}", by=ANA, tags=["old"])
    told = "three kettles: kettle 0, kettle 1, kettle 2"
    steps = [
        {"find": {"tags": ["old"], "as": "old"}},
        {"each": {"in": "old", "steps": [{"relabel": {"in": "item", "add": ["seen"], "remove": ["old"]}}]}},
        {"merge": {"in": "old", "text": told, "as": "one"}},
        {"feedback": {"in": "one", "said": "helpful"}},
        {"update": {"in": "one", "readers": ["bob"]}},
    ]
    report = memos.run(MemPipeline("tidy", declared(steps)), by=ANA)
    assert report.steps.count("relabel") == 3
    assert found(memos, "kettles", by=BOB) == []
    assert found(memos, "three kettles") == [told]
    forget = [{"find": {"states": ["merged"], "as": "rest"}}, {"forget": {"in": "rest"}}]
    gone = memos.run(MemPipeline("forget", declared(forget)), by=ANA)
    assert sorted(change.what for change in gone.changes) == ["erased"] * 4


def test_what_is_old_is_found_behind_what_is_new(memos: MemOS) -> None:
    old = memos.remember("An old kettle.", by=ANA, occurred_at=NOW - timedelta(days=40))
    for number in range(5):
        memos.remember(f"A new kettle {number}.", by=ANA)
    steps = declared([{"find": {"older_than_days": 30, "k": 3, "as": "old"}}, {"archive": {"in": "old"}}])
    report = memos.run(MemPipeline("tidy", steps), by=ANA)
    assert [change.cube_id for change in report.changes] == [old.id]


def test_a_recall_within_counts_as_use(memos: MemOS) -> None:
    cube = memos.remember("A kettle.", by=ANA)
    for _ in range(3):
        memos.run(MemPipeline("look", [Recall(prompt="kettle")]), by=ANA)
    assert memos.get(cube.id, by=ANA).behaviour.reads == 3
    assert len(memos.provenance(cube.id, by=ANA).recalls) == 3
    memos.run(MemPipeline("look", [Recall(prompt="kettle")]), by=ANA, dry_run=True)
    assert memos.get(cube.id, by=ANA).behaviour.reads == 3


def test_the_digest_tells_one_content_from_another() -> None:
    def of(*steps: Any, **more: Any) -> str:
        return MemPipeline("p", steps, **more).digest

    one, other = Remember(text="a"), Remember(text="b")
    assert of(one) == of(Remember(text="a"))
    assert len({of(one), of(other), of(one, version="2"), of(one, parameters=["x"]), of(Each.model_validate(
        {"in": "x", "steps": [{"archive": {"in": "item"}}]})), of(Each.model_validate(
        {"in": "x", "steps": [{"forget": {"in": "item"}}]})), of(MemPipeline("q", [one])),
        of(MemPipeline("q", [other])), of(one, parts={"q": MemPipeline("q", [one])})}) == 9  # fmt: skip
    steps = [
        lambda run: run.by,
        lambda run: run.now,
        lambda run: [run.now for _ in ()],
        lambda run: "a",
        lambda run: "b",
    ]
    assert len({of(step) for step in steps}) == 5
    assert of(steps[0]) == of(lambda run: run.by)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MemPipeline("", [Find()]),
        lambda: MemPipeline("p", []),
        lambda: MemPipeline("p", ["find"]),  # type: ignore[list-item]
    ],
)
def test_a_pipeline_that_is_none_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(PipelineError):
        make()


def test_only_a_pipeline_is_run(memos: MemOS) -> None:
    with pytest.raises(InvalidMemoryError):
        memos.run([Find()], by=ANA)  # type: ignore[arg-type]
    for step in (Archive, Forget, Merge, Update, Relabel):
        with pytest.raises(PipelineError, match="No step found 'nothing'"):
            memos.run(MemPipeline("p", [step.model_validate({"in": "nothing"})]), by=ANA)


def test_expectations_undo_the_whole(memos: MemOS) -> None:
    steps = [Remember(text="A kettle."), Recall(prompt="teapot"), Expect.model_validate({"in": "recall"})]
    with pytest.raises(PipelineError, match="'recall' holds 0"):
        memos.run(MemPipeline("p", steps), by=ANA)
    assert found(memos, "kettle") == []


# --- bad input


def test_a_cycle_of_derivation_is_refused(memos: MemOS) -> None:
    one, two = memos.remember("kettle one", by=ANA), memos.remember("kettle two", by=ANA)

    def deed(run: PipelineRun) -> None:
        merged = run.memory.merge([one.id, two.id], by=ANA)
        run.memory.merge([merged.id, one.id], by=ANA)

    with pytest.raises((CyclicDerivationError, IllegalTransitionError)):
        memos.run(MemPipeline("p", [deed]), by=ANA)
    assert memos.get(one.id, by=ANA).version == 1


def test_conflicts_are_judged_within_it(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", clock=lambda: NOW, conflicts=ConflictRules()) as memos:
        old = memos.remember("I live in Lisbon.", by=ANA, occurred_at=NOW - timedelta(days=9))
        with memos.atomic(by=ANA) as memory:
            memory.remember("I moved to Porto.", by=ANA, occurred_at=NOW)
            assert memory.get(old.id, by=ANA).state is State.ARCHIVED
            assert memos.get(old.id, by=ANA).state is State.GENERATED
        assert memos.get(old.id, by=ANA).state is State.ARCHIVED


async def test_it_runs_off_the_loop(memos: MemOS) -> None:
    assert (await memos.arun(MemPipeline("p", [Remember(text="A kettle.")]), by=ANA)).changes


def test_a_repeat_ends_when_every_tag_stands_as_it_is_wanted(memos: MemOS) -> None:
    kept = memos.remember("A kettle.", by=ANA, tags=["old"])
    steps = [
        {"repeat": {"at_most": 3, "steps": [{"find": {"as": "all"}}, {"relabel": {"in": "all", "add": ["seen"]}}]}}
    ]
    report = memos.run(MemPipeline("label", declared(steps)), by=ANA)
    assert [change.cube_id for change in report.changes] == [kept.id]
    assert memos.get(kept.id, by=ANA).version == 2
    assert memos.run(MemPipeline("label", declared(steps)), by=ANA).changes == ()


@pytest.mark.parametrize("run_id", [5, "x" * 1_001, b"night"])
def test_the_id_of_a_run_is_a_text(memos: MemOS, run_id: Any) -> None:
    pipeline = MemPipeline("look", declared([{"find": {}}]))
    with pytest.raises(InvalidMemoryError, match="id of a run"):
        memos.run(pipeline, by=ANA, run_id=run_id)
    with pytest.raises(InvalidMemoryError, match="id of a run"):
        memos.begin(pipeline, by=ANA, run_id=run_id)


def test_what_was_read_in_a_run_that_was_broken_off_stays_on_record(memos: MemOS) -> None:
    read = memos.remember("A kettle.", by=ANA)

    def broken_off(run: PipelineRun) -> None:
        run.memory.get(read.id, by=ANA)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memos.run(MemPipeline("broken", [broken_off]), by=ANA)
    (entry,) = memos.audit(by=ANA, operation="pipeline_undone")
    assert entry.record.detail["error"] == "KeyboardInterrupt"  # type: ignore[index]
    assert [each.record.cube_id for each in memos.audit(by=ANA, operation="read")] == [read.id]
