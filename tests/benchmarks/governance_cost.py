"""What governance and encryption cost: `python -m tests.benchmarks.governance_cost --cubes 5000 --json FILE`.

Two vaults with the same memories, in turns. *off*: no audit entry or event, nothing encrypted: the vault asked
directly, the access wall alone, as it cannot be switched off. *on*: `MemGovernance` over an encrypted vault, blinded
where the key says so. Keys: `write_overhead_ms` (a durable write of one memory, median on less median off),
`search_overhead_pct` and `search_overhead_p99_ms` (a hybrid search for ten), `..._cpu_...` the same in CPU time of the
process, and `bulk_overhead_pct` (a thousand memories to a commit).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.access import CallContext, Caller, Principal, Verb, subjects_for
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator import draft_memory
from memos_integrations.core.ports import CubeFilter, EmbedderIdentity, Put, Transaction, VaultQuery, Visibility
from memos_integrations.core.records import NewVersion
from memos_integrations.core.text import terms as terms_of
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
BY = Principal(tenant="acme", user="ira")
DIM = 384
Times = list[tuple[float, float]]


def vectors(count: int) -> np.ndarray:
    """Unit rows, the same every time."""
    rows = np.random.default_rng(5).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Side:
    """One of the two vaults and its ways to write and to search."""

    def __init__(self, folder: Path, caller: Caller, **how: Any) -> None:
        self.vault = SQLiteVault(folder, **how)
        self.vault.bind_embedder(EmbedderIdentity("bench", DIM))
        self.caller = caller
        self.governance = MemGovernance(self.vault)

    def drafts(self, numbers: range, rows: np.ndarray) -> list[NewVersion]:
        """New memories."""
        made = []
        for number in numbers:
            text = f"kettle {number} stands on shelf {number % 97} in hall {number % 13} beside the blue door"
            draft = draft_memory(text, self.caller, {})
            made.append(NewVersion(draft.cube, self.caller, draft.terms, rows[number % len(rows)]))
        return made

    def write(self, drafts: list[NewVersion]) -> None:
        """Durably, governed."""
        self.governance.put_many(drafts, operation="remember").result()

    def write_bare(self, drafts: list[NewVersion]) -> None:
        """Durably, neither recorded nor told of."""
        puts = tuple(
            Put(each.cube, readers=subjects_for(Verb.READ, each.cube.governance), terms=each.terms, vector=each.vector)
            for each in drafts
        )
        self.vault.submit(Transaction(puts)).result()


def taken(act: Callable[[], object], into: Times) -> None:
    """Time one act: wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    into.append((time.perf_counter() - wall, time.process_time() - cpu))


def in_turns(number: int, acts: tuple[Callable[[], object], Callable[[], object]], into: tuple[Times, Times]) -> None:
    """Time both acts; the one that goes first finds colder caches, so that each goes first every other time."""
    for place in (0, 1) if number % 2 else (1, 0):
        taken(acts[place], into[place])


def told(on: Times, off: Times, name: str) -> dict[str, float]:
    """Differences in milliseconds and shares, wall and CPU."""
    said: dict[str, float] = {}
    for place, kind in enumerate(("", "_cpu")):
        a, b = sorted(each[place] for each in on), sorted(each[place] for each in off)
        middle = statistics.median(a) - statistics.median(b)
        said[f"{name}{kind}_ms"] = round(middle * 1e3, 4)
        said[f"{name}{kind}_pct"] = round(middle / statistics.median(b) * 100, 2)
        said[f"{name}{kind}_p99_ms"] = round((a[int(len(a) * 0.99) - 1] - b[int(len(b) * 0.99) - 1]) * 1e3, 4)
    return said


def compared(cubes: int, rounds: int, *, blinded: bool) -> dict[str, float]:
    """All differences at one size."""
    caller = Caller(BY, CallContext(), NOW)
    rows = vectors(512)
    with tempfile.TemporaryDirectory() as folder:
        on = Side(Path(folder, "on"), caller, keys=HeldKey(bytes(range(32))), blinded=blinded)
        off = Side(Path(folder, "off"), caller)
        writes: tuple[Times, Times] = ([], [])
        bulk: tuple[Times, Times] = ([], [])
        searches: tuple[Times, Times] = ([], [])
        for start in range(0, cubes, 1_000):
            numbers = range(start, start + 1_000)
            first, second = on.drafts(numbers, rows), off.drafts(numbers, rows)
            taken(lambda: on.write(first), bulk[0])  # noqa: B023
            taken(lambda: off.write_bare(second), bulk[1])  # noqa: B023
        for number in range(rounds):
            numbers = range(cubes + number, cubes + number + 1)
            first, second = on.drafts(numbers, rows), off.drafts(numbers, rows)
            in_turns(number, (lambda: on.write(first), lambda: off.write_bare(second)), writes)  # noqa: B023
        seen = Visibility("acme", frozenset({BY.subject}), NOW)
        for number in range(rounds):
            words = tuple(terms_of(f"kettle shelf {number % 97} hall {number % 13}"))
            query = VaultQuery(10, terms=words, vector=rows[number % len(rows)], filter=CubeFilter())
            both = (lambda: on.governance.search(query, caller), lambda: off.vault.search(query, seen))  # noqa: B023
            in_turns(number, both, searches)
        on.vault.close()
        off.vault.close()
    warm = rounds // 10
    found = told(writes[0][warm:], writes[1][warm:], "write_overhead")
    found |= told(searches[0][warm:], searches[1][warm:], "search_overhead")
    return found | {"bulk_overhead_pct": told(*bulk, "b")["b_pct"]}


def measured(cubes: int = 5_000, rounds: int = 300) -> dict[str, float]:
    """The keys with vectors in clear, and the same with a `blinded_` before them."""
    found = compared(cubes, rounds, blinded=False)
    return found | {f"blinded_{name}": value for name, value in compared(cubes, rounds, blinded=True).items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cubes", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    text = json.dumps(measured(asked.cubes, asked.rounds), indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
