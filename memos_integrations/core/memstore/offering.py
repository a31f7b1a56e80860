"""The publisher's side of `MemStore`: offers, and memories that are made to obey them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, as_subject
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import Licence, MemCube, Value, first_problem
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.item import Address, ItemQuery, ItemWrite, item_of
from memos_integrations.core.items import Items
from memos_integrations.core.memstore.opening import Opened, before_any, closing, opening
from memos_integrations.core.memstore.values import Publication, Rate
from memos_integrations.core.memstore.wanting import is_offered
from memos_integrations.core.operator import changes_by_part
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import CubeFilter, VaultQuery

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
        `renew`. The offer itself can be seen by the audience (`offers`). Without a *context*, an offer for purposes
        is made for the first of them.

        Raises:
            InvalidMemoryError: Nothing is named to be offered, or nobody to offer it to.
            CubeNotFoundError, AccessDeniedError: *by* may not know of the memory, or not share it.
        """
        caller = self._caller(by, context)
        audience = tuple(as_subject(each) for each in to)
        if not audience or (cube_id is None) == (not namespace and not tags and not semantic_types):
            raise InvalidMemoryError("An offer names an audience, and one memory or a query (namespace, tags, types).")
        place = tuple(namespace) if not namespace or namespace[0] == by.tenant else (by.tenant, *namespace)
        offer = checked(
            Publication,
            name=name, publisher=caller.by.subject, audience=audience, cube_id=cube_id, namespace=place,
            tags=tuple(tags), semantic_types=tuple(semantic_types), purposes=tuple(purposes), licence=licence,
            rate=rate, price=price, at=caller.now,
        )  # fmt: skip
        if cube_id is not None:
            self._governance.check_own(
                self._governance.fetch(cube_id, Verb.SHARE, caller, operation="publish"),
                Verb.SHARE, caller, operation="publish",
            )  # fmt: skip
        self._offer(offer, by)
        self.renew(name, by=by, context=context)
        return offer

    def renew(self, name: str, *, by: Principal, context: CallContext | None = None) -> int:
        """Share what an offer names and does not share yet, or take back what a withdrawn one shared; how many.

        Run it after a crash, or for what was written since; to run it again changes nothing.

        Raises:
            CubeNotFoundError: *by* has no such offer.
        """
        offer = self._own_offer(name, by)
        # What it offers may be seen for its purposes only, by its publisher too.
        for_it = CallContext(purpose=offer.purposes[0]) if offer.purposes else None
        caller = self._caller(by, for_it if context is None else context)
        if offer.withdrawn:
            return self._close(offer, caller)
        changed = 0
        for page in _pages(list(self._offered(offer, caller))):
            self._remember(offer, page, by)
            changed += sum(self._obey(cube, opening(offer, cube.governance), caller) for cube in page)
        return changed

    def _close(self, offer: Publication, caller: Caller) -> int:
        """Take back what the offer opened, whether its query still names it or not."""
        opened = self._opened_by(offer.name, caller.by)
        changed = 0
        for page in _pages(list(opened)):
            for cube in self._governance.readable(page, caller, operation="publish"):
                known = opened[cube.id]
                changed += self._obey(cube, closing(offer, cube.governance, known), caller)
                left = known.without_offer(offer)
                self._items.write([_opened_at(cube.id, left if left.offers else None)], by=caller.by)
        return changed

    def _opened_by(self, name: str, by: Principal) -> dict[str, Opened]:
        found: dict[str, Opened] = {}
        offset = 0
        while items := self._items.search(ItemQuery(prefix=OPENED, limit=MOST_LISTED, offset=offset), by=by):
            there = {item.address.key: Opened.model_validate(item.value) for item in items}
            found |= {cube_id: opened for cube_id, opened in there.items() if name in opened.offers}
            offset += len(items)
        return found

    def _obey(self, cube: MemCube, changes: dict[str, Any], caller: Caller) -> bool:
        if all(getattr(cube.governance, field) == value for field, value in changes.items()):
            return False
        told = changes_by_part(changes)  # type: ignore[arg-type]
        self._writer.update(cube.id, caller, text=None, changes=told, expected_version=None)
        return True

    def _remember(self, offer: Publication, page: Sequence[MemCube], by: Principal) -> None:
        """Before they are opened: whoever dies in between has promised too much, and can still take it back."""
        items = self._items.read([Address(OPENED, cube.id) for cube in page], by=by)
        writes = []
        for cube, item in zip(page, items, strict=True):
            before = None if item is None else Opened.model_validate(item.value)
            after = (before or before_any(cube.governance)).with_offer(offer, cube.governance)
            if after != before:
                writes.append(_opened_at(cube.id, after))
        self._items.write(writes, by=by)

    def withdraw(self, name: str, *, by: Principal, context: CallContext | None = None) -> int:
        """Take an offer back; its audience reads its memories no more, unless another offer lets it. How many.

        Who was given one is told that it went. Whom the owner named by hand, before the offer, stays a reader. Purposes
        and licence go back to what they were before when no offer of the memory is left, and nobody changed them since.

        Raises:
            CubeNotFoundError: *by* has no such offer.
        """
        self._offer(self._own_offer(name, by).model_copy(update={"withdrawn": True}), by)
        return self.renew(name, by=by, context=context)

    def offers(self, *, by: Principal) -> list[Publication]:
        """The offers that *by* made or is of the audience of, and that stand, by publisher and name."""
        scope = CubeFilter(namespace=(by.tenant, *PUBLICATIONS), semantic_types=(ITEM,))
        cubes = self._governance.find(VaultQuery(k=MOST_LISTED, filter=scope), self._caller(by, None))
        found = [each for cube in cubes if (each := publication_of(cube)) is not None and not each.withdrawn]
        return sorted(found, key=lambda each: (each.publisher, each.name))

    def _offered(self, offer: Publication, caller: Caller) -> Iterator[MemCube]:
        """The publisher's own memories that an offer names."""
        if offer.cube_id is not None:
            yield self._governance.read(offer.cube_id, caller, operation="publish", counted=False)
            return
        scope = CubeFilter(namespace=offer.namespace, tags=offer.tags, semantic_types=offer.semantic_types)
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
        item = self._items.read([Address(PUBLICATIONS, name)], by=by)[0]
        if item is None:
            raise CubeNotFoundError(name)
        return Publication.model_validate(item.value)


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


def _opened_at(cube_id: str, opened: Opened | None) -> ItemWrite:
    return ItemWrite(Address(OPENED, cube_id), None if opened is None else opened.model_dump(mode="json"))


def publication_of(cube: MemCube) -> Publication | None:
    """The offer that a cube holds; None where somebody else's name stands in it."""
    item = item_of(cube)
    try:
        offer = None if item is None else Publication.model_validate(item.value)
    except ValidationError:
        return None
    return offer if offer is not None and offer.publisher == cube.governance.owner else None
