"""Memories that leave as a signed bundle, and arrive from one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from memos_integrations.core.access import CallContext, Caller, Principal, as_subject
from memos_integrations.core.cube import MemCube, ModelFingerprint, TrustLabel
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.gate import WriteGate
from memos_integrations.core.interchange import (
    Addressee,
    Checking,
    Dumped,
    Limits,
    Loaded,
    MemDumper,
    MemLoader,
    MemSync,
    Opener,
    Place,
    Redaction,
    Seal,
    SignatureCheck,
    Signer,
    Synced,
    Terms,
    Wanted,
    changed,
)
from memos_integrations.core.interchange.addressee import reader_of
from memos_integrations.core.interchange.changes import check_series, last_of_series, note_series
from memos_integrations.core.interchange.dumper import check_name
from memos_integrations.core.interchange.redacting import cut_for
from memos_integrations.core.interchange.syncing import EVERYTHING, KEY_DIGITS
from memos_integrations.core.interchange.writing import Passes
from memos_integrations.core.operator import parts
from memos_integrations.core.operator.about import About
from memos_integrations.core.operator.options import labels
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.walk import Walk

WEEK = timedelta(days=7)
SYNC_SKEW = timedelta(days=1)
"""How far the clocks of one's own vaults may stand apart: which writing is later does not hang on them alone."""


