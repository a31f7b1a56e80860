"""Adapters whose source went or changed: what is left of their sources is learnt again, by `tick`, across crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, Gates, ParameterCubes, ParameterMemory, Recipe
from memos_integrations.core.cube import ParameterPayload, Tier
from memos_integrations.core.errors import CubeNotFoundError, ModelError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHORT = Recipe(steps=6, mending=0, save_every=1, questions=0, retained=0, retain=0.0, teacher=0.0)
LENIENT = Gates(taught=0.0, probes=0.0, perplexity_pct=1e9, lost_pct=100.0, neighbours=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny")


class Clock:
    """A present that goes on by a second with each look, so that what was forgotten apart is told apart."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=Clock()) as opened:
        yield opened


@pytest.fixture
def learning(memos: MemOS, folder: Path, tmp_path: Path) -> Iterator[ParameterCubes]:
    store = AdapterStore(HuggingFaceModel(folder), tmp_path / "a")
    with ParameterMemory(store, recipe=SHORT, gates=LENIENT) as memory:
        yield ParameterCubes(memos, memory)


def adapters(memos: MemOS) -> list[MemCube]:
    return memos.find(by=ANA, where=CubeFilter(tiers=frozenset({Tier.PARAMETER})), k=100)


def told(cube: MemCube) -> dict[str, object]:
    assert isinstance(cube.payload, ParameterPayload)
    assert isinstance(cube.payload.training, dict)
    return dict(cube.payload.training)


@pytest.mark.parametrize("how", ["forget", "update"])
def test_what_is_left_of_the_sources_is_learnt_again(memos: MemOS, learning: ParameterCubes, how: str) -> None:
    going, staying = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    old = learning.distil([going.id, staying.id], by=ANA)
    if how == "forget":
        memos.forget(going.id, by=ANA)
    else:
        memos.update(going.id, by=ANA, text="Miso lives in Bern.")
    assert learning.adapter_of(old, by=ANA) is None, "it is retired at once"
    hits = memos.recall("Where does Tofu live?", by=ANA, needed=True).hits
    assert staying.id in [hit.cube.id for hit in hits], "and the text stands in for it meanwhile"
    assert memos.tick(by=ANA).relearnt.made == {}, "without seconds nothing is learnt"
    assert memos.tick(by=BEN, learn_seconds=600).relearnt.made == {}, "nor for anybody else"
    done = memos.tick(by=ANA, learn_seconds=600).relearnt
    assert list(done.made) == [old.id]
    assert done.waiting == ()
    assert done.let_go == {}
    new = memos.get(done.made[old.id], by=ANA)
    left = [staying] if how == "forget" else [memos.get(going.id, by=ANA), staying]
    assert {ref for ref in new.provenance.derived_from} == {cube.ref for cube in left}
    assert told(new)["replaces"] == old.id, "the cube says in whose place it stands"
    assert learning.adapter_of(new, by=ANA) is not None
    with pytest.raises(CubeNotFoundError):
        memos.get(old.id, by=ANA)
    assert len(list(learning.memory.store)) == 1
    assert memos.tick(by=ANA, learn_seconds=600).relearnt.made == {}, "once"
    assert memos.verify_audit().ok


def test_what_cannot_be_learnt_again_is_let_go_on_record(memos: MemOS, learning: ParameterCubes) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    gone = learning.distil([source.id], by=ANA)
    memos.forget(source.id, by=ANA)
    ends = memos.remember("Tofu lives in Oslo.", by=ANA)
    held = learning.distil([ends.id], by=ANA)
    memos.update(ends.id, by=ANA, expires_at=NOW + timedelta(days=900))
    done = memos.tick(by=ANA, learn_seconds=600).relearnt
    assert done.made == {}
    assert set(done.let_go) == {gone.id, held.id}
    entries = memos.audit(by=ANA, operation="unlearnt")
    assert {entry.record.cube_id for entry in entries} == {gone.id, held.id}
    assert all("sources" in str(entry.record.detail) for entry in entries)
    assert memos.tick(by=ANA, learn_seconds=600).relearnt.let_go == {}


def test_an_adapter_that_was_itself_forgotten_does_not_come_back(memos: MemOS, learning: ParameterCubes) -> None:
    source = memos.remember("Miso lives in Rome.", by=ANA)
    cube = learning.distil([source.id], by=ANA)
    memos.forget(cube.id, by=ANA)
    memos.update(source.id, by=ANA, text="Miso lives in Bern.")
    done = memos.tick(by=ANA, learn_seconds=600).relearnt
    assert done.made == {}
    assert done.let_go == {cube.id: "it was forgotten itself"}
    assert adapters(memos) == []


def test_contradicting_sources_are_refused_with_the_reason(memos: MemOS, learning: ParameterCubes) -> None:
    one, two = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    old = learning.distil([one.id, two.id], by=ANA)
    memos.update(two.id, by=ANA, text="Miso lives in Oslo.")
    done = memos.tick(by=ANA, learn_seconds=600).relearnt
    assert "contradict" in done.let_go[old.id]
    assert adapters(memos) == []


