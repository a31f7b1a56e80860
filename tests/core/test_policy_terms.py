"""Terms beside the rules: for how long memories live, how fast they fade, on which licence others have them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.backends.cedar import CedarPolicy
from memos_integrations.backends.policy_file import TEMPLATES, read_policy
from memos_integrations.core.access import CallContext, Caller, Principal, Verb, decide
from memos_integrations.core.cube import Licence, State
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, LicenceSpentError, PolicyError
from memos_integrations.core.policy import Memories, Policy, Rule, Terms, When, lint
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ANA, BOB = (Principal(tenant="acme", user=name) for name in ("ana", "bob"))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
VISITS = "rules: []\nterms: [{name: visits, memories: {types: [visit]}, ttl: P30D, half_life: P10D}]"
SHARED = (
    "rules: []\nterms: [{name: reports, memories: {tags: [report]}, licence: {uses_left: 2, purposes: [research]}}]"
)


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    here: dict[str, Any] = {"clock": lambda: NOW}
    with MemOS(InMemoryVault(), **here) if request.param == "memory" else MemOS.open(tmp_path / "v", **here) as made:
        yield made


def later(memos: MemOS, days: float) -> None:
    memos._clock = lambda: NOW + days * DAY


def test_what_is_written_is_written_on_the_terms(memos: MemOS) -> None:
    memos.adopt_policy(read_policy(VISITS), by=ADMIN)
    visit = memos.remember("Zelda came.", by=ANA, semantic_type="Visit ")
    short = memos.remember("Tom came.", by=ANA, semantic_type="visit", ttl=DAY, half_life=DAY)
    long = memos.remember("Ida came.", by=ANA, semantic_type="visit", ttl=99 * DAY, half_life=99 * DAY)
    other = memos.remember("Zelda left.", by=ANA)
    said = [(cube.governance.expires_at, cube.governance.half_life) for cube in (visit, short, long, other)]
    assert said == [(NOW + 30 * DAY, 10 * DAY), (NOW + DAY, DAY), (NOW + 30 * DAY, 10 * DAY), (None, None)]
    assert memos.get(visit.id, by=ANA) == visit
    later(memos, 20)
    for changed in (
        memos.update(visit.id, by=ANA, text="Zelda came at one."),
        memos.update(long.id, by=ANA, expires_at=NOW + 99 * DAY),
        memos.update(other.id, by=ANA, semantic_type="visit"),
    ):
        assert changed.governance.expires_at == NOW + 30 * DAY, "from the first version on"
    later(memos, 31)
    assert memos.find(CubeFilter(), by=ANA) == []
    memos.tick(by=ANA)
    assert {cube.state for cube in memos.find(CubeFilter(states=frozenset()), by=ANA)} == set()


@pytest.mark.parametrize("change", ["hold", "nothing"])
def test_a_ttl_ends_what_was_written_before_it_was_said(memos: MemOS, change: str) -> None:
    cube = memos.remember("Zelda came.", by=ANA, readers=["bob"], semantic_type="visit")
    memos.remember("Zelda left.", by=ANA, readers=["bob"])
    memos.adopt_policy(read_policy(VISITS), by=ADMIN)
    later(memos, 29)
    assert len(memos.find(CubeFilter(), by=BOB)) == 2
    later(memos, 31)
    if change == "hold":
        memos.hold(cube.id, by=ADMIN)
    for by in (ANA, BOB):
        assert [each.text for each in memos.find(CubeFilter(), by=by)] == ["Zelda left."]
        with pytest.raises(CubeNotFoundError):
            memos.get(cube.id, by=by)
    assert "terms 'visits'" in memos.explain_access(cube, ANA).reason
    if change == "nothing":
        memos.forget(cube.id, by=ANA)


def test_others_have_it_on_the_licence_of_the_terms(memos: MemOS) -> None:
    memos.adopt_policy(read_policy(SHARED), by=ADMIN)
    cube = memos.remember("The report is ready.", by=ANA, readers=["bob"], tags=["Report"])
    research = CallContext(purpose="research")
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=BOB)
    for _ in range(2):
        assert memos.get(cube.id, by=BOB, context=research)
    with pytest.raises(LicenceSpentError):
        memos.get(cube.id, by=BOB, context=research)
    assert memos.get(cube.id, by=ANA)


@pytest.mark.parametrize(
    ("own", "terms", "both"),
    [
        (None, Licence(uses_left=3), Licence(uses_left=3)),
        (Licence(uses_left=9, text="mine"), Licence(uses_left=3), Licence(uses_left=3, text="mine")),
        (Licence(uses_left=1), Licence(until=NOW), Licence(uses_left=1, until=NOW)),
        (Licence(purposes=("a", "b")), Licence(purposes=("b", "c")), Licence(purposes=("b",))),
        (Licence(purposes=("a",)), Licence(purposes=("b",)), Licence(purposes=("a",), uses_left=0)),
        (
            Licence(apart=(Licence(to=("user:bob",)),)),
            Licence(uses_left=2),
            Licence(uses_left=2, apart=(Licence(to=("user:bob",), uses_left=2),)),
        ),
    ],
)
def test_a_licence_only_narrows(own: Licence | None, terms: Licence, both: Licence) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        cube = memos.remember("The report.", by=ANA, readers=["*"], **({} if own is None else {"licence": own}))
    said = Policy(terms=(Terms(name="t", licence=terms),)).governed(cube)
    assert said.licence == both
    assert (
        Policy(terms=(Terms(name="t", licence=terms),)).governed(cube.model_copy(update={"governance": said})) is said
    )


def test_terms_of_the_application_and_of_the_tenant_hold_together(memos: MemOS) -> None:
    here = MemOS(InMemoryVault(), clock=lambda: NOW, policy=read_policy(VISITS))
    here.adopt_policy(read_policy(VISITS.replace("P30D", "P5D").replace("P10D", "P20D")), by=ADMIN)
    cube = here.remember("Zelda came.", by=ANA, semantic_type="visit")
    assert (cube.governance.expires_at, cube.governance.half_life) == (NOW + 5 * DAY, 10 * DAY)
    assert CedarPolicy("permit(principal, action, resource);").governed(cube) is cube.governance


def test_no_way_of_writing_goes_round_the_terms(memos: MemOS) -> None:
    memos.adopt_policy(read_policy(VISITS), by=ADMIN)
    memos.remember_many(["Zelda came."], by=ANA, semantic_type="visit")
    memos.remember("Ida came.", by=ANA, semantic_type="visit", key="k")
    first = memos.remember("Tom came.", by=ANA, semantic_type="visit")
    memos.merge([first.id, memos.remember("Tom came late.", by=ANA, semantic_type="visit").id], by=ANA)
    with memos.atomic(by=ANA) as together:
        together.remember("Eve came.", by=ANA, semantic_type="visit")
    found = memos.find(CubeFilter(states=frozenset(State)), by=ANA, k=99)
    assert len(found) == 6
    for cube in found:
        if cube.descriptive.semantic_type == "visit":
            assert cube.governance.expires_at == NOW + 30 * DAY, cube.text


def test_without_terms_rules_are_called_what_they_were() -> None:
    """A revision names what a tenant adopted: it may not change with the package."""
    policy = read_policy(
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tags: [salary], older_than: P30D}}]"
    )
    assert policy.revision == "5e556008306a2b5ca4d4279abc12fe0944e1bd47f8634cbcdebbc51ac9ad1a55"
    assert policy.kept[1] == (
        '{"rules":[{"name":"a","who":["*"],"may_not":["read"],"memories":{"tags":["salary"],"older_than":"P30D"}}]}'
    )


@pytest.mark.parametrize(
    "slip",
    [
        "", "ttl: 30", "ttl: '30'", "ttl: P0D", "ttl: P999999D", "half_life: -P1D",
        "memories: {older_than: P1D}, ttl: P1D", "licence: {to: [bob]}", "licence: {uses_left: -1}",
        "ttl: P1D, who: [ana]", "licence: {purposes: []}", "ttl:",
    ],
)  # fmt: skip
def test_a_slip_in_terms_is_an_error(slip: str) -> None:
    with pytest.raises(PolicyError):
        read_policy(f"rules: []\nterms: [{{name: t, {slip}}}]")


def test_two_of_one_name_are_an_error() -> None:
    with pytest.raises(PolicyError, match="same name"):
        read_policy(
            "rules: [{name: t, who: ['*'], may_not: [read], memories: {tags: [a]}}]\nterms: [{name: t, ttl: P1D}]"
        )


def test_terms_are_told() -> None:
    policy = read_policy(TEMPLATES["terms"])
    with MemOS(InMemoryVault(), clock=lambda: NOW, policy=policy) as memos:
        cube = memos.remember("A report of a visit.", by=ANA, semantic_type="visit", tags=["report", "gossip"])
        plain = memos.remember("Words.", by=ANA)
    told = policy.told_terms(cube)
    assert [each.partition(":")[0] for each in told] == [f"terms {name!r}" for name in policy.says]
    assert "ends 2027-03-09" in told[0]
    assert "30 days" in told[1]
    assert "uses_left: 10" in told[2]
    assert policy.told_terms(plain) == []
    assert decide(cube, Verb.READ, Caller(ANA, CallContext(), NOW, policy)).allowed


def test_only_an_admin_puts_terms_in_place(memos: MemOS) -> None:
    with pytest.raises(AccessDeniedError):
        memos.adopt_policy(read_policy(VISITS), by=ANA)


def test_the_policy_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
    (policy,) = [read_policy(block.partition("```")[0]) for block in text.split("```yaml\n")[1:]]
    assert len(policy.says) == 5
    assert lint(policy, NOW) == []
    for key in (*Rule.model_fields, *Memories.model_fields, *Terms.model_fields, *When.model_fields):
        assert f"`{key}`" in text, key
