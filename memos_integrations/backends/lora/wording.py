"""How lessons and questions stand in a model's chat: the same tokens in training and when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.lessons import Lesson
from memos_integrations.backends.lora.rows import Row
from memos_integrations.core.errors import ModelError


class Wording:
    """How lessons stand in a model's chat, token by token as they will when somebody asks."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self._model = model
        end = int(model.tokenizer.eos_token_id)
        self.start = [end if model.tokenizer.bos_token_id is None else int(model.tokenizer.bos_token_id)]

    def prompt(self, question: str, context: str = "") -> list[int]:
        """The prompt of a question, after a memory if there is one."""
        return self._model.render([_asked(question, context)])

    def rows(self, lessons: Sequence[Lesson], *, context: str = "") -> tuple[list[int], list[Row]]:
        """What all lessons begin with, and each one's row behind it.

        Raises:
            ModelError: A lesson is too long, or the chat template shows an answer otherwise than it asks for it.
        """
        prompts, wholes, values = [], [], []
        for lesson in lessons:
            asked = _asked(lesson.question, context)
            prompts.append(self._model.render([asked]))
            chat = [asked, {"role": "assistant", "content": lesson.answer}]
            whole = self._model.render(chat, add_generation_prompt=False)
            if whole[: len(prompts[-1])] != prompts[-1] or len(whole) == len(prompts[-1]):
                raise ModelError(
                    f"The chat template of {self._model.name} shows answers otherwise; it cannot be taught."
                )
            if len(whole) >= self._model.context_tokens:
                raise ModelError(
                    f"A lesson has {len(whole)} tokens, too many for {self._model.name}: shorten the memory."
                )
            ends = [at for at in range(len(prompts[-1]), len(whole)) if whole[at] in self._model._ends]
            wholes.append(whole[: ends[0] + 1] if ends else whole)
            values.append(self._value(lesson, len(prompts[-1])))
        known = min(len(prompt) for prompt in prompts) - 1
        while any(whole[:known] != wholes[0][:known] for whole in wholes):
            known -= 1
        if known < 1:
            raise ModelError(
                f"Prompts of {self._model.name} have no beginning in common; it cannot be taught in batches."
            )
        rows = [
            Row(tuple(whole[known:]), len(prompt) - known, (first - known, end - known))
            for prompt, whole, (first, end) in zip(prompts, wholes, values, strict=True)
        ]
        return wholes[0][:known], rows

    def _value(self, lesson: Lesson, at: int) -> tuple[int, int]:
        """Where the value stands in an answer that begins at a place: its first token, and the one after its last."""
        before, found, _ = lesson.answer.partition(lesson.value)
        if not found or not lesson.value:
            return (0, 0)
        first, end = (len(self._model.encode(text)) for text in (before.rstrip(), before + found))
        return (at + first, at + end)


def _asked(question: str, context: str) -> dict[str, str]:
    return {"role": "user", "content": f"{context}\n{question}" if context else question}
