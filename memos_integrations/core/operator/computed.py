"""What a cube of computed memory says of itself: its model, its sources, whether it may serve. Pure."""

from __future__ import annotations

from typing import Any

from memos_integrations.core.cube import ActivationPayload, MemCube, ModelFingerprint, ParameterPayload, Tier


def base_of(cube: MemCube) -> ModelFingerprint:
    """The model that it was computed with."""
    payload = cube.payload
    assert isinstance(payload, ActivationPayload | ParameterPayload)
    return payload.fingerprint if isinstance(payload, ActivationPayload) else payload.base


def without_name(base: ModelFingerprint) -> ModelFingerprint:
    """A fingerprint without the name of the model's folder, which computes nothing."""
    return base.model_copy(update={"model": ""})


def made_of(cube: MemCube) -> frozenset[str]:
    """The ids of the memories that it was computed from."""
    return frozenset(ref.id for ref in cube.provenance.derived_from)


def training_of(cube: MemCube) -> dict[str, Any]:
    """How an adapter was trained, as its cube tells; empty for anything else."""
    training = cube.payload.training if isinstance(cube.payload, ParameterPayload) else None
    return training if isinstance(training, dict) else {}


def passed(cube: MemCube) -> bool:
    """Whether a computed cube may serve: an adapter only when it passed its gates."""
    gates = training_of(cube).get("gates")
    return cube.tier is not Tier.PARAMETER or (isinstance(gates, dict) and gates.get("failed") == [])
