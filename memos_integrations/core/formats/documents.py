"""Documents: LlamaIndex's document stores, and Cognee's exchange format COGX."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from memos_integrations.core.cube import thawed
from memos_integrations.core.errors import ImportFormatError, VaultError
from memos_integrations.core.formats.chats import ROLES
from memos_integrations.core.formats.files import (
    iso,
    lines,
    list_at,
    moment_at,
    name_at,
    new_file,
    object_at,
    recorded,
    refuse,
    text_at,
    whole,
)
from memos_integrations.core.formats.record import Record

COGX_MAJOR = 0
KINDS = ("documents", "episodes", "entities", "facts", "memories", "memory_blocks")


def read_docstore(path: Path) -> Iterator[Record]:
    """The documents and nodes of a LlamaIndex `docstore.json`, but no document whose nodes are there too."""
    name = path.name
    held = object_at(object_at(whole(path), name).get("docstore/data"), f"{name}.docstore/data")
    nodes: dict[str, dict[str, Any]] = {}
    for key, each in held.items():
        where = f"{name}.docstore/data.{key}"
        nodes[key] = object_at(object_at(each, where).get("__data__"), f"{where}.__data__")
    parents = {_parent(node) for node in nodes.values()}
    for key, node in nodes.items():
        where = f"{name}.docstore/data.{key}"
        resource = node.get("text_resource")
        inner = resource.get("text") if isinstance(resource, dict) else None
        words = text_at(node.get("text") or inner, f"{where}.text")
        if not words.strip() or key in parents:
            continue
        about = object_at(node.get("metadata") or {}, f"{where}.metadata")
        yield recorded(
            where,
            text=words,
            id=name_at(node.get("id_"), f"{where}.id_") or key,
            kind="document",
            thread=_parent(node),
            value={"metadata": about} if about else None,
        )


def write_docstore(records: Iterable[Record], path: Path) -> int:
    """Write a `docstore.json` of text nodes; `SimpleDocumentStore.from_persist_path` reads it."""
    count = 0
    with new_file(path) as out:
        out.write('{"docstore/data": {')
        for record in records:
            kept = thawed(record.value)
            about = kept.get("metadata") if isinstance(kept, dict) and isinstance(kept.get("metadata"), dict) else None
            node = {"id_": record.id, "text": record.text, "metadata": about or {}, "class_name": "TextNode"}
            entry = json.dumps({"__data__": node, "__type__": "1"}, ensure_ascii=False)
            out.write(f"{',' if count else ''}\n{json.dumps(record.id)}: {entry}")
            count += 1
        out.write("\n}}\n")
    return count


def read_cogx(path: Path) -> Iterator[Record]:
    """The records of a COGX folder (version 0): documents, turns of episodes, entities, facts, memories and blocks."""
    if not path.is_dir():
        refuse(path.name, "is not a COGX folder")
    manifest = object_at(whole(path / "manifest.json"), "manifest.json")
    major = str(manifest.get("cogx_version", "")).partition(".")[0]
    if not major.isdecimal() or int(major) > COGX_MAJOR:
        refuse("manifest.json", f"COGX version {str(manifest.get('cogx_version'))[:20]!r} is not read here")
    for kind in KINDS:
        file = path / f"{kind}.jsonl"
        if file.exists():
            for where, line in lines(file):
                yield from _COGX[kind](object_at(line, where), where)


def write_cogx(records: Iterable[Record], path: Path) -> int:
    """Write a new COGX folder: messages as episodes of one turn, documents, blocks, and the others as memories."""
    counts: dict[str, int] = {}
    with ExitStack() as files:
        try:
            path.mkdir()
        except FileExistsError as exc:
            raise ImportFormatError(f"{path.name} is there already; an export replaces nothing.") from exc
        except OSError as exc:
            raise VaultError(f"{path.name} could not be made: {exc.strerror}.") from exc
        outs: dict[str, TextIO] = {}
        for record in records:
            kind, file, told = _cogx_record(record)
            if file not in outs:
                outs[file] = files.enter_context(new_file(path / file))
            outs[file].write(json.dumps(told, ensure_ascii=False) + "\n")
            counts[kind] = counts.get(kind, 0) + 1
    with new_file(path / "manifest.json") as out:
        json.dump({"cogx_version": "0.1", "source_system": "memos", "counts": counts}, out)
    return sum(counts.values())


def _parent(node: dict[str, Any]) -> str | None:
    """The id of the document that a node was cut from (relationship 1)."""
    relations = node.get("relationships")
    source = relations.get("1") if isinstance(relations, dict) else None
    found = source.get("node_id") if isinstance(source, dict) else None
    return found if isinstance(found, str) and found != node.get("id_") else None


def _shared(told: dict[str, Any], where: str) -> dict[str, Any]:
    scope = object_at(told.get("scope") or {}, f"{where}.scope")
    system = name_at(told.get("external_system"), f"{where}.external_system") or "unknown"
    named = name_at(told.get("external_id"), f"{where}.external_id") or refuse(where, "has no external_id")
    about = object_at(told.get("metadata") or {}, f"{where}.metadata")
    return {
        "id": f"{system}:{named}",
        "at": moment_at(told.get("created_at"), f"{where}.created_at"),
        "speaker": name_at(scope.get("user_id") or scope.get("agent_id"), f"{where}.scope"),
        "session": name_at(scope.get("session_id") or scope.get("run_id"), f"{where}.scope"),
        "value": {"metadata": about} if about else None,
    }


def _document(told: dict[str, Any], where: str) -> Iterator[Record]:
    yield recorded(where, **_shared(told, where), kind="document", text=text_at(told.get("content"), where))


def _turns(told: dict[str, Any], where: str) -> Iterator[Record]:
    shared = _shared(told, where)
    for number, each in enumerate(list_at(told.get("turns"), f"{where}.turns")):
        place = f"{where}.turns[{number}]"
        turn = object_at(each, place)
        said_at = moment_at(turn.get("occurred_at"), f"{place}.occurred_at") or shared["at"]
        words = text_at(turn.get("content"), f"{place}.content")
        role = ROLES.get(text_at(turn.get("role"), f"{place}.role"), "user")
        if words.strip():
            own = {"id": f"{shared['id']}:{number}", "at": said_at, "thread": shared["id"]}
            yield recorded(place, **(shared | own), kind="message", role=role, text=words)


def _entity(told: dict[str, Any], where: str) -> Iterator[Record]:
    name = text_at(told.get("name"), f"{where}.name")
    about = text_at(told.get("description"), f"{where}.description")
    yield recorded(where, **_shared(told, where), kind="entity", text=f"{name}: {about}" if about else name)


def _fact(told: dict[str, Any], where: str) -> Iterator[Record]:
    told_parts = [text_at(told.get(name), f"{where}.{name}") for name in ("subject_ref", "predicate", "object_ref")]
    words = text_at(told.get("fact_text"), f"{where}.fact_text") or " ".join(told_parts).replace("_", " ")
    held = {
        "valid_from": moment_at(told.get("valid_at"), f"{where}.valid_at"),
        "valid_to": moment_at(told.get("invalid_at"), f"{where}.invalid_at"),
    }
    yield recorded(where, **_shared(told, where), **held, text=words)


def _memory(told: dict[str, Any], where: str) -> Iterator[Record]:
    tags = tuple(text_at(tag, f"{where}.categories") for tag in list_at(told.get("categories"), where))
    yield recorded(where, **_shared(told, where), tags=tags, text=text_at(told.get("content"), f"{where}.content"))


def _block(told: dict[str, Any], where: str) -> Iterator[Record]:
    label = name_at(told.get("label"), f"{where}.label")
    words = text_at(told.get("value"), f"{where}.value")
    if words.strip():
        yield recorded(where, **_shared(told, where), kind="memory_block", tags=(label,) if label else (), text=words)


_COGX: dict[str, Callable[[dict[str, Any], str], Iterator[Record]]] = {
    "documents": _document,
    "episodes": _turns,
    "entities": _entity,
    "facts": _fact,
    "memories": _memory,
    "memory_blocks": _block,
}


def _cogx_record(record: Record) -> tuple[str, str, dict[str, Any]]:
    scope = {"user_id": record.speaker, "session_id": record.session}
    told: dict[str, Any] = {"external_system": "memos", "external_id": record.id}
    told |= {"scope": {name: value for name, value in scope.items() if value}}
    told |= {"created_at": iso(record.at)} if record.at else {}
    match record.kind:
        case "message":
            turn = {"role": record.role, "content": record.text} | (
                {"occurred_at": iso(record.at)} if record.at else {}
            )
            return "episode", "episodes.jsonl", {"kind": "episode", **told, "turns": [turn]}
        case "document":
            return "document", "documents.jsonl", {"kind": "document", **told, "content": record.text}
    memory = {"kind": "memory", **told, "content": record.text, "categories": [*record.tags]}
    return "memory", "memories.jsonl", memory
