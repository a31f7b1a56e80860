"""The doctor of a SQLite vault: holds everything in it against everything else, and says what does not fit.

It reads the file without opening the vault, so a vault that refuses to open can still be looked at. What it may repair
are derivatives: the search index, which is dropped and made again from the table. Rows that are damaged are named and
left as they are: what they were is in a backup, not here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from memos_integrations.core.errors import IntegrityError, MemOSError, VaultError
from memos_integrations.core.ports import KeyProvider
from memos_integrations.vaults.blobs import BlobFolder, blob_folder
from memos_integrations.vaults.connection import FOREIGN, connect, database_file, translated, translating
from memos_integrations.vaults.doctor_beside import Counted, check_blobs, check_index
from memos_integrations.vaults.integrity import MARK_ROWS, check_meta, read_root, read_tally, sealed
from memos_integrations.vaults.marks import nothing, stored_marks
from memos_integrations.vaults.merkle import check_checkpoints
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.postings import misplaced
from memos_integrations.vaults.rekeying import opened_locks, word_key
from memos_integrations.vaults.schema import MIGRATIONS, lacking
from memos_integrations.vaults.seals import MARKS, Sealer, key_file_of, key_from
from memos_integrations.vaults.segments import drop_files
from memos_integrations.vaults.sqlite_audit import verify
from memos_integrations.vaults.sqlite_write import BESIDE, read_identity
from memos_integrations.vaults.sums import check_log, check_outbox, check_root, check_tally, forgotten_wrong
from memos_integrations.vaults.token_rows import checked_tokens

OLDER = "older schema"
"""The finding of a file that an older version of this package wrote; nothing but the file itself is looked at then."""

_MOST = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `checked` things were looked at; `problems` names at most the first 100."""

    name: str
    checked: int
    problems: tuple[str, ...] = ()
    repaired: bool = False

    def __str__(self) -> str:
        state = "repaired" if self.repaired else f"{len(self.problems)} problems" if self.problems else "ok"
        return "\n".join([f"{self.name}: {self.checked} checked, {state}", *(f"  - {each}" for each in self.problems)])


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found, one finding per invariant."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong that was not repaired."""
        return all(not finding.problems or finding.repaired for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def examine(
    path: str | Path,
    *,
    repair: bool = False,
    key: bytes | None = None,
    key_file: str | Path | None = None,
    keys: KeyProvider | None = None,
) -> Report:
    """Look at the vault at *path* within one read transaction; writers may go on.

    With *repair* a search index that does not fit its table is dropped; the next search makes it again. Nothing else
    is changed, ever. Of an encrypted vault only what stands in clear is looked at without its *keys*.

    Raises:
        VaultError: There is no vault at *path*, or it is no SQLite file at all.
    """
    given = Path(path)
    database = database_file(given)
    if not database.is_file():
        raise VaultError(f"There is no vault at {given}. Name its folder, or its file.")
    sealer: Sealer | None = None
    findings = []
    try:
        sealer = Sealer(key or key_from(Path(key_file) if key_file else key_file_of(database), make=False))
        findings.append(Finding("integrity key", 1))
    except MemOSError as exc:
        findings.append(Finding("integrity key", 1, (str(exc),)))
    with translating(), closing(connect(database, busy_timeout_s=30.0, reading=True)) as connection:
        connection.execute("BEGIN")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if 0 < version < len(MIGRATIONS):  # what most checks look at is not there yet
            said = f"it is {version}, not {len(MIGRATIONS)}: open the vault once, which takes the steps, and ask again"
            return Report((*findings, _found("file", _file, connection, sealer), Finding(OLDER, 1, (said,))))
        checks = CHECKS if sealer is None else CHECKS | SEALED_CHECKS
        locks = None
        try:
            locks = opened_locks(connection, keys, lambda: connect(database, busy_timeout_s=30.0, reading=True))
            if locks is not None:
                connection.execute("ROLLBACK")  # a view cannot be made for one transaction alone
                meta = dict(connection.execute("SELECT name, value FROM meta"))
                locks.install(connection, Words(word_key(meta, locks), meta["word_check"]).path)
                connection.execute("BEGIN")
                findings.append(Finding("encryption", locks.newest))
        except MemOSError as exc:
            findings.append(Finding("encryption", 1, (str(exc),)))
            checks = {name: check for name, check in checks.items() if name not in _NEED_KEYS}
        findings += [_found(name, check, connection, sealer) for name, check in checks.items()]
        index = _found("search index", lambda c, _: check_index(c, database, sealer), connection, sealer)
        if index.problems and repair:
            index = replace(index, repaired=drop_files(database))
        findings.append(index)
        shelf = BlobFolder(blob_folder(database), locks=locks)
        clear = "audit log and digests" in checks
        findings.append(_found("blobs", lambda c, _: check_blobs(c, shelf, clear=clear), connection, sealer))
    return Report(tuple(findings))


_MARKS = "labels, words, links, vectors, keys, past"
_NEED_KEYS = frozenset({"vectors", "token vectors", "audit log and digests", _MARKS})

_LOST = {table: f"SELECT count(*) FROM {table} WHERE cube NOT IN (SELECT seq FROM cubes)" for table in BESIDE}

Check = Callable[[sqlite3.Connection, "Sealer"], Counted]


def _found(name: str, check: Check, connection: sqlite3.Connection, sealer: Sealer | None) -> Finding:
    checked = 0
    problems: list[str] = []
    try:
        for said in check(connection, sealer or Sealer(b"")):
            checked += 1
            if said is not None and len(problems) < _MOST:
                problems.append(said)
    except MemOSError as exc:
        problems.append(str(exc))
    except FOREIGN as exc:
        problems.append(str(translated(exc)))
    except (TypeError, ValueError, OverflowError) as exc:  # a damaged page can hold anything
        problems.append(f"damaged beyond reading ({exc})")
    return Finding(name, max(checked, len(problems)), tuple(problems))


# --- what holds without a key


def _file(connection: sqlite3.Connection, _: Sealer) -> Counted:
    for (said,) in connection.execute("PRAGMA integrity_check(100)"):
        yield None if said == "ok" else str(said)
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row[1]} of {row[0]} belongs to a row of {row[2]} that is not there"


