"""Signed checkpoints, proofs at any size, and the verifier that trusts nothing of the package."""

from __future__ import annotations

import ast
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from memos_integrations.core.errors import IntegrityError, VaultError
from memos_integrations.core.ports import Transaction
from memos_integrations.testing.cubes import cube, record
from memos_integrations.vaults import verifier
from memos_integrations.vaults.merkle import _node, proves, root_of
from memos_integrations.vaults.merkle_proofs import LogTree, extends
from memos_integrations.vaults.signed_log import FileAnchor, LogSigner, opened_note, read_checkpoint
from memos_integrations.vaults.sqlite import SQLiteVault

SIGNER = LogSigner(bytes(range(32)), name="acme.example/log")
FILE = Path(verifier.__file__)

# The eight leaves and their roots are those of the reference implementation's test (certificate-transparency).
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", CT_ROOTS)
def test_the_hashes_are_those_of_certificate_transparency(size: int) -> None:
    leaves = [sha256(b"\x00" + bytes.fromhex(each)).digest() for each in CT_LEAVES[:size]]
    assert root_of(leaves).hex() == CT_ROOTS[size]
    peaks: list[bytes] = []
    for number, each in enumerate(leaves, 1):
        here, pairs = each, number
        while not pairs & 1:
            here, pairs = verifier.node(peaks.pop(), here), pairs >> 1
        peaks.append(here)
    assert verifier.folded(peaks).hex() == CT_ROOTS[size]


def grow(vault: SQLiteVault, entries: int) -> None:
    about = cube("kettle")
    vault.submit(Transaction((), tuple(record(about, "read") for _ in range(entries)))).result(timeout=60)


