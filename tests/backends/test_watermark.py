"""A mark in answers: found with its secret and no other, in every order of asking; none where none was put."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import comb
from pathlib import Path

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.watermark import SHORTEST, Watermark, at_least
from memos_integrations.core.errors import ModelError
from tests.tiny_llama import build_tiny_llama

SECRET, OTHER = b"one secret of 16", b"two secret of 16"
IDS = [(7 * n * n + 3) % 250 for n in range(20)]


@pytest.fixture(scope="module")
def marking(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("llama")), watermark=Watermark(SECRET, bias=4.0))


def answer(model: HuggingFaceModel, seed: int, temperature: float = 1.0) -> list[int]:
    return [token.id for token in model.stream(IDS, max_new_tokens=120, temperature=temperature, seed=seed)]


def test_a_marked_answer_is_told_from_one_that_is_not(marking: HuggingFaceModel) -> None:
    size = marking.network.config.vocab_size
    marked = [answer(marking, seed) for seed in range(6)]
    marking.watermark, mark = None, marking.watermark
    try:
        plain = [answer(marking, seed) for seed in range(6)]
    finally:
        marking.watermark = mark
    assert mark is not None
    long = [each for each in marked if len(each) > 60]
    assert long, "or nothing is shown"
    assert all(mark.look_at(each, vocabulary=size).chance < 1e-6 for each in long)
    assert all(mark.look_at(each, vocabulary=size).chance > 1e-4 for each in plain)
    assert all(Watermark(OTHER).look_at(each, vocabulary=size).chance > 1e-4 for each in long)


def test_the_same_secret_makes_the_same_mark_anywhere(marking: HuggingFaceModel) -> None:
    size, tokens = marking.network.config.vocab_size, answer(marking, 3)
    assert marking.watermark is not None
    found = marking.watermark.look_at(tokens, vocabulary=size)
    assert Watermark(SECRET, bias=1.0).look_at(tokens, vocabulary=size) == found
    text = marking.decode(tokens)
    assert marking.watermark.look(text, marking) == marking.watermark.look_at(marking.encode(text), vocabulary=size)


def test_answers_in_many_threads_are_each_as_alone(marking: HuggingFaceModel) -> None:
    alone = [answer(marking, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: answer(marking, seed), range(8))) == alone


def test_no_bias_is_no_mark(tmp_path: Path, marking: HuggingFaceModel) -> None:
    plain = HuggingFaceModel(build_tiny_llama(tmp_path))
    none = HuggingFaceModel(build_tiny_llama(tmp_path), watermark=Watermark(SECRET, bias=0.0))
    assert answer(none, 1, 0.0) == answer(plain, 1, 0.0)
    assert answer(marking, 1, 0.0) != answer(plain, 1, 0.0)


def test_repeated_and_short_texts_show_nothing(marking: HuggingFaceModel) -> None:
    mark, size = Watermark(SECRET), marking.network.config.vocab_size
    fits = next(two for two in range(250) if mark._part(5, size)[two])
    assert mark.look_at([5, fits] * 500, vocabulary=size).chance == 1.0
    assert mark.look_at(list(range(SHORTEST)), vocabulary=size).chance == 1.0
    assert mark.look_at([], vocabulary=size).pairs == 0


@pytest.mark.parametrize("how", [{"secret": b"short"}, {"bias": -1.0}, {"share": 0.0}, {"share": 1.0}])
def test_senseless_settings_are_refused(how: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Watermark(**({"secret": SECRET} | how))  # type: ignore[arg-type]


def test_the_chance_is_the_binomial_tail() -> None:
    for count, of, chance in ((0, 5, 0.3), (3, 10, 0.25), (10, 10, 0.2)):
        exact = sum(comb(of, n) * chance**n * (1 - chance) ** (of - n) for n in range(count, of + 1))
        assert at_least(count, of, chance) == pytest.approx(exact)
