"""A FAISS index over a vault's vectors: a derivative that may be lost, late or damaged without harm.

The vault's table is the truth. The index proposes rows for a search; which rows are allowed and what their cosine is
comes from the table, in the search's own read transaction. What the index lacks is scored from the table, so a
damaged index makes a search slower, never wrong.

Snapshot: `vault.faiss` (row numbers as little-endian int64, then FAISS's own bytes) and `vault.faiss.json`, the
manifest. Each is written aside, synced and renamed; the manifest names the other's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import EmbedderIdentity, Vectors
from memos_integrations.vaults.sqlite_write import Head

Numbers = npt.NDArray[np.int64]

_BATCH = 10_000
_SPARE = 16
"""How many rows beyond k are asked for at first, so that single-precision near-ties at k are seen."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself."""

    vault: str
    embedder: str
    dim: int
    commit: int
    removed: int
    erased: int
    count: int
    sha256: str


def manifest_file(database: Path) -> Path:
    """Where the manifest of a database's snapshot stands."""
    return database.with_suffix(".faiss.json")


def read_manifest(file: Path) -> Manifest | None:
    """The manifest of a snapshot, or None when there is none that can be read."""
    try:
        return Manifest(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def drop_files(database: Path) -> bool:
    """Take the snapshot of a vault off the disk, half-written ones too. Whether none is left."""
    index, manifest = database.with_suffix(".faiss"), manifest_file(database)
    gone = True
    for file in (index, manifest, *database.parent.glob(f"{escape(index.name)}.*.tmp")):
        try:
            file.unlink(missing_ok=True)
        except OSError:
            gone = False
    return gone


class FaissIndex:
    """Exact inner-product search over the vectors of one vault, kept level with its commits.

    Thread-safe: one lock around catching up and searching, because FAISS may not grow while it searches.
    """

    def __init__(self, database: Path, vault: str, identity: EmbedderIdentity) -> None:
        import faiss

        # Parallelism is across queries: FAISS's own threads would fight with the callers' for the cores.
        faiss.omp_set_num_threads(1)
        self._faiss: Any = faiss
        self._file, self._manifest = database.with_suffix(".faiss"), manifest_file(database)
        self._vault, self._identity = vault, identity
        self._lock = threading.Lock()
        self._index: Any = faiss.IndexFlatIP(identity.dim)
        self._numbers: Numbers = np.zeros(0, dtype=np.int64)
        self._applied: Head | None = None
        self._saved = False
        self.rebuilt = False

    @property
    def applied_commit(self) -> int:
        """The vault's commit that the index is level with; -1 before the first."""
        return -1 if self._applied is None else self._applied.commit

    def nearest(self, connection: sqlite3.Connection, head: Head, query: Vectors, allowed: Numbers, k: int) -> Numbers:
        """Row numbers among *allowed* (sorted) that hold the k best by cosine, and some more.

        Rows that the index lacks are always among them; the caller scores all from the table.
        """
        with self._lock:
            self._catch_up(connection, head)
            places = np.searchsorted(self._numbers, allowed)
            places[places == self._numbers.size] = 0
            known = self._numbers[places] == allowed if self._numbers.size else np.zeros(allowed.size, dtype=np.bool_)
            best = self._search(query, places[known], k)
            return np.concatenate([self._numbers[best], allowed[~known]])

    def catch_up(self, connection: sqlite3.Connection, head: Head) -> None:
        """Take in what was committed up to *head*, the state of the connection's transaction."""
        with self._lock:
            self._catch_up(connection, head)

    def _search(self, query: Vectors, places: Numbers, k: int) -> Numbers:
        if not places.size or k <= 0:
            return np.zeros(0, dtype=np.int64)
        everything = places.size == self._numbers.size
        # On a flat index this selector visits only the named rows.
        selector = None if everything else self._faiss.IDSelectorArray(places)
        params = None if selector is None else self._faiss.SearchParameters(sel=selector)
        # Twice the worst rounding of a single-precision dot product of unit rows, on either side.
        margin = 4.0 * self._identity.dim * float(np.finfo(np.float32).eps)
        wanted = k + _SPARE
        while True:
            wanted = min(wanted, places.size)
            scores, found = self._index.search(query.reshape(1, -1), wanted, params=params)
            if wanted == places.size or scores[0, -1] < scores[0, k - 1] - margin:
                return np.asarray(found[0][found[0] >= 0], dtype=np.int64)
            wanted *= 4

    def _catch_up(self, connection: sqlite3.Connection, head: Head) -> None:
        if self._applied is None:
            self._load(connection, head)
        applied = self._applied
        if applied is None or head.commit <= applied.commit:
            return  # ahead of this reader's moment: what it lacks is scored from the table
        newest = int(self._numbers[-1]) if self._numbers.size else 0
        self._add(connection, newest)
        if head.removed != applied.removed:
            there = _column(connection.execute("SELECT number FROM vectors ORDER BY number"))
            stale = np.flatnonzero(~np.isin(self._numbers, there, assume_unique=True))
            if stale.size:
                self._index.remove_ids(self._faiss.IDSelectorBatch(stale))
                self._numbers = np.delete(self._numbers, stale)
                self._saved = False
            if not np.array_equal(self._numbers, there):
                self._rebuild(connection)
        self._applied = head

    def _rebuild(self, connection: sqlite3.Connection) -> None:
        self._index = self._faiss.IndexFlatIP(self._identity.dim)
        self._numbers = np.zeros(0, dtype=np.int64)
        self._add(connection, 0)
        self._saved, self.rebuilt = False, True

    def _add(self, connection: sqlite3.Connection, after: int) -> None:
        cursor = connection.execute("SELECT number, row FROM vectors WHERE number > ? ORDER BY number", (after,))
        while rows := cursor.fetchmany(_BATCH):
            width = 4 * self._identity.dim
            fitting = [
                (number, row) for number, row in rows if isinstance(row, bytes) and len(row) == width
            ]  # others are scored as misfits
            if fitting:
                vectors = np.frombuffer(b"".join(row for _, row in fitting), dtype="<f4")
                self._index.add(vectors.reshape(-1, self._identity.dim).astype(np.float32))
                self._numbers = np.concatenate([self._numbers, [number for number, _ in fitting]]).astype(np.int64)
                self._saved = False

    # --- the snapshot

    def _load(self, connection: sqlite3.Connection, head: Head) -> None:
        manifest = read_manifest(self._manifest)
        if manifest is None or not self._fits(manifest, head) or not self._read(manifest):
            self._rebuild(connection)
            self._applied = head
            return
        self._saved = True
        # One full comparison after each load, whatever the counters say (-1 differs from all).
        self._applied = Head(manifest.commit, 0, "", -1, manifest.erased)
        if manifest.commit == head.commit:
            there = _column(connection.execute("SELECT number FROM vectors ORDER BY number"))
            if not np.array_equal(self._numbers, there):
                self._rebuild(connection)
            self._applied = head

    def _fits(self, manifest: Manifest, head: Head) -> bool:
        mine = (self._vault, self._identity.name, self._identity.dim, head.erased)
        theirs = (manifest.vault, manifest.embedder, manifest.dim, manifest.erased)
        return mine == theirs and manifest.commit <= head.commit

    def _read(self, manifest: Manifest) -> bool:
        try:
            content = self._file.read_bytes()
        except OSError:
            return False
        # FAISS loads a file with a flipped bit without a word, so the digest decides.
        if hashlib.sha256(content).hexdigest() != manifest.sha256:
            return False
        cut = manifest.count * 8
        try:
            index = self._faiss.deserialize_index(np.frombuffer(content[cut:], dtype=np.uint8))
        except RuntimeError:
            return False
        if (index.d, index.ntotal, len(content[:cut])) != (self._identity.dim, manifest.count, cut):
            return False
        self._index = index
        self._numbers = np.frombuffer(content[:cut], dtype="<i8").astype(np.int64)
        return True

    def save(self, now: Head) -> Head | None:
        """Write the snapshot when it would say more than the one on disk; gives the commit that it stands for.

        *now* is the vault's head. Nothing is written when a cube was erased since the index caught up: its vector
        would come back to the disk. The caller looks once more after the rename, and drops the files if one was.
        """
        with self._lock:
            applied = self._applied
            if applied is None or self._saved or applied.erased != now.erased:
                return None
            content = self._numbers.astype("<i8").tobytes() + self._faiss.serialize_index(self._index).tobytes()
            manifest = Manifest(
                self._vault,
                self._identity.name,
                self._identity.dim,
                applied.commit,
                applied.removed,
                applied.erased,
                len(self._numbers),
                hashlib.sha256(content).hexdigest(),
            )
            try:
                _replace_file(self._file, content)
                _replace_file(self._manifest, json.dumps(asdict(manifest), indent=1).encode())
            except OSError:
                return None  # a derivative: the disk may be full, or an erase in another process took the files
            self._saved, self.rebuilt = True, False
            return applied


def _replace_file(file: Path, content: bytes) -> None:
    aside = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        aside.replace(file)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _column(cursor: sqlite3.Cursor) -> Numbers:
    return np.fromiter((row[0] for row in cursor), dtype=np.int64)
