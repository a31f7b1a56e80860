"""Conflict of duties: who held a memory does not erase it, and who wrote it does not vouch for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memos_integrations.core.access import ADMIN_ROLE, VERIFIER_ROLE, Caller
from memos_integrations.core.cube import MemCube, Tier, TrustLabel
from memos_integrations.core.ports import LogQuery, Outcome, Vault

VOUCHING = frozenset({"verify", "sync"})
"""Operations by which a verifier, here or in another vault of the same owner, makes a memory a verified one."""


def may_vouch(caller: Caller) -> bool:
    """Whether the caller has a role that vouches for memories, of others."""
    return bool(caller.by.subjects & {ADMIN_ROLE, VERIFIER_ROLE})


class Duties:
    """What somebody had to do with memories before. No word of them leaves the vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def held(self, cubes: Sequence[MemCube], caller: Caller) -> bool:
        """Whether the caller held or released one of the cubes, by the log; only admins ever could."""
        if ADMIN_ROLE not in caller.by.subjects:
            return False
        asked = [(each, operation) for each in cubes for operation in ("hold", "release")]
        by: dict[str, Any] = {"tenant": caller.by.tenant, "actor": caller.by.subject, "outcome": Outcome.ALLOWED}
        return any(self._vault.log(LogQuery(cube_id=each.id, operation=name, limit=1, **by)) for each, name in asked)

    def wrote(self, cube: MemCube, caller: Caller) -> bool:
        """Whether the caller owns or wrote a version of the cube, or of anything that it was ever derived from.

        `provenance.author` of every version names who put its words there.
        """
        names = {caller.by.subject, caller.by.user}
        waiting, seen = [cube.id], {cube.id}
        while waiting:
            for each in self._vault.history(caller.by.tenant, waiting.pop()):
                told = each.provenance
                if each.governance.owner == caller.by.subject or told.author in names:
                    return True
                fresh = {ref.id for ref in told.derived_from} - seen
                waiting += fresh
                seen |= fresh
        return False

    def vouched(self, cube: MemCube, caller: Caller, operation: str) -> bool:
        """Whether a version may be written as verified.

        By a verifier who verifies; by whoever changes something else of what is verified in these words; or because it
        was computed of verified words.
        """
        if (operation in VOUCHING and may_vouch(caller)) or (cube.tier is not Tier.PLAINTEXT and cube.version == 1):
            return True
        found = self._vault.history(cube.tenant, cube.id) if cube.version > 1 else []
        return any(each.trust.label is TrustLabel.VERIFIED and each.payload == cube.payload for each in found)
