"""Items: JSON values under addresses (a namespace and a key), each a governed cube. What stores are made of.

An item is its principal's own: two principals may use one address and never learn of each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from memos_integrations.core.access import CallContext, Caller, Principal, Verb
from memos_integrations.core.cube import (
    Descriptive,
    Governance,
    MemCube,
    PlaintextPayload,
    Provenance,
    Trust,
    TrustLabel,
    check_text,
    new_id,
)
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    InvalidMemoryError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.write import finished
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import CubeFilter, ValueTest, VaultQuery
from memos_integrations.core.records import NewVersion
from memos_integrations.core.text import terms as terms_of

ITEM = "item"
"""The semantic type of every item."""

MAX_RETRIES = 200
PAGE = 500
REFRESH_SHARE = 0.01
"""A read that would lengthen a life by less than this share of it does not write a new version."""

HALF = 2.0
"""The BM25 score at which words alone give half of the highest score."""


class Address(NamedTuple):
    """Where an item stands: below its principal's tenant."""

    namespace: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class ItemWrite:
    """A new value at an address, or None: the item goes. `text` is what a search finds it by; empty: nothing."""

    address: Address
    value: Mapping[str, Any] | None
    text: str = ""
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A value at an address, with the version of the cube that holds it. `score` is 0..1, or None: not scored."""

    address: Address
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    cube_id: str
    version: int
    expires_at: datetime | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Items below a prefix that pass every test, and `keep` where the tests say too little; best or newest first."""

    prefix: tuple[str, ...] = ()
    tests: tuple[ValueTest, ...] = ()
    keep: Callable[[Mapping[str, Any]], bool] | None = None
    text: str = ""
    limit: int = 10
    offset: int = 0


