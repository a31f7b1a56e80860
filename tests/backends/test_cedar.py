"""Cedar over the wall: it narrows and never opens, what it has a problem with is refused and on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from memos_integrations.backends.cedar import CedarPolicy, load_cedar
from memos_integrations.cli import app
from memos_integrations.core.access import CallContext, Caller, Principal, Verb, decide, may_read
from memos_integrations.core.cube import Provenance
from memos_integrations.core.errors import CubeNotFoundError, PolicyError
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

pytest.importorskip("cedarpy")

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
INTERN = Principal(tenant="acme", user="ira", roles=frozenset({"intern"}))
BOTH = Principal(tenant="acme", user="bo", roles=frozenset({"intern", "clerk"}))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
OTHER = Principal(tenant="other", user="ana")
FREE = "permit(principal, action, resource);\n"
INTERNS = FREE + (
    '@id("interns") forbid(principal in Subject::"role:intern", action in [Action::"read", Action::"use_in_prompt"],'
    ' resource) when { resource.tags.contains("salary") };'
)
OVERFLOW = FREE + (
    'forbid(principal, action, resource) when { resource.tags.contains("salary") && resource.recorded + 9223372036854775807 > 0 };'  # noqa: E501
)


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    here = MemOS(InMemoryVault(), clock=lambda: NOW) if request.param == "memory" else MemOS.open(
        tmp_path / "v", clock=lambda: NOW
    )  # fmt: skip
    with here as made:
        made.remember("Tom earns 4000 a month.", by=ANA, readers=["*"], tags=["salary"])
        made.remember("Tom plants trees.", by=ANA, readers=["*"], sensitivity=["garden"])
        yield made


def test_it_hides_as_rules_do(memos: MemOS) -> None:
    memos.adopt_policy(CedarPolicy(INTERNS), by=ADMIN)
    for by in (INTERN, BOTH):
        assert [hit.text for hit in memos.recall("Tom 4000", by=by, needed=True).hits] == ["Tom plants trees."]
        assert len(memos.find(CubeFilter(), by=by)) == 1
    assert len(memos.find(CubeFilter(), by=ANA)) == 2
    memos.remember("Tom got a raise.", by=ANA, readers=["*"], tags=["salary"])
    assert len(memos.find(CubeFilter(), by=INTERN)) == 1
    assert memos.audit(by=ADMIN, operation="policy")[0].record.detail["rules"] == ["policy0", "interns"]


def test_it_never_opens_what_the_wall_closes(memos: MemOS) -> None:
    private = memos.remember("Private words.", by=ANA)
    memos.adopt_policy(CedarPolicy(FREE), by=ADMIN)
    for by in (INTERN, OTHER):
        with pytest.raises(CubeNotFoundError):
            memos.get(private.id, by=by)
        assert not memos.explain_access(private, by).allowed


def test_what_nobody_permits_is_refused(memos: MemOS) -> None:
    cube = memos.find(CubeFilter(tags=("salary",)), by=ANA)[0]
    engine = CedarPolicy('permit(principal in Subject::"role:clerk", action == Action::"read", resource);')
    assert may_read(cube, Caller(BOTH, CallContext(), NOW, engine))
    assert "no Cedar policy permits" in decide(cube, Verb.READ, Caller(ANA, CallContext(), NOW, engine)).reason
    assert not decide(cube, Verb.WRITE, Caller(ANA, CallContext(), NOW, engine)).allowed


@pytest.mark.answers("agent-governance-toolkit #2992", "identity 17")
def test_a_problem_is_a_refusal_and_on_record(memos: MemOS) -> None:
    """Cedar itself skips a policy that fails, and would allow."""
    memos.adopt_policy(CedarPolicy(OVERFLOW), by=ADMIN)
    assert [cube.text for cube in memos.find(CubeFilter(), by=INTERN)] == ["Tom plants trees."]
    told = [entry.record for entry in memos.audit(by=ADMIN, operation="policy") if entry.record.actor == INTERN.subject]
    assert told
    assert all(record.outcome.value == "denied" and "overflow" in (record.reason or "") for record in told)


def test_time_purpose_and_application_decide(memos: MemOS) -> None:
    cube = memos.find(CubeFilter(tags=("salary",)), by=ANA)[0]
    engine = CedarPolicy(
        "permit(principal, action, resource) when { context.hour >= 8 && context.hour < 18 && context has purpose "
        '&& context.purpose == "payroll" };'
    )
    there = Caller(ANA, CallContext(purpose="payroll"), NOW, engine)
    assert may_read(cube, there)
    assert not may_read(cube, there._replace(now=NOW + timedelta(hours=8)))
    assert not may_read(cube, there._replace(context=CallContext()))
    memos.adopt_policy(engine, by=ADMIN)
    pay = CallContext(purpose="payroll")
    assert len(memos.find(CubeFilter(), by=ANA, context=pay)) == 2
    memos._clock = lambda: NOW + timedelta(hours=8)
    assert memos.find(CubeFilter(), by=ANA, context=pay) == []


@pytest.mark.answers("identity 17")
@pytest.mark.parametrize(
    "text",
    [
        "", "permit(", "nonsense", "permit(principal, action, resource) when { resource.nope == 1 };",
        "permit(principal, action, resource) when { context.purpose == \"x\" };",
        "permit(principal == ?principal, action, resource);", "permit(principal, action == Action::\"fly\", resource);",
        "permit(principal, action, resource) when { resource.expires > context.now };", "// nothing", "\x00",
    ],
)  # fmt: skip
def test_a_slip_is_an_error_and_never_a_hole(text: str) -> None:
    with pytest.raises(PolicyError):
        CedarPolicy(text)


def test_it_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.cedar").write_text(INTERNS, "utf-8")
    assert load_cedar(tmp_path / "p.cedar").subjects == {"role:intern"}
    with pytest.raises(PolicyError):
        load_cedar(tmp_path / "none.cedar")


def test_the_commands_speak_of_both_engines(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "v") as memos:
        by = Principal(tenant="local", user="ana")
        cube = memos.remember("Tom earns 4000.", by=by, readers=["role:intern"], tags=["salary"])
    (tmp_path / "new.cedar").write_text(INTERNS, "utf-8")
    (tmp_path / "free.cedar").write_text(FREE, "utf-8")
    (tmp_path / "old.yaml").write_text("rules: []", "utf-8")
    (tmp_path / "part.yaml").write_text(
        "rules: [{name: part, who: ['role:intern'], may_not: [read], fields: [tags]}]", "utf-8"
    )

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["policy", *words])
        return done.exit_code, done.output

    at = ["--vault", str(tmp_path / "v"), "--user", "ana"]
    new, free, old, part = (str(tmp_path / name) for name in ("new.cedar", "free.cedar", "old.yaml", "part.yaml"))
    assert run("lint", new)[0] == 0
    assert run("lint", free)[0] == 1
    assert "'interns' forbids" in run("explain", new, cube.id, "--as", "role:intern", *at)[1]
    assert "Without its tags" in run("explain", part, cube.id, "--as", "role:intern", *at)[1]
    assert "may not   role:intern" in run("who-can-read", new, cube.id, *at)[1]
    said = json.loads(run("dry-run", old, new, *at, "--json")[1])
    assert said["closes"] == [["role:intern", cube.id]]
    assert said["opens"] == []
    said = json.loads(run("dry-run", part, old, *at, "--json")[1])
    assert said["opens"] == [["role:intern", f"{cube.id}:tags"]]


LOOKS = """
@id("free") permit(principal, action, resource);
@id("tagged") forbid(principal, action == Action::"read", resource)
when { resource.tags.contains("salary") } unless { principal in resource.owner };
@id("spoken") forbid(principal in Subject::"role:intern", action, resource)
when { resource has speaker && resource["speaker"] == "tom" };
@id("purpose") forbid(principal, action, resource)
when { resource.type == "visit" } unless { context has purpose && context.purpose == "care" };
"""


def test_what_was_decided_of_a_like_memory_is_what_cedar_decides() -> None:
    chance = Random(7)
    memos = MemOS(InMemoryVault(), clock=lambda: NOW)
    cubes = [
        memos.remember(
            f"Words {number}.", by=chance.choice([ANA, INTERN]), readers=["*"],
            tags=chance.sample(["salary", "plan"], chance.randint(0, 2)),
            semantic_type=chance.choice(["fact", "visit"]),
            provenance=Provenance(speaker=chance.choice(["tom", "ida"])),
        )
        for number in range(60)
    ]  # fmt: skip
    kept = CedarPolicy(LOOKS)
    for cube in cubes:
        for by in (ANA, INTERN):
            for verb in ("read", "write"):
                context = CallContext(purpose=chance.choice([None, "care"]))
                caller = Caller(by, context, NOW, kept)
                assert kept.refusal(cube, verb, caller) == CedarPolicy(LOOKS).refusal(cube, verb, caller)
    assert len(kept._known) < 60 * 4


def test_what_names_a_memory_is_decided_for_it_alone() -> None:
    memos = MemOS(InMemoryVault(), clock=lambda: NOW)
    one, two = (memos.remember(f"Words {number}.", by=ANA) for number in range(2))
    rules = f'permit(principal, action, resource); forbid(principal, action, resource == Memory::"{one.id}");'
    policy = CedarPolicy(rules)
    caller = Caller(ANA, CallContext(), NOW, policy)
    assert policy.refusal(one, "read", caller)
    assert policy.refusal(two, "read", caller) is None


def test_a_time_that_is_spelled_otherwise_is_a_time() -> None:
    policy = CedarPolicy('permit(principal, action, resource) when { context["\\u{6e}ow"] > 5 };')
    assert policy.holds_until((), NOW) == NOW
    assert CedarPolicy(LOOKS + "// now and then").holds_until((), NOW) is None


TESTS = (
    'resource.type == "visit"', 'resource.type != "fact"', 'resource.tags.contains("salary")',
    'resource.tags.containsAny(["plan", "salary"])', 'resource.tags.containsAll(["plan", "salary"])',
    '["visit", "note"].contains(resource.type)', 'context has purpose && context.purpose == "care"',
    'principal in Subject::"role:intern"', "context.hour >= 9", "true", "false",
    "principal in resource.owner", 'resource has speaker && resource.speaker == "tom"',
    'resource.sensitivity.contains("health")',
)  # fmt: skip


def any_policy(chance: Random) -> str:
    def test(depth: int) -> str:
        if not depth or chance.random() < 0.4:
            return chance.choice(TESTS)
        if chance.random() < 0.3:
            return f"!({test(depth - 1)})"
        return f"({test(depth - 1)}) {chance.choice(['&&', '||'])} ({test(depth - 1)})"

    def rule(effect: str) -> str:
        who = chance.choice(["principal", 'principal in Subject::"role:intern"', "principal is Person"])
        act = chance.choice(["action", 'action == Action::"read"', 'action in [Action::"read", Action::"write"]'])
        when = f"when {{ {test(2)} }}" if chance.random() < 0.8 else ""
        unless = f" unless {{ {test(1)} }}" if chance.random() < 0.4 else ""
        return f"{effect}({who}, {act}, resource) {when}{unless};"

    rules = [rule("permit") for _ in range(chance.randint(1, 3))] + [
        rule("forbid") for _ in range(chance.randint(0, 3))
    ]
    return "\n".join([FREE, *rules] if chance.random() < 0.5 else rules)


def test_what_a_query_is_told_is_what_cedar_decides_of_each_memory(memos: MemOS) -> None:
    """150 policies, two askers, two purposes: what a query is told and what is left together decide alike."""
    chance = Random(11)
    for number in range(40):
        memos.remember(
            f"Words {number}.", by=chance.choice([ANA, INTERN]), readers=["*"],
            tags=chance.sample(["salary", "plan"], chance.randint(0, 2)),
            semantic_type=chance.choice(["fact", "visit", "note"]),
            sensitivity=chance.sample(["health"], chance.randint(0, 1)),
            provenance=Provenance(speaker=chance.choice(["tom", "ida"])),
        )  # fmt: skip
    cubes = memos.find(CubeFilter(), by=ANA, k=99)
    kinds = {True: 0, False: 0}
    for _ in range(150):
        policy, purpose = CedarPolicy(any_policy(chance)), CallContext(purpose=chance.choice([None, "care"]))
        memos.adopt_policy(policy, by=ADMIN)
        for by in (ANA, INTERN):
            caller = Caller(by, purpose, NOW, policy)
            said = policy.compiled(caller)
            kinds[said.is_whole] += 1
            wanted = {cube.id for cube in cubes if may_read(cube, caller)}
            found = memos._governance._vault.search(
                VaultQuery(k=99, filter=CubeFilter()), memos._governance._sight.of(caller, CubeFilter())
            )
            assert {match.cube.id for match in found.matches} == wanted, policy.text
    assert min(kinds.values()) > 50


def test_a_policy_of_types_and_tags_is_not_asked_about_every_memory(memos: MemOS) -> None:
    policy = CedarPolicy(INTERNS)
    memos.adopt_policy(policy, by=ADMIN)
    for number in range(30):
        memos.remember(f"Pay {number}.", by=ANA, readers=["*"], tags=["salary"])
    assert [cube.text for cube in memos.find(CubeFilter(), by=INTERN)] == ["Tom plants trees."]
    assert not any(refused for refused in policy._known.values() if refused)
    assert policy.compiled(Caller(INTERN, CallContext(), NOW, policy)).is_whole
