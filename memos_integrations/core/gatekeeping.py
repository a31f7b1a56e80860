"""The gate at the doorway: what did not pass it is not stored, and what was set apart is reached by few, on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from memos_integrations.core.access import ADMIN_ROLE, VERIFIER_ROLE, Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.delivering import GovernedDelivery
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, RefusedByGateError
from memos_integrations.core.gate import Ruling
from memos_integrations.core.ports import LogQuery
from memos_integrations.core.records import record_of


class GatedWriting(GovernedDelivery):
    """`GovernedReading`, with what the gate decides; `MemGovernance` adds the writes."""

    def _check_gated(self, cube: MemCube) -> None:
        """Whatever way a new text came: what the gate would not let through as it is was not brought before it."""
        if self.gate is None or cube.version > 1 or not cube.text:
            return
        verdict = self.gate.examine(cube.text, cube.trust.channel)
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
        self._submit(record_of("gate", caller, denied=verdict["reason"], about=cube.id, detail=verdict))
        raise RefusedByGateError(f"The write gate refused this memory: {verdict['reason']}. Nothing was stored.")

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
        self._submit(record_of("review", caller, detail={"cubes": [cube.id for cube in found][:100]}))
        return found

    def note_denied(self, operation: str, reason: str, caller: Caller) -> None:
        """Record that the caller was refused something that is about no single cube."""
        self._submit(record_of(operation, caller, denied=reason))
