"""What happened, in the past tense. Events commit in the transaction of the change they report (the outbox).

They name cubes, never quote them: a subscriber that wants the text asks for it, and is asked who it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memos_integrations.core.cube import Label, Moment, State, Value


class CubeEvent(Value):
    """What every event says: when, in which tenant, which cube, by whom."""

    at: Moment
    tenant: Label
    cube_id: Label
    actor: Label


class CubeWritten(CubeEvent):
    """A version was stored: `version` 1 is a new cube."""

    kind: Literal["cube_written"] = "cube_written"
    version: int


class CubeErased(CubeEvent):
    """A cube was forgotten: every version, vector, term and link of it is gone."""

    kind: Literal["cube_erased"] = "cube_erased"


class CubeMoved(CubeEvent):
    """A cube passed from one state of its life to another."""

    kind: Literal["cube_moved"] = "cube_moved"
    before: State
    after: State


class LicenceEnded(CubeEvent):
    """The licence of a cube is over: those others who were given it may read it no more."""

    kind: Literal["licence_ended"] = "licence_ended"


class AccessDenied(CubeEvent):
    """Somebody asked for what they may not have."""

    kind: Literal["access_denied"] = "access_denied"
    verb: Label


class AlarmRaised(CubeEvent):
    """A source went beyond what is usual with this memory; see `WriteGate`.

    `alarm` says in what: `burst` (so many memories at once), `contradictions` (of what is there).
    """

    kind: Literal["alarm_raised"] = "alarm_raised"
    alarm: Label


MemEvent = Annotated[
    CubeWritten | CubeErased | CubeMoved | LicenceEnded | AccessDenied | AlarmRaised, Field(discriminator="kind")
]
