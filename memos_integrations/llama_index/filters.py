"""LlamaIndex's metadata filters as what a vault understands, so that they hold before the best are picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter, ValueTest

OPERATIONS = {
    FilterOperator.EQ: "eq",
    FilterOperator.NE: "ne",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.IN: "in",
}
OF_THE_NODE = {"ref_doc_id": "ref_doc_id", "doc_id": "ref_doc_id", "document_id": "ref_doc_id", "source": "source"}
SEVERAL = {"semantic_type": "semantic_types", "tags": "tags", "entities": "entities", "speaker": "speakers"}
FOREVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def to_cube_filter(filters: MetadataFilters | None) -> CubeFilter | None:
    """The cubes that pass *filters*.

    `semantic_type`, `tags`, `entities`, `speaker`, `session_id`, `thread_id` and `date` (ISO 8601) are those of the
    memory. Any other key is metadata of an ingested node, with ==, !=, <, <=, >, >=, in (where it is absent, none
    passes). Filters are joined by AND, and may be nested so.

    Raises:
        InvalidMemoryError: OR, NOT, or an operator that cannot be asked of a vault: it is not passed over in silence.
    """
    if filters is None or not filters.filters:
        return None
    where = CubeFilter()
    for each in _flat(filters):
        where = _BY_KEY.get(each.key, _of_metadata)(where, each)
    return where


def _flat(filters: MetadataFilters) -> list[MetadataFilter]:
    if filters.condition not in (None, FilterCondition.AND) and len(filters.filters) > 1:
        raise InvalidMemoryError(f"Filters of memories are joined by AND; {filters.condition} cannot be asked for.")
    if filters.condition is FilterCondition.NOT:
        raise InvalidMemoryError("Filters of memories cannot be negated as a whole; use != for each.")
    flat: list[MetadataFilter] = []
    for each in filters.filters:
        flat += _flat(each) if isinstance(each, MetadataFilters) else [each]
    return flat


def _of_metadata(where: CubeFilter, each: MetadataFilter) -> CubeFilter:
    if each.operator not in OPERATIONS:
        raise InvalidMemoryError(f"{each.operator.value!r} cannot be asked of {each.key!r}; use {list(_names())}.")
    path = (OF_THE_NODE[each.key],) if each.key in OF_THE_NODE else ("metadata", each.key)
    operand: Any = tuple(each.value) if isinstance(each.value, list) else each.value
    operation: Any = OPERATIONS[each.operator]
    return replace(where, value=(*where.value, ValueTest(path, operation, operand)))


def _names() -> list[str]:
    return [operator.value for operator in OPERATIONS]


def _several(field: str) -> Callable[[CubeFilter, MetadataFilter], CubeFilter]:
    def narrowed(where: CubeFilter, each: MetadataFilter) -> CubeFilter:
        many = each.operator in (FilterOperator.IN, FilterOperator.ANY)
        if not many and each.operator not in (FilterOperator.EQ, FilterOperator.CONTAINS):
            raise InvalidMemoryError(f"{each.operator.value!r} cannot be asked of {each.key!r}; use == or in.")
        wanted = tuple(str(value) for value in (each.value if isinstance(each.value, list) else [each.value]))
        if getattr(where, field) or not wanted:
            raise InvalidMemoryError(f"{each.key!r} is filtered twice, or by nothing; give one list with in.")
        fields: dict[str, Any] = {field: wanted}
        return replace(where, **fields)

    return narrowed


def _one(where: CubeFilter, each: MetadataFilter) -> CubeFilter:
    if each.operator is not FilterOperator.EQ or getattr(where, each.key) is not None:
        raise InvalidMemoryError(f"{each.key!r} can be asked for once, with ==.")
    fields: dict[str, Any] = {each.key: str(each.value)}
    return replace(where, **fields)


def _date(where: CubeFilter, each: MetadataFilter) -> CubeFilter:
    try:
        moment = datetime.fromisoformat(str(each.value))
    except ValueError as exc:
        raise InvalidMemoryError(f"{each.value!r} is not an ISO 8601 date.") from exc
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    start, end = where.occurred or FOREVER
    if each.operator is FilterOperator.GTE:
        return replace(where, occurred=(max(start, moment), end))
    if each.operator is FilterOperator.LT:
        return replace(where, occurred=(start, min(end, moment)))
    raise InvalidMemoryError("A date is filtered with >= (from) and < (until).")


_BY_KEY: dict[str, Callable[[CubeFilter, MetadataFilter], CubeFilter]] = {
    **{key: _several(field) for key, field in SEVERAL.items()},
    "session_id": _one,
    "thread_id": _one,
    "date": _date,
}
