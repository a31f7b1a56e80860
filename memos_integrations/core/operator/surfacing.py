"""How far a recalled memory may be relied on, and how much of a recall one untrusted source may fill. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from math import floor

from memos_integrations.core.cube import MemCube, TrustLabel
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.gate import impacts_of


class Surfaced(StrEnum):
    """How a recalled memory is to be taken."""

    TRUSTED = "trusted"
    UNVERIFIED = "unverified"
    UNTRUSTED = "untrusted"


class Shown(StrEnum):
    """What is done with what is not trusted."""

    LABELLED = "labelled"
    HELD_BACK = "held_back"


def surfaced_as(cube: MemCube) -> Surfaced:
    """How a memory is to be taken: by its trust, which derivation only lowers, and by what it would do if false.

    What is of high impact (money, credentials, orders, who may do what) is trusted only when somebody with the right
    to verify has verified it and it is known who wrote it. A tag or a text that says so counts for nothing.
    """
    label = cube.trust.label
    if label is TrustLabel.UNTRUSTED:
        return Surfaced.UNTRUSTED
    if label is TrustLabel.VERIFIED and cube.provenance.author is not None:
        return Surfaced.TRUSTED
    if label is TrustLabel.UNVERIFIED or impacts_of(cube.text):
        return Surfaced.UNVERIFIED
    return Surfaced.TRUSTED


def warning(cube: MemCube) -> str:
    """What stands behind a memory in a prompt when it is not to be relied on; empty for most."""
    surfaced = surfaced_as(cube)
    if surfaced is Surfaced.UNTRUSTED:
        return f" (untrusted, from {cube.trust.channel.value})"
    return " (not verified)" if surfaced is Surfaced.UNVERIFIED and impacts_of(cube.text) else ""


@dataclass(frozen=True, slots=True)
class TrustGate:
    """What recall does with what is not trusted.

    high_impact: memories of high impact that nobody verified; untrusted: memories from tools and from outside: shown
    with a label, or held back. share: the most of a recall that one untrusted source may fill (at least one memory);
    what is trusted is not limited.

    Raises:
        InvalidMemoryError: The share is not above 0 and at most 1.
    """

    high_impact: Shown = Shown.LABELLED
    untrusted: Shown = Shown.LABELLED
    share: float = 0.4

    def __post_init__(self) -> None:
        """Refuse a share that means nothing."""
        if not 0.0 < self.share <= 1.0:
            raise InvalidMemoryError(f"share is above 0 and at most 1, not {self.share!r}.")

    def lets(self, cube: MemCube, taken: Counter[str], k: int) -> bool:
        """Whether a recall of at most *k* may give this memory; *taken* counts what its source has filled so far."""
        surfaced = surfaced_as(cube)
        if surfaced is Surfaced.TRUSTED:
            return True
        if surfaced is Surfaced.UNVERIFIED:
            return self.high_impact is Shown.LABELLED or not impacts_of(cube.text)
        if self.untrusted is Shown.HELD_BACK or (self.high_impact is Shown.HELD_BACK and impacts_of(cube.text)):
            return False
        source = f"{cube.trust.channel.value} {cube.provenance.source or cube.provenance.author}"
        if taken[source] >= max(1, floor(self.share * k)):
            return False
        taken[source] += 1
        return True
