"""Both vaults give the same answers to anything."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations.core.cube import MemCube, PlaintextPayload, State
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import (
    CubeFilter,
    Erase,
    Found,
    Move,
    PutVector,
    Transaction,
    Use,
    ValueTest,
    Vault,
    VaultQuery,
    Visibility,
)
from memos_integrations.testing.cubes import EMBEDDER, NOW, cube, put, record, revised, unit
from memos_integrations.vaults import InMemoryVault, SQLiteVault

# Few values of each kind, so that they meet; the odd ones are those that encodings trip over.
NAMES = st.sampled_from(["a", "ab", "A", "a%", "_", "a/b", "İ", "é", "e\u0301"])
WORDS = st.lists(st.sampled_from(["tea", "pot", "blue", "東京", "x' OR 1=1"]), max_size=6).map(tuple)
SUBJECTS = st.frozensets(st.sampled_from(["user:a", "user:b", "*"]), min_size=1, max_size=2)
SELDOM = st.sampled_from([False] * 9 + [True])
TIMES = st.integers(-3, 3).map(lambda n: NOW + timedelta(days=n))
TENANTS = st.sampled_from(["a", "a", "a", "ab"])
LABELS = st.lists(NAMES, max_size=2).map(tuple)
SEEDS = st.none() | st.integers(0, 5)
MAYBE = st.none() | NAMES

SCALARS = st.sampled_from([None, True, 0, 1, 1.0, -0.0, "a", ""])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=4,
)

CUBES = st.builds(
    dict,
    namespace=st.tuples(TENANTS, NAMES) | st.tuples(TENANTS),
    tags=LABELS,
    entities=LABELS,
    speaker=MAYBE,
    thread_id=MAYBE,
    session_id=MAYBE,
    semantic_type=NAMES,
    purposes=SELDOM.flatmap(lambda limited: LABELS if limited else st.just(())),
    applications=SELDOM.flatmap(lambda limited: LABELS if limited else st.just(())),
    expires_at=SELDOM.flatmap(lambda limited: TIMES if limited else st.none()),
    occurred_at=st.none() | TIMES,
    created_at=TIMES,
    recorded_at=TIMES,
    payload=st.none() | st.builds(PlaintextPayload, text=st.just("structured"), value=JSON),
    valid_from=st.none() | TIMES.map(lambda t: t - timedelta(days=3)),
    valid_to=st.none() | TIMES.map(lambda t: t + timedelta(days=3)),
    quarantined=SELDOM,
    state=st.sampled_from(State),
)
VALUE_TESTS = st.builds(
    ValueTest, st.lists(st.sampled_from(["a", "0"]), max_size=2).map(tuple), st.sampled_from(["eq", "ne"]), SCALARS
) | st.builds(
    ValueTest,
    st.lists(st.sampled_from(["a", "0"]), max_size=2).map(tuple),
    st.sampled_from(["gt", "lte"]),
    st.just(0.5),
)
PUTS = st.tuples(st.just("put"), CUBES, SUBJECTS, WORDS, SEEDS, st.none() | MAYBE)
STEPS = st.one_of(
    PUTS,
    st.tuples(st.just("revise"), st.integers(0, 9), SUBJECTS, WORDS, SEEDS, st.integers(1, 2)),
    st.tuples(st.just("vector"), st.integers(0, 9), st.integers(0, 5)),
    st.tuples(st.just("move"), st.integers(0, 9), st.sampled_from(State), st.sampled_from(State)),
    st.tuples(st.just("use"), st.integers(0, 9), TIMES),
    st.tuples(st.just("erase"), st.integers(0, 9)),
)
VISIBLE = st.builds(
    Visibility,
    tenant=st.sampled_from(["a"] * 8 + ["ab", "A"]),
    subjects=SUBJECTS,
    now=TIMES,
    purpose=MAYBE,
    application=MAYBE,
)
ANY_LABELS = st.just(()) | LABELS
FILTERS = st.builds(
    CubeFilter,
    namespace=st.just(()) | st.tuples(st.sampled_from(["a", "ab"])) | st.tuples(st.just("a"), NAMES),
    semantic_types=ANY_LABELS,
    tags=ANY_LABELS,
    entities=ANY_LABELS,
    speakers=ANY_LABELS,
    thread_id=st.none() | MAYBE,
    session_id=st.none() | MAYBE,
    states=st.just(frozenset[State]()) | st.frozensets(st.sampled_from(State)),
    occurred=st.none() | st.tuples(TIMES, TIMES),
    valid_at=st.none() | TIMES,
    recorded=st.none() | st.tuples(TIMES, TIMES),
    sessions=ANY_LABELS,
    value=st.lists(VALUE_TESTS, max_size=1).map(tuple),
)
QUERIES = st.builds(
    VaultQuery, k=st.integers(0, 5), terms=WORDS, vector=SEEDS.map(lambda s: None if s is None else unit(s)),
    filter=st.sampled_from([True, True, False]).flatmap(
        lambda anything: st.just(CubeFilter(states=frozenset())) if anything else FILTERS
    ),
    as_of=st.none() | st.none() | TIMES,
)  # fmt: skip


def change(step: tuple[Any, ...], made: list[MemCube]) -> Any:
    kind = step[0]
    if kind == "put":
        _, fields, readers, words, seed, key = step
        fields = {name: value for name, value in fields.items() if (name, value) != ("payload", None)}
        made.append(cube(f"n {len(made)}", **fields))
        return put(made[-1], readers=readers, terms=" ".join(words), vector=_row(seed), key=key)
    old = made[step[1] % len(made)] if made else cube("never put")
    match kind:
        case "revise":
            _, number, readers, words, seed, ahead = step
            when = old.descriptive.model_copy(update={"recorded_at": old.descriptive.recorded_at + timedelta(days=1)})
            new = revised(old, f"{old.text}'", descriptive=when).model_copy(update={"version": old.version + ahead})
            if ahead == 1 and made:
                made[number % len(made)] = new
            return put(new, readers=readers, terms=" ".join(words), vector=_row(seed))
        case "vector":
            return PutVector(old.id, old.version, unit(step[2]))
        case "move":
            return Move(old.id, step[2], step[3])
        case "use":
            return Use(old.id, step[2], "recall")
        case _:
            return Erase(old.id)


def _row(seed: int | None) -> Any:
    return None if seed is None else unit(seed)


def outcome(vault: Vault, what: Any) -> str:
    audit = (record(what.cube),) if hasattr(what, "cube") else ()
    try:
        return f"commit {vault.submit(Transaction((what,), audit)).result(timeout=30).commit}"
    except MemOSError as exc:
        return f"{type(exc).__name__}: {exc}"


def answer(found: Found) -> list[tuple[Any, ...]]:
    return [(match.cube, match.bm25, match.cosine) for match in found.matches]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(PUTS, min_size=3, max_size=12),
    st.lists(STEPS, max_size=10),
    st.lists(st.tuples(QUERIES, VISIBLE), min_size=3, max_size=8),
)
def test_the_same_writes_and_questions_give_the_same_answers(
    puts: list[tuple[Any, ...]], steps: list[tuple[Any, ...]], questions: list[tuple[VaultQuery, Visibility]]
) -> None:
    made: list[MemCube] = []
    with tempfile.TemporaryDirectory() as folder, InMemoryVault() as plain, SQLiteVault(Path(folder)) as durable:
        for vault in (plain, durable):
            vault.bind_embedder(EMBEDDER)
        outcomes = []
        for step in [*puts, *steps]:
            what = change(step, made)
            # bind_embedder is a commit in SQLite alone, so numbers differ by one
            pair = [outcome(plain, what), outcome(durable, what)]
            outcomes.append(pair)
            assert pair[0].split()[0] == pair[1].split()[0]
            if not pair[0].startswith("commit"):
                assert pair[0] == pair[1]
        for query, visible in questions:
            one, two = plain.search(query, visible), durable.search(query, visible)
            assert [row[0] for row in answer(one)] == [row[0] for row in answer(two)]
            for mine, theirs in zip(answer(one), answer(two), strict=True):
                assert theirs[1:] == pytest.approx(mine[1:], abs=1e-9)
            assert one.visible == two.visible
        for made_cube in made:
            for tenant in ("a", "ab"):
                assert plain.history(tenant, made_cube.id) == durable.history(tenant, made_cube.id)
                assert plain.get(tenant, [made_cube.id]) == durable.get(tenant, [made_cube.id])
        assert plain.unembedded(99) == durable.unembedded(99)
        first, second = plain.verify_audit(), durable.verify_audit()
        assert (first.entries, first.head, sorted(first.problems)) == (
            second.entries, second.head, sorted(second.problems)
        )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    CUBES, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
)
def test_a_cube_survives_its_bytes(fields: dict[str, Any], text: str) -> None:
    from memos_integrations.vaults.sealing import seal, unseal

    fields = {name: value for name, value in fields.items() if name != "payload"}
    given_cube = cube(text, **fields)
    back = unseal(seal(given_cube), given_cube.digest, cube_id=given_cube.id, version=1)
    assert back == given_cube.model_copy(update={"state": State.GENERATED})
    assert MemCube.from_json(given_cube.to_json()) == given_cube


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_histories_are_whole_whatever_the_order_of_writers(count: int, random: Any) -> None:
    """Writers race for the next version of three cubes; each history is 1, 2, … n without a gap."""
    with tempfile.TemporaryDirectory() as folder, SQLiteVault(Path(folder)) as vault:
        newest = {number: cube(f"cube {number}", namespace=("a",)) for number in range(3)}
        first = list(newest.values())
        futures = [vault.submit(Transaction((put(each),), (record(each),))) for each in first]
        for _ in range(count):
            number = random.randrange(3)
            rivals = [revised(newest[number], f"rival {rival}") for rival in range(3)]
            futures += [vault.submit(Transaction((put(r),), (record(r, "update"),))) for r in rivals]
            newest[number] = rivals[0]  # queued first, so it wins
        refused = sum(future.exception(timeout=30) is not None for future in futures)
        assert refused == 2 * count
        for number, each in enumerate(first):
            versions = vault.history("a", each.id)
            assert [version.version for version in versions] == list(range(1, newest[number].version + 1))
            assert versions[-1] == newest[number]
        assert vault.verify_audit().ok
