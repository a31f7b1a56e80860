"""Personal identifiers of many countries, by the checksums of python-stdnum and the number plans of phonenumbers.

Give them to the gate: `WriteGate(personal="redact", detectors=[NationalIds(), PhoneNumbers(regions=("DE", "GB"))])`.
Needs the extra `redaction`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from memos_integrations.core.extras import require
from memos_integrations.core.gate import VAGUE, Marked, in_plain_signs, may_be_phone, national_words

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
    "id_nik": ("id.nik", r"\d{6}[ .-]?\d{6}[ .-]?\d{4}"),
    "pk_cnic": ("pk.cnic", r"\d{5}-\d{7}-\d"),
    "my_nric": ("my.nric", r"\d{6}-\d\d-\d{4}"),
    "mx_rfc": ("mx.rfc", r"[A-Z]{4}[ -]?\d{6}[ -]?[A-Z\d]{3}"),
    "si_emso": ("si.emso", r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])[09]\d{8}"),
}
"""In the form that its country gives it, with the right check characters: found wherever it stands, but for goods."""

WEAK = {
    name.replace("_.", ".").replace(".", "_").rstrip("_"): name
    for name in (
        "de.idnr pl.pesel nl.bsn gb.nhs in_.aadhaar in_.pan in_.epic ca.sin au.tfn se.personnummer dk.cpr "
        "no.fodselsnummer be.nn pt.cc pt.nif tr.tckimlik za.idnr ro.cnp br.cpf hr.oib bg.egn cz.rc lt.asmens ee.ik "
        "gr.amka il.idnr my.nric is_.kennitala at.vnr ec.ci cl.rut ie.pps jp.in_ es.dni fr.nif id.nik pk.cnic "
        "th.pin mx.curp ar.cuit ua.rntrc ru.inn kr.rrn cn.ric si.emso nz.ird"
    ).split()
}
"""One check digit, which every tenth number passes: found only where a word near it says what it is."""

NATIONAL = frozenset({*STRONG, *WEAK, VAGUE, "gb_driver", "gb_nino", "us_itin", "ae_id", "gh_card", "hk_id"})
"""Every kind that is the number of a person, by a state."""

_OWN = {
    "de_idnr": ("steuer", "idnr"),
    "no_fodselsnummer": ("dselsn",),
    "tr_tckimlik": ("kimlik",),
    "jp_in": ("my number", "マイナンバー"),
    "id_nik": ("nik", "ktp"),
    "in_aadhaar": ("aadh", "adhar", "uidai", "आधार"),
    "il_idnr": ("teudat", "zehut", "זהות", "ת.ז", "israel"),
    "in_epic": ("epic", "voter"),
    "cn_ric": ("身份证",),
    "kr_rrn": ("주민",),
}
"""What a text calls them, where it is not how python-stdnum does."""

_SIZES = {
    "in_aadhaar": (12,), "in_pan": (10,), "in_epic": (10,), "id_nik": (16,), "pk_cnic": (13,), "th_pin": (13,),
    "de_idnr": (11,), "pl_pesel": (11,), "gb_nhs": (10,), "ca_sin": (9,), "no_fodselsnummer": (11,),
    "tr_tckimlik": (11,), "za_idnr": (13,), "ro_cnp": (13,), "br_cpf": (11,), "jp_in": (12,), "be_nn": (11,),
    "cn_ric": (18,), "kr_rrn": (13,), "hr_oib": (11,), "gr_amka": (11,),
}  # fmt: skip
"""How many letters and digits those have whose check is asked for no others."""

_GOODS = re.compile(
    r"\b(?:order|invoice|ticket|case|tracking|sku|serial|model|part|flight|batch|parcel|version|isbn|ean|commit)\b"
    r"[^.!?]{0,24}$",
    re.IGNORECASE,
)
NEAR = 40
_ANY_FORM = re.compile("|".join(form for _, form in STRONG.values()), re.IGNORECASE)
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
        words = _Words(national_words(text))
        for start, end in _runs(text):
            if start < at:
                continue
            kind = self._strongly(text, start, end)
            if kind is None and words.are_near(start, end):
                kind = self._weakly(text, start, end)
            if kind is not None:
                at = end
                yield Marked(start, end, kind)

    def _strongly(self, text: str, start: int, end: int) -> str | None:
        """Which number has this form and its check characters, whatever stands around it."""
        written = text[start:end]
        if _ANY_FORM.fullmatch(written) is None or _GOODS.search(text[max(0, start - NEAR) : start]):
            return None
        for kind, (module, form) in self._strong.items():
            if form.fullmatch(written) and module.is_valid(written):
                return kind
        return None

    def _weakly(self, text: str, start: int, end: int) -> str | None:
        """Which number has these check digits; of several, the one that the words beside it name."""
        written = text[start:end]
        size = sum(map(str.isalnum, written))
        fit = [kind for kind, module in self._weak.items() if size in _size(kind) and module.is_valid(written)]
        if not fit:
            return None
        beside = f"{text[max(0, start - NEAR) : start]} {text[end : end + NEAR]}".casefold()
        said = [kind for kind in fit if any(word in beside for word in _named(kind))]
        if not said:
            return fit[0] if len(fit) == 1 else VAGUE
        return said[0]


class _Words:
    """Where the words stand that say that a number is a person's: found once, asked for each number."""

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        self._starts, self._ends = [start for start, _ in places], [end for _, end in places]

    def are_near(self, start: int, end: int) -> bool:
        """Whether one of them stands within so many characters before or behind a number."""
        behind = bisect_left(self._ends, start - NEAR + 1)
        return behind < len(self._starts) and self._starts[behind] < end + NEAR


def _size(kind: str) -> Sequence[int]:
    return _SIZES.get(kind, range(7, 21))


def _named(kind: str) -> Sequence[str]:
    """What a text calls a number of this kind."""
    return _OWN.get(kind, (kind.partition("_")[2],))


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
    return any(map(str.isdigit, piece)) or (piece.isupper() and len(piece) in (1, 3, 4, 6))


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
