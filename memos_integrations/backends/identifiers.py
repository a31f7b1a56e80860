"""Personal identifiers of many countries, by the checksums of python-stdnum and the number plans of phonenumbers.

Give them to the gate: `WriteGate(personal="redact", detectors=[NationalIds(), PhoneNumbers(regions=("DE", "GB"))])`.
Needs the extra `redaction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from memos_integrations.core.extras import require
from memos_integrations.core.gate import VAGUE, Marked, in_plain_signs, may_be_phone, says_national

_OF_A_WORD = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A letter or digit, but none of a script that sets no spaces between words and numbers."""
_PIECES = re.compile(
    rf"(?<!{_OF_A_WORD})(?<![.-])[A-Z0-9](?:[A-Z0-9./-]*[A-Z0-9])?(?!{_OF_A_WORD})(?!-)", re.IGNORECASE
)
MOST_PIECES = 6
"""A number is written in so many groups at most."""

STRONG = {
    "es_dni": ("es.dni", r"\d{8}[ -]?[A-Z]"),
    "es_nie": ("es.nie", r"[XYZ][ -]?\d{7}[ -]?[A-Z]"),
    "it_codicefiscale": ("it.codicefiscale", r"[A-Z]{6} ?[\dA-Z]{2} ?[A-Z][\dA-Z]{2} ?[A-Z][\dA-Z]{3} ?[A-Z]"),
    "fr_nir": ("fr.nir", r"[12] ?\d\d ?[01]\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d"),
    "br_cpf": ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    "cn_ric": ("cn.ric", r"\d{17}[\dX]"),
    "fi_hetu": ("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[\dA-Y]"),
    "mx_curp": ("mx.curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d"),
    "kr_rrn": ("kr.rrn", r"\d{6}-\d{7}"),
    "ch_ssn": ("ch.ssn", r"756[.]?\d{4}[.]?\d{4}[.]?\d\d"),
    "se_personnummer": ("se.personnummer", r"(?:19|20)?\d{6}[-+]\d{4}"),
    "cz_rc": ("cz.rc", r"\d{6}/\d{4}"),
    "cl_rut": ("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dK]"),
    "ar_cuit": ("ar.cuit", r"(?:2[0347]|3[034])-\d{8}-\d"),
    "be_nn": ("be.nn", r"\d\d\.[01]\d\.[0-3]\d-\d{3}\.\d\d"),
    "th_pin": ("th.pin", r"\d-\d{4}-\d{5}-\d\d-\d"),
    "ie_pps": ("ie.pps", r"\d{7}[A-W][A-IW]"),
    "za_idnr": ("za.idnr", r"\d{6} ?\d{4} ?\d{3}"),
    "no_fodselsnummer": ("no.fodselsnummer", r"\d{6} ?\d{5}"),
}
"""In the form that its country gives it, with the right check characters: found wherever it stands, but for goods."""

WEAK = {
    name.replace("_.", ".").replace(".", "_").rstrip("_"): name
    for name in (
        "de.idnr pl.pesel nl.bsn gb.nhs in_.aadhaar in_.pan ca.sin au.tfn se.personnummer dk.cpr no.fodselsnummer "
        "be.nn pt.cc pt.nif tr.tckimlik za.idnr ro.cnp br.cpf hr.oib bg.egn cz.rc lt.asmens ee.ik gr.amka il.idnr "
        "my.nric is_.kennitala at.vnr ec.ci cl.rut ie.pps jp.in_ es.dni fr.nif"
    ).split()
}
"""One check digit, which every tenth number passes: found only where a word near it says what it is."""

NATIONAL = frozenset({*STRONG, *WEAK, VAGUE, "gb_driver", "gb_nino", "us_itin"})
"""Every kind that is the number of a person, by a state."""

_OWN = {"de_idnr": "steuer", "no_fodselsnummer": "dselsn", "tr_tckimlik": "kimlik", "jp_in": "my number"}
"""What a text calls them, where it is not how python-stdnum does."""