class Carrying(Walk):
    """`Walk`, with MemDumper and MemLoader."""

    def _signature_check(self) -> SignatureCheck:
        raise NotImplementedError

    def _seal(self) -> Seal:
        raise NotImplementedError

    def dump(
        self,
        path: str | Path,
        *,
        by: Principal,
        signer: Signer,
        issuer: str,
        recipient: str | None = None,
        to: Addressee | None = None,
        sealed: bool = False,
        since: int | None = None,
        most: int = 50_000,
        purpose: str = "transfer",
        where: CubeFilter = EVERYTHING,
        owners: Iterable[str] = (),
        about: str = "",
        at_least: float = 0.5,
        lasts: timedelta = WEEK,
        history: bool = True,
        access_log: bool = False,
        redact: Redaction | WriteGate | None = None,
        progress: Callable[[int], object] | None = None,
        context: CallContext | None = None,
    ) -> Dumped:
        """Write what *by* may share, of what passes *where*, to a signed bundle at *path* (MIP.md); on record.

        Only *recipient* will take it, once, for *purpose*, and only while it *lasts*. What is derived goes with all its
        sources or not at all. *owners*: only what one of them owns. *about*: only what is about these words, as of a
        subscription (`Wants`). *redact*: what a `WriteGate` takes out of what is written is taken out of what leaves;
        or a function, `redact(cube, recipient)`, decides what the recipient gets of each version. Either way nothing of
        the old words stays in labels, and a summary that says one of them does not go. What stayed behind is named in
        the bundle with the reason. `progress(memories)` is called now and then. The books of `MemStore` stay here.

        *to* is the reader's card (`Addressee`): what it does not understand stays behind, and with *sealed* nobody else
        can read the bundle. With *since*, only what changed after that place in the log goes, of at most *most*
        memories; `position` of the result is where the next one goes on (0: from the beginning). What *by* sent to this
        recipient and was erased since is named as gone. A bundle is there whole or not at all: what is to go on after
        an interruption is written in parts, see `dump_next`.

        Raises:
            InvalidMemoryError: There is a file at *path*, a limit makes no sense, or the reader could not read it.
            VaultError: The disk failed; nothing is left of the bundle.
        """
        caller, reader = self._caller(by, context), reader_of(recipient, to)
        passes = self._passing(where, owners, about, at_least, caller)
        changes = None if since is None else changed(self._governance, caller, since, owner=None, most=most)
        cut = cut_for(reader, redact, signer)
        wanted = Wanted(where, history, access_log, cut, to, changes, None, progress, passes, reader)
        terms = Terms(reader, purpose, lasts, self._seal() if sealed else None)
        return MemDumper(self._governance, signer, issuer=issuer).dump(Path(path), caller, wanted, terms)

    def _passing(
        self, where: CubeFilter, owners: Iterable[str], about: str, at_least: float, caller: Caller
    ) -> Passes | None:
        """What a memory that passes *where* has to pass besides; None: nothing.

        Raises:
            InvalidMemoryError: One of them makes no sense.
        """
        if not isinstance(where, CubeFilter):
            raise InvalidMemoryError(f"`where` is a CubeFilter, not {type(where).__name__}.")
        theirs = frozenset(as_subject(each) for each in labels(owners))
        topic = About(about, at_least, self._embedding, caller) if about != "" else None
        if not theirs and topic is None:
            return None

        def passes(cubes: Sequence[MemCube]) -> list[bool]:
            mine = [not theirs or cube.governance.owner in theirs for cube in cubes]
            asked = [cube for cube, one in zip(cubes, mine, strict=True) if one]
            told = iter([True] * len(asked) if topic is None else topic(asked))
            return [one and next(told) for one in mine]

        return passes

    def dump_next(
        self,
        folder: str | Path,
        series: str,
        *,
        by: Principal,
        every: timedelta | None = None,
        context: CallContext | None = None,
        **how: Any,
    ) -> Dumped | None:
        """The next bundle of a *series*, a new file in *folder*: what changed since its last one. None: nothing is due.

        The folder is made where there is none, in one that is there.
        How far a series has come stands in the audit log of the vault. With *every*, nothing is due sooner after its
        last bundle. Call it as often as you like, from a timer or as the consumer of a subscription (`store.follow`).
        Of a vault that is large, call it until it says None: each call writes a part of at most *most* memories, and an
        export that was interrupted, whenever, goes on after the last whole part.
        Whoever dies between a bundle and the note of it writes the same changes again; they are loaded once.
        *how* are the terms of `dump`, except `since`.

        Raises:
            InvalidMemoryError, VaultError: See `dump`; or *series* is no name of a file. It has not come further.
        """
        check_series(series)
        caller = self._caller(by, context)
        place = _made(Path(folder))
        after, last = last_of_series(self._governance, caller, series)
        if every is not None and last is not None and caller.now < last + every:
            return None
        while (found := changed(self._governance, caller, after, owner=None, most=1)).written or found.erased:
            path = place / f"{series}-{after:012d}-{secrets.token_hex(4)}.mip"
            dumped = self.dump(path, by=by, since=after, context=context, **how)
            if not (goes := dumped.cubes or dumped.erased):
                path.unlink()  # what changed is nothing that may go
            after = dumped.position or after
            note_series(self._governance, caller, series, after)
            if goes:
                return dumped
        return None

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
        opener: Opener | None = None,
        progress: Callable[[int, int], object] | None = None,
        context: CallContext | None = None,
    ) -> Loaded:
        """Take the memories of a bundle in as *by*'s own, private ones, all in one commit, or none.

        First everything is checked: the form of the file, the signature by one of the *trusted* keys
        (public key -> issuer), *recipient*, *purposes* (None: any), time, that it was not loaded before, every digest,
        every record. A memory stands under *into* (default: tenant, user; an item of a store: its own address), is
        trusted at most *most_trusted*, keeps its restrictions, channel and lineage, and says in `provenance.signature`
        where it came from. Keys and values, and adapters, are taken where they fit one of *models*; their text is there
        in any case. *opener* opens what is sealed. With *dry_run* nothing is written, and the counts say what would
        be. What was erased here stays erased, unless *again* asks for it; what the issuer erased of what it sent is
        erased here, first. The books of another `MemStore` are no memories, and are declined by name. A later bundle
        of the same issuer brings the same memories up to date. While a large one is written, other writes to the
        vault, and recalls, which count as uses, wait for its end.

        Raises:
            BundleError: Something does not fit; `code` says what. Nothing was written.
        """
        if most_trusted not in set(TrustLabel) - {TrustLabel.VERIFIED}:
            raise InvalidMemoryError("What arrives is trusted as untrusted, unverified or stated; verify it here.")
        if not trusted:
            raise InvalidMemoryError("No key is trusted; nothing could be loaded. Pass trusted={public_key: issuer}.")
        place = parts(into)
        if place and place[0] != by.tenant:
            raise InvalidMemoryError(f"The namespace {place} is not within the tenant {by.tenant!r}.")
        checking = Checking(
            trusted=trusted,
            check=check or self._signature_check(),
            recipient=recipient,
            purposes=None if purposes is None else frozenset(purposes),
            models=models,
            limits=limits or Limits(),
            opener=opener,
        )
        arrival = Place(self._governance, self._embedding, self._caller(by, context), self._writer.dropped, progress)
        return MemLoader(checking).load(
            Path(path), arrival, into=place, most_trusted=TrustLabel(most_trusted), dry_run=dry_run, again=again
        )

    def sync(
        self,
        folder: str | Path,
        *,
        by: Principal,
        signer: Signer,
        trusted: Mapping[str, str],
        group: str,
        secret: Opener | None = None,
        models: Sequence[ModelFingerprint] = (),
        limits: Limits | None = None,
        context: CallContext | None = None,
    ) -> Synced:
        """Bring *by*'s own memories here and in *by*'s other vaults to the same, through a folder that all reach.

        Each vault has a *signer* of its own, knows the keys of the others (*trusted*: public key -> name) and the
        name of their *group*. What others wrote to *folder* arrives as it is: ids, versions, times. Of what two vaults
        changed apart the later writing holds, and the other stays in the history; what was erased anywhere is erased.
        Run it whenever the folder is there, on every vault; the order does not matter. With *secret*, a key that all of
        them have, the folder holds nothing that others could read. Where this MemOS has a judge (`conflicts`), it is
        asked about what was changed apart, and decides between what arrived and what was here: see `Synced`.

        Raises:
            InvalidMemoryError: *folder* is no folder, *group* is no name, or this vault's key is among *trusted*.
            VaultError: The disk failed. What was read or written before stands.
        """
        check_name("The group of a sync", group)
        if signer.key in {key.lower() for key in trusted}:
            raise InvalidMemoryError("Every vault signs with a key of its own; this one's is among the others'.")
        told: dict[str, Any] = {
            "check": self._signature_check(), "recipient": group, "purposes": frozenset({"sync"}), "models": models,
            "limits": limits or Limits(), "opener": secret, "skew": SYNC_SKEW,
        }  # fmt: skip
        place = Place(self._governance, self._embedding, self._caller(by, context), self._writer.dropped)
        made = MemSync(
            place,
            Checking(trusted=trusted, **told),
            MemDumper(self._governance, signer, issuer=group),
            signer.key[:KEY_DIGITS],
            group,
            self._writer.forget,
            Checking(trusted={signer.key: group}, **told),
            None if secret is None else self._seal(),
            None if secret is None else secret.key,
            self._writer.settling,
        )
        return made.run(Path(folder))

    async def adump(self, path: str | Path, *, by: Principal, **how: Any) -> Dumped:
        """`dump`, off the loop."""
        return await self._off_loop(self.dump, path, by=by, **how)

    async def aload(self, path: str | Path, *, by: Principal, **how: Any) -> Loaded:
        """`load`, off the loop."""
        return await self._off_loop(self.load, path, by=by, **how)


def _made(folder: Path) -> Path:
    """A folder, made where there is none.

    Raises:
        InvalidMemoryError: It is none, and none can be made.
    """
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as exc:
        told = exc.strerror if isinstance(exc, OSError) else exc
        raise InvalidMemoryError(f"{folder} is no folder for a series, and cannot be made one ({told}).") from exc
    return folder
