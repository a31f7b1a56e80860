"""InferenceServer: the same activation memory on vLLM or SGLang, through their public HTTP interface.

The engine owns the keys and values; what identifies a memory is the run of token ids that a prompt begins with. So the
prompt is laid out here as it is for the local model (canonical order, memory in the first human message, ids joined at
the boundaries) and sent as token ids. A tenant's `cache_salt` keeps its blocks apart from everybody else's.

Written against vLLM's OpenAI-compatible `/v1/completions` (prompt as token ids, `cache_salt`, and
`usage.prompt_tokens_details.cached_tokens`, which needs `--enable-prompt-tokens-details`) and SGLang's (the same route,
`input_ids` through `/generate`). Tested against a local server that speaks the protocol, not against a real engine.

To keep blocks beyond the GPU's memory, start vLLM with LMCache:

    LMCACHE_CONFIG_FILE=lmcache.yaml vllm serve MODEL --enable-prompt-tokens-details
        --kv-transfer-config '{"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}'

    # lmcache.yaml
    chunk_size: 256
    local_cpu: true
    max_local_cpu_size: 20          # GB of memory
    local_disk: "file:///var/cache/lmcache/"
    max_local_disk_size: 100        # GB

SGLang keeps prefixes by itself (RadixAttention); `--enable-hierarchical-cache` gives it the memory of the host.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import PurePath
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from memos_integrations.backends.huggingface import Token, Usage
from memos_integrations.backends.kv.layout import Layout, lay_out, lines_of
from memos_integrations.core.errors import ModelError
from memos_integrations.core.operator import Recall

Chat = Sequence[Mapping[str, str]]
MAX_LINE = 1 << 20


class Tokenising(Protocol):
    """The served model's own template and tokenizer; a `HuggingFaceModel` has them."""

    def render_text(self, messages: Chat) -> str:
        """The chat through the template."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids, none added."""
        ...