_GOODS = re.compile(
    r"\b(?:order|invoice|ticket|case|tracking|sku|serial|model|part|flight|batch|parcel|version|isbn|ean|commit)\b"
    r"[^.!?]{0,24}$",
    re.IGNORECASE,
)
NEAR = 40
_FROM_ABROAD = re.compile(r"(?<![\w.,/:#$€£+-])00(?P<n>[1-9]\d{0,2}(?:[ .\u00a0-]\d{1,5}){2,6})(?![\w/%-]|[.,:]\d)")


class NationalIds:
    """Finds national identity, tax and insurance numbers whose checksum is right.

    The gate itself finds those that a word like *passport number* or *DNI* stands before, whatever their checksum;
    these are the others: in the form of their country, or with such a word behind them.

    Raises:
        MissingExtraError: python-stdnum is not installed.
    """

    def __init__(self) -> None:
        require("stdnum", extra="redaction")
        self._strong = {kind: (_module(name), re.compile(form, re.IGNORECASE)) for kind, (name, form) in STRONG.items()}
        self._weak = {kind: _module(name) for kind, name in WEAK.items()}

    def __call__(self, text: str) -> Iterator[Marked]:
        """The places of the numbers."""
        text, at = in_plain_signs(text), 0
        for start, end in _runs(text):
            if start < at:
                continue
            kind = self._kind(text, start, end)
            if kind is not None:
                at = end
                yield Marked(start, end, kind)

    def _kind(self, text: str, start: int, end: int) -> str | None:
        written, before = text[start:end], text[max(0, start - NEAR) : start]
        for kind, (module, form) in self._strong.items():
            if form.fullmatch(written) and module.is_valid(written) and not _GOODS.search(before):
                return kind
        behind = text[end : end + NEAR]
        if not says_national(before) and not says_national(behind):
            return None
        fit = [kind for kind, module in self._weak.items() if module.is_valid(written)]
        said: list[str] = [
            kind for kind in fit if _OWN.get(kind, kind.partition("_")[2]) in f"{before} {behind}".casefold()
        ]
        if fit and not said:
            return fit[0] if len(fit) == 1 else VAGUE
        return said[0] if said else None


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where a number may stand: pieces with a digit in them, alone or with those after them, the longest first."""
    pieces = [found.span() for found in _PIECES.finditer(text)]
    for number, (start, _) in enumerate(pieces):
        run: list[tuple[int, int]] = []
        for at in range(number, min(number + MOST_PIECES, len(pieces))):
            begins, ends = pieces[at]
            apart = run and text[pieces[at - 1][1] : begins] not in (" ", "\u00a0")
            if apart or not _may_be_of_one(text[begins:ends]):
                break
            run.append((start, ends))
        yield from (each for each in reversed(run) if 8 <= each[1] - each[0] <= 30 and _has_digit(text, *each))


def _may_be_of_one(piece: str) -> bool:
    """Whether it has a digit, or is letters as they stand in numbers: RSS MRA 85A01 H501 Z."""
    return any(map(str.isdigit, piece)) or (piece.isupper() and len(piece) in (1, 3, 6))


def _has_digit(text: str, start: int, end: int) -> bool:
    return any(map(str.isdigit, text[start:end]))


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
        text = in_plain_signs(text)
        seen: set[tuple[int, int]] = set()
        for region in self._regions or (None,):
            for match in self._plans.PhoneNumberMatcher(text, region, leniency=self._plans.Leniency.VALID):
                if (match.start, match.end) not in seen and may_be_phone(text, match.start, match.end):
                    seen.add((match.start, match.end))
                    yield Marked(match.start, match.end, "phone")
        yield from (
            Marked(*found.span(), "phone") for found in _FROM_ABROAD.finditer(text) if self._is_known(found["n"])
        )

    def _is_known(self, written: str) -> bool:
        """Whether digits after the 00 that one dials for another country are a number there."""
        try:
            return bool(self._plans.is_valid_number(self._plans.parse(f"+{written}")))
        except self._plans.NumberParseException:
            return False


def _module(name: str) -> Any:
    return require(f"stdnum.{name}", extra="redaction")
