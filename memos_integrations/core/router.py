"""MemoryPathResolver: topic, concept, fact; what to search, where, in which order (MemOS, arXiv 2507.03724, §5.3.2).

A goal is taken apart into three layers: the *topic* it belongs to, the *concept* within it, the *fact* that is wanted.
Each layer is a stop on the path: narrow places first, everything last. The stops order the search, they do not bound
it: what stands in no stop is still found by the last one. Pure.
"""

from __future__ import annotations

from enum import StrEnum

from memos_integrations.core.cube import Label, Labels, Value
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
    session: Label | None = None
    window: TimeWindow | None = None

    def __str__(self) -> str:
        named = {
            "namespace": "/".join(self.namespace),
            "kind": ", ".join(self.semantic_types),
            "about": ", ".join(self.entities),
            "session": self.session or "",
            "time": self.window.text if self.window else "",
        }
        where = "; ".join(f"{name} {value}" for name, value in named.items() if value)
        return f"{self.layer.value}: {self.what!r} in {where or 'everything that may be read'} ({self.reason})"


class MemoryPath(Value):
    """Where a question leads, stop by stop, narrowest first."""

    topic: str | None
    concept: str | None
    fact: str
    stops: tuple[PathStop, ...]

    def __str__(self) -> str:
        head = f"{self.topic or 'any topic'} -> {self.concept or 'any concept'} -> {self.fact}"
        return "\n".join([head, *(f"  {number}. {stop}" for number, stop in enumerate(self.stops, 1))])


class MemoryPathResolver:
    """Says where a call should be looked for; pass your own with the same `resolve` to route in another way."""

    def resolve(self, call: MemoryCall, *, namespace: Labels = (), session: str | None = None) -> MemoryPath:
        """The path of *call* below *namespace*; *session* is the one that is going on, if there is one.

        Every path ends with everything below the namespace, so that a wrong guess costs order, never a memory.
        """
        slots = call.slots
        fact = " of ".join(part for part in (slots.asked_for, slots.of) if part) or call.query
        stops: list[PathStop] = []

        def stop(layer: Layer, what: str | None, reason: str, **where: object) -> None:
            if what:
                told = {"layer": layer, "what": what, "reason": reason, "namespace": namespace, **where}
                stops.append(PathStop.model_validate(told))

        if call.window is not None:
            reason = f"the question names a time ({call.window.text})"
            stop(Layer.FACT, fact, reason, window=call.window)
        if call.semantic_types:
            reason = f"such a question is answered by a memory of the kind {call.semantic_types[0]}"
            stop(Layer.FACT, fact, reason, semantic_types=call.semantic_types)
        if session is not None and call.resolved:
            stop(Layer.CONCEPT, call.concept or fact, "a pronoun points at what was just said", session=session)
        if call.entities:
            names = call.entities[:8]
            stop(Layer.CONCEPT, call.concept or names[0], "memories that name the same", entities=names)
        stop(Layer.TOPIC, call.topic, "whatever belongs to the topic")
        stop(Layer.EVERYTHING, call.query, "what no narrower stop foresaw")
        return MemoryPath(topic=call.topic, concept=call.concept, fact=fact, stops=tuple(stops))
