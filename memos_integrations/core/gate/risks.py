"""Acts that would hurt if nobody meant them: checks left out, things destroyed, doors opened, money and records sent.

Sources of the kinds: see `steering`; OWASP LLM06, excessive agency.
"""

from __future__ import annotations

import re

from memos_integrations.core.gate.hinted import hinted, holds

_GAP = r"[^.!?\n]"
_RISKS = (
    # to leave out what would find the mistake
    (
        "log; audit; record; test; validat; verif; check; review; lint; backup; dry; sandbox; saniti; certificate; "
        "signature",
        r"\b(?:skip(?:s|ped|ping)?|bypass(?:es|ed|ing)?|omit(?:s|ted|ting)?|disabl(?:e|es|ed|ing)|suppress(?:ing)?"
        r"|forgo|leav(?:e|ing) out|no need (?:for|to (?:run|do))|"
        r"(?:not|never|don't) (?:needed|necessary|required|run|need)|without(?: (?:running|doing|any|further|the))?"
        r"|drop(?:ping)?) "
        r"(?:(?:the|all|any|every|full|further|time-consuming|slow|redundant|costly|unit|regression|integration|data"
        r"|input|schema|safety|sanity|code|security|manual|"
        r"final|remaining|pre-?\w{2,12}|end-to-end|quality|output|result) ){0,3}"
        r"(?:tests|testing|test suites?|validations?|verifications?|checks|sanity check|reviews?|linting|backups?"
        r"|dry[- ]runs?|sandbox(?:ing)?|type[- ]checks?|saniti[sz]ation|certificate|signature)\b"
        r"|\b(?:tests?|checks?|validations?|verifications?|reviews?)\b(?: steps?)? (?:can|may|should|could|must"
        r"|are to|is to) (?:safely )?be (?:skipped|omitted|ignored|bypassed|disabled)\b"
        r"|\b(?:assume|mark|report|treat|record|log)\b[^.!?\n]{0,40}\b(?:pass(?:ed|es|ing)?|success(?:ful)?"
        r"|validated|verified|green|complete)\b[^.!?\n]{0,30}\b(?:without|before|even if|regardless|by default)\b"
        r"|\b(?:skip(?:s|ped|ping)?|bypass(?:ed|ing)?|omit(?:ted|ting)?) (?:[\w-]+ ){0,3}(?:tests|testing"
        r"|validations?|checks|verification)\b"
        r"|\b(?:tests?|testing|validation|verification|checks?|reviews?)\b (?:is|are) (?:unnecessary|optional"
        r"|redundant|not (?:needed|necessary|required)|a waste)\b|\b(?:do not|don't|never) (?:log|audit|record)\b",
    ),
    (
        "--no-verify; verify; --insecure; chmod; stricthost; trust_remote; --trusted; --privileged; sh; pickle; shell; "
        "os.system; --extra-index-url; rm -rf; allow-root; nopasswd",
        r"--no-verify\b|\bverify\s?=\s?false\b|--insecure\b|\bchmod (?:-R )?0?777\b|StrictHostKeyChecking[ =]no\b"
        r"|trust_remote_code\s?=\s?true|--trusted-host\b"
        r"|--privileged\b|\|\s?(?:sudo )?(?:ba)?sh\b|\bpickle\.loads?\b|\bshell\s?=\s?true\b|\bos\.system\("
        r"|--extra-index-url\b|\brm -rf\b|--allow-root\b|NOPASSWD|\bpush --force\b",
    ),
    (
        "drop; truncate; wipe; purge; erase; delet",
        rf"\b(?:drop|truncate|wipe|purge|erase|delete)s?\b{_GAP}{{0,30}}\b(?:databases?|tables?|cluster|bucket"
        rf"|repositor(?:y|ies)|production|accounts?|backups?|"
        r"audit|everything)\b|\bdelete_?(?:db|database|table|all|files?|users?|accounts?)\b",
    ),
    (
        "without; root; unsigned; trust ; plain text; plaintext; ssl; tls; cert; full throttle; stop; brak",
        r"\bwithout (?:waiting|contacting|consulting|checking|reviewing|verifying|permission|a review)\b|\b(?:use"
        r"|run as|as) root\b|\bunsigned (?:binar|code|package|script|app)"
        r"|\btrust (?:any|all|every|scripts?|packages?)\b|\b(?:passwords?|secrets?|keys?"
        r"|credentials?)\b[^.!?\n]{0,20}\bplain ?text\b"
        r"|\b(?:ssl|tls|cert)\w*\b[^.!?\n]{0,20}\b(?:off|false|disabled|no)\b|(?-i:\b(?:SUDDEN|EMERGENCY) STOP\b)"
        r"|\b(?:perform|choose|make|issue|take|trigger|do) (?:an? |the )?(?:sudden|emergency|hard) (?:stop|brake)\b"
        r"|\bfull throttle\b",
    ),
    (
        "as admin; as an admin; as collaborator; as a collaborator; as owner; as an owner; as member; as a member; "
        "as maintainer; as a maintainer; as editor; as an editor; call forwarding; official; support",
        rf"\b(?:add|invite|make|set|promote)\b[^!?\n]{{0,60}}\bas (?:an? )?(?:collaborator|admin\w*|owner|member"
        rf"|maintainer|editor)\b|\bcall forwarding\b"
        rf"|\b(?:official|support|help ?desk)\b{_GAP}{{0,20}}\b(?:site|number|page|line|address|website|url"
        rf"|hotline)\b{_GAP}{{0,12}}\b(?:is now|moved|changed)\b",
    ),
    (
        "zugestimmt; ohne rück; genehmig; autori; sin confirm; aprob; accept; sans confirm; senza conf; sem conf; "
        "同意; 无需; 授权; 承認; 승인; согла; без подтв",
        r"\b(?:zugestimmt|ohne rückfrage|genehmigt|autorisiert|autoriza\w*|sin confirmación|aprobad\w+|autoris(?:e"
        r"|é)\w*|accepte que|sans confirmation"
        r"|senza conferma|sem confirmação|согласен|согласилась|без подтверждения)\b"
        r"|已经?同意|无需确认|授权|承認しました|승인",
    ),
    (
        "opted; behalf; no longer appl; data sharing; open port; firewall; forwarding rule; to the world; "
        "to the internet; force; linter",
        r"\bopted in(?:to)?\b|\bon (?:the (?:user|visitor|owner)'s|their|my|his|her) behalf\b"
        r"|\brules?\b[^.!?\n]{0,30}\bno longer appl(?:y|ies)\b|\bdata sharing\b|\bopen port \d"
        r"|\bforwarding rules?\b|\bto the (?:whole )?(?:world|internet)\b[^.!?\n]{0,20}\bfor\b|\bforce[- ]push\w*"
        r"|\bdisable (?:the )?(?:linter|tests|checks|ci)\b",
    ),
    # doors, access, records, on somebody's behalf
    (
        "access; unlock; disarm; deactivate; turn off; disable; control",
        rf"\b(?:grant|give|share|provide|allow)\b{_GAP}{{0,40}}\b(?:(?:permanent|temporary|full|remote|guest"
        rf"|admin\w*|unrestricted|root) )?(?:access|control) (?:to|of|over|for)\b"
        rf"|\b(?:permanent|full|remote|guest|unrestricted) access\b|\bunlock\b{_GAP}{{0,20}}\b(?:doors?|gates?"
        rf"|locks?|house|safe|vault)\b"
        rf"|\b(?:disable|turn off|deactivate|disarm|switch off)\b{_GAP}{{0,20}}\b(?:alarms?(?! clock)|cameras?"
        rf"|security|locks?|firewall|antivirus|monitoring|logging)\b",
    ),
    (
        "payment; addresses; medical; health; genetic; history; statement; personal; location; record; contact; inbox; "
        "social security; customer; patient; saved; stored",
        rf"\b(?:send|email|e-mail|forward|share|export|upload|post|mail|transmit|leak|disclose|retrieve"
        rf"|collect)\b{_GAP}{{0,40}}\b(?:saved|stored|payment methods?|"
        r"home addresses|addresses|medical|health|genetic|browsing|search history|transaction|bank statements?"
        r"|location history|personal (?:data|information|details)|"
        rf"patient|customer (?:data|list|records?)|contact (?:list|details)|inbox"
        r"|social security)\b[^!?\n]{0,60}\b(?:to|with)\b",
    ),
)
_PAYS = re.compile(
    rf"\b(?:transfer|wire|pay|send|deposit|withdraw|donate|remit|move|schedule)\b{_GAP}{{0,25}}"
    r"(?:[$€£¥₹]\s?\d|\d[\d,.]*\s?(?:dollars|euros|pounds|usd|eur|gbp|btc|bitcoins?|eth|usdt)\b)"
    rf"{_GAP}{{0,40}}\b(?:to|from|into)\b"
    rf"|\b(?:buy|sell|purchase|trade|order)\b{_GAP}{{0,40}}\b(?:shares|stocks?|bitcoins?|crypto|on my card|using my"
    rf"|with my (?:card|account))\b"
    r"|\bmove (?:everything|all (?:my |the )?money|(?:my |the )?(?:money|savings))\b",
    re.IGNORECASE,
)
_KEEPS_KEYS = re.compile(
    r"\.ssh/|\bid_(?:rsa|ed25519)\b|\bos\.environ\b|/etc/(?:passwd|shadow)\b|(?<!\w)\.env\b|\bauthorized_keys\b"
    r"|\.aws/|\.netrc\b",
    re.IGNORECASE,
)
"""Where a machine keeps its keys."""

_RISKY = hinted(_RISKS)


def risks(text: str, folded: str) -> bool:
    """Whether it leaves out a check, destroys, opens a door, or hands over somebody's records."""
    return holds(_RISKY, text, folded)


def pays(text: str) -> bool:
    """Whether it is to move money."""
    return _PAYS.search(text) is not None


def names_keys(text: str) -> bool:
    """Whether it names a place where a machine keeps its keys."""
    return _KEEPS_KEYS.search(text) is not None
