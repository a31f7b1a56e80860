"""JSON values that cannot be changed: what a cube holds is what its digest covers, for as long as it lives."""

from __future__ import annotations

from typing import Any, NoReturn, Self


class FrozenObject(dict[str, Any]):
    """A JSON object that refuses changes with `TypeError`; equal to a `dict` with the same content."""

    def __copy__(self) -> Self:
        """Itself: it never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it holds."""
        return frozen, (thawed(self),)


class FrozenArray(list[Any]):
    """A JSON array that refuses changes with `TypeError`; equal to a `list` with the same content."""

    def __copy__(self) -> Self:
        """Itself: it never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it holds."""
        return frozen, (thawed(self),)


def _refused(*_: object, **__: object) -> NoReturn:
    raise TypeError("A memory's value cannot be changed in place: take `thawed(value)`, and write that.")


_CHANGING = {
    FrozenObject: "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update",
    FrozenArray: "__setitem__ __delitem__ __iadd__ __imul__ append clear extend insert pop remove reverse sort",
}
for _kind, _names in _CHANGING.items():
    for _name in _names.split():
        setattr(_kind, _name, _refused)


def frozen(value: Any) -> Any:
    """A JSON value as one that cannot be changed, all the way down."""
    if isinstance(value, dict):
        return FrozenObject({key: frozen(held) for key, held in value.items()})
    if isinstance(value, list):
        return FrozenArray([frozen(held) for held in value])
    return value


def thawed(value: Any) -> Any:
    """A JSON value as plain dicts and lists of its own, which may be changed."""
    if isinstance(value, dict):
        return {key: thawed(held) for key, held in value.items()}
    if isinstance(value, list):
        return [thawed(held) for held in value]
    return value
