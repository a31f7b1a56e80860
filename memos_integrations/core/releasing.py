"""What may be given: memories that somebody may read, and whose sources stand and may be read by them, too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from memos_integrations.core.access import Caller, hidden_fields, readable_of
from memos_integrations.core.aftermath import Aftermath, lapsed, was_merged_by_hand
from memos_integrations.core.cube import CubeRef, MemCube, Tier
from memos_integrations.core.licensing import is_spent
from memos_integrations.core.lifecycle.then import has_begun, known_at, moves_of, state_then
from memos_integrations.core.ports import RECALLABLE, Stage, Vault


def holds(cube: MemCube, now: datetime) -> bool:
    """Whether a memory holds in the world now, as far as recall goes by that: it has begun, and is not over.

    What was merged by hand stands for its sources until they are back.
    """
    return (has_begun(cube, now) or was_merged_by_hand(cube)) and not lapsed(cube, now)


def withheld(stage: Stage, ids: Sequence[str], caller: Caller) -> set[str]:
    """Those of *ids* that were taken from the caller, or erased, below a stage since it took them up.

    Whatever was made of them in the stage: who may read it obeys what it was made of.
    """
    below = stage.beneath(ids)
    asked = [cube for pairs in below.values() for pair in pairs for cube in pair if cube is not None]
    may = set(map(id, readable_of(asked, caller)))
    return {
        each
        for each, pairs in below.items()
        if any(now is None or (id(was) in may and id(now) not in may) for was, now in pairs)
    }


class Releasing:
    """Decides it over one vault, for governed reads; changes and records nothing."""

    def __init__(self, vault: Vault, aftermath: Aftermath) -> None:
        self._vault, self._aftermath = vault, aftermath
        self._stage = vault if isinstance(vault, Stage) else None
        self.tenant = None if self._stage is None else self._stage.tenant
        """The one in reach, of a stage."""

    def readable(self, cubes: Sequence[MemCube], caller: Caller) -> list[MemCube]:
        """Those that the caller may read by themselves; of what a stage rewrote, as it stands below, too."""
        readable = readable_of(cubes, caller)
        if self._stage is None or not readable:
            return readable
        away = withheld(self._stage, [cube.id for cube in readable], caller)
        return [cube for cube in readable if cube.id not in away] if away else readable

    def of(self, cubes: Sequence[MemCube], caller: Caller) -> list[MemCube]:
        """Those that the caller may read, and whose sources are as they were and may be read too (promise 3)."""
        readable = self.readable(cubes, caller)
        wanted = list(dict.fromkeys(ref.id for cube in readable for ref in cube.provenance.derived_from))
        if not wanted:
            return readable
        found = self.of(self._vault.get(caller.by.tenant, wanted), caller)
        sources = [each for each in found if not is_spent(each, caller)]  # else one use were enough for ever
        valid = {source.ref for source in sources}
        # What a model computed of words brings them back as recall does: only while recall would give them.
        recalled = {each.ref for each in sources if each.state in RECALLABLE and holds(each, caller.now)}
        recalled -= {source.ref for source in sources if hidden_fields(source, caller)}
        valid |= self._still_said(readable, valid, sources)
        may = {tier: valid if tier is Tier.PLAINTEXT else recalled for tier in Tier}
        return [cube for cube in readable if may[cube.tier].issuperset(cube.provenance.derived_from)]

    def then(self, cubes: Sequence[MemCube], caller: Caller, moment: datetime) -> list[MemCube]:
        """`of` versions that were known at a moment: their sources said then what they were made of.

        Who may read a source is decided by its version of now, and by that of then. What a model computed is of the
        present.
        """
        told = [cube for cube in cubes if cube.tier is Tier.PLAINTEXT]
        computed = [cube for cube in cubes if cube.tier is not Tier.PLAINTEXT]
        readable = self.readable(told, caller)
        wanted = list(dict.fromkeys(ref.id for cube in readable for ref in cube.provenance.derived_from))
        if wanted:
            present = self.readable(self._vault.get(caller.by.tenant, wanted), caller)
            unspent = [each for each in present if not is_spent(each, caller)]
            sources = self.then(self.known(unspent, moment), caller, moment)
            valid = {source.ref for source in sources}
            valid |= self._still_said(readable, valid, sources)
            readable = [cube for cube in readable if valid.issuperset(cube.provenance.derived_from)]
        given = {cube.id for cube in (*readable, *self.of(computed, caller))}
        return [cube for cube in cubes if cube.id in given]

    def standing(self, found: Sequence[MemCube], caller: Caller, as_of: datetime | None) -> list[MemCube]:
        """Those present cubes that may be given to the caller now, or as they were known at a time."""
        if as_of is None:
            return self.of(found, caller)
        there = self.readable(found, caller)
        then = {cube.id for cube in self.then(self.known(there, as_of), caller, as_of)}
        return [cube for cube in there if cube.id in then]

    def told(self, versions: Sequence[MemCube], as_of: datetime | None) -> list[MemCube]:
        """The versions of a memory, oldest first, that were known at a time, in the state of then; None: all."""
        if as_of is None or not versions:
            return list(versions)
        now = versions[-1]
        moves = moves_of(self._vault, now.tenant, [now.id]).get(now.id, ())
        state = state_then(now.state, moves, as_of)
        return [each.model_copy(update={"state": state}) for each in known_at(versions, as_of)]

    def known(self, cubes: Sequence[MemCube], moment: datetime) -> list[MemCube]:
        """The versions of cubes that were known at a moment, in their states of then; the others are left out."""
        moves = moves_of(self._vault, cubes[0].tenant, [cube.id for cube in cubes]) if cubes else {}
        versions = ((cube, known_at(self._vault.history(cube.tenant, cube.id), moment)) for cube in cubes)
        return [
            told[-1].model_copy(update={"state": state_then(cube.state, moves.get(cube.id, ()), moment)})
            for cube, told in versions
            if told
        ]

    def _still_said(self, readable: Sequence[MemCube], valid: set[CubeRef], sources: Sequence[MemCube]) -> set[CubeRef]:
        """Of the older versions that words were made of, those that said what the *sources* say."""
        told = (cube for cube in readable if cube.tier is Tier.PLAINTEXT)
        old = {ref for cube in told for ref in cube.provenance.derived_from} - valid
        return self._aftermath.still_said(old, sources) if old else set()
