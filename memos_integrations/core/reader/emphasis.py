"""What a question says of the memories it wants beside what they are about: how new, how sure, whose words."""

from __future__ import annotations

import re
from typing import Literal

OfHeader = Literal["recency", "importance", "trust", "heat"]
"""What of a memory's header a question may ask for."""

_I = re.IGNORECASE

_ASKS_FOR: tuple[tuple[OfHeader, re.Pattern[str]], ...] = (
    (
        "recency",
        re.compile(
            r"\b(?:latest|newest|most recent(?:ly)?|currently|current (?!affairs|events)|nowadays|these days"
            r"|at the moment|at present|right now|as of (?:now|today)|up[- ]to[- ]date"
            r"|the last (?:thing|news|word|update))\b",
            _I,
        ),
    ),
    (
        "importance",
        re.compile(
            r"\bmost (?:important|urgent|critical|pressing)\b"
            r"|\b(?:important|urgent|critical|pressing) (?:thing|point|task|note|reminder|matter|memor|fact)"
            r"(?:s|y|ies)?\b"
            r"|\b(?:top|highest|high) priorit(?:y|ies)\b|\bpriorities\b"
            r"|\bmatters? (?:the )?most\b",
            _I,
        ),
    ),
    (
        "trust",
        re.compile(
            r"\b(?:verified|confirmed|trustworthy|reliabl[ey]|for (?:sure|certain)|beyond doubt)\b"
            r"|\b(?:how|are you|can (?:we|i) be) (?:sure|certain)\b",
            _I,
        ),
    ),
    (
        "heat",
        re.compile(
            r"\b(?:most (?:often|frequently)|most|often|frequently) (?:used|asked|recalled|read|needed|looked up)\b"
            r"|\b(?:ask(?:ed|ing)?|look(?:ed|ing)? (?:up|for)|needed?|used?)\b[^?.!]{0,80} (?:most often"
            r"|most frequently|all the time|again and again|over and over|the most)\b"
            r"|\bkeep (?:asking|looking up|coming back to)\b",
            _I,
        ),
    ),
)

_SAYING = (
    r"(?:say|said|suggest(?:ed)?|recommend(?:ed)?|tell|told|advis(?:e|ed)|mention(?:ed)?|explain(?:ed)?|propos(?:e|ed)"
    r"|writ(?:e|ten)|wrote|answer(?:ed)?|repl(?:y|ied)|list(?:ed)?|describ(?:e|ed)|call(?:ed)?|warn(?:ed)?|promis(?:e|ed)"
    r"|ask(?:ed)?)"
)
_AUX = r"(?:did|do|have|had|has|were|was)"
_OF_ASSISTANT = re.compile(
    rf"\b{_AUX} you (?:\w+ly |ever |just |already )?{_SAYING}\b"
    rf"|\byou (?:had |have |just |once |first |already )?{_SAYING}\b"
    r"|\byour (?:advice|suggestions?|recommendations?|answers?|explanations?|replies|reply|proposals?|tips?)\b",
    _I,
)
_OF_USER = re.compile(
    rf"\b{_AUX} (?:i|we) (?:\w+ly |ever |just |already )?{_SAYING}\b"
    rf"|\bi(?:'ve|'d)? (?:had |have |just |once |first |already )?"
    r"(?:said|told|mentioned|asked|wrote|described)\b|\bmy (?:questions?|requests?|messages?|complaints?)\b",
    _I,
)


_HINTS: dict[OfHeader, tuple[str, ...]] = {
    "recency": (
        "latest", "newest", "recent", "current", "nowadays", "these days", "moment", "present", "right now", "as of",
        "to date", "to-date", "the last",
    ),
    "importance": ("important", "urgent", "critical", "pressing", "priorit", "matter"),
    "trust": ("verified", "confirmed", "trustworthy", "reliab", "sure", "certain", "doubt"),
    "heat": ("most", "often", "frequently", "all the time", "again", "over and over", "keep"),
}  # fmt: skip
"""Where none of these stands the pattern cannot fit: to look for them takes a hundredth of the time."""


def asks_for(prompt: str, *, of_then: bool = False) -> tuple[OfHeader, ...]:
    """What of a memory's header the question asks for: "recency", "importance", "trust", "heat"; most often nothing.

    *of_then*: it names a time, or asks for one. Then "currently" is what it was at that time, not the latest.
    """
    folded = prompt.lower()
    return tuple(
        name
        for name, pattern in _ASKS_FOR
        if not (of_then and name == "recency")
        and any(hint in folded for hint in _HINTS[name])
        and pattern.search(prompt) is not None
    )


def statement_of(prompt: str) -> Literal["user", "assistant"] | None:
    """Whose words are asked for in a chat with an assistant; None where the question says neither, or both."""
    words = {*prompt.lower().replace("'", " ").split()}
    assistant = not words.isdisjoint(("you", "your")) and _OF_ASSISTANT.search(prompt) is not None
    user = not words.isdisjoint(("i", "we", "my")) and _OF_USER.search(prompt) is not None
    if assistant == user:
        return None
    return "assistant" if assistant else "user"
