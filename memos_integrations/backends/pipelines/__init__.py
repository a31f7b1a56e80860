"""Pipelines written down in YAML, and three that come along: `onboarding`, `policy-roll-over`, `nightly`.

    pipeline: onboarding
    version: 1
    parameters: [person]
    steps:
      - remember: {text: "$person joined.", as: joined}
      - expect: {in: joined}

Read with `yaml.safe_load`'s constructor after every alias, tag and repeated key was refused; what is wrong is told with
its line and column. Needs the extra `pipelines`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from memos_integrations.core.cube import Value
from memos_integrations.core.errors import PipelineError
from memos_integrations.core.extras import require
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.pipeline.steps import DeclaredStep, Name, declared_step

MOST_BYTES = 100_000
MOST_DEEP = 20
TEMPLATES = Path(__file__).parent
Place = tuple[str | int, ...]


class _Declaration(Value):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    pipeline: Name
    version: str = "1"
    description: str = ""
    parameters: tuple[Name, ...] = ()
    steps: tuple[DeclaredStep, ...] = Field(min_length=1)

    @field_validator("version", mode="before")
    @classmethod
    def _written(cls, version: Any) -> Any:
        return str(version) if isinstance(version, int | float) else version


def templates() -> list[str]:
    """The names of the pipelines that come along."""
    return sorted(path.stem for path in TEMPLATES.glob("*.yaml"))


def load_pipeline(source: str | Path, *, parts: Mapping[str, MemPipeline] | None = None) -> MemPipeline:
    """The pipeline in a YAML file, or the template of that name; *parts* are those that it may `run`.

    Raises:
        PipelineError: There is no such file or template, or it is not valid; the message names file, line and column.
        MissingExtraError: PyYAML is not installed.
    """
    if not isinstance(source, str | Path):
        raise PipelineError(f"A pipeline is named by a path or the name of a template, not {source!r}.")
    path = TEMPLATES / f"{source}.yaml" if str(source) in templates() else Path(source)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise PipelineError(f"{path} is larger than {MOST_BYTES:,} bytes; a pipeline is not.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        known = ", ".join(templates())
        raise PipelineError(f"{source} is no file that can be read, and no template ({known}): {exc}.") from exc
    return parse_pipeline(text, name=path.name, parts=parts)


def parse_pipeline(text: str, *, name: str = "pipeline", parts: Mapping[str, MemPipeline] | None = None) -> MemPipeline:
    """The pipeline that a YAML text declares; *name* stands before line and column in what is raised.

    Raises:
        PipelineError: The text is not valid YAML, or declares no pipeline.
        MissingExtraError: PyYAML is not installed.
    """
    yaml = require("yaml", extra="pipelines")
    if not isinstance(text, str):
        raise PipelineError(f"{name}: a pipeline is YAML text, not {type(text).__name__}.")
    try:
        deep = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > MOST_DEEP + 1:
                raise _wrong(name, event.start_mark, f"nested more than {MOST_DEEP} deep")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise _wrong(name, event.start_mark, "anchors, aliases and tags are not read here")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise PipelineError(f"{name}, line 1, column 1: it is empty. Name a `pipeline:` and its `steps:`.")
        marks = dict(_marks(root, (), name))
        _check_scalars(root, yaml.SafeLoader(""), name)
        said = yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        raise _wrong(name, exc.problem_mark or exc.context_mark, exc.problem or "not valid YAML") from exc
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position]
        place = f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
        raise PipelineError(f"{name}, {place}: not valid YAML ({exc.reason}: {text[exc.position]!r}).") from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        if isinstance(exc, PipelineError):
            raise
        raise PipelineError(f"{name}: not valid YAML ({exc}).") from exc
    told = _declared(said, marks, name)
    return MemPipeline(
        told.pipeline,
        told.steps,
        version=told.version,
        description=told.description,
        parameters=told.parameters,
        parts=parts,
    )


def _declared(said: Any, marks: Mapping[Place, Any], name: str) -> _Declaration:
    if not isinstance(said, dict):
        raise _wrong(name, marks[()], "a pipeline is a mapping with `pipeline:` and `steps:`")
    steps = said.get("steps")
    if isinstance(steps, list):
        said["steps"] = _steps(steps, ("steps",), marks, name)
    made: _Declaration = _valid(_Declaration.model_validate, said, (), marks, name)
    return made


def _steps(steps: list[Any], place: Place, marks: Mapping[Place, Any], name: str) -> list[DeclaredStep]:
    made: list[DeclaredStep] = []
    for number, step in enumerate(steps):
        here = (*place, number)
        if isinstance(step, dict) and len(step) == 1:
            ((word, fields),) = step.items()
            if isinstance(fields, dict) and isinstance(fields.get("steps"), list):
                fields["steps"] = _steps(fields["steps"], (*here, word, "steps"), marks, name)
            made.append(_valid(declared_step, step, (*here, word), marks, name))
        else:
            made.append(_valid(declared_step, step, here, marks, name))
    return made


def _valid(make: Any, said: Any, place: Place, marks: Mapping[Place, Any], name: str) -> Any:
    """What *make* makes of it; what is wrong is told with the place of the field."""
    try:
        return make(said)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]
        where = (*place, *problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        field = ".".join(str(part) for part in problem["loc"])
        while where not in marks:
            where = where[:-1]
        raise _wrong(name, marks[where], f"{field}: {message}" if field else message) from exc
    except ValueError as exc:
        while place not in marks:
            place = place[:-1]
        raise _wrong(name, marks[place], str(exc)) from exc


def _marks(node: Any, place: Place, name: str) -> Iterator[tuple[Place, Any]]:
    """Where each part of the document stands: of a field its key.

    Raises:
        PipelineError: A key is repeated or is no text, or it is nested too deep.
    """
    if not place:
        yield (), node.start_mark
    if len(place) > MOST_DEEP:
        raise _wrong(name, node.start_mark, f"nested more than {MOST_DEEP} deep")
    if node.id == "mapping":
        seen: set[str] = set()
        for key, value in node.value:
            if key.id != "scalar" or key.value in seen:
                told = "a key is a text" if key.id != "scalar" else f"{key.value!r} stands here twice"
                raise _wrong(name, key.start_mark, told)
            seen.add(key.value)
            yield (*place, key.value), key.start_mark
            yield from _marks(value, (*place, key.value), name)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield (*place, number), value.start_mark
            yield from _marks(value, (*place, number), name)


def _check_scalars(node: Any, loader: Any, name: str) -> None:
    """Refuse what looks like a date or a number and is none, such as 2026-02-30: in quotes it is text.

    Raises:
        PipelineError: There is one.
    """
    if node.id == "scalar":
        try:
            loader.construct_object(node)
        except ValueError as exc:
            raise _wrong(
                name, node.start_mark, f"{node.value[:40]!r} cannot be read ({exc}); put it in quotes"
            ) from exc
        return
    for each in node.value:
        for part in each if isinstance(each, tuple) else (each,):
            _check_scalars(part, loader, name)


def _wrong(name: str, mark: Any, problem: str) -> PipelineError:
    place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
    return PipelineError(f"{name}{place}: {problem}.")
