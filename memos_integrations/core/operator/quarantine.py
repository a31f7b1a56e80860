"""Setting memories apart, giving them back, and confirming them: each a new version, on record, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from memos_integrations.core.access import ADMIN_ROLE, VERIFIER_ROLE, Caller, Verb
from memos_integrations.core.cube import CubeRef, MemCube, TrustLabel
from memos_integrations.core.errors import AccessDeniedError, VersionConflictError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.write import finished
from memos_integrations.core.records import NewVersion, Steps

MAX_RETRIES = 20


class Quarantine:
    """Changes nothing of a memory but how far it is trusted."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        dropped: Callable[[Collection[str], Collection[CubeRef]], None],
    ) -> None:
        self._governance, self._embedding, self._dropped = governance, embedding, dropped

    def set_apart(self, cube_ids: Sequence[str], caller: Caller, *, reason: str) -> list[str]:
        """Quarantine memories that the caller may change, with what was derived from them; the ids, sorted.

        What repeats one, and came the same way, goes with it; a repeat that came another way is recalled in its place.
        """
        for _ in range(MAX_RETRIES):
            cubes: dict[str, MemCube] = {}
            for cube_id in cube_ids:
                cube = self._governance.fetch(cube_id, Verb.WRITE, caller, operation="quarantine")
                cubes |= {each.id: each for each in self._with_it(cube)}
            waiting = [cube for cube in cubes.values() if not cube.trust.quarantined]
            detail = {"ruling": "quarantine", "found": {}, "reason": reason}
            if self._written(waiting, {"quarantined": True, "verified_by": None}, caller, "quarantine", detail):
                self._dropped([cube.id for cube in waiting], ())
                return sorted(cube.id for cube in waiting)
        raise VersionConflictError(cube_ids[0], 0, 0)

    def _with_it(self, cube: MemCube) -> list[MemCube]:
        aftermath = self._governance.aftermath
        roots = [cube, *(each for each in aftermath.repeats([cube]) if _way(each) == _way(cube))]
        return [*roots, *aftermath.derived(roots)]

    def apart(self, caller: Caller) -> list[MemCube]:
        """What is in quarantine: the caller's own, or with the role verifier all of the tenant; oldest first."""
        everything = VERIFIER_ROLE in caller.by.subjects
        return self._governance.quarantined(caller, everything=everything)

    def release(self, cube_ids: Sequence[str], caller: Caller) -> list[str]:
        """Give memories back to recall, no more trusted than they were.

        Raises:
            AccessDeniedError: The caller is neither verifier nor admin, or wrote one of them. Nothing was changed.
        """
        return self._by_authority(cube_ids, {"quarantined": False}, caller, "release_quarantine")

    def verify(self, cube_ids: Sequence[str], caller: Caller) -> list[str]:
        """Confirm memories: they surface as trusted from now on.

        Raises:
            AccessDeniedError: The caller is neither verifier nor admin, or wrote one of them. Nothing was changed.
        """
        told = {"label": TrustLabel.VERIFIED, "verified_by": caller.by.subject, "quarantined": False}
        return self._by_authority(cube_ids, told, caller, "verify")

    def _by_authority(self, ids: Sequence[str], told: dict[str, Any], caller: Caller, operation: str) -> list[str]:
        if not caller.by.subjects & {ADMIN_ROLE, VERIFIER_ROLE}:
            self._governance.note_denied(operation, "only a verifier or an admin may", caller)
            raise AccessDeniedError("Only the roles verifier and admin may do that.")
        for _ in range(MAX_RETRIES):
            cubes = self._governance.in_tenant(ids, caller)
            self._governance.check_apart(cubes, caller, operation=operation)
            if self._written(cubes, told, caller, operation, None):
                self._dropped([cube.id for cube in cubes], ())
                return sorted(cube.id for cube in cubes)
        raise VersionConflictError(ids[0], 0, 0)

    def _written(
        self,
        cubes: Sequence[MemCube],
        told: dict[str, Any],
        caller: Caller,
        operation: str,
        verdict: dict[str, Any] | None,
    ) -> bool:
        versions = [self._version(cube, told, caller, verdict) for cube in cubes]
        try:
            if versions:
                self._governance.change(Steps(tuple(versions)), caller, operation=operation).result()
        except VersionConflictError:
            return False
        return True

    def _version(
        self, cube: MemCube, told: dict[str, Any], caller: Caller, verdict: dict[str, Any] | None
    ) -> NewVersion:
        recorded = {"recorded_at": max(caller.now, cube.descriptive.recorded_at)}
        newer = cube.model_copy(
            update={
                "version": cube.version + 1,
                "trust": cube.trust.model_copy(update=told),
                "descriptive": cube.descriptive.model_copy(update=recorded),
            }
        )
        draft = finished(newer)
        row = self._embedding.written([draft.text]) if cube.text.strip() else None
        return NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0], verdict=verdict)


def _way(cube: MemCube) -> tuple[str | None, ...]:
    """How a memory came: through which channel, from which source, by whom."""
    return cube.trust.channel, cube.provenance.source, cube.provenance.author
