"""MemGovernance: the doorway to storage. Every read and write is decided here, and recorded.

The only holder of a vault. What a principal may see is compiled into the query before the best k are picked, and each
row that comes back is decided again on its own header, so that a stale or damaged index can miss, never leak. Allowed
and denied alike are recorded. A call that writes, or is denied, returns only when its record is durable; how long a
read waits for its record is said by `ReadAudit`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import BinaryIO, NamedTuple

from memos_integrations.core.abandoned import keep_what_was_read
from memos_integrations.core.access import ADMIN_ROLE, Caller, Verb, is_own
from memos_integrations.core.aftermath import check_dying
from memos_integrations.core.cube import BlobRef, CubeRef, MemCube, PlaintextPayload, TrustLabel
from memos_integrations.core.cube.values import check_carriable
from memos_integrations.core.errors import (
    AccessDeniedError,
    AlreadyRememberedError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.gatekeeping import GatedWriting
from memos_integrations.core.lifecycle import check_change, check_transition
from memos_integrations.core.policy import Engine
from memos_integrations.core.ports import (
    AuditRecord,
    Change,
    Durability,
    Expect,
    Put,
    Receipt,
    Stage,
    Transaction,
    Vault,
    Vectors,
)
from memos_integrations.core.records import (
    Instead,
    NewVersion,
    Steps,
    entries_of,
    erasure,
    events_of,
    joined,
    passed,
    record_of,
    told_of,
)  # fmt: skip
from memos_integrations.core.ruling import RESERVED, rules_cube, rules_id, said_in

ALONE = Transaction()
"""Nothing else becomes true together with what is written."""


class Erased(NamedTuple):
    """What an erasure took out, what is derived before its sources; the ids of repeats in it; and what came back."""

    cubes: tuple[MemCube, ...]
    repeats: tuple[str, ...]
    returned: tuple[MemCube, ...]
    receipt: Receipt


class MemGovernance(GatedWriting):
    """Access, audit and erasure over one vault (paper §5.5.1)."""

    def put(
        self,
        cube: MemCube,
        caller: Caller,
        *,
        operation: str,
        terms: Iterable[str],
        vector: Vectors | None,
        key: str | None = None,
        beside: Container[str] = (),
        durability: Durability | None = None,
    ) -> Future[Receipt]:
        """Store a version, which above 1 was fetched for WRITE before; the future is done when it is durable.

        `beside` are the ids that the caller is writing in the same batch, and may therefore replace.

        Raises:
            AccessDeniedError: Another tenant's namespace, somebody else's name, or more readers than a source has.
        """
        version = NewVersion(cube, caller, tuple(terms), vector, key, beside)
        return self.put_many([version], operation=operation, durability=durability)

    def put_many(
        self,
        versions: Sequence[NewVersion],
        *,
        operation: str,
        durability: Durability | None = None,
        first: Transaction = ALONE,
    ) -> Future[Receipt]:
        """Store versions, all or none, each with its own audit record and event: the way to write in bulk.

        A few hundred to a call: then a group of them shares one commit and few statements. *first*, which `erasing`
        gave, becomes true with them.

        Raises:
            AccessDeniedError: See `put`. Nothing was stored.
        """
        transaction = self._transaction(versions, operation, first)
        if first is not ALONE:
            transaction = joined(first, transaction)
        self._reads.send()
        return self._told(self._vault.submit(transaction, durability=durability))

    def put_whole(
        self, pages: Iterable[Sequence[NewVersion]], *, operation: str, first: Transaction = ALONE
    ) -> Receipt:
        """As `put_many`, for more versions than fit in memory: page by page, but all in one commit, or none.

        Raises:
            AccessDeniedError, VaultError: See `put` and `Vault.submit_whole`. Nothing was stored.
        """
        self._reads.flush()
        then = (self._transaction(page, operation, first) for page in pages)
        receipt = self._vault.submit_whole(then if first is ALONE else chain([first], then))
        self._news.ring()
        return receipt

    def _told(self, writing: Future[Receipt]) -> Future[Receipt]:
        writing.add_done_callback(self._news.ring)
        return writing

    def _transaction(self, versions: Sequence[NewVersion], operation: str, first: Transaction = ALONE) -> Transaction:
        for version in versions:
            self._check_put(version, operation)
        changes = tuple([change for version in versions for change in self._changes(version)])
        told = Transaction(changes, *told_of(versions, operation))
        later = tuple([version for version in versions if version.cube.version > 1])
        if later:
            after = self.aftermath.of(Steps(later), later[0].caller, operation=operation)
            told = joined(told, passed(after.without(first), later[0].caller))
        return told

    def change(
        self, steps: Steps, caller: Caller, *, operation: str, durability: Durability | None = None
    ) -> Future[Receipt]:
        """Store versions and pass cubes to other states, all or none, with their records; the one way of a lifecycle.

        Every move is in the table of `lifecycle.TRANSITIONS`, or it is refused here; a cube that meanwhile changed or
        moved refuses the whole at the commit.

        Raises:
            AccessDeniedError, LegalHoldError, IllegalTransitionError: A step is not allowed. Nothing was changed.
        """
        for version in steps.versions:
            self._check_put(version, operation)
        for cube, after in steps.moves:
            if cube.tenant != caller.by.tenant:
                raise AccessDeniedError("One moves only cubes of one's own tenant.")
            if cube.governance.legal_hold:
                raise LegalHoldError(f"Cube {cube.id!r} is under legal hold: it may be neither changed nor moved.")
            check_transition(cube, after)
        changes: list[Change] = [change for version in steps.versions for change in self._changes(version)]
        changes += [Expect(ref.id, ref.version) for ref in steps.expected]
        entries = entries_of(steps, caller, operation)
        events = tuple(event for each in steps.versions for event in events_of(each))
        self._reads.send()
        then = passed(self.aftermath.of(steps, caller, operation=operation), caller)
        transaction = joined(Transaction(tuple(changes), entries, events), joined(passed(steps, caller), then))
        return self._told(self._vault.submit(transaction, durability=durability))

    def staged(self, over: Callable[[Vault, str], Stage], caller: Caller) -> Stage:
        """A stage over the vault, for changes in the caller's tenant that become true together; see `commit`."""
        self._reads.flush()
        return over(self._vault, caller.by.tenant)

    def commit(self, stage: Stage, record: AuditRecord) -> Receipt:
        """Make what is staged true, with a record of the whole: one transaction, durable on return.

        Everything in it was decided by a governance over the stage.

        Raises:
            VersionConflictError, CubeNotFoundError, AlreadyRememberedError, StillDerivedError: What it builds on was
                changed meanwhile. Nothing was changed.
        """
        pending = stage.pending()
        self._reads.send()
        return self._told(self._vault.submit(replace(pending, audit=(*pending.audit, record)))).result()

    def abandon(self, stage: Stage, record: AuditRecord, *, uses: bool = True) -> None:
        """Let go of what is staged; what was read and refused, and *record*, go into the log, *uses* off licences."""
        keep_what_was_read(self._vault, stage, record, uses=uses)

    def _check_put(self, version: NewVersion, operation: str) -> None:
        cube, caller = version.cube, version.caller
        reach = self._releasing.tenant or cube.tenant  # in a stage no rules of others are known
        foreign, new = {cube.tenant} != {caller.by.tenant, reach}, cube.version == 1
        if foreign or (new and (cube.governance.owner != caller.by.subject or cube.id.startswith(RESERVED))):
            reason = "one writes only in one's own tenant and name"
            self._deny(cube, Verb.WRITE, operation, reason, caller)
            raise AccessDeniedError(f"{caller.by.subject} may not write this cube: {reason}.")
        if cube.trust.label is TrustLabel.VERIFIED and not self.duties.vouched(cube, caller, operation):
            self._deny(cube, Verb.WRITE, operation, "nobody verifies their own memory", caller)
            raise AccessDeniedError("Words are not written as verified; write them, and let a verifier verify them.")
        if isinstance(cube.payload, PlaintextPayload) and cube.payload.value is not None:
            check_carriable(cube.payload.value)
        if not new and self._sight.would_lose(cube, caller):
            raise AccessDeniedError("What is seen in part is not written: what a rule keeps back would be lost.")
        if caller.policy is not None or (new and self.gate is not None):
            self._check_let_in(cube, caller, operation)
        # Later versions are read, and refused, with their sources as they then are.
        if new and (cube.provenance.derived_from or cube.provenance.links):
            self._check_sources(version, operation)

    def erase(self, cube_id: str, caller: Caller, instead: Instead | None = None) -> Erased:
        """Take a cube that the caller may delete out of the vault, with all that is derived from it, and its repeats.

        What was decided holds at the commit: a hold set or a cube derived in between makes it decide again. What was
        merged away for the sake of what goes comes back, see `Aftermath`. *instead* is stored in the same commit.

        Raises:
            VersionConflictError: Others changed it fifty times in a row.
            LegalHoldError, IllegalTransitionError: It, or what would go with it, is on hold or frozen; nothing is gone.
        """
        self._reads.flush()
        for _ in range(50):
            cube = self.fetch(cube_id, Verb.DELETE, caller, operation="forget")
            doomed = self.aftermath.doomed(cube, caller)
            self._check_erasable(cube, doomed.cubes, caller)
            if instead is not None and instead.of != cube.version:
                break
            after = self.aftermath.of(Steps(), caller, operation="forget", erased=doomed.cubes)
            told = joined(erasure(doomed.cubes, caller), passed(after, caller))
            if instead is not None:
                told = joined(told, self._transaction([instead.version], "redact"))
            try:
                receipt = self._told(self._vault.submit(told)).result()
            except (VersionConflictError, CubeNotFoundError, StillDerivedError):
                continue
            return Erased(tuple(doomed.cubes), doomed.repeats, tuple(each for each, _ in after.moves), receipt)
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def closure(self, cube_id: str, caller: Caller) -> list[MemCube]:
        """A cube that the caller may delete and all that would be erased with it, what is derived before its sources.

        Raises:
            CubeNotFoundError, AccessDeniedError, LegalHoldError, IllegalTransitionError: As `erase`.
        """
        cube = self.fetch(cube_id, Verb.DELETE, caller, operation="forget")
        doomed = self.aftermath.doomed(cube, caller).cubes
        self._check_erasable(cube, doomed, caller)
        return doomed

    def erasing(self, doomed: Sequence[MemCube], caller: Caller) -> Transaction:
        """What takes out cubes that `closure` gave, and brings back what was merged away for their sake, yet to do."""
        after = self.aftermath.of(Steps(), caller, operation="forget", erased=doomed)
        return joined(erasure(doomed, caller), passed(after, caller))

    def adopted(self, policy: Engine | None, caller: Caller) -> MemCube:
        """Keep other rules for the caller's tenant, on record; the cube in which they are kept.

        Raises:
            AccessDeniedError: The caller is no admin.
            VersionConflictError: Others changed them fifty times in a row.
        """
        for _ in range(50):
            before = self.rules(caller.by.tenant)
            after = None if policy is None else policy.revision
            detail = {"before": said_in(before)[1], "after": after, "rules": [] if policy is None else policy.says}
            if ADMIN_ROLE not in caller.by.subjects:
                self._submit(record_of("policy", caller, denied="only an admin changes the rules", detail=detail))
                raise AccessDeniedError("Only the role admin may change the policy.")
            cube = rules_cube(policy, before, caller)
            record = record_of("policy", caller, cube=cube, detail=detail)
            try:
                self._vault.submit(Transaction((Put(cube, cube.governance.read_by),), (record,))).result()
            except (VersionConflictError, AlreadyRememberedError):
                continue
            return cube
        raise VersionConflictError(rules_id(caller.by.tenant), 0, 0)

    def rules(self, tenant: str) -> MemCube | None:
        """The cube in which the rules of a tenant are kept; None where it never adopted any."""
        return next(iter(self._vault.get(tenant, [rules_id(tenant)])), None)

    def current(self, tenant: str, refs: Collection[CubeRef]) -> set[CubeRef]:
        """Those of *refs* that the present versions of their cubes still say. No word of them leaves the vault."""
        found = self._vault.get(tenant, list(dict.fromkeys(ref.id for ref in refs)))
        return self.aftermath.still_said(refs, found)

    def check_own(self, cube: MemCube, verb: Verb, caller: Caller, *, operation: str) -> None:
        """Refuse what only the owner of a cube may do with it; a refusal is recorded.

        Raises:
            AccessDeniedError: The cube is somebody else's.
        """
        if not is_own(cube, caller):
            reason = "only its owner grants a licence"
            self._deny(cube, verb, operation, reason, caller)
            raise AccessDeniedError(f"You may not {operation} cube {cube.id!r} so: {reason}.")

    def check_apart(self, cubes: Sequence[MemCube], caller: Caller, *, operation: str) -> None:
        """Refuse who vouches for what they own, wrote, or wrote the source of; a refusal is recorded.

        Raises:
            AccessDeniedError: One of the cubes is such.
        """
        for cube in cubes:
            if self.duties.wrote(cube, caller):
                self._deny(cube, Verb.WRITE, operation, "conflict of duties", caller)
                raise AccessDeniedError(
                    f"You wrote memory {cube.id!r}, or a source of it: let somebody else vouch for it."
                )

    def put_blob(self, source: bytes | BinaryIO, media_type: str) -> BlobRef:
        """Store bytes that a cube is about to name; see `Vault.put_blob`."""
        return self._vault.put_blob(source, media_type)

    def collect_blobs(self, now: datetime, grace: timedelta) -> int:
        """Remove blobs that no cube names; nothing leaves the vault. See `Vault.collect_blobs`."""
        return self._vault.collect_blobs(now, grace)

    def scrub(self, now: datetime, *, gently: bool = False) -> int:
        """Overwrite what is left of what was erased; nothing leaves the vault. See `Vault.scrub`."""
        return self._vault.scrub(now, gently=gently)

    # --- parts --------------------------------------------------------------------------------------------------

    def _check_erasable(self, cube: MemCube, doomed: Sequence[MemCube], caller: Caller) -> None:
        try:
            check_change(cube)
        except (LegalHoldError, IllegalTransitionError) as exc:
            self._deny(cube, Verb.DELETE, "forget", type(exc).__name__, caller)
            raise
        if self.duties.held(doomed, caller):
            self._deny(cube, Verb.DELETE, "forget", "conflict of duties", caller)
            raise AccessDeniedError(
                "Whoever put this memory under legal hold, or lifted the hold, does not erase it: let somebody else."
            )
        try:
            check_dying([each for each in doomed if each.id != cube.id], [cube], caller)
        except (LegalHoldError, IllegalTransitionError) as exc:
            self._deny(cube, Verb.DELETE, "forget", type(exc).__name__, caller)
            raise
