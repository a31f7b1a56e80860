"""MemGovernance: the doorway to storage. Every read and write is decided here, and recorded.

The only holder of a vault. What a principal may see is compiled into the query before the best k are picked, and each
row that comes back is decided again on its own header, so that a stale or damaged index can miss, never leak. Allowed
and denied alike are recorded, and a call returns only when its record is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from memos_integrations.core.access import (
    ADMIN_ROLE,
    AUDITOR_ROLE,
    EVERYONE,
    Caller,
    Verb,
    decide,
    may_read,
    subjects_for,
)
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    LegalHoldError,
    VersionConflictError,
)
from memos_integrations.core.events import AccessDenied, CubeErased, CubeMoved, CubeWritten
from memos_integrations.core.ports import (
    AuditEntry,
    AuditRecord,
    AuditReport,
    EmbedderIdentity,
    Erase,
    Found,
    LogQuery,
    Move,
    Outcome,
    Put,
    PutVector,
    Receipt,
    Transaction,
    Use,
    Vault,
    VaultQuery,
    Vectors,
    Visibility,
)


class MemGovernance:
    """Access, audit and erasure over one vault (paper §5.5.1)."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # --- reading ----------------------------------------------------------------------------------------------

    def search(self, query: VaultQuery, caller: Caller) -> Found:
        """Candidates among the cubes that the caller may read; what they may not is absent and uncounted.

        Nothing is recorded yet: what is handed out goes through `hand_out`.
        """
        visible = Visibility(
            tenant=caller.by.tenant,
            subjects=caller.by.subjects,
            now=caller.now,
            purpose=caller.context.purpose,
            application=caller.context.application,
        )
        found = self._vault.search(query, visible)
        allowed = tuple(match for match in found.matches if may_read(match.cube, caller))
        return Found(allowed, found.visible - (len(found.matches) - len(allowed)), found.how)

    def hand_out(self, cubes: Sequence[MemCube], caller: Caller, *, recall_id: str, detail: dict[str, Any]) -> None:
        """Record that a recall gave *cubes* to the caller: one audit record, and a use of each cube.

        A cube that is used for the first time becomes ACTIVATED (paper §5.4.3).
        """
        uses = tuple(Use(cube.id, caller.now, recall_id) for cube in cubes)
        entry = _record("recall", caller, detail={**detail, "recall": recall_id, "cubes": [c.id for c in cubes]})
        fresh = [cube for cube in cubes if cube.state is State.GENERATED]
        moves = tuple(Move(cube.id, State.GENERATED, State.ACTIVATED) for cube in fresh)
        events = tuple(_moved(cube, State.ACTIVATED, caller) for cube in fresh)
        try:
            self._vault.submit(Transaction((*uses, *moves), (entry,), events)).result()
        except (VersionConflictError, CubeNotFoundError):
            # Another recall activated one of them first, or it was just forgotten: the use still counts.
            self._vault.submit(Transaction(uses, (entry,))).result()

    def fetch(self, cube_id: str, verb: Verb, caller: Caller, *, operation: str) -> MemCube:
        """The current version of a cube, if the caller may do *verb* with it.

        A refusal is recorded here; the record of what was allowed belongs to the operation (`note`, `put`, `erase`).

        Raises:
            CubeNotFoundError: It does not exist, or the caller may not know that it does.
            AccessDeniedError: The caller may read it, but not do this.
        """
        found = self._vault.get(caller.by.tenant, [cube_id])
        if not found:
            self._submit(_record(operation, caller, denied="no such cube", about=cube_id))
            raise CubeNotFoundError(cube_id)
        decision = decide(found[0], verb, caller)
        if decision.allowed:
            return found[0]
        self._deny(found[0], verb, operation, decision.reason, caller)
        if may_read(found[0], caller):
            raise AccessDeniedError(f"You may not {verb} cube {cube_id!r}: {decision.reason}.")
        raise CubeNotFoundError(cube_id)

    def read(self, cube_id: str, caller: Caller, *, operation: str = "read") -> MemCube:
        """The current version of a cube that the caller may read; recorded.

        Raises:
            CubeNotFoundError: It does not exist, or the caller may not know that it does.
        """
        cube = self.fetch(cube_id, Verb.READ, caller, operation=operation)
        self._submit(_record(operation, caller, cube=cube))
        return cube

    def readable(
        self, ids: Sequence[str], caller: Caller, *, verb: Verb = Verb.READ, operation: str = "read"
    ) -> list[MemCube]:
        """Those of *ids* with which the caller may do *verb*, in order; one audit record names given and refused."""
        found = self._vault.get(caller.by.tenant, ids)
        allowed = [cube for cube in found if decide(cube, verb, caller).allowed]
        given = {cube.id for cube in allowed}
        detail = {"given": sorted(given), "refused": sorted({*ids} - given)}
        self._submit(_record(operation, caller, detail=detail))
        return allowed

    def superseded(self, ids: Sequence[str], caller: Caller) -> dict[str, str]:
        """For those of *ids* that a cube which the caller may read supersedes: the id of that cube."""
        tenant = caller.by.tenant
        edges = [edge for edge in self._vault.pointing_at(tenant, ids) if edge.relation == "supersedes"]
        newer = self._vault.get(tenant, list(dict.fromkeys(edge.source for edge in edges)))
        seen = {cube.id for cube in newer if may_read(cube, caller)}
        return {edge.target: edge.source for edge in edges if edge.source in seen}

    def history(self, cube_id: str, caller: Caller) -> list[MemCube]:
        """Every version of a cube that the caller may read, oldest first; versions they may not read are absent."""
        self.read(cube_id, caller, operation="history")
        return [version for version in self._vault.history(caller.by.tenant, cube_id) if may_read(version, caller)]

    # --- writing ----------------------------------------------------------------------------------------------

    def put(
        self,
        cube: MemCube,
        caller: Caller,
        *,
        operation: str,
        terms: Iterable[str],
        vector: Vectors | None,
        key: str | None = None,
    ) -> Future[Receipt]:
        """Store a version; the future is done when it is durable. A version above 1 was fetched for WRITE before.

        Raises:
            AccessDeniedError: Another tenant's namespace, somebody else's name, or more readers than a source has.
        """
        foreign = cube.tenant != caller.by.tenant
        if foreign or (cube.version == 1 and cube.governance.owner != caller.by.subject):
            reason = "one writes only in one's own tenant and name"
            self._deny(cube, Verb.WRITE, operation, reason, caller)
            raise AccessDeniedError(f"{caller.by.subject} may not write this cube: {reason}.")
        self._check_sources(cube, caller, operation)
        put = Put(cube, subjects_for(Verb.READ, cube.governance), tuple(terms), vector, key)
        entry = _record(operation, caller, cube=cube)
        event = CubeWritten(
            at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=caller.by.subject, version=cube.version
        )
        return self._vault.submit(Transaction((put,), (entry,), (event,)))

    def erase(self, cube: MemCube, caller: Caller) -> tuple[list[MemCube], Receipt]:
        """Take a cube fetched for DELETE out of the vault, with every cube derived from it; gives what was erased.

        Raises:
            LegalHoldError: The cube, or one derived from it, is under legal hold. Nothing was erased.
        """
        doomed = [cube, *self._derived(cube)]
        for each in doomed:
            if each.governance.legal_hold:
                self._deny(each, Verb.DELETE, "forget", "legal hold", caller)
                raise LegalHoldError(f"Cube {each.id!r} is under legal hold: nothing was forgotten.")
        receipt = self._vault.submit(
            Transaction(
                changes=tuple(Erase(each.id) for each in doomed),
                audit=tuple(_record("forget", caller, cube=each) for each in doomed),
                events=tuple(
                    CubeErased(at=caller.now, tenant=each.tenant, cube_id=each.id, actor=caller.by.subject)
                    for each in doomed
                ),
            )
        ).result()
        return doomed, receipt

    def traces(self, cube_id: str) -> dict[str, int]:
        """What the vault still holds of a cube, per place: all zero after `erase`."""
        return self._vault.traces(cube_id)

    def known(self, key: str, caller: Caller) -> str | None:
        """The id of the cube that was written with this key in the caller's tenant."""
        return self._vault.find_key(caller.by.tenant, key)

    # --- vectors: a derivative of what was written; nothing leaves the vault ------------------------------------

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Let the vault remember its embedder, or refuse another (see `Vault.bind_embedder`)."""
        self._vault.bind_embedder(identity)

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector; for re-embedding only."""
        return self._vault.unembedded(limit)

    def put_vectors(self, cubes: Sequence[MemCube], vectors: Vectors) -> None:
        """Give cubes the vectors that they lack; a cube that changed meanwhile is left for the next round."""
        for cube, vector in zip(cubes, vectors, strict=True):
            try:
                self._vault.submit(Transaction((PutVector(cube.id, cube.version, vector),))).result()
            except (VersionConflictError, CubeNotFoundError):
                continue

    # --- accounting ---------------------------------------------------------------------------------------------

    def log(self, query: LogQuery, caller: Caller) -> list[AuditEntry]:
        """Audit entries of the caller's tenant: all for the roles admin and auditor, else the caller's own deeds.

        Raises:
            AccessDeniedError: The query names another tenant.
        """
        if query.tenant != caller.by.tenant:
            self._submit(_record("audit", caller, denied="another tenant's log"))
            raise AccessDeniedError("One reads only the audit log of one's own tenant.")
        if not caller.by.subjects & {ADMIN_ROLE, AUDITOR_ROLE}:
            query = query.model_copy(update={"actor": caller.by.subject})
        entries = self._vault.log(query)
        self._submit(_record("audit", caller, detail={"entries": len(entries)}))
        return entries

    def verify_audit(self) -> AuditReport:
        """Walk the whole audit chain; see `Vault.verify_audit`."""
        return self._vault.verify_audit()

    def close(self) -> None:
        """Close the vault."""
        self._vault.close()

    # --- parts --------------------------------------------------------------------------------------------------

    def _derived(self, cube: MemCube) -> list[MemCube]:
        found: dict[str, MemCube] = {}
        frontier = [cube.id]
        while frontier:
            edges = self._vault.pointing_at(cube.tenant, frontier)
            sources = dict.fromkeys(edge.source for edge in edges if edge.relation == "derived_from")
            frontier = [source for source in sources if source != cube.id and source not in found]
            found.update((each.id, each) for each in self._vault.get(cube.tenant, frontier))
        return list(found.values())

    def _check_sources(self, cube: MemCube, caller: Caller, operation: str) -> None:
        for ref in cube.provenance.derived_from:
            source = self.fetch(ref.id, Verb.READ, caller, operation=operation)
            theirs = subjects_for(Verb.READ, source.governance)
            if EVERYONE not in theirs and not subjects_for(Verb.READ, cube.governance) <= theirs:
                reason = f"its source {ref.id!r} has fewer readers"
                self._deny(cube, Verb.WRITE, operation, reason, caller)
                raise AccessDeniedError(f"A derived memory obeys its sources, but {reason}. Narrow its readers.")

    def _deny(self, cube: MemCube, verb: Verb, operation: str, reason: str, caller: Caller) -> None:
        entry = _record(operation, caller, denied=reason, about=cube.id)
        event = AccessDenied(
            at=caller.now, tenant=caller.by.tenant, cube_id=cube.id, actor=caller.by.subject, verb=verb
        )
        self._vault.submit(Transaction((), (entry,), (event,))).result()

    def _submit(self, entry: AuditRecord) -> None:
        self._vault.submit(Transaction((), (entry,))).result()


def _moved(cube: MemCube, after: State, caller: Caller) -> CubeMoved:
    actor = caller.by.subject
    return CubeMoved(at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=actor, before=cube.state, after=after)


def _record(
    operation: str,
    caller: Caller,
    *,
    cube: MemCube | None = None,
    about: str | None = None,
    denied: str | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditRecord:
    """An audit record in the caller's tenant, with digests and names only."""
    return AuditRecord(
        at=caller.now,
        tenant=caller.by.tenant,
        actor=caller.by.subject,
        operation=operation,
        outcome=Outcome.ALLOWED if denied is None else Outcome.DENIED,
        reason=denied or "",
        cube_id=cube.id if cube else about,
        version=cube.version if cube else None,
        owner=cube.governance.owner if cube else None,
        digest=cube.digest if cube else None,
        purpose=caller.context.purpose,
        application=caller.context.application,
        detail=detail,
    )
