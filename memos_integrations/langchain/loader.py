"""A vault as a LangChain document loader: what one principal may read of it, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.runnables import run_in_executor

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IdentityError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain.retriever import document_of
from memos_integrations.memos import MemOS

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class MemOSLoader(BaseLoader):
    """Every memory that the principal may read and that passes `where`, newest first, as documents.

    Lazy: at most `page` memories are in hand at a time. Each page is decided and recorded when it is read; what is
    withdrawn before its page comes is not in it.

    Raises:
        IdentityError: *principal* is not a principal.
    """

    def __init__(
        self,
        memos: MemOS,
        *,
        principal: Principal,
        where: CubeFilter | None = None,
        context: CallContext | None = None,
        page: int = 200,
    ) -> None:
        if not isinstance(principal, Principal):
            raise IdentityError(f"Who loads must be a Principal(tenant=..., user=...), not {principal!r}.")
        if not isinstance(page, int) or page < 1:
            raise InvalidMemoryError(f"page must be a whole number of at least 1, not {page!r}.")
        self._memos, self._by, self._context = memos, principal, context
        self._where, self._page = where or CubeFilter(), page

    def lazy_load(self) -> Iterator[Document]:
        """The documents, one by one."""
        where, k = self._where, self._page
        start, at_edge, edge = (where.occurred[0] if where.occurred else BEGINNING), set[str](), None
        while True:
            found = self._memos.find(where, by=self._by, k=k, context=self._context)
            new = [cube for cube in found if cube.id not in at_edge]
            yield from map(document_of, new)
            if len(found) < k:
                return
            if not new:  # more memories of one instant than a page holds
                k *= 2
                continue
            # The next page begins with the instant at which this one ended, without what was given of it.
            before, edge = edge, _said_at(found[-1])
            given = {cube.id for cube in found if _said_at(cube) == edge}
            at_edge = at_edge | given if before == edge else given
            where = replace(where, occurred=(start, edge + TICK))

    async def alazy_load(self) -> AsyncIterator[Document]:
        """The documents, one by one, without blocking the event loop."""
        documents = self.lazy_load()
        while (document := await run_in_executor(None, next, documents, None)) is not None:
            yield document


def _said_at(cube: MemCube) -> datetime:
    return cube.provenance.occurred_at or cube.descriptive.created_at
