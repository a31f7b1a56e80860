"""MemDumper: what a principal may give away, as one signed file. Paper §5.5.3; the format is MIP.md."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import orjson

from memos_integrations.core.access import Caller, Verb, decide
from memos_integrations.core.cube import SCHEMA, MemCube, Tier, Value
from memos_integrations.core.errors import InvalidMemoryError, VaultError, VaultFullError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import BundleWriter
from memos_integrations.core.interchange.canonical import canonical
from memos_integrations.core.interchange.ids import Met
from memos_integrations.core.interchange.keys import Signer
from memos_integrations.core.interchange.manifest import (
    ACCESS_LOG,
    CUBES,
    DECLINED,
    MAJOR,
    MINOR,
    REDACTIONS,
    Capability,
    Manifest,
)
from memos_integrations.core.interchange.records import record_line
from memos_integrations.core.interchange.refusal import Declined
from memos_integrations.core.ports import CubeFilter, LogQuery

PAGE = 500
LOG_PAGE = 10_000
Progress = Callable[[int], object]


class Redacted(NamedTuple):
    """What a redaction makes of a memory: the memory without the words, and what was taken out of it, by kind."""

    cube: MemCube
    removed: tuple[str, ...] = ()


Redaction = Callable[[MemCube], Redacted | None]
"""Decides what a recipient gets of a version of a memory: the same, another with the same id and version, or None."""


class Dumped(Value):
    """What was written: the bundle's id, how many memories and versions are in it, how many stayed behind and why."""

    bundle: str
    path: str
    bytes: int
    cubes: int
    versions: int
    blobs: int
    declined: dict[str, int]


class MemDumper:
    """Writes bundles of what *caller* may share, page by page, in memory that does not grow with what is written."""

    def __init__(self, governance: MemGovernance, signer: Signer, *, issuer: str) -> None:
        self._governance, self._signer, self._issuer = governance, signer, issuer

    def dump(
        self,
        target: Path,
        caller: Caller,
        *,
        recipient: str,
        purpose: str,
        lasts: timedelta,
        where: CubeFilter,
        history: bool,
        access_log: bool,
        redact: Redaction | None,
        progress: Progress | None,
    ) -> Dumped:
        """Write a bundle to *target*, which appears there whole and durable, or not at all.

        Raises:
            InvalidMemoryError: There is a file already, or *lasts* is not positive.
            VaultError: The disk failed; nothing is left of the bundle.
        """
        if target.exists():
            raise InvalidMemoryError(f"{target.name} is there already; a bundle replaces nothing. Choose another name.")
        if lasts <= timedelta(0):
            raise InvalidMemoryError("A bundle has to last for some time: `lasts` is positive.")
        half = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(half, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "wb+") as file:
                with ExitStack() as undo:
                    out = BundleWriter(file)
                    undo.callback(out.abandon)
                    writing = _Writing(self._governance, caller, out, target.parent)
                    writing.write(where, redact, history=history, access_log=access_log, progress=progress)
                    made = self._sealed(writing, caller, recipient, purpose, lasts)
                    undo.pop_all()
                file.flush()
                os.fsync(file.fileno())
                size = file.seek(0, os.SEEK_END)
            os.link(half, target)  # unlike a rename, it never replaces what came there meanwhile
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
        )

    def _sealed(self, writing: _Writing, caller: Caller, recipient: str, purpose: str, lasts: timedelta) -> Manifest:
        manifest = Manifest(
            mip=f"{MAJOR}.{MINOR}",
            bundle=secrets.token_hex(16),
            created_at=caller.now,
            expires_at=caller.now + lasts,
            issuer=self._issuer,
            key=self._signer.key,
            recipient=recipient,
            purpose=purpose,
            digest="sha-256",
            signature="ed25519",
            requires=tuple(sorted(writing.requires)),
            cube_schema=SCHEMA,
            members=tuple(writing.out.members),
        )
        signature = self._signer.sign(manifest.signed).hex()
        said = {"algorithm": "ed25519", "key": self._signer.key, "signature": signature}
        writing.out.close_with(manifest.canonical(), canonical(said))
        return manifest


