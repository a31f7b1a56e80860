"""The reading half of the doorway (`MemGovernance`): what is found, fetched and handed out is decided and recorded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO

from memos_integrations.core.access import (
    IN_CONTEXT,
    READING,
    Caller,
    Verb,
    decide,
    is_own,
    may_read,
)
from memos_integrations.core.aftermath import Aftermath
from memos_integrations.core.asked import whole
from memos_integrations.core.before import begun, with_before
from memos_integrations.core.cube import CubeRef, MemCube, State
from memos_integrations.core.duties import Duties
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IntegrityError,
    InvalidMemoryError,
    LicenceSpentError,
    RateSpentError,
    VersionConflictError,
)
from memos_integrations.core.events import AccessDenied
from memos_integrations.core.gate import WriteGate
from memos_integrations.core.handed import Handed
from memos_integrations.core.licensing import is_counted, is_spent, licensed_use
from memos_integrations.core.news import News
from memos_integrations.core.ports import (
    RECALLABLE,
    AuditRecord,
    CubeFilter,
    Edge,
    Found,
    Move,
    Transaction,
    Use,
    Vault,
    VaultQuery,
)
from memos_integrations.core.reads import ReadAudit, ReadLog
from memos_integrations.core.records import denied, handed_out, moved, record_of, used_in
from memos_integrations.core.releasing import Releasing
from memos_integrations.core.sight import Sight
from memos_integrations.core.standings import TELLING, Standings, contradicting, standings_of, told_by
from memos_integrations.core.widening import allowed

NAMED_IN_LOG = 100
"""How many ids one audit record of a look-up names."""


class GovernedReading:
    """Governed reads over one vault; `MemGovernance` adds the writes."""

    def __init__(
        self, vault: Vault, *, read_audit: ReadAudit | str = ReadAudit.BATCHED, gate: WriteGate | None = None
    ) -> None:
        self._vault = vault
        self.gate = gate
        """What looks at every text before it is embedded and stored; None: nothing does."""
        self._news = News()
        self._sight = Sight(vault)
        self.aftermath = Aftermath(vault)
        self.duties = Duties(vault)
        self._releasing = Releasing(vault, self.aftermath)
        self._reads = ReadLog(vault, ReadAudit(read_audit))
        self.handed = Handed()

    def search(self, query: VaultQuery, caller: Caller, *, begun_by: datetime | None = None) -> Found:
        """Candidates among the cubes that the caller may read; what they may not is absent and uncounted.

        *begun_by*: without what begins to hold only later; of what was rewritten for later, as it was before.
        Nothing is recorded yet: what is handed out goes through `hand_out`.
        """
        # Nobody reads what has expired: left to the check below, an answer would be shorter than k.
        states = (query.filter.states or frozenset(State)) - {State.EXPIRED}
        if not states:
            return Found((), 0, "what has expired is not recalled")
        query = replace(query, filter=replace(query.filter, states=states))
        sight = self._sight.of(caller, query.filter)

        def told(cube_id: str) -> list[MemCube]:
            return self._releasing.told(self.versions(cube_id, caller), query.as_of)

        def shown(cubes: Sequence[MemCube]) -> list[MemCube]:
            found = self._shown(cubes, caller, query.as_of)
            return found if begun_by is None else [now for each in found for now in begun(each, begun_by, told)]

        found = allowed(query, lambda asked: self._vault.search(asked, sight), shown)
        return with_before(query, found, partial(self.search, caller=caller), told)

    def candidates(self, refs: Sequence[CubeRef], caller: Caller) -> list[MemCube]:
        """Those of *refs* that the caller may read, where that version is still present and recallable; unrecorded."""
        wanted = {ref.id: ref.version for ref in refs}
        found = self._shown(self._vault.get(caller.by.tenant, list(wanted)), caller)
        return [cube for cube in found if cube.version == wanted[cube.id] and cube.state in RECALLABLE]

    def places(self, wanted: CubeFilter, caller: Caller, *, own: bool = False) -> set[tuple[str, ...]]:
        """The namespaces in which there are (own) cubes that pass *wanted* and that the caller may read; recorded."""
        self._reads.wait_for_uses()
        named = self._vault.places(wanted, self._sight.of(caller, wanted))
        there = {cube.namespace for cube in self._released(named, caller) if not own or is_own(cube, caller)}
        for namespace in {cube.namespace for cube in named} - there:
            # The one that was named is another's, or may not be read after all (its source changed): perhaps another.
            rest = VaultQuery(k=sys.maxsize, filter=replace(wanted, namespace=namespace))
            found = [match.cube for match in self.search(rest, caller).matches]
            there |= {cube.namespace for cube in found if not own or is_own(cube, caller)} & {namespace}
        self._reads.record(Transaction((), (record_of("find", caller, detail={"places": len(there)}),)))
        return there

    def generation(self, caller: Caller) -> int:
        """A number that changes with whatever a search in the caller's tenant could notice; see `Vault.generation`."""
        return self._vault.generation(caller.by.tenant)

    def hand_out(self, cubes: Sequence[MemCube], caller: Caller, *, recall_id: str, detail: dict[str, Any]) -> None:
        """Record that a recall gave *cubes* to the caller: one audit record, and a use of each cube.

        A cube that is used for the first time becomes ACTIVATED (paper §5.4.3). Of those whose licence counts uses,
        `use_up` counted this one.
        """
        uses = tuple(Use(cube.id, caller.now, recall_id) for cube in cubes if not is_counted(cube, caller))
        entry = handed_out(caller, {**detail, "recall": recall_id, "cubes": [cube.id for cube in cubes]})
        fresh = [cube for cube in cubes if cube.state is State.GENERATED]
        moves = tuple(Move(cube.id, State.GENERATED, State.ACTIVATED) for cube in fresh)
        events = tuple(moved(cube, State.ACTIVATED, caller) for cube in fresh)
        # When another recall activated one of them first, or it was just forgotten, the use still counts.
        self._reads.record(Transaction((*uses, *moves), (entry,), events), instead=Transaction(uses, (entry,)))

    def use_up(self, cube: MemCube, caller: Caller, *, operation: str, recall_id: str = "") -> bool:
        """Whether the caller may have the words: counts a use of the licence, durably; a refusal is recorded."""
        if not is_counted(cube, caller):
            return True
        self._reads.send()
        try:
            self._vault.submit(licensed_use(cube, caller, recall_id)).result()
        except (LicenceSpentError, RateSpentError) as exc:
            left = "for now" if isinstance(exc, RateSpentError) else "left"
            self._deny(cube, Verb.READ, operation, f"its licence has no uses {left}", caller)
            return False
        except (VersionConflictError, CubeNotFoundError):
            return False
        self.handed.note(cube, caller)
        return True

    def fetch(
        self, cube_id: str, verb: Verb, caller: Caller, *, operation: str, as_of: datetime | None = None
    ) -> MemCube:
        """The current version of a cube, if the caller may do *verb* with it; *as_of*: if it stood at that time.

        A refusal is recorded here; the record of what was allowed belongs to the operation (`note`, `put`, `erase`).

        Raises:
            CubeNotFoundError: It does not exist, or the caller may not know that it does.
            AccessDeniedError: The caller may read it, but not do this.
        """
        self._reads.wait_for_uses()
        found = self._vault.get(caller.by.tenant, [cube_id])
        readable = bool(self._releasing.standing(found, caller, as_of))
        if found and (readable or verb not in IN_CONTEXT):
            decision = decide(found[0], verb, caller)
            if decision.allowed:
                return self._sight.shown(found, caller)[0] if verb in READING else found[0]
            if readable:
                self._deny(found[0], verb, operation, decision.reason, caller)
                raise AccessDeniedError(f"You may not {verb} cube {cube_id!r}: {decision.reason}.")
        # One record for what is absent and for what is hidden: one's own log is no oracle either.
        events = (denied(found[0], verb, caller),) if found else ()
        self._submit(record_of(operation, caller, denied="no cube that one may read", about=cube_id), events)
        raise CubeNotFoundError(cube_id)

    def read(
        self,
        cube_id: str,
        caller: Caller,
        *,
        operation: str = "read",
        counted: bool = True,
        as_of: datetime | None = None,
    ) -> MemCube:
        """The current version of a cube that the caller may read; recorded, and a use of its licence if *counted*.

        *as_of*: where its sources stood at that time, whatever they say now.

        Raises:
            CubeNotFoundError: It does not exist, or the caller may not know that it does.
            LicenceSpentError, RateSpentError: Its licence has no uses left, or none for now.
        """
        cube = self.fetch(cube_id, Verb.READ, caller, operation=operation, as_of=as_of)
        while counted and not self.use_up(cube, caller, operation=operation):
            before, cube = cube, self.fetch(cube_id, Verb.READ, caller, operation=operation, as_of=as_of)
            if cube.version == before.version:
                raise LicenceSpentError(cube_id) if is_spent(cube, caller) else RateSpentError(cube_id)
        self._reads.record(Transaction((), (record_of(operation, caller, cube=cube),)))
        return cube

    def readable(
        self,
        ids: Sequence[str],
        caller: Caller,
        *,
        verb: Verb = Verb.READ,
        operation: str = "read",
        counted: bool = False,
        as_of: datetime | None = None,
    ) -> list[MemCube]:
        """Those of *ids* with which the caller may do *verb* (one that gives the words away), in order.

        It is a use of them if *counted*; of their licences by `handed.again`, the caller's to ask. One audit
        record counts the given and the refused, and names a hundred of each; where it is a use, a thousand (`tick`).
        """
        self._reads.wait_for_uses()
        found = self._releasing.standing(self._vault.get(caller.by.tenant, ids), caller, as_of)
        granted = [cube for cube in found if decide(cube, verb, caller).allowed]
        given = {cube.id for cube in granted}
        refused = sorted({*ids} - given)
        detail: dict[str, Any] = {"given": len(given), "refused": len(refused)}
        detail |= {"given_ids": sorted(given)[:NAMED_IN_LOG], "refused_ids": refused[:NAMED_IN_LOG]}
        detail |= used_in([cube.id for cube in granted]) if counted else {}
        entry = record_of(operation, caller, detail=detail)
        if refused:
            self._submit(entry)
        else:
            self._reads.record(Transaction((), (entry,)))
        return self._sight.shown(granted, caller)

    def find(self, query: VaultQuery, caller: Caller, *, counted: bool = False) -> list[MemCube]:
        """What the query finds for the caller, newest first; recorded, and a use of it if *counted*."""
        return [match.cube for match in self.found(query, caller, counted=counted).matches]

    def found(self, query: VaultQuery, caller: Caller, *, counted: bool = False) -> Found:
        """What the query finds for the caller, with scores; recorded like `find`. Listing is a use of a licence."""
        self._reads.wait_for_uses()
        found = self.search(query, caller)
        paid = tuple(match for match in found.matches if self.use_up(match.cube, caller, operation="find"))
        found = replace(found, matches=paid)
        given = [match.cube.id for match in found.matches]
        detail: dict[str, Any] = {"given": len(given), "given_ids": given[:NAMED_IN_LOG]}
        detail |= used_in(given) if counted else {}
        self._reads.record(Transaction((), (record_of("find", caller, detail=detail),)))
        return found

    def gave(self, cubes: Sequence[MemCube], caller: Caller) -> None:
        """Record that of what was found for the caller these were handed out: a use of them."""
        if cubes:
            told = {"given": len(cubes), **used_in([cube.id for cube in cubes])}
            self._reads.record(Transaction((), (record_of("give", caller, detail=told),)))

    def open_blob(self, cube_id: str, number: int, caller: Caller) -> BinaryIO:
        """`blob_of` a cube that the caller may read; recorded. CubeNotFoundError as by `read`."""
        return self.blob_of(self.read(cube_id, caller, operation="read_blob"), number)

    def blob_of(self, cube: MemCube, number: int) -> BinaryIO:
        """A blob of a version that the caller was given, by its place among the cube's blobs.

        Raises:
            InvalidMemoryError: It names no such blob.
            IntegrityError: It is missing, or not what the cube says, which is named.
        """
        if whole("number", number, least=0) >= len(cube.blobs):
            raise InvalidMemoryError(f"Cube {cube.id!r} names {len(cube.blobs)} blobs; there is no number {number}.")
        try:
            return self._vault.open_blob(cube.blobs[number])
        except IntegrityError as exc:
            raise IntegrityError(
                f"Blob {cube.blobs[number].digest} of cube {cube.id!r} is missing or damaged", cube.id
            ) from exc

    def superseded(self, cubes: Sequence[MemCube], caller: Caller) -> dict[str, str]:
        """For those of *cubes* that a cube which the caller may read supersedes: the id of that cube.

        It counts only where the newer one belongs to somebody who may write the older one.
        """
        return dict(self.standings(cubes, caller).superseded)

    def standings(self, cubes: Sequence[MemCube], caller: Caller) -> Standings:
        """What supersedes the *cubes*, as `superseded`, and what that the caller sees contradicts them."""
        tenant, ours = caller.by.tenant, contradicting(cubes)
        edges = [e for e in self._vault.pointing_at(tenant, [cube.id for cube in cubes]) if e.relation in TELLING]
        ids = list(dict.fromkeys([*(edge.source for edge in edges), *(other for _, other in ours)]))
        seen = {each.id: each for each in self._released(self._vault.get(tenant, ids), caller)}
        ends = {cube.id: cube.descriptive.valid_to for cube in cubes}
        found = standings_of(told_by(cubes, edges, seen), ours, seen, caller.now, ends)
        shown = {cube.id for cube in self._sight.shown(list(seen.values()), caller)} if found.contradicted else set()
        beside = {each: tuple(o for o in others if o in shown) for each, others in found.contradicted.items()}
        return Standings(found.superseded, {each: others for each, others in beside.items() if others})

    def history(self, cube_id: str, caller: Caller) -> list[MemCube]:
        """Every version of a cube that the caller may read, oldest first; versions they may not read are absent."""
        self.read(cube_id, caller, operation="history")
        return self.versions(cube_id, caller)

    def versions(self, cube_id: str, caller: Caller) -> list[MemCube]:
        """`history` for what governs itself: unrecorded, and empty where there is no such cube for the caller."""
        found = self._vault.history(caller.by.tenant, cube_id)
        return self._sight.shown([version for version in found if may_read(version, caller)], caller)

    def edges_to(self, cube_id: str, caller: Caller) -> list[Edge]:
        """What points at a memory, of what the caller may read; unrecorded."""
        edges = self._vault.pointing_at(caller.by.tenant, [cube_id])
        seen = {cube.id for cube in self.present([edge.source for edge in edges], caller)}
        return [edge for edge in edges if edge.source in seen]

    def present(self, ids: Sequence[str], caller: Caller) -> list[MemCube]:
        """`readable` for what governs itself: unrecorded."""
        return self._shown(self._vault.get(caller.by.tenant, ids), caller)

    def note(self, entry: AuditRecord) -> None:
        """Put a record of what concerns no one cube into the log; durable on return."""
        self._submit(entry)

    def close(self) -> None:
        """Record what is under way, then close the vault."""
        try:
            self._reads.flush()
        finally:
            self._vault.close()

    def _released(self, cubes: Sequence[MemCube], caller: Caller, as_of: datetime | None = None) -> list[MemCube]:
        """Those that may be given to the caller, with their sources (promise 3); *as_of*: of what was known then."""
        return self._releasing.of(cubes, caller) if as_of is None else self._releasing.then(cubes, caller, as_of)

    def _shown(self, cubes: Sequence[MemCube], caller: Caller, as_of: datetime | None = None) -> list[MemCube]:
        """Those that the caller may read, without the parts that rules keep back."""
        found = self._sight.shown(self._released(cubes, caller, as_of), caller)
        for fault in () if caller.policy is None else caller.policy.faults():
            self._submit(record_of("policy", caller, denied=fault))
        return found

    def _deny(self, cube: MemCube, verb: Verb, operation: str, reason: str, caller: Caller) -> None:
        self._submit(record_of(operation, caller, denied=reason, about=cube.id), (denied(cube, verb, caller),))

    def _submit(self, entry: AuditRecord, events: tuple[AccessDenied, ...] = ()) -> None:
        self._reads.send()
        self._vault.submit(Transaction((), (entry,), events)).result()
