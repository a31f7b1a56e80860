"""Where stored prefixes stand: trees, memory, files, and what has to leave when there is no room. Imports torch."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memos_integrations.backends.kv.tree import Node, walk
from memos_integrations.backends.sealed_files import FolderSeal, folder_seal, kept_secret
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import ModelError
from memos_integrations.core.ports import KeyProvider

if TYPE_CHECKING:
    from memos_integrations.backends.kv.layers import Part
    from memos_integrations.backends.kv.tiers import Segment

    Run = Node[Segment]

KEY_FILE = "key"
SUFFIX = ".safetensors"


class Shelf:
    """Radix trees under their roots, and two budgets. The store's lock is held during every call."""

    def __init__(
        self,
        memory: int,
        disk: int,
        folder: Path | None,
        *,
        cold: str,
        secret: bytes | None,
        clock: Callable[[], float],
        keys: KeyProvider | None = None,
    ) -> None:
        self._memory_most, self._disk_most, self._folder, self._cold, self._clock = memory, disk, folder, cold, clock
        self._trees: dict[bytes, Run] = {}
        self.tenants: dict[bytes, str] = {}
        self.memory = self.disk = self.loads = self.spills = self.evictions = 0
        self.refused_files = self.failed_spills = self.loaded_bytes = self.bytes_per_token = 0
        self.load_seconds = 0.0
        self.secret = secret or secrets.token_bytes(32)
        self._seal: FolderSeal | None = None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._seal = folder_seal(folder, keys)
                self.secret = secret or (self._seal.key if self._seal else kept_secret(folder / KEY_FILE))
            except OSError as exc:
                raise ModelError(f"{folder} cannot hold stored prefixes: {exc}. Name another folder.") from exc
            self._adopt(folder)

    def tree(self, root: bytes) -> Run:
        """The tree under a root, empty at first."""
        return self._trees.setdefault(root, Node((), None))

    def fetch(self, root: bytes, ids: Sequence[int]) -> tuple[int, list[tuple[Run, Segment]]]:
        """How many tokens of the beginning are there, and the runs that hold them; a file that fails is gone."""
        node, _, done = walk(self.tree(root), ids)
        found: list[tuple[Run, Segment]] = []
        reached = 0
        for each in node.path():
            segment = self._loaded(each)
            if segment is None:
                self._erase(each, pinned=True)
                break
            each.use(self._clock())
            found.append((each, segment))
            reached += len(each.tokens)
        self.fit()
        return min(done, reached), found

    def add(
        self,
        root: bytes,
        ids: Sequence[int],
        known: int,
        parts: Sequence[Part],
        *,
        sources: frozenset[CubeRef],
        seconds: float,
    ) -> None:
        """Store a run after the first *known* tokens, of whose *parts* all took *seconds*; what is there is kept."""
        from memos_integrations.backends.kv.tiers import exact

        node, same, done = walk(self.tree(root), ids)
        if done < known:  # what it builds on was evicted meanwhile: without it, this could not be reached
            return
        if done >= len(ids):
            node.sources |= sources
            return
        if node.parent is not None and same < len(node.tokens):
            lower = self._split(node, same)
            if lower is None:
                return
            node = lower
        segment = exact(parts)
        total = segment.tokens
        if done > known or len(ids) - known < total:
            segment = segment.between(done - known, len(ids) - known)
        run: Run = Node(tuple(ids[done:]), node, segment=segment, size=segment.size, sources=sources | node.sources)
        run.seconds = seconds * len(run.tokens) / total
        run.used_at = self._clock()
        node.children[run.tokens[0]] = run
        self.memory += run.size
        self.bytes_per_token = run.size // len(run.tokens)
        self.fit()

    def fit(self) -> None:
        """Let go of what is worth least until both budgets hold."""
        while self.memory > self._memory_most:
            held = [node for node in self._runs() if node.segment is not None and not node.kept()]
            if not held:
                return
            least = min(held, key=lambda node: node.worth(self._clock()))
            if not self._spill(least, forced=False):
                self._erase(least)
        while self.disk > self._disk_most:
            filed = [node for node in self._runs() if node.file is not None and not node.kept()]
            if not filed:
                return
            self._erase(min(filed, key=lambda node: node.worth(self._clock())))

    def demote(self, node: Run, *, away: bool = False) -> None:
        """A run, and what it begins with, out of memory: to disk or away.

        Raises:
            ModelError: The disk refused it.
        """
        for each in reversed(node.path()):
            if each.kept() or (each.segment is None and not away):
                continue
            if self._folder is None or away:
                if not each.children:  # what others go on from stays
                    self._erase(each)
            elif not self._spill(each, forced=True):
                raise ModelError(f"{self._folder} is full or cannot be written; the prefix stays in memory.")
        self.fit()

    def drop(self, cubes: set[str]) -> int:
        """Erase the runs made from one of the cubes, and all that comes after them."""
        doomed = [node for node in self._runs() if cubes.intersection(ref.id for ref in node.sources)]
        return sum(self._erase(node, pinned=True) for node in doomed if node.parent is not None)

    def sources(self) -> set[tuple[str, CubeRef]]:
        """What the runs were made from, with its tenant."""
        return {
            (self.tenants[root], ref)
            for root, tree in self._trees.items()
            for node in tree.below()
            for ref in node.sources
        }

    def count(self) -> int:
        """How many runs there are."""
        return sum(1 for _ in self._runs())

    def close(self) -> None:
        """Everything to disk where there is one."""
        for node in sorted(self._runs(), key=lambda each: -each.worth(self._clock())):
            if node.segment is not None and node.file is None and self.disk + node.size <= self._disk_most:
                self._spill(node, forced=False)
        self._trees.clear()
        self.memory = 0

    # --- parts --------------------------------------------------------------------------------------------------

    def _runs(self) -> Iterator[Run]:
        for tree in self._trees.values():
            for node in tree.below():
                if node.parent is not None:
                    yield node

    def _loaded(self, node: Run) -> Segment | None:
        from memos_integrations.backends.kv.spill import read
        from memos_integrations.backends.kv.tiers import sound

        if node.segment is not None or node.file is None:
            return node.segment
        started = time.perf_counter()
        try:
            segment, tokens, said = read(node.file, self.secret, trusted=node.stamp, seal=self._seal)
            if tuple(tokens) != node.tokens or said.get("run") != node.file.stem or not sound(segment):
                raise ModelError(f"{node.file.name} holds another run of tokens.")
        except ModelError:
            self.refused_files += 1
            return None
        self.loads += 1
        self.load_seconds += time.perf_counter() - started
        self.loaded_bytes += segment.size
        node.segment = segment
        self.memory += segment.size
        return segment

    def _spill(self, node: Run, *, forced: bool) -> bool:
        """A run to its file and out of memory; False when there is no disk, no room, or it failed."""
        from memos_integrations.backends.kv.spill import stamp, write
        from memos_integrations.backends.kv.tiers import Precision, rounded

        if node.segment is None:
            return False
        if node.file is None:
            if self._folder is None or (not forced and node.size > self._disk_most):
                return False
            segment = rounded(node.segment, Precision(self._cold))
            run = self._name(node)
            file = self._folder / f"{run}{SUFFIX}"
            try:
                write(file, segment, node.tokens, self._said(node, run), self.secret, seal=self._seal)
                node.file, node.stamp = file, stamp(file)
            except OSError:
                self.failed_spills += 1
                return False
            self.spills += 1
            self.disk += segment.size
            self.memory -= node.size
            node.size = segment.size
        else:
            self.memory -= node.segment.size
        node.segment = None
        return True

    def _name(self, node: Run) -> str:
        """Names a run by its root and all tokens up to its end: when it is parted, what hangs on it still does."""
        text = f"{self._root_of(node).hex()}:{[token for each in node.path() for token in each.tokens]}"
        return hashlib.blake2b(text.encode(), key=self.secret[:64], digest_size=32).hexdigest()

    def _said(self, node: Run, run: str) -> dict[str, str]:
        above = node.parent
        return {
            "run": run,
            "root": self._root_of(node).hex(),
            "tenant": self.tenants[self._root_of(node)],
            "after": self._name(above) if above is not None and above.parent is not None else "",
            "sources": " ".join(f"{ref.id}@{ref.version}" for ref in sorted(node.sources, key=lambda ref: ref.id)),
            "seconds": f"{node.seconds:.6f}",
        }

    def _root_of(self, node: Run) -> bytes:
        top = node.path()[0].parent
        return next(key for key, tree in self._trees.items() if tree is top)

    def _split(self, node: Run, at: int) -> Run | None:
        """Part a run in two; the upper one. None when its file fails, and the run is gone."""
        segment = self._loaded(node)
        if segment is None:
            self._erase(node, pinned=True)
            return None
        parent = node.parent
        assert parent is not None
        share = at / len(node.tokens)
        upper: Run = Node(node.tokens[:at], parent, sources=node.sources, seconds=node.seconds * share)
        upper.uses, upper.used_at = node.uses, node.used_at
        self._unfile(node)
        self.memory -= segment.size
        upper.segment, node.segment = segment.between(0, at), segment.between(at, len(node.tokens))
        upper.size, node.size = upper.segment.size, node.segment.size
        self.memory += upper.size + node.size
        node.tokens, node.parent, node.seconds = node.tokens[at:], upper, node.seconds * (1 - share)
        upper.children[node.tokens[0]] = node
        parent.children[upper.tokens[0]] = upper
        return upper

    def _erase(self, node: Run, *, pinned: bool = False) -> int:
        """Take a run and all after it away; what is pinned stays, and what it needs, unless source or file is gone."""
        if not pinned and node.kept():
            return 0
        erased = 0
        for each in node.below():
            self._unfile(each)
            if each.segment is not None:
                self.memory -= each.segment.size
                each.segment = None
            if each.parent is not None:
                each.parent.children.pop(each.tokens[0], None)
                each.parent = None
                erased += 1
        self.evictions += erased
        return erased

    def _unfile(self, node: Run) -> None:
        if node.file is not None:
            with contextlib.suppress(FileNotFoundError):
                node.file.unlink()
            self.disk -= node.size
            node.file = node.stamp = None

    def _adopt(self, folder: Path) -> None:
        """Hang the files of an earlier store into the trees; what hangs on nothing is removed."""
        from memos_integrations.backends.kv.spill import peek

        waiting: dict[str, list[tuple[Path, list[int], dict[str, str]]]] = {}
        for file in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                tokens, said = peek(file, self._seal)
                bytes.fromhex(said["root"])
                float(said["seconds"])
                _refs(said)
                self.tenants[bytes.fromhex(said["root"])] = said["tenant"]
                waiting.setdefault(said["after"] or said["root"], []).append((file, tokens, said))
            except (ModelError, KeyError, ValueError):
                self.refused_files += 1
                file.unlink(missing_ok=True)
        for stale in folder.glob(".new-*"):
            stale.unlink(missing_ok=True)
        ready = [
            (self.tree(bytes.fromhex(k)), k) for k in list(waiting) if any(not s["after"] for _, _, s in waiting[k])
        ]
        while ready:
            parent, name = ready.pop()
            for file, tokens, said in waiting.pop(name, []):
                if tokens[0] in parent.children:  # another store on this folder cut its runs elsewhere
                    file.unlink(missing_ok=True)
                    continue
                node = self._adopted(parent, file, tokens, said)
                ready.append((node, file.stem))
        for file, _, _ in (each for rest in waiting.values() for each in rest):
            file.unlink(missing_ok=True)
        self.fit()

    def _adopted(self, parent: Run, file: Path, tokens: list[int], said: dict[str, str]) -> Run:
        node: Run = Node(tuple(tokens), parent, file=file, size=file.stat().st_size, sources=_refs(said))
        node.seconds, node.used_at = float(said["seconds"]), self._clock()
        parent.children[node.tokens[0]] = node
        self.disk += node.size
        return node


def _refs(said: dict[str, str]) -> frozenset[CubeRef]:
    refs = (text.rpartition("@") for text in said["sources"].split())
    return frozenset(CubeRef(id=cube, version=int(version)) for cube, _, version in refs)
