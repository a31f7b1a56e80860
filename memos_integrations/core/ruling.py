"""The rules that a tenant adopted: kept in the vault as a cube that nobody reads, sealed, versioned and on record.

So they hold in every program that opens the vault, the commands too, and not only where somebody thought of passing
them. They are one tenant's: an admin changes nothing for another. What the application passes (`MemOS(policy=...)`)
holds beside them, for every tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from memos_integrations.core.access import EVERYONE, RULES, Caller, Principal, Verb, decide, hidden_fields
from memos_integrations.core.cube import Descriptive, Governance, MemCube, PlaintextPayload, Trust, TrustLabel, sha256
from memos_integrations.core.errors import IdentityError, PolicyError
from memos_integrations.core.policy import Engine, Policy, Several, Slip

AGAIN_S = 1.0
"""After so many seconds it is asked whether another program put other rules in place."""

RESERVED = "rules-"
"""How the ids of such cubes begin; no other cube is called so."""


def rules_id(tenant: str) -> str:
    """The id of the cube in which a tenant's rules are kept."""
    return f"{RESERVED}{sha256(tenant.encode('utf-8', 'surrogatepass'))[:32]}"


def rules_cube(policy: Engine | None, before: MemCube | None, caller: Caller) -> MemCube:
    """The next version of a tenant's rules."""
    kind, words = ("none", "no rules") if policy is None else policy.kept or ("other", "rules of another engine")
    said = {"kind": kind, "revision": None if policy is None else policy.revision}
    return MemCube(
        id=rules_id(caller.by.tenant),
        version=1 if before is None else before.version + 1,
        namespace=(caller.by.tenant,),
        payload=PlaintextPayload(text=words, value=said),
        descriptive=Descriptive(created_at=caller.now, recorded_at=caller.now, semantic_type=RULES),
        trust=Trust(label=TrustLabel.STATED),
        governance=Governance(owner=RULES),
    )


def said_in(cube: MemCube | None) -> tuple[str, str | None]:
    """Kind and revision of the rules in a cube; ("none", None) where there are none."""
    value: Any = cube.payload.value if cube is not None and isinstance(cube.payload, PlaintextPayload) else None
    return ("none", None) if value is None else (value["kind"], value["revision"])


def engine_of(kind: str, words: str) -> Engine | None:
    """The engine that is kept under a kind, of the kinds that need nothing else; None for others."""
    return Policy.model_validate_json(words) if kind == "rules" else None


def known_names(cube: MemCube, *engines: Engine) -> list[str]:
    """Every name that a memory or rules know, but for `owner` and everybody."""
    rules = cube.governance
    named = {rules.owner, *rules.readers, *rules.writers, *rules.sharers}
    return sorted(named.union(*(each.subjects for each in engines)) - {"owner", EVERYONE})


def account_of(tenant: str, names: Iterable[str]) -> Principal:
    """Who has these names at once; a group or a role alone is nobody's in particular: of a name that no account has.

    Raises:
        IdentityError: One of them is no subject (`user:NAME`, `group:NAME`, `role:NAME`), or two are users.
    """
    parted: dict[str, list[str]] = {"user": [], "group": [], "role": []}
    for subject in names:
        kind, _, name = subject.partition(":")
        if kind not in parted or not name:
            raise IdentityError(f"{subject!r} is nobody: write user:NAME, group:NAME or role:NAME.")
        parted[kind].append(name)
    if len(set(parted["user"])) > 1:
        raise IdentityError(f"An account is one user, not {' and '.join(parted['user'])}.")
    user = parted["user"][0] if parted["user"] else "\u2205"
    return Principal(tenant=tenant, user=user, groups=frozenset(parted["group"]), roles=frozenset(parted["role"]))


class PolicyChange(NamedTuple):
    """What other rules would open and close: who, and which memory (`id`, or `id:tags` for a part of it).

    `slips`: what in them is about nothing that these memories have.
    """

    memories: int
    opens: tuple[tuple[str, str], ...]
    closes: tuple[tuple[str, str], ...]
    slips: tuple[Slip, ...] = ()


