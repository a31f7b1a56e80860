"""Lint holds a policy against what memories have, and names the line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations.backends.cedar import CedarPolicy
from memos_integrations.backends.policy_file import TEMPLATES, located, read_policy
from memos_integrations.cli import app
from memos_integrations.core.access import Principal
from memos_integrations.core.cube import Provenance
from memos_integrations.core.policy import Several, lint
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA, BOB = (Principal(tenant="acme", user=name) for name in ("ana", "bob"))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


def planted(memos: MemOS) -> MemOS:
    memos.remember(
        "Tom earns 4000.", by=ANA, readers=["role:intern", "bob"], tags=["Salary", "top secret"],
        namespace=("acme", "pay"), semantic_type="visit", sensitivity=["health"],
        provenance=Provenance(speaker="Ida", source="mail"),
    )  # fmt: skip
    memos.remember("Bob plants trees.", by=BOB, tags=["garden"])
    return memos


def slips(rule: str, by: Principal = ADMIN) -> list[str]:
    with planted(MemOS(InMemoryVault(), clock=lambda: NOW)) as memos:
        policy = read_policy(f"rules:\n  - {{name: r, {rule}}}\n")
        return [str(each) for each in [*lint(policy, NOW), *memos.policy_slips(policy, by=by)]]


FORBID = "who: [role:intern], may_not: [read], memories: "


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (FORBID + "{tags: [salery]}", "the tag 'salery', which no memory has; do you mean 'Salary'?"),
        (FORBID + "{tags: [wages]}", "the tag 'wages', which no memory has"),
        (FORBID + "{tags: [top-secret]}", "the tag 'top-secret', which no memory has; do you mean 'top secret'?"),
        (FORBID + "{tags: [sаlаry]}", "do you mean 'Salary'?"),
        (FORBID + "{types: [visits]}", "the type 'visits', which no memory has; do you mean 'visit'?"),
        (FORBID + "{speakers: [idda]}", "the speaker 'idda', which no memory has; do you mean 'Ida'?"),
        (FORBID + "{entities: [Nobody]}", "the entity 'Nobody', which no memory has"),
        (FORBID + "{sensitivity: [helth]}", "do you mean 'health'?"),
        (FORBID + "{namespace: [pay]}", "the namespace pay, but each begins with its tenant, 'acme'"),
        (FORBID + "{namespace: [acme, play]}", "acme/play, in which no memory stands; do you mean 'acme/pay'?"),
        (FORBID + "{owner: [ana]}", "the owner 'ana', who is nobody: write user:ana"),
        (FORBID + "{owner: ['user:anna']}", "the owner 'user:anna', which no memory has; do you mean 'user:ana'?"),
        (FORBID + "{tags: [garden], types: [visit]}", "selects no memory that there is"),
        ("who: [role:intren], may_not: [read], memories: {tags: [salary]}", "do you mean 'role:intern'?"),
        ("who: ['user:eve'], may_not: [read], memories: {tags: [salary]}", "user:eve, whom no memory names"),
    ],
)  # fmt: skip
def test_what_is_about_nothing_is_told(rule: str, told: str) -> None:
    found = slips(rule)
    assert len(found) == 1, found
    assert told in found[0]


@pytest.mark.parametrize(
    "rule",
    [
        FORBID + "{tags: [' SALARY']}", FORBID + "{namespace: [ACME, Pay]}", FORBID + "{owner: ['user:ana']}",
        FORBID + "{speakers: [IDA], types: [Visit]}", FORBID + "{tags: [salary], older_than: P999D}",
        "who: [role:nobody-knows, group:personnel, owner], may: [read], memories: {tags: [salary]}",
        "who: ['*'], may_not: [read], when: {hours: [1, 2]}",
    ],
)  # fmt: skip
def test_what_is_meant_is_not_told(rule: str) -> None:
    assert slips(rule) == []


def test_of_two_names_alike_it_is_told_which_is_meant() -> None:
    with planted(MemOS(InMemoryVault(), clock=lambda: NOW)) as memos:
        for word in ("top-secret", "tóp secret", "TOP  secret"):
            memos.remember("More.", by=ANA, tags=[word])
        policy = read_policy(f"rules: [{{name: r, {FORBID}{{tags: [top-secret]}}}}]")
        (slip,) = memos.policy_slips(policy, by=ADMIN)
    assert "'top-secret', and not about 'top secret', 'tóp secret', which memories have, too" in slip.what


def test_who_is_no_admin_is_told_of_what_they_read() -> None:
    assert "which no memory has" in slips(FORBID + "{tags: [salary]}", by=Principal(tenant="acme", user="eve"))[0]
    assert slips(FORBID + "{tags: [salary]}", by=BOB) == []


def test_terms_and_several_policies_are_held_against_it_too() -> None:
    with planted(MemOS(InMemoryVault(), clock=lambda: NOW)) as memos:
        terms = read_policy("rules: []\nterms: [{name: t, memories: {types: [vist]}, ttl: P1D}]")
        other = CedarPolicy('permit(principal, action, resource) when { resource.tags.contains("gardn") };')
        assert [each.word for each in memos.policy_slips(Several(terms, other), by=ADMIN)] == ["vist", "gardn"]


CEDAR = """permit(principal, action, resource);
forbid(principal, action, resource) when {
  resource.tags.contains("salery") || resource.channel == "tool" || resource.type like "vis*"
} unless { context has purpose && context.purpose == "care" };
forbid(principal, action, resource) when { context.now - resource.recorded > 5 };
"""


def test_cedar_is_held_against_it_and_ages_that_begin_anew_are_told() -> None:
    with planted(MemOS(InMemoryVault(), clock=lambda: NOW)) as memos:
        policy = CedarPolicy(CEDAR)
        found = [*policy.lint(), *memos.policy_slips(policy, by=ADMIN)]
    assert [each.word for each in found] == ["recorded", "salery", "tool"]
    assert "do you mean 'salary'?" in found[1].what


def test_each_slip_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "rules:\n"
        "  - name: first\n"
        "    who: [role:intern]\n"
        "    may_not: [read]\n"
        "    memories:\n"
        "      tags: [salary]\n"
        "  - name: second\n"
        "    who:\n"
        "      - role:intern\n"
        "      - role:intren\n"
        "    may_not: [read]\n"
        "    memories:\n"
        "      tags:\n"
        "        - salary\n"
        "        - salery\n"
        "      namespace:\n"
        "        - pay\n"
        "        - x\n"
        "terms:\n"
        "  - {name: third, memories: {types: [vist]}, ttl: P1D}\n"
        "  - name: fourth\n"
        "    memories: {tags: [garden], types: [visit]}\n"
        "    ttl: P1D\n",
        "utf-8",
    )
    with planted(MemOS(InMemoryVault(), clock=lambda: NOW)) as memos:
        found = located(file, memos.policy_slips(read_policy(file.read_text("utf-8")), by=ADMIN))
    assert [each.partition(": ")[0] for each in found] == ["line 15", "line 17", "line 10", "line 20", "line 21"]
    (tmp_path / "p.cedar").write_text(CEDAR, "utf-8")
    assert located(tmp_path / "p.cedar", CedarPolicy(CEDAR).lint())[0].startswith("line 5: ")


def test_the_commands_tell_it(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "v") as memos:
        cube = memos.remember("Tom earns 4000.", by=Principal(tenant="local", user="ana"), tags=["Salary"])
    (tmp_path / "p.yaml").write_text(f"rules:\n  - {{name: r, {FORBID}{{tags: [salery]}}}}\n", "utf-8")
    (tmp_path / "t.yaml").write_text(TEMPLATES["terms"].replace("gossip]", "salary]"), "utf-8")
    at = ["--vault", str(tmp_path / "v"), "--user", "ana"]

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["policy", *words])
        return done.exit_code, done.output

    file, terms = str(tmp_path / "p.yaml"), str(tmp_path / "t.yaml")
    assert run("lint", file)[0] == 0
    for role in ([], ["--role", "admin"]):
        code, said = run("lint", file, *at, *role)
        assert code == 1
        assert "line 2: 'r' is about the tag 'salery'" in said
    told: dict[str, Any] = json.loads(run("lint", file, *at, "--json")[1])
    assert (told["ok"], len(told["problems"])) == (False, 1)
    assert "line 2: 'r' is about the tag 'salery'" in run("dry-run", "none", file, *at)[1]
    assert len(json.loads(run("dry-run", "none", file, *at, "--role", "admin", "--json")[1])["slips"]) == 1
    said = run("explain", terms, cube.id, "--as", "user:ana", *at)[1]
    assert "By terms 'gossip fades': half of its weight is gone after 30 days" in said
    assert len(json.loads(run("explain", terms, cube.id, "--as", "user:ana", *at, "--json")[1])["terms"]) == 1
