"""What the writer writes, a reader takes: brackets in texts, repetition, depth, numbers; and nothing hides."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, State
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube.values import MAX_VALUE_DEPTH
from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.interchange import Addressee, taking
from memos_integrations.core.items import Address, ItemWrite
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.conformance import make, reader

ANA = Principal(tenant="clinic-a", user="ana")
BO = Principal(tenant="clinic-b", user="bo")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
ALL = CubeFilter(states=frozenset(State))
TRUSTED = {make.KEY.public_key().public_bytes_raw().hex(): "clinic-a", KEY.key: "clinic-a"}
KNOWS = make.KNOWS | {"trusted": TRUSTED}
SCHEMAS = Path(make.__file__).parent


@pytest.fixture
def vaults() -> Iterator[tuple[MemOS, MemOS]]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as source, MemOS(InMemoryVault(), clock=lambda: NOW) as target:
        yield source, target


def carried(source: MemOS, target: MemOS, path: Path) -> Any:
    made = source.dump(path, by=ANA, signer=KEY, issuer="clinic-a", recipient="clinic-b")
    assert reader.verdict(path, KNOWS, SCHEMAS)["verdict"] == "accepted"
    loaded = target.load(path, by=BO, trusted=TRUSTED, recipient="clinic-b")
    assert sum(loaded.counts.values()) == made.cubes
    return made


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_said_of_depth_is_of_brackets_that_nest(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    said = ["[" * 70, "\x1b[31m" * 80 + "red", '"[{' * 50 + '\\"', "{}" * 70 + "a[0 " * 100]
    for text in said:
        vaults[0].remember(text, by=ANA)
    vaults[0].remember("Wide.", by=ANA, value=[[number] for number in range(200)])
    vaults[0].remember("Deep.", by=ANA, value=nested(MAX_VALUE_DEPTH))
    assert carried(*vaults, tmp_path / "a.mip").cubes == 6
    assert {cube.text for cube in vaults[1].find(ALL, by=BO, k=100)} >= {*said, "Wide.", "Deep."}


def test_repetition_is_no_bomb(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    for number in range(3):
        vaults[0].remember(f"Run {number}\n" + "2026-11-27 12:00:00 INFO heartbeat ok\n" * 25_000, by=ANA)
    assert carried(*vaults, tmp_path / "a.mip").cubes == 3
    with zipfile.ZipFile(tmp_path / "a.mip") as bundle:
        assert bundle.testzip() is None
        assert bundle.read("cubes.jsonl").count(b"\n") == 3


@pytest.mark.parametrize("value", [nested(MAX_VALUE_DEPTH + 1), {"n": 1 << 63}, {"n": [{"m": -(1 << 63) - 1}]}])
def test_a_value_that_no_bundle_could_carry_is_refused_when_it_is_written(
    vaults: tuple[MemOS, MemOS], value: Any
) -> None:
    with pytest.raises(InvalidMemoryError, match=r"62 deep|64 bits"):
        vaults[0].remember("A fact.", by=ANA, value=value)
    with pytest.raises(InvalidMemoryError, match=r"62 deep|64 bits"):
        vaults[0].items.write([ItemWrite(Address(("a",), "k"), {"v": value})], by=ANA)
    assert vaults[0].find(ALL, by=ANA) == []


def test_what_is_too_large_for_a_record_stays_behind_by_name(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memos_integrations.core.interchange import records

    vaults[0].remember("Small.", by=ANA)
    vaults[0].remember("Large. " * 1_000, by=ANA)
    monkeypatch.setattr(records, "LINE_BYTES", 5_000)
    made = carried(*vaults, tmp_path / "a.mip")
    assert (made.cubes, made.declined) == (1, {"beyond_limits": 1})


# --- every mutation of a record is refused as one


RAW = make.spelled(make.memory())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":1', b'"version":%d' % (1 << 63)), (b'"version":1', b'"version":%d' % (1 << 200)),
        (b'"version":1', b'"version":"1"'), (b'"version":1', b'"version":1.0'), (b'"version":1', b'"version":true'),
        (b'"version":1', b'"version":1e400'), (b'"schema":1', b'"schema":2'), (b'"schema":1', b'"schema":99'),
        (b'"2026-03-01T09:00:00Z"', b"1772442000"), (b'"2026-03-01T09:00:00Z"', b'"1772442000"'),
        (b'"2026-03-01T09:00:00Z"', b'"2026-03-01 09:00:00Z"'), (b'"2026-03-01T09:00:00Z"', b'"2026-03-01T09:00:00"'),
        (b'"text":', b'"value":1e400,"text":'), (b'"text":', b'"value":%d,"text":' % (1 << 64)),
        (b'"owner":', b'"legal_hold":1,"owner":'), (b'"namespace":["clinic-a"', b'"namespace":[" "'),
        (b'"id":"', b'"id":" ","x":"'), (b"The ward", b"\\ud800"),
    ],
)  # fmt: skip
def test_both_readers_refuse_what_is_almost_a_memory(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, old: bytes, new: bytes
) -> None:
    assert old in RAW
    refused(vaults[1], tmp_path, make.made(lambda bundle: None, RAW.replace(old, new)), "record")


def refused(target: MemOS, folder: Path, content: bytes, *codes: str) -> None:
    (folder / "x.mip").write_bytes(content)
    said = reader.verdict(folder / "x.mip", KNOWS, SCHEMAS)
    assert (said["verdict"], said.get("code") in codes) == ("refused", True), said
    with pytest.raises(BundleError) as caught:
        target.load(folder / "x.mip", by=BO, trusted=TRUSTED, recipient="clinic-b")
    assert caught.value.code in codes, caught.value
    assert target.find(ALL, by=BO) == []


@pytest.mark.parametrize("many", [False, True])
def test_a_bundle_that_is_refused_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    """Neither one of a memory that stands before the one that is none, nor one of the lists beside them."""
    if many:
        monkeypatch.setattr(taking, "AT_ONCE", 0)
    bundle = make.Bundle()
    bundle.members["access_log.jsonl"] = make.entry() + b"\n"
    bundle.needs("access_log")
    bundle.add(make.memory(2, payload={"kind": "plaintext", "text": "A plan.", "blob": bundle.blob(b"\x89PNG", "x/y")}))
    for number in range(3, 300):
        bundle.add(make.memory(number))
    good = bundle.file()
    said = make.memory()["descriptive"] | {"semantic_type": "fact"}  # which a first look believes
    bundle.add(make.memory(300, provenance={"LINKS": []}, descriptive=said))
    with MemOS(SQLiteVault(tmp_path / "vault"), clock=lambda: NOW) as target:
        refused(target, tmp_path, bundle.file(), "record")
        assert [each for each in (tmp_path / "vault" / "vault.blobs").rglob("*") if each.is_file()] == []
        (tmp_path / "x.mip").write_bytes(good)
        done = target.load(tmp_path / "x.mip", by=BO, trusted=TRUSTED, recipient="clinic-b")
        assert done.counts == {"new": 299}
        with target.read_blob(done.lists["access_log.jsonl"], by=BO) as log:
            assert log.read() == make.entry() + b"\n"


LISTS = {
    "access_log": make.entry(),
    "redactions": make.spelled({"id": "x", "version": 1, "removed": ["phone"]}),
    "clocks": make.spelled({"id": "x", "vector": {"r": 1}, "at": "2026-03-01T09:00:00Z", "by": "r"}),
    "deletions": make.spelled({"id": "x", "at": "2026-03-01T09:00:00Z"}),
    "declined": make.spelled({"id": "x", "why": "not_shared"}),
}


def with_list(name: str, line: bytes) -> bytes:
    def change(bundle: make.Bundle) -> None:
        bundle.members[f"{name}.jsonl"] = line + b"\n"
        bundle.manifest["mip"] = "1.1"
        if name != "declined":
            bundle.needs(name)

    return make.made(change)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("number", [b"%d" % (1 << 64), b"-%d" % (1 << 200), b"1e400", b"true", b'"1"'])
def test_both_readers_refuse_what_is_almost_a_record_of_another_list(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, name: str, number: bytes
) -> None:
    line = LISTS[name]
    (tmp_path / "good.mip").write_bytes(with_list(name, line))
    assert reader.verdict(tmp_path / "good.mip", KNOWS, SCHEMAS)["verdict"] == "accepted"
    vaults[1].load(tmp_path / "good.mip", by=BO, trusted=TRUSTED, recipient="clinic-b", dry_run=True)
    wrong = line.replace(b'"version":1', b'"version":' + number).replace(b'"r":1', b'"r":' + number)
    wrong = wrong.replace(b'"2026-03-01T09:00:00Z"', number) if wrong == line else wrong
    wrong = wrong.replace(b'"x"', number) if wrong == line and number != b'"1"' else wrong
    if wrong != line:
        refused(vaults[1], tmp_path, with_list(name, wrong), "record")


# --- the form of the file


def zipped(**changes: Any) -> bytes:
    """A bundle as a zip of its first member deflated, with *changes* of what is said of that."""
    return make.raw_zip(list(make.Bundle().all().items()), **changes)


def test_a_zip64_end_record_is_taken(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    for number, how in enumerate(({}, {"method": 8}, {"end_64": b""}, {"local_64": True})):
        (tmp_path / "x.mip").write_bytes(zipped(**how))
        assert reader.verdict(tmp_path / "x.mip", KNOWS, SCHEMAS)["verdict"] == "accepted", how
        assert vaults[1].load(
            tmp_path / "x.mip", by=BO, trusted=TRUSTED, recipient="clinic-b", again=number > 0
        ).counts == {"same" if number else "new": 1}


@pytest.mark.parametrize(
    "how",
    [
        {"tail": b"HIDDEN" * 10}, {"tail": b"HIDDEN" * 10, "method": 8}, {"local_crc": 1}, {"local_size": 7},
        {"local_method": 8}, {"local_extra": struct.pack("<2H", 0x9999, 600) + b"H" * 600},
        {"extra": struct.pack("<2H", 0x9999, 600) + b"H" * 600}, {"extra": struct.pack("<2HQ", 1, 8, 5)},
        {"end_64": b"H" * 500}, {"local_name": b"CUBES.jsonl"}, {"disk": 1},
    ],
)  # fmt: skip
def test_both_readers_refuse_hidden_bytes_and_headers_that_disagree(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, how: dict[str, Any]
) -> None:
    refused(vaults[1], tmp_path, zipped(**how), "malformed")


def test_a_pipe_is_no_bundle_no_card_and_no_key(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BundleError, match="no regular file") as caught:
        vaults[1].load(pipe, by=BO, trusted=TRUSTED, recipient="clinic-b")
    assert caught.value.code == "unreadable"
    for other in (pipe, tmp_path, tmp_path / "absent", tmp_path / "a\0b"):
        with pytest.raises(BundleError) as caught:
            vaults[1].load(other, by=BO, trusted=TRUSTED, recipient="clinic-b")
        assert caught.value.code == "unreadable"
        with pytest.raises(BundleError) as caught:
            Addressee.from_file(other)
        assert caught.value.code == "unreadable"
    with pytest.raises(InvalidMemoryError, match="no regular file"):
        Ed25519Signer.in_file(pipe)


def test_a_key_is_believed_however_its_letters_are_written(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    (tmp_path / "x.mip").write_bytes(make.made())
    upper = {key.upper(): name for key, name in TRUSTED.items()}
    assert vaults[1].load(tmp_path / "x.mip", by=BO, trusted=upper, recipient="clinic-b").counts == {"new": 1}


# --- the manifest


@pytest.mark.parametrize(
    "said",
    [
        {"created_at": "2026-03-02T09:00:00.500Z"}, {"created_at": "2026-03-02T09:00:00.000Z"},
        {"created_at": "2026-03-02T09:00:00+00:00"}, {"expires_at": "2026-03-09T09:00:00.123456789Z"},
    ],
)  # fmt: skip
def test_both_readers_take_every_spelling_of_a_time_in_utc(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, said: dict[str, str]
) -> None:
    (tmp_path / "x.mip").write_bytes(make.with_manifest(**said))
    assert reader.verdict(tmp_path / "x.mip", KNOWS, SCHEMAS)["verdict"] == "accepted"
    vaults[1].load(tmp_path / "x.mip", by=BO, trusted=TRUSTED, recipient="clinic-b")


@pytest.mark.parametrize(
    "said",
    [
        {"created_at": "2026-03-02T11:00:00+02:00"}, {"created_at": "2026-03-02 09:00:00Z"},
        {"created_at": "20260302T090000Z"}, {"created_at": 1772442000}, {"issuer": "a\0b"}, {"issuer": " "},
        {"covers": None}, {"cube_schema": 0}, {"requires": ["text", 1]}, {"requires": "text"},
    ],
)  # fmt: skip
def test_both_readers_refuse_what_is_almost_a_manifest(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, said: dict[str, Any]
) -> None:
    refused(vaults[1], tmp_path, make.with_manifest(**said), "malformed")


@pytest.mark.parametrize("said", [{"records": True}, {"extra": 1}, {"size": "1"}, {"records": 1.0}])
def test_both_readers_refuse_what_is_almost_a_member(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, said: dict[str, Any]
) -> None:
    content = make.made(lambda bundle: setattr(bundle, "retell", lambda told: told[0].update(said)))
    refused(vaults[1], tmp_path, content, "malformed", "digest_differs")


def test_both_readers_refuse_a_blob_with_records(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    bundle = make.Bundle()
    blob = bundle.blob(b"abc", "text/plain")
    bundle.add(make.memory(2, payload={"kind": "plaintext", "text": "x", "blob": blob}))
    bundle.retell = lambda told: [each.update(records=5) for each in told if each["name"].startswith("blobs/")]
    refused(vaults[1], tmp_path, bundle.file(), "malformed")
