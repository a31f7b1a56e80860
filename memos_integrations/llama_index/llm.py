"""A local model in LlamaIndex's words, with per-request memory: a KV prefix, and adapters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from pydantic import Field, PrivateAttr

from memos_integrations.backends.huggingface import HuggingFaceModel, KVPrefix, Token
from memos_integrations.core.errors import ModelError

T = TypeVar("T")

_request: ContextVar[dict[str, Any]] = ContextVar("memos_llm_request", default={})  # noqa: B039 - never changed
PER_REQUEST = frozenset({"temperature", "max_tokens", "seed", "stop", "kv_prefix", "adapters"})
OF_THE_FRAMEWORK = frozenset({"formatted", "image_documents"})
ROLES = {
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}
SYSTEM = (MessageRole.SYSTEM, MessageRole.DEVELOPER)


class MemOSLLM(CustomLLM):
    """Answers with a local Hugging Face model through its own chat template, streaming real tokens.

    Per request, as keywords of a call (`llm.chat(messages, adapters=["ana"])`) or, for engines that pass none on,
    around it (`with llm.using(adapters=["ana"]): engine.query(...)`): `temperature`, `max_tokens`, `seed`, `stop`, and
    the two forms of memory of a local model: `kv_prefix`, a `KVPrefix` that must be the beginning of the rendered
    prompt, and `adapters`, names of adapters loaded on the model.

    The model may be shared by threads, tasks and other models: answers interleave token by token, and a request's
    adapters are its own. Async calls compute in worker threads. `complete` asks a text as one user message;
    `formatted=True` takes it as the whole prompt. Text only; no tools: use it with `ReActAgent`.

    Raises:
        ModelError: An unknown keyword, a prompt that is too long, an adapter that is not loaded, a prefix of another
            prompt.
    """

    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    stop: list[str] = Field(default_factory=list)
    seed: int | None = None
    _model: HuggingFaceModel = PrivateAttr()

    def __init__(self, model: HuggingFaceModel, **settings: Any) -> None:
        super().__init__(**settings)
        self._model = model

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it; `from_dict(settings, model=...)` takes the model back."""
        return "MemOSLLM"

    @property
    def model(self) -> HuggingFaceModel:
        """The model behind it."""
        return self._model

    @property
    def metadata(self) -> LLMMetadata:
        """Context window and output length in tokens of the model."""
        return LLMMetadata(
            context_window=self._model.context_tokens,
            num_output=self.max_tokens,
            is_chat_model=True,
            model_name=self._model.name,
        )

    @contextmanager
    def using(
        self, *, kv_prefix: KVPrefix | None = None, adapters: Sequence[str] | None = None, **settings: Any
    ) -> Iterator[None]:
        """Within it, every request of this thread or task, through any engine, has these; a call's own come first."""
        given = settings | {"kv_prefix": kv_prefix, "adapters": adapters}
        token = _request.set(_known({**_request.get(), **{k: v for k, v in given.items() if v is not None}}))
        try:
            yield
        finally:
            _request.reset(token)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to *messages*."""
        return _last(self._replies(self._model.render(to_chat(messages)), kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer, token by token."""
        return self._replies(self._model.render(to_chat(messages)), kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer, computed in a worker thread."""
        return _last(await asyncio.to_thread(self._all, lambda: self._model.render(to_chat(messages)), kwargs))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The answer, token by token, computed in a worker thread."""
        return _in_thread(self._replies(self._model.render(to_chat(messages)), kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a text."""
        return _as_completion(_last(self._replies(self._ids(prompt, formatted), kwargs)))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The answer to a text, token by token."""
        replies = self._replies(self._ids(prompt, formatted), kwargs)
        return (_as_completion(reply) for reply in replies)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a text, computed in a worker thread."""
        return _as_completion(_last(await asyncio.to_thread(self._all, lambda: self._ids(prompt, formatted), kwargs)))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """The answer to a text, token by token, computed in a worker thread."""
        replies = _in_thread(self._replies(self._ids(prompt, formatted), kwargs))
        return _mapped(replies)

    def _ids(self, prompt: str, formatted: bool) -> list[int]:
        if formatted:
            return self._model.encode(prompt)
        return self._model.render([{"role": "user", "content": prompt}])

    def _all(self, ids: Callable[[], list[int]], kwargs: dict[str, Any]) -> list[ChatResponse]:
        return list(self._replies(ids(), kwargs))

    def _replies(self, ids: list[int], kwargs: dict[str, Any]) -> ChatResponseGen:
        """What was said so far, after each token; arguments are checked here, not at the first token."""
        wished = _known({**_request.get(), **{k: v for k, v in kwargs.items() if k not in OF_THE_FRAMEWORK}})
        tokens = self._model.stream(
            ids,
            max_new_tokens=wished.get("max_tokens", self.max_tokens),
            temperature=wished.get("temperature", self.temperature),
            stop=wished.get("stop", self.stop),
            prefix=wished.get("kv_prefix"),
            adapters=wished.get("adapters", ()),
            seed=wished.get("seed", self.seed),
        )
        return self._said(tokens)

    def _said(self, tokens: Iterator[Token]) -> ChatResponseGen:
        text = ""
        for token in tokens:
            text += token.text
            if not token.text and token.usage is None:
                continue
            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
            yield ChatResponse(message=message, delta=token.text, raw=_usage(token), additional_kwargs=_usage(token))


def to_chat(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Messages for a chat template: one system message at most, and first, since templates know no other.

    Raises:
        ModelError: A message holds something else than text.
    """
    system = [_text(message) for message in messages if message.role in SYSTEM]
    chat = [
        {"role": ROLES.get(message.role, "user"), "content": _text(message)}
        for message in messages
        if message.role not in SYSTEM
    ]
    return [{"role": "system", "content": "\n\n".join(system)}, *chat] if system else chat


def _text(message: ChatMessage) -> str:
    other = [block.block_type for block in message.blocks if not isinstance(block, TextBlock)]
    if other:
        raise ModelError(f"A message holds a block of type {other[0]!r}; this model reads text only.")
    return message.content or ""


def _known(wished: dict[str, Any]) -> dict[str, Any]:
    if unknown := sorted(wished.keys() - PER_REQUEST):
        raise ModelError(f"A request has no setting {unknown}; there are {sorted(PER_REQUEST)}.")
    return wished


def _usage(token: Token) -> dict[str, Any]:
    if token.usage is None:
        return {}
    return {
        "prompt_tokens": token.usage.input_tokens,
        "completion_tokens": token.usage.output_tokens,
        "total_tokens": token.usage.input_tokens + token.usage.output_tokens,
        "cached_tokens": token.usage.cached_tokens,
        "finish_reason": token.finish,
    }


def _last(replies: Iterator[ChatResponse] | Sequence[ChatResponse]) -> ChatResponse:
    """The last reply, without the delta that only a stream has."""
    reply = list(replies)[-1]
    return reply.model_copy(update={"delta": None})


def _as_completion(reply: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=reply.message.content or "", delta=reply.delta, raw=reply.raw, additional_kwargs=reply.additional_kwargs
    )


async def _mapped(replies: ChatResponseAsyncGen) -> CompletionResponseAsyncGen:
    async for reply in replies:
        yield _as_completion(reply)


async def _in_thread(replies: Iterator[T]) -> AsyncGenerator[T, None]:
    """What *replies* yields, computed in a worker thread; when nobody listens any more, it stops at the next one."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | None] = asyncio.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            for reply in replies:
                loop.call_soon_threadsafe(queue.put_nowait, reply)
                if left.is_set():
                    break
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    worker = asyncio.create_task(asyncio.to_thread(work))
    try:
        while (reply := await queue.get()) is not None:
            yield reply
        await worker  # raises here what was raised there
    finally:
        left.set()
