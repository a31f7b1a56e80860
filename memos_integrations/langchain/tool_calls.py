"""Tool calls as text, for a model that knows no tools of its own: asked for, recognised, parsed.

The form is the one that Hermes, Qwen and SmolLM2 were trained on: the tools' schemas in the system message, and
`<tool_call>{"name": ..., "arguments": {...}}</tool_call>` in the answer. JSON that does not parse becomes an
invalid call, never a guess.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def instructions(tools: Sequence[Mapping[str, Any]]) -> str:
    """What the system message says about *tools*, given in OpenAI's form."""
    schemas = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You may call these tools:\n<tools>\n{schemas}\n</tools>\n"
        f'To call one, answer with {OPEN}{{"name": <its name>, "arguments": <object>}}{CLOSE} and nothing else. '
        "Otherwise answer in words."
    )


def lead(tool_choice: str | None, names: Sequence[str]) -> str:
    """How the answer must begin so that it is a call of the chosen tool; empty where the model is free.

    *tool_choice* is a tool's name, or "any" for any of them.
    """
    if tool_choice is None:
        return ""
    only = names[0] if len(names) == 1 else None
    name = only if tool_choice == "any" else tool_choice
    return f'{OPEN}\n{{"name": {json.dumps(name)}, "arguments": ' if name else f'{OPEN}\n{{"name": "'


def calls_as_text(calls: Iterable[ToolCall]) -> str:
    """Earlier calls, in the form in which the model would have written them."""
    return "\n".join(
        f"{OPEN}{json.dumps({'name': call['name'], 'arguments': call['args']}, ensure_ascii=False)}{CLOSE}"
        for call in calls
    )


def result_as_text(message: ToolMessage) -> str:
    """A tool's result, marked as what it is."""
    return f"<tool_response>\n{message.text}\n</tool_response>"


class ToolCallReader:
    """Splits a streamed answer into words to show and calls to make.

    A call is recognised by its mark. An answer that is JSON from its first character (or in a code fence) counts
    as a call when it names one of *names*, since small models forget the mark.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._text = ""
        self._shown = 0

    def push(self, text: str) -> str:
        """The part of the answer that is certainly not a call, as far as it is new."""
        self._text += text
        start = self._text.lstrip()
        if not start or start[0] in "{[`":
            return ""
        mark = self._text.find(OPEN)
        return self._show(mark if mark >= 0 else len(self._text) - self._overlap())

    def finish(self) -> tuple[str, list[ToolCall], list[InvalidToolCall]]:
        """The words not shown yet, the calls, and what looked like a call and is none."""
        calls: list[ToolCall] = []
        invalid: list[InvalidToolCall] = []
        if bare := self._bare_calls():
            return "", bare, []
        words, *marked = self._text.split(OPEN)
        for part in marked:
            inside, _, after = part.partition(CLOSE)
            words += after
            try:
                calls += _calls(inside)
            except ValueError as exc:
                # With its mark, so that no parser takes the broken half of a call for the whole of another.
                invalid.append(invalid_tool_call(args=OPEN + inside, id=_new_id(), error=str(exc)))
        if marked:
            words = words.rstrip()
        return words[self._shown :], calls, invalid

    def _bare_calls(self) -> list[ToolCall]:
        fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", self._text, re.DOTALL)
        try:
            calls = _calls(fenced[1] if fenced else self._text)
        except ValueError:
            return []
        return calls if all(call["name"] in self._names for call in calls) else []

    def _show(self, end: int) -> str:
        text, self._shown = self._text[self._shown : end], max(end, self._shown)
        return text

    def _overlap(self) -> int:
        return next((n for n in range(len(OPEN) - 1, 0, -1) if self._text.endswith(OPEN[:n])), 0)


def _calls(text: str) -> list[ToolCall]:
    """The calls of one mark: an object, or a list of them.

    Raises:
        ValueError: It is not JSON, or not calls.
    """
    parsed = _json(text.strip())
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not calls:
        raise ValueError("an empty list calls nothing")
    return [_call(each) for each in calls]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # The arguments are complete and only the outermost brace is missing: nothing is guessed by closing it.
        return json.loads(text + "}")


def _call(parsed: Any) -> ToolCall:
    if not isinstance(parsed, dict) or not isinstance(parsed.get("name"), str):
        raise ValueError('a call is an object with "name" and "arguments"')
    arguments = parsed.get("arguments", parsed.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError('"arguments" must be an object')
    return tool_call(name=parsed["name"], args=arguments, id=_new_id())


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex}"
