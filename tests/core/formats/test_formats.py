"""Foreign formats: what is read, what is refused, what comes back, and that the losses are written down."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations import MemOS, Principal
from memos_integrations.core.cube import Channel, Licence, Origin, TrustLabel
from memos_integrations.core.errors import ImportFormatError, InvalidMemoryError
from memos_integrations.core.formats import FORMS, Form, Record
from memos_integrations.core.formats import files as bounds
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from tests.core.formats.shapes import CHATGPT, CLAUDE, COGX, LETTA, WORDS, written

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
ROOT = Path(__file__).resolve().parents[3]
WRITABLE = [name for name, form in FORMS.items() if form.write]


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as made:
        yield made


def texts(memos: MemOS, by: Principal = ANA) -> list[str]:
    return sorted(cube.text for cube in memos.find(CubeFilter(), by=by, k=1_000))


def read(name: str, path: Path) -> list[Record]:
    return [*FORMS[name].read(path)]


@pytest.mark.parametrize("name", FORMS)
def test_a_format_is_read_and_comes_in_once(name: str, tmp_path: Path, memos: MemOS) -> None:
    path = written(name, tmp_path)
    assert [record.text for record in read(name, path)] == WORDS[name]
    assert memos.import_file(path, FORMS[name], by=ANA, dry_run=True).found == len(WORDS[name])
    assert texts(memos) == []
    first = memos.import_file(path, FORMS[name], by=ANA)
    assert (first.found, first.written, first.known) == (len(WORDS[name]), len(WORDS[name]), 0)
    second = memos.import_file(path, FORMS[name], by=ANA)
    assert (second.written, second.known) == (0, len(WORDS[name]))
    assert texts(memos) == sorted(WORDS[name])
    assert texts(memos, BEN) == []
    for cube in memos.find(CubeFilter(), by=ANA, k=100):
        assert cube.trust.channel is Channel.IMPORT
        assert cube.trust.label in {TrustLabel.UNVERIFIED, TrustLabel.UNTRUSTED}
        assert cube.descriptive.origin is Origin.IMPORT
        assert cube.provenance.source == f"import:{name}"
        assert cube.provenance.message_id


def test_only_what_was_said_in_one_thread_follows(tmp_path: Path, memos: MemOS) -> None:
    lines = [{"text": f"Note {n}.", "id": f"{n}", "thread": "t" if n % 2 else None} for n in range(600)]
    (tmp_path / "x").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    memos.import_file(tmp_path / "x", FORMS["jsonl"], by=ANA)
    cubes = memos.find(CubeFilter(), by=ANA, k=1_000)
    name = {cube.id: cube.provenance.message_id for cube in cubes}
    follows = {name[cube.id]: [name[link.target] for link in cube.provenance.links] for cube in cubes}
    assert follows["0"] == follows["2"] == follows["1"] == []
    assert all(follows[str(n)] == [str(n - 2)] for n in range(3, 600, 2))


def test_another_namespace_is_another_import(tmp_path: Path, memos: MemOS) -> None:
    path = written("mem0", tmp_path)
    memos.import_file(path, FORMS["mem0"], by=ANA)
    assert memos.import_file(path, FORMS["mem0"], by=ANA, into=("acme", "shelf")).written == 2
    with pytest.raises(InvalidMemoryError, match="not within the tenant"):
        memos.import_file(path, FORMS["mem0"], by=ANA, into=("other",))


def test_what_was_forgotten_does_not_come_back_by_itself(tmp_path: Path, memos: MemOS) -> None:
    path = written("mem0", tmp_path)
    memos.import_file(path, FORMS["mem0"], by=ANA)
    memos.forget(memos.find(CubeFilter(), by=ANA)[0].id, by=ANA)
    again = memos.import_file(path, FORMS["mem0"], by=ANA)
    assert (again.written, again.forgotten) == (0, 1)
    assert memos.import_file(path, FORMS["mem0"], by=ANA, again=True).written == 1


def test_details_of_the_formats(tmp_path: Path) -> None:
    first, second = read("mem0", written("mem0", tmp_path))
    assert (first.speaker, first.tags, first.at) == ("dora", ("music",), datetime(2026, 2, 1, 16, tzinfo=UTC))
    assert second.session == "r1"
    fact = read("zep", written("zep", tmp_path))[1]
    assert (fact.valid_from, fact.valid_to) == (datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    chat = read("chatgpt", written("chatgpt", tmp_path))
    assert [(each.id, each.role, each.thread) for each in chat] == [("u1", "user", "c1"), ("a2", "assistant", "c1")]
    assert read("letta", written("letta", tmp_path))[2].role == "tool"
    assert read("markdown", written("markdown", tmp_path))[1].tags == ("music", "hobby")
    assert read("csv", written("csv", tmp_path))[0].value == {"value": None, "mood": "calm"}
    turns = [each for each in read("cogx", written("cogx", tmp_path)) if each.kind == "message"]
    assert [(each.role, each.session) for each in turns] == [("user", "s1"), ("assistant", "s1")]


def test_an_agent_file_gives_no_tool_and_no_secret(tmp_path: Path) -> None:
    told = json.dumps([record.model_dump(mode="json") for record in read("letta", written("letta", tmp_path))])
    assert "SystemExit" not in told
    assert "not to be taken" not in told
    assert LETTA["tools"]


@pytest.mark.parametrize("name", ["chatgpt", "claude"])
def test_the_zip_that_a_product_sends_is_read(name: str, tmp_path: Path) -> None:
    shape = {"chatgpt": CHATGPT, "claude": CLAUDE}[name]
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("users.json", "[]")
        archive.writestr("conversations.json", json.dumps(shape))
    assert [record.text for record in read(name, path)] == WORDS[name]
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("users.json", "[]")
    with pytest.raises(ImportFormatError, match="holds no conversations"):
        read(name, tmp_path / "none.zip")


def test_a_zip_that_would_grow_out_of_proportion_is_refused(tmp_path: Path, memos: MemOS) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", "[" + " " * (2 << 20) + "]")
    with pytest.raises(ImportFormatError, match=r"bomb.zip/conversations.json: would grow to more than 100 times"):
        memos.import_file(tmp_path / "bomb.zip", FORMS["chatgpt"], by=ANA)


def test_a_ring_of_answers_ends(tmp_path: Path) -> None:
    talk = json.loads(json.dumps(CHATGPT))
    talk[0]["mapping"]["root"]["parent"] = "n3"
    path = tmp_path / "ring"
    path.write_text(json.dumps(talk), "utf-8")
    assert [record.text for record in read("chatgpt", path)] == WORDS["chatgpt"]


BROKEN: list[tuple[str, str, str]] = [
    ("jsonl", '{"text": "a"}\n{"text": \n', r"x:2: is not JSON"),
    ("jsonl", '{"text": "a"}\n[1]\n', r"x:2: is a list, not an object"),
    ("jsonl", '{"text": " "}\n', r"x:1: text"),
    ("jsonl", '{"text": "a", "at": "soon"}\n', r"x:1: at: 'soon' is not a time"),
    ("jsonl", '{"text": "a", "at": 1e300}\n', r"x:1: at"),
    ("jsonl", '{"text": "a", "at": NaN}\n', r"x:1: is not JSON"),
    ("jsonl", '{"text": "a", "role": "king"}\n', r"x:1: role"),
    ("jsonl", '{"text": "a\\u0000b"}\n', r"x:1: text"),
    ("jsonl", '{"text": "a\\ud800b"}\n', r"x:1: text"),
    ("jsonl", '{"text": "a", "id": {"x": 1}}\n', r"x:1: id"),
    ("jsonl", '{"text": "a", "id": "' + "i" * 1001 + '"}\n', r"x:1: id"),
    ("jsonl", '{"text": "a", "value": ' + "[" * 100_000 + "]" * 100_000 + "}\n", r"x:1: "),
    ("csv", "id,words\n1,a\n", r"x:1: names no column"),
    ("csv", "id,text\n1\n", r"x:2: has more or fewer"),
    ("csv", "id,text\n1,a,b\n", r"x:2: has more or fewer"),
    ("csv", 'id,text\n1,"a\n', r"x:"),
    ("csv", "id,text,text\n1,a,b\n", r"x:1: names the column `text` twice"),
    ("csv", "id,text,mood,mood\n1,a,b,c\n", r"x:1: names the column `mood` twice"),
    ("csv", 'id,text,value\n1,a,"{""n"":1,""n"":2}"\n', r"x:2: value: is not JSON, or says a name twice"),
    ("jsonl", '{"text": "a", "text": "b"}\n', r"x:1: is not JSON: a name stands twice"),
    ("mem0", '[{"id": "1", "memory": "a", "metadata": {"n": 1, "n": 2}}]', r"x\[0\]: a name stands twice"),
    ("letta", '{"blocks": [], "blocks": []}', r"x: is not JSON: a name stands twice"),
    ("mem0", '{"other": []}', r"neither a list"),
    ("mem0", '[{"memory": "a"}]', r"x\[0\]: has no id"),
    ("mem0", '[{"id": "1", "memory": "a"}, ', r"x\[1\]"),
    ("mem0", '[{"id": "1", "memory": "a"} {"id": "2"}]', r"x\[1\]: a comma"),
    ("langgraph", '[{"namespace": "x", "key": "k", "value": {}}]', r"namespace: is text"),
    ("langgraph", '[{"namespace": ["x"], "key": "k", "value": {"\\ud800": {}}}]', r"value: holds half a character"),
    ("langgraph", '[{"namespace": ["x"], "key": "k", "value": {"n": 1e400}}]', r"x\[0\]: is not JSON"),
    ("letta", "[]", r"is a list, not an object"),
    ("zep", '{"edges": [{"fact": "a"}]}', r"edges\[0\]: has no uuid"),
    ("chatgpt", '[{"id": "c", "mapping": []}]', r"x\[0\].mapping: is a list"),
    ("chatgpt", '[{"id": "c", "mapping": {"a": 1}}]', r"x\[0\].mapping.a: is a number"),
    ("claude", '[{"uuid": "c", "chat_messages": {}}]', r"chat_messages: is an object"),
    ("claude", "{}", r"is not a list"),
    ("langchain", '[{"type": "human"}]', r"x\[0\].data: is null"),
    ("llama-chat", '{"store": []}', r"store: is a list"),
    ("llama-docstore", '{"docstore/data": {"a": {}}}', r"data.a.__data__: is null"),
]


@pytest.mark.parametrize(("name", "content", "why"), BROKEN)
def test_a_broken_file_is_named_and_leaves_nothing(
    name: str, content: str, why: str, tmp_path: Path, memos: MemOS
) -> None:
    path = tmp_path / "x"
    path.write_text(content, "utf-8")
    with pytest.raises(ImportFormatError, match=why):
        memos.import_file(path, FORMS[name], by=ANA)
    assert texts(memos) == []


def test_columns_without_a_name_are_kept_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("id,text,,\n1,a,b,c\n2,d,,\n", "utf-8")
    first, second = read("csv", tmp_path / "x")
    assert first.value == {"value": None, "column 3": "b", "column 4": "c"}
    assert second.value is None


def test_of_a_head_that_says_a_name_twice_nothing_is_lost(tmp_path: Path) -> None:
    text = "---\nid: one\nid: two\n---\nLikes figs\n"
    (tmp_path / "a.md").write_text(text, "utf-8")
    (record,) = read("markdown", tmp_path)
    assert (record.id, record.text) == ("a.md", text)


@pytest.mark.parametrize("name", FORMS)
def test_a_pipe_is_no_file(name: str, tmp_path: Path, memos: MemOS) -> None:
    pipe = tmp_path / "pipe.md"
    os.mkfifo(pipe)
    with pytest.raises(ImportFormatError, match=r"no regular file|not a (COGX )?folder"):
        memos.import_file(pipe, FORMS[name], by=ANA)
    if name == "markdown":
        with pytest.raises(ImportFormatError, match=r"pipe.md: cannot be read: it is no regular file"):
            memos.import_file(tmp_path, FORMS[name], by=ANA)
    if name == "cogx":
        folder = written(name, tmp_path)
        (folder / "facts.jsonl").unlink()
        os.mkfifo(folder / "facts.jsonl")
        with pytest.raises(ImportFormatError, match=r"facts.jsonl: cannot be read: it is no regular file"):
            memos.import_file(folder, FORMS[name], by=ANA)
    assert texts(memos) == []


@pytest.mark.parametrize("value", [2**63, [[[]] * 3, {"n": -(2**63) - 1}], json.loads("[" * 70 + "]" * 70)])
def test_a_value_that_no_bundle_could_carry_leaves_nothing_of_the_file(
    value: Any, tmp_path: Path, memos: MemOS
) -> None:
    lines = [{"text": f"Note {n}.", "id": f"{n}"} for n in range(300)] + [{"text": "Odd.", "id": "odd", "value": value}]
    (tmp_path / "x").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    for dry_run in (True, False):
        with pytest.raises(ImportFormatError, match=r"'odd'.*(64 bits|62 deep)"):
            memos.import_file(tmp_path / "x", FORMS["jsonl"], by=ANA, dry_run=dry_run)
    assert texts(memos) == []


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_text_or_not_there_is_refused(name: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"\xff\xfe[{")
    for path in (bad, tmp_path / "absent"):
        with pytest.raises(ImportFormatError):
            read(name, path)


def test_a_broken_archive_is_named(tmp_path: Path, memos: MemOS) -> None:
    path = written("cogx", tmp_path)
    (path / "facts.jsonl").write_text('{"external_id": "f"}\n{]\n', "utf-8")
    with pytest.raises(ImportFormatError, match=r"facts.jsonl:"):
        memos.import_file(path, FORMS["cogx"], by=ANA)
    (path / "manifest.json").write_text(json.dumps(COGX["manifest.json"] | {"cogx_version": "1.0"}), "utf-8")
    with pytest.raises(ImportFormatError, match="version"):
        memos.import_file(path, FORMS["cogx"], by=ANA)
    assert texts(memos) == []


@pytest.mark.answers("input 6")
def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_PIECE", 1_000)
    path = tmp_path / "x"
    path.write_text(json.dumps({"text": "a" * 2_000}) + "\n", "utf-8")
    with pytest.raises(ImportFormatError, match="longer than"):
        read("jsonl", path)
    with pytest.raises(ImportFormatError, match="longer than"):
        read("letta", path)


def test_a_list_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    words = ["viola " * 20_000, "é" * 70_000, "}],[" * 9, "1"]
    path.write_text(json.dumps([{"id": str(n), "memory": each} for n, each in enumerate(words)], indent=1), "utf-8")
    assert [record.text for record in read("mem0", path)] == words


@pytest.mark.answers("JDP-2026-003")
def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("hidden", "utf-8")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "note.md").write_text("hidden", "utf-8")
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").symlink_to(tmp_path / "secret.md")
    (folder / "b").symlink_to(tmp_path / "far")
    assert read("markdown", folder) == []


@pytest.mark.parametrize("name", WRITABLE)
def test_an_export_holds_what_one_may_read_and_comes_back(name: str, tmp_path: Path, memos: MemOS) -> None:
    memos.remember("Ana keeps bees.", by=ANA)
    memos.remember("Ben shares his ladder.", by=BEN, readers=["ana"])
    memos.remember("Ben is in debt.", by=BEN)
    out = tmp_path / "out"
    assert memos.export_file(out, FORMS[name], by=ANA) == 2
    assert sorted(record.text for record in read(name, out)) == ["Ana keeps bees.", "Ben shares his ladder."]
    with pytest.raises(ImportFormatError, match="is there already"):
        memos.export_file(out, FORMS[name], by=ANA)


def test_an_export_uses_up_a_licence(tmp_path: Path, memos: MemOS) -> None:
    memos.remember("Ben shares his ladder.", by=BEN, readers=["ana"], licence=Licence(uses_left=1))
    assert memos.export_file(tmp_path / "one", FORMS["jsonl"], by=ANA) == 1
    assert memos.export_file(tmp_path / "two", FORMS["jsonl"], by=ANA) == 0


def test_an_export_is_more_than_a_page(tmp_path: Path, memos: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memos_integrations.core.moving.PAGE", 7)
    memos.remember_many([f"Note {n}." for n in range(30)], by=ANA)
    assert memos.export_file(tmp_path / "out", FORMS["jsonl"], by=ANA) == 30
    assert len({record.text for record in read("jsonl", tmp_path / "out")}) == 30


def test_a_format_that_cannot_be_written_says_so(tmp_path: Path, memos: MemOS) -> None:
    with pytest.raises(ImportFormatError, match="only be read"):
        memos.export_file(tmp_path / "x", FORMS["chatgpt"], by=ANA)


def test_a_format_of_ones_own_is_a_value(tmp_path: Path, memos: MemOS) -> None:
    def lines(path: Path) -> Iterator[Record]:
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            yield Record(id=str(number), text=line)

    (tmp_path / "x").write_text("One.\nTwo.\n", "utf-8")
    assert memos.import_file(tmp_path / "x", Form("notes", lines), by=ANA).written == 2


def test_the_frameworks_read_what_is_written(tmp_path: Path, memos: MemOS) -> None:
    from langchain_core.messages import messages_from_dict
    from llama_index.core.storage.chat_store import SimpleChatStore
    from llama_index.core.storage.docstore import SimpleDocumentStore

    memos.remember("Ana keeps bees.", by=ANA)
    for name in ("langchain", "llama-chat", "llama-docstore"):
        memos.export_file(tmp_path / name, FORMS[name], by=ANA)
    assert messages_from_dict(json.loads((tmp_path / "langchain").read_text("utf-8")))[0].content == "Ana keeps bees."
    chats = SimpleChatStore.from_persist_path(str(tmp_path / "llama-chat"))
    assert chats.get_messages("default")[0].content == "Ana keeps bees."
    nodes = SimpleDocumentStore.from_persist_path(str(tmp_path / "llama-docstore")).docs
    assert [node.get_content() for node in nodes.values()] == ["Ana keeps bees."]


def test_the_losses_are_written_down() -> None:
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", text, re.MULTILINE))
    told = {
        name: f"{form.import_lost} | {form.export_lost if form.write else '(read only)'}"
        for name, form in FORMS.items()
    }
    assert rows == told
    assert all(form.import_lost and (form.export_lost or not form.write) for form in FORMS.values())


LABEL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20).filter(
    str.strip
)
MOMENTS = st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | LABEL
RECORDS = st.builds(
    Record,
    text=LABEL,
    id=LABEL,
    kind=LABEL,
    role=st.sampled_from(["user", "assistant", "tool", "system"]),
    speaker=st.none() | LABEL,
    at=MOMENTS,
    thread=st.none() | LABEL,
    session=st.none() | LABEL,
    tags=st.lists(LABEL, max_size=3).map(tuple),
    value=SCALARS | st.dictionaries(LABEL, SCALARS, max_size=3) | st.lists(SCALARS, max_size=3),
)


def _round(name: str) -> Callable[..., Any]:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(records=st.lists(RECORDS, max_size=4, unique_by=lambda record: record.id))
    def test(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
        path = tmp_path_factory.mktemp("round") / "out"
        form = FORMS[name]
        assert form.write is not None
        assert form.write(records, path) == len(records)
        back = {record.id: record for record in form.read(path)}
        assert back == {record.id: record for record in records}

    return test


test_jsonl_gives_back_everything = _round("jsonl")
test_csv_gives_back_everything = _round("csv")
test_markdown_gives_back_everything = _round("markdown")
