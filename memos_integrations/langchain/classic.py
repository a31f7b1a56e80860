"""Memory for the chains of langchain-classic (`ConversationChain`, `LLMChain`). Legacy: new code uses the middleware.

LangChain has deprecated these chains and their memories. This part is for code that still runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_classic.base_memory import BaseMemory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, get_buffer_string
from pydantic import ConfigDict, Field

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator import render
from memos_integrations.core.turns import PREAMBLE
from memos_integrations.langchain.chat_history import MemOSChatMessageHistory
from memos_integrations.langchain.transcript import recalled_message, turns_of
from memos_integrations.memos import MemOS


class MemOSMemory(BaseMemory):
    """The last turns word for word, and before them what else is remembered about the input. Legacy.

    `memory_key` is the prompt's variable. `input_key` and `output_key` name what the user said and what was answered
    when a chain has several inputs or outputs. `window` is how many messages of the session are shown, `k` how many
    memories besides. With `return_messages` the variable is a list of messages, else one string. What is recalled is
    never saved again.

    Raises:
        InvalidMemoryError: At run time, when it is not clear which input or output is meant.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memos: MemOS = Field(exclude=True, repr=False)
    principal: Principal = Field(exclude=True, repr=False)
    session_id: str
    memory_key: str = "history"
    input_key: str | None = None
    output_key: str | None = None
    return_messages: bool = False
    k: int = Field(default=6, ge=0)
    window: int = Field(default=10, ge=0)
    namespace: tuple[str, ...] = ()
    context: CallContext | None = None
    human_prefix: str = "Human"
    ai_prefix: str = "AI"

    @property
    def chat_memory(self) -> MemOSChatMessageHistory:
        """The verbatim log behind it."""
        return MemOSChatMessageHistory(
            self.memos, self.session_id, principal=self.principal, namespace=self.namespace, context=self.context
        )

    @property
    def memory_variables(self) -> list[str]:
        """The variable that it fills."""
        return [self.memory_key]

    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the prompt gets to see."""
        log = self.chat_memory.messages
        shown = log[-self.window :] if self.window else []
        given = self._given(inputs)
        asked = str(inputs[given[0]]) if len(given) == 1 else ""
        lines = self._recalled(asked, log, shown) if self.k and asked.strip() else []
        if self.return_messages:
            return {self.memory_key: [*([recalled_message(lines)] if lines else []), *shown]}
        said = get_buffer_string(shown, human_prefix=self.human_prefix, ai_prefix=self.ai_prefix)
        block = "\n".join([PREAMBLE, *lines]) if lines else ""
        return {self.memory_key: "\n".join(filter(None, (block, said)))}

    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`load_memory_variables`, without blocking the event loop."""
        return await asyncio.to_thread(self.load_memory_variables, inputs)

    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Write the turn; durable on return."""
        asked = _the_one(inputs, self._given(inputs), "input_key")
        answered = _the_one(outputs, [self.output_key] if self.output_key else list(outputs), "output_key")
        self.chat_memory.add_messages([_as_message(asked, HumanMessage), _as_message(answered, AIMessage)])

    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """`save_context`, without blocking the event loop."""
        await asyncio.to_thread(self.save_context, inputs, outputs)

    def clear(self) -> None:
        """Erase the session's log, and what was derived from it."""
        self.chat_memory.clear()

    async def aclear(self) -> None:
        """`clear`, without blocking the event loop."""
        await asyncio.to_thread(self.clear)

    def _given(self, inputs: Mapping[str, Any]) -> list[str]:
        """The names of what the user said: a chain hands over the memory's own variable too."""
        if self.input_key:
            return [self.input_key]
        return [name for name in inputs if name not in (*self.memory_variables, "stop")]

    def _recalled(self, asked: str, log: list[BaseMessage], shown: list[BaseMessage]) -> list[str]:
        there = {str(message.text).strip() for message in shown}
        found = self.memos.recall(
            asked,
            by=self.principal,
            k=self.k + len(shown),
            history=turns_of(log[-self.window :] if self.window else []),
            namespace=self.namespace,
            context=self.context,
        )
        return [render(hit) for hit in found.hits if hit.text.strip() not in there][: self.k]


def _the_one(values: Mapping[str, Any], names: list[str], option: str) -> Any:
    if len(names) != 1 or names[0] not in values:
        raise InvalidMemoryError(f"Which of {sorted(values)} is to be remembered? Say it with {option}=.")
    return values[names[0]]


def _as_message(value: Any, kind: type[HumanMessage] | type[AIMessage]) -> BaseMessage:
    return value if isinstance(value, BaseMessage) else kind(str(value))
