"""The one seam between a cube and the bytes that a vault keeps of it.

Plain canonical JSON today. Encryption per cube goes here and nowhere else: `digest` stays the digest of the clear
body, so no caller changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from memos_integrations.core.cube import Behaviour, MemCube, State, checked_cube, cube_of, known_cube, sha256
from memos_integrations.core.errors import IntegrityError, InvalidMemoryError


def seal(cube: MemCube) -> bytes:
    """The body to store: what the cube's digest covers, without state and behaviour."""
    return cube.canonical()


@lru_cache(2048)
def _parsed(body: bytes) -> MemCube:
    """What a body says; one that was read lately is not parsed again."""
    return cube_of(body)


def opened(body: bytes, digest: str, state: State, behaviour: Behaviour, *, cube_id: str, version: int) -> MemCube:
    """As `unseal`, with what stands beside, of a row that the caller holds against its seal.

    Raises:
        IntegrityError: As `unseal`.
    """
    if isinstance(body, bytes) and sha256(body) == digest:
        cube = known_cube(body, digest, state, behaviour)
        if cube is not None and cube.id == cube_id and cube.version == version:
            return cube
    return _read(body, digest, lambda said: checked_cube(said, digest, state, behaviour), cube_id, version)


def unseal(body: bytes, digest: str, *, cube_id: str, version: int) -> MemCube:
    """The version that *body* holds, with the state and behaviour of a new cube.

    Raises:
        IntegrityError: The body does not match its digest, or belongs to another cube or version.
    """
    return _read(body, digest, _parsed, cube_id, version)


def _read(body: bytes, digest: str, parse: Callable[[bytes], MemCube], cube_id: str, version: int) -> MemCube:
    # A damaged row can hold a text where the bytes were; the type says nothing about a file.
    if not isinstance(body, bytes) or sha256(body) != digest:
        raise IntegrityError(f"Version {version} of cube {cube_id!r} does not match its digest", cube_id)
    try:
        cube = parse(body)
    except InvalidMemoryError as exc:
        raise IntegrityError(f"Version {version} of cube {cube_id!r} is not a cube ({exc})", cube_id) from exc
    if (cube.id, cube.version) != (cube_id, version):
        raise IntegrityError(
            f"The row of version {version} of cube {cube_id!r} holds version {cube.version} of {cube.id!r}", cube_id
        )
    cube.__dict__["digest"] = digest  # it was just held against the body: not to be computed once more
    return cube
