"""The sentences of what was recalled, each with what speaks for it as the answer to a question. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from memos_integrations.core.cube import Channel, Relation
from memos_integrations.core.operator import Hit
from memos_integrations.core.operator.surfacing import is_told, stands_back
from memos_integrations.core.ranking import closeness
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.text import sentences, with_forms
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.text.words import LIGHT_WORDS

MOST_HITS = 10
LONGEST_TEXT = 20_000
"""Characters of a memory that are read sentence by sentence."""

WEIGHTS = {
    "memory": 1.75,
    "words": 1.5,
    "asked_before": 2.0,
    "sentence_before": 0.5,
    "first": 0.3,
    "news": 0.6,
    "names": 0.3,
    "question": -0.4,
    "time": 0.75,
    "contradicted": -1.0,
    "by_nobody": -1.0,
}
"""What counts how much, see `Statement.parts`. Rounded from a fit on half of LoCoMo's conversations, but for the last
two, which are as much as decides between two memories that say the same in other respects."""

NEARLY = 0.75
"""What was told answers when it has words for so much of what something from outside has words for."""

NEWS = 6
"""A sentence with so many words that the question does not have tells as much as one can."""

_NAME_INSIDE = re.compile(r"(?<=\w )[A-Z][\w-]+|[\"“”]")
_OF_PICTURE = re.compile(r"^an? (?:photo|picture|image|close ?up)(?:graphy)? of ", re.IGNORECASE)
_IMAGE = re.compile(r"\s*\[shares an image: (.*?)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of a hit.

    `parts`, each 0..1: `memory` is the hit's score beside the best; `words` how much of the question (rare words
    weigh more) stands in the sentence, `sentence_before` in the one before it, `asked_before` in a question of the
    message that this one follows; `first` is for the best hits; `news` says how much the question does not say
    already; `names` and `question` whether the sentence holds a name or quotation, and whether it is a question; `time`
    how near it was said to the time that the question names; `contradicted` whether a newer hit says that it
    contradicts this one; `by_nobody` whether no one told it: a tool, a document or a page did, or a model on its own.
    """

    text: str
    hit: Hit
    place: int
    number: int
    parts: dict[str, float]
    around: float
    """How much of the question stands anywhere in the hit."""

    @property
    def score(self) -> float:
        """The weighted sum of the parts."""
        return sum(WEIGHTS[name] * value for name, value in self.parts.items())

    @property
    def covered(self) -> float:
        """How much of the question stands in the sentence, in what it answers, or (for less) around it."""
        near = max(self.parts["words"], self.parts["asked_before"])
        return min(1.0, max(near + 0.5 * self.parts["sentence_before"], 0.8 * self.around))


_LIGHT = frozenset(
    term
    for word in (
        *LIGHT_WORDS,
        *"kind type sort mentioned share shared recently many currently according during".split(),
    )
    for term in terms_of(word)
)
LIGHT_SHARE = 0.3


class Asked:
    """The words of a question, weighed by how rare they are in what was recalled.

    Names of speakers weigh nothing, as who spoke is known; nor does the time that is named, which the date of a
    message answers. Words that say little ("go", "mention", "kind") weigh little.
    """

    def __init__(self, call: MemoryCall, hits: Sequence[Hit]) -> None:
        speakers = {term for hit in hits for term in terms_of(hit.provenance.speaker or "")}
        timeless = call.query.replace(call.window.text, " ") if call.window else call.query
        every = set(terms_of(timeless)) if timeless.strip() else set(terms_of(call.query))
        self.window = call.window
        self.terms = frozenset((every - speakers) or every)
        self.speakers = frozenset(speakers & every)
        held = Counter(term for hit in hits for term in set(terms_of(hit.text[:LONGEST_TEXT])))
        count = len(hits)
        self._weight = {
            term: (LIGHT_SHARE if term in _LIGHT else 1.0)
            * (0.3 + math.log(1.0 + (count - held[term] + 0.5) / (held[term] + 0.5)))
            for term in self.terms
        }
        self._whole = sum(self._weight.values()) or 1.0

    def share(self, words: Collection[str]) -> float:
        """How much of the question is among *words* (terms), 0..1."""
        return sum(self._weight[term] for term in self.terms.intersection(with_forms(words))) / self._whole


def statements(asked: Asked, hits: Sequence[Hit]) -> list[Statement]:
    """Every sentence of the best hits, the most likely first."""
    best = max((hit.score for hit in hits), default=0.0)
    by_id = {hit.cube.id: hit for hit in hits}
    against = _contradicted(hits)
    found: list[Statement] = []
    for place, hit in enumerate(hits[:MOST_HITS]):
        before = max((asked.share(terms_of(each)) for each in _questions_before(hit, by_id)), default=0.0)
        shares: list[float] = []
        around = asked.share(set(terms_of(hit.text[:LONGEST_TEXT])))
        for number, sentence in enumerate(told(hit.text)):
            words = set(terms_of(sentence))
            shares.append(asked.share(words))
            parts = {
                "memory": hit.score / best if best > 0.0 else 0.0,
                "words": shares[-1],
                "asked_before": before,
                "sentence_before": shares[-2] if number else 0.0,
                "first": 1.0 / (1 + place),
                "news": min(len(words - asked.terms), NEWS) / NEWS,
                "names": float(_NAME_INSIDE.search(sentence) is not None),
                "question": float(sentence.rstrip().endswith("?")),
                "time": closeness(hit.said_at, (asked.window.start, asked.window.end)) if asked.window else 0.0,
                "contradicted": float(hit.cube.id in against),
                "by_nobody": float(stands_back(hit.cube)),
            }
            found.append(Statement(sentence, hit, place, number, parts, around))
    return _told_first(sorted(found, key=lambda each: (-each.score, each.place, each.number)))


def _told_first(found: list[Statement]) -> list[Statement]:
    """Without what came from outside, where somebody told nearly as much of what is asked.

    A page can repeat a question to the letter, and a memory made for it would answer it. What the model itself said in
    a conversation may be what is asked for, and stays.
    """
    told = [each for each in found if is_told(each.hit.cube)]
    outside = [each for each in found if not is_told(each.hit.cube) and not _is_models(each.hit)]
    covered = max((each.covered for each in told if not each.parts["question"]), default=0.0)
    if not outside or covered < NEARLY * max(each.covered for each in outside) or covered == 0.0:
        return found
    return [each for each in found if each not in outside]


def _is_models(hit: Hit) -> bool:
    return hit.cube.trust.channel is Channel.ASSISTANT


def _contradicted(hits: Sequence[Hit]) -> frozenset[str]:
    """The ids of what another hit, the newer of the two, says that it contradicts."""
    links = (link for hit in hits for link in hit.provenance.links)
    return frozenset(link.target for link in links if link.relation is Relation.CONTRADICTS)


def told(text: str) -> list[str]:
    """The sentences of a memory; the caption of a shared picture is one of its own."""
    plain = _IMAGE.sub(lambda match: f"\n{_OF_PICTURE.sub('', match[1])}\n", text[:LONGEST_TEXT])
    return [each for each in sentences(plain) if any(letter.isalnum() for letter in each)]


def _questions_before(hit: Hit, by_id: dict[str, Hit]) -> Iterator[str]:
    """The questions in the message that a hit follows, where that was recalled too."""
    for link in hit.provenance.links:
        if link.relation is Relation.FOLLOWS and link.target in by_id:
            yield from (each for each in told(by_id[link.target].text) if each.rstrip().endswith("?"))
