"""All six transformations between text, keys and values, and adapters: decided by cost, carried out by `tick`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore, plain_prompt
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.cli import app
from memos_integrations.core.costs import Costing, FormCosts, decide_form, ledger_of
from memos_integrations.core.cube import Tier
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.operator.tiering import Measured, Tiered, Tiering
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.vaults.memory import InMemoryVault
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT, KV, LORA = Tier.PLAINTEXT, Tier.ACTIVATION, Tier.PARAMETER
SHORT = Recipe(steps=6, mending=0, save_every=1, questions=0, retained=0, retain=0.0, teacher=0.0)
LENIENT = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)
ASK = "Where does Miso live?"
CHAT = [{"role": "user", "content": ASK}]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Prices:
    """What both forms cost, as a test sets it: figures, in the place of those that a machine measures."""

    def __init__(self) -> None:
        self.forms = {
            KV: FormCosts(use_seconds=0.2, build_seconds=1.0, size=50_000_000),
            LORA: FormCosts(use_seconds=0.1, build_seconds=60.0, size=250_000),
        }

    def of(self, form: Tier) -> Callable[[Any], Measured]:
        return lambda sources: Measured(1.0, self.forms[form])


class House:
    """A memory with both kinds of computed memory over one model, at set prices."""

    def __init__(self, memos: MemOS, folder: Path, place: Path) -> None:
        self.memos, self.prices, self.clock = memos, Prices(), memos._clock
        self.model = HuggingFaceModel(folder)
        self.kv = ActivationMemory(KVStore(self.model))
        self.lora = ParameterMemory(AdapterStore(self.model, place), recipe=SHORT, gates=LENIENT)
        self.keys, self.weights = ActivationCubes(memos, self.kv), ParameterCubes(memos, self.lora)
        for each in (self.keys, self.weights):
            each.costs = self.prices.of(each.form)  # type: ignore[method-assign]

    def use(self, times: int, by: Principal = ANA) -> None:
        for _ in range(times):
            self.memos.recall(ASK, by=by, needed=True)

    def tick(self, days: float = 0.0, **how: Any) -> Tiered:
        self.clock.now += timedelta(days=days)  # type: ignore[attr-defined]
        rent = how.pop("rent", 1e-15)
        return self.memos.tick(by=how.pop("by", ANA), tiering=Tiering(rent=rent, grace=timedelta(0), **how)).tiered

    def computed(self) -> list[tuple[Tier, frozenset[str]]]:
        found = self.memos.find(by=ANA, where=CubeFilter(tiers=frozenset({KV, LORA})), k=100)
        return sorted((cube.tier, frozenset(ref.id for ref in cube.provenance.derived_from)) for cube in found)

    def close(self) -> None:
        self.lora.close()
        self.kv.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny", context=1024)


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=Clock()) as opened:
        yield opened


@pytest.fixture
def house(memos: MemOS, folder: Path, tmp_path: Path) -> Iterator[House]:
    made = House(memos, folder, tmp_path / "adapters")
    yield made
    made.close()


@pytest.fixture
def miso(memos: MemOS) -> MemCube:
    return memos.remember("Miso lives in Rome.", by=ANA)


def learnt(house: House, source: MemCube) -> MemCube:
    """A parameter cube that says that it passed, for what looks at no weights."""
    said = {"adapter": "memos-x", "gates": {"failed": []}}
    return house.memos.keep_parameter(b"weights", [source], base=house.weights.base, training=said, by=ANA)


def moves(done: Tiered) -> list[tuple[Tier, Tier]]:
    return [(move.before, move.after) for move in done.moved]


def test_six_transformations_are_carried_out_as_it_pays(house: House, miso: MemCube) -> None:
    only = frozenset({miso.id})
    assert house.tick() == Tiered(), "what nobody asks for stays text"
    house.use(5)
    assert moves(house.tick()) == [(TEXT, KV)]
    assert house.computed() == [(KV, only)]
    assert moves(house.tick()) == [], "and is decided once"
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.1, size=1_000)
    assert moves(house.tick(rent=1e-12)) == [(KV, LORA)]
    assert house.computed() == [(LORA, only)], "the keys and values went when the adapter was there"
    house.prices.forms[LORA] = FormCosts(use_seconds=0.9, build_seconds=60.0, size=250_000)
    house.prices.forms[KV] = FormCosts(use_seconds=0.0, build_seconds=0.1, size=1_000)
    assert moves(house.tick()) == [(LORA, KV)]
    assert house.computed() == [(KV, only)]
    assert list(house.lora.store) == [], "and its files"
    assert moves(house.tick(days=300)) == [(KV, TEXT)]
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    house.use(5)
    assert moves(house.tick()) == [(TEXT, LORA)]
    assert moves(house.tick(days=300)) == [(LORA, TEXT)]
    assert house.computed() == []
    assert house.memos.get(miso.id, by=ANA).text == miso.text
    assert house.memos.tick(by=ANA, learn_seconds=60).relearnt.made == {}, "what was let go is not learnt again"
    assert house.memos.verify_audit().ok


def test_a_decision_is_on_record_and_comes_out_the_same_again(house: House, miso: MemCube) -> None:
    house.use(5)
    (move,) = house.tick().moved
    made = house.memos.get(move.made or "", by=ANA)
    assert made.provenance.trigger == move.reason, "the cube says why it was made"
    (entry,) = house.memos.audit(by=ANA, cube_id=miso.id, operation="tier")
    detail = entry.record.detail
    assert isinstance(detail, dict)
    again = decide_form(Costing.model_validate(detail["costing"]), rent=float(str(detail["rent"])))
    assert (again.after, again.reason) == (KV, move.reason)
    assert "Miso" not in entry.model_dump_json(), "and no words"


def test_policy_is_asked_first_and_a_rule_that_comes_later_is_obeyed(house: House, miso: MemCube) -> None:
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    house.use(5)
    house.memos.update(miso.id, by=ANA, sensitivity=("health",))
    (move,) = house.tick().moved
    assert move.after is KV
    assert "refused: parameter (it is sensitive (health))" in move.reason
    house.memos.update(miso.id, by=ANA, expires_at=NOW + timedelta(days=900))
    done = house.tick()
    assert [move.reason for move in done.moved] == ["a source of it changed, so it serves nobody"]
    assert house.computed() == []
    house.use(50)
    assert moves(house.tick()) == [], "what expires stays text"


@pytest.mark.parametrize("how", ["archived", "over"])
def test_what_recall_would_not_give_is_not_learnt(house: House, miso: MemCube, how: str) -> None:
    if how == "archived":
        house.memos.move(miso.id, "archived", by=ANA)
    else:
        house.memos.update(miso.id, by=ANA, valid_to=NOW)
    with pytest.raises(InvalidMemoryError, match="out of recall, or holds no longer"):
        house.weights.distil([miso.id], by=ANA)


def test_bytes_bound_a_pass(house: House, miso: MemCube) -> None:
    house.use(5)
    full = house.tick(size=10)
    assert [move.why_not for move in full.waiting] == [
        "it would make 50000000 bytes of computed memory, of 10 that are allowed"
    ]
    assert house.computed() == []
    denied = house.memos.audit(by=ANA, operation="tier", outcome="denied")
    assert [entry.record.cube_id for entry in denied] == [miso.id]


@pytest.mark.slow
def test_seconds_bound_a_pass_and_the_next_goes_on(house: House, miso: MemCube) -> None:
    house.use(5)
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    short = [house.tick(seconds=1e-9) for _ in range(3)]
    assert [[move.after for move in each.waiting] for each in short] == [[LORA]] * 3
    states = [each.name for each in house.lora.store.folder.rglob("step-*.safetensors")]
    assert states == ["step-3.safetensors"], "however short a pass is, it gets on by a step"
    assert moves(house.tick()) == [(TEXT, LORA)]


@pytest.mark.slow
def test_what_fails_its_gates_is_not_learnt_again_and_again(house: House, miso: MemCube) -> None:
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    house.lora.gates = Gates(taught=1.0)
    house.use(5)
    (failed,) = house.tick().failed
    assert "gates" in failed.why_not
    (move,) = house.tick().moved
    assert move.after is KV
    assert "did not pass its gates" in move.reason
    assert house.tick().failed == ()


def test_only_ones_own_uses_count_and_each_once(house: House, miso: MemCube) -> None:
    two = house.memos.remember("Miso lives in Rome with Tofu.", by=ANA)
    house.use(5)
    house.use(50, by=BEN)
    assert house.tick(by=BEN) == Tiered()
    done = house.tick()
    assert [set(move.sources) for move in done.moved] == [{miso.id, two.id}], "together, as they were handed out"
    assert house.tick().considered == 1, "and not each alone as well"


def test_a_pass_that_was_cut_off_between_two_forms_leaves_one(house: House, miso: MemCube) -> None:
    house.use(5)
    house.tick()
    learnt(house, miso)  # the cut: the new form is made, the old one not yet let go
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.1, size=1_000)
    assert moves(house.tick()) == [(KV, TEXT)]
    assert house.computed() == [(LORA, frozenset({miso.id}))]


def test_another_model_is_noticed_and_what_it_cannot_use_is_made_anew(
    house: House, miso: MemCube, tmp_path: Path
) -> None:
    house.use(5)
    house.tick()
    learnt(house, miso)
    other = House(house.memos, build_tiny_llama(tmp_path / "other", seed=1, context=1024), tmp_path / "b")
    house.memos._tierer.formers = [other.keys, other.weights]  # as in the next program, which opens the other model
    recall = house.memos.recall(ASK, by=ANA, needed=True)
    assert other.weights.adapter_for(recall) is None, "it is not served"
    assert any("another weights" in why for why in other.weights.refused.values())
    before = house.memos.tick(by=ANA, tiering=Tiering(grace=timedelta(0))).tiered
    assert len(before.foreign) == 2
    assert moves(before) == [(TEXT, KV)], "it is made anew where it pays"
    done = house.tick(others=True)
    assert sorted(moves(done)) == [(KV, TEXT), (LORA, TEXT)]
    assert all("not the model here" in move.reason for move in done.moved)
    (left,) = house.memos.find(by=ANA, where=CubeFilter(tiers=frozenset({KV, LORA})))
    assert other.keys.load(left, by=ANA).token_ids
    other.close()


def test_keys_and_values_under_an_adapter_go_with_what_it_was_learnt_from(house: House, miso: MemCube) -> None:
    tofu = house.memos.remember("Tofu eats tuna.", by=ANA)
    adapter = house.weights.load(house.weights.distil([miso.id], by=ANA), by=ANA).name
    cube = house.keys.promote([tofu.id], by=ANA, adapters=[adapter])
    assert {ref.id for ref in cube.provenance.derived_from} == {tofu.id, miso.id}
    assert house.kv.store.statistics.memory_bytes > 0
    house.memos.forget(miso.id, by=ANA)
    with pytest.raises(CubeNotFoundError):
        house.memos.get(cube.id, by=ANA)
    assert house.kv.store.statistics.memory_bytes == 0
    assert house.memos.get(tofu.id, by=ANA)


@pytest.mark.slow
def test_keys_and_values_under_an_adapter_that_went_alone_are_let_go(house: House, miso: MemCube) -> None:
    learnt = house.weights.distil([miso.id], by=ANA)
    adapter = house.weights.load(learnt, by=ANA).name
    house.keys.promote([miso.id], by=ANA, adapters=[adapter])
    house.memos.forget(learnt.id, by=ANA)
    (move,) = house.tick().moved
    assert move.reason == f"the adapter {adapter} that it was computed with is gone"
    assert house.computed() == []


@pytest.mark.slow
@pytest.mark.parametrize("spare", [False, True])
def test_text_is_spared_only_where_that_is_asked_for(memos: MemOS, folder: Path, tmp_path: Path, spare: bool) -> None:
    memos.remember("Miso lives in Rome.", by=ANA)
    model = HuggingFaceModel(folder)
    with ParameterMemory(AdapterStore(model, tmp_path / "a"), recipe=SHORT, gates=LENIENT) as memory:
        cubes = ParameterCubes(memos, memory, spare_text=spare)
        (source,) = memos.find(by=ANA, where=CubeFilter())
        cost = cubes.costs([source])
        assert (cost.form.use_seconds < cost.text_seconds) is spare
        assert cost.form.build_seconds > 0
        assert cost.form.size > 0
        cubes.distil([source.id], by=ANA)
        assert cubes.costs([source]).form.size == next(iter(memory.store)).size, "as measured, once one was made"
        chat = MemOSChatModel(model=model, parameters=cubes, max_tokens=2)
        recall = memos.recall(ASK, by=ANA, needed=True)
        with_memory, without = (chat.invoke(ASK, recall=each).usage_metadata for each in (recall, None))
        assert with_memory is not None
        assert without is not None
        assert (with_memory["input_tokens"] == without["input_tokens"]) is spare


def test_measured_costs_are_of_this_model(memos: MemOS, folder: Path) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    with ActivationMemory(KVStore(HuggingFaceModel(folder))) as memory:
        cubes = ActivationCubes(memos, memory)
        cost = cubes.costs([source])
        assert 0 < cost.text_seconds == cost.form.build_seconds
        cubes.promote([source.id], by=ANA)
        counts = memory.store.statistics
        tokens = cost.form.size / memory.store.bytes_per_token
        assert 0 < tokens < counts.built_tokens, "the memory alone, not what stands before it"
        assert cubes.costs([source]).text_seconds == pytest.approx(tokens * counts.built_seconds / counts.built_tokens)


def test_what_answers_took_is_in_the_ledger(memos: MemOS, folder: Path) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    with ActivationMemory(KVStore(HuggingFaceModel(folder))) as memory:
        ActivationCubes(memos, memory)
        recall = memos.recall(ASK, by=ANA, needed=True)
        answers = [list(memory.stream(CHAT, recall=recall, max_new_tokens=3))]
        answers += memory.answer_batch([CHAT, CHAT], recall=recall, max_new_tokens=3)
        memory.settle()
    usages = [answer[-1].usage for answer in answers]
    told = [entry.record for entry in memos.audit(by=ANA, operation="model", limit=1_000)]
    ledger = ledger_of(memos.audit(by=ANA, limit=1_000), [])
    (deed,) = [deed for deed in ledger.deeds if deed.operation == "model"]
    assert deed.tokens_out == sum(usage.output_tokens for usage in usages if usage)
    assert deed.tokens_cached == sum(usage.cached_tokens for usage in usages if usage) > 0
    assert deed.tokens_in >= sum(usage.input_tokens for usage in usages if usage)
    assert deed.model_calls >= 3
    assert deed.wall_s > 0
    assert all(record.actor == "user:ana" for record in told)
    (of_it,) = [each for each in ledger.touched if each.cube_id == source.id]
    assert of_it.tokens_out >= deed.tokens_out, "one memory was in all of them"
    assert ledger.reconciles


def test_both_parts_count_the_same_words_as_read(memos: MemOS, folder: Path, tmp_path: Path) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    model = HuggingFaceModel(folder)
    with ActivationMemory(KVStore(model)) as kv, ParameterMemory(AdapterStore(model, tmp_path / "a")) as lora:
        keys, weights = ActivationCubes(memos, kv), ParameterCubes(memos, lora)
        weights._pace = keys._pace
        assert weights.costs([source]).text_seconds == pytest.approx(keys.costs([source]).text_seconds)


def test_no_more_than_asked_for_at_a_time_and_the_rest_is_told(house: House, miso: MemCube) -> None:
    tofu = house.memos.remember("Pepper eats tuna.", by=ANA)
    house.use(5)
    for _ in range(5):
        house.memos.recall("What does Pepper eat?", by=ANA, needed=True, k=1)
    first = house.memos.tick(by=ANA, tiering=Tiering(limit=1, grace=timedelta(0)))
    assert (len(first.tiered.moved), len(first.tiered.waiting), first.more) == (1, 1, True)
    second = house.memos.tick(by=ANA, tiering=Tiering(limit=1, grace=timedelta(0)))
    assert (len(second.tiered.moved), len(second.tiered.waiting), second.more) == (1, 0, False)
    assert {each for _, ids in house.computed() for each in ids} == {miso.id, tofu.id}


def test_what_was_made_today_stays_unless_a_rule_forbids_it(house: House, miso: MemCube) -> None:
    house.use(5)
    house.tick()
    house.prices.forms[KV] = FormCosts(use_seconds=1.0, build_seconds=1.0, size=50_000_000)
    young = house.memos.tick(by=ANA, tiering=Tiering())
    assert young.tiered.moved == ()
    assert moves(house.tick()) == [(KV, TEXT)]


def test_what_one_part_makes_is_left_alone_by_a_pass_without_that_part(house: House, miso: MemCube) -> None:
    made = learnt(house, miso)
    house.memos._tierer.formers = [house.keys]
    done = house.tick(others=True)
    assert (done.moved, done.foreign) == ((), ())
    house.use(5)
    assert moves(house.tick(others=True)) == [(TEXT, KV)]
    assert house.memos.get(made.id, by=ANA)


def test_keys_and_values_under_another_head_are_let_go_too(house: House, miso: MemCube) -> None:
    for system in (None, "You are brief."):
        house.keys.promote([miso.id], by=ANA, system=system)
    assert moves(house.tick(days=300)) == [(KV, TEXT), (KV, TEXT)]
    assert house.computed() == []


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["Miso lives in Rome.", "Miso lives in Oslo."], "contradict"),
        (["Where does Miso live?"], "teach"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_it_is_begun(house: House, texts: list[str], why: str) -> None:
    house.memos.remember_many(texts, by=ANA)
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    house.use(5)
    (move,) = house.tick().moved
    assert move.after is KV
    assert why in move.reason.partition("refused: parameter")[2]


def test_a_disk_that_holds_no_training_is_told_and_tried_again(house: House, miso: MemCube) -> None:
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.01, size=10)
    house.use(5)
    place = house.lora.store.folder
    shutil.rmtree(place)
    place.write_text("a file where a folder should be")
    for _ in range(2):
        (move,) = house.tick().failed
        assert "cannot hold a training" in move.why_not
    assert house.computed() == []
    (entry, *_) = house.memos.audit(by=ANA, operation="tier", outcome="denied")
    assert "cannot hold a training" in entry.record.reason


KILLED = """
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from memos_integrations import MemOS
from memos_integrations.backends.lora.training import _Course
from memos_integrations.core.operator.tierer import _Pass
from memos_integrations.core.operator.tiering import Tiering
from tests.backends.test_tiering import ANA, KV, LORA, Clock, House
from memos_integrations.core.costs import FormCosts

