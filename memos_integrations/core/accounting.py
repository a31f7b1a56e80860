"""Who may do what and why, and what was done: access explained, the audit log asked and verified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from pydantic import ValidationError

from memos_integrations.core.access import CallContext, Decision, Principal, Verb, as_subject, decide
from memos_integrations.core.asked import is_id, known_id
from memos_integrations.core.costs import Spent
from memos_integrations.core.cube import MemCube, first_problem
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import AuditEntry, AuditReport, LogFilters, LogQuery
from memos_integrations.core.walk import Walk


class Accounting(Walk):
    """`Walk`, with the answers that governance owes."""

    def explain_access(
        self,
        cube: MemCube | str,
        principal: Principal,
        *,
        verb: Verb | str = Verb.READ,
        by: Principal | None = None,
        context: CallContext | None = None,
    ) -> Decision:
        """Whether *principal* may do *verb* with a cube in *context*, and which rule says so.

        With a cube in hand nothing is looked up. With an id, *by* (default: *principal*) must be able to read it.

        Raises:
            CubeNotFoundError: There is no such cube for *by*.
        """
        asker = self._caller(principal if by is None else by, context)
        seen = (
            cube
            if isinstance(cube, MemCube)
            else self._governance.read(known_id(cube), asker, operation="explain", counted=False)
        )
        if not isinstance(cube, MemCube):  # what a rule keeps back decides too
            seen = self._governance.held([seen.id], asker).get(seen.id, seen)
        if verb not in set(Verb):
            raise InvalidMemoryError(f"There is no verb {verb!r}: {', '.join(Verb)}.")
        return decide(seen, Verb(verb), self._caller(principal, context))

    def may_read(self, cube_ids: Iterable[str], *, by: Principal, context: CallContext | None = None) -> set[str]:
        """Those of the ids that exist and that *by* may read now."""
        ids = [cube_id for cube_id in cube_ids if is_id(cube_id)]
        return {cube.id for cube in self._governance.readable(ids, self._caller(by, context), operation="check")}

    def audit(self, *, by: Principal, **filters: Unpack[LogFilters]) -> list[AuditEntry]:
        """Audit entries of the principal's tenant, oldest first: all for the roles admin and auditor, else one's own.

        Page on with `after=entries[-1].number`.

        Raises:
            InvalidMemoryError: A filter is not valid.
        """
        caller = self._caller(by, None)
        said: dict[str, Any] = {"tenant": by.tenant, **filters}
        said |= {name: as_subject(said[name]) for name in ("actor", "owner") if isinstance(said.get(name), str)}
        try:
            query = LogQuery.model_validate(said)
        except ValidationError as exc:
            raise InvalidMemoryError(f"Not a log query: {first_problem(exc)}.") from exc
        return self._governance.log(query, caller)

    def alarms(self, *, by: Principal, **filters: Unpack[LogFilters]) -> list[AuditEntry]:
        """What was unusual: sources that brought, or contradicted, very much at once; as `audit`, with its filters.

        `detail["found"]` says what, `cube_id` by which memory; `WriteGate` says from when on, and what is done. The
        same comes as `AlarmRaised` among the vault's events.
        """
        filters["operation"] = "alarm"
        return self.audit(by=by, **filters)

    def account(self, spent: Spent, *, by: Principal, context: CallContext | None = None) -> None:
        """Put what a model did for *by* into the audit log, from where `memos costs` counts it.

        `ActivationCubes` and `ParameterCubes` do for their own work; call it for a model of yours.
        """
        self._governance.accounted(spent.model_dump(mode="json"), self._caller(by, context))

    def verify_audit(self) -> AuditReport:
        """Walk the audit chain, and hold every stored version against it."""
        return self._governance.verify_audit()
