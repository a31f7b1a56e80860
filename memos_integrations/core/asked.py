"""What callers hand over, checked: moments and ids."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError

ID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def aware(moment: datetime | None) -> datetime | None:
    """The moment in UTC.

    Raises:
        InvalidMemoryError: It says no time zone, or is no time.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidMemoryError(f"A time is a datetime with a time zone, not {moment!r}.")
    return moment.astimezone(UTC)


def whole(name: str, number: object, *, least: int = 1) -> int:
    """The number: of versions, of memories, whatever *name* says. True is no number here, though Python counts it as 1.

    Raises:
        InvalidMemoryError: It is no whole number of at least *least*.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidMemoryError(f"{name} must be a whole number of at least {least}, not {number!r}.")
    return number


def is_id(cube_id: object) -> bool:
    """Whether it has the form of an id. Anything else is asked of no vault, and written into no log."""
    return isinstance(cube_id, str) and ID_FORM.fullmatch(cube_id) is not None


def known_id(cube_id: str) -> str:
    """The id, when a cube could have it; what could never be an id is unknown without asking the vault."""
    if not is_id(cube_id):
        raise CubeNotFoundError(str(cube_id)[:100])
    return cube_id
