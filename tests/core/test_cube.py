"""A cube is a value: it survives every round trip, and its digest changes exactly when the memory does."""

import copy
import json
import pickle
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memos_integrations.core.cube import (
    MAX_TEXT_BYTES,
    ActivationPayload,
    Behaviour,
    BlobRef,
    Channel,
    CubeRef,
    Descriptive,
    Governance,
    Layer,
    Licence,
    Link,
    MemCube,
    ModelFingerprint,
    Origin,
    ParameterPayload,
    PlaintextPayload,
    Provenance,
    Relation,
    State,
    Tier,
    Trust,
    TrustLabel,
    canonical_json,
    new_id,
    sha256,
    thawed,
)
from memos_integrations.core.errors import InvalidMemoryError

NOW = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
DIGEST = "0" * 63 + "f"
FINGERPRINT = ModelFingerprint(
    model="tiny", weights="w", tokenizer="t", chat_template="c", dtype="float32", positions="rope:10000"
)

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=30)
labels = words.filter(lambda text: bool(text.strip()))
moments = st.datetimes(
    min_value=datetime(1971, 1, 1),
    max_value=datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
refs = st.builds(CubeRef, id=labels, version=st.integers(1, 9))
blobs = st.builds(BlobRef, digest=st.just(DIGEST), size=st.integers(0, 10**12), media_type=labels)
payloads = st.one_of(
    st.builds(PlaintextPayload, text=labels, value=json_values, blob=st.none() | blobs),
    st.builds(
        ActivationPayload,
        segments=st.lists(blobs, min_size=1, max_size=3).map(tuple),
        token_ids_digest=st.just(DIGEST),
        token_count=st.integers(1, 10**6),
        fingerprint=st.just(FINGERPRINT),
    ),
    st.builds(ParameterPayload, adapter=blobs, base=st.just(FINGERPRINT), training=json_values),
)
cubes = st.builds(
    MemCube,
    id=st.builds(new_id),
    version=st.integers(1, 10**6),
    namespace=st.lists(labels, min_size=1, max_size=4).map(tuple),
    payload=payloads,
    descriptive=st.builds(
        Descriptive,
        created_at=moments,
        recorded_at=moments,
        valid_from=st.none() | moments,
        valid_to=st.none(),
        origin=st.sampled_from(Origin),
        semantic_type=labels,
        tags=st.lists(labels, max_size=3).map(tuple),
        topic=st.none() | labels,
        entities=st.lists(labels, max_size=3).map(tuple),
    ),
    provenance=st.builds(
        Provenance,
        source=st.none() | labels,
        occurred_at=st.none() | moments,
        derived_from=st.lists(refs, max_size=2).map(tuple),
        links=st.lists(st.builds(Link, relation=st.sampled_from(Relation), target=labels), max_size=2).map(tuple),
    ),
    trust=st.builds(Trust, channel=st.sampled_from(Channel), label=st.sampled_from(TrustLabel)),
    governance=st.builds(
        Governance,
        owner=labels,
        readers=st.lists(labels, max_size=2).map(tuple),
        layer=st.just(Layer.SHARED),
        expires_at=st.none() | moments,
        half_life=st.none() | st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=9000)),
        licence=st.none() | st.builds(Licence, text=words, uses_left=st.none() | st.integers(0, 9)),
    ),
    state=st.sampled_from(State),
    behaviour=st.builds(Behaviour, reads=st.integers(0, 99), heat=st.floats(0, 1e9), last_read=st.none() | moments),
)


def a_cube(**changes: object) -> MemCube:
    fields: dict[str, object] = {
        "id": new_id(),
        "namespace": ("acme", "ana@example.com"),
        "payload": PlaintextPayload(text="Ana likes tea."),
        "descriptive": Descriptive(created_at=NOW, recorded_at=NOW),
        "governance": Governance(owner="user:ana"),
    }
    return MemCube.model_validate(fields | changes)


@given(cubes)
def test_a_cube_survives_json_exactly(cube: MemCube) -> None:
    again = MemCube.from_json(cube.to_json())
    assert again == cube
    assert again.digest == cube.digest
    assert again.content_digest == cube.content_digest


@given(cubes)
def test_the_canonical_form_is_json_with_sorted_keys(cube: MemCube) -> None:
    plain = json.loads(cube.canonical())
    assert json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == cube.canonical()
    assert {"behaviour", "state"}.isdisjoint(plain)
    dumped = cube.model_dump(mode="json", by_alias=True, exclude={"behaviour", "state"})
    assert canonical_json(dumped) == cube.canonical()
    assert canonical_json(cube.behaviour.model_dump(mode="json")) == cube.behaviour._canonical


