"""Parts of a memory that a rule keeps back are on no way of reading; what is decided of a memory is decided once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, may_read
from memos_integrations.core.cube import MemCube, ModelFingerprint, Provenance
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError
from memos_integrations.core.policy import Policy, Rule, When
from memos_integrations.core.ports import CubeFilter, ValueTest
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
DESK = Principal(tenant="acme", user="dee", roles=frozenset({"desk"}))
BOTH = Principal(tenant="acme", user="bo", roles=frozenset({"desk", "doctor"}))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
PARTS = ["tags", "topic", "entities", "author", "source", "thread", "value"]
CANARY = "zebra"


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    here = {"clock": lambda: NOW, "embedder": WordsEmbedder()}
    with MemOS(InMemoryVault(), **here) if request.param == "memory" else MemOS.open(tmp_path / "v", **here) as made:
        yield made


def policy(*rules: dict[str, Any]) -> Policy:
    return Policy(rules=tuple(Rule.model_validate({"name": f"r{n}", **said}) for n, said in enumerate(rules)))


def planted(memos: MemOS) -> MemCube:
    told = Provenance(source=f"{CANARY}-file", thread_id=f"{CANARY}-thread", message_id=CANARY)
    return memos.remember(
        "The visitor Zelda came at noon.", by=ANA, readers=["*"], writers=["dee"], sharers=["dee"], tags=[CANARY],
        value={"note": CANARY}, provenance=told,
    )  # fmt: skip


READS: dict[str, Callable[[MemOS, MemCube], object]] = {
    "get": lambda memos, cube: memos.get(cube.id, by=DESK),
    "history": lambda memos, cube: memos.history(cube.id, by=DESK),
    "find": lambda memos, _: memos.find(CubeFilter(), by=DESK),
    "recall": lambda memos, _: memos.recall("visitor at noon", by=DESK, needed=True),
    "provenance": lambda memos, cube: memos.provenance(cube.id, by=DESK),
    "as_of": lambda memos, _: memos.recall("visitor at noon", by=DESK, needed=True, as_of=NOW),
}


@pytest.mark.parametrize("read", READS)
def test_what_is_kept_back_is_on_no_way_of_reading(memos: MemOS, read: str) -> None:
    cube = planted(memos)
    assert CANARY in repr(READS["get"](memos, cube))
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": PARTS}), by=ADMIN)
    said = repr(READS[read](memos, cube))
    assert CANARY not in said
    assert CANARY in repr(memos.get(cube.id, by=ANA))
    if read in {"get", "find", "recall"}:
        assert "The visitor Zelda came at noon." in said


def test_no_filter_tells_what_is_kept_back(memos: MemOS) -> None:
    planted(memos)
    looks = [
        CubeFilter(tags=(CANARY,)),
        CubeFilter(entities=("Zelda",)),
        CubeFilter(thread_id=f"{CANARY}-thread"),
        CubeFilter(value=(ValueTest(("note",), "eq", CANARY),)),
    ]
    for wanted in looks:
        assert len(memos.find(wanted, by=DESK)) == 1
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": PARTS}), by=ADMIN)
    for wanted in looks:
        assert memos.find(wanted, by=DESK) == []
        assert len(memos.find(wanted, by=ANA)) == 1


def test_what_is_seen_in_part_is_not_changed_shared_or_trained_on(memos: MemOS) -> None:
    cube = planted(memos)
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": ["tags"]}), by=ADMIN)
    for verb in (Verb.WRITE, Verb.SHARE, Verb.TRAIN_ON):
        assert "part" in memos.explain_access(cube, DESK, verb=verb).reason
    with pytest.raises(AccessDeniedError, match="part"):
        memos.update(cube.id, by=DESK, text="Other words.")
    assert memos.get(cube.id, by=ANA).descriptive.tags == cube.descriptive.tags


def test_a_part_for_some_is_kept_from_the_others_and_one_of_several_roles_is_enough(memos: MemOS) -> None:
    cube = planted(memos)
    memos.adopt_policy(policy({"who": ["role:doctor"], "may": ["read"], "fields": ["value"]}), by=ADMIN)
    assert CANARY in repr(memos.get(cube.id, by=BOTH).payload)
    assert CANARY not in repr(memos.get(cube.id, by=DESK).payload)


@pytest.mark.answers("AISVS 5.2.7")
def test_what_was_derived_has_no_part_that_its_source_keeps_back(memos: MemOS) -> None:
    source = memos.remember("A visit at noon.", by=ANA, readers=["*"], semantic_type="visit")
    told = Provenance(derived_from=(source.ref,))
    made = memos.remember("Somebody came at noon.", by=ANA, readers=["*"], tags=[CANARY], provenance=told)
    rule = {"who": ["role:desk"], "may_not": ["read"], "fields": ["tags"], "memories": {"types": ["visit"]}}
    assert CANARY in repr(memos.get(made.id, by=DESK))
    memos.adopt_policy(policy(rule), by=ADMIN)
    assert CANARY not in repr(memos.get(made.id, by=DESK))


def test_hours_and_days_decide(memos: MemOS) -> None:
    monday = NOW
    caller = Caller(ANA, CallContext(), monday, None)
    assert When(hours=(8, 18), days=(1, 2)).holds(caller)
    assert not When(hours=(13, 18)).holds(caller)
    assert not When(days=(2,)).holds(caller)
    assert When(hours=(13, 18), zone="Asia/Kolkata").holds(caller)  # half past five there
    night = When(hours=(22, 6))
    assert night.holds(caller._replace(now=monday.replace(hour=23)))
    assert not night.holds(caller)
    with pytest.raises(ValueError, match="no time zone"):
        When(zone="Nowhere/At/All")
    with pytest.raises(ValueError, match="different hours"):
        When(hours=(8, 8))
    memos.remember("Tea at four.", by=ANA, sensitivity=["x"])
    memos.adopt_policy(
        policy({"who": ["*"], "may_not": ["read"], "memories": {"sensitivity": ["x"]}, "unless": {"hours": [12, 13]}}),
        by=ADMIN,
    )
    assert memos.recall("tea", by=ANA, needed=True).hits
    memos._clock = lambda: NOW + timedelta(hours=1)
    assert not memos.recall("tea", by=ANA, needed=True).hits


def test_decisions_that_are_kept_are_those_of_the_engine_whatever_is_written_between(memos: MemOS) -> None:
    """Random writes, erasures and hours: what is found is what the rules say of every memory, each time."""
    chance = Random(5)
    made = policy(
        {"who": ["owner"], "may": ["read"], "memories": {"sensitivity": ["x"]}},
        {"who": ["role:desk"], "may_not": ["read"], "memories": {"sensitivity": ["y"], "older_than": "PT5H"}},
    )
    memos.adopt_policy(made, by=ADMIN)
    ids: list[str] = []
    for hour in range(60):
        now = NOW + timedelta(hours=hour)
        memos._clock = lambda now=now: now
        done = chance.choice(["write", "write", "update", "forget", "wait"])
        marks = chance.sample(["x", "y"], chance.choice([0, 1, 1]))
        if done == "write" or not ids:
            ids.append(memos.remember(f"kettle {hour}", by=ANA, readers=["*"], sensitivity=marks).id)
        elif done == "update":
            memos.update(chance.choice(ids), by=ANA, sensitivity=marks)
        elif done == "forget":
            memos.forget(ids.pop(chance.randrange(len(ids))), by=ANA)
        for by in (DESK, ANA):
            caller = Caller(by, CallContext(), now, made)
            cubes = [memos._governance.held([each], caller)[each] for each in ids]
            wanted = {cube.id for cube in cubes if may_read(cube, caller)}
            assert {cube.id for cube in memos.find(CubeFilter(), by=by, k=100)} == wanted


def test_of_what_was_written_since_and_of_nothing_else_it_is_decided_again(
    memos: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        memos.remember(f"kettle {number}", by=ANA, readers=["*"], sensitivity=["x"])
    memos.adopt_policy(
        policy({"who": ["role:desk"], "may_not": ["read"], "memories": {"sensitivity": ["x"]}}), by=ADMIN
    )
    assert memos.find(CubeFilter(), by=DESK) == []
    decided: list[str] = []
    engine = Policy.refusal

    def counted(self: Policy, cube: MemCube, verb: str, caller: Any) -> str | None:
        decided.append(cube.id)
        return engine(self, cube, verb, caller)

    monkeypatch.setattr(Policy, "refusal", counted)
    assert memos.find(CubeFilter(), by=DESK) == []
    assert decided == []
    cube = memos.remember("kettle again", by=ANA, readers=["*"], sensitivity=["x"])
    decided.clear()
    assert memos.find(CubeFilter(), by=DESK) == []
    assert set(decided) == {cube.id}


def _own(memos: MemOS, cube: MemCube, by: Principal, verb: Verb) -> object:
    caller = memos._caller(by, None)
    return memos._governance.own(cube.id, verb, caller, operation="test")


@pytest.mark.parametrize("verb", [Verb.READ, Verb.USE_IN_PROMPT, Verb.TRAIN_ON, Verb.WRITE, Verb.SHARE, Verb.DELETE])
@pytest.mark.parametrize("said", ["may_not", "may"])
def test_what_governs_itself_asks_the_policy_for_every_verb(memos: MemOS, verb: Verb, said: str) -> None:
    cube = memos.remember("My own words.", by=DESK, key="k", tags=["plan"])
    assert _own(memos, cube, DESK, verb) is not None
    assert _own(memos, cube, ANA, verb) is None
    who = ["role:desk"] if said == "may_not" else ["role:doctor"]
    memos.adopt_policy(policy({"who": who, said: [verb.value], "memories": {"tags": ["plan"]}}), by=ADMIN)
    with pytest.raises(AccessDeniedError, match="rule"):
        _own(memos, cube, DESK, verb)
    assert memos.audit(by=ADMIN, operation="test")[-1].record.outcome.value == "denied"


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("read", lambda memos, cube: memos.remember("Again.", by=DESK, key="k")),
        ("read", lambda memos, cube: memos.get(cube.id, by=DESK)),
        ("read", lambda memos, cube: memos.restore(cube.id, version=1, by=DESK)),
        ("write", lambda memos, cube: memos.restore(cube.id, version=1, by=DESK)),
        ("write", lambda memos, cube: memos.update(cube.id, by=DESK, text="Other.")),
        ("delete", lambda memos, cube: memos.forget(cube.id, by=DESK)),
        ("delete", lambda memos, cube: memos.forget_from(by=DESK, source="mail")),
    ],
)
def test_every_verb_asks_the_policy_of_an_owner_too(
    memos: MemOS, verb: str, call: Callable[[MemOS, MemCube], object]
) -> None:
    told = Provenance(source="mail")
    cube = memos.remember("My own words.", by=DESK, key="k", tags=["plan"], provenance=told)
    memos.adopt_policy(policy({"who": ["*"], "may_not": [verb], "memories": {"tags": ["plan"]}}), by=ADMIN)
    with pytest.raises((AccessDeniedError, CubeNotFoundError)):
        call(memos, cube)
    memos.adopt_policy(None, by=ADMIN)
    assert memos.get(cube.id, by=DESK).text == "My own words."


def test_no_delivery_and_no_export_has_what_is_kept_back(memos: MemOS) -> None:
    cube = planted(memos)
    own = memos.remember("My own visit.", by=DESK, tags=[CANARY])
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": PARTS}), by=ADMIN)
    caller, governance = memos._caller(DESK, None), memos._governance
    assert CANARY not in repr(governance.deliverable([cube.id, own.id], caller))
    assert governance.deliverable([cube.id], caller)
    assert list(governance.walk(CubeFilter(), caller, page=10)) in ([], [[]])
    assert governance.whole([cube.id, own.id], caller, own=True) == []
    assert governance.whole([cube.id, own.id], caller, own=False) == []


def test_a_version_made_of_what_was_shown_is_not_written(memos: MemOS) -> None:
    """Whatever part of the engine forgot to ask: the doorway refuses what would lose the parts kept back."""
    own = memos.remember("My own visit.", by=DESK, tags=[CANARY])
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": ["tags"]}), by=ADMIN)
    shown = memos.get(own.id, by=DESK)
    caller = memos._caller(DESK, None)
    newer = shown.model_copy(update={"version": 2})
    with pytest.raises(AccessDeniedError, match="lost"):
        memos._governance.put(newer, caller, operation="update", terms=("visit",), vector=None)
    memos.adopt_policy(None, by=ADMIN)
    assert memos.get(own.id, by=DESK).descriptive.tags == own.descriptive.tags


def test_nothing_is_computed_from_what_is_seen_in_part(memos: MemOS) -> None:
    cube = planted(memos)
    made_by = dict.fromkeys(("model", "weights", "tokenizer", "chat_template", "dtype", "positions"), "x")

    def keep(by: Principal, key: str) -> MemCube:
        source = memos.get(cube.id, by=by)
        return memos.keep_activation(
            b"keys and values", [source], token_count=3, token_ids_digest="0" * 64, key=key,
            fingerprint=ModelFingerprint(**made_by), by=by,
        )  # fmt: skip

    kept = keep(DESK, "before")
    assert memos.find_activation("before", by=DESK) == kept
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": ["tags"]}), by=ADMIN)
    assert memos.find_activation("before", by=DESK) is None
    with pytest.raises(AccessDeniedError, match="part"):
        keep(DESK, "after")
    assert keep(ANA, "hers").provenance.derived_from == (cube.ref,)


def test_a_rule_for_every_memory_leaves_the_books_of_whom_it_is_for(memos: MemOS) -> None:
    mine = memos.remember("The desk is closed on Friday.", by=DESK)
    offer = memos.store.publish("closed", by=DESK, to=["ana"], cube_id=mine.id)
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": [*PARTS, "blob"]}), by=ADMIN)
    assert memos.store.offers(by=DESK) == [offer]
    memos.store.subscribe("news", by=DESK, tags=[])
    planted(memos)
    batch = memos.store.pull("news", by=DESK)
    assert [each.cube.text for each in batch.deliveries if each.cube] == ["The visitor Zelda came at noon."]
    assert CANARY not in repr(batch), "what the rule keeps back is kept back from a delivery, too"
    memos.store.acknowledge("news", batch.upto, by=DESK)
    assert [each.name for each in memos.store.subscriptions(by=DESK)] == ["news"]
    assert memos.store.pull("news", by=DESK).deliveries == ()
    memos.store.unsubscribe("news", by=DESK)
    assert memos.store.subscriptions(by=DESK) == []


def test_the_books_of_others_are_kept_back_like_any_value(memos: MemOS) -> None:
    memos.adopt_policy(policy({"who": ["role:desk"], "may_not": ["read"], "fields": ["value"]}), by=ADMIN)
    mine = memos.remember("The kiln is free.", by=ANA)
    memos.store.publish(CANARY, by=ANA, to=["dee"], cube_id=mine.id)
    assert memos.store.offers(by=DESK) == []
    assert CANARY not in repr([each.payload for each in memos.find(CubeFilter(), by=DESK)])
