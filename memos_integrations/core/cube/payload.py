"""The three kinds of payload: plaintext, activation (KV cache), parameter (LoRA adapter). Paper §4.2."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

import orjson
from pydantic import AfterValidator, Field, model_validator

from memos_integrations.core.cube.values import (
    Count,
    Digest,
    Json,
    Label,
    Labels,
    Number,
    Once,
    Value,
    check_payload_text,
)


class Tier(StrEnum):
    """The form of a payload."""

    PLAINTEXT = "plaintext"
    ACTIVATION = "activation"
    PARAMETER = "parameter"


class BlobRef(Value):
    """Bytes kept outside the row, named by their content."""

    digest: Digest
    size: Count
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
    text: Annotated[str, AfterValidator(check_payload_text)]
    value: Json = None
    blob: BlobRef | None = None

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.text.strip() and self.value is None and self.blob is None:
            raise ValueError("text is empty; there is nothing to remember")
        return self

    @Once
    def _canonical(self) -> bytes:
        if self.value is None and self.blob is None:  # nearly always
            return b'{"blob":null,"kind":"plaintext","text":%b,"value":null}' % orjson.dumps(self.text)
        spelled: bytes = super()._canonical
        return spelled

    @classmethod
    def of_words(cls, text: str) -> Self:
        """A payload of nothing but words, as the model makes it, at a fraction of its cost.

        Raises:
            ValidationError: There are none, or they cannot be stored.
        """
        try:
            if type(text) is str and text.strip():
                return cls.of_checked(kind=Tier.PLAINTEXT, text=check_payload_text(text), value=None, blob=None)
        except ValueError:
            pass  # the model says it better
        return cls(text=text)


class ActivationPayload(Value):
    """A KV cache: safetensors segments, and the fingerprint of the model that computed them."""

    kind: Literal[Tier.ACTIVATION] = Tier.ACTIVATION
    segments: Annotated[tuple[BlobRef, ...], Field(min_length=1)]
    token_ids_digest: Digest
    token_count: Number
    fingerprint: ModelFingerprint


class ParameterPayload(Value):
    """A LoRA adapter: a safetensors blob, the base model it fits, and how it was trained."""

    kind: Literal[Tier.PARAMETER] = Tier.PARAMETER
    adapter: BlobRef
    base: ModelFingerprint
    training: Json = None


Payload = Annotated[PlaintextPayload | ActivationPayload | ParameterPayload, Field(discriminator="kind")]
