"""The audit log of a SQLite vault: read, and held against the chain and the stored versions."""

from __future__ import annotations

import json
import sqlite3

from pydantic import ValidationError

from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.lifecycle.then import MOVES
from memos_integrations.core.ports import AuditEntry, AuditRecord, AuditReport, LogQuery
from memos_integrations.vaults.audit_chain import ChainWalk, check_entry, matches
from memos_integrations.vaults.merkle import check_checkpoints
from memos_integrations.vaults.rules import micros
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.sqlite_write import read_head

_MOST_CHECKPOINTS = 10


def bounded(number: int) -> int:
    """The number that SQLite can hold, and not below 0 (a negative LIMIT means none)."""
    return max(0, min(number, 2**63 - 1))


def read_log(connection: sqlite3.Connection, query: LogQuery) -> list[AuditEntry]:
    """Audit entries, oldest first, each checked against its hash.

    Raises:
        IntegrityError: An entry does not match its hash, or stands under columns that are not its own.
    """
    # Asked about cubes, the plus keeps SQLite from walking the tenant's whole log by its index.
    plus = "+" if query.cube_id is not None or query.cube_ids else ""
    where, values = [f"{plus}tenant = ?", f"{plus}number > ?"], [query.tenant, bounded(query.after)]
    for sql, value in (
        ("at >= ?", None if query.since is None else micros(query.since)),
        ("at < ?", None if query.until is None else micros(query.until)),
        ("actor = ?", query.actor),
        ("owner = ?", query.owner),
        ("cube_id = ?", query.cube_id),
        ("cube_id IN (SELECT value FROM json_each(?))", json.dumps(query.cube_ids) if query.cube_ids else None),
        ("operation = ?", query.operation),
        ("outcome = ?", None if query.outcome is None else query.outcome.value),
    ):
        if value is not None:
            where.append(sql)
            values.append(value)
    rows = connection.execute(
        f"SELECT number, previous, hash, record FROM audit WHERE {' AND '.join(where)} ORDER BY number LIMIT ?",
        (*values, bounded(query.limit)),
    ).fetchall()
    entries = [_entry(*row) for row in rows]
    for entry in entries:
        check_entry(entry)
        if not matches(query, entry):
            raise IntegrityError(f"Audit entry {entry.number} stands under columns that are not its own")
    return entries


def read_moves(connection: sqlite3.Connection, tenant: str) -> list[AuditEntry]:
    """The entries that tell of moves from state to state in a tenant, oldest first, each checked against its hash.

    Raises:
        IntegrityError: An entry does not match its hash.
    """
    rows = connection.execute(
        """SELECT number, previous, hash, record FROM audit
        WHERE tenant = ? AND operation IN (SELECT value FROM json_each(?)) ORDER BY number""",
        (tenant, json.dumps(list(MOVES))),
    )
    entries = [_entry(*row) for row in rows]
    for entry in entries:
        check_entry(entry)
    return entries


def verify(connection: sqlite3.Connection) -> AuditReport:
    """Walk the chain, then every stored version, in one read transaction."""
    walk = ChainWalk()
    # As bytes: a damaged row can hold anything, and is to be reported, not to end the walk.
    rows = connection.execute(
        """SELECT number, CAST(previous AS BLOB), CAST(hash AS BLOB), CAST(record AS BLOB) FROM audit
        ORDER BY number"""
    )
    for number, previous, stored_hash, raw in rows:
        walk.step(number, _text(previous), _text(stored_hash), raw or b"", _record(raw))
    head = read_head(connection)
    walk.finish(head.entries, head.hash)
    versions = connection.execute(
        """SELECT CAST(c.id AS BLOB), v.version, CAST(v.digest AS BLOB), CAST(v.body AS BLOB)
        FROM versions AS v JOIN cubes AS c ON c.seq = v.cube ORDER BY v.number"""
    )
    walk.hold(_held(_text(row[0]), row[1], _text(row[2]), row[3]) for row in versions)
    report = walk.report()
    wrong = tuple(said for said in check_checkpoints(connection) if said is not None)
    return report.model_copy(update={"problems": report.problems + wrong[:_MOST_CHECKPOINTS]})


def _record(raw: bytes) -> AuditRecord | None:
    try:
        return AuditRecord.model_validate_json(raw)
    except ValidationError:
        return None


def _entry(number: int, previous: str, stored_hash: str, raw: bytes) -> AuditEntry:
    record = _record(raw)
    if record is None:
        raise IntegrityError(f"Audit entry {number} is not a record")
    try:
        return AuditEntry(number=number, record=record, previous=previous, hash=stored_hash)
    except ValidationError as exc:
        raise IntegrityError(f"Audit entry {number} has no digests") from exc


def _held(cube_id: str, version: int, digest: str, body: bytes) -> tuple[str, int, str, str | None]:
    try:
        unseal(body, digest, cube_id=cube_id, version=version)
    except IntegrityError as exc:
        return cube_id, version, digest, str(exc)
    return cube_id, version, digest, None


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
