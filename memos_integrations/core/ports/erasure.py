"""The port of whoever attests that what was erased is gone: it looks before, looks again after, and signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class ErasureWitness(Protocol):
    """Attests an erasure; `FileScan` does it for a SQLite vault by the bytes of every file."""

    def look(self, cube_ids: Sequence[str]) -> Any:
        """What will be looked for, taken while the cubes are still there.

        Raises:
            VaultError: What is there cannot be found in this way, so that not finding it would show nothing.
        """
        ...

    def attest(self, seen: Any, said: dict[str, Any]) -> str:
        """A signed note of what was erased (*said*, as the engine knows it) and of what was looked at since.

        Raises:
            VaultError: Something is left.
        """
        ...
