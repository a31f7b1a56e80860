"""A local model in LlamaIndex's words, with per-request memory: a KV prefix, and adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

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
from memos_integrations.backends.kv import ActivationMemory, MemoryPrompt, counted, plain_prompt
from memos_integrations.backends.lora import ParameterCubes
from memos_integrations.backends.streaming import from_thread
from memos_integrations.core.errors import ModelError
from memos_integrations.core.operator import Recall

T = TypeVar("T")
Asked = str | list[dict[str, str]]
"""A prompt as it stands, or a chat that the model's template is to render."""

_request: ContextVar[dict[str, Any]] = ContextVar("memos_llm_request", default={})  # noqa: B039 - never changed
PER_REQUEST = frozenset({"temperature", "max_tokens", "seed", "stop", "recall", "kv_prefix", "adapters"})
OF_THE_FRAMEWORK = frozenset({"formatted", "image_documents"})
ROLES = {
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}
SYSTEM = (MessageRole.SYSTEM, MessageRole.DEVELOPER)


class MemOSLLM(CustomLLM):
    """Answers with a local Hugging Face model through its own chat template, streaming real tokens.

    Per request, as keywords of a call (`llm.chat(messages, recall=...)`) or, for engines that pass none on, around it
    (`with llm.using(recall=...): engine.query(...)`): `temperature`, `max_tokens`, `seed`, `stop`; `adapters`, names of
    adapters loaded on the model; and `recall`, what `memos.recall(...)` gave. Its memories stand at the head of the
    first user message, as data. With a `memory` (an `ActivationMemory` over the same model) their keys and values are
    taken from its store: the answer is the same without it, and comes later. With `parameters` (a `ParameterCubes` over
    the same model), the adapter that the recall leads to answers, unless `adapters` are named. `kv_prefix`, a
    `KVPrefix` of one's own, must be the beginning of the rendered prompt; not together with `recall`.

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
    _memory: ActivationMemory | None = PrivateAttr(default=None)
    _parameters: ParameterCubes | None = PrivateAttr(default=None)

    def __init__(
        self,
        model: HuggingFaceModel,
        *,
        memory: ActivationMemory | None = None,
        parameters: ParameterCubes | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if memory is not None and memory.model is not model:
            raise ModelError("`memory` keeps keys and values of another model than `model`; open both over one.")
        if parameters is not None and parameters.memory.model is not model:
            raise ModelError("`parameters` holds adapters of another model than `model`; open both over one.")
        self._model, self._memory, self._parameters = model, memory, parameters

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
        self,
        *,
        recall: Recall | None = None,
        kv_prefix: KVPrefix | None = None,
        adapters: Sequence[str] | None = None,
        **settings: Any,
    ) -> Iterator[None]:
        """Within it, every request of this thread or task, through any engine, has these; a call's own come first."""
        given = settings | {"recall": recall, "kv_prefix": kv_prefix, "adapters": adapters}
        token = _request.set(_known({**_request.get(), **{k: v for k, v in given.items() if v is not None}}))
        try:
            yield
        finally:
            _request.reset(token)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to *messages*."""
        return _last(self._replies(to_chat(messages), kwargs))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer, token by token."""
        return self._replies(to_chat(messages), kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer, computed in a worker thread."""
        return _last(await asyncio.to_thread(self._all, to_chat(messages), kwargs))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The answer, token by token, computed in a worker thread."""
        # What memories lack in keys and values is computed while the prompt is made: that is no work for the loop.
        return from_thread(await asyncio.to_thread(self._replies, to_chat(messages), kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a text."""
        return _as_completion(_last(self._replies(_as_chat(prompt, formatted), kwargs)))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The answer to a text, token by token."""
        replies = self._replies(_as_chat(prompt, formatted), kwargs)
        return (_as_completion(reply) for reply in replies)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a text, computed in a worker thread."""
        return _as_completion(_last(await asyncio.to_thread(self._all, _as_chat(prompt, formatted), kwargs)))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """The answer to a text, token by token, computed in a worker thread."""
        replies = from_thread(await asyncio.to_thread(self._replies, _as_chat(prompt, formatted), kwargs))
        return _mapped(replies)

    def _all(self, asked: Asked, kwargs: dict[str, Any]) -> list[ChatResponse]:
        return list(self._replies(asked, kwargs))

    def _replies(self, asked: Asked, kwargs: dict[str, Any]) -> ChatResponseGen:
        """What was said so far, after each token; arguments are checked here, not at the first token."""
        wished = _known({**_request.get(), **{k: v for k, v in kwargs.items() if k not in OF_THE_FRAMEWORK}})
        adapters = self._adapters(wished)
        if adapters and "adapters" not in wished and self._parameters is not None:
            wished = wished | {"recall": self._parameters.unsaid(wished["recall"], adapters[0])}
        prompt = self._prompt(asked, wished, adapters)
        how = {
            "max_new_tokens": wished.get("max_tokens", self.max_tokens),
            "temperature": wished.get("temperature", self.temperature),
            "stop": wished.get("stop", self.stop),
            "adapters": adapters,
            "seed": wished.get("seed", self.seed),
        }
        if self._memory is not None and wished.get("kv_prefix") is None:
            return self._said(self._memory.answer(prompt, **how))
        tokens = self._model.stream(prompt.ids, prefix=prompt.prefix, **how)
        return self._said(counted(token, prompt) for token in tokens)

    def _adapters(self, wished: dict[str, Any]) -> Sequence[str]:
        """The adapters of a request: those it names, else the one that its recall leads to."""
        if "adapters" in wished or self._parameters is None:
            return cast("Sequence[str]", wished.get("adapters", ()))
        name = self._parameters.adapter_for(wished.get("recall"))
        return (name,) if name is not None else ()

    def _prompt(self, asked: Asked, wished: dict[str, Any], adapters: Sequence[str]) -> MemoryPrompt:
        recall, prefix = wished.get("recall"), wished.get("kv_prefix")
        if recall is not None and (prefix is not None or isinstance(asked, str)):
            raise ModelError(
                "`recall` stands in a chat: not in a text that is formatted already, nor with `kv_prefix`."
            )
        if isinstance(asked, str):
            return MemoryPrompt(self._model.encode(asked), prefix, 0, 0)
        if self._memory is None or prefix is not None:
            return plain_prompt(self._model, asked, recall, prefix)
        return self._memory.prepare(asked, recall, adapters=adapters)

    def _said(self, tokens: Iterator[Token]) -> ChatResponseGen:
        text = ""
        for token in tokens:
            text += token.text
            if not token.text and token.usage is None:
                continue
            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
            yield ChatResponse(message=message, delta=token.text, raw=_usage(token), additional_kwargs=_usage(token))


def _as_chat(prompt: str, formatted: bool) -> Asked:
    return prompt if formatted else [{"role": "user", "content": prompt}]


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
        "recomputed_tokens": token.usage.recomputed_tokens,
        "new_tokens": token.usage.new_tokens,
        "approximate_memory": token.usage.approximate,
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
