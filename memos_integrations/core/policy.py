"""Policies: who may do what with which memories, in which context and for how long, over a wall that always stands.

A policy only ever narrows. Tenant, owner, readers, purposes, expiry and quarantine are decided by `access.py` whatever
a policy says; to give access, name readers on the memory. Two kinds of rules:

- `may`: what the rule selects is for `who` alone. Where such rules select a memory for a verb, one must fit the caller.
- `may_not`: `who` is refused. It always wins.

Rules that speak of namespace, tags, types, entities, speakers and age are compiled into the query; those that speak of
sensitivity or owner are decided memory by memory before the query runs. What comes back is decided once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from pydantic import Field, field_validator, model_validator

from memos_integrations.core.cube import Label, Labels, MemCube, Moment, Value, canonical_json, sha256
from memos_integrations.core.ports.query import CubeFilter

OWNER = "owner"
"""In `who`: whoever owns the memory in question."""

_EARLIEST = datetime.min


class _Subjects(Protocol):
    @property
    def subjects(self) -> frozenset[str]: ...


class _Context(Protocol):
    @property
    def purpose(self) -> str | None: ...

    @property
    def application(self) -> str | None: ...

    @property
    def agent(self) -> str | None: ...


class Asker(Protocol):
    """What a rule looks at of a caller (`access.Caller`)."""

    @property
    def by(self) -> _Subjects:
        """Who asks."""
        ...

    @property
    def context(self) -> _Context:
        """From where."""
        ...

    @property
    def now(self) -> datetime:
        """When."""
        ...


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
    older_than: timedelta | None = Field(default=None, gt=timedelta(0))

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
    """In which context: one of each list that is not empty, and within the times."""

    purpose: Labels = ()
    application: Labels = ()
    agent: Labels = ()
    since: Moment | None = None
    until: Moment | None = None

    def holds(self, caller: Asker) -> bool:
        """Whether the caller's context is such a one. What the application did not say is never it."""
        context = caller.context
        said = (self.purpose, context.purpose), (self.application, context.application), (self.agent, context.agent)
        return (
            all(not wanted or there in wanted for wanted, there in said)
            and (self.since is None or caller.now >= self.since)
            and (self.until is None or caller.now < self.until)
        )


class Rule(Value):
    """One rule. Exactly one of `may` and `may_not` is said; `when` and `unless` say in which context it applies."""

    name: Label
    who: Labels
    may: tuple[Act, ...] = ()
    may_not: tuple[Act, ...] = ()
    memories: Memories = Memories()
    when: When | None = None
    unless: When | None = None

    @field_validator("who")
    @classmethod
    def _are_subjects(cls, who: tuple[str, ...]) -> tuple[str, ...]:
        known = ("*", OWNER)
        for name in who:
            if name not in known and not (name.startswith(("user:", "group:", "role:")) and name.partition(":")[2]):
                raise ValueError(f"{name!r} is nobody: write user:NAME, group:NAME, role:NAME, owner or *")
        if not who:
            raise ValueError("a rule says who it is about")
        return who

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if bool(self.may) == bool(self.may_not):
            raise ValueError("a rule says either what somebody `may`, or what they `may_not`")
        return self

    def applies(self, caller: Asker) -> bool:
        """Whether it speaks of the caller's context."""
        return (self.when is None or self.when.holds(caller)) and (self.unless is None or not self.unless.holds(caller))

    def names(self, caller: Asker, owner: str | None) -> bool:
        """Whether the caller is one of `who`, for a memory of *owner*."""
        mine = caller.by.subjects
        return not mine.isdisjoint(self.who) or (OWNER in self.who and owner in mine)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What of a policy a query is told: what is `hidden`, and whether more has to be decided memory by memory."""

    hidden: tuple[CubeFilter, ...]
    is_whole: bool


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
    def tells_time(self) -> bool:
        """Whether the passing of time alone changes what it says."""
        spans = [span for rule in self.rules for span in (rule.when, rule.unless) if span]
        return any(rule.memories.older_than for rule in self.rules) or any(each.since or each.until for each in spans)

    def refusal(self, cube: MemCube, verb: str, caller: Asker) -> str | None:
        """The rule by which the caller may not do this, in words; None when no rule says so."""
        limits, fits, owner = "", False, cube.governance.owner
        for rule in self.rules:
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
        limits = [rule for rule in self.rules if "read" in rule.may]
        fitting = [rule for rule in limits if rule.applies(caller) and (OWNER in rule.who or rule.names(caller, None))]
        for rule in self.rules:
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


def lint(policy: Policy, now: datetime) -> list[str]:
    """What is probably not meant: rules that can never decide, that lock everybody out, or that have ended."""
    found = []
    for place, rule in enumerate(policy.rules):
        if rule.may_not and rule.memories == Memories() and {"*"} & {*rule.who} and not (rule.when or rule.unless):
            found.append(f"{rule.name!r} forbids {', '.join(rule.may_not)} to everybody, for every memory")
        if rule.may and rule.memories == Memories():
            found.append(f"{rule.name!r} selects every memory: nobody else may {', '.join(rule.may)} anything")
        if rule.may and {"*"} & {*rule.who} and not (rule.when or rule.unless):
            found.append(f"{rule.name!r} keeps nothing from anybody: it never refuses")
        if rule.when and rule.when == rule.unless:
            found.append(f"{rule.name!r} never applies: `when` and `unless` say the same")
        found += _ended(rule, now)
        for before in policy.rules[:place]:
            if _covers(before, rule):
                found.append(f"{rule.name!r} never decides: {before.name!r} says it already")
    return found


def _ended(rule: Rule, now: datetime) -> list[str]:
    found = []
    for span in (rule.when, rule.unless):
        if span and span.until and span.until <= now:
            found.append(f"{rule.name!r} speaks of a time that has ended ({span.until.isoformat()})")
        if span and span.since and span.until and span.until <= span.since:
            found.append(f"{rule.name!r} ends before it begins")
    return found


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Whether everything that *narrow* forbids is forbidden by *wide*."""
    if not (wide.may_not and narrow.may_not) or not {*narrow.may_not} <= {*wide.may_not}:
        return False
    who = "*" in wide.who or {*narrow.who} <= {*wide.who}
    where = wide.memories in (Memories(), narrow.memories)
    free = wide.when is None and wide.unless is None
    return who and where and (free or (wide.when == narrow.when and wide.unless == narrow.unless))


def _one(wanted: tuple[str, ...], there: tuple[str, ...]) -> bool:
    return not wanted or not {*wanted}.isdisjoint(there)


def _folded(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names)
