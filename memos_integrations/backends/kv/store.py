"""KVStore: the computed beginnings of prompts, kept in memory and on disk within budgets, per tenant. Needs `hf`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv.fingerprint import check_family, fingerprint_of, path_key, root_key
from memos_integrations.backends.kv.prefix import KVStatistics, StoredPrefix
from memos_integrations.backends.kv.shelf import Shelf
from memos_integrations.backends.kv.transfer import difference
from memos_integrations.backends.kv.tree import walk
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import ModelError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import KeyProvider, least_allowed

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

    from memos_integrations.backends.kv.layers import Part

CHUNK = 512
"""Tokens of one forward pass while a prefix is built: between two passes others get their turn."""


class KVStore:
    """A radix tree of prefixes of one model: what prompts have in common is computed and kept once.

    Args:
        model: The model. It is taught to attend shared prefixes without copies, if it can.
        memory_bytes, disk_bytes: What may be kept. The least saved time per byte goes first: from memory to *folder*,
            from there for good. 0 keeps nothing.
        folder: Where to; None: what does not fit into memory is dropped. A store opened again finds what is there.
        cold: The precision of what is pushed out of memory. "exact" is exact; "fp16" (half) and "int8" (a quarter) are
            opt-in approximations.
        secret: Authenticates the files and salts the keys; the default is kept in the folder, readable by its owner.
        keys: Encrypt the folder: give those of the vault. Files of before go, and are computed anew. Loading takes a
            copy in memory then, where it maps the file else.

    Thread-safe. Prefixes of different tenants never meet: their keys are salted with the tenant.

    Raises:
        ModelError: No prefix of such a model can be exact (hybrid, linear attention), or a setting has no sense.
        VaultKeyError: The folder is encrypted, and *keys* are none or not its own.
    """

    def __init__(
        self,
        model: HuggingFaceModel,
        *,
        memory_bytes: int = 512 << 20,
        folder: str | Path | None = None,
        disk_bytes: int = 4 << 30,
        cold: Literal["exact", "fp16", "int8"] = "exact",
        secret: bytes | None = None,
        keys: KeyProvider | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        require("torch", extra="hf")
        check_family(model.network)
        if memory_bytes < 0 or disk_bytes < 0 or cold not in {"exact", "fp16", "int8"}:
            raise ModelError(f"memory_bytes={memory_bytes}, disk_bytes={disk_bytes}, cold={cold!r}: not a budget.")
        from memos_integrations.backends.kv import shared_prefix

        self.model = model
        with model.lock:
            self._shares = shared_prefix.install(model.network)
        place = Path(folder) if folder is not None else None
        self._shelf = Shelf(memory_bytes, disk_bytes, place, cold=cold, secret=secret, clock=clock, keys=keys)
        self._clock = clock
        self._lock = threading.RLock()
        self._building = threading.Lock()
        self._counts, self._closed = KVStatistics(), False
        self._gone: dict[str, float] = {}

    # --- storing and finding ------------------------------------------------------------------------------------

    def put(
        self,
        token_ids: Sequence[int],
        *,
        tenant: str,
        sources: Collection[CubeRef] = (),
        ends: Sequence[int] = (),
        adapters: Sequence[str] = (),
    ) -> StoredPrefix:
        """The prefix of exactly these tokens, from what is stored, the rest computed and stored.

        *sources* are the cubes whose words are in the tokens: when one is dropped, so is the prefix. With *ends*, each
        source's words end at its number of tokens; one more, in front, is where they begin, and what is before stays. A
        prefix that the budgets do not hold is given all the same, and forgotten.

        Raises:
            ModelError: No tokens, more than the model reads, or a failure of torch.
        """
        ids = self._checked(token_ids)
        root = self._root(tenant, adapters)
        with self._building:
            found = self._find(root, ids)
            if found is not None and len(found.token_ids) == len(ids):
                self._count(hits=1, hit_tokens=len(ids), saved_seconds=found.seconds)
                return found
            started = time.perf_counter()
            parts = self._compute(ids, found, tuple(adapters))
            seconds = time.perf_counter() - started
            known, saved = (0, 0.0) if found is None else (len(found.token_ids), found.seconds)
            built = {"built_tokens": len(ids) - known, "built_seconds": seconds}
            self._count(misses=1, hit_tokens=known, saved_seconds=saved, **built)
            layers = [(part,) if found is None else (*found.layers[n], part) for n, part in enumerate(parts)]
            exact = found is None or found.exact
            with self._lock:
                self._add(root, ids, known, parts, sources=sources, ends=ends, seconds=seconds)
            return StoredPrefix(tuple(ids), path_key(root, ids), exact, seconds + saved, tuple(layers), self._shares)

    def match(self, token_ids: Sequence[int], *, tenant: str, adapters: Sequence[str] = ()) -> StoredPrefix | None:
        """The longest stored beginning of a prompt, at most all but its last token; None when there is none."""
        ids = self._checked(token_ids)[:-1]
        found = self._find(self._root(tenant, adapters), ids) if ids else None
        hit = (
            {"hits": 1, "hit_tokens": len(found.token_ids), "saved_seconds": found.seconds} if found else {"misses": 1}
        )
        self._count(**hit)
        return found

    def holds(self, token_ids: Sequence[int], *, tenant: str, adapters: Sequence[str] = ()) -> int:
        """How many tokens of the beginning are stored, in memory or on disk; not counted as a use."""
        with self._lock:
            return walk(self._shelf.tree(self._root(tenant, adapters)), list(token_ids))[2]

    def put_parts(
        self,
        token_ids: Sequence[int],
        parts: Sequence[Part],
        *,
        tenant: str,
        sources: Collection[CubeRef] = (),
        ends: Sequence[int] = (),
        adapters: Sequence[str] = (),
        seconds: float = 0.0,
    ) -> None:
        """Store a whole prefix that was computed elsewhere (an activation cube) and checked to be this model's."""
        ids = self._checked(token_ids)
        root = self._root(tenant, adapters)
        with self._building, self._lock:
            self._add(root, ids, 0, parts, sources=sources, ends=ends, seconds=seconds)

    def put_tail(
        self, token_ids: Sequence[int], cache: DynamicCache, *, after: int, tenant: str, adapters: Sequence[str] = ()
    ) -> None:
        """Store what an answer's cache holds beyond *after* tokens, if those are stored: it goes with them."""
        from memos_integrations.backends.kv.layers import SharedLayer, length_of, parts_of

        ids = self._checked(token_ids)
        first = cache.layers[0]
        known = length_of(first.parts) if isinstance(first, SharedLayer) else after
        root = self._root(tenant, adapters)
        parts = parts_of(cache, known, len(ids))
        with self._building, self._lock:
            if self.holds(ids[:known], tenant=tenant, adapters=adapters) == known:
                self._add(root, ids, known, parts)

    def prefix_of(
        self, token_ids: Sequence[int], parts: Sequence[Part], *, tenant: str, adapters: Sequence[str] = ()
    ) -> StoredPrefix:
        """A prefix around keys and values that `transfer.undump` gave, whether the budgets hold it or not."""
        ids = tuple(token_ids)
        layers = tuple((part,) for part in parts)
        return StoredPrefix(ids, self.key(ids, tenant=tenant, adapters=adapters), True, 0.0, layers, self._shares)

    def key(self, token_ids: Sequence[int], *, tenant: str, adapters: Sequence[str] = ()) -> str:
        """The key of a prefix: of model, tokenizer, template, dtype, adapters, positions, tenant, tokens; salted."""
        return path_key(self._root(tenant, adapters), list(token_ids))

    # --- keeping ------------------------------------------------------------------------------------------------

    def pin(self, prefix: StoredPrefix, *, tenant: str, adapters: Sequence[str] = (), pinned: bool = True) -> None:
        """Keep a prefix, and what it begins with, in memory whatever else comes; or no longer."""
        with self._lock:
            node, same, done = walk(self._shelf.tree(self._root(tenant, adapters)), prefix.token_ids)
            if done != len(prefix.token_ids) or same != len(node.tokens):
                raise ModelError(f"{prefix!r} is not stored any more; put it again before you pin it.")
            node.pins = max(0, node.pins + (1 if pinned else -1))
            self._shelf.fit()

    def demote(
        self,
        prefix: StoredPrefix | Sequence[int],
        *,
        tenant: str,
        adapters: Sequence[str] = (),
        away: bool = False,
    ) -> None:
        """Take a prefix out of memory: to disk where there is a folder, else (or if *away*) for good. Pins are kept.

        Raises:
            ModelError: The disk is full or cannot be written; then it stays in memory.
        """
        with self._lock:
            ids = prefix.token_ids if isinstance(prefix, StoredPrefix) else prefix
            node = walk(self._shelf.tree(self._root(tenant, adapters)), ids)[0]
            self._shelf.demote(node, away=away)

    @property
    def bytes_per_token(self) -> int:
        """What one token takes in memory; 0 while nothing was stored."""
        with self._lock:
            return self._shelf.bytes_per_token

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Erase every prefix that was made from one of the cubes, in memory and on disk; how many runs of tokens.

        They are not stored again while this store is open, save from the versions *now* on.
        """
        with self._building, self._lock:
            self._gone |= least_allowed(cube_ids, now, self._gone)
            return self._shelf.drop(set(cube_ids))

    def sources(self) -> set[tuple[str, CubeRef]]:
        """The cubes that something stored was made from, each with its tenant."""
        with self._lock:
            return self._shelf.sources()

    def verify(self, prefix: StoredPrefix, *, adapters: Sequence[str] = ()) -> float:
        """The largest difference that the prefix makes to the next token's logits, against computing it anew.

        Float32 gives at most 1e-4 where the prefix is exact. Costs a full prefill.
        """
        return difference(self.model, prefix, tuple(adapters))

    @property
    def statistics(self) -> KVStatistics:
        """Counts since the store was opened, and what it holds now."""
        with self._lock:
            shelf = self._shelf
            return replace(
                self._counts,
                loads=shelf.loads,
                load_seconds=shelf.load_seconds,
                loaded_bytes=shelf.loaded_bytes,
                spills=shelf.spills,
                evictions=shelf.evictions,
                refused_files=shelf.refused_files,
                failed_spills=shelf.failed_spills,
                memory_bytes=shelf.memory,
                disk_bytes=shelf.disk,
                prefixes=shelf.count(),
            )

    def close(self) -> None:
        """Write what is in memory to the folder, as far as the budget goes, and let go of everything."""
        with self._building, self._lock:
            if not self._closed:
                self._closed = True
                self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- parts --------------------------------------------------------------------------------------------------

    def _checked(self, token_ids: Sequence[int]) -> list[int]:
        ids = list(token_ids)
        most = self.model.context_tokens
        if not 1 <= len(ids) <= most:
            raise ModelError(f"A prefix has 1 to {most} tokens for {self.model.name}, not {len(ids)}.")
        size = int(self.model.network.config.get_text_config(decoder=True).vocab_size)
        if not 0 <= min(ids) <= max(ids) < size:
            raise ModelError(f"A prefix holds token ids that {self.model.name} does not have (it has {size}).")
        return ids

    def _add(
        self,
        root: bytes,
        ids: list[int],
        known: int,
        parts: Sequence[Part],
        *,
        sources: Collection[CubeRef] = (),
        ends: Sequence[int] = (),
        seconds: float = 0.0,
    ) -> None:
        """Shelve what was computed, in one run, or in one per source."""
        if self._closed or any(ref.version < self._gone.get(ref.id, 0) for ref in sources):
            return
        runs: list[tuple[int, frozenset[CubeRef]]] = []
        if ends:
            before = [(end, frozenset[CubeRef]()) for end in ends[: len(ends) - len(sources)]]
            runs = [*before, *((end, frozenset({ref})) for end, ref in zip(ends[len(before) :], sources, strict=True))]
        if not runs or runs[-1][0] < len(ids):
            runs.append((len(ids), frozenset(() if runs else sources)))
        for end, refs in runs:
            self._shelf.add(root, ids[:end], known, parts, sources=refs, seconds=seconds)

    def _root(self, tenant: str, adapters: Sequence[str]) -> bytes:
        if not tenant:
            raise ModelError("Whose prefix is it? Give the tenant; prefixes of different tenants are kept apart.")
        root = root_key(fingerprint_of(self.model, adapters), tenant, self._shelf.secret)
        self._shelf.tenants[root] = tenant
        return root

    def _find(self, root: bytes, ids: list[int]) -> StoredPrefix | None:
        with self._lock:
            done, nodes = self._shelf.fetch(root, ids)
            if not done:
                return None
            dtype: torch.dtype = self.model.network.dtype
            seconds, left, exact = 0.0, done, True
            columns: list[tuple[Any, ...]] = []
            for node, segment in nodes:
                seconds += node.seconds * min(1.0, left / len(node.tokens))
                exact = exact and segment.precision.value == "exact"
                columns.append(segment.parts(dtype))
                left -= len(node.tokens)
        if left < 0:  # the last run goes on where the prompt does not
            from memos_integrations.backends.kv.layers import cut

            last = len(nodes[-1][0].tokens) + left
            columns[-1] = tuple(cut([part], last)[0] for part in columns[-1])
        layers = tuple(zip(*columns, strict=True))
        return StoredPrefix(tuple(ids[:done]), path_key(root, ids[:done]), exact, seconds, layers, self._shares)

    def _compute(self, ids: list[int], found: StoredPrefix | None, adapters: tuple[str, ...]) -> list[Part]:
        """Keys and values of the tokens that *found* does not cover."""
        from transformers import DynamicCache

        from memos_integrations.backends.kv.layers import parts_of

        # Without the configuration no layer forgets what has left its window: the mask hides it as well.
        cache = DynamicCache() if found is None else found.fork()
        known = 0 if found is None else len(found.token_ids)
        for start in range(known, len(ids), CHUNK):
            self.model._forward(ids[start : start + CHUNK], cache, adapters)
        return parts_of(cache, known, len(ids))

    def _count(self, **more: Any) -> None:
        with self._lock:
            self._counts = replace(self._counts, **{k: getattr(self._counts, k) + v for k, v in more.items()})
