"""The walk of a prompt: `read -> plan -> execute`, and `recall`, the three in a row."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.asked import aware, whole
from memos_integrations.core.conflict import ConflictJudge
from memos_integrations.core.cube import Labels, MemCube, Tier
from memos_integrations.core.errors import IdentityError, InvalidMemoryError, VaultClosedError
from memos_integrations.core.gate import WriteGate
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.items import Items
from memos_integrations.core.memstore import MemStore
from memos_integrations.core.operator import (
    CubeWriter,
    Embedding,
    Finding,
    MemOperator,
    Recall,
    parts,
)
from memos_integrations.core.operator.caretaker import Caretaker
from memos_integrations.core.operator.editor import Editor
from memos_integrations.core.operator.quarantine import Quarantine
from memos_integrations.core.operator.redaction import Redactor
from memos_integrations.core.operator.relearning import Relearning
from memos_integrations.core.operator.summary import Summariser
from memos_integrations.core.operator.surfacing import TrustGate
from memos_integrations.core.operator.tierer import Tierer
from memos_integrations.core.operator.timemachine import TimeMachine
from memos_integrations.core.policy import Engine
from memos_integrations.core.ports import CubeFilter, Embedder, Reranker, Vault, VaultQuery
from memos_integrations.core.reader import MemoryCall, MemReader, Turn
from memos_integrations.core.reads import ReadAudit
from memos_integrations.core.ruling import Rules, engine_of
from memos_integrations.core.scheduler import MemoryPlan, MemScheduler, adapter_order, prefix_order
from memos_integrations.core.text import estimate_tokens

P = ParamSpec("P")
T = TypeVar("T")

MOST_PREFIXES = 100
"""So many activation cubes, the newest that one may read, are considered for a recall."""

MOST_ADAPTERS = 100
"""So many parameter cubes, the newest that one may read, are considered for a recall."""

NOBODY_IN_PARTICULAR = CallContext()

TRUST = TrustGate()

# What a framework takes apart and puts together again (a pickled part, a restored context) finds its engine here.
_live: WeakValueDictionary[int, Walk] = WeakValueDictionary()
_live_order = count()
_live_lock = threading.Lock()


def utc_now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


class Walk:
    """What recall needs: the parts, put together once, and the three steps over them. `MemOS` adds the writes."""

    def __init__(
        self,
        vault: Vault,
        *,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        reader: MemReader | None = None,
        scheduler: MemScheduler | None = None,
        count_tokens: Callable[[str], int] = estimate_tokens,
        clock: Callable[[], datetime] = utc_now,
        read_audit: ReadAudit | str = ReadAudit.BATCHED,
        conflicts: ConflictJudge | None = None,
        gate: WriteGate | None = None,
        trust: TrustGate = TRUST,
        policy: Engine | None = None,
    ) -> None:
        self._policy = policy
        self._made_of: dict[str, Any] = {
            "embedder": embedder, "reranker": reranker, "reader": reader, "scheduler": scheduler,
            "count_tokens": count_tokens, "clock": clock, "read_audit": read_audit, "conflicts": conflicts,
            "policy": policy, "gate": gate, "trust": trust,
        }  # fmt: skip
        self._governance = MemGovernance(vault, read_audit=read_audit, gate=gate)
        self._embedding = Embedding(self._governance, embedder)
        self._writer = CubeWriter(self._governance, self._embedding, conflicts)
        self._times = TimeMachine(self._governance, self._embedding, self._writer.resolver, self._writer.dropped)
        self._relearning = Relearning(self._governance, self._writer.forget)
        self._tierer = Tierer(self._governance, self._writer.forget)
        self._care = Caretaker(self._governance, self._writer.forget, self._writer.dropped)
        self._editor = Editor(self._governance, self._embedding, self._writer)
        self._redactor = Redactor(self._governance, self._embedding, self._writer)
        self._quarantine = Quarantine(self._governance, self._embedding, self._writer.dropped)
        self._summaries = Summariser(self._governance, self._embedding, self._writer)
        self._reader = reader or MemReader()
        self._scheduler = scheduler or MemScheduler()
        self._operator = MemOperator(
            self._governance, self._embedding, count_tokens=count_tokens, reranker=reranker, trust=trust
        )
        self.items = Items(self._governance, self._embedding, self._writer, self._caller)
        """JSON values under addresses, each a governed cube: what stores are made of."""
        self.store = MemStore(self._governance, self._embedding, self._writer, self.items, self._caller)
        """What is published and subscribed to."""
        self._clock = clock
        self._closed = False
        self._process = os.getpid()
        self._rules = Rules(self._governance.rules, self._engine_of)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="memos")
        self._embedder_missing = embedder is None
        path = getattr(vault, "path", None)
        self.uri = path.resolve().as_uri() if isinstance(path, Path) else f"memory:{uuid4().hex}"
        """Where the vault is: `file:` and its path, or `memory:` and a name that only this process knows."""
        with _live_lock:
            _live[next(_live_order)] = self

    def recall(
        self,
        prompt: str,
        *,
        by: Principal,
        k: int = 8,
        history: Sequence[Turn] = (),
        namespace: Sequence[str] = (),
        token_budget: int | None = None,
        context: CallContext | None = None,
        now: datetime | None = None,
        needed: bool | None = None,
        where: CubeFilter | None = None,
        shown: Sequence[str] = (),
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
    ) -> Recall:
        """What *by* may know about *prompt*: at most *k* memories, best first, at most *token_budget* tokens.

        Cubes that *by* may not read are absent, not masked and not counted. Reading counts as use. `namespace` limits
        the search to a prefix, `where` to the cubes that pass it; `needed=True` searches even when the prompt is small
        talk. What is `shown` to the asker already (ids) is not handed out again. `now` is what "yesterday" is counted
        from; what has expired is decided by the clock. `as_of` recalls what was known then, `valid_at` what held then
        in the world; a question about the past also finds what is archived. Otherwise what no longer holds
        (`valid_to` is over; with `as_of`: then) is left out, before `tick` archives it, too; so is what does not hold
        yet (`valid_from` is to come), but where the question is about what is to come ("will", "next month", "when"):
        there it is set back behind what holds, and its line says from when it does. `as_of` reads
        every move between states that is on record in the tenant, so it takes longer the longer that record is.

        Raises:
            IdentityError: *by* is not a principal.
            RerankError: The reranker failed; nothing was handed out.
            InvalidMemoryError: The prompt is empty or not valid Unicode, *k* is below 1, or *now* is naive.
        """
        started = perf_counter()
        call = self.read(prompt, history=history, now=now)
        read_ms = (perf_counter() - started) * 1e3
        limits: dict[str, Any] = {"k": k, "token_budget": token_budget, "needed": needed}
        plan = self.plan(call, namespace=namespace, where=where, shown=shown, by=by, context=context, **limits)
        plan = plan.model_copy(update={"as_of": aware(as_of), "valid_at": aware(valid_at)})
        plan_ms = (perf_counter() - started) * 1e3 - read_ms
        recall = self.execute(plan, call, by=by, context=context)
        total_ms = (perf_counter() - started) * 1e3
        cost = recall.cost.model_copy(update={"read_ms": read_ms, "plan_ms": plan_ms, "total_ms": total_ms})
        return recall.model_copy(update={"cost": cost})

    def read(self, prompt: str, *, history: Sequence[Turn] = (), now: datetime | None = None) -> MemoryCall:
        """First step, MemReader: what the prompt asks of memory."""
        if not all(isinstance(turn, Turn) for turn in history):
            raise InvalidMemoryError("`history` is a sequence of Turn(role=..., text=...).")
        return self._reader.read(prompt, history=history, now=now or self._clock())

    def plan(
        self,
        call: MemoryCall,
        *,
        k: int = 8,
        namespace: Sequence[str] = (),
        token_budget: int | None = None,
        needed: bool | None = None,
        where: CubeFilter | None = None,
        shown: Sequence[str] = (),
        by: Principal | None = None,
        context: CallContext | None = None,
    ) -> MemoryPlan:
        """Second step, MemScheduler: what to look for, where, in which order.

        For *by*, where a local model keeps computed memory, it names the activation and parameter cubes that *by* may
        load.
        """
        for name, number in (("k", k), ("token_budget", token_budget)):
            if number is not None:
                whole(name, number)
        plan = self._scheduler.plan(
            call,
            k=k,
            namespace=parts(namespace),
            token_budget=token_budget,
            has_vectors=self._embedding.has_vectors(),
            has_tokens=self._embedding.has_tokens(),
            needed=needed,
        )
        told: dict[str, Any] = {"where": where, "shown": tuple(shown)} if where or shown else {}
        if call.about_past:
            told["archived"] = True
        if plan.needed and by is not None and self._writer.derivatives:
            told["prefix"] = prefix_order(self.activations(by=by, k=MOST_PREFIXES, context=context))
            if where is None:  # an adapter brings all that it knows, whatever a filter leaves out
                told["adapters"] = adapter_order(self._parameters(parts(namespace), by, context))
        return plan.model_copy(update=told) if told else plan

    def execute(
        self,
        plan: MemoryPlan,
        call: MemoryCall,
        *,
        by: Principal,
        context: CallContext | None = None,
        findings: Sequence[Finding] = (),
    ) -> Recall:
        """Third step, MemOperator: carry the plan out for *by*. *findings* of `look` spare it the search."""
        return self._operator.execute(plan, call, self._caller(by, context), findings)

    def look(
        self, plan: MemoryPlan, call: MemoryCall, scope: int, *, by: Principal, context: CallContext | None = None
    ) -> Finding:
        """What one scope of a plan (`scopes_of`) finds for *by*: so that scopes may be searched apart, then executed.

        It holds ids and scores; no words, and nothing that *by* may not read.

        Raises:
            InvalidMemoryError: The plan has no such scope.
        """
        return self._operator.look(plan, call, self._caller(by, context), scope)

    def generation(self, *, by: Principal) -> int:
        """A number that is another one after any change in *by*'s tenant that a recall could notice."""
        return self._governance.generation(self._caller(by, None))

    def superseded(
        self, cubes: Sequence[MemCube], *, by: Principal, context: CallContext | None = None
    ) -> dict[str, str]:
        """For those of *cubes* that a newer cube replaces which *by* may read: the id of the newer one."""
        return self._governance.superseded(cubes, self._caller(by, context))

    @classmethod
    def live(cls, uri: str) -> Self | None:
        """The engine that is open over the vault at *uri* in this program; of several, the newest with an embedder."""
        with _live_lock:
            engines = sorted(_live.items())
        found = [engine for _, engine in engines if isinstance(engine, cls) and engine.uri == uri and engine.is_open()]
        return next(
            (engine for engine in reversed(found) if not engine._embedder_missing), found[-1] if found else None
        )

    def is_open(self) -> bool:
        """Whether it can be asked: neither closed, nor opened before this process was forked."""
        return not self._closed and self._process == os.getpid()

    def lacks_embedder(self) -> bool:
        """Whether the vault holds vectors, and there is no embedder here to search them with."""
        return self._embedder_missing and self._governance.embedder() is not None

    async def asuperseded(self, cubes: Sequence[MemCube], *, by: Principal, **how: Any) -> dict[str, str]:
        """`superseded`, in the read pool."""
        return await self._off_loop(self.superseded, cubes, by=by, **how)

    def activations(self, *, by: Principal, k: int = 100, context: CallContext | None = None) -> list[MemCube]:
        """The activation cubes that *by* may read, latest first."""
        query = VaultQuery(k=k, filter=CubeFilter(tiers=frozenset({Tier.ACTIVATION})))
        return self._governance.find(query, self._caller(by, context))

    def _parameters(self, place: Labels, by: Principal, context: CallContext | None) -> list[MemCube]:
        """The parameter cubes within a namespace that *by* may read, latest first."""
        wanted = CubeFilter(namespace=place, tiers=frozenset({Tier.PARAMETER}))
        return self._governance.find(VaultQuery(k=MOST_ADAPTERS, filter=wanted), self._caller(by, context))

    async def arecall(self, prompt: str, *, by: Principal, **how: Any) -> Recall:
        """`recall`, in the read pool."""
        return await self._off_loop(self.recall, prompt, by=by, **how)

    async def aexecute(self, plan: MemoryPlan, call: MemoryCall, *, by: Principal, **how: Any) -> Recall:
        """`execute`, in the read pool."""
        return await self._off_loop(self.execute, plan, call, by=by, **how)

    async def alook(self, plan: MemoryPlan, call: MemoryCall, scope: int, *, by: Principal, **how: Any) -> Finding:
        """`look`, in the read pool."""
        return await self._off_loop(self.look, plan, call, scope, by=by, **how)

    def close(self) -> None:
        """Finish what was begun and release the vault. Safe to call twice."""
        self._closed = True
        self._threads.shutdown(wait=True)
        self._governance.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *call* returns, run in the read pool."""
        return await self._off_loop(call, *args, **kwargs)

    async def _off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args, **kwargs))

    def _check_open(self) -> None:
        if not self.is_open():
            raise VaultClosedError("This MemOS was closed (open it again), or opened before this process was forked.")

    def _engine_of(self, kind: str, words: str) -> Engine | None:
        return engine_of(kind, words)

    def _caller(self, by: Principal, context: CallContext | None, *, ruled: bool = True) -> Caller:
        self._check_open()
        if not isinstance(by, Principal):
            raise IdentityError(
                f"`by` must be a Principal(tenant=..., user=...), not {type(by).__name__}. "
                "Take it from your application's session, never from the conversation."
            )
        if context is not None and not isinstance(context, CallContext):
            raise InvalidMemoryError(f"`context` must be a CallContext(...), not {type(context).__name__}.")
        moment = self._clock()
        if moment.tzinfo is None:
            raise InvalidMemoryError(f"The clock is naive ({moment}); it must say which time zone it is in.")
        caller = Caller(by, context or NOBODY_IN_PARTICULAR, moment.astimezone(UTC))
        return self._ruled(caller) if ruled else caller

    def _ruled(self, caller: Caller) -> Caller:
        """The caller under the rules of the tenant, as they are now."""
        return caller._replace(policy=self._rules.of(caller.by.tenant, self._policy))
