"""Personal identifiers by form and checksum: mails, cards, IBANs, US social security numbers, phones, IP addresses.

Those that a word before them gives away are in `labelled` and `national`, devices and wallets in `devices`. Names and
street addresses are not found here: that takes a model. Sources: ISO/IEC 7812 (Luhn), ISO 13616 (IBAN, mod 97-10),
E.164, SSA numbering rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from memos_integrations.core.gate.called import american_in, called_in
from memos_integrations.core.gate.devices import devices_in
from memos_integrations.core.gate.hygiene import in_plain_signs
from memos_integrations.core.gate.labelled import labelled_in
from memos_integrations.core.gate.marked import Marked, apart, overlapping
from memos_integrations.core.gate.national import national_in, says_national
from memos_integrations.core.gate.spelled import is_spelled, spelled_in

_MAIL = re.compile(r"(?<![\w.+-])[\w.+'%-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w@])")
_SPELLED_MAIL = re.compile(
    r"(?<![\w.])(?:[\w+-]{1,32}(?:\s?(?:\(dot\)|\[dot\]|\{dot\})\s?|\sdot\s)){0,3}[\w.+-]{1,64}\s?(?:\(at\)|\[at\]"
    r"|\{at\}|\sat\s)\s?[\w-]{1,63}"
    r"(?:\s?(?:\(dot\)|\[dot\]|\{dot\}|\sdot\s|\.)\s?[\w-]{1,63})*\s?(?:\(dot\)|\[dot\]|\{dot\}|\sdot\s)\s?"
    r"(?:com|org|net|edu|gov|io|dev|co|uk|de|fr|es|it|nl|in|example|test|invalid)\b",
    re.IGNORECASE,
)
_AT = r"\s?[(\[{<]\s?(?:at|@|ät|arroba|aet)\s?[)\]}>]\s?"
_DOT = r"(?:\s?[(\[{<]\s?(?:dot|punkt|punto|point|\.)\s?[)\]}>]\s?|\.)"
_BRACKETED_MAIL = re.compile(
    rf"(?<![\w.+'-])(?:[\w+'-]{{1,32}}{_DOT}){{0,3}}[\w+'-]{{1,64}}{_AT}(?:[\w-]{{1,63}}{_DOT}){{1,5}}[^\W\d_]{{2,24}}(?!\w)",
    re.IGNORECASE,
)
_W = "0-9A-Za-z_\u00aa-\u0dff\u1e00-\u1fff"
"""Letters and digits, but those of scripts without spaces: a number ends where one of them begins."""

_DIGITS = re.compile(rf"(?<![{_W}.,/-])\d(?:(?:[ .-]|  | - |[ .-]?\r?\n)?\d){{11,22}}(?![{_W}]|[.,/-]\d)")
_CARD_GROUPS = re.compile(r"(?<!\d)(?:\d{4}(?:\D{1,3}\d{4}){3}|\d{4}\D{1,3}\d{6}\D{1,3}\d{5}|\d{13,19})(?!\d)")
"""How the digits of cards are grouped, where more digits stand beside them."""

_IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?:[ \u00a0.-]?[A-Z0-9]){11,30}(?!\w)", re.IGNORECASE)
_SSN = re.compile(r"(?<![\w.-])(?!000|666)\d{3}([- .]| - )(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|\.\d)")
_SSN_WORD = re.compile(r"\b(?:ssn|social security(?: number)?|social)\b\D{0,20}$", re.IGNORECASE)
_IP4 = re.compile(r"(?<![\w.:-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_IP6 = re.compile(
    r"(?<![\w.:])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w:]|\.\d)|[0-9A-Fa-f]{0,4}(?![\w:]|\.\d))"
)
_VERSION = re.compile(
    r"(?:\bv|version|\brev|revision|release|build|firmware|driver|kernel|section|chapter|clause|figure|python|node|"
    r"ios)(?:\s+(?:string|number|no\.?|tag))?[\s:#]*(?:(?:is|was|to)(?:\s+now)?\s*)?$",
    re.IGNORECASE,
)
_PHONE = re.compile(
    rf"(?<![{_W}+])(?:\+|(?<![.,/:#$€£-])00)[1-9]\d{{0,2}}(?:[\s.\u00a0-]?\(?\d{{1,5}}\)?){{2,7}}(?![{_W}/]|[.,:]\d"
    rf"|-\d)"
    rf"|(?<![{_W}.,/:#$€£-])(?:1[ .-])?\(\d{{3}}\) ?\d{{3}}[ .-]?\d{{4}}(?:\s?(?:x|"
    rf"ext\.?)\s?\d{{1,6}})?(?![{_W}/-]|[.,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])(?:1[ .-])?[2-9]\d{{2}}([ .-])[2-9]?\d{{2,3}}\1\d{{4}}(?:\s?(?:x|"
    rf"ext\.?)\s?\d{{1,6}})?(?![{_W}/-]|[.,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])\(?0\d{{1,5}}\)?(?:(?: / |[\s./\u00a0-])\d{{2,8}}){{1,5}}(?![{_W}/]|[.,:]\d|-\d)"
    rf"|(?<![{_W}.,/:#$€£-])\(0\) ?\d{{2,5}}(?:[ .-]\d{{2,5}}){{1,4}}(?![{_W}/]|[.,:]\d|-\d)"
    rf"|(?<![{_W}.,/:#$€£-])[2-9]\d{{2}}(?:[ .-]\d{{3}}){{2}}(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])\(\d{{2}}\) ?9?\d{{4}}-\d{{4}}(?![{_W}/-]|[.,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])(?:91[ -])?\d{{5}}[ -]\d{{5,6}}(?![{_W}/-]|[.,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])[2-9]\d{{2}}-\d{{4}}(?![{_W}/-]|[.,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])[6-9]\d{{2}}(?:[ .]\d{{2}}){{3}}(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])1[3-9]\d(?P<cn>[ -])\d{{4}}(?P=cn)\d{{4}}(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])(?!(?:19|20)\d\d[ -](?:19|20)\d\d)[2-9]\d(?:\d \d{{2}} \d{{3}}|(?: \d{{2}}){{3}}"
    rf"|\d{{2}}[ -]\d{{4}})(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])\d{{2}} 9?\d{{4}}[ -]\d{{4}}(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])[78] ?\(?\d{{3}}\)?[ -]\d{{3}}[ -]\d{{2}}[ -]\d{{2}}(?![{_W}/-]|[ .,]\d)"
    rf"|(?<![{_W}.,/:#$€£-])\d{{7,12}}(?![{_W}/%-]|[.,]\d)"
)
_PHONE_WORD = re.compile(
    r"\b(?:phones?|t[eé]l[eé](?:ph|f)on\w*|telef\w+|telefoon\w*|tel|tél|mobile|mobil(?:e|nummer|telefon)?|mob"
    r"|mobilnr|mobiltel|tlf|nomor (?:hp|telepon|telp)"
    r"|cell(?:phone|ulare)?|cel(?:ular)?|landline|call(?:ed|s|ing)?|text(?:ed|s)?|sms|ring|dial|reach(?:ed|able)?|whatsapp"
    r"|signal|fax|hotline|contact|kontakt\w*|handy(?:nummer)?|m[óo]vil|portable|ll[aá]m\w+|lig(?:ue|ar)|anruf\w*|ruf"
    r"|appel\w*"
    r"|chiam\w+|zadzwo\w+|dzwo\w+|puhelin\w*|komórk\w*|festnetz|durchwahl|fijo|fixe|gsm|bel me"
    r"|(?:my|his|her|their|new|our|whose) number|number (?:is now|changed)"
    r"|(?:mon|son|ton|notre|mi|su|tu|mio|tuo|suo|meu|seu) (?:nouveau |nuevo |nuovo |novo )?n[uú]m[eé]ro"
    r"|(?:meine|seine|ihre|deine|unsere) (?:neue )?nummer"
    r"|(?:mijn|min|mitt) (?:nieuwe |nye )?nu?mmer|m[oó]j (?:nowy )?numer)\b"
    r"|(?:new|old|neue|alte|nieuwe?|nouveau|nuevo|nuovo|novo|nowy|nye?|nya) (?:phone )?"
    r"(?:number|nummer|num[eé]ro|n[uú]mero|numer)\b|(?:picks? up|answers?|answering|contesta\w*|répond\w*|risponde) "
    r"(?:at|on|en|al|au)\b|sim(?: card|[- ]karte)?\b"
    r"|携帯|電話|电话|手机|전화|телефон|звон|τηλ[έε]φων|هاتف|טלפון|फ़ोन|फोन",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"\b(?:order|invoice|ticket|case|tracking|ref(?:erence)?|sku|isbn|serial|model|part|confirmation|booking|flight|"
    r"account|acct|transaction|batch|build|version|room|unit|lot|po|rma|issue|bug|id|revision|commit|receipt|policy|"
    r"member(?:ship)?|parcel|package|barcode|ean|gtin|iban|card|zip|steps|views|users|rows)\b[^.!?]{0,24}$",
    re.IGNORECASE,
)
_GOODS = re.compile(
    r"\b(?:order|invoice|ticket|case|tracking|sku|serial|model|part|booking|flight|batch|parcel"
    r"|product)\b[^.!?]{0,16}$",
    re.IGNORECASE,
)
_DATE = re.compile(r"^(?:\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{2,4}|(?:19|20)\d{6})$")
_CARD_WORD = re.compile(
    r"\b(?:cards?|cc|credit|debit|maestro|(?:kredit|bank|ec-?)?karten?|cartes?|tarjetas?|cartas?|cart[aã]o|kort|kaart|"
    r"kart[aęąy]|paid (?:with|by))\b",
    re.IGNORECASE,
)
_IBAN_WORD = re.compile(r"\biban\b(?: (?:is|ist|est|es|number|no\.?|code))*[^\w.!?]{0,4}$", re.IGNORECASE)
_TOLD_IBAN = re.compile(r"[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?:[ -][A-Z0-9]*\d[A-Z0-9]*){3,8})(?!\w)", re.IGNORECASE)
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        line.split(":")
        for line in """15:NO
