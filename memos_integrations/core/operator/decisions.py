"""What was decided about memories, as the audit log keeps it."""

from __future__ import annotations

from memos_integrations.core.access import Caller
from memos_integrations.core.conflict import ConflictJudge, Decided, Ruling, Verdict
from memos_integrations.core.conflict.forms import from_entry, pair
from memos_integrations.core.conflict.rules import told_at
from memos_integrations.core.cube import MemCube, Relation
from memos_integrations.core.errors import AlreadyUndoneError, CubeNotFoundError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import AuditEntry, LogQuery


class Decisions:
    """Reads decisions from the log; the words of their evidence come from the memories, by asking the judge again."""

    def __init__(self, governance: MemGovernance, judge: ConflictJudge) -> None:
        self._governance, self._judge = governance, judge

    def told(self, cube_id: str, caller: Caller) -> list[Decided]:
        """What was decided about a memory, oldest first, with the evidence as far as the caller can still read it."""
        self._governance.read(cube_id, caller, operation="decisions", counted=False)
        return [self._explained(each, caller) for each in self.about(cube_id, caller)]

    def has_retired(self, cube_id: str, caller: Caller) -> bool:
        """Whether a memory says that it superseded another."""
        found = self._governance.held([cube_id], caller)
        links = [link for cube in found.values() for link in cube.provenance.links]
        return any(link.relation is Relation.SUPERSEDES for link in links)

    def about(self, cube_id: str, caller: Caller) -> list[Decided]:
        """What was decided about a memory, oldest first, without evidence; unrecorded."""
        pairs = {cube_id} | {
            link.target
            for cube in self._governance.versions(cube_id, caller)
            for link in cube.provenance.links
            if link.relation is not Relation.FOLLOWS
        }
        entries = [entry for each in sorted(pairs) for entry in self._entries(each, caller)]
        found = [(entry.number, from_entry(entry)) for entry in entries if cube_id in pair(entry)]
        kept = [(number, each) for number, each in found if each is not None]
        last = {pair(entry): entry.number for entry in entries if entry.record.operation == "undo"}
        told = [
            each.model_copy(update={"undone": number < last.get((each.newer, each.older), 0)}) for number, each in kept
        ]
        return sorted(told, key=lambda each: each.at)

    def was_undone(self, newer: str, older: str, caller: Caller) -> bool:
        """Whether somebody took a decision on the two back, whichever of them was the later then."""
        query = LogQuery(tenant=caller.by.tenant, cube_ids=(older, newer), operation="undo", limit=1_000)
        entries = [entry for entry in self._governance.lifecycle_log(query) if {*pair(entry)} == {newer, older}]
        return any(not (isinstance(told := each.record.detail, dict) and told.get("again")) for each in entries)

    def weighed(self, newer: MemCube, older: MemCube, verdict: Verdict, caller: Caller) -> Verdict:
        """The verdict; what somebody restored after the other was said is retired by nothing from before that."""
        said = told_at(newer)
        if verdict.ruling is not Ruling.SUPERSEDE or older.version == 1 or said >= older.descriptive.recorded_at:
            return verdict
        query = LogQuery(tenant=caller.by.tenant, cube_id=older.id, operation="restore", since=said, limit=1_000)
        found = (entry.record.detail for entry in self._governance.lifecycle_log(query))
        if not any(isinstance(detail, dict) and "version" in detail for detail in found):
            return verdict
        return verdict._replace(ruling=Ruling.FLAG, reason="the older was restored by hand since")

    def known(self, decision_id: str, caller: Caller) -> Decided:
        """The decision of this id that stands.

        Raises:
            CubeNotFoundError: There is none of the caller.
            AlreadyUndoneError: It was undone.
        """
        newer, _, older = decision_id.partition(":")
        if not older:
            raise CubeNotFoundError(decision_id)
        entries = [each for each in self._entries(older, caller) if pair(each) == (newer, older)]
        if not entries:
            raise CubeNotFoundError(decision_id)
        if entries[-1].record.operation == "undo":
            raise AlreadyUndoneError(f"Decision {decision_id!r} was undone already; nothing was changed.")
        decision = from_entry(entries[-1])
        if decision is None:
            raise CubeNotFoundError(decision_id)
        return decision

    def _explained(self, decision: Decided, caller: Caller) -> Decided:
        """The decision with its evidence, as far as the caller can still read it."""
        told = {
            cube.id: cube
            for cube_id in (decision.newer, decision.older)
            for cube in self._governance.versions(cube_id, caller)[:1]
        }
        if len(told) < 2:
            return decision
        verdict = self._judge.judge(told[decision.newer], told[decision.older])
        return decision.model_copy(update={"evidence": verdict.evidence if verdict else ()})

    def _entries(self, older: str, caller: Caller) -> list[AuditEntry]:
        wanted = {*(ruling.value for ruling in Ruling), "undo"}
        found: list[AuditEntry] = []
        after = 0
        while page := self._governance.lifecycle_log(
            LogQuery(tenant=caller.by.tenant, cube_id=older, after=after, limit=1_000)
        ):
            found += [each for each in page if each.record.operation in wanted and isinstance(each.record.detail, dict)]
            after = page[-1].number
        return found
