"""Personal identifiers of many countries, by the checksums of python-stdnum and the number plans of phonenumbers.

Give them to the gate: `WriteGate(personal="redact", detectors=[NationalIds(), PhoneNumbers(regions=("DE", "GB"))])`.
Needs the extra `redaction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from memos_integrations.core.extras import require
from memos_integrations.core.gate import Marked

_PIECES = re.compile(r"(?<![\w.-])[A-Z0-9](?:[A-Z0-9./-]*[A-Z0-9])?(?![\w-])", re.IGNORECASE)
MOST_PIECES = 6
"""A number is written in so many groups at most."""

STRONG = {
    "es_dni": "es.dni",
    "es_nie": "es.nie",
    "it_codicefiscale": "it.codicefiscale",
    "fr_nir": "fr.nir",
    "br_cpf": "br.cpf",
    "cn_ric": "cn.ric",
    "fi_hetu": "fi.hetu",
    "mx_curp": "mx.curp",
    "za_idnr": "za.idnr",
    "kr_rrn": "kr.rrn",
    "ch_ssn": "ch.ssn",
    "ro_cnp": "ro.cnp",
}
"""Two check digits, or letters and dates that fit: found wherever they stand."""

WEAK = {
    "de_idnr": ("de.idnr", r"steuer|tax|idnr|identifikations"),
    "pl_pesel": ("pl.pesel", r"pesel"),
    "nl_bsn": ("nl.bsn", r"bsn|burgerservice|sofi"),
    "gb_nhs": ("gb.nhs", r"nhs"),
    "in_aadhaar": ("in_.aadhaar", r"aadhaar|aadhar|uidai"),
    "ca_sin": ("ca.sin", r"\bsin\b|social insurance"),
    "au_tfn": ("au.tfn", r"tfn|tax file"),
    "se_personnummer": ("se.personnummer", r"person(?:al )?n(?:umme)?r|personal (?:identity )?number|swedish"),
    "dk_cpr": ("dk.cpr", r"\bcpr\b"),
    "no_fodselsnummer": ("no.fodselsnummer", r"f[øo]dsels|personnummer"),
    "be_nn": ("be.nn", r"national (?:number|register)|rijksregister|registre national"),
    "pt_cc": ("pt.cc", r"cart[ãa]o|cidad[ãa]o"),
    "tr_tckimlik": ("tr.tckimlik", r"kimlik|tckn|t\.?c\.?"),
    "jp_cn": ("jp.cn", r"hojin|corporate number"),
}
"""One check digit, which every tenth number passes: found only where a word before says what it is."""

NEAR = 40


class NationalIds:
    """Finds national identity, tax and insurance numbers whose checksum is right.

    Raises:
        MissingExtraError: python-stdnum is not installed.
    """

    def __init__(self) -> None:
        require("stdnum", extra="redaction")
        self._strong = {kind: _module(name) for kind, name in STRONG.items()}
        self._weak = {kind: (_module(name), re.compile(words, re.IGNORECASE)) for kind, (name, words) in WEAK.items()}

    def __call__(self, text: str) -> Iterator[Marked]:
        """The places of the numbers."""
        at = 0
        for start, end in _runs(text):
            if start < at:
                continue
            kind = self._kind(text[start:end], text[max(0, start - NEAR) : start])
            if kind is not None:
                at = end
                yield Marked(start, end, kind)

    def _kind(self, written: str, before: str) -> str | None:
        for kind, module in self._strong.items():
            if module.is_valid(written):
                return kind
        for kind, (module, words) in self._weak.items():
            if words.search(before) and module.is_valid(written):
                return kind
        return None


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where a number may stand: pieces with a digit in them, alone or with those after them, the longest first."""
    pieces = [found.span() for found in _PIECES.finditer(text)]
    for number, (start, _) in enumerate(pieces):
        run: list[tuple[int, int]] = []
        for before, (begins, ends) in zip([(0, start), *pieces[number:]], pieces[number:], strict=False):
            apart = run and text[before[1] : begins] not in (" ", "\u00a0")
            if len(run) == MOST_PIECES or apart or not any(map(str.isdigit, text[begins:ends])):
                break
            run.append((start, ends))
        yield from (each for each in reversed(run) if 8 <= each[1] - each[0] <= 30)


class PhoneNumbers:
    """Finds phone numbers that the number plan of their country knows; without a country code, those of *regions*.

    Raises:
        MissingExtraError: phonenumbers is not installed.
    """

    def __init__(self, regions: Sequence[str] = ("US",)) -> None:
        self._plans: Any = require("phonenumbers", extra="redaction")
        self._regions = tuple(regions)

    def __call__(self, text: str) -> Iterator[Marked]:
        """The places of the numbers, each once."""
        seen: set[tuple[int, int]] = set()
        for region in self._regions or (None,):
            for match in self._plans.PhoneNumberMatcher(text, region, leniency=self._plans.Leniency.VALID):
                if (match.start, match.end) not in seen and not match.raw_string.isdigit():
                    seen.add((match.start, match.end))
                    yield Marked(match.start, match.end, "phone")


def _module(name: str) -> Any:
    return require(f"stdnum.{name}", extra="redaction")
