"""Cedar as the engine of a policy: `CedarPolicy` reads Cedar text, held to a schema, over the wall that always stands.

It only narrows: Cedar is asked after tenant, owner, readers, expiry and quarantine allowed. What Cedar permits nowhere
is refused, and so is whatever it reports a problem about, where Cedar itself would skip the policy and may allow.
Source: cedarpolicy.com, through `cedarpy`; extra `cedar`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from memos_integrations.backends.cedar_folding import folded_policies, words_in
from memos_integrations.backends.cedar_query import Asked, compiled
from memos_integrations.core.cube import Governance, MemCube, sha256
from memos_integrations.core.errors import PolicyError
from memos_integrations.core.extras import require
from memos_integrations.core.policy import Act, Asker, Compiled, Part, Slip, unknown_words
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.text import folded_label, folded_labels

LARGEST = 1_000_000
"""Characters of a policy."""

MOST_FAULTS = 100

SCHEMA = """
entity Subject;
entity Person in [Subject];
entity Memory = {
  owner: Subject, namespace: Set<String>, tags: Set<String>, type: String, entities: Set<String>,
  sensitivity: Set<String>, speaker?: String, source?: String, channel: String, trust: String,
  created: Long, recorded: Long, expires?: Long
};
action read, use_in_prompt, train_on, write, share, delete, admin appliesTo {
  principal: Person, resource: Memory,
  context: { now: Long, hour: Long, weekday: Long, purpose?: String, application?: String, agent?: String }
};
"""
"""What policies speak of. A `Person` is in every `Subject` (`user:ana`, `group:staff`, `role:intern`, `*`) that asks;
`created` (the first version), `recorded` (this one), `expires` and `now` are seconds since 1970, `hour` is 0 to 23 and
`weekday` 1 to 7 in UTC. Words are compared as `text.folded_label` has them."""

MOST_KNOWN = 10_000
"""So many decisions are remembered."""

MEMORY = "Memory"

TIME = frozenset({"now", "hour", "weekday"})


class CedarPolicy:
    """The rules that a Cedar text says. Immutable and thread-safe; give it to `MemOS(policy=...)`.

    Raises:
        PolicyError: The text is empty, is no Cedar, or does not fit `SCHEMA`.
        MissingExtraError: The extra `cedar` is not installed.
    """

    def __init__(self, text: str) -> None:
        self._cedar: Any = require("cedarpy", extra="cedar")
        if not text.strip() or len(text) > LARGEST:
            raise PolicyError(f"A Cedar policy has between 1 and {LARGEST:,} characters.")
        try:
            found = self._cedar.validate_policies(text, SCHEMA)
            parsed = json.loads(self._cedar.policies_to_json_str(text))
        except ValueError as exc:
            raise PolicyError(f"The policy cannot be read: {' '.join(str(exc).split())[:300]}.") from exc
        if not found.validation_passed:
            raise PolicyError(f"The policy does not fit the schema: {'; '.join(map(str, found.errors))[:500]}.")
        written: dict[str, Any] = parsed.get("staticPolicies", {})
        if not written or parsed.get("templates"):
            raise PolicyError("A Cedar policy has at least one policy, and no templates: nobody would fill them in.")
        self.text = text
        self._words = words_in(written.values())
        self._static = folded_policies(written)
        told = {"staticPolicies": self._static, "templates": {}, "templateLinks": []}
        self._policies = self._cedar.PolicySet.from_json_str(json.dumps(told))
        self._schema = self._cedar.Schema.from_str(SCHEMA)
        self._looked_at = _looked_at(self._static)
        self._tells_time = not TIME.isdisjoint(self._looked_at)
        self._known: dict[tuple[Any, ...], str | None] = {}
        self._faults: list[str] = []

    @property
    def revision(self) -> str:
        """SHA-256 of the text."""
        return sha256(self.text.encode())

    @property
    def says(self) -> list[str]:
        """The policies by their `@id`, or by their place."""
        return [self._name(name) for name in self._static]

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects that are named in it."""
        return frozenset(re.findall(r'Subject::"((?:user|group|role):[^"\\]+)"', self.text))

    @property
    def hides_fields(self) -> bool:
        """False: Cedar decides about whole memories."""
        return False

    @property
    def kept(self) -> tuple[str, str]:
        """The text."""
        return "cedar", self.text

    def hidden_fields(self, cube: MemCube, caller: Asker) -> frozenset[Part]:
        """None."""
        return frozenset()

    def compiled(self, caller: Asker) -> Compiled:
        """What it says of types, tags and ids; the rest is decided memory by memory, once per version."""
        asked = Asked(caller.by.subjects, Act.READ.value, _context(caller))
        return compiled(self._static.values(), asked)

    def partly(self, caller: Asker, wanted: CubeFilter) -> tuple[CubeFilter, ...]:
        """None."""
        return ()

    def holds_until(self, cubes: Sequence[MemCube], now: datetime) -> datetime | None:
        """Only now, where the text speaks of time."""
        return now if self._tells_time else None

    def faults(self) -> list[str]:
        """What could not be decided since this was last asked, and was refused."""
        found, self._faults = self._faults, []
        return found

    def refusal(self, cube: MemCube, verb: str, caller: Asker) -> str | None:
        """Why Cedar does not allow it; None when it does, without a problem.

        Memories that differ in nothing that the text looks at are decided once.
        """
        facts = _facts(cube)
        key = self._key(cube, verb, caller, facts)
        if key is not None and key in self._known:
            return self._known[key]
        request, entities = _asked(cube, verb, caller, facts)
        try:
            said = self._cedar.is_authorized(request, self._policies, entities, self._schema)
        except (ValueError, TypeError, OverflowError) as exc:
            return self._fault(verb, cube, str(exc))
        if said.diagnostics.errors:
            return self._fault(verb, cube, "; ".join(map(str, said.diagnostics.errors)))
        refused = None if said.decision == self._cedar.Decision.Allow else self._reason(said.diagnostics.reasons)
        if key is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = refused
        return refused

    def _reason(self, policies: Sequence[str]) -> str:
        names = ", ".join(sorted(repr(self._name(name)) for name in policies))
        return f"Cedar policy {names} forbids it" if names else "no Cedar policy permits it"

    def _key(self, cube: MemCube, verb: str, caller: Asker, facts: dict[str, Any]) -> tuple[Any, ...] | None:
        """All that a decision can depend on; None where that is the time."""
        if self._tells_time:
            return None
        context = caller.context
        asks = verb, caller.by.subjects, context.purpose, context.application, context.agent
        told = (json.dumps(facts.get(name)) for name in self._looked_at)
        return (*asks, cube.id if MEMORY in self._looked_at else None, *told)

    def _fault(self, verb: str, cube: MemCube, why: str) -> str:
        told = f"Cedar could not decide {verb} of {cube.id}: {' '.join(why.split())[:300]}"
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(told)
        return told

    def _name(self, name: str) -> str:
        return str(self._static.get(name, {}).get("annotations", {}).get("id") or name)

    def governed(self, cube: MemCube) -> Governance:
        """What it says itself: Cedar has no terms."""
        return cube.governance

    def unmatched(self, cubes: Sequence[MemCube], tenant: str, now: datetime) -> list[Slip]:
        """The words that it compares memories with, and that none of *cubes* has."""
        return unknown_words(self._words, cubes)

    def lint(self) -> list[Slip]:
        """What is probably not meant: a text that permits nothing, or refuses nothing; an age that begins anew."""
        effects = [each["effect"] for each in self._static.values()]
        free = [each for each in self._static.values() if each["effect"] == "permit" and not each["conditions"]]
        free = [each for each in free if each["principal"]["op"] == each["action"]["op"] == "All"]
        found = []
        if "permit" not in effects:
            found.append("nothing is permitted: everybody is refused everything")
        if free and len(free) == len(effects):
            found.append("everything is permitted to everybody: nothing is ever refused")
        if "recorded" in self._looked_at:
            found.append("`recorded` begins anew with each change of a memory: for its age, say `created`")
        return [Slip("", each, "recorded" if "recorded" in each else "") for each in found]


