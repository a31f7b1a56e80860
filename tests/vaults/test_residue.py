"""Erasing is attested: nothing of a canary or of what was derived from it is in any file, in any form."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.access import Principal
from memos_integrations.core.cube import CubeRef, MemCube, Provenance
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, LegalHoldError, VaultError
from memos_integrations.core.operator import ErasureReceipt
from memos_integrations.core.ports import CubeFilter, KeyProvider
from memos_integrations.memos import MemOS
from memos_integrations.vaults import verifier
from memos_integrations.vaults.residue import FileScan, commitment, forms, scan, stretches
from memos_integrations.vaults.signed_log import FileAnchor, LogSigner, opened_note
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
OTHER_ADMIN = Principal(tenant="acme", user="second", roles=frozenset({"admin"}))
SIGNER = LogSigner(bytes(range(32)), name="acme.example/log")


def opened(
    folder: Path, *, keys: KeyProvider | None = None, blinded: bool = False, **how: object
) -> tuple[MemOS, FileScan]:
    vault = SQLiteVault(folder, keys=keys, blinded=blinded)
    return MemOS(vault, embedder=WordsEmbedder(), clock=lambda: NOW), FileScan(vault, SIGNER, **how)  # type: ignore[arg-type]


def of(*cubes: MemCube) -> Provenance:
    return Provenance(derived_from=tuple(cube.ref for cube in cubes))


def said(receipt: ErasureReceipt) -> dict[str, object]:
    found: dict[str, object] = json.loads(opened_note(receipt.proof, SIGNER.public))
    return found


@pytest.mark.parametrize("form", sorted(forms('a canary named Ünïcode "quoted"')))
def test_every_form_is_found_wherever_it_stands(tmp_path: Path, form: str) -> None:
    text = 'a canary named Ünïcode "quoted"'
    raw = text.encode()
    before = {"base64+1": b"x", "base64+2": b"xy"}.get(form, b"")
    content = {
        "utf-8": raw,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "json": json.dumps({"k": text}).encode(),
        "json-utf-8": json.dumps({"k": text}, ensure_ascii=False).encode(),
    }.get(form) or base64.b64encode(before + raw + b"tail")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" * ((1 << 24) - 20) + content)  # across the edge of two pieces
    report, found = scan([tmp_path], {text: forms(text)})
    assert form in {shape for _, shape in report.hits}
    assert found == {text}
    assert scan([tmp_path], {"b": forms("another canary")})[0].hits == ()


def test_stretches_cover_both_ends() -> None:
    text = "".join(chr(97 + number % 26) + str(number) for number in range(3000))
    pieces = stretches(text)
    assert pieces[0] == text[: len(pieces[0])]
    assert pieces[-1] == text[-len(pieces[-1]) :]
    assert stretches("short") == []
    assert stretches("just long enough") == ["just long enough"]


def erased_canaries(folder: Path, many: int, chance: Random, **how: Any) -> tuple[int, int]:
    """How many of so many canaries were erased with proof, and how many of those nothing was left of."""
    verified = 0
    memos, proof = opened(folder / "vault", anchors=[FileAnchor(folder / "anchor")], **how)
    with memos:
        cubes = []
        for _ in range(many):
            canary = secrets.token_hex(8)
            text = f"Code {canary}. " + "The kettle is on. " * chance.choice([0, 3, 500])
            cube = memos.remember(f"{text} end-{canary}", by=ANA, tags=[f"tag-{canary}"], key=canary)
            memos.remember(f"Somebody has the code {canary}", by=ANA, provenance=of(cube))
            if chance.random() < 0.3:
                cube = memos.update(cube.id, by=ANA, text=f"Now {canary} is the code {canary}")
            cubes.append((canary, cube))
        kept = memos.remember("The kettle is on. The kettle is on. The kettle is on.", by=ANA)
        memos.recall("code kettle", by=ANA)
        chance.shuffle(cubes)
        for canary, cube in cubes:
            control = how or scan([folder], {canary: forms(canary)})[1]
            receipt = memos.forget(cube.id, by=ANA, proof=proof)
            gone = not scan([folder], {canary: forms(canary)})[0].hits
            looked = said(receipt)["scan"]
            assert isinstance(looked, dict)
            clean = looked["hits"] == 0 and looked["control"] > 0
            unfound = not [hit for hit in memos.recall(f"code {canary}", by=ANA).hits if canary in hit.text]
            verified += bool(control) and gone and clean and unfound and set(receipt.remaining.values()) == {0}
        assert memos.get(kept.id, by=ANA)
        assert memos.verify_audit().ok
    return verified, many


@pytest.mark.answers("AISVS 8.3.2")
def test_canaries_are_gone_in_every_form(tmp_path: Path) -> None:
    assert erased_canaries(tmp_path, 12, Random(5)) == (12, 12)


def test_canaries_of_a_blinded_vault_are_gone_and_their_keys_too(tmp_path: Path) -> None:
    assert erased_canaries(tmp_path, 6, Random(5), keys=HeldKey(bytes(32)), blinded=True) == (6, 6)


@pytest.mark.slow
def test_two_hundred_canaries_are_gone(tmp_path: Path) -> None:
    assert erased_canaries(tmp_path, 200, Random(11)) == (200, 200)


def test_a_copy_that_is_left_is_found_and_nothing_is_attested(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    memos, proof = opened(tmp_path / "vault", places=[tmp_path / "logs"])
    with memos:
        cube = memos.remember("The safe opens with 4711-0815-1234", by=ANA)
        coded = base64.b64encode(b"xx The safe opens with 4711-0815-1234 xx")
        (tmp_path / "logs" / "app.log").write_bytes(b"sent " + coded)
        with pytest.raises(VaultError, match=r"app\.log \(base64"):
            memos.forget(cube.id, by=ANA, proof=proof)


def test_a_note_is_checked_alone_and_names_nothing(tmp_path: Path) -> None:
    memos, proof = opened(tmp_path / "vault")
    with memos:
        cube = memos.remember("The safe opens with 4711-0815-1234", by=ANA)
        derived = memos.remember("Safe code 4711-0815-1234", by=ANA, provenance=of(cube))
        receipt = memos.forget(cube.id, by=ANA, proof=proof)
    assert not any(word in receipt.proof for word in (cube.id, derived.id, "4711", cube.digest, "ana"))
    closure = said(receipt)["closure"]
    assert isinstance(closure, list)
    assert {each["is"] for each in closure} == {
        commitment(bytes.fromhex(receipt.salt), each.id, each.digest) for each in (cube, derived)
    }
    note = tmp_path / "note"
    command = [sys.executable, "-I", verifier.__file__, "note", str(note), "--public", SIGNER.public.hex()]
    for content, code in ((receipt.proof, 0), (receipt.proof.replace('"hits":0', '"hits":1'), 1)):
        note.write_text(content, "utf-8")
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def test_what_another_memory_says_as_well_is_no_trace(tmp_path: Path) -> None:
    memos, proof = opened(tmp_path / "vault")
    with memos:
        one = memos.remember("We meet at the old harbour on Fridays.", by=ANA)
        two = memos.remember("We meet at the old harbour on Fridays.", by=ADMIN)
        looked = said(memos.forget(one.id, by=ANA, proof=proof))["scan"]
        assert isinstance(looked, dict)
        assert looked["said_elsewhere"] > 0
        assert memos.get(two.id, by=ADMIN).text.startswith("We meet")


def test_whoever_holds_does_not_erase(tmp_path: Path) -> None:
    memos, proof = opened(tmp_path / "vault")
    with memos:
        cube = memos.remember("Evidence of something.", by=ANA)
        memos.hold(cube.id, by=ADMIN)
        for by in (ANA, ADMIN, OTHER_ADMIN):
            with pytest.raises((LegalHoldError, AccessDeniedError)):
                memos.forget(cube.id, by=by, proof=proof)
        memos.hold(cube.id, by=ADMIN, held=False)
        with pytest.raises(AccessDeniedError, match="hold"):
            memos.forget(cube.id, by=ADMIN, proof=proof)
        denials = memos.audit(by=ADMIN, outcome="denied", cube_id=cube.id)
        assert denials[-1].record.reason == "conflict of duties"
        assert said(memos.forget(cube.id, by=OTHER_ADMIN, proof=proof))["cubes"] == 1
        assert memos.verify_audit().ok


GRAPHS = st.integers(2, 9).flatmap(lambda n: st.lists(st.sets(st.integers(0, 7), max_size=3), min_size=n, max_size=n))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(2, 9).flatmap(lambda n: st.lists(st.sets(st.integers(0, 7), max_size=3), min_size=n, max_size=n)),
    st.data(),
)
def test_the_closure_is_what_was_derived(sources: list[set[int]], data: st.DataObject) -> None:
    """Random graphs: exactly the descendants go, and every other memory stays."""
    with tempfile.TemporaryDirectory() as folder:
        memos, proof = opened(Path(folder) / "vault")
        with memos:
            check_closure(memos, proof, sources, data.draw(st.integers(0, len(sources) - 1)))


def test_what_was_derived_twice_over_is_erased_in_the_order_of_its_sources() -> None:
    """The last is derived from the first and, by two others, once more: found soon, but to be erased first."""
    with tempfile.TemporaryDirectory() as folder:
        memos, proof = opened(Path(folder) / "vault")
        with memos:
            check_closure(memos, proof, [set(), {0}, {1}, {0, 2}], 0)


def check_closure(memos: MemOS, proof: FileScan, sources: list[set[int]], doomed: int) -> None:
    cubes: list[MemCube] = []
    below = {doomed}
    for number, wanted in enumerate(sources):
        parents = sorted({each for each in wanted if each < number})
        refs = tuple(CubeRef(id=cubes[each].id, version=1) for each in parents)
        text = f"canary {number} {secrets.token_hex(8)}"
        cubes.append(memos.remember(text, by=ANA, provenance=Provenance(derived_from=refs)))
        if below & set(parents):
            below.add(number)
    note = said(memos.forget(cubes[doomed].id, by=ANA, proof=proof))
    assert note["cubes"] == len(below)
    assert note["unseen"] == 0
    for number, cube in enumerate(cubes):
        if number in below:
            with pytest.raises(CubeNotFoundError):
                memos.get(cube.id, by=ANA)
        else:
            assert memos.get(cube.id, by=ANA).text == cube.text


LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
"""


