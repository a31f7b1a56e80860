"""What a caller may see, compiled for a vault: the wall, and what rules hide. What is hidden is not even counted."""

from __future__ import annotations

import sys
from typing import Any

from memos_integrations.core.access import Caller, Verb
from memos_integrations.core.policy import Policy
from memos_integrations.core.ports import CubeFilter, Vault, VaultQuery, Visibility

MOST_DECIDED = 64
"""For so many askers it is remembered what rules refuse them."""


class Sight:
    """Compiles callers over one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._decided: dict[tuple[Any, ...], tuple[Policy, tuple[str, ...]]] = {}

    def of(self, caller: Caller) -> Visibility:
        """What the caller may see, for a vault to go by before it picks the best."""
        if caller.policy is None:
            return _visible_to(caller, ())
        compiled = caller.policy.compiled(caller)
        if compiled.is_whole:
            return _visible_to(caller, compiled.hidden)
        refused = self._refused(caller, compiled.hidden)
        more = (CubeFilter(ids=refused, states=frozenset(), tiers=frozenset()),) if refused else ()
        return _visible_to(caller, compiled.hidden + more)

    def _refused(self, caller: Caller, hidden: tuple[CubeFilter, ...]) -> tuple[str, ...]:
        """Which memories are refused by rules that only the engine can decide; remembered until something changes."""
        policy = caller.policy
        if policy is None:
            return ()
        key = (id(policy), self._vault.generation(caller.by.tenant), caller.by, caller.context)
        known = self._decided.get(key)
        if known is None or known[0] is not policy or policy.tells_time:
            everything = CubeFilter(states=frozenset(), tiers=frozenset())
            found = self._vault.search(VaultQuery(k=sys.maxsize, filter=everything), _visible_to(caller, hidden))
            cubes = [match.cube for match in found.matches]
            known = policy, tuple(sorted(cube.id for cube in cubes if policy.refusal(cube, Verb.READ, caller)))
            if len(self._decided) >= MOST_DECIDED:
                self._decided.clear()
            self._decided[key] = known
        return known[1]


def _visible_to(caller: Caller, hidden: tuple[CubeFilter, ...]) -> Visibility:
    return Visibility(
        tenant=caller.by.tenant,
        subjects=caller.by.subjects,
        now=caller.now,
        purpose=caller.context.purpose,
        application=caller.context.application,
        hidden=hidden,
    )
