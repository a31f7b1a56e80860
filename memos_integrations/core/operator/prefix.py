"""Which activation cube a recall begins with: chosen from what the plan names, for what was found. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from memos_integrations.core.cube import ActivationPayload, CubeRef, MemCube


def fitting_prefix(activations: Sequence[MemCube], found: Collection[CubeRef]) -> tuple[list[MemCube], list[str]]:
    """The activation cubes of the most memories that were all found, and the ids of these in the order of its prompt.

    Keys and values hold for one beginning of a prompt, so one set of memories is chosen. There may be several cubes
    of it: for other models, and under other system messages.
    """
    fits = [cube for cube in activations if _sources(cube) and set(found).issuperset(_sources(cube))]
    if not fits:
        return [], []
    best = max(fits, key=lambda cube: (len(_sources(cube)), cube.id))
    same = [cube for cube in fits if _sources(cube) == _sources(best)]
    return same, [ref.id for ref in _sources(best)]


def _sources(cube: MemCube) -> tuple[CubeRef, ...]:
    return cube.provenance.derived_from if isinstance(cube.payload, ActivationPayload) else ()
