"""The cube itself: payload under header, one immutable value per version."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten
from typing import Self

import orjson
from pydantic import ConfigDict, Field, ValidationError

from memos_integrations.core.cube.header import Behaviour, CubeRef, Descriptive, Governance, Provenance, State, Trust
from memos_integrations.core.cube.payload import (
    ActivationPayload,
    BlobRef,
    ParameterPayload,
    Payload,
    PlaintextPayload,
    Tier,
)
from memos_integrations.core.cube.values import Label, Namespace, Number, Once, Value, first_problem, sha256
from memos_integrations.core.errors import InvalidMemoryError

SCHEMA = 1
SHOWN = 80
"""So many characters of its words stand in the one line that shows a memory."""


class MemCube(Value):
    """One memory. Equal digests mean equal memories; a change is a new version with the same id.

    `digest` covers everything except `behaviour` and `state`, which change without a new version.
    """

    id: Label
    version: Number = 1
    schema_: Number = Field(default=SCHEMA, alias="schema", serialization_alias="schema")
    namespace: Namespace
    payload: Payload
    descriptive: Descriptive
    provenance: Provenance = Provenance()
    trust: Trust = Trust()
    governance: Governance
    state: State = State.GENERATED
    behaviour: Behaviour = Behaviour()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ignored_types=(Once,))

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
    def blobs(self) -> tuple[BlobRef, ...]:
        """The blobs that this version names; of a plaintext cube at most one, whose caption it is."""
        match self.payload:
            case ActivationPayload(segments=segments):
                return segments
            case ParameterPayload(adapter=adapter):
                return (adapter,)
            case PlaintextPayload(blob=blob):
                return () if blob is None else (blob,)

    @property
    def ref(self) -> CubeRef:
        """This version of this cube."""
        return CubeRef(id=self.id, version=self.version)

    @property
    def content_digest(self) -> str:
        """SHA-256 of the canonical payload: equal for equal content, whoever owns it."""
        return sha256(self.payload._canonical)

    @Once
    def digest(self) -> str:
        """SHA-256 of the canonical cube without `behaviour` and `state`."""
        return sha256(self.canonical())

    def canonical(self) -> bytes:
        """The bytes that `digest` covers: sorted keys, no spaces, UTF-8, UTC times."""
        return self._canonical

    @Once
    def _canonical(self) -> bytes:
        # canonical_json(self.model_dump(mode="json", by_alias=True, exclude={"behaviour", "state"})), put together from
        # parts that other cubes share and that know their own form already. A test holds the two equal.
        return b'{"descriptive":%b,"governance":%b,"id":%b,"namespace":%b,"payload":%b,"provenance":%b,%b,%b}' % (
            self.descriptive._canonical,
            self.governance._canonical,
            orjson.dumps(self.id),
            orjson.dumps(self.namespace),
            self.payload._canonical,
            self.provenance._canonical,
            b'"schema":%d,"trust":%b' % (self.schema_, self.trust._canonical),
            b'"version":%d' % self.version,
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """One line for logs and notebooks; `to_json` has the rest."""
        yield None, shorten(self.text, SHOWN, placeholder=" …") if self.text else self.tier.value
        yield from (("id", self.id), ("version", self.version), ("state", self.state.value))
        yield "owner", self.governance.owner

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
