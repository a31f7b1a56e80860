"""Summaries that obey their sources: made by rules or by a callable, and made anew when a source changes.

By rules: the sentences nearest to what all sources speak of (a centroid of tf-idf, Radev et al. 2004, MEAD), each next
one less like those chosen before (maximal marginal relevance, Carbonell and Goldstein 1998), in the order in which they
were told. No chance is in it: the same sources give the same bytes, whatever else was there before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from memos_integrations.core.access import Caller, is_own
from memos_integrations.core.aftermath import merged_into
from memos_integrations.core.asked import whole
from memos_integrations.core.cube import CubeRef, MemCube, Origin, Provenance, State, Tier, TrustLabel, sha256
from memos_integrations.core.delivering import EVERYTHING
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    ModelError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.graph import sources_first
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.inheriting import inherited
from memos_integrations.core.operator.options import TRUST_OF_ROLE, MemoryOptions, draft_memory
from memos_integrations.core.operator.write import UNREAD, finished, revised
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import RECALLABLE
from memos_integrations.core.records import NewVersion, Steps
from memos_integrations.core.text import sentences
from memos_integrations.core.text import terms as terms_of

SUMMARY = "summary"
SOURCE = "memos.summarise"
MOST_SOURCES = 1_000
MOST_SENTENCES = 50
NOVELTY = 0.5
"""How much being unlike what was chosen counts beside being like the whole."""


class Renewed(NamedTuple):
    """Ids of summaries: those made anew, and those that were not, because somebody had changed their words."""

    made: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()


Summarise = Callable[[Sequence[MemCube]], str]
"""Writes a summary of cubes, oldest first: a chat model in a function, for one."""


def summary_of(cubes: Sequence[MemCube], most: int) -> str:
    """The at most *most* telling sentences of the cubes, one to a line, in the order in which they were told."""
    told = [sentence for cube in sorted(cubes, key=_told) for sentence in sentences(cube.text)]
    unique = list(dict.fromkeys(told))
    words = [Counter(terms_of(sentence)) for sentence in unique]
    spread = Counter(word for bag in words for word in bag)
    rows = [_weighed(bag, spread, len(words)) for bag in words]
    centre = Counter[str]()
    for row in rows:
        centre.update(row)
    centre_length = math.sqrt(math.fsum(weight * weight for weight in centre.values())) or 1.0
    like = [math.fsum(weight * centre[word] for word, weight in sorted(row.items())) / centre_length for row in rows]
    chosen: list[int] = []
    while len(chosen) < min(most, len(unique)):
        left = [at for at in range(len(unique)) if at not in chosen]
        chosen.append(max(left, key=lambda at: (_worth(at, like, rows, chosen), -at)))
    return "\n".join(unique[at] for at in sorted(chosen))


def _weighed(bag: Counter[str], spread: Counter[str], count: int) -> dict[str, float]:
    row = {word: times * math.log(1 + count / spread[word]) for word, times in bag.items()}
    length = math.sqrt(math.fsum(weight * weight for weight in row.values())) or 1.0
    return {word: weight / length for word, weight in row.items()}


def _worth(at: int, like: Sequence[float], rows: Sequence[dict[str, float]], chosen: Sequence[int]) -> float:
    nearest = max((_cosine(rows[at], rows[other]) for other in chosen), default=0.0)
    return like[at] - NOVELTY * nearest


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    return math.fsum(weight * other[word] for word, weight in sorted(one.items()) if word in other)


def _told(cube: MemCube) -> tuple[str, str]:
    moment = cube.provenance.occurred_at or cube.descriptive.created_at
    return moment.isoformat(), cube.text


class Summariser:
    """Makes and renews summaries through governance; each is one transaction."""

    def __init__(self, governance: MemGovernance, embedding: Embedding, writer: CubeWriter) -> None:
        self._governance, self._embedding, self._writer = governance, embedding, writer

    def make(
        self, cube_ids: Sequence[str], caller: Caller, *, most: int, write: Summarise | None, options: MemoryOptions
    ) -> MemCube:
        """A summary of the cubes; see `MemOS.summarise`."""
        wanted, most = list(dict.fromkeys(cube_ids)), whole("most", most)
        if not 1 <= len(wanted) <= MOST_SOURCES or not 1 <= most <= MOST_SENTENCES:
            raise InvalidMemoryError(
                f"A summary has 1 to {MOST_SOURCES} sources, and 1 to {MOST_SENTENCES} sentences of them."
            )
        cubes = [self._governance.read(each, caller, operation="summarise") for each in wanted]
        if any(cube.tier is not Tier.PLAINTEXT or not cube.text.strip() for cube in cubes):
            raise InvalidMemoryError("Only memories that are text can be summarised.")
        said: MemoryOptions = {**options}
        said.setdefault("semantic_type", SUMMARY)
        said["origin"] = Origin.INFERENCE_EXTRACTION
        if write is None:
            said.setdefault("trust", TRUST_OF_ROLE["user"])  # sentences as they stand: worth what their sources are
        said["provenance"] = Provenance(
            source=SOURCE,
            trigger=f"rules {most}" if write is None else "written",
            derived_from=tuple(cube.ref for cube in cubes),
        )
        draft = draft_memory(_text(cubes, most, write), caller, said)
        where = [*draft.cube.namespace, sha256(draft.cube.text.encode())]
        key = json.dumps([SOURCE, draft.cube.provenance.trigger, _digest(cubes), where])
        cube, written = self._writer.remember(draft, caller, key=key)
        try:
            if written is not None:
                written.result()
        except AlreadyRememberedError:
            return self._writer.known(key, caller) or cube
        return cube

    def renew(
        self, caller: Caller, *, write: Summarise | None, limit: int, of: str | None = None, edited: bool = False
    ) -> Renewed:
        """Make those summaries of the caller anew whose sources changed. See `MemOS.renew_summaries`."""
        renewed, kept = list[str](), list[str]()
        for cube in _lowest_first(self._governance.owned(caller, replace(EVERYTHING, semantic_types=(SUMMARY,)))):
            told = cube.provenance
            if not _is_standing(cube):
                continue
            if of is not None and {of, *renewed}.isdisjoint(ref.id for ref in told.derived_from):
                continue
            sources = self._sources(cube, caller)
            if tuple(each.ref for each in sources) == told.derived_from or self._waits(cube, sources, caller):
                continue
            if not edited and sources and self._was_edited(cube, caller):
                kept.append(cube.id)
            elif len(renewed) < limit and self._renewed(cube, sources, caller, write):
                renewed.append(cube.id)
        return Renewed(tuple(renewed), tuple(kept))

    def _sources(self, cube: MemCube, caller: Caller) -> list[MemCube]:
        """What is in recall of its sources; where they were merged, what stands for them."""
        wanted = [ref.id for ref in cube.provenance.derived_from]
        found: dict[str, MemCube] = {}
        while wanted:
            there = self._governance.present(wanted, caller)
            found |= {each.id: each for each in there}
            merged = (into for each in there if each.state is State.MERGED and (into := merged_into(each)))
            wanted = [each for each in dict.fromkeys(merged) if each not in found]
        return [each for each in found.values() if each.state in RECALLABLE]

    def _waits(self, cube: MemCube, sources: Sequence[MemCube], caller: Caller) -> bool:
        """Whether a source is a summary of the caller's own that stands again once it is made anew itself."""
        absent = {ref.id for ref in cube.provenance.derived_from} - {each.id for each in sources}
        held = self._governance.held(sorted(absent), caller).values() if absent else ()
        there = {each.id for each in self._governance.present(sorted(absent), caller)} if absent else set()
        return any(_is_standing(each) and is_own(each, caller) and each.id not in there for each in held)

    def _was_edited(self, cube: MemCube, caller: Caller) -> bool:
        """Whether somebody changed the words since the summary was last made: each making has other sources."""
        made = [
            each
            for each in self._governance.versions(cube.id, caller)
            if each.provenance.derived_from == cube.provenance.derived_from
        ]
        return bool(made) and made[0].text != cube.text

    def _renewed(self, cube: MemCube, sources: Sequence[MemCube], caller: Caller, write: Summarise | None) -> bool:
        if str(cube.provenance.trigger) == "written" and write is None:
            return False  # what was written is not replaced by what rules make of it
        try:
            check_change(cube)
            steps = self._again(cube, sources, caller, write) if sources else Steps(moves=((cube, State.ARCHIVED),))
            self._governance.change(steps, caller, operation="summarise").result()
        except (LegalHoldError, IllegalTransitionError, VersionConflictError, CubeNotFoundError):
            return False  # on hold, frozen, or changed or gone this moment: the next pass looks again
        self._writer.dropped([cube.id], steps.written)
        return True

    def _again(self, cube: MemCube, sources: Sequence[MemCube], caller: Caller, write: Summarise | None) -> Steps:
        most = cube.provenance.trigger.rpartition(" ")[2] if cube.provenance.trigger else ""
        text = _text(sources, int(most) if most.isdigit() else 5, write)
        refs: tuple[CubeRef, ...] = tuple(each.ref for each in sources)
        # Other words: who verified the old ones did not read them.
        stood = cube.model_copy(update={"trust": cube.trust.model_copy(update=UNREAD)}) if _is_verified(cube) else cube
        changes: dict[str, dict[str, Any]] = {"provenance": {"derived_from": refs}}
        if write is not None:
            changes["trust"] = TRUST_OF_ROLE["assistant"].model_dump()
        draft = revised(stood, caller.now, text=text, changes=changes)
        draft = inherited(draft, sources)
        draft = replace(draft, cube=finished(draft.cube).cube)
        draft = admitted(draft, caller, self._governance)
        row = self._embedding.written([draft.text])
        row = None if row is None else row[0]
        version = NewVersion(draft.cube, caller, draft.terms, row, verdict=draft.verdict)
        return Steps(versions=(version,), expected=refs)


