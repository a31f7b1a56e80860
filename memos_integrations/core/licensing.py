"""What counts the uses of a licence, in the transaction that records them. Pure."""

from __future__ import annotations

from memos_integrations.core.access import Caller, is_own
from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Change, Expect, Room, Transaction, Use
from memos_integrations.core.records import record_of


def is_counted(cube: MemCube, caller: Caller) -> bool:
    """Whether handing the cube to the caller is a use of its licence."""
    licence = cube.governance.licence_for(caller.by.subjects)
    metered = licence is not None and (licence.uses_left is not None or licence.rate is not None)
    return metered and not is_own(cube, caller)


def is_spent(cube: MemCube, caller: Caller) -> bool:
    """Whether the licence of a cube has no uses left for the caller."""
    licence = cube.governance.licence_for(caller.by.subjects)
    if licence is None or licence.uses_left is None or not is_counted(cube, caller):
        return False
    return cube.behaviour.uses_of(licence) >= licence.uses_left


def licensed_use(cube: MemCube, caller: Caller, recall_id: str) -> Transaction:
    """One use of the licence of a cube, if it is as it was when that was decided."""
    licence = cube.governance.licence_for(caller.by.subjects)
    changes: tuple[Change, ...] = (
        Expect(cube.id, cube.version),
        *rooms(cube, caller),
        Use(cube.id, caller.now, recall_id, licence),
    )
    return Transaction(changes, (record_of("use", caller, cube=cube),))


def rooms(cube: MemCube, caller: Caller) -> tuple[Room, ...]:
    """What holds a use of a licence to its rate; to be recorded as `use`, with it."""
    licence = cube.governance.licence_for(caller.by.subjects)
    if licence is None or licence.rate is None:
        return ()
    count, since = licence.rate.count, caller.now - licence.rate.per
    return (Room(cube.id, 0, caller.by.tenant, caller.by.subject, "use", since, count, every=True),)
