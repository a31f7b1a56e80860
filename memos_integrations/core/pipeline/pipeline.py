"""MemPipeline: named steps in order, and the run of them over memory that is only staged. Pure but for its steps."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import CodeType
from typing import Any

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import MemCube, Value, canonical_json, sha256
from memos_integrations.core.errors import PipelineError

MOST_STEPS = 1_000
"""How many steps one run may take, those within loops and other pipelines counted each time."""

MOST_CHANGES = 10_000
"""How many cubes one run may change."""

MOST_WITHIN = 8
"""How deep pipelines may run within each other."""

Step = Callable[["PipelineRun"], Any]
"""One step: it reads and writes through `run.memory`. A declared step (`core.pipeline.steps`) is one; so is a function.

What it returns may be cubes or ids: they are kept in `run.found` under the name of the step.
"""


class MemPipeline:
    """Steps over memory that become true together or not at all; `MemOS.run` runs it.

    Each step sees what those before it wrote; nobody else does before the end. *parameters* name what a run must be
    `given`. `digest` tells one content from another: declared steps count with all that they say, functions by name
    (those without one, as lambdas, by their code, which another Python compiles to another digest), so raise *version*
    when a function changes. *parts* are the pipelines that its steps may run by name.

    Raises:
        PipelineError: It has no name or no steps, or a step cannot be called.
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[Step],
        *,
        version: str = "1",
        description: str = "",
        parameters: Sequence[str] = (),
        parts: Mapping[str, MemPipeline] | None = None,
        most_steps: int = MOST_STEPS,
        most_changes: int = MOST_CHANGES,
    ) -> None:
        self.name, self.version, self.description = name, str(version), description
        self.steps, self.parameters, self.parts = tuple(steps), tuple(parameters), dict(parts or {})
        self.most_steps, self.most_changes = most_steps, most_changes
        if not isinstance(name, str) or not name.strip() or not self.steps:
            raise PipelineError("A pipeline has a name and at least one step.")
        if wrong := [number for number, step in enumerate(self.steps, start=1) if not callable(step)]:
            raise PipelineError(f"Step {wrong[0]} of pipeline {name!r} cannot be called: it is no step.")

    @property
    def digest(self) -> str:
        """SHA-256 of what it says: name, version, parameters, steps, and the digests of its parts."""
        parts = {name: part.digest for name, part in self.parts.items()}
        told = [self.name, self.version, list(self.parameters), [_spelled(step) for step in self.steps], parts]
        return sha256(canonical_json(told))

    def __call__(self, run: PipelineRun) -> None:
        """Take its steps, as a step of another pipeline."""
        run.within(self)

    def __repr__(self) -> str:
        return f"MemPipeline({self.name!r}, version={self.version!r}, steps={len(self.steps)})"


def step_name(step: Any) -> str:
    """What a step is called in reports and records."""
    kind = getattr(step, "kind", None)
    if isinstance(step, MemPipeline):
        return f"run {step.name}"
    return kind if isinstance(kind, str) else getattr(step, "__name__", type(step).__name__)


def _spelled(step: Any) -> Any:
    if isinstance(step, Value):
        within = [_spelled(each) for each in getattr(step, "steps", ())]
        return [step_name(step), step.model_dump(mode="json", by_alias=True, exclude={"steps"}), within]
    if isinstance(step, MemPipeline):
        return step.digest
    name = f"{step.__module__}.{getattr(step, '__qualname__', type(step).__qualname__)}"
    code = getattr(step, "__code__", None)
    return f"{name} {_written(code)}" if isinstance(code, CodeType) and "<" in name else name


