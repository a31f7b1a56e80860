"""Conflicts found by sentence vectors beside the words; the same rules without them, where nothing was learned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.conflict import ConflictModel, ConflictRules, Ruling
from memos_integrations.core.conflict.meaning import KNOTS, meaning_of, measures_of, only_in
from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.ports import Embedder, Vectors
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.core.test_conflict_pairs import ANA, SAID, read, ruled, scored

OLDER, NEWER = "Mr Haddad prefers to be contacted by phone.", "Mr Haddad asks us to write rather than call."
"""No rule reads it, and words alone are too few. Both are in a set that was learned from."""


@pytest.fixture(scope="module")
def minilm(models: dict[str, Path]) -> MiniLMEmbedder:
    return MiniLMEmbedder(models["minilm"])


class Another:
    """An embedder that nothing was learned for: it must not be asked."""

    name, dim = "another", 8

    def embed(self, texts: Sequence[str]) -> Vectors:
        raise EmbeddingError("asked")


class Failing(Another):
    """The one that was learned for, out of order."""

    def __init__(self, name: str) -> None:
        self.name = name


def told(embedder: Embedder | None, *texts: str) -> list[Ruling]:
    times = (SAID + timedelta(hours=hours) for hours in count())
    with MemOS(InMemoryVault(), embedder=embedder, conflicts=ConflictRules(), clock=lambda: next(times)) as memos:
        cubes = [memos.remember(text, by=ANA) for text in texts]
        return [each.ruling for each in memos.decisions(cubes[-1].id, by=ANA)]


def test_memos_gives_its_embedder_to_the_rules(minilm: MiniLMEmbedder) -> None:
    assert told(None, OLDER, NEWER) == []
    assert told(minilm, OLDER, NEWER) == [Ruling.FLAG]


@pytest.mark.parametrize(
    ("name", "precision", "recall", "wrongly_retired"),
    [
        ("conflict_twenty_first_hand.tsv", 100, 54, 0),
        ("conflict_twenty_second_hand.tsv", 93, 52, 0),
        ("conflict_twenty_fourth_hand.tsv", 98, 82, 0),
        ("conflict_twenty_fifth_hand.tsv", 98, 58, 0),
    ],
)
def test_more_is_found_with_vectors_of_sets_that_nothing_was_learned_from(
    name: str, precision: float, recall: float, wrongly_retired: int, minilm: MiniLMEmbedder
) -> None:
    reached = scored(read(name), ConflictRules(embedder=minilm))
    assert reached.precision >= precision
    assert reached.recall >= recall
    assert reached.wrongly_retired <= wrongly_retired


def test_what_only_vectors_tell_retires_nothing_and_leaves_other_matters(minilm: MiniLMEmbedder) -> None:
    assert told(minilm, OLDER, "Mr Haddad has a garden.") == []
    assert told(minilm, "I am allergic to nuts.", NEWER) == []


def test_rules_with_another_embedder_are_the_rules_without_one() -> None:
    rules = ConflictRules(embedder=Another())
    assert meaning_of(Another()) is None
    assert rules.reading_with(Another()) is rules
    pair = next(each for each in read("conflict_eighth_hand.tsv") if each.conflict)
    assert ruled(pair, rules) == ruled(pair, ConflictRules())


def test_rules_that_have_an_embedder_keep_it(minilm: MiniLMEmbedder) -> None:
    rules = ConflictRules(embedder=minilm)
    assert rules.reading_with(minilm) is rules
    plain = ConflictRules(frozenset({"fact"}))
    assert plain.reading_with(None) is plain
    assert plain.reading_with(minilm).types == {"fact"}


def test_a_failing_embedder_is_told(minilm: MiniLMEmbedder) -> None:
    meaning = meaning_of(Failing(minilm.name))
    assert meaning is not None
    with pytest.raises(EmbeddingError, match="asked"):
        meaning.log_odds(NEWER, OLDER, (), ())


def test_a_language_model_is_asked_about_what_the_rules_find_with_the_embedder(minilm: MiniLMEmbedder) -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return '{"ruling": "supersede"}'

    pair = next(each for each in read("conflict_fifteenth_hand.tsv") if each.older == OLDER)
    assert ruled(pair, ConflictModel(ask).reading_with(minilm)) == {Ruling.SUPERSEDE}
    assert prompts


def test_measures_are_a_broken_line_of_each_cosine_and_both_vectors() -> None:
    one, other = np.eye(2, dtype=np.float32)
    found = measures_of(np.stack([one, one, other, np.zeros(2, np.float32)]))
    assert found.shape == (4 * len(KNOTS) + 4,)
    same, none = found[: len(KNOTS)], found[len(KNOTS) : 2 * len(KNOTS)]
    assert same == pytest.approx([1.0, *(1.0 - knot for knot in KNOTS[1:])])
    assert none == pytest.approx([1.0] + [0.0] * (len(KNOTS) - 1))


def test_only_in_gives_what_the_two_do_not_share() -> None:
    assert only_in("The lift is open.", "The lift is closed.") == ("open", "closed")
    assert only_in("Renske sings.", "Ivo sank.") == ("Renske sings.", "Ivo sank.")
