"""Redaction of what is there: a memory goes, in every version, and one without the words stands in its place."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from pydantic import Field

from memos_integrations.core.access import Caller, Verb, is_own
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import Behaviour, Label, MemCube, State, TrustLabel, Value, id_beside
from memos_integrations.core.errors import CubeNotFoundError, VersionConflictError
from memos_integrations.core.gate import Ruling, WriteGate
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.item import Address, content_of, vault_key
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import admitted, looked_at
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.revising import begins_now, revising, written_by
from memos_integrations.core.operator.write import UNREAD, finished, revised, search_text
from memos_integrations.core.operator.writer import CubeWriter
from memos_integrations.core.records import Instead, NewVersion

MAX_RETRIES = 20


class Redacted(Value):
    """What became of a memory: where it stands now, how many of each kind were taken out, and what went with it.

    `found` counts over `versions` versions. `instead` is None where nothing was changed: in a dry run, or because of
    what `kept` says. `gone` are memories that were derived from it, and erased.
    """

    cube_id: Label
    instead: Label | None = None
    found: dict[str, int] = Field(default_factory=dict)
    versions: int = 1
    gone: tuple[Label, ...] = ()
    kept: str = ""


class Redactor:
    """Brings what is stored before another gate, memory by memory, each in one transaction."""

    def __init__(self, governance: MemGovernance, embedding: Embedding, writer: CubeWriter) -> None:
        self._governance, self._embedding, self._writer = governance, embedding, writer

    def run(self, cube_id: str, caller: Caller, gate: WriteGate, *, erase: bool, dry_run: bool) -> Redacted | None:
        """What was done about a memory of the caller's own; None: the gate finds nothing in it.

        Raises:
            CubeNotFoundError, AccessDeniedError, LegalHoldError, IllegalTransitionError: It may not be changed.
        """
        for _ in range(MAX_RETRIES):
            cube = self._governance.own(cube_id, Verb.WRITE, caller, operation="redact")
            if cube is None:
                raise CubeNotFoundError(cube_id)
            versions = self._governance.own_versions(cube_id, caller) if erase else [cube]
            found = found_in(versions, gate)
            if found is None:
                return self._outdated(cube, caller, gate, dry_run=dry_run) if erase else None
            check_change(cube)
            told = Redacted(cube_id=cube_id, found=found, versions=len(versions))
            if dry_run:
                self._governance.note_redaction(told.model_dump(mode="json"), caller)
                return told
            try:
                return self._replaced(cube, told, caller, gate) if erase else self._renewed(cube, told, caller, gate)
            except VersionConflictError:
                continue
        raise VersionConflictError(cube_id, 0, 0)

    def _outdated(self, cube: MemCube, caller: Caller, gate: WriteGate, *, dry_run: bool) -> Redacted | None:
        """Erase what was derived from an older version of the cube, which no read gives any more, and holds words."""
        derived = [each for each in self._governance.aftermath.derived([cube]) if is_own(each, caller)]
        now = self._governance.current(
            caller.by.tenant, [ref for each in derived for ref in each.provenance.derived_from]
        )
        old = {each.id: each for each in derived if not now.issuperset(each.provenance.derived_from)}
        found = {each: what for each in old if (what := found_in([old[each]], gate)) is not None}
        if not found:
            return None
        counts = Counter[str]()
        for cube_id, what in found.items():
            counts.update(what)
            if not dry_run:
                with suppress(CubeNotFoundError):  # it went with another
                    self._writer.forget(cube_id, caller)
        told = Redacted(cube_id=cube.id, found=dict(sorted(counts.items())), gone=() if dry_run else tuple(found))
        return told if dry_run else told.model_copy(update={"instead": cube.id})

    def _renewed(self, cube: MemCube, told: Redacted, caller: Caller, gate: WriteGate) -> Redacted:
        """The next version without the words; the old ones stay in the history."""
        now = self._governance.fetch(cube.id, Verb.WRITE, caller, operation="update")
        if now.version != cube.version:
            raise VersionConflictError(cube.id, cube.version, now.version)
        clean, _ = looked_at(revised(now, caller.now, text=None, changes={}).cube, gate)
        draft = written_by(begins_now(finished(clean), now, caller.now, {"descriptive": {}}), caller)
        draft = admitted(draft, caller, self._governance)
        steps = revising(now, draft, caller, self._writer.resolver, self._embedding)
        self._governance.change(steps, caller, operation="update").result()
        self._embedding.drop([search_text(now)] if search_text(now) != draft.text else [])
        self._writer.dropped([each.cube.id for each in steps.versions], steps.written)
        return told.model_copy(update={"instead": cube.id})

    def _replaced(self, cube: MemCube, told: Redacted, caller: Caller, gate: WriteGate) -> Redacted:
        clean, _ = looked_at(cube, gate)
        trust = clean.trust
        if trust.label is TrustLabel.VERIFIED:
            trust = trust.model_copy(update=UNREAD)  # other words, now
        fresh = {
            "id": id_beside(cube.id),
            "version": 1,
            "state": State.GENERATED,
            "behaviour": Behaviour(),
            "trust": trust,
        }
        draft = admitted(finished(clean.model_copy(update=fresh)), caller, self._governance)
        row = self._embedding.written([draft.text]) if draft.text.strip() else None
        vector = None if row is None else row[0]
        # What was set apart stays so, and is found among what is.
        ruling = Ruling.QUARANTINE if draft.cube.trust.quarantined else Ruling.REDACT
        verdict = {"ruling": ruling.value, "found": told.found, "reason": "redacted where it was stored"}
        instead = NewVersion(draft.cube, caller, draft.terms, vector, _key(draft.cube), verdict=verdict)
        receipt = self._writer.forget(cube.id, caller, instead=Instead(instead, cube.version))
        return told.model_copy(update={"instead": draft.cube.id, "gone": receipt.derived + receipt.repeats})


def found_in(versions: list[MemCube], gate: WriteGate) -> dict[str, int] | None:
    """How much of each kind the gate takes out of the versions; None where it takes nothing. It keeps no pseudonym."""
    found = Counter[str]()
    changed = False
    for cube in versions:
        clean, verdicts = looked_at(cube, gate, tenant="")
        if clean == cube:
            continue
        changed = True
        for verdict in verdicts:
            for rule, count in verdict.found.items() if verdict.ruling is not Ruling.ALLOW else ():
                found[rule] += count
    return dict(sorted(found.items())) if changed else None


def _key(cube: MemCube) -> str | None:
    """The address of an item, which it keeps; what was told has none any more: it is not told again by mistake."""
    if cube.descriptive.semantic_type != ITEM:
        return None
    return vault_key(Address(cube.namespace[1:], str(content_of(cube).get("key"))), cube.governance.owner)
