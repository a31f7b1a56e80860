"""What stands in a redacted bundle for names from which something was taken out: places, keys of items, subjects. Pure.

A name leads somewhere: what stands for it has to be the same each time, and another one for every other name. It comes
from a secret that the issuer alone can make, so that nobody tries names out, and no two recipients can compare theirs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import Behaviour, Governance, Licence, MemCube, PlaintextPayload, thawed
from memos_integrations.core.item import content_of

NAMESPACE, KEY = "namespace", "key"
"""What the redaction map says besides the kinds, where a part of the namespace or the key has another name."""

_HEX, _LETTERS = "0123456789abcdef", "abcdefghijklmnop"
_DIGITS = 16

Finds = Callable[[str], str | None]
"""The kind of what is to be taken out of a name; None: nothing."""

Named = Callable[[str, str], str]
"""What stands for a name, from the kind of what was found in it and the name."""


def named_by(secret: bytes) -> Named:
    """Names like `[email:ikdbcoefnmhgapjl]`, for one *secret* always the same."""

    def named(kind: str, name: str) -> str:
        digest = hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
        return f"[{kind}:{digest.translate(str.maketrans(_HEX, _LETTERS))}]"

    return named


def renamed(cube: MemCube, finds: Finds, named: Named) -> tuple[MemCube, set[str]]:
    """A version with other names where *finds* finds something, and what was found and where; the same if nothing."""
    found: set[str] = set()

    def told(name: str) -> str:
        kind = finds(name)
        found.update({kind} if kind else ())
        return name if kind is None else named(kind, name)

    changed: dict[str, Any] = {
        "namespace": tuple(map(told, cube.namespace)),
        "payload": _keyed(cube, told),
        "governance": _governed(cube.governance, told),
        "behaviour": _used(cube.behaviour, told),
    }
    if (verifier := cube.trust.verified_by) is not None and (other := _subject(verifier, told)) != verifier:
        changed["trust"] = cube.trust.model_copy(update={"verified_by": other})
    if not found:
        return cube, found
    found |= {NAMESPACE} if changed["namespace"] != cube.namespace else set()
    found |= {KEY} if changed["payload"] != cube.payload else set()
    return cube.model_copy(update=changed), found


Told = Callable[[str], str]


def _keyed(cube: MemCube, told: Told) -> Any:
    """The payload; an item's with another key."""
    key = content_of(cube).get("key") if cube.descriptive.semantic_type == ITEM else None
    if not isinstance(key, str) or not isinstance(cube.payload, PlaintextPayload) or (other := told(key)) == key:
        return cube.payload
    value = thawed(cube.payload.value) | {"key": other}
    return PlaintextPayload(text=cube.payload.text, value=value, blob=cube.payload.blob)


def _subject(said: str, told: Told) -> str:
    """A subject: `user:NAME` keeps what it is."""
    kind, colon, name = said.partition(":")
    return f"{kind}:{told(name)}" if colon and name.strip() else told(said)


def _subjects(said: tuple[str, ...], told: Told) -> tuple[str, ...]:
    return tuple(_subject(each, told) for each in said)


def _governed(rules: Governance, told: Told) -> Governance:
    changed: dict[str, Any] = {"owner": _subject(rules.owner, told), "licence": _licensed(rules.licence, told)}
    changed |= {name: _subjects(getattr(rules, name), told) for name in ("readers", "writers", "sharers")}
    return rules.model_copy(update=changed)


def _licensed(licence: Licence | None, told: Told) -> Licence | None:
    if licence is None:
        return None
    beside = tuple(each.model_copy(update={"to": _subjects(each.to, told)}) for each in licence.apart)
    return licence.model_copy(update={"to": _subjects(licence.to, told), "apart": beside})


def _used(behaviour: Behaviour, told: Told) -> Behaviour:
    """How often it was used; what counts uses of a licence names whom that is for."""
    if behaviour.licence is None and not behaviour.beside:
        return behaviour
    beside = tuple(each.model_copy(update={"licence": _licensed(each.licence, told)}) for each in behaviour.beside)
    return behaviour.model_copy(update={"licence": _licensed(behaviour.licence, told), "beside": beside})
