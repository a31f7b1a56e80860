"""Many new memories at once: embedded, put and recorded by the hundred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from itertools import islice

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.write import Draft
from memos_integrations.core.ports import Receipt
from memos_integrations.core.records import NewVersion
from memos_integrations.core.unswept import Unswept

BULK = 512
"""How many become true together, in one transaction."""

EMBEDDED = 64
"""How many texts are embedded at a time, and how many drafts before a memory it may replace unwritten."""


def put_in_bulk(
    drafts: Iterable[Draft],
    caller: Caller,
    linked: Callable[[Draft, Sequence[Draft]], Draft],
    embedding: Embedding,
    governance: MemGovernance,
) -> list[MemCube]:
    """Put new cubes, `BULK` to a transaction: each batch becomes true as a whole or not at all; durable on return.

    The next batch is made and embedded while the one before is written. When something raises, the batches before it
    stand, and nothing is under way any more.
    """
    drafts = iter(drafts)
    cubes: list[MemCube] = []
    under_way: list[Future[Receipt]] = []
    try:
        with Unswept() as sweeping:
            while batch := [*islice(drafts, BULK)]:
                ready: list[Draft] = []
                for draft in batch:
                    ready.append(linked(draft, ready[-EMBEDDED:]))
                versions = _versions(ready, caller, embedding)
                durability = ready[0].durability
                under_way.append(governance.put_many(versions, operation="remember", durability=durability))
                cubes += [draft.cube for draft in ready]
                sweeping.made(len(batch))
    finally:
        wait(under_way)
    for written in under_way:
        written.result()
    return cubes


def _versions(ready: Sequence[Draft], caller: Caller, embedding: Embedding) -> list[NewVersion]:
    beside = {draft.cube.id for draft in ready}
    versions: list[NewVersion] = []
    for start in range(0, len(ready), EMBEDDED):
        part = ready[start : start + EMBEDDED]
        found = embedding.written([draft.text for draft in part])
        rows = [None] * len(part) if found is None else found
        versions += [
            NewVersion(draft.cube, caller, draft.terms, row, None, beside, verdict=draft.verdict)
            for draft, row in zip(part, rows, strict=True)
        ]
    return versions
