"""MemOSStore: LangGraph's `BaseStore` over governed, versioned, durable memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from langgraph.config import get_config
from langgraph.runtime import Runtime, get_runtime
from langgraph.store.base import (
    NOT_PROVIDED,
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    NamespacePath,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)
from langgraph.store.base import Item as StoreItem

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.asked import aware
from memos_integrations.core.errors import IdentityError, InvalidMemoryError
from memos_integrations.core.items import Address, Item, ItemQuery, ItemWrite
from memos_integrations.langgraph.filters import compiled
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.store_values import check_parts, checked_value, searched_text, some_value
from memos_integrations.memos import MemOS

Index = Literal[False] | list[str] | None


class MemOSStore(BaseStore):
    """A LangGraph store whose items are MemCubes: governed, versioned, audited, durable, searched by words and meaning.

    Give it to `create_agent(store=...)` or `compile(store=...)`, or use it alone. Whose items are read and written is
    settled per call: `principal` (a Principal, or a function of the runtime), else the running graph's context or
    `configurable`. Each principal has items of their own, whatever the namespaces are called.

    A namespace part may be any non-empty text without NUL (dots and e-mail addresses too), and the first is not
    "langgraph". `fields` are the paths of a value that a query searches, in LangGraph's path syntax; the embedder is
    that of *memos*, without one search goes by words. An item's score is between 0 and 1; items for which neither
    words nor meaning speak come last, with the score None. Without a query the newest come first.

    `ttl` is LangGraph's TTLConfig, in minutes. An item whose time is over is never given out (as with `omit_expired`),
    and erased by `sweep_ttl` or by the next write to its address.

    With `as_of` it is the store as it was then: its items had the values of then, and none is written. What was deleted
    since, or whose time is over, is gone from the past too.

    Raises, at each call:
        IdentityError: Nobody is asking.
        InvalidNamespaceError: A namespace is empty, or a part is no text, empty, or holds a NUL.
        InvalidMemoryError: A value is not a JSON object or too large (1 MB), a filter has an unknown operator, or it is
            written into the past.
    """

    supports_ttl = True

    def __init__(
        self,
        memos: MemOS,
        *,
        principal: Identity | None = None,
        context: CallContext | None = None,
        fields: Sequence[str] = ("$",),
        ttl: TTLConfig | None = None,
        as_of: datetime | None = None,
    ) -> None:
        if isinstance(fields, str):
            raise InvalidMemoryError(f"fields is a list of paths such as ['text'], not {fields!r}.")
        self._memos, self._principal, self._context = memos, principal, context
        self._fields, self._as_of = list(fields), aware(as_of)
        self.ttl_config = ttl

    # --- all operations go through these two

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Results in the order of the operations. Reads see what was there before; the last write of a key counts."""
        return self._run(list(ops), self._who())

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """`batch`, without blocking the event loop."""
        return await self._memos.off_loop(self._run, list(ops), self._who())

    def _run(self, ops: list[Op], by: Principal) -> list[Result]:
        writes: dict[Address, ItemWrite] = {}
        for op in ops:
            _check(op)
            if isinstance(op, PutOp):
                if self._as_of is not None:
                    raise InvalidMemoryError("This is the store as it was: nothing is written into the past.")
                write = self._write(op)
                writes.pop(write.address, None)
                writes[write.address] = write
        results: list[Result] = [None] * len(ops)
        gets = [(place, op) for place, op in enumerate(ops) if isinstance(op, GetOp)]
        if gets:
            addresses = [Address(tuple(op.namespace), op.key) for _, op in gets]
            refresh = [op.refresh_ttl for _, op in gets]
            found = self._memos.items.read(addresses, by=by, refresh=refresh, as_of=self._as_of, context=self._context)
            for (place, _), item in zip(gets, found, strict=True):
                results[place] = None if item is None else _given(item)
        for place, op in enumerate(ops):
            if isinstance(op, SearchOp):
                results[place] = self._search(op, by)
            elif isinstance(op, ListNamespacesOp):
                results[place] = self._namespaces(op, by)
        if writes:
            self._memos.items.write(list(writes.values()), by=by, context=self._context)
        return results

    def _search(self, op: SearchOp, by: Principal) -> list[SearchItem]:
        tests, keep, exact = compiled(op.filter)
        if op.limit < 0 or op.offset < 0:
            raise InvalidMemoryError("limit and offset are whole numbers of at least 0.")
        prefix = tuple(op.namespace_prefix)
        query = ItemQuery(prefix, tests, keep, exact, op.query or "", op.limit, op.offset, self._as_of)
        found = self._memos.items.search(query, by=by, refresh=op.refresh_ttl, context=self._context)
        return [_scored(item) for item in found]

    def _namespaces(self, op: ListNamespacesOp, by: Principal) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        there = self._memos.items.namespaces(_fixed(conditions), by=by, as_of=self._as_of, context=self._context)
        matching = {one[: op.max_depth] for one in there if all(_matches(each, one) for each in conditions)}
        return sorted(matching)[op.offset : op.offset + op.limit]

    def _write(self, op: PutOp) -> ItemWrite:
        address = Address(tuple(op.namespace), op.key)
        if op.value is None:
            return ItemWrite(address, None)
        value = checked_value(op.value)
        text = "" if op.index is False else searched_text(value, self._fields if op.index is None else op.index)
        if op.ttl is not None and not (math.isfinite(op.ttl) and op.ttl > 0):
            raise InvalidMemoryError(f"ttl is a number of minutes above 0, not {op.ttl!r}.")
        return ItemWrite(address, value, text, None if op.ttl is None else timedelta(minutes=op.ttl))

    def _who(self) -> Principal:
        if isinstance(self._principal, Principal):
            return self._principal
        try:
            config = get_config()
        except RuntimeError as exc:
            raise IdentityError(
                "Nobody is asking: outside a running graph, build the store with principal=Principal(...)."
            ) from exc
        try:
            runtime: Runtime[Any] = get_runtime()
        except (AttributeError, KeyError):  # a runnable runs, but no graph
            runtime = Runtime(context=None)
        return identify(self._principal, runtime, config)

    # --- beyond other stores

    def history(self, namespace: tuple[str, ...], key: str) -> list[StoreItem]:
        """Every value that the item had since it was last deleted, oldest first."""
        check_parts(namespace)
        by = self._who()
        found = self._memos.items.history(Address(tuple(namespace), key), by=by, context=self._context)
        return [_given(item) for item in found]

    def cube_id(self, namespace: tuple[str, ...], key: str) -> str | None:
        """The id of the cube that holds the item: for `memos.audit`, `hold`, `explain_access` and the other verbs."""
        check_parts(namespace)
        (item,) = self._memos.items.read([Address(tuple(namespace), key)], by=self._who(), context=self._context)
        return None if item is None else item.cube_id

    def sweep_ttl(self) -> int:
        """Erase the principal's items whose time is over; how many."""
        return self._memos.items.sweep(by=self._who(), context=self._context)

    # --- the same signatures as upstream, without its ban on dots

    def get(self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None) -> StoreItem | None:
        """The item at an address, or None."""
        result: Any = self.batch([GetOp(namespace, str(key), self._refresh(refresh_ttl))])[0]
        return result  # type: ignore[no-any-return]

    async def aget(self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None) -> StoreItem | None:
        """`get`, without blocking the event loop."""
        result: Any = (await self.abatch([GetOp(namespace, str(key), self._refresh(refresh_ttl))]))[0]
        return result  # type: ignore[no-any-return]

    def search(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """The items below a prefix that pass *filter*: best first with a *query*, else newest first."""
        op = SearchOp(namespace_prefix, filter, limit, offset, query, self._refresh(refresh_ttl))
        result: Any = self.batch([op])[0]
        return result  # type: ignore[no-any-return]

    async def asearch(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """`search`, without blocking the event loop."""
        op = SearchOp(namespace_prefix, filter, limit, offset, query, self._refresh(refresh_ttl))
        result: Any = (await self.abatch([op]))[0]
        return result  # type: ignore[no-any-return]

    def put(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Index = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """Store a value at an address, durable on return; a value that was there becomes its history."""
        self.batch([PutOp(namespace, str(key), some_value(value), index, self._minutes(ttl))])

    async def aput(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Index = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """`put`, without blocking the event loop."""
        await self.abatch([PutOp(namespace, str(key), some_value(value), index, self._minutes(ttl))])

    def delete(self, namespace: tuple[str, ...], key: str) -> None:
        """Erase the item with all its versions, vectors and words; nothing happens when there is none."""
        self.batch([PutOp(namespace, str(key), None)])

    async def adelete(self, namespace: tuple[str, ...], key: str) -> None:
        """`delete`, without blocking the event loop."""
        await self.abatch([PutOp(namespace, str(key), None)])

    def list_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """The namespaces that hold items of the principal, in order; `*` in a prefix or suffix stands for any part."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        result: Any = self.batch([op])[0]
        return result  # type: ignore[no-any-return]

    async def alist_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """`list_namespaces`, without blocking the event loop."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        result: Any = (await self.abatch([op]))[0]
        return result  # type: ignore[no-any-return]

    def _refresh(self, asked: bool | None) -> bool:
        if self._as_of is not None:
            return False
        return bool((self.ttl_config or {}).get("refresh_on_read", True)) if asked is None else asked

    def _minutes(self, asked: float | NotProvided | None) -> float | None:
        return (self.ttl_config or {}).get("default_ttl") if isinstance(asked, NotProvided) else asked


def _given(item: Item) -> StoreItem:
    return StoreItem(
        value=item.value,
        key=item.address.key,
        namespace=item.address.namespace,
        created_at=item.created_at,
        updated_at=item.updated_at,
    )


def _scored(item: Item) -> SearchItem:
    given = _given(item)
    return SearchItem(given.namespace, given.key, given.value, given.created_at, given.updated_at, item.score)


def _conditions(prefix: NamespacePath | None, suffix: NamespacePath | None) -> tuple[MatchCondition, ...]:
    both = (("prefix", prefix), ("suffix", suffix))
    return tuple(MatchCondition(kind, tuple(path)) for kind, path in both if path)  # type: ignore[arg-type]


def _fixed(conditions: Sequence[MatchCondition]) -> tuple[str, ...]:
    """The longest beginning without a wildcard that every match has."""
    paths = [tuple(each.path) for each in conditions if each.match_type == "prefix"]
    fixed = [path[: path.index("*")] if "*" in path else path for path in paths]
    return max(fixed, key=len, default=())


def _matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = tuple(condition.path)
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return len(part) == len(path) and all(wanted in ("*", there) for wanted, there in zip(path, part, strict=True))


def _check(op: Op) -> None:
    match op:
        case GetOp():
            check_parts(op.namespace)
        case PutOp():
            check_parts(op.namespace)
            if not op.namespace:
                raise InvalidNamespaceError("Namespace cannot be empty.")
            if op.value is not None and op.namespace[0] == "langgraph":
                raise InvalidNamespaceError(f'Root label for namespace cannot be "langgraph". Got: {op.namespace}')
        case SearchOp():
            check_parts(op.namespace_prefix)
        case ListNamespacesOp():
            for condition in op.match_conditions or ():
                check_parts(condition.path)
        case _:
            raise InvalidMemoryError(f"Unknown operation type: {type(op)}")
