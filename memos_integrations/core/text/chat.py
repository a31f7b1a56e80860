"""Words as they are typed in a chat, written as elsewhere: "im" is "I'm", "dont" is "don't". Pure."""

from __future__ import annotations

import re

_ME = re.compile(r"\b(?:im|ive|i'm|i've|i)(?=\s)(?!')")
_WHOLE = {"im": "I'm", "i'm": "I'm", "ive": "I've", "i've": "I've", "i": "I"}
_NOT = re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|ca|wo|would|could|should)nt\b", re.IGNORECASE)
_GERMAN = re.compile(r"\b(?:ich|wir|ist|der|die|das|und|nicht|ein|eine|mit|von)\b", re.IGNORECASE)
""""im" is a word of German: "im Sommer"."""


def apostrophised(text: str) -> str:
    """The text with the apostrophes and the capital "I" that a chat leaves out; German text as it is."""
    if _GERMAN.search(text):
        return text
    return _NOT.sub(r"\1n't", _ME.sub(lambda found: _WHOLE[found[0]], text))