def _is_standing(cube: MemCube) -> bool:
    """Whether it is a summary in recall that was made of others."""
    return (
        cube.descriptive.semantic_type == SUMMARY
        and cube.provenance.source == SOURCE
        and bool(cube.provenance.derived_from)
        and cube.state in RECALLABLE
    )


def _lowest_first(cubes: Sequence[MemCube]) -> list[MemCube]:
    """The summaries, each after those that it is made of."""
    mine = {cube.id: cube for cube in cubes}
    made = [("", cube_id) for cube_id in mine]
    made += [(ref.id, cube.id) for cube in cubes for ref in cube.provenance.derived_from]
    return [mine[each] for each in sources_first("", made)]


def _is_verified(cube: MemCube) -> bool:
    return cube.trust.label is TrustLabel.VERIFIED


def _text(cubes: Sequence[MemCube], most: int, write: Summarise | None) -> str:
    if write is None:
        return summary_of(cubes, most)
    text = write(sorted(cubes, key=_told))
    if not isinstance(text, str) or not text.strip():
        raise ModelError("What writes summaries gave no text; nothing was written.")
    return text


def _digest(cubes: Sequence[MemCube]) -> str:
    return hashlib.sha256(json.dumps(sorted((cube.id, cube.version) for cube in cubes)).encode()).hexdigest()
