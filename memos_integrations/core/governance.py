"""MemGovernance: the doorway to storage. Every read and write is decided here, and recorded.

The only holder of a vault. What a principal may see is compiled into the query before the best k are picked, and each
row that comes back is decided again on its own header, so that a stale or damaged index can miss, never leak. Allowed
and denied alike are recorded, and a call returns only when its record is durable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from memos_integrations.core.access import (
    ADMIN_ROLE,
    AUDITOR_ROLE,
    EVERYONE,
    IN_CONTEXT,
    VERIFIER_ROLE,
    Caller,
    Verb,
    decide,
    may_read,
    subjects_for,
)
from memos_integrations.core.cube import MemCube, Relation, State, TrustLabel
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.events import AccessDenied, CubeWritten
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.ports import (
    AuditEntry,
    AuditRecord,
    AuditReport,
    EmbedderIdentity,
    Expect,
    Found,
    LogQuery,
    Move,
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
from memos_integrations.core.records import denied, erasure, moved, record

NAMED_IN_LOG = 100
"""How many ids one audit record of a look-up names."""


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
        given = {cube.id for cube in self._released([match.cube for match in found.matches], caller)}
        allowed = tuple(match for match in found.matches if match.cube.id in given)
        return Found(allowed, found.visible - (len(found.matches) - len(allowed)), found.how)

    def hand_out(self, cubes: Sequence[MemCube], caller: Caller, *, recall_id: str, detail: dict[str, Any]) -> None:
        """Record that a recall gave *cubes* to the caller: one audit record, and a use of each cube.

        A cube that is used for the first time becomes ACTIVATED (paper §5.4.3).
        """
        uses = tuple(Use(cube.id, caller.now, recall_id) for cube in cubes)
        entry = record("recall", caller, detail={**detail, "recall": recall_id, "cubes": [c.id for c in cubes]})
        fresh = [cube for cube in cubes if cube.state is State.GENERATED]
        moves = tuple(Move(cube.id, State.GENERATED, State.ACTIVATED) for cube in fresh)
        events = tuple(moved(cube, State.ACTIVATED, caller) for cube in fresh)
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
        readable = bool(self._released(found, caller))
        if found and (readable or verb not in IN_CONTEXT):
            decision = decide(found[0], verb, caller)
            if decision.allowed:
                return found[0]
            if readable:
                self._deny(found[0], verb, operation, decision.reason, caller)
                raise AccessDeniedError(f"You may not {verb} cube {cube_id!r}: {decision.reason}.")
        # One record for what is absent and for what is hidden: one's own log is no oracle either.
        events = (denied(found[0], verb, caller),) if found else ()
        self._submit(record(operation, caller, denied="no cube that one may read", about=cube_id), events)
        raise CubeNotFoundError(cube_id)

    def read(self, cube_id: str, caller: Caller, *, operation: str = "read") -> MemCube:
        """The current version of a cube that the caller may read; recorded.

        Raises:
            CubeNotFoundError: It does not exist, or the caller may not know that it does.
        """
        cube = self.fetch(cube_id, Verb.READ, caller, operation=operation)
        self._submit(record(operation, caller, cube=cube))
        return cube

    def readable(
        self, ids: Sequence[str], caller: Caller, *, verb: Verb = Verb.READ, operation: str = "read"
    ) -> list[MemCube]:
        """Those of *ids* with which the caller may do *verb* (one that gives the words away), in order.

        One audit record counts the given and the refused, and names the first hundred of each.
        """
        found = self._released(self._vault.get(caller.by.tenant, ids), caller)
        allowed = [cube for cube in found if decide(cube, verb, caller).allowed]
        given = {cube.id for cube in allowed}
        refused = sorted({*ids} - given)
        detail = {
            "given": len(given),
            "refused": len(refused),
            "given_ids": sorted(given)[:NAMED_IN_LOG],
            "refused_ids": refused[:NAMED_IN_LOG],
        }
        self._submit(record(operation, caller, detail=detail))
        return allowed

    def superseded(self, cubes: Sequence[MemCube], caller: Caller) -> dict[str, str]:
        """For those of *cubes* that a cube which the caller may read supersedes: the id of that cube.

        It counts only where the newer one belongs to somebody who may write the older one.
        """
        tenant = caller.by.tenant
        older = {cube.id: cube for cube in cubes}
        edges = [edge for edge in self._vault.pointing_at(tenant, list(older)) if edge.relation == "supersedes"]
        sources = self._vault.get(tenant, list(dict.fromkeys(edge.source for edge in edges)))
        owners = {cube.id: cube.governance.owner for cube in self._released(sources, caller)}
        return {
            edge.target: edge.source
            for edge in edges
            if owners.get(edge.source) in subjects_for(Verb.WRITE, older[edge.target].governance)
        }

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
        beside: Collection[str] = (),
    ) -> Future[Receipt]:
        """Store a version; the future is done when it is durable. A version above 1 was fetched for WRITE before.

        `beside` are the ids that the caller is writing in the same batch, and may therefore replace.

        Raises:
            AccessDeniedError: Another tenant's namespace, somebody else's name, or more readers than a source has.
        """
        foreign = cube.tenant != caller.by.tenant
        if foreign or (cube.version == 1 and cube.governance.owner != caller.by.subject):
            reason = "one writes only in one's own tenant and name"
            self._deny(cube, Verb.WRITE, operation, reason, caller)
            raise AccessDeniedError(f"{caller.by.subject} may not write this cube: {reason}.")
        if cube.trust.label is TrustLabel.VERIFIED and not caller.by.subjects & {ADMIN_ROLE, VERIFIER_ROLE}:
            self._deny(cube, Verb.WRITE, operation, "nobody verifies their own memory", caller)
            raise AccessDeniedError("Only the roles admin and verifier may write a memory as verified.")
        self._check_sources(cube, caller, operation, beside)
        expected = tuple(Expect(ref.id, ref.version) for ref in cube.provenance.derived_from)
        put = Put(cube, subjects_for(Verb.READ, cube.governance), tuple(terms), vector, key)
        entry = record(operation, caller, cube=cube)
        event = CubeWritten(
            at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=caller.by.subject, version=cube.version
        )
        return self._vault.submit(Transaction((*expected, put), (entry,), (event,)))

    def erase(self, cube_id: str, caller: Caller) -> tuple[list[MemCube], Receipt]:
        """Take a cube that the caller may delete out of the vault, with every cube derived from it.

        Gives what was erased, the asked one last. What was decided holds at the commit: a hold set or a cube derived
        in between makes it decide again.

        Raises:
            LegalHoldError: The cube, or one derived from it, is under legal hold. Nothing was erased.
            IllegalTransitionError: The cube is frozen.
        """
        while True:
            cube = self.fetch(cube_id, Verb.DELETE, caller, operation="forget")
            doomed = [*reversed(self._derived(cube)), cube]
            self._check_erasable(cube, doomed, caller)
            try:
                return doomed, self._vault.submit(erasure(doomed, caller)).result()
            except (VersionConflictError, CubeNotFoundError, StillDerivedError):
                continue

    def traces(self, cube_id: str) -> dict[str, int]:
        """What the vault still holds of a cube, per place: all zero after `erase`."""
        return self._vault.traces(cube_id)

    def known(self, key: str, caller: Caller) -> str | None:
        """The id of the cube that was written with this key in the caller's tenant."""
        return self._vault.find_key(caller.by.tenant, key)

    def own(self, cube_id: str, caller: Caller) -> MemCube | None:
        """A cube of the caller's own, whatever its context or age; None when it is gone or somebody else's."""
        found = self._vault.get(caller.by.tenant, [cube_id])
        return found[0] if found and found[0].governance.owner == caller.by.subject else None

    # --- vectors: a derivative of what was written; nothing leaves the vault ------------------------------------

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Let the vault remember its embedder, or refuse another (see `Vault.bind_embedder`)."""
        self._vault.bind_embedder(identity)

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that the vault remembers."""
        return self._vault.embedder()

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
            self._submit(record("audit", caller, denied="another tenant's log"))
            raise AccessDeniedError("One reads only the audit log of one's own tenant.")
        if not caller.by.subjects & {ADMIN_ROLE, AUDITOR_ROLE}:
            query = query.model_copy(update={"actor": caller.by.subject})
        entries = self._vault.log(query)
        self._submit(record("audit", caller, detail={"entries": len(entries)}))
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

    def _released(self, cubes: Sequence[MemCube], caller: Caller) -> list[MemCube]:
        """Those that the caller may read, and whose sources are as they were and may be read too (promise 3)."""
        readable = [cube for cube in cubes if may_read(cube, caller)]
        wanted = list(dict.fromkeys(ref.id for cube in readable for ref in cube.provenance.derived_from))
        if not wanted:
            return readable
        sources = self._released(self._vault.get(caller.by.tenant, wanted), caller)
        valid = {source.ref for source in sources}
        return [cube for cube in readable if valid.issuperset(cube.provenance.derived_from)]

    def _check_sources(self, cube: MemCube, caller: Caller, operation: str, beside: Collection[str]) -> None:
        for ref in cube.provenance.derived_from:
            source = self.fetch(ref.id, Verb.READ, caller, operation=operation)
            theirs = subjects_for(Verb.READ, source.governance)
            ours = subjects_for(Verb.READ, cube.governance) - {cube.governance.owner}
            if EVERYONE not in theirs and not ours <= theirs:
                reason = f"its source {ref.id!r} has fewer readers"
                self._deny(cube, Verb.WRITE, operation, reason, caller)
                raise AccessDeniedError(f"A derived memory obeys its sources, but {reason}. Narrow its readers.")
        for link in cube.provenance.links:
            if link.relation is Relation.SUPERSEDES and cube.version == 1 and link.target not in beside:
                self.fetch(link.target, Verb.WRITE, caller, operation=operation)

    def _check_erasable(self, cube: MemCube, doomed: Sequence[MemCube], caller: Caller) -> None:
        try:
            check_change(cube)
        except (LegalHoldError, IllegalTransitionError) as exc:
            self._deny(cube, Verb.DELETE, "forget", type(exc).__name__, caller)
            raise
        held = [each for each in doomed if each.governance.legal_hold]
        if held:
            self._deny(held[0], Verb.DELETE, "forget", "legal hold", caller)
            raise LegalHoldError("Something derived from this cube is under legal hold: nothing was forgotten.")

    def _deny(self, cube: MemCube, verb: Verb, operation: str, reason: str, caller: Caller) -> None:
        self._submit(record(operation, caller, denied=reason, about=cube.id), (denied(cube, verb, caller),))

    def _submit(self, entry: AuditRecord, events: tuple[AccessDenied, ...] = ()) -> None:
        self._vault.submit(Transaction((), (entry,), events)).result()
