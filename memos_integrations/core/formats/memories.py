"""Memories as other memory systems keep them: mem0, LangGraph's store (LangMem), Letta, Zep and Graphiti."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memos_integrations.core.cube import canonical_json, thawed
from memos_integrations.core.formats.chats import ROLES, _parts
from memos_integrations.core.formats.files import (
    elements,
    iso,
    lines,
    list_at,
    moment_at,
    name_at,
    object_at,
    recorded,
    refuse,
    starts_with_list,
    text_at,
    whole,
    write_lines,
    write_list,
)
from memos_integrations.core.formats.record import Naming, Record

_WORDS = ("content", "text", "memory", "fact", "value")
_EPISODE = {"message": "message", "text": "document", "json": "document"}


def read_mem0(path: Path) -> Iterator[Record]:
    """The memories of mem0: the list that `get_all` gives, alone or under `results` or `memories`."""
    for where, each in elements(path) if starts_with_list(path) else _under(path, "results", "memories"):
        told = object_at(each, where)
        user, agent = (name_at(told.get(name), f"{where}.{name}") for name in ("user_id", "agent_id"))
        kept = {name: told[name] for name in ("user_id", "agent_id", "app_id", "metadata", "updated_at", "hash")
                if told.get(name)}  # fmt: skip
        categories = list_at(told.get("categories"), f"{where}.categories")
        yield recorded(
            where,
            text=text_at(told.get("memory") or told.get("text"), f"{where}.memory"),
            id=name_at(told.get("id"), f"{where}.id") or refuse(where, "has no id"),
            role=ROLES.get(str(told.get("role")), "user"),
            speaker=name_at(told.get("actor_id"), where) or user or agent,
            at=moment_at(told.get("created_at"), f"{where}.created_at"),
            session=name_at(told.get("run_id"), f"{where}.run_id"),
            tags=tuple(text_at(tag, f"{where}.categories") for tag in categories),
            value=kept or None,
        )


def write_mem0(records: Iterable[Record], path: Path) -> int:
    """Write `{"results": [...]}`, as `get_all` gives it."""
    return write_list(map(_mem0_memory, records), path, before='{"results": [', after="]}")


def read_langgraph(path: Path) -> Iterator[Record]:
    """The items of a LangGraph store as `Item.dict()` gives them: a JSON list, or a line each.

    The words are those of LangMem's memories, else the first of `content`, `text`, `memory`, `fact`, `value`, else the
    value as JSON. The value is kept whole.
    """
    for where, each in elements(path) if starts_with_list(path) else lines(path):
        item = object_at(each, where)
        place = [text_at(part, f"{where}.namespace") for part in list_at(item.get("namespace"), f"{where}.namespace")]
        key = name_at(item.get("key"), f"{where}.key") or refuse(where, "has no key")
        value = object_at(item.get("value"), f"{where}.value")
        kind = value.get("kind")
        yield recorded(
            where,
            text=_words_of(value, f"{where}.value"),
            id=json.dumps([*place, key], ensure_ascii=False),
            kind=kind if isinstance(kind, str) and kind.strip() else "fact",
            at=moment_at(item.get("created_at"), f"{where}.created_at"),
            value={"namespace": place, "key": key, "value": value},
        )


def write_langgraph(records: Iterable[Record], path: Path) -> int:
    """Write JSONL of items: `store.put(item["namespace"], item["key"], item["value"])` for each."""
    return write_lines(map(_langgraph_item, records), path)


def read_letta(path: Path) -> Iterator[Record]:
    """The memory blocks, messages and passages of a Letta agent file (`.af`); its tools are neither kept nor run."""
    name = path.name
    held = object_at(whole(path), name)
    if "agents" not in held:  # the first revision held one agent, at the top
        held = {"agents": [held], "blocks": held.get("core_memory")}
    met: dict[str, int] = {}
    for number, each in enumerate(list_at(held.get("blocks"), f"{name}.blocks")):
        where = f"{name}.blocks[{number}]"
        block = object_at(each, where)
        words, label = text_at(block.get("value"), where), name_at(block.get("label"), f"{where}.label")
        if words.strip():
            tags = (label,) if label else ()
            named = f"block:{label or number}"
            met[named] = count = met.get(named, 0) + 1  # agents have blocks of one label
            block_id = name_at(block.get("id"), f"{where}.id") or (named if count == 1 else f"{named}:{count}")
            yield recorded(where, text=words, id=block_id, kind="memory_block", tags=tags)
    for number, each in enumerate(list_at(held.get("agents"), f"{name}.agents")):
        where = f"{name}.agents[{number}]"
        agent = object_at(each, where)
        thread = name_at(agent.get("id"), f"{where}.id") or name_at(agent.get("name"), f"{where}.name")
        yield from _letta_messages(agent, thread, where)
        yield from _letta_passages(agent.get("passages"), thread, f"{where}.passages")
    yield from _letta_passages(held.get("passages"), None, f"{name}.passages")


def read_zep(path: Path) -> Iterator[Record]:
    """Episodes of Zep or Graphiti, and the facts of `edges` or `facts` with the time in which they held.

    A list of episodes, a line each, or an object with `episodes` and `edges` (or `facts`).
    """
    naming = Naming()
    if path.suffix == ".jsonl" or starts_with_list(path):
        for where, each in lines(path) if path.suffix == ".jsonl" else elements(path):
            yield _episode(object_at(each, where), where, naming)
        return
    held = object_at(whole(path), path.name)
    for number, each in enumerate(list_at(held.get("episodes"), f"{path.name}.episodes")):
        where = f"{path.name}.episodes[{number}]"
        yield _episode(object_at(each, where), where, naming)
    for name in ("edges", "facts"):
        for number, each in enumerate(list_at(held.get(name), f"{path.name}.{name}")):
            where = f"{path.name}.{name}[{number}]"
            yield _edge(object_at(each, where), where)


def write_zep(records: Iterable[Record], path: Path) -> int:
    """Write a list of episodes; each fits Graphiti's `RawEpisode` but for `group_id`."""
    return write_list(map(_raw_episode, records), path)


