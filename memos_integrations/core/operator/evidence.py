"""What speaks for a candidate: a search's scores, stretched to 0..1, and what its header and words say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat

import numpy as np

from memos_integrations.core.cube import Channel, MemCube, TrustLabel
from memos_integrations.core.operator.traits import EPOCH, Traits, said_at
from memos_integrations.core.ranking import (
    Floats,
    Numbers,
    best_of_sessions,
    closeness,
    likeness_in_sessions,
    shape_of,
    unevenness,
)
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.text import forms
from memos_integrations.core.text import terms as terms_of

TERMS_PER_WORD = 0.45
"""How many of a text's words are terms, most often; the rest are function words."""

ROLES = frozenset("user assistant system tool human ai bot agent me you".split())
"""Who speaks, where that is no name: a question that holds such a word names nobody."""

ENOUGH_HELD = 0.7
"""From so much of what a question's words tell in one memory, a search by words is taken at its word."""

WITHOUT_NEIGHBOURS = 0.2
"""What the words of a memory without neighbours count, beside late interaction."""

OF_STRANGE_WORDS = 0.15
"""What words count in a language that is strange to the embedder (see `strangeness`)."""

OF_UNREAD_WORDS = 0.5
"""What words count where the embedder reads nothing (see `unread`): what they count without one."""

OF_READING = ("late", "late_before", "late_next", "late_session", "late_first", "dense")
"""Signals that an embedder gives."""

SINGLED_OUT, PLAINLY = 3.0, 5.0
"""How many standard deviations the nearest vector stands above the mean: a few by chance, more where it tells."""

OF_LONG, OF_LONG_BESIDE = 0.5, 0.35
"""What the one vector counts more of long messages: beside words, and beside late interaction, which sees more."""

FIRST_OF_LONG = 0.1
"""What the best by its own tokens count more of long messages, around which nothing tells."""

OF_A_VECTOR = 0.15
"""What the one vector counts more where it plainly singles a memory out."""

UNLIKE = 0.1
"""From so far below chance (see `likeness_in_sessions`) on, a session tells nothing of what it holds."""

STATEMENT_WORDS = 40
"""From so many words on a message is a full statement, not a reply."""

BY_NEIGHBOURS = ("session", "when", "earlier", "late_next", "late_before", "late_session", "statement")
"""Signals that say much of short messages in sessions, and nothing of long texts."""

SUPERSEDED_WEIGHT = 0.5
"""What is left of the score of a memory that a newer one replaces, unless the question is about the past."""


@dataclass(slots=True)
class Candidate:
    """A cube under consideration, with its score per signal."""

    cube: MemCube
    signals: dict[str, float] = field(default_factory=dict)


def in_shape(
    weights: Mapping[str, float], traits: Sequence[Traits], held: float = 1.0, strange: float = 0.0
) -> dict[str, float]:
    """The weights for memories of this length, and for a question of whose words they hold so much (see `held_share`).

    A long message is a text of its own: its vector tells what it is about, and neither its session, nor the message
    before, nor the one time word in it tells that it answers. Late interaction sees a memory's own words as well;
    beside it a count of words adds what the neighbours say, so it counts less where a memory has none, and less where
    the question's words are not theirs: then the best by words is best by chance. In a *strange* language the embedder
    knows of a word how it is spelt, not what it means, so that words tell of their own again.
    """
    lengths = np.array([each.length for each in traits])
    near = shape_of(float(lengths.mean()) * TERMS_PER_WORD if lengths.size else 0.0).near
    shaped = _of_length(weights, near)
    if "statement" in shaped:
        shaped["statement"] *= 1.0 - unevenness(lengths)
    if "late" in shaped:
        told = near if any(each.session for each in traits) else 0.0
        trust = max(strange, min(1.0, held / ENOUGH_HELD) ** 2)
        if "context" in shaped:
            shaped["context"] *= WITHOUT_NEIGHBOURS + (1.0 - WITHOUT_NEIGHBOURS) * told
        for name in ("context", "bm25", "earlier", "session"):
            if name in shaped:
                shaped[name] *= trust
        if "context" in shaped:
            shaped["context"] += strange * (OF_STRANGE_WORDS - shaped["context"])
    return shaped


def _of_length(weights: Mapping[str, float], near: float) -> dict[str, float]:
    """The weights for messages whose neighbours count so much (see `shape_of`)."""
    shaped = {name: weight * near if name in BY_NEIGHBOURS else weight for name, weight in weights.items()}
    if "late_before" in weights:
        shaped["late"] = shaped.get("late", 0.0) + (1.0 - near) * weights["late_before"]
    if "dense" in weights:
        shaped["dense"] += (1.0 - near) * (OF_LONG_BESIDE if "late" in shaped else OF_LONG)
    if "late_first" in weights:
        shaped["late_first"] += (1.0 - near) * FIRST_OF_LONG
    return shaped


