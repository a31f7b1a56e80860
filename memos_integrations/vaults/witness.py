"""The witness of a vault: before something is handed out, it is held against its seals (see `seals.py`).

Two layers. Every cube that is handed out is checked against its seal, each time. And once per process and tenant,
before the first read, everything of that tenant is added up: a cube that is missing, set back to an earlier state, or
hidden by an edit of what it is filtered by, changes the sum. That is done again whenever the file was changed by
somebody else than this process's writer thread (`PRAGMA data_version`). When others write all the time, that may take
a twentieth of the time: a sealed commit of another process is then looked at late, by at most twenty checks' time.

The cubes are added up by what changed since they were sealed beside the vault (`verified.py`), whatever their number.
A search goes by what was sealed then, not by the table; an edit of an old row there is met when the row is handed out
or looked for, and by the doctor. Labels, words, vectors, links, keys, and the cubes of a tenant that was never sealed,
are added up from the table: up to `MOST_ADDED_UP` cubes. Beyond, only what is handed out or named is checked.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import VaultQuery, Visibility
from memos_integrations.vaults import sums
from memos_integrations.vaults.audiences import audiences_hold, by_labels
from memos_integrations.vaults.columns import Columns
from memos_integrations.vaults.handing import Handing
from memos_integrations.vaults.integrity import sealed
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.verified import KEPT_MARKS, Kept, Verified, verified

MOST_ADDED_UP = 20_000
_REST = 20.0
_COUNT = """SELECT count(*) FROM (
    SELECT 1 FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant WHERE t.name = ? LIMIT ?)"""
_GROUPS = {"cubes": sums.cubes_wrong, "log": sums.log_wrong, "forgotten": sums.forgotten_wrong}


class Beside(NamedTuple):
    """What stands sealed beside the vault of the tenant with a number: its cubes, and whether all its vectors do."""

    kept: Callable[[sqlite3.Connection, int], Kept | None]
    whole: Callable[[sqlite3.Connection, int], bool]


@dataclass(slots=True)
class _Checked:
    """What is known of one tenant. `bad` says per group which cubes do not match: `(cube id, what is wrong)`."""

    epoch: int
    due: float
    bad: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


class Witness:
    """Holds what is read against its seals. *watch* is a reading connection of its own, outside any transaction.

    Of tenants with more than *most* cubes only what stands sealed *beside* the vault is added up.
    """

    def __init__(self, sealer: Sealer, watch: sqlite3.Connection, beside: Beside, *, most: int = MOST_ADDED_UP) -> None:
        self._sealer, self._watch, self._beside, self._most = sealer, watch, beside, most
        self.handing = Handing(sealer, self._trusted, lambda: self._epoch)
        self._verified: dict[str, Verified] = {}
        self._numbers: dict[int, str] = {}
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

        *groups* are those of `MARKS` that the answer depends on, `log`, or `forgotten`. The cubes are checked always.

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
        labels = "labels" if by_labels(query, visible) else "audiences"
        self.check(connection, visible.tenant, labels, *(group for group, asked in asks if asked))
        if query.filter.ids and visible.tenant in self._verified:
            ids = list(filter(storable, query.filter.ids))
            found = connection.execute(
                "SELECT id FROM cubes WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
            )
            self._trusted(connection, visible.tenant, (), list({*ids}.difference(row[0] for row in found)))

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
        wanted = ("cubes", *groups)
        known = self._tenants.get(tenant)
        if not self._fresh(self._root) or known is None or not self._fresh(known) or not known.bad.keys() >= {*wanted}:
            with self._checking:
                self._check_root(connection)
                known = self._checked(connection, tenant, wanted)
        return [known.bad[group] for group in wanted]

    def _check_root(self, connection: sqlite3.Connection) -> None:
        if self._fresh(self._root):
            return
        epoch, started = self._epoch, time.monotonic()
        sums.check_root(connection, self._sealer)
        self._root = _Checked(epoch, _due(started))

    def _checked(self, connection: sqlite3.Connection, tenant: str, groups: Sequence[str]) -> _Checked:
        known = self._tenants.get(tenant)
        if known is None or not self._fresh(known):
            known = _Checked(self._epoch, 0.0)
        started = time.monotonic()
        for group in groups:
            if group not in known.bad:
                known.bad[group] = self._added_up(connection, tenant, group)
        known.due = max(known.due, _due(started))
        self._tenants[tenant] = known
        return known

    def _added_up(self, connection: sqlite3.Connection, tenant: str, group: str) -> list[tuple[str, str]]:
        if group == "cubes" and self._by_kept(connection, tenant):
            return []
        if group == "audiences":
            known = self._verified.get(tenant)
            held = None if known is None else audiences_hold(connection, self._sealer, tenant, known)
            if held is not None:
                return [] if held else sums.marks_wrong(connection, self._sealer, tenant, "labels")
            group = "labels"
        giant = group not in {"log", "forgotten"} and self.is_giant(connection, tenant)
        if giant or (group == "vector" and self._whole(connection, tenant)):
            return []
        if group in KEPT_MARKS and tenant in self._verified:
            known = self._by_kept(connection, tenant)
            if known is not None and sums.marks_hold(connection, self._sealer, known, tenant, group):
                return []
        # What is sealed beside the vault cannot vouch for the ids that keys and links hand out as the table has them,
        # nor for the marks that the others are held against.
        named = group in {"keys", *KEPT_MARKS} and tenant in self._verified
        bad = sums.cubes_wrong(connection, self._sealer, tenant, group) if named else []
        return bad + _GROUPS.get(group, sums.marks_wrong)(connection, self._sealer, tenant, group)

    def _whole(self, connection: sqlite3.Connection, tenant: str) -> bool:
        """Whether a search goes by vectors that were sealed beside the vault, or by newer ones that were checked."""
        known = self._verified.get(tenant)
        if known is None or not known.before.count:
            return False
        (number,) = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
        return self._beside.whole(connection, number)

    def is_giant(self, connection: sqlite3.Connection, tenant: str) -> bool:
        """Whether a tenant is too large for its labels, words, links and keys to be added up."""
        if tenant not in self._giants:
            if connection.execute(_COUNT, (tenant, self._most + 1)).fetchone()[0] <= self._most:
                return False
            self._giants.add(tenant)
        return True

    def _by_kept(self, connection: sqlite3.Connection, tenant: str) -> Verified | None:
        """Add a tenant's cubes up by what was sealed of them; None when nothing was, or it does not add up.

        A tenant that would be too large to be added up otherwise is added up from the table when it does not.

        Raises:
            IntegrityError: It is such a tenant, and that does not add up either.
        """
        found = connection.execute("SELECT name, number, changed FROM tenants WHERE name = ?", (tenant,)).fetchone()
        kept = None if found is None else self._beside.kept(connection, found[1])
        known = None if kept is None else verified(connection, self._sealer, found, kept)
        if known is None and kept is not None and self.is_giant(connection, tenant):
            known = verified(connection, self._sealer, found, None)
            if known is None:
                raise IntegrityError(f"A cube of tenant {tenant!r} was changed, is missing, was added, or set back")
        if known is None:
            self._verified.pop(tenant, None)
        else:
            self._verified[tenant], self._numbers[found[1]] = known, tenant
        return known

    def columns(self, connection: sqlite3.Connection, number: int) -> Columns | None:
        """The columns of a tenant as they were sealed, when its cubes add up to them."""
        known = self._verified.get(self._numbers.get(number, ""))
        return None if known is None or not known.before.count else Columns.of(known.at, known.before.table)

    def check_events(self, connection: sqlite3.Connection) -> None:
        """Refuse the outbox when an event was changed, added or taken away.

        Raises:
            IntegrityError: One was.
        """
        connection.execute("SELECT one FROM head").fetchone()
        self.look()
        if not self._fresh(self._outbox):
            epoch, started = self._epoch, time.monotonic()
            sums.check_outbox(connection, self._sealer)
            self._outbox = _Checked(epoch, _due(started))

    # --- what is handed out

    def _trusted(
        self,
        connection: sqlite3.Connection,
        tenant: str,
        rows: Sequence[tuple[int, str, int, bytes]],
        lost: Sequence[str] = (),
    ) -> None:
        known = self._verified.get(tenant)
        if known is None or (_refused(self._sealer, known, rows, lost) is None):
            return
        # Another reader may have looked at another moment: this one decides.
        with self._checking:
            known = self._by_kept(connection, tenant)
            if known is None:
                for cube_id, problem in sums.cubes_wrong(connection, self._sealer, tenant, ""):
                    raise IntegrityError(f"Cube {cube_id!r} {problem}", cube_id)
                return
        if (said := _refused(self._sealer, known, rows, lost)) is not None:
            raise IntegrityError(f"Cube {said[0]!r} {said[1]}", said[0])

    def check_cubes(
        self, connection: sqlite3.Connection, tenant: str, ids: Iterable[str], *, vectors: bool = False
    ) -> None:
        """Refuse cubes of a tenant that do not match their seals: for reads of other versions than the current ones.

        With *vectors* theirs are checked too.

        Raises:
            IntegrityError: One does not; it is named.
        """
        asked = list(dict.fromkeys(filter(storable, ids if storable(tenant) else ())))
        if not asked:
            return
        # The plus keeps SQLite from walking the whole tenant by its index.
        where = "c.id IN (SELECT value FROM json_each(?)) AND +t.name = ?"
        for row in list(sealed(connection, where, (json.dumps(asked), tenant))):
            row.check(self._sealer)
            self._trusted(connection, tenant, [(row.seq, row.cube_id, int(str(row.row[-1])), row.mac or b"")])
            asked.remove(row.cube_id)
            if vectors:
                there = connection.execute("SELECT row FROM vectors WHERE cube = ?", (row.seq,)).fetchone()
                self.handing.check_vector(row, None if there is None else there[0])
        self._trusted(connection, tenant, (), asked)

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


def _refused(
    sealer: Sealer, known: Verified, rows: Sequence[tuple[int, str, int, bytes]], lost: Sequence[str]
) -> tuple[str, str] | None:
    """A cube that is not as it is known, with what is wrong; rows that changed later are not known here."""
    then = [row for row in rows if row[2] <= known.changed]
    if then:
        wrong = known.unfit([row[0] for row in then], [row[3] for row in then])
        if wrong >= 0:
            return then[wrong][1], "was changed, added, or set back"
    missing = known.there(sealer, lost) if lost else None
    return None if missing is None else (missing, "is missing")


def _due(started: float) -> float:
    now = time.monotonic()
    return now + _REST * (now - started)
