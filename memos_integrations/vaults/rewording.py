"""The full text of a vault from before some spellings were taken together: made anew once, at its first opening.

Only cubes are looked at closely in whose words there is anything that is now compared otherwise (`core/text`). Their
words, the mark of these, and the seal follow, in the transaction of the opening. What does not match its seal is left
as it stands: it is refused where it is read, and not sealed along here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.operator import finished
from memos_integrations.core.text import is_told_apart
from memos_integrations.vaults.integrity import Sealed, sealed
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.postings import packed_terms, rewrite
from memos_integrations.vaults.respelling import committed
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.seals import MARKS, Sealer
from memos_integrations.vaults.sqlite_rows import COLUMNS
from memos_integrations.vaults.sqlite_write import Head

_PAGE = 1_000
_WORDS = MARKS.index("words")
_LENGTH = 3 + COLUMNS.index("length")
_PRESENT = """SELECT c.seq, c.id, c.version, v.digest, v.body, l.lock FROM main.cubes AS c
    JOIN main.versions AS v ON v.cube = c.seq AND v.version = c.version LEFT JOIN main.locks AS l ON l.cube = c.seq
    WHERE c.seq > ? ORDER BY c.seq LIMIT ?"""


def reworded(connection: sqlite3.Connection, notary: Notary, words: Words) -> Head:
    """Give cubes the words by which they are looked for now; the vault's counters after that."""
    head, sealer = notary.begin(connection), notary.ledger.sealer
    tenants: set[tuple[str, int]] = set()
    for cube in _concerned(connection, notary.ledger.locks):
        found = _other(connection, sealer, cube, words)
        if found is None or found.row.tenant is None:
            continue
        if found.row.tenant not in notary.ledger.opened:
            notary.ledger.account(connection, found.row.tenant)  # before its row changes, which its seal covers
        _store(connection, notary, found, head.commit + 1)
        tenants.add((found.row.tenant, int(str(found.row.row[2]))))
    return committed(connection, notary, head, tenants)


def _concerned(connection: sqlite3.Connection, locks: Locks | None) -> Iterator[MemCube]:
    """Cubes in whose present version there is anything that is compared otherwise."""
    after = -1
    while page := connection.execute(_PRESENT, (after, _PAGE)).fetchall():
        after = page[-1][0]
        for _, cube_id, version, digest, stored, lock in page:
            body = stored if locks is None else locks.opened(stored, lock, cube_id, version, "body")
            if not isinstance(body, bytes) or body.isascii() or not is_told_apart(body.decode("utf-8", "replace")):
                continue
            try:
                yield unseal(body, digest, cube_id=cube_id, version=version)
            except IntegrityError:
                continue


class _Other(NamedTuple):
    """A cube's row, and the words that it is to have: as they are stored, and how many."""

    row: Sealed
    words: bytes
    length: int


def _other(connection: sqlite3.Connection, sealer: Sealer, cube: MemCube, words: Words) -> _Other | None:
    """The words that a cube lacks; None where it has them, or where its rows are not what was sealed."""
    for row in sealed(connection, "c.id = ?", (cube.id,)):
        (held,) = connection.execute("SELECT packed FROM words WHERE cube = ?", (row.seq,)).fetchone() or (b"",)
        if row.problem(sealer) is not None or sealer.mark("words", held) != row.marks[_WORDS]:
            return None
        told = finished(cube).terms
        fresh = packed_terms([*map(words.once, told)])
        return None if fresh == held else _Other(row, fresh, len(told))
    return None


def _store(connection: sqlite3.Connection, notary: Notary, found: _Other, commit: int) -> None:
    row, sealer = found.row, notary.ledger.sealer
    rewrite(connection, int(str(row.row[2])), row.seq, found.words)
    connection.execute("UPDATE cubes SET length = ?, changed = ? WHERE seq = ?", (found.length, commit, row.seq))
    mark = sealer.mark("words", found.words)
    marks = (*row.marks[:_WORDS], mark, *row.marks[_WORDS + 1 :])
    columns = (*row.row[:_LENGTH], found.length, *row.row[_LENGTH + 1 : -1], commit)
    mac = sealer.cube((row.tenant, row.digest, row.history, *marks, *columns))
    connection.execute("UPDATE seals SET mac = ?, words = ? WHERE cube = ?", (mac, mark, row.seq))
    notary.count(connection, row.tenant or "", 0, sealer.share(mac) - sealer.share(row.mac or b""))
