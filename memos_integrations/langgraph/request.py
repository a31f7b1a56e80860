"""What may be asked to be done to memory, as a value that is checked before anybody looks at it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memos_integrations.core.cube import first_problem
from memos_integrations.core.errors import InvalidMemoryError

Action = Literal["remember", "share", "forget", "distil"]
ACTIONS: tuple[Action, ...] = ("remember", "share", "forget", "distil")
HUMAN_DECIDES: frozenset[Action] = frozenset({"share", "forget", "distil"})


class MemoryRequest(BaseModel):
    """What is asked: to `remember` a text, `share` one cube with readers, `forget` one cube, or `distil` cubes.

    To remember with readers is to share. `id` tells two requests of the same content in one thread apart; without it
    they are one, and done once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    text: str = ""
    cubes: tuple[str, ...] = Field(default=(), max_length=100)
    readers: tuple[str, ...] = Field(default=(), max_length=100)
    id: str = Field(default="", max_length=200)

    @property
    def weight(self) -> Action:
        """The action for which it needs approval."""
        return "share" if self.action == "remember" and self.readers else self.action


def checked_request(given: Mapping[str, Any]) -> MemoryRequest:
    """The request, if it makes sense.

    Raises:
        InvalidMemoryError: It does not; the message says why.
    """
    try:
        request = MemoryRequest.model_validate(given)
    except ValidationError as exc:
        raise InvalidMemoryError(f"This is no request: {first_problem(exc)}.") from exc
    fits = {
        "remember": bool(request.text.strip()) and not request.cubes,
        "share": len(request.cubes) == 1 and bool(request.readers) and not request.text,
        "forget": len(request.cubes) == 1 and not request.readers and not request.text,
        "distil": bool(request.cubes) and not request.readers and not request.text,
    }
    if not fits[request.action]:
        raise InvalidMemoryError(
            f"A request to {request.action} has other fields: remember takes a text (and readers), share one cube and "
            "readers, forget one cube, distil cubes."
        )
    return request
