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
    if not rows:
        return 0
    return insert_values(connection, into, len(rows[0]), [*chain.from_iterable(rows)], otherwise)


def insert_values(
    connection: sqlite3.Connection, into: str, width: int, values: list[object], otherwise: str = ""
) -> int:
    """As `insert_rows`, of rows of *width* values that stand one behind the other."""
    start = done = 0
    left = len(values) // width
    while left:
        size = next((size for size in _SIZES if size <= left), left) if left >= _SIZES[-1] else left
        step = width * size
        part = values[start : start + step] if start or size < left else values
        statement = _statement(into, width, size, otherwise)
        done += connection.execute(statement, part).rowcount
        start, left = start + step, left - size
    return done


@lru_cache(maxsize=512)
def _statement(into: str, width: int, size: int, otherwise: str) -> str:
    row = f"({','.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {','.join([row] * size)} {otherwise}"