where, folder, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
step, forgotten = _Course.step, _Pass._forgotten
def killed_at_a_step(self, number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, number)
def killed_before_the_old_form_goes(self, move, held):
    os.kill(os.getpid(), signal.SIGKILL)
if when == "training":
    _Course.step = killed_at_a_step
else:
    _Pass._forgotten = killed_before_the_old_form_goes
clock = Clock()
clock.now += timedelta(hours=1)
with MemOS.open(where / "v", clock=clock) as memos:
    house = House(memos, folder, where / "a")
    house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.1, size=1_000)
    memos.tick(by=ANA, tiering=Tiering(rent=1e-12, grace=timedelta(0)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["training", "letting go"])
def test_a_pass_that_is_killed_leaves_what_was_and_the_next_goes_on(folder: Path, tmp_path: Path, when: str) -> None:
    clock = Clock()
    with MemOS.open(tmp_path / "v", clock=clock) as memos:
        source = memos.remember("Miso lives in Rome.", by=ANA)
        house = House(memos, folder, tmp_path / "a")
        house.use(5)
        assert moves(house.tick()) == [(TEXT, KV)]
        house.close()
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(folder), when], env=env, check=False, capture_output=True
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    clock.now += timedelta(hours=2)
    with MemOS.open(tmp_path / "v", clock=clock) as memos:
        house = House(memos, folder, tmp_path / "a")
        house.prices.forms[LORA] = FormCosts(use_seconds=0.0, build_seconds=0.1, size=1_000)
        only = frozenset({source.id})
        halves = list((tmp_path / "a").rglob("step-3.safetensors"))
        assert bool(halves) is (when == "training")
        assert house.computed() == ([(KV, only)] if when == "training" else [(KV, only), (LORA, only)])
        assert moves(house.tick(rent=1e-12)) == [(KV, LORA if when == "training" else TEXT)]
        assert house.computed() == [(LORA, only)], "one form, whenever it was killed"
        assert memos.verify_audit().ok
        house.close()


