"""A licence whose uses are spent hands out nothing more, by whatever way its words are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, MemOSError, MemPipeline, Principal, Provenance
from memos_integrations.cli import main
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import LicenceSpentError
from memos_integrations.core.pipeline import PipelineRun
from memos_integrations.core.ports import CubeFilter

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
WORD = "heliotrope"
TEXT = f"The kettle is {WORD} and stands in the hall beside the third door."
Way = Callable[[MemOS, str], Any]


def llama(memos: MemOS, cube_id: str) -> Any:
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    from memos_integrations.llama_index import MemOSAccessPostprocessor, MemOSRetriever

    found = [
        each.get_content() for each in MemOSRetriever(memos, principal=BEN).retrieve("Which colour is the kettle?")
    ]
    node = NodeWithScore(node=TextNode(text="(old)", metadata={"memcube_id": cube_id}))
    kept = MemOSAccessPostprocessor(memos, principal=BEN).postprocess_nodes([node], query_bundle=QueryBundle("kettle"))
    return found, [each.get_content() for each in kept]


def langchain(memos: MemOS, _: str) -> Any:
    from memos_integrations.langchain import MemOSRetriever

    return [
        each.page_content for each in MemOSRetriever(memos=memos, principal=BEN).invoke("Which colour is the kettle?")
    ]


def branched(memos: MemOS, cube_id: str) -> Any:
    with memos.branch(by=BEN) as branch:
        return branch.memos.get_many([cube_id], by=BEN), branch.memos.recall("kettle", by=BEN, needed=True).hits


WAYS: dict[str, Way] = {
    "get": lambda memos, cube_id: memos.get(cube_id, by=BEN),
    "get as of": lambda memos, cube_id: memos.get(cube_id, by=BEN, as_of=NOW),
    "get_many": lambda memos, cube_id: memos.get_many([cube_id], by=BEN),
    "get_many as of": lambda memos, cube_id: memos.get_many([cube_id], by=BEN, as_of=NOW),
    "get_many for a prompt": lambda memos, cube_id: memos.get_many([cube_id], by=BEN, verb="use_in_prompt"),
    "find": lambda memos, _: memos.find(CubeFilter(), by=BEN),
    "find as of": lambda memos, _: memos.find(CubeFilter(), by=BEN, as_of=NOW),
    "recall": lambda memos, _: memos.recall("Which colour is the kettle?", by=BEN, needed=True).text,
    "recall as of": lambda memos, _: memos.recall("kettle colour", by=BEN, needed=True, as_of=NOW).text,
    "answer": lambda memos, _: memos.answer("Which colour is the kettle?", by=BEN).text,
    "history": lambda memos, cube_id: memos.history(cube_id, by=BEN),
    "attribute": lambda memos, _: memos.attribute(f"They say: {TEXT}", by=BEN).sources,
    "blob": lambda memos, cube_id: memos.read_blob(cube_id, by=BEN).read(),
    "extract": lambda memos, _: memos.extract(lambda turns: [each.text for each in turns], by=BEN, where=CubeFilter()),
    "summarise": lambda memos, cube_id: memos.summarise([cube_id], by=BEN),
    "provenance": lambda memos, cube_id: memos.provenance(cube_id, by=BEN),
    "decisions": lambda memos, cube_id: memos.decisions(cube_id, by=BEN),
    "branch": branched,
    "langchain": langchain,
    "llama_index": llama,
}


def told(way: Way, memos: MemOS, cube_id: str) -> str:
    try:
        return repr(way(memos, cube_id))
    except MemOSError as exc:
        return f"{exc!r} {exc}"


@pytest.fixture
def memos(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault", clock=lambda: NOW) as made:
        yield made


def lent(memos: MemOS, uses: int) -> str:
    more: dict[str, Any] = {"blob": WORD.encode(), "media_type": "text/plain"}
    return memos.remember(TEXT, by=ANA, readers=["ben"], licence=Licence(uses_left=uses), **more).id


@pytest.mark.parametrize("way", [way for way in WAYS if way not in {"provenance", "decisions", "extract"}])
def test_each_way_hands_out_what_is_left(memos: MemOS, way: str) -> None:
    assert WORD in told(WAYS[way], memos, lent(memos, 5))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_spent_is_handed_out_on_no_way(memos: MemOS, way: str) -> None:
    assert WORD not in told(WAYS[way], memos, lent(memos, 0))


@pytest.mark.parametrize("way", ["get_many", "get_many as of", "get_many for a prompt"])
def test_looking_at_what_one_was_not_given_is_a_use(memos: MemOS, way: str) -> None:
    kettle = lent(memos, 1)
    assert WORD in told(WAYS[way], memos, kettle)
    assert memos.get(kettle, by=ANA).behaviour.licensed == 1
    assert WORD not in told(WAYS["get"], memos, kettle)


def test_what_a_use_was_paid_for_may_be_looked_at_again_for_a_while(tmp_path: Path) -> None:
    now = [NOW]
    with MemOS.open(tmp_path / "vault", clock=lambda: now[0]) as memos:
        kettle = lent(memos, 1)
        assert memos.recall("kettle", by=BEN, needed=True).hits
        assert [cube.id for cube in memos.get_many([kettle], by=BEN)] == [kettle], "the prompt is put together"
        now[0] += timedelta(minutes=11)
        assert memos.get_many([kettle], by=BEN) == []
        assert memos.get(kettle, by=ANA).behaviour.licensed == 1


def given_up(memos: MemOS, cube_id: str) -> str:
    with suppress(RuntimeError), memos.atomic(by=BEN) as memory:
        found = memory.get(cube_id, by=BEN).text
        raise RuntimeError
    return found


def dropped(memos: MemOS, cube_id: str) -> str:
    with memos.branch(by=BEN) as branch:
        return branch.memos.get(cube_id, by=BEN).text


def rehearsed(memos: MemOS, cube_id: str) -> str:
    found: list[str] = []
    steps = [lambda run: found.append(run.memory.get(cube_id, by=BEN).text)]
    memos.run(MemPipeline("look", steps), by=BEN, dry_run=True)
    return found[0]


def closed(memos: MemOS, cube_id: str) -> str:
    opened = memos.begin(MemPipeline("look", [lambda run: run.memory.get(cube_id, by=BEN)]), by=BEN)
    memos.advance(opened, 1)
    found: str = opened.run.memory.get(cube_id, by=BEN).text
    opened.close()
    opened.close()
    return found


def broken_off(memos: MemOS, cube_id: str) -> str:
    found: list[str] = []

    def look(run: PipelineRun) -> None:
        found.append(run.memory.get(cube_id, by=BEN).text)
        raise RuntimeError

    opened = memos.begin(MemPipeline("look", [look]), by=BEN)
    with suppress(RuntimeError):
        memos.finish(opened)
    return found[0]


@pytest.mark.parametrize("way", [given_up, dropped, rehearsed, broken_off])
def test_what_was_read_for_nothing_was_read(memos: MemOS, way: Callable[[MemOS, str], str]) -> None:
    kettle = lent(memos, 2)
    assert [WORD in way(memos, kettle) for _ in range(2)] == [True, True]
    assert memos.get(kettle, by=ANA).behaviour.licensed == 2
    with pytest.raises(LicenceSpentError):
        way(memos, kettle)
    mine = [entry.record.outcome for entry in memos.audit(by=BEN, cube_id=kettle, operation="read")]
    assert mine == ["allowed", "allowed", "denied"], "and is on record"


def test_what_was_read_in_a_run_that_was_closed_was_read(memos: MemOS) -> None:
    kettle = lent(memos, 2)
    assert WORD in closed(memos, kettle)
    assert memos.get(kettle, by=ANA).behaviour.licensed == 2
    assert len(memos.audit(by=BEN, operation="pipeline_dropped")) == 1


def test_two_who_read_the_last_use_apart_both_stand_on_record(memos: MemOS) -> None:
    kettle = lent(memos, 1)
    with memos.branch(by=BEN) as one, memos.branch(by=BEN) as other:
        one.memos.get(kettle, by=BEN)
        other.memos.get(kettle, by=BEN)
    assert memos.get(kettle, by=ANA).behaviour.licensed == 1
    assert len(memos.audit(by=BEN, cube_id=kettle, operation="read")) == 2


def test_what_one_was_given_another_was_not(memos: MemOS) -> None:
    cleo = Principal(tenant="acme", user="cleo")
    kettle = memos.remember(TEXT, by=ANA, readers=["ben", "cleo"], licence=Licence(uses_left=1)).id
    assert memos.recall("kettle", by=BEN, needed=True).hits
    assert memos.get_many([kettle], by=cleo) == []


def test_the_owner_and_what_counts_nothing_are_never_limited(memos: MemOS) -> None:
    kettle = lent(memos, 0)
    free = memos.remember("The pot is grey.", by=ANA, readers=["ben"]).id
    assert [cube.id for cube in memos.get_many([kettle, free], by=ANA)] == [kettle, free]
    assert [cube.id for cube in memos.get_many([kettle, free], by=BEN)] == [free]


def test_what_was_drawn_from_it_goes_with_it(memos: MemOS) -> None:
    kettle = lent(memos, 1)
    (cube,) = memos.get_many([kettle], by=BEN)
    drawn = memos.remember(f"{WORD} it is.", by=BEN, provenance=Provenance(derived_from=(cube.ref,)))
    for way in ("get_many", "recall", "answer"):
        assert WORD not in told(WAYS[way], memos, drawn.id)


def test_the_command_line_hands_out_nothing_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MemOS.open(tmp_path / "vault") as memos:
        kettle = memos.remember(TEXT, by=ANA, readers=["ben"], licence=Licence(uses_left=0)).id
    as_ben = ["--vault", str(tmp_path / "vault"), "--tenant", "acme", "--user", "ben"]
    for command in (
        ["show", kettle],
        ["ask", "Which colour is the kettle?"],
        ["answer", "Which colour is the kettle?"],
        ["history", kettle],
        ["export", str(tmp_path / "out.jsonl"), "--format", "jsonl"],
    ):
        with suppress(SystemExit):
            main([*command, *as_ben])
        said = capsys.readouterr()
        assert WORD not in said.out + said.err, command
    written = tmp_path / "out.jsonl"
    assert not written.exists() or WORD not in written.read_text("utf-8")
