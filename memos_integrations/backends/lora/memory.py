"""ParameterMemory: memories in an adapter's weights, learnt, tried, served one adapter to a request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Self

from memos_integrations.backends.huggingface import HuggingFaceModel, Token
from memos_integrations.backends.lora.adapter_file import write_adapter
from memos_integrations.backends.lora.answers import greedy
from memos_integrations.backends.lora.composed import How, compose
from memos_integrations.backends.lora.gates import CANDIDATE, Gates, Trial, measure
from memos_integrations.backends.lora.lessons import Ask, Curriculum, lessons_of
from memos_integrations.backends.lora.recipe import Recipe
from memos_integrations.backends.lora.store import Adapter, AdapterStore
from memos_integrations.backends.lora.training import Learnt, Progress, Training
from memos_integrations.core.cube import CubeRef, MemCube
from memos_integrations.core.errors import ModelError
from memos_integrations.core.operator import Recall

Chat = Sequence[Mapping[str, str]]


class ParameterMemory:
    """What a local model remembers in adapters. Shared by threads; one training at a time.

    Args:
        store: Where they are kept, and the model that they serve on.
        recipe, gates: How they are trained, and what they must show before they serve.
        ask: Any chat model, prompt in and answer out, that adds phrasings to those that the rules make.
    """

    def __init__(
        self, store: AdapterStore, *, recipe: Recipe | None = None, gates: Gates | None = None, ask: Ask | None = None
    ) -> None:
        self.store, self.recipe, self.gates, self._ask = store, recipe or Recipe(), gates or Gates(), ask
        self._training = threading.Lock()

    @property
    def model(self) -> HuggingFaceModel:
        """The model that the adapters are for."""
        return self.store.model

    # --- learning -----------------------------------------------------------------------------------------------

    def learn(
        self,
        cubes: Sequence[MemCube],
        *,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Adapter:
        """An adapter that knows what plaintext *cubes* of one tenant say: trained, calibrated, tried and kept.

        It is active on return if it passed its gates (`Adapter.accepted`). What was interrupted goes on where it
        stopped, when the same memories are learnt again by the same recipe. Who may use it is not decided here; see
        `ParameterCubes`.

        Raises:
            InvalidMemoryError: Nothing to teach, or contradicting memories.
            TrainingCancelledError: *cancelled* said so.
            ModelError: The training failed, or the disk is full; no adapter is kept.
        """
        tenants = {cube.tenant for cube in cubes}
        if len(tenants) > 1:
            raise ModelError("Memories of several tenants are never learnt by one adapter.")
        curriculum = lessons_of(cubes, ask=self._ask, seed=self.recipe.seed)
        refs = [cube.ref for cube in cubes]
        with self._training:
            key = Training(self.model, curriculum, self.recipe).key
            folder = self.store.training_folder(key, cubes[0].tenant, refs)
            try:
                training = Training(self.model, curriculum, self.recipe, folder=folder, files=self.store.files)
                learnt = training.run(progress=progress, cancelled=cancelled)
                made = self._tried(learnt, curriculum, refs, cubes[0].tenant)
            except BaseException:
                if self.store.is_gone(refs):  # nobody may go on with this one
                    self.store.end_training(key)
                raise
            self.store.end_training(key)
        if made.accepted:
            self.store.activate(made.name)
        return made

    def _tried(self, learnt: Learnt, curriculum: Curriculum, refs: Sequence[CubeRef], tenant: str) -> Adapter:
        """Write, measure, keep."""
        staged, files = self.store.staging(), self.store.files
        try:
            write_adapter(learnt.student, staged, base=self.model.name, files=files)
            trial = Trial(self.model)
            trial.load(CANDIDATE, staged, files=files)
            neighbours = {}
            for name in self.store.active:
                other = self.store.get(name)
                if other.tenant == tenant and other.probes:
                    trial.load(name, other.folder, files=files)
                    neighbours[name] = (other.probes, other.report.recall_probes)
            report = measure(trial, curriculum, self.gates, neighbours=neighbours)
            return self.store.keep(
                staged, tenant=tenant, sources=refs, report=report, probes=curriculum.probes, training=learnt.record
            )
        except OSError as exc:
            raise ModelError(f"{self.store.folder} cannot hold a new adapter: {exc}. Free some space.") from exc
        finally:
            self.store.discard(staged)

    def compose(
        self, one: str, other: str, *, how: How = "sum", behind: Mapping[str, Curriculum] | None = None
    ) -> Adapter:
        """Two adapters as one, for requests that need both: active if it passed the gates; see `composed.compose`."""
        with self._training:
            return compose(self.store, one, other, gates=self.gates, how=how, behind=behind)

    # --- serving ------------------------------------------------------------------------------------------------

    def adapter_for(self, recall: Recall | None) -> str | None:
        """The one active adapter that knows most of what was recalled, weighed by score; None where none does.

        What it was made from must be the very versions that were recalled.
        """
        if recall is None or not recall.hits:
            return None
        worth: dict[str, float] = {}
        for name in self.store.active:
            found = self.store.get(name)
            worth[name] = sum(hit.score for hit in recall.hits if hit.cube.ref in found.sources)
        # Of two that know as much, the one that knows less besides: a composed one only where both of its parts count.
        fewest = {name: -len(self.store.get(name).sources) for name in worth}
        best = max(worth, key=lambda name: (worth[name], fewest[name], name), default=None)
        return best if best is not None and worth[best] > 0 else None

    def stream(self, messages: Chat, *, adapter: str | None = None, **how: Any) -> Iterator[Token]:
        """The answer to a chat with one adapter, or with none; see `HuggingFaceModel.stream` for the rest."""
        if adapter is not None and adapter not in self.store.active:
            raise ModelError(f"Adapter {adapter!r} does not serve; active are {list(self.store.active)}.")
        return self.model.stream(self.model.render(messages), adapters=(adapter,) if adapter else (), **how)

    def answer_batch(self, chats: Sequence[Chat], *, adapters: Sequence[str | None], max_new_tokens: int) -> list[str]:
        """Greedy answers to several chats in one batch, each with its own adapter (or None).

        Raises:
            ModelError: An adapter that does not serve, or another number of adapters than of chats.
        """
        if len(chats) != len(adapters):
            raise ModelError(f"{len(chats)} chats and {len(adapters)} adapters: name one, or None, for each chat.")
        prompts = [self.model.render(chat) for chat in chats]
        with self.model.lock:
            if unknown := {name for name in adapters if name is not None} - set(self.store.active):
                raise ModelError(f"Adapters {sorted(unknown)} do not serve; active are {list(self.store.active)}.")
            rows = greedy(
                self.model.network,
                prompts,
                max_new_tokens=max_new_tokens,
                ends=self.model._ends,
                adapters=adapters if self.model.adapters else None,
            )
        return [self.model.decode(row) for row in rows]

    # --- the Derivative port ------------------------------------------------------------------------------------

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Retire and erase what was learnt from the cubes; called when they are forgotten or changed."""
        return self.store.drop(cube_ids, now)

    def sources(self) -> set[tuple[str, CubeRef]]:
        """The cubes that something kept was learnt from, each with its tenant."""
        return self.store.sources()

    def close(self) -> None:
        """Take the adapters off the model."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