@pytest.mark.parametrize("text", ["plain", '"q" \\ \u2028 \x7f é 漢', " x\n"])
def test_a_payload_of_words_is_what_the_model_makes_of_them(text: str) -> None:
    made, modelled = PlaintextPayload.of_words(text), PlaintextPayload(text=text)
    assert made == modelled
    assert made._canonical == modelled._canonical == canonical_json(modelled.model_dump(mode="json"))


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "\ud800", 7, None])
def test_a_payload_of_words_is_refused_as_the_model_refuses_it(text: Any) -> None:
    with pytest.raises(ValidationError) as modelled:
        PlaintextPayload(text=text)
    with pytest.raises(ValidationError) as made:
        PlaintextPayload.of_words(text)
    assert str(made.value) == str(modelled.value)


def test_what_was_computed_of_a_value_is_computed_anew_for_another() -> None:
    rules = Governance(owner="user:ana", layer=Layer.SHARED, readers=("user:ben",))
    assert rules.read_by == {"user:ana", "user:ben"}
    for other in (rules.model_copy(update={"readers": ()}), rules.with_checked(readers=())):
        assert other.read_by == {"user:ana"}
        assert other._canonical == canonical_json(other.model_dump(mode="json"))
    assert rules._canonical == canonical_json(rules.model_dump(mode="json"))


def test_use_and_state_leave_the_digest_alone_and_everything_else_changes_it() -> None:
    cube = a_cube()
    assert cube.model_copy(update={"state": State.FROZEN, "behaviour": Behaviour(reads=7)}).digest == cube.digest
    changed = [
        {"version": 2},
        {"namespace": ("acme", "ben")},
        {"payload": PlaintextPayload(text="Ana likes tea!")},
        {"governance": Governance(owner="user:ana", readers=("user:ben",), layer=Layer.SHARED)},
        {"trust": Trust(quarantined=True)},
        {"provenance": Provenance(speaker="Ana")},
    ]
    assert len({cube.model_copy(update=change).digest for change in changed} | {cube.digest}) == len(changed) + 1


def test_the_same_content_has_the_same_content_digest_whoever_owns_it() -> None:
    assert a_cube().content_digest == a_cube(governance=Governance(owner="user:ben")).content_digest


def test_times_are_kept_in_utc_and_naive_ones_are_refused() -> None:
    nepal = datetime(2026, 3, 3, 0, 15, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert Descriptive(created_at=nepal, recorded_at=nepal).created_at == NOW
    with pytest.raises(ValidationError, match="timezone"):
        Descriptive(created_at=datetime(2026, 3, 2), recorded_at=NOW)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("nul \x00 here", "NUL"),
        ("half \ud83d pair", "lone surrogate"),
        ("x" * (MAX_TEXT_BYTES + 1), "split it"),
        ("é" * (MAX_TEXT_BYTES // 2 + 1), "split it"),
    ],
)
def test_text_that_no_store_could_keep_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PlaintextPayload(text=text)


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, {1, 2}, b"bytes", {"k": "\ud800"}, object()])
def test_a_value_that_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        PlaintextPayload(text="a value", value=value)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_deeply_nested_value_is_refused_not_a_crash(depth: int) -> None:
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(ValidationError, match="JSON"):
        PlaintextPayload(text="deep", value=nested)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": "x"}', '{"id": 1, "extra": true}'])
def test_what_is_not_a_cube_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InvalidMemoryError, match="Not a MemCube"):
        MemCube.from_json(text)


def test_ids_are_uuid7_unique_and_sorted_even_within_a_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert uuid.UUID(ids[0]).version == 7
    assert uuid.UUID(ids[0]).variant == uuid.RFC_4122
    age = datetime.now(UTC).timestamp() - (uuid.UUID(ids[0]).int >> 80) / 1000
    assert abs(age) < 60


def test_a_private_cube_has_nobody_but_its_owner() -> None:
    with pytest.raises(ValidationError, match="private"):
        Governance(owner="user:ana", readers=("user:ben",))


def test_tenant_tier_and_text_come_from_the_parts() -> None:
    cube = a_cube()
    assert (cube.tenant, cube.tier, cube.text) == ("acme", Tier.PLAINTEXT, "Ana likes tea.")
    assert cube.ref == CubeRef(id=cube.id, version=1)