def as_scored(
    weights: Mapping[str, float], signals: Mapping[str, Floats], sessions: Numbers, strange: float = 0.0
) -> dict[str, float]:
    """The weights for how the scores of this one question lie, beside late interaction.

    Where the nearest vector stands out from the others, it tells, and a count of words adds chance only; in a *strange*
    language it does not. Where what is in one session is not alike, the session does not tell of a memory in it.
    """
    fitted = dict(weights)
    vector = signals["dense"]
    spread_out = float(vector.std()) if vector.size else 0.0
    above = float(vector.max() - vector.mean()) / spread_out if spread_out > 0.0 else 0.0
    tells = min(1.0, max(0.0, (above - SINGLED_OUT) / (PLAINLY - SINGLED_OUT))) * (1.0 - strange)
    alike = min(1.0, max(0.0, 1.0 + likeness_in_sessions(signals["late"], sessions) / UNLIKE))
    by = {"bm25": 1.0 - tells, "context": 1.0 - tells, "session": alike, "late_session": alike}
    for name in by.keys() & fitted:
        fitted[name] *= by[name]
    if "dense" in fitted:
        fitted["dense"] += OF_A_VECTOR * tells
    return fitted


def as_read(weights: Mapping[str, float], unread: float) -> dict[str, float]:
    """The weights where an embedder does not read so much of what is said: its signals say less, and words more."""
    fitted = {name: weight * (1.0 - unread) if name in OF_READING else weight for name, weight in weights.items()}
    if "context" in fitted:
        fitted["context"] += unread * (OF_UNREAD_WORDS - fitted["context"])
    return fitted


def held_share(candidates: Sequence[Candidate], traits: Sequence[Traits], asked: Mapping[str, float]) -> float:
    """How much of what a question's terms tell the best of the five best memories by words holds, 0..1.

    *asked* says how much each of the terms tells: a word that many memories have is held by chance.
    """
    scores = np.array([candidate.signals.get("bm25", 0.0) for candidate in candidates])
    least = np.partition(scores, -5)[-5] if scores.size > 5 else 0.0
    first = np.flatnonzero(scores >= least).tolist()
    best = sorted(first, key=lambda place: (-scores[place], candidates[place].cube.id))[:5]
    told = [
        sum(weight for term, weight in asked.items() if not traits[place].terms.isdisjoint((term, *forms(term))))
        for place in best
    ]
    return max(told, default=0.0) / (sum(asked.values()) or 1.0)


def coverage(traits: Sequence[Traits], asked: Mapping[str, float]) -> Floats:
    """How much of what a question's terms tell each memory has words for, 0..1."""
    words = [(weight, (term, *forms(term))) for term, weight in asked.items()]
    told = [sum(weight for weight, each in words if not one.terms.isdisjoint(each)) for one in traits]
    return np.array(told) / (sum(asked.values()) or 1.0)


FROM_NOTHING = ("context", "words", "earlier", "session", "bm25")
LATE = ("late", "late_before")
FROM_LOWEST = (*LATE, "dense")


def stretched(candidates: Sequence[Candidate], late: Mapping[str, Floats]) -> dict[str, Floats]:
    """Raw scores as 0..1: sums of shares from nothing to the best, cosines from the lowest to the highest.

    *late* holds the scores by late interaction, NaN where there is none.
    """
    told = [each.signals for each in candidates]
    raw = {
        name: np.fromiter(map(dict.get, told, repeat(name), repeat(np.nan)), np.float64, len(told))
        for name in (*FROM_NOTHING, "dense")
    }
    nothing = np.full(len(told), np.nan)
    raw |= {name: late.get(name, nothing) for name in LATE}
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
    for name in LATE:
        # Where the tokens are not there yet (see `TokenCache.of`), the one vector stands in.
        signals[name] = np.where(np.isnan(raw[name]), signals["dense"], signals[name])
    return signals


def places_before(cubes: Sequence[MemCube], traits: Sequence[Traits]) -> list[int]:
    """For each memory the place of the one before it in its session; -1 where that is not among them."""
    at = {cube.id: place for place, cube in enumerate(cubes)}
    before = [-1] * len(cubes)
    for place, each in enumerate(traits):
        for target in each.follows:
            known = at.get(target)
            if known is not None and traits[known].session == each.session:
                before[place] = known
    return before


def sessions_of(traits: Sequence[Traits]) -> Numbers:
    """A number for the session of each memory; 0 for none."""
    known: dict[str | None, int] = {None: 0}
    return np.array([known.setdefault(each.session, len(known)) for each in traits], dtype=np.int64)


def around_by_tokens(before: Sequence[int], sessions: Numbers, signals: Mapping[str, Floats]) -> dict[str, Floats]:
    """What stands around a memory, by late interaction.

    `late_next` is that of the message that follows, `late_session` the mean of the session's best three with the
    message before each; both only over the memories given. `late_first` is 1 for the best by its own tokens, a half
    for the second and so on (Cormack et al. 2009): what is nearest stays among the first, whatever stands around.
    """
    earlier = np.array(before, dtype=np.int64)
    following = np.zeros(earlier.size)
    known = np.flatnonzero(earlier >= 0)
    following[earlier[known]] = signals["late"][known]
    session = best_of_sessions(signals["late_before"], sessions)
    top = session.max(initial=0.0)
    rank = np.empty(earlier.size)
    rank[np.argsort(-signals["late"], kind="stable")] = np.arange(1, earlier.size + 1)
    return {
        "late_next": following,
        "late_session": session / top if top > 0.0 else session,
        "late_first": 1.0 / rank,
    }


