"""What stays of changes that never became true: what was read, refused, and used of licences meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from memos_integrations.core.cube.frozen import frozen
from memos_integrations.core.errors import (
    CubeNotFoundError,
    LicenceSpentError,
    RateSpentError,
    VersionConflictError,
)
from memos_integrations.core.ports import AuditRecord, Stage, Vault
from memos_integrations.core.records import used_in

OVER = (LicenceSpentError, RateSpentError, VersionConflictError, CubeNotFoundError)


def keep_what_was_read(vault: Vault, stage: Stage, record: AuditRecord, *, uses: bool) -> None:
    """Write it to the vault, with *record*; durable on return. Without *uses*, none of a licence."""
    told = stage.read_only()
    given = _given(told.audit) if uses else ()
    whole = replace(told, changes=told.changes if uses else (), audit=(*told.audit, *given, record))
    try:
        vault.submit(whole).result()
    except OVER:  # others used the licence up meanwhile: what was read stays on record
        vault.submit(replace(whole, changes=())).result()


def _given(audit: Sequence[AuditRecord]) -> Iterator[AuditRecord]:
    """What recalls gave, as look-ups: no use of it was counted, and what was read today is not archived tonight."""
    for record in audit:
        ids = record.detail.get("cubes") if isinstance(record.detail, Mapping) else None
        if record.operation == "recall" and ids:
            yield record.with_checked(operation="give", detail=frozen({"given": len(ids), **used_in(ids)}))
