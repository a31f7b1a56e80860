"""Random principals ask random vaults random questions: nothing forbidden comes back, and nothing allowed is missing.

The oracle below knows the rules from their description (`Principal`, `Governance`, `CubeFilter`) and shares no code
with the engine: plain records, plain loops. A case is one decision about one cube for one question.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import CubeFilter, Erase, Move, Transaction, VaultQuery
from memos_integrations.testing.cubes import EMBEDDER, NOW, cube, record, unit
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.eagerness import plan_by_codes
from tests.torture.sizes import seed, sizes

USERS, GROUPS, ROLES = "ana bob eve ada joe".split(), "staff kin".split(), "nurse clerk".split()
TENANTS = ("acme", "acm", "acme2")
WORDS = "kettle pot cup tray spoon".split()
NAMES = ("x", "y", "X", "x y", "é")


@dataclass(frozen=True)
class Known:
    """What the oracle knows of a cube."""

    cube: MemCube
    owner: str
    shared_with: frozenset[str]
    everyone: bool
    words: frozenset[str]
    state: str
    gone: bool = False
    header: dict[str, Any] = field(default_factory=dict)


def may_see(known: Known, by: Principal, context: CallContext, now: datetime) -> bool:
    """The rules of reading, in full."""
    header = known.header
    if known.gone or header["namespace"][0] != by.tenant:
        return False
    names = {f"user:{by.user}", "*"} | {f"group:{g}" for g in by.groups} | {f"role:{r}" for r in by.roles}
    if not (known.owner in names or known.everyone or known.shared_with & names):
        return False
    if header["quarantined"] or known.state == "expired":
        return False
    if header["expires_at"] is not None and header["expires_at"] < now:
        return False
    if header["purposes"] and context.purpose not in header["purposes"]:
        return False
    return not header["applications"] or context.application in header["applications"]


def is_wanted(known: Known, wanted: CubeFilter) -> bool:
    """The rules of filtering, in full."""
    header = known.header
    happened = header["occurred_at"] or NOW
    checks = [
        not wanted.namespace or header["namespace"][: len(wanted.namespace)] == wanted.namespace,
        not wanted.tags or bool(set(wanted.tags) & set(header["tags"])),
        not wanted.entities or bool({e.lower() for e in wanted.entities} & {e.lower() for e in header["entities"]}),
        not wanted.semantic_types or header["semantic_type"] in wanted.semantic_types,
        wanted.thread_id is None or wanted.thread_id == header["thread_id"],
        known.state in ({s.value for s in wanted.states} or {s.value for s in State}),
        wanted.occurred is None or (wanted.occurred[0] <= happened and happened < wanted.occurred[1]),
    ]
    return all(checks)


class World:
    """A vault, and what the oracle knows of it."""

    def __init__(self, vault: Any, random: Random) -> None:
        self.vault, self.random = vault, random
        self.governance = MemGovernance(vault)
        self.known: list[Known] = []

    def few(self, names: Any, most: int = 2) -> tuple[str, ...]:
        return tuple(self.random.sample(list(names), self.random.randrange(most + 1)))

    def seldom(self, value: Any, otherwise: Any = None) -> Any:
        return value if self.random.random() < 0.2 else otherwise

    def principal(self) -> Principal:
        groups, roles = frozenset(self.few(GROUPS)), frozenset(self.few(ROLES))
        return Principal(tenant=self.random.choice(TENANTS), user=self.random.choice(USERS), groups=groups, roles=roles)

    def moment(self) -> datetime:
        return NOW + timedelta(days=self.random.randrange(-3, 4))

    def header(self, by: Principal) -> dict[str, Any]:
        subjects = [f"user:{u}" for u in USERS] + [f"group:{g}" for g in GROUPS] + [f"role:{r}" for r in ROLES] + ["*"]
        layer = self.random.choice(["private", "private", "shared", "shared", "global"])
        shared = {part: self.few(subjects) if layer != "private" else () for part in ("readers", "writers", "sharers")}
        return {
            "namespace": (by.tenant, *self.few(NAMES)), "owner": f"user:{by.user}", "layer": layer, **shared,
            "tags": self.few(NAMES), "entities": self.few(NAMES),
            "semantic_type": self.random.choice(["fact", "event"]),
            "thread_id": self.seldom(self.random.choice(NAMES)), "quarantined": self.seldom(True, False),
            "occurred_at": self.seldom(None, self.moment()), "expires_at": self.seldom(self.moment()),
            "purposes": self.seldom(self.few(NAMES), ()), "applications": self.seldom(self.few(NAMES), ()),
        }  # fmt: skip

    def told(self, by: Principal, old: Known | None = None) -> tuple[Known, Any]:
        """Write a cube, or another version of one; what is known then, and the future."""
        header, words = self.header(by), frozenset(self.few(WORDS, 3)) | {"all"}
        if old is not None:
            header |= {"namespace": (by.tenant, *header["namespace"][1:])}
        new = cube(" ".join(sorted(words)), **header)
        state = "generated" if old is None else old.state
        if old is not None:
            new = new.model_copy(update={"id": old.cube.id, "version": old.cube.version + 1})
            if state == "merged" and new.text != old.cube.text and not header["quarantined"]:
                state = "activated"  # given other words, it speaks for itself again
        caller = Caller(by, CallContext(), NOW)
        vector = unit(self.random.randrange(50))
        future = self.governance.put(new, caller, operation="remember", terms=sorted(words), vector=vector)
        shared = frozenset((*header["readers"], *header["writers"], *header["sharers"]))
        return Known(new, header["owner"], shared, header["layer"] == "global", words, state, header=header), future

    def grow(self, count: int) -> None:
        made = [self.told(self.principal()) for _ in range(count)]
        for known, future in made:
            future.result()
            self.known.append(known)

    def change(self, number: int) -> tuple[Known, Any]:
        """Another version, another state, or the end of a cube."""
        old, choice = self.known[number], self.random.random()
        if old.gone:
            return old, None
        if choice < 0.6 and old.state != "frozen":  # which nobody rewrites
            user = old.owner.removeprefix("user:")
            return self.told(Principal(tenant=old.header["namespace"][0], user=user), old)
        if choice < 0.8:
            after = self.random.choice([s for s in State if s.value != old.state])
            change = Move(old.cube.id, State(old.state), after)
            return replace(old, state=after.value), self.vault.submit(Transaction((change,)))
        erased = Transaction((Erase(old.cube.id),), (record(old.cube, "forget"),))
        return replace(old, gone=True), self.vault.submit(erased)

    def question(self) -> tuple[VaultQuery, Caller]:
        random = self.random
        wanted = CubeFilter(
            namespace=self.seldom((random.choice(TENANTS), *self.few(NAMES, 1)), ()),
            tags=self.seldom(self.few(NAMES), ()), entities=self.seldom(self.few(NAMES), ()),
            semantic_types=self.seldom(("event",), ()), thread_id=self.seldom(random.choice(NAMES)),
            states=self.seldom(frozenset(random.sample(list(State), 2)), frozenset()),
            occurred=self.seldom(tuple(sorted((self.moment(), self.moment())))),
        )  # fmt: skip
        context = CallContext(purpose=self.seldom(random.choice(NAMES)), application=self.seldom(random.choice(NAMES)))
        terms = self.seldom((random.choice(WORDS),), ())
        vector = self.seldom(unit(random.randrange(50)))
        k = random.choice([10**6, 10**6, 3])
        return VaultQuery(k, terms, vector, wanted), Caller(self.principal(), context, self.moment())


def right(known: Known, query: VaultQuery, caller: Caller) -> bool:
    """Whether the asker may see the cube and wants it."""
    return may_see(known, caller.by, caller.context, caller.now) and is_wanted(known, query.filter)


def judge(world: World, query: VaultQuery, caller: Caller) -> None:
    """Ask, with nothing changing, and compare with the oracle."""
    found = world.governance.search(query, caller)
    got = {match.cube.id for match in found.matches}
    visible = {known.cube.id for known in world.known if right(known, query, caller)}
    scored = visible
    if query.terms and query.vector is None:
        scored = {known.cube.id for known in world.known if known.cube.id in visible and known.words & {*query.terms}}
    assert got <= visible, "forbidden, or not asked for"
    if query.k >= len(world.known):
        assert got == scored, f"missing: {scored - got}"
        assert found.visible == len(visible), "the count tells of others' cubes"
    else:
        assert min(query.k, len(scored)) <= len(got), "fewer than k although k exist"


def judge_while_changing(world: World, numbers: list[int]) -> int:
    """Ask while another thread changes some cubes; each answer must fit before or after each change."""
    before = list(world.known)
    after: dict[int, Known] = {}
    asked: list[tuple[VaultQuery, Caller]] = [world.question() for _ in range(4)]
    started = threading.Event()

    def change() -> None:
        waiting = []
        for number in numbers:
            after[number], future = world.change(number)
            waiting.append(future)
            started.set()
        for future in waiting:
            if future is not None:
                future.result()

    thread = threading.Thread(target=change)
    thread.start()
    started.wait(30)
    answers = [world.governance.search(query, caller) for query, caller in asked]
    thread.join()
    for number, known in after.items():
        world.known[number] = known
    for (query, caller), found in zip(asked, answers, strict=True):
        got = {match.cube.id for match in found.matches}
        for old, new in zip(before, world.known, strict=True):
            may = right(old, query, caller), right(new, query, caller)
            if not any(may):
                assert old.cube.id not in got, "forbidden before and after"
            elif all(may) and query.k > len(before) and not query.terms:
                assert old.cube.id in got, "allowed before and after, and missing"
    return len(asked)


@pytest.fixture(params=["in memory", "in a file"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with InMemoryVault() if request.param == "in memory" else SQLiteVault(tmp_path / "vault") as vault:
        vault.bind_embedder(EMBEDDER)
        yield vault


@pytest.mark.answers("ASI06 3", "AISVS 8.1.3")
@sizes("CASES", quick=30_000, whole=1_000_000)
def test_answers_equal_those_of_the_oracle(vault: Any, count: int) -> None:
    plan_by_codes()
    random = Random(seed() + 3)
    world = World(vault, random)
    if isinstance(vault, InMemoryVault):
        count //= 10  # it reads every cube anew for every question
    most = 300 if count < 500_000 else 3_000
    cases = questions = changes = 0
    world.grow(most // 2)
    while cases < count:
        for _ in range(12):
            judge(world, *world.question())
            cases += len(world.known)
            questions += 1
        numbers = random.sample(range(len(world.known)), min(20, len(world.known)))
        asked = judge_while_changing(world, numbers)
        changes += len(numbers)
        questions += asked
        cases += asked * len(world.known)
        if len(world.known) < most:
            world.grow(most // 10)
    print(
        f"\n{cases:,} cases in {questions:,} questions with {changes:,} changes (seed {seed()}): 0 forbidden, 0 missing"
    )
