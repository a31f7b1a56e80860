"""Cubes of computed memory (keys and values, adapters), under the rules that all of their sources share. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.core.access import EVERYONE, Caller, Verb, as_subject, decide, subjects_for
from memos_integrations.core.costs import may_train
from memos_integrations.core.cube import (
    ActivationPayload,
    Descriptive,
    Governance,
    MemCube,
    Origin,
    ParameterPayload,
    Provenance,
    Trust,
    TrustLabel,
    new_id,
    unique,
)
from memos_integrations.core.errors import AccessDeniedError, InvalidMemoryError
from memos_integrations.core.operator.write import Draft, layer_for


def draft_activation(
    payload: ActivationPayload, sources: Sequence[MemCube], caller: Caller, *, trigger: str | None = None
) -> Draft:
    """A cube around stored keys and values: readable by whom every source may be read by, and no longer than each.

    Raises:
        InvalidMemoryError: No sources, or not all of them plaintext.
        AccessDeniedError: No calling context may use all of them.
    """
    if not sources or any(not cube.text for cube in sources):
        raise InvalidMemoryError("Activation memory is derived from plaintext memories; name at least one.")
    return _computed(payload, sources, caller, Origin.INFERENCE_EXTRACTION, trigger)


def draft_parameter(
    payload: ParameterPayload, sources: Sequence[MemCube], caller: Caller, *, trigger: str | None = None
) -> Draft:
    """A cube around an adapter: readable by whom every source may be read by.

    Raises:
        InvalidMemoryError: No sources, or one that may not be trained on.
        AccessDeniedError: The caller may not train on one, or no calling context may use all of them.
    """
    if not sources:
        raise InvalidMemoryError("Parameter memory is learnt from plaintext memories; name at least one.")
    for cube in sources:
        if reason := may_train(cube):
            raise InvalidMemoryError(f"Cube {cube.id!r} is never trained on: {reason}.")
        decision = decide(cube, Verb.TRAIN_ON, caller)
        if not decision.allowed:
            raise AccessDeniedError(f"Cube {cube.id!r} may not be trained on: {decision.reason}.")
    return _computed(payload, sources, caller, Origin.PARAMETER_FINETUNING, trigger)


def _computed(
    payload: ActivationPayload | ParameterPayload,
    sources: Sequence[MemCube],
    caller: Caller,
    origin: Origin,
    trigger: str | None,
) -> Draft:
    rules = [cube.governance for cube in sources]
    model = payload.fingerprint if isinstance(payload, ActivationPayload) else payload.base
    readers = _shared_readers(rules) - {caller.by.subject}
    order = list(TrustLabel)
    least = min(sources, key=lambda cube: order.index(cube.trust.label))
    ends = [each.expires_at for each in rules if each.expires_at]
    governance = Governance(
        owner=caller.by.subject,
        readers=tuple(sorted(readers)),
        layer=layer_for({"readers": tuple(readers)}),
        purposes=_shared_contexts([each.purposes for each in rules]),
        applications=_shared_contexts([each.applications for each in rules]),
        expires_at=min(ends, default=None),
        sensitivity=unique(name for each in rules for name in each.sensitivity),
        legal_hold=False,
    )
    cube = MemCube(
        id=new_id(),
        namespace=_shared_namespace([cube.namespace for cube in sources]),
        payload=payload,
        descriptive=Descriptive(
            created_at=caller.now,
            recorded_at=caller.now,
            origin=origin,
            semantic_type=payload.kind.value,
        ),
        provenance=Provenance(
            author=caller.by.subject,
            model_id=model.model,
            trigger=trigger,
            derived_from=tuple(cube.ref for cube in sources),
        ),
        trust=Trust(channel=least.trust.channel, label=least.trust.label),
        governance=governance,
    )
    return Draft(cube, (), "")


def _shared_readers(rules: Sequence[Governance]) -> set[str]:
    """The subjects that may read under every one of the rules; `*` only where all say so."""
    named = [subjects_for(Verb.READ, each) for each in rules]
    narrow = [subjects for subjects in named if EVERYONE not in subjects]
    return set(frozenset.intersection(*narrow)) if narrow else {as_subject(EVERYONE)}


def _shared_contexts(named: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Purposes (or applications) that all sources allow; none named means any."""
    narrow = [set(each) for each in named if each]
    shared = set.intersection(*narrow) if narrow else set()
    if narrow and not shared:
        raise AccessDeniedError("No calling context may use all of these memories together.")
    return tuple(sorted(shared))


def _shared_namespace(namespaces: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The longest namespace that all of them stand under."""
    shared = []
    for parts in zip(*namespaces, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return tuple(shared)
