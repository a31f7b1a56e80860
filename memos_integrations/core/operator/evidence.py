"""What speaks for a candidate: a search's scores, stretched to 0..1, and what its header and words say. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memos_integrations.core.cube import MemCube, Relation
from memos_integrations.core.ranking import closeness, shape_of
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.text import terms as terms_of

TERMS_PER_WORD = 0.45
"""How many of a text's words are terms, most often; the rest are function words."""

ROLES = frozenset("user assistant system tool human ai bot agent me you".split())
"""Who speaks, where that is no name: a question that holds such a word names nobody."""

STATEMENT_WORDS = 40
"""From so many words on a message is a full statement, not a reply."""

TIME_WORDS = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|since|recently|(?:last|next|this|past) \w+|weekends?|(?:mon|tues|wednes"
    r"|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october|november|december|weeks?|months?"
    r"|years?|days|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Candidate:
    """A cube under consideration, with its score per signal."""

    cube: MemCube
    signals: dict[str, float] = field(default_factory=dict)


def said_at(cube: MemCube) -> datetime:
    """When it was said or happened, else when it was written down."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def in_shape(weights: Mapping[str, float], texts: Sequence[str]) -> dict[str, float]:
    """The weights for memories of this length.

    A long message is a text of its own: its vector tells what it is about, and neither its session nor the one
    time word in it tells that it answers.
    """
    words = sum(len(text.split()) for text in texts) / max(len(texts), 1)
    near = shape_of(words * TERMS_PER_WORD).near
    shaped = dict(weights)
    for name in ("session", "when", "earlier", "late_next", "statement"):
        if name in shaped:
            shaped[name] *= near
    if "dense" in shaped:
        shaped["dense"] += (1.0 - near) * 0.5
    return shaped


FROM_NOTHING = ("context", "words", "earlier", "session", "bm25")
FROM_LOWEST = ("late", "dense")


def stretch(candidates: Sequence[Candidate]) -> None:
    """Bring raw scores to 0..1: sums of shares from nothing to the best, cosines from the lowest to the highest.

    `late_next` is the late interaction of the message that follows, where that is a candidate too.
    """
    for name in FROM_NOTHING:
        top = max((c.signals.get(name, 0.0) for c in candidates), default=0.0)
        for candidate in candidates:
            candidate.signals[name] = candidate.signals.get(name, 0.0) / top if top > 0.0 else 0.0
    for name in FROM_LOWEST:
        known = [c.signals[name] for c in candidates if name in c.signals]
        low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
        for candidate in candidates:
            raw = candidate.signals.get(name, low)
            candidate.signals[name] = (raw - low) / span if span > 0.0 else float(name in candidate.signals)
    by_id = {c.cube.id: c for c in candidates}
    for candidate in candidates:
        for link in candidate.cube.provenance.links:
            if link.relation is Relation.FOLLOWS and link.target in by_id:
                by_id[link.target].signals["late_next"] = candidate.signals["late"]


def named_speakers(cubes: Sequence[MemCube], call: MemoryCall) -> frozenset[str]:
    """The one speaker whom the question names, of several there are; empty when it names none or more."""
    speakers = {cube.provenance.speaker.casefold() for cube in cubes if cube.provenance.speaker}
    asked = set(terms_of(call.query))
    named = {one for one in speakers - ROLES if (words := set(terms_of(one)) - ROLES) and words & asked}
    return frozenset(named) if len(named) == 1 and len(speakers) > 1 else frozenset()


def own_signals(cube: MemCube, call: MemoryCall, newest: datetime, named: frozenset[str]) -> dict[str, float]:
    """What a cube's header and words say about its fit, each 0..1."""
    age_days = max(0.0, (newest - said_at(cube)).total_seconds() / 86_400.0)
    signals = {
        "recency": 1.0 / (1.0 + age_days / 30.0),
        "statement": min(1.0, len(cube.text.split()) / STATEMENT_WORDS),
    }
    if call.window is not None:
        signals["time"] = closeness(said_at(cube), (call.window.start, call.window.end))
    if call.asks_when:
        signals["when"] = float(TIME_WORDS.search(cube.text) is not None)
    if named and cube.provenance.speaker:
        signals["speaker"] = float(cube.provenance.speaker.casefold() in named)
    if call.semantic_types:
        signals["type"] = float(cube.descriptive.semantic_type in call.semantic_types)
    return signals
