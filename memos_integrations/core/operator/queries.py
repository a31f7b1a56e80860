"""What a plan asks of the vault."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from memos_integrations.core.cube import State
from memos_integrations.core.ports import RECALLABLE, CubeFilter, VaultQuery, Vectors, narrowed
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.router import PathStop
from memos_integrations.core.scheduler import Action, MemoryPlan, PlanStep


def scopes_of(plan: MemoryPlan) -> list[tuple[int, ...]]:
    """The places (from 0) of the steps that one query answers together, for each query of the plan."""
    scopes: dict[tuple[CubeFilter, bool], tuple[int, ...]] = {}
    for place, step in enumerate(plan.steps):
        key = _scope(plan, step)
        scopes[key] = (*scopes.get(key, ()), place)
    return list(scopes.values())


def queries_of(plan: MemoryPlan, words: tuple[str, ...], vector: Vectors | None, *, least: int = 1) -> list[VaultQuery]:
    """One vault query per scope: steps that differ only in their action are answered together.

    By each signal *least* candidates are wanted, where the scope is not one of time: those come in beside the others.
    """
    queries: dict[tuple[CubeFilter, bool], VaultQuery] = {}
    for step in plan.steps:
        scope, latest = _scope(plan, step)
        k = step.k + len(plan.shown)
        if latest:
            queries[scope, latest] = VaultQuery(k=k, filter=scope, as_of=plan.as_of)
        else:
            k = k if step.window else max(k, least + len(plan.shown))
            queries[scope, latest] = VaultQuery(
                k=k, terms=words, vector=vector, filter=scope, around=plan.as_of is None, as_of=plan.as_of
            )
    return list(queries.values())


def narrowed_to(stop: PathStop, wide: VaultQuery, plan: MemoryPlan) -> VaultQuery:
    """The wide query of a plan, asked in one stop of its path, for no more than the plan wants."""
    scope = wide.filter
    entities = scope.entities or stop.entities
    types = scope.semantic_types or stop.semantic_types
    return replace(
        wide,
        k=plan.k + len(plan.shown),
        filter=replace(scope, entities=entities, semantic_types=types),
    )


def _scope(plan: MemoryPlan, step: PlanStep) -> tuple[CubeFilter, bool]:
    """What a step looks through, and whether it wants the latest of it."""
    window = (step.window.start, step.window.end) if step.window else None
    scope = CubeFilter(namespace=step.namespace, semantic_types=step.semantic_types, occurred=window)
    if plan.where is not None:
        scope = narrowed(scope, plan.where)
    scope = _in_time(scope, plan)
    return scope, step.action is Action.LATEST or (step.action is Action.WINDOW and len(plan.steps) == 1)


def _in_time(scope: CubeFilter, plan: MemoryPlan) -> CubeFilter:
    """The scope at the time that is asked for. For `as_of` a vault goes by the states of then.

    Where neither `valid_at` nor what is archived is asked for, what no longer holds is left out, archived yet or not.
    """
    if plan.archived and scope.states == RECALLABLE:
        scope = replace(scope, states=scope.states | {State.ARCHIVED})
    if plan.valid_at is None and scope.states and State.ARCHIVED not in scope.states:
        return replace(scope, holding=True)
    return in_time(scope, plan.valid_at)


def begun_by(plan: MemoryPlan, call: MemoryCall, now: datetime) -> datetime | None:
    """Until when a memory must have begun to hold, to be looked at; None: whenever it does.

    What is asked about is the present, or that of `as_of`, but where the question says another time, or when.
    """
    kept = plan.where is not None and (not plan.where.states or State.ARCHIVED in plan.where.states)
    if plan.valid_at is not None or kept or call.about_future or call.asks_when:
        return None
    at = plan.as_of or now
    return at if call.window is None else max(at, call.window.end)


def in_time(scope: CubeFilter, valid_at: datetime | None) -> CubeFilter:
    """The scope of what held in the world at a time, which may be archived by now; where no states were asked for."""
    if valid_at is None:
        return scope
    states = scope.states | {State.ARCHIVED} if scope.states == RECALLABLE else scope.states
    return replace(scope, states=states, valid_at=valid_at)
