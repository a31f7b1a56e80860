"""Which form a memory should have: one cost model for all six transformations between text, activation and parameter.

Paper §5.4.2 and Table 2. A form is worth what it is expected to save, less what it costs to make and to keep:

    worth(form) = (uses now + uses expected while it is kept) x seconds saved a use
                  - build seconds - bytes x rent x how long it is kept

It is kept as long as the next use is worth the rent, which has a closed form. The best form that policy allows wins.
Pure: every figure is measured by somebody else and handed in, the decision is one comparison, and it says why. The same
figures always give the same decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field

from memos_integrations.core.cube import MemCube, Tier, Value
from memos_integrations.core.tiers import may_activate

HALF_LIFE_S = 7 * 86_400.0
"""How long it takes for half of the heat of a memory to go: that of `core.ports.cooled`."""
LONGEST = 8
"""Half-lives that the model looks ahead at most; what is left of the heat by then is 1 in 256."""


class FormCosts(Value):
    """What one form of one memory costs: seconds of a use, seconds to make it, bytes to keep it."""

    use_seconds: float = Field(ge=0)
    build_seconds: float = Field(default=0.0, ge=0)
    size: int = Field(default=0, ge=0)


class Costing(Value):
    """What is known of one memory: the form it has now, and the costs of every form that it could have.

    `heat` counts its past uses, each halved every `half_life_s`; `uses_now` are those that are waiting. `changes` is
    how often its text changes in a half-life; each time, what was made is made again.
    """

    now: Tier = Tier.PLAINTEXT
    forms: Mapping[Tier, FormCosts]
    heat: float = Field(ge=0)
    uses_now: int = Field(default=0, ge=0)
    changes: float = Field(default=0.0, ge=0)
    half_life_s: float = Field(default=HALF_LIFE_S, gt=0)


class FormDecision(Value):
    """The form that a memory should have, what that saves against text in seconds, and why.

    `kept_s` is how long it is expected to pay for itself.
    """

    before: Tier
    after: Tier
    saved_seconds: float
    kept_s: float
    reason: str
    worth: Mapping[Tier, float]
    refused: Mapping[Tier, str] = Field(default_factory=dict)

    @property
    def moves(self) -> bool:
        """Whether anything is to be done."""
        return self.before is not self.after


def expected_uses(heat: float, seconds: float, *, half_life_s: float = HALF_LIFE_S) -> float:
    """How often a memory will be used within so many seconds, when interest in it goes on cooling as it did.

    At a steady rate of r uses a second, heat settles at r x half_life / ln 2; if that rate halves with every half-life
    from now on, heat x (1 - 2^(-seconds / half_life)) uses are still to come.
    """
    share: float = 1.0 - 0.5 ** (seconds / half_life_s)
    return heat * share


def decide_form(known: Costing, *, rent: float, refused: Mapping[Tier, str] | None = None) -> FormDecision:
    """The form that costs least.

    *rent* is how many seconds keeping one byte for one second must save. *refused* names the forms that policy
    forbids, each with its reason (`refusals`): they are never chosen, and left at once. Of equals the present form
    wins as long as it pays, else the plainer.
    """
    refused = {form: why for form, why in (refused or {}).items() if form is not Tier.PLAINTEXT}
    found = {form: _worth(known, form, rent) for form in Tier if form in known.forms}
    allowed = [form for form in found if form not in refused]
    order = list(Tier)
    # A form that is there and would be kept no longer is worth as much as text: nothing. It goes.
    staying = {form for form in allowed if form is known.now and (found[form][1] > 0 or known.uses_now)}
    best = max(allowed, key=lambda form: (found[form][0], form in staying, -order.index(form)))
    said = ", ".join(f"{form} {worth:+.3f} s over {kept / 86_400:.1f} d" for form, (worth, kept) in found.items())
    reason = f"heat {known.heat:.2f}, {known.uses_now} now, {known.changes:.2f} changes, rent {rent:.1e}: {said}"
    if refused:
        reason += "; refused: " + ", ".join(f"{form} ({why})" for form, why in sorted(refused.items()))
    return FormDecision(
        before=known.now,
        after=best,
        saved_seconds=found[best][0],
        kept_s=found[best][1],
        reason=reason,
        worth={form: worth for form, (worth, _) in found.items()},
        refused=refused,
    )


def refusals(cube: MemCube) -> dict[Tier, str]:
    """The forms that a memory must not have, each with the reason."""
    found = {}
    if (why := may_activate(cube)) is not None:
        found[Tier.ACTIVATION] = why
    if (why := may_train(cube)) is not None:
        found[Tier.PARAMETER] = why
    return found


def may_train(cube: MemCube) -> str | None:
    """Why a memory must never be trained into weights, whoever asks; None when it may."""
    rules = cube.governance
    reasons = {
        "it is quarantined": cube.trust.quarantined,
        "it expires": rules.expires_at is not None,
        "its licence counts uses, or ends": rules.licence is not None,
        "it is under legal hold": rules.legal_hold,
        f"it is sensitive ({', '.join(rules.sensitivity)})": bool(rules.sensitivity),
        "it is not a statement in words": cube.tier is not Tier.PLAINTEXT,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _worth(known: Costing, form: Tier, rent: float) -> tuple[float, float]:
    """What a form saves against text, and for how many seconds it is kept."""
    costs, text = known.forms[form], known.forms[Tier.PLAINTEXT]
    if form is Tier.PLAINTEXT:
        return 0.0, 0.0
    saved = text.use_seconds - costs.use_seconds
    build = 0.0 if form is known.now else costs.build_seconds
    upkeep = costs.size * rent + known.changes / known.half_life_s * costs.build_seconds  # seconds per second
    kept = _best_time(known.heat * saved, upkeep, known.half_life_s)
    uses = known.uses_now + expected_uses(known.heat, kept, half_life_s=known.half_life_s)
    return uses * saved - build - upkeep * kept, kept


def _best_time(gain: float, upkeep: float, half_life_s: float) -> float:
    """Until the next use is not worth the upkeep: where gain x ln 2 / H x 2^(-t/H) has fallen to it."""
    rate = gain * math.log(2) / half_life_s
    if rate <= 0:  # nothing to gain, or less than a float can say
        return 0.0
    if upkeep <= 0:
        return LONGEST * half_life_s
    halvings = math.log2(rate) - math.log2(upkeep)
    return half_life_s * min(max(halvings, 0.0), LONGEST)
