"""Access: principals, calling contexts, and the one rule that says who may do what with a cube. Pure.

The ternary of MemOS paper §5.5.1: user identity x memory object x calling context. Deny by default; the tenant is a
wall that no rule crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetPydanticSchema, ValidationError

from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import Governance, Label, MemCube, Once, State, Value, first_problem
from memos_integrations.core.errors import IdentityError
from memos_integrations.core.policy import Engine, Part

EVERYONE = "*"
ADMIN_ROLE = "role:admin"
AUDITOR_ROLE = "role:auditor"
VERIFIER_ROLE = "role:verifier"
RULES = "rules"
"""The owner of the cube in which a tenant's rules are kept: a name that no subject has."""


class Verb(StrEnum):
    """What one can do with a memory."""

    READ = "read"
    USE_IN_PROMPT = "use_in_prompt"
    TRAIN_ON = "train_on"
    WRITE = "write"
    SHARE = "share"
    DELETE = "delete"
    ADMIN = "admin"


READING = frozenset({Verb.READ, Verb.USE_IN_PROMPT, Verb.TRAIN_ON})
"""Verbs that give the words away."""

IN_CONTEXT = READING | {Verb.WRITE, Verb.SHARE}
"""Verbs for which the cube must be readable here and now: who changes a memory sees it."""

WHOLE = frozenset({Verb.TRAIN_ON, Verb.WRITE, Verb.SHARE})
"""Verbs for which one must see every part of a cube."""

Name = Annotated[Label, Field(max_length=500)]


class Principal(Value):
    """Who asks. It comes from the runtime (a token, a session), never from text that a model can write.

    Raises:
        IdentityError: Tenant or user is missing or empty.
    """

    tenant: Name
    user: Name
    groups: frozenset[Name] = frozenset()
    roles: frozenset[Name] = frozenset()

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            raise IdentityError(f"Not a principal: {first_problem(exc)}") from exc

    @Once
    def subject(self) -> str:
        """The name under which the principal owns memories."""
        return f"user:{self.user}"

    @Once
    def subjects(self) -> frozenset[str]:
        """Every name under which the principal may have been given access."""
        groups, roles = (f"group:{group}" for group in self.groups), (f"role:{role}" for role in self.roles)
        return frozenset({self.subject, EVERYONE, *groups, *roles})


class CallContext(Value):
    """From where a memory is used: set by the application, never by the model."""

    purpose: Label | None = None
    application: Label | None = None
    agent: Label | None = None


class Caller(NamedTuple):
    """Who asks, from where, and when: what every decision and every audit record needs."""

    by: Principal
    context: CallContext
    now: datetime
    policy: Annotated[Engine | None, GetPydanticSchema(lambda _, make: make(Any))] = None


class Decision(Value):
    """Allowed or not, and the rule that decided."""

    allowed: bool
    reason: str = Field(min_length=1)


def as_subject(name: str) -> str:
    """`user:ana` for `ana`; names that already say what they are (`group:`, `role:`, `user:`, `*`) stay."""
    return name if name == EVERYONE or name.startswith(("user:", "group:", "role:")) else f"user:{name}"


def subjects_for(verb: Verb, governance: Governance) -> frozenset[str]:
    """Who may do *verb* with a cube so governed, before tenant, context and time are looked at."""
    if verb in READING:
        return governance.read_by
    named = {governance.owner}
    if verb is Verb.ADMIN:
        return frozenset({ADMIN_ROLE})
    if verb is Verb.WRITE:
        named.update(governance.writers)
    elif verb is Verb.SHARE:
        named.update(governance.sharers)
    else:
        named.add(ADMIN_ROLE)
    return frozenset(named)


def decide(cube: MemCube, verb: Verb, caller: Caller) -> Decision:
    """Whether *caller* may do *verb* with *cube*, and which rule says so."""
    refusal = _refuse(cube, verb, caller)
    if refusal is not None:
        return Decision(allowed=False, reason=refusal)
    granted = subjects_for(verb, cube.governance) & caller.by.subjects
    return Decision(allowed=True, reason=f"{min(granted)} may {verb} it ({cube.governance.layer} layer)")