16:BE
18:DK FI FO GL NL
19:MK SI
20:AT BA EE KZ LT LU XK
21:CH HR LI LV
22:BG BH CR DE GB GE IE ME RS
23:AE GI IL IQ TL
24:AD CZ ES MD PK RO SA SE SK TN VG
25:LY PT ST
26:IS TR
27:FR GR IT MC MR SM
28:AL AZ BY CY DO GT HU LB PL SV
29:BR EG PS QA UA
30:JO KW MU
31:MT SC
32:LC""".splitlines()
    )
    for country in countries.split()
}


_BRACKET = re.compile(_AT, re.IGNORECASE)


def personal_in(text: str) -> list[Marked]:
    """The personal identifiers in a text, in order, none over another."""
    text = in_plain_signs(text)
    if (
        "@" not in text
        and "dot" not in text.casefold()
        and not any(map(str.isdigit, text))
        and "::" not in text
        and not is_spelled(text)
        and _BRACKET.search(text) is None
    ):
        return []
    found = [*_mails(text), *_cards(text), *_ibans(text), *_social(text), *_addresses(text), *_spelled(text)]
    found += [*labelled_in(text), *devices_in(text)]
    taken = apart(found)
    taken = apart([*taken, *_elsewhere(national_in(text), taken)])
    return sorted([*taken, *apart(_elsewhere(_phones(text), taken))])


def _elsewhere(found: Iterable[Marked], taken: Sequence[Marked]) -> list[Marked]:
    """What was found where nothing is taken yet."""
    places = list(found)
    over = {other for _, other in overlapping(taken, places)}
    return [each for each in places if each not in over]


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        number = int(character) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the text (no spaces, capitals) has the length of its country and passes mod 97-10."""
    if len(text) != _IBAN_LENGTHS.get(text[:2]):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def _mails(text: str) -> Iterator[Marked]:
    for pattern in (_MAIL, _SPELLED_MAIL) if "@" in text or "dot" in text.casefold() else ():
        yield from (Marked(*found.span(), "email") for found in pattern.finditer(text))
    if _BRACKET.search(text) is not None:
        yield from (Marked(*found.span(), "email") for found in _BRACKETED_MAIL.finditer(text))


