"""Tenants whose cubes are known by what was sealed beside the vault, and what is refused because it is not as known.

A row of such a tenant was not read when the tenant was added up (see `verified.py`), so whatever of it an answer goes
by, its seal, its id, or that it is there at all, is held against what is known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults import sums
from memos_integrations.vaults.columns import Columns
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.verified import Kept, Verified, verified

Outline = tuple[int, str, int, bytes]
"""Of a row: number, id, change number, seal."""

Large = Callable[[sqlite3.Connection, str], bool]
"""Whether a tenant is too large to be added up from the table."""


class Beside(NamedTuple):
    """What stands sealed beside the vault of the tenant with a number: its cubes, and whether all its vectors do."""

    kept: Callable[[sqlite3.Connection, int], Kept | None]
    whole: Callable[[sqlite3.Connection, int], bool]


class Vouched:
    """What is known of tenants by what is sealed *beside* the vault. *checking* is held by whoever adds one up."""

    def __init__(self, sealer: Sealer, beside: Beside, is_large: Large, checking: Lock) -> None:
        self._sealer, self._beside, self._is_large, self._checking = sealer, beside, is_large, checking
        self._known: dict[str, Verified] = {}
        self._named: dict[int, str] = {}

    def of(self, tenant: str) -> Verified | None:
        """What is known of a tenant."""
        return self._known.get(tenant)

    def added_up(self, connection: sqlite3.Connection, tenant: str) -> Verified | None:
        """Add a tenant's cubes up by what was sealed of them; None when nothing was, or it does not add up.

        A tenant that would be too large to be added up otherwise is added up from the table when it does not.

        Raises:
            IntegrityError: It is such a tenant, and that does not add up either.
        """
        found = connection.execute("SELECT name, number, changed FROM tenants WHERE name = ?", (tenant,)).fetchone()
        kept = None if found is None else self._beside.kept(connection, found[1])
        known = None if kept is None else verified(connection, self._sealer, found, kept)
        if known is None and kept is not None and self._is_large(connection, tenant):
            known = verified(connection, self._sealer, found, None)
            if known is None:
                raise IntegrityError(f"A cube of tenant {tenant!r} was changed, is missing, was added, or set back")
        if known is None:
            self._known.pop(tenant, None)
        else:
            self._known[tenant], self._named[found[1]] = known, tenant
        return known

    def at(self, connection: sqlite3.Connection, tenant: str) -> Verified | None:
        """As `added_up`, which is not done again where nothing was committed since."""
        known = self._known.get(tenant)
        found = connection.execute("SELECT changed FROM tenants WHERE name = ?", (tenant,)).fetchone()
        return known if known is not None and found == (known.changed,) else self.added_up(connection, tenant)

    def has_vectors(self, connection: sqlite3.Connection, tenant: str) -> bool:
        """Whether a search goes by vectors that were sealed beside the vault, or by newer ones that were checked."""
        known = self._known.get(tenant)
        if known is None or not known.before.count:
            return False
        (number,) = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
        return self._beside.whole(connection, number)

    def columns(self, connection: sqlite3.Connection, number: int) -> Columns | None:
        """The columns of a tenant as they were sealed, when its cubes add up to them."""
        known = self._known.get(self._named.get(number, ""))
        return None if known is None or not known.before.count else Columns.of(known.at, known.before.table)

    def check(
        self, connection: sqlite3.Connection, tenant: str, rows: Sequence[Outline], lost: Sequence[str] = ()
    ) -> None:
        """Refuse rows of a tenant, and ids that were not found, where it is known better.

        Raises:
            IntegrityError: One is not as it is known, or is missing; it is named.
        """
        self._refuse(connection, tenant, lambda known: _refused(self._sealer, known, rows, lost))

    def check_ids(self, connection: sqlite3.Connection, tenant: str, named: Mapping[int, str]) -> None:
        """Refuse ids of a tenant's cubes, by number, where it is known better: an order may hang on them.

        Raises:
            IntegrityError: One is another cube's, or nobody's; it is named.
        """

        def misnamed(known: Verified) -> tuple[str, str] | None:
            wrong = known.misnamed(self._sealer, named)
            return None if wrong is None else (wrong, "had another id when it was sealed")

        self._refuse(connection, tenant, misnamed)

    def _refuse(
        self, connection: sqlite3.Connection, tenant: str, problem: Callable[[Verified], tuple[str, str] | None]
    ) -> None:
        known = self._known.get(tenant)
        if known is None or problem(known) is None:
            return
        # Another reader may have looked at another moment: this one decides.
        with self._checking:
            known = self.added_up(connection, tenant)
            if known is None:
                for cube_id, said in sums.cubes_wrong(connection, self._sealer, tenant, ""):
                    raise IntegrityError(f"Cube {cube_id!r} {said}", cube_id)
                return
        if (wrong := problem(known)) is not None:
            raise IntegrityError(f"Cube {wrong[0]!r} {wrong[1]}", wrong[0])


def _refused(sealer: Sealer, known: Verified, rows: Sequence[Outline], lost: Sequence[str]) -> tuple[str, str] | None:
    """A cube that is not as it is known, with what is wrong; rows that changed later are not known here."""
    then = [row for row in rows if row[2] <= known.changed]
    if then:
        wrong = known.unfit([row[0] for row in then], [row[3] for row in then])
        if wrong >= 0:
            return then[wrong][1], "was changed, added, or set back"
    missing = known.there(sealer, lost) if lost else None
    return None if missing is None else (missing, "is missing")
