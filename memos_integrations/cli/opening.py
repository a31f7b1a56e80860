"""Opening a vault from the shell: who asks, which file, and the embedder that fits what is in it."""

from __future__ import annotations

import getpass
import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError, MemOSError, VaultError
from memos_integrations.core.ports import Embedder, EmbedderIdentity, KeyProvider
from memos_integrations.memos import MemOS


class Choice(StrEnum):
    """Which embedder to use. `auto` is MiniLM where its weights and the extra `embeddings` are there."""

    AUTO = "auto"
    NONE = "none"
    MINILM = "minilm"


class Opened(NamedTuple):
    """An open memory, the name of its embedder (None: lexical), and what the user should know about that."""

    memos: MemOS
    embedder: str | None
    note: str | None


def principal(tenant: str, user: str | None, roles: list[str] | None = None) -> Principal:
    """Who asks: *user*, or whom the operating system says this is.

    Raises:
        IdentityError: Neither is known.
    """
    try:
        name = user or getpass.getuser()
    except (KeyError, OSError) as exc:
        raise IdentityError("The operating system does not say who you are; give --user or set MEMOS_USER.") from exc
    return Principal(tenant=tenant, user=name, roles=frozenset(roles or ()))


@contextmanager
def opened(path: Path, choice: Choice = Choice.AUTO, *, make: bool = False) -> Iterator[Opened]:
    """The memory in the vault at *path*; with *make*, a new vault if there is none.

    A vault remembers its embedder. Where that one cannot be had here, recall is lexical, and `note` says so.

    Raises:
        VaultError: There is no vault at *path*, or it cannot be opened.
        EmbedderMismatchError: MiniLM was asked for, and the vault was filled with something else.
        ModelFolderError, MissingExtraError: MiniLM was asked for and is not here.
    """
    from memos_integrations.vaults.sqlite import SQLiteVault

    file = path if path.suffix == ".db" and not path.is_dir() else path / "vault.db"
    if not make and not file.exists():
        raise VaultError(f"There is no vault at {path}. `memos ingest FILE --vault {path}` makes one.")
    with ExitStack() as stack:
        vault = SQLiteVault(path, keys=key_of_environment())
        stack.callback(vault.close)
        bound = vault.embedder()
        embedder, why_not = _embedder(choice, bound, fresh=make and bound is None)
        memos = stack.enter_context(MemOS(vault, embedder=embedder))
        yield Opened(memos, embedder.name if embedder else None, why_not)


def key_of_environment() -> KeyProvider | None:
    """The key that the shell names: a file in MEMOS_KEY_FILE, or the key itself in MEMOS_KEY; None for neither.

    Raises:
        VaultKeyError: What is named is no key.
        MissingExtraError: The extra `encryption` is not installed.
    """
    file = os.environ.get("MEMOS_KEY_FILE")
    if not file and not os.environ.get("MEMOS_KEY"):
        return None
    from memos_integrations.backends.keys import KeyFile, KeyVariable

    return KeyFile(file) if file else KeyVariable("MEMOS_KEY")


def _embedder(choice: Choice, bound: EmbedderIdentity | None, *, fresh: bool) -> tuple[Embedder | None, str | None]:
    """The embedder for a vault bound to *bound*, or None and the reason why recall will be lexical."""
    if choice is Choice.NONE or (choice is Choice.AUTO and bound is None and not fresh):
        return None, None
    if choice is Choice.MINILM:
        return minilm(), None
    try:
        embedder = minilm() if _is_installed() else None
    except MemOSError as exc:
        embedder, absence = None, str(exc)
    else:
        absence = 'the extra "embeddings" is not installed'
    if bound is None:
        return embedder, None if embedder else f"no vectors are stored, recall is lexical: {absence}"
    if embedder is not None and embedder.name == bound.name:
        return embedder, None
    absence = "it is not the one that this command can load" if embedder else absence
    return None, f"recall is lexical, this vault's embedder {bound.name!r} is not used: {absence}"


def minilm() -> Embedder:
    """all-MiniLM-L6-v2 from the folder of models; nothing is fetched.

    Raises:
        ModelFolderError: The weights are not there; the message says how to get them.
        MissingExtraError: The extra `embeddings` is not installed.
    """
    from memos_integrations.backends.minilm import MiniLMEmbedder
    from memos_integrations.backends.weights import model_folder

    return MiniLMEmbedder(model_folder("minilm"))


def _is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in ("safetensors", "tokenizers"))
