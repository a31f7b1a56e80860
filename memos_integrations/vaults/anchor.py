"""An anchor: lines in a file elsewhere that say how far a vault has come, so that an older copy of it is noticed.

A copy of a whole vault is genuine in every byte; only something that whoever restores it cannot set back shows that
it is old. Keep the anchor on another disk or machine, or append-only. A line stands for a commit, with the audit log's
head and a seal; it is written every `EVERY` commits and at close, so after a crash the last few commits may lack
one: an older copy that lies within these is not noticed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memos_integrations.core.cube import canonical_json
from memos_integrations.core.errors import IntegrityError, VaultError
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_write import Head

EVERY = 256
"""Commits between two lines."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the vault had come."""

    vault: str
    commit: int
    entries: int
    head: str


class Anchor:
    """The anchor of one vault; *log* is the write-ahead log of its database."""

    def __init__(self, file: Path, sealer: Sealer, vault: str, log: Path) -> None:
        self._file, self._sealer, self._vault, self._log = file, sealer, vault, log
        self._noted = -1

    def check(self, connection: sqlite3.Connection, head: Head, *, expected: bool) -> None:
        """Refuse a vault that is older than its anchor, or has another past.

        *expected*: the vault was opened with an anchor before, so the file must be there. An empty file is a new start.

        Raises:
            IntegrityError: It is, or the anchor is missing or was changed.
        """
        try:
            lines = self._file.read_bytes().splitlines()
        except FileNotFoundError as exc:
            if expected:
                raise IntegrityError(
                    f"The anchor {self._file} is missing, so an older copy would not be noticed. Bring it back, or "
                    "make an empty file there to accept the vault as it is"
                ) from exc
            return
        except OSError as exc:
            raise VaultError(f"The anchor {self._file} cannot be read ({exc}).") from exc
        newest = max(
            (mark for mark in map(self._read, lines) if mark is not None), key=lambda mark: mark.commit, default=None
        )
        if newest is None:
            if any(line.strip() for line in lines):
                raise IntegrityError(f"The anchor {self._file} holds no line of this vault")
            return
        if newest.commit > head.commit:
            raise IntegrityError(
                f"The vault stands at commit {head.commit}, but its anchor saw {newest.commit}: it is an older copy"
            )
        found = connection.execute("SELECT hash FROM audit WHERE number = ?", (newest.entries,)).fetchone()
        if newest.entries and (found is None or found[0] != newest.head):
            raise IntegrityError(
                f"Audit entry {newest.entries} is not the one that the anchor saw: the past was changed"
            )
        self._noted = newest.commit

    def _read(self, line: bytes) -> Mark | None:
        """The mark of a line; None for a torn line, another vault's, or one whose seal is wrong."""
        try:
            said = json.loads(line)
            seal, mark = said.pop("seal"), Mark(**said)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        return mark if mark.vault == self._vault and seal == self._sealer.outside(canonical_json(said)) else None

    def note(self, head: Head, *, every: int = EVERY) -> None:
        """Write a line when the last one is *every* commits old.

        Raises:
            VaultError: The file cannot be written.
        """
        if head.commit - max(self._noted, 0) < every or head.commit == self._noted:
            return
        said = {"vault": self._vault, "commit": head.commit, "entries": head.entries, "head": head.hash}
        line = canonical_json(said | {"seal": self._sealer.outside(canonical_json(said))})
        try:
            self._flush()
            # One write to a file opened for appending: lines of several processes do not mix. The newline comes first,
            # so that a line torn by a crash does not spoil the next one.
            with open(os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as out:
                out.write(b"\n" + line + b"\n")
                os.fsync(out.fileno())
        except OSError as exc:
            raise VaultError(
                f"The anchor {self._file} cannot be written ({exc}); the vault itself is written."
            ) from exc
        self._noted = head.commit

    def _flush(self) -> None:
        """Bring to the disk what a line is to stand for: a commit may survive its process alone (`Durability.PROCESS`).

        Else a power cut would leave an anchor that saw more than the vault has. What is not in the log was flushed.
        """
        with suppress(FileNotFoundError), self._log.open("rb+") as log:
            os.fsync(log.fileno())
