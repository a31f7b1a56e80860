"""Cubes, transactions and questions for tests of vaults, with every field open and sensible otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from memos_integrations.core.cube import (
    Descriptive,
    Governance,
    Link,
    MemCube,
    PlaintextPayload,
    Provenance,
    Trust,
    new_id,
)
from memos_integrations.core.ports import (
    AuditRecord,
    CubeFilter,
    EmbedderIdentity,
    Found,
    Outcome,
    Put,
    Receipt,
    Transaction,
    Vault,
    VaultQuery,
    Vectors,
    Visibility,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EMBEDDER = EmbedderIdentity("random unit rows", 8)
ANA = "user:ana"

_DESCRIPTIVE = frozenset(Descriptive.model_fields)
_PROVENANCE = frozenset(Provenance.model_fields)
_GOVERNANCE = frozenset(Governance.model_fields)


def cube(text: str = "The kettle is blue.", *, namespace: tuple[str, ...] = ("acme",), **fields: Any) -> MemCube:
    """A new cube; *fields* go to the part of the header that has them, or to the cube itself."""
    when = {"created_at": NOW, "recorded_at": NOW} | _taken(fields, _DESCRIPTIVE)
    said, rules = _taken(fields, _PROVENANCE), {"owner": ANA} | _taken(fields, _GOVERNANCE)
    return MemCube.model_validate(
        {
            "id": new_id(),
            "namespace": namespace,
            "payload": PlaintextPayload(text=text),
            "descriptive": Descriptive.model_validate(when),
            "provenance": Provenance.model_validate(said),
            "trust": Trust(quarantined=fields.pop("quarantined", False)),
            "governance": Governance.model_validate(rules),
        }
        | fields
    )


def _taken(fields: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: fields.pop(name) for name in names & fields.keys()}


def revised(old: MemCube, text: str, **fields: Any) -> MemCube:
    """The next version of a cube, with another text."""
    fields = {"payload": PlaintextPayload(text=text)} | fields
    return old.model_copy(update={"version": old.version + 1} | fields)


def link(relation: str, target: str) -> Link:
    """An edge to another cube."""
    return Link.model_validate({"relation": relation, "target": target})


def put(what: MemCube, *, readers: Iterable[str] = (ANA,), terms: str | None = None, **more: Any) -> Put:
    """A Put whose terms are the words of *terms*, or of the cube's text."""
    return Put(what, frozenset(readers), tuple((what.text if terms is None else terms).split()), **more)


def record(what: MemCube, operation: str = "remember", **fields: Any) -> AuditRecord:
    """What governance would record of storing *what*."""
    given = {
        "at": NOW,
        "tenant": what.tenant,
        "actor": ANA,
        "operation": operation,
        "outcome": Outcome.ALLOWED,
        "cube_id": what.id,
        "version": what.version,
        "owner": what.governance.owner,
        "digest": what.digest,
    }
    return AuditRecord.model_validate(given | fields)


def stored(vault: Vault, what: MemCube, **more: Any) -> MemCube:
    """Put a version with its audit record, and wait until it is durable."""
    operation = "remember" if what.version == 1 else "update"
    submit(vault, put(what, **more), audit=(record(what, operation),))
    return what


def submit(vault: Vault, *changes: Any, audit: Any = (), events: Any = ()) -> Receipt:
    """Submit one transaction and wait for it."""
    return vault.submit(Transaction(changes, audit, events)).result(timeout=60)


def seen_by(*subjects: str, tenant: str = "acme", now: datetime = NOW) -> Visibility:
    """What somebody with these subjects may see (`user:ana` when none is given)."""
    return Visibility(tenant, frozenset(subjects or (ANA,)), now)


def asked(
    vault: Vault, terms: str = "", *, k: int = 10, vector: Vectors | None = None, by: Visibility | None = None, **f: Any
) -> Found:
    """Search with the words of *terms* and the fields of a `CubeFilter`."""
    return vault.search(VaultQuery(k, tuple(terms.split()), vector, CubeFilter(**f)), by or seen_by())


def texts(found: Found) -> list[str]:
    """What the matches say, sorted."""
    return sorted(match.cube.text for match in found.matches)


def unit(seed: int, dim: int = EMBEDDER.dim) -> Vectors:
    """A random row of length 1, the same for the same seed."""
    row = np.random.default_rng(seed).normal(size=dim)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


def days(count: float) -> timedelta:
    """That many days."""
    return timedelta(days=count)
