"""Stored runs of tokens as files: safetensors with a header that says all, authenticated with a key. Imports torch.

A file is accepted only when its header is, byte for byte, the one that we would write for what it claims to be, its
length is what the header says, and the HMAC over all of it is ours. So a truncated, edited, foreign or disguised
file is refused before any of it is believed. Files appear by a rename and are never edited; they are mapped, not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import mmap
import os
import struct
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import torch

from memos_integrations.backends.kv.tiers import Precision, Segment
from memos_integrations.backends.sealed_files import FolderSeal, Sealing
from memos_integrations.core.errors import ModelError, VaultKeyError

FORMAT = "memos-kv/1"
MAX_HEADER = 4 << 20
_NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int8: "I8",
    torch.int32: "I32",
    torch.float64: "F64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


def write(
    file: Path,
    segment: Segment,
    tokens: Sequence[int],
    said: Mapping[str, str],
    secret: bytes,
    *,
    seal: FolderSeal | None = None,
) -> None:
    """Write a segment, its tokens, and what else is said of it, to *file*, which appears whole or not at all.

    With *seal* it is encrypted.

    Raises:
        OSError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as opened:
            if seal is None:
                pour(opened, segment, tokens, said, secret)
            else:
                sealing = seal.sealing(opened)
                pour(sealing, segment, tokens, said, secret)
                sealing.close()
        os.replace(name, file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def pour(
    into: IO[bytes] | Sealing, segment: Segment, tokens: Sequence[int], said: Mapping[str, str], secret: bytes
) -> None:
    """Write what a file would hold into an open stream."""
    tensors = {"tokens": torch.tensor(list(tokens), dtype=torch.int32), **_named(segment)}
    bodies = [_bytes(tensor) for tensor in tensors.values()]
    shapes = {name: (_NAMES[tensor.dtype], list(tensor.shape)) for name, tensor in tensors.items()}
    metadata = {**said, "format": FORMAT, "precision": segment.precision.value}
    seal = _seal(secret, _header(shapes, metadata), bodies)
    into.write(_header(shapes, metadata | {"seal": seal}))
    for body in bodies:
        into.write(body)


def read(
    file: Path, secret: bytes, *, trusted: tuple[int, ...] | None = None, seal: FolderSeal | None = None
) -> tuple[Segment, list[int], dict[str, str]]:
    """The segment of a file, mapped; its tokens; and what was said of it.

    *trusted* is the `stamp` of the file when this process wrote it: as long as it is the same (no program can set a
    file's change time), the seal is not computed again. A file that is encrypted with *seal* is read into memory.

    Raises:
        ModelError: It is not such a file, is not whole, or was not sealed with *secret*.
    """
    if seal is not None:
        try:
            return parsed(memoryview(seal.read(file)), secret, file.name)
        except (OSError, VaultKeyError) as exc:
            raise ModelError(f"{file.name} cannot be read: {exc} What it held is computed again.") from exc
    try:
        with open(file, "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            known = trusted is not None and trusted == stamp(opened.fileno())
            # Private and writable: torch wants it so, and what is written to it would never reach the file.
            whole = mmap.mmap(opened.fileno(), size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError) as exc:
        raise ModelError(f"{file.name} cannot be read: {exc}. What it held is computed again.") from exc
    return parsed(memoryview(whole), secret, file.name, sealed=known)


def parsed(
    content: memoryview, secret: bytes, name: str, *, sealed: bool = False
) -> tuple[Segment, list[int], dict[str, str]]:
    """What `read` does, on bytes that are in memory already. *content* must stay unchanged."""
    shapes, metadata, start = header_of(content, name)
    sizes = {each: math.prod(shape) * _DTYPES[kind].itemsize for each, (kind, shape) in shapes.items()}
    if start + sum(sizes.values()) != len(content):
        raise ModelError(
            f"{name} has {len(content)} bytes, not the {start + sum(sizes.values())} that its header says."
        )
    if not sealed:
        unsealed = {key: value for key, value in metadata.items() if key != "seal"}
        seal = _seal(secret, _header(shapes, unsealed), [content[start:]])
        if not hmac.compare_digest(seal.encode(), metadata.get("seal", "").encode(errors="replace")):
            raise ModelError(f"{name} was changed, or was written by somebody else; what it held is computed again.")
    tensors, at = {}, start
    for each, (kind, shape) in shapes.items():
        tensors[each] = torch.frombuffer(content[at : at + sizes[each]], dtype=_DTYPES[kind]).view(shape)
        at += sizes[each]
    tokens = tensors.pop("tokens").tolist()
    kinds = [tuple(t for n, t in tensors.items() if n.startswith("scale.") == scale) for scale in (False, True)]
    return Segment(Precision(metadata["precision"]), *kinds), tokens, metadata


def header_of(content: memoryview, name: str) -> tuple[dict[str, tuple[str, list[int]]], dict[str, str], int]:
    """Names with dtype and shape, the metadata, and where the tensors begin; of a header that we would write.

    Raises:
        ModelError: It is none.
    """
    refusal = ModelError(f"{name} is not a safetensors file of stored keys and values; it is not used.")
    if len(content) < 8:
        raise refusal
    (length,) = struct.unpack("<Q", content[:8])
    if not 2 <= length <= min(MAX_HEADER, len(content) - 8):
        raise refusal
    try:
        said: dict[str, Any] = json.loads(bytes(content[8 : 8 + length]))
        metadata = dict(said.pop("__metadata__"))
        shapes = {each: (str(about["dtype"]), [int(n) for n in about["shape"]]) for each, about in said.items()}
        right = metadata["format"] == FORMAT and metadata["precision"] in set(Precision) and "tokens" in shapes
        right = right and all(kind in _DTYPES and min(shape) > 0 for kind, shape in shapes.values())
        right = right and all(isinstance(value, str) for value in metadata.values()) and len(shapes) > 1
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise refusal from exc
    if not right or _header(shapes, metadata) != bytes(content[: 8 + length]):
        raise refusal
    return shapes, metadata, 8 + length


def peek(file: Path, seal: FolderSeal | None = None) -> tuple[list[int], dict[str, str]]:
    """Tokens and metadata of a file, not yet authenticated (but with *seal*), without reading the rest.

    Raises:
        ModelError: It is not such a file.
    """
    try:
        with open(file, "rb") if seal is None else _Opened(seal.pieces(file)) as opened:
            head = opened.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER + 1
            head += opened.read(min(length, MAX_HEADER))
            shapes, metadata, _ = header_of(memoryview(head), file.name)
            count = math.prod(shapes["tokens"][1])
            body = opened.read(4 * count)
    except (OSError, VaultKeyError) as exc:
        raise ModelError(f"{file.name} cannot be read: {exc}.") from exc
    if len(body) != 4 * count or next(iter(shapes)) != "tokens":
        raise ModelError(f"{file.name} is cut short.")
    return list(struct.unpack(f"<{count}i", body)), metadata


class _Opened:
    """Reads the beginning of a sealed file, and opens no more pieces of it than that takes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._waiting = pieces, bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._pieces, Generator):
            self._pieces.close()

    def read(self, count: int) -> bytes:
        while len(self._waiting) < count and (piece := next(self._pieces, None)) is not None:
            self._waiting += piece
        found = bytes(self._waiting[:count])
        del self._waiting[:count]
        return found


def stamp(file: int | Path) -> tuple[int, ...]:
    """What changes whenever anybody touches a file: inode, size, times of content and of change."""
    found = os.stat(file)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _named(segment: Segment) -> dict[str, torch.Tensor]:
    """Tensors under names that sort as they are stored."""
    kinds = (("", segment.tensors), ("scale.", segment.scales))
    return {f"{kind}{'kv'[n % 2]}.{n // 2}": t for kind, tensors in kinds for n, t in enumerate(tensors)}


def _header(shapes: Mapping[str, tuple[str, list[int]]], metadata: Mapping[str, str]) -> bytes:
    """The one header for these tensors: the safetensors format leaves no choice that we leave open."""
    said: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    at = 0
    for name, (kind, shape) in shapes.items():
        size = math.prod(shape) * _DTYPES[kind].itemsize
        said[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 64)  # the tensors begin aligned
    return struct.pack("<Q", len(text)) + text


def _seal(secret: bytes, header: bytes, bodies: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for body in bodies:
        digest.update(body)
    return hmac.new(secret, header + digest.digest(), hashlib.sha256).hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
