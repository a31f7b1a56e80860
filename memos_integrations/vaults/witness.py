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
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import VaultQuery, Visibility
from memos_integrations.vaults import sums
from memos_integrations.vaults.absent import Absent, Moment
from memos_integrations.vaults.audiences import audiences_hold, by_labels
from memos_integrations.vaults.handing import Handing
from memos_integrations.vaults.integrity import read_tally, sealed
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.seals import NONE_RESERVED, Sealer
from memos_integrations.vaults.verified import KEPT_MARKS
from memos_integrations.vaults.vouched import Beside, Vouched

MOST_ADDED_UP = 20_000
_REST = 20.0
_COUNT = """SELECT count(*) FROM (
    SELECT 1 FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant WHERE t.name = ? LIMIT ?)"""
_VERSIONS = """SELECT cube, version, digest FROM versions WHERE cube IN (SELECT value FROM json_each(?))
    ORDER BY cube, version"""
_GROUPS = {"cubes": sums.cubes_wrong, "log": sums.log_wrong, "forgotten": sums.forgotten_wrong}


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
        self._sealer, self._watch, self._most = sealer, watch, most
        self._lock, self._checking = Lock(), Lock()
        self.vouched = Vouched(sealer, beside, self.is_giant, self._checking)
        self.handing = Handing(sealer, self.vouched, lambda: self._epoch)
        self.absent = Absent()
        self._epoch = self._forced = 0
        self._writing = False
        self._root: _Checked | None = None
        self._outbox: _Checked | None = None
        self._tenants: dict[str, _Checked] = {}
        self._giants: set[str] = set()
        (self._version,) = watch.execute("PRAGMA data_version").fetchone()
        self._commit = self._newest()

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._watch.close()

    # --- noticing changes

    def _newest(self) -> int:
        row = self._watch.execute("SELECT commit_number FROM head").fetchone()
        return -1 if row is None else int(row[0])

    def look(self, commit: int | None = None) -> None:
        """Notice whether the file was changed by somebody else since the last look.

        *commit* is the number of the newest commit where that is known already.
        """
        with self._lock:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return
            before, self._version = self._commit, version
            self._commit = self._newest() if commit is None else commit
            if not self._writing:
                self._epoch += 1
                if self._commit <= before:
                    self._forced = self._epoch

    def moment(self) -> Moment:
        """The present, before a read begins; see `Absent`."""
        self.look()
        return self.absent.begun(self._epoch)

    def doubt(self) -> None:
        """A change by this process was broken off, nobody knows where: whatever was known is looked at anew."""
        with self._lock:
            self._writing = False
            self._epoch += 1
            self._forced = self._epoch
        self.absent.forget()

    def others(self) -> None:
        """Somebody else committed right behind a change of this process, before `look` told the two apart."""
        with self._lock:
            self._epoch += 1

    @contextmanager
    def own(self, commit: int | None = None, *, alone: bool = False) -> Iterator[None]:
        """Around a change by this process, while it holds the write lock: the change is nobody else's.

        *commit* is the number under which it is committed. *alone*: nobody else committed since the last such change.
        """
        if not alone:
            self.look()
        self._writing, done = True, None
        try:
            yield
            done = commit
        finally:
            try:
                self.look(done)
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
        then = query.as_of is not None  # the log tells in what states the cubes were
        asks = (("words", query.terms), ("vector", query.vector is not None), ("past", then), ("log", then))
        labels = "labels" if by_labels(query, visible) else "audiences"
        self.check(connection, visible.tenant, labels, *(group for group, asked in asks if asked))
        if query.filter.ids and self.vouched.of(visible.tenant) is not None:
            ids = list(filter(storable, query.filter.ids))
            found = connection.execute(
                "SELECT id FROM cubes WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
            )
            self.vouched.check(connection, visible.tenant, (), list({*ids}.difference(row[0] for row in found)))

    def check_whole(self, connection: sqlite3.Connection, tenant: str) -> None:
        """As `check`, but only for cubes that are missing, added or set back: damaged ones are met when handed out.

        Raises:
            IntegrityError: There are such.
        """
        self._known(connection, tenant, ())

    def lacks_reserved(self, connection: sqlite3.Connection, tenant: str) -> bool:
        """Whether a tenant's sealed counts say that none of its cubes has a reserved id; without adding it up.

        Raises:
            IntegrityError: The counts of the tenant, or of the vault, are not what was sealed.
        """
        if not storable(tenant):
            return True
        tally, seal = read_tally(connection, self._sealer, tenant)  # what this read sees is settled before we look
        self.look()
        if not self._fresh(self._root):
            with self._checking:
                self._check_root(connection)
        return not seal or tally.reserved == NONE_RESERVED

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
        if group == "cubes" and self.vouched.added_up(connection, tenant):
            return []
        if group == "audiences":
            known = self.vouched.of(tenant)
            held = None if known is None else audiences_hold(connection, self._sealer, tenant, known)
            if held is not None:
                return [] if held else sums.marks_wrong(connection, self._sealer, tenant, "labels")
            group = "labels"
        giant = group not in {"log", "forgotten"} and self.is_giant(connection, tenant)
        if giant or (group == "vector" and self.vouched.has_vectors(connection, tenant)):
            return []
        if group in KEPT_MARKS and self.vouched.of(tenant) is not None:
            known = self.vouched.added_up(connection, tenant)
            if known is not None and sums.marks_hold(connection, self._sealer, known, tenant, group):
                return []
        # What is sealed beside the vault cannot vouch for the ids that keys and links hand out as the table has them,
        # nor for the marks that the others are held against.
        named = group in {"keys", *KEPT_MARKS} and self.vouched.of(tenant) is not None
        bad = sums.cubes_wrong(connection, self._sealer, tenant, group) if named else []
        return bad + _GROUPS.get(group, sums.marks_wrong)(connection, self._sealer, tenant, group)

    def is_giant(self, connection: sqlite3.Connection, tenant: str) -> bool:
        """Whether a tenant is too large for its labels, words, links and keys to be added up."""
        if tenant not in self._giants:
            if connection.execute(_COUNT, (tenant, self._most + 1)).fetchone()[0] <= self._most:
                return False
            self._giants.add(tenant)
        return True

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
            self.vouched.check(connection, tenant, [row.outline])
            asked.remove(row.cube_id)
            if vectors:
                there = connection.execute("SELECT row FROM vectors WHERE cube = ?", (row.seq,)).fetchone()
                self.handing.check_vector(row, None if there is None else there[0])
        self.vouched.check(connection, tenant, (), asked)

    def check_versions(self, connection: sqlite3.Connection, tenant: str, seqs: Collection[int]) -> None:
        """Refuse cubes of a tenant, by number, of which an earlier version, or the row, is not what was sealed.

        Raises:
            IntegrityError: One is not; it is named.
        """
        asked, histories = (json.dumps([*seqs]),), dict[int, bytes]()
        for cube, version, digest in connection.execute(_VERSIONS, asked):
            histories[cube] = self._sealer.history(histories.get(cube, b""), version, digest)
        rows = list(sealed(connection, "c.seq IN (SELECT value FROM json_each(?))", asked))
        for row in rows:
            row.check(self._sealer)
            if histories.get(row.seq) != row.history:
                raise IntegrityError(f"The history of cube {row.cube_id!r} does not match its seal", row.cube_id)
        self.vouched.check(connection, tenant, [row.outline for row in rows])

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
