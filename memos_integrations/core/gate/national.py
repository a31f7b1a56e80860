"""Numbers that a state gives to a person, where a word says what they are, or their form belongs to nothing else.

No checksum is looked at, so that a number with a slip in it is taken out as well; `backends.identifiers.NationalIds`
finds those that no word stands before. Sources: HMRC NIM39110 and DVLA INF45 (GB), IRS Publication 1915 (ITIN),
Resolución 1 of the DNI's letter (ES), Decreto 23/12/1976 (IT), Income-tax Rules 1962, rule 114 (IN).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memos_integrations.core.gate.marked import Marked

_NAMES = (
    # said in any country
    r"(?:national|government|citizen(?:ship)?|personal|state|resident|residence|foreigner|fiscal|tax(?:payer)?|civil)"
    r"[ -](?:id(?:entity|entification)?|identifier|registration|registry|insurance|security|reference|file|card)"
    r"(?:[ -](?:no\.?|number|nr\.?|code|card))?"
    r"|identity (?:card|number|no\.?|document)|id[ -]card(?: (?:no\.?|number))?"
    r"|(?:national|personal|social insurance|social security|identification|fiscal) (?:number|code|no\.?)"
    r"|passport(?: (?:no\.?|number|nr\.?|id))?|pasaporte|passeport|reisepass(?:nummer)?|passaporto|passaporte|paspoort"
    r"|(?:driv(?:er'?s?|ing)|driver\u2019s)[ -]licen[cs]e(?: (?:no\.?|number))?|permis de conduire"
    r"|führerschein(?:nummer)?|rijbewijs|carnet de conducir|patente di guida|licencia de conducir"
    r"|(?-i:DLN?)(?= ?#| ?:| (?:is|no\.?|number)\b)(?: (?:no\.?|number))?|licen[cs]e (?:id|no\.?|number)"
    r"|cnh|carteira de motorista"
    r"|surat izin mengemudi|k[öo]rkort(?:snummer)?|førerkort(?:nummer)?|kørekort(?:nummer)?|ajokort\w*|prawo jazdy"
    r"|водительск\w+ (?:удостоверени\w+|прав\w*)|驾驶证|駕駛執照|運転免許証|운전면허(?: ?번호)?"
    r"|visa number|green card(?: number)?|alien (?:registration )?number"
    r"|voter(?:'s)? (?:id|card)(?: (?:no\.?|number))?"
    r"|(?:my|his|her|their|your|our)(?:(?! (?:order|case|ticket|booking|user|steam|game|session|tracking|product|item"
    r"|job|request|invoice|transaction|meeting|apple|login|customer)\b) [^\W\d_]+){0,2} id(?: (?:number|no\.?))?"
    # the words of a country
    r"|national insurance|nin (?:number|no\.?)|nino|nhs|ni number|pps(?:n|no)|itin|sin (?:number|card|no\.?)"
    r"|tfn|medicare"
    r"|sin(?=:? (?:is )?\d{3}[ -]?\d{3}[ -]?\d{3}(?!\d))"
    r"|(?-i:UTR|PPS|SIN|IRD|NIK|NIN|BVN|KTP|CCCD|CMND|TIN|SSS|NID|PAN)"
    r"|a+dh?aa?r|uidai|pan (?:card|number|no\.?)|nric|mykad|my ?kad|cnic|hkid|my number card|emirates id|iqama"
    r"|teudat ?-?zehut|t\.z\.|mispar zehut|ghana card|huduma(?: number)?|philsys(?: number)?|umid"
    r"|nomor (?:induk kependudukan|ktp|paspor|npwp)|no\.? ktp|paspor|npwp"
    r"|c[ăa]n c[ưu][ớo]c(?: công dân)?|ch[ứu]ng minh(?: nhân dân| thư)?|(?:số )?h[ộo] chi[ếe]u"
    r"|תעודת[ -]זהות|מספר[ -]זהות|ת\.? ?ז\.?|דרכון|מספר דרכון"
    r"|(?:ال)?هوية|رقم (?:الهوية|القومي|الجواز)|الرقم القومي|جواز(?: السفر)?"
    r"|کد ملی|شناختی کارڈ(?: نمبر)?|आधार(?: नंबर| संख्या)?|पैन(?: नंबर)?"
    r"|บัตรประชาชน|เลข(?:ที่)?(?:ประจำตัว|บัตร)(?:ประชาชน)?"
    r"|ідентифікаційний (?:код|номер)|іпн|cod(?:ul)? numeric personal"
    r"|szem[ée]lyi(?: ?szám| ?igazolv[áa]ny\w*)?|taj(?:[ -]?sz[áa]m)?|adóazonosító(?: jel)?"
    r"|steuer(?:liche)?[ -]?(?:id(?:ent\w*)?|identifikationsnummer|nummer|nr\.?)|idnr"
    r"|(?:personal)?ausweis(?:nummer|nr\.?)?"
    r"|(?:renten|sozial|kranken)versicherungs?(?:nummer|nr\.?)|versichertennummer|svnr|sv-?nummer|ahv(?:-?n(?:umme)?r)?"
    r"|dni|nif|carnet(?: de identidad)?|c[ée]dula(?: de (?:identidad|ciudadan[íi]a))?|curp|cuit|cuil"
    r"|(?-i:NIE|RFC(?=\W{1,3}(?:es |is )?[A-Z&]{3,4}[ -]?\d)|RU[TN])"
    r"|documento (?:de identidad|nacional)|identidad|n[uú]mero de identificaci[oó]n"
    r"|s[ée]cu(?:rit[ée] sociale)?|(?-i:NIR)|num[ée]ro (?:fiscal|national)"
    r"|carte (?:d['\u2019]identit[ée]|vitale)"
    r"|codice fiscale|cod\. ?fisc(?:ale)?|c\.f\.|carta d'identit[àa]|tessera sanitaria"
    r"|ine (?:no\.?|n[uú]mero)|clave (?:de elector|[uú]nica)|nss|imss"
    r"|cpf|(?-i:RG|PIS|NIS)|t[íi]tulo de eleitor|carteira de identidade|cart[ãa]o de cidad[ãa]o"
    r"|n[uú]mero de contribuinte|contribuinte|niss"
    r"|bsn|burgerservicenummer|sofinummer|rijksregister(?:nummer)?|registre national|pesel|dow[óo]d(?: osobisty)?"
    r"|personnummer|person-?nr\.?|samordningsnummer|cpr(?:-?n(?:umme)?r)?|f[øo]dselsn(?:umme)?r|fnr|hetu"
    r"|henkil[öo]tunnu\w*|kennitala|isikukood|asmens kodas|personas kods|rodn[ée] [čc][íi]slo|oib|jmbg|emšo|egn|cnp"
    r"|amka|t\.?c\.? kimlik(?: no)?|kimlik(?: no)?|tckn|снилс|инн|паспорт|егн|рнокпп|αμκα|αφμ"
    r"|身份证|マイナンバー|주민등록번호"
)
_NAMED = re.compile(
    rf"(?<![\w.])(?:{_NAMES})(?!\w)"
    # between the name and the number: a sign, or a few words without a digit
    r"(?P<between>[^\w\n]{1,4}(?:(?!(?-i:[A-Z]{1,4})[ .-]?\d)[^\W\d_][\w'\u2019-]*[^\w\n]{1,3}){0,5})"
    r"(?P<number>(?-i:(?=(?:[A-Z]*\d){2})[A-Z\d]{8,18})(?![\w-])|(?:(?-i:[A-Z]{1,4})[ .-]|[A-Z]{1,4})?\d[A-Z\d]*"
    r"(?:[ \u00a0./\u2013-]{1,3}(?:[A-Z]{0,3}\d[A-Z\d]*|(?-i:[A-Z])(?!\w)))*)",
    re.IGNORECASE,
)
_WORD = re.compile(rf"(?<![\w.])(?:{_NAMES})(?!\w)", re.IGNORECASE)
_FORMS = {
    "gb_nino": r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ -]?)\d{2}\1\d{2}\1\d{2}\1[A-D]",
    "gb_driver": r"[A-Z]{1,5}9{0,4}(?<=[A-Z9]{5})\d(?:[05][1-9]|[16][0-2])(?:0[1-9]|[12]\d|3[01])\d[A-Z9]{2}\d[A-Z]{2}",
    "us_itin": r"9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}",
    "in_pan": r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]",
    "ae_id": r"784-(?:19|20)\d{2}-\d{7}-\d",
    "hk_id": r"[A-Z]{1,2}\d{6}\([\dA]\)",
    "gh_card": r"GHA-\d{9}-\d",
    "it_codicefiscale": r"[A-Z]{6}\d{2}[A-EHLMPRST](?:[04][1-9]|[1256]\d|[37][01])[A-MZ]\d{3}[A-Z]",
}
_FORM = {kind: re.compile(rf"(?<![\w.-]){form}(?![\w-])") for kind, form in _FORMS.items()}
_DATE = re.compile(r"\d{1,2}[-./ ]\d{1,2}[-./ ]\d{2,4}|(?:19|20)\d{2}[-./ ]\d{1,2}[-./ ]\d{1,2}")
_HINT = re.compile(r"\d")
_LETTERED = re.compile(
    r"pass|paspo|licen|\bdln?\b|permis|führerschein|rijbewijs|carnet|patente|cnh|k[öo]rkort|førerkort", re.IGNORECASE
)
"""Passports and licences have numbers of more letters than digits."""

FEWEST_DIGITS, MOST_DIGITS = 6, 20


def national_in(text: str) -> Iterator[Marked]:
    """The numbers of persons in a text, of which some may overlap."""
    if _HINT.search(text) is None:
        return
    for kind, form in _FORM.items():
        yield from (Marked(*found.span(), kind) for found in form.finditer(text))
    for found in _NAMED.finditer(text):
        number = found["number"]
        lettered = _LETTERED.search(text, found.start(), found.start("between")) is not None
        fewest = 2 if lettered and len(number) > 7 and number.isalnum() and number.isupper() else FEWEST_DIGITS
        if fewest <= sum(map(str.isdigit, number)) <= MOST_DIGITS and not _DATE.fullmatch(number):
            yield Marked(*found.span("number"), "national_id")


def national_words(text: str) -> list[tuple[int, int]]:
    """Where words stand that say that the number beside them is one of a person, in order."""
    return [found.span() for found in _WORD.finditer(text)]


def says_national(text: str) -> bool:
    """Whether a word in the text says that the number beside it is one of a person."""
    return _WORD.search(text) is not None
