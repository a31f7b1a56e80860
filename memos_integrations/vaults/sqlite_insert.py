"""Many rows per statement.

`sqlite3` lets other threads run at every row that it steps over, so with a statement per row the writer thread waits
for its turn most of the time. Here one statement carries up to 256 rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

Row = tuple[object, ...]

_SIZES = (256, 64, 16)


def insert_rows(connection: sqlite3.Connection, into: str, rows: Sequence[Row], otherwise: str = "") -> int:
    """Insert rows in few statements of few shapes, which stay prepared; *otherwise* is an ON CONFLICT clause.

    Gives how many rows were inserted or updated.
    """
    start = done = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            statement = _statement(into, len(rows[start]), size, otherwise)
            done += connection.execute(statement, values).rowcount
            start += size
    rest = len(rows) - start
    if rest:
        values = tuple(chain.from_iterable(rows[start:] if start else rows))
        statement = _statement(into, len(rows[start]), rest, otherwise)
        done += connection.execute(statement, values).rowcount
    return done


@lru_cache(maxsize=512)
def _statement(into: str, width: int, size: int, otherwise: str) -> str:
    row = f"({','.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {','.join([row] * size)} {otherwise}"
