"""Words as they are typed in a chat, written as elsewhere: "im" is "I'm", "gf" is "girlfriend". Pure."""

from __future__ import annotations

import re

_ME = re.compile(r"\b(?:im|ive|i'm|i've|i)(?=\s)(?!')")
_WHOLE = {"im": "I'm", "i'm": "I'm", "ive": "I've", "i've": "I've", "i": "I"}
_NOT = re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|ca|wo|would|could|should)nt\b", re.IGNORECASE)
_GERMAN = re.compile(r"\b(?:ich|wir|ist|der|die|das|und|nicht|ein|eine|mit|von)\b", re.IGNORECASE)
""""im" is a word of German: "im Sommer"."""


_NOISE = re.compile(
    r"(?:^|(?<![\s,])[\s,]++)(?:lo+l|lmao|btw|pl[sz]|tbh|ngl|im(?:h)?o|ha(?:ha)+h?|ugh|omg|xd|smh|kinda|sorta|:-?[()dp]|<3)(?=[\s,.!?]|$)",
    re.IGNORECASE,
)
_SHORT = {
    "gf": "girlfriend", "bf": "boyfriend", "rn": "now", "yr": "year", "yrs": "years", "roomie": "roommate",
    "appt": "appointment", "thx": "thanks", "u": "you", "ur": "your", "w": "with", "w/": "with", "tho": "though",
    "cuz": "because", "bc": "because", "fav": "favourite", "bday": "birthday",
}  # fmt: skip
_SHORTENED = re.compile(
    rf"(?<![\w'/@#.-])(?:{'|'.join(re.escape(each) for each in sorted(_SHORT, key=len, reverse=True))})(?=[\s,.!?;]|$)"
)


def apostrophised(text: str) -> str:
    """The text with the apostrophes and the capital "I" that a chat leaves out; German text as it is.

    What is written short is written out, and what only sets the tone ("lol") is left out.
    """
    if _GERMAN.search(text):
        return text
    told = _SHORTENED.sub(lambda found: _SHORT[found[0]], _NOISE.sub("", text).strip())
    return _NOT.sub(r"\1n't", _ME.sub(lambda found: _WHOLE[found[0]], told or text))
