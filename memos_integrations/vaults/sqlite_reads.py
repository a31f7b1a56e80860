"""What a SQLite vault reads besides searching: cubes, histories, edges, the audit log, events.

Each read is one transaction, so it sees one moment, and shows what it gives to the witness.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter

from memos_integrations.core.cube import CubeRef, MemCube, unique
from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.events import MemEvent
from memos_integrations.core.ports import (
    AuditEntry,
    AuditReport,
    CubeFilter,
    Edge,
    EmbedderIdentity,
    LogQuery,
    Visibility,
)
from memos_integrations.core.ruling import RESERVED
from memos_integrations.vaults.allowed import Asked, last_of, next_readable, readable_after
from memos_integrations.vaults.columns import SEQ, TenantColumns
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.memory_search import is_allowed
from memos_integrations.vaults.naming import Naming, check_named
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.signed_log import Checkpoint, CheckpointAnchor, LogSigner, check_anchored, sign_log
from memos_integrations.vaults.sqlite_audit import bounded, read_log, verify
from memos_integrations.vaults.sqlite_rows import event_of
from memos_integrations.vaults.sqlite_search import check_tenant, cubes_at, read_cube, tenant_at, tenant_number
from memos_integrations.vaults.sqlite_write import read_identity
from memos_integrations.vaults.token_rows import read_tokens


class SQLiteReads(ABC):
    """The reads of `SQLiteVault`, which gives them their connections."""

    _guard: Guard
    _words: Words
    _columns: TenantColumns
    _identity: EmbedderIdentity | None

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

    @abstractmethod
    def _looking(self) -> AbstractContextManager[None]: ...

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The current versions of those of *ids* that exist in *tenant*, in the order asked, each once.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        witness, asked = self._guard.witness, unique(ids)
        with self._looking():
            moment = witness.moment()
        if asked and witness.absent.holds(tenant, asked, moment):
            return []
        reserved = bool(asked) and all(each.startswith(RESERVED) for each in asked)
        with self._reading() as connection:
            if reserved and witness.lacks_reserved(connection, tenant):
                cubes = dict[str, MemCube]()
            else:
                witness.check_whole(connection, tenant)
                cubes = {cube.id: cube for _, cube in witness.handing.by_id(connection, tenant, asked)}
                if len(cubes) < len(asked):  # one that stands under another id now is damaged, and not absent
                    witness.check(connection, tenant)
        if len(cubes) < len(asked):
            witness.absent.note(tenant, [each for each in asked if each not in cubes], moment)
        return [cubes[cube_id] for cube_id in asked if cube_id in cubes]

    def walk(self, wanted: CubeFilter, visible: Visibility, *, page: int = 500) -> Iterator[list[MemCube]]:
        """All that is visible and wanted, page by page, in the order of first writing; see `Vault.walk`.

        Each page is a read of its own, so that nothing is held up, and nothing is held of the pages before.
        """
        tenant, after, end = visible.tenant, 0, None
        while end is None or after < end:
            with self._reading() as connection:
                witness = self._guard.witness
                witness.check(connection, tenant, *(("audiences",) if end is None else ()))
                number, changed = tenant_at(connection, tenant)
                if number is None:
                    return
                asked = Asked(connection, self._words, number, visible, wanted, witness.vouched.check_ids)
                if (columns := self._columns.known_at(connection, number, changed)) is not None:
                    # What was sealed says which there are: an edit of the rows would leave one out without a word.
                    end = int(columns.table[SEQ].max(initial=0)) if end is None else end
                    seqs = readable_after(asked, columns.table, after, end, page)
                else:
                    end = last_of(asked) if end is None else end
                    seqs = next_readable(asked, after, end, page)
                found = sorted(cubes_at(connection, witness.handing, tenant, seqs, keep=False), key=itemgetter(0))
            after = seqs[-1] if seqs else end
            if given := [cube for _, cube in found if is_allowed(cube, wanted, visible)]:
                yield given

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version of a cube, oldest first; state and behaviour are the cube's present ones.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        with self._reading() as connection:
            self._guard.witness.check_whole(connection, tenant)
            number = tenant_number(connection, tenant)
            if number is None or not storable(cube_id):
                return []
            rows = connection.execute(
                """SELECT c.id, v.version, c.state, v.digest, v.body, b.body
                FROM cubes AS c JOIN versions AS v ON v.cube = c.seq LEFT JOIN behaviour AS b ON b.cube = c.seq
                WHERE c.tenant = ? AND c.id = ? ORDER BY v.version""",
                (number, cube_id),
            )
            cubes = [read_cube(row) for row in rows]
            if not cubes:
                self._guard.witness.check(connection, tenant)
            for cube in cubes:
                check_tenant(cube, tenant)
            self._guard.witness.check_cubes(connection, tenant, (cube_id,))
            self._guard.witness.check_history(connection, tenant, cube_id, cubes)
            return cubes

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key."""
        with self._reading() as connection:
            self._guard.witness.check(connection, tenant, "keys")
            row = connection.execute(
                "SELECT c.id, c.seq FROM keys AS k JOIN cubes AS c ON c.seq = k.cube WHERE k.tenant = ? AND k.key = ?",
                (tenant_number(connection, tenant), self._words.key(key)),
            ).fetchone()
            if row is None:
                return None
            self._check_named(connection, tenant, "keys", (row[1],))
            return str(row[0])

    def forgotten(self, tenant: str, keys: Sequence[str]) -> set[str]:
        """Those of *keys* whose cube was erased for good; see `Vault.forgotten`.

        Raises:
            IntegrityError: Such a record of the tenant was changed, added or removed by somebody else.
        """
        with self._reading() as connection:
            self._guard.witness.check(connection, tenant, "forgotten")
            number, asked = tenant_number(connection, tenant), "SELECT 1 FROM forgotten WHERE tenant = ? AND key = ?"
            return {name for name in keys if connection.execute(asked, (number, self._words.key(name))).fetchone()}

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges that end at one of *ids*: links of current versions, and their `derived_from`; by source."""
        targets = [cube_id for cube_id in unique(ids) if storable(cube_id)]
        with self._reading() as connection:
            self._guard.witness.check(connection, tenant, "links")
            rows = connection.execute(
                """SELECT c.id, l.relation, l.target, c.seq FROM json_each(?) AS asked
                CROSS JOIN links AS l ON l.target = asked.value CROSS JOIN cubes AS c ON c.seq = l.cube
                WHERE c.tenant = ? ORDER BY 1, 2, 3""",
                (json.dumps(targets), tenant_number(connection, tenant)),
            ).fetchall()
            self._check_named(connection, tenant, "links", {row[3] for row in rows})
            return [Edge(*row[:3]) for row in rows]

    def _check_named(self, connection: sqlite3.Connection, tenant: str, group: Naming, seqs: Collection[int]) -> None:
        if seqs and self._guard.witness.is_giant(connection, tenant):
            check_named(connection, self._guard.sealer, tenant, group, seqs)

    def tokens(self, tenant: str, refs: Sequence[CubeRef]) -> dict[str, bytes]:
        """The token vectors of those versions that are the present ones; see `Vault.tokens`.

        Raises:
            IntegrityError: Some are not what was written with their cube; it is named.
        """
        with self._reading() as connection:
            return read_tokens(connection, self._guard.sealer, tenant, refs)

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector, of all tenants, by id."""
        with self._reading() as connection:
            rows = connection.execute(
                """SELECT CAST(t.name AS TEXT), c.id FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant
                WHERE c.vector IS NULL AND c.tier = 'plaintext' ORDER BY c.id LIMIT ?""",
                (bounded(limit),),
            ).fetchall()
            for tenant in dict.fromkeys(tenant for tenant, _ in rows):
                self._guard.witness.check_whole(connection, tenant)
            handing = self._guard.witness.handing
            return [cube for tenant, each in rows for _, cube in handing.by_id(connection, tenant, (each,))]

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that this vault's vectors came from."""
        with self._reading() as connection:
            if self._identity is None:  # once bound it never changes
                self._identity = read_identity(connection)
            return self._identity

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries, oldest first.

        Raises:
            IntegrityError: An entry does not match its hash, or stands under columns that are not its own.
        """
        with self._reading() as connection:
            self._guard.witness.check(connection, query.tenant, "log")
            return read_log(connection, query)

    def verify_audit(self) -> AuditReport:
        """Walk the whole chain, and hold every stored version against what the chain says was written.

        The head kept beside the chain shows a tail that was cut off. Whoever sets the head back as well is not found
        out by the file alone: keep `AuditReport.head` somewhere else and compare.
        """
        with self._reading() as connection:
            return verify(connection)

    def sign_log(self, signer: LogSigner, *anchors: CheckpointAnchor) -> str:
        """A signed checkpoint of the whole log as it is now, published to every anchor; see `signed_log`."""
        with self._reading() as connection:
            return sign_log(connection, signer, *anchors)

    def check_log(self, public: bytes, anchor: CheckpointAnchor) -> Checkpoint:
        """Hold the log against every checkpoint that an anchor keeps; the newest one.

        Raises:
            IntegrityError: The log was cut, set back or changed since, or a checkpoint is not signed by the key.
        """
        with self._reading() as connection:
            return check_anchored(connection, public, anchor)

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Outbox events with a number above *after*, oldest first, each with its number.

        Raises:
            VaultCorruptError: An event cannot be read.
        """
        with self._reading() as connection:
            self._guard.witness.check_events(connection)
            rows = connection.execute(
                "SELECT number, body FROM outbox WHERE number > ? ORDER BY number LIMIT ?",
                (bounded(after), bounded(limit)),
            ).fetchall()
        try:
            return [(number, event_of(body)) for number, body in rows]
        except (ValueError, TypeError, AttributeError) as exc:  # pydantic's and orjson's are the first
            raise VaultCorruptError("An event in the vault is damaged. Restore it from a backup.") from exc

    def last_event(self) -> int:
        """The number of the newest outbox event; 0 when there is none."""
        with self._reading() as connection:
            self._guard.witness.check_events(connection)
            (number,) = connection.execute("SELECT ifnull(max(number), 0) FROM outbox").fetchone()
            return int(number)
