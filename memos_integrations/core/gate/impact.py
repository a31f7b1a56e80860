"""What would hurt if it were false: money, credentials, orders to a model, and who may do what."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from memos_integrations.core.gate.disguised import legible
from memos_integrations.core.gate.instructions import Likeness, likeness_of
from memos_integrations.core.gate.risks import names_keys, pays, risks
from memos_integrations.core.gate.steering import steers


class Impact(StrEnum):
    """Why a memory is of high impact."""

    MONEY = "money"
    CREDENTIALS = "credentials"
    INSTRUCTIONS = "instructions"
    POLICY = "policy"


_MONEY = re.compile(
    r"\b(?:payroll|wire transfers?|bank (?:account|details|transfer)|iban|swift|bic|routing number|"
    r"sort code|direct deposit|"
    r"account (?:number|no\.?|ending|\d[\d -]{4,})|(?:wires?|transfers?) (?:go(?:es)?|default|should go)|"
    r"invoices? (?:go|are|should|to)|refunds?|reimburse\w*|"
    r"(?:transfer|pay|send|wire|remit)(?:s|red|ed)? (?:to|into) (?:account|acct|iban|wallet)|"
    r"(?:crypto|bitcoin|btc|eth) (?:wallet|address)|card (?:number|ending)|ship(?:ped|ping|"
    r"s)? (?:the |all |an? )?(?:orders?|goods|package)[^.!?]{0,20} to|"
    r"(?:payment|billing|payee|beneficiary|remittance) (?:address|account|details|information)|"
    r"überweis\w*|kontonummer|bankverbindung|virements?|transferencias? bancarias?|cuenta bancaria|bonifico|"
    r"conto corrente|transferência bancária|банковск\w+ (?:сч[её]т|реквизит)\w*|на сч[её]т)\b"
    r"|银行账户|转账|口座番号|振込",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(
    r"\b(?:passwords?|passphrase|passcode|api keys?|access tokens?|(?:private|secret) keys?|credentials?|vpn"
    r"|ssh keys?|2fa|mfa|"
    r"one[- ]time code|(?:door|gate|alarm|entry|safe|pin) codes?|"
    r"recovery codes?|log ?in (?:to|with|page|link|at)|sign[- ]in (?:page|link|at)|"
    r"passw[oö]rt\w*|zugangsdaten|contraseñas?|mots? de passe|senhas?|wachtwoord\w*|парол[ьяеи]\w*)\b"
    r"|密码|パスワード|비밀번호",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"\b(?:authori[sz](?:ed?|es|ation)|approv(?:ed?|es|als?)|consent(?:ed|s)?|permission(?:s)? (?:to|"
    r"for)|granted? (?:access|permission)|"
    r"(?:admin|root|superuser) (?:access|rights|role|privileges?)|allowed to|exempt(?:ed)? from|"
    r"whitelist\w*|allow-?list\w*|trusted (?:domain|sender|vendor|source|contact)|"
    r"(?:security|access|retention|company|refund|expense|data) polic(?:y|ies)|delet(?:e|ed|ing|"
    r"ion)[^.!?]{0,20}\b(?:logs?|backups?|records?|data)|disable[ds]? (?:the )?(?:logging|audit|mfa|"
    r"2fa|firewall|alerts?|monitoring)|"
    r"without (?:asking|confirm(?:ing|ation)|approval|being asked|further notice|(?:a|any) (?:prompt|confirmation))|"
    r"(?:skip|bypass|override)(?:s|ped|ping|es|ed|ing)? (?:the |any |all |every )?(?:approvals?|confirmations?|"
    r"content filters?|safety|security|verification|authori[sz]ation)|no restrictions|unrestricted|guardrails?)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def impacts_of(text: str) -> frozenset[Impact]:
    """Why a text is of high impact; empty for most."""
    found = {
        impact
        for impact, pattern in ((Impact.MONEY, _MONEY), (Impact.CREDENTIALS, _CREDENTIALS), (Impact.POLICY, _POLICY))
        if pattern.search(text)
    }
    plain = legible(text)
    folded = plain.casefold()
    if pays(plain):
        found.add(Impact.MONEY)
    if names_keys(plain):
        found.add(Impact.CREDENTIALS)
    if risks(plain, folded):
        found.add(Impact.POLICY)
    if steers(plain, folded) or likeness_of(text) is not Likeness.NONE:
        found.add(Impact.INSTRUCTIONS)
    return frozenset(found)
