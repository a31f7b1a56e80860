"""Activation memory: keys and values of what many prompts begin with, computed once. Needs the extra `hf`.

`KVStore` keeps them; `ActivationMemory` puts a `Recall` in front of a chat and takes what is stored of it. Importing
this loads no torch.
"""

from __future__ import annotations

from memos_integrations.backends.kv.cubes import ActivationCubes
from memos_integrations.backends.kv.memory import ActivationMemory
from memos_integrations.backends.kv.prefix import KVStatistics, StoredPrefix
from memos_integrations.backends.kv.prompt import MemoryPrompt, counted, plain_prompt
from memos_integrations.backends.kv.store import KVStore

__all__ = [
    "ActivationCubes",
    "ActivationMemory",
    "KVStatistics",
    "KVStore",
    "MemoryPrompt",
    "StoredPrefix",
    "counted",
    "plain_prompt",
]
