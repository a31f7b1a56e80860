"""What in a policy is probably not meant. Pure."""

from __future__ import annotations

from datetime import datetime

from memos_integrations.core.policy.conditions import Memories
from memos_integrations.core.policy.engine import Slip
from memos_integrations.core.policy.rules import Policy, Rule


def lint(policy: Policy, now: datetime) -> list[Slip]:
    """What is probably not meant: rules that can never decide, that lock everybody out, or that have ended."""
    found: list[Slip] = []
    for place, rule in enumerate(policy.rules):
        if (
            rule.may_not
            and not rule.fields
            and rule.memories == Memories()
            and {"*"} & {*rule.who}
            and not (rule.when or rule.unless)
        ):
            found.append(Slip(rule.name, f"forbids {', '.join(rule.may_not)} to everybody, for every memory"))
        if rule.may and not rule.fields and rule.memories == Memories():
            found.append(Slip(rule.name, f"selects every memory: nobody else may {', '.join(rule.may)} anything"))
        if rule.may and {"*"} & {*rule.who} and not (rule.when or rule.unless):
            found.append(Slip(rule.name, "keeps nothing from anybody: it never refuses"))
        if rule.when and rule.when == rule.unless:
            found.append(Slip(rule.name, "never applies: `when` and `unless` say the same"))
        found += _ended(rule, now)
        for name in rule.memories.owner:
            if not name.startswith("user:"):
                found.append(Slip(rule.name, f"is about the owner {name!r}, who is nobody: write user:{name}", name))
        for before in policy.rules[:place]:
            if _covers(before, rule):
                found.append(Slip(rule.name, f"never decides: {before.name!r} says it already"))
    return found


def _ended(rule: Rule, now: datetime) -> list[Slip]:
    found: list[Slip] = []
    for span in (rule.when, rule.unless):
        if span and span.until and span.until <= now:
            found.append(Slip(rule.name, f"speaks of a time that has ended ({span.until.isoformat()})"))
        if span and span.since and span.until and span.until <= span.since:
            found.append(Slip(rule.name, "ends before it begins"))
    return found


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Whether everything that *narrow* forbids is forbidden by *wide*."""
    if not (wide.may_not and narrow.may_not) or not {*narrow.may_not} <= {*wide.may_not}:
        return False
    who = "*" in wide.who or {*narrow.who} <= {*wide.who}
    where = wide.memories in (Memories(), narrow.memories) and wide.fields in ((), narrow.fields)
    free = wide.when is None and wide.unless is None
    return who and where and (free or (wide.when == narrow.when and wide.unless == narrow.unless))
