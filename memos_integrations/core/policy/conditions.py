"""What rules speak of: which memories, and in which context. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, field_validator, model_validator
from pydantic import Field as Given

from memos_integrations.core.cube import Labels, MemCube, Moment, Value
from memos_integrations.core.policy.engine import Asker
from memos_integrations.core.ports.query import CubeFilter
from memos_integrations.core.text import folded_labels

_EARLIEST = datetime.min
LONGEST = timedelta(days=36_525)
"""The longest time that can be said."""

_Hour = Annotated[int, Given(ge=0, le=24, strict=True)]


def with_unit(said: object) -> object:
    """What is said of a time, when it says its unit.

    Raises:
        ValueError: It is a bare number.
    """
    if isinstance(said, int | float) or (isinstance(said, str) and not said.lstrip("+-").startswith("P")):
        raise ValueError(f"a time is said with its unit, such as P30D for thirty days, not {said!r}")
    return said


class Memories(Value):
    """Which memories: all that is said must hold; in a list, one is enough. Saying nothing means every memory."""

    namespace: tuple[str, ...] = ()
    tags: Labels = ()
    types: Labels = ()
    entities: Labels = ()
    speakers: Labels = ()
    sensitivity: Labels = ()
    owner: Labels = ()
    older_than: Annotated[timedelta, Given(gt=timedelta(0), le=LONGEST), BeforeValidator(with_unit)] | None = None

    @property
    def ageless(self) -> Memories:
        """The same of any age."""
        return self.model_copy(update={"older_than": None})

    @property
    def is_compiled(self) -> bool:
        """Whether a query can tell them by its columns and labels."""
        return not (self.sensitivity or self.owner)

    def select(self, cube: MemCube, now: datetime) -> bool:
        """Whether the cube is one of them now."""
        said, speaker = cube.descriptive, cube.provenance.speaker
        return (
            folded_labels(cube.namespace[: len(self.namespace)]) == folded_labels(self.namespace)
            and _one(self.tags, said.tags)
            and _one(self.types, (said.semantic_type,))
            and _one(self.entities, said.entities)
            and _one(self.speakers, () if speaker is None else (speaker,))
            and _one(self.sensitivity, cube.governance.sensitivity)
            and (not self.owner or cube.governance.owner in self.owner)
            and (self.older_than is None or said.first_recorded_at < now - self.older_than)
        )

    def compiled(self, now: datetime) -> CubeFilter:
        """The same as a filter, of every state and tier."""
        window = None if self.older_than is None else (_EARLIEST.replace(tzinfo=now.tzinfo), now - self.older_than)
        return CubeFilter(
            namespace=self.namespace,
            tags=self.tags,
            semantic_types=self.types,
            entities=self.entities,
            speakers=self.speakers,
            created=window,
            folded=True,
            states=frozenset(),
            tiers=frozenset(),
        )


class When(Value):
    """In which context: one of each list that is not empty, and within the times.

    `hours` are whole hours of the day in `zone`, from the first up to the second: [8, 18] is before six in the evening,
    [22, 6] is over midnight. `days` are ISO weekdays, Monday is 1.
    """

    purpose: Labels = ()
    application: Labels = ()
    agent: Labels = ()
    since: Moment | None = None
    until: Moment | None = None
    hours: tuple[_Hour, _Hour] | None = None
    days: tuple[Annotated[int, Given(ge=1, le=7, strict=True)], ...] = ()
    zone: str = "UTC"

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError(f"{zone!r} is no time zone") from exc
        return zone

    @field_validator("hours")
    @classmethod
    def _is_a_span(cls, hours: tuple[int, int] | None) -> tuple[int, int] | None:
        if hours is not None and hours[0] % 24 == hours[1] % 24 and hours != (0, 24):
            raise ValueError("hours begin and end at different hours")
        return hours

    @model_validator(mode="after")
    def _ever_holds(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`since` is not before `until`: that is never")
        return self

    @property
    def tells_hours(self) -> bool:
        """Whether the time of day or the weekday counts."""
        return self.hours is not None or bool(self.days)

    def _is_within(self, now: datetime) -> bool:
        here = now.astimezone(ZoneInfo(self.zone))
        if self.days and here.isoweekday() not in self.days:
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        return start <= here.hour < end if start < end else here.hour >= start or here.hour < end

    def holds(self, caller: Asker) -> bool:
        """Whether the caller's context is such a one. What the application did not say is never it."""
        context = caller.context
        said = (self.purpose, context.purpose), (self.application, context.application), (self.agent, context.agent)
        return (
            all(_one(wanted, () if there is None else (there,)) for wanted, there in said)
            and (self.since is None or caller.now >= self.since)
            and (self.until is None or caller.now < self.until)
            and (not self.tells_hours or self._is_within(caller.now))
        )


def _one(wanted: tuple[str, ...], there: tuple[str, ...]) -> bool:
    return not wanted or not {*folded_labels(wanted)}.isdisjoint(folded_labels(there))
