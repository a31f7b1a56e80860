"""What erasing and ingesting give back."""

from __future__ import annotations

from pydantic import Field

from memos_integrations.core.cube import Label, Moment, Text, Value


class ErasureReceipt(Value):
    """What was forgotten, place by place, and that nothing is left: `remaining` is zero in every table.

    `remaining["files"]` is 1 while a long read elsewhere keeps old pages alive; they go with the next write after it.
    `derived` names what went with it, as far as the caller could see it; `repeats` what said the same, had been merged
    into it and went too; `returned` what had been merged away for its sake and is back. `proof` is the signed note of a
    witness, if one was asked for, and `salt` (hex) what ties its commitments to the cube; drop it to make the note say
    nothing.
    """

    cube_id: Label
    derived: tuple[Label, ...] = ()
    repeats: tuple[Label, ...] = ()
    returned: tuple[Label, ...] = ()
    erased: dict[str, int]
    remaining: dict[str, int]
    at: Moment
    commit: int
    proof: Text = ""
    salt: Text = ""


class IngestReport(Value):
    """What an ingestion did: ids in the order of the messages; `known` of them were there already.

    `forgotten` more messages had been ingested and forgotten before, and stay so.
    """

    conversation: Label
    cubes: tuple[Label, ...] = ()
    written: int = Field(ge=0)
    known: int = Field(ge=0)
    forgotten: int = Field(default=0, ge=0)
