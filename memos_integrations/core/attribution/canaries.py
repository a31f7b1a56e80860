"""Canary memories: invented facts that nobody but one licensee was given, so that a leak says from whom it came. Pure.

Each holds a code of 60 bits that only the holder of the secret can compute: it cannot be guessed, and nobody can be
framed without the secret. Case, punctuation, white space and line breaks do not hide it. A leak that leaves all
canaries out, or that changes their codes, is not found; two licensees that compare what they got can find and drop
them. Keep the secret (32 random bytes) out of the vault.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

from memos_integrations.core.errors import InvalidMemoryError

SECRET_BYTES = 32
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
LENGTH = 12
"""Letters of 5 bits."""

_SHAPES = (
    "The reference of the spare boiler part is {}.",
    "Locker {} holds the folders of the old survey.",
    "The seed batch from the spring order was labelled {}.",
    "The projector in the small hall has the inventory mark {}.",
    "The courier left the parcel under the number {}.",
)
_NOT_WORDS = re.compile(r"[\W_]+")


class Canaries:
    """The canaries of licensees under one *secret*, computed anew whenever they are asked for; nothing is stored.

    Raises:
        InvalidMemoryError: The secret has fewer than 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            raise InvalidMemoryError(f"A secret for canaries has {SECRET_BYTES} bytes or more; take os.urandom(32).")
        self._secret = secret

    def texts(self, licensee: str, count: int = 5) -> list[str]:
        """The sentences to plant for a licensee: remember them with `readers=[licensee]`, or add them to its bundle."""
        return [_SHAPES[n % len(_SHAPES)].format(_grouped(self._code(licensee, n))) for n in range(count)]

    def found(self, text: str, licensees: Iterable[str], count: int = 5) -> dict[str, int]:
        """How many of the canaries of each licensee stand in *text*; licensees without one are left out."""
        plain = _NOT_WORDS.sub("", unicodedata.normalize("NFKC", text).casefold())
        hits = {name: sum(self._code(name, n) in plain for n in range(count)) for name in licensees}
        return {name: hit for name, hit in hits.items() if hit}

    def _code(self, licensee: str, number: int) -> str:
        made = hmac.digest(self._secret, f"memos canary {number} {licensee}".encode(), sha256)
        bits = int.from_bytes(made[:8])
        return "".join(_LETTERS[bits >> 5 * place & 31] for place in range(LENGTH))


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4].upper() for start in range(0, LENGTH, 4))