class Items:
    """Reads and writes items over governed storage. Thread-safe; what is written is durable on return."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        writer: CubeWriter,
        caller: Callable[[Principal, CallContext | None], Caller],
    ) -> None:
        self._governance, self._embedding, self._writer, self._caller = governance, embedding, writer, caller

    # --- writing

    def write(self, writes: Sequence[ItemWrite], *, by: Principal, context: CallContext | None = None) -> None:
        """Write items, one write per address: new values in one transaction, then what goes, one by one.

        Raises:
            InvalidMemoryError: A value is too large or holds what JSON cannot; nothing was written.
            LegalHoldError, IllegalTransitionError: An item is on hold, or frozen.
        """
        for attempt in range(MAX_RETRIES):
            caller = self._caller(by, context)
            try:
                self._put([each for each in writes if each.value is not None], caller)
                break
            except (VersionConflictError, AlreadyRememberedError, CubeNotFoundError):
                if attempt + 1 == MAX_RETRIES:
                    raise
                time.sleep(min(0.02, 0.0005 * attempt))  # somebody else wrote to one of the addresses meanwhile
        for each in writes:
            if each.value is None:
                self._remove(each.address, self._caller(by, context))

    def _put(self, writes: Sequence[ItemWrite], caller: Caller) -> None:
        if not writes:
            return
        versions: list[NewVersion] = []
        changed: list[str] = []
        for each in writes:
            cube_id = self._id(each.address, caller)
            before = None if cube_id is None else self._governance.own(cube_id, caller)
            if before is not None and before.governance.is_expired(caller.now):
                self._erase(before.id, caller)
                before = None
            if before is not None:
                before = self._governance.fetch(before.id, Verb.WRITE, caller, operation="put")
                check_change(before)
                changed.append(before.id)
            draft = finished(_cube(each, caller, before))
            key = None if before is not None else _vault_key(each.address, caller)
            versions.append(NewVersion(draft.cube, caller, draft.terms, None, key))
        indexed = [number for number, version in enumerate(versions) if version.cube.text.strip()]
        rows = self._embedding.written([versions[number].cube.text for number in indexed]) if indexed else None
        if rows is not None:
            for number, row in zip(indexed, rows, strict=True):
                versions[number] = versions[number]._replace(vector=row)
        self._governance.put_many(versions, operation="put").result()
        for derivative in self._writer.derivatives:
            derivative.drop(changed)

    def _remove(self, address: Address, caller: Caller) -> None:
        cube_id = self._id(address, caller)
        if cube_id is not None and self._governance.own(cube_id, caller) is not None:
            self._erase(cube_id, caller)

    def _erase(self, cube_id: str, caller: Caller) -> None:
        try:
            self._writer.forget(cube_id, caller)
        except CubeNotFoundError:
            return  # somebody else was faster

    def sweep(self, *, by: Principal, context: CallContext | None = None) -> int:
        """Erase the principal's items whose time is over; how many. They could not be read any more already."""
        caller = self._caller(by, context)
        scope = CubeFilter(semantic_types=(ITEM,), value=(ValueTest(("ttl",), "exists"),))
        # Looked for as of the beginning of time, when nothing has expired yet; nothing of it is handed out.
        early = caller._replace(now=datetime.min.replace(tzinfo=caller.now.tzinfo))
        ended = 0
        for cube in self._pages(scope, early):
            if cube.governance.owner == by.subject and cube.governance.is_expired(caller.now):
                self._erase(cube.id, caller)
                ended += 1
        return ended

    # --- reading

    def read(
        self,
        addresses: Sequence[Address],
        *,
        by: Principal,
        refresh: Sequence[bool] = (),
        context: CallContext | None = None,
    ) -> list[Item | None]:
        """The items at these addresses, None where there is none; those with *refresh* live on from now."""
        caller = self._caller(by, context)
        ids = [self._id(address, caller) for address in addresses]
        known = [cube_id for cube_id in ids if cube_id is not None]
        cubes = {cube.id: cube for cube in self._governance.readable(known, caller)} if known else {}
        for cube_id, wanted in zip(ids, refresh, strict=False):
            if wanted and cube_id in cubes:
                self._refresh(cubes[cube_id], caller)
        return [_item(cubes[cube_id]) if cube_id in cubes else None for cube_id in ids]

    def history(self, address: Address, *, by: Principal, context: CallContext | None = None) -> list[Item]:
        """Every value that an address held since it was last deleted, oldest first."""
        caller = self._caller(by, context)
        cube_id = self._id(address, caller)
        if cube_id is None:
            return []
        try:
            found = [item for cube in self._governance.history(cube_id, caller) if (item := _item(cube))]
        except CubeNotFoundError:
            return []
        # A version that only lengthened a life says nothing new.
        told = [(item.updated_at, item.value) for item in found]
        return [item for n, item in enumerate(found) if n == 0 or told[n] != told[n - 1]]

    def search(
        self, query: ItemQuery, *, by: Principal, refresh: bool = False, context: CallContext | None = None
    ) -> list[Item]:
        """The items that the query asks for, never fewer than there are."""
        caller = self._caller(by, context)
        scope = _scope(query.prefix, caller, query.tests)
        end = query.offset + query.limit
        if query.limit < 1:
            return []
        cubes: list[tuple[MemCube, float | None]]
        if query.text.strip():
            cubes = self._ranked(query, scope, caller, end)
        elif query.keep is None:
            cubes = [(cube, None) for cube in self._governance.find(VaultQuery(k=end, filter=scope), caller)]
        else:
            cubes = [(cube, None) for cube in self._kept(query, scope, caller, end)]
        page = cubes[query.offset : end]
        if refresh:
            for cube, _ in page:
                self._refresh(cube, caller)
        return [item for cube, score in page if (item := _item(cube, score)) is not None]

    def namespaces(
        self, prefix: tuple[str, ...] = (), *, by: Principal, context: CallContext | None = None
    ) -> set[tuple[str, ...]]:
        """The namespaces at or below *prefix* in which there are items of the principal."""
        caller = self._caller(by, context)
        return {cube.namespace[1:] for cube in self._pages(_scope(prefix, caller), caller)}

    def _ranked(
        self, query: ItemQuery, scope: CubeFilter, caller: Caller, end: int
    ) -> list[tuple[MemCube, float | None]]:
        """Best first; then what neither words nor meaning speak for, newest first."""
        words = tuple(terms_of(query.text))
        vector = self._embedding.asked(query.text) if self._embedding.has_vectors() else None
        k = max(PAGE, 4 * end)
        while True:
            found = self._governance.found(VaultQuery(k=k, terms=words, vector=vector, filter=scope), caller)
            scored: list[tuple[MemCube, float | None]] = []
            for match in found.matches:
                if match.cube.text.strip() and (query.keep is None or query.keep(_value(match.cube))):
                    scored.append((match.cube, _score(match.bm25, match.cosine, vector is not None)))
            scored = [each for each in scored if each[1]]
            scored.sort(key=lambda each: (-(each[1] or 0.0), each[0].id))
            # What was not found scores no more by either signal than the last found by it.
            if k >= found.visible or (len(scored) >= end and (scored[end - 1][1] or 0.0) >= _bound(found.matches, k)):
                break
            k *= 4
        if len(scored) < end:
            there = {cube.id for cube, _ in scored}
            missing = end - len(scored)
            for cube in self._pages(scope, caller):
                if cube.id not in there and (query.keep is None or query.keep(_value(cube))):
                    scored.append((cube, None))
                    missing -= 1
                    if not missing:
                        break
        return scored

    def _kept(self, query: ItemQuery, scope: CubeFilter, caller: Caller, end: int) -> list[MemCube]:
        assert query.keep is not None
        kept: list[MemCube] = []
        for cube in self._pages(scope, caller):
            if query.keep(_value(cube)):
                kept.append(cube)
                if len(kept) == end:
                    break
        return kept

    def _pages(self, scope: CubeFilter, caller: Caller) -> Iterator[MemCube]:
        """Everything in scope, newest first; more and more at a time, each once."""
        seen: set[str] = set()
        k = PAGE
        while True:
            found = self._governance.find(VaultQuery(k=k, filter=scope), caller)
            fresh = [cube for cube in found if cube.id not in seen]
            seen.update(cube.id for cube in fresh)
            yield from fresh
            if len(found) < k:
                return
            k *= 8

    def _refresh(self, cube: MemCube, caller: Caller) -> None:
        content = _content(cube)
        ends, minutes = cube.governance.expires_at, content.get("ttl")
        if ends is None or minutes is None:
            return
        ttl = timedelta(minutes=minutes)
        later = caller.now + ttl
        if later - ends <= ttl * REFRESH_SHARE:
            return
        rules = cube.governance.model_copy(update={"expires_at": later})
        newer = cube.model_copy(update={"version": cube.version + 1, "governance": rules})
        draft = finished(newer)
        row = self._embedding.written([draft.text]) if draft.text.strip() else None
        version = NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0])
        try:
            self._governance.put_many([version], operation="refresh").result()
        except (VersionConflictError, CubeNotFoundError):
            return  # it was written or deleted meanwhile: that counts more

    def _id(self, address: Address, caller: Caller) -> str | None:
        return self._governance.known(_vault_key(address, caller), caller)


