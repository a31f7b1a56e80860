"""The steps that can be declared: values that say what to do, and do it through `MemOS` as the principal of the run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import State, Tier, Value
from memos_integrations.core.errors import PipelineError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.operator.editor import Feedback
from memos_integrations.core.pipeline.pipeline import PipelineRun
from memos_integrations.core.ports import RECALLABLE, CubeFilter

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
Name = Annotated[str, Field(min_length=1, max_length=100)]
Names = tuple[Name, ...]
Words = Annotated[str, Field(min_length=1, max_length=100_000)]
Few = Annotated[int, Field(ge=1, le=10_000)]


class DeclaredStep(Value):
    """A step that says what it does. `kind` is its word in a declaration; `into` the name under which it keeps ids."""

    kind: ClassVar[str] = "step"
    into: Name | None = Field(default=None, alias="as")

    def __call__(self, run: PipelineRun) -> Any:
        """Do it; cubes or ids that it found."""
        raise PipelineError(f"The step {self.kind!r} does nothing.")


class _On(DeclaredStep):
    """A step on what another one found."""

    on: Name = Field(alias="in")


class Recall(DeclaredStep):
    """Retrieve: the memories that answer a prompt, best first; they count as used."""

    kind: ClassVar[str] = "recall"
    prompt: Words
    k: Few = 8
    namespace: Names = ()

    def __call__(self, run: PipelineRun) -> Any:
        """Recall."""
        namespace = [run.filled(part) for part in self.namespace]
        asked: dict[str, Any] = {"k": self.k, "namespace": namespace, "needed": True, "context": run.context}
        return [hit.cube.id for hit in run.memory.recall(run.filled(self.prompt), by=run.by, **asked).hits]


class Find(DeclaredStep):
    """The newest memories that pass; `older_than_days`: of those that happened before that."""

    kind: ClassVar[str] = "find"
    namespace: Names = ()
    tags: Names = ()
    semantic_types: Names = ()
    states: tuple[State, ...] = tuple(sorted(RECALLABLE))
    older_than_days: float | None = Field(default=None, ge=0, le=700_000)
    k: Few = 1_000

    def __call__(self, run: PipelineRun) -> Any:
        """Find."""
        since = None if self.older_than_days is None else run.now - timedelta(days=self.older_than_days)
        where = CubeFilter(
            namespace=tuple(run.filled(part) for part in self.namespace),
            tags=tuple(run.filled(tag) for tag in self.tags),
            semantic_types=self.semantic_types,
            states=frozenset(self.states),
            tiers=frozenset({Tier.PLAINTEXT}),
            occurred=None if since is None else (EARLIEST, since),
        )
        found = run.memory.find(where, by=run.by, k=self.k, context=run.context)
        return [cube for cube in found if not is_of_the_books(cube)]


class Remember(DeclaredStep):
    """A new memory. Its words may hold what the run was given (`$name`), never what was recalled."""

    kind: ClassVar[str] = "remember"
    text: Words
    tags: Names = ()
    semantic_type: Name | None = None
    namespace: Names = ()
    readers: Names = ()
    ttl_days: float | None = Field(default=None, gt=0, le=2_900_000)
    priority: int | None = Field(default=None, ge=-100, le=100)
    key: Name | None = None

    def __call__(self, run: PipelineRun) -> Any:
        """Remember."""
        said: dict[str, Any] = {name: [run.filled(each) for each in given] for name, given in self._lists() if given}
        said |= {} if self.semantic_type is None else {"semantic_type": self.semantic_type}
        said |= {} if self.ttl_days is None else {"ttl": timedelta(days=self.ttl_days)}
        said |= {} if self.priority is None else {"priority": self.priority}
        key = None if self.key is None else run.filled(self.key)
        return run.memory.remember(run.filled(self.text), by=run.by, key=key, context=run.context, **said)

    def _lists(self) -> list[tuple[str, Names]]:
        return [("tags", self.tags), ("namespace", self.namespace), ("readers", self.readers)]


class Append(_On):
    """Augment: words added to each memory."""

    kind: ClassVar[str] = "append"
    text: Words

    def __call__(self, run: PipelineRun) -> Any:
        """Append."""
        text = run.filled(self.text)
        return [run.memory.append(each, text, by=run.by, context=run.context) for each in run.ids(self.on)]


class Update(_On):
    """Each memory with other words, or other header fields."""

    kind: ClassVar[str] = "update"
    text: Words | None = None
    readers: Names | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)
    semantic_type: Name | None = None
    sensitivity: Names | None = None

    def __call__(self, run: PipelineRun) -> Any:
        """Update."""
        said: dict[str, Any] = {
            "priority": self.priority,
            "semantic_type": self.semantic_type,
            "sensitivity": self.sensitivity,
        }
        said |= {"readers": None if self.readers is None else [run.filled(each) for each in self.readers]}
        given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        text = None if self.text is None else run.filled(self.text)
        return [
            run.memory.update(each, by=run.by, text=text, context=run.context, **given) for each in run.ids(self.on)
        ]


class Relabel(_On):
    """Tags added to and removed from each memory; one that stands so already is left as it is."""

    kind: ClassVar[str] = "relabel"
    add: Names = ()
    remove: Names = ()

    def __call__(self, run: PipelineRun) -> Any:
        """Relabel."""
        add, remove = ([run.filled(tag) for tag in tags] for tags in (self.add, self.remove))
        how: dict[str, Any] = {"add": add, "remove": remove, "context": run.context}
        tags = {cube.id: set(cube.descriptive.tags) for cube in run.cubes(self.on)}
        due = [i for i in run.ids(self.on) if i not in tags or tags[i] != tags[i].difference(remove).union(add)]
        return [run.memory.relabel(each, by=run.by, **how) for each in due]


class Merge(_On):
    """One memory of all that were found, derived from them; nothing where there are fewer than two."""

    kind: ClassVar[str] = "merge"
    text: Words | None = None

    def __call__(self, run: PipelineRun) -> Any:
        """Merge."""
        ids = run.ids(self.on)
        if len(ids) < 2:
            return ids
        text = None if self.text is None else run.filled(self.text)
        return run.memory.merge(ids, by=run.by, text=text, context=run.context)


class Move(_On):
    """Each memory in another state."""

    kind: ClassVar[str] = "move"
    to: State

    def __call__(self, run: PipelineRun) -> Any:
        """Move."""
        standing = {cube.id: cube.state for cube in run.cubes(self.on)}
        due = [each for each in run.ids(self.on) if standing.get(each) is not self.to]
        return [run.memory.move(each, self.to, by=run.by, context=run.context) for each in due]


class Archive(_On):
    """Each memory out of recall, and kept."""

    kind: ClassVar[str] = "archive"

    def __call__(self, run: PipelineRun) -> Any:
        """Archive."""
        return Move.model_validate({"in": self.on, "to": State.ARCHIVED})(run)


class Forget(_On):
    """Each memory erased, with what was derived from it."""

    kind: ClassVar[str] = "forget"

    def __call__(self, run: PipelineRun) -> Any:
        """Forget."""
        for each in run.ids(self.on):
            if run.memory.may_read([each], by=run.by, context=run.context):  # it may have gone with the one before
                run.memory.forget(each, by=run.by, context=run.context)


class Say(_On):
    """Feedback on each memory: helpful, wrong, or outdated."""

    kind: ClassVar[str] = "feedback"
    said: Feedback

    def __call__(self, run: PipelineRun) -> Any:
        """Give feedback."""
        return [run.memory.feedback(each, self.said, by=run.by, context=run.context) for each in run.ids(self.on)]


class Consolidate(DeclaredStep):
    """What contradicts or repeats is settled."""

    kind: ClassVar[str] = "consolidate"
    namespace: Names = ()
    k: Annotated[int, Field(ge=1, le=100_000)] = 10_000

    def __call__(self, run: PipelineRun) -> Any:
        """Consolidate."""
        namespace = [run.filled(part) for part in self.namespace]
        made = run.memory.consolidate(by=run.by, namespace=namespace, k=self.k, context=run.context)
        return [cube_id for each in made for cube_id in (each.newer, each.older)]


class Tick(DeclaredStep):
    """Memories age: what is due is archived, expires, or is collected; at most `limit` of them."""

    kind: ClassVar[str] = "tick"
    limit: Few = 1_000

    def __call__(self, run: PipelineRun) -> Any:
        """Tick."""
        done = run.memory.tick(by=run.by, ageing=Ageing(), limit=self.limit, context=run.context)
        return [*done.archived, *done.expired]


class Expect(_On):
    """Go on only if so many were found; else nothing of the pipeline becomes true."""

    kind: ClassVar[str] = "expect"
    at_least: int = Field(default=1, ge=0)
    at_most: int | None = Field(default=None, ge=0)

    def __call__(self, run: PipelineRun) -> Any:
        """Look."""
        count = len(run.ids(self.on))
        if count < self.at_least or (self.at_most is not None and count > self.at_most):
            most = "" if self.at_most is None else f" and at most {self.at_most}"
            raise PipelineError(
                f"{self.on!r} holds {count}; at least {self.at_least}{most} were expected. Nothing was changed."
            )


class RunPipeline(DeclaredStep):
    """The steps of another pipeline, by its name among the parts, with what it is given."""

    kind: ClassVar[str] = "run"
    pipeline: Name

    def __call__(self, run: PipelineRun) -> Any:
        """Run it."""
        parts = {run.pipeline.name: run.pipeline} | run.pipeline.parts
        if self.pipeline not in parts:
            raise PipelineError(f"There is no pipeline {self.pipeline!r} among the parts: {', '.join(parts)}.")
        run.within(parts[self.pipeline])


class _Loop(DeclaredStep):
    steps: tuple[Any, ...] = Field(min_length=1)

    @field_validator("steps", mode="before")
    @classmethod
    def _declared(cls, steps: Any) -> Any:
        return declared(steps) if isinstance(steps, Sequence) and not isinstance(steps, str) else steps


class Each(_Loop):
    """Steps for each memory that was found, one at a time, under the name `item`."""

    kind: ClassVar[str] = "each"
    on: Name = Field(alias="in")
    item: Name = "item"

    def __call__(self, run: PipelineRun) -> Any:
        """Take the steps for each."""
        for cube_id in run.ids(self.on):
            run.found[self.item] = (cube_id,)
            run.take(self.steps)


class Repeat(_Loop):
    """Steps again and again until a round of them changes nothing; at most so many rounds, else all is undone."""

    kind: ClassVar[str] = "repeat"
    at_most: Annotated[int, Field(ge=1, le=100)] = 10

    def __call__(self, run: PipelineRun) -> Any:
        """Take the steps until nothing changes."""
        for _ in range(self.at_most):
            before = run.memory.generation(by=run.by)
            run.take(self.steps)
            if run.memory.generation(by=run.by) == before:
                return
        raise PipelineError(f"{self.at_most} rounds, and still something changes: it loops. Nothing was changed.")


STEPS: dict[str, type[DeclaredStep]] = {
    step.kind: step
    for step in (
        Recall, Find, Remember, Append, Update, Relabel, Merge, Move, Archive, Forget, Say, Consolidate, Tick, Expect,
        RunPipeline, Each, Repeat,
    )
}  # fmt: skip
"""The declared steps by their words."""


def declared(steps: Sequence[Any]) -> tuple[DeclaredStep, ...]:
    """Steps of mappings with one word each: `{"recall": {"prompt": ...}}`.

    Raises:
        ValueError: It is no such mapping, or there is no such step.
        pydantic.ValidationError: A field of a step is not valid.
    """
    return tuple(step if isinstance(step, DeclaredStep) else declared_step(step) for step in steps)


def declared_step(said: Any) -> DeclaredStep:
    """One step of a mapping with one word; see `declared`."""
    if not isinstance(said, dict) or len(said) != 1:
        raise ValueError("a step is one word with its fields, such as `recall: {prompt: ...}`")
    ((kind, fields),) = said.items()
    if kind not in STEPS:
        raise ValueError(f"there is no step {kind!r}; there are {', '.join(STEPS)}")
    return STEPS[kind].model_validate({} if fields is None else fields)
