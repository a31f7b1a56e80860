"""The memories that a new one is held against."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.core.access import Caller
from memos_integrations.core.claims import MARK
from memos_integrations.core.cube import MemCube, unique
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import CubeFilter, VaultQuery

SAME_SUBJECT, ALIKE = 32, 8
"""How many memories a new one is held against: the newest about the same, and the most alike by words."""


def near_to(cube: MemCube, terms: Sequence[str], caller: Caller, governance: MemGovernance) -> list[MemCube]:
    """The caller's own memories of the same place that say something of the same, or say it alike."""
    found: dict[str, MemCube] = {}
    marks = tuple(tag for tag in cube.descriptive.tags if tag.startswith(MARK))
    if marks:
        scope = CubeFilter(namespace=cube.namespace, tags=marks)
        matches = governance.search(VaultQuery(k=SAME_SUBJECT, filter=scope), caller).matches
        found.update((match.cube.id, match.cube) for match in matches)
    if terms:
        alike = VaultQuery(k=ALIKE, terms=unique(terms)[:32], filter=CubeFilter(namespace=cube.namespace))
        matches = governance.search(alike, caller).matches
        found.update((match.cube.id, match.cube) for match in matches)
    found.pop(cube.id, None)
    mine = [each for each in found.values() if each.governance.owner == caller.by.subject]
    return [each for each in mine if each.namespace == cube.namespace]
