"""Pseudonyms: a personal identifier leaves a text, a name stands for it, and few may ask whom the name is for.

The map from name to value is a memory of its own: governed, recorded, encrypted where its vault is, and erasable. Keep
it in a vault apart from the texts (GDPR art. 4 (5): "kept separately"), so that recall, embeddings and exports of the
texts never meet a value:

    names = Pseudonyms(SQLiteVault("names.db"), secret=secret)
    memos = MemOS.open("memories.db", gate=WriteGate(personal="redact", pseudonyms=names))
    names.restore(memos.get(cube_id, by=ana).text, by=officer)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime
from typing import Self

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.gate import Marked, replaced
from memos_integrations.core.operator import ErasureReceipt
from memos_integrations.core.ports import AuditEntry, Vault
from memos_integrations.memos import MemOS

KEEPER = "pseudonyms"
"""The user who owns the values. Nobody of that name should be let in."""

RESTORER = "restorer"
"""The role to which a name says its value."""

RESTORING = CallContext(purpose="restore")
SHORTEST_SECRET = 16
_NAME = re.compile(r"\[[a-z][a-z0-9_]{0,30}:([a-p]{32})\]")
_HEX, _LETTERS = "0123456789abcdef", "abcdefghijklmnop"


class Pseudonyms:
    """Names that stand for values, the same name for the same value within a tenant until it is erased.

    Args:
        vault: Where the map is kept, and nothing else.
        secret: At least 16 bytes; from it and a value comes the key under which the vault knows the value again, so
            that nobody without it can try values out. With another secret, every value gets a new name.
        clock: Gives the present; pass a fixed one in tests.

    Raises:
        InvalidMemoryError: The secret is too short.
    """

    def __init__(self, vault: Vault, *, secret: bytes, clock: Callable[[], datetime] | None = None) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise InvalidMemoryError(f"A secret of {SHORTEST_SECRET} bytes or more is needed: os.urandom(32).")
        self._names, self._secret = MemOS(vault) if clock is None else MemOS(vault, clock=clock), bytes(secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the vault of the map."""
        self._names.close()

    def __call__(self, tenant: str, kind: str, value: str) -> str:
        """The name for a value, `[email:…]`; durable on return when it is new.

        Spaces, punctuation and case make no other value. What comes back is the value as it was written first.
        """
        keeper = Principal(tenant=tenant, user=KEEPER)
        told = "\0".join((tenant, kind, _same(value))).encode("utf-8", "surrogatepass")
        cube = self._names.remember(
            value,
            by=keeper,
            context=RESTORING,
            key=hmac.new(self._secret, told, hashlib.sha256).hexdigest(),
            readers=[f"role:{RESTORER}"],
            purposes=["restore"],
        )
        return f"[{kind}:{cube.id.replace('-', '').translate(str.maketrans(_HEX, _LETTERS))}]"

    def restore(self, text: str, *, by: Principal) -> str:
        """The text with the values in place of those names that *by* may ask for; each is on record under *by*.

        Other names stay: erased ones, those of another tenant, and all of them for who has not the role `restorer`.

        Raises:
            IdentityError: *by* is not a principal.
        """
        found = [Marked(*name.span(), name[1]) for name in _NAME.finditer(text)]
        values: dict[str, str | None] = {each.kind: None for each in found}
        for name in values:
            try:
                values[name] = self._names.get(_id(name), by=by, context=RESTORING).text
            except CubeNotFoundError:
                continue
        return replaced(text, found, lambda each: values[each.kind] or text[each.start : each.end])

    def forget(self, name: str, *, by: Principal) -> ErasureReceipt:
        """Erase the value of a name: no text says any more whom it is for. The same value gets another name later.

        Raises:
            InvalidMemoryError: It is not a name.
            CubeNotFoundError, AccessDeniedError: It is not known to *by*, or *by* may restore it, and not erase it:
                that takes the role `admin` as well as `restorer`.
        """
        found = _NAME.fullmatch(name.strip())
        if found is None:
            raise InvalidMemoryError("Give one pseudonym as it stands in a text: [kind:letters].")
        return self._names.forget(_id(found[1]), by=by, context=RESTORING)

    def audit(self, *, by: Principal) -> list[AuditEntry]:
        """Who asked for which value, and whether it was told: all of a tenant for the roles admin and auditor."""
        return self._names.audit(by=by)


def _same(value: str) -> str:
    """What two writings of one value have in common."""
    if "@" in value:
        return value.strip().casefold()
    return "".join(character for character in value.casefold() if character.isalnum()) or value


def _id(name: str) -> str:
    digits = name.translate(str.maketrans(_LETTERS, _HEX))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
