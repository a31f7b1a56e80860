"""The write gate: what may become a memory as it is, cleaned, set apart, or not at all. Pure."""

from __future__ import annotations

from memos_integrations.core.gate.gate import Ruling, Verdict, WriteGate
from memos_integrations.core.gate.hygiene import cleaned, in_plain_signs
from memos_integrations.core.gate.identifiers import may_be_phone, personal_in
from memos_integrations.core.gate.impact import Impact, impacts_of
from memos_integrations.core.gate.instructions import Likeness, likeness_of
from memos_integrations.core.gate.marked import VAGUE, Detector, Marked, Pseudonym, replaced, word
from memos_integrations.core.gate.national import national_words
from memos_integrations.core.gate.secrets import secrets_in

__all__ = [
    "VAGUE",
    "Detector",
    "Impact",
    "Likeness",
    "Marked",
    "Pseudonym",
    "Ruling",
    "Verdict",
    "WriteGate",
    "cleaned",
    "impacts_of",
    "in_plain_signs",
    "likeness_of",
    "may_be_phone",
    "national_words",
    "personal_in",
    "replaced",
    "secrets_in",
    "word",
]
