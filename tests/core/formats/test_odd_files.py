"""What people's files and vaults hold besides plain memories: it comes in or goes out whole, or is named."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.cube import thawed
from memos_integrations.core.errors import ImportFormatError
from memos_integrations.core.formats import FORMS
from memos_integrations.core.item import Address, ItemWrite
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
WRITABLE = [name for name, form in FORMS.items() if form.write]


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) as made:
        yield made


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "x"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def values(memos: MemOS) -> list[Any]:
    return [thawed(cube.payload.value) for cube in memos.find(CubeFilter(), by=ANA)]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", WRITABLE)
def test_books_stay_and_values_without_words_go(name: str, tmp_path: Path, memos: MemOS) -> None:
    memos.remember("Ana keeps bees.", by=ANA, tags=["bees"])
    memos.remember("", by=ANA, value={"hives": 3})
    memos.items.write([ItemWrite(Address(("docs",), "k"), {"n": 1})], by=ANA)
    memos.store.publish("bees", by=ANA, to=["ben"], tags=["bees"])
    memos.store.subscribe("news", by=ANA)
    assert memos.export_file(tmp_path / "out", FORMS[name], by=ANA) == 3
    texts = sorted(record.text for record in FORMS[name].read(tmp_path / "out"))
    assert len(texts) == 3
    assert "Ana keeps bees." in texts


def test_items_of_a_store_go_and_come_back_to_their_places(tmp_path: Path, memos: MemOS) -> None:
    puts = [
        ItemWrite(Address(("docs", "a"), "k1"), {"text": "tea at four", "n": 1}, "tea at four"),
        ItemWrite(Address(("docs",), "k2"), {"n": [1, {"x": None}]}),
    ]
    memos.items.write(puts, by=ANA)
    memos.remember("Ana keeps bees.", by=ANA, value={"hives": 3})
    memos.export_file(tmp_path / "out", FORMS["langgraph"], by=ANA)
    told = [json.loads(line) for line in (tmp_path / "out").read_text("utf-8").splitlines()]
    assert {(*each["namespace"], each["key"]) for each in told} >= {("docs", "a", "k1"), ("docs", "k2")}
    with MemOS(InMemoryVault()) as other:
        assert other.import_items(tmp_path / "out", by=ANA) == other.import_items(tmp_path / "out", by=ANA) == 3
        found = other.items.read([each.address for each in puts], by=ANA)
        assert [item and item.value for item in found] == [each.value for each in puts]
        assert [hit.text for hit in other.recall("tea", by=ANA).hits][:1] == ["tea at four"]
    with MemOS(InMemoryVault()) as other:
        other.import_file(tmp_path / "out", FORMS["langgraph"], by=ANA)
        assert {"namespace": ["docs", "a"], "key": "k1", "value": {"text": "tea at four", "n": 1}} in values(other)
        assert any(each["value"].get("value") == {"hives": 3} for each in values(other))


def test_a_file_writes_no_books(tmp_path: Path, memos: MemOS) -> None:
    offer = {"name": "x", "publisher": "user:ana", "audience": ["*"], "tags": ["diary"], "at": "2026-01-01T00:00:00Z"}
    items = [
        {"namespace": ["docs"], "key": "k", "value": {"n": 1}},
        {"namespace": ["memstore", "publications"], "key": "x", "value": offer},
    ]
    path = written(tmp_path, items)
    with pytest.raises(ImportFormatError, match="among the books of MemStore"):
        memos.import_items(path, by=ANA)
    assert memos.find(CubeFilter(), by=ANA) == []
    assert memos.import_items(path, by=ANA, namespace=("from", "there")) == 2
    assert memos.store.offers(by=ANA) == []


def test_a_long_cell_comes_back(tmp_path: Path, memos: MemOS) -> None:
    memos.remember("y" * 140_000, by=ANA)
    memos.export_file(tmp_path / "out", FORMS["csv"], by=ANA)
    assert [len(record.text) for record in FORMS["csv"].read(tmp_path / "out")] == [140_000]


@pytest.mark.parametrize("name", ["mem0", "langgraph", "zep", "langchain", "chatgpt", "claude"])
@pytest.mark.parametrize("more", ["[]", ' {"junk": tru', "]", "x"])
def test_what_stands_after_a_list_is_refused(name: str, more: str, tmp_path: Path) -> None:
    path = written(tmp_path, "[]\n" + more)
    with pytest.raises(ImportFormatError, match="after the end of the list"):
        list(FORMS[name].read(path))
    assert list(FORMS[name].read(written(tmp_path, "[]\n \n"))) == []


def test_what_was_said_aloud_is_read(tmp_path: Path) -> None:
    parts = [{"content_type": "audio_transcription", "text": "Spoken words."}, {"content_type": "audio_asset_pointer"}]
    message = {"id": "m", "author": {"role": "user"}, "content": {"content_type": "multimodal_text", "parts": parts}}
    talk = {"id": "c", "mapping": {"a": {"parent": None, "message": message}}, "current_node": "a"}
    assert [record.text for record in FORMS["chatgpt"].read(written(tmp_path, [talk]))] == ["Spoken words."]


def test_a_blank_text_hides_no_words(tmp_path: Path) -> None:
    said = {"uuid": "1", "text": " ", "content": [{"type": "text", "text": "Real words."}], "sender": "assistant"}
    path = written(tmp_path, [{"uuid": "u", "chat_messages": [said]}])
    assert [record.text for record in FORMS["claude"].read(path)] == ["Real words."]


def test_a_time_that_ends_before_it_begins_is_named(tmp_path: Path, memos: MemOS) -> None:
    edge = {"uuid": "e", "fact": "Ana works here.", "valid_at": "2025-02-01T00:00:00Z", "invalid_at": "2025-01-01"}
    with pytest.raises(ImportFormatError, match=r"edges\[0\].*valid_to is before valid_from"):
        memos.import_file(written(tmp_path, {"edges": [edge]}), FORMS["zep"], by=ANA)
    line = {"text": "Ana works here.", "valid_from": "2025-02-01", "valid_to": "2025-01-01"}
    with pytest.raises(ImportFormatError, match=r"x:1: .*valid_to is before valid_from"):
        memos.import_file(written(tmp_path, line), FORMS["jsonl"], by=ANA)


def test_a_note_with_another_programs_head_stops_no_folder(tmp_path: Path, memos: MemOS) -> None:
    heads = {
        "role": ("role: maintainer", {"head.role": "maintainer"}),
        "speaker": ("speaker: true", {"head.speaker": True}),
        "at": ("at: yesterday", {"head.at": "yesterday"}),
        "kind": ("kind: [1, 2]", {"head.kind": [1, 2]}),
        "words": ("text: of the head", {"head.text": "of the head"}),
        "year": ("tags: 2024", None),
    }
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, (head, _) in heads.items():
        (folder / f"{name}.md").write_text(f"---\n{head}\n---\nThe note {name}.", "utf-8")
    (folder / "rule.md").write_text("---\nA thought between rules\n---\nand the rest", "utf-8")
    assert memos.import_file(folder, FORMS["markdown"], by=ANA).written == 7
    read = {record.text: record for record in FORMS["markdown"].read(folder)}
    for name, (_, value) in heads.items():
        kept = read[f"The note {name}."].value
        assert {key: each for key, each in (kept or {}).items() if key != "value"} == (value or {})
    assert read["The note year."].tags == ("2024",)
    assert "---\nA thought between rules\n---\nand the rest" in read


def test_of_one_id_the_first_holds_and_nothing_is_lost_for_want_of_one(tmp_path: Path, memos: MemOS) -> None:
    lines = [{"id": "a", "text": "First."}, {"id": "a", "text": "Second."}]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)))
    moved = memos.import_file(path, FORMS["jsonl"], by=ANA)
    assert (moved.written, moved.known) == (1, 1)
    assert [cube.text for cube in memos.find(CubeFilter(), by=ANA)] == ["First."]
    agent = {"agents": [], "blocks": [{"label": "human", "value": text} for text in ("Ana.", "Ben.")]}
    assert len({record.id for record in FORMS["letta"].read(written(tmp_path, agent))}) == 2
    same = [{"content": "Hello."}, {"content": "Hello."}]
    assert len({record.id for record in FORMS["zep"].read(written(tmp_path, same))}) == 2


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"author": {"role": "user"}, "content": {"content_type": ["text"], "parts": ["Hi."]}}, "not text"),
        ({"author": {"role": "user"}, "content": {"parts": ["Hi."]}, "create_time": 10**400}, "not a time"),
    ],
    ids=["kind", "time"],
)
def test_a_damaged_message_of_a_chat_is_named(message: dict[str, Any], said: str, tmp_path: Path) -> None:
    talk = {"id": "c", "title": "t", "mapping": {"n": {"message": message, "parent": None}}}
    with pytest.raises(ImportFormatError, match=said):
        list(FORMS["chatgpt"].read(written(tmp_path, [talk])))


def _zip(method: int) -> bytearray:
    node = {"message": {"author": {"role": "user"}, "content": {"parts": ["Ana keeps bees by the river."]}}}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("conversations.json", json.dumps([{"id": "c", "mapping": {"a": node}}]))
    return bytearray(out.getvalue())


def _directory(content: bytearray) -> int:
    return content.rfind(b"PK\1\2")


def _without_directory(content: bytearray) -> None:
    content[_directory(content)] ^= 0xFF


def _of_a_later_version(content: bytearray) -> None:
    content[_directory(content) + 6] = 99


def _no_utf8_name(content: bytearray) -> None:
    at = _directory(content)
    content[at + 9], content[at + 46] = 8, 0xFF


def _damaged(content: bytearray) -> None:
    at = content.find(b"conversations.json") + len("conversations.json") + 9
    content[at : at + 2] = bytes(each ^ 0xFF for each in content[at : at + 2])


@pytest.mark.parametrize("form", ["chatgpt", "claude"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damage", [_without_directory, _of_a_later_version, _no_utf8_name, _damaged])
def test_a_damaged_zip_is_refused_by_name(
    damage: Callable[[bytearray], None], method: int, form: str, tmp_path: Path
) -> None:
    content = _zip(method)
    damage(content)
    (tmp_path / "export.zip").write_bytes(content)
    with pytest.raises(ImportFormatError, match=r"export\.zip"):
        list(FORMS[form].read(tmp_path / "export.zip"))


def test_a_head_of_a_note_that_nests_without_end_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"---\nx: {'[' * 100_000}\n---\nAna keeps bees.", "utf-8")
    (record,) = FORMS["markdown"].read(tmp_path)
    assert record.text == "Ana keeps bees."


@pytest.mark.parametrize("longest", [1 << 10, 1 << 16, (1 << 18) + 1])
def test_small_elements_behind_a_large_one_are_all_there(longest: int, tmp_path: Path) -> None:
    texts = ["b" * longest, *(f"Hive {number}." for number in range(3_000))]
    told = [{"id": str(number), "memory": text} for number, text in enumerate(texts)]
    path = written(tmp_path, json.dumps(told, indent=1))
    assert [record.text for record in FORMS["mem0"].read(path)] == texts
