"""The publisher's side of `MemStore`: offers, and memories that are made to obey them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, as_subject
from memos_integrations.core.books import ITEM, STANDING
from memos_integrations.core.cube import Licence, MemCube, Rate, State, Value, first_problem
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.item import Address, ItemQuery, ItemWrite, item_of
from memos_integrations.core.items import Items
from memos_integrations.core.memstore.opening import Opened, before_any, settled
from memos_integrations.core.memstore.values import Publication
from memos_integrations.core.memstore.wanting import is_offered
from memos_integrations.core.operator import changes_by_part
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.options import labels, parts
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import RECALLABLE, CubeFilter, VaultQuery

PUBLICATIONS = ("memstore", "publications")
PAGE = 1_000
OPENED = ("memstore", "opened")
MOST_LISTED = 10_000
Made = TypeVar("Made", bound=Value)
Listed = TypeVar("Listed")


class Offering:
    """Publish and withdraw over one vault."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        writer: CubeWriter,
        items: Items,
        caller: Callable[[Principal, CallContext | None], Caller],
    ) -> None:
        self._governance, self._embedding, self._writer = governance, embedding, writer
        self._items, self._caller = items, caller

    def publish(
        self,
        name: str,
        *,
        by: Principal,
        to: Iterable[str],
        cube_id: str | None = None,
        namespace: Sequence[str] = (),
        tags: Sequence[str] = (),
        semantic_types: Sequence[str] = (),
        purposes: Sequence[str] = (),
        licence: Licence | None = None,
        rate: Rate | None = None,
        price: str = "",
        context: CallContext | None = None,
    ) -> Publication:
        """Offer one memory, or all of *by*'s own that pass the query, to an audience; under *name*, once.

        *to* are users, `group:NAME`, `role:NAME` or `*`. The memories are shared now; those that come later are by
        `renew`. The offer itself can be seen by the audience (`offers`). Licence and purposes bind the audience, never
        *by*; of a memory with several offers each binds its own audience, and is counted by itself (whom two name: the
        one that names them more closely, then the later). A name that was offered before is offered anew: who is not
        in the audience any more, and what the query does not name any more, is as if it were withdrawn.
        Without a *context*, an offer for purposes is made for the first of them. Within `MemOS.atomic` all of it
        becomes true at once, and not memory by memory.

        Raises:
            InvalidMemoryError: Nothing is named to be offered, nobody to offer it to, or an end that is past.
            CubeNotFoundError, AccessDeniedError: *by* may not know of the memory, or not share it.
        """
        caller = self._caller(by, context)
        audience = tuple(as_subject(each) for each in labels(to))
        if not audience or (cube_id is None) == (not namespace and not tags and not semantic_types):
            raise InvalidMemoryError("An offer names an audience, and one memory or a query (namespace, tags, types).")
        place = parts(namespace)
        place = place if not place or place[0] == by.tenant else (by.tenant, *place)
        offer = checked(
            Publication,
            name=name, publisher=caller.by.subject, audience=audience, cube_id=cube_id, namespace=place,
            tags=tuple(labels(tags)), semantic_types=tuple(labels(semantic_types)),
            purposes=tuple(labels(purposes)), licence=licence,
            rate=rate, price=price, at=caller.now,
        )  # fmt: skip
        if is_over(offer, caller.now):
            raise InvalidMemoryError("The licence of the offer is over already; let it end later, or never.")
        if cube_id is not None:
            self._governance.check_own(
                self._governance.fetch(cube_id, Verb.SHARE, caller, operation="publish"),
                Verb.SHARE, caller, operation="publish",
            )  # fmt: skip
        fresh = self._found_offer(name, by) is None
        self._offer(offer, by)
        self._renew(offer, by, context, fresh=fresh)
        return offer

    def renew(self, name: str, *, by: Principal, context: CallContext | None = None) -> int:
        """Make the memories obey an offer: share what it names, take back what it does not (any more); how many.

        Of one that is withdrawn, or whose licence is over, everything is taken back. Run it after a crash, or for what
        was written since; to run it again changes nothing. Each memory is changed in a transaction of its own.

        Raises:
            CubeNotFoundError: *by* has no such offer.
        """
        return self._renew(self._own_offer(name, by), by, context)

    def _renew(self, offer: Publication, by: Principal, context: CallContext | None, *, fresh: bool = False) -> int:
        # What it offers may be seen for its purposes only, by its publisher too.
        for_it = CallContext(purpose=offer.purposes[0]) if offer.purposes else None
        caller = self._caller(by, for_it if context is None else context)
        stands = not offer.withdrawn and not is_over(offer, caller.now)
        named = {cube.id: cube for cube in self._offered(offer, caller)} if stands else {}
        left = [] if fresh else [cube_id for cube_id in self._opened_by(offer.name, by) if cube_id not in named]
        changed = sum(self._settle(offer, page, caller, opens=True) for page in _pages(list(named.values())))
        for page in _pages(left):
            cubes = self._governance.readable(page, caller, operation="publish")
            changed += self._settle(offer, cubes, caller, opens=False)
        return changed

    def _opened_by(self, name: str, by: Principal) -> list[str]:
        """The ids of the memories that an offer opened."""
        found: list[str] = []
        offset = 0
        while items := self._items.search(ItemQuery(prefix=OPENED, limit=MOST_LISTED, offset=offset), by=by):
            found += [item.address.key for item in items if name in item.value["offers"]]
            offset += len(items)
        return found

    def _settle(self, offer: Publication, page: Sequence[MemCube], caller: Caller, *, opens: bool) -> int:
        by, rules = caller.by, [cube.governance for cube in page]
        items = self._items.read([Address(OPENED, cube.id) for cube in page], by=by)
        known = [
            before_any(each) if item is None else Opened.model_validate(item.value)
            for item, each in zip(items, rules, strict=True)
        ]
        others = self._standing({name for each in known for name in each.offers} - {offer.name}, caller)
        after = [settled(offer, *each, others, opens=opens) for each in zip(rules, known, strict=True)]
        # Before they are opened: whoever dies in between has promised too much, and can still take it back.
        promised = [then.and_readers(now) for now, (_, then) in zip(known, after, strict=True)]
        self._note(page, [None if item is None else now for item, now in zip(items, known, strict=True)], promised, by)
        changed = sum(self._obey(cube, told, caller) for cube, (told, _) in zip(page, after, strict=True))
        self._note(page, promised, [then for _, then in after], by)
        return changed

    def _note(
        self, page: Sequence[MemCube], before: Sequence[Opened | None], after: Sequence[Opened], by: Principal
    ) -> None:
        there = zip(page, before, after, strict=True)
        self._items.write([_opened_at(cube.id, now) for cube, then, now in there if now != then], by=by)

    def _standing(self, named: Collection[str], caller: Caller) -> list[Publication]:
        items = self._items.read([Address(PUBLICATIONS, name) for name in sorted(named)], by=caller.by)
        offers = [Publication.model_validate(item.value) for item in items if item is not None]
        return [each for each in offers if not each.withdrawn and not is_over(each, caller.now)]

    def _obey(self, cube: MemCube, changes: dict[str, Any], caller: Caller) -> bool:
        if all(getattr(cube.governance, field) == value for field, value in changes.items()):
            return False
        told = changes_by_part(changes)  # type: ignore[arg-type]
        self._writer.update(cube.id, caller, text=None, changes=told, expected_version=None)
        return True

    def withdraw(self, name: str, *, by: Principal, context: CallContext | None = None) -> int:
        """Take an offer back; its audience reads its memories no more, unless another offer lets it. How many.

        Who was given one is told that it went. Whom the owner named by hand, before the offer, stays a reader. When no
        offer of the memory is left, its licence is again what it was before, unless the owner changed it since.

        Raises:
            CubeNotFoundError: *by* has no such offer.
        """
        self._offer(self._own_offer(name, by).model_copy(update={"withdrawn": True}), by)
        return self.renew(name, by=by, context=context)

    def offers(self, *, by: Principal) -> list[Publication]:
        """The offers that *by* made, or that stand and are for *by*, by publisher and name; none that is withdrawn."""
        caller = self._caller(by, None)
        scope = CubeFilter(namespace=(by.tenant, *PUBLICATIONS), semantic_types=(ITEM,), states=STANDING)
        cubes = self._governance.find(VaultQuery(k=MOST_LISTED, filter=scope), caller)
        listed = [each for cube in cubes if (each := publication_of(cube)) is not None and not each.withdrawn]
        found = [each for each in listed if each.publisher == by.subject or not is_over(each, caller.now)]
        return sorted(found, key=lambda each: (each.publisher, each.name))

    def _offered(self, offer: Publication, caller: Caller) -> Iterator[MemCube]:
        """The publisher's own memories that an offer names."""
        if offer.cube_id is not None:
            yield self._governance.read(offer.cube_id, caller, operation="publish", counted=False)
            return
        scope = scope_of(offer, RECALLABLE)
        skip = 0
        while cubes := self._governance.find(VaultQuery(k=PAGE, filter=scope, skip=skip), caller):
            yield from (cube for cube in cubes if is_offered(offer, cube))
            skip += len(cubes)

    def _offer(self, offer: Publication, by: Principal) -> None:
        address = Address(PUBLICATIONS, offer.name)
        self._items.write([ItemWrite(address, offer.model_dump(mode="json"))], by=by)
        item = self._items.read([address], by=by)[0]
        if item is None:
            raise CubeNotFoundError(offer.name)
        shared = changes_by_part({"readers": offer.audience})
        self._writer.update(item.cube_id, self._caller(by, None), text=None, changes=shared, expected_version=None)

    def _own_offer(self, name: str, by: Principal) -> Publication:
        found = self._found_offer(name, by)
        if found is None:
            raise CubeNotFoundError(name)
        return found

    def _found_offer(self, name: str, by: Principal) -> Publication | None:
        item = self._items.read([Address(PUBLICATIONS, name)], by=by)[0]
        return None if item is None else Publication.model_validate(item.value)


