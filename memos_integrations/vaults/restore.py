"""Putting a backup of a SQLite vault back: every byte is checked first, and what stands there is not lost unasked."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import sqlite3
import tarfile
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from memos_integrations.core.cube import canonical_json, sha256
from memos_integrations.core.errors import VaultBusyError, VaultCorruptError, VaultError
from memos_integrations.vaults.backup import FORMAT, Backup, Progress, partial_beside, synced
from memos_integrations.vaults.blobs import BlobFolder, blob_folder, sync_folder, translating_files
from memos_integrations.vaults.connection import database_file, translating
from memos_integrations.vaults.faiss_index import drop_files
from memos_integrations.vaults.schema import checked_version
from memos_integrations.vaults.seals import key_file_of
from memos_integrations.vaults.sqlite_write import read_head

_BLOB = re.compile(r"blobs/([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})")
_TOP = frozenset({"vault.db", "vault.key", "manifest.json"})


def restore(source: str | Path, vault: str | Path, *, force: bool = False, progress: Progress | None = None) -> Backup:
    """Make the vault at *vault* what the backup at *source* says, after checking every byte of it.

    A vault that stands there already is replaced only with *force*, and only when nobody has it open.

    Raises:
        VaultCorruptError: The backup is damaged, incomplete, or not a backup. Nothing was changed.
        VaultSchemaError: It was made by a newer version of this package.
        VaultError: There is no backup, or a vault stands at *vault* and *force* is not given.
        VaultBusyError: The vault to be replaced is open somewhere.
    """
    origin, database = Path(source), database_file(Path(vault))
    if not origin.exists():
        raise VaultError(f"There is no backup at {origin}.")
    blobs = BlobFolder(blob_folder(database))
    there = [file for file in (database, blobs.folder) if file.exists()]
    if there and not force:
        raise VaultError(f"{there[0]} exists and was not touched. Name another place, or say that it may be replaced.")
    with translating_files("The restored vault"):
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with partial_beside(database) as folder:
            files = _fetched(origin, folder)
            manifest = read_manifest(files, check=progress or _silent)
            _check_database(files / "vault.db", manifest)
            _replace(database, files, manifest, moved=files == folder)
    return Backup(**manifest["backup"])


def read_manifest(folder: Path, *, check: Progress | None = None) -> dict[str, Any]:
    """The manifest of a backup in a folder; with *check*, every file is held against it first.

    Raises:
        VaultCorruptError: It is not the manifest of a backup, or a file is missing, too many, or not what it should be.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        stated, files = manifest.pop("sha256"), manifest["files"]
        if manifest["format"] != FORMAT or sha256(canonical_json(manifest)) != stated or "vault.db" not in files:
            raise ValueError("its digest does not fit")
        Backup(**manifest["backup"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise VaultCorruptError(f"{folder} is not a backup of a vault, or its manifest is damaged ({exc}).") from exc
    if check is not None:
        _check_files(folder, files, check)
    return dict(manifest)


def _fetched(origin: Path, folder: Path) -> Path:
    """The folder in which the files of a backup are: *folder* itself after unpacking, else where they stand."""
    if origin.is_dir():
        return origin
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(origin, "r:") as tar:
            for member in tar:
                if not member.isfile() or not (_BLOB.fullmatch(member.name) or member.name in _TOP):
                    raise VaultCorruptError(f"{origin} holds {member.name[:100]!r}; that is not in any backup.")
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError) as exc:
        raise VaultCorruptError(f"{origin} is not a backup, or is damaged ({exc}).") from exc
    return folder


def _check_files(folder: Path, files: dict[str, dict[str, Any]], progress: Progress) -> None:
    wrong = [name for name in files if name not in _TOP and not _BLOB.fullmatch(name)]
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    wrong += sorted(there ^ (files.keys() | {"manifest.json"}))
    if wrong:
        raise VaultCorruptError(f"The backup lacks {wrong[0]!r}, or has it for no reason. Use another backup.")
    total, done = sum(each["size"] for each in files.values()), 0
    for name, stated in files.items():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        if (size, found) != (stated["size"], stated["sha256"]):
            raise VaultCorruptError(
                f"{name!r} in the backup is damaged: it does not match its digest. Use another one."
            )
        done += size
        progress(done, total)


def _check_database(file: Path, manifest: dict[str, Any]) -> None:
    """Whether the database is one that this package can open, and the one that the manifest speaks of."""
    uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    with translating(), closing(sqlite3.connect(uri, uri=True)) as copy:
        checked_version(copy)
        head = read_head(copy)
    if (head.commit, head.hash) != (manifest["backup"]["commit"], manifest["backup"]["head"]):
        raise VaultCorruptError("The backup's database is not the one that its manifest speaks of. Use another backup.")


def _replace(database: Path, files: Path, manifest: dict[str, Any], *, moved: bool) -> None:
    aside = database.with_name(f"{database.name}.{secrets.token_hex(4)}.tmp")
    blobs = BlobFolder(blob_folder(database))
    try:
        for name, stated in manifest["files"].items():
            if name not in _TOP:
                _put_blob(blobs, files / name, stated)
        if moved:
            (files / "vault.db").rename(aside)
        else:
            shutil.copyfile(files / "vault.db", aside)
            aside.chmod(0o600)
        if synced(aside)["sha256"] != manifest["files"]["vault.db"]["sha256"]:
            raise VaultCorruptError("The backup changed while it was read. Nothing was replaced.")
        own_key = "vault.key" in manifest["files"] and not _is_key(key_file_of(database), manifest)
        _clear(database, whole=own_key)
        if own_key:
            _put_key(files / "vault.key", key_file_of(database))
        aside.replace(database)
        sync_folder(database.absolute().parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _put_blob(blobs: BlobFolder, file: Path, stated: dict[str, Any]) -> None:
    # A sealed blob's bytes are not what its name is made from.
    with suppress(OSError), blobs.file(file.name).open("rb") as there:
        if hashlib.file_digest(there, "sha256").hexdigest() == stated["sha256"]:
            return
    with file.open("rb") as stream:
        aside = blobs.write_aside(stream)
    if aside.digest != stated["sha256"]:
        blobs.discard(aside.file)
        raise VaultCorruptError("The backup changed while it was read. Nothing was replaced.")
    blobs.keep(replace(aside, digest=file.name))


def _is_key(key: Path, manifest: dict[str, Any]) -> bool:
    """Whether the backup's key stands there already."""
    with suppress(OSError):
        return bool(hashlib.sha256(key.read_bytes()).hexdigest() == manifest["files"]["vault.key"]["sha256"])
    return False


def _put_key(source: Path, key: Path) -> None:
    aside = key.with_name(f"{key.name}.{secrets.token_hex(4)}.tmp")
    shutil.copyfile(source, aside)
    aside.chmod(0o600)
    synced(aside)
    aside.replace(key)


def _clear(database: Path, *, whole: bool) -> None:
    """Take the old vault's log and index away, so that nothing of it is taken for the new one's; *whole*: itself too.

    It stays where the new one has the same key: then one is put in the other's place in one step.

    Raises:
        VaultBusyError: Somebody has the old vault open.
    """
    if database.exists():
        with closing(sqlite3.connect(database, timeout=1.0, isolation_level=None)) as old:
            try:
                old.execute("PRAGMA journal_mode = DELETE")  # only possible for the last one who has it open
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                    raise VaultBusyError(f"{database} is open somewhere. Close it there, then restore.") from exc
            except sqlite3.DatabaseError:
                pass  # damaged: that is why it is replaced
    if not drop_files(database):
        raise VaultError("The old vault's index could not be removed; nothing was replaced. Check the folder's rights.")
    # The database first: a database beside another one's key would be taken for damaged.
    for suffix in ("", "-wal", "-shm", "-journal") if whole else ("-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _silent(done: int, total: int) -> None:
    """For callers who do not watch."""
