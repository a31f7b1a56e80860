"""Which memories may share an adapter, and with whom: those that are kept and erased for the same people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memos_integrations.core.access import EVERYONE, Verb, as_subject, subjects_for
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import AccessDeniedError


def erasure_groups(cubes: Iterable[MemCube]) -> list[list[MemCube]]:
    """Memories that may share one adapter, because they are kept and erased for the same people.

    Same tenant, owner, readers, purposes and applications: who is asked to forget one has a say in all of them.
    """
    groups: dict[tuple[object, ...], list[MemCube]] = {}
    for cube in cubes:
        groups.setdefault(_group(cube), []).append(cube)
    return list(groups.values())


def _group(cube: MemCube) -> tuple[object, ...]:
    rules = cube.governance
    readers = subjects_for(Verb.READ, rules)
    return (cube.tenant, rules.owner, readers, frozenset(rules.purposes), frozenset(rules.applications))


def check_one_group(cubes: Sequence[MemCube]) -> None:
    """Refuse memories of several erasure groups.

    Raises:
        AccessDeniedError: They are.
    """
    groups = erasure_groups(cubes)
    if len(groups) > 1:
        raise AccessDeniedError(
            f"These memories are of {len(groups)} erasure groups (other owners, readers or purposes): distil each "
            "group into an adapter of its own; see erasure_groups."
        )


def check_readers(cube: MemCube, readers: Sequence[str] | None) -> None:
    """Refuse a memory that not everybody may read for whom an adapter is meant.

    Raises:
        AccessDeniedError: It has a narrower audience.
    """
    theirs = subjects_for(Verb.READ, cube.governance)
    meant = {as_subject(name) for name in readers or ()}
    if EVERYONE not in theirs and not meant <= theirs:
        raise AccessDeniedError(f"Cube {cube.id!r} has a narrower audience than the adapter is meant for.")
