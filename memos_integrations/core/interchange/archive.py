"""A bundle as a file: a plain zip that holds exactly what it says, written in one pass, read with suspicion."""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.interchange.keys import SEALED, Opener
from memos_integrations.core.interchange.manifest import BLOBS, MANIFEST, SIGNATURE, Member
from memos_integrations.core.interchange.refusal import Refusal
from memos_integrations.core.interchange.zipform import BLOCK, Entry, deflated, entries_of, unpacked
from memos_integrations.core.regular import opened

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every member says this time: the bytes of a bundle do not depend on the clock or the machine."""


LINE_BYTES = 8 << 20
"""A record of more is none, whatever a reader's other limits are."""


MOST_ERASED = 5_000
"""So many erasures are in one bundle: they all happen in its one commit, and are in memory together."""


class Limits(NamedTuple):
    """How much a bundle may hold. What is more is refused before it is unpacked."""

    file_bytes: int = 64 << 30
    unpacked_bytes: int = 128 << 30
    members: int = 100_000
    ratio: int = 100
    manifest_bytes: int = 32 << 20
    line_bytes: int = LINE_BYTES
    erasures: int = MOST_ERASED


class BundleWriter:
    """Writes the members of a bundle one after another, and remembers the digest of each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(file, "w")
        self.members: list[Member] = []

    def add_lines(self, name: str, lines: Iterable[bytes]) -> Member:
        """A list: each of *lines*, which hold no line break, with one behind it."""
        return self._add(name, (line + b"\n" for line in lines), lists=True)

    def add_blob(self, digest: str, source: BinaryIO) -> Member:
        """The bytes of a blob, uncompressed: tensors and pictures do not get smaller."""
        return self._add(BLOBS + digest, iter(lambda: source.read(BLOCK), b""), lists=False)

    def close_with(self, manifest: bytes, signature: bytes) -> None:
        """Put the manifest and its signature behind the members, and end the file."""
        for name, content in ((MANIFEST, manifest), (SIGNATURE, signature)):
            self._zip.writestr(_entry(name), content)
        self._zip.close()

    def abandon(self) -> None:
        """Let go of the file as it is; it is no bundle."""
        with suppress(OSError, ValueError):
            self._zip.close()

    def _add(self, name: str, chunks: Iterable[bytes], *, lists: bool) -> Member:
        if len(self.members) >= Limits().members - 2:
            raise InvalidMemoryError("No reader takes so many blobs in one bundle; dump in parts (`since`, `most`).")
        digest, size, records, crc = hashlib.sha256(), 0, 0, 0

        def counted() -> Iterator[bytes]:
            nonlocal size, records, crc
            for chunk in chunks:
                digest.update(chunk)
                size, records, crc = size + len(chunk), records + lists, zlib.crc32(chunk, crc)
                yield chunk

        entry = _entry(name)
        with self._zip.open(entry, "w", force_zip64=True) as out:
            for packed in deflated(counted()) if lists else counted():
                out.write(packed)
        if lists:  # `zipfile` cannot store a part of a stream: it was given what is packed already
            entry.compress_type, entry.file_size, entry.CRC = zipfile.ZIP_DEFLATED, size, crc
            self._file.seek(entry.header_offset)
            self._file.write(entry.FileHeader(zip64=True))
        member = Member(name=name, size=size, sha256=digest.hexdigest(), records=records)
        self.members.append(member)
        return member


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


class BundleReader:
    """The members of a bundle file whose form was checked; their contents are checked as they are read.

    A context manager: the file is opened once, so that what was verified is what is read.

    Raises:
        BundleError: It is no bundle: hidden, doubled, overlapping or encrypted members, links, names that lead out of
            it, more bytes than *limits* allow, bytes before or behind it.
    """

    def __init__(self, path: str | Path, limits: Limits, opener: Opener | None = None) -> None:
        self._limits = limits
        try:
            self._file = opened(path)
        except OSError as exc:
            raise BundleError(Refusal.UNREADABLE, f"{Path(path).name} cannot be read: {exc.strerror}") from exc
        try:
            if self._file.read(len(SEALED)) == SEALED:
                self._file = self._unsealed(opener)
            self._entries = self._opened()
        except BaseException:
            self._file.close()
            raise

    def _unsealed(self, opener: Opener | None) -> BinaryIO:
        """The bundle that was sealed, in a file without a name."""
        if opener is None:
            raise BundleError(Refusal.SEALED, "The bundle is sealed; pass the key that opens it")
        self._file.seek(0)
        clear = TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            with self._file as source:
                opener.open(source, clear, self._limits.file_bytes)
        except BaseException:
            clear.close()
            raise
        return clear

    @property
    def names(self) -> frozenset[str]:
        """What is in the zip."""
        return frozenset(self._entries)

    def small(self, name: str) -> bytes:
        """The content of the manifest or the signature."""
        if name not in self._entries:
            code = Refusal.UNSIGNED if name == SIGNATURE else Refusal.MALFORMED
            raise BundleError(code, f"The bundle has no {name}")
        if self._entries[name].size > self._limits.manifest_bytes:
            raise BundleError(Refusal.TOO_LARGE, f"{name} is too large")
        return b"".join(self._chunks(name))

    def verify(self, members: Mapping[str, Member]) -> None:
        """Hold every member against the manifest: none more, none less, each with its size and digest.

        Raises:
            BundleError: Something differs.
        """
        there, told = self.names - {MANIFEST, SIGNATURE}, set(members)
        if there != told:
            names = ", ".join(sorted(there ^ told)[:3])
            raise BundleError(Refusal.MEMBERS_DIFFER, f"The zip and the manifest do not name the same members: {names}")
        for name, member in members.items():
            for _ in self.checked(member):
                pass
            if name.startswith(BLOBS) and member.sha256 != name.removeprefix(BLOBS):
                raise BundleError(Refusal.DIGEST_DIFFERS, f"{name} is not named by its digest")

    def checked(self, member: Member) -> Iterator[bytes]:
        """The bytes of a member, block by block; the last is given only when size and digest are right."""
        digest, size, held = hashlib.sha256(), 0, b""
        for chunk in self._chunks(member.name):
            digest.update(chunk)
            size += len(chunk)
            yield held
            held = chunk
        if size != member.size or digest.hexdigest() != member.sha256:
            raise BundleError(Refusal.DIGEST_DIFFERS, f"{member.name} is not what the manifest says")
        yield held

    def lines(self, member: Member) -> Iterator[bytes]:
        """The records of a list, without their line breaks.

        Raises:
            BundleError: A line is too long, the last has no end, or there are not as many as the manifest says.
        """
        rest, found = b"", 0
        for chunk in self.checked(member):
            *whole, rest = (rest + chunk).split(b"\n")
            if any(len(line) > self._limits.line_bytes for line in (*whole, rest)):
                raise BundleError(Refusal.TOO_LARGE, f"A record of {member.name} is too large")
            found += len(whole)
            yield from whole
        if rest or found != member.records:
            raise BundleError(Refusal.MALFORMED, f"{member.name} does not hold the records that the manifest counts")

    @contextmanager
    def blob(self, member: Member) -> Iterator[BinaryIO]:
        """The bytes of a blob as a stream; read to its end it was checked."""
        yield _Stream(self.checked(member))  # type: ignore[misc]

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the form of the file -----------------------------------------------------------------------------------

    def _opened(self) -> dict[str, Entry]:
        size, limits = self._file.seek(0, 2), self._limits
        if size > limits.file_bytes:
            raise BundleError(Refusal.TOO_LARGE, f"The file is {size:,} bytes, more than {limits.file_bytes:,}")
        entries = entries_of(self._file, limits.members)
        for entry in entries.values():
            if entry.size > max(BLOCK, entry.packed * limits.ratio):
                raise BundleError(
                    Refusal.TOO_LARGE, f"{entry.name} would grow to more than {limits.ratio} times its size"
                )
        if sum(entry.size for entry in entries.values()) > limits.unpacked_bytes:
            raise BundleError(Refusal.TOO_LARGE, "The members are too large")
        return entries

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            yield from unpacked(self._file, self._entries[name])
        except OSError as exc:
            raise BundleError(Refusal.UNREADABLE, f"{name} cannot be read: {exc.strerror}") from exc


class _Stream:
    """Chunks as a file that is read to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int = -1) -> bytes:
        """At most *size* bytes, or all that are left."""
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += chunk
        cut = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:cut], self._rest[cut:]
        return given