def _schema(connection: sqlite3.Connection, _: Sealer) -> Counted:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    yield None if version == len(MIGRATIONS) else f"the schema is {version}, this package knows {len(MIGRATIONS)}"
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view')"):
        yield f"there is a {kind} {name!r} that is not ours"
    yield from (f"{what} is missing" for what in lacking(connection))


def _versions(connection: sqlite3.Connection, _: Sealer) -> Counted:
    for cube_id, version, count, least, most in connection.execute(
        """SELECT c.id, c.version, count(v.version), min(v.version), max(v.version) FROM cubes AS c
        LEFT JOIN versions AS v ON v.cube = c.seq GROUP BY c.seq"""
    ):
        whole = (count, least, most) == (version, 1, version)
        yield None if whole else f"cube {cube_id!r} is at version {version}, but {count} versions are stored"


def _orphans(connection: sqlite3.Connection, _: Sealer) -> Counted:
    for place, count_lost in _LOST.items():
        (count,) = connection.execute(count_lost).fetchone()
        yield f"{count} rows of {place} belong to no cube" if count else None


def _vectors(connection: sqlite3.Connection, _: Sealer) -> Counted:
    identity = read_identity(connection)
    for cube_id, number, listed, row in connection.execute(
        "SELECT c.id, v.number, c.vector, v.row FROM vectors AS v JOIN cubes AS c ON c.seq = v.cube"
    ):
        values = np.frombuffer(row, dtype="<f4") if isinstance(row, bytes) and len(row) % 4 == 0 else np.zeros(0)
        length = float(np.linalg.norm(values.astype(np.float64))) if np.isfinite(values).all() else -1.0
        if identity is None or values.size != identity.dim or number != listed:
            yield f"the vector of cube {cube_id!r} is not one of the vault's embedder"
        else:
            yield (
                None if length == 0.0 or abs(length - 1.0) < 1e-3 else f"the vector of cube {cube_id!r} is no unit row"
            )
    for (cube_id,) in connection.execute(
        "SELECT id FROM cubes WHERE vector IS NOT NULL AND vector NOT IN (SELECT number FROM vectors)"
    ):
        yield f"cube {cube_id!r} has lost its vector"


