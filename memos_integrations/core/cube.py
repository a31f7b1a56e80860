"""MemCube: one memory, as an immutable value per version.

A cube is a payload (plaintext, activation or parameter) under a header (MemOS paper, arXiv 2507.03724 §4.2:
descriptive identifiers, governance attributes, behavioural indicators). The header and the payload of a version
never change; what changes with use (`Behaviour`, `state`) stands beside the version and is outside its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from memos_integrations.core.errors import InvalidMemoryError

SCHEMA = 1
MAX_TEXT_BYTES = 1_000_000
"""Largest plaintext payload. Longer texts belong in several cubes, or in a blob with a caption."""


def check_text(text: str) -> str:
    """The text itself, when it can be stored by every vault and rendered by every framework.

    Raises:
        ValueError: It holds NUL characters or lone surrogates, which UTF-8 and SQL cannot carry.
    """
    if "\x00" in text:
        raise ValueError("text holds a NUL character (U+0000); remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ValueError(f"text holds a lone surrogate at character {exc.start}; decode the source as UTF-8") from exc
    return text


def _check_payload_text(text: str) -> str:
    size = len(check_text(text).encode("utf-8"))
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"text is {size:,} bytes, more than {MAX_TEXT_BYTES:,}; split it into several cubes")
    return text


def _check_label(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return check_text(text)


def _check_digest(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("must be a SHA-256 digest in lower-case hexadecimal")
    return text


def _as_json(value: Any) -> Any:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(check_text(text).encode())
    except (TypeError, RecursionError) as exc:
        raise ValueError(f"cannot be written as JSON: {exc}") from exc
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"is {size:,} bytes as JSON, more than {MAX_TEXT_BYTES:,}; store it as a blob")
    return json.loads(text)


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Text = Annotated[str, AfterValidator(check_text)]
Label = Annotated[str, Field(max_length=1_000), AfterValidator(_check_label)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Digest = Annotated[str, AfterValidator(_check_digest)]
Labels = Annotated[tuple[Label, ...], Field(max_length=10_000)]
Json = Annotated[Any, AfterValidator(_as_json)]
Namespace = Annotated[tuple[Label, ...], Field(min_length=1, max_length=32)]


class Value(BaseModel):
    """An immutable value: unknown fields are refused, equal content is equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(StrEnum):
    """How the memory came to be (paper §4.2, origin signature)."""

    USER_INPUT = "user_input"
    INFERENCE_EXTRACTION = "inference_extraction"
    EXTERNAL_RETRIEVAL = "external_retrieval"
    PARAMETER_FINETUNING = "parameter_finetuning"
    IMPORT = "import"


class Channel(StrEnum):
    """What the content came through; survives every copy, summary and bundle."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    DOCUMENT = "document"
    EXTERNAL = "external"
    IMPORT = "import"


class TrustLabel(StrEnum):
    """How far a memory may be relied on, from least to most. Derivation can only lower it."""

    UNTRUSTED = "untrusted"
    UNVERIFIED = "unverified"
    STATED = "stated"
    VERIFIED = "verified"


class Layer(StrEnum):
    """The semantic layer (paper §5.3): the owner's alone, shared with named subjects, or for the whole tenant."""

    PRIVATE = "private"
    SHARED = "shared"
    GLOBAL = "global"


