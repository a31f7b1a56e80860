"""MemStore (paper §5.6): memories offered to an audience, and news of them for whoever subscribed.

An offer is an intention that the publisher's memories are made to obey (`renew`): each is shared, under a licence, as
any memory is. A subscription is a name, what is wanted, and how far its subscriber has got in the outbox, which is
written in the transactions that it reports. So what is delivered was committed, in its order, and whoever dies before
acknowledging it is given it again: at least once, with an id by which a consumer does it once. Each delivery is decided
as its subscriber at the moment it goes, counted against its licence, and on record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from memos_integrations.core.access import CallContext, Caller, Principal, is_own
from memos_integrations.core.cube import MemCube
from memos_integrations.core.delivering import Change
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.events import CubeErased, CubeMoved
from memos_integrations.core.item import Address, ItemQuery, ItemWrite
from memos_integrations.core.memstore.offering import MOST_LISTED, PAGE, Offering, checked
from memos_integrations.core.memstore.values import (
    Batch,
    DeadLetter,
    Delivery,
    Kind,
    Publication,
    Subscription,
    Wants,
)
from memos_integrations.core.memstore.wanting import Matcher, is_offered

SUBSCRIPTIONS = ("memstore", "subscriptions")
DEAD = ("memstore", "dead")

MOST_AT_ONCE = 1_000
"""So many deliveries a pull gives at most: a subscriber that is slow is sent no more than it asks for."""


class _Asking(NamedTuple):
    """A subscriber who pulls: what is news to it, and the rates that it is held to."""

    subscription: Subscription
    matcher: Matcher
    rates: Sequence[Publication]
    caller: Caller


class MemStore(Offering):
    """Publish, subscribe, pull and push over one vault. Thread-safe; what a call changes is durable on return."""

    # --- subscribing

    def subscribe(self, name: str, *, by: Principal, replay: bool = False, **wants: Any) -> Subscription:
        """Hear of what *by* may read and `Wants`, under *name*, from now on; with *replay* from the very beginning.

        A subscription that is there already keeps its place, and wants what is said now.

        Raises:
            InvalidMemoryError: What is wanted makes no sense.
        """
        caller = self._caller(by, None)
        known = self._subscription(name, by)
        after = known.after if known and not replay else 0 if replay else self._end(caller)
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

        Where a rate is used up the batch ends before that memory: it comes when there is room again. A rate is counted
        by this process, from the audit log: subscribers of one name in several processes may each exceed it by one.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: *limit* is not from 1 to `MOST_AT_ONCE`.
        """
        if not isinstance(limit, int) or not 1 <= limit <= MOST_AT_ONCE:
            raise InvalidMemoryError(f"limit is a whole number from 1 to {MOST_AT_ONCE:,}, not {limit!r}.")
        with self._one_at_a_time:
            return self._pull(name, by, limit, self._caller(by, context))

    def _pull(self, name: str, by: Principal, limit: int, caller: Caller) -> Batch:
        subscription = self._known(name, by)
        rates = [each for each in self.offers(by=by) if each.rate is not None]
        asking = _Asking(subscription, Matcher(subscription.wants, self._embedding, caller), rates, caller)
        after, given = subscription.after, list[Delivery]()
        while True:
            events, seen = self._governance.happened(after, PAGE, caller)
            page, stop = self._deliveries(asking, _last_of_each(events), limit - len(given))
            given += page
            if stop is not None or seen == after:
                break
            after = seen
            if len(given) >= limit:
                break
        upto = stop if stop is not None else after
        self._governance.deliver([each.cube for each in given if each.cube is not None], caller)
        return Batch(tuple(given), upto, more=stop is not None or len(given) >= limit)

    def acknowledge(self, name: str, upto: int, *, by: Principal) -> Subscription:
        """Events up to this number are consumed: durable on return. It never goes back; see `replay`.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
            InvalidMemoryError: Nothing has happened up to that number yet.
        """
        known = self._known(name, by)
        if upto <= known.after:
            return known
        if upto > self._end(self._caller(by, None), since=known.after):
            raise InvalidMemoryError(f"There is no event number {upto} yet; acknowledge what a pull gave.")
        further = known.model_copy(update={"after": upto})
        self._keep(further, by)
        return further

    def replay(self, name: str, *, by: Principal, after: int = 0) -> Subscription:
        """Give everything after event number *after* again, as it may be read now.

        Raises:
            CubeNotFoundError: *by* has no such subscription.
        """
        back = checked(Subscription, **{**dict(self._known(name, by)), "after": after})
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
        """Hand what is new to *consume*, in order, one at a time, and acknowledge it; how many it took.

        What *consume* fails on *attempts* times in a row goes to the dead letters, and the next is handed over. When
        the process dies, what was not acknowledged comes again: use `delivery.id` as key.
        """
        taken = 0
        while taken < limit:
            batch = self.pull(name, by=by, limit=min(100, limit - taken), context=context)
            for delivery in batch.deliveries:
                self._hand_over(name, consume, delivery, attempts, by)
            self.acknowledge(name, batch.upto, by=by)
            taken += len(batch.deliveries)
            if not batch.deliveries or not batch.more:
                break
        return taken

    def dead_letters(self, name: str, *, by: Principal) -> list[DeadLetter]:
        """What the consumer of a subscription failed on, oldest first."""
        found = self._items.search(ItemQuery(prefix=(*DEAD, name), limit=MOST_LISTED), by=by)
        return sorted((DeadLetter.model_validate(each.value) for each in found), key=lambda each: each.number)

    def retry(self, name: str, consume: Callable[[Delivery], object], *, by: Principal) -> int:
        """Hand the dead letters over again, as they may be read now; those it takes are dead no more. How many."""
        caller, taken = self._caller(by, None), 0
        for letter in self.dead_letters(name, by=by):
            cube = self._governance.deliverable([letter.cube_id], caller).get(letter.cube_id)
            if cube is not None and not self._may_have(cube, caller):
                continue
            self._governance.deliver([cube] if cube is not None else [], caller)
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
        return self._hand_over(name, consume, delivery, attempts, by)

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

    def _deliveries(
        self, asking: _Asking, events: Sequence[tuple[int, Change]], most: int
    ) -> tuple[list[Delivery], int | None]:
        """The deliveries of these events, and where to go on when not all of them could be given."""
        subscription, matcher, rates, caller = asking
        cubes = self._governance.deliverable([event.cube_id for _, event in events], caller)
        given: list[Delivery] = []
        for number, event in events:
            if len(given) == most:
                return given, number - 1
            cube = cubes.get(event.cube_id)
            if cube is None:
                if matcher.hears("withdrawn") and self._governance.delivered(event.cube_id, caller):
                    given.append(_news(subscription, number, "withdrawn", event.cube_id, None))
                continue
            kind: Kind = "moved" if isinstance(event, CubeMoved) else "written"
            if isinstance(event, CubeErased) or not matcher.wants(kind, cube):
                continue
            if not self._has_room(cube, rates, caller):
                return given, number - 1
            if self._may_have(cube, caller):
                given.append(_news(subscription, number, kind, event.cube_id, cube))
        return given, None

    def _has_room(self, cube: MemCube, rates: Sequence[Publication], caller: Caller) -> bool:
        limits = [each.rate for each in rates if each.rate is not None and is_offered(each, cube)]
        # What was given already is not counted again when it is given again.
        return all(
            len(self._governance.delivered(cube.id, caller, within=rate.per) - {cube.version}) < rate.count
            for rate in limits
        )

    def _may_have(self, cube: MemCube, caller: Caller) -> bool:
        """Whether its licence lets the caller have it; to be given the same version again is no other use."""
        counted = cube.governance.licence is not None and not is_own(cube, caller)
        if counted and cube.version in self._governance.delivered(cube.id, caller):
            return True
        return self._governance.use_up(cube, caller, operation="deliver")

    def _end(self, caller: Caller, since: int = 0) -> int:
        """The number of the newest event of all."""
        after = since
        while True:
            _, seen = self._governance.happened(after, 10_000, caller)
            if seen == after:
                return after
            after = seen

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


def _news(subscription: Subscription, number: int, kind: Kind, cube_id: str, cube: MemCube | None) -> Delivery:
    of = f"{cube_id}:{cube.version}" if cube is not None and kind == "written" else str(number)
    return Delivery(f"{subscription.name}:{of}", number, kind, cube_id, cube)


def _last_of_each(events: Sequence[tuple[int, Change]]) -> list[tuple[int, Change]]:
    """Of several events of one memory the last: what it is now is told once. That it was written outweighs a move."""
    last: dict[str, tuple[int, Change]] = {}
    for number, event in events:
        before = last.get(event.cube_id)
        is_move = isinstance(event, CubeMoved) and before is not None and not isinstance(before[1], CubeMoved)
        last[event.cube_id] = (number, before[1] if is_move and before is not None else event)
    return sorted(last.values(), key=lambda each: each[0])
