"""National identifiers and phone numbers: found where checksum and plan agree, and only there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("stdnum", reason="python-stdnum is not installed")
pytest.importorskip("phonenumbers", reason="phonenumbers is not installed")

from memos_integrations import Ruling, WriteGate
from memos_integrations.backends.identifiers import NATIONAL, NationalIds, PhoneNumbers
from memos_integrations.core.gate import personal_in
from memos_integrations.core.gate.marked import apart

SETS = sorted((Path(__file__).parents[1] / "data").glob("*_chat.jsonl"))

# Examples that the documentation of python-stdnum gives.
RIGHT = [
    ("my DNI is 54362315-K", "54362315-K", "es_dni"),
    ("codice fiscale RCCMNL83S18D969H here", "RCCMNL83S18D969H", "it_codicefiscale"),
    ("CPF 390.533.447-05", "390.533.447-05", "br_cpf"),
    ("hetu: 131052-308T", "131052-308T", "fi_hetu"),
    ("my BSN: 1112.22.333", "1112.22.333", "nl_bsn"),
    ("the NHS number 943-476-5870", "943-476-5870", "gb_nhs"),
    ("PESEL 44051401359", "44051401359", "pl_pesel"),
    ("Steuer-ID 36 574 261 809", "36 574 261 809", "de_idnr"),
    ("Aadhaar 2341 2341 2346", "2341 2341 2346", "in_aadhaar"),
    ("78051401359 is her PESEL number, no: 44051401359 is", "44051401359", "pl_pesel"),
    ("11144477735 (CPF) of my sister", "11144477735", "br_cpf"),
    ("keep 756.9217.0769.85", "756.9217.0769.85", "ch_ssn"),
    ("my SIN is 123-456-782", "123-456-782", "ca_sin"),
    ("national ID number 44051401359", "44051401359", "pl_pesel"),
    ("Ausweis und Steuernummer: 44051401359", "44051401359", "pl_pesel"),
    ("CPF 39053344705", "39053344705", "br_cpf"),
    ("我的身份证号是11010519491231002X。", "11010519491231002X", "cn_ric"),
    ("주민번호는900101-1234568입니다", "900101-1234568", "kr_rrn"),
    ("3171011708450001 is on her card", "3171011708450001", "id_nik"),
    ("42201-0397640-8 belongs to my cousin", "42201-0397640-8", "pk_cnic"),
    ("770305-02-1234 saya punya", "770305-02-1234", "my_nric"),
    ("GODE 561231 GR8 para la factura", "GODE 561231 GR8", "mx_rfc"),
    ("039337423 is my teudat zehut", "039337423", "il_idnr"),
    ("0101006500006 za ugovor", "0101006500006", "si_emso"),
]
WRONG = [
    "order 54362315K left",
    "ten divided by 3 is 3.3333333333",
    "the landline 07700 900595 is slow",
    "my DNI is 54362315-A",
    "CPF 390.533.447-06",
    "order 44051401359 left",
    "PESEL 44051401358",
    "the total was 943-476-5870 points",
    "tax paid: 44051401359 yen",
    "ten by three is 3.3333333333",
    "39053344705 rows",
]


@pytest.mark.parametrize(("text", "value", "kind"), RIGHT)
def test_a_number_with_its_checksum_is_found(text: str, value: str, kind: str) -> None:
    assert [(text[each.start : each.end], each.kind) for each in NationalIds()(text)] == [(value, kind)]


@pytest.mark.parametrize("text", WRONG)
def test_a_look_alike_is_not(text: str) -> None:
    assert list(NationalIds()(text)) == []


def test_phones_go_by_the_plan_of_their_country() -> None:
    text = "ring 030 23125 123 in Berlin, order 030 1 is no number"
    assert [text[each.start : each.end] for each in PhoneNumbers(regions=("DE",))(text)] == ["030 23125 123"]


@pytest.mark.parametrize("text", ["chrome 126.0.8573.178 crashes", "58448-82432 visitors", "case id 2024/390505/B"])
def test_a_plan_alone_makes_no_phone(text: str) -> None:
    assert list(PhoneNumbers(regions=("US", "GB", "DE"))(text)) == []


def test_the_gate_takes_out_what_they_find() -> None:
    gate = WriteGate(personal=Ruling.REDACT, detectors=[NationalIds()])
    assert gate.examine("my DNI is 54362315-K").text == "my DNI is [es_dni]"


@pytest.mark.parametrize("labelled_in", SETS, ids=lambda path: path.stem)
def test_the_tier_without_a_model_finds_what_is_labelled_and_little_else(labelled_in: Path) -> None:
    detectors = [personal_in, NationalIds(), PhoneNumbers()]
    right = labelled = found = 0
    for row in map(json.loads, labelled_in.read_text("utf-8").splitlines()):
        wanted = {(*bounds, kind) for *bounds, kind in row["places"] if kind not in ("person", "address")}
        got = {
            (*bounds, "national_id" if kind in NATIONAL else kind)
            for *bounds, kind in apart(each for detect in detectors for each in detect(row["text"]))
        }
        right, labelled, found = right + len(wanted & got), labelled + len(wanted), found + len(got)
    assert right / labelled >= 0.98
    assert right / found >= 0.98


@pytest.mark.parametrize("words", ["a b " * 60_000, "0 " * 100_000, "1 2 3 4 5 6 7 " * 15_000])
def test_a_long_text_is_looked_at_in_time_that_grows_with_it(words: str) -> None:
    # once a quarter of an hour: for every word all those after it were copied
    text = f"{words}CPF 390.533.447-05"
    assert [(text[each.start : each.end], each.kind) for each in NationalIds()(text)] == [("390.533.447-05", "br_cpf")]
