"""A cube from canonical bytes of which it is known that this package wrote them: as its models read it, without them.

A vault that holds a row against its seal knows that the body is to the byte one that passed the models when it was
written. To let it pass them once more would give the same, at three times the cost of everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from memos_integrations.core.cube.cube import MemCube
from memos_integrations.core.cube.header import (
    Behaviour,
    Channel,
    CubeRef,
    Descriptive,
    Link,
    Origin,
    Provenance,
    Relation,
    State,
    Trust,
    TrustLabel,
)
from memos_integrations.core.cube.payload import PlaintextPayload, Tier
from memos_integrations.core.cube.stored import SHARED, cube_of, pieces_of, place_of, rules_of, words_in

_ORIGINS = {each.value: each for each in Origin}
_RELATIONS = {each.value: each for each in Relation}
_IN_DESCRIPTIVE, _IN_PROVENANCE, _IN_TRUST = [len(kind.model_fields) for kind in (Descriptive, Provenance, Trust)]
_IN_TAIL = 4
"""How many fields they have: of bytes from another version of this package their models decide."""


def checked_cube(body: bytes, digest: str, state: State, behaviour: Behaviour) -> MemCube:
    """The cube with these canonical bytes, which this package wrote, their digest, and what stands beside them.

    What is not known at once passes the models, as in `cube_of`.

    Raises:
        InvalidMemoryError: They are not a cube.
    """
    made = known_cube(body, digest, state, behaviour)
    if made is None:
        made = cube_of(body).with_checked(state=state, behaviour=behaviour)
        made.__dict__.update(_canonical=body, digest=digest)
    return made


def known_cube(body: bytes, digest: str, state: State, behaviour: Behaviour) -> MemCube | None:
    """As `checked_cube`; None where that is not known at once."""
    try:
        return _made(body, digest, state, behaviour)
    except (ValueError, LookupError, TypeError):
        return None


def _made(body: bytes, digest: str, state: State, behaviour: Behaviour) -> MemCube | None:
    pieces = pieces_of(body)
    text = None if pieces is None else words_in(pieces[4])
    if pieces is None or text is None:
        return None
    descriptive, governance, cube_id, namespace, _, tail = pieces
    made = MemCube.of_every(
        {
            **_tail(tail),
            "descriptive": _descriptive(descriptive),
            "governance": rules_of(governance),
            "id": orjson.loads(cube_id),
            "namespace": place_of(namespace),
            "payload": PlaintextPayload.of_every({"kind": Tier.PLAINTEXT, "text": text, "value": None, "blob": None}),
            "state": state,
            "behaviour": behaviour,
        }
    )
    beside = made.__dict__
    beside["_canonical"], beside["digest"] = body, digest
    return made


def _check(said: Mapping[str, Any], fields: int) -> None:
    if len(said) != fields:
        raise ValueError("of another version")


# The fields stand in the order of the models, as a dump shows them.


def _descriptive(text: bytes) -> Descriptive:
    said = orjson.loads(text)
    _check(said, _IN_DESCRIPTIVE)
    return Descriptive.of_every(
        {
            "created_at": datetime.fromisoformat(said["created_at"]),
            "recorded_at": datetime.fromisoformat(said["recorded_at"]),
            "valid_from": said["valid_from"] and datetime.fromisoformat(said["valid_from"]),
            "valid_to": said["valid_to"] and datetime.fromisoformat(said["valid_to"]),
            "origin": _ORIGINS[said["origin"]],
            "semantic_type": said["semantic_type"],
            "tags": tuple(said["tags"]),
            "topic": said["topic"],
            "concept": said["concept"],
            "entities": tuple(said["entities"]),
            "language": said["language"],
        }
    )


def _provenance(said: Mapping[str, Any]) -> Provenance:
    _check(said, _IN_PROVENANCE)
    return Provenance.of_every(
        {
            "source": said["source"],
            "message_id": said["message_id"],
            "speaker": said["speaker"],
            "author": said["author"],
            "thread_id": said["thread_id"],
            "session_id": said["session_id"],
            "occurred_at": said["occurred_at"] and datetime.fromisoformat(said["occurred_at"]),
            "model_id": said["model_id"],
            "trigger": said["trigger"],
            "derived_from": tuple(
                [CubeRef.of_every({"id": each["id"], "version": each["version"]}) for each in said["derived_from"]]
            ),
            "links": tuple(
                [
                    Link.of_every({"relation": _RELATIONS[each["relation"]], "target": each["target"]})
                    for each in said["links"]
                ]
            ),
            "signature": said["signature"],
        }
    )


@lru_cache(SHARED)
def _trust(channel: str, label: str, verified_by: str | None, quarantined: bool) -> Trust:
    made = {"channel": Channel(channel), "label": TrustLabel(label)}
    return Trust.of_every({**made, "verified_by": verified_by, "quarantined": quarantined})


@lru_cache(SHARED)
def _tail(text: bytes) -> dict[str, Any]:
    said = orjson.loads(b"{" + text[1:])
    trust = said["trust"]
    _check(said, _IN_TAIL)
    _check(trust, _IN_TRUST)
    believed = _trust(trust["channel"], trust["label"], trust["verified_by"], trust["quarantined"])
    provenance = _provenance(said["provenance"])
    return {"provenance": provenance, "schema_": said["schema"], "trust": believed, "version": said["version"]}
