"""What a plan asks of the vault."""

from __future__ import annotations

from memos_integrations.core.ports import CubeFilter, VaultQuery, Vectors, narrowed
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
            queries[scope, latest] = VaultQuery(k=k, filter=scope)
        else:
            k = k if step.window else max(k, least + len(plan.shown))
            queries[scope, latest] = VaultQuery(k=k, terms=words, vector=vector, filter=scope, around=True)
    return list(queries.values())


def _scope(plan: MemoryPlan, step: PlanStep) -> tuple[CubeFilter, bool]:
    """What a step looks through, and whether it wants the latest of it."""
    window = (step.window.start, step.window.end) if step.window else None
    scope = CubeFilter(namespace=step.namespace, semantic_types=step.semantic_types, occurred=window)
    if plan.where is not None:
        scope = narrowed(scope, plan.where)
    return scope, step.action is Action.LATEST or (step.action is Action.WINDOW and len(plan.steps) == 1)
