"""Memory that is computed from memory: keys and values, adapters."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, is_own
from memos_integrations.core.costs import Spent
from memos_integrations.core.cube import ActivationPayload, CubeRef, MemCube, ModelFingerprint, ParameterPayload
from memos_integrations.core.errors import CubeNotFoundError, IllegalTransitionError, LegalHoldError
from memos_integrations.core.operator import draft_activation, draft_parameter
from memos_integrations.core.operator.relearning import Learner, learnt_record
from memos_integrations.core.operator.tiering import Former
from memos_integrations.core.operator.write import Draft
from memos_integrations.core.ports import AuditRecord, Derivative
from memos_integrations.core.records import record_of
from memos_integrations.core.walk import Walk

TENSORS = "application/vnd.safetensors"


class Computing(Walk):
    """What stores of computed memory ask of the engine: cubes that are derived, and go with their sources."""

    def attach(self, derivative: Derivative, *, learner: Learner | None = None, former: Former | None = None) -> None:
        """Let a store of derived memory obey its sources: from now on, and for all that it holds already.

        What was forgotten or changed while it was not attached is erased from it here. By *learner*, `tick` learns
        again what does not stand any more; by *former*, it gives memories the form that costs least.
        """
        self._check_open()
        held: dict[str, set[CubeRef]] = {}
        for tenant, ref in derivative.sources():
            held.setdefault(tenant, set()).add(ref)
        stale = {ref for tenant, refs in held.items() for ref in refs - self._governance.current(tenant, refs)}
        if stale:
            later = [CubeRef(id=ref.id, version=ref.version + 1) for ref in stale]
            derivative.drop({ref.id for ref in stale}, later)
        self._writer.derivatives.append(derivative)
        if learner is not None:
            self._relearning.learners.append(learner)
        if former is not None:
            self._tierer.formers.append(former)

    def keep_activation(
        self,
        content: bytes | BinaryIO,
        sources: Sequence[MemCube],
        *,
        token_count: int,
        token_ids_digest: str,
        key: str,
        fingerprint: ModelFingerprint,
        by: Principal,
        trigger: str | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """Keep computed keys and values as an activation cube of *by*, derived from *sources*; durable on return.

        Readable by whoever may read every source, erased with the first of them. *key* names model, tenant and
        tokens, salted, so that nobody learns from it what others keep. *trigger* says why it is made.

        Raises:
            InvalidMemoryError: No sources, or not plaintext.
            AccessDeniedError, CubeNotFoundError: *by* may not read a source, or it changed meanwhile.
        """
        caller = self._caller(by, context)
        blob = self._governance.put_blob(content, TENSORS)
        payload = ActivationPayload(
            segments=(blob,), token_ids_digest=token_ids_digest, token_count=token_count, fingerprint=fingerprint
        )
        draft = draft_activation(payload, sources, caller, trigger=trigger)
        kept = Spent(model=fingerprint.model, model_calls=0, stored_bytes=blob.size)
        told = record_of("model", caller, about=draft.cube.id, detail=kept.model_dump(mode="json"))
        return self._activated(draft, caller, f"kv:{key}", told)

    def _activated(self, draft: Draft, caller: Caller, key: str, told: AuditRecord) -> MemCube:
        """The cube put, or the one with its key; one of the caller's own whose sources went on makes room for it."""
        try:
            return self._writer.activate(draft, caller, key=key, records=(told,))
        except CubeNotFoundError:
            cube_id = self._governance.known(key, caller)
            there = None if cube_id is None else self._governance.held([cube_id], caller).get(cube_id)
            if there is None or not is_own(there, caller) or not self._governance.went_on([there], caller):
                raise
            with suppress(LegalHoldError, IllegalTransitionError):
                self._writer.forget(there.id, caller)
            return self._writer.activate(draft, caller, key=key, records=(told,))

    def find_activation(self, key: str, *, by: Principal, context: CallContext | None = None) -> MemCube | None:
        """The activation cube with this key, if there is one and *by* may read it and its sources are as they were."""
        caller = self._caller(by, context)
        cube_id = self._governance.known(f"kv:{key}", caller)
        found = self._governance.readable([cube_id], caller, verb=Verb.USE_IN_PROMPT) if cube_id else []
        return found[0] if found else None

    def keep_parameter(
        self,
        content: bytes | BinaryIO,
        sources: Sequence[MemCube],
        *,
        base: ModelFingerprint,
        training: Any,
        by: Principal,
        replaces: str | None = None,
        trigger: str | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """Keep an adapter as a parameter cube of *by*, derived from *sources*, with its gate report; durable on return.

        *replaces* is the id of the one in whose place it stands, *trigger* says why it is made.

        Raises:
            InvalidMemoryError: No sources, or one that may not be trained on.
            AccessDeniedError, CubeNotFoundError: *by* may not train on a source, or it changed meanwhile.
        """
        caller = self._caller(by, context)
        blob = self._governance.put_blob(content, TENSORS)
        payload = ParameterPayload(adapter=blob, base=base, training=training)
        key = f"lora:{blob.digest}"
        draft = draft_parameter(payload, sources, caller, trigger=trigger)
        told = learnt_record(draft.cube, caller, replaces=replaces)
        return self._writer.activate(draft, caller, key=key, operation="distil", records=(told,))
