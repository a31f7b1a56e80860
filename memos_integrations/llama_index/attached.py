"""What all parts of this door share: an engine and an identity that survive being taken apart and put together."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

from pydantic import BaseModel, Field, PrivateAttr

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import EmbedderMismatchError, VaultError
from memos_integrations.llama_index.identity import Identity, identify, is_said, sealed, unsealed
from memos_integrations.memos import MemOS

P = ParamSpec("P")
T = TypeVar("T")

_opened: dict[str, MemOS] = {}
_opening = threading.Lock()


def engine_at(uri: str) -> MemOS:
    """The engine over the vault at *uri*: the one that is open in this process, else it is opened (until exit).

    Raises:
        VaultError: The vault lived in the memory of another process, is not there any more, or cannot be opened.
        EmbedderMismatchError: It holds vectors; without its embedder, recall would quietly find less.
    """
    with _opening:
        live = MemOS.live(uri)
        if live is not None:
            return live
        if not uri.startswith("file:"):
            raise VaultError(
                f"The vault {uri!r} is not open here: it was kept in memory, by another engine or process."
            )
        path = Path(url2pathname(urlparse(uri).path))
        if not path.exists():
            raise VaultError(f"There is no vault at {uri} any more. Open the one that took its place, and give it.")
        memos = MemOS.open(path)
        if memos.lacks_embedder():
            memos.close()
            raise EmbedderMismatchError(
                f"The vault {uri} holds vectors. Open it in this process with MemOS.open(path, embedder=...), and what "
                "was restored finds it."
            )
        _opened[uri] = memos
        return memos


@atexit.register
def _close_opened() -> None:
    for memos in _opened.values():
        if memos.is_open():  # a forked child leaves its parent's engines alone
            memos.close()


class Attached(BaseModel):
    """A part that belongs to a vault and acts for a principal.

    Its settings go into `to_dict` and into JSON with the vault's address (`vault`) and for whom it acts (`acts_for`).
    Restored in the same process it finds both again. Elsewhere the vault is opened by its address, and the principal
    has to be said anew (`principal=`, or `acting_as`): what is stored names a user, and proves nothing. A pickle keeps
    a fixed principal, as it keeps code; a function that says who is asking is found again in its own process. Where
    `acting_as` says who is asking, a restored part serves nobody else.

    A part that was given an engine keeps to it; when that is closed, to another that is open over the same vault.
    """

    vault: str | None = Field(default=None, repr=False)
    acts_for: dict[str, Any] | None = Field(default=None, repr=False)
    context: CallContext | None = None
    _memos: MemOS | None = PrivateAttr(default=None)
    _principal: Identity | None = PrivateAttr(default=None)
    _restored: bool = PrivateAttr(default=False)

    def __init__(self, memos: MemOS | None = None, *, principal: Identity | None = None, **settings: Any) -> None:
        stored = settings.get("acts_for")
        if memos is not None:
            settings["vault"] = memos.uri
        if settings.get("vault") is None:
            raise VaultError(f"{type(self).__name__} needs an engine: give it memos=MemOS.open(...).")
        restored = principal is None and bool(stored)
        if principal is None and stored:
            principal = unsealed(stored, settings["vault"])
        if principal is not None:
            settings["acts_for"] = sealed(principal, settings["vault"])
        super().__init__(**settings)
        self._memos, self._principal, self._restored = memos, principal, restored

    @property
    def memos(self) -> MemOS:
        """The engine; found by the vault's address when this was restored, or when the one given was closed.

        Raises:
            VaultError: There is no such vault any more.
        """
        if self._memos is None:
            return engine_at(self.vault or "")
        return self._memos if self._memos.is_open() else MemOS.live(self._memos.uri) or self._memos

    @property
    def by(self) -> Principal:
        """Who is asking now.

        Raises:
            IdentityError: Nobody, or somebody for whom this was not made.
        """
        stored = self._restored and is_said() and isinstance(self._principal, Principal)
        return identify(None if stored else self._principal, self.acts_for)

    async def _off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a call gives, made in the engine's read pool, where context variables are as they are here."""
        context = copy_context()
        return await self.memos._off_loop(lambda: context.run(call, *args, **kwargs))

    def __getstate__(self) -> dict[Any, Any]:
        # LlamaIndex drops what cannot be pickled and lets the copy fail later; here it is known what has to go along.
        fixed = self._principal if isinstance(self._principal, Principal) else None
        return {"settings": {**self._settings()}, "principal": fixed}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        self.__init__(principal=state["principal"], **state["settings"])  # type: ignore[misc]
        self._restored = True

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __copy__(self) -> Self:
        copied: Self = BaseModel.__copy__(self)
        return copied

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "callback_manager"}
