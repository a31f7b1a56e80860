"""Memory over a year in which facts change, repeat, end and expire: what is stale at the end, and what was lost.

    python tests/benchmarks/drift.py --events 10000 --seed 1 --json drift.json
    python tests/benchmarks/drift.py --events 10000 --minilm .models/all-MiniLM-L6-v2     # the rules with its vectors

The story is drawn in `drift_year.py`, by its own sentences. Three memories are told it, on the same engine: one with
`ConflictRules`, one that only adds, and one in which a new memory overwrites the old one most like it by words (a
half of their words in common). Then each is asked for every fact that ever was told and changed.

stale_answers_pct: of the questions about something that changed, those whose best memory about it tells an outdated
value. lost_true_facts_pct: true facts that no memory within recall states any more. wrongly_retired_pct: of the facts
that were true when told, those retired while they were true. duplicates_pct: memories within recall that state what
another one states. conflict precision and recall: pairs of memories that were decided about, of pairs of which the
newer really ended or replaced what the older states; one that says that something is over is replaced by one that says
that it is so again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.conflict import ConflictRules, Ruling
from memos_integrations.core.cube import State
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.ports import RECALLABLE, CubeFilter, Embedder
from memos_integrations.core.text import terms
from tests.benchmarks.drift_year import QUESTIONS, START, Event, Fact, Year, worded
from tests.benchmarks.meta import meta, single_threaded

OVERWRITES = 0.5


@dataclass
class Told:
    """What one memory made of the story."""

    states: dict[str, tuple[Fact, ...]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    pairs: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    retired_true: set[tuple[str, Fact]] = field(default_factory=set)
    seconds: float = 0.0


def principal(user: str) -> Principal:
    """Who tells it."""
    return Principal(tenant="drift", user=user)


def tell(memos: MemOS, year: Year, clock: list[datetime], *, overwrite: bool, decides: bool) -> Told:
    """Tell the whole story, as it is drawn."""
    told = Told()
    worlds = {world.user: world for world in year.worlds}
    live: dict[str, set[str]] = defaultdict(set)  # the memories of a user within recall
    kept: dict[str, dict[str, set[str]]] = defaultdict(dict)  # their words, where the newest overwrites
    begun = time.perf_counter()
    for event in year.events():
        clock[0] = event.at
        by = principal(event.user)
        if overwrite:
            _overwritten(memos, by, event.text, kept[event.user])
        ttl = event.until - event.at if event.until else None
        cube = memos.remember(event.text, by=by, durability="process", **({"ttl": ttl} if ttl else {}))  # type: ignore[misc]
        told.states[cube.id], told.events[cube.id] = event.states, event
        kept[event.user][cube.id] = set(terms(event.text))
        if not decides:
            continue
        world = worlds[event.user]
        true_pairs = {
            other
            for other in live[event.user]
            if told.events[other].kind != "passing"
            and (
                any(world.conflicts(fact, event) for fact in told.states[other])
                or set(told.events[other].ends) & set(event.states)
            )
        }
        live[event.user].add(cube.id)
        if cube.provenance.links or cube.state not in RECALLABLE or true_pairs:
            _judge(memos, by, cube.id, true_pairs, told, live[event.user], set(world.facts()))
    told.seconds = time.perf_counter() - begun
    return told


def _overwritten(memos: MemOS, by: Principal, text: str, live: dict[str, set[str]]) -> None:
    """Take the memory out of recall that is most like *text* by words, if half of their words are the same.

    Archived rather than erased: the answers are the same, and an erasure is verified everywhere, which is not measured.
    """
    words = set(terms(text))
    like = {cube_id: len(words & theirs) / len(words | theirs) for cube_id, theirs in live.items() if words & theirs}
    best = max(sorted(like), key=lambda cube_id: like[cube_id], default=None)
    if best is not None and like[best] >= OVERWRITES:
        del live[best]
        with suppress(CubeNotFoundError):  # it may have expired
            memos.move(best, State.ARCHIVED, by=by)


def _judge(
    memos: MemOS, by: Principal, cube_id: str, true_pairs: set[str], told: Told, live: set[str], truth: set[Fact]
) -> None:
    decided = [each for each in memos.decisions(cube_id, by=by) if not each.undone]
    found = {each.older if each.newer == cube_id else each.newer for each in decided if each.ruling is not Ruling.MERGE}
    told.pairs["right"] += len(found & true_pairs)
    told.pairs["wrong"] += len(found - true_pairs)
    told.pairs["missed"] += len(true_pairs - found)
    told.missed += [(told.events[cube_id].text, told.events[each].text) for each in true_pairs - found]
    for each in decided:
        if each.ruling is Ruling.FLAG:
            if each.older not in true_pairs and each.newer == cube_id:
                told.wrong.append(("flag", told.events[cube_id].text, told.events[each.older].text))
            continue
        gone = each.older if each.ruling is Ruling.SUPERSEDE else each.newer
        live.discard(gone)
        kept = each.newer if gone == each.older else each.older
        same = bool(told.states[gone]) and set(told.states[gone]) <= set(told.states[kept])
        if told.states[gone] and not same and set(told.states[gone]) & truth:
            told.retired_true |= {(gone, fact) for fact in set(told.states[gone]) & truth}
            told.wrong.append((each.ruling.value, told.events[cube_id].text, told.events[gone].text))


def ask(memos: MemOS, year: Year, told: Told, changed: set[Fact], events: int) -> dict[str, float]:
    """The figures at the end of the year."""
    stale = asked = lost = true = duplicates = within = 0
    for world in year.worlds:
        by = principal(world.user)
        cubes = memos.find(CubeFilter(states=RECALLABLE), by=by, k=100_000)
        within += len(cubes)
        stated = Counter(fact for cube in cubes for fact in told.states[cube.id])
        groups = Counter(told.states[cube.id] for cube in cubes if told.states[cube.id])
        duplicates += sum(count - 1 for count in groups.values())
        for fact in world.facts():
            true += 1
            lost += stated[fact] == 0
        for fact in sorted(changed, key=lambda each: (each.who, each.attribute, each.value)):
            if fact.value != world.user:  # `changed` holds (who, attribute) of each user
                continue
            now = world.one[fact.who, fact.attribute]
            answer = _answer(memos, by, told, fact)
            asked += 1
            stale += answer is not None and answer != now
    return {
        "stale_answers_pct": 100.0 * stale / max(asked, 1),
        "lost_true_facts_pct": 100.0 * lost / max(true, 1),
        "duplicates_pct": 100.0 * duplicates / max(within, 1),
        "cubes_per_event": within / events,
        "asked": float(asked),
        "true_facts": float(true),
    }


def _answer(memos: MemOS, by: Principal, told: Told, asked: Fact) -> str | None:
    """What the best memory about it says."""
    thing = asked.attribute in {"deadline", "review"}
    question = worded(QUESTIONS[asked.attribute], "" if thing else asked.who, t=asked.who if thing else "")
    for hit in memos.recall(question, by=by, k=12, needed=True).hits:
        for fact in told.states[hit.cube.id]:
            if (fact.who, fact.attribute) == (asked.who, asked.attribute):
                return fact.value
    return None


def measure(
    count: int, users: int, seed: int, folder: Path, say: Callable[[str], None], embedder: Embedder | None = None
) -> tuple[dict[str, Any], Told]:
    """Every figure, and what the rules, reading with *embedder*, made of it in detail."""
    figures: dict[str, Any] = {"baselines": {}}
    ours = Told()
    for name in ("rules", "add_only", "last_write_wins"):
        say(f"telling the year: {name}")
        year, clock = Year(count, users, seed), [START]
        rules = ConflictRules(embedder=embedder) if name == "rules" else None
        with MemOS.open(folder / name, conflicts=rules, clock=lambda clock=clock: clock[0]) as memos:
            told = tell(memos, year, clock, overwrite=name == "last_write_wins", decides=name == "rules")
            clock[0] = START + timedelta(days=365)
            events = told.events.values()
            changed = {Fact(f.who, f.attribute, e.user) for e in events if e.kind == "change" for f in e.states}
            found = ask(memos, year, told, changed, count)
        if name != "rules":
            figures["baselines"][name] = found
            continue
        ours = told
        facts_told = sum(len(event.states) for event in told.events.values())
        right, wrong, missed = (told.pairs[each] for each in ("right", "wrong", "missed"))
        figures |= found | {
            "wrongly_retired_pct": 100.0 * len(told.retired_true) / max(facts_told, 1),
            "conflict_precision_pct": 100.0 * right / max(right + wrong, 1),
            "conflict_recall_pct": 100.0 * right / max(right + missed, 1),
            "conflicts": right + missed,
            "ms_per_event": 1e3 * told.seconds / count,
        }
    return figures, ours


def table(figures: dict[str, Any]) -> Table:
    """The figures for people."""
    shown = Table("", "rules", "add only", "last write wins", title="a year of change")
    for name in ("stale_answers_pct", "lost_true_facts_pct", "duplicates_pct", "cubes_per_event"):
        each = [figures, figures["baselines"]["add_only"], figures["baselines"]["last_write_wins"]]
        shown.add_row(name, *(f"{one[name]:.2f}" for one in each))
    for name in ("wrongly_retired_pct", "conflict_precision_pct", "conflict_recall_pct", "ms_per_event"):
        shown.add_row(name, f"{figures[name]:.2f}")
    return shown


def main() -> None:
    """Run it."""
    single_threaded()
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("--events", type=int, default=2_000)
    said.add_argument("--users", type=int, default=20)
    said.add_argument("--seed", type=int, default=1)
    said.add_argument("--json", type=Path)
    said.add_argument("--minilm", type=Path, help="the folder of the model: the rules weigh its vectors too")
    said.add_argument("--show", type=int, default=0, help="print so many of the missed and the wrong")
    asked = said.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        embedder = MiniLMEmbedder(asked.minilm) if asked.minilm else None
        figures, told = measure(asked.events, asked.users, asked.seed, Path(folder), console.print, embedder)
        figures["embedder"] = embedder.name if embedder else None
        figures["meta"] = meta(Path(folder), events=asked.events, users=asked.users, seed=asked.seed)
    figures["not_run"] = {}
    console.print(table(figures))
    missed = [f"missed: {newer!r} / {older!r}" for newer, older in told.missed]
    for text in [*(f"{kind}: {newer!r} / {older!r}" for kind, newer, older in told.wrong), *missed][: asked.show]:
        console.print(text, markup=False)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
