"""The update half of the Memory API (paper §5.2): append, relabel, merge, feedback; and where a memory comes from."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from memos_integrations.core.access import Caller, Verb, subjects_for
from memos_integrations.core.aftermath import tells
from memos_integrations.core.conflict.forms import linked
from memos_integrations.core.cube import (
    CubeRef,
    Governance,
    Label,
    Link,
    MemCube,
    Origin,
    Provenance,
    Relation,
    State,
    Trust,
    TrustLabel,
    Value,
    unique,
)
from memos_integrations.core.errors import CyclicDerivationError, InvalidMemoryError, VersionConflictError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.inheriting import inherited
from memos_integrations.core.operator.write import UNREAD, Draft, draft_cube, finished, layer_for
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.ports import Use
from memos_integrations.core.records import NewVersion, Steps, record_of

MAX_RETRIES = 50
STEP = 10
"""By so much feedback raises or lowers the priority of a memory."""


class Feedback(StrEnum):
    """What somebody, or an evaluator, says of a recalled memory."""

    HELPFUL = "helpful"
    WRONG = "wrong"
    OUTDATED = "outdated"


class Lineage(Value):
    """Where a memory comes from and what became of it, as far as the asker may see: ids, and which recalls used it."""

    id: Label
    version: int
    origin: Origin
    author: Label | None = None
    source: Label | None = None
    trigger: Label | None = None
    model_id: Label | None = None
    derived_from: tuple[CubeRef, ...] = ()
    derived: tuple[Label, ...] = ()
    pointing: dict[Label, tuple[Label, ...]] = Field(default_factory=dict)
    pointed: dict[Label, tuple[Label, ...]] = Field(default_factory=dict)
    recalls: tuple[Label, ...] = ()
    reads: int = 0


class Editor:
    """Changes memories by what is said of them, through governance; each change is one transaction."""

    def __init__(self, governance: MemGovernance, embedding: Embedding, writer: CubeWriter) -> None:
        self._governance, self._embedding, self._writer = governance, embedding, writer

    def append(self, cube_id: str, text: str, caller: Caller, *, expected_version: int | None) -> MemCube:
        """Words after those that are there, as the next version; see `MemOS.append`."""
        if not isinstance(text, str) or not text.strip():
            raise InvalidMemoryError("There is nothing to append.")
        for _ in range(MAX_RETRIES):
            cube = self._governance.fetch(cube_id, Verb.WRITE, caller, operation="append")
            version = cube.version if expected_version is None else expected_version
            longer = f"{cube.text}\n{text}" if cube.text else text
            try:
                return self._writer.update(
                    cube_id,
                    caller,
                    text=longer,
                    changes={"descriptive": {}, "governance": {}},
                    expected_version=version,
                )
            except VersionConflictError:
                if expected_version is not None:
                    raise
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def relabel(
        self, cube_id: str, add: Sequence[str], remove: Sequence[str], caller: Caller, *, expected_version: int | None
    ) -> MemCube:
        """Tags added and removed, the others untouched, whoever changes the memory meanwhile."""
        for _ in range(MAX_RETRIES):
            cube = self._governance.fetch(cube_id, Verb.WRITE, caller, operation="relabel")
            tags = unique([*(tag for tag in cube.descriptive.tags if tag not in set(remove)), *add])
            version = cube.version if expected_version is None else expected_version
            changes = {"descriptive": {"tags": tags}, "governance": {}}
            try:
                return self._writer.update(cube_id, caller, text=None, changes=changes, expected_version=version)
            except VersionConflictError:
                if expected_version is not None:
                    raise
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def merge(self, cube_ids: Sequence[str], caller: Caller, *, text: str | None) -> MemCube:
        """One memory of several, which become MERGED, with lineage both ways; see `MemOS.merge`."""
        if len(set(cube_ids)) < 2 or len(set(cube_ids)) != len(cube_ids):
            raise InvalidMemoryError("merge takes at least two different memories.")
        for _ in range(MAX_RETRIES):
            sources = [self._governance.fetch(each, Verb.WRITE, caller, operation="merge") for each in cube_ids]
            for source in sources:
                check_change(source)
                self._check_apart(source, set(cube_ids) - {source.id}, caller)
            merged, steps = self._merging(sources, caller, text)
            try:
                self._governance.change(steps, caller, operation="merge_by_hand").result()
            except VersionConflictError:
                continue
            self._writer.dropped(list(cube_ids))
            return merged
        raise VersionConflictError(cube_ids[0], sources[0].version, sources[0].version + 1)

    def _merging(self, sources: Sequence[MemCube], caller: Caller, text: str | None) -> tuple[MemCube, Steps]:
        refs = tuple(CubeRef(id=each.id, version=each.version + 1) for each in sources)
        readers = frozenset.intersection(*(subjects_for(Verb.READ, each.governance) for each in sources))
        named = tuple(sorted(readers - {caller.by.subject}))
        lives = [each.governance.half_life for each in sources]
        rules = Governance(
            owner=caller.by.subject,
            readers=named,
            layer=layer_for({"readers": named}),
            priority=max(each.governance.priority for each in sources),
            half_life=None if None in lives else max(filter(None, lives)),
        )
        draft = draft_cube(
            text if text is not None else "\n".join(dict.fromkeys(each.text for each in sources if each.text)),
            namespace=sources[0].namespace,
            governance=rules,
            now=caller.now,
            provenance=Provenance(author=caller.by.subject, source="memos.merge", derived_from=refs),
            trust=_unread(sources[0].trust),
            tags=unique(tag for each in sources for tag in each.descriptive.tags),
            links=[Link(relation=Relation.MERGED_FROM, target=each.id) for each in sources],
            semantic_type=sources[0].descriptive.semantic_type,
            valid_to=min(
                (end for each in sources if (end := each.descriptive.valid_to) and end > caller.now), default=None
            ),
        )
        draft = admitted(inherited(draft, sources), caller, self._governance)
        versions = [self._version(finished(self._next(each, draft.cube.id, caller)), caller) for each in sources]
        ours = self._version(draft, caller)
        moves = tuple((each, State.MERGED) for each in sources if tells(draft.cube, each))
        return draft.cube, Steps((*versions, ours), moves)

    def _next(self, cube: MemCube, into: str, caller: Caller) -> MemCube:
        dated = {"recorded_at": max(caller.now, cube.descriptive.recorded_at)}
        newer = {"version": cube.version + 1, "descriptive": cube.descriptive.model_copy(update=dated)}
        return linked(cube.model_copy(update=newer), Relation.MERGED_INTO, into)

    def _version(self, draft: Draft, caller: Caller) -> NewVersion:
        row = self._embedding.written([draft.text]) if draft.text.strip() else None
        return NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0], verdict=draft.verdict)

    def _check_apart(self, cube: MemCube, others: set[str], caller: Caller) -> None:
        """Refuse to merge a memory with what it is derived from: the result would be derived from itself."""
        seen: set[str] = set()
        waiting = {ref.id for ref in cube.provenance.derived_from}
        while waiting:
            if waiting & others:
                raise CyclicDerivationError(
                    f"Cube {cube.id!r} is derived from {sorted(waiting & others)[0]!r}: merging the two would derive a "
                    "memory from itself. Merge one of them with something else."
                )
            seen |= waiting
            found = self._governance.present(sorted(waiting), caller)
            waiting = {ref.id for each in found for ref in each.provenance.derived_from} - seen

    def feedback(self, cube_id: str, said: Feedback, caller: Caller) -> MemCube:
        """What feedback makes of a memory; see `MemOS.feedback`."""
        for _ in range(MAX_RETRIES):
            cube = self._governance.fetch(cube_id, Verb.WRITE, caller, operation="feedback")
            check_change(cube)
            newer = _after(cube, said, caller)
            moves: tuple[tuple[MemCube, State], ...] = ()
            if said is Feedback.OUTDATED and cube.state in {State.GENERATED, State.ACTIVATED, State.MERGED}:
                moves = ((cube, State.ARCHIVED),)
            record = record_of("feedback", caller, about=cube_id, detail={"said": said.value})
            steps = Steps((self._version(finished(newer), caller),), moves, (record,), uses=_judged(cube, said, caller))
            try:
                self._governance.change(steps, caller, operation="update").result()
            except VersionConflictError:
                continue
            self._writer.dropped([cube_id], [newer.ref])
            return newer.model_copy(update={"state": moves[0][1] if moves else cube.state})
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def lineage(self, cube_id: str, caller: Caller) -> Lineage:
        """Where a memory comes from and what became of it."""
        cube = self._governance.read(cube_id, caller, operation="provenance", counted=False)
        pointing: dict[str, list[str]] = {}
        for link in cube.provenance.links:
            pointing.setdefault(link.relation.value, []).append(link.target)
        pointed: dict[str, list[str]] = {}
        for edge in self._governance.edges_to(cube_id, caller):
            pointed.setdefault(edge.relation, []).append(edge.source)
        derived = pointed.pop("derived_from", [])
        told = cube.provenance
        return Lineage(
            id=cube.id,
            version=cube.version,
            origin=cube.descriptive.origin,
            author=told.author,
            source=told.source,
            trigger=told.trigger,
            model_id=told.model_id,
            derived_from=told.derived_from,
            derived=tuple(derived),
            pointing={name: tuple(ids) for name, ids in pointing.items()},
            pointed={name: tuple(ids) for name, ids in pointed.items()},
            recalls=cube.behaviour.recalls,
            reads=cube.behaviour.reads,
        )


def _unread(trust: Trust) -> Trust:
    """The trust of other words than those that were verified."""
    return trust.model_copy(update=UNREAD) if trust.label is TrustLabel.VERIFIED else trust


def _judged(cube: MemCube, said: Feedback, caller: Caller) -> tuple[Use, ...]:
    if said is Feedback.OUTDATED:
        return ()
    return (Use(cube.id, caller.now, "", judged="helpful" if said is Feedback.HELPFUL else "wrong"),)


def _after(cube: MemCube, said: Feedback, caller: Caller) -> MemCube:
    """The next version: more or less important, less trusted, or valid until now."""
    rules, own, trust = cube.governance, cube.descriptive, cube.trust
    order = list(TrustLabel)
    if said is Feedback.HELPFUL:
        rules = rules.model_copy(update={"priority": min(100, rules.priority + STEP)})
    elif said is Feedback.WRONG:
        rules = rules.model_copy(update={"priority": max(-100, rules.priority - STEP)})
        lower = order[max(0, order.index(trust.label) - 1)]
        trust = trust.model_copy(update={"label": lower, "verified_by": None})
    else:
        ends = min(caller.now, own.valid_to or caller.now)
        own = own.model_copy(update={"valid_to": max(ends, own.valid_from or ends)})
    own = own.model_copy(update={"recorded_at": max(caller.now, own.recorded_at)})
    fields = {"version": cube.version + 1, "governance": rules, "descriptive": own, "trust": trust}
    return cube.model_copy(update=fields)
