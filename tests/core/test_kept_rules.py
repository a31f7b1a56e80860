"""Rules that a tenant adopted are kept in the vault: for that tenant, in every program, until an admin changes them."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.backends.cedar import CedarPolicy
from memos_integrations.cli import app
from memos_integrations.core import ruling
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IdentityError,
    IntegrityError,
    PolicyError,
)
from memos_integrations.core.policy import Memories, Policy, Rule
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.ruling import rules_id
from memos_integrations.vaults import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA, BOB = (Principal(tenant="acme", user=name) for name in ("ana", "bob"))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
ELSEWHERE = Principal(tenant="globex", user="root", roles=frozenset({"admin"}))
SALARIES = Rule.model_validate(
    {"name": "salaries", "who": ["group:personnel", "owner"], "may": ["read"], "memories": {"tags": ["salary"]}}
)
RULES = Policy(rules=(SALARIES,))
CEDAR = """permit(principal, action, resource);
forbid(principal, action, resource) when { resource.tags.contains("salary") } unless { principal in resource.owner };"""


def opened(folder: Path, **more: object) -> MemOS:
    return MemOS(SQLiteVault(folder / "v"), clock=lambda: NOW, **more)  # type: ignore[arg-type]


def told(memos: MemOS) -> str:
    return memos.remember("Tom earns 4000 a month.", by=ANA, readers=["*"], tags=["salary"]).id


def seen(memos: MemOS, by: Principal = BOB) -> list[str]:
    return [hit.text for hit in memos.recall("What does Tom earn?", by=by, needed=True).hits]


@pytest.mark.answers("AISVS 5.2.1", "identity 17")
@pytest.mark.parametrize("rules", [RULES, CedarPolicy(CEDAR)], ids=["rules", "cedar"])
def test_what_was_adopted_holds_after_it_is_opened_again(tmp_path: Path, rules: Policy) -> None:
    with opened(tmp_path) as memos:
        told(memos)
        memos.adopt_policy(rules, by=ADMIN)
        assert seen(memos) == []
    with opened(tmp_path) as memos:
        assert seen(memos) == []
        assert memos.find(CubeFilter(), by=BOB) == []
        assert len(seen(memos, ANA)) == 1
        memos.adopt_policy(None, by=ADMIN)
        assert len(seen(memos)) == 1
        assert memos.verify_audit().ok
    with opened(tmp_path) as memos:
        assert len(seen(memos)) == 1
        said = [entry.record.detail for entry in memos.audit(by=ADMIN, operation="policy")]
    assert [(each["before"], each["after"]) for each in said] == [(None, rules.revision), (rules.revision, None)]  # type: ignore[index]


@pytest.mark.answers("AISVS 5.2.1")
def test_an_admin_changes_nothing_for_another_tenant() -> None:
    memos = MemOS(InMemoryVault(), clock=lambda: NOW)
    told(memos)
    memos.adopt_policy(RULES, by=ADMIN)
    memos.adopt_policy(None, by=ELSEWHERE)
    assert seen(memos) == []
    mine = memos.remember("Tom plants trees.", by=ELSEWHERE, readers=["*"], tags=["salary"])
    assert memos.may_read([mine.id], by=Principal(tenant="globex", user="eve")) == {mine.id}


def test_what_the_application_passes_holds_beside_what_was_adopted() -> None:
    memos = MemOS(InMemoryVault(), clock=lambda: NOW, policy=RULES)
    told(memos)
    memos.remember("Tom earns less than Ida.", by=ANA, readers=["*"], tags=["rumour"])
    memos.adopt_policy(Policy(rules=(SALARIES.model_copy(update={"memories": Memories(tags=("rumour",))}),)), by=ADMIN)
    assert seen(memos) == []
    memos.adopt_policy(None, by=ADMIN)
    assert seen(memos) == ["Tom earns less than Ida."]


def test_another_program_obeys_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruling, "AGAIN_S", 0.0)
    with opened(tmp_path) as one, opened(tmp_path) as other:
        told(one)
        assert len(seen(other)) == 1
        one.adopt_policy(RULES, by=ADMIN)
        assert seen(other) == []


class Ours(Policy):
    """Rules of an engine that nobody else has."""

    @property
    def kept(self) -> None:  # type: ignore[override]
        return None


def test_rules_that_cannot_be_applied_are_no_hole(tmp_path: Path) -> None:
    rules = Ours(rules=(SALARIES,))
    with opened(tmp_path) as memos:
        told(memos)
        memos.adopt_policy(rules, by=ADMIN)
        assert seen(memos) == []
    with opened(tmp_path) as memos, pytest.raises(PolicyError, match=rules.revision[:12]):
        seen(memos)
    with opened(tmp_path, policy=rules) as memos:
        assert seen(memos) == []
    with opened(tmp_path) as memos:
        memos.adopt_policy(RULES, by=ADMIN)
        assert seen(memos) == []


def test_no_verb_reaches_the_rules() -> None:
    vault = InMemoryVault()
    memos = MemOS(vault, clock=lambda: NOW)
    memos.adopt_policy(RULES, by=ADMIN)
    kept = rules_id("acme")
    for by in (ANA, ADMIN):
        for verb in (memos.get, memos.forget, memos.history, memos.hold):
            with pytest.raises((CubeNotFoundError, AccessDeniedError)):
                verb(kept, by=by)
        with pytest.raises((CubeNotFoundError, AccessDeniedError)):
            memos.update(kept, by=by, text="no rules")
        with pytest.raises((CubeNotFoundError, AccessDeniedError)):
            memos.quarantine([kept], by=by)
        assert memos.find(CubeFilter(states=frozenset()), by=by) == []
        assert seen(memos, by) == []
    assert vault.get("acme", [kept])[0].version == 1


def test_nobody_writes_a_memory_where_the_rules_are_to_stand() -> None:
    memos = MemOS(InMemoryVault(), clock=lambda: NOW)
    cube = memos.remember("Words.", by=ANA).model_copy(update={"id": rules_id("acme")})
    caller = memos._caller(ANA, None)
    with pytest.raises(AccessDeniedError):
        memos._governance.put(cube, caller, operation="remember", terms=(), vector=None)


def test_rules_that_were_taken_out_of_the_file_are_missed(tmp_path: Path) -> None:

    with opened(tmp_path) as memos:
        told(memos)
        memos.adopt_policy(RULES, by=ADMIN)
    with sqlite3.connect(tmp_path / "v" / "vault.db") as connection:
        (seq,) = connection.execute("SELECT seq FROM cubes WHERE id = ?", (rules_id("acme"),)).fetchone()
        connection.execute("DELETE FROM versions WHERE cube = ?", (seq,))
        connection.execute("DELETE FROM cubes WHERE seq = ?", (seq,))
    with opened(tmp_path) as memos, pytest.raises(IntegrityError):
        seen(memos)


@pytest.mark.parametrize("edit", ["renamed", "gone, and another row edited"])
def test_rules_that_cannot_be_found_for_an_edit_are_not_taken_for_none(tmp_path: Path, edit: str) -> None:
    with opened(tmp_path) as memos:
        pay = told(memos)
        other = memos.remember("Bob plants trees.", by=BOB).id
        memos.adopt_policy(RULES, by=ADMIN)
    with sqlite3.connect(tmp_path / "v" / "vault.db") as connection:
        if edit == "renamed":
            connection.execute("UPDATE cubes SET id = 'other' WHERE id = ?", (rules_id("acme"),))
        else:
            connection.execute("DELETE FROM cubes WHERE id = ?", (rules_id("acme"),))
            connection.execute("UPDATE cubes SET state = 'frozen' WHERE id = ?", (other,))
    with opened(tmp_path) as memos:
        for read in (memos.get, memos.history):
            with pytest.raises(IntegrityError):
                read(pay, by=BOB)


def test_an_admin_sees_what_a_change_opens_and_closes_for_everybody(tmp_path: Path) -> None:
    with opened(tmp_path) as memos:
        pay = told(memos)
        memos.remember("Bob plants trees.", by=BOB)
        memos.adopt_policy(RULES, by=ADMIN)
        wider = SALARIES.model_copy(update={"who": ("group:personnel", "role:manager", "owner")})
        both = ["user:bob", "role:manager"]
        found = memos.try_policy(Policy(rules=(wider,)), before=RULES, by=ADMIN, accounts=[both])
        assert found == (2, (("role:manager", pay), ("user:bob + role:manager", pay)), (), ())
        lost = memos.try_policy(RULES, by=ADMIN, accounts=[["user:bob"]])
        assert lost.closes == (("user:bob", pay),)
        with pytest.raises(AccessDeniedError):
            memos.try_policy(None, by=ANA)
        with pytest.raises(AccessDeniedError):
            memos.adopted_policy(by=ANA)
        with pytest.raises(IdentityError):
            memos.try_policy(None, by=ADMIN, accounts=[["user:bob", "user:tom"]])
        assert memos.adopted_policy(by=ADMIN) == RULES


def test_rules_are_adopted_shown_and_obeyed_from_the_shell(tmp_path: Path) -> None:
    at = ["--vault", str(tmp_path / "v"), "--tenant", "acme"]
    admin = [*at, "--user", "root", "--role", "admin"]
    with opened(tmp_path) as memos:
        pay = told(memos)
    (tmp_path / "new.cedar").write_text(CEDAR, "utf-8")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words])
        return done.exit_code, done.output

    asked = ("ask", "What does Tom earn?", *at, "--user", "bob")
    assert "4000" in run(*asked)[1]
    new = str(tmp_path / "new.cedar")
    assert run("policy", "adopt", new, *at, "--user", "ana")[0] != 0
    said = json.loads(run("policy", "dry-run", "adopted", new, *admin, "--as", "user:bob", "--json")[1])
    assert said["closes"] == [["user:bob", pay]]
    assert run("policy", "adopt", new, *admin)[0] == 0
    assert "4000" not in run(*asked)[1]
    assert "salary" in run("policy", "show", *admin)[1]
    assert run("policy", "explain", new, pay, *at, "--user", "ana", "--as", "user:bob", "--as", "user:eve")[0] == 2
    assert run("policy", "adopt", "none", *admin)[0] == 0
    assert "4000" in run(*asked)[1]
