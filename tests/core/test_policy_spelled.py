"""A rule about a label is about it in every spelling: in the query, of each memory, in both engines and every vault."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memos_integrations.backends.cedar import CedarPolicy
from memos_integrations.core.access import CallContext, Caller, Principal, may_read
from memos_integrations.core.cube import MemCube, Provenance
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError
from memos_integrations.core.policy import Engine, Memories, Policy, Rule
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.text import folded_label
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA, BEA = (Principal(tenant="acme", user=name) for name in ("ana", "bea"))
INTERN = Principal(tenant="acme", user="ira", roles=frozenset({"intern"}))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
VERIFIER = Principal(tenant="acme", user="vera", roles=frozenset({"verifier"}))
SPELLINGS = [
    "Payé", "payé ", "PAYÉ", "paye\u0301", "  pay\u00e9", "pa\u200byé", "pa\u00adyé", "ｐａｙé", "\u2060payé",
    "pay\ufe00é",
]  # fmt: skip
FORBID = (
    'permit(principal, action, resource);\nforbid(principal in Subject::"role:intern", action, resource) when {{ {} }};'
)


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    here: dict[str, Any] = {"clock": lambda: NOW}
    with MemOS(InMemoryVault(), **here) if request.param == "memory" else MemOS.open(tmp_path / "v", **here) as made:
        yield made


def forbidden(**memories: object) -> Policy:
    said = {"name": "pay", "who": ["role:intern"], "may_not": ["read"], "memories": memories}
    return Policy(rules=(Rule.model_validate(said),))


WAYS: dict[str, tuple[Callable[[str], dict[str, Any]], Engine, Engine]] = {
    "tag": (
        lambda word: {"tags": ["other", word]},
        forbidden(tags=["payé"]),
        CedarPolicy(FORBID.format('resource.tags.contains("payé")')),
    ),
    "type": (
        lambda word: {"semantic_type": word},
        forbidden(types=["payé"]),
        CedarPolicy(FORBID.format('resource.type == "payé"')),
    ),
    "sensitivity": (
        lambda word: {"sensitivity": [word]},
        forbidden(sensitivity=["payé"]),
        CedarPolicy(FORBID.format('resource.sensitivity.containsAny(["payé", "x"])')),
    ),
    "namespace": (
        lambda word: {"namespace": ("acme", word, "x")},
        forbidden(namespace=["acme", "payé"]),
        CedarPolicy(FORBID.format('resource.namespace.contains("payé")')),
    ),
    "speaker": (
        lambda word: {"provenance": Provenance(speaker=word)},
        forbidden(speakers=["payé"]),
        CedarPolicy(FORBID.format('resource has speaker && resource.speaker like "pay*é"')),
    ),
    "source": (
        lambda word: {"provenance": Provenance(source=word)},
        CedarPolicy(FORBID.format('resource has source && ["payé"].contains(resource.source)')),
        CedarPolicy(FORBID.format('resource has source && resource.source == "Payé"')),
    ),
}


def found_by(memos: MemOS, caller: Caller) -> set[str]:
    """The ids that a query finds, before anything is decided of a memory."""
    governance = memos._governance
    asked = VaultQuery(k=999, filter=CubeFilter())
    return {
        match.cube.id for match in governance._vault.search(asked, governance._sight.of(caller, asked.filter)).matches
    }


@pytest.mark.parametrize("engine", ["rules", "cedar"])
@pytest.mark.parametrize("way", WAYS)
def test_no_spelling_escapes_a_rule(memos: MemOS, way: str, engine: str) -> None:
    said, rules, cedar = WAYS[way]
    policy = rules if engine == "rules" else cedar
    there = [memos.remember(f"Kettle {n}.", by=ANA, readers=["*"], **said(word)) for n, word in enumerate(SPELLINGS)]
    free = memos.remember("Kettle of all.", by=ANA, readers=["*"], **said("paye"))  # a letter with a mark is another
    assert len(memos.find(CubeFilter(), by=INTERN)) == len(SPELLINGS) + 1
    memos.adopt_policy(policy, by=ADMIN)
    assert found_by(memos, memos._caller(INTERN, None)) == {free.id}
    assert [cube.id for cube in memos.find(CubeFilter(), by=INTERN)] == [free.id]
    assert [hit.cube.id for hit in memos.recall("kettle", by=INTERN, needed=True).hits] == [free.id]
    for cube in there:
        with pytest.raises(CubeNotFoundError):
            memos.get(cube.id, by=INTERN)
    later = memos.remember("Kettle later.", by=ANA, readers=["*"], **said("pAYÉ\u00a0"))
    assert later.id not in found_by(memos, memos._caller(INTERN, None))
    assert len(memos.find(CubeFilter(), by=ANA)) == len(SPELLINGS) + 2


def test_a_spelling_that_another_program_writes_is_known_at_once(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "v", clock=lambda: NOW) as one, MemOS.open(tmp_path / "v", clock=lambda: NOW) as other:
        one.adopt_policy(forbidden(tags=["salary"]), by=ADMIN)
        assert one.find(CubeFilter(), by=INTERN) == []
        for word in ("SALARY", "Salary ", "ｓalary"):
            other.remember(f"Tom earns {word}.", by=ANA, readers=["*"], tags=[word])
            assert found_by(one, one._caller(INTERN, None)) == set()


def test_no_spelling_writes_into_what_is_forbidden(memos: MemOS) -> None:
    said = {"name": "pay", "who": ["role:intern"], "may_not": ["write"], "memories": {"tags": ["plan"]}}
    memos.adopt_policy(Policy(rules=(Rule.model_validate(said),)), by=ADMIN)
    for word in ("Plan", "plan ", "pl\u00adan"):
        with pytest.raises(AccessDeniedError, match="pay"):
            memos.remember("Our plan is short.", by=INTERN, tags=[word])


def test_a_filter_of_a_caller_is_compared_as_it_is_written(memos: MemOS) -> None:
    memos.remember("Kettle.", by=ANA, tags=["Salary"])
    assert memos.find(CubeFilter(tags=("salary",)), by=ANA) == []
    assert len(memos.find(CubeFilter(tags=("SALARY",), folded=True), by=ANA)) == 1


# --- any spelling: the query, the engine, and what a person would say


WORDS = ["salary", "Straße", "naïve plan", "東京", "ﬁle"]


def spelled(word: str, chance: Random) -> str:
    """The word as somebody might type it, or as somebody might who wants to escape a rule."""
    for change in chance.sample(
        [
            str.upper, str.lower, str.title, str.swapcase, lambda w: f" {w}", lambda w: f"{w}\u3000",
            lambda w: unicodedata.normalize("NFD", w), lambda w: unicodedata.normalize("NFKD", w),
            lambda w: w[:1] + chance.choice("\u200b\u200d\u2060\u00ad\ufeff\u034f\U000e0061") + w[1:],
            lambda w: w.replace(" ", "  "), lambda w: w.replace(" ", "\u00a0"),
            lambda w: "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in w),
        ],
        chance.randint(0, 4),
    ):  # fmt: skip
        word = change(word)
    return word


def alike(one: str, other: str) -> bool:
    """Whether a person reads the same word; written for this test, from the rules and not from the code."""

    def letters(word: str) -> list[str]:
        open_letters = unicodedata.normalize("NFKD", word).casefold()
        shown = (
            c for c in unicodedata.normalize("NFKD", open_letters) if unicodedata.category(c) != "Cf" and c != "\u034f"
        )
        return re.sub(r"[\s\u00a0\u3000]+", " ", "".join(shown)).strip().split(" ")

    return letters(one) == letters(other)


def brute(policy: Policy, cube: MemCube) -> bool:
    """Whether a rule that forbids selects the cube, said once more."""
    said = cube.descriptive
    for rule in policy.rules:
        wanted = rule.memories
        place = cube.namespace[: len(wanted.namespace)]
        if (
            len(place) == len(wanted.namespace)
            and all(map(alike, place, wanted.namespace))
            and (not wanted.tags or any(alike(a, b) for a in wanted.tags for b in said.tags))
            and (not wanted.types or any(alike(a, said.semantic_type) for a in wanted.types))
            and (
                not wanted.sensitivity
                or any(alike(a, b) for a in wanted.sensitivity for b in cube.governance.sensitivity)
            )
            and (wanted.older_than is None or said.created_at < NOW - wanted.older_than)
        ):
            return True
    return False


def any_rules(chance: Random) -> Policy:
    def some(most: int = 2) -> list[str]:
        return [spelled(word, chance) for word in chance.sample(WORDS, chance.choice([0, 0, 1, most]))]

    rules = []
    for number in range(chance.randint(1, 3)):
        memories = Memories(
            namespace=("acme", spelled(chance.choice(WORDS), chance)) if chance.random() < 0.25 else (),
            tags=some(), types=some(), sensitivity=some(1) if chance.random() < 0.3 else (),
            older_than=timedelta(days=chance.choice([2, 9])) if chance.random() < 0.3 else None,
        )  # fmt: skip
        rules.append(Rule(name=f"r{number}", who=("role:intern",), may_not=("read",), memories=memories))  # type: ignore[arg-type]
    return Policy(rules=tuple(rules))


def any_memories(memos: MemOS, count: int, chance: Random) -> list[MemCube]:
    """Memories of the last twelve days, filed under words however spelled; some of them changed since."""
    times = iter(range(10**6))
    memos._clock = lambda: NOW - timedelta(days=12) + timedelta(hours=next(times))
    cubes = []
    for number in range(count):
        words = [spelled(word, chance) for word in chance.sample(WORDS, chance.randint(0, 3))]
        cube = memos.remember(
            f"kettle {number}", by=ANA, readers=["*"], namespace=("acme", spelled(chance.choice(WORDS), chance)),
            tags=words, semantic_type=spelled(chance.choice(WORDS), chance),
            sensitivity=[spelled(word, chance) for word in chance.sample(WORDS, chance.choice([0, 0, 1]))],
        )  # fmt: skip
        if chance.random() < 0.3:
            cube = memos.relabel(cube.id, by=ANA, add=[spelled(chance.choice(WORDS), chance)])
        cubes.append(cube)
    memos._clock = lambda: NOW
    return cubes


def check_spellings(memos: MemOS, memories: int, policies: int, chance: Random) -> tuple[int, int]:
    """How many decisions were compared, and how many of them refused."""
    cubes, refused = any_memories(memos, memories, chance), 0
    for _ in range(policies):
        policy = any_rules(chance)
        caller = Caller(INTERN, CallContext(), NOW, policy)
        seen = {cube.id for cube in cubes if not brute(policy, cube)}
        assert {cube.id for cube in cubes if may_read(cube, caller)} == seen, policy
        assert found_by(memos, caller) == seen, policy
        refused += len(cubes) - len(seen)
    return len(cubes) * policies, refused


def as_cedar(policy: Policy) -> CedarPolicy:
    """The same in Cedar; its rules name no namespace."""
    said = []
    for rule in policy.rules:
        wanted, tests = rule.memories, ["true"]
        if wanted.tags:
            tests.append(f"resource.tags.containsAny({json.dumps(wanted.tags, ensure_ascii=False)})")
        if wanted.types:
            tests.append(f"{json.dumps(wanted.types, ensure_ascii=False)}.contains(resource.type)")
        if wanted.sensitivity:
            tests.append(f"resource.sensitivity.containsAny({json.dumps(wanted.sensitivity, ensure_ascii=False)})")
        if wanted.older_than:
            tests.append(f"context.now - resource.created > {int(wanted.older_than.total_seconds())}")
        said.append(f'forbid(principal in Subject::"role:intern", action, resource) when {{ {" && ".join(tests)} }};')
    return CedarPolicy("\n".join(["permit(principal, action, resource);", *said]))


def test_cedar_and_brute_force_agree_on_every_spelling(memos: MemOS) -> None:
    chance, refused, whole = Random(23), 0, 0
    cubes = any_memories(memos, 50, chance)
    for _ in range(60):
        rules = any_rules(chance)
        plain = tuple(r for r in rules.rules if not r.memories.namespace)
        engine = as_cedar(Policy(rules=plain))
        caller = Caller(INTERN, CallContext(), NOW, engine)
        seen = {cube.id for cube in cubes if not brute(Policy(rules=plain), cube)}
        assert {cube.id for cube in cubes if may_read(cube, caller)} == seen, engine.text
        assert found_by(memos, caller) == seen, engine.text
        refused, whole = refused + len(cubes) - len(seen), whole + engine.compiled(caller).is_whole
    assert refused > 300
    assert 10 < whole < 55


def test_query_engine_and_brute_force_agree_on_every_spelling(memos: MemOS) -> None:
    compared, refused = check_spellings(memos, 60, 120, Random(21))
    assert compared == 7_200
    assert refused > 700


@pytest.mark.slow
def test_query_engine_and_brute_force_agree_on_every_spelling_at_length(memos: MemOS) -> None:
    compared, refused = check_spellings(memos, 150, 700, Random(22))
    assert compared == 105_000
    assert refused > 10_000


def test_a_folded_label_is_folded_once_and_for_all() -> None:
    """Every character, alone and between letters: folding what was folded, or has no case, changes nothing."""
    make: Callable[[str], str] = folded_label.__self__._make  # type: ignore[attr-defined]
    for code in range(sys.maxunicode + 1):
        for label in (chr(code), f"a{chr(code)}b"):
            once = make(label)
            assert make(once) == once, hex(code)
            assert make(label.casefold()) == once, hex(code)


# --- age counts from the first version


CHANGES: dict[str, Callable[[MemOS, MemCube], object]] = {
    "update": lambda memos, cube: memos.update(cube.id, by=ANA, text="Zelda came at one."),
    "relabel": lambda memos, cube: memos.relabel(cube.id, by=ANA, add=["noon"]),
    "hold": lambda memos, cube: memos.hold(cube.id, by=ADMIN),
    "verify": lambda memos, cube: memos.verify([cube.id], by=VERIFIER),
    "restore": lambda memos, cube: memos.restore(cube.id, 1, by=ANA),
    "append": lambda memos, cube: memos.append(cube.id, "She left at two.", by=ANA),
}
AGED: dict[str, Callable[[], Engine]] = {
    "rules": lambda: Policy(
        rules=(
            Rule.model_validate(
                {"name": "old", "who": ["role:intern"], "may_not": ["read"], "memories": {"older_than": "P30D"}}
            ),
        )
    ),
    "cedar": lambda: CedarPolicy(FORBID.format("context.now - resource.created > 30 * 86400")),
}


@pytest.mark.parametrize("engine", AGED)
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_makes_an_old_memory_young(memos: MemOS, change: str, engine: str) -> None:
    cube = memos.remember("Zelda came at noon.", by=ANA, readers=["*"])
    young = memos.remember("Tom came at noon.", by=BEA, readers=["*"])
    if change == "restore":
        memos.update(cube.id, by=ANA, text="Zelda came.")
    memos._clock = lambda: NOW + timedelta(days=29)
    memos.adopt_policy(AGED[engine](), by=ADMIN)
    assert len(memos.find(CubeFilter(), by=INTERN)) == 2
    memos._clock = lambda: NOW + timedelta(days=31)
    assert memos.find(CubeFilter(), by=INTERN) == []
    CHANGES[change](memos, cube)
    memos._clock = lambda: NOW + timedelta(days=31, hours=1)
    caller = memos._caller(INTERN, None)
    assert found_by(memos, caller) == set()
    assert memos.may_read([cube.id, young.id], by=INTERN) == set()
    newest = memos.history(cube.id, by=ANA)[-1]
    assert newest.version > 1
    assert newest.descriptive.recorded_at > NOW + timedelta(days=30)
    assert not may_read(newest, caller)


def test_what_is_found_by_its_first_day_is_found_by_it_after_a_change(memos: MemOS) -> None:
    cube = memos.remember("Zelda came at noon.", by=ANA)
    memos._clock = lambda: NOW + timedelta(days=5)
    memos.relabel(cube.id, by=ANA, add=["noon"])
    day = CubeFilter(created=(NOW, NOW + timedelta(days=1)))
    assert len(memos.find(day, by=ANA)) == 1
    assert memos.find(replace(day, created=(NOW + timedelta(days=5), NOW + timedelta(days=6))), by=ANA) == []
