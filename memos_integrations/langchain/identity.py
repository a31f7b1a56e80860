"""Who asks, in LangChain: settled from what the application passed, never from what a model wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError
from memos_integrations.core.identity import named_in

Identity = Principal | Callable[[Any], Principal]
"""A fixed principal, or a function that reads one from the runtime (None outside a graph)."""


def identify(given: Identity | None, config: RunnableConfig | None, runtime: Any = None) -> Principal:
    """The principal: what was *given*, else `runtime.context`, else `configurable` in *config*.

    The first source that names anybody is taken whole, so that nobody can pair one source's user with another's
    tenant. Each names somebody by `principal`, or by `tenant` and `user_id`. A context may add `groups` and `roles`;
    `configurable` may not, since many servers let their clients fill it in. Queries, messages and arguments of tools
    play no part: a model may have written them.

    Raises:
        IdentityError: No source names anybody, or the one that does is incomplete.
    """
    named = given if isinstance(given, Principal) or given is None else given(runtime)
    if given is None:
        named = named_in(getattr(runtime, "context", None), ("groups", "roles"))
        named = named or named_in(ensure_config(config).get("configurable", {}))
    if isinstance(named, Principal):
        return named
    raise IdentityError(
        "Nobody is asking: give principal=Principal(...), or call with context=..., an object with tenant and "
        'user_id, or with config={"configurable": {"tenant": ..., "user_id": ...}}.'
    )


def running() -> Any:
    """The runtime of the graph that is running here; None outside a graph, or without LangGraph."""
    try:
        from langgraph.runtime import get_runtime

        return get_runtime()
    # Outside a graph it raises RuntimeError or KeyError, in some versions AttributeError.
    except (ImportError, RuntimeError, LookupError, AttributeError):
        return None
