"""A cube from its canonical bytes, as vaults keep it: what many cubes share is checked once.

Who owns memories, who may read them, what they are and where they came from is the same for most of those written
together. It passes its models the first time that it is seen; from then on it is one object for all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from memos_integrations.core.cube.cube import MemCube
from memos_integrations.core.cube.header import Behaviour, Descriptive, Governance, Provenance, State, Trust
from memos_integrations.core.cube.payload import PlaintextPayload
from memos_integrations.core.cube.values import SAFE, Label, Namespace, check_text

SHARED = 1024
"""So many of each part are kept: about 1 kB each, with what they say."""

_DESCRIPTIVE, _GOVERNANCE = b'{"descriptive":', b',"governance":'
_ID, _NAMESPACE, _PAYLOAD, _PROVENANCE = b',"id":', b',"namespace":', b',"payload":', b',"provenance":'
_SCHEMA, _TRUST, _VERSION = b',"schema":', b',"trust":', b',"version":'

_DESCRIPTIVE_BYTES = len(_DESCRIPTIVE)
_ID_BYTES, _NAMESPACE_BYTES, _PAYLOAD_BYTES = len(_ID), len(_NAMESPACE), len(_PAYLOAD)
_UNUSED = Behaviour()
_NEW, _REST = Behaviour(fingerprint="|")._canonical.split(b"|")
"""What stands around the fingerprint of a cube that was never used."""
_BEFORE, _BEHIND = b'{"blob":null,"kind":"plaintext","text":', b',"value":null}'
"""What stands around the words of a memory that is nothing but words."""

_label = TypeAdapter[str](Label).validator.validate_python
_namespace = TypeAdapter[tuple[str, ...]](Namespace).validator.validate_json


def cube_of(body: bytes) -> MemCube:
    """The cube whose `canonical` bytes these are, with the state and behaviour of a new one; as `MemCube.from_json`.

    Raises:
        InvalidMemoryError: They are not a cube.
    """
    return canonical_cube(body) or MemCube.from_json(body)


def canonical_cube(body: bytes) -> MemCube | None:
    """As `cube_of`; None where that is another kind of payload, not spelled canonically, or no cube at all."""
    parts = parts_of(body)
    if parts is None:
        return None
    made = MemCube.of_checked(**parts, state=State.GENERATED, behaviour=_UNUSED)
    made.__dict__["_canonical"] = body
    return made


Pieces = tuple[bytes, bytes, bytes, bytes, bytes, bytes]
"""What is said of it, its rules, id, namespace, payload, and the rest: canonical bytes, cut where fields begin."""


def pieces_of(body: bytes) -> Pieces | None:
    """The fields of a cube's canonical bytes; None where they are not such."""
    # No name can stand inside a text, where quotes are escaped; a structured payload may hold any, so from behind.
    middle = body.find(_GOVERNANCE)
    head = body.find(_ID, middle)
    place = body.find(_NAMESPACE, head)
    payload = body.find(_PAYLOAD, place)
    tail = body.rfind(_PROVENANCE, payload)
    if min(middle, head, place, payload, tail) < 0 or not body.startswith(_DESCRIPTIVE):
        return None
    return (
        body[_DESCRIPTIVE_BYTES:middle],
        body[middle:head],
        body[head + _ID_BYTES : place],
        body[place + _NAMESPACE_BYTES : payload],
        body[payload + _PAYLOAD_BYTES : tail],
        body[tail:],
    )


def parts_of(body: bytes) -> dict[str, Any] | None:
    """What `canonical_cube` is made of: its fields, checked, but for state and behaviour; or None."""
    pieces = pieces_of(body)
    if pieces is None:
        return None
    descriptive, governance, cube_id, namespace, payload, tail = pieces
    try:
        return {
            **_tail(tail),
            "descriptive": _said(descriptive),
            "governance": rules_of(governance),
            "id": _id(cube_id),
            "namespace": place_of(namespace),
            "payload": _words(payload),
        }
    except ValueError:  # pydantic's is one
        return None


def behaviour_of(text: bytes) -> Behaviour:
    """The behaviour whose canonical bytes these are; of a cube that was never used only the fingerprint says anything.

    Raises:
        ValueError: They are none, or not spelled canonically.
    """
    if text.startswith(_NEW) and text.endswith(_REST):
        spelled = text[len(_NEW) - 1 : 1 - len(_REST)]
        told = orjson.loads(spelled)
        if isinstance(told, str) and orjson.dumps(told) == spelled:
            return Behaviour.of_checked(fingerprint=check_text(told))
    made = Behaviour.model_validate_json(text)
    return _canonical(text, made._canonical, made)


# Only what is spelled canonically, part by part, was surely told apart rightly.


def _id(text: bytes) -> str:
    said: str = _label(orjson.loads(text))
    return _canonical(text, orjson.dumps(said), said)


def words_in(text: bytes) -> str | None:
    """The words of a payload's canonical bytes that hold nothing else; ValueError where they are not JSON."""
    alone = text.startswith(_BEFORE) and text.endswith(_BEHIND)
    said = orjson.loads(text[len(_BEFORE) : -len(_BEHIND)]) if alone else None
    return said if isinstance(said, str) else None


def _words(text: bytes) -> PlaintextPayload:
    said = words_in(text)
    if said is not None and text == _BEFORE + orjson.dumps(said) + _BEHIND:
        words = PlaintextPayload.of_words(said)
        words.__dict__["_canonical"] = text
        return words
    words = PlaintextPayload.model_validate_json(text)
    return _canonical(text, words._canonical, words)


@lru_cache(SHARED)
def _said(text: bytes) -> Descriptive:
    made = Descriptive.model_validate_json(text)
    return _canonical(text, made._canonical, made)


@lru_cache(SHARED)
def rules_of(text: bytes) -> Governance:
    """The rules in their canonical bytes with what stands before; ValueError where they are not such."""
    made = Governance.model_validate_json(text[len(_GOVERNANCE) :])
    return _canonical(text, _GOVERNANCE + made._canonical, made)


@lru_cache(SHARED)
def place_of(text: bytes) -> tuple[str, ...]:
    """The namespace in its canonical bytes; ValueError where they are not such."""
    place = _namespace(text)
    return _canonical(text, orjson.dumps(place), place)


@lru_cache(SHARED)
def _tail(text: bytes) -> dict[str, Any]:
    schema, trust, version = text.index(_SCHEMA), text.index(_TRUST), text.rindex(_VERSION)
    provenance = Provenance.model_validate_json(text[len(_PROVENANCE) : schema])
    believed = Trust.model_validate_json(text[trust + len(_TRUST) : version])
    kind, number = int(text[schema + len(_SCHEMA) : trust]), int(text[version + len(_VERSION) : -1])
    if not 1 <= min(kind, number) <= max(kind, number) <= SAFE:
        raise ValueError("numbers count from 1")
    numbers = b'%b,"schema":%d,"trust":%b,"version":%d}'
    spelled = _PROVENANCE + numbers % (provenance._canonical, kind, believed._canonical, number)
    said = {"provenance": provenance, "schema_": kind, "trust": believed, "version": number}
    return _canonical(text, spelled, said)


_Said = TypeVar("_Said")


def _canonical(text: bytes, spelled: bytes, said: _Said) -> _Said:
    if text != spelled:
        raise ValueError("not canonical")
    return said
