"""MemoryPathResolver: topic, concept, fact; what to search, where, in which order (MemOS, arXiv 2507.03724, §5.3.2).

A goal is taken apart into three layers: the *topic* it belongs to, the *concept* within it, the *fact* that is wanted.
Each layer is a stop on the path, from the wide to the narrow. Everything is searched first, so that a wrong guess costs
time, never a memory; a narrower stop is visited in its turn, for what the wide search had to cut off (`why_passed`).
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from memos_integrations.core.cube import Labels, MemCube, Value
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.when import TimeWindow


class Layer(StrEnum):
    """How narrow a stop of the path is."""

    FACT = "fact"
    CONCEPT = "concept"
    TOPIC = "topic"
    EVERYTHING = "everything"


class PathStop(Value):
    """One stop: what to search for, where, and why there. Empty fields bound nothing."""

    layer: Layer
    what: str
    reason: str
    namespace: Labels = ()
    semantic_types: Labels = ()
    entities: Labels = ()
    window: TimeWindow | None = None

    @property
    def where(self) -> str:
        """The place in words."""
        named = {
            "namespace": "/".join(self.namespace),
            "kind": ", ".join(self.semantic_types),
            "about": ", ".join(self.entities),
            "time": self.window.text if self.window else "",
        }
        return "; ".join(f"{name} {value}" for name, value in named.items() if value) or "everything that may be read"

    def __str__(self) -> str:
        return f"{self.layer.value}: {self.what!r} in {self.where} ({self.reason})"


class MemoryPath(Value):
    """Where a question leads, stop by stop, widest first: the order in which they are searched."""

    topic: str | None
    concept: str | None
    fact: str
    stops: tuple[PathStop, ...]

    def __str__(self) -> str:
        head = f"{self.topic or 'any topic'} -> {self.concept or 'any concept'} -> {self.fact}"
        return "\n".join([head, *(f"  {number}. {stop}" for number, stop in enumerate(self.stops, 1))])


class MemoryPathResolver:
    """Says where a call should be looked for; pass your own with the same `resolve` to route in another way."""

    def resolve(self, call: MemoryCall, *, namespace: Labels = ()) -> MemoryPath:
        """The path of *call* below *namespace*.

        Every path begins with everything below the namespace, so that a wrong guess costs time, never a memory.
        """
        slots = call.slots
        fact = " of ".join(part for part in (slots.asked_for, slots.of) if part) if slots.asked_for else call.query
        stops: list[PathStop] = []

        def stop(layer: Layer, what: str | None, reason: str, **where: object) -> None:
            if what:
                told = {"layer": layer, "what": what, "reason": reason, "namespace": namespace, **where}
                stops.append(PathStop.model_validate(told))

        stop(Layer.EVERYTHING, call.query, "nothing is lost by a wrong guess")
        stop(Layer.TOPIC, call.topic, "whatever belongs to the topic")
        if call.entities:
            names = call.entities[:8]
            stop(Layer.CONCEPT, call.concept or names[0], "memories that name the same", entities=names)
        if call.semantic_types:
            reason = f"such a question is answered by a memory of the kind {call.semantic_types[0]}"
            stop(Layer.FACT, fact, reason, semantic_types=call.semantic_types)
        if call.window is not None:
            reason = f"the question names a time ({call.window.text})"
            stop(Layer.FACT, fact, reason, window=call.window)
        return MemoryPath(topic=call.topic, concept=call.concept, fact=fact, stops=tuple(stops))


def is_narrow(stop: PathStop) -> bool:
    """Whether a stop is a place of its own, that no step of the plan searches (those of time are steps)."""
    return bool(stop.semantic_types or stop.entities) and stop.window is None


def lies_in(cube: MemCube, stop: PathStop) -> bool:
    """Whether a memory stands where the stop looks, time aside."""
    names = {name.casefold() for name in cube.descriptive.entities}
    return (
        cube.namespace[: len(stop.namespace)] == stop.namespace
        and (not stop.semantic_types or cube.descriptive.semantic_type in stop.semantic_types)
        and (not stop.entities or any(name.casefold() in names for name in stop.entities))
    )


def why_passed(stop: PathStop, found: Sequence[MemCube], *, k: int, seen_most: bool) -> str | None:
    """Why a stop need not be visited after what was *found* so far; None: it is to be visited.

    `seen_most`: the wide search gave half or more of what may be seen; what it left out is the half that fits least.
    Else a stop is satisfied by *k* memories of its own among those found. Either way all that was found stays, so that
    a path finds whatever a search of everything finds.
    """
    if seen_most:
        return "most of what may be read was seen already"
    within = sum(lies_in(cube, stop) for cube in found)
    return f"{within} of it were found already" if within >= k else None
