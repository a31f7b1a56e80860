"""Checkpoints over the audit log: the roots of RFC 6962, and proofs that a stranger can check."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from memos_integrations.core.ports import LogQuery, Transaction
from memos_integrations.testing.cubes import cube, record
from memos_integrations.vaults import merkle
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed


def naive(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive(leaves[:k]) + naive(leaves[k:])).digest()


def test_the_root_is_that_of_the_rfc() -> None:
    hashes = [sha256(b"%d" % number) for number in range(70)]
    for size in range(71):
        leaves = [each.digest() for each in hashes[:size]]
        assert merkle.root_of([merkle.leaf(each.hexdigest()) for each in hashes[:size]]) == naive(leaves)


def log(folder: Path, entries: int) -> list[str]:
    with SQLiteVault(folder) as vault:
        about = cube("kettle")
        audit = tuple(record(about, "read") for _ in range(entries))
        vault.submit(Transaction((), audit)).result(timeout=60)
        hashes = []
        while batch := vault.log(LogQuery(tenant="acme", after=len(hashes), limit=10_000)):
            hashes += [entry.hash for entry in batch]
        return hashes


@pytest.mark.parametrize("entries", [1, 7, 1024, 1025, 3100])
def test_every_entry_under_a_root_can_be_proved_and_no_other(folder: Path, entries: int) -> None:
    hashes = log(folder, entries)
    whole = entries // merkle.EVERY * merkle.EVERY or entries
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        for number in {1, 2, 6, 1000, 1024, 1025, 2048, 2049, whole} & set(range(1, whole + 1)):
            proof = merkle.prove(connection, number)
            assert proof.root == naive([bytes.fromhex(each) for each in hashes[:whole]]).hex()
            assert merkle.proves(proof, hashes[number - 1])
            assert entries == 1 or not merkle.proves(proof, hashes[number % entries])
            assert not merkle.proves(replace(proof, number=number + 1), hashes[number - 1])
            assert not merkle.proves(replace(proof, path=(*proof.path, "00" * 32)), hashes[number - 1])
            assert len(proof.path) <= 12


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE checkpoints SET root = zeroblob(32) WHERE number = 2",
        "UPDATE checkpoints SET block = zeroblob(32) WHERE number = 1",
        "DELETE FROM checkpoints WHERE number = 2",
        "INSERT INTO checkpoints SELECT 4, 4096, block, root FROM checkpoints WHERE number = 1",
    ],
)
def test_a_changed_checkpoint_is_reported(folder: Path, sql: str) -> None:
    log(folder, 3100)
    with SQLiteVault(folder) as vault:
        assert vault.verify_audit().ok
    changed(folder, sql)
    with SQLiteVault(folder) as vault:
        assert any("checkpoint" in problem for problem in vault.verify_audit().problems)
