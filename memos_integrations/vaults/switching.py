"""Several files take the place of others in one step: a restored database, its key, and blobs that were sealed anew.

They are made ready in a folder beside the database, `vault.db.….partial`, and synced. Then a list says what goes where:
from the moment that it stands there the step is taken, and whoever opens the vault next finishes it if need be. Before,
nothing has happened, and what is left of it is swept away. A folder that its maker still holds locked is left alone.
"""

from __future__ import annotations

import glob
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from memos_integrations.core.errors import VaultError
from memos_integrations.vaults.blobs import sync_folder

_LIST = "switch.json"
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial")

Moves = Sequence[tuple[Path, Path]]
"""What goes where."""


@contextmanager
def partial_beside(target: Path) -> Iterator[Path]:
    """The name of a folder, in one beside *target*, for what is not ready; nothing is left of it afterwards.

    What others left there who were killed is swept away first.
    """
    target = target.absolute()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(target)
    holder, lock = _held(target)
    try:
        yield holder / "files"
    finally:
        if not (holder / _LIST).exists():
            shutil.rmtree(holder, ignore_errors=True)
        os.close(lock)


def _held(target: Path) -> tuple[Path, int]:
    """A new folder, locked for as long as the descriptor is open."""
    while True:
        holder = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
        holder.mkdir(mode=0o700)
        descriptor = os.open(holder, os.O_RDONLY)
        _lock(descriptor, wait=True)
        if holder.exists():
            return holder, descriptor
        os.close(descriptor)  # somebody swept it away before it was locked


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock a folder for this process, unless another has it locked, or nobody can."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def left_behind(target: Path) -> list[Path]:
    """Folders of those who were killed while they made *target*; not those whose last step was decided on."""
    return [*_abandoned(target)]


def sweep(target: Path) -> None:
    """Take away what was left behind."""
    for folder in _abandoned(target):
        shutil.rmtree(folder, ignore_errors=True)


def _abandoned(target: Path) -> Iterator[Path]:
    """As `left_behind`; each is locked while it is looked at, so that nobody begins with it."""
    for folder in _partial(target):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                if _lock(descriptor) and not (folder / _LIST).exists():
                    yield folder
            finally:
                os.close(descriptor)


def _partial(target: Path) -> list[Path]:
    there = target.absolute().parent.glob(f"{glob.escape(target.name)}.*.partial")
    return [folder for folder in there if _PARTIAL.fullmatch(folder.name[len(target.name) :])]


def switch(database: Path, holder: Path, moves: Moves) -> None:
    """Put synced files, which stand in *holder*, in the place of others, the last one last: all of them, or none.

    Raises:
        OSError: The list could not be written, and nothing happened; or a file could not be moved, and the next
            opening of the vault tries it again.
    """
    told = [
        [str(file.relative_to(holder)), str(place.relative_to(database.absolute().parent))] for file, place in moves
    ]
    aside = holder / f"{_LIST}.tmp"
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(json.dumps(told).encode())
        out.flush()
        os.fsync(out.fileno())
    for folder in {holder, holder.parent, *(file.parent for file, _ in moves)}:
        sync_folder(folder)
    aside.rename(holder / _LIST)
    sync_folder(holder)
    finish_switch(database)


def pending(database: Path) -> list[Path]:
    """The folders of steps that were decided on and not finished."""
    return [folder for folder in _partial(database) if (folder / _LIST).is_file()]


def finish_switch(database: Path) -> None:
    """Finish what was decided on; nothing to do almost always.

    Raises:
        VaultError: The list cannot be read.
        OSError: A file could not be moved.
    """
    for holder in pending(database):
        try:
            told = [(Path(file), Path(place)) for file, place in json.loads((holder / _LIST).read_bytes())]
        except FileNotFoundError:
            continue  # another process was first
        except (ValueError, TypeError) as exc:
            raise VaultError(f"{holder / _LIST} is damaged; a restore that was broken off cannot be finished.") from exc
        folder = database.absolute().parent
        for file, place in told:
            if any(each.is_absolute() or ".." in each.parts for each in (file, place)):
                raise VaultError(f"{holder / _LIST} names a file outside of the vault's folder.")
            with suppress(FileNotFoundError):  # moved before
                (holder / file).replace(folder / place)
        for place in {(folder / place).parent for _, place in told}:
            sync_folder(place)
        (holder / _LIST).unlink(missing_ok=True)
        shutil.rmtree(holder, ignore_errors=True)
