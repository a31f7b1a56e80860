"""Policies: who may do what with which memories, in which context and for how long, over a wall that always stands.

A policy only ever narrows. Tenant, owner, readers, purposes, expiry and quarantine are decided by `access.py` whatever
a policy says; to give access, name readers on the memory. Two kinds of rules:

- `may`: what the rule selects is for `who` alone. Where such rules select a memory for a verb, one must fit the caller.
- `may_not`: `who` is refused. It always wins.

Rules that speak of namespace, tags, types, entities, speakers and age are compiled into the query; those that speak of
sensitivity or owner are decided memory by memory before the query runs. What comes back is decided once more.

A rule with `fields` keeps back not the memory but these parts of it, on every way of reading; who sees a part changes,
shares and trains on nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field as Given
from pydantic import field_validator, model_validator

from memos_integrations.core.cube import Label, Labels, MemCube, Moment, Value, canonical_json, sha256
from memos_integrations.core.policy.engine import Asker, Compiled, Part, looks_at
from memos_integrations.core.ports.query import CubeFilter

OWNER = "owner"
"""In `who`: whoever owns the memory in question."""

_EARLIEST = datetime.min
_LONGEST = timedelta(days=36_525)
_TICK = timedelta(microseconds=1)
_QUARTER = timedelta(minutes=15)
"""Offsets of time zones are multiples of it, so that no hour begins between two."""

_Hour = Annotated[int, Given(ge=0, le=24, strict=True)]


class Act(StrEnum):
    """What a rule speaks of; `access.Verb` by the same names."""

    READ = "read"
    USE_IN_PROMPT = "use_in_prompt"
    TRAIN_ON = "train_on"
    WRITE = "write"
    SHARE = "share"
    DELETE = "delete"
    ADMIN = "admin"


class Memories(Value):
    """Which memories: all that is said must hold; in a list, one is enough. Saying nothing means every memory."""

    namespace: tuple[str, ...] = ()
    tags: Labels = ()
    types: Labels = ()
    entities: Labels = ()
    speakers: Labels = ()
    sensitivity: Labels = ()
    owner: Labels = ()
    older_than: timedelta | None = Given(default=None, gt=timedelta(0), le=_LONGEST)

    @field_validator("older_than", mode="before")
    @classmethod
    def _has_a_unit(cls, said: object) -> object:
        if isinstance(said, int | float) or (isinstance(said, str) and not said.lstrip("+-").startswith("P")):
            raise ValueError(f"older_than is a time with its unit, such as P30D for thirty days, not {said!r}")
        return said

    @property
    def is_compiled(self) -> bool:
        """Whether a query can tell them by its columns and labels."""
        return not (self.sensitivity or self.owner)

    def select(self, cube: MemCube, now: datetime) -> bool:
        """Whether the cube is one of them now."""
        said, speaker = cube.descriptive, cube.provenance.speaker
        return (
            cube.namespace[: len(self.namespace)] == self.namespace
            and _one(self.tags, said.tags)
            and _one(self.types, (said.semantic_type,))
            and _one(_folded(self.entities), _folded(said.entities))
            and _one(_folded(self.speakers), _folded(() if speaker is None else (speaker,)))
            and _one(self.sensitivity, cube.governance.sensitivity)
            and _one(self.owner, (cube.governance.owner,))
            and (self.older_than is None or said.recorded_at < now - self.older_than)
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
            recorded=window,
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
            all(not wanted or there in wanted for wanted, there in said)
            and (self.since is None or caller.now >= self.since)
            and (self.until is None or caller.now < self.until)
            and (not self.tells_hours or self._is_within(caller.now))
        )


class Rule(Value):
    """One rule. Exactly one of `may` and `may_not` is said; `when` and `unless` say in which context it applies."""

    name: Label
    who: Labels
    may: tuple[Act, ...] = ()
    may_not: tuple[Act, ...] = ()
    memories: Memories = Memories()
    fields: tuple[Part, ...] = ()
    when: When | None = None
    unless: When | None = None

    @field_validator("who")
    @classmethod
    def _are_subjects(cls, who: tuple[str, ...]) -> tuple[str, ...]:
        known = ("*", OWNER)
        for name in who:
            kind, _, of = name.partition(":")
            if name not in known and not (kind in ("user", "group", "role") and of.strip("* ") and of == of.strip()):
                raise ValueError(f"{name!r} is nobody: write user:NAME, group:NAME, role:NAME, owner or *")
        if not who:
            raise ValueError("a rule says who it is about")
        return who

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if bool(self.may) == bool(self.may_not):
            raise ValueError("a rule says either what somebody `may`, or what they `may_not`")
        if self.fields and (self.may or self.may_not) != (Act.READ,):
            raise ValueError("a rule with `fields` is about `read` alone")
        return self

    def applies(self, caller: Asker) -> bool:
        """Whether it speaks of the caller's context."""
        return (self.when is None or self.when.holds(caller)) and (self.unless is None or not self.unless.holds(caller))

    def names(self, caller: Asker, owner: str | None) -> bool:
        """Whether the caller is one of `who`, for a memory of *owner*."""
        mine = caller.by.subjects
        return not mine.isdisjoint(self.who) or (OWNER in self.who and owner in mine)


