"""Events that end what is so of somebody without naming it: who is laid off has no employer, who died lives nowhere."""

from __future__ import annotations

import re

from memos_integrations.core.claims.claim import ALL, ANY, KINDS, Claim
from memos_integrations.core.claims.subjects import Subject

_WORK, _STUDY = ("employer", "role"), ("school", "subject")
_OWN = r"(?:my|his|her|their|the|our)"
_PASSIVE = r"(?:is|am|are|was|were|got|get)"
_ENDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), ends)
    for pattern, ends in (
        (_PASSIVE + r" (?:laid off|fired|sacked|let go|dismissed|made redundant)\b", _WORK),
        (r"(?:is|am|are) (?:unemployed|jobless|out of (?:work|a job)|between jobs)\b", _WORK),
        (r"(?:" + _PASSIVE + r" )?retired\b(?! " + _OWN + r"\b)(?! (?:a|an|as)\b)", _WORK),
        (
            r"(?:lost|quit|left|resigned from|gave up|given up) " + _OWN + r" (?:\w+ )?(?:job|position|post|work)\b",
            _WORK,
        ),
        (r"(?:quit|resigned)$|handed in " + _OWN + r" (?:notice|resignation)\b|stopped working$", _WORK),
        (
            r"(?:dropped out|graduated)\b|(?:left|finished|completed) (?:school|university|college|uni|high school)\b",
            _STUDY,
        ),
        (
            r"(?:died|passed away|passed on|(?:is|are) dead|was put (?:down|to sleep)|were put (?:down|to sleep))\b",
            (ANY,),
        ),
    )
)
_ANIMALS = KINDS["pet"] | frozenset("puppy kitten horse pony bird budgie canary fish guinea mouse rat".split())


def ended_by(subject: Subject, words: list[str]) -> list[Claim]:
    """The claims of an event that ends what it does not name; nothing of a thing ("my phone died")."""
    if not (subject.personal or set(subject.key.split()) & _ANIMALS):
        return []
    told = " ".join(words)
    ends = next((ends for pattern, ends in _ENDS if pattern.match(told)), ())
    return [Claim(subject.key, each, "", ended=True, changed=True, was=ALL) for each in ends]
