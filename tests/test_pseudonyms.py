"""Pseudonyms: one name for one value within a tenant, told to few, on record, and to nobody once it is erased."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations import MemOS, Principal
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, IdentityError, InvalidMemoryError
from memos_integrations.core.gate import Ruling, WriteGate, personal_in, secrets_in
from memos_integrations.pseudonyms import Pseudonyms
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = b"a secret of the test, 32 bytes.."
ANA = Principal(tenant="acme", user="ana")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
OFFICER = Principal(tenant="acme", user="olga", roles=frozenset({"restorer"}))
BOTH = Principal(tenant="acme", user="otto", roles=frozenset({"restorer", "admin"}))
STRANGER = Principal(tenant="evil", user="olga", roles=frozenset({"restorer", "admin"}))
SAID = "Write to ana.lima@example.com, not to j.doe@example.net."


@pytest.fixture
def names() -> Iterator[Pseudonyms]:
    with Pseudonyms(InMemoryVault(), secret=SECRET, clock=lambda: NOW) as made:
        yield made


@pytest.fixture
def memos(names: Pseudonyms) -> Iterator[MemOS]:
    gate = WriteGate(personal=Ruling.REDACT, pseudonyms=names)
    with MemOS(InMemoryVault(), clock=lambda: NOW, gate=gate) as made:
        yield made


def test_a_text_keeps_names_and_few_get_the_values_back(memos: MemOS, names: Pseudonyms) -> None:
    kept = memos.get(memos.remember(SAID, by=ANA).id, by=ANA).text
    assert "example" not in kept
    assert kept.count("[email:") == 2
    assert names.restore(kept, by=OFFICER) == SAID
    for nobody in (ANA, STRANGER):
        assert names.restore(kept, by=nobody) == kept
    with pytest.raises(IdentityError):
        names.restore(kept, by=None)  # type: ignore[arg-type]


def test_one_value_has_one_name_however_it_is_written_and_another_in_another_tenant(names: Pseudonyms) -> None:
    card = names("acme", "card", "4111 1111 1111 1111")
    assert card == names("acme", "card", "4111-1111\u00a011111111")
    assert names("acme", "email", "Ana@Example.com") == names("acme", "email", "ana@example.com")
    assert len({card, names("evil", "card", "4111 1111 1111 1111"), names("acme", "card", "4111 1111 1111 1112")}) == 3


def test_who_asked_for_a_value_is_on_record_and_who_was_refused(names: Pseudonyms) -> None:
    name = names("acme", "phone", "+1 202 555 0127")
    names.restore(name, by=OFFICER)
    names.restore(name, by=ANA)
    log = [(entry.record.actor, entry.record.outcome.value) for entry in names.audit(by=ADMIN)]
    assert ("user:olga", "allowed") in log
    assert ("user:ana", "denied") in log


def test_an_erased_name_is_nobodys_for_good(memos: MemOS, names: Pseudonyms) -> None:
    kept = memos.remember(SAID, by=ANA).text
    first = kept[kept.index("[") : kept.index("]") + 1]
    for nobody in (ANA, OFFICER, STRANGER):
        with pytest.raises((AccessDeniedError, CubeNotFoundError)):
            names.forget(first, by=nobody)
    names.forget(first, by=BOTH)
    assert names.restore(kept, by=OFFICER) == kept.replace("[email:", "[email:", 1).replace(
        kept[kept.rindex("[") : kept.rindex("]") + 1], "j.doe@example.net"
    )
    later = memos.get(memos.remember(f"{SAID} ", by=ANA).id, by=ANA).text
    assert first not in memos.get(memos.remember(SAID, by=ANA).id, by=ANA).text
    assert first not in later
    again = names("acme", "email", "ana.lima@example.com")
    assert again != first
    assert names.restore(first, by=OFFICER) == first
    with pytest.raises(InvalidMemoryError):
        names.forget("ana.lima@example.com", by=BOTH)


def test_names_last_and_the_value_is_in_no_file_of_the_texts(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            Pseudonyms(SQLiteVault(tmp_path / "names"), secret=SECRET) as names,
            MemOS.open(tmp_path / "texts", gate=WriteGate(personal="redact", pseudonyms=names)) as memos,  # type: ignore[arg-type]
        ):
            cube = memos.remember(SAID, by=ANA)
            assert names.restore(cube.text, by=OFFICER) == SAID
            told = {hit.text for hit in memos.recall("write", by=ANA).hits}
            assert told == {cube.text}
    for file in (tmp_path / "texts").rglob("*"):
        assert not file.is_file() or b"lima@" not in file.read_bytes()
    with Pseudonyms(SQLiteVault(tmp_path / "names"), secret=SECRET) as names:
        name = names("acme", "email", "ana.lima@example.com")
        names.forget(name, by=BOTH)
    for file in (tmp_path / "names").rglob("*"):
        assert not file.is_file() or b"lima@" not in file.read_bytes()


def test_what_was_stored_before_gets_names_too(names: Pseudonyms) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        cube = memos.remember(SAID, by=ANA)
        gate = WriteGate(personal=Ruling.REDACT, pseudonyms=names)
        (done,) = memos.redact([cube.id], by=ANA, gate=gate, erase=True)
        kept = memos.get(done.instead, by=ANA).text
        assert names.restore(kept, by=OFFICER) == SAID
        assert memos.redact([done.instead], by=ANA, gate=gate) == []
        with pytest.raises(CubeNotFoundError):
            memos.get(cube.id, by=ANA)


def test_many_threads_agree_on_a_name(names: Pseudonyms) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(names("acme", "email", "x@example.com"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 12
    assert len(set(made)) == 1


def test_a_secret_is_kept_under_no_name(memos: MemOS) -> None:
    kept = memos.remember("My api key is sk-proj-" + "a1B2c3D4" * 6 + " and my mail is q@example.com", by=ANA).text
    assert kept.count(":") == 1
    assert "[email:" in kept


@given(st.sampled_from(["email", "card", "us_ssn", "br_cpf"]), st.binary(min_size=16, max_size=16))
def test_no_rule_finds_anything_in_a_name(kind: str, drawn: bytes) -> None:
    name = f"[{kind}:{drawn.hex().translate(str.maketrans('0123456789abcdef', 'abcdefghijklmnop'))}]"
    for text in (name, f"call {name} or the password is {name}"):
        assert personal_in(text) == []
    assert secrets_in(name) == []


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidMemoryError):
        Pseudonyms(InMemoryVault(), secret=os.urandom(8))
