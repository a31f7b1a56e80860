"""What speaks for a candidate: a search's scores, stretched to 0..1, and what its header and words say. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memos_integrations.core.cube import MemCube, Relation
from memos_integrations.core.ranking import closeness, fuse, shape_of
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.text import terms as terms_of

TERMS_PER_WORD = 0.45
"""How many of a text's words are terms, most often; the rest are function words."""

ROLES = frozenset("user assistant system tool human ai bot agent me you".split())
"""Who speaks, where that is no name: a question that holds such a word names nobody."""

ENOUGH_HELD = 0.6
"""From so much of a question's words on in one memory, a search by words is taken at its word."""

WITHOUT_NEIGHBOURS = 0.2
"""What the words of a memory without neighbours count, beside late interaction."""

STATEMENT_WORDS = 40
"""From so many words on a message is a full statement, not a reply."""

SUPERSEDED_WEIGHT = 0.5
"""What is left of the score of a memory that a newer one replaces, unless the question is about the past."""

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


def in_shape(weights: Mapping[str, float], cubes: Sequence[MemCube], held: float = 1.0) -> dict[str, float]:
    """The weights for memories of this length, and for a question of whose words they hold so much (see `held_share`).

    A long message is a text of its own: its vector tells what it is about, and neither its session nor the one
    time word in it tells that it answers. Late interaction sees a memory's own words as well; beside it a count of
    words adds what the neighbours say, so it counts less where a memory has none, and less where the question's words
    are not theirs: then the best by words is best by chance.
    """
    words = sum(len(cube.text.split()) for cube in cubes) / max(len(cubes), 1)
    near = shape_of(words * TERMS_PER_WORD).near
    shaped = dict(weights)
    for name in ("session", "when", "earlier", "late_next", "statement"):
        if name in shaped:
            shaped[name] *= near
    if "dense" in shaped:
        shaped["dense"] += (1.0 - near) * 0.5
    if "late" in shaped:
        told = near if any(cube.provenance.session_id or cube.provenance.thread_id for cube in cubes) else 0.0
        trust = min(1.0, held / ENOUGH_HELD) ** 2
        if "context" in shaped:
            shaped["context"] *= WITHOUT_NEIGHBOURS + (1.0 - WITHOUT_NEIGHBOURS) * told
        for name in ("context", "bm25", "earlier", "session", "speaker"):
            if name in shaped:
                shaped[name] *= trust
    return shaped


def held_share(candidates: Sequence[Candidate], terms: Sequence[str]) -> float:
    """How many of the question's terms the best of the five best memories by words holds, 0..1."""
    asked = set(terms)
    best = sorted(candidates, key=lambda c: (-c.signals.get("bm25", 0.0), c.cube.id))[:5]
    return max((len(asked.intersection(terms_of(c.cube.text))) for c in best), default=0) / max(len(asked), 1)


FROM_NOTHING = ("context", "words", "earlier", "session", "bm25")
FROM_LOWEST = ("late", "dense")


def stretch(candidates: Sequence[Candidate]) -> None:
    """Bring raw scores to 0..1: sums of shares from nothing to the best, cosines from the lowest to the highest.

    `late_next` is the late interaction of the message that follows, where that is a candidate too.
    """
    told = {c.cube.id for c in candidates if "late" in c.signals}
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
    for candidate in candidates:
        # Where the tokens are not there yet (see `TokenCache.of`), the one vector stands in.
        candidate.signals["late"] = (
            candidate.signals["late"] if candidate.cube.id in told else candidate.signals["dense"]
        )
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


def promising(candidates: list[Candidate], weights: Mapping[str, float], most: int, *, timed: bool) -> list[Candidate]:
    """The *most* candidates that can still come out on top; all where a date decides, which is not looked at yet."""
    if timed or len(candidates) <= most:
        return candidates
    signals = {name: [c.signals.get(name, 0.0) for c in candidates] for name in weights}
    scores = fuse(signals, weights)
    places = sorted(range(len(candidates)), key=lambda place: (-scores[place], candidates[place].cube.id))
    return [candidates[place] for place in places[:most]]


def standing(cube: MemCube, now: datetime, *, past: bool) -> float:
    """What a memory weighs beside others (paper §4.2).

    Half after each half-life; half when it no longer holds in the world, unless the past is asked for; up to half as
    much more, or less, by its priority.
    """
    rules, until = cube.governance, cube.descriptive.valid_to
    weight = 1.0 + rules.priority / 200.0
    if rules.half_life is not None:
        age = max(0.0, (now - said_at(cube)).total_seconds())
        weight *= 0.5 ** (age / rules.half_life.total_seconds())
    return weight * (SUPERSEDED_WEIGHT if until is not None and until <= now and not past else 1.0)