def test_the_command_learns_for_a_model_that_it_is_given(folder: Path, tmp_path: Path) -> None:
    me = Principal(tenant="local", user="ana")
    with MemOS.open(tmp_path / "v") as memos:
        memos.remember("Miso lives in Rome.", by=me)
        for _ in range(8):
            memos.recall(ASK, by=me, needed=True)
    words = ["tick", "--vault", str(tmp_path / "v"), "--user", "ana", "--model", str(folder), "--seconds", "20"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    (move,) = json.loads(done.stdout)["tiered"]["moved"]
    assert (move["before"], move["after"]) == ("plaintext", "activation")
    again = CliRunner().invoke(app, words)
    assert "1 sets of memories considered, 0 given another form" in again.output
    cramped = CliRunner().invoke(app, [*words, "--bytes", "1", "--model", str(tmp_path / "nowhere")])
    assert cramped.exit_code != 0
    told = json.loads(
        CliRunner().invoke(app, ["costs", "--vault", str(tmp_path / "v"), "--user", "ana", "--json"]).stdout
    )
    assert told["reconciles"]
    (deed,) = [deed for deed in told["deeds"] if deed["operation"] == "model"]
    assert deed["tokens_in"] > 0
    kept = {held["tier"]: held["blob_bytes"] for held in told["holdings"]}
    assert deed["stored_bytes"] == kept["activation"] > 0
    assert kept.keys() == {"plaintext", "activation"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_vault_moves_between_smollm2_and_a_tiny_model(
    memos: MemOS, models: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    """Keys and values and an adapter of one model are told from the other's, refused there, and made anew for it."""
    source = memos.remember("Miso lives in Rome.", by=ANA)
    for _ in range(5):
        memos.recall(ASK, by=ANA, needed=True)
    whole = HuggingFaceModel(models["smollm2"])
    with ActivationMemory(KVStore(whole)) as memory:
        keys = ActivationCubes(memos, memory)
        cost = keys.costs([source])
        assert cost.text_seconds > 0
        kept = keys.promote([source.id], by=ANA)
        base = whole.fingerprint
    said = {"adapter": "memos-x", "gates": {"failed": []}}
    memos.keep_parameter(b"weights", [source], base=base, training=said, by=ANA)
    memos._tierer.formers.clear()
    small = House(memos, folder, tmp_path / "a")
    with pytest.raises(ModelError, match="its text is used instead"):
        small.keys.load(kept, by=ANA)
    recall = memos.recall(ASK, by=ANA, needed=True)
    assert small.weights.adapter_for(recall) is None
    done = small.tick(others=True)
    assert sorted(moves(done)) == [(KV, TEXT), (LORA, TEXT), (TEXT, KV)]
    assert small.computed() == [(KV, frozenset({source.id}))]
    cold = [t.id for t in small.model.stream(plain_prompt(small.model, CHAT, recall).ids, max_new_tokens=4)]
    assert [t.id for t in small.kv.stream(CHAT, recall=recall, max_new_tokens=4)] == cold
    small.close()
