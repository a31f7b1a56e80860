"""ActivationMemory: a recall in front of a chat, taken from what is stored of it, computed where nothing is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from memos_integrations.backends.huggingface import HuggingFaceModel, Token, Usage
from memos_integrations.backends.kv.batch import answer_batch
from memos_integrations.backends.kv.layout import Layout, MemoryLine, lay_out, lines_of
from memos_integrations.backends.kv.prefix import StoredPrefix
from memos_integrations.backends.kv.prompt import Chat, MemoryPrompt, counted
from memos_integrations.backends.kv.store import KVStore
from memos_integrations.core.access import Caller
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import ModelError
from memos_integrations.core.operator import Recall
from memos_integrations.core.ports import cooled
from memos_integrations.core.tiers import Placement, Rent, TierCosts, TierDecision, decide_tier

if TYPE_CHECKING:
    from memos_integrations.backends.kv.composition import Composition

T = TypeVar("T")
SETS_KEPT = 1_000
PROBE, PROBED = "What does it cost to read this?", 64


@dataclass(slots=True)
class Use:
    """How often one set of memories, under one head, has been in a prompt; who asked last; as what cube it is kept."""

    layout: Layout
    lines: tuple[MemoryLine, ...]
    heat: float = 0.0
    at: datetime | None = None
    caller: Caller | None = None
    kept: tuple[str, Caller] | None = None


class Keeper(Protocol):
    """Keeps what is hot beyond this store: see `ActivationCubes`."""

    def bring(self, recall: Recall, token_ids: Sequence[int], adapters: Sequence[str]) -> None:
        """Put what is kept of the beginning of these tokens into the store, if the recall names it."""
        ...

    def consider(self, use: Use) -> None:
        """Keep what has become worth keeping; called in the background, after a use."""
        ...

    def answered(self, prompt: MemoryPrompt, usage: Usage, seconds: float) -> None:
        """Note what an answer took; called after its last token."""
        ...


class ActivationMemory:
    """What a local model remembers as keys and values. Shared by threads, chat models and doors.

    Args:
        store: Where they are kept.
        compose: Join memories that were computed apart, where a calibration allows it: approximate, and off by default.
        keep_turns: Keep what a conversation's earlier turns computed, too, so that only the newest turn is new.
        rent: What keeping a byte has to save, for `tend`.
    """

    def __init__(
        self,
        store: KVStore,
        *,
        compose: Composition | None = None,
        keep_turns: bool = False,
        rent: Rent | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.compose = compose
        self.keep_turns = keep_turns
        self.keeper: Keeper | None = None
        self._rent, self._clock = rent or Rent(), clock
        self._sets: OrderedDict[tuple[Any, ...], Use] = OrderedDict()
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="memos-warm")
        self._running: set[Future[Any]] = set()
        self._closed = False

    @property
    def model(self) -> HuggingFaceModel:
        """The model whose keys and values are kept."""
        return self.store.model

    # --- prompts and answers ------------------------------------------------------------------------------------

    def prepare(self, messages: Chat, recall: Recall | None = None, *, adapters: Sequence[str] = ()) -> MemoryPrompt:
        """The prompt of a chat (each message with `role` and `content`) with the memories of *recall*.

        Memories stand at the head of the first human message, as data, in canonical order. What the store has of them
        is taken, the rest is computed and stored. Without memories it is the plain prompt.

        Raises:
            ModelError: No messages, memories of several tenants, or a prompt that is too long.
        """
        lines = lines_of(recall)
        layout = self.layout(messages, lines)
        caller = recall.caller if recall is not None else None
        if not lines:
            return MemoryPrompt(layout.ids, None, 0, 0, caller=caller)
        cubes = tuple(line.ref.id for line in lines)
        if len({line.tenant for line in lines}) > 1:
            raise ModelError("Memories of several tenants never stand in one prompt.")
        tenant, memory = lines[0].tenant, layout.memory
        if len(layout.ids) >= self.model.context_tokens:
            most = self.model.context_tokens
            raise ModelError(f"Memory and messages have {len(layout.ids)} tokens, {self.model.name} reads {most - 1}.")
        use = self._note(layout, lines, recall)
        known = self.store.holds(memory, tenant=tenant, adapters=adapters)
        if self.keeper is not None and recall is not None and known < len(memory):
            self.keeper.bring(recall, memory, adapters)
            known = self.store.holds(memory, tenant=tenant, adapters=adapters)
        if self.compose is not None and known < len(memory) and self.compose.allowed(adapters, memories=len(lines)):
            joined = self.compose.join(layout, lines, adapters=adapters)
            return MemoryPrompt(joined.ids, joined.prefix, len(memory), joined.recomputed, True, tenant, caller, cubes)
        prefix = self.put(layout, lines, adapters)
        if self.keeper is not None and prefix.exact and not adapters and not self._closed:
            self._later(self.keeper.consider, use)
        recomputed = len(memory) - known
        if self.keep_turns:
            longer = self.store.match(layout.ids, tenant=tenant, adapters=adapters)
            prefix = longer if longer is not None and len(longer.token_ids) > len(memory) else prefix
        return MemoryPrompt(layout.ids, prefix, len(memory), recomputed, not prefix.exact, tenant, caller, cubes)

    def stream(
        self, messages: Chat, *, recall: Recall | None = None, adapters: Sequence[str] = (), **how: Any
    ) -> Iterator[Token]:
        """The answer to a chat with the memories of *recall*; see `HuggingFaceModel.stream` for the rest.

        The usage of the last token says which tokens were cached, recomputed and new.
        """
        return self.answer(self.prepare(messages, recall, adapters=adapters), adapters=adapters, **how)

    def answer(self, prompt: MemoryPrompt, *, adapters: Sequence[str] = (), **how: Any) -> Iterator[Token]:
        """The answer to a prompt that `prepare` made, perhaps with more tokens after it."""

        def keep(ids: list[int], cache: Any) -> None:
            assert prompt.tenant is not None
            self.store.put_tail(ids, cache, after=prompt.memory_tokens, tenant=prompt.tenant, adapters=adapters)

        if self.keep_turns and prompt.tenant is not None and not prompt.approximate:
            how["keep"] = keep
        tokens = self.model.stream(prompt.ids, prefix=prompt.prefix, adapters=adapters, **how)
        return self._told(prompt, tokens)

    def _told(self, prompt: MemoryPrompt, tokens: Iterator[Token], seconds: float | None = None) -> Iterator[Token]:
        """The tokens, counted; what the answer took is told, as measured here where *seconds* does not say."""
        started = monotonic()
        for each in tokens:
            token = counted(each, prompt)
            if token.usage is not None and self.keeper is not None:
                took = monotonic() - started if seconds is None else seconds
                self.keeper.answered(prompt, token.usage, took)
            yield token

    def answer_batch(
        self, chats: Sequence[Chat], *, recall: Recall, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> list[list[Token]]:
        """Greedy answers to several chats over the memories of one recall, which are held once for all of them."""
        prompts = [self.prepare(chat, recall) for chat in chats]
        if not prompts or not prompts[0].memory_tokens or prompts[0].prefix is None:
            return answer_batch(self.model, [each.ids for each in prompts], max_new_tokens=max_new_tokens, stop=stop)
        known = list(prompts[0].prefix.token_ids)
        if prompts[0].approximate or any(each.ids[: len(known)] != known for each in prompts):
            return [list(self.answer(each, max_new_tokens=max_new_tokens, stop=stop)) for each in prompts]
        started = monotonic()
        rows = answer_batch(
            self.model, [p.ids for p in prompts], max_new_tokens=max_new_tokens, prefix=prompts[0].prefix, stop=stop
        )
        seconds = (monotonic() - started) / len(prompts)
        return [list(self._told(prompt, iter(row), seconds)) for row, prompt in zip(rows, prompts, strict=True)]

    def warm(self, recall: Recall, messages: Chat = (), *, adapters: Sequence[str] = ()) -> Future[StoredPrefix]:
        """Compute the memories of *recall* in the background, under the system message in *messages* if there is one.

        In pieces, between which running answers get their turn.
        """
        chat = [*(m for m in messages if m["role"] == "system"), {"role": "user", "content": "?"}]
        lines = lines_of(recall)
        if not lines:
            raise ModelError("There is nothing to warm: the recall has no memories.")
        return self._later(self.put, self.layout(chat, lines), lines, adapters)

    # --- tiers --------------------------------------------------------------------------------------------------

    def tend(self) -> list[tuple[tuple[str, ...], TierDecision]]:
        """Decide, for every set of memories seen, where its computed form belongs, and move it there.

        Promotion is computed in the background; demotion happens now. Gives each set's cube ids and the decision.
        """
        decided = []
        for use in self.uses:
            decision = self.decide(use)
            self._move(use, decision.placement)
            decided.append((tuple(line.ref.id for line in use.lines), decision))
        return decided

    def decide(self, use: Use, **known: Any) -> TierDecision:
        """Where the computed form of a set of memories belongs; *known* stands for what was measured (`TierCosts`)."""
        return decide_tier(self._costs(use).model_copy(update=known), self._rent)

    def now(self) -> datetime:
        """What the clock says."""
        return self._clock()

    @property
    def uses(self) -> list[Use]:
        """The sets of memories that were in prompts, the latest last."""
        with self._lock:
            return list(self._sets.values())

    def settle(self) -> None:
        """Wait until what was begun in the background is done; raises what failed there."""
        for future in list(self._running):
            self._running.discard(future)
            future.result()

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Erase what was made from the cubes; called when they are forgotten or changed."""
        gone = set(cube_ids)
        with self._lock:
            for key, use in list(self._sets.items()):
                if gone.intersection(line.ref.id for line in use.lines):
                    del self._sets[key]
        return self.store.drop(gone, now)

    def sources(self) -> set[tuple[str, CubeRef]]:
        """The cubes that something kept was made from, each with its tenant."""
        return self.store.sources()

    def close(self) -> None:
        """Finish what is being warmed, and close the store."""
        self._closed = True
        self._background.shutdown(wait=True)
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def price(self, tokens: int) -> tuple[float, int]:
        """Seconds that computing so many tokens takes here, and bytes that keeping them takes, as measured so far.

        Where nothing was computed yet, a few words that are nobody's are, to have measured something.
        """
        if not self.store.statistics.built_tokens:
            self.store.put((self.model.encode(PROBE) * PROBED)[:PROBED], tenant=PROBE)
        counts = self.store.statistics
        return counts.built_seconds / counts.built_tokens * tokens, self.store.bytes_per_token * tokens

    # --- parts --------------------------------------------------------------------------------------------------

    def layout(self, messages: Chat, lines: Sequence[MemoryLine]) -> Layout:
        """The pieces of the prompt of a chat with memories."""
        return lay_out(messages, lines, render_text=self.model.render_text, encode=self.model.encode)

    def put(self, layout: Layout, lines: Sequence[MemoryLine], adapters: Sequence[str] = ()) -> StoredPrefix:
        """The prefix of a prompt up to its last memory, from the store, completed where it lacks."""
        at = len(layout.head)
        ends = [at]
        for line in layout.lines:
            at += len(line)
            ends.append(at)
        refs = [line.ref for line in lines]
        if taught := self.model.learnt_from(adapters):  # every token was read with what the adapters know
            refs, ends = [*dict.fromkeys([*refs, *taught])], []
        return self.store.put(layout.memory, tenant=lines[0].tenant, sources=refs, ends=ends, adapters=adapters)

    def _later(self, work: Callable[..., T], *what: Any) -> Future[T]:
        if self._closed:
            raise ModelError("This activation memory was closed; open one again.")
        future = self._background.submit(work, *what)
        self._running.add(future)
        future.add_done_callback(lambda done: self._running.discard(done) if done.exception() is None else None)
        return future

    def _note(self, layout: Layout, lines: tuple[MemoryLine, ...], recall: Recall | None) -> Use:
        now = self._clock()
        key = (lines[0].tenant, layout.head, layout.lines)
        with self._lock:
            use = self._sets.setdefault(key, Use(layout, lines))
            use.heat, use.at = cooled(use.heat, use.at, now) + 1.0, now
            use.caller = recall.caller if recall is not None else None
            self._sets.move_to_end(key)
            while len(self._sets) > SETS_KEPT:
                self._sets.popitem(last=False)
        return use

    def _costs(self, use: Use) -> TierCosts:
        counts = self.store.statistics
        tokens = len(use.layout.memory)
        per_token = counts.built_seconds / counts.built_tokens if counts.built_tokens else 0.0
        size = tokens * self.store.bytes_per_token
        build = per_token * tokens
        # Until a load was timed, and where there is no disk, loading counts as building.
        load = counts.load_seconds / counts.loaded_bytes * size if counts.loaded_bytes else build
        known = self.store.holds(use.layout.memory, tenant=use.lines[0].tenant)
        return TierCosts(
            build_seconds=build,
            load_seconds=min(load, build),
            expected_uses=cooled(use.heat, use.at, self._clock()),
            size=size,
            changes=sum(line.ref.version - 1 for line in use.lines) / max(len(use.lines), 1),
            built=known == tokens,
        )

    def _move(self, use: Use, placement: Placement) -> None:
        tenant, memory = use.lines[0].tenant, use.layout.memory
        built = self.store.holds(memory, tenant=tenant) == len(memory)
        if placement is Placement.MEMORY:
            if not built:
                self._later(self.put, use.layout, use.lines)
        elif built:
            self.store.demote(memory, tenant=tenant, away=placement is Placement.TEXT)