def test_bytes_and_seconds_bound_a_pass_and_the_next_goes_on(memos: MemOS, learning: ParameterCubes) -> None:
    one, two = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    old = learning.distil([one.id, two.id], by=ANA)
    memos.forget(one.id, by=ANA)
    full = memos.tick(by=ANA, learn_seconds=600, learn_bytes=10)
    assert full.relearnt.waiting == (old.id,)
    assert full.more
    steps = [memos.tick(by=ANA, learn_seconds=0.001).relearnt.waiting for _ in range(2)]
    assert steps == [(old.id,), (old.id,)]
    states = [each.name for each in learning.memory.store.folder.rglob("step-*.safetensors")]
    assert states == ["step-2.safetensors"], "however short a pass is, it gets on by a step"
    done = memos.tick(by=ANA, learn_seconds=600)
    assert list(done.relearnt.made) == [old.id]


def test_a_batch_takes_each_adapter_from_its_own_recall(memos: MemOS, learning: ParameterCubes) -> None:
    bens = memos.remember("Pepper lives in Bern.", by=BEN)
    mine = memos.remember("Miso lives in Rome.", by=ANA)
    cube = learning.distil([mine.id], by=ANA)
    theirs = learning.distil([bens.id], by=BEN)
    chats = [[{"role": "user", "content": "Where does Miso live?"}]] * 3
    recalls = [memos.recall("Where does Miso live?", by=who, needed=True) for who in (ANA, BEN)]
    names = [learning.adapter_of(cube, by=ANA), learning.adapter_of(theirs, by=BEN)]
    asked = [learning.adapter_for(recall) for recall in recalls]
    assert asked[0] == names[0]
    assert asked[1] != names[0], "nobody is answered by what another has learnt"
    said = learning.answer_batch(chats, recalls=[*recalls, None], max_new_tokens=4)
    assert said == learning.memory.answer_batch(chats, adapters=[*asked, None], max_new_tokens=4)
    with pytest.raises(ModelError, match="one, or None"):
        learning.answer_batch(chats, recalls=recalls, max_new_tokens=4)


def test_what_never_served_is_not_learnt_again_and_what_failed_is_tried_again(
    memos: MemOS, learning: ParameterCubes
) -> None:
    one, two = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
    old = learning.distil([one.id], by=ANA)
    learning.memory.gates = Gates(taught=1.0)
    rejected = learning.distil([two.id], by=ANA)
    assert learning.adapter_of(rejected, by=ANA) is None
    memos.update(one.id, by=ANA, text="Miso lives in Bern.")
    memos.update(two.id, by=ANA, text="Tofu lives in Bonn.")
    learning.memory.gates, learning.memory.recipe = LENIENT, SHORT.model_copy(update={"rate": 1e30})
    done = memos.tick(by=ANA, learn_seconds=600)
    assert set(done.relearnt.failed) == {old.id}
    assert not done.more, "a loop over passes ends"
    learning.memory.recipe = SHORT
    assert set(memos.tick(by=ANA, learn_seconds=600).relearnt.made) == {old.id}


KILLED = """
import os
import signal
import sys
from pathlib import Path
from memos_integrations import MemOS, Principal
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora import AdapterStore, ParameterCubes, ParameterMemory
from memos_integrations.backends.lora.training import _Course
from tests.backends.test_relearning import ANA, LENIENT, SHORT

whole = _Course.step
def step(self, number):
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, number)
_Course.step = step
place = Path(sys.argv[1])
with MemOS.open(place / "v") as memos:
    memory = ParameterMemory(AdapterStore(HuggingFaceModel(sys.argv[2]), place / "a"), recipe=SHORT, gates=LENIENT)
    ParameterCubes(memos, memory)
    memos.tick(by=ANA, learn_seconds=600)
"""


def test_a_pass_that_is_killed_half_way_is_gone_on_with(folder: Path, tmp_path: Path) -> None:
    def opened() -> ParameterMemory:
        return ParameterMemory(AdapterStore(HuggingFaceModel(folder), tmp_path / "a"), recipe=SHORT, gates=LENIENT)

    with MemOS.open(tmp_path / "v") as memos, opened() as memory:
        one, two = memos.remember_many(["Miso lives in Rome.", "Tofu lives in Oslo."], by=ANA)
        old = ParameterCubes(memos, memory).distil([one.id, two.id], by=ANA)
        memos.forget(one.id, by=ANA)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(folder)], env=env, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    assert list((tmp_path / "a").rglob("step-4.safetensors")), "what was learnt by then is kept"
    taken: list[int] = []
    with MemOS.open(tmp_path / "v") as memos, opened() as memory:
        cubes = ParameterCubes(memos, memory)
        assert adapters(memos) == [], "nothing is served that is half learnt"
        whole = memory.learn

        def learn(sources: list[MemCube], **how: object) -> object:
            return whole(sources, **how | {"progress": lambda step, _: taken.append(step)})  # type: ignore[arg-type]

        memory.learn = learn  # type: ignore[method-assign,assignment]
        done = memos.tick(by=ANA, learn_seconds=600).relearnt
        assert taken == [5, 6], "the first four steps are not taken again"
        new = memos.get(done.made[old.id], by=ANA)
        assert [ref.id for ref in new.provenance.derived_from] == [two.id]
        assert cubes.adapter_of(new, by=ANA) is not None
    assert not list((tmp_path / "a").rglob("step-*.safetensors"))
