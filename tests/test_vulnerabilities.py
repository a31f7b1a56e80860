"""Published vulnerabilities of memory stores, each tried here; `tests/evidence.py` says which tests answer which."""

from __future__ import annotations

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

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
EVE = Principal(tenant="evil", user="ana")
HOSTILE = [
    "x') OR 1=1--", '"; DROP TABLE cubes; --', "*", "NEAR(kettle secret)", "secret:*", '"', "%", "_", "..", "../../x", "/",  # noqa: E501
    "a\u202eb", "\u200b", "-", "(", "kettle OR secret", "' UNION SELECT body FROM versions --", "{}", "$ne", "`", "\\",
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


@pytest.mark.answers("CVE-2025-67644, CVE-2026-27022", "CVE-2026-32247", "input 1", "input 2", "input 4", "input 5")
@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_name_reaches_another_tenant(memos: MemOS, text: str) -> None:
    assert "The secret kettle." not in reached(memos, text)
    assert [hit.text for hit in memos.recall("kettle", by=EVE).hits] == ["The secret kettle."]


@pytest.mark.answers("ASI06 3")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_text_at_all_reaches_another_tenant(memos: MemOS, text: str) -> None:
    assert "The secret kettle." not in reached(memos, text)


@pytest.mark.answers("AISVS 8.1.1", "input 3")
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


@pytest.mark.answers("ASI06 4", "MemOS #2259", "identity 12")
@pytest.mark.parametrize("name", [None, "", " ", "\t", "\x00", 0, "a" * 501, "\ud800"])
def test_nobody_is_no_principal(name: object) -> None:
    for said in ({"tenant": name, "user": "ana"}, {"tenant": "acme", "user": name}):
        with pytest.raises(IdentityError):
            Principal(**said)


@pytest.mark.answers("AISVS 5.2.1", "identity 12")
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


@pytest.mark.answers("agent-governance-toolkit #2992", "identity 17")
def test_a_failing_rule_refuses(memos: MemOS) -> None:
    memos._policy = Failing(rules=(Rule(name="r", who=("*",), may_not=("write",)),))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        memos.recall("kettle", by=ANA)
    with pytest.raises(RuntimeError):
        memos.find(CubeFilter(), by=ANA)


@pytest.mark.answers("llama_index #22701", "identity 16")
def test_one_object_serves_many_askers(memos: MemOS) -> None:
    for _ in range(3):
        for by, text in ((ANA, "My kettle."), (EVE, "The secret kettle.")):
            assert [hit.text for hit in memos.recall("kettle", by=by).hits] == [text]
