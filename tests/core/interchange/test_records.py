"""A record that is spelled canonically is read part by part: as the model reads it, whatever stands there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memos_integrations import MemCube, MemOS, Principal, State
from memos_integrations.core.cube import Link, Provenance, Relation
from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.interchange.canonical import strict_json
from memos_integrations.core.interchange.records import _outline, cube_in, record_line
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def written() -> list[MemCube]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        first = memos.remember("A fact.", by=ANA, readers=["ben"], tags=["a", "b"])
        link = Link(relation=Relation.MENTIONS, target=first.id)
        used = memos.remember('Used, and "quoted" ,"state":"active","behaviour":{} \\ Größe.', by=ANA)
        memos.recall("used quoted", by=ANA)
        memos.move(first.id, "archived", by=ANA)
        return [
            *memos.get_many([first.id, used.id], by=ANA),
            memos.remember("Linked.", by=ANA, provenance=Provenance(links=(link,), speaker="Ana")),
            memos.remember("Said.", by=ANA, value={"state": "x", "behaviour": [1, 2.5], "provenance": {}}),
            memos.remember("For a day.", by=ANA, ttl=timedelta(days=1)),
        ]


CUBES = written()
LINES = [record_line(cube) for cube in CUBES]
DEEP = LINES[3].replace(b"[1,2.5]", b"[" * 70 + b"]" * 70)


def as_model(line: bytes) -> MemCube | None:
    """What the model makes of strict JSON: of a name that stands twice it would take the later."""
    try:
        strict_json(line, "a record")
        return MemCube.from_json(line)
    except (BundleError, InvalidMemoryError):
        return None


def read(line: bytes) -> MemCube | None:
    try:
        return cube_in(line)
    except BundleError:
        return None


def test_a_record_says_what_was_written() -> None:
    for cube, line in zip(CUBES, LINES, strict=True):
        found = cube_in(line)
        assert (found, found.state, found.behaviour) == (cube, cube.state, cube.behaviour)
        assert found.canonical() == cube.canonical()
    assert {cube.state for cube in CUBES} >= {State.ARCHIVED, State.GENERATED}
    assert any(cube.behaviour.reads for cube in CUBES)


@pytest.mark.parametrize("twice", [b',"id":"x"}', b',"state":"active"}', b',"version":1}'])
def test_a_name_that_stands_twice_is_refused(twice: bytes) -> None:
    for line in LINES:
        with pytest.raises(BundleError, match="twice"):
            cube_in(line[:-1] + twice)


@given(st.sampled_from(LINES), st.data())
def test_a_damaged_record_is_read_as_the_model_reads_it(line: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(line) - 1))
    more = data.draw(
        st.sampled_from([b"", b"0", b"-", b" ", b"}", b'"', b"null", b',"id":"x"', b',"state":"active"', b"\xff"])
    )
    damaged = line[:at] + more + line[at + data.draw(st.integers(0, 30)) :]
    found, told = read(damaged), as_model(damaged)
    if found is None:  # types and times are looked at more closely than by the model: of what is written so, none is
        assert told is None or record_line(told) != damaged
    else:
        assert found == told


@given(st.sampled_from(LINES), st.data())
@example(LINES[0], None)
def test_an_outline_is_of_strict_json_only(line: bytes, data: st.DataObject | None) -> None:
    """No name twice, nothing deeper than it may be: what a first look lets through, the strict reader lets through."""
    if data is not None:
        at = data.draw(st.integers(0, len(line) - 1))
        more = data.draw(st.sampled_from([b',"id":"x"', b',"version":2', b',"state":"active"', b"{}", b"[", b"1e999"]))
        line = line[:at] + more + line[at + data.draw(st.integers(0, 3)) :]
    try:
        found = _outline(line)
    except BundleError:
        return
    said = strict_json(line, "a record")
    assert (found.id, found.version) == (said["id"], said.get("version", 1))


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(BundleError) as refused:
        _outline(DEEP)
    assert refused.value.code == "record"
