"""A cube from its canonical bytes, as vaults keep it: what many cubes share is checked once.

Who owns memories, who may read them, what they are and where they came from is the same for most of those written
together. It passes its models the first time that it is seen; from then on it is one object for all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from memos_integrations.core.cube.cube import MemCube
from memos_integrations.core.cube.header import Behaviour, Descriptive, Governance, Provenance, State, Trust
from memos_integrations.core.cube.payload import PlaintextPayload, Tier
from memos_integrations.core.cube.values import Label, Namespace, check_payload_text

SHARED = 1024
"""So many heads, places and tails are kept: about 2 kB each, with what they say."""

_DESCRIPTIVE, _GOVERNANCE = b'{"descriptive":', b',"governance":'
_ID, _NAMESPACE, _PAYLOAD, _PROVENANCE = b',"id":', b',"namespace":', b',"payload":', b',"provenance":'
_SCHEMA, _TRUST, _VERSION = b',"schema":', b',"trust":', b',"version":'

_UNUSED = Behaviour()
_BEFORE, _BEHIND = b'{"blob":null,"kind":"plaintext","text":', b',"value":null}'
"""What stands around the words of a memory that is nothing but words."""

_label = TypeAdapter[str](Label).validate_python
_namespace = TypeAdapter[tuple[str, ...]](Namespace).validate_json


def cube_of(body: bytes) -> MemCube:
    """The cube whose `canonical` bytes these are, with the state and behaviour of a new one; as `MemCube.from_json`.

    Raises:
        InvalidMemoryError: They are not a cube.
    """
    # No name can stand inside a text, where quotes are escaped; a structured payload may hold any, so from behind.
    head, place = body.find(_ID), body.find(_NAMESPACE)
    payload, tail = body.find(_PAYLOAD), body.rfind(_PROVENANCE)
    if 0 < head < place < payload < tail:
        try:
            parts = {
                **_head(body[:head]),
                **_place(body[place + len(_NAMESPACE) : payload]),
                **_tail(body[tail:]),
                "id": _id(body[head + len(_ID) : place]),
                "payload": _words(body[payload + len(_PAYLOAD) : tail]),
                "state": State.GENERATED,
                "behaviour": _UNUSED,
            }
            made = MemCube.of_checked(**parts)
            made.__dict__["_canonical"] = body
            return made
        except ValueError:  # pydantic's is one: another kind of payload, or no cube at all
            pass
    return MemCube.from_json(body)


# Only what is spelled canonically, part by part, was surely told apart rightly.


def _id(text: bytes) -> str:
    said = orjson.loads(text)
    if orjson.dumps(said) != text:
        raise ValueError("not canonical")
    return _label(said)


def _words(text: bytes) -> PlaintextPayload:
    said = orjson.loads(text[len(_BEFORE) : -len(_BEHIND)]) if text.endswith(_BEHIND) else None
    if isinstance(said, str) and text == _BEFORE + orjson.dumps(said) + _BEHIND and said.strip():
        # What the model asks of it, without the model.
        words = PlaintextPayload.of_checked(blob=None, kind=Tier.PLAINTEXT, text=check_payload_text(said), value=None)
        words.__dict__["_canonical"] = text
        return words
    words = PlaintextPayload.model_validate_json(text)
    if words._canonical != text:
        raise ValueError("not canonical")
    return words


@lru_cache(SHARED)
def _head(text: bytes) -> dict[str, Any]:
    middle = text.index(_GOVERNANCE)
    descriptive = Descriptive.model_validate_json(text[len(_DESCRIPTIVE) : middle])
    governance = Governance.model_validate_json(text[middle + len(_GOVERNANCE) :])
    spelled = _DESCRIPTIVE + descriptive._canonical + _GOVERNANCE + governance._canonical
    return _canonical(text, spelled, {"descriptive": descriptive, "governance": governance})


@lru_cache(SHARED)
def _place(text: bytes) -> dict[str, Any]:
    place = _namespace(text)
    return _canonical(text, orjson.dumps(place), {"namespace": place})


@lru_cache(SHARED)
def _tail(text: bytes) -> dict[str, Any]:
    schema, trust, version = text.index(_SCHEMA), text.index(_TRUST), text.rindex(_VERSION)
    provenance = Provenance.model_validate_json(text[len(_PROVENANCE) : schema])
    believed = Trust.model_validate_json(text[trust + len(_TRUST) : version])
    kind, number = int(text[schema + len(_SCHEMA) : trust]), int(text[version + len(_VERSION) : -1])
    if min(kind, number) < 1:
        raise ValueError("numbers count from 1")
    numbers = b'%b,"schema":%d,"trust":%b,"version":%d}'
    spelled = _PROVENANCE + numbers % (provenance._canonical, kind, believed._canonical, number)
    said = {"provenance": provenance, "schema_": kind, "trust": believed, "version": number}
    return _canonical(text, spelled, said)


def _canonical(text: bytes, spelled: bytes, said: dict[str, Any]) -> dict[str, Any]:
    if text != spelled:
        raise ValueError("not canonical")
    return said
