"""A subscriber that waits at a wire, and is given by the vault what it may have."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from threading import RLock

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.asked import whole
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.memstore import MOST_AT_ONCE, Batch, Delivery
from memos_integrations.core.ports import Letter, Wire
from memos_integrations.core.walk import Walk
from memos_integrations.core.wire.envelope import Envelope, Signed

AT_ONCE = 1_000
"""So many letters are taken from the wire before the vault is asked once."""

SKIPPED = 1_000
"""After so many events that were no news for it, a subscriber's place is kept all the same."""


class WireSubscriber:
    """The subscription *name* of *by*, woken by a wire. Thread-safe; for one principal, in any process of the vault.

    It opens the vault itself: the wire reaches other machines, but the news is in the vault's files, so that a
    subscriber without them is woken and has nothing to ask. To another vault, memories go by bundle (`sync`, `dump`).

    A letter only says that there is something. What it is, whether *by* may have it at this moment, at what rate and
    under which licence is decided by `MemStore.pull`, and its place is `MemStore.acknowledge`'s: letters are
    acknowledged to the broker after that. So each piece of news comes at least once, with an id by which a consumer
    does it once, though the wire loses, repeats or invents; and a forged letter delivers nothing.

    Args:
        memos: The memory, open over the vault that the relay reads.
        wire: Where the relay publishes.
        name: A subscription that *by* has; see `MemStore.subscribe`.
        by: As whom everything is decided.
        signed: Believes only letters for which it is True of (signature, message): with the extra `sharing`,
            `partial(ed25519_signed, key)`. Without, any letter wakes it.

    Raises:
        CubeNotFoundError: *by* has no such subscription.
        WireError: The broker cannot be reached.
    """

    def __init__(self, memos: Walk, wire: Wire, name: str, *, by: Principal, signed: Signed | None = None) -> None:
        self._memos, self._wire, self._name, self._by, self._signed = memos, wire, name, by, signed
        known = next((each for each in memos.store.subscriptions(by=by) if each.name == name), None)
        if known is None:
            raise CubeNotFoundError(name)
        self._kept = known.after
        told = json.dumps([by.tenant, by.subject, name]).encode()
        self._reader = hashlib.sha256(told).hexdigest()[:32]
        self._pending: dict[str, tuple[int, Letter]] = {}
        self._more, self._lock = True, RLock()
        self.refused: Counter[str] = Counter()
        """How many letters were thrown away, by why: `not an envelope`, `no such event`."""
        self.letters = 0
        """How many letters it believed."""
        wire.join(self._reader)

    def pull(self, limit: int = 100, *, wait: float = 1.0, context: CallContext | None = None) -> Batch:
        """What is new for the subscriber, at most *limit* deliveries; waits up to *wait* seconds to be woken.

        Until `acknowledge`, it gives the same again. The vault is asked though nothing woke it: a wire that is empty
        costs *wait*, not news.

        Raises:
            WireError: The broker cannot be reached. `MemStore.pull` works without it.
        """
        with self._lock:
            self._take(0.0 if self._more else wait)
            batch = self._memos.store.pull(self._name, by=self._by, limit=limit, context=context)
            # What a rate holds back is there and not to be had: it waits as if there were no more.
            self._more = batch.more and bool(batch.deliveries)
            if not self._more:
                self._refuse_beyond(batch.upto)
            if not batch.deliveries:
                self.acknowledge(batch)
            return batch

    def acknowledge(self, batch: Batch) -> None:
        """What *batch* holds is consumed: in the vault first, on the wire then.

        Raises:
            WireError: The broker could not be told. The vault knows, so that nothing of it is delivered again.
        """
        with self._lock:
            if batch.upto > self._kept and (batch.deliveries or batch.upto - self._kept >= SKIPPED):
                self._kept = self._memos.store.acknowledge(self._name, batch.upto, by=self._by).after
            done = [letter for number, letter in self._pending.values() if number <= batch.upto]
            if done:
                self._wire.acknowledge(self._reader, done)
            for letter in done:
                del self._pending[letter.place]

    def push(
        self,
        consume: Callable[[Delivery], object],
        *,
        limit: int = MOST_AT_ONCE,
        wait: float = 1.0,
        attempts: int = 3,
        context: CallContext | None = None,
    ) -> int:
        """Hand what is new to *consume*, in order, and acknowledge it; how many it took. The rest are dead letters.

        See `MemStore.push`: it waits for the first up to *wait* seconds, and takes what is there then.
        """
        taken = handed = 0
        whole("attempts", attempts)
        while handed < whole("limit", limit):
            batch = self.pull(min(100, limit - handed), wait=wait if handed == 0 else 0.0, context=context)
            for delivery in batch.deliveries:
                taken += self._memos.store.hand_over(self._name, consume, delivery, by=self._by, attempts=attempts)
            if batch.deliveries:
                self.acknowledge(batch)
            handed += len(batch.deliveries)
            if not batch.more or not batch.deliveries:
                break
        return taken

    def _take(self, wait: float) -> None:
        """What the wire has now; what is none of ours is thrown away at once."""
        refused: list[Letter] = []
        for letter in self._wire.fetch(self._reader, AT_ONCE, wait):
            found = Envelope.opened(letter.body, self._wire.name, self._signed)
            if found is None:
                refused.append(letter)
            else:
                self._pending[letter.place] = (found.number, letter)
            self.letters += found is not None
        self._refuse(refused, "not an envelope")

    def _refuse_beyond(self, upto: int) -> None:
        """Throw away what names an event that is none of this tenant's; one that is held back by a rate is."""
        later = [(number, letter) for number, letter in self._pending.values() if number > upto]
        if not later:
            return
        end = self._end(upto, max(number for number, _ in later))
        refused = [letter for number, letter in later if number > end]
        for letter in refused:
            del self._pending[letter.place]
        self._refuse(refused, "no such event")

    def _end(self, after: int, most: int) -> int:
        """The number of the last event after *after*, or of one of at least *most*."""
        while after < most:
            _, seen = self._memos.store.happened(after, by=self._by)
            if seen == after:
                break
            after = seen
        return after

    def _refuse(self, letters: list[Letter], why: str) -> None:
        if letters:
            self._wire.acknowledge(self._reader, letters)
            self.refused[why] += len(letters)
