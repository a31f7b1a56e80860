"""The vector index of one vault: sealed segments that are mapped, the tail from the table, and when to seal.

The vault's table is the truth. The index proposes rows for a search; which rows are allowed and what their cosine is
comes from the table, in the search's own read transaction. Nothing is read at opening but the manifest and the numbers
of the segments; what they lack is scored from the table, so a late or damaged index makes a search slower, never wrong.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from memos_integrations.core.ports import EmbedderIdentity
from memos_integrations.vaults.codes import Codes, made, read_codes, write_codes
from memos_integrations.vaults.columns import Numbers
from memos_integrations.vaults.planner import EXACT_MOST, Matches, Plan, Sought, Tail
from memos_integrations.vaults.sealed_columns import SealedColumns, write_columns
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.segments import (
    Manifest,
    Piece,
    Segment,
    alone,
    drop_files,
    fits,
    manifest_file,
    read_manifest,
    write_manifest,
    write_segment,
)
from memos_integrations.vaults.sqlite_write import Head, read_head
from memos_integrations.vaults.verified import Kept

SEAL_AT = 20_000
"""So many vectors outside of segments are worth a new one."""

MOST_SEGMENTS = 8
_LIVE_SHARE = 0.8


class FaissIndex:
    """Search over the vectors of one vault. Thread-safe; searches run without a lock, as segments never change."""

    def __init__(
        self, database: Path, vault: str, identity: EmbedderIdentity, sealer: Sealer, *, blind: bool = False
    ) -> None:
        import faiss

        # Parallelism is across queries: FAISS's own threads would fight with the callers' for the cores.
        faiss.omp_set_num_threads(1)
        self._blind = blind  # no vector may stand on the disk in clear
        self._database, self._vault, self._identity, self._sealer = database, vault, identity, sealer
        self._manifest = manifest_file(database)
        self._lock, self._sealing = threading.Lock(), threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._segments: tuple[Segment, ...] = ()
        self._codes: dict[tuple[str, int], Codes | None] = {}
        self._tail, self._matches = Tail(identity.dim), Matches()
        self._missing = False
        self._columns: SealedColumns | None = None

    @property
    def wants_sealing(self) -> bool:
        """Whether searches had to read much from the table."""
        return self._tail.loaded >= SEAL_AT and not self._blind

    def nearest(self, connection: sqlite3.Connection, sought: Sought) -> tuple[Numbers, str]:
        """The places of those numbers that hold the k best by cosine, and some more; and how they were found."""
        plan = Plan(sought, self._matches)
        for segment in self._current(connection):
            plan.among(segment, self._codes_of(segment, sought.tenant))
        plan.rest(connection, self._tail)
        return plan.best()

    def kept(self, connection: sqlite3.Connection, tenant: int) -> Kept | None:
        """What was sealed last of a tenant's cubes, if it was."""
        self._current(connection)
        sealed = self._columns
        return None if sealed is None else sealed.of(tenant)

    def whole(self, connection: sqlite3.Connection, tenant: int) -> bool:
        """Whether all that was sealed of a tenant's vectors is there and sound; of very many that is not looked at."""
        segments = self._current(connection)
        spans = [(segment, segment.span(tenant)) for segment in segments]
        if self._blind or self._missing or sum(stop - start for _, (start, stop) in spans) > EXACT_MOST:
            return False
        return all(segment.sound(*span) is None for segment, span in spans)

    def _current(self, connection: sqlite3.Connection) -> tuple[Segment, ...]:
        """The segments of the manifest that stands on the disk now."""
        file = self._manifest
        try:
            found = os.stat(file)
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = None
        with self._lock:
            if stamp == self._stamp:
                return self._segments
            manifest = read_manifest(file) if stamp is not None else None
            head = read_head(connection)
            if manifest is not None and manifest.vault == self._vault and manifest.commit > head.commit:
                return ()  # sealed after this reader's moment, or in a past that never was: the table knows
            self._segments, self._missing, self._stamp, self._columns = (), False, stamp, None
            self._codes, self._tail, self._matches = {}, Tail(self._identity.dim), Matches()
            if manifest is None or manifest != manifest.sealed(self._sealer):
                return ()
            if not fits(manifest, connection, self._vault, self._identity, head):
                return ()
            self._segments = tuple(each for piece in manifest.pieces if (each := self._opened(piece)) is not None)
            self._missing = len(self._segments) < len(manifest.pieces)
            if manifest.columns is not None:
                with suppress(OSError, ValueError):
                    self._columns = SealedColumns(self._database.parent, manifest.columns, self._sealer)
            return self._segments

    def _opened(self, piece: Piece) -> Segment | None:
        try:
            return Segment(self._database.parent, piece, self._identity.dim)
        except (OSError, ValueError):
            return None

    def _codes_of(self, segment: Segment, tenant: int) -> Codes | None:
        start, stop = segment.span(tenant)
        if stop - start <= EXACT_MOST:
            return None
        name = (segment.piece.name, tenant)
        if name not in self._codes:
            self._codes[name] = read_codes(_codes_file(segment, tenant), stop - start, self._sealer)
        return self._codes[name]

    # --- sealing

    def seal(self, connection: sqlite3.Connection, head: Head, *, least: int = 1) -> bool:
        """Seal what no sound segment holds, if it is at least so many; whether a new manifest stands on the disk.

        Small and recent segments are sealed anew together with it; all of them where much in them is dead or damaged.
        The caller looks once more after it whether a cube was erased meanwhile, and drops the files if one was.
        """
        with self._sealing, alone(self._database.parent) as may:
            if not may:
                return False
            segments = self._current(connection)
            manifest = read_manifest(manifest_file(self._database))
            if manifest is not None and manifest.commit > head.commit and manifest.vault == self._vault:
                return False
            (newest,) = connection.execute("SELECT ifnull(max(number), 0) FROM vectors").fetchone()
            (live,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
            kept = self._kept(segments, int(live))
            with suppress(OSError):
                for segment in kept:
                    self._code(segment)
            first = kept[-1].piece.last + 1 if kept else 1
            lost = manifest is not None and manifest.columns is not None and self._columns is None
            whole = len(kept) == len(segments) and newest < first
            if not lost and (newest - first + 1 < least or whole):
                return False
            kept, first = _tiered(kept, first, int(newest))
            return self._write(connection, head, kept, first, int(newest))

    def _kept(self, segments: tuple[Segment, ...], live: int) -> list[Segment]:
        """The segments that may stay, from the first on without a gap."""
        held = sum(segment.piece.count for segment in segments)
        if self._missing or held * _LIVE_SHARE > live:
            return []
        sound = [segment.damaged for segment in segments]
        return list(segments[: sound.index(True)] if True in sound else segments)

    def _code(self, segment: Segment) -> None:
        """Write the codes of large tenants that a segment lacks."""
        for tenant, start, stop in segment.tenants():
            if self._codes_of(segment, tenant) is None and stop - start > EXACT_MOST:
                if segment.sound(start, stop) is None:
                    write_codes(_codes_file(segment, tenant), made(segment.rows[start:stop]), self._sealer)
                self._codes.pop((segment.piece.name, tenant), None)

    def _write(self, connection: sqlite3.Connection, head: Head, kept: list[Segment], first: int, newest: int) -> bool:
        dim = self._identity.dim
        try:
            fresh = None if self._blind else write_segment(self._database, connection, dim, first, newest)
            pieces = tuple(segment.piece for segment in kept) + (() if fresh is None else (fresh,))
            if fresh is not None:
                self._code(Segment(self._database.parent, fresh, dim))
            count = sum(piece.count for piece in pieces)
            identity = (self._vault, self._identity.name, dim)
            columns = write_columns(self._database, connection, self._sealer, self._columns)
            log = (head.entries, head.hash)
            manifest = Manifest(*identity, head.commit, head.erased, count, pieces, columns, *log)
            write_manifest(self._database, manifest.sealed(self._sealer))
        except (OSError, ValueError):
            return False  # a derivative: the disk may be full, or an erase in another process took the files
        return True


def _codes_file(segment: Segment, tenant: int) -> Path:
    return segment.file.with_name(f"{segment.file.name}.{tenant}.codes")


def _tiered(kept: list[Segment], first: int, newest: int) -> tuple[list[Segment], int]:
    """Which segments stay when the numbers from *first* to *newest* are sealed: those much larger than what follows."""
    size = newest - first + 1
    while kept and (kept[-1].piece.count <= 2 * size or len(kept) >= MOST_SEGMENTS):
        size += kept[-1].piece.count
        first = kept[-1].piece.first
        kept = kept[:-1]
    return kept, (kept[-1].piece.last + 1 if kept else 1)


__all__ = ["FaissIndex", "Numbers", "drop_files", "manifest_file", "read_manifest"]
