"""Who asks: bound when a part is made, or said by the application while it serves a request. Never read from text.

LlamaIndex passes no runtime context to its parts. What it does pass (queries, messages, node metadata) a model may have
written, so nobody is ever identified by it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError

Identity = Principal | Callable[[], Principal]
"""A fixed principal, or a function that says who is asking now (a context variable's `get`, for instance)."""

_acting: ContextVar[Principal | None] = ContextVar("memos_acting", default=None)
_SECRET = os.urandom(32)
_functions: OrderedDict[str, Callable[[], Principal]] = OrderedDict()
MOST_FUNCTIONS = 1_000


@contextmanager
def acting_as(principal: Principal) -> Iterator[Principal]:
    """Within it, parts that were given no principal of their own act for *principal*; it follows into tasks.

    Raises:
        IdentityError: It is not a principal.
    """
    token = _acting.set(_checked(principal))
    try:
        yield principal
    finally:
        _acting.reset(token)


def identify(given: Identity | None, expected: Mapping[str, Any] | None = None) -> Principal:
    """The principal given, or what the given function says, or else the one of `acting_as`.

    *expected* is for whom the part was made before it was stored and restored: another one does not get it.

    Raises:
        IdentityError: Nobody is asking, or somebody else than expected.
    """
    if isinstance(given, Principal):
        return given
    if given is not None:
        return _checked(given())
    principal = _checked(_acting.get())
    made_for = (expected or {}).get("tenant"), (expected or {}).get("user")
    if expected and "asks" not in expected and (principal.tenant, principal.user) != made_for:
        raise IdentityError(f"This belongs to another principal than {principal.subject}, who is asking now.")
    return principal


def is_said() -> bool:
    """Whether the application says, by `acting_as`, who is asking now."""
    return _acting.get() is not None


def sealed(identity: Identity, vault: str) -> dict[str, Any]:
    """A principal in JSON, with a seal that only this process can make: a restored part believes no other.

    Of a function, a name under which this process finds it again: it says who is asking then, not who asked now.
    """
    if not isinstance(identity, Principal):
        return {"asks": _name_of(identity)}
    named = identity.model_dump(mode="json")
    named = {name: sorted(value) if isinstance(value, list) else value for name, value in named.items()}
    return {**named, "seal": _seal(named, vault)}


def unsealed(stored: Mapping[str, Any], vault: str) -> Identity | None:
    """What was stored, if it is of this process and nothing was changed; else None."""
    if "asks" in stored:
        return _functions.get(str(stored["asks"]))
    named = {name: value for name, value in stored.items() if name != "seal"}
    genuine = hmac.compare_digest(str(stored.get("seal", "")).encode(errors="replace"), _seal(named, vault).encode())
    return Principal(**named) if genuine else None


def _seal(named: Mapping[str, Any], vault: str) -> str:
    content = json.dumps([vault, named], sort_keys=True, default=str).encode()
    return hmac.new(_SECRET, content, hashlib.sha256).hexdigest()


def _name_of(function: Callable[[], Principal]) -> str:
    """The name of a function that says who is asking; the oldest go when there are too many."""
    known = next((name for name, each in list(_functions.items()) if each == function), None)
    name = known or uuid.uuid4().hex
    _functions[name] = function
    if len(_functions) > MOST_FUNCTIONS:
        _functions.popitem(last=False)
    return name


def _checked(principal: object) -> Principal:
    if isinstance(principal, Principal):
        return principal
    raise IdentityError(
        "Nobody is asking: give principal=Principal(...) or a function that returns one, or run it within "
        "acting_as(Principal(...)). A part restored in another process has to be told anew whom it serves."
    )
