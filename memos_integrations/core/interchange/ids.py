"""Which ids were met, in sixteen bytes each: a million of them fit where a million ids would not. Pure."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
import numpy.typing as npt

_SALT = secrets.token_bytes(16)
RECENT = 1 << 15


def key_of(cube_id: str) -> int:
    """A number below 2^64 that stands for an id. Nobody can aim at one."""
    return int.from_bytes(hashlib.blake2b(cube_id.encode(), digest_size=8, key=_SALT).digest())


class Met:
    """Ids with a version each; the newest are in a dict, the others in sorted arrays that are merged as they grow."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._sorted: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = []
        self.twice = False
        """Whether an id was added that was there; known for sure only after `settle`."""

    def add(self, cube_id: str, version: int) -> None:
        """Remember the id."""
        key = key_of(cube_id)
        self.twice |= key in self._recent
        self._recent[key] = version
        if len(self._recent) >= RECENT:
            self._store()

    def version(self, cube_id: str) -> int | None:
        """The version that an id was added with; None: it was not."""
        key = key_of(cube_id)
        found = self._recent.get(key)
        if found is not None:
            return found
        for keys, versions in self._sorted:
            place = int(np.searchsorted(keys, np.uint64(key)))
            if place < keys.size and int(keys[place]) == key:
                return int(versions[place])
        return None

    def __contains__(self, cube_id: object) -> bool:
        return isinstance(cube_id, str) and self.version(cube_id) is not None

    def settle(self) -> bool:
        """Put everything in order; whether an id was added twice."""
        self._store(all_of=True)
        return self.twice

    def _store(self, *, all_of: bool = False) -> None:
        keys = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        versions = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        self._recent = {}
        # Arrays of alike sizes are merged, so that there are never more than a few.
        while self._sorted and (all_of or self._sorted[-1][0].size <= 2 * keys.size):
            more, theirs = self._sorted.pop()
            keys, versions = np.concatenate((more, keys)), np.concatenate((theirs, versions))
        order = np.argsort(keys, kind="stable")
        keys, versions = keys[order], versions[order]
        self.twice |= bool(np.any(keys[1:] == keys[:-1]))
        self._sorted.append((keys, versions))
