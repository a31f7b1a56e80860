"""Collections of other shapes than a chat between two: what recall must hold on, whatever the material is like.

    python tests/benchmarks/invented.py --track minilm --json invented.json

Each holds the same made-up facts (`invented.json`), each told once among many messages about the same things, and asks
for them twice: in other words, and with some of the same. What differs is the shape: who speaks, in how many words, in
how many sessions. Asked beside SQLite FTS5 (porter, any of the words, stop words out). R@10 is the share of questions
whose fact is among the first ten. Nothing in the package was weighed on the shapes and facts of `HELD_OUT`
(`invented_more.json`), nor on those of `UNSEEN` (`invented_unseen.json`) and `LATER` (`invented_later.json`): what is
tried on the others has to hold on them as well. The questions of `FRESH` (`invented_fresh.json`) were written before
the first look, which showed what an embedder that does not read Chinese spoils (see `ranking.unread`).
Those of `LATEST` (`invented_latest.json`) were, too: chats with long answers, chats about tasks, documents, and a chat
in a language that none of the others has. So were those of `BLIND` (`invented_blind.json`), of the same kinds and in
English. `TRIED` (`invented_tried.json`) is for trying rules on other languages than English: Spanish notes, and a Dutch
diary.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import Conversation, Embedder, MemOS, Message, Principal, Provenance
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.scheduler import MemoryPlan, MemScheduler
from memos_integrations.core.text import STOP_WORDS

TOLD = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
ME = Principal(tenant="bench", user="me")
NOWHERE = 1_000
"""The place of what was not found."""
BEGUN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
TOLD["days"] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MORE = json.loads(Path(__file__).with_name("invented_more.json").read_text("utf-8"))
MATERIAL = {name: MORE["technical"] for name in ("tickets", "review", "manual")} | {"german": MORE["german"]}
UNSEEN = json.loads(Path(__file__).with_name("invented_unseen.json").read_text("utf-8"))
LATER = json.loads(Path(__file__).with_name("invented_later.json").read_text("utf-8"))
FRESH = json.loads(Path(__file__).with_name("invented_fresh.json").read_text("utf-8"))
LATEST = json.loads(Path(__file__).with_name("invented_latest.json").read_text("utf-8"))
TRIED = json.loads(Path(__file__).with_name("invented_tried.json").read_text("utf-8"))
BLIND = json.loads(Path(__file__).with_name("invented_blind.json").read_text("utf-8"))
MATERIAL |= UNSEEN | LATER | FRESH | LATEST | TRIED | BLIND
"""What is told where it is not `TOLD`."""
TALKED = (
    "talk", "assistant", "tasks", "tickets", "choir", "helpdesk", "french", "chinese", "taches", "coach", "counsel",
    "sprints", "svenska", "mentor", "exhibit",
)  # fmt: skip
"""Shapes that are conversations; the others are remembered one by one."""
SHAPES = ("talk", "assistant", "tasks", "log", "documents", "notes")
HELD_OUT = tuple(name for name in MATERIAL if name not in UNSEEN | LATER | FRESH | LATEST | TRIED | BLIND)
BETWEEN = {"helpdesk": ("customer", "Saskia"), "french": ("Rémi", "Solène"), "svenska": ("Lena", "Åke")}
SENTENCES = {"talk": (0, 2), "assistant": (1, 4), "tasks": (3, 8), "log": (2, 5), "notes": (0, 0)} | {
    "tickets": (3, 7),
    "review": (0, 1),
    "german": (0, 1),
    "choir": (2, 5),
    "italian": (0, 1),
    "kitchen": (2, 4),
    "french": (0, 1),
    "chinese": (0, 2),
    "projektlog": (1, 3),
    "taches": (2, 5),
    "coach": (1, 2),
    "counsel": (1, 3),
    "sprints": (3, 8),
    "svenska": (1, 3),
    "spanish": (0, 1),
    "dutch": (1, 3),
    "mentor": (1, 2),
    "exhibit": (3, 8),
    "dig": (2, 5),
    "jottings": (0, 0),
}
LONG = {"assistant": (150, 330), "documents": (80, 130), "manual": (180, 320), "helpdesk": (160, 240)}
LONG |= {"coach": (240, 330), "counsel": (270, 330), "bylaws": (180, 320), "mentor": (270, 330), "gateway": (180, 300)}
"""Words of a text (of an `assistant` collection only the assistant's), where it is long."""


@dataclass(frozen=True)
class Collection:
    """Texts with who said them and in which session, and questions with the place of the text that answers each."""

    shape: str
    texts: tuple[str, ...]
    speakers: tuple[str | None, ...]
    sessions: tuple[str | None, ...]
    questions: tuple[tuple[str, int], ...]

    @property
    def conversation(self) -> Conversation:
        """The texts as a conversation, an hour between sessions."""
        names = list(dict.fromkeys(self.sessions))
        return Conversation(
            id=self.shape,
            messages=tuple(
                Message(
                    id=str(place),
                    speaker=who or "me",
                    role="assistant" if who == "assistant" else "user",
                    text=text,
                    session_id=session,
                    at=BEGUN + timedelta(hours=names.index(session), seconds=place),
                )
                for place, (text, who, session) in enumerate(zip(self.texts, self.speakers, self.sessions, strict=True))
            ),
        )


class _Teller:
    """Makes sentences up, the same for the same seed."""

    def __init__(self, seed: int, told: Mapping[str, Any]) -> None:
        self.dice, self.told = random.Random(seed), told

    def about(self, topic: str, count: int) -> list[str]:
        picked = self.dice.sample(self.told["filler"][topic], count)
        return [one.format(day=self.dice.choice(self.told["days"]), n=self.dice.randint(2, 40)) for one in picked]

    @property
    def others(self) -> list[str]:
        """What is spoken of besides."""
        return [name for name in ("work", "home") if name in self.told["filler"]] or list(self.told["filler"])[:2]

    def advice(self, topic: str, words: int, fact: str = "") -> str:
        """A long answer of about so many words: half of it on the topic, with a fact in the middle if there is one."""
        sentences = self.dice.sample(self.told["advice"], 8) + self.about(topic, 6)
        others = [topic, *self.others]
        while sum(len(one.split()) for one in sentences) < words:
            sentences += [self.dice.choice(self.told["advice"]), *self.about(self.dice.choice(others), 1)]
        self.dice.shuffle(sentences)
        return prose([*sentences[: len(sentences) // 2], *([fact] if fact else []), *sentences[len(sentences) // 2 :]])


def prose(sentences: Sequence[str]) -> str:
    """Sentences as a text."""
    return " ".join(f"{one}." for one in sentences)


def facts(told: Mapping[str, Any]) -> list[tuple[str, str, tuple[str, str]]]:
    """Topic, what was said, what is asked: in other words, and with some of the same."""
    return [(one["topic"], one["said"], (one["asked_in_other_words"], one["asked_alike"])) for one in told["facts"]]


def collection(shape: str, *, first: int = 200, distractors: int | None = None, seed: int = 7) -> Collection:
    """The *first* so many facts in a collection of a *shape*, each in a session or group with so many other texts.

    These are 5, of `LATEST` and `BLIND` 11, unless *distractors* says otherwise.
    """
    tell = _Teller(seed, MATERIAL.get(shape, TOLD))
    others = (11 if shape in LATEST | BLIND else 5) if distractors is None else distractors
    chosen = facts(tell.told)
    tell.dice.shuffle(chosen)
    texts: list[str] = []
    speakers: list[str | None] = []
    sessions: list[str | None] = []
    questions: list[tuple[str, int]] = []

    def say(text: str, who: str | None, session: str | None) -> None:
        texts.append(text)
        speakers.append(who)
        sessions.append(session)

    for number, (topic, said, asked) in enumerate(chosen[:first]):
        session = f"s{number:03}" if shape in TALKED else None
        at = tell.dice.randrange(others + 1)
        for place in range(others + 1):
            who, told = _speaker(shape, place, number), said if place == at else ""
            if told:
                questions += [(one, len(texts)) for one in asked]
            say(_text(tell, shape, who, topic if tell.dice.random() < 0.7 else tell.others[-1], told), who, session)
    return Collection(shape, tuple(texts), tuple(speakers), tuple(sessions), tuple(questions))


def _speaker(shape: str, place: int, number: int) -> str | None:
    if shape == "talk":
        return ("Nora", "Idris")[place % 2]
    if shape in {"assistant", "tasks", "chinese", "taches", "coach", "counsel", "sprints", "mentor"}:
        return ("user", "assistant")[place % 2]
    if shape in BETWEEN:
        return BETWEEN[shape][place % 2]
    if shape == "choir":
        return ("Odile", "Hamid", "Wanda")[place % 3]
    if shape == "exhibit":
        return ("Agnes", "Bilal", "Chiara", "Dmitri")[place % 4]
    if shape == "tickets":
        return ("customer", "Bex", "customer", "Tomasz")[place % 4]
    if shape == "projektlog":
        return ("Jonas", "Derya", "Kai")[number % 3]
    if shape == "dig":
        return ("Halvard", "Petra", "Wulf")[number % 3]
    return ("Priya", "Marek", "Ines")[(number if shape == "log" else place) % 3] if shape in {"log", "review"} else None


def _text(tell: _Teller, shape: str, who: str | None, topic: str, told: str) -> str:
    if shape in LONG and who != "user":
        return tell.advice(topic, tell.dice.randint(*LONG[shape]), told)
    low, high = SENTENCES[shape]
    sentences = tell.about(topic, max(tell.dice.randint(low, high), 0 if told else 1))
    sentences.insert(tell.dice.randint(0, len(sentences)), told) if told else None
    return prose(sentences)


class Only(MemScheduler):
    """The scheduler with other weights: for one signal alone."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._only = dict(weights)

    def plan(self, call: MemoryCall, **how: Any) -> MemoryPlan:
        return super().plan(call, **how).model_copy(update={"weights": self._only})


def full_text(made: Collection, k: int) -> list[int]:
    """The places of the texts asked for in what SQLite FTS5 finds: porter, any of the words, stop words out."""
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE VIRTUAL TABLE texts USING fts5(words, tokenize = 'porter unicode61')")
        spoken = ((f"{who}: {text}" if who else text,) for who, text in zip(made.speakers, made.texts, strict=True))
        db.executemany("INSERT INTO texts VALUES (?)", spoken)
        places = []
        for asked, gold in made.questions:
            words = [word for word in re.findall(r"\w+", asked.lower()) if word not in STOP_WORDS]
            query = " OR ".join(f'"{word}"' for word in words)
            rows = db.execute("SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?", (query, k))
            places.append(_place(gold + 1, [row[0] for row in rows]))
    return places


def fill(memos: MemOS, made: Collection) -> list[str]:
    """Remember a collection; the ids of its cubes in order."""
    if made.shape in TALKED:
        return list(memos.ingest(made.conversation, by=ME).cubes)
    said = zip(made.texts, made.speakers, strict=True)
    return [memos.remember(text, by=ME, provenance=Provenance(speaker=who)).id for text, who in said]


def recalled(memos: MemOS, made: Collection, ids: Sequence[str], k: int) -> list[int]:
    """The places of the texts asked for among the first *k* hits, from 0; `NOWHERE` where they are not."""
    places = []
    for asked, gold in made.questions:
        hits = memos.recall(asked, by=ME, k=k, token_budget=1_000_000, needed=True).hits
        places.append(_place(ids[gold], [hit.cube.id for hit in hits]))
    return places


def _place(wanted: object, found: Sequence[object]) -> int:
    return found.index(wanted) if wanted in found else NOWHERE


def measured(
    made: Collection, embedder: Embedder | None, *, k: int = 10, alone: Sequence[str] = ()
) -> dict[str, float]:
    """R@k of FTS5, of `memos.recall`, and of single signals *alone*."""
    found = placed(made, embedder, k=k, alone=alone)
    return {name: within(places, k) for name, places in found.items()}


def within(places: Sequence[int], k: int) -> float:
    """How many of the places are among the first *k*, in percent."""
    return round(100 * sum(place < k for place in places) / len(places), 1)


def placed(
    made: Collection, embedder: Embedder | None, *, k: int = 10, alone: Sequence[str] = ()
) -> dict[str, list[int]]:
    """The places of the texts asked for: by FTS5, by `memos.recall`, and by single signals *alone*."""
    with tempfile.TemporaryDirectory() as folder, MemOS.open(folder, embedder=embedder, durability="process") as memos:
        ids = fill(memos, made)
        found = {"fts5": full_text(made, k), "memos": recalled(memos, made, ids, k)}
        given = memos._scheduler
        for signal in alone:
            memos._scheduler = Only({signal: 1.0})
            found[signal] = recalled(memos, made, ids, k)
        memos._scheduler = given
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", choices=("lexical", "minilm"), default="lexical")
    parser.add_argument("--model", type=Path, default=Path(".models/all-MiniLM-L6-v2"))
    parser.add_argument(
        "--shapes", default=",".join((*SHAPES, *TRIED, *HELD_OUT, *UNSEEN, *LATER, *FRESH, *LATEST, *BLIND))
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    embedder, alone = None, ["bm25", "context"]
    if arguments.track == "minilm":
        from memos_integrations.backends.minilm import MiniLMEmbedder

        embedder, alone = MiniLMEmbedder(arguments.model), ["bm25", "context", "late", "dense"]
    table: dict[str, dict[str, Any]] = {}
    for shape in arguments.shapes.split(","):
        made = collection(shape, seed=arguments.seed)
        words = sum(len(text.split()) for text in made.texts) / len(made.texts)
        table[shape] = {"texts": len(made.texts), "words": round(words, 1), "questions": len(made.questions)}
        found = placed(made, embedder, alone=alone)
        table[shape] |= {f"recall_at_{k}": {name: within(each, k) for name, each in found.items()} for k in (5, 10)}
        print(shape, table[shape], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
