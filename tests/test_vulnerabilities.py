"""Published vulnerabilities of memory stores, each tried here; `REQUIREMENTS` names the test that answers each.

`docs/aisvs.md` is made from the table: `python -m tests.test_vulnerabilities`.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError, InvalidMemoryError, MemOSError
from memos_integrations.core.policy import Policy, Rule
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
EVE = Principal(tenant="evil", user="ana")
HOSTILE = [
    "x') OR 1=1--", '"; DROP TABLE cubes; --', "*", "NEAR(kettle secret)", "secret:*", '"', "%", "_", "..", "../../x", "/",  # noqa: E501
    "a\u202eb", "\u200b", "-", "(", "kettle OR secret", "' UNION SELECT body FROM versions --", "{}", "$ne", "`", "\\",
]  # fmt: skip

REQUIREMENTS: list[tuple[str, str, str]] = [
    ("AISVS 8.1.1", "ids and namespaces of tenants do not collide", "test_vulnerabilities.py::test_twins_of_a_tenant_are_others"),  # noqa: E501
    ("AISVS 8.1.2", "what was written cannot be changed unseen", "vaults/test_agmi.py::test_an_edit_at_rest_is_rejected_without_an_anchor"),  # noqa: E501
    ("AISVS 8.1.3", "retrieval enforces scope", "torture/test_access_oracle.py::test_answers_equal_those_of_the_oracle"),  # noqa: E501
    ("AISVS 8.3.2", "memory can be erased, residue is looked for", "vaults/test_residue.py::test_canaries_are_gone_in_every_form"),  # noqa: E501
    ("AISVS 5.2.1", "default deny; policies narrow only", "core/test_policy.py::test_a_policy_never_opens_what_the_wall_closes"),  # noqa: E501
    ("AISVS 5.2.2", "what a query is told is what the engine says", "core/test_policy.py::test_what_a_query_is_told_is_what_the_engine_says"),  # noqa: E501
    ("AISVS 5.2.5", "rules are out of an agent's reach", "core/test_policy.py::test_no_tool_of_a_model_changes_the_rules"),  # noqa: E501
    ("AISVS 9.4.4", "stored state is integrity-protected, set back or not", "vaults/test_agmi.py::test_an_edit_at_rest_is_rejected_when_there_is_an_anchor"),  # noqa: E501
    ("AISVS 12.1.4", "decisions and revisions of policy are logged", "core/test_policy.py::test_changing_the_rules_is_for_admins_and_on_record"),  # noqa: E501
    ("AISVS 12.5.4", "the log can be checked by a stranger", "vaults/test_signed_log.py::test_a_stranger_checks_log_and_proofs"),  # noqa: E501
    ("ASI06 guideline 3", "segmentation: the tenant is a wall", "test_vulnerabilities.py::test_no_hostile_name_reaches_another_tenant"),  # noqa: E501
    ("ASI06 guideline 4", "identity comes from the runtime only", "test_vulnerabilities.py::test_nobody_is_no_principal"),  # noqa: E501
    ("ASI06 guideline 7", "a log that was rewritten or cut is found", "vaults/test_signed_log.py::test_a_log_that_was_cut_set_back_or_rewritten_is_found_by_its_anchor"),  # noqa: E501
    ("CVE-2025-67644, CVE-2026-27022", "SQL through filter values, keys and namespaces", "test_vulnerabilities.py::test_no_hostile_name_reaches_another_tenant"),  # noqa: E501
    ("CVE-2026-28277, CVE-2024-14021", "nothing stored is ever run", "test_architecture.py::test_nothing_stored_is_ever_run"),  # noqa: E501
    ("MemOS #2259", "None and empty names pass for somebody", "test_vulnerabilities.py::test_nobody_is_no_principal"),
    ("agent-governance-toolkit #2992", "a failing rule refuses", "test_vulnerabilities.py::test_a_failing_rule_refuses"),  # noqa: E501
    ("MemOS #2331", "erasing leaves vectors behind", "vaults/test_erasure.py::test_no_file_holds_what_was_erased"),
    ("llama_index #22701", "the first asker's filter stays for the next", "test_vulnerabilities.py::test_one_object_serves_many_askers"),  # noqa: E501
]  # fmt: skip


@pytest.fixture
def memos(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "v", clock=lambda: NOW) as made:
        made.remember("The secret kettle.", by=EVE, tags=["secret"], namespace=("evil", "a_b"))
        made.remember("My kettle.", by=ANA, tags=["mine"], namespace=("acme", "axb"))
        yield made


def reached(memos: MemOS, text: str) -> list[str]:
    """Every text that Ana gets, whatever she writes where a name or a question goes."""
    found: list[str] = []
    filters = (
        {"tags": (text,)}, {"namespace": (text,)}, {"namespace": ("acme", text)}, {"semantic_types": (text,)},
        {"entities": (text,)}, {"speakers": (text,)}, {"thread_id": text}, {"session_id": text}, {"ids": (text,)},
    )  # fmt: skip
    for said in filters:
        try:
            found += [cube.text for cube in memos.find(CubeFilter(**said), by=ANA)]  # type: ignore[arg-type]
        except InvalidMemoryError:
            continue
    try:
        found += [hit.text for hit in memos.recall(text, by=ANA, needed=True).hits]
        found += [memos.get(text, by=ANA).text]
    except MemOSError:
        pass
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_name_reaches_another_tenant(memos: MemOS, text: str) -> None:
    assert "The secret kettle." not in reached(memos, text)
    assert [hit.text for hit in memos.recall("kettle", by=EVE).hits] == ["The secret kettle."]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_text_at_all_reaches_another_tenant(memos: MemOS, text: str) -> None:
    assert "The secret kettle." not in reached(memos, text)


@pytest.mark.parametrize("name", ["Ana", "ana ", "an\u00e1", "ana\u0301", "ANA", "ana\u200b", "an_", "%"])
def test_twins_of_a_tenant_are_others(tmp_path: Path, name: str) -> None:
    with MemOS.open(tmp_path / "twins", clock=lambda: NOW) as memos:
        one = memos.remember("Words of one.", by=Principal(tenant="ana", user="u"))
        try:
            twin = Principal(tenant=name, user="u")
        except IdentityError:
            return
        assert memos.recall("words", by=twin).hits == ()
        assert memos.may_read([one.id], by=twin) == set()
        other = unicodedata.normalize("NFC", name)
        if other != name:
            assert memos.recall("words", by=Principal(tenant=other, user="u")).hits == ()


@pytest.mark.parametrize("name", [None, "", " ", "\t", "\x00", 0, "a" * 501, "\ud800"])
def test_nobody_is_no_principal(name: object) -> None:
    for said in ({"tenant": name, "user": "ana"}, {"tenant": "acme", "user": name}):
        with pytest.raises(IdentityError):
            Principal(**said)


@pytest.mark.parametrize("by", [None, "", "ana", {"tenant": "acme", "user": "ana"}, object()])
def test_what_is_no_principal_is_refused_everywhere(memos: MemOS, by: object) -> None:
    cube = memos.remember("Words.", by=ANA)
    for call in (memos.get, memos.forget, memos.history, memos.hold, memos.provenance, memos.read_blob):
        with pytest.raises(IdentityError):
            call(cube.id, by=by)  # type: ignore[operator]
    for ask in (memos.recall, memos.remember):
        with pytest.raises(IdentityError):
            ask("words", by=by)  # type: ignore[operator]
    assert memos.get(cube.id, by=ANA).text == "Words."


class Failing(Policy):
    """A rule engine that breaks down."""

    def refusal(self, *_: object) -> str | None:
        raise RuntimeError("the engine is gone")


def test_a_failing_rule_refuses(memos: MemOS) -> None:
    memos._policy = Failing(rules=(Rule(name="r", who=("*",), may_not=("write",)),))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        memos.recall("kettle", by=ANA)
    with pytest.raises(RuntimeError):
        memos.find(CubeFilter(), by=ANA)


def test_one_object_serves_many_askers(memos: MemOS) -> None:
    for _ in range(3):
        for by, text in ((ANA, "My kettle."), (EVE, "The secret kettle.")):
            assert [hit.text for hit in memos.recall("kettle", by=by).hits] == [text]


def table() -> str:
    """`docs/aisvs.md`."""
    lines = ["# Requirement, and the test that answers it", ""]
    lines += [
        "Made from `tests/test_vulnerabilities.py`, which also holds that every test named here exists. Only what a"
    ]
    lines += ["test shows is listed; no conformity is claimed. Results are those of the newest run of the suite.", ""]
    lines += ["| Requirement | What is shown | Test |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {what} | `tests/{test}` |" for name, what, test in REQUIREMENTS), ""])


def test_every_requirement_names_a_test_that_is_there() -> None:
    for _, _, test in REQUIREMENTS:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test
    assert (ROOT / "docs" / "aisvs.md").read_text("utf-8") == table()


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "aisvs.md").write_text(table(), "utf-8")