class InferenceServer:
    """Answers chats with recalled memories on a vLLM or SGLang server, warm where the server's cache has them.

    Args:
        url: Where the server listens, such as `http://localhost:8000`.
        model: The name under which the server knows the model.
        tokenizer: Template and tokenizer of that very model: ids are made here.
        engine: "vllm" or "sglang".
        secret: Salts tenants; servers and clients that are to share blocks need the same. The default is new each time.
        api_key: Sent as a bearer token.
        block: How many tokens the engine caches together: a memory counts as cached up to whole blocks.

    Raises:
        ModelError: The URL is not http or https, or the engine is unknown.
    """

    def __init__(
        self,
        url: str,
        model: str,
        tokenizer: Tokenising,
        *,
        engine: Literal["vllm", "sglang"] = "vllm",
        secret: bytes | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        block: int = 16,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or engine not in {"vllm", "sglang"} or block < 1:
            raise ModelError(f"{url!r} with engine {engine!r}: give http://host:port, and vllm or sglang.")
        self.model, self.tokenizer, self.engine, self.block = model, tokenizer, engine, block
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "https"
        self._root = parts.path.rstrip("/").removesuffix("/v1")
        self._secret, self._key, self._timeout = secret or secrets.token_bytes(32), api_key, timeout

    def cache_salt(self, tenant: str) -> str:
        """What keeps a tenant's blocks apart: nobody can compute another's without the secret."""
        return hmac.new(self._secret, tenant.encode(), hashlib.sha256).hexdigest()

    def warm(self, recall: Recall, messages: Chat = ()) -> Usage:
        """Let the server compute the memories of *recall* now, under the system message in *messages* if there is one.

        Raises:
            ModelError: No memories, or the server failed.
        """
        chat = [*(m for m in messages if m["role"] == "system"), {"role": "user", "content": "?"}]
        layout, tenant = self._layout(chat, recall)
        if tenant is None:
            raise ModelError("There is nothing to warm: the recall has no memories.")
        *_, last = self._stream(layout, layout.memory, tenant, {"max_tokens": 1, "temperature": 0.0})
        assert last.usage is not None
        return last.usage

    def stream(
        self,
        messages: Chat,
        *,
        recall: Recall | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
        tenant: str | None = None,
        adapter: str | None = None,
    ) -> Iterator[Token]:
        """The answer, piece by piece; the last one has the usage, with what the server took from its cache.

        The tenant is that of the memories; *tenant* says it where there are none, else nothing is shared. *adapter* is
        the name of a LoRA adapter that the server has loaded. Token ids are not told by the servers: they are -1.

        Raises:
            ModelError: The server cannot be reached, refuses, or answers something else than its protocol.
        """
        layout, owner = self._layout(messages, recall)
        said: dict[str, Any] = {"max_tokens": max_new_tokens, "temperature": temperature}
        said |= {"stop": list(stop)} if stop else {}
        said |= {"seed": seed} if seed is not None else {}
        said |= {"model": adapter} if adapter else {}
        return self._stream(layout, layout.ids, owner or tenant or secrets.token_hex(8), said)

    def load_adapter(self, name: str, folder: str | PurePath) -> None:
        """Let the server load an adapter from a folder in PEFT's format, as *the server* sees it, under a name.

        Requests ask for it by `stream(..., adapter=name)`; the engine keeps its cached blocks apart by adapter. vLLM
        needs `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; its makers advise against it where strangers
        reach the server.

        Raises:
            ModelError: It has one of this name, cannot read the folder, or does not allow it.
        """
        self._tell("load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})

    def unload_adapter(self, name: str) -> None:
        """Let the server take an adapter off: nobody is answered with it any more.

        Raises:
            ModelError: It has none of this name.
        """
        self._tell("unload_lora_adapter", {"lora_name": name})

    def _tell(self, verb: str, body: Mapping[str, str]) -> None:
        path = f"/{verb}" if self.engine == "sglang" else f"/v1/{verb}"
        with self._asked(path, body) as response:
            told = response.read(2_000).decode("utf-8", "replace")
            if self.engine == "sglang" and not json.loads(told).get("success"):
                raise ModelError(f"{self._where} did not {verb.replace('_', ' ')} {body['lora_name']!r}: {told}")

    def _layout(self, messages: Chat, recall: Recall | None) -> tuple[Layout, str | None]:
        lines = lines_of(recall)
        if len({line.tenant for line in lines}) > 1:
            raise ModelError("Memories of several tenants never stand in one prompt.")
        layout = lay_out(messages, lines, render_text=self.tokenizer.render_text, encode=self.tokenizer.encode)
        return layout, lines[0].tenant if lines else None

    def _stream(self, layout: Layout, ids: list[int], tenant: str, said: dict[str, Any]) -> Iterator[Token]:
        read: type[_Vllm] | type[_Sglang] = _Sglang if self.engine == "sglang" else _Vllm
        path, body = read.request(self.model, ids, self.cache_salt(tenant), said)
        memory = len(layout.memory) if layout.lines else 0
        with self._asked(path, body) as response:
            waiting: Token | None = None
            for text, finish, counts in read.events(_events(response)):
                if counts is not None:
                    usage = self._usage(counts, memory)
                    waiting = Token((waiting.text if waiting else "") + text, -1, usage, finish or "stop")
                else:
                    if waiting is not None:
                        yield waiting
                    waiting = Token(text, -1, None, finish)
        if waiting is None or waiting.usage is None:
            raise ModelError(f"{self._where} ended without its usage; the answer may be cut short.")
        yield waiting

    def _usage(self, counts: Mapping[str, int], memory: int) -> Usage:
        cached = counts["cached"]
        # What of the memory was not in the cache; the end of a memory that fills no block can never be.
        missed = max(0, memory - memory % self.block - cached) if memory else 0
        return Usage(counts["input"], counts["output"], cached, missed, memory_tokens=memory)

    @property
    def _where(self) -> str:
        return f"The server at {self._host}:{self._port or (443 if self._tls else 80)}"

    @contextmanager
    def _asked(self, path: str, body: Mapping[str, Any]) -> Iterator[HTTPResponse]:
        link: HTTPConnection
        if self._tls:
            tls = ssl.create_default_context()
            link = HTTPSConnection(self._host, self._port, timeout=self._timeout, context=tls)
        else:
            link = HTTPConnection(self._host, self._port, timeout=self._timeout)
        head = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        head |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            link.request("POST", self._root + path, json.dumps(body), head)
            response = link.getresponse()
            if response.status != 200:
                told = response.read(2_000).decode("utf-8", "replace")
                raise ModelError(f"{self._where} refused with {response.status}: {told}")
            yield response
        except (OSError, HTTPException) as exc:
            raise ModelError(f"{self._where} cannot be used: {exc}. Is it running, and is the URL right?") from exc
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
            raise ModelError(f"{self._where} answers something else than {self.engine}'s protocol: {exc!r}") from exc
        finally:
            link.close()


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event, up to `[DONE]`."""
    while line := response.readline(MAX_LINE):
        if line.startswith(b"data:"):
            content = line[5:].strip()
            if content == b"[DONE]":
                return
            event = json.loads(content)
            if "error" in event:
                raise ModelError(f"The server failed while it answered: {event['error']}")
            yield event


Piece = tuple[str, Literal["stop", "length"] | None, dict[str, int] | None]


class _Vllm:
    """vLLM's OpenAI-compatible completions."""

    @staticmethod
    def request(model: str, ids: list[int], salt: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {
            "model": model,
            "prompt": ids,
            "stream": True,
            "stream_options": {"include_usage": True},
            "add_special_tokens": False,
            "cache_salt": salt,
            **said,
        }
        return "/v1/completions", body

    @staticmethod
    def events(events: Iterator[dict[str, Any]]) -> Iterator[Piece]:
        ended: Literal["stop", "length"] | None = None
        for event in events:
            for choice in event.get("choices", ()):
                if choice.get("finish_reason"):
                    ended = "length" if choice["finish_reason"] == "length" else "stop"
                if choice["text"]:
                    yield str(choice["text"]), None, None
            if (usage := event.get("usage")) and not event.get("choices"):
                details = usage.get("prompt_tokens_details") or {}
                yield "", ended, {
                    "input": int(usage["prompt_tokens"]),
                    "output": int(usage["completion_tokens"]),
                    "cached": int(details.get("cached_tokens") or 0),
                }  # fmt: skip


class _Sglang:
    """SGLang's native generate; its text is cumulative."""

    @staticmethod
    def request(model: str, ids: list[int], salt: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        sampling = {"max_new_tokens": said["max_tokens"], "temperature": said["temperature"]}
        sampling |= {"stop": said["stop"]} if "stop" in said else {}
        sampling |= {"sampling_seed": said["seed"]} if "seed" in said else {}
        body = {"input_ids": ids, "sampling_params": sampling, "stream": True, "extra_key": salt}
        return "/generate", body | ({"lora_path": said["model"]} if "model" in said else {})

    @staticmethod
    def events(events: Iterator[dict[str, Any]]) -> Iterator[Piece]:
        shown, about = "", None
        for event in events:
            text = str(event["text"])
            about = event["meta_info"]
            if len(text) > len(shown):
                yield text[len(shown) :], None, None
                shown = text
        if about is not None and about.get("finish_reason"):  # without a reason the answer was cut short
            reason = about["finish_reason"].get("type")
            counts = {
                "input": int(about["prompt_tokens"]),
                "output": int(about["completion_tokens"]),
                "cached": int(about.get("cached_tokens") or 0),
            }
            yield "", "length" if reason == "length" else "stop", counts