def alone(*arguments: str, anchor: Path | None = None, public: bytes = SIGNER.public) -> tuple[int, str]:
    """The verifier as a stranger runs it: isolated, the file alone."""
    more = ["--public", public.hex(), *([] if anchor is None else ["--anchor", str(anchor)])]
    done = subprocess.run(
        [sys.executable, "-I", str(FILE), *arguments, *more], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_the_verifier_stands_alone_and_is_short() -> None:
    source = FILE.read_text("utf-8")
    assert len(source.splitlines()) <= 150
    roots = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            roots |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").partition(".")[0])
    assert roots <= sys.stdlib_module_names | {"cryptography"}


@pytest.mark.parametrize("entries", [1, 2, 3, 7, 8, 100, 1025, 2500])
def test_proofs_hold_at_every_size_and_no_other_ones_do(folder: Path, entries: int) -> None:
    with SQLiteVault(folder) as vault:
        grow(vault, entries)
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        tree = LogTree(connection)
        hashes = [each for (each,) in connection.execute("SELECT hash FROM audit ORDER BY number")]
        sizes = sorted({1, 2, 3, 6, 64, 100, 1024, 1025, 2048, entries} & set(range(1, entries + 1)))
        for size in sizes:
            for number in {1, 2, size // 2, size - 1, size} & set(range(1, size + 1)):
                proof = tree.inclusion(number, size)
                assert proves(proof, hashes[number - 1])
                assert size == 1 or not proves(proof, hashes[number % size])
            for first in [each for each in sizes if each <= size]:
                grown = tree.consistency(first, size)
                assert extends(grown)
                assert not extends(replace(grown, root="00" * 32))
                assert not extends(replace(grown, first_root="00" * 32))
                for at in range(len(grown.path)):
                    wrong = (*grown.path[:at], "00" * 32, *grown.path[at + 1 :])
                    assert not extends(replace(grown, path=wrong))
        for wrong_size in (0, entries + 1):
            with pytest.raises(VaultError):
                tree.consistency(wrong_size)
            with pytest.raises(VaultError):
                tree.inclusion(wrong_size)


def proof_files(folder: Path, anchor: Path, to: Path) -> list[Path]:
    """Inclusion proofs of some entries under the newest checkpoint, and consistency from each earlier one."""
    notes = [(read_checkpoint(note, SIGNER.public), note) for note in FileAnchor(anchor).published()]
    newest, last = notes[-1]
    made = []
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        tree = LogTree(connection)
        for number in {1, 2, newest.size // 2, newest.size}:
            row = connection.execute("SELECT previous, record FROM audit WHERE number = ?", (number,)).fetchone()
            said = {"number": number, "previous": row[0], "entry": row[1].decode(), "checkpoint": last}
            made.append(said | {"path": tree.inclusion(number, newest.size).path})
        for first, note in notes[:-1]:
            said = {"first": first.size, "first_checkpoint": note, "checkpoint": last}
            made.append(said | {"path": tree.consistency(first.size, newest.size).path})
    files = [to / f"proof-{place}.json" for place in range(len(made))]
    for file, said in zip(files, made, strict=True):
        file.write_text(json.dumps(said), "utf-8")
    return files


@pytest.mark.answers("AISVS 12.5.4")
def test_a_stranger_checks_log_and_proofs(folder: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    with SQLiteVault(folder) as vault:
        for entries in (1, 4, 15, 1100):
            grow(vault, entries)
            vault.sign_log(SIGNER, anchor)
        assert vault.check_log(SIGNER.public, anchor).size == 1120
    assert alone("log", str(folder / "vault.db"), anchor=tmp_path / "anchor")[0] == 0
    for file in proof_files(folder, tmp_path / "anchor", tmp_path):
        assert alone("proof", str(file))[0] == 0, file.read_text()
        for key in ("path", "number", "first", "entry", "previous"):
            said = json.loads(file.read_text("utf-8"))
            if key not in said:
                continue
            match said[key]:
                case list(steps):
                    said[key] = [*steps[:-1], "00" * 32]
                case int(number):
                    said[key] = number + 1
                case text:
                    said[key] = text.replace("1", "2").replace("0", "1")
            other = tmp_path / "other.json"
            other.write_text(json.dumps(said), "utf-8")
            assert alone("proof", str(other))[0] == 1, key


@pytest.mark.answers("ASI06 7", "at rest 29")
def test_a_log_that_was_cut_set_back_or_rewritten_is_found_by_its_anchor(folder: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    with SQLiteVault(folder) as vault:
        grow(vault, 5)
    early = (folder / "vault.db").read_bytes()
    with SQLiteVault(folder) as vault:
        grow(vault, 5)
        vault.sign_log(SIGNER, anchor)
    (folder / "vault.db").write_bytes(early)
    with SQLiteVault(folder) as vault:
        with pytest.raises(IntegrityError, match="cut or set back"):
            vault.check_log(SIGNER.public, anchor)
        assert alone("log", str(folder / "vault.db"))[0] == 0  # without an anchor nobody can know
        assert alone("log", str(folder / "vault.db"), anchor=tmp_path / "anchor")[0] == 1
        about = cube("pot")  # another past of the same length
        vault.submit(Transaction((), tuple(record(about, "find") for _ in range(9)))).result()
        with pytest.raises(IntegrityError, match="not those that were signed"):
            vault.check_log(SIGNER.public, anchor)
        assert alone("log", str(folder / "vault.db"), anchor=tmp_path / "anchor")[0] == 1


@pytest.mark.answers("AISVS 12.5.4")
def test_a_proof_shows_the_whole_entry(folder: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    with SQLiteVault(folder) as vault:
        grow(vault, 7)
        vault.sign_log(SIGNER, anchor)
    file = proof_files(folder, tmp_path / "anchor", tmp_path)[0]
    said = json.loads(file.read_text("utf-8"))
    code, told = alone("proof", str(file))
    assert code == 0
    assert json.loads(told.partition(" says ")[2]) == json.loads(said["entry"])
    for at in [at for at in range(len(said["entry"])) if said["entry"].startswith('",', at)]:
        parted = said | {"previous": f'{said["previous"]}",{said["entry"][:at]}', "entry": said["entry"][at + 2 :]}
        file.write_text(json.dumps(parted), "utf-8")
        assert alone("proof", str(file))[0] == 1, parted
    file.write_text('{"entry": "{}", ' + json.dumps(said)[1:], "utf-8")  # who reads it by eye sees another first
    assert "user:ana" in alone("proof", str(file))[1]


@pytest.mark.answers("at rest 29")
def test_an_anchor_that_was_cut_within_a_note_shows_nothing(folder: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    with SQLiteVault(folder) as vault:
        for entries in (1, 2, 4):
            grow(vault, entries)
            vault.sign_log(SIGNER, anchor)
    whole = (tmp_path / "anchor").read_text("utf-8")
    body = whole.rindex("\n\n", 0, len(whole.rstrip()))
    for torn in (whole[: body - 20], whole[:body], whole[: body + 20], ""):
        (tmp_path / "anchor").write_text(torn, "utf-8")
        assert alone("log", str(folder / "vault.db"), anchor=tmp_path / "anchor")[0] == 1, torn[-60:]


@pytest.mark.answers("ASI06 7", "at rest 29")
def test_a_log_cut_at_any_entry_is_found_by_its_anchor(folder: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    with SQLiteVault(folder) as vault:
        for entries in (1, 2, 3, 5):
            grow(vault, entries)
            vault.sign_log(SIGNER, anchor)
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        last = connection.execute("SELECT max(number) FROM audit").fetchone()[0]
        for left in reversed(range(last)):
            connection.execute("DELETE FROM audit WHERE number > ?", (left,))
            row = connection.execute("SELECT hash FROM audit WHERE number = ?", (left,)).fetchone()
            connection.execute("UPDATE head SET entries = ?, hash = ?", (left, row[0] if row else "0" * 64))
            connection.commit()
            with pytest.raises(verifier.Refused, match="cut or changed"):
                verifier.check_log(str(folder / "vault.db"), SIGNER.public, str(tmp_path / "anchor"))


def test_a_checkpoint_of_another_key_or_another_vault_is_refused(folder: Path, tmp_path: Path) -> None:
    anchor, other = FileAnchor(tmp_path / "anchor"), LogSigner(b"7" * 32, name=SIGNER.name)
    with SQLiteVault(folder) as vault, SQLiteVault(tmp_path / "second") as second:
        grow(vault, 3)
        grow(second, 3)
        vault.sign_log(other, anchor)
        with pytest.raises(IntegrityError, match="signature"):
            vault.check_log(SIGNER.public, anchor)
        with pytest.raises(IntegrityError, match="another log"):
            second.check_log(other.public, anchor)
    (tmp_path / "empty").touch()
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError, match="keeps no checkpoint"):
        vault.check_log(SIGNER.public, FileAnchor(tmp_path / "empty"))


def test_a_note_is_signed_whole() -> None:
    note = SIGNER.sign("line one\nline two\n")
    assert opened_note(note, SIGNER.public) == "line one\nline two\n"
    for changed in (
        note.replace("one", "two"),
        note.replace("\n\n", "\n"),
        note[:-9],
        "",
        note.replace("acme", "evil"),
    ):
        with pytest.raises(IntegrityError):
            opened_note(changed, SIGNER.public)


def test_the_signing_key_is_made_private_and_kept(tmp_path: Path) -> None:
    made = LogSigner.from_file(tmp_path / "key", name="me", make=True)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert LogSigner.from_file(tmp_path / "key", name="me").public == made.public
    with pytest.raises(VaultError):
        LogSigner.from_file(tmp_path / "none", name="me")
    for name in ("", "a b", "a+b", "a\nb"):
        with pytest.raises(VaultError):
            LogSigner(bytes(32), name=name)
    assert verifier.node(b"a", b"b") == _node(b"a", b"b")