def _cards(text: str) -> Iterator[Marked]:
    for found in _DIGITS.finditer(text):
        parts = [part for part in _CARD_GROUPS.finditer(found[0]) if _is_card(part[0])]
        for part in parts:
            yield Marked(found.start() + part.start(), found.start() + part.end(), "card")
        if not parts and (_is_card(found[0]) or _is_told_card(text, found)):
            yield Marked(*found.span(), "card")


def _is_card(written: str) -> bool:
    digits = re.sub(r"\D", "", written)
    if written.count("\n") > 1:  # a column of numbers
        return False
    return _is_issued(digits) and len(set(digits)) > 1 and is_luhn(digits)


def _is_told_card(text: str, found: re.Match[str]) -> bool:
    """Whether a word near it says that it is a card: the shorter ones, and those of networks that are not known."""
    digits = re.sub(r"\D", "", found[0])
    if digits[0] == "1" or found[0].count("\n") > 1 or len(set(digits)) == 1 or not is_luhn(digits):
        return False
    return _CARD_WORD.search(text[max(0, found.start() - 40) : found.end() + 24]) is not None


def _is_issued(digits: str) -> bool:
    """Whether a card network issues numbers that begin so, of that length."""
    two, four, size = int(digits[:2]), int(digits[:4]), len(digits)
    return (
        (digits[0] == "4" and size in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204) and size == 16)
        or ((two in (34, 37) or four in (1800, 2131)) and size == 15)
        or (two in (36, 38, 39, 30) and size in (14, 16))
        or (
            (two in (60, 62, 64, 65, 81, 50, 63, 67) or 56 <= two <= 58 or (two == 35 and size > 15))
            and 15 <= size <= 19
        )
    )


