"""What was erased, here or there, stays erased; what a vault notes for itself arrives nowhere."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, State
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.errors import BundleError, CubeNotFoundError, InvalidMemoryError, RefusedByGateError
from memos_integrations.core.gate import Ruling, WriteGate
from memos_integrations.core.interchange import Addressee, Limits, changes, taking
from memos_integrations.core.item import Address, ItemWrite
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.conformance import make

ANA = Principal(tenant="clinic-a", user="ana")
BO = Principal(tenant="clinic-b", user="bo")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
ALL = CubeFilter(states=frozenset(State))
OUT: dict[str, Any] = {"by": ANA, "signer": KEY, "issuer": "clinic-a", "recipient": "clinic-b"}
IN: dict[str, Any] = {"by": BO, "trusted": {KEY.key: "clinic-a"}, "recipient": "clinic-b"}


@pytest.fixture
def vaults(tmp_path: Path) -> Iterator[tuple[MemOS, MemOS]]:
    with (
        MemOS(SQLiteVault(tmp_path / "from"), clock=lambda: NOW) as source,
        MemOS(SQLiteVault(tmp_path / "to"), clock=lambda: NOW) as target,
    ):
        yield source, target
        assert source.verify_audit().ok
        assert target.verify_audit().ok


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def texts(memos: MemOS, by: Principal = BO) -> list[str]:
    found = memos.find(ALL, by=by, k=100)
    return sorted(cube.text for cube in found if cube.descriptive.semantic_type != "import_receipt")


def test_a_series_goes_on_after_an_erasure_and_tells_of_it(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, target = vaults
    old, kept = source.remember("An old fact.", by=ANA), source.remember("Another.", by=ANA)
    first = source.dump_next(out, "nightly", **OUT)
    here = {each.id: each.here for each in target.load(first.path, **IN).shown}
    source.forget(old.id, by=ANA)
    for number in range(3):
        source.remember(f"New fact {number}.", by=ANA)
        made = source.dump_next(out, "nightly", **OUT)
        assert made is not None
        report = target.load(made.path, **IN)
        assert (made.cubes, made.erased, report.counts) == (
            (1, 1, {"erased": 1, "new": 1}) if number == 0 else (1, 0, {"new": 1})
        )
    assert source.dump_next(out, "nightly", **OUT) is None
    assert texts(target) == ["Another.", "New fact 0.", "New fact 1.", "New fact 2."]
    with pytest.raises(CubeNotFoundError):
        target.get(here[old.id], by=BO)
    assert target.get(here[kept.id], by=BO).text == "Another."


def test_an_erasure_alone_is_a_bundle_and_one_of_what_never_left_is_none(
    vaults: tuple[MemOS, MemOS], out: Path
) -> None:
    source, target = vaults
    sent = source.remember("Sent.", by=ANA)
    first = source.dump_next(out, "s", **OUT)
    never = source.remember("Never sent.", by=ANA)
    source.forget(never.id, by=ANA)
    assert source.dump_next(out, "s", **OUT) is None
    source.forget(sent.id, by=ANA)
    last = source.dump_next(out, "s", **OUT)
    assert (last.cubes, last.erased) == (0, 1)
    assert [path.name for path in sorted(out.iterdir())] == [Path(each.path).name for each in (first, last)]
    # The later bundle may come first: the older one does not bring back what is gone.
    assert target.load(last.path, **IN).counts == {}
    assert target.load(first.path, **IN).counts == {"forgotten": 1}
    assert texts(target) == []


def test_a_reader_of_1_0_is_told_of_no_erasure(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, _ = vaults
    sent = source.remember("Sent.", by=ANA)
    position = source.dump(out / "a.mip", since=0, **OUT).position
    source.forget(sent.id, by=ANA)
    how = {name: said for name, said in OUT.items() if name != "recipient"}
    card = Addressee(recipient="clinic-b", mip="1.0")
    made = source.dump(out / "b.mip", since=position, to=card, **how)
    assert (made.cubes, made.erased) == (0, 0)
    assert source.dump(out / "c.mip", since=position, **OUT).erased == 1


def test_what_was_forgotten_here_comes_back_only_when_asked_for(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, target = vaults
    cube = source.remember("Bo's private matter.", by=ANA)
    here = target.load(source.dump_next(out, "s", **OUT).path, **IN).shown[0].here
    target.forget(here, by=BO)
    source.update(cube.id, by=ANA, tags=["z"])
    path = source.dump_next(out, "s", **OUT).path
    assert target.load(path, dry_run=True, **IN).counts == {"forgotten": 1}
    assert target.load(path, **IN).counts == {"forgotten": 1}
    assert texts(target) == []
    assert target.load(path, again=True, **IN).counts == {"new": 1}
    assert texts(target) == ["Bo's private matter."]


def test_what_the_issuer_erased_waits_for_a_legal_hold(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, target = vaults
    cube = source.remember("Evidence.", by=ANA)
    here = target.load(source.dump_next(out, "s", **OUT).path, **IN).shown[0].here
    target.hold(here, by=Principal(tenant="clinic-b", user="root", roles=frozenset({"admin"})))
    source.forget(cube.id, by=ANA)
    path = source.dump_next(out, "s", **OUT).path
    assert target.load(path, dry_run=True, **IN).counts == {"on_hold": 1}
    assert target.load(path, **IN).counts == {"on_hold": 1}
    assert texts(target) == ["Evidence."]


@pytest.mark.parametrize("fixed", ["hold", "frozen", "derived"])
def test_what_may_not_change_here_stays_and_keeps_nothing_else_of_a_bundle_out(
    vaults: tuple[MemOS, MemOS], out: Path, fixed: str
) -> None:
    source, target = vaults
    admin = Principal(tenant="clinic-b", user="root", roles=frozenset({"admin"}))
    cube = source.remember("Evidence.", by=ANA)
    here = target.load(source.dump_next(out, "s", **OUT).path, **IN).shown[0].here
    held = here if fixed != "derived" else target.summarise([here], by=BO).id
    if fixed == "frozen":
        target.move(held, "frozen", by=BO)
    else:
        target.hold(held, by=admin)
    source.update(cube.id, by=ANA, text="Evidence, amended.")
    source.remember("Another.", by=ANA)
    path = source.dump_next(out, "s", **OUT).path
    assert target.load(path, dry_run=True, **IN).counts == {"on_hold": 1, "new": 1}
    assert target.load(path, **IN).counts == {"on_hold": 1, "new": 1}
    assert target.get(here, by=BO).text == "Evidence."
    if fixed == "frozen":
        target.move(held, "activated", by=BO)
    else:
        target.hold(held, by=admin, held=False)
    assert target.load(path, again=True, **IN).counts == {"newer": 1, "same": 1}
    assert target.get(here, by=BO).text == "Evidence, amended."


def test_nobody_erases_what_came_from_another_key(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, target = vaults
    cube = source.remember("A fact.", by=ANA)
    target.load(source.dump_next(out, "s", **OUT).path, **IN)
    eve = make.Bundle()
    eve.lines, eve.ending = [], b""
    eve.manifest["mip"] = "1.1"
    eve.members["deletions.jsonl"] = make.spelled({"id": cube.id, "at": "2026-03-02T09:00:00Z"}) + b"\n"
    eve.needs("deletions")
    (out / "eve.mip").write_bytes(eve.file())
    trusted = {make.KEY.public_key().public_bytes_raw().hex(): "eve"}
    assert target.load(out / "eve.mip", **(IN | {"trusted": trusted})).counts == {}
    assert texts(target) == ["A fact."]


PUBLICATION = {
    "name": "kiln", "publisher": "user:bo", "audience": ["*"], "cube_id": None, "namespace": ["clinic-b"], "tags": [],
    "semantic_types": [], "purposes": [], "licence": None, "rate": None, "price": "", "at": "2026-03-01T09:00:00Z",
    "withdrawn": False,
}  # fmt: skip


def item(number: int, place: list[str], key: str, value: Any) -> make.Record:
    said = make.memory()["descriptive"] | {"semantic_type": "item"}
    payload = {"kind": "plaintext", "text": "", "value": {"key": key, "value": value}}
    return make.memory(number, namespace=place, descriptive=said, payload=payload)


@pytest.mark.parametrize("into", [(), ("clinic-b",), ("clinic-b", "memstore")])
def test_a_bundle_plants_nothing_in_the_books(vaults: tuple[MemOS, MemOS], out: Path, into: tuple[str, ...]) -> None:
    _, target = vaults
    target.remember("Bo's secret diary.", by=BO)
    below = ["clinic-a"] if into == ("clinic-b", "memstore") else ["clinic-a", "memstore"]
    receipt = make.memory(9, descriptive=make.memory()["descriptive"] | {"semantic_type": "import_receipt"})
    planted = [
        item(2, [*below, "publications"], "kiln", PUBLICATION),
        item(3, [*below, "subscriptions"], "news", {"x": 1}),
    ]
    (out / "x.mip").write_bytes(make.made(lambda bundle: None, make.memory(), *planted, receipt))
    trusted = {make.KEY.public_key().public_bytes_raw().hex(): "clinic-a"}
    report = target.load(out / "x.mip", into=into, **(IN | {"trusted": trusted}))
    assert report.counts == {"new": 1, "reserved": 3}
    assert {each.id for each in report.shown if each.what == "reserved"} == {each["id"] for each in (*planted, receipt)}
    assert target.store.offers(by=BO) == []
    assert target.store.subscriptions(by=BO) == []


@pytest.mark.parametrize("series", ["../s", "a/b", "", ".", "s\0", "x" * 300])
def test_the_name_of_a_series_is_one_of_a_file(vaults: tuple[MemOS, MemOS], out: Path, series: str) -> None:
    source, _ = vaults
    source.remember("A fact.", by=ANA)
    with pytest.raises(InvalidMemoryError):
        source.dump_next(out, series, **OUT)
    assert [*out.iterdir(), *(each for each in out.parent.glob("*.mip"))] == []


@pytest.mark.parametrize(
    "how",
    [
        {"issuer": ""}, {"issuer": "x" * 2_000}, {"recipient": " "}, {"recipient": "a\ud800"}, {"purpose": "a\0"},
        {"lasts": timedelta.max}, {"lasts": 5},
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_are_errors_of_ours(
    vaults: tuple[MemOS, MemOS], out: Path, how: dict[str, Any]
) -> None:
    source, _ = vaults
    source.remember("A fact.", by=ANA)
    with pytest.raises(InvalidMemoryError):
        source.dump(out / "a.mip", **(OUT | how))
    with pytest.raises(InvalidMemoryError):
        source.dump(out / ("x" * 300), **OUT)
    assert [*out.iterdir()] == []


def test_what_a_killed_dump_left_is_removed_by_the_next(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, _ = vaults
    source.remember("A fact.", by=ANA)
    left = out / f".other.mip.{'0' * 16}.part"
    left.write_bytes(b"half")
    (out / ".mine.part").write_bytes(b"not ours")
    with open(out / f".busy.mip.{'1' * 16}.part", "wb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        made = source.dump_next(out, "s", **OUT)
    names = {path.name for path in out.iterdir()}
    assert names == {Path(made.path).name, ".mine.part", f".busy.mip.{'1' * 16}.part"}


@pytest.mark.parametrize("at_once", [500, 0])
def test_a_bundle_that_is_refused_erases_nothing(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(taking, "AT_ONCE", at_once)
    gate = WriteGate(secrets=Ruling.REFUSE)
    with (
        MemOS(SQLiteVault(tmp_path / "from"), clock=lambda: NOW) as source,
        MemOS(SQLiteVault(tmp_path / "to"), clock=lambda: NOW, gate=gate) as target,
    ):
        old = source.remember("An old fact.", by=ANA)
        target.load(source.dump_next(out, "s", **OUT).path, **IN)
        source.forget(old.id, by=ANA)
        key = source.remember("The key is AKIAIOSFODNN7EXAMPLE.", by=ANA)
        path = source.dump_next(out, "s", **OUT).path
        with pytest.raises(RefusedByGateError):
            target.load(path, **IN)
        assert texts(target) == ["An old fact."]
        source.update(key.id, text="The key is in the drawer.", by=ANA)
        source.dump(out / "whole.mip", since=0, history=False, **OUT)
        assert target.load(out / "whole.mip", **IN).counts == {"erased": 1, "new": 1}
        assert texts(target) == ["The key is in the drawer."]
        assert target.verify_audit().ok


@pytest.mark.parametrize("at_once", [500, 0])
def test_what_goes_takes_along_what_was_made_of_it_in_the_same_commit(
    vaults: tuple[MemOS, MemOS], out: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(taking, "AT_ONCE", at_once)
    source, target = vaults
    gone, kept = source.remember("The ward has 12 beds.", by=ANA), source.remember("The ward is on floor 2.", by=ANA)
    first = target.load(source.dump_next(out, "s", **OUT).path, **IN)
    here = {each.id: each.here for each in first.shown}
    made = target.summarise([here[gone.id], here[kept.id]], by=BO)
    source.forget(gone.id, by=ANA)
    source.update(kept.id, text="The ward is on floor 3.", by=ANA)
    path = source.dump_next(out, "s", **OUT).path
    assert target.load(path, dry_run=True, **IN).counts == {"erased": 1, "newer": 1}
    assert len(texts(target)) == 3
    assert target.load(path, **IN).counts == {"erased": 1, "newer": 1}
    assert texts(target) == ["The ward is on floor 3."]
    with pytest.raises(CubeNotFoundError):
        target.get(made.id, by=BO)
    assert target.load(path, again=True, **IN).counts == {"same": 1}


def test_an_item_that_was_made_anew_takes_the_place_of_the_erased_one(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, target = vaults
    place = Address(("users", "ana"), "theme")
    source.items.write([ItemWrite(place, {"theme": "dark"})], by=ANA)
    target.load(source.dump_next(out, "s", **OUT).path, **IN)
    source.items.write([ItemWrite(place, None)], by=ANA)
    source.items.write([ItemWrite(place, {"theme": "light"})], by=ANA)
    path = source.dump_next(out, "s", **OUT).path
    assert target.load(path, dry_run=True, **IN).counts == {"erased": 1, "new": 1}
    assert target.load(path, **IN).counts == {"erased": 1, "new": 1}
    (there,) = target.items.read([place], by=BO)
    assert there is not None
    assert there.value == {"theme": "light"}


def test_so_many_erasures_go_in_several_bundles(
    vaults: tuple[MemOS, MemOS], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_ERASED", 2)
    source, target = vaults
    sent = source.remember_many((f"Fact {number}." for number in range(5)), by=ANA)
    target.load(source.dump_next(out, "s", **OUT).path, **IN)
    for cube in sent:
        source.forget(cube.id, by=ANA)
    parts = [source.dump_next(out, "s", **OUT) for _ in range(3)]
    assert [each.erased for each in parts] == [2, 2, 1]
    with pytest.raises(BundleError, match="too_large"):
        target.load(parts[0].path, limits=Limits(erasures=1), **IN)
    assert [target.load(each.path, **IN).counts for each in parts] == [{"erased": 2}, {"erased": 2}, {"erased": 1}]
    assert texts(target) == []


def test_nobody_hears_that_a_memory_went_which_only_another_had(vaults: tuple[MemOS, MemOS], out: Path) -> None:
    source, _ = vaults
    cube = source.remember("For clinic-b alone.", by=ANA)
    position = source.dump(out / "b.mip", since=0, **OUT).position
    source.forget(cube.id, by=ANA)
    assert source.dump(out / "c.mip", since=position, **(OUT | {"recipient": "clinic-c"})).erased == 0
    assert source.dump(out / "d.mip", since=position, **OUT).erased == 1
