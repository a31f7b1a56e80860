"""Memories that leave as a signed bundle, and arrive from one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import ModelFingerprint, State, Tier, TrustLabel
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.interchange import (
    Dumped,
    Limits,
    Loaded,
    MemDumper,
    MemLoader,
    Redaction,
    SignatureCheck,
    Signer,
)
from memos_integrations.core.operator import parts
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.walk import Walk

WEEK = timedelta(days=7)
EVERYTHING = CubeFilter(states=frozenset(State), tiers=frozenset(Tier))


class Carrying(Walk):
    """`Walk`, with MemDumper and MemLoader."""

    def _signature_check(self) -> SignatureCheck:
        raise NotImplementedError

    def dump(
        self,
        path: str | Path,
        *,
        by: Principal,
        signer: Signer,
        issuer: str,
        recipient: str,
        purpose: str = "transfer",
        where: CubeFilter = EVERYTHING,
        lasts: timedelta = WEEK,
        history: bool = True,
        access_log: bool = False,
        redact: Redaction | None = None,
        progress: Callable[[int], object] | None = None,
        context: CallContext | None = None,
    ) -> Dumped:
        """Write what *by* may share, of what passes *where*, to a signed bundle at *path* (MIP.md); on record.

        Only *recipient* will take it, once, for *purpose*, and only while it *lasts*. What is derived goes with all its
        sources or not at all. `redact(cube)` decides what the recipient gets of each version. What stayed behind is
        named in the bundle with the reason. `progress(memories)` is called now and then.

        Raises:
            InvalidMemoryError: There is a file at *path*, or a limit makes no sense.
            VaultError: The disk failed; nothing is left of the bundle.
        """
        if not isinstance(where, CubeFilter):
            raise InvalidMemoryError(f"`where` is a CubeFilter, not {type(where).__name__}.")
        return MemDumper(self._governance, signer, issuer=issuer).dump(
            Path(path),
            self._caller(by, context),
            recipient=recipient,
            purpose=purpose,
            lasts=lasts,
            where=where,
            history=history,
            access_log=access_log,
            redact=redact,
            progress=progress,
        )

    def load(
        self,
        path: str | Path,
        *,
        by: Principal,
        trusted: Mapping[str, str],
        recipient: str,
        purposes: Collection[str] | None = None,
        into: Sequence[str] = (),
        most_trusted: TrustLabel | str = TrustLabel.UNVERIFIED,
        models: Sequence[ModelFingerprint] = (),
        dry_run: bool = False,
        again: bool = False,
        limits: Limits | None = None,
        check: SignatureCheck | None = None,
        progress: Callable[[int, int], object] | None = None,
        context: CallContext | None = None,
    ) -> Loaded:
        """Take the memories of a bundle in as *by*'s own, private ones, or none (large: `taking.AT_ONCE`).

        First everything is checked: the form of the file, the signature by one of the *trusted* keys
        (public key -> issuer), *recipient*, *purposes* (None: any), time, that it was not loaded before, every digest,
        every record. A memory stands under *into* (default: tenant, user), is trusted at most *most_trusted*, keeps its
        restrictions, channel and lineage, and says in `provenance.signature` where it came from. Keys and values, and
        adapters, are taken where they fit one of *models*; their text is there in any case. With *dry_run* nothing is
        written. A later bundle of the same issuer brings the same memories up to date.

        Raises:
            BundleError: Something does not fit; `code` says what. Nothing was written.
        """
        if most_trusted not in set(TrustLabel) - {TrustLabel.VERIFIED}:
            raise InvalidMemoryError("What arrives is trusted as untrusted, unverified or stated; verify it here.")
        if not trusted:
            raise InvalidMemoryError("No key is trusted; nothing could be loaded. Pass trusted={public_key: issuer}.")
        place = parts(into) or (by.tenant, by.user)
        if place[0] != by.tenant:
            raise InvalidMemoryError(f"The namespace {place} is not within the tenant {by.tenant!r}.")
        told: dict[str, Any] = {"into": place, "most_trusted": TrustLabel(most_trusted)}
        loader = MemLoader(
            self._governance,
            self._embedding,
            trusted=trusted,
            check=check or self._signature_check(),
            recipient=recipient,
            purposes=None if purposes is None else frozenset(purposes),
            models=models,
            limits=limits or Limits(),
        )
        caller = self._caller(by, context)
        return loader.load(Path(path), caller, dry_run=dry_run, again=again, progress=progress, **told)

    async def adump(self, path: str | Path, *, by: Principal, **how: Any) -> Dumped:
        """`dump`, off the loop."""
        return await self._off_loop(self.dump, path, by=by, **how)

    async def aload(self, path: str | Path, *, by: Principal, **how: Any) -> Loaded:
        """`load`, off the loop."""
        return await self._off_loop(self.load, path, by=by, **how)
