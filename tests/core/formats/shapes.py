"""One small file of each foreign format, written after its public description; the people in them are invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MEM0: Any = {
    "results": [
        {
            "id": "m1",
            "memory": "Plays the viola",
            "hash": "a1",
            "user_id": "dora",
            "metadata": {"category": "hobby"},
            "categories": ["music"],
            "created_at": "2026-02-01T08:00:00-08:00",
            "updated_at": None,
        },
        {"id": "m2", "memory": "Allergic to walnuts", "user_id": "dora", "run_id": "r1"},
    ]
}
LANGGRAPH: Any = [
    {
        "namespace": ["memories", "dora"],
        "key": "k1",
        "value": {"kind": "Memory", "content": {"content": "Plays the viola"}},
        "created_at": "2026-02-01T08:00:00+00:00",
        "updated_at": "2026-02-01T08:00:00+00:00",
        "score": None,
    },
    {"namespace": ["prefs"], "key": "k1", "value": {"theme": "dark"}},
]
LETTA: Any = {
    "agents": [
        {
            "id": "agent-0",
            "name": "memo",
            "system": "You are …",
            "messages": [
                {"id": "message-0", "role": "system", "content": [{"type": "text", "text": "You are …"}]},
                {
                    "id": "message-1",
                    "role": "user",
                    "content": [{"type": "text", "text": "I play the viola."}],
                    "created_at": "2026-02-01T08:00:00Z",
                },
                {"id": "message-2", "role": "tool", "content": [{"type": "text", "text": '{"status": "OK"}'}]},
            ],
            "block_ids": ["block-0"],
            "tool_exec_environment_variables": {"KEY": "not to be taken"},
        }
    ],
    "blocks": [{"id": "block-0", "label": "human", "value": "Her name is Dora.", "limit": 5000}],
    "groups": [],
    "files": [],
    "sources": [],
    "tools": [{"id": "tool-0", "name": "boom", "source_code": "raise SystemExit"}],
    "mcp_servers": [],
}
ZEP: Any = {
    "episodes": [
        {
            "uuid": "e1",
            "name": "lesson",
            "content": "dora: I play the viola.",
            "source": "message",
            "source_description": "chat",
            "valid_at": "2026-02-01T08:00:00Z",
            "group_id": "g",
        }
    ],
    "edges": [
        {
            "uuid": "f1",
            "name": "LIVES_IN",
            "fact": "Dora lives in Graz",
            "valid_at": "2020-01-01T00:00:00Z",
            "invalid_at": "2025-01-01T00:00:00Z",
            "group_id": "g",
        }
    ],
}
COGX: dict[str, Any] = {
    "manifest.json": {"cogx_version": "0.1", "source_system": "cognee", "counts": {}},
    "documents.jsonl": {"kind": "document", "external_id": "d1", "content": "A page on violas.", "title": "Violas"},
    "episodes.jsonl": {
        "kind": "episode",
        "external_id": "e1",
        "scope": {"session_id": "s1"},
        "turns": [
            {"role": "user", "content": "I play the viola.", "occurred_at": "2026-02-01T08:00:00Z"},
            {"role": "assistant", "content": "How nice."},
        ],
    },
    "entities.jsonl": {"kind": "entity", "external_id": "n1", "name": "Dora", "description": "a violist"},
    "facts.jsonl": {
        "kind": "fact",
        "external_id": "f1",
        "subject_ref": "Dora",
        "predicate": "lives_in",
        "object_ref": "Graz",
        "valid_at": "2020-01-01T00:00:00Z",
        "invalid_at": "2025-01-01T00:00:00Z",
    },
    "memories.jsonl": {"kind": "memory", "external_id": "m1", "content": "Likes figs", "categories": ["food"]},
    "memory_blocks.jsonl": {"kind": "memory_block", "external_id": "b1", "label": "human", "value": "Dora"},
}
CHATGPT: Any = [
    {
        "conversation_id": "c1",
        "title": "Violas",
        "create_time": 1769932800.0,
        "current_node": "n3",
        "mapping": {
            "root": {"id": "root", "message": None, "parent": None, "children": ["n1"]},
            "n1": {
                "id": "n1",
                "parent": "root",
                "children": ["n2", "n3"],
                "message": {
                    "id": "u1",
                    "author": {"role": "user", "name": None},
                    "create_time": 1769932800.0,
                    "content": {"content_type": "text", "parts": ["How is a viola tuned?"]},
                    "metadata": {},
                },
            },
            "n2": {
                "id": "n2",
                "parent": "n1",
                "children": [],
                "message": {
                    "id": "a1",
                    "author": {"role": "assistant"},
                    "create_time": 1769932801.0,
                    "content": {"content_type": "text", "parts": ["Like a violin."]},
                },
            },
            "n3": {
                "id": "n3",
                "parent": "n1",
                "children": [],
                "message": {
                    "id": "a2",
                    "author": {"role": "assistant"},
                    "create_time": 1769932802.0,
                    "content": {"content_type": "text", "parts": ["C, G, D, A."]},
                },
            },
        },
    }
]
CLAUDE: Any = [
    {
        "uuid": "c1",
        "name": "Violas",
        "created_at": "2026-02-01T08:00:00.000000Z",
        "account": {"uuid": "x"},
        "chat_messages": [
            {
                "uuid": "u1",
                "sender": "human",
                "text": "How is a viola tuned?",
                "content": [{"type": "text", "text": "How is a viola tuned?"}],
                "created_at": "2026-02-01T08:00:00.000000Z",
            },
            {
                "uuid": "a1",
                "sender": "assistant",
                "text": "",
                "content": [{"type": "text", "text": "C, G, D, A."}, {"type": "tool_use", "name": "x", "input": {}}],
                "created_at": "2026-02-01T08:00:01.000000Z",
            },
        ],
    }
]
JSONL = '{"id": "1", "text": "Plays the viola", "mood": "calm"}\n\n{"text": "Likes figs", "tags": ["food"]}\n'
CSV = 'id,text,at,tags,mood\n1,"Plays the\nviola",2026-02-01T08:00:00Z,music;hobby,calm\n,Likes figs,,,\n'
WORDS = {
    "mem0": ["Plays the viola", "Allergic to walnuts"],
    "langgraph": ["Plays the viola", '{"theme":"dark"}'],
    "letta": ["Her name is Dora.", "I play the viola.", '{"status": "OK"}'],
    "zep": ["dora: I play the viola.", "Dora lives in Graz"],
    "cogx": ["A page on violas.", "I play the viola.", "How nice.", "Dora: a violist", "Dora lives in Graz",
             "Likes figs", "Dora"],
    "chatgpt": ["How is a viola tuned?", "C, G, D, A."],
    "claude": ["How is a viola tuned?", "C, G, D, A."],
    "jsonl": ["Plays the viola", "Likes figs"],
    "csv": ["Plays the\nviola", "Likes figs"],
    "markdown": ["Likes figs\n", "# Viola\n\nTuned C, G, D, A.\n"],
    "langchain": ["I play the viola.", "How nice."],
    "llama-chat": ["I play the viola.", "How nice."],
    "llama-docstore": ["A page on violas.", "Likes figs"],
}  # fmt: skip


def written(name: str, folder: Path) -> Path:
    """A file (or folder) of this format."""
    path = folder / f"export-{name}"
    match name:
        case "cogx":
            path.mkdir()
            for file, told in COGX.items():
                (path / file).write_text(json.dumps(told) + "\n", "utf-8")
        case "markdown":
            (path / "deep").mkdir(parents=True)
            (path / "b.md").write_text("---\ntitle: Violas\nat: 2026-02-01\ntags: [music, hobby]\n---\n# Viola\n\n"
                                       "Tuned C, G, D, A.\n", "utf-8")  # fmt: skip
            (path / "a.md").write_text("Likes figs\n", "utf-8")
            (path / "deep" / "picture.png").write_bytes(b"\x89PNG")
        case "jsonl":
            path.write_text(JSONL, "utf-8")
        case "csv":
            path.write_text(CSV, "utf-8")
        case "langchain":
            from langchain_core.messages import AIMessage, HumanMessage, messages_to_dict

            told = messages_to_dict([HumanMessage("I play the viola.", id="1"), AIMessage([{"type": "text",
                                    "text": "How nice."}], name="memo")])  # fmt: skip
            path.write_text(json.dumps(told), "utf-8")
        case "llama-chat":
            from llama_index.core.llms import ChatMessage
            from llama_index.core.storage.chat_store import SimpleChatStore

            said = [ChatMessage(role="user", content="I play the viola."),
                    ChatMessage(role="assistant", content="How nice.")]  # fmt: skip
            store = {"store": {"k": [each.model_dump(mode="json") for each in said]},
                     "class_name": SimpleChatStore.class_name()}  # fmt: skip
            path.write_text(json.dumps(store), "utf-8")
        case "llama-docstore":
            from llama_index.core.schema import Document, TextNode
            from llama_index.core.storage.docstore import SimpleDocumentStore

            docs = SimpleDocumentStore()
            docs.add_documents([Document(text="A page on violas.", id_="d1", metadata={"file_name": "violas.md"}),
                                TextNode(text="Likes figs", id_="n1")])  # fmt: skip
            docs.persist(str(path))
        case _:
            shape = {"mem0": MEM0, "langgraph": LANGGRAPH, "letta": LETTA, "zep": ZEP, "chatgpt": CHATGPT,
                     "claude": CLAUDE}[name]  # fmt: skip
            path.write_text(json.dumps(shape), "utf-8")
    return path
