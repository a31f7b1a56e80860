"""Secrets by their form (keys of known issuers, tokens, private keys) or by the words before them (passwords)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memos_integrations.core.gate.hygiene import in_plain_signs
from memos_integrations.core.gate.marked import Marked
from memos_integrations.core.gate.told_secrets import told_secrets_in

_FORMS: dict[str, str] = {
    "private_key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----BEGIN )){16,20000}?"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    # one whose end was cut off, in a long text
    r"|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?:\\n|\s)*[A-Za-z0-9+/=]{16,100})+",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "aws_key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "github_token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255})\b",
    "gitlab_token": r"\bgl(?:pat|dt|rt|ptt|oas)-[A-Za-z0-9_-]{20,64}",
    "basic_auth": r"\b(?i:Authorization)[\"']?\s?[:=]\s?[\"']?(?i:Basic) [A-Za-z0-9+/]{8,400}={0,2}",
    "bearer_token": r"\b(?i:Authorization)[\"']?\s?[:=]\s?[\"']?(?i:Bearer|Token"
    r"|ApiKey) [A-Za-z0-9._~+/-]{8,2000}={0,2}"
    r"|\b(?i:Bearer) (?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{16,2000}={0,2}"
    r"|\b(?i:x-api-key)[\"']?\s?:\s?[\"']?[A-Za-z0-9._~+/-]{8,400}",
    "slack_token": r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,250}"
    r"|\bhttps://hooks\.slack\.com/services/[A-Za-z0-9/_-]{20,100}",
    "model_key": r"\bsk-(?:ant-|proj-|or-v1-|svcacct-|admin-)?[A-Za-z0-9_-]{20,250}",
    "google_key": r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,400}|\bGOCSPX-[0-9A-Za-z_-]{20,50}",
    "stripe_key": r"\b(?:sk|rk|pk|whsec)_(?:live|test)_[0-9A-Za-z]{10,200}|\bwhsec_[0-9A-Za-z]{20,100}",
    "hub_token": r"\b(?:hf_[A-Za-z0-9]{30,60}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}|dckr_pat_[\w-]{20,60}"
    r"|glsa_[A-Za-z0-9_]{32,60}|dop_v1_[a-f0-9]{64}|shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}|sq0[a-z]{3}-[\w-]{22,50}"
    r"|r8_[A-Za-z0-9]{37,40}|gsk_[A-Za-z0-9]{30,80}|tvly-[A-Za-z0-9-]{20,60}|lsv2_(?:pt|sk)_[a-f0-9_]{30,60}"
    r"|SG\.[\w-]{16,32}\.[\w-]{16,64}|key-[0-9a-f]{32}|AC[0-9a-f]{32}|SK[0-9a-f]{32}|EAA[A-Za-z0-9]{60,300})\b",
    "bot_token": r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b|\b[MNO][A-Za-z\d]{23,25}\.[\w-]{6}\.[\w-]{27,38}\b",
    "storage_key": r"\b(?:AccountKey|SharedAccessKey|sig)=[A-Za-z0-9+/%]{40,}={0,2}",
}
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@]{1,100}:([^\s/@]{3,200})@[\w.-]+", re.IGNORECASE)
_FORM = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items()))
_NAMED = re.compile(
    r"(?<![^\W_])(?P<name>pass(?:word|code|phrase|wd)?|pwd?|(?:(?:api|access|secret|auth|private|client|encryption"
    r"|signing|"
    r"aws|license|account)[ _-]?)+(?:key|token|secret)|secret|bearer|token|"
    r"(?:recovery|backup|security|verification|login|one[- ]time|2fa|otp) (?:code|codes|pin)|"
    r"pin(?: code| number)?|cvv2?|cvc2?|otp)\b"
    r"(?:\s+(?:for|to|of|on|at)\s+(?:(?:my|the|our|his|her|their|a)\s+)?[\w'@.&/-]+(?:\s+(?!is\b|"
    r"was\b)[\w'@.&/-]+){0,3})?"
    r"[\"']?\s*(?P<sign>[:=]+|\bis now\b|\bis\b|\bwas\b|\bto\b|['\u2019]s\b|→|[\u2014\u2013-](?=\s)|\s)"
    r"\s*[\"'`\u201c\u2018]*"
    r"(?P<value>[^\s\"'`\u201d\u2019,;]{3,200})",
    re.IGNORECASE,
)
_ABROAD = re.compile(
    r"(?<![A-Za-z])(?P<name>(?:wlan-?|wifi-?)?passwor[dt]|kennwort|contraseñ?n?a|mots? de passe|senha|palavra-passe"
    r"|parola(?: chiave)?|wachtwoord|hasło|lösenord(?:et)?|adgangskoden?|salasana|парол[ья]|şifre(?:m|si)?|heslo"
    r"|jelsz[óo]|密[码碼]|口令|パスワード|비밀번호|كلمة (?:المرور|السر)|סיסמ[הא]|पासवर्ड|mật khẩu|kata sandi)"
    r"(?:\s+[^\W\d_][\w'-]{0,30}){0,4}?\s*"
    r"(?P<sign>[:=\uff1a\uff1d]+|\b(?:ist|lautet|es|est|è|é|is|er|är|jest|adalah|là|है)(?=\s)|是|为|為|は|는|은|"
    r"[\u2014\u2013-](?=\s)|\s(?=\S*\d))\s*"
    r"[\"'`\u201c\u201e\u00ab\u2018]*(?P<value>[^\s\"'`\u201c\u201d\u00bb\u2019,;\u3001\u3002\uff0c]{3,200})",
    re.IGNORECASE,
)
"""What is called a password in other languages; said as `_NAMED` says it."""
_WEAK_NAMES = frozenset({"secret", "token", "bearer"})
_HINTS = (
    "pass pw secret token key code pin cvv cvc otp bearer basic :// akia asia eyj _ sk- xox ----- aiza sg. :aa "
    "kennwort contrase senha parola wachtwoord hasło lösenord adgangskode salasana парол şifre heslo jelsz "
    "密码 密碼 口令 パスワード 비밀번호 كلمة סיסמ पासवर्ड mật sandi"
).split()
_LONG = re.compile(r"[A-Za-z\d_-]{20}")
"""Without one of these there is no secret; most texts have none of them."""

_REDACTED = re.compile(r"\[[a-z_ ]+\]?$")


def secrets_in(text: str) -> list[Marked]:
    """The secrets in a text: keys and tokens of known form, passwords in addresses, and what is called a password."""
    text = in_plain_signs(text)
    folded = text.casefold()
    found = list(told_secrets_in(text, folded))
    if any(hint in folded for hint in _HINTS) or _LONG.search(text):
        found += _found(text)
    return list(dict.fromkeys(found))


def _found(text: str) -> Iterator[Marked]:
    for found in _FORM.finditer(text):
        yield Marked(*found.span(), found.lastgroup or "secret")
    for found in _IN_URL.finditer(text):
        if not _REDACTED.match(found[1]):
            yield Marked(*found.span(1), "password")
    for found in _NAMED.finditer(text):
        value = found["value"].rstrip(".!?)")
        if _is_secret(found["name"].casefold(), found["sign"].strip().casefold(), value):
            start = found.start("value")
            yield Marked(start, start + len(value), _kind(found["name"]))
    for found in _ABROAD.finditer(text):
        value = found["value"].rstrip(".!?)")
        if _is_secret("password", found["sign"].strip().replace("\uff1a", ":").replace("\uff1d", "="), value):
            yield Marked(found.start("value"), found.start("value") + len(value), "password")


def _kind(name: str) -> str:
    name = name.casefold()
    if "pin" in name or "code" in name or name.startswith(("cv", "otp")):
        return "code"
    return "password" if name.startswith(("pass", "pwd")) else "secret"


def _is_secret(name: str, sign: str, value: str) -> bool:
    """Whether the word after the name is a secret and not the rest of a sentence."""
    if len(value) < 3 or _REDACTED.match(value) or value.startswith(("[", "<", "{", "$", "*")):
        return False
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    symbols = len(value) - digits - letters - value.count("-") - value.count("'")
    if _kind(name) == "code":
        return 3 <= len(value) <= 12 and digits >= 3 and digits * 2 >= len(value) and sign != "to"
    mixed = letters > 0 and (digits > 0 or symbols > 0) and len(value) >= 5
    if name == "pass":  # people pass, and have passes for trains
        return sign in (":", "=", "==") and mixed and digits > 0
    if sign in (":", "=", "=="):
        return (len(value) >= 5 and name not in _WEAK_NAMES) or (mixed and len(value) >= 8)
    if name in _WEAK_NAMES or not sign:
        return mixed and len(value) >= 8 and digits > 0
    return mixed or (digits >= 4 and letters == 0)
