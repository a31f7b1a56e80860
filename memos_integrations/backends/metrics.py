"""The ledger as OpenTelemetry metrics: what was done with memory, and what it took. Needs the extra `otel`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, Unpack

from memos_integrations.core.access import Principal
from memos_integrations.core.costs import COUNTED, figures_in
from memos_integrations.core.extras import require
from memos_integrations.core.ports import AuditEntry, LogFilters

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

PAGE = 10_000
UNITS = {"wall_s": "s", "cpu_s": "s", "stored_bytes": "By", "read_bytes": "By"}
Key = tuple[tuple[str, str], ...]


class Audited(Protocol):
    """What is used of a `MemOS`."""

    def audit(self, *, by: Principal, **filters: Unpack[LogFilters]) -> list[AuditEntry]:
        """See `MemOS.audit`."""
        ...


class LedgerMetrics:
    """Counters over the audit log of one tenant, that a meter reads when it collects.

    `memos.operations` counts the records; `memos.tokens_in`, `.tokens_out`, `.tokens_cached`, `.model_calls`,
    `.stored_bytes`, `.read_bytes`, `.wall_s` and `.cpu_s` sum their figures, as `memos costs` does. Attributes are
    `tenant`, `operation`, `outcome`, and with *actors* `actor`. No metric names a memory.

    Args:
        by: Whose sight it is: one's own deeds, or with the role auditor everybody's in the tenant. Each collection is a
            deed, too, and in the log.
        meter: Such as `MeterProvider(...).get_meter("memos")`.

    Raises:
        MissingExtraError: The extra `otel` is not installed.
    """

    def __init__(self, memos: Audited, *, by: Principal, meter: Meter, actors: bool = False) -> None:
        self._observation: type[Observation] = require("opentelemetry.metrics", extra="otel").Observation
        self._memos, self._by, self._actors = memos, by, actors
        self._after = 0
        self._sums: dict[str, dict[Key, float]] = {name: {} for name in ("operations", *COUNTED)}
        self._lock = threading.Lock()
        for name in self._sums:  # the first that is made is collected first: it reads the log for all of them
            meter.create_observable_counter(
                f"memos.{name}", callbacks=[self._callback(name)], unit=UNITS.get(name, "1")
            )

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(_: CallbackOptions) -> Iterable[Observation]:
            if name == "operations":
                self._catch_up()
            with self._lock:
                rows = list(self._sums[name].items())
            return [self._observation(sum_, dict(key)) for key, sum_ in rows]

        return observed

    def _catch_up(self) -> None:
        """Add what came into the log since the last collection."""
        with self._lock:
            while True:
                page = self._memos.audit(by=self._by, after=self._after, limit=PAGE)
                for entry in page:
                    self._add(entry)
                    self._after = entry.number
                if len(page) < PAGE:
                    return

    def _add(self, entry: AuditEntry) -> None:
        said = entry.record
        key: Key = (("tenant", said.tenant), ("operation", said.operation), ("outcome", said.outcome.value))
        if self._actors:
            key = (*key, ("actor", said.actor))
        for name, figure in {"operations": 1.0, **figures_in(said.operation, said.detail)}.items():
            self._sums[name][key] = self._sums[name].get(key, 0.0) + figure
