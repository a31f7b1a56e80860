"""Policies: who may do what with which memories, in which context and for how long, over a wall that always stands.

A policy only ever narrows. Tenant, owner, readers, purposes, expiry and quarantine are decided by `access.py` whatever
a policy says; to give access, name readers on the memory. Two kinds of rules:

- `may`: what the rule selects is for `who` alone. Where such rules select a memory for a verb, one must fit the caller.
- `may_not`: `who` is refused. It always wins.

Beside them stand `terms`: for how long memories live, how fast they fade, on which licence others have them.

Labels are compared as people read them (`text.folded_label`): a rule for `salary` is about `Salary` and `SALARY ` too.
`older_than` counts from the first version: no change, hold or verification makes a memory young again.

Rules that speak of namespace, tags, types, entities, speakers and age are compiled into the query; those that speak of
sensitivity or owner are decided memory by memory before the query runs. What comes back is decided once more.

A rule with `fields` keeps back not the memory but these parts of it, on every way of reading; who sees a part changes,
shares and trains on nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import field_validator, model_validator

from memos_integrations.core.cube import Governance, Label, Labels, MemCube, Once, Value, canonical_json, sha256
from memos_integrations.core.policy.conditions import Memories, When
from memos_integrations.core.policy.engine import Asker, Compiled, Part, Slip, looks_at
from memos_integrations.core.policy.matching import unmatched
from memos_integrations.core.policy.terms import Terms
from memos_integrations.core.ports.query import CubeFilter

OWNER = "owner"
"""In `who`: whoever owns the memory in question."""

_TICK = timedelta(microseconds=1)
_QUARTER = timedelta(minutes=15)
"""Offsets of time zones are multiples of it, so that no hour begins between two."""


class Act(StrEnum):
    """What a rule speaks of; `access.Verb` by the same names."""

    READ = "read"
    USE_IN_PROMPT = "use_in_prompt"
    TRAIN_ON = "train_on"
    WRITE = "write"
    SHARE = "share"
    DELETE = "delete"
    ADMIN = "admin"


_GIVING = frozenset({Act.READ, Act.USE_IN_PROMPT, Act.TRAIN_ON})
"""What gives the words of a memory away."""


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
    terms: tuple[Terms, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({*self.says}) < len(self.says):
            raise ValueError("two rules have the same name")
        return self

    @property
    def revision(self) -> str:
        """SHA-256 of the rules and terms; without terms, what it was before there were any."""
        return sha256(canonical_json(self.model_dump(mode="json", exclude=None if self.terms else {"terms"})))

    @property
    def says(self) -> list[str]:
        """The names of its rules and terms."""
        return [rule.name for rule in self.rules] + [each.name for each in self.terms]

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

    def unmatched(self, cubes: Sequence[MemCube], tenant: str, now: datetime) -> list[Slip]:
        """What in the rules is about nothing that *cubes* of a tenant have, or about one of two names alike."""
        return unmatched([*self.rules, *self.terms], cubes, tenant, now)

    def governed(self, cube: MemCube) -> Governance:
        """What a memory says of itself, on the terms that select it."""
        rules = cube.governance
        for each in self.terms:
            rules = each.governed(cube, rules)
        return rules

    def told_terms(self, cube: MemCube) -> list[str]:
        """The terms that select a memory, in words."""
        return [said for each in self.terms if (said := each.told(cube)) is not None]

    @Once
    def _over(self) -> list[tuple[str, Memories]]:
        """By the names of terms: the memories whose time is over."""
        return [(each.name, each.over) for each in self.terms if each.over is not None]

    def holds_until(self, cubes: Sequence[MemCube], now: datetime) -> datetime | None:
        """The last moment until which time alone changes nothing of what is decided of *cubes*; None: for ever."""
        spans = [span for rule in self.rules for span in (rule.when, rule.unless) if span]
        ends = [at - _TICK for span in spans for at in (span.since, span.until) if at is not None and at > now]
        if any(span.tells_hours for span in spans):
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            ends.append(midnight + ((now - midnight) // _QUARTER + 1) * _QUARTER - _TICK)
        ages = {rule.memories.older_than for rule in self.rules} | {each.ttl for each in self.terms}
        for older in ages - {None}:
            turns = (cube.descriptive.first_recorded_at + older for cube in cubes if older is not None)
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
        for name, over in self._over if verb in _GIVING else ():
            if over.select(cube, caller.now):
                return f"its time is over by the policy's terms {name!r}"
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
        hidden = [over.compiled(caller.now) for _, over in self._over if over.is_compiled]
        whole = all(over.is_compiled for _, over in self._over)
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
