"""Which adapter a recall is answered with: chosen from what the plan names, for what was found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memos_integrations.core.cube import CubeRef, MemCube, ModelFingerprint, ParameterPayload


def fitting_adapters(parameters: Sequence[MemCube], found: Mapping[CubeRef, float]) -> tuple[list[MemCube], str]:
    """For each base model the one parameter cube that knows most of what was found, and why it is that one.

    *found* gives each memory's score. What an adapter was made from must be the very versions that were found; of
    equals the one with fewer other sources wins, since it brings the least that was not asked for.
    """
    best: dict[ModelFingerprint, tuple[float, int, str, MemCube]] = {}
    for cube in parameters:
        if not isinstance(cube.payload, ParameterPayload):
            continue
        known = [ref for ref in cube.provenance.derived_from if ref in found]
        if not known:
            continue
        worth = sum(found[ref] for ref in known)
        place = (worth, len(known) - len(cube.provenance.derived_from), cube.id, cube)
        if cube.payload.base not in best or place[:3] > best[cube.payload.base][:3]:
            best[cube.payload.base] = place
    chosen = [cube for *_, cube in best.values()]
    return sorted(chosen, key=lambda cube: cube.id), _reason(parameters, chosen, found)


def _reason(parameters: Sequence[MemCube], chosen: Sequence[MemCube], found: Mapping[CubeRef, float]) -> str:
    if not parameters:
        return ""
    if not chosen:
        return f"none of {len(parameters)} adapters was learnt from what was found"
    said = []
    for cube in sorted(chosen, key=lambda cube: cube.id):
        known = sum(ref in found for ref in cube.provenance.derived_from)
        base = cube.payload.base.model if isinstance(cube.payload, ParameterPayload) else ""
        said.append(f"{cube.id} for {base} knows {known} of the {len(found)} memories found")
    return "; ".join(said) + f" (of {len(parameters)} adapters that may be used)"
