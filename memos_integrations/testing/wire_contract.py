"""The contract of `Wire`: what relays and subscribers rely on when news goes through somebody else's broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest

from memos_integrations.core.ports import Letter, Posting, Wire

SOON = 2.0
AGAIN = 0.5

OpenWire = Callable[..., Wire]
"""Makes, or opens once more, the wire of a name; takes `again_after`, `most_pending`."""


def postings(*bodies: str) -> list[Posting]:
    """One posting for each, with itself as id."""
    return [Posting(body, body.encode()) for body in bodies]


def bodies(letters: Sequence[Letter]) -> list[str]:
    """What stands in them."""
    return [letter.body.decode() for letter in letters]


class WireContract:
    """Every promise of the port. Override the fixture `open_wire`; it closes what it opened."""

    @pytest.fixture
    def open_wire(self) -> OpenWire:
        """Opens wires by name."""
        raise NotImplementedError

    @pytest.fixture
    def name(self) -> str:
        """A stream that nobody used before."""
        return f"test-{uuid4().hex}"

    @pytest.fixture
    def wire(self, open_wire: OpenWire, name: str) -> Wire:
        """A new stream that two readers wait at."""
        wire = open_wire(name)
        wire.join("one")
        wire.join("two")
        return wire

    def test_every_reader_is_given_everything_in_order(self, wire: Wire, name: str) -> None:
        """Each reader has a place of its own."""
        assert wire.name == name
        wire.publish(postings("a", "b", "c"))
        wire.publish(postings("d"))
        for reader in ("one", "two"):
            found = [letter for _ in range(2) for letter in wire.fetch(reader, 2, SOON)]
            assert bodies(found) == ["a", "b", "c", "d"]
            assert len({letter.place for letter in found}) == 4
            wire.acknowledge(reader, found)
            assert wire.fetch(reader, 10, 0.0) == []

    def test_the_same_id_is_there_once(self, wire: Wire) -> None:
        """A relay that died publishes again."""
        wire.publish(postings("a", "b"))
        wire.publish(postings("b", "c"))
        assert bodies(wire.fetch("one", 10, SOON)) == ["a", "b", "c"]

    def test_what_is_not_acknowledged_comes_again(self, open_wire: OpenWire, name: str) -> None:
        """At least once, from the same place."""
        wire = open_wire(name, again_after=AGAIN)
        wire.join("one")
        wire.publish(postings("a", "b"))
        first = wire.fetch("one", 10, SOON)
        wire.acknowledge("one", first[:1])
        again = wire.fetch("one", 10, 6 * AGAIN)
        assert [letter.place for letter in again] == [first[1].place]
        wire.acknowledge("one", again)
        time.sleep(2 * AGAIN)
        assert wire.fetch("one", 10, 0.0) == []

    def test_a_reader_that_keeps_too_much_is_given_no_more(self, open_wire: OpenWire, name: str) -> None:
        """Back-pressure is the broker's."""
        wire = open_wire(name, most_pending=3)
        wire.join("one")
        wire.publish(postings(*"abcdef"))
        held = wire.fetch("one", 10, SOON)
        assert bodies(held) == ["a", "b", "c"]
        assert wire.fetch("one", 10, 0.1) == []
        wire.acknowledge("one", held)
        assert bodies(wire.fetch("one", 10, SOON)) == ["d", "e", "f"]

    def test_it_waits_for_what_comes(self, wire: Wire) -> None:
        """And no longer than it is told."""
        began = time.monotonic()
        assert wire.fetch("one", 10, 0.3) == []
        assert time.monotonic() - began >= 0.2
        wire.publish(postings("a"))
        assert bodies(wire.fetch("one", 10, SOON)) == ["a"]

    def test_a_reader_that_joins_hears_of_what_comes_then(self, wire: Wire) -> None:
        """What was before, the vault tells; to join twice keeps the place."""
        wire.publish(postings("a"))
        wire.join("late")
        wire.publish(postings("b"))
        wire.join("late")
        assert bodies(wire.fetch("late", 10, SOON)) == ["b"]

    def test_a_reader_that_left_is_a_new_one(self, wire: Wire) -> None:
        """Nothing is kept for who left; to leave twice is nothing."""
        wire.publish(postings("a"))
        wire.leave("one")
        wire.leave("one")
        wire.join("one")
        assert wire.fetch("one", 10, 0.0) == []
        assert bodies(wire.fetch("two", 10, SOON)) == ["a"]

    def test_many_at_once(self, wire: Wire) -> None:
        """More than any batch."""
        sent = [str(number) for number in range(2_500)]
        wire.publish(postings(*sent))
        found: list[str] = []
        while letters := wire.fetch("one", 700, SOON if len(found) < len(sent) else 0.0):
            wire.acknowledge("one", letters)
            found += bodies(letters)
        assert found == sent

    def test_any_bytes_go(self, wire: Wire) -> None:
        """It does not look at what it carries."""
        odd = [Posting("odd", bytes(range(256))), Posting("none", b"")]
        wire.publish(odd)
        assert [letter.body for letter in wire.fetch("one", 10, SOON)] == [each.body for each in odd]


class DurableWireContract(WireContract):
    """What a broker keeps for a reader that is not there."""

    def test_a_place_outlives_its_reader(self, open_wire: OpenWire, name: str) -> None:
        """Whoever comes back goes on."""
        first = open_wire(name, again_after=AGAIN)
        first.join("one")
        first.publish(postings("a", "b"))
        given = first.fetch("one", 1, SOON)
        first.acknowledge("one", given)
        first.close()
        first.close()
        second = open_wire(name, again_after=AGAIN)
        second.publish(postings("c"))
        second.join("one")
        assert bodies(second.fetch("one", 10, SOON)) == ["b", "c"]
