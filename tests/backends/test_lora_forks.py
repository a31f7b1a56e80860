"""What was read once is not read again: teachers, looks and answers stand behind forks of keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import lessons_of
from memos_integrations.backends.lora.answers import greedy
from memos_integrations.backends.lora.before import Before
from memos_integrations.backends.lora.beginning import Beginning
from memos_integrations.backends.lora.rows import expected, looked_at, pack, predicted
from memos_integrations.backends.lora.student import Student
from memos_integrations.backends.lora.wording import Wording
from tests.backends.test_lora import _gpt2, cubes
from tests.tiny_llama import build_tiny_llama


@pytest.fixture(params=[build_tiny_llama, _gpt2], scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(request.param(tmp_path_factory.mktemp("m") / "tiny"))


class Counted:
    """How many tokens a network was given, each row's, and in how many calls."""

    def __init__(self, network: Any) -> None:
        self.tokens = self.calls = 0
        self._hook = network.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, _: Any, given: Sequence[Any], named: dict[str, Any]) -> None:
        self.calls += 1
        self.tokens += (named["input_ids"] if "input_ids" in named else given[0]).numel()

    def stop(self) -> int:
        self._hook.remove()
        return self.tokens


def test_rows_behind_a_fork_are_predicted_as_behind_the_beginning_itself(model: HuggingFaceModel) -> None:
    import torch

    head, rows = Wording(model).rows(lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.")).taught[:9])
    read = Beginning.read(model.network, head)
    stored = [part.clone() for layer in read.layers for pair in layer for part in pair]
    with torch.no_grad():
        whole = predicted(model.network, pack(head, rows, model.network.dtype))
        behind = predicted(model.network, pack(head, rows, model.network.dtype, read=True), read.fork())
        again = predicted(model.network, pack(head, rows, model.network.dtype, read=True), read.fork())
    assert torch.allclose(whole, behind, atol=1e-4)
    assert torch.equal(behind, again)
    assert all(torch.equal(*pair) for pair in zip(stored, (t for x in read.layers for y in x for t in y), strict=True))


def test_a_beginning_is_read_on_from_another(model: HuggingFaceModel) -> None:
    import torch

    ids = Wording(model).prompt("Where does Miso live?", "Miso lives in Rome.")
    half = Beginning.read(model.network, ids[:7])
    at_once, after = Beginning.read(model.network, ids), Beginning.read(model.network, ids, after=half)
    assert after.ids == at_once.ids
    for one, other in zip(at_once.layers, after.layers, strict=True):
        assert all(torch.allclose(*pair, atol=1e-4) for pair in zip(one[0], other[0], strict=True))
    assert half.fork().get_seq_length() == 7


def test_a_teacher_reads_each_memory_once_and_says_what_it_says_without_forks(model: HuggingFaceModel) -> None:
    import torch

    lessons = lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.")).taught
    wording, student = Wording(model), Student(model, rank=2, alpha=4)
    head, _ = wording.rows(lessons)
    before = Before(student, model, head, 16)
    with torch.no_grad(), student.without():
        counted = Counted(student.network)
        known = before.watched(wording, lessons, 6)
        tokens = counted.stop()
        for context in {each.context for each in lessons}:
            own = [at for at in known if lessons[at].context == context]
            assert len(own) == 6
            told, rows = wording.rows([lessons[at] for at in own], context=context)
            counted = Counted(student.network)
            plain = expected(student.network, told, rows, student.network.dtype, 16, read=None)
            tokens -= counted.stop()
            for at, other in zip(own, plain, strict=True):
                assert torch.allclose(known[at].chances, other.chances, atol=1e-4)
    assert tokens < 0, "with what two memories' prompts share read once, and each memory once for all of its lessons"


def test_short_memories_with_one_lesson_each_are_read_side_by_side_and_none_sees_another(
    model: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    lessons = lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.", "Natto lives in Lima.")).taught
    wording, student = Wording(model), Student(model, rank=2, alpha=4)
    head, _ = wording.rows(lessons)
    before, found = Before(student, model, head, 16), []
    for short in (1_000, 0):
        monkeypatch.setattr("memos_integrations.backends.lora.before.SHORT", short)
        counted = Counted(student.network)
        with torch.no_grad(), student.without():
            known = before.watched(wording, lessons, 1)
        counted.stop()
        found.append((known, counted.calls))
    (together, few), (apart, many) = found
    assert few == 2, "what all begin with, and all memories"
    assert many == 1 + 2 * len(apart)
    assert together.keys() == apart.keys()
    assert len(apart) == 3
    for at, alone in apart.items():
        assert torch.allclose(together[at].chances, alone.chances, atol=1e-4)


def test_prompts_are_answered_together_as_one_by_one_and_what_they_share_is_read_once(model: HuggingFaceModel) -> None:
    prompts = [Wording(model).prompt(f"{'And ' * number}what is {number}?") for number in range(5)]
    counted = Counted(model.network)
    together = greedy(model.network, prompts, max_new_tokens=1, ends=())
    read = counted.stop()
    assert read < max(map(len, prompts)) * len(prompts)
    longer = greedy(model.network, prompts, max_new_tokens=6, ends=())
    alone = [greedy(model.network, [prompt], max_new_tokens=6, ends=())[0] for prompt in prompts]
    assert longer == alone
    assert [row[:1] for row in longer] == together
    assert greedy(model.network, [prompts[0], prompts[0]], max_new_tokens=6, ends=()) == [alone[0], alone[0]]


def test_looking_at_rows_reads_their_beginning_once(model: HuggingFaceModel) -> None:
    import torch

    head, rows = Wording(model).rows(lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo.")).taught)
    seen = looked_at(model.network, head, rows)
    batch = pack(head, rows, model.network.dtype)
    with torch.no_grad():
        logs = predicted(model.network, batch)
    chances = logs.gather(-1, batch.targets[:, None])[:, 0].exp()
    for number, (chance, _) in enumerate(seen):
        assert chance == pytest.approx(float(chances[batch.rows == number].min()), rel=1e-2, abs=1e-7)
    assert looked_at(model.network, head, []) == []