def load_cedar(file: str | Path) -> CedarPolicy:
    """The policy in a file; see `CedarPolicy`.

    Raises:
        PolicyError: The file cannot be read, or is no policy.
    """
    try:
        return CedarPolicy(Path(file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyError(f"The policy {file} cannot be read ({exc}).") from exc


def _looked_at(policies: Any) -> tuple[str, ...]:
    """The attributes that parsed policies name, and `Memory` where they name a memory: they look at nothing else."""
    found: set[str] = set()
    waiting = [policies]
    while waiting:
        node = waiting.pop()
        inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, value in inside:
            if name == "attr":
                found.update([value] if isinstance(value, str) else map(str, value))
            if name == "type" and value == MEMORY:
                found.add(MEMORY)
            waiting.append(value)
    return tuple(sorted(found))


def _asked(
    cube: MemCube, verb: str, caller: Asker, facts: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The request, and the entities it speaks of."""
    person, memory = {"type": "Person", "id": "asker"}, {"type": "Memory", "id": cube.id}
    request = {
        "principal": person,
        "action": {"type": "Action", "id": Act(verb).value},
        "resource": memory,
        "context": _context(caller),
    }
    parents = [{"type": "Subject", "id": name} for name in sorted(caller.by.subjects)]
    return request, [
        {"uid": person, "attrs": {}, "parents": parents},
        {"uid": memory, "attrs": facts, "parents": []},
    ]


def _context(caller: Asker) -> dict[str, Any]:
    context, now = caller.context, caller.now
    said = {"purpose": context.purpose, "application": context.application, "agent": context.agent}
    told = {name: folded_label(word) for name, word in _there(said).items()}
    return {"now": int(now.timestamp()), "hour": now.hour, "weekday": now.isoweekday()} | told


def _facts(cube: MemCube) -> dict[str, Any]:
    rules, said = cube.governance, cube.descriptive
    words = _there({"speaker": cube.provenance.speaker, "source": cube.provenance.source, "type": said.semantic_type})
    return {
        "owner": {"__entity": {"type": "Subject", "id": rules.owner}},
        "namespace": list(folded_labels(cube.namespace)),
        "tags": list(folded_labels(said.tags)),
        "entities": list(folded_labels(said.entities)),
        "sensitivity": list(folded_labels(rules.sensitivity)),
        "channel": cube.trust.channel.value,
        "trust": cube.trust.label.value,
        "created": int(said.first_recorded_at.timestamp()),
        "recorded": int(said.recorded_at.timestamp()),
        **{name: folded_label(word) for name, word in words.items()},
        **_there({"expires": None if rules.expires_at is None else int(rules.expires_at.timestamp())}),
    }


def _there(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}
