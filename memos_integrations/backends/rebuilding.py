"""A vault under another base model: what was computed with the one before is shown with its price, then made anew.

Text needs nothing. Keys and values, and adapters, fit the model that made them and no other, so they are refused under
the new one (text stands in) until they are made again: here, on demand, one after another, each durable on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.costs import build_seconds, may_train
from memos_integrations.core.cube import (
    ActivationPayload,
    Label,
    MemCube,
    ModelFingerprint,
    ParameterPayload,
    Text,
    Tier,
    Value,
)
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.ports import CubeFilter

if TYPE_CHECKING:
    from memos_integrations.backends.kv import ActivationCubes
    from memos_integrations.backends.lora import ParameterCubes

MOST_COMPUTED = 10_000
"""So many computed memories are looked at."""


class Memories(Protocol):
    """What is used of a `MemOS`."""

    def find(
        self, where: CubeFilter, *, by: Principal, k: int, counts: bool, context: CallContext | None
    ) -> list[MemCube]:
        """See `MemOS.find`."""
        ...

    def get_many(
        self, cube_ids: Iterable[str], *, by: Principal, verb: Verb | str, context: CallContext | None
    ) -> list[MemCube]:
        """See `MemOS.get_many`."""
        ...

    def forget(self, cube_id: str, *, by: Principal, context: CallContext | None) -> object:
        """See `MemOS.forget`."""
        ...


class Rebuild(Value):
    """One computed memory of another model, and what it costs to make it for this one.

    `tokens`, `seconds`, `size` (bytes): of keys and values, counted by this model's tokenizer and priced by what it was
    measured to take here; of an adapter, the CPU seconds and the bytes that it took under the model before, and no
    tokens: nothing is known of this one before it learns. `stays`: why it is not made again; its text serves on.
    """

    id: Label
    tier: Tier
    model: Label
    sources: tuple[Label, ...]
    tokens: int = 0
    seconds: float = Field(default=0.0, ge=0)
    size: int = Field(default=0, ge=0)
    stays: Text = ""


class RebuildPlan(Value):
    """What is to be made anew under the model `model`, and what stays text; nothing was done yet."""

    model: Label
    rebuilds: tuple[Rebuild, ...] = ()

    @property
    def due(self) -> tuple[Rebuild, ...]:
        """What is to be made."""
        return tuple(each for each in self.rebuilds if not each.stays)

    @property
    def seconds(self) -> float:
        """Of computing, together."""
        return sum(each.seconds for each in self.due)

    @property
    def size(self) -> int:
        """Bytes, together."""
        return sum(each.size for each in self.due)


class Rebuilt(Value):
    """What was made (old id, new id), and what was not, with why. What is left is found by the next plan.

    What did not pass its gates is named there with what it lacked, and not tried again unasked.
    """

    made: dict[Label, Label] = Field(default_factory=dict)
    left: dict[Label, Text] = Field(default_factory=dict)


class Rebuilding:
    """Makes a principal's own computed memories anew for the model of *activations* and *parameters*.

    Without one of the two, memories of its kind stay as they are, and the plan says so.
    """

    def __init__(
        self,
        memos: Memories,
        *,
        activations: ActivationCubes | None = None,
        parameters: ParameterCubes | None = None,
    ) -> None:
        self._memos, self._activations, self._parameters = memos, activations, parameters

    def plan(self, *, by: Principal, context: CallContext | None = None, again: bool = False) -> RebuildPlan:
        """What was computed with another model than this one, each with its price; nothing is changed.

        What was learnt for this model before and did not pass its gates stays, with what it lacked; with *again* it is
        to be tried once more.

        Raises:
            ModelError: Neither activations nor parameters were given.
        """
        here = self._here()
        computed = CubeFilter(tiers=frozenset({Tier.ACTIVATION, Tier.PARAMETER}))
        found = self._memos.find(computed, by=by, k=MOST_COMPUTED, counts=False, context=context)
        mine = [cube for cube in found if cube.governance.owner == by.subject and _is_of_another(cube, here)]
        tried = {} if again else _tried(cube for cube in found if not _is_of_another(cube, here))
        priced = (
            Rebuild(**_outline(cube), stays=tried[cube.id]) if cube.id in tried else self._priced(cube, by, context)
            for cube in mine
        )
        return RebuildPlan(model=here.model, rebuilds=tuple(priced))

    def run(
        self,
        plan: RebuildPlan,
        *,
        by: Principal,
        context: CallContext | None = None,
        is_over: Callable[[], bool] = lambda: False,
        progress: Callable[[Rebuild], object] | None = None,
    ) -> Rebuilt:
        """Make what *plan* says, and forget what it replaces; each once the new one is durable.

        Before each, *is_over* is asked, and *progress* told. What was killed half-way goes on with the next plan.
        """
        made, left = dict[str, str](), {each.id: each.stays for each in plan.rebuilds if each.stays}
        for each in plan.due:
            if is_over():
                left[each.id] = "there was no time left"
                continue
            if progress is not None:
                progress(each)
            try:
                new = self._made(each, by, context)
                if _did_not_pass(new):
                    left[each.id] = f"the new one, {new.id}, did not pass its gates: {'; '.join(_failed(new))}"
                    continue
                made[each.id] = new.id
                self._memos.forget(each.id, by=by, context=context)
            except (CubeNotFoundError, AccessDeniedError, InvalidMemoryError, ModelError) as exc:
                left.setdefault(each.id, str(exc))
        return Rebuilt(made=made, left=left)

    def _here(self) -> ModelFingerprint:
        if self._activations is not None:
            return self._activations.memory.model.fingerprint
        if self._parameters is not None:
            return self._parameters.base
        raise ModelError("Say for which model: give activations, parameters, or both.")

    def _priced(self, cube: MemCube, by: Principal, context: CallContext | None) -> Rebuild:
        told = Rebuild(**_outline(cube))
        maker = self._activations if cube.tier is Tier.ACTIVATION else self._parameters
        if maker is None:
            return told.model_copy(update={"stays": f"no store of {cube.tier.value} memory was given"})
        if _training(cube).get("parts"):
            return told.model_copy(update={"stays": "it was composed of two, which are learnt again apart"})
        if _model(cube).adapters or _did_not_pass(cube):
            why = "it did not pass its gates" if cube.tier is Tier.PARAMETER else "it was computed under an adapter"
            return told.model_copy(update={"stays": why})
        if cube.tier is Tier.PARAMETER:
            return self._priced_adapter(cube, told, by, context)
        assert self._activations is not None
        try:
            tokens = self._activations.tokens_of(told.sources, by=by, context=context)
        except (CubeNotFoundError, InvalidMemoryError) as exc:
            return told.model_copy(update={"stays": str(exc)})
        seconds, size = self._activations.memory.price(tokens)
        return told.model_copy(update={"tokens": tokens, "seconds": seconds, "size": size})

    def _priced_adapter(self, cube: MemCube, told: Rebuild, by: Principal, context: CallContext | None) -> Rebuild:
        found = self._memos.get_many(told.sources, by=by, verb=Verb.TRAIN_ON, context=context)
        stays = next((reason for each in found if (reason := may_train(each))), "")
        if not stays and len(found) < len(told.sources):
            stays = "a memory that it was learnt from is gone, or may not be learnt"
        size = sum(blob.size for blob in cube.blobs)
        return told.model_copy(update={"seconds": build_seconds(cube), "size": size, "stays": stays})

    def _made(self, each: Rebuild, by: Principal, context: CallContext | None) -> MemCube:
        if each.tier is Tier.ACTIVATION and self._activations is not None:
            return self._activations.promote(each.sources, by=by, context=context)
        if self._parameters is not None:
            return self._parameters.distil(each.sources, by=by, context=context, replaces=each.id)
        raise ModelError(f"No store of {each.tier.value} memory was given.")


def _model(cube: MemCube) -> ModelFingerprint:
    match cube.payload:
        case ActivationPayload(fingerprint=found) | ParameterPayload(base=found):
            return found
    raise ModelError(f"Cube {cube.id!r} was computed with no model.")


def _is_of_another(cube: MemCube, here: ModelFingerprint) -> bool:
    """Whether it fits another model; the same model under another name is the same."""
    there = _model(cube)
    names = {"weights", "tokenizer", "chat_template", "positions"} | (
        {"dtype"} if cube.tier is Tier.ACTIVATION else set()
    )
    return any(getattr(there, name) != getattr(here, name) for name in names)


def _outline(cube: MemCube) -> dict[str, Any]:
    sources = tuple(ref.id for ref in cube.provenance.derived_from)
    return {"id": cube.id, "tier": cube.tier, "model": _model(cube).model, "sources": sources}


def _tried(cubes: Iterable[MemCube]) -> dict[str, str]:
    """Of adapters that were learnt in the place of others and did not pass: what they lacked, by the other's id."""
    found = ((_training(cube).get("replaces"), cube) for cube in cubes if _did_not_pass(cube))
    return {
        old: f"learnt for this model as {cube.id}, which did not pass its gates: {'; '.join(_failed(cube))}"
        for old, cube in found
        if isinstance(old, str)
    }


def _did_not_pass(cube: MemCube) -> bool:
    """Whether it is an adapter that its gates kept from serving."""
    return bool(_failed(cube))


def _failed(cube: MemCube) -> tuple[str, ...]:
    gates = _training(cube).get("gates")
    return tuple(map(str, gates.get("failed") or ())) if isinstance(gates, Mapping) else ()


def _training(cube: MemCube) -> Mapping[str, Any]:
    said = cube.payload.training if isinstance(cube.payload, ParameterPayload) else None
    return said if isinstance(said, Mapping) else {}
