"""Secrets that people tell each other in passing: a name with its password, a PIN, a one-time code, a wallet's words.

Known by what stands around them; what is an everyday number or word by itself is one here, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memos_integrations.core.gate.devices import wallet_keys_in
from memos_integrations.core.gate.marked import Marked

_IS = r"(?:[:=#\uff1a]|\b(?:is(?: now)?|was|ist|lautet|es|est|er|är|on|jest|adalah|là)\b|[èé是为為は는은])"
_PASSWORD = r"(?:pw|pass(?:word|wd|code)?|pwd|passwort|kennwort|contraseña|mot de passe|senha|wachtwoord)"
_PAIR = re.compile(
    r"(?<![^\W_])(?:log[ -]?in|user(?:[ -]?(?:name|id))?|usr|account|wi-?fi|wlan|ssid|konto|credentials?|creds"
    r"|zugang(?:sdaten)?|benutzer(?:name)?"
    r"|usuario|utilisateur|identifiants?|utente)\s?(?:[:=]|\bis\b)\s?[\"'`]?[\w.@+-]{2,64}[\"'`]?\s?"
    rf"(?:[/|]\s?(?:{_PASSWORD}\s?[:=]\s?)?|[,;&\s]\s?(?:and |und |y |et |e )?{_PASSWORD}\s?(?:{_IS}\s?|\s))[\"'`]?"
    r"(?P<value>[^\s\"'`,;]{4,100})",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(
    r"(?<![\w:/@.+-])(?!(?:[\w-]*e?-?mail(?:to)?|contact|to|cc|bcc|from|reply-to|address|kontakt|correo|sip|sips"
    r"|xmpp|skype|me|work|home"
    r"|private|privat|urn|acct):)[\w.+-]{2,60}:(?P<value>[^\s/@:]{4,100})@(?:(?:[\w-]{1,63}\.){1,6}[a-z]{2,24}"
    r"|localhost|\d{1,3}(?:\.\d{1,3}){3})(?![\w@])",
    re.IGNORECASE,
)
_ONE_TIME = (
    r"(?:2fa|mfa|otp|two[- ]factor|one[- ]time|log[ -]?in|sign[- ]?in|verif\w*|authent\w*|anmeld\w*|bestätig\w*)"
)
_CODE = r"(?:code|código|codigo|codice|kode|kod|passcode|token|код|验证码|驗證碼|認証コード|인증번호|رمز|קוד)"
_CODES = re.compile(
    rf"(?<![^\W_])(?<!error )(?<!status )(?<!exit )(?<!zip )(?<!area ){_CODE}\s?{_IS}?\s?"
    rf"(?P<before>\d(?:[ -]?\d){{3,7}})(?![\w%-]|[.,]\d)(?=[^.!?\n]{{0,30}}\b{_ONE_TIME})"
    rf"|(?<![^\W_])(?:{_ONE_TIME}|verifizierungs?|bestätigungs?|sicherheits?|sms|tür|haustür|tresor|(?:front )?door"
    rf"|gate|alarm|"
    rf"safe|entry|access|lock(?:er|box)?|garage)[ -]?(?:{_CODE}|pin|combo|combination)(?:\s(?:for|to|für|at)(?:"
    rf"\s[\w'-]+){{1,4}}?)?\s?{_IS}?\s?(?P<named>\d(?:[ -]?\d){{3,7}})(?![\w%-]|[.,:]\d)"
    rf"|(?<![^\W_])(?:2fa|mfa|otp|puk|m-?tan)\s?{_IS}?\s?(?P<alone>\d{{4,8}})(?![\w%-]|[.,:]\d)",
    re.IGNORECASE,
)
_PIN = re.compile(
    r"(?<![^\W_])(?:pin(?:[ -]?(?:code|nummer|number|kod|kode))?|puk|geheimzahl|geheimnummer|cvv2?|cvc2?"
    r"|clave (?:secreta|de acceso|pin)|c[óo]digo pin|code pin|codice pin|code secret|пин(?:-?код)?|pin码"
    r"|暗証番号|비밀번호)"
    r"(?:\s(?:für|die|den|das|meine|of|for|de|del|della|der|von|da|van|meiner?|my|mi|ma|the|to|bei|la|le|karte|card|tarjeta|carte"
    r"|phone|handy|bank|sim|konto)\b){0,4}"
    rf"\s?{_IS}\s?(?P<value>\d{{3,8}})(?![\w%-]|[.,:]\d)",
    re.IGNORECASE,
)
_SEED = re.compile(
    r"(?<![^\W_])(?:(?:seed|recovery|backup|mnemonic|secret|wallet)[ -]?(?:phrase|words?|seed)|mnemonic|seed|bip-?39"
    r"|wiederherstellungs(?:phrase|wörter)|frase (?:semilla|de recuperaci[óo]n|seme|segreta)"
    r"|phrase de r[ée]cup[ée]ration)(?: (?:is|are|was|ist|es|est|for|of|to|my|the|wallet|metamask|ledger"
    r"|trezor)\b){0,5}\s{0,3}[:=-]?\s{0,3}[\"'`\u201c]?"
    r"(?P<value>(?:(?:\d{1,2}[.)]\s?)?[a-z]{3,8}(?:,? |,|\r?\n)){11,23}(?:\d{1,2}[.)]\s?)?[a-z]{3,8})(?![\w-])",
    re.IGNORECASE,
)
_OF_SENTENCES = frozenset("the and are was were but not for has had with from which our his her its than".split())
"""What sentences hold, and the list of BIP 39 does not."""

_FEWEST_WORDS = 9
"""So many different words at least are a wallet's."""

