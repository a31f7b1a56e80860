"""MemOS: the front hall, where the ports meet the parts that fill them.

Every door (LangChain, LangGraph, LlamaIndex, the command line) comes in here; the walk of a prompt is
`read -> plan -> execute`, and `recall` is the three in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self, Unpack

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.accounting import Accounting
from memos_integrations.core.asked import aware, known_id
from memos_integrations.core.asking import Asking
from memos_integrations.core.attributing import Attributing
from memos_integrations.core.carrying import Carrying
from memos_integrations.core.computing import Computing
from memos_integrations.core.conversation import Conversation
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import AlreadyRememberedError, InvalidMemoryError
from memos_integrations.core.guarding import Guarding
from memos_integrations.core.interchange import Seal, SignatureCheck
from memos_integrations.core.moving import Moving
from memos_integrations.core.operator import (
    ErasureReceipt,
    IngestReport,
    MemoryChanges,
    MemoryOptions,
    Progress,
    blob_of,
    changes_by_part,
    draft_memory,
    draft_message,
    finished,
)
from memos_integrations.core.pipeline.branching import Branching
from memos_integrations.core.policy import Engine
from memos_integrations.core.ports import Durability, Embedder, ErasureWitness, KeyProvider, Receipt, Stage, Vault


class MemOS(Accounting, Asking, Branching, Computing, Carrying, Guarding, Moving, Attributing):
    """One memory for many principals, over one vault. Thread-safe; a context manager.

    Args:
        vault: Where the truth is kept. `MemOS.open(path)` makes one in a file.
        embedder: Finds by meaning as well as by words. None is fine: recall is lexical then.
        reranker: Orders the best 50 anew, by reading question and memory together. When it fails, recall fails.
        reader, scheduler: The first two steps of the walk; pass your own to change them.
        count_tokens: Counts the tokens of a text for budgets; the default is an estimate.
        clock: Gives the present; pass a fixed one in tests.
        read_audit: `batched` (default) or `strict`: whether a read waits for its record in the audit log. See
            `ReadAudit` for what a crash can take away.
        gate: `WriteGate()` looks at every text before it is embedded and stored, takes secrets out and sets orders to a
            model apart, turns of a chat too. Default: nothing does.
        trust: What recall does with what is not trusted; see `TrustGate`.
        policy: The application's rules for every tenant, over the wall that always stands; see `policy.py`. What a
            tenant adopted (`adopt_policy`) is kept in the vault, and holds beside them.
        conflicts: Decides on writing what contradicts or repeats an older memory; `ConflictRules()` needs no model.

    Raises:
        EmbedderMismatchError: The vault was filled with another embedder.
    """

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | None = None,
        durability: Durability | str = Durability.COMMIT,
        keys: KeyProvider | None = None,
        blinded: bool = False,
        **rest: Any,
    ) -> Self:
        """MemOS over a vault in a folder or `.db` file at *path*, made if it is not there.

        *durability* is what acknowledged writes survive where the call does not say; see `Durability`.
        *keys* encrypt it, *blinded* its vectors too; see `SQLiteVault`.

        Raises:
            VaultKeyError: It is encrypted, and *keys* are none or not its own.
            VaultError: The file cannot be read or written, is damaged, or is not a vault.
            EmbedderMismatchError: The vault was filled with another embedder.
        """
        from memos_integrations.vaults.sqlite import SQLiteVault

        with ExitStack() as undo:
            vault = SQLiteVault(path, durability=durability, keys=keys, blinded=blinded)
            undo.callback(vault.close)
            opened = cls(vault, embedder=embedder, **rest)
            undo.pop_all()
        return opened

    def _stage(self, vault: Vault, tenant: str) -> Stage:
        from memos_integrations.vaults.staged import StagedVault

        return StagedVault(vault, tenant)

    def _engine_of(self, kind: str, words: str) -> Engine | None:
        if kind != "cedar":
            return super()._engine_of(kind, words)
        from memos_integrations.backends.cedar import CedarPolicy

        return CedarPolicy(words)

    def _signature_check(self) -> SignatureCheck:
        from memos_integrations.backends.signing import ed25519_signed

        return ed25519_signed

    def _seal(self) -> Seal:
        from memos_integrations.backends.sealing_key import seal

        return seal

    # --- one memory ---------------------------------------------------------------------------------------------

    def remember(
        self,
        text: str,
        *,
        by: Principal,
        context: CallContext | None = None,
        key: str | None = None,
        blob: str | Path | bytes | BinaryIO | None = None,
        media_type: str | None = None,
        **options: Unpack[MemoryOptions],
    ) -> MemCube:
        """Write a memory of *by*; durable on return.

        It is tagged, its entities are found, it is linked to the message before it in its thread, and to the memory
        that it replaces when it says that something changed.

        A *blob* (a path, bytes, or a binary stream) is kept beside it, with the text as its caption; see `read_blob`.

        Raises:
            IdentityError: *by* is not a principal.
            InvalidMemoryError: Empty, too large, invalid Unicode, naive times, unknown options.
            AccessDeniedError: Another tenant's namespace, or more readers than a source has.
        """
        caller = self._caller(by, context)
        draft, beside = draft_memory(text, caller, options), blob_of(blob, media_type)
        cube, written = self._writer.remember(draft, caller, key=key, blob=beside)
        try:
            if written is not None:
                written.result()
        except AlreadyRememberedError:
            return self._writer.known(key, caller) or cube
        return cube

    def update(
        self,
        cube_id: str,
        *,
        by: Principal,
        text: str | None = None,
        expected_version: int | None = None,
        context: CallContext | None = None,
        **changes: Unpack[MemoryChanges],
    ) -> MemCube:
        """Write the next version of a cube: other words, or other header fields. The old version stays in the history.

        What it had retired is asked about again: it comes back where the new words do not contradict it, or, where the
        memory is given an end, stands again after that. Of what was merged into it see `core.aftermath`. A fact in
        other words holds from now on, unless *valid_from* is said: `valid_at` an earlier time the old words are given.

        Raises:
            CubeNotFoundError, AccessDeniedError: *by* may not know of it, or not change it.
            VersionConflictError: The cube is not at *expected_version* (only when one is given).
            LegalHoldError, IllegalTransitionError: It is on hold or frozen, or something derived from it is.
        """
        parts, caller = changes_by_part(changes), self._caller(by, context)
        what: dict[str, Any] = {"text": text, "changes": parts, "expected_version": expected_version}
        return self._reviewed(known_id(cube_id), lambda m: m._writer.update(cube_id, caller, **what), by, context)

    def forget(
        self, cube_id: str, *, by: Principal, context: CallContext | None = None, proof: ErasureWitness | None = None
    ) -> ErasureReceipt:
        """Erase a cube and what was derived from it, everywhere. Verified; a receipt says what; *proof* attests it.

        Its repeats go with it: what said the same and had been merged into it. What had been merged away for the sake
        of what goes is recalled again: to forget a merged memory gives its sources back. What it had retired stays so.

        Raises:
            CubeNotFoundError, AccessDeniedError: *by* may not know of it, or not delete it.
            LegalHoldError, IllegalTransitionError: It, or something that would go with it, is under legal hold or
                frozen; the error names what. Nothing was erased.
        """
        return self._writer.forget(known_id(cube_id), self._caller(by, context), proof)

    def collect_blobs(self, grace: timedelta = timedelta(days=1)) -> int:
        """Remove blobs that were stored longer than *grace* ago and that no memory names; how many."""
        return self._governance.collect_blobs(self._clock(), grace)

    def scrub(self, now: datetime | None = None, *, gently: bool = False) -> int:
        """Overwrite the copies of erased memories that may be left in the vault's file; how many erasures still wait.

        `forget` overwrites what it erases where it stands, and SQLite keeps copies of rows that it moved. `tick` does
        this *gently*: for files up to 64 MB, at most once a day up to 1 GB; for larger ones call it at a quiet hour.

        Raises:
            VaultError: There is not enough memory or disk: as much as the file is large, and twice that.
        """
        return self._governance.scrub(aware(now) or self._clock(), gently=gently)

    # --- many ---------------------------------------------------------------------------------------------------

    def remember_many(
        self,
        texts: Iterable[str],
        *,
        by: Principal,
        context: CallContext | None = None,
        **options: Unpack[MemoryOptions],
    ) -> list[MemCube]:
        """Write many memories of *by*, in the order given, all with the same `MemoryOptions`; durable on return.

        Much faster than `remember`: 512 to a transaction, whole or not at all; what is before one that raises stands.
        """
        if isinstance(texts, str):
            raise InvalidMemoryError("remember_many takes several texts; use remember for one.")
        caller = self._caller(by, context)
        return self._writer.remember_many((draft_memory(text, caller, options) for text in texts), caller)

    def ingest(
        self,
        conversation: Conversation,
        *,
        by: Principal,
        context: CallContext | None = None,
        progress: Progress | None = None,
        again: bool = False,
        **options: Unpack[MemoryOptions],
    ) -> IngestReport:
        """Remember every message of a conversation once, as a memory of *by*; durable batch by batch.

        A message marked private is *by*'s alone; one with readers of its own keeps them; the others get *options*.
        What was ingested and then forgotten stays forgotten, unless *again* says that it may come back.
        `progress(done, total)` is called after each batch. With `conflicts=`, each batch is judged once it is written.
        """
        caller = self._caller(by, context)
        if not isinstance(conversation, Conversation):
            raise InvalidMemoryError(f"ingest takes a Conversation, not {type(conversation).__name__}.")
        draft = partial(draft_message, conversation=conversation, caller=caller, options=options)
        return self._writer.ingest(conversation, caller, draft=draft, progress=progress, again=again)

    def embed_missing(self, progress: Progress | None = None) -> int:
        """Give a vector to every cube written without one (before this vault had an embedder); how many."""
        return self._writer.embed_missing(finished, progress)

    # --- in an event loop: the same, without blocking it --------------------------------------------------------

    async def aremember(
        self,
        text: str,
        *,
        by: Principal,
        context: CallContext | None = None,
        key: str | None = None,
        blob: str | Path | bytes | BinaryIO | None = None,
        media_type: str | None = None,
        **options: Unpack[MemoryOptions],
    ) -> MemCube:
        """`remember`, awaiting the write's future. If it is cancelled, the write may have happened: use a key."""
        caller = self._caller(by, context, ruled=False)
        draft, beside = draft_memory(text, caller, options), blob_of(blob, media_type)  # ids in the order of the calls

        def put() -> tuple[MemCube, Future[Receipt] | None]:
            ruled = self._ruled(caller)  # the rules of a tenant are read now and then
            return self._writer.remember(draft, ruled, key=key, blob=beside)

        cube, written = await self._off_loop(put)
        try:
            if written is not None:
                await asyncio.wrap_future(written)
        except AlreadyRememberedError:
            return await self._off_loop(self._writer.known, key, caller) or cube
        return cube

    async def aremember_many(self, texts: Iterable[str], *, by: Principal, **how: Any) -> list[MemCube]:
        """`remember_many`, off the loop."""
        return await self._off_loop(self.remember_many, texts, by=by, **how)

    async def aupdate(self, cube_id: str, *, by: Principal, **what: Any) -> MemCube:
        """`update`, off the loop."""
        return await self._off_loop(self.update, cube_id, by=by, **what)

    async def aforget(self, cube_id: str, *, by: Principal, **how: Any) -> ErasureReceipt:
        """`forget`, off the loop."""
        return await self._off_loop(self.forget, cube_id, by=by, **how)

    async def amay_read(
        self, cube_ids: Iterable[str], *, by: Principal, context: CallContext | None = None
    ) -> set[str]:
        """`may_read`, in the read pool."""
        return await self._off_loop(self.may_read, cube_ids, by=by, context=context)

    async def aingest(self, conversation: Conversation, *, by: Principal, **how: Any) -> IngestReport:
        """`ingest`, off the loop."""
        return await self._off_loop(self.ingest, conversation, by=by, **how)
