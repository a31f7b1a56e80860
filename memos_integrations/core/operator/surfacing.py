"""How far a recalled memory may be relied on, and how much of a recall one untrusted source may fill. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import floor
from typing import Protocol, TypeVar

import numpy as np

from memos_integrations.core.cube import Channel, MemCube, TrustLabel
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.gate import impacts_of
from memos_integrations.core.ranking import Floats

HALF_AS_MUCH = 0.5
TURN = "message"
NOT_TRUSTED = "held back as not trusted"
ITS_SHARE = "beyond what one source that nobody verified may fill"
_BROUGHT = frozenset({Channel.DOCUMENT, Channel.TOOL, Channel.EXTERNAL})
"""Channels through which somebody else's words come."""

_PIECE = re.compile(
    r"(?:[#?].*|[\s:/_.,(\[-]*(?<![A-Za-z])(?:chunk|part|pages?|p|chapter|section|paragraph|lines?|row|node|piece|seite|"
    r"slide)[\s._:#=-]*\d+"
    r"(?:\s?(?:[-/]|of)\s?\d+)?[)\]]?|:\d+(?:[:-]\d+)?)$",
    re.IGNORECASE,
)
"""The piece of a source in its name: `manual.pdf#page=3`, `manual.pdf, page 3`, `notes.md:12`."""


class Held(Protocol):
    """What a recall found, with its memory."""

    @property
    def cube(self) -> MemCube:
        """The memory."""
        ...


HeldT = TypeVar("HeldT", bound=Held)


class Surfaced(StrEnum):
    """How a recalled memory is to be taken."""

    TRUSTED = "trusted"
    UNVERIFIED = "unverified"
    UNTRUSTED = "untrusted"


class Shown(StrEnum):
    """What is done with what is not trusted."""

    LABELLED = "labelled"
    HELD_BACK = "held_back"


def surfaced_as(cube: MemCube, asker: str | None = None) -> Surfaced:
    """How a memory is to be taken: by its trust, which derivation only lowers, and by what it would do if false.

    What is of high impact (money, credentials, orders, who may do what) is trusted only when somebody with the right
    to verify has verified it and it is known who wrote it; so is what somebody else than *asker* (`user:ana`) told. A
    tag or a text that says so counts for nothing.
    """
    label = cube.trust.label
    if label is TrustLabel.UNTRUSTED:
        return Surfaced.UNTRUSTED
    if label is TrustLabel.VERIFIED and cube.provenance.author is not None:
        return Surfaced.TRUSTED
    theirs = asker is not None and (cube.provenance.author or cube.governance.owner) != asker
    if label is TrustLabel.UNVERIFIED or theirs or impacts_of(cube.text):
        return Surfaced.UNVERIFIED
    return Surfaced.TRUSTED


def is_told(cube: MemCube) -> bool:
    """Whether somebody told it, or verified it: not a tool, a document, a model or a page."""
    return cube.trust.label in {TrustLabel.STATED, TrustLabel.VERIFIED}


def stands_back(cube: MemCube) -> bool:
    """Whether it stands behind what was told of the same; what the model said in a conversation may be asked for."""
    said = cube.trust.channel is Channel.ASSISTANT and cube.descriptive.semantic_type == TURN
    return not is_told(cube) and not said


def told_first(
    cubes: Sequence[MemCube], scores: Floats, speaks: Callable[[], Floats], replaced: Container[str] = ()
) -> Floats:
    """The scores, with the best of what was told lifted just above what nobody told and speaks of the same.

    *speaks*: how much of the question each memory has words for. Whatever a memory from outside repeats of the
    question, it does not stand before what the user said of it, until somebody has verified it. What was told speaks
    of the same when it has words for half as much of the question; what *replaced* names by id no longer counts.
    """
    told = np.array([is_told(cube) for cube in cubes], dtype=bool)
    back = [place for place in np.flatnonzero(~told).tolist() if stands_back(cubes[place])]
    if not back or not told.any():
        return scores
    counts = np.array([one and cube.id not in replaced for one, cube in zip(told.tolist(), cubes, strict=True)])
    covered, lifted = speaks(), scores.copy()
    for place in back:
        same = counts & (covered > 0.0) & (covered >= HALF_AS_MUCH * covered[place])
        if covered[place] > 0.0 and same.any():
            best = int(np.argmax(np.where(same, scores, -np.inf)))
            lifted[best] = max(lifted[best], np.nextafter(scores[place], np.inf))
    return lifted


def warning(cube: MemCube) -> str:
    """What stands behind a memory in a prompt when it is not to be relied on; empty for most."""
    surfaced = surfaced_as(cube)
    if surfaced is Surfaced.UNTRUSTED:
        return f" (untrusted, from {cube.trust.channel.value})"
    return " (not verified)" if surfaced is Surfaced.UNVERIFIED and impacts_of(cube.text) else ""


def _site(source: str | None) -> str | None:
    """Whose a source is: of an address its host, as whoever has a site has as many pages there as they like.

    Of a file the file, whichever piece of it is named.
    """
    if source is None or source.startswith(
        "memos."
    ):  # what the engine itself merged says nothing of where it came from
        return None
    scheme, told, rest = source.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2].casefold()
    return host if told and scheme.isalnum() and host else _PIECE.sub("", source[:512]) or source


def _source(cube: MemCube) -> str:
    """What a memory is counted under: its channel with its source; without one, with what it is derived from."""
    told = cube.provenance
    first = told.derived_from[0].id if told.derived_from else None
    return f"{cube.trust.channel.value} {_site(told.source) or first or told.author}"


@dataclass(frozen=True, slots=True)
class TrustGate:
    """What recall does with what is not trusted.

    high_impact: memories of high impact that nobody verified; untrusted: memories from tools and from outside: shown
    with a label, or held back. share: the most of a recall that one untrusted source may fill (at least one memory);
    pages of one host are one source, and so are the pieces of one document. A document that nobody verified is held to
    it as soon as the recall finds something that somebody told or verified; where it finds nothing of the kind, the
    document may fill it. What is trusted, and what was said in a conversation, is not limited.

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
        return self._has_place(cube, taken, k)

    def let_through(self, hits: Iterable[HeldT], k: int, passed: Counter[str]) -> Iterator[HeldT]:
        """Those of the hits that a recall of at most *k* may give, in order; *passed* counts the others by reason.

        What a document has beyond its share comes last, and only where nobody told anything that was found.
        """
        taken, waiting, told = Counter[str](), list[HeldT](), False
        for hit in hits:
            cube = hit.cube
            if not self.lets(cube, taken, k):
                passed[NOT_TRUSTED] += 1
            elif _is_brought(cube) and not self._has_place(cube, taken, k):
                waiting.append(hit)
                passed[ITS_SHARE] += 1
            else:
                told = told or is_told(cube)
                yield hit
        if not told:
            del passed[ITS_SHARE]
            yield from waiting

    def _has_place(self, cube: MemCube, taken: Counter[str], k: int) -> bool:
        """Whether the source of a memory has a place left, which is then taken."""
        source = _source(cube)
        if taken[source] >= max(1, floor(self.share * k)):
            return False
        taken[source] += 1
        return True


def _is_brought(cube: MemCube) -> bool:
    """Whether it is a piece of what somebody else wrote that nobody verified; what is untrusted is counted anyway."""
    return cube.trust.label is TrustLabel.UNVERIFIED and cube.trust.channel in _BROUGHT