def named_speakers(traits: Sequence[Traits], call: MemoryCall) -> frozenset[str]:
    """The one speaker whom the question names, of several there are; empty when it names none or more."""
    speakers = {each.speaker for each in traits if each.speaker}
    asked = set(terms_of(call.query))
    named = {one for one in speakers - ROLES if (words := set(terms_of(one)) - ROLES) and words & asked}
    return frozenset(named) if len(named) == 1 and len(speakers) > 1 else frozenset()


def own_signals(
    cubes: Sequence[MemCube], traits: Sequence[Traits], call: MemoryCall, newest: datetime, asked: Collection[str]
) -> dict[str, Floats]:
    """What the memories' headers and words say about their fit, each 0..1; of words of time only where *asked* for."""
    seconds = np.array([each.seconds for each in traits])
    ages = np.maximum(0.0, (newest - EPOCH).total_seconds() - seconds) / 86_400.0
    signals: dict[str, Floats] = {
        "recency": 1.0 / (1.0 + ages / 30.0),
        "statement": np.minimum(1.0, np.array([each.length for each in traits]) / STATEMENT_WORDS),
        "tells": np.array([each.tells for each in traits]),
    }
    if "when" in asked:
        signals["when"] = np.array([each.when for each in traits])
    if call.asks_name:
        signals["names"] = np.array([each.names for each in traits])
    if call.window is not None:
        window = (call.window.start, call.window.end)
        signals["time"] = np.array([closeness(each.said_at, window) for each in traits])
    named = named_speakers(traits, call)
    if named:
        signals["speaker"] = np.array([float(each.speaker in named) for each in traits])
    elif call.statement_of is not None:
        channel = Channel.USER if call.statement_of == "user" else Channel.ASSISTANT
        # In a chat between people nobody is the assistant: then it says the same of all.
        signals["speaker"] = _from_lowest(np.array([float(cube.trust.channel is channel) for cube in cubes]))
    for name in call.asks_for:
        signals[name] = _FROM_HEADER[name](cubes, seconds)
    if call.semantic_types:
        signals["type"] = np.array([float(cube.descriptive.semantic_type in call.semantic_types) for cube in cubes])
    return signals


def _from_lowest(told: Floats) -> Floats:
    """From the lowest (0) to the highest (1); nothing where it says the same of all."""
    span = float(told.max() - told.min()) if told.size else 0.0
    return (told - told.min()) / span if span > 0.0 else np.zeros(told.size)


def _newest(cubes: Sequence[MemCube], seconds: Floats) -> Floats:
    """How late each was said, from the oldest (0) to the newest (1) of those that come into consideration."""
    return _from_lowest(seconds)


def _important(cubes: Sequence[MemCube], seconds: Floats) -> Floats:
    """The priority that its owner gave it (-100..100), and half as much that it was helpful when it was recalled."""
    priority = np.array([(cube.governance.priority + 100) / 200.0 for cube in cubes])
    helped = np.array([min(1.0, cube.behaviour.helpful / 4.0) for cube in cubes])
    return _from_lowest(priority + 0.5 * helped)


def _trusted(cubes: Sequence[MemCube], seconds: Floats) -> Floats:
    """How far its label lets it be relied on, beside the others'."""
    order = list(TrustLabel)
    return _from_lowest(np.array([float(order.index(cube.trust.label)) for cube in cubes]))


def _used(cubes: Sequence[MemCube], seconds: Floats) -> Floats:
    """How warm recalls have kept it, beside the warmest."""
    return _from_lowest(np.array([cube.behaviour.heat for cube in cubes]))


_FROM_HEADER = {"recency": _newest, "importance": _important, "trust": _trusted, "heat": _used}
"""What counts of a memory's header where the question asks for it."""


def standing(cube: MemCube, now: datetime, *, past: bool, at: datetime | None = None) -> float:
    """What a memory weighs beside others (paper §4.2).

    Half after each half-life; half when it does not hold in the world yet (at the time that is asked *at*, else now),
    or no longer, unless the past is asked for; up to half as much more, or less, by its priority.
    """
    rules, since, until = cube.governance, cube.descriptive.valid_from, cube.descriptive.valid_to
    if since is None and until is None and rules.half_life is None and not rules.priority:
        return 1.0  # most are so
    weight = 1.0 + rules.priority / 200.0
    if rules.half_life is not None:
        age = max(0.0, (now - said_at(cube)).total_seconds())
        weight *= 0.5 ** (age / rules.half_life.total_seconds())
    begun = since is None or since <= (at or now)
    return weight * (1.0 if begun and (past or until is None or now < until) else SUPERSEDED_WEIGHT)
