"""Memories that are considered together for one form: what is known of them, what they must not be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memos_integrations.core.access import Caller
from memos_integrations.core.costs import Costing, FormCosts, refusals
from memos_integrations.core.cube import MemCube, Tier
from memos_integrations.core.operator.computed import made_of, passed
from memos_integrations.core.operator.tiering import Former, Tiering


class Unit(NamedTuple):
    """Some memories that are considered together, and the cube of their computed form if there is one."""

    sources: tuple[MemCube, ...]
    held: MemCube | None
    heat: float

    @property
    def now(self) -> Tier:
        """The form that they have."""
        return Tier.PLAINTEXT if self.held is None else self.held.tier


def refused_forms(
    unit: Unit, formers: dict[Tier, Former], mine: Sequence[MemCube], taught: set[str]
) -> dict[Tier, str]:
    """The forms that some memories must not have together, each with the reason."""
    refused: dict[Tier, str] = {}
    for cube in unit.sources:
        refused = refusals(cube) | refused
    ids = {cube.id for cube in unit.sources}
    for form, former in formers.items():
        if form in refused:
            continue
        if form is Tier.PARAMETER and not ids <= taught:
            refused[form] = "one of them may not be trained on"
        elif form is Tier.PARAMETER and any(not passed(cube) and made_of(cube) == ids for cube in mine):
            refused[form] = "what was learnt of them did not pass its gates"
        elif why := former.refusal(unit.sources):
            refused[form] = why
    return refused


def costing_of(unit: Unit, formers: dict[Tier, Former], caller: Caller, tiering: Tiering) -> Costing:
    """What is known of some memories: their form, what each form costs, how warm they are, how often they change."""
    measured = {form: former.costs(unit.sources) for form, former in formers.items()}
    text = max(each.text_seconds for each in measured.values())
    forms = {Tier.PLAINTEXT: FormCosts(use_seconds=text)} | {form: each.form for form, each in measured.items()}
    changes = 0.0
    for cube in unit.sources:
        age = max((caller.now - cube.descriptive.created_at).total_seconds(), tiering.half_life_s)
        changes += (cube.version - 1) * tiering.half_life_s / age
    now = unit.now if unit.now in forms else Tier.PLAINTEXT
    return Costing(now=now, forms=forms, heat=unit.heat, changes=changes, half_life_s=tiering.half_life_s)
