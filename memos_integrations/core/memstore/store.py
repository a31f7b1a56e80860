"""MemStore (paper §5.6): memories offered to an audience, and news of them for whoever subscribed.

An offer is an intention that the publisher's memories are made to obey (`renew`): each is shared, under a licence, as
any memory is. A subscription is a name, what is wanted, and how far its subscriber has got in the outbox, which is
written in the transactions that it reports. So what is delivered was committed, in its order, and whoever dies before
acknowledging it is given it again: at least once, with an id by which a consumer does it once. Each delivery is decided
as its subscriber at the moment it goes, counted against its licence, and on record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event, Lock
from typing import Any

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.asked import whole
from memos_integrations.core.delivering import Sending
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.item import Address, ItemQuery, ItemWrite
from memos_integrations.core.items import Items
from memos_integrations.core.memstore.choosing import Choosing, Chosen, last_of_each
from memos_integrations.core.memstore.offering import MOST_LISTED, PAGE, Offering, checked, is_over, scope_of
from memos_integrations.core.memstore.standing import FEW, Bounds
from memos_integrations.core.memstore.values import (
    Batch,
    DeadLetter,
    Delivery,
    Kind,
    Publication,
    Subscription,
    Wants,
)
from memos_integrations.core.memstore.wanting import Matcher
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.writer import CubeWriter

SUBSCRIPTIONS = ("memstore", "subscriptions")
DEAD = ("memstore", "dead")

MOST_PULLING = 64
"""So many subscribers of one process pull at the same time."""

GLANCE_S = 0.2
"""How often whoever follows looks whether it is to end."""

MOST_AT_ONCE = 1_000
"""So many deliveries a pull gives at most: a subscriber that is slow is sent no more than it asks for."""


class MemStore(Offering):
    """Publish, subscribe, pull and push over one vault. Thread-safe; what a call changes is durable on return."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        writer: CubeWriter,
        items: Items,
        caller: Callable[[Principal, CallContext | None], Caller],
    ) -> None:
        super().__init__(governance, embedding, writer, items, caller)
        self._bounds = Bounds(governance)
        self._ended: set[tuple[str, str, str, datetime]] = set()
        self._pulling = tuple(Lock() for _ in range(MOST_PULLING))

    # --- subscribing

    def subscribe(self, name: str, *, by: Principal, replay: bool = False, **wants: Any) -> Subscription:
        """Hear of what *by* may read and `Wants`, under *name*, from now on; with *replay* from the very beginning.

        A subscription that is there already keeps its place, and wants what is said now.

        Raises:
            InvalidMemoryError: What is wanted makes no sense.
        """
        caller = self._caller(by, None)
        known = self._subscription(name, by)
        after = known.after if known and not replay else 0 if replay else self._governance.last_event()
        made = checked(Subscription, name=name, wants=checked(Wants, **wants), after=after, at=caller.now)
        self._keep(made, by)
        return made

    def unsubscribe(self, name: str, *, by: Principal) -> None:
        """End a subscription; nothing happens when there is none."""
        self._items.write([ItemWrite(Address(SUBSCRIPTIONS, name), None)], by=by)

    def subscriptions(self, *, by: Principal) -> list[Subscription]:
        """The subscriptions of *by*, by name."""
        found = self._items.search(ItemQuery(prefix=SUBSCRIPTIONS, limit=MOST_LISTED), by=by)
        return sorted((Subscription.model_validate(each.value) for each in found), key=lambda each: each.name)

    def pull(self, name: str, *, by: Principal, limit: int = 100, context: CallContext | None = None) -> Batch:
        """The next at most *limit* deliveries of a subscription; until `acknowledge`, it gives the same again.

        Where a rate is used up the batch ends before that memory: it comes when there is room again. Rates and
        licences are counted in the vault's transaction, whatever other processes pull at the same time.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: *limit* is not from 1 to `MOST_AT_ONCE`.
        """
        if whole("limit", limit) > MOST_AT_ONCE:
            raise InvalidMemoryError(f"limit is a whole number from 1 to {MOST_AT_ONCE:,}, not {limit!r}.")
        # One at a time for one subscriber: two would each count a use of the same version.
        with self._pulling[hash(by.subject) % MOST_PULLING]:
            return self._pull(name, by, limit, self._caller(by, context))

    def _pull(self, name: str, by: Principal, limit: int, caller: Caller) -> Batch:
        subscription = self._known(name, by)
        choosing = self._choosing(subscription.wants, caller)
        after, page, chosen = subscription.after, min(PAGE, limit + FEW), list[Chosen]()
        while True:
            events, seen = self._governance.happened(after, page, caller)
            more, stop, held = choosing.of(last_of_each(events), limit - len(chosen))
            chosen += more
            if stop is not None or seen == after or len(chosen) >= limit:
                after = seen if stop is None else stop
                break
            # As much as is wanting where most of it is news, else more and more.
            further = limit - len(chosen) + FEW if 2 * len(more) > page else 2 * page
            after, page = seen, min(PAGE, further)
        given = self._governance.deliver(_sendings(chosen), caller)
        told, end = _told(name, chosen, given)
        if end is not None:
            after, held = end, True
        return Batch(told, after, more=not held and (stop is not None or len(chosen) >= limit))

    def _choosing(self, wants: Wants, caller: Caller) -> Choosing:
        matcher = Matcher(wants, self._embedding, caller)
        return Choosing(self._governance, matcher, self._rated(caller), caller)

    def _rated(self, caller: Caller) -> list[Publication]:
        """The offers that hold the caller to a rate; of those that are over, that they are is put among the news."""
        bound = self._bounds.of(caller)
        for offer in (each for each in bound if is_over(each, caller.now)):
            place = (caller.by.tenant, offer.publisher, offer.name, offer.at)
            if place not in self._ended:
                self._governance.lapse(scope_of(offer), caller)
                self._ended.add(place)
        return [each for each in bound if each.rate is not None and not is_over(each, caller.now)]

    def acknowledge(self, name: str, upto: int, *, by: Principal) -> Subscription:
        """Events up to this number are consumed: durable on return. It never goes back; see `replay`.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: Nothing has happened up to that number yet.
        """
        known = self._known(name, by)
        if whole("upto", upto, least=0) <= known.after:
            return known
        if upto > self._governance.last_event():
            raise InvalidMemoryError(f"There is no event number {upto} yet; acknowledge what a pull gave.")
        further = known.model_copy(update={"after": upto})
        self._keep(further, by)
        return further

    def replay(self, name: str, *, by: Principal, after: int = 0) -> Subscription:
        """Give everything after event number *after* again, as it may be read now.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: It has not come that far: to go on is `acknowledge`, for what was consumed.
        """
        known = self._known(name, by)
        if whole("after", after, least=0) > known.after:
            raise InvalidMemoryError(f"A replay goes back from event {known.after}; to go on to {after}, acknowledge.")
        back = known.model_copy(update={"after": after})
        self._keep(back, by)
        return back

    def push(
        self,
        name: str,
        consume: Callable[[Delivery], object],
        *,
        by: Principal,
        limit: int = MOST_AT_ONCE,
        attempts: int = 3,
        context: CallContext | None = None,
    ) -> int:
        """Hand what is new, at most *limit*, to *consume*, in order, one by one, and acknowledge it; how many it took.

        What *consume* fails on *attempts* times in a row goes to the dead letters, and the next is handed over. When
        the process dies, what was not acknowledged comes again: use `delivery.id` as key.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: *limit* or *attempts* is no whole number of at least 1.
        """
        taken, handed, before = 0, 0, -1
        whole("attempts", attempts)
        while handed < whole("limit", limit):
            batch = self.pull(name, by=by, limit=min(100, limit - handed), context=context)
            for delivery in batch.deliveries:
                taken += self._hand_over(name, consume, delivery, attempts, by)
            # To acknowledge is an event, too: where nothing came, only what would be looked at again and again is.
            if batch.deliveries or batch.more or batch.upto - self._known(name, by).after >= PAGE:
                self.acknowledge(name, batch.upto, by=by)
            handed += len(batch.deliveries)
            if not batch.more or (batch.upto, len(batch.deliveries)) == (before, 0):
                break
            before = batch.upto
        return taken

    def follow(
        self,
        name: str,
        consume: Callable[[Delivery], object],
        *,
        by: Principal,
        until: Event,
        every: float = 1.0,
        attempts: int = 3,
        context: CallContext | None = None,
    ) -> int:
        """`push` until *until* is set: at once after a write of this process, and *every* so many seconds for others'.

        It stays in the thread that calls it; how many deliveries were taken.
        """
        taken, news = 0, self._governance.news
        while not until.is_set():
            seen, look_again = news.count, time.monotonic() + every
            taken += self.push(name, consume, by=by, attempts=attempts, context=context)
            while not until.is_set() and (left := look_again - time.monotonic()) > 0:
                if news.wait(seen, min(left, GLANCE_S)):
                    break
        return taken

    def dead_letters(self, name: str, *, by: Principal) -> list[DeadLetter]:
        """What the consumer of a subscription failed on, oldest first."""
        found = self._items.search(ItemQuery(prefix=(*DEAD, name), limit=MOST_LISTED), by=by)
        return sorted((DeadLetter.model_validate(each.value) for each in found), key=lambda each: each.number)

    def retry(self, name: str, consume: Callable[[Delivery], object], *, by: Principal) -> int:
        """Hand the dead letters over again, as they may be read now; those it takes are dead no more. How many."""
        caller, taken = self._caller(by, None), 0
        choosing = self._choosing(Wants(), caller)
        for letter in self.dead_letters(name, by=by):
            cube = self._governance.deliverable([letter.cube_id], caller).get(letter.cube_id)
            if cube is not None and self._governance.deliver([choosing.again(cube)], caller) != [True]:
                continue
            kind: Kind = letter.kind if cube is not None else "withdrawn"
            again = Delivery(letter.id, letter.number, kind, letter.cube_id, cube)
            if self._hand_over(name, consume, again, 1, by):
                self._items.write([ItemWrite(Address((*DEAD, name), letter.id), None)], by=by)
                taken += 1
        return taken

    # --- for what carries news to other processes

    def happened(self, after: int, *, by: Principal, limit: int = PAGE) -> tuple[list[int], int]:
        """The numbers of what happened in *by*'s tenant in the next *limit* events after *after*, and the last's.

        Numbers say that something happened, not what: whoever wants that pulls, as whoever it is. Where little
        happened, the store's own books (offers, places of subscribers) are left out.
        """
        return self._governance.noticed(after, limit, self._caller(by, None))

    def hand_over(
        self, name: str, consume: Callable[[Delivery], object], delivery: Delivery, *, by: Principal, attempts: int = 3
    ) -> bool:
        """Whether *consume* took a delivery; what it fails on *attempts* times is a dead letter of the subscription."""
        return self._hand_over(name, consume, delivery, whole("attempts", attempts), by)

    # --- parts

    def _hand_over(
        self, name: str, consume: Callable[[Delivery], object], delivery: Delivery, attempts: int, by: Principal
    ) -> bool:
        for attempt in range(1, attempts + 1):
            try:
                consume(delivery)
            except Exception as exc:  # noqa: BLE001 (a subscriber's failure is its own)
                if attempt == attempts:
                    self._bury(name, delivery, exc, by)
            else:
                return True
        return False

    def _bury(self, name: str, delivery: Delivery, exc: Exception, by: Principal) -> None:
        letter = DeadLetter(
            id=delivery.id, number=delivery.number, kind=delivery.kind, cube_id=delivery.cube_id,
            error=type(exc).__name__, at=self._caller(by, None).now,
        )  # fmt: skip
        address = Address((*DEAD, name), delivery.id)
        self._items.write([ItemWrite(address, letter.model_dump(mode="json"))], by=by)

    def _keep(self, subscription: Subscription, by: Principal) -> None:
        address = Address(SUBSCRIPTIONS, subscription.name)
        self._items.write([ItemWrite(address, subscription.model_dump(mode="json"))], by=by)

    def _subscription(self, name: str, by: Principal) -> Subscription | None:
        item = self._items.read([Address(SUBSCRIPTIONS, name)], by=by)[0]
        return None if item is None else Subscription.model_validate(item.value)

    def _known(self, name: str, by: Principal) -> Subscription:
        found = self._subscription(name, by)
        if found is None:
            raise CubeNotFoundError(name)
        return found


def _sendings(chosen: Sequence[Chosen]) -> list[Sending]:
    """What is on its way; a version that comes twice is counted once."""
    sendings, there = list[Sending](), set[tuple[str, int]]()
    for each in chosen:
        if each.sending is not None:
            version = each.sending.cube.id, each.sending.cube.version
            sendings.append(each.sending._replace(again=True) if version in there else each.sending)
            there.add(version)
    return sendings


def _told(name: str, chosen: Sequence[Chosen], given: Sequence[bool]) -> tuple[tuple[Delivery, ...], int | None]:
    """The deliveries of what was given, and the number before the first that was not reached."""
    told, reached = list[Delivery](), iter(given)
    for each in chosen:
        was = True if each.sending is None else next(reached, None)
        if was is None:
            return tuple(told), each.number - 1
        if was:
            cube = None if each.sending is None else each.sending.cube
            of = f"{cube.id}:{cube.version}" if cube is not None and each.kind == "written" else str(each.number)
            told.append(Delivery(f"{name}:{of}", each.number, each.kind, each.cube_id, cube))
    return tuple(told), None
