"""What a transaction of `InMemoryVault` would change, before any of it is true."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Self, TypeVar

from memos_integrations.vaults.memory_search import Row

_Name = TypeVar("_Name")
_Kept = TypeVar("_Kept")


@dataclass(slots=True)
class Draft:
    """Rows and keys as they would be: None for what is taken away."""

    rows: ChainMap[str, Row | None]
    keys: ChainMap[tuple[str, str], str | None]

    @classmethod
    def over(cls, rows: dict[str, Row | None], keys: dict[tuple[str, str], str | None]) -> Self:
        """A draft over what is true now."""
        return cls(ChainMap({}, rows), ChainMap({}, keys))

    def settle(self, rows: dict[str, Row | None], keys: dict[tuple[str, str], str | None]) -> None:
        """Make it true."""
        _settle(rows, self.rows.maps[0])
        _settle(keys, self.keys.maps[0])


def _settle(truth: dict[_Name, _Kept | None], changed: MutableMapping[_Name, _Kept | None]) -> None:
    for name, value in changed.items():
        if value is None:
            truth.pop(name, None)
        else:
            truth[name] = value
