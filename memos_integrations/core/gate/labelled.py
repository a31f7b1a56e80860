"""Numbers that say nothing by themselves, where a word before them says whose they are.

A bank account, a sort code, an IMEI, a record at a doctor's, a date of birth. What no such word stands before is left:
a date is a date, and eight digits are eight digits. Forms: dates of ISO 8601 and of letters; GSMA TS.06 (IMEI).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memos_integrations.core.gate.marked import Marked

_LETTER = "0-9A-Za-z\u00aa-\u0dff\u1e00-\u1fff"
"""Letters and digits, but those of scripts without spaces: a word ends where one of them begins."""

_BETWEEN = (
    r"[\"'*_)\]]{0,2}\s?(?:[:#=.\uff1a-]|[は는은是为為]|\b(?:is|was|are|ist|lautet|es|est|è|é|er|är|to|de|für|for|of))?"
    r"[\s\"'*:#(]{0,3}"
)
"""A sign or one short word between what is named and the number."""

_ACCOUNT = re.compile(
    r"(?<![^\W_])(?:(?:bank |savings |checking |current |giro |chequing |deposit |beneficiary |payee )?"
    r"(?:account|acct\.?|a/c)(?: (?:number|no\.?|nr\.?|num\.?|nbr|ending in|ending))?"
    r"|kontonummer|konto-?nr\.?|kto\.?(?:[ -]?nr\.?)?|bankverbindung|rekening(?:nummer)?|kontonr"
    r"|(?:num[ée]ro|n°) de compte|compte(?: bancaire)?|(?:n[uú]mero de )?cuenta(?: bancaria| corriente)?|clabe"
    r"|(?:numero (?:di )?)?conto(?: corrente)?|(?:n[uú]mero da )?conta(?: corrente| banc[áa]ria| poupança)?"
    r"|(?:nr|numer) (?:konta|rachunku)|(?:nomor |no\.? )?rekening|số tài khoản"
    r"|hesap (?:no|numaras\u0131)|número da conta"
    r"|номер (?:сч[её]та|рахунку)|расч[её]тный сч[её]т|账号|帳號|银行账户|口座番号|계좌(?:번호)?"
    r"|رقم الحساب|מספר חשבון|เลขที่บัญชี"
    r"|खाता (?:संख्या|नंबर)"
    rf")(?: (?:n[uú]mero|num[ée]ro|nummer|numer|номер|n[.°º]{{1,2}}))?(?![{_LETTER}])"
    rf"{_BETWEEN}(?P<number>\d(?:[ -]?\d){{5,23}})(?![\w%]|[.,:/]\d|-\d)",
    re.IGNORECASE,
)
_SHORT_ACCOUNT = re.compile(
    r"\b(?:number|no|nr|num|nbr|nummer|numer|n[uú]mero|numéro|номер)\b|#|№|a/c|acct|kto|konto|号|號|番号|번호",
    re.IGNORECASE,
)
_BRANCH = re.compile(
    r"(?<![^\W_])(?:sort[ -]?codes?|s/c|bsb(?: (?:number|no\.?|code))?|(?:aba|routing|transit|rtn)"
    r"(?: (?:transit|routing))?(?: (?:number|no\.?|code))?|bankleitzahl|blz|institution (?:number|no\.?))"
    rf"(?![{_LETTER}]){_BETWEEN}(?P<number>\d(?:[ -]?\d){{5,8}})(?![\w%]|[.,:/]\d|-\d)",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar|brero|braio)?|f[ée]v(?:rier|ereiro)?|mar(?:ch|s|zo|ço|t)?|märz"
    r"|apr(?:il|ile)?|avril"
    r"|abr(?:il)?|may|mai|mayo|maggio|maio|mei|june?|juni|juin|junio|giugno|junho|july?|juli|juillet|julio|luglio|julho"
    r"|aug(?:ust|ustus)?|août|agosto|ago|sept?(?:ember|embre|iembre|tembre)?|setembro|okt(?:ober)?|oct(?:ober|obre"
    r"|ubre)?|ottobre|outubro"
    r"|nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|iembre|embro)?|d[ée]cembre|dicembre|diciembre)\.?"
)
_DAY = (
    r"(?:\d{1,2} ?[-./] ?\d{1,2} ?[-./] ?(?:\d{4}|\d{2})|(?:19|20)\d{2}[-./]\d{1,2}[-./]\d{1,2}|(?:19|20)\d{6}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|º)?\.?[ -](?:of |de )?{_MONTH}[ -]?,?(?: de| del)? ?(?:19|20)?\d{{2}}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? ?(?:19|20)\d{{2}}"
    r"|(?:19|20)\d\d ?[年년] ?\d{1,2} ?[月월] ?\d{1,2} ?[日일])"
)
_BIRTH = re.compile(
    r"(?<![^\W_])(?:d\.?o\.?b\.?|(?:date|day) of birth|birth[ -]?date|birth[ -]?day(?= ?:)|geburtsdatum"
    r"|geburtstag(?= ?:)"
    r"|geb\.(?:[ -]?dat(?:um|\.))?|date de naissance|fecha de nacimiento|(?:data|luogo e data) di nascita"
    r"|data de nascimento"
    r"|geboortedatum|data urodzenia|födelsedatum|fødselsda(?:to|g)|syntymäaika|doğum tarihi|ngày sinh|tanggal lahir"
    r"|data nașterii|születési (?:dátum|idő)|datum narození|дата (?:рождения|народження)|ημερομηνία γέννησης"
    r"|出生日期|生年月日|생년월일|تاريخ الميلاد|תאריך לידה|जन्म ?(?:तिथि|दिनांक)|วันเกิด)"
    rf"{_BETWEEN}(?P<number>{_DAY})(?![\w/-]|[.,]\d)",
    re.IGNORECASE,
)
_IMEI = re.compile(
    rf"(?<![^\W_])(?:imei(?:sv)?(?: ?[12])?(?: (?:number|no\.?|code))?){_BETWEEN}"
    r"(?P<number>\d(?:[ -]?\d){13,16})(?![\w-]|[.,]\d)|(?<![\w.-])(?P<form>\d\d-\d{6}-\d{6}-\d)(?![\w-])",
    re.IGNORECASE,
)
_SOCIAL = re.compile(
    r"(?<![^\W_])(?:ssn|social security(?: (?:number|no\.?))?|ss ?#|ss (?:number|no\.?)|soc\.? ?sec\.?(?: no\.?)?)"
    rf"{_BETWEEN}(?P<number>(?!000|666)\d{{3}}(?: ?[-./] ?| )?(?!00)\d\d(?: ?[-./] ?| )?(?!0000)\d{{4}})(?![\w-]"
    rf"|[.,]\d)",
    re.IGNORECASE,
)
_BARE_SOCIAL = re.compile(
    r"\b(?:ssn|social security(?: number)?|social(?! (?:media|network|club|post)))\b\D{0,20}?"
    r"(?P<number>(?!000|666)\d{3}(?!00)\d{2}(?!0000)\d{4})\b",
    re.IGNORECASE,
)
_MEDICAL = re.compile(
    r"(?<![^\W_])(?:(?-i:MRN)|medical record(?: (?:number|no\.?|id))?|patient (?:id|number|no\.?)|health (?:plan"
    r"|insurance|card)(?: beneficiary)? (?:number|no\.?|id)|(?:insurance |medicaid )?(?:policy|member|subscriber) id"
    r"|krankenkassennummer)"
    rf"(?![{_LETTER}]){_BETWEEN}"
    r"(?P<number>(?:[A-Z]{1,4}[ -]?)?\d[A-Z\d]{0,15}(?:[ -]\d[A-Z\d]{0,7}){0,3})(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)
FEWEST_DIGITS = 4
_HINT = re.compile(r"\d[^\n]{0,6}\d")


def labelled_in(text: str) -> Iterator[Marked]:
    """The numbers that a word before them says to be somebody's, in a text of plain signs."""
    if _HINT.search(text) is None:
        return
    for kind, pattern in (
        ("us_ssn", _SOCIAL),
        ("us_ssn", _BARE_SOCIAL),
        ("bank_account", _BRANCH),
        ("birth_date", _BIRTH),
        ("medical_id", _MEDICAL),
    ):
        for found in pattern.finditer(text):
            if sum(map(str.isdigit, found["number"])) >= FEWEST_DIGITS:
                yield Marked(*found.span("number"), kind)
    for found in _IMEI.finditer(text):
        yield Marked(*found.span("number" if found["number"] else "form"), "imei")
    for found in _ACCOUNT.finditer(text):
        digits = sum(map(str.isdigit, found["number"]))
        # "account 123456" may be an order's; with "number", or from eight digits on, it is a bank's.
        if digits >= 8 or _SHORT_ACCOUNT.search(found[0], 0, found.start("number") - found.start()):
            yield Marked(*found.span("number"), "bank_account")