def checked(kind: type[Made], **said: Any) -> Made:
    """A value of this kind.

    Raises:
        InvalidMemoryError: What is said makes no sense.
    """
    try:
        return kind(**said)
    except ValidationError as exc:
        raise InvalidMemoryError(f"Not a {kind.__name__.lower()}: {first_problem(exc)}.") from exc


def _pages(listed: Sequence[Listed]) -> Iterator[Sequence[Listed]]:
    return (listed[start : start + PAGE] for start in range(0, len(listed), PAGE))


def _opened_at(cube_id: str, opened: Opened) -> ItemWrite:
    return ItemWrite(Address(OPENED, cube_id), opened.model_dump(mode="json") if opened.offers else None)


def scope_of(offer: Publication, states: frozenset[State] = frozenset(State)) -> CubeFilter:
    """Where the memories of an offer are."""
    if offer.cube_id is not None:
        return CubeFilter(ids=(offer.cube_id,), states=states)
    named = CubeFilter(namespace=offer.namespace, tags=offer.tags, semantic_types=offer.semantic_types)
    return replace(named, states=states)


def is_over(offer: Publication, now: datetime) -> bool:
    """Whether the licence of an offer has ended."""
    return offer.licence is not None and offer.licence.is_over(now)


def publication_of(cube: MemCube) -> Publication | None:
    """The offer that a cube holds; None where somebody else's name stands in it."""
    item = item_of(cube)
    try:
        offer = None if item is None else Publication.model_validate(item.value)
    except ValidationError:
        return None
    return offer if offer is not None and offer.publisher == cube.governance.owner else None
