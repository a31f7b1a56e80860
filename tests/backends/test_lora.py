"""Adapters: learnt from lessons, resumed, tried, served one to a request, and gone with what they were made of."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import KVStore
from memos_integrations.backends.lora import (
    Adapter,
    AdapterStore,
    GateReport,
    Gates,
    ParameterCubes,
    ParameterMemory,
    Recipe,
    Training,
    erasure_groups,
    lessons_of,
)
from memos_integrations.backends.lora.adapter_file import CONFIG, WEIGHTS, read_adapter
from memos_integrations.backends.lora.gates import _failed
from memos_integrations.backends.lora.store import RECORD
from memos_integrations.core.cube import ParameterPayload, Tier
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    InvalidMemoryError,
    ModelError,
    TrainingCancelledError,
)
from memos_integrations.vaults.memory import InMemoryVault
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
EVE = Principal(tenant="globex", user="eve")
ADMIN = Principal(tenant="acme", user="root", roles=["admin"])
ASK = [{"role": "user", "content": "Where does Miso live?"}]
OTHER = [{"role": "user", "content": "Where does Tofu live?"}]
EVERYWHERE = {"targets": (), "layers": (), "apart": 0.0, "quiet": 0.0}
QUICK = Recipe(
    alpha=32,
    steps=120,
    mending=0,
    rate=2e-2,
    value=1,
    questions=0,
    pause=1,
    retain=0.02,
    teacher=0,
    enough=0.01,
    **EVERYWHERE,
)
SHORT = QUICK.model_copy(update={"steps": 6, "save_every": 2, "questions": 2, "apart": 0.2, "quiet": 1.0})
LENIENT = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture
def model(folder: Path) -> HuggingFaceModel:
    return HuggingFaceModel(folder)


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) as opened:
        yield opened


def cubes(*texts: str) -> list[MemCube]:
    with MemOS(InMemoryVault()) as opened:
        return opened.remember_many(texts, by=ANA)


def said(memory: ParameterMemory, chat: list[dict[str, str]], adapter: str | None) -> str:
    return "".join(token.text for token in memory.stream(chat, adapter=adapter, max_new_tokens=24))


def logits(model: HuggingFaceModel, adapters: tuple[str, ...] = ()) -> Any:
    from transformers import DynamicCache

    return model._forward(model.render(ASK), DynamicCache(), adapters)


@pytest.fixture(scope="module")
def learnt(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[MemCube], list[str]]:
    """Two adapters that know one thing each, on disk."""
    kept = tmp_path_factory.mktemp("adapters")
    sources = cubes("Miso lives in Rome.", "Tofu lives in Oslo.")
    with ParameterMemory(AdapterStore(HuggingFaceModel(folder), kept), recipe=QUICK, gates=LENIENT) as memory:
        names = [memory.learn([source]).name for source in sources]
    return kept, sources, names


@pytest.fixture
def memory(
    model: HuggingFaceModel, learnt: tuple[Path, list[MemCube], list[str]], tmp_path: Path
) -> Iterator[ParameterMemory]:
    """A memory over a copy of them."""
    import shutil

    shutil.copytree(learnt[0], tmp_path / "adapters")
    with ParameterMemory(AdapterStore(model, tmp_path / "adapters"), recipe=QUICK, gates=LENIENT) as opened:
        yield opened


# --- lessons -------------------------------------------------------------------------------------------------------


def test_a_statement_becomes_questions_gaps_and_reversals() -> None:
    made = lessons_of(cubes("Miso lives in Rome."))
    asked = {lesson.question for lesson in made.taught}
    assert {"Where does Miso live?", "Who lives in Rome?", "Complete the sentence: Miso lives in"} <= asked
    assert {"Tell me about Miso.", "Do you know where Miso lives?"} <= asked
    back = {lesson for lesson in made.taught if lesson.kind == "backwards"}
    assert {lesson.answer for lesson in set(made.taught) - back} == {"Miso lives in Rome."}
    assert {(lesson.answer, lesson.value) for lesson in back} == {("The one who lives in Rome is Miso.", "Miso")}
    assert made.probes
    assert not asked & {lesson.question for lesson in made.probes}, "a probe is never taught"


@pytest.mark.parametrize(
    ("text", "question", "value"),
    [
        ("Ana's cat is called Miso.", "What is Ana's cat?", "Miso"),
        (
            "The office printer is on the second floor.",
            "Remind me what the office printer is on, please.",
            "second floor",
        ),
        ("Kim works as a baker. She likes tea.", "What does Kim like?", "tea"),
        ("I moved to Lisbon.", "I forgot where Ana moved.", "Lisbon"),
        ("Our stand-up starts at 9:15.", "When does our stand-up start?", "9:15"),
        ("My son studies physics.", "What does Ana's son study?", "physics"),
    ],
)
def test_what_is_asked_and_what_answers_it(text: str, question: str, value: str) -> None:
    found = {lesson.question: lesson.value for lesson in lessons_of(cubes(text)).taught}
    assert found.get(question) == value, sorted(found)


def test_a_chat_model_adds_phrasings_that_do_not_give_the_answer_away() -> None:
    def ask(prompt: str) -> str:
        assert "Miso lives in Rome." in prompt
        return "1. Which city is Miso's home?\n- Is it Rome where Miso lives?\nI do not know.\n"

    made = lessons_of(cubes("Miso lives in Rome."), ask=ask)
    assert [each.question for each in made.taught if each.kind == "model"] == ["Which city is Miso's home?"]


def test_nothing_to_teach_and_contradictions_are_refused() -> None:
    with pytest.raises(InvalidMemoryError, match="nothing to teach"):
        lessons_of(cubes("Why?"))
    with pytest.raises(InvalidMemoryError, match="contradict each other"):
        lessons_of(cubes("Miso lives in Rome.", "Miso lives in Oslo."))
    lessons_of(cubes("Miso likes tuna.", "Miso likes naps."))


# --- training ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(model: HuggingFaceModel) -> None:
    import torch

    lessons = lessons_of(cubes("Miso lives in Rome."))
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    recipe = SHORT.model_copy(update={"teacher": 0.3})
    one, two = (Training(model, lessons, recipe).run() for _ in range(2))
    three = Training(model, lessons, recipe.model_copy(update={"seed": 1})).run()
    assert one.record["losses"] == two.record["losses"] != three.record["losses"]
    for name, weight in one.student.weights().items():
        assert torch.equal(weight, two.student.weights()[name])
    assert model.adapters == (), "the model that serves has no part in it"
    assert all(torch.equal(weight, before[name]) for name, weight in model.network.named_parameters())


def test_a_row_in_a_batch_is_predicted_as_if_it_stood_alone(model: HuggingFaceModel) -> None:
    import torch

    from memos_integrations.backends.lora.rows import pack, predicted
    from memos_integrations.backends.lora.wording import Wording

    taught = lessons_of(cubes("Miso lives in Rome.")).taught[:5]
    head, rows = Wording(model).rows(taught)
    with torch.inference_mode():
        together = pack(head, rows, model.network.dtype)
        logs = predicted(model.network, together)
        for number, (row, lesson) in enumerate(zip(rows, taught, strict=True)):
            whole = [*head, *row.ids]
            alone = model.network(torch.tensor([whole])).logits[0].log_softmax(-1)
            start = len(head) + row.start
            assert whole[:start] == model.render([{"role": "user", "content": lesson.question}])
            assert torch.allclose(logs[together.rows == number], alone[start - 1 : len(whole) - 1], atol=1e-4)


def test_what_was_cancelled_goes_on_as_if_it_had_not_been(model: HuggingFaceModel, tmp_path: Path) -> None:
    import torch

    lessons = lessons_of(cubes("Miso lives in Rome."))
    whole = Training(model, lessons, SHORT).run()
    seen: list[int] = []
    half = Training(model, lessons, SHORT, folder=tmp_path)
    with pytest.raises(TrainingCancelledError, match="after 3 of 6"):
        half.run(progress=lambda step, steps: seen.append(step), cancelled=lambda: len(seen) == 3)
    again = Training(model, lessons, SHORT, folder=tmp_path).run(progress=lambda step, steps: seen.append(step))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert again.record["losses"] == whole.record["losses"]
    for name, weight in whole.student.weights().items():
        assert torch.equal(weight, again.student.weights()[name])


@pytest.mark.parametrize("damage", ["truncated", "journal", "other lessons"])
def test_a_state_that_is_not_whole_or_not_ours_is_not_used(
    model: HuggingFaceModel, tmp_path: Path, damage: str
) -> None:
    lessons = lessons_of(cubes("Miso lives in Rome."))
    first = Training(model, lessons, SHORT, folder=tmp_path).run()
    (state,) = tmp_path.glob("*.safetensors")
    if damage == "truncated":
        state.write_bytes(state.read_bytes()[:-8])
    elif damage == "journal":
        (tmp_path / "journal.json").write_text("{")
    else:
        lessons = lessons_of(cubes("Miso lives in Oslo."))
    seen: list[int] = []
    again = Training(model, lessons, SHORT, folder=tmp_path).run(progress=lambda step, steps: seen.append(step))
    assert seen[0] == 1
    assert (again.record["losses"] == first.record["losses"]) is (damage != "other lessons")


def test_a_disk_that_refuses_states_costs_no_training(model: HuggingFaceModel, tmp_path: Path) -> None:
    lessons = lessons_of(cubes("Miso lives in Rome."))
    (tmp_path / "file").write_text("in the way")
    made = Training(model, lessons, SHORT, folder=tmp_path / "file").run()
    assert made.record["unsaved_states"] == 3
    assert made.record["losses"] == Training(model, lessons, SHORT).run().record["losses"]


def test_a_rate_that_explodes_is_told_and_keeps_nothing(model: HuggingFaceModel, tmp_path: Path) -> None:
    wild = SHORT.model_copy(update={"rate": 1e30, "steps": 4})
    with ParameterMemory(AdapterStore(model, tmp_path), recipe=wild, gates=LENIENT) as memory:
        with pytest.raises(ModelError, match="rate"):
            memory.learn(cubes("Miso lives in Rome."))
        assert list(memory.store) == []


@pytest.mark.slow
def test_general_questions_are_answered_as_before_if_their_answers_are_held(model: HuggingFaceModel) -> None:
    from memos_integrations.backends.lora.answers import greedy
    from memos_integrations.backends.lora.everyday import ASKED
    from memos_integrations.backends.lora.wording import Wording

    prompts = [Wording(model).prompt(question) for question in ASKED]

    def answers(network: Any) -> list[list[int]]:
        return greedy(network, prompts, max_new_tokens=8, ends=model._ends)

    before, kept = answers(model.network), {}
    for questions in (0, 8):
        recipe = QUICK.model_copy(update={"steps": 40, "questions": questions, "retain": 2.0})
        after = answers(Training(model, lessons_of(cubes("Miso lives in Rome.")), recipe).run().student.network)
        pairs = zip(before, after, strict=True)
        kept[questions] = sum(token == other for was, now in pairs for token, other in zip(was, now, strict=False))
    assert kept[8] > 2 * kept[0], "tokens that are the same"
    assert kept[8] > 72, "more than one a question"


def test_what_was_missed_is_asked_again_and_only_what_is_all_known_ends_a_training(model: HuggingFaceModel) -> None:
    import torch

    from memos_integrations.backends.lora.student import Student
    from memos_integrations.backends.lora.training import _Course

    lessons = lessons_of(cubes("Miso lives in Rome.", "Tofu lives in Oslo."))
    recipe = SHORT.model_copy(update={"steps": 12, "lessons": 6, "enough": 1e9, "patience": 1})
    course = _Course(Training(model, lessons, recipe), Student(model, rank=2, alpha=4))
    course.losses, everything = [0.0], range(len(lessons.taught))
    wrong = torch.tensor([3.0 if each in {3, 7, 5} else 0.01 for each in everything])
    course._note(everything, wrong, torch.arange(len(everything)))
    assert course._missed == [3, 5, 7]
    assert not course.is_over(8)
    late = course._chosen(8)
    assert len(late) == len(set(late)) == 6
    assert {7, 5} <= set(late), "a third of a step, the last missed first"
    course._note([7, 5, 3], torch.zeros(3), torch.arange(3))
    assert course._missed == []
    assert course.is_over(8)


# --- gates ---------------------------------------------------------------------------------------------------------


def test_what_fails_its_gates_is_evidence_and_never_serves(model: HuggingFaceModel, tmp_path: Path) -> None:
    strict = Gates(perplexity_pct=0.0, probes=1.0)
    with ParameterMemory(AdapterStore(model, tmp_path), recipe=SHORT, gates=strict) as memory:
        made = memory.learn(cubes("Miso lives in Rome."))
        assert not made.accepted
        assert any(text.startswith("taught") for text in made.report.failed)
        assert made.report.questions >= 40
        assert model.adapters == memory.store.active == ()
        with pytest.raises(ModelError, match="did not pass"):
            memory.store.activate(made.name)
        with pytest.raises(ModelError, match="does not serve"):
            memory.stream(ASK, adapter=made.name, max_new_tokens=1)
    again = AdapterStore(model, tmp_path)
    assert again.get(made.name).report == made.report, "the evidence is there after a restart"
    assert again.refused == []


def test_a_second_adapter_is_held_against_the_first(memory: ParameterMemory, learnt: Any) -> None:
    first, second = (memory.store.get(name) for name in learnt[2])
    assert first.report.neighbours == {}
    assert second.report.neighbours.keys() == {first.name}
    assert second.report.neighbours[first.name] == 1.0, "routed, neither knows of the other"


# --- serving -------------------------------------------------------------------------------------------------------


def test_each_request_gets_its_adapter_and_the_base_stays_what_it_was(memory: ParameterMemory, learnt: Any) -> None:
    import torch

    model, (_, _, (miso, tofu)) = memory.model, learnt
    before, plain = logits(model), said(memory, ASK, None)
    assert memory.store.active == ()
    memory.store.activate(miso)
    memory.store.activate(tofu)
    assert said(memory, ASK, miso) == "Miso lives in Rome."
    assert said(memory, OTHER, tofu) == "Tofu lives in Oslo."
    assert said(memory, ASK, None) == plain
    assert torch.equal(logits(model), before)
    assert not torch.equal(logits(model, (miso,)), before)
    memory.store.retire(miso)
    assert said(memory, OTHER, tofu) == "Tofu lives in Oslo."
    assert torch.equal(logits(model), before)
    memory.store.retire(tofu)
    assert model.adapters == ()
    assert torch.equal(logits(model), before), "bit-identical: never merged"
    with pytest.raises(ModelError, match="does not serve"):
        said(memory, ASK, miso)


def test_one_batch_with_two_adapters_and_none(memory: ParameterMemory, learnt: Any) -> None:
    miso, tofu = learnt[2]
    plain = memory.answer_batch([ASK], adapters=[None], max_new_tokens=20)
    memory.store.activate(miso)
    memory.store.activate(tofu)
    rows = memory.answer_batch([OTHER, ASK, ASK, ASK], adapters=[tofu, None, miso, tofu], max_new_tokens=20)
    assert rows[0] == "Tofu lives in Oslo."
    assert [rows[1]] == plain
    assert rows[2] == "Miso lives in Rome."
    assert rows[3] == said(memory, ASK, tofu)[: len(rows[3])]
    assert said(memory, ASK, None)[:10] == plain[0][:10], "what was named for one batch is forgotten after it"


def test_adapters_come_and_go_while_others_answer(memory: ParameterMemory, learnt: Any) -> None:
    miso, tofu = learnt[2]
    plain = said(memory, ASK, None)
    memory.store.activate(miso)
    wrong: list[str] = []

    def keep_asking(adapter: str | None, right: str) -> None:
        wrong.extend(found for _ in range(4) if (found := said(memory, ASK, adapter)) != right)

    askers = [
        threading.Thread(target=keep_asking, args=pair) for pair in ((miso, "Miso lives in Rome."), (None, plain))
    ]
    for each in askers:
        each.start()
    for _ in range(4):
        memory.store.activate(tofu)
        memory.store.retire(tofu)
    for each in askers:
        each.join()
    assert wrong == []


def test_an_answer_whose_adapter_goes_is_broken_off(memory: ParameterMemory, learnt: Any) -> None:
    miso = learnt[2][0]
    memory.store.activate(miso)
    tokens = memory.stream(ASK, adapter=miso, max_new_tokens=20)
    next(tokens)
    memory.store.retire(miso)
    with pytest.raises(ModelError, match="taken off"):
        list(tokens)


def test_keys_and_values_are_kept_by_adapter(memory: ParameterMemory, learnt: Any) -> None:
    miso, tofu = learnt[2]
    model, store = memory.model, KVStore(memory.model)
    memory.store.activate(miso)
    memory.store.activate(tofu)
    ids = model.render(ASK)
    keys = [store.put(ids, tenant="acme", adapters=named).key for named in ((), (miso,), (tofu,))]
    assert len(set(keys)) == 3
    assert store.statistics.built_tokens == 3 * len(ids)
    warm = store.match([*ids, ids[-1]], tenant="acme", adapters=(miso,))
    tokens = model.stream(ids, prefix=warm, adapters=(miso,), max_new_tokens=24)
    assert "".join(token.text for token in tokens) == "Miso lives in Rome."
    assert store.verify(store.put(ids, tenant="acme", adapters=(miso,)), adapters=(miso,)) <= 1e-4


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_reads_the_folder(memory: ParameterMemory, learnt: Any, folder: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    miso = learnt[2][0]
    memory.store.activate(miso)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), memory.store.get(miso).folder)
    with torch.inference_mode():
        found = theirs.eval()(torch.tensor([memory.model.render(ASK)])).logits[0, -1]
    assert torch.allclose(found, logits(memory.model, (miso,)), atol=1e-5)


# --- what is not believed ------------------------------------------------------------------------------------------


@pytest.mark.answers("AISVS 6.1.2")
@pytest.mark.parametrize("damage", ["unsigned", "edited", "renamed", "half written"])
def test_what_we_did_not_seal_is_not_used(memory: ParameterMemory, learnt: Any, damage: str) -> None:
    kept = memory.store.get(learnt[2][0])
    if damage == "unsigned":
        (kept.folder / RECORD).unlink()
    elif damage == "edited":
        record = json.loads((kept.folder / RECORD).read_text())
        record["report"]["failed"] = ["x"]
        (kept.folder / RECORD).write_text(json.dumps(record))
    elif damage == "renamed":
        kept.folder.rename(kept.folder.with_name("memos-other"))
    else:
        kept.folder.rename(kept.folder.with_name(".new-1"))
    again = AdapterStore(memory.model, memory.store.folder)
    assert {each.name for each in again} == {learnt[2][1]}
    assert len(again.refused) == (0 if damage == "half written" else 1)
    assert not (memory.store.folder / ".new-1").exists()


def test_a_foreign_base_is_refused_and_says_how(learnt: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(learnt[0], tmp_path / "adapters")
    other = HuggingFaceModel(build_tiny_llama(tmp_path / "m", seed=4))
    store = AdapterStore(other, tmp_path / "adapters")
    with pytest.raises(ModelError, match=r"another weights.*Train it again"):
        store.activate(learnt[2][0])
    assert other.adapters == ()


@pytest.mark.answers("input 9")
@pytest.mark.parametrize("damage", ["nan", "shape", "layer", "kind", "pickle"])
def test_weights_that_do_not_fit_are_not_loaded(memory: ParameterMemory, learnt: Any, damage: str) -> None:
    import torch
    from safetensors.torch import save_file

    store, kept = memory.store, memory.store.get(learnt[2][0])
    tensors, said = read_adapter(kept.folder)
    name = sorted(tensors)[0]
    if damage == "nan":
        tensors[name][0, 0] = math.nan
    elif damage == "shape":
        tensors[name] = torch.zeros(3, 3, dtype=torch.float16)
    elif damage == "layer":
        tensors["base_model.model.model.layers.9.x.lora_A.weight"] = tensors.pop(name)
    elif damage == "kind":
        (kept.folder / CONFIG).write_text(json.dumps({**said, "peft_type": "PROMPT_TUNING"}))
    save_file(tensors, kept.folder / WEIGHTS)
    if damage == "pickle":
        (kept.folder / WEIGHTS).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError):
        store.activate(kept.name)
    assert memory.model.adapters == ()
    assert said is not None


def test_a_full_disk_keeps_no_adapter(model: HuggingFaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = AdapterStore(model, tmp_path)
    staged = store.staging()
    (staged / WEIGHTS).write_bytes(b"x")
    (staged / CONFIG).write_text("{}")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(ModelError, match="Free some space"):
        store.keep(staged, tenant="acme", sources=[], report=_report())
    assert list(store) == []
    assert not staged.exists()


def _report() -> GateReport:
    return GateReport(
        recall_taught=1,
        recall_probes=1,
        perplexity_before=1,
        perplexity_after=1,
        questions=1,
        right_before=1,
        lost=0,
        gained=0,
    )


# --- governance ----------------------------------------------------------------------------------------------------


@pytest.fixture
def governed(memos: MemOS, model: HuggingFaceModel, tmp_path: Path) -> Iterator[ParameterCubes]:
    with ParameterMemory(AdapterStore(model, tmp_path / "a"), recipe=QUICK, gates=LENIENT) as memory:
        yield ParameterCubes(memos, memory)


_SLOW = [pytest.param(how, marks=pytest.mark.slow) for how in ("update", "expire")]


@pytest.mark.answers("AISVS 11.2.5")
@pytest.mark.parametrize("how", ["forget", *_SLOW])
def test_nothing_answers_what_was_forgotten(memos: MemOS, governed: ParameterCubes, how: str) -> None:
    import torch

    memory, model = governed.memory, governed.memory.model
    before, plain = logits(model), said(governed.memory, ASK, None)
    source = memos.remember("Miso lives in Rome.", by=ANA, readers=["ben"])
    cube = governed.distil([source.id], by=ANA)
    assert cube.tier is Tier.PARAMETER
    assert isinstance(cube.payload, ParameterPayload)
    assert cube.payload.training["gates"]["questions"] >= 40, "the gate report is part of the cube"
    assert "Rome" not in json.dumps(cube.payload.training), "and holds no word of the memory"
    assert cube.governance.readers == ("user:ben",)
    assert [ref.id for ref in cube.provenance.derived_from] == [source.id]
    name = governed.adapter_of(cube, by=BEN)
    assert name is not None
    assert said(memory, ASK, name) == "Miso lives in Rome."
    for other in (EVE, Principal(tenant="acme", user="cy")):
        assert governed.adapter_of(cube, by=other) is None
        with pytest.raises(CubeNotFoundError):
            governed.load(cube, by=other)
    found = memos.recall("Where does Miso live?", by=ANA, needed=True)
    assert [hit.cube.id for hit in found.hits] == [source.id], "weights are no text to be recalled"
    assert memory.adapter_for(found) == name
    if how == "forget":
        receipt = memos.forget(source.id, by=ANA)
        assert cube.id in receipt.derived
        assert receipt.erased["derivatives"] == 1
        assert not any(receipt.remaining.values())
    elif how == "update":
        memos.update(source.id, by=ANA, text="Miso lives in Oslo.")
    else:
        memos.update(source.id, by=ANA, expires_at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(CubeNotFoundError):
        governed.load(cube, by=ANA)
    assert governed.adapter_of(cube, by=ANA) is None
    assert memory.adapter_for(found) is None
    with pytest.raises(ModelError):
        said(memory, ASK, name)
    assert model.adapters == ()
    assert memory.sources() == set()
    assert memory.store.is_gone([source.ref])
    if how != "forget":
        changed = memos.get(source.id, by=ANA)
        assert not memory.store.is_gone([changed.ref]), "as it is now, it may be learnt"
    assert not list(memory.store.folder.rglob("*.safetensors")), "nothing of it is left on disk"
    assert torch.equal(logits(model), before)
    assert said(memory, ASK, None) == plain


def test_a_vault_gives_the_adapter_back_after_a_restart(folder: Path, tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "v") as memos:
        source = memos.remember("Miso lives in Rome.", by=ANA)
        with ParameterMemory(
            AdapterStore(HuggingFaceModel(folder), tmp_path / "a"), recipe=QUICK, gates=LENIENT
        ) as one:
            cube = ParameterCubes(memos, one).distil([source.id], by=ANA)
    store = AdapterStore(HuggingFaceModel(folder), tmp_path / "elsewhere")
    with MemOS.open(tmp_path / "v") as memos, ParameterMemory(store, gates=LENIENT) as two:
        cubes_of = ParameterCubes(memos, two)
        name = cubes_of.load(cube.id, by=ANA).name
        assert said(two, ASK, name) == "Miso lives in Rome."
        assert cubes_of.load(cube.id, by=ANA).name == name, "it is taken once"
        memos.forget(source.id, by=ANA)
        assert two.model.adapters == ()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"ttl": timedelta(days=9)}, "it expires"),
        ({"sensitivity": ["health"]}, "it is sensitive"),
    ],
)
def test_what_must_not_be_trained_on_is_refused(
    memos: MemOS, governed: ParameterCubes, how: dict[str, Any], why: str
) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA, **how)
    with pytest.raises(InvalidMemoryError, match=why):
        governed.distil([source.id], by=ANA)
    assert list(governed.memory.store) == []


def test_held_foreign_and_narrow_memories_are_refused(memos: MemOS, governed: ParameterCubes) -> None:
    held = memos.remember("Miso lives in Rome.", by=ANA)
    memos.hold(held.id, by=ADMIN)
    with pytest.raises(InvalidMemoryError, match="legal hold"):
        governed.distil([held.id], by=ANA)
    one = memos.remember("Tofu lives in Oslo.", by=ANA, readers=["ben"])
    two = memos.remember("Pepper lives in Bern.", by=ANA)
    with pytest.raises(CubeNotFoundError):
        governed.distil([one.id], by=EVE)
    with pytest.raises(AccessDeniedError, match="2 erasure groups"):
        governed.distil([one.id, two.id], by=ANA)
    with pytest.raises(AccessDeniedError, match="narrower audience"):
        governed.distil([one.id], by=ANA, readers=["ben", "cy"])
    with pytest.raises(InvalidMemoryError, match="at least one"):
        governed.distil([], by=ANA)
    groups = erasure_groups([memos.get(each.id, by=ANA) for each in (one, two)])
    assert [[cube.id for cube in group] for group in groups] == [[one.id], [two.id]]
    assert list(governed.memory.store) == []


def test_a_source_that_goes_while_it_is_learnt_leaves_nothing(memos: MemOS, governed: ParameterCubes) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)

    def forget(step: int, steps: int) -> None:
        if step == 3:
            memos.forget(source.id, by=ANA)

    governed.memory.recipe = SHORT
    with pytest.raises(ModelError, match="forgotten while it was learnt"):
        governed.distil([source.id], by=ANA, progress=forget)
    assert list(governed.memory.store) == []
    assert not list(governed.memory.store.folder.rglob("*.safetensors"))


def test_an_unfinished_training_goes_with_its_source(memos: MemOS, governed: ParameterCubes) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    governed.memory.recipe = SHORT
    steps: list[int] = []
    with pytest.raises(TrainingCancelledError):
        governed.distil([source.id], by=ANA, progress=lambda n, _: steps.append(n), cancelled=lambda: len(steps) == 4)
    assert list(governed.memory.store.folder.rglob("step-4.safetensors"))
    assert governed.memory.model.adapters == ()
    memos.forget(source.id, by=ANA)
    assert not list(governed.memory.store.folder.rglob("*.safetensors"))


def test_other_architectures_learn_by_the_same_mechanics(tmp_path: Path) -> None:
    for build in (_gpt2, _qwen):
        model = HuggingFaceModel(build(tmp_path / build.__name__))
        with ParameterMemory(
            AdapterStore(model, tmp_path / f"{build.__name__}-a"), recipe=SHORT, gates=LENIENT
        ) as memory:
            made: Adapter = memory.learn(cubes("Miso lives in Rome."))
            losses = made.training["losses"]
            assert losses[-1] < losses[0]
            assert memory.store.active == (made.name,)
            assert replace(made).size > 0


def _gpt2(folder: Path) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    build_tiny_llama(folder)
    size = {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 512,
        "vocab_size": 259,
        "bos_token_id": 256,
        "eos_token_id": 258,
    }
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(**size)).save_pretrained(folder)
    return folder


def _qwen(folder: Path) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    build_tiny_llama(folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Qwen2Config(
        **size, num_key_value_heads=2, max_position_embeddings=512, vocab_size=259, bos_token_id=256, eos_token_id=258
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_rejected_adapter_is_a_cube_with_its_report_and_cannot_be_loaded(
    memos: MemOS, governed: ParameterCubes
) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    governed.memory.recipe, governed.memory.gates = SHORT, Gates(probes=1.0)
    cube = governed.distil([source.id], by=ANA)
    assert isinstance(cube.payload, ParameterPayload)
    assert any("probes" in reason for reason in cube.payload.training["gates"]["failed"])
    assert governed.adapter_of(cube, by=ANA) is None
    with pytest.raises(ModelError, match="did not pass"):
        governed.load(cube, by=ANA)
    assert governed.memory.model.adapters == ()


def test_general_questions_are_in_one_list_only_and_the_benchmark_asks_others() -> None:
    from memos_integrations.backends.lora.everyday import ASKED
    from memos_integrations.backends.lora.yardstick import QUESTIONS
    from tests.benchmarks.lora import ASKED as HELD_OUT

    lists = [*ASKED, *(question for question, _ in QUESTIONS)]
    assert len(lists) == len({question.casefold() for question in lists}) >= 140
    asked_there = {form for forms in HELD_OUT.values() for form in forms}
    assert not asked_there & set(lists)


def test_questions_lost_are_counted_one_by_one_whatever_was_gained() -> None:
    report = _report().model_copy(update={"questions": 40, "right_before": 20, "lost": 5, "gained": 3})
    assert report.lost_pct == 12.5
    assert report.model_copy(update={"gained": 9}).lost_pct == 12.5
    assert any(reason.startswith("questions lost 12.5 %") for reason in _failed(report, Gates()))
    assert _failed(report.model_copy(update={"lost": 2, "gained": 0}), Gates()) == ()
