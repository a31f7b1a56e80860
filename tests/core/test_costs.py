"""The cost model: what pays is done, what policy forbids is not, whatever the figures; and what it costs over a log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.costs import (
    Always,
    ByCost,
    Costing,
    FormCosts,
    Never,
    Recent,
    Use,
    decide_form,
    expected_uses,
    may_train,
    refusals,
    replay,
    zipf_log,
)
from memos_integrations.core.cube import Descriptive, Governance, MemCube, PlaintextPayload, Tier, Trust, new_id

TEXT, KV, LORA = Tier.PLAINTEXT, Tier.ACTIVATION, Tier.PARAMETER
HOUR, DAY = 3_600.0, 86_400.0
NOW = datetime(2026, 3, 9, tzinfo=UTC)

seconds = st.floats(min_value=0, max_value=1e4)
forms = st.builds(FormCosts, use_seconds=seconds, build_seconds=seconds, size=st.integers(0, 10**12))
costings = st.builds(
    Costing,
    now=st.sampled_from([TEXT, KV, LORA]),
    forms=st.fixed_dictionaries({TEXT: st.builds(FormCosts, use_seconds=seconds), KV: forms, LORA: forms}),
    heat=st.floats(min_value=0, max_value=1e5),
    uses_now=st.integers(0, 3),
    changes=st.floats(min_value=0, max_value=10),
    half_life_s=st.floats(min_value=HOUR, max_value=100 * DAY),
)
rents = st.floats(min_value=0, max_value=1e-6)
policies = st.sampled_from([{}, {KV: "no"}, {LORA: "no"}, {KV: "no", LORA: "no"}])


def cube(**governance: Any) -> MemCube:
    return MemCube(
        id=new_id(),
        namespace=("acme",),
        payload=PlaintextPayload(text="Miso lives in Rome."),
        descriptive=Descriptive(created_at=NOW, recorded_at=NOW),
        governance=Governance(owner="user:ana", **governance),
    )


def known(**figures: Any) -> Costing:
    made = {
        TEXT: FormCosts(use_seconds=1.0),
        KV: FormCosts(use_seconds=0.2, build_seconds=1.0, size=50_000_000),
        LORA: FormCosts(use_seconds=0.1, build_seconds=60.0, size=250_000),
    }
    return Costing(forms=made, **{"heat": 0.0, **figures})


@pytest.mark.parametrize(
    ("before", "heat", "rent", "after"),
    [
        (TEXT, 0.5, 1e-15, TEXT),
        (TEXT, 5, 1e-15, KV),  # plaintext -> activation
        (TEXT, 5_000, 1e-12, LORA),  # plaintext -> parameter
        (KV, 5_000, 1e-12, LORA),  # activation -> parameter
        (KV, 0.01, 1e-12, TEXT),  # activation -> plaintext
        (LORA, 0.0, 1e-15, TEXT),  # parameter -> plaintext
        (LORA, 5, 1e-15, LORA),  # it is made already
    ],
)
def test_every_transformation_has_its_price(before: Tier, heat: float, rent: float, after: Tier) -> None:
    decision = decide_form(known(now=before, heat=heat), rent=rent)
    assert decision.after is after, decision.reason
    assert decision.moves is (before is not after)
    assert f"heat {heat:.2f}" in decision.reason
    assert all(str(form) in decision.reason for form in (TEXT, KV, LORA))


def test_a_parameter_memory_that_may_not_be_one_any_more_becomes_what_is_next_best() -> None:
    decision = decide_form(known(now=LORA, heat=50), rent=1e-15, refused={LORA: "it is sensitive (health)"})
    assert decision.after is KV
    assert "refused: parameter (it is sensitive (health))" in decision.reason
    assert decide_form(known(now=LORA, heat=50), rent=1e-15, refused={LORA: "x", KV: "y"}).after is TEXT


def test_a_gain_too_small_for_a_float_is_no_gain() -> None:
    tiny = {TEXT: FormCosts(use_seconds=5e-324), KV: FormCosts(use_seconds=0.0, size=1)}
    assert decide_form(Costing(forms=tiny, heat=1.0), rent=1e-7).after is TEXT


@given(costings, rents, policies)
def test_policy_is_never_broken_and_text_is_always_allowed(costs: Costing, rent: float, refused: Any) -> None:
    decision = decide_form(costs, rent=rent, refused={**refused, TEXT: "cannot be"})
    assert decision.after not in refused
    assert decision.saved_seconds >= 0.0
    assert decision == decide_form(costs, rent=rent, refused=refused)


@given(costings, rents, st.floats(min_value=0, max_value=1e5))
def test_more_uses_never_make_the_choice_slower(costs: Costing, rent: float, more: float) -> None:
    cold, hot = (
        decide_form(costs, rent=rent),
        decide_form(costs.model_copy(update={"heat": costs.heat + more}), rent=rent),
    )
    assert hot.saved_seconds >= cold.saved_seconds - 1e-6 * abs(cold.saved_seconds) - 1e-9
    for form in (KV, LORA):
        assert hot.worth[form] >= cold.worth[form] - 1e-6 * abs(cold.worth[form]) - 1e-9


@given(costings, rents, st.sampled_from([KV, LORA]), seconds, st.integers(0, 10**12))
def test_what_costs_more_is_never_chosen_for_it(
    costs: Costing, rent: float, form: Tier, more: float, size: int
) -> None:
    dear = costs.forms[form].model_copy(
        update={"build_seconds": costs.forms[form].build_seconds + more, "size": costs.forms[form].size + size}
    )
    before = decide_form(costs, rent=rent)
    after = decide_form(costs.model_copy(update={"forms": {**costs.forms, form: dear}}), rent=rent)
    assert after.worth[form] <= before.worth[form] + 1e-6 * abs(before.worth[form]) + 1e-9
    if after.after is form and after.worth[form] < before.worth[form]:
        assert before.after is form


@given(st.floats(0, 1e6), st.floats(0, 1e8), st.floats(0, 1e8))
def test_expected_uses_grow_with_time_and_never_beyond_the_heat(heat: float, one: float, two: float) -> None:
    near, far = (expected_uses(heat, each) for each in sorted((one, two)))
    assert 0 <= near <= far <= heat
    assert expected_uses(heat, 7 * DAY) == pytest.approx(heat / 2)


@pytest.mark.parametrize(
    ("made", "kv", "lora"),
    [
        (cube(), None, None),
        (cube(expires_at=NOW + timedelta(days=1)), "it expires", "it expires"),
        (cube(legal_hold=True), None, "it is under legal hold"),
        (cube(sensitivity=("health",)), None, "it is sensitive (health)"),
        (cube().model_copy(update={"trust": Trust(quarantined=True)}), "it is quarantined", "it is quarantined"),
    ],
)
def test_what_a_memory_may_become(made: MemCube, kv: str | None, lora: str | None) -> None:
    assert may_train(made) == lora
    assert refusals(made) == {form: why for form, why in ((KV, kv), (LORA, lora)) if why}


# --- replay --------------------------------------------------------------------------------------------------------

COSTS = {TEXT: FormCosts(use_seconds=1.0), KV: FormCosts(use_seconds=0.25, build_seconds=1.0, size=1_000)}


def test_a_bill_is_what_was_used_made_and_kept() -> None:
    log = [Use(0.0, 0), Use(10.0, 0), Use(30.0, 1)]
    assert replay(log, [COSTS, COSTS], Never(), rent=1e-3).total == 3.0
    kept = replay(log, [COSTS, COSTS], Always(KV), rent=1e-3)
    assert (kept.using, kept.making, kept.made) == (0.75, 2.0, 2)
    assert kept.keeping == pytest.approx(30.0)
    one = replay(log, [COSTS, COSTS], Recent(KV, 1), rent=1e-3)
    assert one.forms == {0: TEXT, 1: KV}


def test_a_log_is_the_same_for_a_seed_and_follows_zipf() -> None:
    log = zipf_log(2_000, 100, seed=3, shifts=0)
    assert log == zipf_log(2_000, 100, seed=3, shifts=0) != zipf_log(2_000, 100, seed=4, shifts=0)
    assert [use.at for use in log] == sorted(use.at for use in log)
    counts = sorted((sum(use.memory == memory for use in log) for memory in range(100)), reverse=True)
    assert counts[0] > 5 * counts[20] > 0


@pytest.mark.parametrize("rent", [0.0, 1e-14, 1e-12, 1e-10])
def test_deciding_by_cost_is_no_dearer_than_any_fixed_rule_however_dear_memory_is(rent: float) -> None:
    """A sanity bound, on a short log; the benchmark replays 10,000 requests."""
    full = {TEXT: FormCosts(use_seconds=2.0), KV: FormCosts(use_seconds=0.2, build_seconds=2.0, size=25_000_000)}
    log, costs = zipf_log(2_000, 200, seed=1), [full] * 200
    fixed = [Never(), Always(KV), *(Recent(KV, most) for most in (5, 20, 80))]
    best = min(replay(log, costs, policy, rent=rent).total for policy in fixed)
    assert replay(log, costs, ByCost(rent=rent), rent=rent).total <= 1.05 * best


def test_a_replay_keeps_to_policy_too() -> None:
    full = {**COSTS, LORA: FormCosts(use_seconds=0.0, build_seconds=0.1, size=1)}
    log = zipf_log(500, 20)
    assert LORA in replay(log, [full] * 20, ByCost(rent=0.0), rent=0.0).forms.values()
    bill = replay(log, [full] * 20, ByCost(rent=0.0, refused={LORA: "no"}), rent=0.0)
    assert LORA not in bill.forms.values()
