"""Parameter cubes: adapters kept in the vault under governance, and taken back from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import count
from statistics import fmean
from typing import Any

from memos_integrations.backends.lora.adapter_file import CONFIG, WEIGHTS
from memos_integrations.backends.lora.composed import How
from memos_integrations.backends.lora.files import Files
from memos_integrations.backends.lora.gates import GateReport
from memos_integrations.backends.lora.groups import check_one_group, check_readers
from memos_integrations.backends.lora.lessons import lessons_of
from memos_integrations.backends.lora.memories import Memories
from memos_integrations.backends.lora.memory import Chat, ParameterMemory
from memos_integrations.backends.lora.store import COMPOSED, Adapter
from memos_integrations.backends.lora.student import parameters_of
from memos_integrations.backends.lora.training import Progress
from memos_integrations.backends.pace import Pace
from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.costs import FormCosts, may_train
from memos_integrations.core.cube import MemCube, ModelFingerprint, ParameterPayload, Tier
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.operator import Hit, Recall, render
from memos_integrations.core.operator.tiering import Measured
from memos_integrations.core.ports import RECALLABLE

PARTS = "parts"
"""What a composed cube tells: the ids of the two that it was composed of."""
LESSON_TOKENS = 24
"""What a question and the marks of a chat add to a statement, before a training was measured."""


class ParameterCubes:
    """Distils memories into parameter cubes of a MemOS, and loads these into a `ParameterMemory`.

    The cubes obey governance: readers are those who may read every source; the cube, the adapter and its files are
    erased with the first source that is forgotten or changed. From its construction on, so is what the memory holds.
    What is left of the sources is learnt again by `MemOS.tick`, where it is given seconds for that; given a `Tiering`,
    it teaches what is worth it, and lets go of what is not.

    Memories stand in the prompt as text, too, unless *spare_text*: then what an adapter knows is left out of the prompt
    that it answers, which is what saves time; its answers are what it has learnt, and cannot be quoted.
    """

    def __init__(self, memos: Memories, memory: ParameterMemory, *, spare_text: bool = False) -> None:
        self._memos, self.memory, self.spare_text = memos, memory, spare_text
        self._pace = Pace(memory.model)
        self.refused: dict[str, str] = {}
        """Cubes whose adapters a recall asked for and that could not be loaded, with the reason; text stands in."""
        memos.attach(memory, learner=self, former=self)

    def distil(
        self,
        cube_ids: Sequence[str],
        *,
        by: Principal,
        context: CallContext | None = None,
        readers: Sequence[str] | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        replaces: str | None = None,
        reason: str | None = None,
    ) -> MemCube:
        """The parameter cube of memories that belong to one erasure group (see `erasure_groups`).

        An adapter that fails its gates is kept as a cube, too, with the report; it never serves. *readers* says for
        whom it is meant: a source with a narrower audience is refused. *replaces* is the id of a cube that does not
        stand any more, for the record; *reason* is kept as the cube's trigger.

        Raises:
            CubeNotFoundError: *by* may not train on one of them, or it is not there.
            InvalidMemoryError: One must not be trained on (it expires, is on hold, sensitive, out of recall, …), they
                contradict each other, or there is nothing to teach.
            AccessDeniedError: They are of several erasure groups, or one has fewer readers than asked for.
            TrainingCancelledError: *cancelled* said so; the same call goes on where it stopped.
        """
        wanted = list(dict.fromkeys(cube_ids))
        sources = self._sources(wanted, by, context)
        check_one_group(sources)
        for cube in sources:
            check_readers(cube, readers)
        made = self.memory.learn(sources, progress=progress, cancelled=cancelled)
        more = {"replaces": replaces} if replaces else {}
        return self._kept(made, sources, more, by=by, context=context, replaces=replaces, trigger=reason)

    def compose(
        self, one: str, other: str, *, by: Principal, context: CallContext | None = None, how: How = "sum"
    ) -> MemCube:
        """The parameter cube of two others as one, for requests that need what both know; see `composed.compose`.

        It is derived from the memories behind both: readable by whoever may read all of them, gone with the first that
        goes, and not used any more when one of the two cubes is. A plan names it like any other, and a recall that
        found memories of both is answered with it; where it fails its gates, with one of the two as before.

        Raises:
            CubeNotFoundError: *by* may not use one of the two, or not train on a memory behind them.
            InvalidMemoryError: The memories contradict each other, or one must not be trained on any more.
            ModelError: They are one and the same, did not pass their gates, or do not fit together.
        """
        parts = [self.load(each, by=by, context=context) for each in (one, other)]
        sources = self._sources(sorted({ref.id for part in parts for ref in part.sources}), by, context)
        lessons_of(sources)  # together they must not contradict each other either
        behind = {part.name: lessons_of([cube for cube in sources if cube.ref in part.sources]) for part in parts}
        made = self.memory.compose(parts[0].name, parts[1].name, how=how, behind=behind)
        return self._kept(made, sources, {PARTS: [one, other]}, by=by, context=context)

    def _kept(self, made: Adapter, sources: Sequence[MemCube], more: dict[str, Any], **how: Any) -> MemCube:
        """The cube of an adapter, which goes again if the vault does not take it."""
        store = self.memory.store
        try:
            content, said = store.files.get(made.folder / WEIGHTS), _said(made, store.files) | more
            return self._memos.keep_parameter(content, sources, base=made.base, training=said, **how)
        except BaseException:  # what the vault does not hold is not served either
            store.retire(made.name, erase=True)
            raise

    @property
    def base(self) -> ModelFingerprint:
        """The model that is taught."""
        return self.memory.model.fingerprint

    def learn_again(
        self,
        cube_ids: Sequence[str],
        *,
        replaces: str,
        is_over: Callable[[], bool],
        by: Principal,
        context: CallContext | None,
    ) -> MemCube:
        """See `Learner`; what is left of an adapter's sources is `distil`led again."""
        asked = count()
        return self.distil(
            cube_ids, by=by, context=context, replaces=replaces, cancelled=lambda: next(asked) > 0 and is_over()
        )

    # --- the Former port ----------------------------------------------------------------------------------------

    @property
    def form(self) -> Tier:
        """Parameter memory."""
        return Tier.PARAMETER

    def costs(self, sources: Sequence[MemCube]) -> Measured:
        """What reading these memories takes, and an adapter of them: as those that were trained before, or estimated.

        A training step reads its lessons and goes back through them: three times as long as reading. Where memories
        stand in the prompt as text all the same, an adapter saves nothing.
        """
        recipe, kept = self.memory.recipe, [each for each in self.memory.store if COMPOSED not in each.training]
        encode = self.memory.model.encode
        read = sum(len(encode(f"{render(Hit(cube=cube, score=0.0))}\n")) for cube in sources)
        reading = read * self._pace.per_token
        lesson = sum(len(encode(cube.text)) for cube in sources) / len(sources) + LESSON_TOKENS
        steps = 3 * self._pace.per_token * recipe.steps * (recipe.lessons + recipe.questions) * lesson
        seconds = [float(each.training.get("training", each.training).get("cpu_s", steps)) for each in kept]
        network = self.memory.model.network
        sizes = [each.size for each in kept] or [
            2 * parameters_of(network, recipe.rank, recipe.targets, recipe.layers)  # fp16
        ]
        form = FormCosts(
            use_seconds=min(self._pace.to_adapter, reading) if self.spare_text else reading,
            build_seconds=fmean(seconds or [steps]),
            size=round(fmean(sizes)),
        )
        return Measured(reading, form)

    def refusal(self, sources: Sequence[MemCube]) -> str | None:
        """Why these memories cannot be learnt by one adapter."""
        try:
            check_one_group(sources)
            lessons_of(sources)
        except (AccessDeniedError, InvalidMemoryError) as exc:
            return str(exc)
        return None

    def make(
        self,
        cube_ids: Sequence[str],
        *,
        reason: str,
        is_over: Callable[[], bool],
        by: Principal,
        context: CallContext | None,
    ) -> MemCube:
        """See `Former`; a training that is broken off goes on where it stopped."""
        return self.distil(cube_ids, by=by, context=context, cancelled=is_over, reason=reason)

    def let_go(self, cube: MemCube) -> None:
        """Retire the adapter of a cube, and erase its files."""
        for each in self.memory.store:
            if _is(each, cube):
                self.memory.store.retire(each.name, erase=True)

    # --- serving ------------------------------------------------------------------------------------------------

    def unsaid(self, recall: Recall, adapter: str) -> Recall:
        """The recall without the memories that an adapter knows, where it spares their text; else as it is."""
        if not self.spare_text:
            return recall
        known = self.memory.store.get(adapter).sources
        texts = recall.text.split("\n")
        whole = len(texts) == len(recall.hits)
        left = [n for n, hit in enumerate(recall.hits) if hit.cube.ref not in known]
        text = "\n".join(texts[n] for n in left) if whole else ""
        return recall.model_copy(update={"hits": tuple(recall.hits[n] for n in left), "text": text})

    def load(self, cube: MemCube | str, *, by: Principal, context: CallContext | None = None) -> Adapter:
        """The adapter of a parameter cube that *by* may read, checked, and active on the model.

        Raises:
            CubeNotFoundError: It, or a cube that it was composed of, is not there for *by*, or a source of it changed.
            ModelError: It did not pass its gates, is of another base model, or is not whole.
        """
        found = self._found(cube if isinstance(cube, str) else cube.id, by, context)
        payload = found.payload
        if not isinstance(payload, ParameterPayload):
            raise InvalidMemoryError(f"Cube {found.id!r} is {found.tier} memory, not parameter memory.")
        store = self.memory.store
        store.check_base(payload.base, found.id)
        known = [each for each in store if _is(each, found)]
        name = known[0].name if known else self._taken(found, payload, by, context).name
        return store.activate(name)

    def adapter_of(self, cube: MemCube, *, by: Principal, context: CallContext | None = None) -> str | None:
        """The name of a cube's adapter, if it is active and *by* may still use it; asked before each request."""
        try:
            found = self._found(cube.id, by, context)
        except CubeNotFoundError:
            return None
        names = [each.name for each in self.memory.store if _is(each, found)]
        active = [name for name in names if name in self.memory.store.active]
        return active[0] if active else None

    def adapter_for(self, recall: Recall | None) -> str | None:
        """The name of the one adapter that a recall is answered with, loaded if need be; None where none fits.

        Of the cubes that the recall names (`Recall.adapters`), that of this base model, if whoever asked may still use
        it. The memories stand in the prompt as text, whether it can be loaded or not.
        """
        if recall is None or recall.caller is None or not recall.adapters:
            return None
        by, context = recall.caller.by, recall.caller.context
        for cube in self._memos.get_many(recall.adapters, by=by, verb=Verb.USE_IN_PROMPT, context=context):
            try:
                return self.load(cube, by=by, context=context).name
            except (CubeNotFoundError, ModelError) as exc:
                self.refused[cube.id] = str(exc)
        return None

    def answer_batch(
        self, chats: Sequence[Chat], *, recalls: Sequence[Recall | None], max_new_tokens: int
    ) -> list[str]:
        """Greedy answers to several chats in one batch, each with the adapter that its own recall is answered with.

        Raises:
            ModelError: Another number of recalls than of chats, or an adapter went with its source meanwhile.
        """
        if len(chats) != len(recalls):
            raise ModelError(f"{len(chats)} chats and {len(recalls)} recalls: give one, or None, for each chat.")
        adapters = [self.adapter_for(recall) for recall in recalls]
        return self.memory.answer_batch(chats, adapters=adapters, max_new_tokens=max_new_tokens)

    def _taken(self, cube: MemCube, payload: ParameterPayload, by: Principal, context: CallContext | None) -> Adapter:
        """The adapter out of the vault's blob, which is checked against its digest there."""
        said = payload.training if isinstance(payload.training, dict) else {}
        store = self.memory.store
        staged = store.staging()
        try:
            with self._memos.read_blob(cube.id, by=by, context=context) as blob:
                store.files.put(staged / WEIGHTS, blob.read())
            store.files.put(staged / CONFIG, json.dumps(said["adapter_config"]).encode())
            report = GateReport.model_validate(said["gates"])
            return store.keep(
                staged,
                tenant=cube.tenant,
                sources=cube.provenance.derived_from,
                report=report,
                training=said.get("training"),
                base=payload.base,
            )
        except (KeyError, ValueError, OSError) as exc:
            raise ModelError(f"Cube {cube.id!r} holds no adapter that can be used: {exc}.") from exc
        finally:
            store.discard(staged)

    def _sources(self, wanted: list[str], by: Principal, context: CallContext | None) -> list[MemCube]:
        seen = self._memos.get_many(wanted, by=by, verb=Verb.READ, context=context)
        for cube in seen:
            if reason := may_train(cube):
                raise InvalidMemoryError(f"Cube {cube.id!r} is never trained on: {reason}.")
        found = self._memos.get_many(wanted, by=by, verb=Verb.TRAIN_ON, context=context)
        if missing := set(wanted) - {cube.id for cube in found}:
            raise CubeNotFoundError(min(missing))
        if not found:
            raise InvalidMemoryError("There is nothing to teach: name at least one memory.")
        holding = self._memos.get_many(wanted, by=by, verb=Verb.TRAIN_ON, context=context, holding=True)
        recalled = {cube.id for cube in holding if cube.state in RECALLABLE}
        if past := [cube.id for cube in found if cube.id not in recalled]:
            raise InvalidMemoryError(f"Cube {past[0]!r} is not trained on: it is out of recall, or holds no longer.")
        return found

    def _found(self, cube_id: str, by: Principal, context: CallContext | None) -> MemCube:
        """A cube that *by* may use, and, where it was composed, the cubes that it was composed of, too."""
        found = self._memos.get_many([cube_id], by=by, verb=Verb.USE_IN_PROMPT, context=context)
        parts = _parts(found[0]) if found else [cube_id]
        if len(self._memos.get_many(parts, by=by, verb=Verb.USE_IN_PROMPT, context=context)) < len(parts):
            raise CubeNotFoundError(cube_id)
        return found[0]


def _is(adapter: Adapter, cube: MemCube) -> bool:
    """Whether an adapter is the one of a cube: the same weights, for the same tenant, of the same sources."""
    held = cube.payload.adapter.digest if isinstance(cube.payload, ParameterPayload) else ""
    mine = adapter.sources == frozenset(cube.provenance.derived_from)
    return mine and adapter.digest == held and adapter.tenant == cube.tenant


def _parts(cube: MemCube) -> list[str]:
    """The ids of the cubes that the adapter of a cube was composed of; none where it was trained."""
    said = cube.payload.training if isinstance(cube.payload, ParameterPayload) else None
    return [str(each) for each in said.get(PARTS, ())] if isinstance(said, dict) else []


def _said(made: Adapter, files: Files) -> dict[str, Any]:
    """What the cube tells of its adapter: plain JSON, without a word of the memories."""
    return {
        "adapter": made.name,
        "gates": made.report.model_dump(mode="json"),
        "training": made.training,
        "adapter_config": json.loads(files.get(made.folder / CONFIG)),
    }
