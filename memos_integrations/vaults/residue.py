"""Looks for the bytes of what was erased in every file, whatever form they took, and signs that they are gone.

Looked for are stretches of every version's text, long tags and entities, the vector and the blobs: as UTF-8, UTF-16,
as JSON escapes, as base64 at each of its three alignments. A look before the erasure must find them (the positive
control), else finding nothing afterwards would show nothing. What another memory that still stands says as well is not
counted as a trace. The note names no memory: it holds commitments under a salt that is given back beside it, and who
drops the salt drops the last thing that ties the note to what it is about. Of an encrypted vault the wrapped data keys
are looked for too: they are the control there, and when they are gone what was sealed with them says nothing any more.

Not covered: copies outside the places that are scanned (older backups, exports, other machines), compressed or
encrypted copies, the disk below the file system, and memories of fewer than `SHORTEST` characters, which are counted.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from memos_integrations.core.cube import MemCube, PlaintextPayload, canonical_json
from memos_integrations.core.errors import VaultError
from memos_integrations.vaults.blobs import BlobFolder, blob_folder
from memos_integrations.vaults.connection import connect, translating
from memos_integrations.vaults.held_files import reading
from memos_integrations.vaults.signed_log import CheckpointAnchor, LogSigner, sign_log
from memos_integrations.vaults.sqlite import SQLiteVault

SHORTEST = 8
"""Fewer characters are found anywhere by chance."""

_STRETCH, _STRETCHES, _PIECE = 32, 24, 1 << 24

_BODIES = """SELECT c.id, v.version, v.digest, v.body FROM json_each(?) AS asked CROSS JOIN cubes AS c
    ON c.id = asked.value CROSS JOIN versions AS v ON v.cube = c.seq ORDER BY c.seq, v.version"""
_VECTORS = """SELECT v.row FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN vectors AS v ON v.cube = c.seq"""
_LOCKS = """SELECT l.lock FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN locks AS l ON l.cube = c.seq"""
_BLOBS = """SELECT DISTINCT b.digest FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN blobs AS b ON b.cube = c.seq"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found before an erasure. It holds the words themselves: keep it in memory only."""

    salt: bytes
    closure: tuple[dict[str, Any], ...]
    texts: tuple[str, ...]
    vectors: tuple[bytes, ...]
    blobs: tuple[str, ...]
    short: int
    control: int
    locks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """How much was looked at, and in how many places something was found: `(file, form)`, never the words."""

    files: int
    bytes: int
    hits: tuple[tuple[str, str], ...]


