"""Backups of a SQLite vault: taken while it is in use, checked to the last byte before they are put back.

A backup is a folder, or the same as one `.tar` file: `vault.db`, the blobs that its cubes name, and `manifest.json`
with the size and SHA-256 of each file. The database is copied within one read transaction, so it is the vault at one
commit while writers go on. The search index is left out: it is made from the database. An integrity key that stands
beside the vault goes along (`vault.key`); one that is kept elsewhere is needed again after a restore. What is encrypted
is copied as it stands, and the provider's key is never in it: who restores it opens it with the same `keys`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memos_integrations.core.cube import canonical_json, sha256
from memos_integrations.core.errors import IntegrityError, VaultBusyError, VaultCorruptError, VaultError
from memos_integrations.vaults.blob_seal import whole
from memos_integrations.vaults.blobs import BlobFolder, blob_folder, sync_folder, translating_files
from memos_integrations.vaults.connection import connect, database_file, translating
from memos_integrations.vaults.schema import checked_version
from memos_integrations.vaults.seals import key_file_of
from memos_integrations.vaults.sqlite_write import read_head

Progress = Callable[[int, int], None]

FORMAT = "memos vault backup 1"
_PAGES = 2_048
_TRIES = 5
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: one vault at one commit."""

    vault: str
    commit: int
    entries: int
    head: str
    cubes: int
    blobs: int
    bytes: int
    made_at: str


def back_up(vault: str | Path, target: str | Path, *, progress: Progress | None = None) -> Backup:
    """Write a backup of the vault at *vault* to the new folder *target*, or the new file when it ends in `.tar`.

    Other threads and processes may read and write the vault meanwhile; they do not wait. `progress(done, total)`
    counts bytes. What is at *target* afterwards is whole and on the disk; on any error nothing is.

    Raises:
        VaultError: There is no vault, *target* exists, or the disk failed (`VaultFullError`).
        VaultCorruptError: The vault is damaged; the message says where.
        VaultBusyError: Cubes with blobs were erased faster than they could be copied.
    """
    database, wanted = database_file(Path(vault)), Path(target)
    if not database.is_file():
        raise VaultError(f"There is no vault at {vault}.")
    if wanted.exists():
        raise VaultError(f"{wanted} exists; a backup is never written over. Name another folder or file.")
    with translating_files("The backup"), partial_beside(wanted) as folder:
        folder.mkdir(mode=0o700)
        for _ in range(_TRIES):
            try:
                made = _copied(database, folder, progress)
                break
            except _ErasedMeanwhileError:  # the vault of now has neither the cube nor its blob
                for file in folder.glob("vault.*"):
                    file.unlink()  # not the blobs: what was copied stays so, and so the end is near
        else:
            raise VaultBusyError("Memories were erased while they were copied, again and again. Try again.")
        if wanted.suffix == ".tar":
            _pack(folder, wanted)
        else:
            folder.rename(wanted)
        sync_folder(wanted.absolute().parent)
    return made


# --- making one


class _ErasedMeanwhileError(Exception):
    """A blob went away while the backup ran."""


def _copied(database: Path, folder: Path, progress: Progress | None) -> Backup:
    """Everything of a backup, in *folder*."""
    with translating(), closing(connect(database, busy_timeout_s=30.0, reading=True)) as live:
        checked_version(live)
        live.execute("BEGIN")  # all that follows is one moment of the vault
        head = read_head(live)
        (vault,) = live.execute("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'vault'").fetchone()
        (cubes,) = live.execute("SELECT count(*) FROM cubes").fetchone()
        digests = [row[0] for row in live.execute("SELECT DISTINCT digest FROM blobs ORDER BY digest")]
        files = {"vault.db": _copy_database(live, folder / "vault.db", progress)}
        live.execute("ROLLBACK")
    key = key_file_of(database)
    if key.exists():
        shutil.copyfile(key, folder / "vault.key")
        (folder / "vault.key").chmod(0o600)
        files["vault.key"] = synced(folder / "vault.key")
    shelf = BlobFolder(blob_folder(database))
    for number, digest in enumerate(digests):
        files[f"blobs/{digest[:2]}/{digest[2:4]}/{digest}"] = _copy_blob(shelf.file(digest), folder, digest)
        if progress is not None:
            progress(number + 1, len(digests))
    for file in folder.glob("blobs/*/*/*"):
        if file.relative_to(folder).as_posix() not in files:  # from an attempt before: erased since
            file.unlink()
    size = sum(each["size"] for each in files.values())
    made = Backup(
        vault,
        head.commit,
        head.entries,
        head.hash,
        cubes,
        len(digests),
        size,
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest = {"format": FORMAT, "backup": asdict(made), "files": files}
    with open(os.open(folder / "manifest.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(json.dumps(manifest | {"sha256": sha256(canonical_json(manifest))}, indent=1).encode())
        out.flush()
        os.fsync(out.fileno())
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(each)
    return made


def _copy_database(live: sqlite3.Connection, file: Path, progress: Progress | None) -> dict[str, Any]:
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    (page_size,) = live.execute("PRAGMA page_size").fetchone()
    with closing(sqlite3.connect(file, isolation_level=None)) as copy:

        def report(_: int, left: int, total: int) -> None:
            if progress is not None:
                progress((total - left) * page_size, total * page_size)

        live.backup(copy, pages=_PAGES, progress=report, sleep=0)
        # Not WAL: a file that only lies there is one file, and opening it as a vault turns it back.
        copy.execute("PRAGMA journal_mode = DELETE")
        problems = [row[0] for row in copy.execute("PRAGMA quick_check")]
    if problems != ["ok"]:
        raise VaultCorruptError(f"The vault's file is damaged ({problems[0]}). Run `memos doctor` on it.")
    return synced(file)


def _copy_blob(file: Path, folder: Path, digest: str) -> dict[str, Any]:
    copy = folder / "blobs" / digest[:2] / digest[2:4] / digest
    if copy.exists():
        return synced(copy)
    for each in reversed(copy.relative_to(folder).parents[:-1]):
        (folder / each).mkdir(mode=0o700, exist_ok=True)
    try:
        with file.open("rb") as live, open(os.open(copy, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
            shutil.copyfileobj(live, out, _BLOCK)
    except FileNotFoundError as exc:
        raise _ErasedMeanwhileError from exc
    seen = synced(copy)
    if not whole(copy, digest):
        copy.unlink()
        if not file.exists():  # it was overwritten while it was copied, because it was erased
            raise _ErasedMeanwhileError
        raise IntegrityError(f"Blob {digest} does not match its digest; the backup was not made")
    return seen


def synced(file: Path) -> dict[str, Any]:
    """The size and digest of a file, read back after it was synced."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return {"size": opened.tell(), "sha256": digest}


def _pack(folder: Path, target: Path) -> None:
    packed = folder.with_name(f"{folder.name}.tar")
    try:
        with open(os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:
                for file in sorted(folder.rglob("*")):
                    if file.is_file():
                        tar.add(file, file.relative_to(folder).as_posix())
            out.flush()
            os.fsync(out.fileno())
        os.link(packed, target)  # unlike a rename, refuses when somebody was faster
    finally:
        packed.unlink(missing_ok=True)


@contextmanager
def partial_beside(target: Path) -> Iterator[Path]:
    """A folder name beside *target* for what is not ready; nothing is left of it afterwards."""
    folder = target.absolute().with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
