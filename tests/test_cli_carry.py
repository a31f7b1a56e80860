"""Memories carried between vaults from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app

ANA = Principal(tenant="local", user="ana")
WAY = ("--issuer", "a", "--recipient", "b", "--user", "ana")


def run(*words: str, fails: bool = False) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"])
    if fails:
        return done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_vault_is_carried_to_another(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember("The kiln is fired on Thursdays.", by=ANA)
    key, bundle, two = tmp_path / "key", tmp_path / "a.mip", tmp_path / "two"
    made = run("export", str(bundle), "--vault", str(tmp_path / "one"), "--key-file", str(key), *WAY)
    assert made["cubes"] == 1
    assert run("key", str(key)) == {"key": made["key"]}
    take = ("import", str(bundle), "--recipient", "b", "--trust", f"{made['key']}=a", "--user", "ana")
    assert "wrong" not in str(run(*take, "--vault", str(two)))
    with MemOS.open(two) as memos:
        assert memos.recall("kiln", by=ANA, needed=True).hits[0].text == "The kiln is fired on Thursdays."
    assert run(*take, "--vault", str(two), fails=True).code == "replayed"
    assert run(*take, "--again", "--vault", str(two))["counts"] == {"same": 1}
    assert "64" in str(run("import", str(bundle), "--recipient", "b", "--trust", "x", "--vault", str(two), fails=True))


def test_a_dry_run_makes_no_vault(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember("A fact.", by=ANA)
    bundle = tmp_path / "a.mip"
    made = run("export", str(bundle), "--vault", str(tmp_path / "one"), "--key-file", str(tmp_path / "key"), *WAY)
    with MemOS.open(tmp_path / "two"):
        pass
    told = CliRunner().invoke(
        app,
        [
            "import",
            str(bundle),
            "--recipient",
            "b",
            "--trust",
            made["key"],
            "--dry-run",
            "--vault",
            str(tmp_path / "two"),
        ],
    )
    assert "Would come from a: 1 new." in told.stdout
    with MemOS.open(tmp_path / "two") as memos:
        assert memos.recall("fact", by=ANA, needed=True).hits == ()


def test_another_systems_file_comes_in_and_goes_out(tmp_path: Path) -> None:
    vault, file = ("--vault", str(tmp_path / "one"), "--user", "ana"), tmp_path / "mem0.json"
    file.write_text(json.dumps({"results": [{"id": "1", "memory": "Keeps bees"}]}), "utf-8")
    with MemOS.open(tmp_path / "one"):
        pass
    take = ("import", str(file), "--format", "mem0", "--into", "local/shelf", *vault)
    assert run(*take, "--dry-run")["found"] == 1
    assert run(*take)["written"] == 1
    assert run(*take)["known"] == 1
    assert run("export", str(tmp_path / "out"), "--format", "jsonl", *vault)["memories"] == 1
    assert json.loads((tmp_path / "out").read_text("utf-8"))["text"] == "Keeps bees"
    assert "no format" in str(run("import", str(file), "--format", "x", *vault, fails=True))
    assert "--recipient" in str(run("import", str(file), *vault, fails=True))
    assert "--key-file" in str(run("export", str(tmp_path / "b.mip"), *vault, fails=True))
    told = CliRunner().invoke(app, [*take])
    assert "1 were known already" in told.stdout
