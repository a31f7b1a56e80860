"""Our reader and the one-file reader give the verdicts of the suite, and the suite is what `make.py` makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, State
from memos_integrations.backends.sealing_key import X25519Key
from memos_integrations.core.cube import ModelFingerprint
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange import Capability, Declined, Refusal, dialect
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from tests.conformance import make, reader, run

HERE = Path(__file__).parent
SUITE = json.loads((HERE / "vectors.json").read_text("utf-8"))
BO = Principal(tenant="clinic-b", user="bo")
ALL = CubeFilter(states=frozenset(State))
SPECIFICATION = (Path(dialect.__file__).with_name("MIP.md")).read_text("utf-8")


@pytest.mark.parametrize("vector", SUITE["vectors"], ids=lambda vector: vector["name"])
def test_our_reader_gives_the_verdict(vector: dict[str, Any]) -> None:
    knows = SUITE["knows"] | vector.get("knows", {})
    now = datetime.fromisoformat(knows["now"])
    opener = None if knows["seal_key"] is None else X25519Key(bytes.fromhex(knows["seal_key"]))
    how: dict[str, Any] = {
        "by": BO, "trusted": knows["trusted"], "recipient": knows["recipient"], "purposes": knows["purposes"],
        "models": [ModelFingerprint.model_validate(each) for each in knows["models"]], "opener": opener,
    }  # fmt: skip
    path = HERE / "vectors" / vector["file"]
    with MemOS(InMemoryVault(), clock=lambda: now) as memos:
        if vector["verdict"] == "accepted":
            done = memos.load(path, **how)
            declined = {name: count for name, count in done.counts.items() if name != "new"}
            assert declined == vector["declined"]
            assert sum(done.counts.values()) == vector["memories"]
            cubes = memos.find(CubeFilter(), by=BO, k=100)
            assert sum(len(memos.history(cube.id, by=BO)) for cube in cubes) <= vector["versions"]
            return
        if vector["codes"] == ["replayed"]:
            memos.load(path, **how)
        before = len(memos.find(ALL, by=BO, k=100))
        with pytest.raises(BundleError) as caught:
            memos.load(path, **how)
        assert caught.value.code in vector["codes"], caught.value
        assert len(memos.find(ALL, by=BO, k=100)) == before


@pytest.mark.parametrize("vector", SUITE["vectors"], ids=lambda vector: vector["name"])
def test_the_one_file_reader_gives_the_verdict(vector: dict[str, Any]) -> None:
    said = reader.verdict(HERE / "vectors" / vector["file"], SUITE["knows"] | vector.get("knows", {}), HERE)
    assert said["verdict"] != "skipped"
    assert run.difference(vector, said) is None


@pytest.mark.parametrize("only", ["good", "bad-record", pytest.param("", marks=pytest.mark.slow, id="all")])
def test_the_one_file_reader_passes_without_this_package(tmp_path: Path, only: str) -> None:
    for name in ("run.py", "reader.py", "vectors.json", "memory.json", "vectors"):
        os.symlink(HERE / name, tmp_path / name)
    command = [sys.executable, "-I", str(tmp_path / "run.py"), "--vectors", str(tmp_path), "--schemas", str(tmp_path)]
    command += ["--only", only]
    done = subprocess.run(
        [*command, "--", sys.executable, "-I", str(tmp_path / "reader.py")],
        capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    count = len([each for each in SUITE["vectors"] if each["name"].startswith(only)])
    assert done.stdout.endswith(f"{count} of {count} verdicts right, 0 skipped, 0 wrong\n")
    assert "memos_integrations" not in (HERE / "reader.py").read_text("utf-8")


def test_the_runner_sees_a_reader_that_believes_everything() -> None:
    said = {"verdict": "accepted", "memories": 1, "versions": 1, "declined": {}}
    credulous = f"import json; print(json.dumps({said!r}))"
    done = subprocess.run(
        [sys.executable, str(HERE / "run.py"), "--only", "bad-record", "--", sys.executable, "-c", credulous],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("WRONG bad-record")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_suite_is_what_the_script_makes() -> None:
    told, files = make.suite()
    assert told == SUITE
    assert {path.name: path.read_bytes() for path in (HERE / "vectors").iterdir()} == files


@pytest.mark.parametrize("name", dialect.KINDS)
def test_the_schemas_say_what_the_models_say(name: str) -> None:
    assert (dialect.FOLDER / f"{name}.json").read_text("utf-8") == dialect.spelled(name)
    assert {path.stem for path in dialect.FOLDER.glob("*.json")} == set(dialect.KINDS)
    if name == "memory":
        assert (HERE / "memory.json").read_bytes() == (dialect.FOLDER / "memory.json").read_bytes()


@pytest.mark.parametrize("code", [*Refusal, *Declined, *Capability])
def test_every_code_and_capability_stands_in_the_specification(code: str) -> None:
    assert f"`{code}`" in SPECIFICATION


def test_the_one_file_reader_knows_ed25519_from_rfc_8032() -> None:
    """The first and third test vectors of RFC 8032 §7.1."""
    for key, message, signature in (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ):  # fmt: skip
        raw = bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message)
        assert reader.is_signed(*raw)
        assert not reader.is_signed(raw[0], raw[1], raw[2] + b"x")
        assert not reader.is_signed(raw[0], raw[1][:32] + bytes(32), raw[2])
