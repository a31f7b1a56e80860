"""The gate at the doorway: what did not pass it is not stored, and what was set apart is reached by few, on record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO, NoReturn

from memos_integrations.core.access import (
    ADMIN_ROLE,
    EVERYONE,
    READING,
    VERIFIER_ROLE,
    Caller,
    Verb,
    is_elsewhere,
    is_own,
    ruled_out,
    subjects_for,
)
from memos_integrations.core.cube import MemCube, Relation, State, Tier
from memos_integrations.core.delivering import GovernedDelivery
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    RefusedByGateError,
    VersionConflictError,
)
from memos_integrations.core.gate import Ruling
from memos_integrations.core.ports import (
    AuditEntry,
    AuditRecord,
    Change,
    CubeFilter,
    EmbedderIdentity,
    LogQuery,
    Outcome,
    PutVector,
    Transaction,
    Use,
    VaultQuery,
    Vectors,
)
from memos_integrations.core.records import NewVersion, alarms, changes_of, record_of


def gone_elsewhere(cube_id: str, caller: Caller) -> AuditRecord:
    """The record that a cube of the caller's was erased elsewhere, so that it does not come back."""
    record = record_of("forget", caller, about=cube_id, detail={"elsewhere": True})
    return record.model_copy(update={"owner": caller.by.subject})


