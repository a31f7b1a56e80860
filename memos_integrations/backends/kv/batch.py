"""Several prompts answered together by one model, all of them beginning with the same stored prefix or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memos_integrations.backends.huggingface import HuggingFaceModel, KVPrefix, Token, Usage
from memos_integrations.backends.kv.fingerprint import has_windows
from memos_integrations.backends.text_stream import Detokeniser, StopStrings
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import Cache


def answer_batch(
    model: HuggingFaceModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    prefix: KVPrefix | None = None,
    stop: Sequence[str] = (),
    adapters: Sequence[str] = (),
) -> list[list[Token]]:
    """The greedy answers to several prompts, each as `HuggingFaceModel.stream` would give it, in their order.

    All prompts begin with *prefix*, which exists once whatever their number; each is forwarded from there, padded
    between the memory and its own question. Without a prefix, and by a model with sliding windows, they are
    answered one by one.

    Raises:
        ModelError: No prompts, one that is too long, or one that does not begin with the prefix.
    """
    rows = [list(prompt) for prompt in prompts]
    if not rows:
        raise ModelError("There are no prompts to answer.")
    known = list(prefix.token_ids) if prefix is not None else []
    if any(row[: len(known)] != known for row in rows):
        raise ModelError("The KV prefix is not the beginning of every prompt; give it the prompts that it belongs to.")
    most = model.context_tokens - max(map(len, rows))
    if not all(rows) or most < 1 or max_new_tokens < 1:
        raise ModelError(f"Prompts have 1 to {model.context_tokens - 1} tokens for {model.name}, answers at least 1.")
    if len(rows) == 1 or prefix is None or has_windows(model.network):  # a pad would take a token's place in a window
        how = {"max_new_tokens": max_new_tokens, "stop": stop, "adapters": adapters}
        return [list(model.stream(row, prefix=prefix, **how)) for row in rows]  # type: ignore[arg-type]
    return _Batch(model, rows, prefix, stop, tuple(adapters)).run(min(max_new_tokens, most))


class _Batch:
    """Rows that decode in step; one that has ended goes on unseen until all have."""

    def __init__(
        self,
        model: HuggingFaceModel,
        rows: list[list[int]],
        prefix: KVPrefix,
        stop: Sequence[str],
        adapters: tuple[str, ...],
    ) -> None:
        self._model, self._rows, self._adapters = model, rows, adapters
        self._cache: Cache = prefix.fork()
        # Every row forwards at least its last token.
        self._known = min(len(prefix.token_ids), min(map(len, rows)) - 1)
        if self._known < len(prefix.token_ids):
            self._cache.crop(self._known - len(prefix.token_ids))
        self._words = [Detokeniser(model.decode) for _ in rows]
        self._stops = [StopStrings(stop) for _ in rows]

    def run(self, limit: int) -> list[list[Token]]:
        import torch

        rest = [row[self._known :] for row in self._rows]
        width = max(map(len, rest))
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rest])
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rest])
        seen = torch.cat([torch.ones(len(rest), self._known, dtype=mask.dtype), mask], 1)
        places = (self._known + mask.cumsum(1) - 1).clamp_min(0)
        answers: list[list[Token]] = [[] for _ in rest]
        for count in range(1, limit + 1):
            tokens = self._forward(ids, seen, places).argmax(-1).tolist()
            for number, token in enumerate(tokens):
                if not answers[number] or answers[number][-1].usage is None:
                    answers[number].append(self._token(number, token, count, last=count == limit))
            if all(answer[-1].usage is not None for answer in answers):
                break
            ids = torch.tensor([[token] for token in tokens])
            seen = torch.cat([seen, torch.ones(len(rest), 1, dtype=seen.dtype)], 1)
            places = places[:, -1:] + 1
        return answers

    def _forward(self, ids: torch.Tensor, seen: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        import torch

        model = self._model
        with model.lock:
            try:
                model._apply(self._adapters)
                with torch.inference_mode():
                    logits = model.network(
                        ids.to(model.network.device),
                        attention_mask=seen.to(model.network.device),
                        position_ids=places.to(model.network.device),
                        past_key_values=self._cache,
                        use_cache=True,
                        logits_to_keep=1,
                    ).logits
            except (RuntimeError, IndexError) as exc:
                raise ModelError(f"{model.name} failed on {len(ids)} prompts: {exc}") from exc
        step: torch.Tensor = logits[:, -1].float()
        return step

    def _token(self, number: int, token: int, count: int, *, last: bool) -> Token:
        ended = token in self._model._ends
        words, stops = self._words[number], self._stops[number]
        last = last or ended
        text = ("" if ended else words.push(token)) + (words.flush() if last else "")
        text, stopped = stops.push(text)
        if last and not stopped:
            text += stops.flush()
        if not (last or stopped):
            return Token(text, token)
        usage = Usage(len(self._rows[number]), count, self._known)
        return Token(text, token, usage, "stop" if ended or stopped else "length")