def compared(
    cubes: Iterable[MemCube],
    policies: tuple[Engine | None, Engine | None],
    officer: Caller,
    *,
    verb: Verb = Verb.READ,
    accounts: Sequence[Sequence[str]] = (),
) -> PolicyChange:
    """What the second of two policies would open and close, for each name alone, and for *accounts* of several."""
    engines = [each for each in policies if each is not None]
    told: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    cubes, new_rules = list(cubes), policies[1]
    for cube in cubes:
        for names in [*([each] for each in known_names(cube, *engines)), *accounts]:
            asks = officer._replace(by=account_of(officer.by.tenant, names))
            old, new = (_kept_from(cube, verb, asks._replace(policy=policy)) for policy in policies)
            for pairs, given in zip(told, (_given(old, new), _given(new, old)), strict=True):
                pairs += [(" + ".join(names), f"{cube.id}{part}") for part in given]
    slips = () if new_rules is None else new_rules.unmatched(cubes, officer.by.tenant, officer.now)
    return PolicyChange(len(cubes), tuple(told[0]), tuple(told[1]), tuple(slips))


def _kept_from(cube: MemCube, verb: Verb, caller: Caller) -> frozenset[str] | None:
    """The parts of a memory that somebody does not get; None where they get nothing of it."""
    return frozenset(hidden_fields(cube, caller)) if decide(cube, verb, caller).allowed else None


def _given(before: frozenset[str] | None, after: frozenset[str] | None) -> list[str]:
    """What *after* gives over *before*: the whole memory (""), or some parts (":tags")."""
    if after is None or before is None:
        return [] if after is None else [""]
    return [f":{part}" for part in sorted(before - after)]


class _Held(NamedTuple):
    """What holds for a tenant, as of a version of its rules, and when to ask again."""

    version: int
    adopted: Engine | None
    beside: Engine | None
    engine: Engine | None
    again: float


class Rules:
    """What holds for each tenant: *kept* fetches the cube of its rules, *made* an engine by kind and words."""

    def __init__(
        self, kept: Callable[[str], MemCube | None], made: Callable[[str, str], Engine | None] = engine_of
    ) -> None:
        self._kept, self._made = kept, made
        self._held: dict[str, _Held] = {}

    def of(self, tenant: str, beside: Engine | None) -> Engine | None:
        """What holds for a tenant, with the application's own rules *beside*; None where there are no rules.

        Raises:
            PolicyError: The tenant adopted rules that this program cannot apply. Nothing is decided without them.
        """
        held = self._held.get(tenant)
        if held is not None and held.beside is beside and monotonic() < held.again:
            return held.engine
        cube = self._kept(tenant)
        version = 0 if cube is None else cube.version
        adopted = held.adopted if held is not None and held.version == version else self._again(tenant, cube, beside)
        return self._put(tenant, version, adopted, beside).engine

    def beside(self, kept: Callable[[str], MemCube | None]) -> Rules:
        """Rules of their own for what is only staged, where *kept* fetches them; what holds here holds there, too."""
        apart = Rules(kept, self._made)
        apart._held = dict(self._held)
        return apart

    def ask_again(self, tenant: str) -> None:
        """Ask what holds for a tenant at the next call: other rules have just become true."""
        if (held := self._held.get(tenant)) is not None:
            self._held[tenant] = held._replace(version=-1, again=0.0)

    def only(self, tenant: str) -> Engine | None:
        """What a tenant adopted, without what holds beside it.

        Raises:
            PolicyError: This program cannot apply it.
        """
        return self._again(tenant, self._kept(tenant), None)

    def adopted(self, tenant: str, version: int, adopted: Engine | None, beside: Engine | None) -> None:
        """Hold what was just put in place."""
        self._put(tenant, version, adopted, beside)

    def _put(self, tenant: str, version: int, adopted: Engine | None, beside: Engine | None) -> _Held:
        both = [each for each in (beside, adopted) if each is not None]
        engine = Several(*both) if len(both) == 2 and beside is not adopted else (both[0] if both else None)
        known = self._held.get(tenant)
        if known is not None and known.adopted is adopted and known.beside is beside:
            engine = known.engine  # what was decided by it is remembered by it
        held = self._held[tenant] = _Held(version, adopted, beside, engine, monotonic() + AGAIN_S)
        return held

    def _again(self, tenant: str, cube: MemCube | None, beside: Engine | None) -> Engine | None:
        kind, revision = said_in(cube)
        if cube is None or kind == "none" or (beside is not None and beside.revision == revision):
            return None
        made = self._made(kind, cube.text)
        if made is None or made.revision != revision:
            raise PolicyError(
                f"Tenant {tenant!r} adopted rules (revision {str(revision)[:12]}) that this program cannot apply. "
                "Pass them as MemOS(policy=...), or let an admin adopt others; nothing is done without them."
            )
        return made
