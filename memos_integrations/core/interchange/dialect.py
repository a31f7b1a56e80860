"""The JSON Schemas of what stands in a bundle (JSON Schema 2020-12): `schemas/*.json` beside this file say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from memos_integrations.core.cube import MemCube
from memos_integrations.core.interchange.addressee import Addressee
from memos_integrations.core.interchange.manifest import BundleSignature, Manifest
from memos_integrations.core.interchange.records import (
    ClockRecord,
    DeclinedRecord,
    DeletionRecord,
    RedactionRecord,
)
from memos_integrations.core.ports import AuditEntry

FOLDER = Path(__file__).with_name("schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


KINDS: dict[str, Any] = {
    "memory": MemCube,
    "manifest": Manifest,
    "signature": BundleSignature,
    "addressee": Addressee,
    "clock": ClockRecord,
    "deletion": DeletionRecord,
    "redaction": RedactionRecord,
    "declined": DeclinedRecord,
    "audit_entry": AuditEntry,
}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of one kind of record, from the model that reads it."""
    made = TypeAdapter(KINDS[name]).json_schema(by_alias=True)
    for part in made.get("$defs", {}).values():
        if "const" in (kind := part.get("properties", {}).get("kind", {})):  # which payload it is has to be said
            kind.pop("default", None)
            part["required"] = ["kind", *part["required"]]
    return {"$schema": DIALECT, "$id": f"urn:mip:1:{name}", **made}


def spelled(name: str) -> str:
    """The schema as it stands in its file."""
    return json.dumps(schema_of(name), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
