"""Memories under suspicion: set apart, looked through, given back, confirmed, or taken out by where they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from memos_integrations.core.access import ADMIN_ROLE, RULES, CallContext, Caller, Principal, Verb, as_subject
from memos_integrations.core.asked import known_id
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.conflict import Ruling as Superseding
from memos_integrations.core.cube import Channel, MemCube, State, Tier
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    MemOSError,
)
from memos_integrations.core.gate import WriteGate
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator import ErasureReceipt
from memos_integrations.core.operator.redaction import Redacted
from memos_integrations.core.policy import Engine, Slip
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.ruling import PolicyChange, compared
from memos_integrations.core.walk import Walk

PAGE = 1_000
MOST_LOOKED_THROUGH = 100_000


class Guarding(Walk):
    """`Walk`, with what is done about memories that are not to be trusted, and the rules of a tenant."""

    def adopt_policy(self, policy: Engine | None, *, by: Principal) -> None:
        """Put rules in place for *by*'s tenant, on record and for good; only the role admin may, and no tool does.

        They are kept in the vault, and hold in every program that opens it; elsewhere within a second. None takes them
        away; what was passed as `MemOS(policy=...)` holds beside them.

        Raises:
            AccessDeniedError: *by* is no admin; the rules stay.
        """
        caller = self._caller(by, None, ruled=False)
        self._rules.adopted(by.tenant, self._governance.adopted(policy, caller).version, policy, self._policy)

    def adopted_policy(self, *, by: Principal) -> Engine | None:
        """The rules that *by*'s tenant adopted; None: none. For the role admin.

        Raises:
            AccessDeniedError: *by* is no admin.
            PolicyError: They are of an engine that this program does not have.
        """
        caller = self._caller(by, None, ruled=False)
        if ADMIN_ROLE not in by.subjects:
            self._governance.note_denied("adopted_policy", "only an admin looks at the rules", caller)
            raise AccessDeniedError("Only the role admin may look at the rules of a tenant.")
        return self._rules.only(by.tenant)

    def try_policy(
        self,
        policy: Engine | None,
        *,
        by: Principal,
        before: Engine | None = None,
        verb: Verb = Verb.READ,
        accounts: Sequence[Sequence[str]] = (),
        context: CallContext | None = None,
    ) -> PolicyChange:
        """What *policy* would open and close over *before*, in all memories of the tenant; nothing is put in place.

        For the role admin, who reads no word; on record. Each name that a memory or a rule knows is asked alone, and
        *accounts*, such as `["user:tom", "role:intern"]`, as what they are at once.

        Raises:
            AccessDeniedError: *by* is no admin.
            IdentityError: An account is none.
        """
        officer = self._caller(by, context, ruled=False)
        return compared(self._everything(officer), (before, policy), officer, verb=verb, accounts=accounts)

    def policy_slips(self, policy: Engine, *, by: Principal) -> list[Slip]:
        """What in rules is about nothing that memories have, or about one of two names that look alike.

        Of all memories of the tenant for the role admin, who reads no word; else of what *by* may read. On record.
        """
        caller = self._caller(by, None, ruled=False)
        if ADMIN_ROLE in by.subjects:
            return policy.unmatched(self._everything(caller), by.tenant, caller.now)
        query = VaultQuery(k=MOST_LOOKED_THROUGH, filter=CubeFilter(states=frozenset(), tiers=frozenset()))
        return policy.unmatched(self._governance.find(query, self._caller(by, None)), by.tenant, caller.now)

    def _everything(self, officer: Caller) -> list[MemCube]:
        ids = self._governance.everyones(officer, operation="try_policy")
        held = self._governance.held([each for owned in ids.values() for each in owned], officer)
        return [cube for _, cube in sorted(held.items()) if cube.governance.owner != RULES]

    def quarantine(
        self,
        where: CubeFilter | Sequence[str],
        *,
        by: Principal,
        source: str | None = None,
        channel: Channel | str | None = None,
        reason: str = "set apart by hand",
        context: CallContext | None = None,
    ) -> list[str]:
        """Set memories apart, with all that was derived from them: kept, and given by no read; the ids.

        *where* are ids, or a filter of what *by* may change; `source` and `channel` keep those that came from there, in
        every state if the filter names none. What they had superseded holds again.

        Raises:
            CubeNotFoundError, AccessDeniedError: An id is not known to *by*, or not theirs to change.
        """
        caller = self._caller(by, context)
        ids = self._meant(where, by, source, channel, context)
        self._take_back(ids, caller)
        return self._quarantine.set_apart(ids, caller, reason=reason) if ids else []

    def quarantined(self, *, by: Principal, context: CallContext | None = None) -> list[MemCube]:
        """What is in quarantine, for review: one's own; all of the tenant with the role verifier. On record."""
        return self._quarantine.apart(self._caller(by, context))

    def release(self, cube_ids: Sequence[str], *, by: Principal, context: CallContext | None = None) -> list[str]:
        """Give memories in quarantine back to recall, no more trusted than before: a verifier or an admin may.

        Raises:
            AccessDeniedError: *by* is neither.
        """
        return self._quarantine.release(_ids(cube_ids), self._caller(by, context))

    def verify(self, cube_ids: Sequence[str], *, by: Principal, context: CallContext | None = None) -> list[str]:
        """Confirm memories, so that they surface as trusted, also where they are of high impact; see `release`."""
        return self._quarantine.verify(_ids(cube_ids), self._caller(by, context))

    def forget_from(
        self,
        where: CubeFilter | Sequence[str] = CubeFilter(),  # noqa: B008
        *,
        by: Principal,
        source: str | None = None,
        channel: Channel | str | None = None,
        context: CallContext | None = None,
    ) -> list[ErasureReceipt]:
        """Erase what came from a source or through a channel, with all that was derived from it; the receipts.

        In every state, if the filter names none, and what is in quarantine, too. What it had superseded holds again.

        Raises:
            InvalidMemoryError: Neither is named: that would be everything.
            AccessDeniedError, LegalHoldError: One of them may not be erased; those before it are.
        """
        if source is None and channel is None:
            raise InvalidMemoryError("Say which source or channel; forget_from does not erase everything.")
        caller = self._caller(by, context)
        receipts = []
        ids = self._meant(where, by, source, channel, context, apart=True)
        self._take_back(ids, caller)
        for cube_id in ids:
            if (
                self._governance.own(cube_id, Verb.DELETE, caller, operation="forget") is not None
            ):  # else it went with another
                receipts.append(self._writer.forget(cube_id, caller))
        return receipts

    def redact(
        self,
        where: CubeFilter | Sequence[str],
        *,
        by: Principal,
        gate: WriteGate,
        erase: bool = False,
        dry_run: bool = False,
        context: CallContext | None = None,
    ) -> list[Redacted]:
        """Bring memories of *by* that are there before another gate, and write what it leaves of them; what changed.

        As the next version, with the old ones in the history; or, with *erase*, as a new memory, and in the same
        transaction the old one is forgotten: every version, its vector and full text, its KV caches, and all else that
        was derived from it. Then `scrub` overwrites copies that the file may hold. Blobs are not looked into. The list
        is the map for whoever exports them. *dry_run* changes nothing, and tells what would be taken out.

        With a filter, those in quarantine are looked at too, and what may not be changed is told with the reason; a
        filter that names no states means those that recall reaches.

        Raises:
            CubeNotFoundError, AccessDeniedError, LegalHoldError, IllegalTransitionError: One of the ids may not be
                changed; those before it are.
        """
        caller = self._caller(by, context)
        ids = self._meant(where, by, None, None, context, apart=True, unchanged=True)
        return self._redacted(ids, caller, gate, erase, dry_run, stop=not isinstance(where, CubeFilter))

    def redact_everyones(
        self, *, by: Principal, gate: WriteGate, owners: Sequence[str] = (), erase: bool = False, dry_run: bool = False
    ) -> list[Redacted]:
        """`redact` for everybody in the tenant, or for *owners* (`ana`): for the role admin, who reads no word.

        Each memory is redacted in its owner's name, as by them, with *by* as the agent in the log; what they may not
        change (on hold, frozen, kept from them by a rule) is told with the reason, and stays.

        Raises:
            AccessDeniedError: *by* is no admin.
        """
        officer, named = self._caller(by, None), {as_subject(each) for each in _names(owners)}
        done: list[Redacted] = []
        for owner, ids in sorted(self._governance.everyones(officer, operation="redact_everyones").items()):
            if owner.startswith("user:") and (not named or owner in named):
                theirs = Principal(tenant=by.tenant, user=owner.removeprefix("user:"))
                caller = officer._replace(by=theirs, context=CallContext(agent=by.subject))
                done += self._redacted(ids, caller, gate, erase, dry_run, stop=False)
        return done

    def _redacted(
        self, ids: Sequence[str], caller: Caller, gate: WriteGate, erase: bool, dry_run: bool, *, stop: bool
    ) -> list[Redacted]:
        """What was done about each; with *stop* the first that may not be changed raises."""
        told: dict[str, Redacted] = {}
        for cube_id in ids:
            if any(cube_id in each.gone for each in told.values()):
                continue
            try:
                done = self._redactor.run(cube_id, caller, gate, erase=erase, dry_run=dry_run)
            except (AccessDeniedError, CubeNotFoundError, LegalHoldError, IllegalTransitionError) as exc:
                if stop:
                    raise
                done = Redacted(cube_id=cube_id, kept=str(exc))
            if done is not None:
                told[cube_id] = done
        return list(told.values())

    def _meant(
        self,
        where: CubeFilter | Sequence[str],
        by: Principal,
        source: str | None,
        channel: Channel | str | None,
        context: CallContext | None,
        *,
        apart: bool = False,
        unchanged: bool = False,
    ) -> list[str]:
        """The ids of what is meant; *apart*: also of what is in quarantine; *unchanged*: of what is on hold, too."""
        if not isinstance(where, CubeFilter):
            return _ids(where)
        caller = self._caller(by, context)
        came = None if channel is None else Channel(channel)
        if (source is not None or came is not None) and where.states == CubeFilter().states:
            where = replace(where, states=frozenset(State) - {State.EXPIRED})

        def is_meant(cube: MemCube) -> bool:
            named = source is None or source in (cube.provenance.source, cube.provenance.author)
            mine = cube.governance.owner == by.subject and cube.tier is Tier.PLAINTEXT
            return named and mine and came in (None, cube.trust.channel) and not is_of_the_books(cube)

        found: list[MemCube] = []
        skip, visible = 0, 1
        while skip < visible:
            page = self._governance.found(VaultQuery(k=PAGE, filter=where, skip=skip), caller)
            found += [match.cube for match in page.matches if is_meant(match.cube)]
            skip, visible = skip + PAGE, page.visible
        for cube in () if unchanged else found:
            check_change(cube)
        return [cube.id for cube in found] + (self._apart(where, caller, is_meant) if apart else [])

    def _apart(self, where: CubeFilter, caller: Caller, is_meant: Callable[[MemCube], bool]) -> list[str]:
        """The caller's own in quarantine below the filter's namespace, in its thread."""
        return [
            cube.id
            for cube in self._quarantine.apart(caller)
            if is_meant(cube)
            and cube.namespace[: len(where.namespace)] == where.namespace
            and where.thread_id in (None, cube.provenance.thread_id)
        ]

    def _take_back(self, ids: Sequence[str], caller: Caller) -> None:
        """Undo what memories superseded that are not believed any more; what may not be changed stays as it is."""
        resolver = self._writer.resolver
        for cube_id in ids:
            for each in resolver.made.about(cube_id, caller) if resolver.made.has_retired(cube_id, caller) else ():
                replaced = each.newer == cube_id and each.ruling is Superseding.SUPERSEDE and not each.undone
                if replaced and each.older not in ids:
                    with suppress(MemOSError):
                        resolver.undo(each.id, caller)


def _names(owners: Sequence[str]) -> Sequence[str]:
    if isinstance(owners, str):
        raise InvalidMemoryError("Give a list of owners, not one string.")
    return owners


def _ids(cube_ids: Sequence[str]) -> list[str]:
    if isinstance(cube_ids, str):
        raise InvalidMemoryError("Give a list of ids, not one string.")
    return [known_id(each) for each in cube_ids]
