"""Memories carried between vaults from the shell."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app
from memos_integrations.core.errors import InvalidMemoryError

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
    for wrong in ("x", "z" * 64, f"{made['key']}0"):
        told = run("import", str(bundle), "--recipient", "b", "--trust", wrong, "--vault", str(two), fails=True)
        assert "64" in str(told)
    shouted = ("import", str(bundle), "--recipient", "b", "--trust", f"{made['key'].upper()}=a", "--user", "ana")
    assert run(*shouted, "--vault", str(tmp_path / "three"))["counts"] == {"new": 1}


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


def test_two_vaults_stay_the_same_through_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    keys = {name: run("key", str(tmp_path / f"{name}.key"))["key"] for name in ("one", "two")}
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember("The kiln is fired on Thursdays.", by=ANA)
    with MemOS.open(tmp_path / "two"):
        pass

    def sync(name: str, other: str) -> Any:
        way = ("--vault", str(tmp_path / name), "--key-file", str(tmp_path / f"{name}.key"), "--group", "ana")
        secret = ("--seal-key", str(tmp_path / "secret"))
        return run("sync", str(folder), *way, *secret, "--trust", keys[other], "--user", "ana")

    assert sync("one", "two")["written"] == 1
    assert sync("two", "one")["counts"] == {"new": 1}
    with MemOS.open(tmp_path / "two") as memos:
        (hit,) = memos.recall("kiln", by=ANA, needed=True).hits
        memos.forget(hit.cube.id, by=ANA)
    sync("two", "one")
    assert sync("one", "two")["counts"]["erased"] == 1
    assert all(b"kiln" not in each.read_bytes() for each in folder.iterdir())
    names = sorted(folder.iterdir())
    way = ("--vault", str(tmp_path / "one"), "--key-file", str(tmp_path / "one.key"), "--group", "ana")
    refused = run("sync", str(folder), *way, "--trust", keys["two"], "--user", "ana", fails=True)
    assert "same secret" in str(refused)
    assert sorted(folder.iterdir()) == names


def test_a_bundle_for_a_card_is_sealed_and_goes_on_later(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember("The kiln is fired on Thursdays.", by=ANA)
    card, bundle, secret = (str(tmp_path / name) for name in ("card.json", "a.mip", "secret"))
    assert run("card", card, "--recipient", "b", "--seal-key", secret)["recipient"] == "b"
    way = ("--vault", str(tmp_path / "one"), "--key-file", str(tmp_path / "key"), "--issuer", "a", "--user", "ana")
    made = run("export", bundle, *way, "--to", card, "--sealed", "--since", "0")
    assert made["cubes"] == 1
    assert run("export", str(tmp_path / "b.mip"), *way, "--to", card, "--since", str(made["position"]))["cubes"] == 0
    take = (
        "import",
        bundle,
        "--recipient",
        "b",
        "--trust",
        made["key"],
        "--user",
        "ana",
        "--vault",
        str(tmp_path / "two"),
    )
    assert run(*take, fails=True).code == "sealed"
    assert run(*take, "--seal-key", secret)["counts"] == {"new": 1}


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


def test_an_export_takes_a_part_and_leaves_words_behind(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember("Dr Weber said it is schizophrenia; write to weber@clinic.org.", by=ANA, tags=["visit"])
        memos.remember("The kiln is fired on Thursdays.", by=ANA)
    base = ("--vault", str(tmp_path / "one"), "--key-file", str(tmp_path / "key"), *WAY)
    some = ("--tag", "visit", "--below", "local/ana", "--from", "2020-01-01", "--redact")
    words = ("--without", "schizophrenia", "--without", "dr weber")
    made = run("export", str(tmp_path / "a.mip"), *base, *some, *words)
    assert made["cubes"] == 1
    with zipfile.ZipFile(tmp_path / "a.mip") as bundle:
        whole = b"".join(bundle.read(name) for name in bundle.namelist()).lower()
    assert b"weber" not in whole
    assert b"schizophrenia" not in whole
    assert run("export", str(tmp_path / "b.mip"), *base, "--until", "2020-01-01")["cubes"] == 0
    for wrong in (("--days", "1e9"), ("--days", "nan"), ("--days", "0"), ("--without", " ")):
        assert isinstance(run("export", str(tmp_path / "c.mip"), *base, *wrong, fails=True), InvalidMemoryError)
    assert isinstance(run("export", str(tmp_path / "c.mip"), *base, "--issuer", "", fails=True), InvalidMemoryError)
    for sifted in (("--redact",), ("--without", "weber"), ("--tag", "visit")):
        told = run("export", str(tmp_path / "c.json"), "--format", "mem0", *base, *sifted, fails=True)
        assert isinstance(told, InvalidMemoryError)
    assert not (tmp_path / "c.json").exists()
    assert isinstance(run("card", str(tmp_path / "card"), "--recipient", " ", fails=True), InvalidMemoryError)


def test_a_vault_leaves_in_parts_and_by_owner_and_words(tmp_path: Path) -> None:
    cat = Principal(tenant="local", user="cat")
    with MemOS.open(tmp_path / "one") as memos:
        memos.remember_many((f"Fact {number}." for number in range(5)), by=ANA)
        memos.remember("The kiln is fired on Thursdays.", by=ANA)
        theirs = memos.remember("Cat cleans the kiln.", by=cat, readers=["ana"])
        memos.update(theirs.id, by=cat, sharers=["ana"])
    base = ("--vault", str(tmp_path / "one"), "--key-file", str(tmp_path / "key"), *WAY)
    way = ("export", str(tmp_path / "out"), *base, "--series", "nightly", "--most", "3")
    assert [each["cubes"] for each in run(*way)["parts"]] == [3, 3, 1]
    assert len([*(tmp_path / "out").iterdir()]) == 3
    assert run(*way)["parts"] == []
    (tmp_path / "file").touch()
    for place in ("file", "there/is/none"):
        told = run("export", str(tmp_path / place), *base, "--series", "nightly", fails=True)
        assert isinstance(told, InvalidMemoryError)
        assert place in str(told)
    assert isinstance(run(*way, "--since", "0", fails=True), InvalidMemoryError)
    assert run("export", str(tmp_path / "a.mip"), *base, "--about", "kiln")["cubes"] == 2
    assert run("export", str(tmp_path / "b.mip"), *base, "--about", "kiln", "--owner", "cat")["cubes"] == 1
    for sifted in (("--owner", "cat"), ("--about", "kiln"), ("--series", "s")):
        told = run("export", str(tmp_path / "c.json"), "--format", "mem0", *base, *sifted, fails=True)
        assert isinstance(told, InvalidMemoryError)
