"""What stands beside a cube of how it was used, from the text that is sealed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import orjson

from memos_integrations.core.cube import Behaviour

_BESIDE = frozenset(Behaviour.model_fields)
_NEW, _UNUSED = Behaviour(fingerprint="|")._canonical.decode().split("|")
"""What stands around the fingerprint of a cube that was never used."""


def behaviour_of(text: str) -> Behaviour:
    """What stands beside a cube; of one that was never used only the fingerprint says anything.

    Raises:
        ValueError, TypeError: It is damaged.
    """
    if text.startswith(_NEW) and text.endswith(_UNUSED):
        told = orjson.loads(text[len(_NEW) - 1 : 1 - len(_UNUSED)])
        if isinstance(told, str):
            return Behaviour.of_checked(fingerprint=told)
    return _as_used(text)


@lru_cache(1024)
def _as_used(text: str) -> Behaviour:
    """It changes with every use, so every search comes by here: no model checks it, as its seal says that one did."""
    said = orjson.loads(text)
    if not isinstance(said, dict) or said.get("licence") is not None or not said.keys() <= _BESIDE:
        return Behaviour.model_validate_json(text)
    if said.get("last_read") is not None:
        said["last_read"] = datetime.fromisoformat(said["last_read"]).astimezone(UTC)
    return Behaviour.of_checked(**said | {"recalls": tuple(said.get("recalls", ()))})
