"""Adding up what stands in a vault's file and holding it against its seals (see `seals.py`)."""

from __future__ import annotations

import sqlite3

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.audit_chain import entry_hash
from memos_integrations.vaults.integrity import (
    ENTRY,
    MARK_ROWS,
    check_forgotten,
    check_meta,
    read_root,
    read_tally,
    tally_seals,
)
from memos_integrations.vaults.lookups import check_link_lookups, check_lookups, check_word_lookups
from memos_integrations.vaults.marks import nothing, stored_marks
from memos_integrations.vaults.seals import MARKS, Sealer, Tally, added
from memos_integrations.vaults.verified import Verified

_ENTRIES = ENTRY.replace(" FROM", ", record FROM") + "tenant = ?"
_ROWS = """SELECT s.mac, v.digest IS s.digest, s.digest, s.history, s.labels, s.words, s.links, s.vector, s.keys,
        s.past, c.*
    FROM cubes AS c LEFT JOIN seals AS s ON s.cube = c.seq
    LEFT JOIN versions AS v ON v.cube = c.seq AND v.version = c.version WHERE c.tenant = ?"""

MARK_AT = 4
"""Where the marks begin in a row of `_ROWS`."""
SEQ_AT = MARK_AT + len(MARKS)


def check_root(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Hold the vault's counters, its own records and its list of tenants against their seals.

    Raises:
        IntegrityError: They do not match.
    """
    check_meta(connection, sealer)
    (extra,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')").fetchone()
    if extra:
        raise IntegrityError("Somebody added a trigger or a view to the vault's file")
    root = read_root(connection, sealer)
    total, count = root.total, 0
    for seal in tally_seals(connection, sealer):
        total, count = added(total, -sealer.share(seal)), count + 1
    if total or count != root.tenants:
        raise IntegrityError("A tenant of the vault is missing, was added, or set back")


def check_outbox(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Add the events of the outbox up.

    Raises:
        IntegrityError: One was changed, added or removed.
    """
    root, count = read_root(connection, sealer), 0
    total = root.outbox
    for row in connection.execute("SELECT number, body FROM outbox"):
        total, count = added(total, -sealer.event(*row)), count + 1
    if total or count != root.events:
        raise IntegrityError("An event in the vault was changed, added or removed")


def check_tally(connection: sqlite3.Connection, sealer: Sealer, tenant: str) -> tuple[Tally, list[tuple[str, str]]]:
    """Add a tenant's cubes up; gives its tally, and the cubes that do not match their seals.

    Raises:
        IntegrityError: A cube is missing, was added, or set back.
    """
    tally, _ = read_tally(connection, sealer, tenant)
    found = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    total, count, bad = tally.total, 0, []
    for mac, current, *row in () if found is None else connection.execute(_ROWS, found):
        count += 1
        if mac is None:
            bad.append((str(row[SEQ_AT - 1]), "has lost its seal"))
            continue
        total = added(total, -sealer.share(mac))
        if sealer.cube((tenant, *row)) != mac:
            bad.append((str(row[SEQ_AT - 1]), "does not match its seal"))
        elif not current:
            bad.append((str(row[SEQ_AT - 1]), "has a version that is missing or not the one that was sealed"))
    if (total or count != tally.cubes) and not bad:
        missing = _missing(connection, tenant)
        what = f"Cube {missing!r} of" if missing else "A cube of"
        raise IntegrityError(f"{what} tenant {tenant!r} is missing, was added, or set back", missing)
    return tally, bad


def _missing(connection: sqlite3.Connection, tenant: str) -> str | None:
    """A cube that the audit log says was written and never forgotten, but that is not there."""
    row = connection.execute(
        """SELECT a.cube_id FROM audit AS a WHERE a.tenant = ?1 AND a.outcome = 'allowed' AND a.operation = 'remember'
            AND a.cube_id NOT IN (
                SELECT c.id FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant WHERE t.name = ?1)
            AND NOT EXISTS (SELECT 1 FROM audit AS e WHERE e.cube_id = a.cube_id AND e.outcome = 'allowed'
                AND e.operation IN ('forget', 'erase')) LIMIT 1""",
        (tenant,),
    ).fetchone()
    return None if row is None else str(row[0])


def cubes_wrong(connection: sqlite3.Connection, sealer: Sealer, tenant: str, _: str) -> list[tuple[str, str]]:
    """The cubes of a tenant that do not match their seals, each with what is wrong.

    Raises:
        IntegrityError: A cube is missing, was added, or set back.
    """
    check_lookups(connection, tenant)
    bad = check_tally(connection, sealer, tenant)[1]
    risen = connection.execute(
        """SELECT c.id FROM tenants AS t CROSS JOIN gone AS g ON g.tenant = t.number
        CROSS JOIN cubes AS c ON c.seq = g.cube WHERE t.name = ?""",
        (tenant,),
    )
    return bad + [(cube_id, "stands among the erased") for (cube_id,) in risen]


def marks_wrong(connection: sqlite3.Connection, sealer: Sealer, tenant: str, group: str) -> list[tuple[str, str]]:
    """The cubes of a tenant whose rows of one group are not those that were sealed, each with what is wrong."""
    found = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    if found is None:
        return []
    if group == "links":
        check_link_lookups(connection, tenant)
    elif group == "words":
        check_word_lookups(connection, found[0])
    there, none = stored_marks(connection, sealer, group, found[0]), nothing(sealer, group)
    at = MARKS.index(group)
    bad = [
        (cube_id, f"has other {group} than were sealed")
        for seq, cube_id, *marks in connection.execute(MARK_ROWS, found)
        if there.pop(seq, none) != marks[at]
    ]
    return bad + [(f"number {seq}", f"is named by {group} of a tenant that is not its own") for seq in there]


def marks_hold(connection: sqlite3.Connection, sealer: Sealer, known: Verified, tenant: str, group: str) -> bool:
    """Whether the rows of a group (of `KEPT_MARKS`) beside a tenant's cubes are those whose marks are *known*.

    Links hand out ids: where there are any, the ids have to be the known ones, too.
    """
    (number,) = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    there, none = stored_marks(connection, sealer, group, number), nothing(sealer, group)
    if group == "links" and there:
        check_link_lookups(connection, tenant)
        ids = connection.execute("SELECT id FROM cubes WHERE tenant = ? ORDER BY seq", (number,))
        if not known.are_named(sealer, [cube_id for (cube_id,) in ids]):
            return False
    seqs = [seq for (seq,) in connection.execute("SELECT seq FROM cubes WHERE tenant = ? ORDER BY seq", (number,))]
    made = b"".join([there.pop(seq, none) for seq in seqs])
    return not there and made == known.marked(seqs, group)


def check_log(connection: sqlite3.Connection, sealer: Sealer, tenant: str) -> None:
    """Add a tenant's audit entries up.

    Raises:
        IntegrityError: One was changed, added or removed; the message names it where that can be said.
    """
    tally, _seal = read_tally(connection, sealer, tenant)
    total, count = tally.log, 0
    for *outline, record in connection.execute(_ENTRIES, (tenant,)):
        count += 1
        total = added(total, -sealer.entry(tuple(outline)))
        if not isinstance(record, bytes) or entry_hash(outline[0], str(outline[-2]), record) != outline[-1]:
            raise IntegrityError(f"Audit entry {outline[0]} does not match its hash")
    if total or count != tally.entries:
        raise IntegrityError(
            f"An entry of the audit log of tenant {tenant!r} was changed, added or removed{_where(connection)}"
        )


def log_wrong(connection: sqlite3.Connection, sealer: Sealer, tenant: str, _: str) -> list[tuple[str, str]]:
    """Nothing, or the error of `check_log`."""
    check_log(connection, sealer, tenant)
    return []


def forgotten_wrong(connection: sqlite3.Connection, sealer: Sealer, tenant: str, _: str) -> list[tuple[str, str]]:
    """Nothing, or the error of `check_forgotten`."""
    check_forgotten(connection, sealer, tenant, read_tally(connection, sealer, tenant)[0].forgotten)
    return []


def _where(connection: sqlite3.Connection) -> str:
    """Which entry it may be: the first that is missing, or stands under columns that its record does not have."""
    previous = 0
    for number, said in connection.execute(
        """SELECT number, json_array(json_extract(record, '$.actor'),
            json_extract(record, '$.tenant'), json_extract(record, '$.cube_id'), json_extract(record, '$.operation'))
            = json_array(actor, tenant, cube_id, operation) FROM audit ORDER BY number"""
    ):
        if number != previous + 1:
            return f" (entry {previous + 1} is missing)"
        if not said:
            return f" (entry {number} stands under columns that are not its own)"
        previous = number
    return ""
