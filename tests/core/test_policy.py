"""Policies: they only narrow, a query is told what the engine would say of every memory, and a slip is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from memos_integrations.backends.policy_file import TEMPLATES, load_policy, read_policy
from memos_integrations.core.access import CallContext, Caller, Principal, Verb, decide, may_read
from memos_integrations.core.cube import MemCube, Provenance
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, PolicyError
from memos_integrations.core.policy import Memories, Policy, Rule, When, lint
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
INTERN = Principal(tenant="acme", user="ira", roles=frozenset({"intern"}))
BOTH = Principal(tenant="acme", user="bo", roles=frozenset({"intern", "clerk"}), groups=frozenset({"personnel"}))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
WHO = ["*", "owner", "user:ana", "user:ira", "user:bo", "role:intern", "role:clerk", "group:personnel"]
TAGS, TYPES, NAMES, MARKS = ["salary", "plan", "pet"], ["fact", "event"], ["Ana", "Bo"], ["health", "money"]


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    here = {"clock": lambda: NOW, "embedder": WordsEmbedder()}
    with MemOS(InMemoryVault(), **here) if request.param == "memory" else MemOS.open(tmp_path / "v", **here) as made:
        yield made


def rule(name: str = "a rule", **said: object) -> Policy:
    return Policy(rules=(Rule.model_validate({"name": name, "who": ["*"], **said}),))


def test_a_rule_hides_everywhere_at_once(memos: MemOS) -> None:
    pay = memos.remember("Tom earns 4000 a month.", by=ANA, readers=["*"], tags=["salary"])
    memos.remember("Tom plants trees.", by=ANA, readers=["*"])
    derived = memos.remember("Tom is paid 4000.", by=ANA, readers=["*"], provenance=Provenance(derived_from=(pay.ref,)))
    assert len(memos.recall("Tom", by=INTERN).hits) == 3
    memos.adopt_policy(rule(who=["role:intern"], may_not=["read"], memories={"tags": ["salary"]}), by=ADMIN)
    for by in (INTERN, BOTH):
        assert [hit.text for hit in memos.recall("Tom 4000", by=by).hits] == ["Tom plants trees."]
        assert len(memos.find(CubeFilter(), by=by)) == 1
        assert memos.may_read([pay.id, derived.id], by=by) == set()
        for cube in (pay, derived):
            for read in (memos.get, memos.history, memos.provenance):
                with pytest.raises(CubeNotFoundError):
                    read(cube.id, by=by)
    assert len(memos.recall("Tom", by=ANA).hits) == 3


def test_a_key_gives_no_words_that_a_rule_keeps_from_their_owner(memos: MemOS) -> None:
    memos.remember("Tom earns 4000 a month.", by=INTERN, key="pay", tags=["salary"])
    assert memos.remember("Again.", by=INTERN, key="pay").text == "Tom earns 4000 a month."
    memos.adopt_policy(rule(who=["role:intern"], may_not=["read"], memories={"tags": ["salary"]}), by=ADMIN)
    with pytest.raises(AccessDeniedError, match="a rule keeps you"):
        memos.remember("Again.", by=INTERN, key="pay")


@pytest.mark.answers("AISVS 5.2.1")
def test_a_policy_never_opens_what_the_wall_closes(memos: MemOS) -> None:
    private = memos.remember("Private words.", by=ANA)
    memos.adopt_policy(rule(may=["read", "write", "delete"]), by=ADMIN)
    for verb in Verb:
        assert not memos.explain_access(private, INTERN, verb=verb).allowed
    with pytest.raises(CubeNotFoundError):
        memos.get(private.id, by=INTERN)


def test_verbs_are_told_apart_and_reading_comes_first(memos: MemOS) -> None:
    cube = memos.remember("Plan.", by=ANA, readers=["*"], writers=["ira"], tags=["plan"])
    memos.adopt_policy(rule(who=["role:intern"], may_not=["write"], memories={"tags": ["plan"]}), by=ADMIN)
    assert memos.get(cube.id, by=INTERN)
    with pytest.raises(AccessDeniedError, match="'a rule' forbids it"):
        memos.update(cube.id, by=INTERN, text="Other plan.")
    memos.adopt_policy(rule(who=["role:intern"], may_not=["read"], memories={"tags": ["plan"]}), by=ADMIN)
    with pytest.raises(CubeNotFoundError):
        memos.update(cube.id, by=INTERN, text="Other plan.")


def test_a_rule_that_forbids_to_write_forbids_the_first_version_too(memos: MemOS) -> None:
    forbidden = rule(who=["role:intern"], may_not=["write"], memories={"tags": ["plan"]})
    memos.adopt_policy(forbidden, by=ADMIN)
    ways = {
        "remember": lambda: memos.remember("Plan.", by=INTERN, tags=["plan"]),
        "many": lambda: memos.remember_many(["Plan.", "Other."], by=INTERN, tags=["plan"]),
        "atomic": lambda: _atomically(memos, INTERN),
    }
    for name, way in ways.items():
        with pytest.raises(AccessDeniedError, match="'a rule' forbids it"):
            way()
        assert memos.find(CubeFilter(), by=INTERN) == [], name
    assert memos.remember("Plan.", by=ANA, tags=["plan"]).version == 1
    assert memos.remember("A pet.", by=INTERN, tags=["pet"]).version == 1
    denied = [entry.record for entry in memos.audit(by=INTERN) if entry.record.outcome.value == "denied"]
    assert len(denied) == len(ways)


def _atomically(memos: MemOS, by: Principal) -> None:
    with memos.atomic(by=by) as memory:
        memory.remember("Plan.", by=by, tags=["plan"])


WAYS_IN: dict[str, Callable[[MemOS, MemCube, MemCube], object]] = {
    "relabel": lambda memos, cube, _: memos.relabel(cube.id, by=INTERN, add=["plan"]),
    "update": lambda memos, cube, _: memos.update(cube.id, by=INTERN, text="The kiln is hot.", tags=["plan"]),
    "restore": lambda memos, _, was: memos.restore(was.id, 1, by=INTERN),
    "branch": lambda memos, cube, _: _through_a_branch(memos, cube),
    "atomic": lambda memos, cube, _: _labelled_together(memos, cube),
}


def _through_a_branch(memos: MemOS, cube: MemCube) -> None:
    with memos.branch(by=INTERN) as branch:
        branch.memos.relabel(cube.id, by=INTERN, add=["plan"])
        branch.merge()


def _labelled_together(memos: MemOS, cube: MemCube) -> None:
    with memos.atomic(by=INTERN) as together:
        together.relabel(cube.id, by=INTERN, add=["plan"])


@pytest.mark.parametrize("way", WAYS_IN)
def test_no_version_becomes_what_one_may_not_write(memos: MemOS, way: str) -> None:
    """A rule is asked of what a memory is to be, too: else it is written outside, and labelled into the forbidden."""
    cube = memos.remember("The kiln is free.", by=INTERN, readers=["*"])
    was = memos.remember("The oven is free.", by=INTERN, readers=["*"], tags=["plan"])
    memos.relabel(was.id, by=INTERN, remove=["plan"])
    memos.adopt_policy(rule(who=["role:intern"], may_not=["write"], memories={"tags": ["plan"]}), by=ADMIN)
    with pytest.raises(AccessDeniedError, match="a rule"):
        WAYS_IN[way](memos, cube, was)
    assert memos.find(CubeFilter(tags=("plan",)), by=ANA) == []
    memos.relabel(cube.id, by=INTERN, add=["other"])


def test_context_and_age_decide(memos: MemOS) -> None:
    cube = memos.remember("Blood type 0.", by=ANA, tags=["pet"])
    care = CallContext(purpose="care")
    memos.adopt_policy(rule(may_not=["read"], unless={"purpose": ["care"]}), by=ADMIN)
    assert memos.recall("blood", by=ANA).hits == ()
    assert memos.get(cube.id, by=ANA, context=care)
    memos.adopt_policy(rule(may_not=["read"], memories={"older_than": "P30D"}), by=ADMIN)
    assert memos.get(cube.id, by=ANA)
    memos._clock = lambda: NOW + timedelta(days=31)
    assert memos.recall("blood", by=ANA).hits == ()


@pytest.mark.answers("AISVS 12.1.4")
def test_changing_the_rules_is_for_admins_and_on_record(memos: MemOS) -> None:
    policy = rule(may_not=["read"])
    with pytest.raises(AccessDeniedError):
        memos.adopt_policy(None, by=INTERN)
    memos.adopt_policy(policy, by=ADMIN)
    with pytest.raises(AccessDeniedError):
        memos.adopt_policy(None, by=ANA)
    seen = memos.audit(by=ADMIN, operation="policy")
    assert [entry.record.outcome.value for entry in seen] == ["denied", "allowed", "denied"]
    assert seen[1].record.detail == {"before": None, "after": policy.revision, "rules": ["a rule"]}
    memos.remember("Words.", by=ANA)
    assert memos.recall("words", by=ANA).hits == ()


def a_policy(chance: Random) -> Policy:
    def some(values: list[str]) -> list[str]:
        return chance.sample(values, chance.choice([0, 0, 0, 1, 2]))

    rules = []
    for number in range(chance.randint(1, 4)):
        memories = Memories(
            namespace=("acme", "a") if chance.random() < 0.2 else (),
            tags=some(TAGS), types=some(TYPES), entities=some(NAMES),
            sensitivity=some(MARKS) if chance.random() < 0.4 else (),
            owner=some(["user:ana", "user:bo"]) if chance.random() < 0.2 else (),
            older_than=timedelta(days=chance.choice([1, 5, 20])) if chance.random() < 0.3 else None,
        )  # fmt: skip
        when = When(purpose=some(["care", "sales"])) if chance.random() < 0.3 else None
        acts = chance.choice([("read",), ("read", "write"), ("write",)])
        which = {chance.choice(["may", "may_not"]): acts, chance.choice(["when", "unless"]): when}
        rules.append(Rule(name=f"r{number}", who=chance.sample(WHO, chance.randint(1, 3)), memories=memories, **which))
    return Policy(rules=tuple(rules))


def check_pushdown(memos: MemOS, policies: int, chance: Random) -> int:
    """Decisions compared: what a query finds against what the engine says of every memory."""
    times = iter(range(10**6))
    memos._clock = lambda: NOW - timedelta(days=30) + timedelta(hours=next(times))
    cubes: list[MemCube] = []
    for number in range(60):
        cubes.append(
            memos.remember(
                f"kettle {number} " + " and ".join(chance.sample(NAMES, chance.randint(0, 2))),
                by=chance.choice([ANA, BOTH]), readers=["*"],
                namespace=("acme", chance.choice("ab")), tags=chance.sample(TAGS, chance.randint(0, 2)),
                semantic_type=chance.choice(TYPES),
                sensitivity=chance.sample(MARKS, chance.choice([0, 0, 1])),
            )
        )  # fmt: skip
    memos._clock = lambda: NOW
    compared = 0
    for _ in range(policies):
        policy = a_policy(chance)
        memos._policy = policy
        by = chance.choice([ANA, INTERN, BOTH])
        context = CallContext(purpose=chance.choice([None, "care", "sales"]))
        caller = Caller(by, context, NOW, policy)
        wanted = {cube.id for cube in cubes if may_read(cube, caller)}
        found = {cube.id for cube in memos.find(CubeFilter(), by=by, k=1000, context=context)}
        assert found == wanted, policy
        ranked = memos.recall("kettle", by=by, k=60, context=context, needed=True).hits
        assert {hit.cube.id for hit in ranked} <= wanted
        compared += len(cubes)
    return compared


@pytest.mark.answers("AISVS 5.2.2")
def test_what_a_query_is_told_is_what_the_engine_says(memos: MemOS) -> None:
    assert check_pushdown(memos, 170, Random(3)) >= 10_000


@pytest.mark.slow
def test_what_a_query_is_told_is_what_the_engine_says_at_length(memos: MemOS) -> None:
    assert check_pushdown(memos, 1_700, Random(4)) >= 100_000


def test_k_are_found_though_nearer_ones_are_hidden(memos: MemOS) -> None:
    for number in range(30):
        memos.remember(
            "kettle kettle kettle", by=ANA, readers=["*"], tags=["pet"], sensitivity=["money"], key=f"{number}"
        )
    for number in range(5):
        memos.remember(f"a kettle among other things {number}", by=ANA, readers=["*"])
    for memories in ({"tags": ["pet"]}, {"sensitivity": ["money"]}):
        memos.adopt_policy(rule(may_not=["read"], memories=memories), by=ADMIN)
        hits = memos.recall("kettle", by=INTERN, k=5, needed=True).hits
        assert len(hits) == 5
        assert all("among" in hit.text for hit in hits)


@pytest.mark.answers("agent-governance-toolkit #2992", "identity 17")
@pytest.mark.parametrize(
    "text",
    [
        "", "rules:", "[]", "rules: [{}]", "rules: [{name: a, who: [ana], may: [read]}]", "rules: {a: b}",
        "rules: [{name: a, who: ['*'], may: [read], may_not: [read]}]", "rules: [{name: a, who: ['*']}]",
        "rules: [{name: a, who: ['*'], may_not: [reed]}]", "rules: [{name: a, who: ['*'], may_not: [read], memory: {}}]",  # noqa: E501
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tag: [x]}}]", "rules: [{name: a, who: [], may: [read]}]",  # noqa: E501
        "rules: []\nrules: []", "x: &a [1]\nrules: *a", "!!python/object/apply:os.system ['true']", "rules: [", "a: b",
        "rules: [{name: a, who: ['user:'], may: [read]}]", "\x00", "rules: !!set {a}", "rules: [{name: a, who: x, may: read}]",  # noqa: E501
        "rules: [{name: a, who: ['*'], may: [read]}, {name: a, who: ['*'], may: [read]}]",
        "rules: [{name: a, who: ['*'], may: [read], name: b}]", "? [a]\n: b\nrules: []", "[" * 5000,
        # what would forbid nothing: it holds always, or is about nobody
        "rules: [{name: a, who: ['*'], may_not: [read], unless: {}}]",
        "rules: [{name: a, who: ['*'], may_not: [read], unless: {purpose: []}}]",
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tags: []}}]",
        "rules: [{name: a, who: ['user:bob\u200b'], may_not: [read]}]",
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tags: ['sala\u00adry']}}]",
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tags: ['cafe\u0301']}}]",
        "rules: [{name: a, who: ['group:*'], may_not: [read]}]",
        "rules: [{name: a, who: ['*'], may_not: [read], memories: {tags: [!!binary aGk=]}}]",
        # a number that is another one, and a time that never comes
        "rules: [{name: a, who: ['*'], may: [read], when: {hours: [010, 18]}}]",
        "rules: [{name: a, who: ['*'], may: [read], when: {hours: [true, 18]}}]",
        "rules: [{name: a, who: ['*'], may: [read], when: {days: [0x1]}}]",
        "rules: [{name: a, who: ['*'], may: [read], when: {since: 2027-01-01T00:00:00Z, until: 2026-01-01T00:00:00Z}}]",
    ],
)  # fmt: skip
def test_a_slip_is_an_error_and_never_a_hole(text: str) -> None:
    with pytest.raises(PolicyError):
        read_policy(text)


def test_templates_are_policies_and_have_no_slips() -> None:
    for name, text in TEMPLATES.items():
        assert lint(read_policy(text), NOW) == [], name
        assert len(text.splitlines()) <= 8
    with pytest.raises(PolicyError):
        load_policy("/nowhere/at/all.yaml")


def test_lint_finds_what_is_not_meant() -> None:
    ended = {"purpose": ["x"], "until": NOW}
    tags = {"tags": ["pet"]}
    slips: list[list[dict[str, object]]] = [
        [{"who": ["*"], "may_not": ["read"]}],
        [{"who": ["role:a"], "may": ["read"]}],
        [{"who": ["*"], "may": ["read"], "memories": tags}],
        [{"who": ["role:a"], "may_not": ["read"], "memories": tags, "when": ended}],
        [{"who": ["role:a"], "may_not": ["read"], "when": {"purpose": ["x"]}, "unless": {"purpose": ["x"]}}],
        [{"who": ["role:a"], "may_not": ["read", "write"], "memories": tags}, {"who": ["role:a"], "may_not": ["read"], "memories": tags}],  # noqa: E501
    ]  # fmt: skip
    for rules in slips:
        made = Policy(rules=tuple(Rule.model_validate({"name": f"r{n}", **said}) for n, said in enumerate(rules)))
        assert len(lint(made, NOW)) == 1, rules


@pytest.mark.answers("AISVS 5.2.5")
def test_no_tool_of_a_model_changes_the_rules() -> None:
    """What a language model can call is defined in the doors; none of them names the verb."""
    import memos_integrations

    root = Path(memos_integrations.__file__).parent
    doors = [
        *(root / "langchain").rglob("*.py"),
        *(root / "langgraph").rglob("*.py"),
        *(root / "llama_index").rglob("*.py"),
    ]
    assert len(doors) > 20
    assert not [path for path in doors if "adopt_policy" in path.read_text("utf-8")]


def test_a_decision_names_its_rule() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        cube = memos.remember("Words.", by=ANA, tags=["pet"])
    policy = rule("pets are for personnel", who=["group:personnel"], may=["read"], memories={"tags": ["pet"]})
    said = decide(cube, Verb.READ, Caller(ANA, CallContext(), NOW, policy))
    assert not said.allowed
    assert "pets are for personnel" in said.reason


def test_a_branch_obeys_the_rules_too(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "v", clock=lambda: NOW) as memos:
        memos.remember("Tom earns 4000 a month.", by=ANA, readers=["*"], tags=["salary"])
        memos.adopt_policy(rule(who=["role:intern"], may_not=["read"], memories={"tags": ["salary"]}), by=ADMIN)
        with memos.branch(by=INTERN) as branch:
            assert branch.memos.recall("Tom earns", by=INTERN).hits == ()
        with memos.branch(by=ANA) as branch:
            assert len(branch.memos.recall("Tom earns", by=ANA).hits) == 1


@pytest.mark.answers("agent-governance-toolkit #2992")
@pytest.mark.parametrize(
    "slip",
    [
        "who: ['role:admin '], may_not: [read]",
        "who: ['role: admin'], may_not: [read]",
        "who: ['*'], may: [read], when: ",
        "who: ['*'], may_not: [read], memories: {older_than: 30}",
        "who: ['*'], may_not: [read], memories: {older_than: '30'}",
        "who: ['*'], may_not: [read], memories: {older_than: P999999D}",
    ],
)
def test_what_would_be_decided_otherwise_than_it_reads_is_an_error(slip: str) -> None:
    with pytest.raises(PolicyError):
        read_policy(f"rules: [{{name: a, {slip}}}]")
    assert read_policy("rules: [{name: a, who: ['role:my admin'], may_not: [read], memories: {older_than: P36500D}}]")
