"""What every value of the engine is made of: checked texts, labels, moments in UTC, canonical JSON, ids."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from struct import unpack
from typing import Annotated, Any, Generic, Self, TypeVar, get_args

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from memos_integrations.core.cube.frozen import frozen
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.kept import Kept

MAX_TEXT_BYTES = 1_000_000
"""Largest plaintext payload. Longer texts belong in several cubes, or in a blob with a caption."""


SAFE = 2**53 - 1
"""Whole numbers up to here are the same in every language that reads JSON (RFC 8785 §3.2.2.3)."""

MAX_VALUE_DEPTH = 62
"""A value stands two levels deep in a record, and a record is nested at most 64 deep (MIP.md §1)."""


def check_text(text: str) -> str:
    """The text itself, when it can be stored by every vault and rendered by every framework.

    Raises:
        ValueError: It holds NUL characters or lone surrogates, which UTF-8 and SQL cannot carry.
    """
    if "\x00" in text:
        raise ValueError("text holds a NUL character (U+0000); remove it")
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ValueError(f"text holds a lone surrogate at character {exc.start}; decode the source as UTF-8") from exc
    return text


def check_payload_text(text: str) -> str:
    """The text, when a plaintext payload may hold it."""
    size = len(check_text(text).encode("utf-8"))
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"text is {size:,} bytes, more than {MAX_TEXT_BYTES:,}; split it into several cubes")
    return text


def _check_label(text: str) -> str:
    if text.isprintable() and text.strip():  # neither NUL nor a surrogate can be printed
        return text
    if not text.strip():
        raise ValueError("must not be empty")
    return check_text(text)


def _check_digest(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("must be a SHA-256 digest in lower-case hexadecimal")
    return text


def _as_json(value: Any) -> Any:
    if value is None:  # nearly always, and asked at every read
        return None
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(check_text(text).encode())
        if size <= MAX_TEXT_BYTES:
            return frozen(json.loads(text))
    except (TypeError, RecursionError) as exc:
        raise ValueError(f"cannot be written as JSON: {exc}") from exc
    raise ValueError(f"is {size:,} bytes as JSON, more than {MAX_TEXT_BYTES:,}; store it as a blob")


def check_carriable(value: Any) -> None:
    """Refuse a JSON value that a bundle could not carry, and no other system would read (MIP.md §1).

    Raises:
        InvalidMemoryError: It nests deeper than `MAX_VALUE_DEPTH`, or a whole number in it does not fit into 64 bits.
    """
    level = [value]
    for _ in range(MAX_VALUE_DEPTH + 1):
        if any(type(each) is int and not -(1 << 63) <= each < 1 << 63 for each in level):
            raise InvalidMemoryError("A whole number in a memory's value has 64 bits; write a larger one as text.")
        inner = [each for each in level if isinstance(each, dict | list | tuple)]
        if not inner:
            return
        level = [held for each in inner for held in (each.values() if isinstance(each, dict) else each)]
    raise InvalidMemoryError(f"A memory's value nests at most {MAX_VALUE_DEPTH} deep; keep what is deeper as text.")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from exc


Text = Annotated[str, AfterValidator(check_text)]
_NOT_BLANK: dict[str, Any] = {"minLength": 1, "pattern": r"\S"}
"""What `_check_label` asks, for the JSON Schemas."""

Label = Annotated[str, Field(max_length=1_000, json_schema_extra=_NOT_BLANK), AfterValidator(_check_label)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Digest = Annotated[str, AfterValidator(_check_digest), Field(json_schema_extra={"pattern": "^[0-9a-f]{64}$"})]
Count = Annotated[int, Field(ge=0, le=SAFE)]
Number = Annotated[int, Field(ge=1, le=SAFE)]
Labels = Annotated[tuple[Label, ...], Field(max_length=10_000)]
Json = Annotated[Any, AfterValidator(_as_json)]
_Made = TypeVar("_Made")
Namespace = Annotated[tuple[Label, ...], Field(min_length=1, max_length=32)]


class Once(Generic[_Made]):
    """A property that is computed at first use and stands among the fields from then on.

    `functools.cached_property` without its lock, which until Python 3.12 all values of a class share: many threads that
    write at once would queue for it. Two that compute the same at once both get it right.
    """

    def __init__(self, make: Callable[[Any], _Made]) -> None:
        self._make, self._name, self.__doc__ = make, make.__name__, make.__doc__

    def __get__(self, value: Any, kind: type[Any] | None = None) -> _Made:
        """What was made of the value."""
        made = value.__dict__[self._name] = self._make(value)
        return made


class Value(BaseModel):
    """An immutable value: unknown fields are refused, equal content is equal."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(Once,))

    @Once
    def _canonical(self) -> bytes:
        # Kept beside the fields: governance, audit and the vault all need it, and parts are shared by many cubes.
        # orjson spells everything but floats as `json` does, at a tenth of its cost; a test holds the ways equal.
        fields, (count, free) = self.__dict__, _shape(type(self))
        if len(fields) > count > 0:  # something else was computed before
            fields = {name: fields[name] for name in type(self).model_fields}
        if len(fields) == count:
            if any([fields[name] for name in free]):
                fields = fields | {name: orjson.Fragment(canonical_json(fields[name])) for name in free}
            try:
                return orjson.dumps(fields, default=_nested, option=_SORTED)
            except orjson.JSONEncodeError:
                pass  # only pydantic knows how that is spelled
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def of_checked(cls, **fields: Any) -> Self:
        """A value of fields that were checked already; like `model_construct`, at a tenth of its cost."""
        defaults, names = _PARTS[cls]
        every = len(fields) == len(defaults)
        return _made(cls, fields if every else {**defaults, **fields}, names if every else {*fields})

    @classmethod
    def of_every(cls, fields: dict[str, Any]) -> Self:
        """As `of_checked`, of a value for every field; the dictionary becomes the value's own."""
        return _made(cls, fields, _PARTS[cls][1])

    def with_checked(self, **fields: Any) -> Self:
        """The value with other fields, which were checked already; like `model_copy`, at a tenth of its cost."""
        kind, told = type(self), self.__pydantic_fields_set__
        kept = {**self.__dict__, **fields}
        for name in kept.keys() - _PARTS[kind][1]:  # what was computed of the old fields
            del kept[name]
        return _made(kind, kept, told if told >= fields.keys() else told | fields.keys())

    def __copy__(self) -> Self:
        """A copy, which `model_copy` may give other fields: it computes its canonical form anew."""
        return _as_given(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy; see `__copy__`."""
        return _as_given(super().__deepcopy__(memo))


_AnyValue = TypeVar("_AnyValue", bound=Value)
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _parts(kind: type[Value]) -> tuple[dict[str, Any], set[str]]:
    """The defaults of a kind of value, None where there is none; and the names of its fields."""
    fields = kind.model_fields
    defaults = {name: None if field.is_required() else field.get_default() for name, field in fields.items()}
    # One set for all values in which nothing was left out: nobody changes it, as they cannot be changed.
    return defaults, {*fields}


_PARTS: Kept[type[Value], tuple[dict[str, Any], set[str]]] = Kept(_parts, 256)

_new = object.__new__
# The slots of a model, past the `__setattr__` that would refuse.
_put_fields, _put_set, _put_extra, _put_private = [
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
]


def _made(kind: type[_AnyValue], fields: dict[str, Any], names: set[str]) -> _AnyValue:
    made = _new(kind)
    _put_fields(made, fields)
    _put_set(made, names)
    _put_extra(made, None)
    _put_private(made, None)
    return made


@lru_cache(maxsize=256)
def _shape(kind: type[Value]) -> tuple[int, tuple[str, ...]]:
    """How many fields there are (-1: some under other names), and those that may hold floats, which differ."""
    fields = kind.model_fields
    renamed = any(field.serialization_alias for field in fields.values())
    free = [name for name, f in fields.items() if {Any, float} & {f.annotation, *get_args(f.annotation)}]
    return -1 if renamed else len(fields), tuple(free)


def _nested(value: Any) -> orjson.Fragment:
    if isinstance(value, Value):
        return orjson.Fragment(value._canonical)
    raise TypeError(type(value))


def _as_given(copied: _AnyValue) -> _AnyValue:
    fields = type(copied).model_fields
    for name in [name for name in copied.__dict__ if name not in fields]:  # what was computed
        del copied.__dict__[name]
    return copied


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no spaces, UTF-8 (the idea of RFC 8785, with Python's floats)."""
    return _CANONICAL.encode(value).encode()


def sha256(content: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def first_problem(exc: ValidationError) -> str:
    """The first thing pydantic found wrong, as `field: message`."""
    problem = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "value"
    more = f" (and {exc.error_count() - 1} more)" if exc.error_count() > 1 else ""
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}{more}"


_newest_stamp = [0]
_id_lock = threading.Lock()
_randomness: list[int] = []
_DRAWN = 1024
"""Random numbers of 64 bits asked of the system at once: asking hands the interpreter to other threads."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_randomness.clear)


_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7) that sorts after every id this process made before.

    The 12 bits after the millisecond count up within it, so that ids of one burst keep their order.
    """
    with _id_lock:
        _newest_stamp[0] = stamp = max((time.time_ns() // 1_000_000) << 12, _newest_stamp[0] + 1)
        if not _randomness:
            _randomness.extend(unpack(f">{_DRAWN}Q", os.urandom(8 * _DRAWN)))
        random = _randomness.pop() & ((1 << 62) - 1)
    # 48 bits of milliseconds, version 7, 12 bits that count, variant 0b10, 62 random bits.
    told = "%032x" % (stamp >> 12 << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 1 << 63 | random)
    return f"{told[:8]}-{told[8:12]}-{told[12:16]}-{told[16:20]}-{told[20:]}"


def id_beside(cube_id: str) -> str:
    """An id of the same moment as another, drawn anew: what stands for another memory stands where that one stood."""
    moment, fresh = cube_id[:18], new_id()
    return f"{moment}{fresh[18:]}" if _UUID7.fullmatch(cube_id) else fresh


def unique(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels without repeats, in their order."""
    return tuple(dict.fromkeys(labels))
