"""A local HTTP server that speaks vLLM's and SGLang's protocol and caches prefixes as they do; it has no model.

It is a stand-in for the protocol, not for an engine: block hashes chain over (parent, tokens, salt), whole blocks only,
as in vLLM's automatic prefix caching. Its answers are fixed words.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BLOCK = 16
WORDS = ["The", " cat", " is", " Miso", "."]


class FakeEngine(ThreadingHTTPServer):
    """Remembers what it was asked, and which blocks it has."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.blocks: set[Any] = set()
        self.fault: str | None = None
        self.adapters: dict[str, str] = {}

    def change_adapters(self, verb: str, name: str, path: str | None) -> str | None:
        """Load or unload one; what is wrong, if something is."""
        if verb == "load_lora_adapter":
            if name in self.adapters:
                return f"The lora adapter '{name}' has already been loaded."
            if path is None or not (Path(path) / "adapter_config.json").is_file():
                return f"Loading lora {name} failed: no adapter found for {path}"
            self.adapters[name] = path
            return None
        return None if self.adapters.pop(name, None) else f"The lora adapter '{name}' cannot be found."

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def cached(self, ids: list[int], salt: str) -> int:
        """Tokens found in whole blocks, never the last token; then all blocks are kept."""
        parent: Any = salt
        hit, found = 0, True
        for start in range(0, len(ids) - len(ids) % BLOCK, BLOCK):
            parent = hash((parent, tuple(ids[start : start + BLOCK])))
            found = found and parent in self.blocks
            hit += BLOCK if found and start + BLOCK < len(ids) else 0
            self.blocks.add(parent)
        return hit


class _Conversation(BaseHTTPRequestHandler):
    server: FakeEngine

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, dict(self.headers)))
        if self.server.fault == "500":
            self.send_error(500, "out of memory")
            return
        if "lora_name" in body:
            self._adapters(body)
            return
        known = {"tiny", *self.server.adapters}
        if body.get("model", "tiny") not in known or body.get("lora_path", "tiny") not in known:
            self.send_error(404, "The model does not exist.")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        events = self._vllm(body) if self.path == "/v1/completions" else self._sglang(body)
        for event in events:
            self.wfile.write(b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n")
        if self.server.fault != "cut":
            self.wfile.write(b"data: [DONE]\n\n")

    def _adapters(self, body: dict[str, Any]) -> None:
        verb, openai = self.path.rpartition("/")[2], self.path.startswith("/v1/")
        wrong = self.server.change_adapters(verb, body["lora_name"], body.get("lora_path"))
        # vLLM says it in the status and in words, SGLang in JSON.
        told = (wrong or "Success") if openai else json.dumps({"success": wrong is None, "error_message": wrong})
        self.send_response(400 if wrong and openai else 200)
        self.end_headers()
        self.wfile.write(b"<html>" if self.server.fault == "garbage" else told.encode())

    def _vllm(self, body: dict[str, Any]) -> Iterator[Any]:
        ids = body["prompt"]
        assert all(isinstance(token, int) for token in ids)
        cached = self.server.cached(ids, body["cache_salt"] + body["model"])
        words = WORDS[: body["max_tokens"]]
        for number, word in enumerate(words):
            last = number == len(words) - 1
            reason = ("length" if len(words) < len(WORDS) else "stop") if last else None
            yield {"choices": [{"index": 0, "text": word, "finish_reason": reason}]}
        if self.server.fault == "garbage":
            yield b"{not json"
        if self.server.fault != "cut":
            usage = {"prompt_tokens": len(ids), "completion_tokens": len(words), "total_tokens": len(ids) + len(words)}
            yield {"choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": cached}}}

    def _sglang(self, body: dict[str, Any]) -> Iterator[Any]:
        ids = body["input_ids"]
        cached = self.server.cached(ids, body["extra_key"] + body.get("lora_path", ""))
        words = WORDS[: body["sampling_params"]["max_new_tokens"]]
        reason = "length" if len(words) < len(WORDS) else "stop"
        for number in range(len(words)):
            last = number == len(words) - 1
            if last and self.server.fault == "cut":
                return
            about = {"prompt_tokens": len(ids), "completion_tokens": number + 1, "cached_tokens": cached}
            yield {
                "text": "".join(words[: number + 1]),
                "meta_info": {**about, "finish_reason": {"type": reason} if last else None},
            }


@contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """A running one."""
    engine = FakeEngine()
    thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        engine.shutdown()
        engine.server_close()
        thread.join()
