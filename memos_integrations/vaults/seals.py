"""Seals: what shows that a row is the one this package wrote, to whoever holds the vault's integrity key.

Keyed BLAKE2b (RFC 7693 §2.9) with a `person` of its own for each use. What is sealed is `ascii()` of a tuple of
numbers, texts and bytes: unambiguous, and the same on every Python.

Per cube the table `seals` holds one seal over the whole row of `cubes`, the tenant's name, the current digest, the
history of digests, and a mark for each group of rows elsewhere (`MARKS`). Per tenant `tallies` holds the sum of what
every cube and every audit entry contributes, and `roots` the sum of what every tenant contributes, with a seal over
the vault's counters: so what is missing, added or set back is found as well. Contributions are secret, and each sum
stands masked under the number of its commit, so that sums tell nothing to whoever watches the file
(Bellare & Micciancio 1997 for sums of hashes; the mask is what makes 256 bits enough).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from memos_integrations.core.errors import IntegrityError, VaultError, VaultReadOnlyError
from memos_integrations.core.kept import Kept
from memos_integrations.core.ports import Vectors

SEAL_KEY_BYTES = 32
MARKS = ("labels", "words", "links", "vector", "keys", "past")
"""The groups of rows beside a cube: who may read it and how it is filtered; full text; edges; vector; write keys; who
could read its earlier versions."""

_USES = {group: b"m:" + group.encode() for group in MARKS}
_SHORT = {b"used", b"called", b"tokens", b"forgotten", *_USES.values()}
"""What has seals of 16 bytes; the others have 32."""

NONE_RESERVED, SOME_RESERVED = b"\0", b"\1"

_SIZE = 1 << 256
_EMPTY = 2
"""What is no longer than "()" says that there is nothing."""

Fields = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """What one tenant's cubes, audit entries and keys of what was forgotten add up to, as of commit `commit`.

    The sums are in clear here. `reserved` says whether a cube with a reserved id (`core.ruling.RESERVED`) was ever
    written there: `NONE_RESERVED`, `SOME_RESERVED`, or empty where nobody kept count.
    """

    commit: int = 0
    cubes: int = 0
    total: int = 0
    entries: int = 0
    log: int = 0
    forgotten: int = 0
    reserved: bytes = b""


@dataclass(slots=True)
class Root:
    """What the whole vault adds up to: its tenants' seals, its events, what blobs its cubes name; in clear here."""

    tenants: int = 0
    total: int = 0
    events: int = 0
    outbox: int = 0
    blobs: int = 0


