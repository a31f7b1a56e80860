"""A cube from its stored bytes: as the model reads it, whatever stands there, with parts that cubes share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.core.cube import Licence, Link, Provenance, Relation, cube_of
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


@given(st.text(min_size=1, max_size=200))
def test_any_words_come_back(text: str) -> None:
    cube = MemCube.from_json(BODIES[0])
    try:
        made = cube.model_copy(update={"payload": type(cube.payload)(text=text)})
    except ValueError:
        return
    assert cube_of(made.canonical()) == made