class State(StrEnum):
    """Where a cube stands in its life (paper §5.4.3)."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    FROZEN = "frozen"


class Tier(StrEnum):
    """The form of a payload."""

    PLAINTEXT = "plaintext"
    ACTIVATION = "activation"
    PARAMETER = "parameter"


class BlobRef(Value):
    """Bytes kept outside the row, named by their content."""

    digest: Digest
    size: int = Field(ge=0)
    media_type: Label = "application/octet-stream"


class ModelFingerprint(Value):
    """Everything that decides whether a payload bound to a model may be used with a model."""

    model: Label
    weights: Label
    tokenizer: Label
    chat_template: Label
    dtype: Label
    positions: Label
    adapters: Labels = ()


class PlaintextPayload(Value):
    """Text, or a structured value, or a blob (image, audio, file) with its caption as the text."""

    kind: Literal[Tier.PLAINTEXT] = Tier.PLAINTEXT
    text: Annotated[str, AfterValidator(_check_payload_text)]
    value: Json = None
    blob: BlobRef | None = None

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.text.strip() and self.value is None and self.blob is None:
            raise ValueError("text is empty; there is nothing to remember")
        return self


class ActivationPayload(Value):
    """A KV cache: safetensors segments, and the fingerprint of the model that computed them."""

    kind: Literal[Tier.ACTIVATION] = Tier.ACTIVATION
    segments: Annotated[tuple[BlobRef, ...], Field(min_length=1)]
    token_ids_digest: Digest
    token_count: int = Field(ge=1)
    fingerprint: ModelFingerprint


class ParameterPayload(Value):
    """A LoRA adapter: a safetensors blob, the base model it fits, and how it was trained."""

    kind: Literal[Tier.PARAMETER] = Tier.PARAMETER
    adapter: BlobRef
    base: ModelFingerprint
    training: Json = None


Payload = Annotated[PlaintextPayload | ActivationPayload | ParameterPayload, Field(discriminator="kind")]


class CubeRef(Value):
    """One version of one cube."""

    id: Label
    version: int = Field(ge=1)


class Relation(StrEnum):
    """How one cube stands to another."""

    FOLLOWS = "follows"
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"
    MENTIONS = "mentions"
    MERGED_INTO = "merged_into"


class Link(Value):
    """An edge from this cube to another."""

    relation: Relation
    target: Label


class Descriptive(Value):
    """Descriptive identifiers: what the memory is, and when it holds (bi-temporal)."""

    created_at: Moment
    recorded_at: Moment
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    origin: Origin = Origin.USER_INPUT
    semantic_type: Label = "fact"
    tags: Labels = ()
    topic: Label | None = None
    concept: Label | None = None
    entities: Labels = ()
    language: Label | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self


class Provenance(Value):
    """Where the memory came from. Every recalled text carries it along."""

    source: Label | None = None
    message_id: Label | None = None
    speaker: Label | None = None
    author: Label | None = None
    thread_id: Label | None = None
    session_id: Label | None = None
    occurred_at: Moment | None = None
    model_id: Label | None = None
    trigger: Label | None = None
    derived_from: tuple[CubeRef, ...] = ()
    links: tuple[Link, ...] = ()
    signature: Label | None = None


class Trust(Value):
    """How the content arrived and how far it may be relied on."""

    channel: Channel = Channel.USER
    label: TrustLabel = TrustLabel.STATED
    verified_by: Label | None = None
    quarantined: bool = False


class Licence(Value):
    """What a licensee may still do with the memory."""

    text: Text = ""
    uses_left: int | None = Field(default=None, ge=0)
    until: Moment | None = None


class Governance(Value):
    """Who may do what, in which context, for how long.

    `owner` and the entries of `readers`, `writers`, `sharers` are subjects: `user:NAME`, `group:NAME`, `role:NAME`
    or `*` (everyone in the tenant). Empty `purposes` and `applications` mean any.
    """

    owner: Label
    readers: Labels = ()
    writers: Labels = ()
    sharers: Labels = ()
    layer: Layer = Layer.PRIVATE
    purposes: Labels = ()
    applications: Labels = ()
    expires_at: Moment | None = None
    half_life: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    priority: int = Field(default=0, ge=-100, le=100)
    sensitivity: Labels = ()
    licence: Licence | None = None
    watermark: Label | None = None
    legal_hold: bool = False

    @model_validator(mode="after")
    def _layer_fits(self) -> Self:
        if self.layer is Layer.PRIVATE and (self.readers or self.writers or self.sharers):
            raise ValueError("a private cube has no readers, writers or sharers; use layer='shared'")
        return self

    def is_expired(self, now: datetime) -> bool:
        """Whether the cube is past its time. The last instant still counts as alive."""
        return self.expires_at is not None and now > self.expires_at


class Behaviour(Value):
    """How the cube has been used. Stored beside the version; changes on every read."""

    reads: int = Field(default=0, ge=0)
    last_read: Moment | None = None
    heat: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    recalls: Labels = ()
    fingerprint: Text = ""
    helpful: int = Field(default=0, ge=0)
    wrong: int = Field(default=0, ge=0)


class MemCube(Value):
    """One memory. Equal digests mean equal memories; a change is a new version with the same id.

    `digest` covers everything except `behaviour` and `state`, which change without a new version.
    """

    id: Label
    version: int = Field(default=1, ge=1)
    schema_: int = Field(default=SCHEMA, ge=1, alias="schema", serialization_alias="schema")
    namespace: Namespace
    payload: Payload
    descriptive: Descriptive
    provenance: Provenance = Provenance()
    trust: Trust = Trust()
    governance: Governance
    state: State = State.GENERATED
    behaviour: Behaviour = Behaviour()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def tenant(self) -> str:
        """The first part of the namespace: the wall that no access rule crosses."""
        return self.namespace[0]

    @property
    def tier(self) -> Tier:
        """The form of the payload."""
        return self.payload.kind

    @property
    def text(self) -> str:
        """The words of a plaintext cube; empty for the other kinds."""
        return self.payload.text if isinstance(self.payload, PlaintextPayload) else ""

    @property
    def ref(self) -> CubeRef:
        """This version of this cube."""
        return CubeRef(id=self.id, version=self.version)

    @property
    def content_digest(self) -> str:
        """SHA-256 of the canonical payload: equal for equal content, whoever owns it."""
        return sha256(canonical_json(self.payload.model_dump(mode="json")))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical cube without `behaviour` and `state`."""
        return sha256(self.canonical())

    def canonical(self) -> bytes:
        """The bytes that `digest` covers: sorted keys, no spaces, UTF-8, UTC times."""
        return canonical_json(self.model_dump(mode="json", by_alias=True, exclude={"behaviour", "state"}))

    def to_json(self) -> str:
        """The whole cube as JSON; `from_json` gives an equal cube back."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a cube that `to_json` wrote.

        Raises:
            InvalidMemoryError: It is not JSON, or not a cube; the message names the field.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as exc:
            raise InvalidMemoryError(f"Not a MemCube: {first_problem(exc)}") from exc


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no spaces, UTF-8 (the idea of RFC 8785, with Python's floats)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


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


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7) that sorts after every id this process made before.

    The 12 bits after the millisecond count up within it, so that ids of one burst keep their order.
    """
    with _id_lock:
        _newest_stamp[0] = stamp = max((time.time_ns() // 1_000_000) << 12, _newest_stamp[0] + 1)
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    bits = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
    return str(uuid.UUID(int=bits))


def unique(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels without repeats, in their order."""
    return tuple(dict.fromkeys(labels))
