"""Safetensors files from strangers: read the header, look at every number, believe neither. No torch.

Format: https://github.com/huggingface/safetensors (8 bytes length, JSON header, one block of data).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.canonical import strict_json
from memos_integrations.core.interchange.refusal import Refusal

MAX_HEADER = 16 << 20
MAX_TENSORS = 100_000
MAX_DIMS = 8
BLOCK = 1 << 22
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_EXPONENTS = {
    "F64": ("<u8", 0x7FF0 << 48),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
"""The bits that are all set in a number that is infinite or none."""


def check_tensors(source: BinaryIO, size: int, what: str) -> None:
    """Read a safetensors file of *size* bytes to its end, and refuse it unless every number in it is finite.

    Raises:
        BundleError: No safetensors (a pickle, for one), spans that overlap or leave gaps, or a NaN or infinity.
    """
    head = source.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise BundleError(Refusal.TENSORS, f"{what} is no safetensors file")
    try:
        header = strict_json(source.read(length), f"the header of {what}")
    except BundleError as exc:
        raise BundleError(Refusal.TENSORS, f"{what} is no safetensors file") from exc
    if not isinstance(header, dict):
        raise BundleError(Refusal.TENSORS, f"the header of {what} is no object")
    about = header.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise BundleError(Refusal.TENSORS, f"the metadata of {what} are not texts")
    if len(header) > MAX_TENSORS:
        raise BundleError(Refusal.TENSORS, f"{what} holds too many tensors")
    spans = sorted((_span(said, name, what) for name, said in header.items()), key=lambda span: span[:2])
    at = 0
    for start, end, dtype in spans:
        if start != at:
            raise BundleError(Refusal.TENSORS, f"the tensors of {what} overlap or leave a gap")
        _check_numbers(source, end - start, dtype, what)
        at = end
    if at != size - 8 - length or source.read(1):
        raise BundleError(Refusal.TENSORS, f"{what} holds bytes behind its tensors")


def _span(said: Any, name: str, what: str) -> tuple[int, int, str]:
    if not isinstance(said, Mapping) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise BundleError(Refusal.TENSORS, f"tensor {name[:80]!r} of {what} is not described as it should be")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    whole = isinstance(shape, list) and len(shape) <= MAX_DIMS and all(map(_is_size, shape))
    placed = isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_size, offsets))
    known = isinstance(dtype, str) and dtype in WIDTHS
    if not known or not whole or not placed or offsets[1] - offsets[0] != WIDTHS[dtype] * math.prod(shape):
        raise BundleError(Refusal.TENSORS, f"tensor {name[:80]!r} of {what} has a type, shape or place that cannot be")
    return offsets[0], offsets[1], dtype


def _is_size(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 48


def _check_numbers(source: BinaryIO, size: int, dtype: str, what: str) -> None:
    while size:
        chunk = source.read(min(BLOCK, size))
        if len(chunk) != min(BLOCK, size):
            raise BundleError(Refusal.TENSORS, f"{what} ends too early")
        size -= len(chunk)
        if dtype in _EXPONENTS:
            kind, ones = _EXPONENTS[dtype]
            bits = np.frombuffer(chunk, kind)
            if bool(np.any((bits & bits.dtype.type(ones)) == bits.dtype.type(ones))):
                raise BundleError(Refusal.TENSORS, f"{what} holds a number that is infinite or none")
