"""The write side of the MemOperator: link, embed, put, revise, erase, ingest.

Embedding happens outside the transaction; the transaction itself is the vault's. Nothing here waits longer than the
vault needs: `remember` gives a future, so that one caller can block on it and another await it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from memos_integrations.core.access import Caller, Verb, may_read
from memos_integrations.core.asked import whole
from memos_integrations.core.conflict import ConflictJudge, ConflictRules, read_with
from memos_integrations.core.conflict.marks import marked
from memos_integrations.core.conflict.rules import JUDGED
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import CubeRef, MemCube, Relation, unique
from memos_integrations.core.errors import AlreadyRememberedError, EmbeddingError, VaultError, VersionConflictError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import admitted, on_terms
from memos_integrations.core.operator.blob import Blob, captioned
from memos_integrations.core.operator.bulk import put_in_bulk
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.ingest import Ingestion, Progress
from memos_integrations.core.operator.inheriting import drawn_key, inherited, only_new, said_already, sources_of
from memos_integrations.core.operator.receipts import ErasureReceipt, IngestReport
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.revising import begins_now, revising, written_by
from memos_integrations.core.operator.settling import Settling
from memos_integrations.core.operator.write import (
    Draft,
    followed,
    replaces,
    revised,
    says_change,
    scoped_key,
    search_text,
    supersede,
)
from memos_integrations.core.ports import (
    AuditRecord,
    CubeFilter,
    Derivative,
    ErasureWitness,
    Receipt,
    VaultQuery,
    Vectors,
)
from memos_integrations.core.records import Instead, NewVersion, Steps

BATCH = 64
MAX_RETRIES = 100
MAX_LOOKUP_TERMS = 32


class CubeWriter:
    """Writes cubes through governance."""

    def __init__(self, governance: MemGovernance, embedding: Embedding, judge: ConflictJudge | None = None) -> None:
        self._governance = governance
        self._embedding = embedding
        self._judge = None if judge is None else read_with(judge, embedding.embedder)
        self.derivatives: list[Derivative] = []
        """Stores outside the vault that go with their sources."""
        settles = judge is not None
        by = self._judge or read_with(ConflictRules(), embedding.embedder)
        self.resolver = Resolver(governance, embedding, by, self.dropped, settles=settles)
        self.settling = self.resolver if settles else None
        """It, where a judge was given: then what is written is held against what is there."""

    def dropped(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> None:
        """Let every store of derived memory erase what was made from these cubes; see `Derivative.drop`."""
        for derivative in self.derivatives:
            derivative.drop(cube_ids, now)

    # --- one memory ---------------------------------------------------------------------------------------------

    def remember(
        self, draft: Draft, caller: Caller, *, key: str | None, blob: Blob | None = None
    ) -> tuple[MemCube, Future[Receipt] | None]:
        """Put a new cube; no future when the key had been written before (then the cube of then is returned).

        What only repeats another is not written twice, see `said_already`.
        The bytes of *blob* are durable before the cube that names them is queued.
        """
        if (known := self.known(key, caller)) is not None:
            return known, None
        if blob is None:
            if (said := said_already(draft, caller, self._governance, keyed=key is not None)) is not None:
                return said, None
            if key is None and (key := drawn_key(draft.cube)) and (known := self.known(key, caller)) is not None:
                return known, None
        else:
            with blob.opened() as source:
                draft = captioned(draft, self._governance.put_blob(source, blob.media_type))
        draft = admitted(self._inherited(draft, caller), caller, self._governance)
        draft = self._linked(draft, caller, recent=())
        if self._judge is not None:
            try:
                decided = self.resolver.remember(draft, caller, None if key is None else scoped_key(key, caller))
            except AlreadyRememberedError:
                return self.known(key, caller) or draft.cube, None
            if decided is not None:
                return decided, None
        vector = self._embedding.written([draft.text])
        return draft.cube, self._put(draft, caller, None if vector is None else vector[0], key=key)

    def _settled(self, cubes: Sequence[MemCube], caller: Caller) -> None:
        """Decide about memories that were just written in bulk."""
        if self._judge is not None:
            Settling(self._governance, self._embedding, self._judge, self.resolver, self.dropped).run(cubes, caller)

    def activate(
        self,
        draft: Draft,
        caller: Caller,
        *,
        key: str,
        operation: str = "activate",
        records: tuple[AuditRecord, ...] = (),
    ) -> MemCube:
        """Put a cube of computed memory, durable on return; where its tenant has one with this key, that, if readable.

        *records* are written with it.

        Raises:
            CubeNotFoundError: There is one, and the caller may not read it.
        """
        try:
            steps = Steps(versions=(NewVersion(draft.cube, caller, key=key),), records=records)
            self._governance.change(steps, caller, operation=operation).result()
        except AlreadyRememberedError as exc:
            return self._governance.read(exc.cube_id, caller)
        return draft.cube

    def known(self, key: str | None, caller: Caller) -> MemCube | None:
        """The caller's cube that was written with this key; AccessDeniedError where a rule keeps it from its owner."""
        cube_id = self._known(key, caller)
        return None if cube_id is None else self._governance.own(cube_id, Verb.READ, caller, operation="remember")

    def update(
        self,
        cube_id: str,
        caller: Caller,
        *,
        text: str | None,
        changes: dict[str, dict[str, Any]],
        expected_version: int | None,
    ) -> MemCube:
        """Write the next version, durable on return.

        Without *expected_version* the change is applied to whatever is the current version, again when somebody else
        was faster; every version stays in the history.

        Raises:
            VersionConflictError: The cube is not at *expected_version*.
        """
        if expected_version is not None:
            whole("expected_version", expected_version)
        for _ in range(MAX_RETRIES):
            cube = self._governance.fetch(cube_id, Verb.WRITE, caller, operation="update")
            if expected_version not in (None, cube.version):
                raise VersionConflictError(cube_id, expected_version or 0, cube.version)
            check_change(cube)
            if set(changes["governance"]) - {"priority"}:
                self._governance.fetch(cube_id, Verb.SHARE, caller, operation="update")
            if "licence" in changes["governance"]:
                self._governance.check_own(cube, Verb.SHARE, caller, operation="update")
            draft = begins_now(revised(cube, caller.now, text=text, changes=changes), cube, caller.now, changes)
            draft = written_by(draft, caller) if text is not None else draft
            looked_at = text is not None or changes["descriptive"]
            draft = admitted(draft, caller, self._governance) if looked_at else on_terms(draft, caller)
            steps = revising(cube, draft, caller, self.resolver, self._embedding)
            try:
                self._governance.change(steps, caller, operation="update", durability=draft.durability).result()
            except VersionConflictError:
                if expected_version is not None:
                    raise
                continue
            self._embedding.drop([search_text(cube)] if search_text(cube) != draft.text else [])
            self.dropped([each.cube.id for each in steps.versions], steps.written)
            state = next((after for _, after in steps.moves), cube.state)
            return steps.versions[0].cube.model_copy(update={"state": state})
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def forget(
        self, cube_id: str, caller: Caller, proof: ErasureWitness | None = None, *, instead: Instead | None = None
    ) -> ErasureReceipt:
        """Erase a cube, its repeats and what was derived from it, look whether anything is left, and say what went.

        With *proof* it is attested; `unseen` in the note are cubes derived after the look: erased, but not looked for.

        Raises:
            LegalHoldError: It is under legal hold; nothing was erased.
            VaultError: Something is left; the receipt would be a lie.
        """
        before = self._governance.traces(cube_id)
        closure = [] if proof is None else [each.id for each in self._governance.closure(cube_id, caller)]
        seen = None if proof is None else proof.look(closure)
        done = self._governance.erase(cube_id, caller, instead)
        doomed = done.cubes
        self._embedding.drop([search_text(each) for each in doomed])
        if self._governance.gate is not None:
            self._governance.gate.forget()
        gone = {each.id for each in doomed}
        remaining: dict[str, int] = {}
        if self.derivatives:
            before["derivatives"] = sum(each.drop(gone) for each in self.derivatives)
            remaining["derivatives"] = sum(ref.id in gone for each in self.derivatives for _, ref in each.sources())
        for each in doomed:
            for place, count in self._governance.traces(each.id).items():
                remaining[place] = remaining.get(place, 0) + count
        left = {place: count for place, count in remaining.items() if count and place != "files"}
        told = [each.id for each in doomed if each.id != cube_id and may_read(each, caller)]
        if left:
            raise VaultError(f"Cube {cube_id!r} was erased, but something is left of it: {left}.")
        said: dict[str, Any] = {"at": caller.now.isoformat(), "commit": done.receipt.commit, "cubes": len(doomed)}
        said["unseen"] = len({each.id for each in doomed}.difference(closure))
        return ErasureReceipt(
            cube_id=cube_id,
            derived=tuple(each for each in told if each not in done.repeats),
            repeats=tuple(each for each in told if each in done.repeats),
            returned=tuple(each.id for each in done.returned if may_read(each, caller)),
            erased=before,
            remaining=remaining,
            at=caller.now,
            commit=done.receipt.commit,
            proof="" if proof is None else proof.attest(seen, said),
            salt="" if seen is None else seen.salt.hex(),
        )

    def hold(self, cube_id: str, caller: Caller, *, held: bool) -> CubeRef:
        """Put a cube under legal hold, or lift it: a new version that differs in nothing else."""
        while True:
            cube = self._governance.fetch(cube_id, Verb.ADMIN, caller, operation="hold")
            draft = revised(cube, caller.now, text=None, changes={"governance": {"legal_hold": held}})
            vector = self._embedding.written([draft.text])
            try:
                self._put(
                    draft, caller, None if vector is None else vector[0], operation="hold" if held else "release"
                ).result()
            except VersionConflictError:
                continue
            return draft.cube.ref

    # --- many ---------------------------------------------------------------------------------------------------

    def remember_many(self, drafts: Iterable[Draft], caller: Caller) -> list[MemCube]:
        """Put new cubes, many to a transaction, durable on return; see `put_in_bulk`, `only_new`."""
        given: list[MemCube | str] = []

        def linked(draft: Draft, recent: Sequence[Draft]) -> Draft:
            return self._linked(
                admitted(self._inherited(draft, caller), caller, self._governance), caller, recent=recent
            )

        fresh = only_new(drafts, caller, self._governance, given)
        cubes = put_in_bulk(fresh, caller, linked, self._embedding, self._governance)
        self._settled(cubes, caller)
        written = {cube.id: cube for cube in cubes}
        return [written[each] if isinstance(each, str) else each for each in given]

    def ingest(
        self,
        conversation: Conversation,
        caller: Caller,
        *,
        draft: Callable[[Message], Draft],
        progress: Progress | None,
        again: bool = False,
    ) -> IngestReport:
        """Write every message once, see `Ingestion`; durable batch by batch."""

        def linked(draft: Draft, recent: Sequence[Draft]) -> Draft:
            return self._linked(admitted(draft, caller, self._governance), caller, recent=recent)

        judged = partial(self._settled, caller=caller)
        made = Ingestion(conversation, caller, draft, linked, judged, self._embedding, self._governance, again)
        return made.run(progress)

    def embed_missing(self, drafts: Callable[[MemCube], Draft], progress: Progress | None) -> int:
        """Give every cube without a vector one; the number of vectors made."""
        made = 0
        while cubes := self._governance.unembedded(BATCH):
            vectors = self._embedding.written([drafts(cube).text for cube in cubes])
            if vectors is None:
                raise EmbeddingError("No embedder was given to MemOS; there is nothing to embed with.")
            self._governance.put_vectors(cubes, vectors)
            made += len(cubes)
            if progress is not None:
                progress(made, made)
        return made

    # --- parts --------------------------------------------------------------------------------------------------

    def _put(
        self,
        draft: Draft,
        caller: Caller,
        vector: Vectors | None,
        *,
        operation: str = "remember",
        key: str | None = None,
        beside: Collection[str] = (),
    ) -> Future[Receipt]:
        scoped = None if key is None else scoped_key(key, caller)
        version = NewVersion(draft.cube, caller, draft.terms, vector, scoped, beside, verdict=draft.verdict)
        return self._governance.put_many([version], operation=operation, durability=draft.durability)

    def _known(self, key: str | None, caller: Caller) -> str | None:
        return None if key is None else self._governance.known(scoped_key(key, caller), caller)

    def _linked(self, draft: Draft, caller: Caller, *, recent: Sequence[Draft]) -> Draft:
        """The draft with its links: the message before it in its thread, and what it replaces."""
        cube = draft.cube
        follows = any(link.relation is Relation.FOLLOWS for link in cube.provenance.links)
        if cube.provenance.thread_id and not follows:
            scope = CubeFilter(thread_id=cube.provenance.thread_id, session_id=cube.provenance.session_id)
            latest = self._governance.search(VaultQuery(k=1, filter=scope), caller).matches
            draft = followed(draft, latest[0].cube.id if latest else None)
        if self._judge is not None and cube.descriptive.semantic_type in JUDGED:
            return replace(draft, cube=marked(draft.cube))
        if not says_change(cube.text):
            return draft
        older = [each.cube for each in recent] + self._similar(draft, caller)
        replaced = [each for each in older if _said_at(each) < _said_at(cube) and replaces(draft, each)]
        mine = [each for each in replaced if each.governance.owner == caller.by.subject]
        return supersede(draft, max(mine, key=_said_at)) if mine else draft

    def _similar(self, draft: Draft, caller: Caller) -> list[MemCube]:
        speaker = draft.cube.provenance.speaker
        scope = CubeFilter(namespace=draft.cube.namespace, speakers=(speaker,) if speaker else ())
        found = self._governance.search(
            VaultQuery(k=5, terms=unique(draft.terms)[:MAX_LOOKUP_TERMS], filter=scope), caller
        )
        return [match.cube for match in found.matches]

    def _inherited(self, draft: Draft, caller: Caller) -> Draft:
        """A derived memory is no more trusted, and lives no longer, than its sources."""
        return inherited(draft, sources_of(draft, caller, self._governance))


def _said_at(cube: MemCube) -> datetime:
    return cube.provenance.occurred_at or cube.descriptive.created_at
