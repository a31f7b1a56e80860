"""Adapters beside an encrypted vault: no file of their folder says a word without the key, and each still serves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from memos_integrations import MemOS
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.keys import HeldKey
from memos_integrations.backends.lora import AdapterStore, ParameterCubes, ParameterMemory, Training, lessons_of
from memos_integrations.backends.lora.adapter_file import CONFIG, WEIGHTS
from memos_integrations.backends.sealed_files import is_sealed
from memos_integrations.core.errors import ModelError, TrainingCancelledError, VaultKeyError
from tests.backends.test_lora import ANA, LENIENT, SHORT, _report, cubes
from tests.tiny_llama import build_tiny_llama

KEY, OTHER = HeldKey(bytes(range(32))), HeldKey(bytes(range(1, 33)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> HuggingFaceModel:
    return HuggingFaceModel(folder)


def opened(folder: Path, place: Path, keys: HeldKey | None = KEY) -> ParameterMemory:
    return ParameterMemory(AdapterStore(HuggingFaceModel(folder), place, keys=keys), recipe=SHORT, gates=LENIENT)


@pytest.mark.answers("ASI06 1")
def test_no_file_of_the_folder_is_in_clear_and_the_adapter_serves_after_a_restart(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "a"
    with MemOS.open(tmp_path / "v", keys=KEY) as memos, opened(folder, place) as memory:
        source = memos.remember("Miso lives in Rome.", by=ANA)
        cube = ParameterCubes(memos, memory).distil([source.id], by=ANA)
    files = [each for each in place.rglob("*") if each.is_file() and each.name != "sealed.key"]
    assert len(files) == 3
    assert all(map(is_sealed, files))
    raw = b"".join(each.read_bytes() for each in place.rglob("*") if each.is_file())
    assert not any(word in raw for word in (b"Rome", b"Miso", b"lora_A", b"target_modules", b"question"))
    with MemOS.open(tmp_path / "v", keys=KEY) as memos, opened(folder, place) as memory:
        found = ParameterCubes(memos, memory)
        assert len(list(memory.store)) == 1
        assert found.load(cube.id, by=ANA).probes, "it is the one of the folder, with what it was tried by"
        shutil.rmtree(place / found.load(cube.id, by=ANA).name)
    with MemOS.open(tmp_path / "v", keys=KEY) as memos, opened(folder, place) as memory:
        ParameterCubes(memos, memory).load(cube.id, by=ANA)  # out of the vault, and sealed again
        assert all(map(is_sealed, place.rglob(WEIGHTS)))
        assert all(map(is_sealed, place.rglob(CONFIG)))
        memos.forget(source.id, by=ANA)
        assert not list(place.rglob("*.safetensors"))


def test_an_unfinished_training_is_sealed_and_goes_on(folder: Path, tmp_path: Path) -> None:
    with opened(folder, tmp_path) as memory:
        source = cubes("Miso lives in Rome.")
        store, asked = memory.store, iter((False,) * 4 + (True,))
        with pytest.raises(TrainingCancelledError):
            memory.learn(source, cancelled=lambda: next(asked))
        files = [each for each in tmp_path.rglob("*") if each.is_file() and each.name != "sealed.key"]
        assert {each.name for each in files} == {"journal.json", "sources.json", "step-4.safetensors"}
        assert all(map(is_sealed, files))
        again = Training(memory.model, lessons_of(source), SHORT, folder=files[0].parent, files=store.files)
        seen: list[int] = []
        again.run(progress=lambda step, _: seen.append(step))
        assert seen[0] == 5
        assert store.sources() == {("acme", source[0].ref)}
        assert store.drop([source[0].id]) == 1, "whose training it is can be told without the journal"
        assert not list(tmp_path.rglob("*.safetensors"))


def kept(store: AdapterStore, seed: int) -> Path:
    """The folder of an adapter that was put there as it is, not learnt."""
    import torch

    staged = store.staging()
    store.files.put_tensors(staged / WEIGHTS, {"a": torch.full((2, 2), float(seed))})
    store.files.put(staged / CONFIG, b"{}")
    return store.keep(staged, tenant="acme", sources=[], report=_report()).folder


@pytest.mark.parametrize("keys", [None, OTHER])
def test_another_key_opens_no_folder(model: HuggingFaceModel, tmp_path: Path, keys: HeldKey | None) -> None:
    AdapterStore(model, tmp_path, keys=KEY)
    with pytest.raises(VaultKeyError):
        AdapterStore(model, tmp_path, keys=keys)


def test_a_folder_in_clear_is_not_half_encrypted(model: HuggingFaceModel, tmp_path: Path) -> None:
    kept(AdapterStore(model, tmp_path), 1)
    with pytest.raises(ModelError, match="holds adapters in clear"):
        AdapterStore(model, tmp_path, keys=KEY)
    assert len(list(AdapterStore(model, tmp_path))) == 1, "nothing was changed"


@pytest.mark.parametrize("damage", ["weights", "other adapter's weights", "in clear"])
def test_a_changed_file_is_refused(model: HuggingFaceModel, tmp_path: Path, damage: str) -> None:
    store = AdapterStore(model, tmp_path, keys=KEY)
    one, two = kept(store, 1), kept(store, 2)
    if damage == "weights":
        raw = bytearray((one / WEIGHTS).read_bytes())
        raw[-9] ^= 1
        (one / WEIGHTS).write_bytes(raw)
    elif damage == "in clear":
        (one / WEIGHTS).write_bytes(store.files.get(one / WEIGHTS))
    else:
        shutil.copy(two / WEIGHTS, one / WEIGHTS)
    again = AdapterStore(model, tmp_path, keys=KEY)
    assert [each.folder for each in again] == [two]
    assert len(again.refused) == 1
