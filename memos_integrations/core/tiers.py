"""Which form a memory should have: what it costs to keep it computed, and what that is expected to save. Pure.

Paper §5.4.2 and Table 2: a hot, stable plaintext memory becomes activation memory, a cold one becomes text again.
Every figure is measured, none assumed: seconds it took to compute, seconds it takes to load, bytes, uses that have
cooled with time. The decision is one comparison, and says why.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from memos_integrations.core.cube import MemCube, Value


class Placement(StrEnum):
    """Where the computed form of a memory is kept."""

    TEXT = "text"
    DISK = "disk"
    MEMORY = "memory"


class TierCosts(Value):
    """What is known of one memory's computed form.

    `expected_uses` are those within the horizon that the rent is for; `changes` how often its text changed in it.
    """

    build_seconds: float = Field(ge=0)
    load_seconds: float = Field(ge=0)
    expected_uses: float = Field(ge=0)
    size: int = Field(ge=0)
    changes: float = Field(default=0.0, ge=0)
    built: bool = False


class Rent(Value):
    """Seconds of computing that keeping one byte for the horizon must save; 0 keeps everything that saves anything."""

    memory: float = Field(default=1e-9, ge=0)
    disk: float = Field(default=1e-11, ge=0)


class TierDecision(Value):
    """The cheapest placement, what it is expected to save against text, in seconds, and why."""

    placement: Placement
    saved_seconds: float
    reason: str


def decide_tier(costs: TierCosts, rent: Rent = Rent()) -> TierDecision:  # noqa: B008  # frozen
    """Where a memory should be kept: text, on disk or in memory.

    Expected uses x seconds saved each - building it (once more after each change) - bytes x rent; the best of the
    three wins, text at zero.
    """
    builds = (0.0 if costs.built else 1.0) + costs.changes
    building = builds * costs.build_seconds
    gains = {
        Placement.TEXT: 0.0,
        Placement.DISK: costs.expected_uses * max(0.0, costs.build_seconds - costs.load_seconds)
        - building
        - costs.size * rent.disk,
        Placement.MEMORY: costs.expected_uses * costs.build_seconds - building - costs.size * rent.memory,
    }
    best = max(gains, key=lambda place: gains[place])
    reason = (
        f"{costs.expected_uses:.2f} uses x {costs.build_seconds:.3f} s - {builds:.1f} builds - {costs.size} bytes: "
        + ", ".join(f"{place} {gain:+.3f} s" for place, gain in gains.items())
    )
    return TierDecision(placement=best, saved_seconds=gains[best], reason=reason)


def may_activate(cube: MemCube) -> str | None:
    """Why a memory must not be kept in computed form; None when it may.

    What is quarantined, expires, is licensed by use or is replaced often stays text, where every use is decided anew.
    """
    rules = cube.governance
    if cube.trust.quarantined:
        return "it is quarantined"
    if rules.expires_at is not None:
        return "it expires"
    if rules.licence is not None:
        return "its licence counts uses, or ends"
    return None
