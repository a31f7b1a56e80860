"""What is decided about two memories, as values; and the port that whoever decides fills."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from memos_integrations.core.asked import known_id
from memos_integrations.core.cube import Label, MemCube, Moment, State, Text, Value
from memos_integrations.core.errors import InvalidMemoryError


class Ruling(StrEnum):
    """What happens to two memories.

    SUPERSEDE: the older no longer holds; its validity is closed, it is archived and kept. Where the newer has an end of
    its own (`valid_to`, a TTL), the older is only set back behind it meanwhile, and stands again after it. MERGE: one
    says what the other says; it is kept, MERGED, with its lineage. FLAG: both stay, and the newer says that it
    contradicts the older.
    """

    SUPERSEDE = "supersede"
    MERGE = "merge"
    FLAG = "flag"


class Evidence(Value):
    """Why: the rule, what both are about, and the two statements."""

    rule: Label
    subject: Text = ""
    attribute: Text = ""
    newer: Text = ""
    older: Text = ""


class Verdict(NamedTuple):
    """What a judge says of a newer and an older memory. `since` is when the newer began to hold, if it says so."""

    ruling: Ruling
    reason: str
    evidence: tuple[Evidence, ...] = ()
    since: Moment | None = None


class ConflictJudge(Protocol):
    """Decides what two memories are to each other."""

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        """The verdict on two memories, of which *newer* is later in the world; None: they can stand side by side."""
        ...


class Decided(Value):
    """A decision that was carried out: `id` undoes it. The log keeps it, without the words of the evidence.

    `state` and `version` are the older (for MERGE: the merged) memory's before. `until`: the newer had this end when it
    was decided, and the older stands again after it.
    """

    id: Label
    ruling: Ruling
    newer: Label
    older: Label
    reason: Text
    rules: tuple[Label, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    at: Moment
    state: State
    version: int
    until: Moment | None = None
    undone: bool = False


def decision_id(decision: Decided | str) -> str:
    """The id of a decision.

    Raises:
        InvalidMemoryError: It is neither a decision nor an id.
        CubeNotFoundError: It could never be the id of one.
    """
    name = decision.id if isinstance(decision, Decided) else decision
    if not isinstance(name, str):
        raise InvalidMemoryError(f"A decision is named by its id or by what `decisions` gave, not {name!r}.")
    for part in name.split(":"):
        known_id(part)
    return name
