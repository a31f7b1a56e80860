"""What moves memories between text, activation and parameter: how far it may go, what it tells, who makes a form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from pydantic import Field

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.costs import HALF_LIFE_S, FormCosts
from memos_integrations.core.cube import Label, MemCube, ModelFingerprint, Text, Tier, Value


class Tiering(Value):
    """How far a pass may go, and what keeping costs.

    `seconds` of wall time for making (what is under way then is finished; the first is always begun), and `size` bytes
    that the computed memories of the principal may take in all. `rent` is what keeping one byte for one second must
    save, in seconds. What was made within `grace` is not let go for costing too much. `others`: let go, too, of what
    models computed that are not attached here; without, it is only told (`Tiered.foreign`), since another program may
    serve them from the same vault.
    """

    seconds: float = Field(default=60.0, gt=0)
    size: int | None = Field(default=None, ge=0)
    rent: float = Field(default=1e-15, ge=0)
    half_life_s: float = Field(default=HALF_LIFE_S, gt=0)
    grace: timedelta = timedelta(days=1)
    others: bool = False
    limit: int = Field(default=100, ge=1)


class TierMove(Value):
    """One transformation: of which memories, from which form to which, and why; `made` and `gone` are cubes.

    `why_not` says why it was not carried out.
    """

    sources: tuple[Label, ...]
    before: Tier
    after: Tier
    reason: Text
    made: Label | None = None
    gone: Label | None = None
    why_not: Text = ""


class Tiered(Value):
    """What a pass did: what was moved, what waits for seconds or bytes, what failed or may not be.

    `considered` is how many sets of memories were decided about; `foreign` are cubes of models that are not attached.
    `more`: another pass goes on with what waits; what waits for bytes does so until there is room.
    """

    moved: tuple[TierMove, ...] = ()
    waiting: tuple[TierMove, ...] = ()
    failed: tuple[TierMove, ...] = ()
    considered: int = 0
    foreign: tuple[Label, ...] = ()
    more: bool = False


class Measured(NamedTuple):
    """Seconds that one use of some memories takes as text, and what their computed form costs."""

    text_seconds: float
    form: FormCosts


class Former(Protocol):
    """Makes one form of memories on one model, and knows what that costs on this machine."""

    @property
    def form(self) -> Tier:
        """The form that it makes."""
        ...

    @property
    def base(self) -> ModelFingerprint:
        """The model that it makes it for."""
        ...

    def costs(self, sources: Sequence[MemCube]) -> Measured:
        """What these memories cost as text and in this form, as measured."""
        ...

    def refusal(self, sources: Sequence[MemCube]) -> str | None:
        """Why these memories cannot have this form together; None when they can."""
        ...

    def make(
        self,
        cube_ids: Sequence[str],
        *,
        reason: str,
        is_over: Callable[[], bool],
        by: Principal,
        context: CallContext | None,
    ) -> MemCube:
        """The cube of these memories in this form; *reason* is kept in it. The same one, where there is one already.

        Raises:
            TrainingCancelledError: *is_over* said so; the same call goes on where it stopped.
            InvalidMemoryError, AccessDeniedError, CubeNotFoundError, ModelError: They cannot have it.
        """
        ...

    def let_go(self, cube: MemCube) -> None:
        """Erase what is held of a cube of this form outside the vault; it was let go of there."""
        ...
