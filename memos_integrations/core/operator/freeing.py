"""What comes back with a roll-back: what those that are rolled back had taken out of recall, in its present words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from memos_integrations.core.access import Caller, is_own
from memos_integrations.core.aftermath import is_over, merged_into
from memos_integrations.core.conflict import Ruling
from memos_integrations.core.conflict.forms import joined, unlinked
from memos_integrations.core.cube import MemCube, Relation, State
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.ports import LogQuery
from memos_integrations.core.records import NewVersion, Steps, record_of

GONE = frozenset({State.ARCHIVED, State.MERGED})
TAKING = frozenset({Relation.SUPERSEDES, Relation.MERGED_FROM})


class Freeing:
    """Looks for what the memories that are rolled back retired or merged, and says how it comes back."""

    def __init__(
        self, governance: MemGovernance, resolver: Resolver, renewed: Callable[[MemCube, Caller], NewVersion]
    ) -> None:
        self._governance, self._resolver, self._renewed = governance, resolver, renewed

    def freed(
        self, chosen: Mapping[str, MemCube], restored: Sequence[str], since: datetime, caller: Caller
    ) -> tuple[list[str], Steps]:
        """What left recall since then for the sake of *chosen* alone, none of them; and the steps that bring it back.

        Of *chosen* those count that are *restored*, or were not there before.

        Raises:
            LegalHoldError: One is on hold.
        """
        rolled = {each: cube for each, cube in chosen.items() if each in restored or self._is_new(cube, since, caller)}
        links = [link for cube in rolled.values() for link in cube.provenance.links if link.relation in TAKING]
        reached = {link.target for link in links} - chosen.keys()
        if not reached:
            return [], Steps()
        # What another memory put right since then is put right, whatever it had retired before.
        newer = self._governance.superseded(list(rolled.values()), caller)
        still = {cube_id for cube_id in rolled if newer.get(cube_id, cube_id) in rolled}
        ids, steps = list[str](), Steps()
        for cube in self._governance.present(sorted(reached), caller):
            gone = is_own(cube, caller) and cube.state in GONE and self._left(cube, since, caller)
            if gone and self._is_held(cube, still, caller):
                ids.append(cube.id)
                steps = joined(steps, self._back(cube, rolled, caller))
        return ids, steps

    def _is_new(self, cube: MemCube, since: datetime, caller: Caller) -> bool:
        """Whether no version of it is older than *since*."""
        told = self._governance.own_versions(cube.id, caller)
        return all(each.descriptive.recorded_at >= since for each in told)

    def _left(self, cube: MemCube, since: datetime, caller: Caller) -> bool:
        """Whether it was archived or merged since."""
        asked = LogQuery(tenant=caller.by.tenant, cube_id=cube.id, since=since, limit=1)
        ways = (asked.model_copy(update={"operation": f"to_{state}"}) for state in sorted(GONE))
        return any(self._governance.lifecycle_log(way) for way in ways)

    def _is_held(self, cube: MemCube, by: set[str], caller: Caller) -> bool:
        """Whether these, and no other memory, keep it out of recall."""
        told = (each for each in self._resolver.made.about(cube.id, caller) if not (each.undone or each.until))
        pairs = [(each.newer, each.older, each.ruling) for each in told]
        keeping = {newer for newer, older, ruling in pairs if ruling is Ruling.SUPERSEDE and older == cube.id}
        keeping |= {older for newer, older, ruling in pairs if ruling is Ruling.MERGE and newer == cube.id}
        keeping |= {merged_into(cube)} - {""} if cube.state is State.MERGED else set()
        return bool(keeping) and keeping <= by

    def _back(self, cube: MemCube, rolled: Mapping[str, MemCube], caller: Caller) -> Steps:
        """The steps that bring it back, every decision that kept it out undone."""
        check_change(cube)
        form, others = self._resolver.released(cube, cube, caller)
        for cube_id in rolled:
            form = unlinked(form, cube_id, {Relation.CONTRADICTS, Relation.MERGED_INTO})
        records = [each for each in others.records if each.operation == "undo" or each.cube_id not in rolled]
        if not any(each.operation == "undo" for each in records):
            records.append(record_of("unmerge", caller, about=cube.id, detail={"of": None}))
        after = State.ARCHIVED if is_over(form, caller.now) else State.ACTIVATED
        moves = () if after is cube.state else ((cube, after),)
        return Steps((self._renewed(form, caller), *others.versions), moves, tuple(records))
