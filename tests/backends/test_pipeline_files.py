"""Pipelines in YAML: what is wrong is told with its line and column; the templates that come along work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal, State
from memos_integrations.backends.pipelines import load_pipeline, parse_pipeline, templates
from memos_integrations.core.errors import PipelineError
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
BOB = Principal(tenant="acme", user="bob")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
GOOD = """pipeline: tidy
version: 2
parameters: [tag]
steps:
  - find: {tags: ["$tag"], as: all}
  - each:
      in: all
      steps:
        - relabel: {in: item, add: [seen]}
"""


@pytest.fixture
def memos() -> MemOS:
    return MemOS(InMemoryVault(), clock=lambda: NOW)


def test_a_file_becomes_a_pipeline(memos: MemOS, tmp_path: Path) -> None:
    file = tmp_path / "tidy.yaml"
    file.write_text(GOOD)
    pipeline = load_pipeline(file)
    assert (pipeline.name, pipeline.version, pipeline.parameters) == ("tidy", "2", ("tag",))
    cube = memos.remember("A kettle.", by=ANA, tags=["old"])
    memos.run(pipeline, by=ANA, given={"tag": "old"})
    assert "seen" in memos.get(cube.id, by=ANA).descriptive.tags
    assert load_pipeline(file).digest == parse_pipeline(GOOD.replace("# x", "")).digest
    assert parse_pipeline(GOOD.replace("seen", "done")).digest != pipeline.digest


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (GOOD.replace("add: [seen]", "add: [seen"), "line 9, column 41", "expected"),
        (GOOD.replace("version: 2", "version: 2: 3"), "line 2, column 11", "mapping values"),
        (GOOD.replace("relabel", "relable"), "line 9, column", "no step 'relable'"),
        (GOOD.replace("in: item, add", "in: item, ad"), "line 9, column 31", "Extra inputs"),
        (GOOD.replace("tags: [", "k: 0, tags: ["), "line 5, column 12", "greater than or equal"),
        (GOOD.replace("version: 2", "versoin: 2"), "line 2, column 1", "Extra inputs"),
        (GOOD.replace("      in: all\n", ""), "line 6, column 5", "Field required"),
        (GOOD.replace("version: 2", "pipeline: again"), "line 2, column 1", "twice"),
        (GOOD.replace("parameters: [tag]", "parameters: &a [tag]"), "line 3, column 13", "anchors"),
        (GOOD.replace("version: 2", "version: !!python/name:os.system x"), "line 2, column 10", "tags"),
        ("- a\n- b\n", "line 1, column 1", "mapping"),
        ("pipeline: x\nsteps: []\n", "line 2, column 1", "at least 1"),
        ("pipeline: x\nsteps:\n  - find: {}\n    archive: {in: x}\n", "line 3, column 5", "one word"),
        ("pipeline: x\n", "line 1, column 1", "required"),
        ("", "line 1, column 1", "empty"),
        ("pipeline: x\nsteps: " + "[" * 40 + "]" * 40, "line 2, column", "deep"),
        ("a: \x01", "line 1, column 4", "not valid YAML"),
        ("pipeline: x\nsteps: " + "[" * 2_000, "line 2, column", "deep"),
        (GOOD.replace("version: 2", "version: 2026-02-30"), "line 2, column 10", "put it in quotes"),
        (GOOD.replace("tags: [", "k: " + "9" * 5_000 + ", tags: ["), "line 5, column 15", "put it in quotes"),
        (GOOD.replace("tags: [", "older_than_days: .inf, tags: ["), "line 5, column 12", "less than or equal"),
        (GOOD.replace("tags: [", "older_than_days: 1e12, tags: ["), "line 5, column 12", "less than or equal"),
        ("pipeline: x\nsteps:\n  - remember: {text: a, ttl_days: .inf}\n", "line 3, column 25", "less than or equal"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(PipelineError) as told:
        parse_pipeline(text, name="tidy.yaml")
    assert str(told.value).startswith("tidy.yaml")
    assert place in str(told.value)
    assert words in str(told.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no template"):
        load_pipeline("no such pipeline")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 100_001)
    with pytest.raises(PipelineError, match="larger"):
        load_pipeline(large)


def test_pipelines_run_each_other_by_name(memos: MemOS) -> None:
    tidy = parse_pipeline("pipeline: inner\nsteps:\n  - remember: {text: A kettle.}\n")
    outer = parse_pipeline("pipeline: outer\nsteps:\n  - run: {pipeline: inner}\n", parts={"inner": tidy})
    assert memos.run(outer, by=ANA).steps == ("run", "remember")
    with pytest.raises(PipelineError, match="no pipeline 'inner'"):
        memos.run(parse_pipeline("pipeline: outer\nsteps:\n  - run: {pipeline: inner}\n"), by=ANA)


# --- what comes along


def test_every_template_is_valid_and_explained() -> None:
    assert templates() == ["nightly", "onboarding", "policy-roll-over"]
    for name in templates():
        assert load_pipeline(name).name == name
        assert load_pipeline(name).description


def test_onboarding(memos: MemOS) -> None:
    given = {"person": "Mira", "role": "engineer", "contact": "mira@example.org"}
    report = memos.run(load_pipeline("onboarding"), by=ANA, given=given)
    assert [change.what for change in report.changes] == ["new"] * 3
    with pytest.raises(PipelineError, match="'before' holds 1"):
        memos.run(load_pipeline("onboarding"), by=ANA, given=given)
    assert "Mira joined as engineer." in [hit.text for hit in memos.recall("Mira joined", by=ANA).hits]


def test_a_policy_is_rolled_over(memos: MemOS) -> None:
    given = {"policy": "travel", "text": "Trains are first class.", "readers": "bob"}
    with pytest.raises(PipelineError, match="'old' holds 0"):
        memos.run(load_pipeline("policy-roll-over"), by=ANA, given=given)
    old = memos.remember("Trains are second class.", by=ANA, tags=["policy:travel"], readers=["bob"])
    memos.run(load_pipeline("policy-roll-over"), by=ANA, given=given)
    assert [hit.text for hit in memos.recall("Which class are trains?", by=BOB).hits] == ["Trains are first class."]
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED


def test_the_nightly_consolidation(memos: MemOS) -> None:
    memos.remember("I live in Lisbon.", by=ANA, occurred_at=NOW - timedelta(days=9))
    memos.remember("I moved to Porto.", by=ANA, occurred_at=NOW)
    over = memos.remember("A code for a day.", by=ANA, expires_at=NOW + timedelta(microseconds=1))
    later = MemOS(memos._governance._vault, clock=lambda: NOW + timedelta(days=2))
    dry = later.run(load_pipeline("nightly"), by=ANA, dry_run=True)
    report = later.run(load_pipeline("nightly"), by=ANA)
    assert {change.cube_id for change in dry.changes} == {change.cube_id for change in report.changes}
    assert [hit.text for hit in later.recall("Lisbon or Porto?", by=ANA).hits] == ["I moved to Porto."]
    assert later.verify_audit().ok
    assert over.id in {change.cube_id for change in report.changes}


@pytest.mark.slow
def test_the_nightly_consolidation_gets_on_however_much_is_due(memos: MemOS) -> None:
    memos.remember_many([f"Turn {number}." for number in range(4_600)], by=ANA, semantic_type="message")
    later = MemOS(memos._governance._vault, clock=lambda: NOW + timedelta(days=400))
    assert [len(later.run(load_pipeline("nightly"), by=ANA).changes) for _ in range(3)] == [4_000, 600, 0]
