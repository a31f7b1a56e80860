"""What was done and what is kept: counted from the audit log and from the memories themselves. Pure.

The log is the only source of the deeds, so that their totals cannot disagree with it: each record is in exactly one
deed, and each figure of a record in that deed, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Any

from pydantic import Field

from memos_integrations.core.costs.spent import COUNTED, figures_in
from memos_integrations.core.cube import Label, MemCube, ParameterPayload, Tier, Value
from memos_integrations.core.ports import AuditEntry, Outcome


class Figures(Value):
    """What work took: tokens, bytes, seconds, calls of a model. What was done before the log told it counts as none.

    Of recalls `tokens_out` and `read_bytes` are those of memory that was handed out (UTF-8, as rendered for a prompt).
    """

    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    tokens_cached: int = Field(default=0, ge=0)
    model_calls: int = Field(default=0, ge=0)
    stored_bytes: int = Field(default=0, ge=0)
    read_bytes: int = Field(default=0, ge=0)
    wall_s: float = Field(default=0.0, ge=0)
    cpu_s: float = Field(default=0.0, ge=0)


class Deeds(Figures):
    """How often somebody did something in a tenant, how often it was denied, and what it took."""

    operation: Label
    actor: Label
    tenant: Label
    allowed: int = Field(default=0, ge=0)
    denied: int = Field(default=0, ge=0)

    @property
    def tokens(self) -> int:
        """Tokens that were handed out."""
        return self.tokens_out


class Touched(Figures):
    """One memory: how many records are of it, how many name it among others, and what those of it alone took.

    What was done with several at once cannot be shared out, and stands in the deeds only.
    """

    cube_id: Label
    records: int = Field(default=0, ge=0)
    named: int = Field(default=0, ge=0)


class Holdings(Value):
    """Memories of one form and owner: how many, bytes of words and of blobs, CPU seconds that making them took."""

    tier: Tier
    owner: Label
    cubes: int = Field(default=0, ge=0)
    text_bytes: int = Field(default=0, ge=0)
    blob_bytes: int = Field(default=0, ge=0)
    build_cpu_s: float = Field(default=0.0, ge=0)


class Ledger(Value):
    """Deeds, memories touched, and holdings; `entries` is the number of audit entries that the deeds were counted from.

    `total` is what all of the entries say that they took, summed for itself.
    """

    entries: int
    total: Figures
    deeds: tuple[Deeds, ...]
    touched: tuple[Touched, ...]
    holdings: tuple[Holdings, ...]

    @property
    def reconciles(self) -> bool:
        """Whether every entry of the log, and every figure in it, is in exactly one deed."""
        counted = sum(each.allowed + each.denied for each in self.deeds) == self.entries
        return counted and all(
            abs(fsum(getattr(each, name) for each in self.deeds) - getattr(self.total, name)) <= 1e-6
            for name in COUNTED
        )


def ledger_of(entries: Iterable[AuditEntry], cubes: Iterable[MemCube]) -> Ledger:
    """The ledger of some audit entries and memories, both as somebody may see them."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    took: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    whole: dict[str, list[float]] = {}
    touched: dict[str, tuple[list[int], dict[str, list[float]]]] = {}
    total = 0
    for entry in entries:
        said = entry.record
        key = (said.operation, said.actor, said.tenant)
        counts.setdefault(key, [0, 0])[said.outcome is Outcome.DENIED] += 1
        figures = figures_in(said.operation, said.detail)
        named = _named(entry)
        for place in (took.setdefault(key, {}), whole):
            _add(place, figures)
        for cube_id in {*named, *([said.cube_id] if said.cube_id else [])}:
            row, figures_of_it = touched.setdefault(cube_id, ([0, 0], {}))
            row[cube_id != said.cube_id] += 1
            if {said.cube_id or cube_id, *named} == {cube_id}:
                _add(figures_of_it, figures)
        total += 1
    return Ledger(
        entries=total,
        total=Figures.model_validate(_summed(whole)),
        deeds=tuple(
            Deeds(operation=key[0], actor=key[1], tenant=key[2], allowed=yes, denied=no, **_summed(took[key]))
            for key, (yes, no) in sorted(counts.items())
        ),
        touched=tuple(
            Touched(cube_id=cube_id, records=records, named=named, **_summed(figures))
            for cube_id, ((records, named), figures) in sorted(touched.items())
        ),
        holdings=_holdings(cubes),
    )


def _holdings(cubes: Iterable[MemCube]) -> tuple[Holdings, ...]:
    held: dict[tuple[Tier, str], Holdings] = {}
    for cube in cubes:
        key = (cube.tier, cube.governance.owner)
        before = held.get(key, Holdings(tier=cube.tier, owner=cube.governance.owner))
        held[key] = before.model_copy(
            update={
                "cubes": before.cubes + 1,
                "text_bytes": before.text_bytes + len(cube.text.encode()),
                "blob_bytes": before.blob_bytes + sum(blob.size for blob in cube.blobs),
                "build_cpu_s": before.build_cpu_s + build_seconds(cube),
            }
        )
    order = list(Tier)
    return tuple(held[key] for key in sorted(held, key=lambda key: (order.index(key[0]), key[1])))


def _add(place: dict[str, list[float]], figures: dict[str, float]) -> None:
    for name, figure in figures.items():
        place.setdefault(name, []).append(figure)


def _summed(place: dict[str, list[float]]) -> dict[str, Any]:
    """Each figure's sum, whatever the order; whole numbers stay whole."""
    sums = {name: fsum(figures) for name, figures in place.items()}
    return {name: each if name.endswith("_s") else int(each) for name, each in sums.items()}


def _named(entry: AuditEntry) -> set[str]:
    """The memories that a record names in its detail."""
    detail = entry.record.detail
    found = detail.get("cubes") if isinstance(detail, dict) else None
    return set(map(str, found)) if isinstance(found, list) else set()


def build_seconds(cube: MemCube) -> float:
    """CPU seconds that learning an adapter took; 0 where that is not known."""
    if not isinstance(cube.payload, ParameterPayload) or not isinstance(cube.payload.training, dict):
        return 0.0
    training = cube.payload.training.get("training")
    seconds = training.get("cpu_s") if isinstance(training, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0
