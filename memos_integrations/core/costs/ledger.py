"""What was done and what is kept: counted from the audit log and from the memories themselves. Pure.

The log is the only source of the deeds, so that their totals cannot disagree with it. Seconds are those that a memory
carries with it: what training an adapter took stands in its cube.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from memos_integrations.core.cube import Label, MemCube, ParameterPayload, Tier, Value
from memos_integrations.core.ports import AuditEntry, Outcome


class Deeds(Value):
    """How often somebody did something, and how often it was denied.

    Of recalls also how many tokens and bytes of memory (UTF-8, as rendered for a prompt) were handed out; what was
    recalled before the log told so counts as none.
    """

    operation: Label
    actor: Label
    allowed: int = Field(default=0, ge=0)
    denied: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    read_bytes: int = Field(default=0, ge=0)


class Holdings(Value):
    """Memories of one form: how many, bytes of words and of blobs, and seconds of CPU that making them took."""

    tier: Tier
    cubes: int = Field(default=0, ge=0)
    text_bytes: int = Field(default=0, ge=0)
    blob_bytes: int = Field(default=0, ge=0)
    build_cpu_s: float = Field(default=0.0, ge=0)


class Ledger(Value):
    """Deeds and holdings; `entries` is the number of audit entries that the deeds were counted from."""

    entries: int
    deeds: tuple[Deeds, ...]
    holdings: tuple[Holdings, ...]

    @property
    def reconciles(self) -> bool:
        """Whether every entry of the log is in exactly one deed."""
        return sum(each.allowed + each.denied for each in self.deeds) == self.entries


def ledger_of(entries: Iterable[AuditEntry], cubes: Iterable[MemCube]) -> Ledger:
    """The ledger of some audit entries and memories, both as somebody may see them."""
    counted: dict[tuple[str, str], list[int]] = {}
    total = 0
    for entry in entries:
        row = counted.setdefault((entry.record.operation, entry.record.actor), [0, 0, 0, 0])
        row[entry.record.outcome is Outcome.DENIED] += 1
        row[2] += _told(entry, "tokens")
        row[3] += _told(entry, "bytes")
        total += 1
    held: dict[Tier, Holdings] = {}
    for cube in cubes:
        before = held.get(cube.tier, Holdings(tier=cube.tier))
        held[cube.tier] = Holdings(
            tier=cube.tier,
            cubes=before.cubes + 1,
            text_bytes=before.text_bytes + len(cube.text.encode()),
            blob_bytes=before.blob_bytes + sum(blob.size for blob in cube.blobs),
            build_cpu_s=before.build_cpu_s + build_seconds(cube),
        )
    deeds = (
        Deeds(operation=operation, actor=actor, allowed=allowed, denied=denied, tokens=tokens, read_bytes=read_bytes)
        for (operation, actor), (allowed, denied, tokens, read_bytes) in sorted(counted.items())
    )
    return Ledger(entries=total, deeds=tuple(deeds), holdings=tuple(held[tier] for tier in Tier if tier in held))


def _told(entry: AuditEntry, name: str) -> int:
    """A figure that a recall's record carries."""
    detail = entry.record.detail if entry.record.operation == "recall" else None
    figure = detail.get(name) if isinstance(detail, dict) else None
    return figure if isinstance(figure, int) and figure > 0 else 0


def build_seconds(cube: MemCube) -> float:
    """CPU seconds that learning an adapter took; 0 where that is not known."""
    if not isinstance(cube.payload, ParameterPayload) or not isinstance(cube.payload.training, dict):
        return 0.0
    training = cube.payload.training.get("training")
    seconds = training.get("cpu_s") if isinstance(training, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 0.0
