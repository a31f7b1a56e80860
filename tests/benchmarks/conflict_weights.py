"""Learn the weights of `core/conflict/weights.json`, and say what they find of sets that were not learned from.

    python tests/benchmarks/conflict_weights.py --apart            # each set judged by weights learned from the others
    python tests/benchmarks/conflict_weights.py --write            # learn from all of them, and write the weights
    python tests/benchmarks/conflict_weights.py --minilm .models/all-MiniLM-L6-v2 --apart --write

With `--minilm` it is about `weights_minilm.json`: the same signs, and what sentence vectors say (`meaning.py`).

Learned from the pairs of statements of `tests/core/conflict_*.tsv`, but for `UNLEARNED`, and of what is told of one
bearer in `conflict_of_one.txt`; besides, as pairs that stand
side by side, from each later statement with the earlier one of other pairs (`BESIDE` of them), told of the same one
where both name whom they are about; from statements told twice; and from contradictions of which the earlier is told
of another bearer. Logistic regression with a quadratic penalty, by Newton steps; the same input gives the same weights.
A sign counts that is in five pairs of three sets at least, so that the weights are those of words in general and not
of what one set is about.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.claims import claims_of
from memos_integrations.core.conflict.meaning import KNOTS, Meaning, Weights, least_cosine, measures_of
from memos_integrations.core.conflict.signs import of_one_matter, signs_of
from memos_integrations.core.conflict.weighed import LIKELY, LIKELY_BY_MEANING
from memos_integrations.core.contrast.lexicon import DAYS, MONTHS
from memos_integrations.core.text import STOP_WORDS
from memos_integrations.core.text.words import LIGHT_WORDS
from tests.benchmarks.meta import single_threaded

HERE = Path(__file__).resolve().parents[1] / "core"
WEIGHTS = Path(__file__).resolve().parents[2] / "memos_integrations/core/conflict/weights.json"
UNLEARNED = frozenset(
    f"conflict_{each}.tsv"
    for each in (
        "held_out",
        "twenty_first_hand",
        "twenty_second_hand",
        "twenty_fourth_hand",
        "twenty_fifth_hand",
    )
)
"""Sets that nothing is learned from, besides the held out third of `conflict_pairs.tsv`."""
ASIDE = 4
BESIDE, PENALTY, LEAST_PAIRS, LEAST_SETS = 2, 1.0, 5, 3
BENT, BENT_PENALTY = 4 * len(KNOTS), 0.3
"""How many of the measures are of cosines, and what they are penalised by: there are few of them."""
OTHERS = ("Wilma", "Edgar", "Solveig", "Ramon", "Tindra", "Corvex", "Altmark", "Peregrine")
NO_NAMES = STOP_WORDS | LIGHT_WORDS | DAYS | MONTHS | {"user", "client", "customer", "invoices", "mr", "mrs", "dr"}
"""Words in capitals that name nobody."""
SAID = datetime(2026, 3, 2, 9, tzinfo=UTC)
Floats = npt.NDArray[np.float64]
NOTHING: Floats = np.zeros(0)


class Sample(NamedTuple):
    """Two statements with their signs, of one `matter` or not; `made`: put together, not written as a pair.

    `measures` are what their sentence vectors say; none where these are not weighed.
    """

    name: str
    conflict: bool
    signs: frozenset[str]
    matter: bool
    made: bool
    measures: Floats = NOTHING


class Told(NamedTuple):
    """A pair as it is told: which set it is of, and its statements."""

    name: str
    newer: str
    older: str
    conflict: bool
    made: bool = False


def sample(pair: Told, meaning: Meaning | None) -> Sample:
    """A pair with its signs, as the rules see it when both are told by one speaker."""
    newer, older = pair.newer, pair.older
    mine, theirs = (claims_of(text, SAID, "ana") for text in (newer, older))
    signs = signs_of(newer, older, mine, theirs)
    if meaning is None:
        return Sample(pair.name, pair.conflict, signs, of_one_matter(newer, older, mine, theirs), pair.made)
    rows = meaning.rows(newer, older)
    matter = float(rows[0] @ rows[1]) >= least_cosine(newer, older, mine, theirs)
    return Sample(pair.name, pair.conflict, signs, matter, pair.made, measures_of(rows))


def samples(meaning: Meaning | None = None) -> list[Sample]:
    """All that is learned from, in order of the files; with *meaning* with what sentence vectors say."""
    return [sample(each, meaning) for each in pairs()]


def pairs() -> list[Told]:
    """The pairs that are learned from, and those put together of them, in order of the files."""
    found, dice = [*told_of_one(random.Random(3))], random.Random(7)
    for path in sorted(HERE.glob("conflict_*.tsv")):
        if path.name in UNLEARNED:
            continue
        rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        rows = [row for place, row in enumerate(rows) if path.name != "conflict_pairs.tsv" or place % 3 != 2]
        for kind, label, older, newer in rows:
            found.append(Told(path.name, newer, older, label == "conflict"))
            strange = [row[2] for row in rows if row[0] != kind] or [row[2] for row in rows if row[2] != older]
            beside = [newer, *dice.sample(strange, min(BESIDE, len(strange)))]
            beside += [told for each in beside[1:] if (told := of_the_same(each, newer))]
            beside += [told for told in [of_another(older, newer, dice)] if told and label == "conflict"]
            found += [Told(path.name, newer, each, conflict=False, made=True) for each in beside]
    return found


def told_of_one(dice: random.Random) -> Iterator[Told]:
    """The pairs of `conflict_of_one.txt`: what is told of one bearer, what changes it, what says the same.

    A line: what is told, its changes, other words for it. Besides each other all of it can stand that is told of one
    bearer; `ASIDE` of that are taken for each line.
    """
    blocks = (HERE / "conflict_of_one.txt").read_text("utf-8").split("# ")[1:]
    for number, block in enumerate(blocks):
        name = f"of one {number % 6}"
        lines = [[_told(part) for part in line.split("|")] for line in block.splitlines()[1:]]
        for place, ((older,), changes, same) in enumerate(lines):
            yield from (Told(name, newer, older, conflict=True) for newer in changes)
            for other in same:
                yield from (Told(name, *both, conflict=False) for both in ((other, older), (older, other)))
                yield Told(name, dice.choice(changes), other, conflict=True)
            aside = [each for line in lines[:place] + lines[place + 1 :] for part in line for each in part]
            yield from (
                Told(name, newer, older, conflict=False) for newer in dice.sample(aside, min(ASIDE, len(aside)))
            )


def _told(part: str) -> list[str]:
    return [each.strip() for each in part.split(";") if each.strip()]


def of_the_same(older: str, newer: str) -> str:
    """The statement told of whom the later one names first; empty where one of the two names nobody first."""
    named = [text.split(" ", 1)[0] for text in (older, newer)]
    whole = [text.split(" ", 2)[1:2] for text in (older, newer)]
    if any(name.lower() in NO_NAMES or not name.isalpha() or not name[0].isupper() for name in named):
        return ""
    return "" if named[0] == named[1] or not all(whole) else f"{named[1]}{older[len(named[0]) :]}"


def of_another(older: str, newer: str, dice: random.Random) -> str:
    """The statement told of another bearer: another name for one that both say, or another's for mine."""
    shared = [
        word
        for word in re.findall(r"\b[A-Z][a-z]+\b", older)
        if re.search(rf"\b{word}\b", newer) and word.lower() not in NO_NAMES
    ]
    other = dice.choice([name for name in OTHERS if name not in newer])
    if shared:
        return re.sub(rf"\b{shared[0]}\b", other, older)
    mine = re.match(r"(?:My|Our) (?=[a-z])", older)
    return f"{other}'s {older[mine.end() :]}" if mine and other not in newer else ""


