"""Sealed segments beside a vault: tenant-sorted copies of its vectors and columns, mapped into memory, never changed.

They are derivatives: the table is the truth, and a lost, late or damaged segment costs time, never an answer. One file
is `numbers | cubes | checks | tenants | starts`, each int64, then from the next page on the vectors in float32. The
manifest names every file with its size and the SHA-256 of that first part, which is read at opening; of the vectors,
every row has its own check, and is held against it before its first use: a row that fails is read from the table.
The manifest is sealed with the vault's key; one that is not what was sealed counts as none.

A new manifest replaces the old one when all it names is on the disk (written aside, synced, renamed, folder synced).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import EmbedderIdentity, Vectors
from memos_integrations.vaults.columns import Mask, Numbers
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_write import Head

_PAGE = 4096
_CHUNK = 256
_ZEROES = 1 << 20
_TRIES, _PAUSE_S = 50, 0.02
_NAME = re.compile(r"\.[0-9a-f]{16}\.faiss(\.\d+\.codes)?(\.tmp)?$")


@dataclass(frozen=True, slots=True)
class Piece:
    """One file: the vectors with numbers from `first` to `last`."""

    name: str
    first: int
    last: int
    count: int
    tenants: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands beside a vault, and the moment that it is of; `entries` and `head` are the audit log's then."""

    vault: str
    embedder: str
    dim: int
    commit: int
    erased: int
    count: int
    pieces: tuple[Piece, ...]
    columns: Piece | None = None
    entries: int = 0
    head: str = ""
    seal: str = ""

    def sealed(self, sealer: Sealer) -> Manifest:
        """The same with the seal of the vault's key: what an edit of the files it names by digest cannot get past."""
        said = asdict(replace(self, seal=""))
        if not self.head:  # sealed before it told of the log
            del said["entries"], said["head"]
        content = json.dumps(said, sort_keys=True).encode()
        return replace(self, seal=sealer.outside(b"index\0" + content))


def manifest_file(database: Path) -> Path:
    """Where the manifest of a database's segments stands."""
    return database.with_suffix(".faiss.json")


def read_manifest(file: Path) -> Manifest | None:
    """The manifest of a vault's segments, or None when there is none that can be read."""
    try:
        found = json.loads(file.read_bytes())
        columns = found["columns"] and Piece(**found["columns"])
        return Manifest(**found | {"pieces": tuple(Piece(**piece) for piece in found["pieces"]), "columns": columns})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def segment_files(database: Path) -> Iterator[Path]:
    """Every file of this vault's segments that is on the disk, half-written ones too."""
    with suppress(OSError):
        for file in database.parent.iterdir():
            if file.name.startswith(database.stem) and _NAME.fullmatch(file.name.removeprefix(database.stem)):
                yield file


