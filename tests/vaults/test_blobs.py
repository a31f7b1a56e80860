"""Blobs in files, and what a full disk, a crash, an edit or another reader does to them."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.errors import CubeNotFoundError, IntegrityError, InvalidMemoryError, VaultFullError
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import days, stored, submit
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults.blobs import BlobFolder
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import Python

ANA, BOB = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="bob")


def files(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / "vault.blobs").rglob("*") if file.is_file())


# --- in files


def test_a_blob_is_a_file_named_by_its_digest_for_its_owner_only(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        ref = vault.put_blob(b"kettle")
        (file,) = files(folder)
        assert file == folder / "vault.blobs" / ref.digest[:2] / ref.digest[2:4] / ref.digest
        assert file.read_bytes() == b"kettle"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert {stat.S_IMODE(each.stat().st_mode) for each in (file.parent, file.parent.parent)} == {0o700}


def test_blobs_outlive_the_vault_object(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        kept, gone = vault.put_blob(b"kept"), vault.put_blob(b"gone")
        stored(vault, beside(kept))
        doomed = stored(vault, beside(gone))
        submit(vault, Erase(doomed.id))
    with SQLiteVault(folder) as vault:
        assert content_of(vault.open_blob(kept)) == b"kept"
    assert [file.name for file in files(folder)] == [kept.digest]


@pytest.mark.parametrize("size", [100, 2_000_000])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "missing", "another"])
def test_a_changed_blob_is_refused(folder: Path, size: int, damage: str) -> None:
    content = os.urandom(size)
    with SQLiteVault(folder) as vault:
        ref = vault.put_blob(content)
        (file,) = files(folder)
        changed = bytearray(content)
        changed[size // 2] ^= 1
        match damage:
            case "missing":
                file.unlink()
            case "flipped":
                file.write_bytes(changed)
            case "cut":
                file.write_bytes(content[:-1])
            case "longer":
                file.write_bytes(content + b"\0")
            case _:
                file.write_bytes(os.urandom(size))
        with pytest.raises(IntegrityError, match=ref.digest):
            vault.open_blob(ref)
        assert vault.put_blob(content) == ref  # storing it again heals it
        assert content_of(vault.open_blob(ref)) == content


def test_a_blob_above_the_limit_leaves_nothing(tmp_path: Path) -> None:
    folder = BlobFolder(tmp_path / "blobs", limit=3_000_000)
    with pytest.raises(InvalidMemoryError, match="3,000,000"):
        folder.write_aside(io.BytesIO(bytes(3_000_001)))
    assert list((tmp_path / "blobs").iterdir()) == []
    assert folder.write_aside(io.BytesIO(bytes(3_000_000))).size == 3_000_000


def test_a_stream_that_breaks_leaves_nothing(folder: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 0:
                raise ConnectionResetError("gone")
            return super().read(10)

    with SQLiteVault(folder) as vault:
        with pytest.raises(Exception, match="could not be written or read"):
            vault.put_blob(Broken(bytes(100)))
        assert files(folder) == []


MEMORY = """
import resource, sys
from memos_integrations.vaults.sqlite import SQLiteVault
class Zeros:
    left = 300
    def read(self, size):
        self.left -= 1
        return bytes(1 << 20) if self.left >= 0 else b""