def stretches(text: str) -> list[str]:
    """What stands for a text: all of it when it is short, else pieces from its start to its end."""
    if len(text) <= _STRETCH:
        return [text] if len(text) >= SHORTEST else []
    last = len(text) - _STRETCH
    step = max(_STRETCH // 2, last // _STRETCHES)
    return [text[at : at + _STRETCH] for at in (*range(0, last, step), last)]


def forms(text: str) -> dict[str, bytes]:
    """The bytes that a text takes in files, by the name of the form."""
    raw = text.encode("utf-8")
    made = {"utf-8": raw, "utf-16-le": text.encode("utf-16-le"), "utf-16-be": text.encode("utf-16-be")}
    made["json"] = json.dumps(text)[1:-1].encode()
    made["json-utf-8"] = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    for shift in range(3):
        # The characters at both ends also depend on what stands beside them, so they are left out.
        coded = base64.b64encode(b"\0" * shift + raw)
        made[f"base64+{shift}"] = coded[-(-shift * 4 // 3) : (shift + len(raw)) // 3 * 4]
    return {name: content for name, content in made.items() if len(content) >= SHORTEST}


def files_in(places: Sequence[Path]) -> Iterator[Path]:
    """Every file in or below the places; links are not followed."""
    for place in places:
        if place.is_file():
            yield place
        for folder, _, names in os.walk(place):
            yield from (path for name in sorted(names) if (path := Path(folder, name)).is_file())


def scan(places: Sequence[Path], wanted: dict[str, dict[str, bytes]]) -> tuple[Scan, set[str]]:
    """Look for every form of what is *wanted* (name -> forms) in every file; also the names that were found.

    Raises:
        VaultError: A file cannot be read.
    """
    found: set[str] = set()
    hits: set[tuple[str, str]] = set()
    files = size = 0
    overlap = max((len(each) for shapes in wanted.values() for each in shapes.values()), default=1)
    for path in files_in(places):
        files += 1
        try:
            for piece in _pieces(path, overlap):
                size += len(piece)
                for name, shapes in wanted.items():
                    there = [form for form, content in shapes.items() if content in piece]
                    hits.update((str(path), form) for form in there)
                    found.update([name] if there else ())
        except FileNotFoundError:
            continue  # taken away while we looked, as an index file is
        except OSError as exc:
            raise VaultError(f"{path} cannot be read, so nothing can be said of it ({exc}).") from exc
    return Scan(files, size, tuple(sorted(hits))), found


def _pieces(path: Path, overlap: int) -> Iterator[bytes]:
    kept, at = b"", 0
    with reading(path) as descriptor:
        while block := os.pread(descriptor, _PIECE, at):
            yield kept + block
            kept, at = (kept + block)[-overlap:], at + len(block)


class FileScan:
    """Attests erasures in *vault*: `memos.forget(id, by=..., proof=FileScan(vault, signer))`.

    Where a copy is left in the database file, the file is written anew (VACUUM: it takes long for a large vault) and
    looked through again. *places* are further files and folders to look through: stores of keys and values, adapters,
    logs, backups.
    With *anchors* the checkpoint under which the deletion stands in the audit log is published.
    """

    def __init__(
        self,
        vault: SQLiteVault,
        signer: LogSigner,
        *,
        places: Sequence[str | Path] = (),
        anchors: Sequence[CheckpointAnchor] = (),
    ) -> None:
        self._unlock = vault.unlock
        self._file, self._signer, self._anchors = vault.path, signer, tuple(anchors)
        beside = vault.path.parent.glob(f"{vault.path.stem}*") if vault.path.name != "vault.db" else [vault.path.parent]
        self._fixed, self._places = list(beside), [Path(place) for place in places]

    def _all(self) -> list[Path]:
        again = [] if self._file.name == "vault.db" else [*self._file.parent.glob(f"{self._file.stem}*")]
        return [*dict.fromkeys([*self._fixed, *again, *self._places])]

    def _rebuild(self) -> None:
        """Write the file anew: SQLite zeroes what it deletes, not the copies that it left behind when it moved rows."""
        with translating(), closing(connect(self._file, busy_timeout_s=30.0)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def look(self, cube_ids: Sequence[str]) -> Seen:
        """See `ErasureWitness.look`."""
        asked = json.dumps(list(cube_ids))
        with translating(), closing(connect(self._file, busy_timeout_s=30.0, reading=True)) as connection:
            self._unlock(connection)
            connection.execute("BEGIN")
            locks = tuple(lock for (lock,) in connection.execute(_LOCKS, (asked,)))
            rows = connection.execute(_BODIES, (asked,)).fetchall()
            vectors = tuple(row for (row,) in connection.execute(_VECTORS, (asked,)))
            blobs = tuple(digest for (digest,) in connection.execute(_BLOBS, (asked,)))
        salt, texts, short = secrets.token_bytes(32), [], 0
        closure = []
        for cube_id, version, digest, body in rows:
            cube = MemCube.from_json(body)
            closure.append({"version": version, "kind": cube.tier.value, "is": commitment(salt, cube_id, digest)})
            for text in _words(cube):
                pieces = stretches(text)
                short += not pieces
                texts += pieces
        wanted = {text: forms(text) for text in dict.fromkeys(texts)}
        _, found = scan(self._all(), wanted | _keyed(locks))
        if wanted and not found:
            raise VaultError("The scan does not find what is to be erased, so it could not show that it is gone.")
        return Seen(salt, tuple(closure), tuple(wanted), vectors, blobs, short, len(found), locks)

    def attest(self, seen: Any, said: dict[str, Any]) -> str:
        """See `ErasureWitness.attest`."""
        if not isinstance(seen, Seen):
            raise VaultError("Only what this scan looked at before can be attested.")
        with translating(), closing(connect(self._file, busy_timeout_s=30.0, reading=True)) as connection:
            self._unlock(connection)
            connection.execute("BEGIN")
            mine = [text for text in seen.texts if not _stands(connection, text)]
            vectors = [row for row in seen.vectors if any(row) and not _held(connection, "vectors", row)]
            blobs = [digest for digest in seen.blobs if not _held(connection, "blobs", digest)]
            note = sign_log(connection, self._signer, *self._anchors)
        wanted = {text: forms(text) for text in mine}
        wanted |= {f"vector {place}": {"float32": row} for place, row in enumerate(vectors)}
        wanted |= _keyed(seen.locks)
        report, _ = scan(self._all(), wanted)
        if any(Path(place) == self._file for place, _ in report.hits):
            self._rebuild()
            report, _ = scan(self._all(), wanted)
        shelf = BlobFolder(blob_folder(self._file))
        left = [*report.hits, *((digest, "blob") for digest in blobs if shelf.fits(digest))]
        if left:
            places = sorted({f"{Path(place).name} ({form})" for place, form in left})
            raise VaultError(f"It was erased, but traces are left in {', '.join(places[:5])}.")
        looked = {"files": report.files, "bytes": report.bytes, "hits": 0, "pieces": len(wanted), "short": seen.short}
        looked |= {"control": seen.control, "said_elsewhere": len(seen.texts) - len(mine), "blobs": len(blobs)}
        about = {"kind": "memos erasure", "closure": seen.closure, "scan": looked, "log": note.splitlines()[:3]}
        return self._signer.sign(canonical_json(said | about).decode() + "\n")


def _keyed(locks: Sequence[bytes]) -> dict[str, dict[str, bytes]]:
    return {f"data key {place}": {"data key": lock} for place, lock in enumerate(locks)}


def commitment(salt: bytes, cube_id: str, digest: str) -> str:
    """What stands for a version in a receipt: HMAC-SHA-256 under the receipt's salt."""
    return hmac.new(salt, f"{cube_id}\0{digest}".encode(), sha256).hexdigest()


def _words(cube: MemCube) -> list[str]:
    said = [cube.text] if isinstance(cube.payload, PlaintextPayload) else []
    named = (*cube.descriptive.tags, *cube.descriptive.entities)
    return [*said, *(name for name in named if len(name) >= SHORTEST)]


def _stands(connection: sqlite3.Connection, text: str) -> bool:
    """Whether a memory that still stands says the same."""
    body = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    return connection.execute("SELECT 1 FROM versions WHERE instr(body, ?) LIMIT 1", (body,)).fetchone() is not None


_HELD = {
    "vectors": "SELECT 1 FROM vectors WHERE row = ? LIMIT 1",
    "blobs": "SELECT 1 FROM blobs WHERE digest = ? LIMIT 1",
}


def _held(connection: sqlite3.Connection, table: str, value: bytes | str) -> bool:
    return connection.execute(_HELD[table], (value,)).fetchone() is not None