def test_a_scan_leaves_the_locks_of_an_open_vault_alone(tmp_path: Path) -> None:
    """What SQLite locks while a database is open (its SHARED range) cannot be had by another process."""

    def is_locked() -> bool:
        asked = [sys.executable, "-c", LOCKED, str(tmp_path / "vault" / "vault.db")]
        return subprocess.run(asked, capture_output=True, check=False).returncode != 0

    memos, proof = opened(tmp_path / "vault")
    with memos:
        cube = memos.remember("The safe opens with 4711-0815-1234", by=ANA)
        assert is_locked()
        memos.forget(cube.id, by=ANA, proof=proof)
        assert is_locked()
    assert not is_locked()


def test_a_memory_goes_from_everywhere_that_it_was_carried_to(tmp_path: Path) -> None:
    """Delivered to a subscriber, summed up, named by a snapshot: erased once, it comes back by none."""
    canary = secrets.token_hex(8)
    ben = Principal(tenant="acme", user="ben")
    memos, proof = opened(tmp_path / "vault")
    with memos:
        cube = memos.remember(f"The code of the shed is {canary}, said the neighbour.", by=ANA, tags=["shed"])
        other = memos.remember("The shed stands behind the house, beside the well.", by=ANA, tags=["shed"])
        memos.store.subscribe("news", by=ben)
        memos.store.publish("shed", by=ANA, to=["ben"], cube_id=cube.id)
        told = memos.store.pull("news", by=ben)
        assert any(canary in each.cube.text for each in told.deliveries if each.cube is not None)
        summary = memos.summarise([cube.id, other.id], by=ANA)
        memos.snapshot("before", by=ANA)
        memos.recall(f"code of the shed {canary}", by=ANA)
        receipt = memos.forget(cube.id, by=ANA, proof=proof)
        assert summary.id in receipt.derived
        assert not scan([tmp_path], {canary: forms(canary)})[0].hits
        assert not [
            each for each in memos.store.pull("news", by=ben).deliveries if each.cube and canary in each.cube.text
        ]
        assert not [hit for hit in memos.recall(canary, by=ben, needed=True).hits if canary in hit.text]
        assert all(cube.id != each.id for each in memos.find(CubeFilter(), by=ANA, k=100))
        memos.roll_back("before", by=ANA)
        assert not scan([tmp_path], {canary: forms(canary)})[0].hits, "what was erased does not come back"
        assert memos.verify_audit().ok
