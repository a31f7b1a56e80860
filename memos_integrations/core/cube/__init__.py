"""MemCube: one memory, as an immutable value per version.

A cube is a payload (plaintext, activation or parameter) under a header (MemOS paper, arXiv 2507.03724 §4.2:
descriptive identifiers, governance attributes, behavioural indicators). The header and the payload of a version
never change; what changes with use (`Behaviour`, `state`) stands beside the version and is outside its digest.
"""

from __future__ import annotations

from memos_integrations.core.cube.checked import checked_cube, known_cube
from memos_integrations.core.cube.cube import SCHEMA, MemCube
from memos_integrations.core.cube.frozen import thawed
from memos_integrations.core.cube.header import (
    Behaviour,
    Channel,
    CubeRef,
    Descriptive,
    Governance,
    Layer,
    Licence,
    Licensed,
    Link,
    Origin,
    Provenance,
    Rate,
    Relation,
    State,
    Trust,
    TrustLabel,
)
from memos_integrations.core.cube.payload import (
    ActivationPayload,
    BlobRef,
    ModelFingerprint,
    ParameterPayload,
    Payload,
    PlaintextPayload,
    Tier,
)
from memos_integrations.core.cube.stored import behaviour_of, canonical_cube, cube_of, parts_of
from memos_integrations.core.cube.values import (
    MAX_TEXT_BYTES,
    Digest,
    Json,
    Label,
    Labels,
    Moment,
    Namespace,
    Once,
    Text,
    Value,
    canonical_json,
    check_text,
    first_problem,
    id_beside,
    new_id,
    sha256,
    unique,
)

__all__ = [
    "MAX_TEXT_BYTES",
    "SCHEMA",
    "ActivationPayload",
    "Behaviour",
    "BlobRef",
    "Channel",
    "CubeRef",
    "Descriptive",
    "Digest",
    "Governance",
    "Json",
    "Label",
    "Labels",
    "Layer",
    "Licence",
    "Licensed",
    "Link",
    "MemCube",
    "ModelFingerprint",
    "Moment",
    "Namespace",
    "Once",
    "Origin",
    "ParameterPayload",
    "Payload",
    "PlaintextPayload",
    "Provenance",
    "Rate",
    "Relation",
    "State",
    "Text",
    "Tier",
    "Trust",
    "TrustLabel",
    "Value",
    "behaviour_of",
    "canonical_cube",
    "canonical_json",
    "check_text",
    "checked_cube",
    "cube_of",
    "first_problem",
    "id_beside",
    "known_cube",
    "new_id",
    "parts_of",
    "sha256",
    "thawed",
    "unique",
]