class Policy(Value):
    """An organisation's rules. `revision` names exactly these."""

    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len({*names}) < len(names):
            raise ValueError("two rules have the same name")
        return self

    @property
    def revision(self) -> str:
        """SHA-256 of the rules."""
        return sha256(canonical_json(self.model_dump(mode="json")))

    @property
    def says(self) -> list[str]:
        """The names of its rules."""
        return [rule.name for rule in self.rules]

    @property
    def subjects(self) -> frozenset[str]:
        """Who is named, but for `owner` and everybody."""
        return frozenset(name for rule in self.rules for name in rule.who) - {OWNER, "*"}

    @property
    def hides_fields(self) -> bool:
        """Whether a rule keeps back parts of memories."""
        return any(rule.fields for rule in self.rules)

    @property
    def kept(self) -> tuple[str, str]:
        """The rules as JSON, which `Policy.model_validate_json` reads."""
        return "rules", self.model_dump_json(exclude_defaults=True)

    def faults(self) -> list[str]:
        """None: what these rules say is always decided."""
        return []

    def holds_until(self, cubes: Sequence[MemCube], now: datetime) -> datetime | None:
        """The last moment until which time alone changes nothing of what is decided of *cubes*; None: for ever."""
        spans = [span for rule in self.rules for span in (rule.when, rule.unless) if span]
        ends = [at - _TICK for span in spans for at in (span.since, span.until) if at is not None and at > now]
        if any(span.tells_hours for span in spans):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            ends.append(midnight + ((now - midnight) // _QUARTER + 1) * _QUARTER - _TICK)
        for older in {rule.memories.older_than for rule in self.rules} - {None}:
            turns = (cube.descriptive.recorded_at + older for cube in cubes if older is not None)
            ends += [at for at in turns if at >= now]
        return min(ends, default=None)

    def hidden_fields(self, cube: MemCube, caller: Asker) -> frozenset[Part]:
        """The parts of a memory that the caller may not read."""
        hidden: set[Part] = set()
        limits: set[Part] = set()
        fits: set[Part] = set()
        for rule in self.rules:
            if not rule.fields or not rule.memories.select(cube, caller.now):
                continue
            mine = rule.names(caller, cube.governance.owner) and rule.applies(caller)
            if rule.may_not:
                hidden |= {*rule.fields} if mine else set()
            else:
                limits |= {*rule.fields}
                fits |= {*rule.fields} if mine else set()
        return frozenset(hidden | (limits - fits))

    def partly(self, caller: Asker, wanted: CubeFilter) -> tuple[CubeFilter, ...]:
        """What may be without a part by which *wanted* looks, and is left out of such a look."""
        asked = looks_at(wanted)
        found = []
        for rule in self.rules:
            free = rule.names(caller, None) and rule.applies(caller)
            if asked.isdisjoint(rule.fields) or (rule.may and free) or (rule.may_not and not rule.applies(caller)):
                continue
            if rule.may_not and not rule.names(caller, None) and OWNER not in rule.who:
                continue
            found.append(rule.memories.compiled(caller.now))  # of sensitivity and owner it says less: more is left out
        return tuple(found)

    def refusal(self, cube: MemCube, verb: str, caller: Asker) -> str | None:
        """The rule by which the caller may not do this, in words; None when no rule says so."""
        limits, fits, owner = "", False, cube.governance.owner
        for rule in self.rules:
            if rule.fields:
                continue
            if verb in rule.may_not:
                if rule.names(caller, owner) and rule.applies(caller) and rule.memories.select(cube, caller.now):
                    return f"policy rule {rule.name!r} forbids it"
            elif verb in rule.may and rule.memories.select(cube, caller.now):
                limits = limits or rule.name
                fits = fits or (rule.names(caller, owner) and rule.applies(caller))
        return f"policy rule {limits!r} keeps it for others" if limits and not fits else None

    def compiled(self, caller: Asker) -> Compiled:
        """What the caller does not get to read, as filters."""
        hidden: list[CubeFilter] = []
        whole = True
        whole_cubes = [rule for rule in self.rules if not rule.fields]
        limits = [rule for rule in whole_cubes if "read" in rule.may]
        fitting = [rule for rule in limits if rule.applies(caller) and (OWNER in rule.who or rule.names(caller, None))]
        for rule in whole_cubes:
            if "read" in rule.may_not and rule.applies(caller):
                if rule.names(caller, None) and rule.memories.is_compiled:
                    hidden.append(rule.memories.compiled(caller.now))
                elif rule.names(caller, None) or OWNER in rule.who:
                    whole = False
        for rule in limits:
            if rule in fitting and rule.names(caller, None):
                continue
            # Another rule that fits may give back a part of what this one takes: only the engine can say which.
            if rule.memories.is_compiled and not fitting:
                hidden.append(rule.memories.compiled(caller.now))
            else:
                whole = False
        return Compiled(tuple(hidden), whole)


def _one(wanted: tuple[str, ...], there: tuple[str, ...]) -> bool:
    return not wanted or not {*wanted}.isdisjoint(there)


def _folded(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names)
