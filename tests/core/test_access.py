"""Who may do what: the one rule, as a table and as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.access import CallContext, Caller, Principal, Verb, as_subject, decide, may_read
from memos_integrations.core.cube import (
    Descriptive,
    Governance,
    Layer,
    MemCube,
    PlaintextPayload,
    State,
    Trust,
    new_id,
)
from memos_integrations.core.errors import IdentityError, MemOSError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben", groups=frozenset({"eng"}))
EVE = Principal(tenant="acme", user="eve")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
STRANGER = Principal(tenant="globex", user="ana", groups=frozenset({"eng"}), roles=frozenset({"admin"}))


def cube(
    *, state: State = State.GENERATED, quarantined: bool = False, tenant: str = "acme", **rules: object
) -> MemCube:
    return MemCube(
        id=new_id(),
        namespace=(tenant, "ana"),
        payload=PlaintextPayload(text="The launch code name is Heron."),
        descriptive=Descriptive(created_at=NOW, recorded_at=NOW),
        governance=Governance.model_validate({"owner": "user:ana", **rules}),
        trust=Trust(quarantined=quarantined),
        state=state,
    )


def ask(who: Principal, purpose: str | None = None, application: str | None = None, now: datetime = NOW) -> Caller:
    return Caller(who, CallContext(purpose=purpose, application=application), now)


SHARED = {"layer": "shared", "readers": ("user:ben",)}
ALLOWED = [
    ({}, ANA, Verb.READ),
    ({}, ANA, Verb.DELETE),
    (SHARED, BEN, Verb.READ),
    (SHARED, BEN, Verb.USE_IN_PROMPT),
    ({"layer": "shared", "readers": ("group:eng",)}, BEN, Verb.READ),
    ({"layer": "shared", "writers": ("group:eng",)}, BEN, Verb.WRITE),
    ({"layer": "shared", "writers": ("group:eng",)}, BEN, Verb.READ),
    ({"layer": "shared", "sharers": ("user:ben",)}, BEN, Verb.SHARE),
    ({"layer": "shared", "readers": ("role:admin",)}, ADMIN, Verb.READ),
    ({"layer": "global"}, EVE, Verb.READ),
    ({}, ADMIN, Verb.DELETE),
    ({}, ADMIN, Verb.ADMIN),
    ({}, ANA, Verb.TRAIN_ON),
]
DENIED = [
    ({}, BEN, Verb.READ),
    ({}, ADMIN, Verb.READ),
    ({}, ADMIN, Verb.WRITE),
    (SHARED, EVE, Verb.READ),
    (SHARED, BEN, Verb.WRITE),
    (SHARED, BEN, Verb.SHARE),
    (SHARED, BEN, Verb.DELETE),
    ({"layer": "global"}, EVE, Verb.WRITE),
    ({"layer": "shared", "writers": ("group:eng",)}, BEN, Verb.SHARE),
    ({"layer": "shared", "writers": ("group:eng",)}, BEN, Verb.DELETE),
    ({"sensitivity": ("health",)}, ANA, Verb.TRAIN_ON),
    ({"legal_hold": True}, ANA, Verb.TRAIN_ON),
    ({"expires_at": NOW + timedelta(days=1)}, ANA, Verb.TRAIN_ON),
]


@pytest.mark.parametrize(("rules", "who", "verb"), ALLOWED)
def test_what_was_given_is_allowed(rules: dict[str, object], who: Principal, verb: Verb) -> None:
    assert decide(cube(**rules), verb, ask(who)).allowed


@pytest.mark.answers("AISVS 5.2.1")
@pytest.mark.parametrize(("rules", "who", "verb"), DENIED)
def test_everything_else_is_denied_with_a_reason(rules: dict[str, object], who: Principal, verb: Verb) -> None:
    decision = decide(cube(**rules), verb, ask(who))
    assert not decision.allowed
    assert decision.reason


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("rules", [{}, SHARED, {"layer": "global", "readers": ("*",), "writers": ("*",)}])
def test_no_rule_opens_the_wall_between_tenants(rules: dict[str, object], verb: Verb) -> None:
    assert not decide(cube(**rules), verb, ask(STRANGER)).allowed


def test_the_calling_context_decides_too() -> None:
    medical = cube(purposes=("treatment",), applications=("ward",))
    assert may_read(medical, ask(ANA, "treatment", "ward"))
    assert not may_read(medical, ask(ANA, "billing", "ward"))
    assert not may_read(medical, ask(ANA, "treatment"))
    assert not may_read(medical, ask(ANA))


@pytest.mark.answers("fault 34")
def test_a_cube_is_alive_up_to_its_last_instant() -> None:
    mortal = cube(expires_at=NOW)
    assert may_read(mortal, ask(ANA))
    assert not may_read(mortal, ask(ANA, now=NOW + timedelta(microseconds=1)))


def test_quarantined_and_expired_cubes_are_read_by_nobody() -> None:
    assert not may_read(cube(quarantined=True), ask(ANA))
    assert not may_read(cube(state=State.EXPIRED), ask(ANA))


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant": "", "user": "ana"},
        {"tenant": "acme", "user": " "},
        {"tenant": None, "user": "ana"},
        {"user": "ana"},
        {"tenant": "acme", "user": 7},
        {"tenant": "acme", "user": "a\x00b"},
        {"tenant": "acme", "user": "ana", "admin": True},
    ],
)
def test_nobody_is_not_a_principal(fields: dict[str, object]) -> None:
    with pytest.raises(IdentityError) as caught:
        Principal(**fields)
    assert isinstance(caught.value, MemOSError)


def test_a_user_cannot_take_a_groups_name() -> None:
    impostor = Principal(tenant="acme", user="group:eng")
    assert not may_read(cube(layer="shared", readers=("group:eng",)), ask(impostor))
    star = Principal(tenant="acme", user="*")
    assert not may_read(cube(), ask(star))


names = st.sampled_from(["ana", "ben", "eve", "group:eng", "role:admin", "*", "user:*", "group:*"])
users = st.sampled_from(["ana", "ben", "eve", "*", "group:eng"])


@given(
    owner=users,
    readers=st.lists(names, max_size=3),
    layer=st.sampled_from(Layer),
    user=users,
    groups=st.frozensets(st.sampled_from(["eng", "*", "ops"])),
    tenant=st.sampled_from(["acme", "globex"]),
)
def test_reading_needs_the_tenant_and_a_name_on_the_list(
    owner: str, readers: list[str], layer: Layer, user: str, groups: frozenset[str], tenant: str
) -> None:
    """An oracle written another way: spelled-out cases instead of set arithmetic."""
    given_to = [as_subject(name) for name in readers] if layer is not Layer.PRIVATE else []
    memory = cube(owner=f"user:{owner}", readers=tuple(given_to), layer=layer)
    who = Principal(tenant=tenant, user=user, groups=groups)
    expected = tenant == "acme" and (
        user == owner
        or layer is Layer.GLOBAL
        or "*" in given_to
        or f"user:{user}" in given_to
        or any(f"group:{group}" in given_to for group in groups)
    )
    assert may_read(memory, ask(who)) is expected
