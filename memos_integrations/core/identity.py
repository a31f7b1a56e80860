"""Who is named by what a framework passes along at run time. Pure; each door knows where its framework keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memos_integrations.core.access import Principal


def named_in(source: Any, further: tuple[str, ...] = ()) -> Principal | None:
    """The principal whom an object or a mapping names; None when it names nobody.

    It names somebody by being a `Principal`, by `principal`, or by `tenant` and `user_id`. *further* are fields that
    count besides (`groups`, `roles`): for sources that only the application fills in.

    Raises:
        IdentityError: It names half of somebody, or with values that are no names.
    """
    if isinstance(source, Principal):
        return source
    if isinstance(whole := _value(source, "principal"), Principal):
        return whole
    fields = {"tenant": "tenant", "user": "user_id"} | dict(zip(further, further, strict=True))
    given = {field: value for field, name in fields.items() if (value := _value(source, name)) is not None}
    return Principal(**given) if {"tenant", "user"} & given.keys() else None


def _value(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
