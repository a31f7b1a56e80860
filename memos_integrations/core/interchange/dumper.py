"""MemDumper: what a principal may give away, as one signed file. Paper §5.5.3; the format is MIP.md."""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import SCHEMA, Label, Value, first_problem
from memos_integrations.core.errors import InvalidMemoryError, VaultError, VaultFullError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import BundleWriter
from memos_integrations.core.interchange.canonical import canonical
from memos_integrations.core.interchange.keys import Seal, Signer
from memos_integrations.core.interchange.manifest import MAJOR, SINCE_1_1, Capability, Covers, Manifest
from memos_integrations.core.interchange.writing import Wanted, Writing

LONGEST_NAME = 200
"""Bytes; a file under way has a longer one, and most file systems end at 255."""

HALF = ".part"
_HALF = re.compile(r"\..+\.[0-9a-f]{16}\.part", re.DOTALL)
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


class Dumped(Value):
    """What was written: the bundle's id, how many memories and versions are in it, how many stayed behind and why.

    `erased` memories are named as gone, for readers that had them before.
    `position` is the place in the vault's log that it reaches, for `since` of the next; None: it holds everything.
    """

    bundle: str
    path: str
    bytes: int
    cubes: int
    versions: int
    blobs: int
    declined: dict[str, int]
    erased: int = 0
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom a bundle is, for what and for how long. `seal` hides it from everybody else but the addressee.

    `bundle` is its id, where that has to be known before it is written.
    """

    recipient: str
    purpose: str
    lasts: timedelta
    seal: Seal | None = None
    covers: Covers | None = None
    bundle: str | None = None


class MemDumper:
    """Writes bundles of what *caller* may share, page by page, in memory that does not grow with what is written."""

    def __init__(self, governance: MemGovernance, signer: Signer, *, issuer: str) -> None:
        self._governance, self._signer, self._issuer = governance, signer, issuer

    def dump(self, target: Path, caller: Caller, wanted: Wanted, terms: Terms) -> Dumped:
        """Write a bundle to *target*, which appears there whole and durable, or not at all.

        Raises:
            InvalidMemoryError: There is a file already, `lasts` is not positive, or the reader could not read it.
            VaultError: The disk failed; nothing is left of the bundle.
        """
        self._check(target, caller, wanted, terms)
        half = target.with_name(f".{target.name}.{secrets.token_hex(8)}{HALF}")
        try:
            with ExitStack() as files:
                _sweep(target.parent)
                file = files.enter_context(_private(half))
                # What is to be sealed is never in the clear in a folder that others may reach.
                clear = file if terms.seal is None else files.enter_context(TemporaryFile())
                with ExitStack() as undo:
                    out = BundleWriter(clear)
                    undo.callback(out.abandon)
                    spool = target.parent if terms.seal is None else None
                    writing = Writing(self._governance, caller, out, spool, wanted)
                    writing.write()
                    made = self._sealed(writing, caller, terms)
                    undo.pop_all()
                if terms.seal is not None and wanted.to is not None and wanted.to.seal is not None:
                    clear.seek(0)
                    terms.seal(clear, file, wanted.to.seal)
                file.flush()
                os.fsync(file.fileno())
                size = file.seek(0, os.SEEK_END)
            _appear(half, target)
            _flushed(target.parent)
        except FileExistsError as exc:
            raise InvalidMemoryError(f"{target.name} is there already; a bundle replaces nothing.") from exc
        except OSError as exc:
            kind = VaultFullError if exc.errno == errno.ENOSPC else VaultError
            raise kind(
                f"The bundle could not be written to {target.name}: {exc.strerror}. Nothing is left of it."
            ) from exc
        finally:
            with suppress(OSError):
                half.unlink()
        return Dumped(
            bundle=made.bundle,
            path=str(target),
            bytes=size,
            cubes=writing.cubes,
            versions=writing.versions,
            blobs=writing.blobs,
            declined=dict(writing.declined),
            erased=writing.erased,
            position=None if wanted.changes is None else wanted.changes.to,
        )

    def _check(self, target: Path, caller: Caller, wanted: Wanted, terms: Terms) -> None:
        for name, said in (("issuer", self._issuer), ("recipient", terms.recipient), ("purpose", terms.purpose)):
            check_name(f"The {name} of a bundle", said)
        try:
            is_ahead = caller.now < caller.now + terms.lasts
        except (OverflowError, TypeError) as exc:
            raise InvalidMemoryError(f"A bundle cannot last for {terms.lasts!r}: {exc}.") from exc
        if not is_ahead:
            raise InvalidMemoryError("A bundle has to last for some time: `lasts` is positive.")
        _check(target, wanted, terms)

    def _sealed(self, writing: Writing, caller: Caller, terms: Terms) -> Manifest:
        minor = 1 if terms.covers is not None or writing.requires & SINCE_1_1 else 0
        manifest = Manifest(
            mip=f"{MAJOR}.{minor}",
            bundle=terms.bundle or secrets.token_hex(16),
            created_at=caller.now,
            expires_at=caller.now + terms.lasts,
            issuer=self._issuer,
            key=self._signer.key,
            recipient=terms.recipient,
            purpose=terms.purpose,
            digest="sha-256",
            signature="ed25519",
            requires=tuple(sorted(writing.requires)),
            cube_schema=SCHEMA,
            members=tuple(writing.out.members),
            covers=terms.covers,
        )
        signature = self._signer.sign(manifest.signed).hex()
        said = {"algorithm": "ed25519", "key": self._signer.key, "signature": signature}
        writing.out.close_with(manifest.canonical(), canonical(said))
        return manifest


def check_name(what: str, said: str) -> None:
    """Refuse what is no name.

    Raises:
        InvalidMemoryError: It is blank, too long, or no text.
    """
    try:
        _LABEL.validate_python(said, strict=True)
    except ValidationError as exc:
        raise InvalidMemoryError(f"{what} cannot be {said!r:.80}: {first_problem(exc)}") from exc


def _check(target: Path, wanted: Wanted, terms: Terms) -> None:
    if len(os.fsencode(target.name)) > LONGEST_NAME:
        raise InvalidMemoryError(f"{target.name[:40]}… is too long for the name of a file.")
    if target.exists():
        raise InvalidMemoryError(f"{target.name} is there already; a bundle replaces nothing. Choose another name.")
    if wanted.to is not None:
        needs = {Capability.TEXT.value} | (SINCE_1_1 if terms.covers is not None else set())
        wanted.to.check(1 if terms.covers is not None else 0, frozenset(needs))
    if terms.seal is not None and (wanted.to is None or wanted.to.seal is None):
        raise InvalidMemoryError("To seal a bundle, pass `to` the reader's card with its sealing key.")


def _private(path: Path) -> BinaryIO:
    """A new file that nobody else reads, and that is taken for left behind only when its writer is gone."""
    while True:
        file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "wb+")
        _is_locked(file, wait=True)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another dump swept it away before it was locked


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder."""
    for left in folder.glob(f".*{HALF}"):
        if _HALF.fullmatch(left.name):
            with suppress(OSError), open(left, "rb") as file:
                if _is_locked(file):
                    left.unlink()


def _is_locked(file: BinaryIO, *, wait: bool = False) -> bool:
    """Lock a file for this process, unless another has it locked, or nobody can."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _appear(half: Path, target: Path) -> None:
    """Let a file stand under its name, in the place of no other."""
    try:
        os.link(half, target)  # unlike a rename, it never replaces what came there meanwhile
    except OSError as exc:
        if exc.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
            raise
        if target.exists():  # a stick or a share may know no links; then this is as near as one gets
            raise FileExistsError(target.name) from exc
        os.rename(half, target)


def _flushed(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
