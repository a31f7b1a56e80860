"""A causal language model of Hugging Face, run here: text in, tokens out, one at a time.

Opens a local folder and nothing else: no download, no code from the folder, no pickled weights. The decoding
loop is ours and not `generate`, so that a stored KV cache can stand in for the beginning of a prompt: a prefix is
exact, it saves time and never changes the answer. Needs the extra `hf`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from memos_integrations.backends import checkpoint
from memos_integrations.backends.choice import Choice
from memos_integrations.backends.text_stream import Detokeniser, StopStrings
from memos_integrations.core.cube import CubeRef, ModelFingerprint
from memos_integrations.core.errors import ModelError
from memos_integrations.core.extras import require

if TYPE_CHECKING:
    import torch
    from transformers import Cache

    from memos_integrations.backends.watermark import Watermark

_BREAK = "\N{WORD JOINER}"
"""Stands inside what looks like a control token in a message, so that it stays text."""


@runtime_checkable
class KVPrefix(Protocol):
    """The computed beginning of a prompt: its tokens, and their keys and values."""

    @property
    def token_ids(self) -> Sequence[int]:
        """The tokens that the cache holds, from the first of the prompt on."""
        ...

    def fork(self) -> Cache:
        """A `DynamicCache` of exactly these tokens that may grow without touching what is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. Of the input, `cached_tokens` came from a prefix and were not computed.

    `memory_tokens` is what the input holds up to its last memory; `recomputed_tokens` of them were not in the cache, or
    were computed again on purpose; `new_tokens` is what no memory could have saved.
    `approximate` says that a rounded or composed prefix was used, which is never so unless it was asked for.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    recomputed_tokens: int = 0
    approximate: bool = False
    memory_tokens: int = 0

    @property
    def new_tokens(self) -> int:
        """Tokens of the input that were neither cached nor memory."""
        return self.input_tokens - self.cached_tokens - self.recomputed_tokens


@dataclass(frozen=True, slots=True)
class Token:
    """One step of an answer. `text` may be empty: characters and stop strings are shown only when certain.

    The last token, and only it, has `usage` and `finish`: "stop" when the model or a stop string ended the
    answer, "length" when there was no room for more.
    """

    text: str
    id: int
    usage: Usage | None = None
    finish: Literal["stop", "length"] | None = None