def _written(code: CodeType) -> str:
    """A digest of what a function without a name of its own does: all lambdas of a place are called the same."""
    within = [_written(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return sha256(canonical_json([code.co_code.hex(), list(code.co_names), within]))


@dataclass(slots=True)
class PipelineRun:
    """What a step has in hand: `memory` (a `MemOS` over what is staged), who asks, what was given and found so far.

    `found` holds ids by name. Whatever a step does through `memory` is governed as *by*'s own deed.
    """

    memory: Any
    by: Principal
    now: datetime
    pipeline: MemPipeline
    given: Mapping[str, Any] = field(default_factory=dict)
    context: CallContext | None = None
    found: dict[str, tuple[str, ...]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    _stack: list[MemPipeline] = field(default_factory=list)

    def go(self) -> None:
        """Take every step of the pipeline.

        Raises:
            PipelineError: A parameter is missing or not known, or the run does not end within its bounds.
        """
        self.check_given(self.pipeline, self.given)
        self.within(self.pipeline)

    @staticmethod
    def check_given(pipeline: MemPipeline, given: Mapping[str, Any]) -> None:
        """Refuse what a pipeline does not take, or lacks."""
        if not isinstance(given, Mapping):
            raise PipelineError(f"Pipeline {pipeline.name!r} is given names and values (a mapping), not {given!r}.")
        if missing := [name for name in pipeline.parameters if name not in given]:
            raise PipelineError(f"Pipeline {pipeline.name!r} must be given {', '.join(missing)}.")
        if strange := [name for name in given if name not in pipeline.parameters]:
            raise PipelineError(f"Pipeline {pipeline.name!r} takes no {', '.join(strange)}.")

    def within(self, pipeline: MemPipeline, steps: Iterable[Step] | None = None) -> None:
        """Take the steps of a pipeline (or some of them), the run's own or one within it."""
        if any(each is pipeline or each.name == pipeline.name for each in self._stack):
            ring = " -> ".join([*(each.name for each in self._stack), pipeline.name])
            raise PipelineError(f"A pipeline runs itself: {ring}. Nothing was changed; take one of them out.")
        if len(self._stack) >= MOST_WITHIN:
            raise PipelineError(f"Pipelines run within each other more than {MOST_WITHIN} deep. Nothing was changed.")
        self._stack.append(pipeline)
        try:
            self.take(pipeline.steps if steps is None else steps)
        except RecursionError as exc:
            raise PipelineError(
                f"Pipeline {pipeline.name!r} calls itself and never ends. Nothing was changed."
            ) from exc
        finally:
            self._stack.pop()

    def take(self, steps: Iterable[Step]) -> None:
        """Take steps in order; each counts against the bounds of the run."""
        for step in steps:
            if len(self.taken) >= self.pipeline.most_steps:
                raise PipelineError(
                    f"Pipeline {self.pipeline.name!r} took {self.pipeline.most_steps} steps and has not ended: "
                    "it loops. Nothing was changed. Bound its loops, or raise most_steps."
                )
            name = step_name(step)
            self.taken.append(name)
            try:
                self.keep(getattr(step, "into", None) or name, step(self))
            except Exception as exc:
                exc.add_note(
                    f"in step {len(self.taken)} ({name}) of pipeline {self.pipeline.name!r}: nothing was changed"
                )
                raise

    def keep(self, name: str, given_back: Any) -> None:
        """Keep cubes or ids that a step gave back, under a name."""
        if isinstance(given_back, MemCube | str):
            given_back = (given_back,)
        if isinstance(given_back, Sequence):
            ids = [each.id if isinstance(each, MemCube) else each for each in given_back]
            if all(isinstance(each, str) for each in ids):
                self.found[name] = tuple(ids)

    def cubes(self, name: str) -> list[MemCube]:
        """The cubes that a step found, as they stand now; those that are gone are left out.

        Raises:
            PipelineError: No step before this one found anything under that name.
        """
        return list(self.memory.get_many(self.ids(name), by=self.by, context=self.context))

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids that a step found; see `cubes`."""
        if name not in self.found:
            known = ", ".join(self.found) or "nothing"
            raise PipelineError(f"No step found {name!r} so far; there is {known}.")
        return self.found[name]

    def filled(self, text: str) -> str:
        """The text with what the run was given in the place of `$name`. What was recalled is never filled in.

        Raises:
            PipelineError: It names something that was not given.
        """
        try:
            return string.Template(text).substitute({name: str(value) for name, value in self.given.items()})
        except KeyError as exc:
            raise PipelineError(f"{text!r} needs {exc.args[0]!r}, which the pipeline is not given.") from exc
        except ValueError as exc:
            raise PipelineError(f"{text!r} has a $ that names nothing; write $$ for a dollar sign.") from exc
