"""Conversations as chat products and frameworks keep them: ChatGPT, Claude, LangChain messages, LlamaIndex chats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memos_integrations.core.cube import thawed
from memos_integrations.core.formats.files import (
    elements,
    iso,
    lines,
    list_at,
    moment_at,
    name_at,
    new_file,
    object_at,
    recorded,
    starts_with_list,
    text_at,
    whole,
    write_list,
)
from memos_integrations.core.formats.record import Naming, Record

ROLES = {
    "human": "user", "user": "user", "ai": "assistant", "assistant": "assistant", "chatbot": "assistant",
    "model": "assistant", "developer": "system", "system": "system", "tool": "tool", "function": "tool",
}  # fmt: skip
_TYPES = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}
SPOKEN = {"text", "multimodal_text", "code", "execution_output"}


def read_chatgpt(path: Path) -> Iterator[Record]:
    """What a ChatGPT export holds: `conversations.json`, or the zip that it came in.

    Each conversation is a tree of answers and second tries; what is read is the branch that the product shows.
    """
    for where, each in elements(path, member="conversations"):
        talk = object_at(each, where)
        thread = name_at(talk.get("conversation_id") or talk.get("id"), f"{where}.id")
        nodes = object_at(talk.get("mapping"), f"{where}.mapping")
        title = text_at(talk.get("title"), f"{where}.title")
        for node in _branch(nodes, talk.get("current_node"), where):
            place = f"{where}.mapping.{node}"
            message = nodes[node].get("message")
            if message is None:
                continue
            message = object_at(message, place)
            words = _chatgpt_words(message, place)
            hidden = object_at(message.get("metadata") or {}, place).get("is_visually_hidden_from_conversation")
            author = object_at(message.get("author"), f"{place}.author")
            role = ROLES.get(text_at(author.get("role"), f"{place}.author.role"), "tool")
            if not words.strip() or hidden or role == "system":
                continue
            yield recorded(
                place,
                text=words,
                id=name_at(message.get("id"), f"{place}.id") or node,
                kind="message",
                role=role,
                speaker=name_at(author.get("name"), place) or role,
                at=moment_at(message.get("create_time"), f"{place}.create_time"),
                thread=thread,
                value={"title": title} if title else None,
            )


def read_claude(path: Path) -> Iterator[Record]:
    """What a Claude export holds: `conversations.json`, or the zip that it came in."""
    for where, each in elements(path, member="conversations"):
        talk = object_at(each, where)
        title = text_at(talk.get("name"), f"{where}.name")
        thread = name_at(talk.get("uuid"), f"{where}.uuid")
        for number, one in enumerate(list_at(talk.get("chat_messages"), f"{where}.chat_messages")):
            place = f"{where}.chat_messages[{number}]"
            message = object_at(one, place)
            words = text_at(message.get("text"), f"{place}.text")
            words = words if words.strip() else _parts(message.get("content"), f"{place}.content")
            if not words.strip():
                continue
            role = ROLES.get(text_at(message.get("sender"), f"{place}.sender").lower(), "tool")
            yield recorded(
                place,
                text=words,
                id=name_at(message.get("uuid"), f"{place}.uuid") or f"{thread}:{number}",
                kind="message",
                role=role,
                speaker=role,
                at=moment_at(message.get("created_at"), f"{place}.created_at"),
                thread=thread,
                value={"title": title} if title else None,
            )


def read_langchain(path: Path) -> Iterator[Record]:
    """The messages of a LangChain history: what `messages_to_dict` gives, as a JSON list or a line each.

    The thread is the name of the file.
    """
    naming = Naming()
    for where, each in elements(path) if starts_with_list(path) else lines(path):
        outer = object_at(each, where)
        inner = object_at(outer.get("data"), f"{where}.data")
        kind = text_at(outer.get("type"), f"{where}.type") or "human"
        role = ROLES.get(kind.removesuffix("MessageChunk").lower(), "assistant")
        words = _parts(inner.get("content"), f"{where}.data.content")
        if not words.strip():
            continue  # a call of a tool has no words
        name = name_at(inner.get("name"), f"{where}.data.name")
        yield recorded(
            where,
            text=words,
            id=name_at(inner.get("id"), f"{where}.data.id") or naming.name(kind, name, words),
            kind="message",
            role=role,
            speaker=name or role,
            thread=path.stem,
            value={"message": outer},
        )


def write_langchain(records: Iterable[Record], path: Path) -> int:
    """Write a JSON list that `messages_from_dict` takes."""
    return write_list(map(_langchain_message, records), path)


def read_llama_chat(path: Path) -> Iterator[Record]:
    """The chats of a LlamaIndex chat store: `{"store": {key: [message, ...]}}`; the key is the thread."""
    name = path.name
    store = object_at(object_at(whole(path), name).get("store"), f"{name}.store")
    for key, messages in store.items():
        naming = Naming()
        for number, each in enumerate(list_at(messages, f"{name}.store.{key}")):
            where = f"{name}.store.{key}[{number}]"
            message = object_at(each, where)
            role = ROLES.get(text_at(message.get("role"), f"{where}.role"), "assistant")
            words = _parts(message.get("content") or message.get("blocks"), where)
            if not words.strip():
                continue
            kept = object_at(message.get("additional_kwargs") or {}, where)
            yield recorded(
                where,
                text=words,
                id=f"{key}:{naming.name(role, words)}",
                kind="message",
                role=role,
                speaker=name_at(kept.get("name"), where) or role,
                thread=key or None,
                value={"additional_kwargs": kept} if kept else None,
            )


def write_llama_chat(records: Iterable[Record], path: Path) -> int:
    """Write a chat store; records without a thread stand under the key `default`. Held in memory."""
    import json

    chats: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        blocks = [{"block_type": "text", "text": record.text}]
        chats.setdefault(record.thread or "default", []).append(
            {"role": record.role, "additional_kwargs": {}, "blocks": blocks}
        )
    with new_file(path) as out:
        json.dump({"store": chats, "class_name": "SimpleChatStore"}, out, ensure_ascii=False)
    return sum(map(len, chats.values()))


def _langchain_message(record: Record) -> dict[str, Any]:
    kind = _TYPES[record.role]
    told: dict[str, Any] = {"content": record.text, "type": kind, "id": record.id, "additional_kwargs": {}}
    told["response_metadata"] = {"created_at": iso(record.at)} if record.at else {}
    kept = thawed(record.value)
    message = kept.get("message") if isinstance(kept, dict) else None
    if kind == "tool":
        inner = message.get("data", {}) if isinstance(message, dict) else {}
        told["tool_call_id"] = str(inner.get("tool_call_id") or record.id)
    if record.speaker and record.speaker != record.role:
        told["name"] = record.speaker
    return {"type": kind, "data": told}


def _branch(nodes: dict[str, Any], last: Any, where: str) -> list[str]:
    """The ids from the root to the leaf that is shown, else to the newest leaf."""
    for name, node in nodes.items():
        object_at(node, f"{where}.mapping.{name}")
    if not isinstance(last, str) or last not in nodes:
        parents = {str(node.get("parent")) for node in nodes.values()}
        leaves = [name for name in nodes if name not in parents]
        last = max(leaves, key=lambda name: _newness(nodes[name]), default=None)
    path: dict[str, None] = {}
    while isinstance(last, str) and last in nodes and last not in path:
        path[last] = None
        last = nodes[last].get("parent")
    return [*reversed(path)]


def _newness(node: dict[str, Any]) -> float:
    message = node.get("message")
    at = message.get("create_time") if isinstance(message, dict) else None
    return at if isinstance(at, int | float) else 0.0  # an integer may be larger than any float


def _chatgpt_words(message: dict[str, Any], where: str) -> str:
    content = object_at(message.get("content") or {}, f"{where}.content")
    if text_at(content.get("content_type", "text"), f"{where}.content.content_type") not in SPOKEN:
        return ""
    parts = [_spoken(part, where) for part in list_at(content.get("parts"), f"{where}.content.parts")]
    return "\n".join(filter(None, parts)) or text_at(content.get("text"), f"{where}.content.text")


def _spoken(part: Any, where: str) -> str:
    """The words of a part: itself, or what was heard in a voice chat; a picture has none."""
    if isinstance(part, dict) and part.get("content_type") == "audio_transcription":
        return text_at(part.get("text"), f"{where}.content.parts.text")
    return part if isinstance(part, str) else ""


def _parts(content: Any, where: str) -> str:
    """The words of a content that is a text, or a list of texts and blocks; other blocks have none."""
    if not isinstance(content, list):
        return text_at(content, where)
    found = []
    for part in content:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict) and part.get("type", part.get("block_type", "text")) == "text":
            found.append(text_at(part.get("text"), where))
    return "\n".join(each for each in found if each)
