"""At the gate: a draft becomes what may be embedded and stored of it, with the verdict for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memos_integrations.core.access import Caller
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import MemCube, PlaintextPayload, TrustLabel, thawed, unique
from memos_integrations.core.gate import Ruling, Verdict, WriteGate, cleaned
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.write import Draft, finished, reworded

SHORTEST = 8
"""A label shorter than that is neither a key nor an order; an address it may be."""

_IN_WORDS = {"descriptive": ("topic", "concept"), "provenance": ("speaker", "source")}


def admitted(draft: Draft, caller: Caller, governance: MemGovernance) -> Draft:
    """The draft as it may be stored: cleaned, redacted, or set apart, and on the terms of the policy.

    Raises:
        RefusedByGateError: Nothing of it may be stored; that it was refused is on record, what it said is not.
    """
    return on_terms(_through_gate(draft, caller, governance), caller)


def on_terms(draft: Draft, caller: Caller) -> Draft:
    """The draft on the terms of the policy that holds for the caller; the same where they add nothing."""
    rules = draft.cube.governance if caller.policy is None else caller.policy.governed(draft.cube)
    if rules is draft.cube.governance:
        return draft
    return replace(draft, cube=draft.cube.model_copy(update={"governance": rules}))


def _through_gate(draft: Draft, caller: Caller, governance: MemGovernance) -> Draft:
    gate = governance.gate
    if gate is None or not isinstance(draft.cube.payload, PlaintextPayload):
        return draft
    cube, verdicts = looked_at(draft.cube, gate, tenant=draft.cube.tenant)
    pace = gate.counted(source_of(cube), cube.trust.channel, caller.now) if cube.version == 1 else None
    verdicts += [] if pace is None else [pace]
    worst = max(verdicts, key=lambda each: list(Ruling).index(each.ruling))
    if worst.ruling is Ruling.REFUSE:
        governance.refuse(draft.cube, caller, _told(verdicts, worst))
    if cube is not draft.cube:
        draft = replace(finished(cube), durability=draft.durability)
    draft = replace(draft, cube=_aged(draft.cube, caller, gate))
    if worst.ruling is Ruling.QUARANTINE:
        trust = draft.cube.trust.model_copy(update={"quarantined": True, "verified_by": None})
        draft = replace(draft, cube=draft.cube.model_copy(update={"trust": trust}))
    return draft if worst.ruling is Ruling.ALLOW and pace is None else replace(draft, verdict=_told(verdicts, worst))


def source_of(cube: MemCube) -> tuple[str, ...]:
    """Where a memory comes from, as it is counted: the source that it names, within whose memories it is."""
    return cube.tenant, cube.governance.owner, cube.trust.channel.value, cube.provenance.source or ""


def contradicting(draft: Draft, caller: Caller, governance: MemGovernance) -> Draft:
    """A draft that contradicts what is there, as the gate rules on a source that does that often.

    Raises:
        RefusedByGateError: Nothing of it may be stored; that is on record.
    """
    cube, gate = draft.cube, governance.gate
    pace = None if gate is None else gate.contradicted(source_of(cube), cube.trust.channel, caller.now)
    if pace is None:
        return draft
    told = _told([pace], pace)
    if draft.verdict is not None:
        found, reasons = draft.verdict["found"], [draft.verdict["reason"], pace.reason]
        worst = max(draft.verdict["ruling"], told["ruling"], key=[each.value for each in Ruling].index)
        alarm = bool(draft.verdict.get("alarm")) or pace.alarm
        told = {"ruling": worst, "found": found | told["found"], "reason": "; ".join(filter(None, reasons))}
        told |= {"alarm": True} if alarm else {}
    if pace.ruling is Ruling.REFUSE:
        governance.refuse(cube, caller, told)
    if pace.ruling is Ruling.QUARANTINE:
        trust = cube.trust.model_copy(update={"quarantined": True, "verified_by": None})
        cube = cube.model_copy(update={"trust": trust})
    return replace(draft, cube=cube, verdict=told)


def looked_at(cube: MemCube, gate: WriteGate, *, tenant: str | None = None) -> tuple[MemCube, list[Verdict]]:
    """The cube as the gate leaves it (the same where it takes nothing), with the verdicts; the text's is the first.

    *tenant* is whose pseudonyms stand in it: by default the cube's; empty: nobody's, and none is made.
    """
    if not isinstance(cube.payload, PlaintextPayload):
        return cube, []
    told = cube.tenant if tenant is None else tenant
    before = thawed(cube.payload.value)
    verdicts = [gate.examine(cube.text, cube.trust.channel, tenant=told)]
    value = _looked_through(before, gate, cube, told, verdicts)
    if cube.descriptive.semantic_type == ITEM and isinstance(before, dict) and "key" in before:
        value["key"] = before["key"]  # half of its address, which a search gives to get it by
    long = [tag for tag in cube.descriptive.tags if _is_long(tag) or cleaned(tag).removed]
    tags = {tag: gate.examine(tag, cube.trust.channel, tenant=told) for tag in long}
    text = verdicts[0].text if verdicts[0].ruling is not Ruling.REFUSE else cube.text
    if text != cube.text or value != before or any(each.text != tag for tag, each in tags.items()):
        cube = reworded(cube, text, value, {tag: each.text for tag, each in tags.items()})
    cube, beside = _header_looked_at(cube, gate, told)
    return cube, [*verdicts, *tags.values(), *beside]


def _header_looked_at(cube: MemCube, gate: WriteGate, tenant: str) -> tuple[MemCube, list[Verdict]]:
    """The cube with what its header says in words as the gate leaves it: a prompt and an embedder read that, too."""
    verdicts: list[Verdict] = []
    parts: dict[str, Any] = {}
    for part, names in _IN_WORDS.items():
        said = getattr(cube, part)
        words = {name: each for name in names if (each := getattr(said, name)) and _is_long(each)}
        found = {name: gate.examine(each, cube.trust.channel, tenant=tenant) for name, each in words.items()}
        verdicts += found.values()
        other = {
            n: each.text for n, each in found.items() if each.text != words[n] and each.ruling is not Ruling.REFUSE
        }
        if other:
            parts[part] = said.model_copy(update=other)
    return (cube.model_copy(update=parts) if parts else cube), verdicts


def _is_long(label: str) -> bool:
    return len(label) >= SHORTEST or "@" in label


def _looked_through(value: Any, gate: WriteGate, cube: MemCube, tenant: str, verdicts: list[Verdict]) -> Any:
    """The value with every text in it as the gate lets it through, the names of its fields too."""
    if isinstance(value, str):
        verdict = gate.examine(value, cube.trust.channel, tenant=tenant)
        verdicts.append(verdict)
        return verdict.text
    if isinstance(value, Mapping):
        told: dict[str, Any] = {}
        for key, each in value.items():
            name = key
            if _is_long(key):
                verdicts.append(gate.examine(key, cube.trust.channel, tenant=tenant))
                name = key if verdicts[-1].ruling is Ruling.REFUSE else verdicts[-1].text
            count = 1
            while name in told or (name != key and name in value):  # two names that are told no more
                count += 1
                name = f"{verdicts[-1].text} {count}"
            told[name] = _looked_through(each, gate, cube, tenant, verdicts)
        return told
    if isinstance(value, list | tuple):
        return [_looked_through(each, gate, cube, tenant, verdicts) for each in value]
    return value


def _aged(cube: MemCube, caller: Caller, gate: WriteGate) -> MemCube:
    """What nobody vouches for ends by itself, unless it was said when."""
    label = cube.trust.label if cube.trust.label is not TrustLabel.VERIFIED else TrustLabel.STATED
    life = gate.lives(label)
    if life is None or cube.version > 1 or cube.governance.expires_at is not None:
        return cube
    rules = cube.governance.model_copy(update={"expires_at": caller.now + life})
    return cube.model_copy(update={"governance": rules})


def _told(verdicts: list[Verdict], worst: Verdict) -> dict[str, Any]:
    found: dict[str, int] = {}
    for verdict in verdicts:
        for rule, count in verdict.found.items():
            found[rule] = found.get(rule, 0) + count
    reasons = unique(verdict.reason for verdict in verdicts if verdict.reason)
    told: dict[str, Any] = {"ruling": worst.ruling.value, "found": dict(sorted(found.items()))}
    told["reason"] = "; ".join(reasons)
    return told | ({"alarm": True} if any(verdict.alarm for verdict in verdicts) else {})
