"""Numbers of accounts, devices, wallets and births: known by a word or a checksum, and by nothing else."""

from __future__ import annotations

import pytest

from memos_integrations.core.gate import Ruling, WriteGate, personal_in

FOUND = [
    ("my account number is 12345678 at the co-op", "12345678", "bank_account"),
    ("sort code 20-00-00 please", "20-00-00", "bank_account"),
    ("the account 55779911 is mine", "55779911", "bank_account"),
    ("Kontonummer 532013000 bei der Sparkasse", "532013000", "bank_account"),
    ("routing number 021000021", "021000021", "bank_account"),
    ("DOB: 12/05/1985 per the clinic", "12/05/1985", "birth_date"),
    ("her dob is 4 June 1979", "4 June 1979", "birth_date"),
    ("Geburtsdatum: 14.09.1987", "14.09.1987", "birth_date"),
    ("生年月日 1984年5月6日", "1984年5月6日", "birth_date"),
    ("IMEI 490154203237518 of the stolen phone", "490154203237518", "imei"),
    ("it is 35-209900-176148-1, report it", "35-209900-176148-1", "imei"),
    ("the tv has mac 3C:5A:B4:01:9F:E2", "3C:5A:B4:01:9F:E2", "mac"),
    ("switch port 001a.2b3c.4d5e flaps", "001a.2b3c.4d5e", "mac"),
    ("send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "wallet"),
    (
        "btc: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "wallet",
    ),
    (
        "taproot bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "wallet",
    ),
    (
        "eth 0x52908400098527886e0f7030069857d2e4169ee7",
        "0x52908400098527886e0f7030069857d2e4169ee7",
        "wallet",
    ),
    ("write to jane(at)orchard.org please", "jane(at)orchard.org", "email"),
    ("mail: jane [at] orchard [dot] org", "jane [at] orchard [dot] org", "email"),
    ("微信同号 138 1234 5678", "138 1234 5678", "phone"),
    ("ring 912 34 567 etter seks", "912 34 567", "phone"),
    ("card 4111 1111\n1111 1111 broke over the line", "4111 1111\n1111 1111", "card"),
    ("my visa 4539 1488 0343 6467 123 on the back", "4539 1488 0343 6467", "card"),
    ("maestro card 501800000009", "501800000009", "card"),
    ("iban DE89.3704.0044.0532.0130.00 in their form", "DE89.3704.0044.0532.0130.00", "iban"),
    ("ssn: 219 - 09 - 9998", "219 - 09 - 9998", "us_ssn"),
    ("SS# 078 05 1121", "078 05 1121", "us_ssn"),
    ("mapped ::ffff:192.0.2.128 in the logs", "::ffff:192.0.2.128", "ip"),
    ("MRN 00482913 at the clinic", "00482913", "medical_id"),
    ("KTP saya 3171011708450001", "3171011708450001", "national_id"),
    ("תעודת זהות 039337423", "039337423", "national_id"),
    ("my NIN is 70123456789", "70123456789", "national_id"),
    ("Emirates has 784-1985-1234567-1", "784-1985-1234567-1", "ae_id"),
    ("DL# D1234-56789-01234", "D1234-56789-01234", "national_id"),
    ("Reisepassnummer C4VK0LHMN noch gültig", "C4VK0LHMN", "national_id"),
    ("driver license WDLABCD456DG", "WDLABCD456DG", "national_id"),
    ("mi RFC es GODE561231GR8", "GODE561231GR8", "national_id"),
    ("on the form it says A123456(7)", "A123456(7)", "hk_id"),
    ("sam AT post DOT example DOT org", "sam AT post DOT example DOT org", "email"),
]


@pytest.mark.answers("ASI06 2", "AISVS 8.2.1")
@pytest.mark.parametrize(("text", "value", "kind"), FOUND)
def test_it_is_found_to_its_last_sign_and_taken_out(text: str, value: str, kind: str) -> None:
    assert [(text[each.start : each.end], each.kind) for each in personal_in(text)] == [(value, kind)]
    gate = WriteGate(personal=Ruling.REDACT)
    kept = gate.examine(text).text
    assert value not in kept
    assert gate.examine(kept).text == kept


@pytest.mark.parametrize(
    "text",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",  # its last letter is another
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "hash 0x7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
        "lottery 05-12-23-31-38-44 no luck",
        "fingerprint aa:bb:cc:dd:ee:ff:00:11 of the key",
        "ff:ff:ff:ff:ff:ff is everybody",
        "order number 4711 2234 is late",
        "timestamp 1732790400 in the log",
        "price 12 345 678 dong for dinner",
        "coordinates 40.712776 -74.005974",
        "isbn 0-306-40615-2 in paperback",
        "born 03/04/1991 in Leeds",
        "the dob field is empty",
        "the account was closed in 2019",
        "my account has 1,250,000 points",
        "my booking id is QX7R2LMN",
        "our case id: 500-1234567",
        "see RFC 9162/6962 on logs",
        "social media post got 123456789 views",
        "at 12::30 or so",
        "my passport expires in MAY2031",
        "routing table has 120000000 entries",
        "serial number 490154203237517",
        "std::vector and boost::asio::ip",
        "css a::before and bed::cafe",
        "1234\n5678\n9012\n3456",
        "see you (at) home. bring bread",
        "2014-2019 were the years, call them golden",
    ],
)
def test_what_only_looks_so_is_not(text: str) -> None:
    assert personal_in(text) == []