with SQLiteVault({path!r}) as vault:
    vault.put_blob(b"warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ref = vault.put_blob(Zeros())
    with vault.open_blob(ref) as stream:
        while stream.read(1 << 20):
            pass
    print(ref.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_blob_never_stands_in_memory(folder: Path, python: Python) -> None:
    size, kilobytes = map(int, python(MEMORY.format(path=str(folder))).split())
    assert size == 300 << 20
    assert kilobytes < 40_000


# --- a full disk, a crash


def test_a_blob_is_on_the_disk_before_a_row_can_name_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, then the folders that lead to it: all synced when `put_blob` returns."""
    synced: list[str] = []
    truly = os.fsync

    def watched(opened: int) -> None:
        synced.append(Path(f"/proc/self/fd/{opened}").resolve().name)
        truly(opened)

    with SQLiteVault(folder) as vault:
        monkeypatch.setattr(os, "fsync", watched)
        ref = vault.put_blob(b"kettle")
        monkeypatch.undo()
    assert synced[1].endswith(".tmp")
    assert synced[:1] + synced[2:] == ["vault", "vault.blobs", ref.digest[:2], ref.digest[2:4]]


def test_a_blob_on_a_full_disk_is_refused_and_leaves_nothing(folder: Path, python: Python) -> None:
    said = python(f"""
import resource
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.core.errors import VaultFullError
with SQLiteVault({str(folder)!r}) as vault:
    vault.put_blob(b"first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    try:
        vault.put_blob(bytes(2_000_000))
    except VaultFullError as exc:
        print("refused")
""")
    assert said.strip() == "refused"
    assert VaultFullError.__doc__
    assert len(files(folder)) == 1


DYING = """
import os, sys
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.blobs import BlobFolder
from memos_integrations.testing.cubes import stored, submit
from memos_integrations.testing.vault_blobs import beside
from memos_integrations.core.ports import Erase
vault = SQLiteVault({path!r})
ref = vault.put_blob(b"the erased words")
cube = stored(vault, beside(ref))
BlobFolder.remove = lambda self, digest: os._exit(9)  # dies between the commit and the file
submit(vault, Erase(cube.id))
"""


def test_an_erase_that_died_before_the_file_is_finished_at_the_next_opening(folder: Path) -> None:
    import subprocess
    import sys

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DYING.format(path=str(folder))], env=environment, check=False)
    assert died.returncode == 9
    assert [file.read_bytes() for file in files(folder)] == [b"the erased words"]
    SQLiteVault(folder).close()
    assert files(folder) == []


def test_what_a_crash_left_half_written_is_collected(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.put_blob(b"kettle")
        (folder / "vault.blobs" / "123.abc.tmp").write_bytes(b"half")
        assert vault.collect_blobs(datetime.now(UTC)) == 0
        assert vault.collect_blobs(datetime.now(UTC) + days(2)) == 2
    assert files(folder) == []


# --- as memories


@pytest.fixture(params=["in memory", "in a file"])
def memos(request: pytest.FixtureRequest, folder: Path) -> Iterator[MemOS]:
    with MemOS(InMemoryVault() if request.param == "in memory" else SQLiteVault(folder)) as memos:
        yield memos


def test_a_picture_is_remembered_with_its_caption(memos: MemOS, tmp_path: Path) -> None:
    picture = tmp_path / "kettle.png"
    picture.write_bytes(b"\x89PNG not really")
    cube = memos.remember("My blue kettle on the stove.", by=ANA, blob=picture)
    assert (cube.blobs[0].media_type, cube.blobs[0].size) == ("image/png", 15)
    (hit,) = memos.recall("What colour is the kettle?", by=ANA, needed=True).hits
    assert content_of(memos.read_blob(hit.cube.id, by=ANA)) == b"\x89PNG not really"
    assert [entry.record.operation for entry in memos.audit(by=ANA)][-1] == "read_blob"


def test_a_new_caption_keeps_the_picture(memos: MemOS) -> None:
    cube = memos.remember("A kettle.", by=ANA, blob=b"pixels", media_type="image/png")
    memos.update(cube.id, by=ANA, text="A blue kettle.")
    assert content_of(memos.read_blob(cube.id, by=ANA)) == b"pixels"


def test_who_may_not_read_the_cube_may_not_read_its_blob(memos: MemOS) -> None:
    mine = memos.remember("A kettle.", by=ANA, blob=b"pixels")
    shared = memos.remember("A pot.", by=ANA, blob=b"pixels", readers=["bob"])
    for cube_id in (mine.id, "no such"):
        with pytest.raises(CubeNotFoundError, match="that you may read"):
            memos.read_blob(cube_id, by=BOB)
    assert content_of(memos.read_blob(shared.id, by=BOB)) == b"pixels"
    with pytest.raises(CubeNotFoundError):
        memos.read_blob(shared.id, by=Principal(tenant="other", user="ana"))


def test_forgetting_a_memory_forgets_its_picture(memos: MemOS, folder: Path) -> None:
    cube = memos.remember("A kettle.", by=ANA, blob=b"pixels of the kettle")
    assert memos.forget(cube.id, by=ANA).erased["blobs"] == 1
    assert not any(b"pixels" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_memory_without_a_blob_says_so(memos: MemOS) -> None:
    cube = memos.remember("A kettle.", by=ANA)
    with pytest.raises(InvalidMemoryError, match="0 blobs"):
        memos.read_blob(cube.id, by=ANA)
    with pytest.raises(InvalidMemoryError, match="give a blob"):
        memos.remember("A kettle.", by=ANA, media_type="image/png")
    with pytest.raises(InvalidMemoryError, match="cannot be read"):
        memos.remember("A kettle.", by=ANA, blob="no such file.png")


def test_a_damaged_blob_names_its_cube(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        cube = memos.remember("A kettle.", by=ANA, blob=b"pixels")
        (file,) = files(folder)
        file.write_bytes(b"pixelz")
        with pytest.raises(IntegrityError) as caught:
            memos.read_blob(cube.id, by=ANA)
        assert caught.value.cube_id == cube.id


async def test_a_picture_is_remembered_without_blocking_the_loop(memos: MemOS) -> None:
    cube = await memos.aremember("A kettle.", by=ANA, blob=io.BytesIO(b"pixels"), key="k")
    again = await memos.aremember("A kettle.", by=ANA, blob=io.BytesIO(b"pixels"), key="k")
    assert again.id == cube.id
    assert content_of(memos.read_blob(cube.id, by=ANA)) == b"pixels"
