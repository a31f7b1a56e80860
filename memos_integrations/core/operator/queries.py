"""What a plan asks of the vault."""

from __future__ import annotations

from memos_integrations.core.ports import CubeFilter, VaultQuery, Vectors, narrowed
from memos_integrations.core.scheduler import Action, MemoryPlan


def queries_of(plan: MemoryPlan, words: tuple[str, ...], vector: Vectors | None) -> list[VaultQuery]:
    """One vault query per scope: steps that differ only in their action are answered together."""
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
            queries[scope, latest] = VaultQuery(k=k, terms=words, vector=vector, filter=scope, around=True)
    return list(queries.values())
