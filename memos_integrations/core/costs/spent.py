"""What one piece of a model's work took, as the audit log carries it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from memos_integrations.core.cube import Label, Labels, Value

COUNTED = ("tokens_in", "tokens_out", "tokens_cached", "model_calls", "stored_bytes", "read_bytes", "wall_s", "cpu_s")
"""The figures of a piece of work, as they are called in a record."""


class Spent(Value):
    """What a model did with memory: tokens read, written and taken from what was stored, seconds, bytes, calls.

    `cached` tokens are part of those read. `cubes` are the memories that it was about.
    """

    model: Label
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    tokens_cached: int = Field(default=0, ge=0)
    model_calls: int = Field(default=1, ge=0)
    stored_bytes: int = Field(default=0, ge=0)
    read_bytes: int = Field(default=0, ge=0)
    wall_s: float = Field(default=0.0, ge=0)
    cpu_s: float = Field(default=0.0, ge=0)
    cubes: Labels = ()


def figures_in(operation: str, detail: Any) -> dict[str, float]:
    """The figures that the record of an operation carries; what is no figure, or negative, counts as none."""
    said = dict(detail) if isinstance(detail, dict) else {}
    if operation == "recall":  # a recall's tokens and bytes are those of the words that it handed out
        said |= {"tokens_out": said.get("tokens"), "read_bytes": said.get("bytes")}
    if operation in {"learnt", "model", "recall"}:
        return {name: float(said[name]) for name in COUNTED if _is_figure(name, said.get(name))}
    return {}


def _is_figure(name: str, each: Any) -> bool:
    """Whether it counts: seconds are any number above nothing, the rest whole ones."""
    kinds = int | float if name.endswith("_s") else int
    return isinstance(each, kinds) and not isinstance(each, bool) and 0 < each < float("inf")
