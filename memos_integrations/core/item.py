"""Items as values: what stands at an address, what is written and asked, and the cube that holds it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from memos_integrations.core.access import Caller
from memos_integrations.core.books import BOOKS, ITEM, STANDING
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
    thawed,
)
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import RECALLABLE, CubeFilter, Match, ValueTest

TESTED = 990
"""A value with more places is marked: a vault's tests may not reach all of them."""

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
    """Items below a prefix that pass every test and `keep`; best or newest first.

    `exact`: the tests say all that `keep` says. `as_of`: as they were then; what was deleted since is not in the past.
    """

    prefix: tuple[str, ...] = ()
    tests: tuple[ValueTest, ...] = ()
    keep: Callable[[Mapping[str, Any]], bool] | None = None
    exact: bool = False
    text: str = ""
    limit: int = 10
    offset: int = 0
    as_of: datetime | None = None


def vault_key(address: Address, subject: str) -> str:
    """The vault's key of an address: each principal's own."""
    return json.dumps([subject, ITEM, list(address.namespace), address.key])


def scope_of(
    prefix: tuple[str, ...], caller: Caller, tests: tuple[ValueTest, ...] = (), *, holding: bool = False
) -> CubeFilter:
    """The caller's items below a prefix; *holding*: without those that hold no longer."""
    states = STANDING if prefix[:1] == BOOKS else RECALLABLE
    place = (caller.by.tenant, *prefix)
    return CubeFilter(namespace=place, semantic_types=(ITEM,), value=tests, holding=holding, states=states)


def cube_of(write: ItemWrite, caller: Caller, before: MemCube | None) -> MemCube:
    """The cube, new or the next version of *before*, that holds what is written.

    Raises:
        InvalidMemoryError: It cannot be stored.
    """
    content: dict[str, Any] = {"key": write.address.key, "value": dict(write.value or {})}
    if write.ttl is not None:
        content["ttl"] = write.ttl / timedelta(minutes=1)
    if _places(content) > TESTED:
        content["wide"] = True
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


def _places(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return 1 + sum(_places(each) for each in inner)


def content_of(cube: MemCube) -> dict[str, Any]:
    """What stands in an item's cube: key, value, perhaps ttl in minutes; not to be changed."""
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    return value if isinstance(value, dict) else {}


def value_of(cube: MemCube) -> dict[str, Any]:
    """The value of an item's cube, not to be changed."""
    value = content_of(cube).get("value")
    return value if isinstance(value, dict) else {}


def item_of(cube: MemCube, score: float | None = None) -> Item | None:
    """The item that a cube holds; None when it holds none."""
    key = content_of(cube).get("key")
    if not isinstance(key, str):
        return None
    return Item(
        Address(cube.namespace[1:], key),
        thawed(value_of(cube)),
        cube.descriptive.created_at,
        cube.provenance.occurred_at or cube.descriptive.recorded_at,
        cube.id,
        cube.version,
        cube.governance.expires_at,
        score,
    )


def score_of(bm25: float | None, cosine: float | None, has_vectors: bool) -> float:
    """Between 0 and 1: half by words, half by meaning, where there are vectors."""
    words = (bm25 or 0.0) / ((bm25 or 0.0) + HALF)
    return 0.5 * words + 0.5 * max(0.0, cosine or 0.0) if has_vectors else words


def bound_of(matches: Sequence[Match], k: int) -> float:
    """The most that something not among the best *k* by either signal can score."""
    bm25 = sorted((match.bm25 or 0.0 for match in matches), reverse=True)[k - 1 : k] or [0.0]
    cosine = [match.cosine for match in matches if match.cosine is not None]
    nearest = sorted(cosine, reverse=True)[k - 1 : k] or [0.0]
    return score_of(bm25[0], nearest[0], bool(cosine))
