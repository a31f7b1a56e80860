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
    "es_dni": ("es.dni", r"\d[\d. ]{7,9}-?[A-Z]"),
    "es_nie": ("es.nie", r"[XYZ]-?\d{7}-?[A-Z]"),
    "it_codicefiscale": ("it.codicefiscale", r"[A-Z ]{6,8}\w{10,14}"),
    "fr_nir": ("fr.nir", r"[12][\dAB ]{14,20}"),
    "br_cpf": ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    "cn_ric": ("cn.ric", r"\d{17}[\dX]"),
    "fi_hetu": ("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}\w"),
    "mx_curp": ("mx.curp", r"[A-Z]{4}\d{6}\w{8}"),
    "za_idnr": ("za.idnr", r"\d{13}|\d{6} \d{4} \d{3}"),
    "kr_rrn": ("kr.rrn", r"\d{6}-?\d{7}"),
    "ch_ssn": ("ch.ssn", r"756[\d. ]{10,13}"),
    "ro_cnp": ("ro.cnp", r"[1-9]\d{12}"),
}
"""Two check digits, or letters and dates that fit, in the form in which they are written: found wherever they stand."""

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
    "br_cpf": ("br.cpf", r"cpf|cadastro"),
}
"""One check digit, which every tenth number passes: found only where a word before says what it is."""

NATIONAL = frozenset({*STRONG, *WEAK})
"""Every kind that is found here."""

ANY = re.compile(
    r"\b(?:national|personal|tax(?:payer)?|fiscal|citizen|identity|insurance|health|government)[\s-]{0,2}"
    r"(?:id|identity|identification|insurance|number|no|card|code)\b|\bid(?:entity)?[ -]?(?:number|no|nr|card)\b"
    r"|\bID ?[:(#]|ausweis|steuer-?(?:id|nummer)|identifikationsnummer|versicherungsnummer|codice fiscale"
    r"|carta d.identit|documento|c[ée]dula|carnet|num[ée]ro (?:fiscal|de s[ée]curit)|dowod|dowód|identiteits",
    re.IGNORECASE,
)
"""Words after which it may be the number of any country."""

NEAR = 40


class NationalIds:
    """Finds national identity, tax and insurance numbers whose checksum is right.

    Raises:
        MissingExtraError: python-stdnum is not installed.
    """

    def __init__(self) -> None:
        require("stdnum", extra="redaction")
        self._strong = {kind: (_module(name), re.compile(form, re.IGNORECASE)) for kind, (name, form) in STRONG.items()}
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
        for kind, (module, form) in self._strong.items():
            if form.fullmatch(written) and module.is_valid(written):
                return kind
        named = [kind for kind, (_, words) in self._weak.items() if words.search(before)]
        # Who says that it is such a number, of another country or of none, is believed where a country's check agrees.
        likely = [*named, *self._weak] if ANY.search(before) else named
        return next((kind for kind in likely if self._weak[kind][0].is_valid(written)), None)


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