class HuggingFaceModel:
    """Reads a chat, writes an answer; one instance may be shared by threads, whose answers interleave.

    `folder` holds config, tokenizer and safetensors weights. `dtype` is one of torch's floating types. `threads`
    is set for torch in the whole process; more than the free cores makes it slower. `packed` keeps the weights a
    second time in the order in which a CPU reads them best: decoding and short questions take a third less time.
    `watermark` marks every answer, so that it can be told later that this model gave it.

    Raises:
        ModelFolderError: The folder lacks a file; the message names it.
        ModelError: The files are damaged, incomplete or need code that is not part of transformers.
        MissingExtraError: The extra `hf` is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        dtype: str = "float32",
        threads: int = 1,
        device: str = "cpu",
        packed: bool = False,
        watermark: Watermark | None = None,
    ) -> None:
        torch = require("torch", extra="hf")
        require("transformers", extra="hf")
        self.folder = checkpoint.complete(Path(folder))
        self.dtype, self.watermark = dtype, watermark
        number = getattr(torch, dtype, None)
        if threads < 1 or not isinstance(number, torch.dtype) or not number.is_floating_point:
            raise ModelError(f"dtype={dtype!r}, threads={threads}: give float32, bfloat16 or float16, and 1 or more.")
        torch.set_num_threads(threads)
        self.tokenizer, self.network = checkpoint.load(self.folder, number, device)
        if packed:
            from memos_integrations.backends.packed_linear import pack

            pack(self.network)
        self.lock = threading.RLock()
        """Held during each forward pass; hold it to load or remove adapters of `network`."""
        self.taught: dict[str, frozenset[CubeRef]] = {}
        """What the adapters that are loaded were learnt from, by name, where they were learnt from memories."""
        self._ends = self._end_tokens()
        tokens = self.tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
        self._controls = sorted((token.content for token in tokens if token.special), key=len, reverse=True)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return int(self.network.config.max_position_embeddings)

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the PEFT adapters that are loaded on the network and can be asked for."""
        return tuple(getattr(self.network, "peft_config", {}))

    def learnt_from(self, adapters: Sequence[str]) -> frozenset[CubeRef]:
        """The memories that these adapters were learnt from: what is computed with them is derived from those, too."""
        return frozenset[CubeRef]().union(*(self.taught.get(name, frozenset()) for name in adapters))

    @cached_property
    def fingerprint(self) -> ModelFingerprint:
        """What a KV cache or an adapter depends on; read from the files once, then remembered."""
        config = self.network.config
        positions = {"rope": config.rope_parameters} if hasattr(config, "rope_parameters") else {}
        if window := getattr(config, "sliding_window", None):
            positions["window"] = [window, getattr(config, "layer_types", None)]
        return ModelFingerprint(
            model=self.name,
            weights=checkpoint.digest(*sorted(self.folder.glob("*.safetensors"))),
            tokenizer=checkpoint.digest(self.folder / "tokenizer.json"),
            chat_template=hashlib.sha256(json.dumps(self.tokenizer.chat_template).encode()).hexdigest(),
            dtype=self.dtype,
            positions=json.dumps(positions | {"max": self.context_tokens}, sort_keys=True),
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of *text* as it stands: control tokens in it count as such, and none are added.

        Raises:
            ModelError: It cannot be tokenised (lone surrogates).
        """
        try:
            ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, ValueError) as exc:
            raise ModelError(f"A text cannot be tokenised: {exc}. Remove what is not valid Unicode.") from exc
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of *ids*, without control tokens."""
        text: str = self.tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def count_tokens(self, text: str) -> int:
        """How many tokens *text* costs."""
        return len(self.encode(text))

    def render(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> list[int]:
        """Token ids of a chat, each message with `role` and `content`, through the model's own template.

        What looks like a control token inside a message stays text (an invisible joiner is put into it), so that
        no message can end itself and begin another in somebody else's name.

        Raises:
            ModelError: No messages, no template, or the template refuses the messages.
        """
        return self.encode(self.render_text(messages, add_generation_prompt=add_generation_prompt))

    def render_text(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> str:
        """The text that `render` tokenises."""
        from jinja2 import TemplateError

        if not messages:
            raise ModelError("There are no messages to answer.")
        if not self.tokenizer.chat_template:
            raise ModelError(f"{self.name} has no chat template: it was not trained to chat. Use an instruct model.")
        chat = [{key: self._plain(value) for key, value in message.items()} for message in messages]
        try:
            text = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
        except TemplateError as exc:
            raise ModelError(f"The chat template of {self.name} refuses these messages: {exc}") from exc
        return str(text)

    def stream(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        prefix: KVPrefix | None = None,
        adapters: Sequence[str] = (),
        seed: int | None = None,
        keep: Callable[[list[int], Cache], None] | None = None,
    ) -> Iterator[Token]:
        """The answer to the prompt *ids*, token by token; the last token carries the usage.

        Greedy at temperature 0, else sampled, reproducibly where *seed* is given. *prefix* must be the beginning
        of *ids*; what it covers is not computed again, save the prompt's last token. *adapters* are applied
        together. Arguments are checked at the call, not at the first token. *keep* is called when the answer has ended,
        with the tokens that the cache holds then, and the cache.

        Raises:
            ModelError: A prompt that is empty or too long, an adapter that is not loaded, a prefix of another
                prompt, or a failure of torch.
        """
        ids = list(ids)
        room = self.context_tokens - len(ids)
        if not ids or room < 1:
            raise ModelError(f"The prompt has {len(ids)} tokens; {self.name} reads 1 to {self.context_tokens - 1}.")
        if max_new_tokens < 1 or temperature < 0:
            raise ModelError(f"max_new_tokens={max_new_tokens} must be at least 1, temperature={temperature} not < 0.")
        if unknown := sorted(set(adapters) - set(self.adapters)):
            raise ModelError(f"Adapters {unknown} are not loaded on {self.name}; loaded are {list(self.adapters)}.")
        cache = self._cache(ids, prefix)
        choose = Choice(temperature, seed, self.network.device, self.watermark)
        return self._decode_loop(
            ids,
            limit=min(max_new_tokens, room),
            cache=cache,
            choose=choose,
            stops=StopStrings(stop),
            adapters=tuple(adapters),
            keep=keep,
        )

    def _decode_loop(
        self,
        ids: list[int],
        *,
        limit: int,
        cache: Cache,
        choose: Choice,
        stops: StopStrings,
        adapters: tuple[str, ...],
        keep: Callable[[list[int], Cache], None] | None,
    ) -> Iterator[Token]:
        words = Detokeniser(self.decode)
        cached = int(cache.get_seq_length())
        todo, held = ids[cached:], list(ids)
        for count in range(1, limit + 1):
            token = choose(self._forward(todo, cache, adapters), held)
            ended = token in self._ends
            last = ended or count == limit
            text = ("" if ended else words.push(token)) + (words.flush() if last else "")
            text, stopped = stops.push(text)
            if last and not stopped:
                text += stops.flush()
            if last or stopped:
                if keep is not None:
                    keep(held, cache)
                finish: Literal["stop", "length"] = "stop" if ended or stopped else "length"
                yield Token(text, token, Usage(len(ids), count, cached), finish)
                return
            yield Token(text, token)
            todo = [token]
            held.append(token)

    def _forward(self, ids: list[int], cache: Cache, adapters: tuple[str, ...]) -> torch.Tensor:
        """Logits after the last of *ids*, shape (vocabulary,), float32; *cache* grows by *ids*."""
        import torch

        with self.lock:
            try:
                self._apply(adapters)
                with torch.inference_mode():
                    batch = torch.tensor([ids], device=self.network.device)
                    # The last position alone: at 8k tokens the logits of all would be 1.6 GB for a vocabulary of 49k.
                    logits = self.network(batch, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            except (RuntimeError, IndexError) as exc:
                raise ModelError(f"{self.name} failed on {len(ids)} tokens: {exc}") from exc
        row: torch.Tensor = logits[0, -1].float()
        return row

    def _apply(self, adapters: tuple[str, ...]) -> None:
        if gone := sorted(set(adapters) - set(self.adapters)):
            raise ModelError(f"Adapters {gone} were taken off {self.name} while they answered; ask again.")
        if not self.adapters:
            return
        if adapters:
            self.network.enable_adapters()
            if tuple(self.network.active_adapters()) != adapters:
                self.network.set_adapter(list(adapters))
        else:
            self.network.disable_adapters()

    def _cache(self, ids: list[int], prefix: KVPrefix | None) -> Cache:
        """An empty cache, or a fork of the prefix that leaves at least the last token to compute."""
        from transformers import DynamicCache

        if prefix is None:
            return DynamicCache(config=self.network.config)
        known = list(prefix.token_ids)
        if ids[: len(known)] != known:
            raise ModelError("The KV prefix is not the beginning of this prompt; it belongs to another.")
        cache = prefix.fork()
        if cache.get_seq_length() != len(known):
            raise ModelError(f"The KV prefix names {len(known)} tokens and holds {cache.get_seq_length()}; rebuild it.")
        if len(known) == len(ids):
            cache.crop(-1)
        return cache

    def _end_tokens(self) -> frozenset[int]:
        config = self.network.generation_config
        named = config.eos_token_id if config is not None else None
        ends = named if isinstance(named, list) else [named]
        return frozenset(token for token in [*ends, self.tokenizer.eos_token_id] if token is not None)

    def _plain(self, text: str) -> str:
        for control in self._controls:
            text = text.replace(control, control[:1] + _BREAK + control[1:])
        return text