@given(words.filter(str.strip))
def test_the_canonical_form_is_the_sorted_json_of_the_fields(text: str) -> None:
    value = {"b": [1, 2.5, None, {"z": text, "a": True}], "a": text, "é": 1e300}
    first = MemCube(
        id="one",
        namespace=("acme", text[:100]),
        payload=PlaintextPayload(text=text, value=value),
        descriptive=Descriptive(created_at=NOW, recorded_at=NOW, tags=(text[:100],), valid_from=NOW),
        provenance=Provenance(links=(Link(relation=Relation.FOLLOWS, target="two"),), speaker=text[:100]),
        governance=Governance(owner="user:ana", half_life=timedelta(days=1, microseconds=3)),
    )
    assert first.canonical()  # kept from here on; what is made of the cube must not inherit it
    second = first.model_copy(update={"version": 2, "payload": PlaintextPayload(text="other")})
    third = first.model_copy(update={"governance": Governance(owner="user:eve")}, deep=True)
    part = first.model_copy(update={"trust": first.trust.model_copy(update={"quarantined": True})})
    for cube in (first, second, third, part, MemCube.from_json(first.to_json())):
        fields = cube.model_dump(mode="json", by_alias=True, exclude={"behaviour", "state"})
        written = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert cube.canonical() == written.encode()
        assert cube.content_digest == sha256(canonical_json(cube.payload.model_dump(mode="json")))
    assert MemCube.from_json(first.to_json()) == first


@given(st.lists(words | st.none(), max_size=3), st.datetimes(datetime(1, 1, 2)), st.floats(0, allow_infinity=False))
def test_every_part_is_spelled_as_json_spells_it(texts: list[str | None], moment: datetime, heat: float) -> None:
    every = "".join(map(chr, (*range(1, 0x300), 0x2028, 0xFFFD, 0x10FFFF)))
    said = {f"{every}{number}": text for number, text in enumerate(texts)} | {"n": heat, "big": 2**70, "deep": [[{}]]}
    when = moment.replace(tzinfo=UTC)
    parts = [
        Descriptive(created_at=when, recorded_at=when, tags=(every,), entities=(every[::-1],), origin=Origin.IMPORT),
        Provenance(links=(Link(relation=Relation.FOLLOWS, target=every),), derived_from=(CubeRef(id="x", version=9),)),
        Governance(owner=every, half_life=timedelta(days=1, microseconds=3), licence=Licence(uses_left=2, until=when)),
        Behaviour.of_checked(heat=heat, trust=0.5, last_read=when, reads=2**70),
        PlaintextPayload(text=every, value=said, blob=BlobRef(digest="0" * 64, size=2)),
        Trust.of_checked(quarantined=True),
    ]
    for part in parts:
        dumped = part.model_dump(mode="json")
        assert part._canonical == json.dumps(dumped, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_structured_value_is_as_immutable_as_the_cube_around_it() -> None:
    mine = {"a": [1, {"b": "c"}], "d": {"e": 2.5}}
    payload = PlaintextPayload(text="x", value=mine)
    before = payload._canonical
    mine["a"] = []  # the caller's own: nothing of it is inside
    for held in (payload.value, payload.value["d"]):
        changes: list[Callable[[], object]] = [
            lambda held=held: held.__setitem__("e", 1), lambda held=held: held.update(e=1), held.clear, held.popitem,
            lambda held=held: held.setdefault("z", 1), lambda held=held: held.__ior__({"z": 1}),
            lambda held=held: held.pop("e", None), lambda held=held: held.__delitem__("e"),
        ]  # fmt: skip
        for change in changes:
            with pytest.raises(TypeError, match="cannot be changed"):
                change()
    array = payload.value["a"]
    for change in (
        lambda: array.append(1), lambda: array.extend([1]), lambda: array.insert(0, 1), array.pop,
        lambda: array.remove(1), array.clear, array.sort, array.reverse, lambda: array.__setitem__(0, 1),
        lambda: array.__delitem__(0), lambda: array.__iadd__([1]), lambda: array.__imul__(2),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert payload.value == {"a": [1, {"b": "c"}], "d": {"e": 2.5}}
    assert canonical_json(payload.model_dump(mode="json")) == before == payload._canonical
    for same in (copy.deepcopy(payload), pickle.loads(pickle.dumps(payload)), payload.model_copy(deep=True)):
        assert same == payload
        with pytest.raises(TypeError):
            same.value["a"].append(1)
    loose = thawed(payload.value)
    loose["a"].append(1)
    assert type(loose) is dict
    assert payload.value["a"] == [1, {"b": "c"}]


@pytest.mark.parametrize("field", ["reads", "helpful", "wrong", "licensed"])
def test_a_count_is_one_that_every_reader_of_json_knows(field: str) -> None:
    assert getattr(Behaviour(**{field: 2**53 - 1}), field) == 2**53 - 1
    for number in (2**53, -1):
        with pytest.raises(ValidationError):
            Behaviour(**{field: number})
