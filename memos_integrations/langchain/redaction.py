"""What traces and logs get to see: recalled words are withheld, ids, scores and everything else stay.

Recalled words pass through a run in forms that can be told: the middleware's message, documents made from cubes,
answers of the memory tools, a `Recall`, what a memory subgraph hands on as `recalled`, and the block under its preamble
within any text. `redact` takes them out of whatever is traced. What a model then says of them in words of its own bears
no mark; a policy that must catch that too is a function given as `policy`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator import Recall
from memos_integrations.core.turns import PREAMBLE
from memos_integrations.langchain.retriever import CUBE_ID
from memos_integrations.langchain.transcript import MARK

WITHHELD = "[recalled words withheld]"
BLOCK = re.compile(re.escape(PREAMBLE) + r"(?:\n- \[[^\n]*)*")
"""The recalled block within a prompt that was made one string."""


def redact(payload: Any) -> Any:
    """The payload of a trace without recalled words; a copy where something was withheld.

    For LangSmith: `Client(hide_inputs=redact, hide_outputs=redact)`. It knows messages and documents as objects and
    as the dictionaries that tracers make of them.
    """
    told: Any = payload
    match payload:
        case str():
            told = BLOCK.sub(WITHHELD, payload)
        case BaseMessage():
            told = _message(payload)
        case Document() if CUBE_ID in payload.metadata:
            told = payload.model_copy(update={"page_content": WITHHELD})
        case ChatPromptValue():
            told = payload.model_copy(update={"messages": [_message(message) for message in payload.messages]})
        case StringPromptValue():
            told = payload.model_copy(update={"text": redact(payload.text)})
        case Recall():
            told = {"recall": payload.id, "cubes": [hit.cube.id for hit in payload.hits]}
        case Mapping():
            told = _mapping(payload)
        case list() | tuple() if type(payload) in (list, tuple):
            told = type(payload)(map(redact, payload))
    return told


def _message(message: BaseMessage) -> BaseMessage:
    answer = message.artifact if isinstance(message, ToolMessage) else None
    content = WITHHELD if _is_marked(message.additional_kwargs, answer) else redact(message.content)
    return message if content == message.content else message.model_copy(update={"content": content})


def _mapping(payload: Mapping[Any, Any]) -> dict[Any, Any]:
    told = {name: redact(value) for name, value in payload.items()}
    if _is_marked(payload.get("additional_kwargs"), payload.get("artifact")) and "content" in told:
        told["content"] = WITHHELD
    metadata = payload.get("metadata")
    if isinstance(metadata, Mapping) and CUBE_ID in metadata and "page_content" in told:
        told["page_content"] = WITHHELD
    if "text" in told and _are_hits(payload.get("hits")):
        told |= {"text": WITHHELD, "hits": [{**hit, "text": WITHHELD} for hit in payload["hits"]]}
    return told


def _are_hits(hits: Any) -> bool:
    """Whether this is what a memory subgraph tells of its hits."""
    return (
        bool(hits) and isinstance(hits, list) and all(isinstance(hit, Mapping) and "provenance" in hit for hit in hits)
    )


def _is_marked(*places: Any) -> bool:
    return any(isinstance(place, Mapping) and place.get(MARK) == "recalled" for place in places)


class RedactedCallbacks(BaseCallbackHandler):
    """Passes every event on to another callback handler, its payload redacted.

    `chain.invoke(question, {"callbacks": [RedactedCallbacks(ConsoleCallbackHandler())]})`. *policy* is what is done
    to each argument of an event; the default is `redact`.

    Raises:
        InvalidMemoryError: *inner* is asynchronous; give LangChain a synchronous one.
    """

    def __init__(self, inner: BaseCallbackHandler, policy: Callable[[Any], Any] = redact) -> None:
        if isinstance(inner, AsyncCallbackHandler):
            raise InvalidMemoryError("RedactedCallbacks passes events on to synchronous handlers only.")
        self._inner, self._policy = inner, policy
        self.raise_error = inner.raise_error
        self.run_inline = inner.run_inline


def _forwarding(event: str) -> Callable[..., Any]:
    def forward(self: RedactedCallbacks, *args: Any, **kwargs: Any) -> Any:
        told = [self._policy(each) for each in args]
        return getattr(self._inner, event)(*told, **{name: self._policy(each) for name, each in kwargs.items()})

    return forward


def _mirrored(condition: str) -> property:
    return property(lambda self: getattr(self._inner, condition))


for _name in dir(BaseCallbackHandler):
    if _name.startswith("on_"):
        assert not asyncio.iscoroutinefunction(getattr(BaseCallbackHandler, _name))
        setattr(RedactedCallbacks, _name, _forwarding(_name))
    elif _name.startswith("ignore_"):
        setattr(RedactedCallbacks, _name, _mirrored(_name))