def _ibans(text: str) -> Iterator[Marked]:
    for found in _IBAN.finditer(text):
        length, start = _IBAN_LENGTHS.get(found[0][:2].upper()), found.start()
        kept, end = "", start
        while end < found.end() and len(kept) < (length or 0):
            kept += text[end].upper() if text[end].isalnum() else ""
            end += 1
        if length is not None and not text[end : end + 1].isalnum() and is_iban(kept):
            yield Marked(start, end, "iban")
        elif _IBAN_WORD.search(text[max(0, start - 24) : start]) and (told := _TOLD_IBAN.match(text, start)):
            yield Marked(*told.span(), "iban")  # whatever is wrong with it


def _social(text: str) -> Iterator[Marked]:
    for found in _SSN.finditer(text):
        before = text[max(0, found.start() - 60) : found.start()]
        if not _GOODS.search(before) and not before[-30:].casefold().rpartition("itin")[1]:
            yield Marked(*found.span(), "us_ssn")


def _addresses(text: str) -> Iterator[Marked]:
    for pattern, kind in ((_IP4, IPv4Address), (_IP6, IPv6Address)):
        for found in pattern.finditer(text):
            if _VERSION.search(text[max(0, found.start() - 20) : found.start()]):
                continue
            if kind is IPv6Address and not _may_be_ip6(found[0]):
                continue
            try:
                address = kind(found[0])
            except AddressValueError:
                continue
            # a mask, or a network in its short form, is no machine's
            mask = found[0].startswith("255.") or (found[0].endswith(".0") and text[found.end() :][:1] == "/")
            if not (mask or address.is_unspecified or address.is_loopback):  # every machine's, so nobody's
                yield Marked(*found.span(), "ip")


def _may_be_ip6(written: str) -> bool:
    """Whether it is no name with colons in it, and no fingerprint of eight bytes."""
    groups = written.split(":")
    return any(map(str.isdigit, written)) and (
        any(len(group) > 2 for group in groups) or (len(groups) == 8 and any(len(group) == 1 for group in groups))
    )


def _spelled(text: str) -> Iterator[Marked]:
    """Numbers digit by digit in words: cards by their check digit, others where a word beside them says what it is."""
    for start, end, digits in spelled_in(text):
        before = text[max(0, start - 60) : start]
        if 13 <= len(digits) <= 19 and _is_issued(digits) and is_luhn(digits):
            yield Marked(start, end, "card")
        elif len(digits) == 9 and _SSN_WORD.search(before):
            yield Marked(start, end, "us_ssn")
        elif says_national(before):
            yield Marked(start, end, "national_id")
        elif (
            len(digits) <= 15
            and _PHONE_WORD.search(f"{before} {text[end : end + 24]}")
            and not _OTHER_NUMBER.search(before)
        ):
            yield Marked(start, end, "phone")


def _phones(text: str) -> Iterator[Marked]:
    yield from (Marked(*place, "phone") for place in called_in(text))
    for start, end in american_in(text):
        if not _OTHER_NUMBER.search(text[max(0, start - 60) : start]):
            yield Marked(start, end, "phone")
    for found in _PHONE.finditer(text):
        written = found[0].strip()
        start = found.start() + found[0].index(written)
        if may_be_phone(text, start, start + len(written)):
            yield Marked(start, start + len(written), "phone")


def may_be_phone(text: str, start: int, end: int) -> bool:
    """Whether digits there are written as phone numbers are, or a word near them says so and none says otherwise."""
    written, before = text[start:end], text[max(0, start - 60) : start]
    digits = re.sub(r"\D", "", re.sub(r"(?:x|ext\.?)\s?\d+$", "", written))
    if not 7 <= len(digits) <= 15 or _DATE.match(written):
        return False
    international = written.startswith("+") and len(digits) >= 8
    shaped = not written.isdigit() and len(digits) >= 9 and not written.startswith("00")
    told = _PHONE_WORD.search(before + " " + text[end : end + 24]) is not None
    other = _OTHER_NUMBER.search(before) is not None or (not told and before[-2:-1].isdigit() and before[-1:] == " ")
    return international or (told and not other) or (shaped and not other and _is_grouped(written))


def _is_grouped(written: str) -> bool:
    """Whether it is written as phones are where nothing says so: (555) 010-0199, 020 7946 0958, 07700 900123."""
    return _GROUPED.match(written) is not None


_GROUPED = re.compile(
    r"(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}|\(?0\d{2,4}\)? \d{3,4} \d{3,4}$|0\d{4} \d{6}$|0\d-\d{8}$"
    r"|0\d{1,4} / \d{3,4}(?: \d{2,4}){1,3}$|0[1-79](?:([ .])\d\d)(?:\1\d\d){3}$"
    r"|1[3-9]\d([ -])\d{4}\2\d{4}$|01\d-\d{3,4}-\d{4}$|0[789]0-\d{4}-\d{4}$|\d\d 9\d{4}-\d{4}$"
    r"|[78] ?\(\d{3}\) ?\d{3}-\d\d-\d\d$|08\d{2}-\d{4}-\d{3,4}$"
)
