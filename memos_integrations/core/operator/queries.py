"""What a plan asks of the vault."""

from __future__ import annotations

from dataclasses import replace

from memos_integrations.core.cube import State
from memos_integrations.core.ports import RECALLABLE, CubeFilter, VaultQuery, Vectors, narrowed
from memos_integrations.core.scheduler import Action, MemoryPlan


def queries_of(plan: MemoryPlan, words: tuple[str, ...], vector: Vectors | None) -> list[VaultQuery]:
    """One vault query per scope: steps that differ only in their action are answered together."""
    queries: dict[tuple[CubeFilter, bool], VaultQuery] = {}
    for step in plan.steps:
        window = (step.window.start, step.window.end) if step.window else None
        scope = CubeFilter(namespace=step.namespace, semantic_types=step.semantic_types, occurred=window)
        if plan.where is not None:
            scope = narrowed(scope, plan.where)
        scope = _in_time(scope, plan)
        latest = step.action is Action.LATEST or (step.action is Action.WINDOW and len(plan.steps) == 1)
        k = step.k + len(plan.shown)
        if latest:
            queries[scope, latest] = VaultQuery(k=k, filter=scope, as_of=plan.as_of)
        else:
            queries[scope, latest] = VaultQuery(
                k=k, terms=words, vector=vector, filter=scope, around=plan.as_of is None, as_of=plan.as_of
            )
    return list(queries.values())


def _in_time(scope: CubeFilter, plan: MemoryPlan) -> CubeFilter:
    """The scope at the time that is asked for: what held or stood then may be archived or merged by now."""
    if scope.states != RECALLABLE:
        pass  # the caller says which states
    elif plan.as_of is not None:
        scope = replace(scope, states=scope.states | {State.ARCHIVED, State.MERGED})
    elif plan.archived or plan.valid_at is not None:
        scope = replace(scope, states=scope.states | {State.ARCHIVED})
    return scope if plan.valid_at is None else replace(scope, valid_at=plan.valid_at)
