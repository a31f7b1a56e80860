"""Addresses of devices and of wallets, known by their form and by the checksum in it.

Sources: IEEE 802 (MAC), Bitcoin's Base58Check and BIP 173/350 (Bech32, Bech32m), ERC-55 (twenty bytes in hexadecimal
digits; its checksum is in capitals that few keep, so it is not asked for).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

from memos_integrations.core.gate.marked import Marked

_MAC = re.compile(
    r"(?<![0-9A-Za-z:.-])(?:(?P<colon>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})"
    r"|(?P<dash>[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5})"
    r"|(?P<dot>[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}))(?![0-9A-Za-z]|[:-][0-9A-Fa-f]|\.[0-9A-Fa-f]{4})"
)
_MAC_WORD = re.compile(r"\bmac\b[^.!?\n]{0,24}$", re.IGNORECASE)
_NOBODYS = {"000000000000", "ffffffffffff"}
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = str.maketrans("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", _BASE58)
_CHECKED = re.compile(r"(?<![0-9A-Za-z])[1-9A-HJ-NP-Za-km-z]{26,52}(?![0-9A-Za-z])")
_BECH32 = re.compile(
    r"(?<![0-9A-Za-z])(?P<hrp>bc|tb|bcrt|ltc|addr|cosmos|osmo)1[02-9ac-hj-np-z]{11,110}(?![0-9A-Za-z])", re.IGNORECASE
)
_BECH32_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_SUMS = (1, 0x2BC830A3)
_TWENTY_BYTES = re.compile(r"(?<![0-9A-Za-z])0x[0-9a-fA-F]{40}(?![0-9A-Za-z])")
_NAMED = re.compile(
    r"\b(?:solana|phantom|sol|monero|xmr|cardano|polkadot|dot|crypto) (?:wallet|address|account)(?: address)?"
    r"[\s:=]{0,3}(?:is |was )?(?P<address>[1-9A-HJ-NP-Za-km-z]{32,110})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_LONG = re.compile(r"[0-9A-Za-z]{26}")


def devices_in(text: str) -> Iterator[Marked]:
    """The hardware addresses and the addresses of wallets in a text."""
    for found in _MAC.finditer(text):
        digits = re.sub(r"[:.-]", "", found[0]).casefold()
        bare = digits.isdigit() and found["colon"] is None  # six numbers of a lottery, or of a date
        told = not bare or _MAC_WORD.search(text, max(0, found.start() - 30), found.start())
        if told and digits not in _NOBODYS and not digits.isalpha():
            yield Marked(*found.span(), "mac")
    if _LONG.search(text) is None:
        return
    yield from (Marked(*found.span(), "wallet") for found in _TWENTY_BYTES.finditer(text))
    yield from (Marked(*found.span("address"), "wallet") for found in _NAMED.finditer(text))
    for found in _CHECKED.finditer(text):
        if len(found[0]) <= 36 and is_base58check(found[0]):
            yield Marked(*found.span(), "wallet")
    for found in _BECH32.finditer(text):
        if is_bech32(found[0], found["hrp"]):
            yield Marked(*found.span(), "wallet")


def wallet_keys_in(text: str) -> Iterator[Marked]:
    """The private keys of wallets in their import format: they spend what the address holds."""
    if _LONG.search(text) is None:
        return
    for found in _CHECKED.finditer(text):
        if len(found[0]) in (51, 52) and found[0][0] in "5KL9c" and is_base58check(found[0]):
            yield Marked(*found.span(), "private_key")


def is_base58check(text: str) -> bool:
    """Whether the last four bytes of a text in base 58 are the hash of the others; in Bitcoin's letters or Ripple's."""
    return _is_hashed(text) or (text[0] == "r" and _is_hashed(text.translate(_RIPPLE)))


def _is_hashed(text: str) -> bool:
    number = 0
    for letter in text:
        number = number * 58 + _BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
    return len(raw) in (25, 26, 37, 38) and sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def is_bech32(text: str, hrp: str) -> bool:
    """Whether the six letters at the end of a Bech32 or Bech32m address, all of one case, are its checksum."""
    if text not in (text.lower(), text.upper()):
        return False
    hrp, rest = hrp.lower(), text.lower()[len(hrp) + 1 :]
    values = [*(ord(each) >> 5 for each in hrp), 0, *(ord(each) & 31 for each in hrp)]
    total = 1
    for value in [*values, *map(_BECH32_LETTERS.index, rest)]:
        top, total = total >> 25, (total & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            total ^= generator if top >> bit & 1 else 0
    return total in _BECH32_SUMS