def signs_that_count(given: Sequence[Sample]) -> list[str]:
    """The signs that are in enough pairs of enough sets."""
    pairs: Counter[str] = Counter()
    sets: dict[str, set[str]] = defaultdict(set)
    for each in given:
        if not each.made:
            pairs.update(each.signs)
            for sign in each.signs:
                sets[sign].add(each.name)
    return sorted(sign for sign in pairs if pairs[sign] >= LEAST_PAIRS and len(sets[sign]) >= LEAST_SETS)


def learned(given: Sequence[Sample], penalty: float = PENALTY) -> tuple[dict[str, float], Floats]:
    """The weights of the signs that count, that of the empty sign being the bias; and those of the measures."""
    names = ["", *signs_that_count(given)]
    place = {name: number for number, name in enumerate(names)}
    rows = np.zeros((len(given), len(names) + len(given[0].measures)), np.float64)
    for number, each in enumerate(given):
        rows[number, [0, *(place[sign] for sign in each.signs if sign in place)]] = 1.0
        rows[number, len(names) :] = each.measures
    right = np.array([each.conflict for each in given], np.float64)
    weights = np.zeros(rows.shape[1])
    cost = np.full(len(weights), penalty)
    cost[0], cost[len(names) : len(names) + BENT] = 1e-3, BENT_PENALTY * penalty
    for _ in range(12):
        odds = 1.0 / (1.0 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (odds - right) + cost * weights
        weights = weights - _solved(rows, odds * (1 - odds), cost, slope)
    told = zip(names, weights, strict=False)
    return {name: round(float(each), 3) for name, each in told if abs(each) >= 0.02}, weights[len(names) :].round(3)


def _solved(rows: Floats, bend: Floats, cost: Floats, slope: Floats) -> Floats:
    """The Newton step, by conjugate gradients."""
    step, left = np.zeros_like(slope), slope.copy()
    way, size = left.copy(), float(left @ left)
    for _ in range(60):
        bent = rows.T @ (bend * (rows @ way)) + cost * way
        length = size / float(way @ bent)
        step, left = step + length * way, left - length * bent
        after = float(left @ left)
        if after < 1e-8:
            break
        way, size = left + (after / size) * way, after
    return step


def log_odds(weights: tuple[dict[str, float], Floats], each: Sample) -> float:
    """What the weights say of a sample."""
    signs, measures = weights
    return signs[""] + sum(signs.get(sign, 0.0) for sign in each.signs) + float(measures @ each.measures)


def judged_apart(given: Sequence[Sample], penalty: float = PENALTY, parts: int = 8) -> list[float]:
    """The log-odds of each sample by weights learned from sets that it is not in."""
    order = {name: number % parts for number, name in enumerate(dict.fromkeys(each.name for each in given))}
    found = [0.0] * len(given)
    for part in range(parts):
        weights = learned([each for each in given if order[each.name] != part], penalty)
        for number, each in enumerate(given):
            if order[each.name] == part:
                found[number] = log_odds(weights, each)
    return found


def said_of(given: Sequence[Sample], odds: Sequence[float], above: float) -> str:
    """Precision and recall in percent, and how many of the pairs put together are said to be conflicts."""
    told = [each for each, odd in zip(given, odds, strict=True) if odd > above and each.matter]
    right = sum(each.conflict for each in told)
    wrong = sum(not each.conflict and not each.made for each in told)
    made = sum(each.made for each in told)
    conflicts = sum(each.conflict for each in given)
    return (
        f"above {above:4.1f}: precision {100 * right / max(1, right + wrong):5.1f}"
        f" recall {100 * right / conflicts:5.1f} of pairs put together {made} of {sum(each.made for each in given)}"
    )


def main() -> None:
    """Run it."""
    single_threaded()
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--apart", action="store_true", help="say what is found of sets that were not learned from")
    asked.add_argument("--write", action="store_true", help="write the weights that are learned from all sets")
    asked.add_argument("--minilm", type=Path, help="the folder of the model: weigh its vectors too")
    told = asked.parse_args()
    embedder = MiniLMEmbedder(told.minilm) if told.minilm else None
    given = samples(Meaning(embedder, Weights(embedder.name, {}, NOTHING)) if embedder else None)
    print(f"{sum(not each.made for each in given)} pairs, {sum(each.made for each in given)} put together")
    if told.apart:
        odds = judged_apart(given)
        for above in (0.0, 1.0, 1.5, LIKELY_BY_MEANING if embedder else LIKELY, 3.0):
            print(said_of(given, odds, above))
    if told.write:
        signs, measures = learned(given)
        where = WEIGHTS.with_name("weights_minilm.json") if embedder else WEIGHTS
        full = {"embedder": embedder.name, "signs": signs, "measures": measures.tolist()} if embedder else signs
        where.write_text(json.dumps(full, indent=0, ensure_ascii=False) + "\n", "utf-8")
        print(f"{len(signs)} weights of signs written, {len(measures)} of measures")


if __name__ == "__main__":
    main()
