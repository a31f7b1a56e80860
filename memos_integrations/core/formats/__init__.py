"""Foreign formats, each a pure reader and, where one can be written, a writer. See `docs/formats.md` for what is lost.

A format of your own is a `Form` that you construct and pass to `MemOS.import_file` or `MemOS.export_file`.
"""

from __future__ import annotations

from memos_integrations.core.formats.chats import (
    read_chatgpt,
    read_claude,
    read_langchain,
    read_llama_chat,
    write_langchain,
    write_llama_chat,
)
from memos_integrations.core.formats.documents import read_cogx, read_docstore, write_cogx, write_docstore
from memos_integrations.core.formats.memories import (
    read_langgraph,
    read_letta,
    read_mem0,
    read_zep,
    write_langgraph,
    write_mem0,
    write_zep,
)
from memos_integrations.core.formats.plain import (
    read_csv,
    read_jsonl,
    read_markdown,
    write_csv,
    write_jsonl,
    write_markdown,
)
from memos_integrations.core.formats.record import Form, Record

__all__ = ["FORMS", "Form", "Record"]

_OURS = "versions, readers, policies, trust, links, entities"

FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("jsonl", read_jsonl, write_jsonl, "nothing: other names are kept in the value", _OURS),
        Form("csv", read_csv, write_csv, "nothing: other columns are kept in the value", _OURS),
        Form("markdown", read_markdown, write_markdown, "nested YAML in the head, pictures, other files", _OURS),
        Form(
            "mem0", read_mem0, write_mem0, "scores, histories, the graph; all users become the importer's",
            f"{_OURS}, kinds, roles, threads, validity; the value becomes metadata",
        ),
        Form(
            "langgraph", read_langgraph, write_langgraph, "embeddings, scores, time of update, time to live; "
            "a place, but by `import_items`",
            f"{_OURS}, speakers, roles, threads, sessions, tags, validity",
        ),
        Form("letta", read_letta, None, "system prompt, tools, calls, models, files, environment, limits of blocks"),
        Form(
            "zep", read_zep, write_zep, "entities, embeddings, communities, edges between nodes (their facts are kept)",
            f"{_OURS}, speakers, roles, sessions, tags, validity, values, kinds but message",
        ),
        Form(
            "cogx", read_cogx, write_cogx, "raw nodes, aliases and attributes of entities, confidence, titles",
            f"{_OURS}, tags of messages and documents, validity, values, threads; other kinds become memories",
        ),
        Form(
            "llama-docstore", read_docstore, write_docstore, "relations, embeddings, hashes, documents cut into nodes",
            f"{_OURS}, kinds, roles, speakers, times, threads, sessions, tags, values but metadata",
        ),
        Form(
            "llama-chat", read_llama_chat, write_llama_chat, "pictures, audio, calls of tools without words",
            f"{_OURS}, ids, kinds, speakers, times, sessions, tags, values",
        ),
        Form(
            "langchain", read_langchain, write_langchain, "pictures, audio, calls of tools without words",
            f"{_OURS}, kinds, threads, sessions, tags, validity, values",
        ),
        Form("chatgpt", read_chatgpt, None, "other branches, hidden and system messages, thoughts, pictures, files"),
        Form("claude", read_claude, None, "attachments, files, calls of tools, projects"),
    )
}  # fmt: skip
"""The formats that the command line knows, by name."""
