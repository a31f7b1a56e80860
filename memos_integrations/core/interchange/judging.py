"""What is decided once memories arrived from another vault: by the log, so that a crash in between loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memos_integrations.core.conflict import Decided
from memos_integrations.core.interchange.changes import APART, APART_JUDGED, LOG_PAGE, last_of_series, note_series
from memos_integrations.core.interchange.joining import Apart, Joining
from memos_integrations.core.interchange.taking import Place
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.write import finished
from memos_integrations.core.ports import LogQuery, Outcome
from memos_integrations.core.records import record_of

MOST_JUDGED = 1_000
"""So many memories of a bundle are held against what is here; `consolidate` settles the rest."""

SERIES = "sync judged"
"""Under this name a vault notes up to which entry of its log what arrived was judged."""


class Judged(NamedTuple):
    """What was changed apart, and what was decided between what arrived and what was here."""

    conflicts: list[Apart]
    decisions: list[Decided]


class Judging:
    """Judges what arrived since it was last judged. *resolver*: None where nobody is asked."""

    def __init__(self, place: Place, resolver: Resolver | None) -> None:
        self._governance, self._caller, self._resolver = place.governance, place.caller, resolver
        self._after, _ = last_of_series(place.governance, place.caller, SERIES)

    def judged(self) -> Judged:
        """What is to be said of all that arrived and was not judged yet; durable on return."""
        arrived, apart, upto = self._arrived()
        if upto == self._after:
            return Judged([], [])
        found = Judged([self._said(each) for each in apart], self._decided(list(arrived)[:MOST_JUDGED]))
        note_series(self._governance, self._caller, SERIES, upto)
        self._after = upto
        return found

    def _arrived(self) -> tuple[dict[str, None], list[Apart], int]:
        arrived, apart, upto = dict[str, None](), list[Apart](), self._after
        for operation in (Joining.operation, APART):
            query = LogQuery(
                tenant=self._caller.by.tenant, actor=self._caller.by.subject, operation=operation,
                outcome=Outcome.ALLOWED, after=self._after, limit=LOG_PAGE,
            )  # fmt: skip
            while entries := self._governance.lifecycle_log(query):
                for entry in entries:
                    if operation == APART:
                        apart.append(Apart.model_validate(entry.record.detail))
                    elif entry.record.cube_id is not None:
                        arrived[entry.record.cube_id] = None
                upto = max(upto, entries[-1].number)
                query = query.model_copy(update={"after": entries[-1].number})
        return arrived, apart, upto

    def _said(self, found: Apart) -> Apart:
        """What the judge says of the version that holds and the one before it; on record."""
        versions = {each.version: each for each in self._governance.own_versions(found.id, self._caller)}
        kept, lost = versions.get(found.kept), versions.get(found.kept - 1)
        if self._resolver is None or kept is None or lost is None:
            return found
        verdict = self._resolver.verdict(kept, lost)
        if verdict is None:
            return found
        found = found.model_copy(update={"ruling": verdict.ruling.value, "reason": verdict.reason})
        record = record_of(APART_JUDGED, self._caller, about=found.id, detail=found.model_dump(mode="json"))
        self._governance.note(record.model_copy(update={"owner": self._caller.by.subject}))
        return found

    def _decided(self, arrived: Sequence[str]) -> list[Decided]:
        """Decide between what arrived and what was here; what arrived together its own vault had to decide."""
        if self._resolver is None:
            return []
        made, together = list[Decided](), set(arrived)
        for cube in self._resolver.standing(arrived, self._caller):
            near = self._resolver.near(cube, finished(cube).terms, self._caller)
            others = [each for each in near if each.id not in together]
            made += self._resolver.settle(cube, self._caller, others) if others else ()
        return made
