"""National identifiers and phone numbers: found where checksum and plan agree, and only there."""

from __future__ import annotations

import pytest

pytest.importorskip("stdnum", reason="python-stdnum is not installed")
pytest.importorskip("phonenumbers", reason="phonenumbers is not installed")

from memos_integrations import Ruling, WriteGate
from memos_integrations.backends.identifiers import NationalIds, PhoneNumbers

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
    ("my SIN is 123-456-782", "123-456-782", "ca_sin"),
    ("national ID number 44051401359", "44051401359", "pl_pesel"),
    ("Ausweis und Steuernummer: 44051401359", "44051401359", "pl_pesel"),
    ("CPF 39053344705", "39053344705", "br_cpf"),
]
WRONG = [
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


def test_the_gate_takes_out_what_they_find() -> None:
    gate = WriteGate(personal=Ruling.REDACT, detectors=[NationalIds()])
    assert gate.examine("my DNI is 54362315-K").text == "my DNI is [es_dni]"
