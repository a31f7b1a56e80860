"""What stays of changes that never became true: what was read, refused, and used of licences meanwhile."""

from __future__ import annotations

from dataclasses import replace

from memos_integrations.core.errors import (
    CubeNotFoundError,
    LicenceSpentError,
    RateSpentError,
    VersionConflictError,
)
from memos_integrations.core.ports import AuditRecord, Stage, Vault

OVER = (LicenceSpentError, RateSpentError, VersionConflictError, CubeNotFoundError)


def keep_what_was_read(vault: Vault, stage: Stage, record: AuditRecord, *, uses: bool) -> None:
    """Write it to the vault, with *record*; durable on return. Without *uses*, none of a licence."""
    told = stage.read_only()
    whole = replace(told, changes=told.changes if uses else (), audit=(*told.audit, record))
    try:
        vault.submit(whole).result()
    except OVER:  # others used the licence up meanwhile: what was read stays on record
        vault.submit(replace(whole, changes=())).result()
