"""What callers hand over, checked: moments and ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError

ID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def aware(moment: datetime | None) -> datetime | None:
    """The moment in UTC.

    Raises:
        InvalidMemoryError: It says no time zone, is no time, or lies beyond what a calendar holds.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidMemoryError(f"A time is a datetime with a time zone, not {moment!r}.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise InvalidMemoryError(f"{moment} lies beyond the years 1 to 9999 in UTC; give a time within them.") from exc


def whole(name: str, number: object, *, least: int = 1) -> int:
    """The number: of versions, of memories, whatever *name* says. True is no number here, though Python counts it as 1.

    Raises:
        InvalidMemoryError: It is no whole number of at least *least*.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidMemoryError(f"{name} must be a whole number of at least {least}, not {number!r}.")
    return number


def of_kind(name: str, given: object, kind: type) -> None:
    """Refuse what is given as *name* and is neither None nor of a kind.

    Raises:
        InvalidMemoryError: It is something else.
    """
    if given is not None and not isinstance(given, kind):
        raise InvalidMemoryError(f"{name} must be {kind.__name__}(...), not {given!r}.")


def is_id(cube_id: object) -> bool:
    """Whether it has the form of an id. Anything else is asked of no vault, and written into no log."""
    return isinstance(cube_id, str) and ID_FORM.fullmatch(cube_id) is not None


def known_id(cube_id: str) -> str:
    """The id, when a cube could have it; what could never be an id is unknown without asking the vault."""
    if not is_id(cube_id):
        raise CubeNotFoundError(str(cube_id)[:100])
    return cube_id


def known_ids(cube_ids: Iterable[str]) -> list[str]:
    """The ids, as `known_id`.

    Raises:
        InvalidMemoryError: It is one text, or no list.
    """
    if isinstance(cube_ids, str | bytes) or not isinstance(cube_ids, Iterable):
        raise InvalidMemoryError(f"Give a list of ids, not {str(cube_ids)[:100]!r}.")
    return [known_id(each) for each in cube_ids]