def _refuse(cube: MemCube, verb: Verb, caller: Caller) -> str | None:
    if caller.by.tenant != cube.tenant:
        return "the cube belongs to another tenant"
    if cube.governance.owner == RULES:
        return "it holds the rules of the tenant, which only adopt_policy changes"
    if subjects_for(verb, cube.governance).isdisjoint(caller.by.subjects):
        return f"nobody gave {caller.by.subject} the right to {verb} it"
    refused = _refuse_reading(cube, verb, caller) if verb in IN_CONTEXT else None
    return ruled_out(cube, verb, caller) if refused is None else refused


def ruled_out(cube: MemCube, verb: Verb, caller: Caller) -> str | None:
    """Why the policy keeps the caller from doing *verb* with a cube; None where it does not, or there is none."""
    policy = caller.policy
    if policy is None:
        return None
    refused = policy.refusal(cube, verb, caller)
    if refused is None and verb in IN_CONTEXT and verb is not Verb.READ:
        refused = policy.refusal(cube, Verb.READ, caller)  # who may not read it does nothing else with it
    if refused is None and verb in WHOLE and hidden_fields(cube, caller):
        refused = "a policy rule keeps a part of it: what is seen in part is not changed, shared or trained on"
    return refused


def hidden_fields(cube: MemCube, caller: Caller) -> frozenset[Part]:
    """The parts of a cube that the policy keeps from the caller; none of their own books, which tell of no memory."""
    if caller.policy is None or not caller.policy.hides_fields or (is_of_the_books(cube) and is_own(cube, caller)):
        return frozenset()
    return caller.policy.hidden_fields(cube, caller)


def _refuse_reading(cube: MemCube, verb: Verb, caller: Caller) -> str | None:
    rules = cube.governance
    if cube.trust.quarantined:
        return "it is quarantined"
    if rules.is_expired(caller.now) or cube.state is State.EXPIRED:
        return "it has expired"
    if (refused := _refuse_licensee(cube, caller) or _refuse_here(rules, caller)) is not None:
        return refused
    if verb is Verb.TRAIN_ON and (rules.expires_at or rules.legal_hold or rules.sensitivity):
        return "what expires, is on hold or is sensitive is never trained on"
    return None


def is_elsewhere(cube: MemCube, caller: Caller) -> bool:
    """Whether *cube* is *caller*'s own, and for other purposes or applications than those of this call."""
    return is_own(cube, caller) and _refuse_here(cube.governance, caller) is not None


def _refuse_here(rules: Governance, caller: Caller) -> str | None:
    """What the calling context says against it."""
    if rules.purposes and caller.context.purpose not in rules.purposes:
        return f"it may be used only for: {', '.join(rules.purposes)}"
    if rules.applications and caller.context.application not in rules.applications:
        return f"it may be used only in: {', '.join(rules.applications)}"
    return None


def _refuse_licensee(cube: MemCube, caller: Caller) -> str | None:
    """What its licence says against it; it binds neither the owner, nor whoever administers the tenant."""
    licence = cube.governance.licence_for(caller.by.subjects)
    if licence is None or is_own(cube, caller) or ADMIN_ROLE in caller.by.subjects:
        return None
    if licence.is_over(caller.now):
        return "its licence has ended"
    if licence.purposes and caller.context.purpose not in licence.purposes:
        return f"its licence is only for: {', '.join(licence.purposes)}"
    return None


def is_own(cube: MemCube, caller: Caller) -> bool:
    """Whether *cube* is *caller*'s own, and not only given to them to read."""
    return cube.tenant == caller.by.tenant and cube.governance.owner == caller.by.subject


def may_read(cube: MemCube, caller: Caller) -> bool:
    """Whether *caller* may read *cube* now."""
    return _refuse(cube, Verb.READ, caller) is None


def readable_of(cubes: Sequence[MemCube], caller: Caller) -> list[MemCube]:
    """Those that *caller* may read now.

    Without a policy it is decided by tenant, rules, state and quarantine alone, and most cubes of an answer share them:
    each such set is decided once.
    """
    if caller.policy is not None:
        return [cube for cube in cubes if may_read(cube, caller)]
    decided: dict[tuple[str, bytes, State, bool], bool] = {}
    allowed = []
    for cube in cubes:
        rules = cube.tenant, cube.governance._canonical, cube.state, cube.trust.quarantined
        known = decided.get(rules)
        if known is None:
            known = decided[rules] = may_read(cube, caller)
        if known:
            allowed.append(cube)
    return allowed
