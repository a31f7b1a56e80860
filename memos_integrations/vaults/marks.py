"""The text of what stands beside a cube in other tables, once from a write and once from the tables: equal or damaged.

Order never counts: each group is sorted. The tables are read, not their indexes, so that an index that says something
else than its table is found too.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from memos_integrations.vaults.numbering import Label
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_rows import PutRows

# SQLite does not look at the key again in the rows that it finds by it: with the plus, it does.
_LABELS = """SELECT c.seq, c.audience, (SELECT group_concat(kind || ':' || value) FROM (
        SELECT kind, value FROM labels WHERE cube = c.seq AND +cube = c.seq ORDER BY kind, value))
    FROM cubes AS c WHERE c.tenant = ?"""

Texts = Iterable[tuple[int, str]]
Leaves = Sequence[tuple[int, int | None, float | None]]


def _labels_text(readers: Iterable[int], labels: str, leaves: Iterable[object]) -> str:
    return f"{_readers_text(readers)}{labels}|{tuple(leaves)!a}"


def _readers_text(readers: Iterable[int]) -> str:
    return f"{sorted(readers)}|"


def labels_mark(sealer: Sealer, readers: Iterable[int], labels: Iterable[Label], leaves: Leaves) -> bytes:
    """The mark of who may read a cube and of what it is filtered by; labels sorted."""
    said = ",".join([text for _, _, text in labels])
    return sealer.mark("labels", _labels_text(readers, said, _sorted_leaves(leaves) if leaves else ()))


def put_marks(sealer: Sealer, put: PutRows) -> tuple[bytes, bytes, bytes, bytes]:
    """The marks of `PUT_MARKS` that one Put gives its cube; keys outlive versions, and have a mark of their own."""
    return (
        labels_mark(sealer, put.subjects, put.labels, put.leaves),
        sealer.mark("words", put.words),
        links_mark(sealer, put.links),
        sealer.vector(put.vector),
    )


PUT_MARKS = ("labels", "words", "links", "vector")


def _sorted_leaves(leaves: Leaves) -> Leaves:
    # SQLite has one zero.
    found = [(path, content, 0.0 if number == 0 else number) for path, content, number in leaves]
    return sorted(found, key=lambda leaf: leaf[0])


def _joined(labels: Iterable[tuple[int, int]]) -> str:
    return ",".join([f"{kind}:{value}" for kind, value in labels])


def keys_mark(sealer: Sealer, keys: Iterable[bytes]) -> bytes:
    """The mark of a cube's write keys."""
    return sealer.mark("keys", ascii(tuple(sorted(keys))))


def links_mark(sealer: Sealer, links: Iterable[tuple[str, str]]) -> bytes:
    """The mark of a cube's links."""
    return sealer.mark("links", ascii(tuple(sorted(links))))


def stored_marks(connection: sqlite3.Connection, sealer: Sealer, group: str, tenant: int) -> dict[int, bytes]:
    """The marks of one group for every cube of a tenant that has rows in it, made anew from the tables."""
    if group == "past":
        return _past(connection, sealer, tenant)
    return sealer.marks(group, _READERS[group](connection, tenant))


def cube_labels(connection: sqlite3.Connection, sealer: Sealer, seq: int, readers: Iterable[int]) -> bytes:
    """The mark of one cube's labels, made anew from the tables, with these readers."""
    labels = connection.execute("SELECT kind, value FROM labels WHERE cube = ?", (seq,)).fetchall()
    leaves = connection.execute(
        "SELECT path, content, number FROM leaves WHERE cube = ? ORDER BY path", (seq,)
    ).fetchall()
    return sealer.mark("labels", _labels_text(readers, _joined(labels), leaves))


def nothing(sealer: Sealer, group: str) -> bytes:
    """The mark of a cube without any row in a group. Every cube has readers, so `labels` has none such."""
    return keys_mark(sealer, ()) if group == "keys" else sealer.mark(group, "()" if group == "links" else "")


def _labels(connection: sqlite3.Connection, tenant: int) -> Texts:
    leaves = _grouped(
        connection,
        """SELECT c.seq, l.path, l.content, l.number FROM cubes AS c CROSS JOIN leaves AS l ON l.cube = c.seq
            AND +l.cube = c.seq
        WHERE c.tenant = ? ORDER BY c.seq, l.path""",
        tenant,
    )
    readers: dict[int, list[int]] = defaultdict(list)
    for subject, audience in connection.execute(
        "SELECT subject, audience FROM audiences WHERE audience IN (SELECT audience FROM cubes WHERE tenant = ?)",
        (tenant,),
    ):
        readers[audience].append(subject)
    begun = {audience: _readers_text(told) for audience, told in readers.items()}
    none = _readers_text(())
    for seq, audience, said in connection.execute(_LABELS, (tenant,)):
        ended = f"|{tuple(leaves[seq])!a}" if seq in leaves else "|()"
        yield seq, f"{begun.get(audience, none)}{said or ''}{ended}"


def _words(connection: sqlite3.Connection, tenant: int) -> Texts:
    return connection.execute("SELECT cube, packed FROM words WHERE tenant = ?", (tenant,))


def _links(connection: sqlite3.Connection, tenant: int) -> Texts:
    rows = _grouped(
        connection,
        """SELECT c.seq, l.relation, l.target FROM cubes AS c CROSS JOIN links AS l ON l.cube = c.seq
            AND +l.cube = c.seq
        WHERE c.tenant = ? ORDER BY c.seq, l.relation, l.target""",
        tenant,
    )
    return ((seq, ascii(tuple(sorted(links)))) for seq, links in rows.items())


def _keys(connection: sqlite3.Connection, tenant: int) -> Texts:
    rows = _grouped(connection, "SELECT cube, key FROM keys WHERE tenant = ?", tenant)
    return ((seq, ascii(tuple(sorted(key for (key,) in keys)))) for seq, keys in rows.items())


def _vectors(connection: sqlite3.Connection, tenant: int) -> Texts:
    return connection.execute(
        """SELECT c.seq, v.row FROM cubes AS c CROSS JOIN vectors AS v ON v.cube = c.seq
        WHERE c.tenant = ? AND v.number IS c.vector""",
        (tenant,),
    )


def _past(connection: sqlite3.Connection, sealer: Sealer, tenant: int) -> dict[int, bytes]:
    marks: dict[int, bytes] = defaultdict(lambda: sealer.mark("past", ""))
    for seq, *row in connection.execute(
        """SELECT c.seq, p.version, p.recorded_at, p.audience FROM cubes AS c CROSS JOIN past AS p ON p.cube = c.seq
            AND +p.cube = c.seq
        WHERE c.tenant = ? ORDER BY c.seq, p.version""",
        (tenant,),
    ):
        marks[seq] = sealer.past(marks[seq], tuple(row))
    return dict(marks)


def _grouped(connection: sqlite3.Connection, sql: str, tenant: int) -> dict[int, list[tuple[Any, ...]]]:
    groups: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for seq, *rest in connection.execute(sql, (tenant,)):
        groups[seq].append(tuple(rest))
    return groups


_READERS: dict[str, Callable[[sqlite3.Connection, int], Texts]] = {
    "labels": _labels,
    "words": _words,
    "links": _links,
    "vector": _vectors,
    "keys": _keys,
}
