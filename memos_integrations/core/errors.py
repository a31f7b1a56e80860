"""One tree of errors: each says what happened and what to do about it.

Every error the package raises on purpose is a `MemOSError`. Where a builtin exists for the
situation, the class derives from it too, so that `except LookupError` works as people expect.
Foreign errors (SQLite, FAISS, torch) are translated once, in the file that imports the culprit.
"""

from __future__ import annotations


class MemOSError(Exception):
    """Anything that this package raises on purpose."""


class InvalidMemoryError(MemOSError, ValueError):
    """A memory cannot be stored as it is: empty, too large, not valid Unicode, naive times."""


class RefusedByGateError(InvalidMemoryError):
    """The write gate lets nothing of a text become a memory; the message says why, without its words."""


class IdentityError(MemOSError, PermissionError):
    """Nobody can be held to account: the principal is missing, empty or of the wrong type."""


class AccessDeniedError(MemOSError, PermissionError):
    """The principal can see the cube but may not do this to it."""


class PolicyError(MemOSError, ValueError):
    """A policy is not valid, so that nothing can be decided by it. The message says where."""


class LicenceSpentError(AccessDeniedError):
    """The licence of a memory has no uses left for others than its owner, who may grant another."""

    def __init__(self, cube_id: str) -> None:
        super().__init__(f"The licence of cube {cube_id!r} has no uses left; its owner may grant another.")
        self.cube_id = cube_id


class RateSpentError(AccessDeniedError):
    """Somebody was given a memory as often as the rate of its licence, or of an offer, allows; later there is room."""

    def __init__(self, cube_id: str) -> None:
        super().__init__(f"The rate at which cube {cube_id!r} may be had is used up for now; ask again later.")
        self.cube_id = cube_id


class BudgetSpentError(AccessDeniedError):
    """The privacy budget of a pool does not allow another release; nothing was spent or released."""

    def __init__(self, asked: float, left: float) -> None:
        super().__init__(
            f"An epsilon of {asked:g} was asked for, and {left:g} is left of the budget. It does not refill."
        )
        self.asked, self.left = asked, left


class LegalHoldError(AccessDeniedError):
    """The cube is under legal hold and may not be changed or erased."""


class ApprovalError(MemOSError, RuntimeError):
    """A human has to approve this, and none can be asked here; nothing was done."""


class CubeNotFoundError(MemOSError, LookupError):
    """No cube with this id that the principal may know of.

    An absent cube and a cube that the principal may not read give the same error, word for word, so that
    nobody learns which ids exist.
    """

    def __init__(self, cube_id: str) -> None:
        super().__init__(
            f"No cube {cube_id!r} that you may read. It may never have existed, have expired, have been "
            "forgotten, or belong to somebody else."
        )
        self.cube_id = cube_id


class VersionConflictError(MemOSError, RuntimeError):
    """Somebody else wrote a newer version first; nothing was changed."""

    def __init__(self, cube_id: str, expected: int, found: int) -> None:
        super().__init__(
            f"Cube {cube_id!r} is at version {found}, not {expected}: it was changed since you read it. "
            "Read it again and repeat the update."
        )
        self.cube_id, self.expected, self.found = cube_id, expected, found


class IllegalTransitionError(MemOSError, RuntimeError):
    """The lifecycle has no such transition (see `core.lifecycle.TRANSITIONS`)."""


class AlreadyUndoneError(MemOSError, RuntimeError):
    """The decision was undone before; nothing was changed."""


class SourceGoneError(MemOSError, LookupError):
    """What a version was derived from was forgotten or changed: it cannot come back. Restore another version."""


class ClockError(MemOSError, ValueError):
    """The clock is behind what is recorded already; nothing was changed. Set it right, or pass the right `now`."""


class CyclicDerivationError(MemOSError, ValueError):
    """A memory would be derived from itself; nothing was written."""


class PipelineError(MemOSError, ValueError):
    """A pipeline is not valid, was not given what it needs, or does not end; nothing was changed."""


class EmbedderMismatchError(MemOSError, ValueError):
    """The vault was filled with another embedder; vectors of two embedders cannot be compared."""


class EmbeddingError(MemOSError, RuntimeError):
    """The embedder failed or returned vectors that cannot be used; nothing was written."""


class RerankError(MemOSError, RuntimeError):
    """The reranker failed or gave scores that cannot be used; nothing was handed out. Recall again, or without it."""


class ModelError(MemOSError, RuntimeError):
    """A local model could not be loaded or run."""


class TrainingCancelledError(ModelError):
    """A training was cancelled; what it had learnt is kept, nothing of it is served. Run it again to go on."""


class ModelFolderError(ModelError, FileNotFoundError):
    """A model folder lacks the files that a model needs."""


class ConversationFormatError(MemOSError, ValueError):
    """A conversation file is not what it should be; the message names the line or the field."""


class ImportFormatError(MemOSError, ValueError):
    """A foreign file is not what its format says, or cannot be read; the message names file and line or element."""


class MissingExtraError(MemOSError, ImportError):
    """An optional dependency is not installed; the message carries the `pip install` line."""


class VaultError(MemOSError):
    """The store could not do its work; what was acknowledged before is still there."""


class VaultClosedError(VaultError, RuntimeError):
    """The vault was closed; open it again."""


class VaultReadOnlyError(VaultError, PermissionError):
    """The vault's file or folder cannot be written."""


class VaultFullError(VaultError, OSError):
    """The disk (or a quota) is full: the write was undone, everything older is intact."""


class VaultBusyError(VaultError, TimeoutError):
    """Another process held the vault's lock for too long; nothing was written, try again."""


class TooSlowError(MemOSError, TimeoutError):
    """Memory did not answer within the time allowed. The call may still end; a write may still become durable."""


class VaultCorruptError(VaultError):
    """The vault's file is not a vault, or is damaged."""


class VaultSchemaError(VaultError):
    """The vault was written by a newer version of this package."""


class VaultKeyError(VaultError):
    """The vault is encrypted and was given no key, or not its own; nothing was read, changed or lost."""


class IntegrityError(VaultCorruptError):
    """A stored row does not match its digest: it was changed behind the vault's back, and is refused."""

    def __init__(self, what: str, cube_id: str | None = None) -> None:
        super().__init__(f"{what}. The row was changed outside this package; restore it from a backup.")
        self.cube_id = cube_id


class AlreadyRememberedError(MemOSError, RuntimeError):
    """A cube with this key exists; the write was not repeated."""

    def __init__(self, key: str, cube_id: str) -> None:
        super().__init__(f"Key {key!r} already names cube {cube_id!r}; nothing was written.")
        self.key, self.cube_id = key, cube_id


class ForgottenError(MemOSError, RuntimeError):
    """What was written with this key was forgotten since; it was not written again."""

    def __init__(self, key: str) -> None:
        super().__init__(f"What key {key!r} named was forgotten, and stays so; nothing was written.")
        self.key = key


class StillDerivedError(MemOSError, RuntimeError):
    """Something derived from the cube is there; it has to go first, or with it. Nothing was erased."""

    def __init__(self, cube_id: str) -> None:
        super().__init__(f"A cube is derived from cube {cube_id!r}: erase it first, or in the same transaction.")
        self.cube_id = cube_id


class WireError(MemOSError, ConnectionError):
    """A broker cannot be reached, or refuses. Nothing is lost: what happened stands in the vault; try again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. What happened stands in the vault and comes later; try again.")


class BundleError(MemOSError, ValueError):
    """A bundle of memories is refused; nothing of it was written. `code` says why, for programs (MIP.md, codes)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code}). Nothing was imported.")
        self.code = code