def _under(path: Path, *names: str) -> Iterator[tuple[str, Any]]:
    held = object_at(whole(path), path.name)
    for name in names:
        if name in held:
            for number, each in enumerate(list_at(held[name], f"{path.name}.{name}")):
                yield f"{path.name}.{name}[{number}]", each
            return
    refuse(path.name, f"is neither a list nor holds one under {' or '.join(names)}")


def _mem0_memory(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"id": record.id, "memory": record.text}
    told |= {"user_id": record.speaker} if record.speaker else {}
    told |= {"created_at": iso(record.at)} if record.at else {}
    told |= {"run_id": record.session} if record.session else {}
    told |= {"categories": [*record.tags]} if record.tags else {}
    kept = thawed(record.value)
    return told | ({"metadata": kept if isinstance(kept, dict) else {"value": kept}} if kept is not None else {})


def _words_of(value: dict[str, Any], where: str) -> str:
    inner = value.get("content")
    for held in (inner if isinstance(inner, dict) else {}, value):
        for name in _WORDS:
            if isinstance(held.get(name), str) and held[name].strip():
                return str(held[name])
    try:
        return canonical_json(value).decode()
    except UnicodeEncodeError as exc:
        refuse(where, f"holds half a character: {exc.reason}")


def _langgraph_item(record: Record) -> dict[str, Any]:
    kept = thawed(record.value)
    told = kept if isinstance(kept, dict) and {"namespace", "key", "value"} <= kept.keys() else None
    value = {"kind": record.kind, "content": record.text} | ({} if kept is None else {"value": kept})
    item = told or {"namespace": ["memories"], "key": record.id, "value": value}
    at = {"created_at": iso(record.at), "updated_at": iso(record.at)} if record.at else {}
    return item | at


def _letta_messages(agent: dict[str, Any], thread: str | None, where: str) -> Iterator[Record]:
    naming = Naming()
    for number, each in enumerate(list_at(agent.get("messages"), f"{where}.messages")):
        place = f"{where}.messages[{number}]"
        message = object_at(each, place)
        role = ROLES.get(text_at(message.get("role"), f"{place}.role"), "tool")
        words = _parts(message.get("content") or message.get("text"), f"{place}.content")
        if words.strip() and role != "system":
            yield recorded(
                place,
                text=words,
                id=f"{thread}:{name_at(message.get('id'), place) or naming.name(role, words)}",
                kind="message",
                role=role,
                speaker=name_at(message.get("name"), f"{place}.name") or role,
                at=moment_at(message.get("created_at"), f"{place}.created_at"),
                thread=thread,
            )


def _letta_passages(passages: Any, thread: str | None, where: str) -> Iterator[Record]:
    naming = Naming()
    for number, each in enumerate(list_at(passages, where)):
        place = f"{where}[{number}]"
        passage = {"text": each} if isinstance(each, str) else object_at(each, place)
        words = text_at(passage.get("text"), place)
        if words.strip():
            at = moment_at(passage.get("created_at"), f"{place}.created_at")
            named = name_at(passage.get("id"), place) or naming.name("passage", words)
            yield recorded(place, text=words, id=named, kind="document", at=at, thread=thread)


def _episode(told: dict[str, Any], where: str, naming: Naming) -> Record:
    words = text_at(told.get("content") or told.get("data"), f"{where}.content")
    kind = _EPISODE.get(str(told.get("source") or told.get("type") or "text"), "document")
    said_at = told.get("valid_at") or told.get("reference_time") or told.get("created_at")
    at = moment_at(said_at, f"{where}.valid_at")
    group = name_at(told.get("group_id") or told.get("thread_id") or told.get("session_id"), f"{where}.group_id")
    about = {name: told[name] for name in ("name", "source_description") if told.get(name)}
    named = name_at(told.get("uuid"), f"{where}.uuid") or naming.name(group, at, words)
    role = ROLES.get(str(told.get("role_type") or told.get("role")), "user")
    speaker = name_at(told.get("role"), f"{where}.role") if "role_type" in told else None
    return recorded(
        where, text=words, id=named, kind=kind, role=role, speaker=speaker, at=at, thread=group, value=about or None
    )


def _edge(told: dict[str, Any], where: str) -> Record:
    return recorded(
        where,
        text=text_at(told.get("fact"), f"{where}.fact"),
        id=name_at(told.get("uuid"), f"{where}.uuid") or refuse(where, "has no uuid"),
        at=moment_at(told.get("created_at"), f"{where}.created_at"),
        thread=name_at(told.get("group_id"), f"{where}.group_id"),
        valid_from=moment_at(told.get("valid_at"), f"{where}.valid_at"),
        valid_to=moment_at(told.get("invalid_at"), f"{where}.invalid_at"),
        value={name: told[name] for name in ("name", "episodes") if told.get(name)} or None,
    )


def _raw_episode(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"uuid": record.id, "name": record.id, "content": record.text}
    told["source"] = "message" if record.kind == "message" else "text"
    told["source_description"] = f"memory of kind {record.kind}"
    told |= {"reference_time": iso(record.at)} if record.at else {}
    told |= {"group_id": record.thread} if record.thread else {}
    return told