class _Writing:
    """One dump under way."""

    def __init__(self, governance: MemGovernance, caller: Caller, out: BundleWriter, folder: Path) -> None:
        self._governance, self._caller, self.out, self._folder = governance, caller, out, folder
        self.requires: set[str] = {Capability.TEXT}
        self.cubes = self.versions = self.blobs = 0
        self.declined: dict[str, int] = {}
        self._met = Met()
        self._blobs: dict[str, tuple[str, int]] = {}

    def write(
        self,
        where: CubeFilter,
        redact: Redaction | None,
        *,
        history: bool,
        access_log: bool,
        progress: Progress | None,
    ) -> None:
        """All lists and blobs."""
        self._history, self._redact, self._progress = history, redact, progress
        with ExitStack() as files:
            self._held, self._left, self._cut = (files.enter_context(TemporaryFile(dir=self._folder)) for _ in range(3))
            self.out.add_lines(CUBES, self._lines(where))
            for name, spool, needs in ((REDACTIONS, self._cut, Capability.REDACTIONS), (DECLINED, self._left, None)):
                if spool.tell():
                    spool.seek(0)
                    self.out.add_lines(name, (line.rstrip(b"\n") for line in spool))
                    self.requires |= {needs} if needs else set()
        if access_log:
            self.requires.add(Capability.ACCESS_LOG)
            self.out.add_lines(ACCESS_LOG, self._entries())
        for digest, (cube_id, number) in self._blobs.items():
            self.requires.add(Capability.BLOBS)
            with self._governance.open_blob(cube_id, number, self._caller) as source:
                member = self.out.add_blob(digest, source)
            self.blobs += 1
            if member.sha256 != digest:
                raise VaultError(f"A blob of cube {cube_id!r} changed while it was read; dump again.")

    def _lines(self, where: CubeFilter) -> Iterator[bytes]:
        waiting: list[int] = []
        for page in self._governance.walk(where, self._caller, page=PAGE):
            given: list[MemCube] = []
            for cube in page:
                if not decide(cube, Verb.SHARE, self._caller).allowed:
                    self._decline(cube.id, Declined.NOT_SHARED)
                elif cube.provenance.derived_from:
                    waiting.append(self._held.tell())
                    self._held.write(cube.to_json().encode() + b"\n")
                else:
                    given.append(cube)
            yield from self._all_versions(given)
        # Sources stand before what is derived from them: what waits for something that waits takes another round.
        while waiting:
            left: list[int] = []
            for at in waiting:
                self._held.seek(at)
                cube = MemCube.from_json(self._held.readline())
                if all(self._met.version(ref.id) == ref.version for ref in cube.provenance.derived_from):
                    yield from self._all_versions([cube])
                else:
                    left.append(at)
            if len(left) == len(waiting):
                break
            waiting = left
        for at in waiting:
            self._held.seek(at)
            self._decline(MemCube.from_json(self._held.readline()).id, Declined.SOURCE_MISSING)

    def _all_versions(self, cubes: Sequence[MemCube]) -> Iterator[bytes]:
        """The lines of cubes: of each its versions from the first on, the present one last."""
        given = []
        for cube in cubes:
            versions = self._chosen(cube)
            if not versions:
                self._decline(cube.id, Declined.REDACTED_AWAY)
                continue
            yield from map(record_line, versions)
            given.append(versions[-1])
            self._met.add(cube.id, cube.version)
            self.cubes, self.versions = self.cubes + 1, self.versions + len(versions)
            for each in versions:
                for number, blob in enumerate(each.blobs):
                    self._blobs[blob.digest] = each.id, number
            if cube.tier is not Tier.PLAINTEXT:
                self.requires.add(Capability(cube.tier.value))
        if given:
            self._governance.carried(given, self._caller)
        if self._progress is not None:
            self._progress(self.cubes)

    def _chosen(self, cube: MemCube) -> list[MemCube]:
        """The versions of a cube that go: all, or the present one, or none."""
        past = self._history and cube.version > 1
        versions = self._redacted(self._governance.versions(cube.id, self._caller) if past else [cube])
        if not versions or versions[-1].version != cube.version:
            return []
        whole = [each.version for each in versions] == [*range(1, cube.version + 1)]
        if not whole or (past and any(set(each.blobs) - set(cube.blobs) for each in versions)):
            return versions[-1:]  # a part of the past is none that one could go back to
        if past:
            self.requires.add(Capability.HISTORY)
        return versions

    def _redacted(self, versions: Sequence[MemCube]) -> list[MemCube]:
        if self._redact is None:
            return [*versions]
        found = []
        for cube in versions:
            made = self._redact(cube)
            if made is None:
                return []
            if made.cube.ref != cube.ref:
                raise InvalidMemoryError("A redaction gives the same version of the same cube back, with fewer words.")
            found.append(made.cube)
            if made.removed:
                line = {"id": cube.id, "version": cube.version, "removed": list(made.removed)}
                self._cut.write(orjson.dumps(line) + b"\n")
        return found

    def _entries(self) -> Iterator[bytes]:
        """The audit entries of what was written, as far as the caller may read them."""
        after = 0
        while True:
            query = LogQuery(tenant=self._caller.by.tenant, after=after, limit=LOG_PAGE)
            entries = self._governance.log(query, self._caller)
            for entry in entries:
                if entry.record.cube_id in self._met:
                    yield entry.model_dump_json().encode()
            if len(entries) < LOG_PAGE:
                return
            after = entries[-1].number

    def _decline(self, cube_id: str, why: Declined) -> None:
        self.declined[why] = self.declined.get(why, 0) + 1
        self._left.write(orjson.dumps({"id": cube_id, "why": why.value}) + b"\n")


def _flushed(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