class Sealer:
    """Makes and checks the seals of one vault with its integrity key (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._begun: Kept[bytes, Any] = Kept(self._begin, 64)
        self._short: dict[tuple[str, bytes], bytes] = {}

    def _begin(self, use: bytes) -> Any:
        # A copy costs half of what a new one costs.
        return blake2b(digest_size=16 if use in _SHORT else 32, key=self._key, person=use).copy

    def _hash(self, use: bytes, content: bytes) -> bytes:
        made = self._begun[use]()
        made.update(content)
        digest: bytes = made.digest()
        return digest

    def cube(self, fields: Fields) -> bytes:
        """The seal of a cube's row: tenant name, digest, history, marks, then every column of `cubes`."""
        return self._hash(b"cube", ascii(fields).encode())

    def used(self, cube_id: str, behaviour: str) -> bytes:
        """The seal of a behaviour. It stands apart, so that a use costs no new seal of the cube."""
        return self._hash(b"used", ascii((cube_id, behaviour)).encode())

    def mark(self, group: str, content: str | bytes) -> bytes:
        """The mark of one group of rows; *content* is their text (see `marks.py`) or the vector's bytes.

        Anything else, as it may stand in a damaged file, has the mark of nothing that was ever written.
        """
        if isinstance(content, bytes):
            raw = content
        else:
            raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else b"\0damaged"
        if len(raw) > _EMPTY:
            return self._hash(_USES[group], raw)
        # Most cubes have no links, keys, or earlier versions.
        made = self._short.get((group, raw))
        if made is None:
            made = self._short[group, raw] = self._hash(_USES[group], raw)
        return made

    def marks(self, group: str, texts: Iterable[tuple[int, str | bytes]]) -> dict[int, bytes]:
        """As `mark`, of very many cubes by number, in less time."""
        begun, found = self._begun[_USES[group]], dict[int, bytes]()
        for seq, content in texts:
            if isinstance(content, str | bytes) and len(content) > _EMPTY:
                made = begun()
                made.update(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
                found[seq] = made.digest()
            else:
                found[seq] = self.mark(group, content)
        return found

    def called(self, cube_id: str) -> bytes:
        """What stands for a cube's id where the id itself is not to be read."""
        return self._hash(b"called", cube_id.encode("utf-8", "surrogatepass"))

    def vector(self, row: Vectors | bytes | None) -> bytes:
        """The mark of a vector, or of its absence."""
        raw = row if isinstance(row, bytes) else b"" if row is None else row.astype("<f4", copy=False).tobytes()
        return self.mark("vector", raw)

    def token_row(self, cube_id: str, version: int, tokens: bytes) -> bytes:
        """The token vectors of a version as they stand in the table: a letter, their seal, they."""
        return b"T" + self._hash(b"tokens", ascii((cube_id, version)).encode() + b"\0" + tokens) + tokens

    def past(self, before: bytes, row: Fields) -> bytes:
        """The mark of `past` after one more replaced version: `(version, recorded_at, audience)`."""
        return self.mark("past", before + ascii(row).encode())

    def history(self, before: bytes, version: int, digest: str) -> bytes:
        """The history after one more version."""
        return self._hash(b"history", ascii((before, version, digest)).encode())

    def forgotten(self, tenant: str, key: bytes) -> bytes:
        """The seal of a key whose cube was forgotten for good."""
        return self._hash(b"forgotten", ascii((tenant, key)).encode())

    def share(self, seal: bytes) -> int:
        """What a sealed thing contributes to the sum that it is part of."""
        raw = seal if isinstance(seal, bytes) else ascii(seal).encode()  # in a damaged file
        return int.from_bytes(self._hash(b"share", raw))

    def entry(self, columns: Fields) -> int:
        """What an audit entry contributes to its tenant's sum; its hash among the columns covers the record."""
        return int.from_bytes(self._hash(b"entry", ascii(columns).encode()))

    def event(self, number: int, body: bytes) -> int:
        """What an event contributes to the outbox's sum."""
        raw = body if isinstance(body, bytes) else ascii(body).encode()  # in a damaged file
        return int.from_bytes(self._hash(b"event", b"%d:%b" % (number, raw)))

    def blob(self, seq: int, digest: str) -> int:
        """What it contributes to the sum over `blobs` that the cube with a number names a blob."""
        return int.from_bytes(self._hash(b"blob", ascii((seq, digest)).encode()))

    def masked(self, place: str, commit: int, total: int) -> bytes:
        """A sum as it may stand in the file."""
        return ((total + self._mask(place, commit)) % _SIZE).to_bytes(32)

    def unmasked(self, place: str, commit: int, stored: bytes) -> int:
        """The sum that *stored* hides."""
        return (int.from_bytes(stored) - self._mask(place, commit)) % _SIZE

    def _mask(self, place: str, commit: int) -> int:
        return int.from_bytes(self._hash(b"mask", ascii((place, commit)).encode()))

    def tally(self, tenant: str, row: Fields, tally: Fields) -> bytes:
        """The seal of a tenant: its row of `tenants` (empty when it has none) and its stored tally."""
        return self._hash(b"tenant", ascii((tenant, row, tally)).encode())

    def root(self, fields: Fields) -> bytes:
        """The seal of the vault's counters and of the sum over its tenants."""
        return self._hash(b"root", ascii(fields).encode())

    def named(self, rows: tuple[Fields, ...]) -> bytes:
        """The seal of the vault's own records (`meta`)."""
        return self._hash(b"meta", ascii(rows).encode())

    def outside(self, content: bytes) -> str:
        """The seal of something kept in a file of its own: an anchor's line, an index's manifest."""
        return self._hash(b"outside", content).hex()


def added(total: int, share: int) -> int:
    """A sum with one more share; a negative share takes one out."""
    return (total + share) % _SIZE


def key_file_of(database: Path) -> Path:
    """Where a vault's integrity key stands unless the caller keeps it elsewhere."""
    return database.with_suffix(".key")


def key_from(file: Path, *, make: bool) -> bytes:
    """The integrity key in *file*; made first (mode 0600) when *make* and it is missing.

    Raises:
        IntegrityError: The file holds no key, or is gone although the vault was written with one.
        VaultError: It cannot be read or made.
    """
    try:
        if make and not file.exists():
            _make(file)
        key = file.read_bytes()
    except FileNotFoundError as exc:
        raise IntegrityError(f"The vault's integrity key {file} is missing, so nothing in it can be trusted") from exc
    except PermissionError as exc:
        raise VaultReadOnlyError(f"The integrity key {file} cannot be read or made. Check its rights.") from exc
    except OSError as exc:
        raise VaultError(f"The integrity key {file} cannot be read or made ({exc}).") from exc
    if len(key) != SEAL_KEY_BYTES:
        raise IntegrityError(f"{file} is no integrity key of {SEAL_KEY_BYTES} bytes")
    return key


def _make(file: Path) -> None:
    aside = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(SEAL_KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
