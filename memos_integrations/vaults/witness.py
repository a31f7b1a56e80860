"""The witness of a vault: before something is handed out, it is held against its seals (see `seals.py`).

Two layers. Every cube that is handed out is checked against its seal, each time. And once per process and tenant,
before the first read, everything of that tenant is added up: a cube that is missing, set back to an earlier state, or
hidden by an edit of what it is filtered by, changes the sum. That is done again whenever the file was changed by
somebody else than this process's writer thread (`PRAGMA data_version`). When others write all the time, checking
again may take at most a twentieth of the time: a change that came with a sealed commit of another process is then
looked at late, never later than twenty times what one check takes.

A tenant of more than `MOST_ADDED_UP` cubes is not added up before a read, which would wait for seconds: there only
what is handed out is checked, and the doctor finds what is missing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import VaultQuery, Visibility
from memos_integrations.vaults.handing import Handing
from memos_integrations.vaults.integrity import sealed
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sums import check_outbox, check_root, cubes_wrong, log_wrong, marks_wrong

MOST_ADDED_UP = 20_000
_REST = 20.0
_COUNT = """SELECT count(*) FROM (
    SELECT 1 FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant WHERE t.name = ? LIMIT ?)"""
_GROUPS = {"cubes": cubes_wrong, "log": log_wrong}


@dataclass(slots=True)
class _Checked:
    """What is known of one tenant. `bad` says per group which cubes do not match: `(cube id, what is wrong)`."""

    epoch: int
    due: float
    bad: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


class Witness:
    """Holds what is read against its seals. *watch* is a reading connection of its own, outside any transaction."""

    def __init__(self, sealer: Sealer, watch: sqlite3.Connection) -> None:
        self._sealer, self._watch = sealer, watch
        self.handing = Handing(sealer)
        self._lock, self._checking = Lock(), Lock()
        self._epoch = self._forced = 0
        self._writing = False
        self._root: _Checked | None = None
        self._outbox: _Checked | None = None
        self._tenants: dict[str, _Checked] = {}
        self._giants: set[str] = set()
        self._version, self._commit = self._state()

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._watch.close()

    # --- noticing changes

    def _state(self) -> tuple[int, int]:
        (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        (commit,) = self._watch.execute("SELECT commit_number FROM head").fetchone() or (-1,)
        return version, commit

    def look(self) -> None:
        """Notice whether the file was changed by somebody else since the last look."""
        with self._lock:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return
            before = self._commit
            self._version, self._commit = self._state()
            if not self._writing:
                self._epoch += 1
                if self._commit <= before:
                    self._forced = self._epoch

    @contextmanager
    def own(self) -> Iterator[None]:
        """Around a change by this process, while it holds the write lock: the change is nobody else's."""
        self.look()
        self._writing = True
        try:
            yield
        finally:
            try:
                self.look()
            finally:
                self._writing = False

    def _fresh(self, checked: _Checked | None) -> bool:
        if checked is None or checked.epoch < self._forced:
            return False
        return checked.epoch == self._epoch or time.monotonic() < checked.due

    # --- whole tenants

    def check(self, connection: sqlite3.Connection, tenant: str, *groups: str) -> None:
        """Refuse to read a set of things in a tenant when anything of it was changed, added or taken away.

        *groups* are those of `MARKS` that the answer depends on, or `log`. The cubes are checked always.

        Raises:
            IntegrityError: Something was; it names the cube where one can be named.
        """
        for said in self._known(connection, tenant, groups):
            for cube_id, problem in said:
                raise IntegrityError(f"Cube {cube_id!r} {problem}", cube_id)

    def check_search(self, connection: sqlite3.Connection, query: VaultQuery, visible: Visibility) -> None:
        """As `check`, for all that a search depends on.

        Raises:
            IntegrityError: Something was changed.
        """
        asks = (("words", query.terms), ("vector", query.vector is not None), ("past", query.as_of is not None))
        self.check(connection, visible.tenant, "labels", *(group for group, asked in asks if asked))

    def check_whole(self, connection: sqlite3.Connection, tenant: str) -> None:
        """As `check`, but only for cubes that are missing, added or set back: damaged ones are met when handed out.

        Raises:
            IntegrityError: There are such.
        """
        self._known(connection, tenant, ())

    def _known(self, connection: sqlite3.Connection, tenant: str, groups: Sequence[str]) -> list[list[tuple[str, str]]]:
        if not storable(tenant):
            return []  # no row can carry such a name
        connection.execute("SELECT one FROM head").fetchone()  # what this read sees is settled before we look
        self.look()
        if tenant in self._giants:
            return []
        wanted = ("cubes", *groups)
        known = self._tenants.get(tenant)
        if not self._fresh(self._root) or known is None or not self._fresh(known) or not known.bad.keys() >= {*wanted}:
            if connection.execute(_COUNT, (tenant, MOST_ADDED_UP + 1)).fetchone()[0] > MOST_ADDED_UP:
                self._giants.add(tenant)
                return []
            with self._checking:
                self._check_root(connection)
                known = self._checked(connection, tenant, wanted)
        return [known.bad[group] for group in wanted]

    def _check_root(self, connection: sqlite3.Connection) -> None:
        if self._fresh(self._root):
            return
        epoch, started = self._epoch, time.monotonic()
        check_root(connection, self._sealer)
        self._root = _Checked(epoch, _due(started))

    def _checked(self, connection: sqlite3.Connection, tenant: str, groups: Sequence[str]) -> _Checked:
        known = self._tenants.get(tenant)
        if known is None or not self._fresh(known):
            known = _Checked(self._epoch, 0.0)
        started = time.monotonic()
        for group in groups:
            if group not in known.bad:
                known.bad[group] = _GROUPS.get(group, marks_wrong)(connection, self._sealer, tenant, group)
        known.due = max(known.due, _due(started))
        self._tenants[tenant] = known
        return known

    def check_events(self, connection: sqlite3.Connection) -> None:
        """Refuse the outbox when an event was changed, added or taken away.

        Raises:
            IntegrityError: One was.
        """
        connection.execute("SELECT one FROM head").fetchone()
        self.look()
        if not self._fresh(self._outbox):
            epoch, started = self._epoch, time.monotonic()
            check_outbox(connection, self._sealer)
            self._outbox = _Checked(epoch, _due(started))

    # --- what is handed out

    def check_cubes(
        self, connection: sqlite3.Connection, tenant: str, ids: Iterable[str], *, vectors: bool = False
    ) -> None:
        """Refuse cubes of a tenant that do not match their seals: for reads of other versions than the current ones.

        With *vectors* theirs are checked too.

        Raises:
            IntegrityError: One does not; it is named.
        """
        asked = list(filter(storable, ids if storable(tenant) else ()))
        if not asked:
            return
        # The plus keeps SQLite from walking the whole tenant by its index.
        where = "c.id IN (SELECT value FROM json_each(?)) AND +t.name = ?"
        for row in list(sealed(connection, where, (json.dumps(asked), tenant))):
            row.check(self._sealer)
            if vectors:
                there = connection.execute("SELECT row FROM vectors WHERE cube = ?", (row.seq,)).fetchone()
                self.handing.check_vector(row, None if there is None else there[0])

    def check_history(
        self, connection: sqlite3.Connection, tenant: str, cube_id: str, versions: Sequence[MemCube]
    ) -> None:
        """Refuse a history that lacks a version or has another one.

        Raises:
            IntegrityError: It does.
        """
        for row in sealed(connection, "c.id = ? AND t.name = ?", (cube_id, tenant)):
            history = b""
            for version in versions:
                history = self._sealer.history(history, version.version, version.digest)
            if history != row.history:
                raise IntegrityError(f"The history of cube {cube_id!r} does not match its seal", cube_id)


def _due(started: float) -> float:
    now = time.monotonic()
    return now + _REST * (now - started)
