"""What speaks for a candidate: a search's scores, stretched to 0..1, and what its header and words say. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

import numpy as np

from memos_integrations.core.cube import MemCube, Relation
from memos_integrations.core.ranking import Floats, closeness, shape_of
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.text import sentences
from memos_integrations.core.text import terms as terms_of

TERMS_PER_WORD = 0.45
"""How many of a text's words are terms, most often; the rest are function words."""

ROLES = frozenset("user assistant system tool human ai bot agent me you".split())
"""Who speaks, where that is no name: a question that holds such a word names nobody."""

ENOUGH_HELD = 0.7
"""From so much of what a question's words tell in one memory, a search by words is taken at its word."""

WITHOUT_NEIGHBOURS = 0.2
"""What the words of a memory without neighbours count, beside late interaction."""

STATEMENT_WORDS = 40
"""From so many words on a message is a full statement, not a reply."""

BY_NEIGHBOURS = ("session", "when", "earlier", "late_next", "late_before", "late_session", "statement")
"""Signals that say much of short messages in sessions, and nothing of long texts."""

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

    A long message is a text of its own: its vector tells what it is about, and neither its session, nor the message
    before, nor the one time word in it tells that it answers. Late interaction sees a memory's own words as well;
    beside it a count of words adds what the neighbours say, so it counts less where a memory has none, and less where
    the question's words are not theirs: then the best by words is best by chance.
    """
    words = sum(_length(cube.text) for cube in cubes) / max(len(cubes), 1)
    near = shape_of(words * TERMS_PER_WORD).near
    shaped = dict(weights)
    if "late_before" in shaped:
        shaped["late"] = shaped.get("late", 0.0) + (1.0 - near) * shaped["late_before"]
    for name in BY_NEIGHBOURS:
        if name in shaped:
            shaped[name] *= near
    if "dense" in shaped:
        shaped["dense"] += (1.0 - near) * 0.5
    if "late" in shaped:
        told = near if any(session_of(cube) for cube in cubes) else 0.0
        trust = min(1.0, held / ENOUGH_HELD) ** 2
        if "context" in shaped:
            shaped["context"] *= WITHOUT_NEIGHBOURS + (1.0 - WITHOUT_NEIGHBOURS) * told
        for name in ("context", "bm25", "earlier", "session"):
            if name in shaped:
                shaped[name] *= trust
    return shaped


def session_of(cube: MemCube) -> str | None:
    """The session in which it was said, else the thread."""
    return cube.provenance.session_id or cube.provenance.thread_id


def held_share(candidates: Sequence[Candidate], asked: Mapping[str, float]) -> float:
    """How much of what a question's terms tell the best of the five best memories by words holds, 0..1.

    *asked* says how much each of the terms tells: a word that many memories have is held by chance.
    """
    best = sorted(candidates, key=lambda c: (-c.signals.get("bm25", 0.0), c.cube.id))[:5]
    told = [sum(asked[term] for term in asked.keys() & set(terms_of(each.cube.text))) for each in best]
    return max(told, default=0.0) / (sum(asked.values()) or 1.0)


FROM_NOTHING = ("context", "words", "earlier", "session", "bm25")
FROM_LOWEST = ("late", "late_before", "dense")
BEST_OF_SESSION = 3


def stretched(candidates: Sequence[Candidate]) -> dict[str, Floats]:
    """Raw scores as 0..1: sums of shares from nothing to the best, cosines from the lowest to the highest."""
    raw = {
        name: np.array([candidate.signals.get(name, np.nan) for candidate in candidates])
        for name in (*FROM_NOTHING, *FROM_LOWEST)
    }
    signals = {}
    for name in FROM_NOTHING:
        filled = np.nan_to_num(raw[name])
        top = filled.max(initial=0.0)
        signals[name] = filled / top if top > 0.0 else filled * 0.0
    for name in FROM_LOWEST:
        known = ~np.isnan(raw[name])
        low = raw[name][known].min(initial=np.inf)
        span = raw[name][known].max(initial=-np.inf) - low
        signals[name] = (np.nan_to_num(raw[name], nan=low) - low) / span if span > 0.0 else known.astype(np.float64)
    for name in ("late", "late_before"):
        # Where the tokens are not there yet (see `TokenCache.of`), the one vector stands in.
        signals[name] = np.where(np.isnan(raw[name]), signals["dense"], signals[name])
    return signals


def places_before(cubes: Sequence[MemCube]) -> list[int]:
    """For each memory the place of the one before it in its session; -1 where that is not among them."""
    at = {cube.id: place for place, cube in enumerate(cubes)}
    before = [-1] * len(cubes)
    for place, cube in enumerate(cubes):
        for link in cube.provenance.links:
            known = at.get(link.target) if link.relation is Relation.FOLLOWS else None
            if known is not None and session_of(cubes[known]) == session_of(cube):
                before[place] = known
    return before


def around_by_tokens(
    cubes: Sequence[MemCube], before: Sequence[int], signals: Mapping[str, Floats]
) -> dict[str, Floats]:
    """What stands around a memory, by late interaction.

    `late_next` is that of the message that follows, `late_session` the mean of the session's best three with the
    message before each; both only over the memories given.
    """
    following = np.zeros(len(cubes))
    for place, known in enumerate(before):
        if known >= 0:
            following[known] = signals["late"][place]
    by_session: dict[str, list[int]] = {}
    for place, cube in enumerate(cubes):
        by_session.setdefault(session_of(cube) or "", []).append(place)
    session = np.zeros(len(cubes))
    for name, places in by_session.items():
        if name:
            session[places] = np.sort(signals["late_before"][places])[-BEST_OF_SESSION:].mean()
    top = session.max(initial=0.0)
    return {"late_next": following, "late_session": session / top if top > 0.0 else session}


def named_speakers(cubes: Sequence[MemCube], call: MemoryCall) -> frozenset[str]:
    """The one speaker whom the question names, of several there are; empty when it names none or more."""
    speakers = {cube.provenance.speaker.casefold() for cube in cubes if cube.provenance.speaker}
    asked = set(terms_of(call.query))
    named = {one for one in speakers - ROLES if (words := set(terms_of(one)) - ROLES) and words & asked}
    return frozenset(named) if len(named) == 1 and len(speakers) > 1 else frozenset()


def own_signals(cubes: Sequence[MemCube], call: MemoryCall, newest: datetime) -> dict[str, Floats]:
    """What the memories' headers and words say about their fit, each 0..1."""
    said = [said_at(cube) for cube in cubes]
    ages = np.array([max(0.0, (newest - moment).total_seconds() / 86_400.0) for moment in said])
    signals: dict[str, Floats] = {
        "recency": 1.0 / (1.0 + ages / 30.0),
        "statement": np.minimum(1.0, np.array([_length(cube.text) for cube in cubes]) / STATEMENT_WORDS),
        "when": np.array([float(_tells_when(cube.text)) for cube in cubes]),
        "tells": np.array([float(_tells(cube.text)) for cube in cubes]),
    }
    if call.asks_name:
        signals["names"] = np.array([float(_names(cube.text)) for cube in cubes])
    if call.window is not None:
        window = (call.window.start, call.window.end)
        signals["time"] = np.array([closeness(moment, window) for moment in said])
    named = named_speakers(cubes, call)
    if named:
        speakers = [cube.provenance.speaker for cube in cubes]
        signals["speaker"] = np.array([float(who is not None and who.casefold() in named) for who in speakers])
    if call.semantic_types:
        signals["type"] = np.array([float(cube.descriptive.semantic_type in call.semantic_types) for cube in cubes])
    return signals


@lru_cache(4096)
def _tells_when(text: str) -> bool:
    return TIME_WORDS.search(text) is not None


@lru_cache(4096)
def _tells(text: str) -> bool:
    """Whether it says something, and does not only ask: a question looks much like another one that is asked of it."""
    return any(not said.rstrip().endswith("?") for said in sentences(text))


@lru_cache(4096)
def _names(text: str) -> bool:
    """Whether it holds what looks like a name: a capital letter where no sentence begins."""
    words = text.split()
    return any(
        word[0].isupper() and word[1:2].islower() and not before.endswith((".", "!", "?", ":", '"', "["))
        for before, word in pairwise(words)
    )


@lru_cache(4096)
def _length(text: str) -> int:
    return len(text.split())


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