_KEY_END = re.compile(r"-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{16,100}")
_PAIR_HINTS = (
    "log usr user account wifi wi-fi wlan ssid konto cred zugang benutzer usuario utilisateur identifiant utente"
).split()
_SEED_HINTS = "seed phrase mnemonic bip words wörter frase".split()
_DIGITS = re.compile(r"\d[ -]?\d[ -]?\d")
_REDACTED = re.compile(r"\[[a-z_ ]+\]?$")


def told_secrets_in(text: str, folded: str) -> Iterator[Marked]:
    """The secrets in a text of plain signs (and in lower case) that words around them give away."""
    if any(hint in folded for hint in _PAIR_HINTS):
        yield from _opening(_PAIR, text)
    if "@" in text and ":" in text:
        yield from _opening(_IN_ADDRESS, text)
    if _DIGITS.search(text) is not None:
        yield from (Marked(*found.span("value"), "code") for found in _PIN.finditer(text))
        yield from (Marked(*found.span(found.lastgroup or 0), "code") for found in _CODES.finditer(text))
    for found in _SEED.finditer(text) if any(hint in folded for hint in _SEED_HINTS) else ():
        words = set(re.findall(r"[a-z]+", found["value"].casefold()))
        if len(words) >= _FEWEST_WORDS and not words & _OF_SENTENCES:
            yield Marked(*found.span("value"), "seed_phrase")
    yield from wallet_keys_in(text)
    yield from _key_ends(text)


def _opening(pattern: re.Pattern[str], text: str) -> Iterator[Marked]:
    for found in pattern.finditer(text):
        value = found["value"].rstrip(".!?)")
        if _is_mixed(value) and not _REDACTED.match(value):
            yield Marked(found.start("value"), found.start("value") + len(value), "password")


def _is_mixed(value: str) -> bool:
    """Whether a value has letters, and digits or signs among them, as a password has and a word has not."""
    digits, letters = sum(map(str.isdigit, value)), sum(map(str.isalpha, value))
    signs = len(value) - digits - letters - sum(value.count(sign) for sign in "-'.@")
    return letters > 0 and (digits > 0 or signs > 0) and len(value) >= 5


def _key_ends(text: str) -> Iterator[Marked]:
    """The last lines of a private key whose beginning was cut off."""
    before = 0
    for found in _KEY_END.finditer(text) if "-----END" in text else ():
        start = found.start()
        lines = text[max(before, start - 20_000) : start].splitlines(keepends=True)
        before = found.end()
        while lines and _KEY_LINE.fullmatch(lines[-1].strip()):
            start -= len(lines.pop())
        whole = lines and "-----BEGIN " in lines[-1]  # then it is found by its form
        if start < found.start() and not whole:
            yield Marked(start, found.end(), "private_key")
