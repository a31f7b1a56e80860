"""Signed checkpoints of the audit log: what can be kept elsewhere, shown to anybody, and checked without the vault.

A checkpoint is a signed note in the form of C2SP tlog-checkpoint: the log's origin, its size, its root, and an Ed25519
signature (RFC 8032) with its key's name and id. An anchor keeps them where whoever owns the vault cannot set them back;
without one kept elsewhere, cutting or setting back the whole log by the disk's owner cannot be noticed.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from memos_integrations.core.errors import IntegrityError, VaultError
from memos_integrations.core.extras import require
from memos_integrations.vaults.merkle_proofs import LogTree

KEY_BYTES = 32
_ED25519 = b"\x01"


class CheckpointAnchor(Protocol):
    """A place outside the vault that keeps signed checkpoints: a file on another machine, a ledger, a mail box."""

    def publish(self, note: str) -> None:
        """Keep a checkpoint durably, or raise."""
        ...

    def published(self) -> Sequence[str]:
        """Every checkpoint that is kept, oldest first."""
        ...


class FileAnchor:
    """Checkpoints appended to one file, which should stand on another disk or machine, or be append-only there."""

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)

    def publish(self, note: str) -> None:
        """Append a checkpoint; it is on the disk on return.

        Raises:
            VaultError: The file cannot be written.
        """
        try:
            with open(os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as out:
                out.write(note.encode() + b"\n")
                os.fsync(out.fileno())
        except OSError as exc:
            raise VaultError(f"The anchor {self._file} cannot be written ({exc}).") from exc

    def published(self) -> list[str]:
        """The checkpoints in the file, oldest first.

        Raises:
            VaultError: The file cannot be read.
        """
        try:
            return notes_in(self._file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise VaultError(f"The anchor {self._file} cannot be read ({exc}).") from exc


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: the log `origin` had this `root` (hex) over its first `size` entries."""

    origin: str
    size: int
    root: str


class LogSigner:
    """Signs with an Ed25519 key of 32 bytes (its seed), under a `name` such as `acme.example/memories`.

    Raises:
        VaultError: The key is not 32 bytes, or the name is empty or holds spaces, `+` or line ends.
        MissingExtraError: The extra `audit` is not installed.
    """

    def __init__(self, key: bytes, *, name: str) -> None:
        if len(key) != KEY_BYTES:
            raise VaultError(f"A signing key is {KEY_BYTES} bytes, not {len(key)}.")
        if not name or "+" in name or any(char.isspace() for char in name):
            raise VaultError(f"A signer's name holds no spaces and no plus sign: {name!r} does.")
        self.name = name
        self._private = _ed25519().Ed25519PrivateKey.from_private_bytes(key)

    @classmethod
    def from_file(cls, file: str | Path, *, name: str, make: bool = False) -> LogSigner:
        """The signer whose key is in *file*; with *make* a new key (mode 0600) when it is missing.

        Raises:
            VaultError: The file cannot be read or made, or holds no key.
        """
        path = Path(file)
        try:
            if make and not path.exists():
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    out.write(os.urandom(KEY_BYTES))
                    out.flush()
                    os.fsync(out.fileno())
            return cls(path.read_bytes(), name=name)
        except OSError as exc:
            raise VaultError(f"The signing key {path} cannot be read or made ({exc}).") from exc

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes: what a verifier is given beforehand, by another way than the log."""
        return bytes(self._private.public_key().public_bytes_raw())

    def sign(self, content: str) -> str:
        """*content* (whole lines) as a signed note."""
        body = content if content.endswith("\n") else content + "\n"
        signed = base64.b64encode(key_id(self.name, self.public) + self._private.sign(body.encode())).decode()
        return f"{body}\n— {self.name} {signed}\n"


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes by which a note names its key (C2SP signed-note)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def opened_note(note: str, public: bytes) -> str:
    """What a note says, after its signature by the key *public* was checked.

    Raises:
        IntegrityError: No line of it is a signature by that key that fits.
    """
    body, parted, lines = note.rpartition("\n\n")
    key = _ed25519().Ed25519PublicKey.from_public_bytes(public)
    invalid: type[Exception] = require("cryptography.exceptions", extra="audit").InvalidSignature
    for line in lines.splitlines() if parted else ():
        dash, _, rest = line.partition(" ")
        name, _, said = rest.rpartition(" ")
        try:
            raw = base64.b64decode(said, validate=True)
            if dash == "—" and raw[:4] == key_id(name, public):
                key.verify(raw[4:], f"{body}\n".encode())
                return f"{body}\n"
        except (ValueError, invalid):
            continue
    raise IntegrityError("A signed note carries no valid signature by the key that was given")


def sign_log(connection: sqlite3.Connection, signer: LogSigner, *anchors: CheckpointAnchor) -> str:
    """A signed checkpoint of the log as *connection* sees it, published to every anchor."""
    tree = LogTree(connection)
    (vault,) = connection.execute("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'vault'").fetchone()
    root = base64.b64encode(tree.root(tree.size)).decode()
    note = signer.sign(f"{signer.name}/{vault}\n{tree.size}\n{root}\n")
    for anchor in anchors:
        anchor.publish(note)
    return note


def read_checkpoint(note: str, public: bytes) -> Checkpoint:
    """The checkpoint in a note signed by the key *public*.

    Raises:
        IntegrityError: It is not signed so, or is no checkpoint.
    """
    lines = opened_note(note, public).splitlines()
    try:
        return Checkpoint(lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True).hex())
    except (IndexError, ValueError) as exc:
        raise IntegrityError("A signed note is no checkpoint") from exc


def check_anchored(connection: sqlite3.Connection, public: bytes, anchor: CheckpointAnchor) -> Checkpoint:
    """Hold the log against every checkpoint that an anchor keeps; the newest one.

    Raises:
        IntegrityError: One is not signed by the key, of another vault, longer than the log, or has another root.
    """
    tree = LogTree(connection)
    (vault,) = connection.execute("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'vault'").fetchone()
    found = sorted((read_checkpoint(note, public) for note in anchor.published()), key=lambda said: said.size)
    if not found:
        raise IntegrityError("The anchor keeps no checkpoint")
    for said in found:
        if not said.origin.endswith(f"/{vault}"):
            raise IntegrityError(f"The anchor keeps a checkpoint of another log, {said.origin!r}")
        if said.size > tree.size:
            raise IntegrityError(
                f"The log has {tree.size} entries, but {said.size} were signed: it was cut or set back"
            )
        if tree.root(said.size).hex() != said.root:
            raise IntegrityError(f"The first {said.size} entries of the log are not those that were signed")
    return found[-1]


def notes_in(text: str) -> list[str]:
    """The notes that stand one after another in a text, parted by empty lines."""
    notes, parts = [], text.split("\n\n")
    for body, signature in zip(parts[::2], parts[1::2], strict=False):
        notes.append(f"{body.lstrip()}\n\n{signature.rstrip()}\n")
    return notes


def _ed25519() -> Any:
    return require("cryptography.hazmat.primitives.asymmetric.ed25519", extra="audit")
