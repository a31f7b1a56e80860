"""Folders beside an encrypted vault: nothing of them can be read, changed or exchanged without the key."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.keys import HeldKey
from memos_integrations.backends.kv import KVStore
from memos_integrations.backends.sealed_files import MAGIC, PIECE, FolderSeal, is_sealed
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import VaultKeyError

KEY, OTHER = HeldKey(bytes(range(32))), HeldKey(bytes(range(1, 33)))
IDS = [(7 * n * n + 3) % 250 for n in range(160)]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5])
def test_what_is_sealed_is_opened_as_it_was(tmp_path: Path, size: int) -> None:
    seal, content = FolderSeal(tmp_path, KEY), os.urandom(size)
    seal.write(tmp_path / "file", content)
    assert seal.read(tmp_path / "file") == content
    assert FolderSeal(tmp_path, KEY).read(tmp_path / "file") == content
    assert is_sealed(tmp_path / "file")
    assert size < 16 or content[:16] not in (tmp_path / "file").read_bytes()
    for cut in (1, 16, PIECE + 16):
        whole = (tmp_path / "file").read_bytes()
        if len(whole) - cut >= len(MAGIC) + 8:
            (tmp_path / "cut").write_bytes(whole[:-cut])
            with pytest.raises(VaultKeyError):
                seal.read(tmp_path / "cut")


def test_no_bit_can_be_changed_and_no_piece_moved(tmp_path: Path) -> None:
    seal = FolderSeal(tmp_path, KEY)
    seal.write(tmp_path / "file", os.urandom(2 * PIECE + 10))
    whole, start, piece = bytearray((tmp_path / "file").read_bytes()), len(MAGIC) + 8, PIECE + 16
    for at in (0, len(MAGIC), start, start + PIECE, start + piece + 3, len(whole) - 1):
        changed = bytearray(whole)
        changed[at] ^= 1
        (tmp_path / "file").write_bytes(changed)
        with pytest.raises(VaultKeyError):
            seal.read(tmp_path / "file")
    swapped = (
        whole[:start]
        + whole[start + piece : start + 2 * piece]
        + whole[start : start + piece]
        + whole[start + 2 * piece :]
    )
    (tmp_path / "file").write_bytes(swapped)
    with pytest.raises(VaultKeyError):
        seal.read(tmp_path / "file")


def test_another_key_opens_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    FolderSeal(tmp_path, KEY).write(tmp_path / "file", b"something")
    with pytest.raises(VaultKeyError):
        FolderSeal(tmp_path, OTHER)
    (tmp_path / "other").mkdir()
    with pytest.raises(VaultKeyError):
        FolderSeal(tmp_path / "other", KEY).read(tmp_path / "file")
    assert FolderSeal(tmp_path, KEY).read(tmp_path / "file") == b"something"


def test_a_stream_in_small_writes_is_the_same(tmp_path: Path) -> None:
    seal, out = FolderSeal(tmp_path, KEY), io.BytesIO()
    sealing = seal.sealing(out)
    for number in range(1000):
        sealing.write(bytes([number % 256]) * 3001)
    sealing.close()
    (tmp_path / "file").write_bytes(out.getvalue())
    assert seal.read(tmp_path / "file") == b"".join(bytes([number % 256]) * 3001 for number in range(1000))


def test_an_encrypted_store_keeps_prefixes_and_says_nothing(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    ref = CubeRef(id="6f1c2f1c-7d0a-4b52-9a55-0d4d4b6ed1aa", version=1)
    for keys, folder in ((None, tmp_path / "clear"), (KEY, tmp_path / "sealed")):
        with KVStore(tiny_model, folder=folder, keys=keys) as store:
            cold = store.put(IDS[:100], tenant="acme", sources=[ref])
            values = cold.layers[0][0][0].contiguous().numpy().tobytes()
    wanted = [struct.pack("<8i", *IDS[:8]), values[:64], b"acme", ref.id.encode()]
    for folder, count in ((tmp_path / "clear", len(wanted)), (tmp_path / "sealed", 0)):
        content = b"".join(file.read_bytes() for file in folder.iterdir())
        assert sum(each in content for each in wanted) == count, folder.name
    with KVStore(tiny_model, folder=tmp_path / "sealed", keys=KEY) as store:
        found = store.match(IDS[:120], tenant="acme")
        assert found is not None
        assert len(found.token_ids) == 100
        assert found.layers[0][0][0].contiguous().numpy().tobytes() == values
        assert store.sources() == {("acme", ref)}
        assert store.drop([ref.id]) == 1
    assert not list((tmp_path / "sealed").glob("*.safetensors"))


def test_a_sealed_store_is_not_opened_or_emptied_by_another_key(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    with KVStore(tiny_model, folder=tmp_path, keys=KEY) as store:
        store.put(IDS[:64], tenant="acme")
    files = sorted(tmp_path.iterdir())
    for keys in (None, OTHER):
        with pytest.raises(VaultKeyError):
            KVStore(tiny_model, folder=tmp_path, keys=keys)
    assert sorted(tmp_path.iterdir()) == files


def test_what_stood_in_clear_goes_and_a_damaged_file_is_a_miss(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    with KVStore(tiny_model, folder=tmp_path) as store:
        store.put(IDS[:64], tenant="acme")
    with KVStore(tiny_model, folder=tmp_path, keys=KEY) as store:
        assert store.match(IDS[:80], tenant="acme") is None
        assert store.statistics.refused_files == 1
        assert not list(tmp_path.glob("*.safetensors"))
        store.put(IDS[:64], tenant="acme")
    (file,) = tmp_path.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with KVStore(tiny_model, folder=tmp_path, keys=KEY) as store:
        assert store.match(IDS[:80], tenant="acme") is None
