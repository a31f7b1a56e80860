"""Who asks, in a graph: settled from what the caller of the graph passed, never from its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError
from memos_integrations.core.identity import named_in

Identity = Principal | Callable[[Runtime[Any]], Principal]
"""A fixed principal, or a function that reads one from the runtime."""


def identify(given: Identity | None, runtime: Runtime[Any], config: RunnableConfig) -> Principal:
    """The principal: what the graph's author gave, else `runtime.context`, else `configurable` in *config*.

    The first source that names anybody is taken whole; nothing is filled in from the next, so that no caller can
    pair one source's user with another's tenant. A context (object or mapping) and `configurable` name somebody by
    `principal`, or by `tenant` and `user_id`. A context may add `groups` and `roles`; `configurable` may not, since
    many servers let their clients fill it in.

    Raises:
        IdentityError: No source names anybody, or the one that does is incomplete.
    """
    if isinstance(given, Principal):
        return given
    if given is not None:
        return _checked(given(runtime))
    return named_in(runtime.context, ("groups", "roles")) or named_in(config.get("configurable")) or _checked(None)


def _checked(principal: Any) -> Principal:
    if isinstance(principal, Principal):
        return principal
    raise IdentityError(
        "Nobody is asking: invoke the graph with context=..., an object with tenant and user_id, or with "
        'config={"configurable": {"tenant": ..., "user_id": ...}}, or build it with principal=Principal(...).'
    )
