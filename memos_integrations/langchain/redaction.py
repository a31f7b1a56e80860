"""What traces and logs get to see: recalled words are withheld, ids, scores and everything else stay.

Recalled words pass through a run in three forms, and each is marked: the middleware's message, documents made from
cubes, answers of the memory tools. `redact` takes them out of whatever is traced. What a model then says of them in
words of its own bears no mark; a policy that must catch that too is a function given as `policy`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage

from memos_integrations.core.errors import InvalidMemoryError
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
    if isinstance(payload, str):
        return BLOCK.sub(WITHHELD, payload)
    if isinstance(payload, BaseMessage):
        answer = payload.artifact if isinstance(payload, ToolMessage) else None
        marked = _is_marked(payload.additional_kwargs, answer)
        return payload.model_copy(update={"content": WITHHELD}) if marked else payload
    if isinstance(payload, Document):
        return payload.model_copy(update={"page_content": WITHHELD}) if CUBE_ID in payload.metadata else payload
    if isinstance(payload, Mapping):
        return _mapping(payload)
    return type(payload)(map(redact, payload)) if type(payload) in (list, tuple) else payload


def _mapping(payload: Mapping[Any, Any]) -> dict[Any, Any]:
    told = {name: redact(value) for name, value in payload.items()}
    if _is_marked(payload.get("additional_kwargs"), payload.get("artifact")) and "content" in told:
        told["content"] = WITHHELD
    metadata = payload.get("metadata")
    if isinstance(metadata, Mapping) and CUBE_ID in metadata and "page_content" in told:
        told["page_content"] = WITHHELD
    return told


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
