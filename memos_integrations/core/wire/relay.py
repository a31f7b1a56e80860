"""The relay: what happened in a tenant, put on a wire in the order in which it was committed."""

from __future__ import annotations

from threading import Event

from memos_integrations.core.access import Principal
from memos_integrations.core.interchange import Signer
from memos_integrations.core.item import Address, ItemWrite
from memos_integrations.core.ports import Posting, Wire
from memos_integrations.core.walk import Walk
from memos_integrations.core.wire.envelope import Envelope

RELAYS = ("memstore", "relays")
PAGE = 1_000


class Relay:
    """Reads the outbox of the tenant of *by* and says on a wire up to which number something happened.

    One letter for all that it finds at one look: whoever is woken asks the vault, which knows every event, so that a
    letter for each would only cost the broker. How far it got is kept in the vault, by stream, after the broker has it:
    a relay that dies says a little again, under the same ids. One relay per stream is enough; two do no harm.

    Args:
        memos: The memory whose news it is.
        wire: Where it goes.
        by: As whom: a principal of the tenant, who needs no right to read anything.
        signer: Signs every envelope, for subscribers who are woken by nobody else.
    """

    def __init__(self, memos: Walk, wire: Wire, *, by: Principal, signer: Signer | None = None) -> None:
        self._memos, self._wire, self._by, self._signer = memos, wire, by, signer
        self._address = Address(RELAYS, wire.name)
        self._looked = 0

    @property
    def published(self) -> int:
        """The number up to which everything is on the wire; 0 before anything is."""
        item = self._memos.items.read([self._address], by=self._by)[0]
        return 0 if item is None else int(item.value["after"])

    def run_once(self, limit: int = PAGE) -> int:
        """Say that something happened since, at most *limit* events; how many. Durable on return, here and there.

        Raises:
            WireError: The broker did not take them. They are published next time.
        """
        after = self.published
        # What it looked at in vain is not looked at again: its place is kept only when it published.
        numbers, seen = self._memos.store.happened(max(after, self._looked), by=self._by, limit=limit)
        if numbers:
            self._wire.publish([self._posting(numbers[-1])])
            self._memos.items.write([ItemWrite(self._address, {"after": seen})], by=self._by)
        self._looked = seen
        return len(numbers)

    def run(self, stop: Event, every: float = 0.05) -> None:
        """Go on until *stop* is set, looking again after *every* seconds when there was nothing.

        Raises:
            WireError, VaultError: As they come; nothing is lost, call it again.
        """
        while not stop.is_set():
            if not self.run_once():
                stop.wait(every)

    def _posting(self, number: int) -> Posting:
        return Posting(str(number), Envelope.of(number, self._wire.name, self._signer).body())