def _audit(connection: sqlite3.Connection, _: Sealer) -> Counted:
    report = verify(connection)
    yield from [None] * (report.entries - len(report.problems))
    yield from report.problems


def _checkpoints(connection: sqlite3.Connection, _: Sealer) -> Counted:
    return check_checkpoints(connection)


CHECKS: dict[str, Check] = {
    "file": _file,
    "schema": _schema,
    "versions": _versions,
    "orphans": _orphans,
    "vectors": _vectors,
    "audit log and digests": _audit,
    "checkpoints": _checkpoints,
}

# --- what needs the key


def _roots(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    for check in (check_meta, read_root, check_root, check_outbox):
        try:
            check(connection, sealer)
            yield None
        except IntegrityError as exc:
            yield str(exc)


def _seals(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    for row in sealed(connection, "1 ORDER BY c.seq"):
        said = row.problem(sealer)
        if said is None and row.misused(sealer):
            said = "has a behaviour that was not sealed"
        yield None if said is None else f"cube {row.cube_id!r} {said}"


def _histories(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    history, before = b"", None
    for cube_id, wanted, version, digest, last in connection.execute(
        """SELECT c.id, s.history, v.version, v.digest, v.version = c.version FROM cubes AS c
        JOIN seals AS s ON s.cube = c.seq JOIN versions AS v ON v.cube = c.seq ORDER BY c.seq, v.version"""
    ):
        history = sealer.history(history if cube_id == before else b"", version, digest)
        before = cube_id
        if last:
            yield None if history == wanted else f"the history of cube {cube_id!r} does not match its seal"


def _tallies(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    names = {name for (name,) in connection.execute("SELECT name FROM tenants UNION SELECT tenant FROM audit")}
    for name in sorted(names | {name for (name,) in connection.execute("SELECT tenant FROM tallies")}):
        for check in (check_tally, check_log, read_tally, _check_told):
            try:
                check(connection, sealer, name)
                yield None
            except IntegrityError as exc:
                yield str(exc)


def _check_told(connection: sqlite3.Connection, sealer: Sealer, tenant: str) -> None:
    forgotten_wrong(connection, sealer, tenant, "")


def _marks(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    for (tenant,) in connection.execute("SELECT number FROM tenants").fetchall():
        for at, group in enumerate(MARKS):
            there, none = stored_marks(connection, sealer, group, tenant), nothing(sealer, group)
            for seq, cube_id, *marks in connection.execute(MARK_ROWS, (tenant,)):
                right = there.pop(seq, none) == marks[at]
                yield None if right else f"cube {cube_id!r} has other {group} than were sealed"
            yield from (f"rows of {group} name number {seq}, which is no cube of their tenant" for seq in there)
        for seq in misplaced(connection, tenant):
            (cube_id,) = connection.execute("SELECT id FROM cubes WHERE seq = ?", (seq,)).fetchone() or (seq,)
            yield f"cube {cube_id!r} is found by other words than were sealed"


def _tokens(connection: sqlite3.Connection, sealer: Sealer) -> Counted:
    for cube_id, version, row in connection.execute(
        "SELECT c.id, c.version, x.row FROM tokens AS x JOIN cubes AS c ON c.seq = x.cube ORDER BY c.seq"
    ):
        try:
            checked_tokens(sealer, cube_id, version, row)
            yield None
        except IntegrityError as exc:
            yield str(exc)


SEALED_CHECKS: dict[str, Check] = {
    "counters": _roots,
    "seals": _seals,
    "histories": _histories,
    "tallies": _tallies,
    _MARKS: _marks,
    "token vectors": _tokens,
}
