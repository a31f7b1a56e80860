"""How often attribution is right, and how often it is wrong: `make bench-attribution`.

The first texts are made here from one pattern with few words: the worst case for wording. The `natural` ones were
written by hand for other benchmarks of this folder.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from memos_integrations import MemOS, Principal
from memos_integrations.core.attribution import Canaries
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="bench", user="ana")
WHO = "my sister|the neighbour|our dentist|Mrs Quill|the new tenant|my old coach|the baker|uncle Rafe".split("|")
DID = "left a letter about|asked me twice about|brought home|sold|repaired|lost|borrowed|painted".split("|")
WHAT = "the blue bicycle|a box of plums|the garden gate|the silver flute|two wooden chairs|the boat".split("|")
WHEN = "on Monday|last spring|before the storm|after lunch|in early May|on the way to town|at dawn".split("|")
WHY = "because it rained|to please his aunt|for the school fair|since nobody wanted it|without a word".split("|")


def sentence(draw: random.Random) -> str:
    """A sentence of parts that many others share."""
    return " ".join(draw.choice(parts) for parts in (WHO, DID, WHAT, WHEN, WHY)) + f", number {draw.randrange(10**4)}."


def dropped(text: str, share: float, draw: random.Random) -> str:
    """The text without a share of its words."""
    return " ".join(word for word in text.split() if draw.random() >= share)


def measured(memories: int, asked: int, seed: int) -> dict[str, float | int]:
    """The figures."""
    draw = random.Random(seed)
    texts = list(dict.fromkeys(f"{sentence(draw)} {sentence(draw)}" for _ in range(memories)))
    others = list(dict.fromkeys(f"{sentence(draw)} {sentence(draw)}" for _ in range(asked)))
    figures: dict[str, float | int] = {"memories": len(texts), "foreign_texts": len(others)}
    with MemOS(InMemoryVault()) as memos:
        memos.remember_many(texts, by=ANA)

        def right(text: str, edited: str) -> bool:
            found = memos.attribute(edited, by=ANA).sources
            return bool(found) and found[0].cube.text == text

        sample = draw.sample(texts, min(asked, len(texts)))
        figures["exact_pct"] = _pct([right(text, text) for text in sample])
        figures["reformatted_pct"] = _pct([right(text, text.upper().replace(" ", "\n").replace(",", " -"))
                                           for text in sample])  # fmt: skip
        for share in (10, 20, 30, 40):
            figures[f"dropped_{share}_pct"] = _pct([right(text, dropped(text, share / 100, draw)) for text in sample])
        wrong = [bool(memos.attribute(text, by=ANA, k=1).sources) for text in others]
        figures["patterned_false_positive_pct"] = _pct(wrong)
    figures |= natural(draw)
    canaries, names = Canaries(draw.randbytes(32)), [f"licensee {n}" for n in range(100)]
    figures["licensees_named_pct"] = _pct([
        canaries.found(" ".join([*draw.sample(others, 3), *canaries.texts(name)]), names) == {name: 5} for name in names
    ])  # fmt: skip
    figures["canary_false_positives"] = sum(bool(canaries.found(text, names)) for text in others)
    return figures


def natural(draw: random.Random) -> dict[str, float | int]:
    """The figures on sentences that people wrote: half of them are memories, and the other half must not be found."""
    held = [Path(__file__).with_name(name) for name in ("invented.json", "invented_more.json")]
    said = [each["said"] for file in held for each in json.loads(file.read_text("utf-8")).get("facts", ())]
    draw.shuffle(said)
    mine, foreign = said[: len(said) // 2], said[len(said) // 2 :]
    with MemOS(InMemoryVault()) as memos:
        memos.remember_many(mine, by=ANA)
        wrong = [bool(memos.attribute(text, by=ANA).sources) for text in foreign]
        edits = [(text, dropped(text, 0.2, draw)) for text in mine]
        right = [
            any(each.cube.text == text for each in memos.attribute(cut, by=ANA, k=1).sources) for text, cut in edits
        ]
    figures: dict[str, float | int] = {"natural_texts": len(foreign), "natural_false_positives": sum(wrong)}
    return figures | {"natural_dropped_20_pct": _pct(right)}


def _pct(hits: list[bool]) -> float:
    return round(100 * sum(hits) / len(hits), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=2_000)
    parser.add_argument("--asked", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    result = measured(said.memories, said.asked, said.seed)
    for name, value in result.items():
        print(f"{name:24} {value}")
    if said.json:
        said.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
