"""What a reader says of itself before anything is sent: what it understands, models, sealing key. MIP.md §11."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from memos_integrations.core.cube import (
    ActivationPayload,
    Label,
    MemCube,
    ModelFingerprint,
    ParameterPayload,
    Value,
    first_problem,
)
from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.interchange.canonical import canonical, strict_json
from memos_integrations.core.interchange.manifest import MAJOR, MINOR, SINCE_1_1, Capability, Hex64, Version
from memos_integrations.core.interchange.refusal import Refusal
from memos_integrations.core.regular import opened

MOST_BYTES = 1 << 20


class Addressee(Value):
    """A reader's card. `recipient` is the name that it takes bundles under, `mip` the newest version it reads.

    `seal` is its X25519 public key, `models` those whose keys and values, or adapters, it could use.
    """

    kind: Literal["mip-addressee"] = "mip-addressee"
    recipient: Label
    mip: Version = f"{MAJOR}.{MINOR}"
    requires: Annotated[tuple[Label, ...], Field(max_length=100)] = tuple(sorted(Capability))
    seal: Hex64 | None = None
    models: Annotated[tuple[ModelFingerprint, ...], Field(max_length=1_000)] = ()

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of its capabilities that a writer of this version knows."""
        known = frozenset(self.requires) & frozenset(Capability)
        return known - SINCE_1_1 if self.mip == f"{MAJOR}.0" else known

    def fits(self, cube: MemCube) -> bool:
        """Whether the reader has the model that a memory is bound to, if it is bound to one."""
        match cube.payload:
            case ActivationPayload(fingerprint=fingerprint):
                return fingerprint in self.models
            case ParameterPayload(base=base):
                return base in self.models
            case _:
                return True

    def check(self, minor: int, needs: frozenset[str]) -> None:
        """Refuse to write what the reader could not read.

        Raises:
            InvalidMemoryError: It reads another major version, an older minor one, or not all of *needs*.
        """
        major, newest = (int(part) for part in self.mip.split("."))
        if major != MAJOR or newest < minor:
            raise InvalidMemoryError(f"{self.recipient!r} reads MIP {self.mip}; this would be {MAJOR}.{minor}.")
        if missing := sorted(needs - self.capabilities):
            raise InvalidMemoryError(f"{self.recipient!r} does not understand {', '.join(missing)}.")

    def save(self, path: str | Path) -> None:
        """Write the card to a new file, in its canonical form.

        Raises:
            InvalidMemoryError: There is a file already.
        """
        try:
            with open(path, "xb") as file:
                file.write(canonical(self.model_dump(mode="json")))
        except FileExistsError as exc:
            raise InvalidMemoryError(f"{Path(path).name} is there already.") from exc

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The card in a file.

        Raises:
            BundleError: It is none.
        """
        try:
            with opened(path) as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as exc:
            raise BundleError(Refusal.UNREADABLE, f"{Path(path).name} cannot be read: {exc.strerror}") from exc
        if len(content) > MOST_BYTES:
            raise BundleError(Refusal.TOO_LARGE, f"{Path(path).name} is too large for a card")
        try:
            return cls.model_validate(strict_json(content, Path(path).name))
        except ValidationError as exc:
            raise BundleError(Refusal.MALFORMED, f"{Path(path).name}: {first_problem(exc)}") from exc


def reader_of(recipient: str | None, to: Addressee | None) -> str:
    """For whom a bundle is: whom *recipient*, or the card *to*, names.

    Raises:
        InvalidMemoryError: Neither does, or each another.
    """
    if to is None and recipient is None:
        raise InvalidMemoryError("Say for whom the bundle is: `recipient`, or `to` with the reader's card.")
    if to is not None and recipient not in (None, to.recipient):
        raise InvalidMemoryError(f"The card is that of {to.recipient!r}, not of {recipient!r}.")
    return str(recipient if to is None else to.recipient)
