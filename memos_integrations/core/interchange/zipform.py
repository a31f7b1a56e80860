"""The form of a bundle's file: a ZIP (APPNOTE 6.3.9) in which nothing hides. MIP.md §1."""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.manifest import BLOBS, LISTS, MANIFEST, SIGNATURE
from memos_integrations.core.interchange.refusal import Refusal

BLOCK = 1 << 20
STORED, DEFLATED = 0, 8
NEEDS = 45
"""The version of ZIP that ZIP64 came with; nothing later is needed to read a bundle."""

SHRINKS = 90
"""What would shrink to less than a 90th is stored: no reader takes it for a bomb."""

_END, _END_64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_TOLD, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_FULL = 0xFFFFFFFF
"""Stands for a number that does not fit, and is in the ZIP64 field instead."""
_LONGEST = _TOLD.size + 4 + 3 * 8 + 80
_UTF_8 = 0x800
_NO_FILE = 0x18
"""Of the attributes that DOS knows: a folder, or the name of a disk."""
_NAME = re.compile(rb"(?:[a-z_]{1,40}\.jsonl?|blobs/[0-9a-f]{64})")


class Entry(NamedTuple):
    """A member: how it is packed, what becomes of it, and where its first byte is."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


def deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """*chunks* as one deflate stream (RFC 1951) that is never smaller than a hundredth of them."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= BLOCK:
            yield _packed(bytes(held[:BLOCK]))
            del held[:BLOCK]
    if held:
        yield _packed(bytes(held))
    yield zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS).flush()


def _packed(block: bytes) -> bytes:
    """A block that ends on a byte, refers to nothing before it, and is not the last one of the stream."""
    for level in (1, 0):
        engine = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        made = engine.compress(block) + engine.flush(zlib.Z_FULL_FLUSH)
        if len(made) * SHRINKS >= len(block):
            break
    return made


