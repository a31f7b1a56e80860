"""A chat model that runs here, in LangChain's words: messages in, streamed chunks out.

Converts messages for a `HuggingFaceModel` and its tokens back. The model may be shared by threads and by several
chat models. Text only.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, ClassVar, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from memos_integrations.backends.huggingface import HuggingFaceModel, Token
from memos_integrations.backends.kv import ActivationMemory, MemoryPrompt, counted, plain_prompt
from memos_integrations.backends.lora import ParameterCubes
from memos_integrations.backends.streaming import from_thread
from memos_integrations.core.errors import ModelError
from memos_integrations.langchain import tool_calls

NOT_TEXT = frozenset({"image", "image_url", "audio", "input_audio", "video", "file", "media"})


class MemOSChatModel(BaseChatModel):
    """Answers with a local Hugging Face model, streaming real tokens.

    `temperature` 0 is greedy. `stop` (here or per call) ends the answer before the string. `timeout` is in
    seconds for the whole answer, looked at between tokens. `max_retries` is accepted so that models can be
    exchanged, and has no effect: nothing here fails by chance.

    Per call (`invoke(..., key=value)`, `bind`, or an agent's `model_settings`): `temperature`, `max_tokens`,
    `seed`, `adapters` (names of adapters loaded on the model), and `recall`, what `memos.recall(...)` gave. Its
    memories stand at the head of the first human message, as data. With a `memory` (an `ActivationMemory` over the same
    model) their keys and values are taken from its store; the answer is the same without it, and comes later.
    `usage_metadata["input_token_details"]` then counts `cache_read`, `recomputed` and `new` tokens.
    With `parameters` (a `ParameterCubes`), the adapter that the recall leads to answers, unless `adapters` are named.
    `kv_prefix`, a `KVPrefix` of one's own, must be the beginning of the rendered prompt; not together with `recall`.

    An LLM cache keys answers on the prompt, the model's fingerprint, the settings, and the per-call arguments as
    `str` shows them. `adapters` is therefore in the key. A `kv_prefix` is exact and cannot change an answer, but
    its `repr` is in the key too: give it one that names its content, or the same prompt is computed again.

    `memory_ids` and `memory_fingerprint` are what `MemOSMiddleware` says of the memories that an answer is made with,
    and of whose they are. They are in the key, so that a cache never serves one user's answer to another;
    `memory_fingerprint` can also be set for good, for a model that is used without the middleware.
    """

    reads_memory_ids: ClassVar[bool] = True
    """Tells the middleware that `memory_ids` and `memory_fingerprint` may be among the settings of a call."""

    model: HuggingFaceModel = Field(exclude=True, repr=False)
    memory: ActivationMemory | None = Field(default=None, exclude=True, repr=False)
    parameters: ParameterCubes | None = Field(default=None, exclude=True, repr=False)
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    stop: list[str] | None = None
    seed: int | None = None
    timeout: float | None = None
    max_retries: int = 0
    memory_fingerprint: str | None = None

    @property
    def _llm_type(self) -> str:
        return "memos-huggingface"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # Not named "model" and "stop": arguments of a call have these names and would take their place in a cache key.
        return {
            "fingerprint": self.model.fingerprint.model_dump(),
            "always_stop": self.stop,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "memory": self.memory_fingerprint,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="memos",
            ls_model_type="chat",
            ls_model_name=kwargs.get("model", self.model.name),
            ls_temperature=kwargs.get("temperature", self.temperature),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
        )
        if stops := self._stops(stop):
            params["ls_stop"] = stops
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """Ids of the model's own tokenizer."""
        return self.model.encode(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens of the prompt that these messages and tools make, template included."""
        return len(self.model.render(_to_chat(messages, [convert_to_openai_tool(tool) for tool in tools or ()])))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with *tools* described in its system message, and its answers parsed for calls.

        *tool_choice*: "auto" or None lets the model choose, "none" hides the tools, "any" ("required", True) or a
        tool's name makes the answer begin as a call. How well a model calls is the model's affair.

        Raises:
            ModelError: *tool_choice* names none of *tools*.
        """
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        names = _names(schemas)
        if isinstance(tool_choice, dict):
            tool_choice = tool_choice.get("function", tool_choice).get("name")
        if tool_choice == "none":
            return self.bind(**kwargs)
        if tool_choice in (True, "required"):
            tool_choice = "any"
        elif tool_choice in (False, "auto"):
            tool_choice = None
        if tool_choice not in (None, "any", *names):
            raise ModelError(f"tool_choice {tool_choice!r} is none of the tools {names}.")
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages, stop, kwargs):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in from_thread(self._chunks(messages, stop, kwargs)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, settings: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        """The answer as chunks. With tools, what may be a call is held back until it is known."""
        tools = settings.get("tools") or []
        reader = tool_calls.ToolCallReader(_names(tools)) if tools else None
        lead = tool_calls.lead(settings.get("tool_choice"), _names(tools)) if reader else ""
        if reader and lead:
            reader.push(lead)
        for token in self._tokens(_to_chat(messages, tools), lead, stop, settings):
            text = reader.push(token.text) if reader else token.text
            if token.usage:
                yield self._last(text, token, reader)
            elif text:
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _tokens(
        self, chat: list[dict[str, str]], lead: str, stop: list[str] | None, settings: dict[str, Any]
    ) -> Iterator[Token]:
        deadline = time.monotonic() + self.timeout if self.timeout is not None else None
        stops = [*self._stops(stop), *([tool_calls.CLOSE] if lead else [])]
        adapters = self._adapters(settings)
        how = {
            "max_new_tokens": settings.get("max_tokens", self.max_tokens),
            "temperature": settings.get("temperature", self.temperature),
            "stop": stops,
            "adapters": adapters,
            "seed": settings.get("seed", self.seed),
        }
        if adapters and "adapters" not in settings and self.parameters is not None:
            settings = settings | {"recall": self.parameters.unsaid(settings["recall"], adapters[0])}
        prompt = self._prompt(chat, settings, adapters)
        if lead:
            prompt.ids.extend(self.model.encode(lead))
        if self.memory is not None and settings.get("kv_prefix") is None:
            tokens = self.memory.answer(prompt, **how)
        else:
            tokens = (counted(token, prompt) for token in self.model.stream(prompt.ids, prefix=prompt.prefix, **how))
        for token in tokens:
            yield token
            if deadline is not None and time.monotonic() > deadline and not token.usage:
                raise ModelError(f"{self.model.name} did not finish within {self.timeout} s; raise `timeout`.")

    def _adapters(self, settings: dict[str, Any]) -> Sequence[str]:
        """The adapters of a call: those it names, else the one that its recall leads to."""
        if "adapters" in settings or self.parameters is None:
            return cast("Sequence[str]", settings.get("adapters", ()))
        if self.parameters.memory.model is not self.model:
            raise ModelError("`parameters` holds adapters of another model than `model`; open both over one.")
        name = self.parameters.adapter_for(settings.get("recall"))
        return (name,) if name is not None else ()

    def _prompt(self, chat: list[dict[str, str]], settings: dict[str, Any], adapters: Sequence[str]) -> MemoryPrompt:
        recall, prefix = settings.get("recall"), settings.get("kv_prefix")
        if recall is not None and prefix is not None:
            raise ModelError("Give `recall` or `kv_prefix`, not both: each says how the prompt begins.")
        if self.memory is not None and self.memory.model is not self.model:
            raise ModelError("`memory` keeps keys and values of another model than `model`; open both over one.")
        if self.memory is None or prefix is not None:
            return plain_prompt(self.model, chat, recall, prefix)
        return self.memory.prepare(chat, recall, adapters=adapters)

    def _last(self, text: str, token: Token, reader: tool_calls.ToolCallReader | None) -> ChatGenerationChunk:
        calls: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        if reader:
            rest, calls, invalid = reader.finish()
            text += rest
        assert token.usage is not None
        details: dict[str, int] = {"cache_read": token.usage.cached_tokens}
        if token.usage.memory_tokens:
            details |= {"recomputed": token.usage.recomputed_tokens, "new": token.usage.new_tokens}
        usage = UsageMetadata(
            input_tokens=token.usage.input_tokens,
            output_tokens=token.usage.output_tokens,
            total_tokens=token.usage.input_tokens + token.usage.output_tokens,
            input_token_details=cast("InputTokenDetails", details),
        )
        told: dict[str, Any] = {"model_name": self.model.name, "finish_reason": token.finish}
        if token.usage.approximate:
            told["approximate_memory"] = True
        message = AIMessageChunk(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=usage,
            response_metadata=told,
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _stops(self, stop: list[str] | None) -> list[str]:
        return list(stop if stop is not None else self.stop or [])


def _names(tools: Sequence[dict[str, Any]]) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


def _to_chat(messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Messages for a chat template: one system message at most, and first, since templates know no other.

    Without any system message and tools, the template's own default stands, as the model was trained.
    """
    system = [_text(message) for message in messages if isinstance(message, SystemMessage)]
    if tools:
        system.append(tool_calls.instructions(tools))
    chat = [_turn(message) for message in messages if not isinstance(message, SystemMessage)]
    return [{"role": "system", "content": "\n\n".join(system)}, *chat] if system else chat


def _turn(message: BaseMessage) -> dict[str, str]:
    if isinstance(message, AIMessage):
        calls = tool_calls.calls_as_text(message.tool_calls)
        return {"role": "assistant", "content": "\n".join(filter(None, (_text(message), calls)))}
    if isinstance(message, ToolMessage):
        return {"role": "user", "content": tool_calls.result_as_text(message)}
    if isinstance(message, ChatMessage):
        return {"role": message.role, "content": _text(message)}
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": _text(message)}
    raise ModelError(f"A {type(message).__name__} cannot be shown to a chat model.")


def _text(message: BaseMessage) -> str:
    for block in message.content if isinstance(message.content, list) else ():
        if isinstance(block, dict) and block.get("type") in NOT_TEXT:
            raise ModelError(f"A message holds a block of type {block['type']!r}; this model reads text only.")
    return str(message.text)
