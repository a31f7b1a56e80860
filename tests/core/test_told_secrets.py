"""Secrets that people tell in passing are known by the words around them, and talk that only sounds so is none."""

from __future__ import annotations

import hashlib

import pytest

from memos_integrations.core.gate import Ruling, WriteGate, secrets_in

WORDS = "abandon ability able about above absent absorb abstract absurd abuse access accident"
CUT_OFF = "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcdef\nabcdefghijklmnop12345678"
TAIL = "MIIEpAIBAAKCAQEA1234567890abcdef\nabcdefghijklmnop12345678\n-----END " + "RSA PRIVATE KEY-----"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def in_import_format(key: bytes) -> str:
    """A key of a wallet as Bitcoin's import format writes it."""
    raw = b"\x80" + key + b"\x01"
    number = int.from_bytes(raw + hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4])
    told = ""
    while number:
        number, rest = divmod(number, 58)
        told = BASE58[rest] + told
    return told


WALLET_KEY = in_import_format(bytes(range(1, 33)))


@pytest.mark.answers("ASI06 2", "AISVS 8.2.1")
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mein PIN ist 4821", "4821"),
        ("die PIN für die karte ist 4821", "4821"),
        ("el pin de la tarjeta es 9034", "9034"),
        ("code secret : 4821", "4821"),
        ("code 482913 for 2fa", "482913"),
        ("my 2fa code is 482 913", "482 913"),
        ("OTP 339201", "339201"),
        ("sms code 55 31 09", "55 31 09"),
        ("door code is 4471#", "4471"),
        (f"seed phrase: {WORDS}", WORDS),
        (f"my metamask recovery phrase is {WORDS}", WORDS),
        (f'mnemonic = "{WORDS} {WORDS}"', f"{WORDS} {WORDS}"),
        ("login: ana / Kx8-pp2q", "Kx8-pp2q"),
        ("user: bob password: sunny-Day4", "sunny-Day4"),
        ("username ana and password is Tiger77!", "Tiger77"),
        ("credentials: root|toor99", "toor99"),
        ("ana:Wint3r!x@host.example.org", "Wint3r!x"),
        ("postgres://ana:s3cr3t@db.example:5432/x", "s3cr3t"),
        ("Authorization: Bearer abc123def456ghi789", "abc123def456ghi789"),
        ("x-api-key: 1234abcd5678efgh", "1234abcd5678efgh"),
        (CUT_OFF, "MIIEpAIBAAKCAQEA"),
        (TAIL, "abcdefghijklmnop12345678"),
        (f"the wallet opens with {WALLET_KEY}", WALLET_KEY),
    ],
)
def test_a_secret_told_in_passing_is_taken_out(text: str, secret: str) -> None:
    assert any(secret in text[each.start : each.end] for each in secrets_in(text))
    verdict = WriteGate().examine(text)
    assert verdict.ruling is Ruling.REDACT
    assert secret not in verdict.text
    assert WriteGate().examine(verdict.text).text == verdict.text


@pytest.mark.parametrize(
    "text",
    [
        "the pin is on the table",
        "error code 4040 at login",
        "zip code 90210 for the login page",
        "login: home / work",
        "seed the lawn every spring and water it well for six weeks or so",
        "my seed words are lost",
        "phrase of the day: carpe diem and so on and on it goes for a while",
        "mail:ana.b2@x.org",
        "email:jane99@example.org",
        "user ana has 20 points",
        "login attempts: 5 / 10",
        "access code of conduct 2023",
        "bearer of bad news 2024",
        "the alarm is set to 0630",
        "my account: gold / since 2014",
        WALLET_KEY[:-1] + ("x" if WALLET_KEY[-1] != "x" else "y"),  # its checksum is wrong
    ],
)
def test_what_only_sounds_so_is_none(text: str) -> None:
    assert secrets_in(text) == []


def test_ends_of_keys_are_looked_at_in_time_that_grows_with_the_text() -> None:
    text = ("-----END " + "PRIVATE KEY-----") * 30_000 + "\n" + TAIL
    last = secrets_in(text)[-1]
    assert text[last.start : last.end] == TAIL
