"""What stands on a wire: the number of an event, signed or not. No words, no ids, no names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

from pydantic import Field, ValidationError

from memos_integrations.core.cube import Value
from memos_integrations.core.interchange import Signer

MOST_BYTES = 1_000
"""No envelope is as long."""

Signed = Callable[[bytes, bytes], bool]
"""Whether the first bytes are the signature under the second of whoever is believed."""


class Envelope(Value):
    """Something happened in a tenant, and this is the number of the last of it in the vault's outbox.

    `signature` is over the stream's name and the number, so that it is of no use on another stream.
    """

    memos: Literal[1] = 1
    number: int = Field(ge=1, lt=2**63)
    signature: str = Field(default="", max_length=128, pattern="^[0-9a-f]*$")

    @classmethod
    def of(cls, number: int, stream: str, signer: Signer | None = None) -> Envelope:
        """The envelope of events up to one, signed where there is a signer."""
        signature = "" if signer is None else signer.sign(_message(number, stream)).hex()
        return cls(number=number, signature=signature)

    @classmethod
    def opened(cls, body: bytes, stream: str, signed: Signed | None = None) -> Envelope | None:
        """The envelope in *body*; None for what is none, or where it is not signed as it should be."""
        if len(body) > MOST_BYTES:
            return None
        try:
            found = cls.model_validate_json(body, strict=True)
        except ValidationError:
            return None
        if signed is not None and not signed(_signature(found), _message(found.number, stream)):
            return None
        return found

    def body(self) -> bytes:
        """It as bytes."""
        return self.model_dump_json().encode()


def _message(number: int, stream: str) -> bytes:
    return b"memos wire 1\n" + json.dumps([stream, number]).encode()


def _signature(found: Envelope) -> bytes:
    return bytes.fromhex(found.signature) if len(found.signature) % 2 == 0 else b""
