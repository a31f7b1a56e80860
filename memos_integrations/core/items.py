"""Items: JSON values under addresses (a namespace and a key), each a governed cube. What stores are made of.

An item is its principal's own: two principals may use one address and never learn of each other. What somebody else
lets the principal read is no item of theirs, though it stand in the same namespace.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, is_own
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.item import (
    Address,
    Item,
    ItemQuery,
    ItemWrite,
    bound_of,
    content_of,
    cube_of,
    item_of,
    scope_of,
    score_of,
    value_of,
    vault_key,
)
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.write import finished
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import CubeFilter, Found, ValueTest, VaultQuery
from memos_integrations.core.records import NewVersion
from memos_integrations.core.text import terms as terms_of

MAX_RETRIES = 200
PAGE = 500
MOST_PLACES = 256
REFRESH_SHARE = 0.01
"""A read that would lengthen a life by less than this share of it does not write a new version."""


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
        self._shared: dict[tuple[Principal, CallContext, CubeFilter], tuple[int, bool]] = {}

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
            before = None if cube_id is None else self._governance.own(cube_id, Verb.WRITE, caller, operation="put")
            if before is not None and before.governance.is_expired(caller.now):
                self._erase(before.id, caller)
                before = None
            if before is not None:
                before = self._governance.fetch(before.id, Verb.WRITE, caller, operation="put")
                check_change(before)
                changed.append(before.id)
            draft = admitted(finished(cube_of(each, caller, before)), caller, self._governance)
            key = None if before is not None else vault_key(each.address, caller.by.subject)
            versions.append(NewVersion(draft.cube, caller, draft.terms, None, key, verdict=draft.verdict))
        indexed = [number for number, version in enumerate(versions) if version.cube.text.strip()]
        rows = self._embedding.written([versions[number].cube.text for number in indexed]) if indexed else None
        if rows is not None:
            for number, row in zip(indexed, rows, strict=True):
                versions[number] = versions[number]._replace(vector=row)
        self._governance.put_many(versions, operation="put").result()
        self._writer.dropped(changed, [version.cube.ref for version in versions])

    def _remove(self, address: Address, caller: Caller) -> None:
        cube_id = self._id(address, caller)
        if cube_id and self._governance.own(cube_id, Verb.DELETE, caller, operation="forget") is not None:
            self._erase(cube_id, caller)

    def _erase(self, cube_id: str, caller: Caller) -> None:
        try:
            self._writer.forget(cube_id, caller)
        except CubeNotFoundError:
            return  # somebody else was faster

    def sweep(self, *, by: Principal, context: CallContext | None = None) -> int:
        """Erase the principal's items whose time is over, which nobody reads, but for what may not go; how many."""
        caller = self._caller(by, context)
        scope = CubeFilter(semantic_types=(ITEM,), value=(ValueTest(("ttl",), "exists"),))
        # Looked for as of the beginning of time, when nothing has expired yet; nothing of it is handed out.
        early = caller._replace(now=datetime.min.replace(tzinfo=caller.now.tzinfo))
        ended = 0
        for cube in list(self._pages(scope, early)):
            if cube.governance.is_expired(caller.now):
                with suppress(LegalHoldError, IllegalTransitionError):  # it stays until it is let go; the others do not
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
        as_of: datetime | None = None,
        context: CallContext | None = None,
    ) -> list[Item | None]:
        """The items at these addresses (as of then), None where there is none; with *refresh* they live on from now."""
        caller = self._caller(by, context)
        ids = [self._id(address, caller) for address in addresses]
        known = [cube_id for cube_id in ids if cube_id is not None]
        found = []
        if known and as_of is not None:
            everything = CubeFilter(ids=tuple(known), states=frozenset())
            found = self._governance.find(VaultQuery(len(known), filter=everything, as_of=as_of), caller, counted=True)
        elif known:
            found = self._governance.readable(known, caller, counted=True)
            found = [each for each in found if self._governance.handed.again(each, caller, self._governance.use_up)]
        cubes = {cube.id: cube for cube in found}
        for cube_id, wanted in zip(ids, refresh, strict=False):
            if wanted and cube_id in cubes:
                self._refresh(cubes[cube_id], caller)
        return [item_of(cubes[cube_id]) if cube_id in cubes else None for cube_id in ids]

    def history(self, address: Address, *, by: Principal, context: CallContext | None = None) -> list[Item]:
        """Every value that an address held since it was last deleted, oldest first."""
        caller = self._caller(by, context)
        cube_id = self._id(address, caller)
        if cube_id is None:
            return []
        try:
            found = [item for cube in self._governance.history(cube_id, caller) if (item := item_of(cube))]
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
        if query.tests and query.keep is not None:
            # The vault tests the first thousand places of a value: where one has more, each is looked at.
            wide = scope_of(query.prefix, caller, (ValueTest(("wide",), "exists"),))
            if self._governance.search(VaultQuery(k=1, filter=wide), caller).visible:
                query = replace(query, tests=(), exact=False)
        if query.exact:
            query = replace(query, keep=None)
        scope = scope_of(query.prefix, caller, query.tests, holding=True)
        end = query.offset + query.limit
        if query.limit < 1:
            return []
        cubes: list[tuple[MemCube, float | None]]
        if query.text.strip():
            cubes = self._ranked(query, scope, caller, end)
        elif query.keep is None and query.as_of is None:
            return self._latest(query, scope, caller, refresh=refresh)
        else:
            cubes = [(cube, None) for cube in self._kept(query, scope, caller, end)]
        page = cubes[query.offset : end]
        return self._given(page, caller, refresh=refresh)

    def namespaces(
        self,
        prefix: tuple[str, ...] = (),
        *,
        by: Principal,
        as_of: datetime | None = None,
        context: CallContext | None = None,
    ) -> set[tuple[str, ...]]:
        """The namespaces at or below *prefix* in which there are items of the principal."""
        caller = self._caller(by, context)
        if as_of is not None:
            return {cube.namespace[1:] for cube in self._pages(scope_of(prefix, caller), caller, as_of)}
        return {namespace[1:] for namespace in self._governance.places(scope_of(prefix, caller), caller, own=True)}

    def _given(self, page: Sequence[tuple[MemCube, float | None]], caller: Caller, *, refresh: bool) -> list[Item]:
        self._governance.gave([cube for cube, _ in page], caller)
        if refresh:
            for cube, _ in page:
                self._refresh(cube, caller)
        return [item for cube, score in page if (item := item_of(cube, score)) is not None]

    def _latest(self, query: ItemQuery, scope: CubeFilter, caller: Caller, *, refresh: bool) -> list[Item]:
        """A page of the newest; what stands before it is not read."""
        asked = VaultQuery(k=query.limit, filter=scope, skip=query.offset)
        found = self._governance.found(asked, caller)
        cubes = [match.cube for match in found.matches if is_own(match.cube, caller)]
        missing = len(cubes) < query.limit and (
            len(cubes) < len(found.matches) or query.offset + query.limit < found.visible
        )
        if missing or (query.offset and self._is_shared(scope, caller)):
            # Some of the page, or before it, is another's or may not be read after all; those after them move up.
            cubes = list(islice(self._pages(scope, caller), query.offset, query.offset + query.limit))
        return self._given([(cube, None) for cube in cubes], caller, refresh=refresh)

    def _ranked(
        self, query: ItemQuery, scope: CubeFilter, caller: Caller, end: int
    ) -> list[tuple[MemCube, float | None]]:
        """Best first; then what neither words nor meaning speak for, newest first."""
        words = tuple(terms_of(query.text))
        vector = self._embedding.asked(query.text) if self._embedding.has_vectors() else None
        k = max(64, 4 * end)
        while True:
            found = self._governance.found(
                VaultQuery(k=k, terms=words, vector=vector, filter=scope, as_of=query.as_of), caller
            )
            scored: list[tuple[MemCube, float | None]] = []
            for match in found.matches:
                wanted = match.cube.text.strip() and is_own(match.cube, caller)
                if wanted and (query.keep is None or query.keep(value_of(match.cube))):
                    scored.append((match.cube, score_of(match.bm25, match.cosine, vector is not None)))
            scored = [each for each in scored if each[1]]
            scored.sort(key=lambda each: (-(each[1] or 0.0), each[0].id))
            # What was not found scores no more by either signal than the last found by it.
            if k >= found.visible or (len(scored) >= end and (scored[end - 1][1] or 0.0) >= bound_of(found.matches, k)):
                break
            k *= 4
        if len(scored) < end:
            there = {cube.id for cube, _ in scored}
            missing = end - len(scored)
            for cube in self._pages(scope, caller, query.as_of):
                if cube.id not in there and (query.keep is None or query.keep(value_of(cube))):
                    scored.append((cube, None))
                    missing -= 1
                    if not missing:
                        break
        return scored

    def _kept(self, query: ItemQuery, scope: CubeFilter, caller: Caller, end: int) -> list[MemCube]:
        kept: list[MemCube] = []
        for cube in self._pages(scope, caller, query.as_of):
            if query.keep is None or query.keep(value_of(cube)):
                kept.append(cube)
                if len(kept) == end:
                    break
        return kept

    def _pages(self, scope: CubeFilter, caller: Caller, as_of: datetime | None = None) -> Iterator[MemCube]:
        """Every item in scope, newest first; more and more at a time, each once."""
        if as_of is not None:
            then = VaultQuery(k=sys.maxsize, filter=scope, as_of=as_of)
            yield from self._fresh(self._governance.found(then, caller), set(), caller)
            return
        before = self._governance.generation(caller)
        seen: set[str] = set()
        k, skip = PAGE, 0
        while True:
            found = self._governance.found(VaultQuery(k=k, filter=scope, skip=skip), caller)
            yield from self._fresh(found, seen, caller)
            if skip + len(found.matches) >= found.visible:
                break
            k, skip = k * 8, skip + k
        if skip and self._governance.generation(caller) != before:
            # Something came or went in between, and others moved up over the edge of a page.
            yield from self._fresh(
                self._governance.found(VaultQuery(k=sys.maxsize, filter=scope), caller), seen, caller
            )

    @staticmethod
    def _fresh(found: Found, seen: set[str], caller: Caller) -> list[MemCube]:
        fresh = [match.cube for match in found.matches if match.cube.id not in seen and is_own(match.cube, caller)]
        seen.update(cube.id for cube in fresh)
        return fresh

    def _is_shared(self, scope: CubeFilter, caller: Caller) -> bool:
        """Whether somebody else's items may be read there, too; known until something changes in the tenant."""
        place, now = (caller.by, caller.context, scope), self._governance.generation(caller)
        before, shared = self._shared.get(place, (None, False))
        if before != now:
            found = self._governance.search(VaultQuery(k=sys.maxsize, filter=scope), caller)
            shared = not all(is_own(match.cube, caller) for match in found.matches)
            if len(self._shared) >= MOST_PLACES:
                self._shared.clear()
            self._shared[place] = now, shared
        return shared

    def _refresh(self, cube: MemCube, caller: Caller) -> None:
        content = content_of(cube)
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
        except (VersionConflictError, CubeNotFoundError, LegalHoldError, IllegalTransitionError):
            return  # it was written or deleted meanwhile, which counts more; or it may not change, and is read still

    def _id(self, address: Address, caller: Caller) -> str | None:
        return self._governance.known(vault_key(address, caller.by.subject), caller)


__all__ = ["Address", "Item", "ItemQuery", "ItemWrite", "Items"]
