"""For how long memories live, how fast they fade, and on which licence others have them: terms beside the rules. Pure.

Terms only shorten and narrow what a memory says of itself. They are put into every version that is written while they
hold; a `ttl` also ends, for every reader, what was written before, and counts from the first version.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from memos_integrations.core.cube import Governance, Label, Licence, MemCube, Once, Value
from memos_integrations.core.policy.conditions import LONGEST, Memories, with_unit

_Measure = TypeVar("_Measure", int, datetime)
_Time = Annotated[timedelta, Field(gt=timedelta(0), le=LONGEST), BeforeValidator(with_unit)]


class Terms(Value):
    """The terms of the memories that it selects; at least one is said.

    `ttl`: the longest life, from the first version on. `half_life`: the longest time after which half of a memory's
    weight is gone. `licence`: what others than its owner may do with it at most.
    """

    name: Label
    memories: Memories = Memories()
    ttl: _Time | None = None
    half_life: _Time | None = None
    licence: Licence | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.ttl is None and self.half_life is None and self.licence is None:
            raise ValueError("terms say a ttl, a half_life or a licence")
        if self.memories.older_than is not None:
            raise ValueError("terms hold from the first moment; older_than is for rules")
        if self.licence is not None and (self.licence.to or self.licence.apart or self.licence.offer):
            raise ValueError("the licence of terms is for everybody: it names nobody, and has none apart")
        return self

    @property
    def who(self) -> tuple[str, ...]:
        """Everybody: terms are about memories."""
        return ("*",)

    @Once
    def over(self) -> Memories | None:
        """The memories whose time is over; None where no time is said."""
        return None if self.ttl is None else self.memories.model_copy(update={"older_than": self.ttl})

    def governed(self, cube: MemCube, rules: Governance) -> Governance:
        """What *rules* of a memory are on these terms; the same where it is not selected, or says less already."""
        if not self.memories.select(cube, cube.descriptive.recorded_at):
            return rules
        ends = None if self.ttl is None else cube.descriptive.first_recorded_at + self.ttl
        said: dict[str, object] = {}
        if ends is not None and (rules.expires_at is None or ends < rules.expires_at):
            said["expires_at"] = ends
        if self.half_life is not None and (rules.half_life is None or self.half_life < rules.half_life):
            said["half_life"] = self.half_life
        if self.licence is not None and (narrower := _narrower(self.licence, rules.licence)) != rules.licence:
            said["licence"] = narrower
        return rules.model_copy(update=said) if said else rules

    def told(self, cube: MemCube) -> str | None:
        """The terms in words, for a memory that is selected."""
        if not self.memories.select(cube, cube.descriptive.recorded_at):
            return None
        said = []
        if self.ttl is not None:
            said.append(f"it ends {cube.descriptive.first_recorded_at + self.ttl:%Y-%m-%d %H:%M}")
        if self.half_life is not None:
            said.append(f"half of its weight is gone after {self.half_life}")
        if self.licence is not None:
            said.append(f"others have it on a licence ({_in_words(self.licence)})")
        return f"terms {self.name!r}: {', '.join(said)}"


def _narrower(terms: Licence, own: Licence | None) -> Licence:
    """What both licences allow; nothing where their purposes have nothing in common."""
    if own is None:
        return terms
    both = tuple(each for each in own.purposes if each in terms.purposes)
    none_left = bool(own.purposes and terms.purposes and not both)
    said = {
        "uses_left": 0 if none_left else _least(own.uses_left, terms.uses_left),
        "until": _least(own.until, terms.until),
        "purposes": both or own.purposes or terms.purposes,
        "rate": own.rate or terms.rate,
        "text": own.text or terms.text,
        "apart": tuple(_narrower(terms, each) for each in own.apart),
    }
    return own.model_copy(update=said)


def _least(one: _Measure | None, other: _Measure | None) -> _Measure | None:
    return other if one is None else one if other is None else min(one, other)


def _in_words(licence: Licence) -> str:
    said = licence.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{name}: {value}" for name, value in said.items()) or "as it is"
