"""A cube from its stored bytes: as the model reads it, whatever stands there, with parts that cubes share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.core.cube import (
    Behaviour,
    Licence,
    Link,
    Provenance,
    Relation,
    State,
    checked_cube,
    cube_of,
)
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ODD = (
    'A "quoted" \\ text with ,"provenance":{"author":null} in it.',
    "Zeilen\nund\tmehr, Größe, 日本語, \u2028.",
    ',"id":"x","namespace":["y"],"payload":{}',
)


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as opened:
        yield opened


def written(memos: MemOS) -> list[MemCube]:
    first = memos.remember("A fact.", by=ANA, readers=["ben"], tags=["a", "b"])
    link = Link(relation=Relation.MENTIONS, target=first.id)
    made = [
        first,
        memos.remember("For care.", by=ANA, purposes=["care"], ttl=timedelta(days=1)),
        memos.remember("Rated.", by=ANA, licence=Licence(uses_left=2, text="Two.")),
        memos.remember("Linked.", by=ANA, provenance=Provenance(links=(link,), speaker="Ana", source="a.md")),
        memos.remember("Said.", by=ANA, value={"provenance": {"author": [1, 2.5]}, "payload": ',"id":"'}),
        memos.update(first.id, text="Another fact.", by=ANA),
    ]
    return [*made, *(memos.remember(text, by=ANA) for text in ODD)]


def test_it_says_what_the_model_reads(memos: MemOS) -> None:
    for cube in written(memos):
        body = cube.canonical()
        found = cube_of(body)
        assert found == MemCube.from_json(body)
        assert (found.canonical(), found.digest) == (body, cube.digest)
        assert found.model_fields_set >= {"id", "payload", "governance"}


def test_what_was_checked_is_read_as_the_model_reads_it(memos: MemOS) -> None:
    """To the field, in type and order: with links and times, and where a structured value makes it go another way."""
    used = Behaviour(fingerprint="f", reads=2, last_read=NOW)
    made = written(memos)
    told = Provenance(occurred_at=NOW, derived_from=(memos.remember("A source.", by=ANA).ref,))
    for cube in [*made, memos.remember("Told.", by=ANA, provenance=told, valid_to=NOW + timedelta(days=1))]:
        body = cube.canonical()
        found = checked_cube(body, cube.digest, State.ACTIVATED, used)
        read = MemCube.from_json(body).model_copy(update={"state": State.ACTIVATED, "behaviour": used})
        assert (found, found.state, found.behaviour) == (read, State.ACTIVATED, used)
        assert (found.canonical(), found.digest) == (body, cube.digest)
        assert found.model_fields_set == read.model_fields_set
        for name in ("payload", "descriptive", "provenance", "trust", "governance"):
            ours, theirs = getattr(found, name), getattr(read, name)
            assert repr(ours) == repr(theirs)
            assert ours.model_fields_set == theirs.model_fields_set
            assert all(type(getattr(ours, each)) is type(getattr(theirs, each)) for each in type(theirs).model_fields)
            assert ours.model_dump_json() == theirs.model_dump_json()


def test_what_is_shared_is_one_object(memos: MemOS) -> None:
    one, two = (cube_of(memos.remember(text, by=ANA).canonical()) for text in ("One.", "Two."))
    assert one.governance is two.governance
    assert one.provenance is two.provenance
    assert one.payload is not two.payload


def read(body: bytes, how: object) -> MemCube | None:
    try:
        return how(body)  # type: ignore[operator, no-any-return]
    except InvalidMemoryError:
        return None


with MemOS(InMemoryVault(), clock=lambda: NOW) as _engine:
    BODIES = [cube.canonical() for cube in written(_engine)]


@given(st.sampled_from(BODIES), st.data())
def test_damaged_bytes_are_read_as_the_model_reads_them(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    more = data.draw(
        st.sampled_from([b"", b"0", b"-", b" ", b"}", b'"', b"null", b',"id":"x"', b',"version":-1', b"\xff"])
    )
    cut = data.draw(st.integers(0, 30))
    damaged = body[:at] + more + body[at + cut :]
    assert read(damaged, cube_of) == read(damaged, MemCube.from_json)


@given(
    st.sampled_from(BODIES), st.integers(0, 600), st.sampled_from([b"", b"0", b"null", b"[]", b"{}"]), st.integers(0, 9)
)
def test_of_other_bytes_comes_a_cube_or_a_refusal(body: bytes, at: int, more: bytes, cut: int) -> None:
    """The seal is held against the row whatever came of it; nothing else may go wrong before."""
    at %= len(body)
    read(body[:at] + more + body[at + cut :], lambda said: checked_cube(said, "0" * 64, State.GENERATED, Behaviour()))


@given(st.text(min_size=1, max_size=200))
def test_any_words_come_back(text: str) -> None:
    cube = MemCube.from_json(BODIES[0])
    try:
        made = cube.model_copy(update={"payload": type(cube.payload)(text=text)})
    except ValueError:
        return
    assert cube_of(made.canonical()) == made