def unpacked(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """What a member holds, chunk by chunk; all of its bytes belong to it.

    Raises:
        BundleError: They do not, or are not what the entry says.
    """
    at, left, size, crc = entry.start, entry.packed, 0, 0
    engine = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
    while left:
        file.seek(at)
        raw = file.read(min(BLOCK, left))
        at, left = at + len(raw), left - len(raw)
        for chunk in [raw] if engine is None else _inflated(engine, raw, entry.name):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
            if size > entry.size:
                raise BundleError(Refusal.TOO_LARGE, f"{entry.name} holds more than it says")
            yield chunk
        if not raw or (engine is not None and engine.eof and (left or engine.unused_data)):
            raise BundleError(Refusal.MALFORMED, f"There are bytes behind what {entry.name} holds, or it is cut off")
    if size != entry.size or crc != entry.crc or (engine is not None and not engine.eof):
        raise BundleError(Refusal.MALFORMED, f"{entry.name} is not what the zip says")


def _inflated(engine: zlib._Decompress, raw: bytes, name: str) -> Iterator[bytes]:
    try:
        while chunk := engine.decompress(raw, BLOCK):
            yield chunk
            raw = engine.unconsumed_tail
    except zlib.error as exc:
        raise BundleError(Refusal.MALFORMED, f"{name} cannot be unpacked: {exc}") from exc


def entries_of(file: BinaryIO, most: int) -> dict[str, Entry]:
    """The members of a zip of nothing else: they fill it from the first byte to the directory, and that to the end.

    Raises:
        BundleError: It is none, has more than *most* members, or what it says of one here it does not say there.
    """
    count, start, stop = _directory(file)
    if count > most:
        raise BundleError(Refusal.TOO_LARGE, "The zip has too many members")
    if stop - start > count * _LONGEST:
        raise BundleError(Refusal.MALFORMED, "The directory of the zip says more than it should")
    file.seek(start)
    told, at, found = file.read(stop - start), 0, []
    for _ in range(count):
        entry, offset, flags, at = _told(told, at)
        found.append((offset, entry, flags))
    if at != len(told):
        raise BundleError(Refusal.MALFORMED, "There are bytes behind the directory of the zip")
    named: dict[str, Entry] = {}
    at = 0
    for offset, entry, flags in sorted(found):
        if entry.name in named:
            raise BundleError(Refusal.MEMBERS_DIFFER, "A member stands twice in the zip")
        if offset != at:
            raise BundleError(Refusal.MALFORMED, "There are bytes between the members, or members overlap")
        began = _begun(file, at, entry, flags)
        named[entry.name] = entry._replace(start=began)
        at = began + entry.packed
        if at > start:
            raise BundleError(Refusal.MALFORMED, f"{entry.name} does not end before the directory begins")
    if at != start:
        raise BundleError(Refusal.MALFORMED, "There are bytes between the members and the directory")
    return named


def _directory(file: BinaryIO) -> tuple[int, int, int]:
    """How many members the directory names, where it begins and where it ends."""
    size = file.seek(0, 2)
    stop = size - _END.size
    file.seek(max(0, stop))
    raw = file.read(_END.size)
    if len(raw) < _END.size or raw[:4] != b"PK\5\6":
        raise BundleError(Refusal.MALFORMED, "Not a bundle: it does not end as a zip without a comment does")
    _, *disks, here, count, length, start, comment = _END.unpack(raw)
    if 0xFFFF in (here, count) or _FULL in (length, start):
        file.seek(max(0, stop := stop - _LOCATOR.size - _END_64.size))
        raw = file.read(_END_64.size + _LOCATOR.size)
        here, count, length, start = _larger(raw, stop, (here, count, length, start))
    if any(disks) or comment or here != count or start + length != stop:
        raise BundleError(Refusal.MALFORMED, "Not a bundle: the end of the zip does not say what is in it")
    return count, start, stop


def _larger(raw: bytes, at: int, said: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The numbers of a ZIP64 end record, of which those that fit are in *said*, too."""
    if at >= 0 and raw[:4] == b"PK\6\6" and len(raw) == _END_64.size + _LOCATOR.size:
        _, length, _, needs, disk, first, *numbers = _END_64.unpack(raw[: _END_64.size])
        agree = all(each in (0xFFFF, _FULL, large) for each, large in zip(said, numbers, strict=True))
        located = _LOCATOR.unpack(raw[_END_64.size :]) == (b"PK\6\7", 0, at, 1)
        if agree and located and needs <= NEEDS and (length, disk, first) == (_END_64.size - 12, 0, 0):
            here, count, size, start = numbers
            return here, count, size, start
    raise BundleError(Refusal.MALFORMED, "Not a bundle: its ZIP64 end record is not what it should be")


def _told(raw: bytes, at: int) -> tuple[Entry, int, int, int]:
    """What the directory says of a member, where that begins, its flags, and where the directory goes on."""
    if raw[at : at + 4] != b"PK\1\2" or len(raw) - at < _TOLD.size:
        raise BundleError(Refusal.MALFORMED, "The directory of the zip is not what it should be")
    fields = _TOLD.unpack_from(raw, at)
    needs, flags, method, (crc, packed, size) = *fields[2:5], fields[7:10]
    named, extra, comment, disk, _, mode, offset = fields[10:]
    at += _TOLD.size
    spelled, more = raw[at : at + named], raw[at + named : at + named + extra]
    if not _is_name(spelled):
        raise BundleError(Refusal.UNSAFE_NAME, f"{spelled[:80]!r} is no name of a member")
    full = [each for each in (size, packed, offset) if each == _FULL]
    larger = list(_zip64(more, len(full)))
    size, packed, offset = (larger.pop(0) if each == _FULL else each for each in (size, packed, offset))
    plain = stat.S_IFMT(mode >> 16) in {0, stat.S_IFREG} and not mode & _NO_FILE
    if flags & ~_UTF_8 or not plain or comment or disk or needs > NEEDS:
        raise BundleError(Refusal.MALFORMED, f"{spelled!r} is encrypted, no plain file, or says more than it should")
    if method not in {STORED, DEFLATED}:
        raise BundleError(Refusal.ALGORITHM, f"{spelled!r} is compressed in a way that MIP does not know")
    if method == STORED and packed != size:
        raise BundleError(Refusal.MALFORMED, f"{spelled!r} is stored in another size than its own")
    return Entry(spelled.decode(), method, crc, packed, size, 0), offset, flags, at + named + extra


def _is_name(spelled: bytes) -> bool:
    known = spelled in {name.encode() for name in (MANIFEST, SIGNATURE, *LISTS)} or spelled.startswith(BLOBS.encode())
    return known and _NAME.fullmatch(spelled) is not None


def _zip64(extra: bytes, count: int) -> tuple[int, ...]:
    """The *count* numbers of an extra field that holds them and nothing else; without any there is no field."""
    head = struct.pack("<2H", 1, 8 * count) if count else b""
    if extra[:4] != head or len(extra) != len(head) + 8 * count:
        raise BundleError(Refusal.MALFORMED, "A member of the zip has an extra field that is not for its size")
    return struct.unpack(f"<{count}Q", extra[len(head) :])


def _begun(file: BinaryIO, at: int, entry: Entry, flags: int) -> int:
    """Where the bytes of the member begin whose header stands at *at* and says what the directory says."""
    file.seek(at)
    raw = file.read(_LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\3\4":
        raise BundleError(Refusal.MALFORMED, "There are bytes between the members, or members overlap")
    _, needs, bits, method, _, _, crc, packed, size, named, extra = _LOCAL.unpack(raw)
    spelled, more = file.read(named), file.read(extra)
    size, packed = _zip64(more, 2) if size == packed == _FULL else (size, packed, *_zip64(more, 0))
    told = (needs <= NEEDS, spelled.decode("latin-1"), bits, method, crc, packed, size)
    if told != (True, entry.name, flags, entry.method, entry.crc, entry.packed, entry.size):
        raise BundleError(Refusal.MALFORMED, f"What stands before {entry.name} is not what the directory says")
    return at + len(raw) + len(spelled) + len(more)
