"""Files of adapters and of their training: whole or not at all, and sealed where their folder is encrypted."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memos_integrations.backends.sealed_files import FolderSeal
from memos_integrations.core.errors import VaultKeyError

if TYPE_CHECKING:
    import torch


class Files:
    """Reads and writes files; with a *seal*, only what it sealed is read, and nothing is written in clear."""

    def __init__(self, seal: FolderSeal | None = None) -> None:
        self._seal = seal

    def put(self, file: Path, content: bytes) -> None:
        """The file with this content, or as it was.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        if self._seal is not None:
            self._seal.write(file, content)
            return
        new = file.with_name(f".new-{os.getpid()}-{file.name}")
        try:
            with open(new, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(new, file)
        finally:
            with contextlib.suppress(OSError):
                new.unlink()

    def put_tensors(self, file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        """A safetensors file; as `put`."""
        from safetensors import SafetensorError
        from safetensors.torch import save

        try:
            content = save({name: each.contiguous() for name, each in tensors.items()}, {"format": "pt"})
        except SafetensorError as exc:
            raise OSError(str(exc)) from exc
        self.put(file, content)

    def get(self, file: Path) -> bytes:
        """What is in a file.

        Raises:
            OSError: It cannot be read, or was not sealed with this folder's key.
        """
        if self._seal is None:
            return file.read_bytes()
        try:
            return bytes(self._seal.read(file))
        except VaultKeyError as exc:
            raise OSError(str(exc)) from exc

    def digest(self, file: Path) -> str:
        """SHA-256 of what is in a file; the same, sealed or not."""
        return hashlib.sha256(self.get(file)).hexdigest()


IN_CLEAR = Files()
"""Files of a folder that is not encrypted."""
