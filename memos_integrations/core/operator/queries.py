"""What a plan asks of the vault."""

from __future__ import annotations

from memos_integrations.core.ports import CubeFilter, VaultQuery, Vectors, narrowed
from memos_integrations.core.scheduler import Action, MemoryPlan


def queries_of(plan: MemoryPlan, words: tuple[str, ...], vector: Vectors | None, *, least: int = 1) -> list[VaultQuery]:
    """One vault query per scope: steps that differ only in their action are answered together.

    By each signal *least* candidates are wanted, where the scope is not one of time: those come in beside the others.
    """
    queries: dict[tuple[CubeFilter, bool], VaultQuery] = {}
    for step in plan.steps:
        window = (step.window.start, step.window.end) if step.window else None
        scope = CubeFilter(namespace=step.namespace, semantic_types=step.semantic_types, occurred=window)
        if plan.where is not None:
            scope = narrowed(scope, plan.where)
        latest = step.action is Action.LATEST or (step.action is Action.WINDOW and len(plan.steps) == 1)
        k = step.k + len(plan.shown)
        if latest:
            queries[scope, latest] = VaultQuery(k=k, filter=scope)
        else:
            k = k if step.window else max(k, least + len(plan.shown))
            queries[scope, latest] = VaultQuery(k=k, terms=words, vector=vector, filter=scope, around=True)
    return list(queries.values())