def _vault_key(address: Address, caller: Caller) -> str:
    return json.dumps([caller.by.subject, ITEM, list(address.namespace), address.key])


def _scope(prefix: tuple[str, ...], caller: Caller, tests: tuple[ValueTest, ...] = ()) -> CubeFilter:
    return CubeFilter(namespace=(caller.by.tenant, *prefix), semantic_types=(ITEM,), value=tests)


def _cube(write: ItemWrite, caller: Caller, before: MemCube | None) -> MemCube:
    content: dict[str, Any] = {"key": write.address.key, "value": dict(write.value or {})}
    if write.ttl is not None:
        content["ttl"] = write.ttl / timedelta(minutes=1)
    created = before.descriptive.created_at if before else caller.now
    try:
        check_text(write.address.key)
        governance = before.governance if before else Governance(owner=caller.by.subject)
        ends = None if write.ttl is None else caller.now + write.ttl
        return MemCube(
            id=before.id if before else new_id(),
            version=before.version + 1 if before else 1,
            namespace=(caller.by.tenant, *write.address.namespace),
            payload=PlaintextPayload(text=write.text, value=content),
            descriptive=Descriptive(created_at=created, recorded_at=caller.now, semantic_type=ITEM),
            provenance=Provenance(author=caller.by.subject, occurred_at=caller.now),
            trust=before.trust if before else Trust(label=TrustLabel.UNVERIFIED),
            governance=governance.model_copy(update={"expires_at": ends}),
        )
    except (ValueError, OverflowError) as exc:
        raise InvalidMemoryError(f"This item cannot be stored: {exc}.") from exc


def _content(cube: MemCube) -> dict[str, Any]:
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    return value if isinstance(value, dict) else {}


def _value(cube: MemCube) -> dict[str, Any]:
    value = _content(cube).get("value")
    return value if isinstance(value, dict) else {}


def _item(cube: MemCube, score: float | None = None) -> Item | None:
    key = _content(cube).get("key")
    if not isinstance(key, str):
        return None
    return Item(
        Address(cube.namespace[1:], key),
        _value(cube),
        cube.descriptive.created_at,
        cube.provenance.occurred_at or cube.descriptive.recorded_at,
        cube.id,
        cube.version,
        cube.governance.expires_at,
        score,
    )


def _score(bm25: float | None, cosine: float | None, has_vectors: bool) -> float:
    words = (bm25 or 0.0) / ((bm25 or 0.0) + HALF)
    return 0.5 * words + 0.5 * max(0.0, cosine or 0.0) if has_vectors else words


def _bound(matches: Sequence[Any], k: int) -> float:
    """The most that something not among the best *k* by either signal can score."""
    bm25 = sorted((match.bm25 or 0.0 for match in matches), reverse=True)[k - 1 : k] or [0.0]
    cosine = [match.cosine for match in matches if match.cosine is not None]
    nearest = sorted(cosine, reverse=True)[k - 1 : k] or [0.0]
    return _score(bm25[0], nearest[0], bool(cosine))