def drop_files(database: Path, keep: frozenset[str] = frozenset()) -> bool:
    """Take the segments of a vault off the disk, except those to *keep*. Whether none is left."""
    gone = True
    manifest = manifest_file(database)
    for file in ([] if keep else [manifest, manifest.with_name(f"{manifest.name}.tmp")]) + [*segment_files(database)]:
        if not any(file.name.startswith(name) for name in keep):
            try:
                file.unlink(missing_ok=True)
            except OSError:
                gone = False
    return gone


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process seals in *folder* meanwhile: two would take each other's new segments off the disk.

    Waits a moment for one that does. Where there are no such locks (Windows, some file systems), it is taken to be so.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    there = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(there, fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(there)  # and the lock goes


def _locked(there: int, lock: Callable[[int, int], None], how: int) -> bool:
    for _ in range(_TRIES):
        try:
            lock(there, how)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
            continue
        except OSError:
            pass  # the file system has no such locks
        return True
    return False


def checks_of(rows: Vectors, numbers: Numbers) -> Numbers:
    """The digest of each row and its number, 8 bytes of BLAKE2b: the manifest's seal covers them, and so the rows."""
    salts, raw = numbers.astype("<i8").tobytes(), np.ascontiguousarray(rows)
    digests = [blake2b(row, digest_size=8, salt=salts[8 * at : 8 * at + 8]).digest() for at, row in enumerate(raw)]
    return np.frombuffer(b"".join(digests), dtype="<i8")


class Segment:
    """One sealed file. Rows are named by their place in it; those of one tenant lie together, by rising number.

    Raises:
        ValueError: It is not what the manifest says.
        OSError: It cannot be read.
    """

    def __init__(self, folder: Path, piece: Piece, dim: int) -> None:
        self.piece = piece
        n, t = piece.count, piece.tenants
        words = 3 * n + 2 * t + 1
        start = -(-8 * words // _PAGE) * _PAGE
        self.file = folder / piece.name
        if self.file.stat().st_size != piece.size or piece.size != start + 4 * n * dim or n <= 0:
            raise ValueError("wrong size")
        whole = np.memmap(self.file, dtype=np.uint8, mode="r")
        head = whole[: 8 * words]
        if hashlib.sha256(head.tobytes()).hexdigest() != piece.sha256:
            raise ValueError("damaged")
        table = np.asarray(head).view("<i8")
        self.numbers, self.cubes, self._checks = table[:n], table[n : 2 * n], table[2 * n : 3 * n]
        self._tenants, self._starts = table[3 * n : 3 * n + t], table[3 * n + t :]
        if not piece.first <= int(self.numbers.min()) <= int(self.numbers.max()) <= piece.last:
            raise ValueError("other numbers")
        self.rows: Vectors = np.asarray(whole[start:]).view("<f4").reshape(n, dim)
        self._seen, self._known = np.zeros(-(-n // _CHUNK), dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        self._bad: Mask | None = None

    @property
    def damaged(self) -> bool:
        """Whether a row was found that is not what was sealed."""
        return self._bad is not None

    def span(self, tenant: int) -> tuple[int, int]:
        """The places of a tenant's rows: from, up to."""
        place = int(np.searchsorted(self._tenants, tenant))
        if place == self._tenants.size or self._tenants[place] != tenant:
            return 0, 0
        return int(self._starts[place]), int(self._starts[place + 1])

    def tenants(self) -> Iterator[tuple[int, int, int]]:
        """Every tenant here, with the span of its rows."""
        yield from zip(self._tenants.tolist(), self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)

    def sound(self, start: int, stop: int) -> Mask | None:
        """Which of these rows are as they were sealed; None when all are. Each is looked at once."""
        first, last = start // _CHUNK, -(-stop // _CHUNK)
        if not self._seen[first:last].all():
            for chunk in (first + np.flatnonzero(~self._seen[first:last])).tolist():
                span = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
                self._hold(span, checks_of(self.rows[span], self.numbers[span]) == self._checks[span])
                self._seen[chunk] = True
        return None if self._bad is None else ~self._bad[start:stop]

    def sound_at(self, places: Numbers, rows: Vectors) -> Mask:
        """Which of these scattered *rows*, read from their places, are as they were sealed."""
        good = np.ones(places.size, dtype=np.bool_)
        new = np.flatnonzero(~self._known[places])
        good[new] = checks_of(rows[new], self.numbers[places[new]]) == self._checks[places[new]]
        self._known[places[good]] = True
        return good

    def _hold(self, span: slice, good: Mask) -> None:
        if not good.all():
            if self._bad is None:
                self._bad = np.zeros(self.piece.count, dtype=np.bool_)
            self._bad[span] = ~good


def write_segment(database: Path, connection: sqlite3.Connection, dim: int, first: int, last: int) -> Piece | None:
    """Seal the vectors with numbers from *first* to *last*; None when there is none.

    The rows come from the table, in its order, and go to their places by tenant in a file that is mapped.
    """
    outline = connection.execute(
        """SELECT v.number, v.cube, c.tenant FROM vectors AS v CROSS JOIN cubes AS c ON c.seq = v.cube
        WHERE v.number BETWEEN ? AND ? AND length(v.row) = ? ORDER BY v.number""",
        (first, last, 4 * dim),
    )
    columns: Numbers = np.fromiter(outline, dtype=np.dtype((np.int64, 3)))
    if not columns.size:
        return None
    order = np.argsort(columns[:, 2], kind="stable")
    numbers, cubes, tenant_of = (np.ascontiguousarray(column) for column in columns[order].T)
    tenants, starts = np.unique(tenant_of, return_index=True)
    n, place_of = numbers.size, np.argsort(order)
    words = 3 * n + 2 * tenants.size + 1
    start = -(-8 * words // _PAGE) * _PAGE
    name = f"{database.stem}.{token_hex(8)}.faiss"
    aside = database.with_name(f"{name}.tmp")
    os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with open(aside, "r+b") as out:
            _reserve(out, start + 4 * n * dim)  # a full disk is an error here, not a signal later
            rows = np.memmap(out, dtype="<f4", mode="r+", offset=start, shape=(n, dim))
            _copy(connection, columns[:, 0], place_of, rows)
            rows.flush()
            table = np.concatenate([numbers, cubes, checks_of(rows, numbers), tenants, starts, [n]]).astype("<i8")
            content = table.tobytes()
            out.seek(0)
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        aside.replace(database.with_name(name))
        synced(database.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    size, digest = start + 4 * n * dim, hashlib.sha256(content).hexdigest()
    return Piece(name, int(columns[0, 0]), last, n, int(tenants.size), size, digest)


def _reserve(out: BinaryIO, size: int) -> None:
    """Make a new file so long that all of it has its place on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(out.fileno(), 0, size)
        return
    for start in range(0, size, _ZEROES):  # macOS has none
        out.write(bytes(min(_ZEROES, size - start)))
    out.flush()


def _copy(connection: sqlite3.Connection, numbers: Numbers, place_of: Numbers, rows: npt.NDArray[np.float32]) -> None:
    cursor = connection.execute(
        "SELECT number, row FROM vectors WHERE number BETWEEN ? AND ? AND length(row) = ? ORDER BY number",
        (int(numbers[0]), int(numbers[-1]), 4 * rows.shape[1]),
    )
    done = 0
    while batch := cursor.fetchmany(4_096):
        content = np.frombuffer(b"".join(row for _, row in batch), dtype="<f4").reshape(len(batch), -1)
        rows[place_of[done : done + len(batch)]] = content
        done += len(batch)


def write_manifest(database: Path, manifest: Manifest) -> None:
    """Replace the manifest, durably; files that it does not name are taken away."""
    file = manifest_file(database)
    aside = file.with_name(f"{file.name}.tmp")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(json.dumps(asdict(manifest), indent=1).encode())
        out.flush()
        os.fsync(out.fileno())
    aside.replace(file)
    synced(file.parent)
    drop_files(database, keep=frozenset(piece.name for piece in (*manifest.pieces, manifest.columns) if piece))


def synced(folder: Path) -> None:
    """Make the names in a folder durable."""
    there = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(there)
    finally:
        os.close(there)


def fits(
    manifest: Manifest, connection: sqlite3.Connection, vault: str, identity: EmbedderIdentity, head: Head
) -> bool:
    """Whether segments belong to this vault as it stands: not another one's, nor of a moment that never was.

    Of a file that was set back, and written to since, the same numbers stand for other vectors.
    """
    theirs = (manifest.vault, manifest.embedder, manifest.dim, manifest.erased)
    given = max((piece.last for piece in manifest.pieces), default=0)
    if (
        (vault, identity.name, identity.dim, head.erased) != theirs
        or manifest.commit > head.commit
        or given > head.vectors
    ):
        return False
    found = connection.execute("SELECT hash FROM audit WHERE number = ?", (manifest.entries,)).fetchone()
    return (None if found is None else found[0]) == (manifest.head if manifest.entries else None)