class GatedWriting(GovernedDelivery):
    """`GovernedReading`, with what the gate decides; `MemGovernance` adds the writes."""

    tokens_of: Callable[[MemCube], bytes | None] | None = None
    """What a token embedder told of the words of a cube that is about to be written; None without such an embedder."""

    def _check_let_in(self, cube: MemCube, caller: Caller, operation: str) -> None:
        """Whatever way it came: no rule forbids to write what it is to be, and a new text was brought before the gate.

        What it was is asked when it is fetched for writing.
        """
        if caller.policy is not None:
            reason = caller.policy.refusal(cube, Verb.WRITE, caller)
            if reason is not None:
                self._deny(cube, Verb.WRITE, operation, reason, caller)
                raise AccessDeniedError(f"You may not write this memory: {reason}. Nothing was stored.")
        if self.gate is None or cube.version > 1 or not cube.text:
            return
        verdict = self.gate.examine(cube.text, cube.trust.channel, tenant=cube.tenant)
        apart = verdict.ruling is Ruling.QUARANTINE and cube.trust.quarantined
        if (
            verdict.text != cube.text
            or verdict.ruling is Ruling.REFUSE
            or (verdict.ruling is Ruling.QUARANTINE and not apart)
        ):
            raise RefusedByGateError("This text did not pass the write gate before it was put; nothing was stored.")

    def refuse(self, cube: MemCube, caller: Caller, verdict: dict[str, Any]) -> NoReturn:
        """Record that the gate refused a text, and raise.

        Raises:
            RefusedByGateError: Always.
        """
        entries = [record_of("gate", caller, denied=verdict["reason"], about=cube.id, detail=verdict)]
        if verdict.get("alarm"):
            entries.append(record_of("alarm", caller, about=cube.id, detail=verdict))
        self._reads.send()
        self._vault.submit(Transaction((), tuple(entries), alarms(cube, caller, verdict))).result()
        raise RefusedByGateError(f"The write gate refused this memory: {verdict['reason']}. Nothing was stored.")

    def note_alarm(self, cube: MemCube, caller: Caller, verdict: dict[str, Any]) -> None:
        """Record that the source of a memory goes beyond what is usual, and tell of it."""
        entry = record_of("alarm", caller, cube=cube, detail=verdict)
        self._reads.send()
        self._vault.submit(Transaction((), (entry,), alarms(cube, caller, verdict))).result()

    def note_redaction(self, found: dict[str, Any], caller: Caller) -> None:
        """Record that the caller looked for what a gate would take out of a memory; counts, no words."""
        self._submit(record_of("redact_dry_run", caller, about=found["cube_id"], detail=found))

    def in_tenant(self, cube_ids: Sequence[str], caller: Caller) -> list[MemCube]:
        """Cubes of the caller's tenant, also those in quarantine: for whoever vouches for them.

        Raises:
            AccessDeniedError: The caller is neither verifier nor admin.
            CubeNotFoundError: One of them does not exist.
        """
        if not caller.by.subjects & {ADMIN_ROLE, VERIFIER_ROLE}:
            raise AccessDeniedError("Only the roles verifier and admin reach every memory of a tenant.")
        found = self._vault.get(caller.by.tenant, cube_ids)
        missing = set(cube_ids) - {cube.id for cube in found}
        if missing:
            raise CubeNotFoundError(min(missing))
        return found

    def quarantined(self, caller: Caller, *, everything: bool) -> list[MemCube]:
        """The caller's cubes in quarantine, or *everything* in the tenant; recorded."""
        self._reads.flush()
        ids: dict[str, None] = {}
        query = LogQuery(tenant=caller.by.tenant, operation="quarantine", limit=10_000)
        while entries := self._vault.log(query):
            ids |= {entry.record.cube_id: None for entry in entries if entry.record.cube_id}
            query = query.model_copy(update={"after": entries[-1].number})
        mine = caller.by.subject
        found = [
            cube
            for cube in self._vault.get(caller.by.tenant, list(ids))
            if cube.trust.quarantined and (everything or cube.governance.owner == mine)
        ]
        found = [cube for cube in found if ruled_out(cube, Verb.READ, caller) is None]
        self._submit(record_of("review", caller, detail={"cubes": [cube.id for cube in found][:100]}))
        return self._sight.shown(found, caller)

    def everyones(self, caller: Caller, *, operation: str) -> dict[str, list[str]]:
        """The ids of what is kept in the caller's tenant, by owner, as the log tells; for an admin, and on record.

        Raises:
            AccessDeniedError: The caller is no admin.
        """
        if ADMIN_ROLE not in caller.by.subjects:
            self.note_denied(operation, "only an admin does this for others", caller)
            raise AccessDeniedError(f"Only the role admin may {operation} what others own.")
        self._reads.flush()
        ids: dict[str, None] = {}
        query = LogQuery(tenant=caller.by.tenant, outcome=Outcome.ALLOWED, limit=10_000)
        while entries := self._vault.log(query):
            ids |= {entry.record.cube_id: None for entry in entries if entry.record.cube_id}
            query = query.model_copy(update={"after": entries[-1].number})
        owned: dict[str, list[str]] = {}
        for cube in self._vault.get(caller.by.tenant, list(ids)):
            owned.setdefault(cube.governance.owner, []).append(cube.id)
        told = {"owners": {owner: len(cubes) for owner, cubes in sorted(owned.items())[:1000]}}
        self._submit(record_of(operation, caller, detail=told))
        return owned

    def note_denied(self, operation: str, reason: str, caller: Caller) -> None:
        """Record that the caller was refused something that is about no single cube."""
        self._submit(record_of(operation, caller, denied=reason))

    def accounted(self, detail: dict[str, Any], caller: Caller) -> None:
        """Record what a model did for the caller, like a read: it waits for nothing."""
        self._reads.record(Transaction((), (record_of("model", caller, detail=detail),)))

    def carried(self, cubes: Sequence[MemCube], caller: Caller, recipient: str) -> None:
        """Record, durably, that *cubes* are about to leave the vault for another system, and for whom."""
        detail = {"recipient": recipient, "cubes": [cube.id for cube in cubes]}
        self._submit(record_of("export", caller, detail=detail))

    def lifecycle_log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries that a lifecycle decides by; no words are in them, and none are handed out."""
        self._reads.send()
        return self._vault.log(query)

    def looked(self, uses: Sequence[Use]) -> None:
        """Note in memories when they were last looked up, as the log tells; durable on return."""
        if uses:
            self._vault.submit(Transaction(tuple(uses))).result()

    def walk(
        self, wanted: CubeFilter, caller: Caller, *, page: int, left: Callable[[MemCube], object] | None = None
    ) -> Iterator[list[MemCube]]:
        """All that the caller may read and that is wanted, page by page; see `Vault.walk`.

        What they see in part is left out: elsewhere nobody would know that it is not the whole. Nothing is recorded
        yet: what leaves is recorded with `carried`. *left* is told of the caller's own that are for other purposes
        or applications.
        """
        states = (wanted.states or frozenset(State)) - {State.EXPIRED}
        self._reads.wait_for_uses()
        if states:
            sight = replace(self._sight.of(caller, wanted), anywhere=left is not None)
            for cubes in self._vault.walk(replace(wanted, states=states), sight, page=page):
                for cube in cubes if left is not None else ():
                    if left is not None and is_elsewhere(cube, caller):
                        left(cube)
                found = self._released(cubes, caller)
                whole = zip(found, self._sight.shown(found, caller), strict=True)
                yield [cube for cube, shown in whole if shown is cube]

    def elsewhere(self, ids: Collection[str], wanted: CubeFilter, caller: Caller) -> list[MemCube]:
        """Those of *ids* that are the caller's own and wanted, and for other purposes or applications only."""
        if not ids:
            return []
        asked = VaultQuery(k=sys.maxsize, filter=replace(wanted, ids=tuple(ids)))
        found = self._vault.search(asked, replace(self._sight.of(caller, wanted), anywhere=True))
        return [match.cube for match in found.matches if is_elsewhere(match.cube, caller)]

    # --- for what governs itself: unrecorded, and no word of it leaves the vault ---------------------------------

    def own(self, cube_id: str, verb: Verb, caller: Caller, *, operation: str) -> MemCube | None:
        """A cube of the caller's own, whatever its context or age; None when it is gone or somebody else's.

        Raises:
            AccessDeniedError: The policy keeps its owner from doing *verb* with it; that is on record.
        """
        found = self._vault.get(caller.by.tenant, [cube_id])
        if not found or not is_own(found[0], caller):
            return None
        refused = ruled_out(found[0], verb, caller)
        if refused is not None:
            self._deny(found[0], verb, operation, refused, caller)
            raise AccessDeniedError(f"You own this memory, but a rule keeps you from it: {refused}.")
        return self._sight.shown(found, caller)[0] if verb in READING else found[0]

    def held(self, ids: Sequence[str], caller: Caller) -> dict[str, MemCube]:
        """The cubes of these ids in the caller's tenant, whoever's they are."""
        return {cube.id: cube for cube in self._vault.get(caller.by.tenant, ids)}

    def went_on(self, computed: Sequence[MemCube], caller: Caller) -> list[MemCube]:
        """Those of computed memories whose sources are at another version by now: they are never given again."""
        named = dict.fromkeys(ref.id for cube in computed for ref in cube.provenance.derived_from)
        now = {cube.ref for cube in self.held(list(named), caller).values()}
        return [cube for cube in computed if not now.issuperset(cube.provenance.derived_from)]

    def whole(self, ids: Sequence[str], caller: Caller, *, own: bool) -> list[MemCube]:
        """The cubes of these ids of which no rule keeps anything from the caller, for carrying them.

        Of their *own* in whatever context and age; else of what they may read.
        """
        held = self._vault.get(caller.by.tenant, ids)
        mine = [cube for cube in held if ruled_out(cube, Verb.READ, caller) is None]
        found = mine if own else self._released(held, caller)
        return [cube for cube, shown in zip(found, self._sight.shown(found, caller), strict=True) if shown is cube]

    def own_versions(self, cube_id: str, caller: Caller) -> list[MemCube]:
        """Every version of a cube of the caller's own, oldest first, whatever its context; for carrying it only."""
        found = self._vault.history(caller.by.tenant, cube_id)
        return found if found and found[-1].governance.owner == caller.by.subject else []

    def open_own_blob(self, cube_id: str, number: int, caller: Caller) -> BinaryIO:
        """A blob of a cube of the caller's own, whatever its context; for carrying it only.

        Raises:
            CubeNotFoundError: The cube is gone, or somebody else's.
            AccessDeniedError: The policy keeps it from its owner.
        """
        cube = self.own(cube_id, Verb.READ, caller, operation="export")
        if cube is None or number >= len(cube.blobs):
            raise CubeNotFoundError(cube_id)
        return self._vault.open_blob(cube.blobs[number])

    def traces(self, cube_id: str) -> dict[str, int]:
        """What the vault still holds of a cube, per place: all zero after `erase`."""
        return self._vault.traces(cube_id)

    def known(self, key: str, caller: Caller) -> str | None:
        """The id of the cube that was written with this key in the caller's tenant."""
        return self._vault.find_key(caller.by.tenant, key)

    def forgotten(self, keys: Sequence[str], caller: Caller) -> set[str]:
        """Those of the keys whose cube was forgotten in the caller's tenant."""
        return self._vault.forgotten(caller.by.tenant, keys)

    def was_forgotten(self, cube_id: str, caller: Caller) -> bool:
        """Whether a cube of this id was erased here, or is known to have been erased elsewhere."""
        return bool(self.forgotten_of([cube_id], caller))

    def forgotten_of(self, ids: Sequence[str], caller: Caller) -> set[str]:
        """Those of at most 10,000 ids of which a cube was erased here, or is known to have been erased elsewhere."""
        asked = LogQuery(
            tenant=caller.by.tenant, cube_ids=tuple(ids), operation="forget", outcome=Outcome.ALLOWED, limit=10_000
        )
        entries = self._vault.log(asked) if ids else ()
        return {entry.record.cube_id for entry in entries if entry.record.cube_id is not None}

    def note_forgotten(self, cube_id: str, caller: Caller) -> None:
        """Record that a cube of the caller's was erased elsewhere, so that it does not come back."""
        self._submit(gone_elsewhere(cube_id, caller))

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector; for re-embedding only."""
        return self._vault.unembedded(limit)

    def put_vectors(self, cubes: Sequence[MemCube], vectors: Vectors) -> None:
        """Give cubes the vectors that they lack; a cube that changed meanwhile is left for the next round."""
        futures = [
            self._vault.submit(Transaction((PutVector(cube.id, cube.version, vector, self._tokens(cube)),)))
            for cube, vector in zip(cubes, vectors, strict=True)
        ]
        for future in futures:
            with suppress(VersionConflictError, CubeNotFoundError):
                future.result()

    # --- vectors: a derivative of what was written; nothing leaves the vault ------------------------------------

    def tokens(self, cubes: Sequence[MemCube], caller: Caller) -> dict[str, bytes]:
        """The token vectors that the vault keeps of *cubes*, which the caller was let read; see `Vault.tokens`."""
        return self._vault.tokens(caller.by.tenant, [cube.ref for cube in cubes])

    def _tokens(self, cube: MemCube) -> bytes | None:
        return None if self.tokens_of is None else self.tokens_of(cube)

    def _changes(self, version: NewVersion) -> tuple[Change, ...]:
        """What stores a version, with the token vectors of its words where it has a vector."""
        if self.tokens_of is not None and version.vector is not None:
            version = version._replace(tokens=self.tokens_of(version.cube))
        return changes_of(version)

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Let the vault remember its embedder, or refuse another (see `Vault.bind_embedder`)."""
        self._vault.bind_embedder(identity)

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that the vault remembers."""
        return self._vault.embedder()

    def _check_sources(self, version: NewVersion, operation: str) -> None:
        cube, caller = version.cube, version.caller
        for ref in cube.provenance.derived_from:
            source = version.sources.get(ref.id) or self.fetch(ref.id, Verb.READ, caller, operation=operation)
            if cube.tier is not Tier.PLAINTEXT and self._sight.is_partial(ref.id, caller):
                reason = f"a rule keeps a part of its source {ref.id!r} from you"
                self._deny(cube, Verb.WRITE, operation, reason, caller)
                raise AccessDeniedError(f"Nothing is computed from what is seen in part: {reason}.")
            theirs = subjects_for(Verb.READ, source.governance)
            ours = subjects_for(Verb.READ, cube.governance) - {cube.governance.owner}
            if EVERYONE not in theirs and not ours <= theirs:
                reason = f"its source {ref.id!r} has fewer readers"
                self._deny(cube, Verb.WRITE, operation, reason, caller)
                raise AccessDeniedError(f"A derived memory obeys its sources, but {reason}. Narrow its readers.")
        for link in cube.provenance.links:
            if link.relation is Relation.SUPERSEDES and link.target not in version.beside:
                self.fetch(link.target, Verb.WRITE, caller, operation=operation)
