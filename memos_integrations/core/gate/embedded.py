"""Orders that stand in a document for whoever reads it by machine, and turns of a conversation that never was.

The forms are those of latent injection: the reader is to leave the task, to say only so much, or to take what follows
for the end of the document. From: Greshake et al. 2023 (arXiv 2302.12173), OWASP LLM01.
"""

from __future__ import annotations

import re

_FLAGS = re.IGNORECASE
_CLAUSE = r"(?:^|[.!?:;>*\n\"]\s{0,8}|\b(?:please|just|and|but|so|instead|first|also)[, ]+)"

_LEAVES = re.compile(
    rf"{_CLAUSE}(?:ignore|disregard|forget|skip)\b (?:(?:the|this|that|all|any|your|of|my)[ ]+)*"
    r"(?:instructions?\b(?! manual)|rest of (?:this|the|that) (?:data|text|document|page|message|content|article|"
    r"e-?mail|input)|(?:other |the )?(?:info(?:rmation)?|data|content|text|input|context) (?:except|above|below|and)|"
    r"(?:task|question|request) (?:above|and|given|at hand))",
    _FLAGS,
)
_ONLY = re.compile(
    rf"{_CLAUSE}(?:reply|respond|answer|print|output|say|write|return|repeat)\b[^.!?\n]{{0,40}}"
    r"(?:\bonly (?:with )?(?:the (?:following|word|text|phrase|sentence)|this|that)|"
    r"\band (?:absolutely )?nothing else\b|"
    r"\bexactly (?:the following|this|these words))"
    rf"|{_CLAUSE}just (?:print|output|say|reply|respond|answer|write|return)\b(?: with)? [\"'\u201c<{{\[*A-Z]",
    _FLAGS,
)
_UNSEEN = re.compile(
    r"\b(?:in)?visible (?:only )?to (?:humans?|people|readers?|the (?:human|user|reader)s?|(?:the |an )?(?:llms?|ais?|"
    r"models?|machines?|parsers?|bots?))\b"
    r"|\b(?:white|hidden|transparent|zero[- ]size)[- ]text\b[^.!?\n]{0,20}[:(]"
    r"|\bhidden\b[^.!?\n]{0,30}\bfor (?:automated|automatic|ai|llm|machine)\b"
    r"|\bfor (?:automated|ai|llm|machine) (?:screening|reading|review|processing|parsing)(?: systems?)?\b"
    r"[^.!?\n]{0,10}:",
    _FLAGS,
)
_ENDS = re.compile(
    r"[<\[({=*#-]{1,6}\s?(?:end|close|start|begin)(?: of)?(?: the| this)? (?:session|conversation|document|context|"
    r"data|input|prompt|instructions?|article|text|e-?mail|user (?:input|data))\s?[>\])}=*#-]{1,6}",
    _FLAGS,
)
_TURN = re.compile(r"(?:^|\n|\\n)[^\S\n]*(?:#{1,3} ?)?(assistant|user|human|ai|system)[^\S\n]*:", _FLAGS)


def is_embedded(text: str) -> bool:
    """Whether it speaks to whoever reads a document by machine."""
    return any(each.search(text) is not None for each in (_LEAVES, _UNSEEN, _ENDS)) or (
        _ONLY.search(text) is not None and len(text) > 20
    )


def holds_turns(text: str) -> bool:
    """Whether turns of two speakers of a chat with a model stand in it; so does a conversation that was pasted."""
    return len({found.casefold() for found in _TURN.findall(text)}) > 1
