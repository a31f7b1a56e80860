"""Nodes for agents that share a pool of memories: what one of them wrote is offered, what others offer is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NotRequired, TypedDict, cast

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.runtime import get_runtime

from memos_integrations.core.access import CallContext, Principal, as_subject
from memos_integrations.core.cube import Licence
from memos_integrations.core.memstore import Batch, Publication, Rate
from memos_integrations.core.operator.options import labels
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.subgraph import MemoryState, tell
from memos_integrations.memos import MemOS

Work = Callable[[Any, Principal], tuple[dict[str, Any], dict[str, Any]]]


class PoolState(MemoryState):
    """What a graph with `pool_subscriber` needs in its state, and may checkpoint: numbers and ids, no words."""

    pool: NotRequired[dict[str, Any]]


class News(TypedDict):
    """One piece of news in `pool`: `kind` is written, moved or withdrawn; `id` is the same when it comes again."""

    id: str
    kind: str
    cube: str


def pool_publisher(
    memos: MemOS,
    name: str,
    *,
    to: Iterable[str],
    namespace: Sequence[str] = (),
    tags: Sequence[str] = (),
    semantic_types: Sequence[str] = (),
    purposes: Sequence[str] = (),
    licence: Licence | None = None,
    rate: Rate | None = None,
    price: str = "",
    principal: Identity | None = None,
) -> Runnable[Any, Any]:
    """A node that offers to others what the asking principal wrote, and what it has written since.

    What is offered, to whom and on which terms is said here, by the graph's author; nothing is taken from the state,
    which a model can write. It stands after a node that writes (`memory_writer(options={"tags": ...})`). However often
    the graph repeats it, each memory is shared once. It changes nothing in the state, and tells `memos.publish` with
    the offer's name and how many memories it changed to `stream_mode="custom"`.

    Raises:
        IdentityError: At run time, when nobody is asking.
        InvalidMemoryError: At once, where *to* is no list; at run time, like AccessDeniedError, as `MemStore.publish`.
    """
    audience = tuple(as_subject(each) for each in labels(to))
    said: dict[str, Any] = {"tags": tuple(tags), "semantic_types": tuple(semantic_types), "purposes": tuple(purposes)}
    said |= {"licence": licence, "rate": rate, "price": price}

    def publish(state: Any, by: Principal) -> tuple[dict[str, Any], dict[str, Any]]:
        place = tuple(namespace) if not namespace or namespace[0] == by.tenant else (by.tenant, *namespace)
        wanted = said | {"audience": audience, "namespace": place, "cube_id": None}
        standing = next((each for each in memos.store.offers(by=by) if _is_own(each, name, by)), None)
        if standing is None or any(getattr(standing, field) != value for field, value in wanted.items()):
            memos.store.publish(name, by=by, to=audience, namespace=place, **said)
            return {}, {"offer": name, "renewed": False}
        return {}, {"offer": name, "renewed": True, "changed": memos.store.renew(name, by=by)}

    return _node(memos, "memos.publish", publish, principal)


def pool_subscriber(
    memos: MemOS,
    name: str,
    *,
    limit: int = 20,
    replay: bool = False,
    context: CallContext | None = None,
    principal: Identity | None = None,
    **wants: Any,
) -> Runnable[Any, Any]:
    """A node that reads what others share with the asking principal and is new to it, at most *limit* pieces of news.

    It gives `pool`: `subscription`, `upto`, `more` and `news` (see `News`), and `memory` as `memory_subgraph` does, of
    the memories in the news: ids, no words, so that no checkpoint holds any. An agent with `RecalledContext` after it
    is shown their words, as data, as whoever is asking then may read them; in a node of one's own,
    `memos.get_many(ids, by=...)` gives them. It takes the place of `memory` from a subgraph before it.

    The subscription *name* is made when there is none, from then on, or with *replay* from the beginning; *wants* are
    those of `MemStore.subscribe`. Until `pool_acknowledger`, the same is given again, with the same ids.

    Raises:
        IdentityError: At run time, when nobody is asking.
        InvalidMemoryError: At run time: what is wanted makes no sense.
    """

    def pull(state: Any, by: Principal) -> tuple[dict[str, Any], dict[str, Any]]:
        if all(each.name != name for each in memos.store.subscriptions(by=by)):
            memos.store.subscribe(name, by=by, replay=replay, **wants)
        batch = memos.store.pull(name, by=by, limit=limit, context=context)
        pool = _pool(name, batch)
        return {"pool": pool, "memory": _memory(batch)}, {"subscription": name, "news": pool["news"]}

    return _node(memos, "memos.pull", pull, principal)


def pool_acknowledger(memos: MemOS, name: str, *, principal: Identity | None = None) -> Runnable[Any, Any]:
    """A node that says that the news in `pool` is consumed, so that it does not come again. It clears `pool`.

    It stands after whatever used the news. A graph that dies before it is given the same news in its next run. The
    place moves forward only, is the asking principal's own, and never passes what has happened.

    Raises:
        IdentityError: At run time, when nobody is asking.
        CubeNotFoundError: At run time: there is no such subscription.
        InvalidMemoryError: At run time: somebody else wrote `pool`, and its `upto` is no place.
    """

    def acknowledge(state: Any, by: Principal) -> tuple[dict[str, Any], dict[str, Any]]:
        pool = state.get("pool") or {}
        if pool.get("subscription") != name:
            return {"pool": {}}, {"subscription": name}
        done = memos.store.acknowledge(name, cast("int", pool.get("upto")), by=by)
        return {"pool": {}}, {"subscription": name, "upto": done.after}

    return _node(memos, "memos.acknowledge", acknowledge, principal)


def _node(memos: MemOS, event: str, work: Work, principal: Identity | None) -> Runnable[Any, Any]:
    """A node that does *work* as whoever is asking, and tells what it did."""

    def node(state: Any, config: RunnableConfig) -> dict[str, Any]:
        update, told = work(state, identify(principal, get_runtime(), config))
        tell(event, **told)
        return update

    async def anode(state: Any, config: RunnableConfig) -> dict[str, Any]:
        update, told = await memos.off_loop(work, state, identify(principal, get_runtime(), config))
        tell(event, **told)
        return update

    return RunnableLambda(node, anode)


def _is_own(offer: Publication, name: str, by: Principal) -> bool:
    return offer.name == name and offer.publisher == by.subject


def _pool(name: str, batch: Batch) -> dict[str, Any]:
    news: list[News] = [{"id": each.id, "kind": each.kind, "cube": each.cube_id} for each in batch.deliveries]
    return {"subscription": name, "upto": batch.upto, "more": batch.more, "news": news}


def _memory(batch: Batch) -> dict[str, Any]:
    ids = dict.fromkeys(each.cube_id for each in batch.deliveries if each.cube is not None)
    told: dict[str, Any] = {"score": None, "why": "news", "superseded_by": None, "conflicts_with": []}
    cubes = [{"id": cube_id, **told} for cube_id in ids]
    return {"needed": bool(cubes), "reasons": ["news of a subscription"], "cubes": cubes}
