"""What is taken out for a recipient is taken out everywhere: of the text, of its labels, of what was made of it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube import Provenance
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.gate import Ruling, WriteGate
from memos_integrations.core.interchange import Redacted
from memos_integrations.core.items import Address, ItemQuery, ItemWrite
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="clinic-a", user="ana")
BO = Principal(tenant="clinic-b", user="bo")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
GATE = WriteGate(personal=Ruling.REDACT, orders=Ruling.ALLOW)


@pytest.fixture
def source() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        yield memos


def dumped(memos: MemOS, path: Path, **how: Any) -> tuple[Any, bytes]:
    made = memos.dump(path, **({"by": ANA, "signer": KEY, "issuer": "clinic-a", "recipient": "clinic-b"} | how))
    with MemOS(InMemoryVault(), clock=lambda: NOW) as target:
        loaded = target.load(path, by=BO, trusted={KEY.key: "clinic-a"}, recipient="clinic-b")
        assert sum(loaded.counts.values()) == made.cubes
    with zipfile.ZipFile(path) as bundle:
        return made, b"".join(bundle.read(name) for name in bundle.namelist())


def cut(path: Path) -> list[Any]:
    return [json.loads(line) for line in zipfile.ZipFile(path).read("redactions.jsonl").splitlines()]


def hidden(cube: MemCube, recipient: str = "") -> Redacted:
    """Replaces the text of what speaks of a diagnosis, and nothing else."""
    if "schizophrenia" not in cube.text:
        return Redacted(cube)
    payload = cube.payload.model_copy(update={"text": "[health]"})
    return Redacted(cube.model_copy(update={"payload": payload}))


def test_labels_tell_nothing_of_the_words_that_a_function_took_out(source: MemOS, tmp_path: Path) -> None:
    source.remember(
        "Dr Weber said my diagnosis is schizophrenia.", by=ANA, tags=["schizophrenia", "visit"], topic="the diagnosis",
        provenance=Provenance(speaker="Weber"),
    )  # fmt: skip
    made, whole = dumped(source, tmp_path / "a.mip", redact=hidden, access_log=True)
    assert made.cubes == 1
    for word in (b"schizophrenia", b"Weber", b"weber", b"diagnosis"):
        assert word not in whole
    assert b'"visit"' in whole
    assert [each["removed"] for each in cut(tmp_path / "a.mip")] == [["words"]]


def test_what_was_made_of_a_memory_tells_nothing_of_its_words(source: MemOS, tmp_path: Path) -> None:
    one = source.remember("Dr Weber said it is schizophrenia.", by=ANA)
    two = source.remember("The ward has 12 beds.", by=ANA)
    source.summarise([one.id, two.id], by=ANA)
    harmless = source.remember("Beds are counted.", by=ANA)
    other = source.summarise([two.id, harmless.id], by=ANA)

    def only_the_first(cube: MemCube, recipient: str) -> Redacted:
        return hidden(cube) if cube.id == one.id else Redacted(cube)

    made, whole = dumped(source, tmp_path / "a.mip", redact=only_the_first)
    assert (made.cubes, made.declined) == (4, {"redacted_away": 1})
    assert b"schizophrenia" not in whole
    assert other.id.encode() in whole


def test_a_gate_takes_out_identifiers_in_every_version_value_and_tag(source: MemOS, tmp_path: Path) -> None:
    cube = source.remember("Write to ana.example@clinic.org.", by=ANA, tags=["ana.example@clinic.org"])
    source.update(cube.id, text="Write to ana.new@clinic.org instead.", by=ANA)
    source.remember("Known.", by=ANA, value={"mail": ["old@clinic.org", 3]})
    source.remember("A plan of the ward.", by=ANA, blob=b"\x89PNG old@clinic.org", media_type="image/png")
    made, whole = dumped(source, tmp_path / "a.mip", redact=GATE)
    assert (made.cubes, made.versions, made.blobs) == (3, 4, 0)
    assert b"@clinic.org" not in whole
    assert sorted(each["removed"] for each in cut(tmp_path / "a.mip")) == [["blob"], ["email"], ["email"], ["email"]]


def test_what_a_redaction_leaves_is_a_memory(source: MemOS, tmp_path: Path) -> None:
    source.remember("A fact.", by=ANA)

    def blank(cube: MemCube, recipient: str) -> Redacted:
        return Redacted(cube.model_copy(update={"payload": cube.payload.model_copy(update={"text": " "})}))

    with pytest.raises(InvalidMemoryError, match=r"no memory|nothing to remember"):
        dumped(source, tmp_path / "a.mip", redact=blank)
    assert [*tmp_path.iterdir()] == []


def test_what_a_bundle_says_of_its_memories_is_kept_where_it_was_loaded(source: MemOS, tmp_path: Path) -> None:
    source.remember("Write to ana.example@clinic.org.", by=ANA)
    dumped(source, tmp_path / "a.mip", redact=GATE, access_log=True)
    with MemOS(InMemoryVault(), clock=lambda: NOW) as target:
        report = target.load(tmp_path / "a.mip", by=BO, trusted={KEY.key: "clinic-a"}, recipient="clinic-b")
        assert {*report.lists} == {"access_log.jsonl", "redactions.jsonl"}
        with zipfile.ZipFile(tmp_path / "a.mip") as bundle:
            for name, cube_id in report.lists.items():
                with target.read_blob(cube_id, by=BO) as kept:
                    assert kept.read() == bundle.read(name)
        again = target.dump(tmp_path / "b.mip", by=BO, signer=KEY, issuer="clinic-b", recipient="clinic-c")
        assert (again.cubes, again.blobs) == (1, 0)


def test_a_function_decides_by_recipient(source: MemOS, tmp_path: Path) -> None:
    source.remember("Dr Weber said it is schizophrenia.", by=ANA)
    how: dict[str, Any] = {"by": ANA, "signer": KEY, "issuer": "clinic-a"}

    def for_whom(cube: MemCube, recipient: str) -> Redacted | None:
        return {"the-ward": Redacted(cube), "the-press": None}.get(recipient, hidden(cube))

    said = {}
    for recipient in ("the-ward", "billing", "the-press"):
        path = tmp_path / f"{recipient}.mip"
        source.dump(path, recipient=recipient, redact=for_whom, **how)
        said[recipient] = zipfile.ZipFile(path).read("cubes.jsonl")
    assert b"schizophrenia" in said["the-ward"]
    assert b"[health]" in said["billing"]
    assert b"schizophrenia" not in said["billing"]
    assert said["the-press"] == b""


@pytest.mark.parametrize("text", ["Rita can be reached at {mail} or {phone}.", "Rita asked for an appointment."])
def test_names_of_threads_and_messages_tell_no_number_and_no_address(source: MemOS, tmp_path: Path, text: str) -> None:
    mail, phone = "rita.lopes@example.org", "+351912345678"
    told = Provenance(thread_id=f"wa:{phone}", session_id=phone, message_id=f"77.{mail}", author=mail)
    source.remember(text.format(mail=mail, phone=phone), by=ANA, provenance=told)
    source.remember("The ward has 12 beds.", by=ANA, provenance=Provenance(thread_id="ward-7", session_id="s1"))
    made, whole = dumped(source, tmp_path / "a.mip", redact=GATE)
    assert made.cubes == 2
    assert b"rita.lopes" not in whole
    assert b"912345678" not in whole
    assert b'"thread_id":"ward-7"' in whole
    assert [sorted(each["removed"]) for each in cut(tmp_path / "a.mip")] == [["email", "phone"]]


def test_names_of_threads_tell_nothing_that_a_function_took_out(source: MemOS, tmp_path: Path) -> None:
    told = Provenance(thread_id="schizophrenia-group", session_id="visit-3")
    source.remember("My diagnosis is schizophrenia.", by=ANA, provenance=told)
    _, whole = dumped(source, tmp_path / "a.mip", redact=hidden)
    assert b"schizophrenia" not in whole
    assert b"visit-3" in whole


# --- names that lead somewhere


RITA = Principal(tenant="clinic-a", user="rita.lopes@example.org")


def of_rita(memos: MemOS) -> tuple[str, str]:
    """A memory and an item of somebody who is named by an address; their ids."""
    cube = memos.remember("The ward has 12 beds.", by=RITA, readers=["bo@x.org"])
    memos.items.write([ItemWrite(Address(("prefs", RITA.user), "for bo@x.org"), {"dark": True})], by=RITA)
    (item,) = memos.items.search(ItemQuery(prefix=("prefs",)), by=RITA)
    return cube.id, item.cube_id


def records(path: Path) -> dict[str, Any]:
    return {said["id"]: said for said in map(json.loads, zipfile.ZipFile(path).read("cubes.jsonl").splitlines())}


@pytest.mark.parametrize("gate", [GATE, WriteGate(personal=Ruling.REFUSE, orders=Ruling.ALLOW)], ids=["cut", "refused"])
def test_places_keys_and_subjects_tell_no_address(source: MemOS, tmp_path: Path, gate: WriteGate) -> None:
    note, item = of_rita(source)
    made, whole = dumped(source, tmp_path / "a.mip", redact=gate, by=RITA)
    assert made.cubes == 2
    assert b"@" not in whole
    told = records(tmp_path / "a.mip")
    place = told[note]["namespace"][1]
    assert re.fullmatch(r"\[email:[a-p]{16}\]", place)
    assert told[note]["governance"]["owner"] == f"user:{place}"
    assert told[item]["namespace"] == ["clinic-a", "prefs", place]
    assert told[item]["payload"]["value"]["key"] not in (place, "for bo@x.org")
    removed = {each["id"]: each["removed"] for each in cut(tmp_path / "a.mip")}
    assert removed == {note: ["email", "namespace"], item: ["email", "key", "namespace"]}


def test_a_name_is_the_same_in_every_bundle_for_one_recipient(source: MemOS, tmp_path: Path) -> None:
    note, _ = of_rita(source)
    how: dict[str, Any] = {"redact": GATE, "by": RITA, "signer": KEY, "issuer": "clinic-a"}
    for name, recipient in (("a", "clinic-b"), ("b", "clinic-b"), ("c", "clinic-c")):
        source.dump(tmp_path / name, recipient=recipient, **how)
    places = [records(tmp_path / name)[note]["namespace"][1] for name in "abc"]
    assert places[0] == places[1] != places[2]
    source.dump(tmp_path / "d", recipient="clinic-b", **(how | {"signer": Ed25519Signer(bytes(32))}))
    assert records(tmp_path / "d")[note]["namespace"][1] != places[0]


def test_an_item_under_another_name_is_brought_up_to_date(source: MemOS, tmp_path: Path) -> None:
    of_rita(source)
    with MemOS(InMemoryVault(), clock=lambda: NOW) as target:
        for number, dark in enumerate((True, False)):
            path = tmp_path / f"{number}.mip"
            write = ItemWrite(Address(("prefs", RITA.user), "for bo@x.org"), {"dark": dark})
            source.items.write([write], by=RITA)
            source.dump(path, by=RITA, signer=KEY, issuer="clinic-a", recipient="clinic-b", redact=GATE)
            target.load(path, by=BO, trusted={KEY.key: "clinic-a"}, recipient="clinic-b")
            (item,) = target.items.search(ItemQuery(prefix=("prefs",)), by=BO)
            assert item.value == {"dark": dark}
            assert target.items.read([item.address], by=BO)[0] == item


def test_names_of_fields_tell_no_address(source: MemOS, tmp_path: Path) -> None:
    source.remember("Known.", by=ANA, value={"a@b.co": 1, "rita.lopes@example.org": {"x@y.org": [2]}}, tags=["a@b.co"])
    _, whole = dumped(source, tmp_path / "a.mip", redact=GATE)
    assert b"@" not in whole


def test_places_tell_nothing_that_a_function_took_out(source: MemOS, tmp_path: Path) -> None:
    cube = source.remember(
        "My diagnosis is schizophrenia.", by=ANA, namespace=("clinic-a", "ana", "schizophrenia"), readers=["group:bees"]
    )
    _, whole = dumped(source, tmp_path / "a.mip", redact=hidden)
    assert b"schizophrenia" not in whole
    assert records(tmp_path / "a.mip")[cube.id]["namespace"][:2] == ["clinic-a", "ana"]
    assert b'"group:bees"' in whole
    assert cut(tmp_path / "a.mip")[0]["removed"] == ["namespace", "words"]


def test_a_log_that_names_somebody_by_what_is_taken_out_does_not_go(source: MemOS, tmp_path: Path) -> None:
    of_rita(source)
    with pytest.raises(InvalidMemoryError, match="access log names somebody"):
        dumped(source, tmp_path / "a.mip", redact=GATE, by=RITA, access_log=True)
    assert [*tmp_path.iterdir()] == []
