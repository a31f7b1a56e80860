"""Writes personal_chat.jsonl: chat-style memories with invented identifiers, labelled; and look-alikes that are none.

Every value is out of a range that is reserved for examples, or has a correct checksum over an invented body.
`python tests/data/make_personal_chat.py` writes the file anew, always the same.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

draw = random.Random(20261126)


def luhn(body: str) -> str:
    for check in "0123456789":
        digits = [int(c) for c in body + check][::-1]
        if sum(digits[0::2] + [d * 2 - 9 * (d > 4) for d in digits[1::2]]) % 10 == 0:
            return body + check
    raise AssertionError


def digits(count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def card() -> str:
    start, size = draw.choice(
        [("400000", 16), ("411111", 16), ("555555", 16), ("222300", 16), ("378282", 15), ("601111", 16)]
    )
    number = luhn(start + digits(size - 1 - len(start)))
    groups = [4, 6, 5] if size == 15 else [4] * 4
    parts, at = [], 0
    for length in groups:
        parts.append(number[at : at + length])
        at += length
    return draw.choice(["", " ", "-"]).join(parts)


def iban() -> str:
    country, body = draw.choice(
        [
            ("DE", 18),
            ("FR", 23),
            ("GB", 18),
            ("ES", 20),
            ("NL", 14),
            ("IT", 23),
            ("CH", 17),
            ("AT", 16),
            ("BE", 12),
            ("PL", 24),
        ]
    )
    if country == "GB":
        bban = "TEST" + digits(14)
    elif country == "NL":
        bban = "TEST" + digits(10)
    elif country == "IT":
        bban = "X" + digits(22)
    else:
        bban = digits(body)
    check = 98 - int("".join(str(int(c, 36)) for c in bban + country + "00")) % 97
    text = f"{country}{check:02d}{bban}"
    spaced = " ".join(re.findall(".{1,4}", text))
    return draw.choice([text, spaced, spaced, text.lower()])


def ssn() -> str:
    return draw.choice(["987-65-432" + digits(1), "078-05-1120", "219-09-9999", "987 65 432" + digits(1)])


def mail() -> str:
    name = draw.choice(
        ["ana.lima", "j.doe", "marek_n", "o'brien.s", "li-wei", "team+memo", "noor77", "zoë.k", "x", "m.al-amin"]
    )
    return name + draw.choice(
        ["@example.com", "@example.org", "@mail.example.net", "@sub.dept.example.edu", "@home.test", "@EXAMPLE.COM"]
    )


def phone() -> str:
    return draw.choice(
        [
            f"(212) 555-01{digits(2)}", f"415-555-01{digits(2)}", f"+1 646 555 01{digits(2)}",
            f"1-800-555-01{digits(2)}",
            f"303.555.01{digits(2)}", f"+44 7700 900{digits(3)}", f"020 7946 0{digits(3)}", f"+49 30 23125{digits(3)}",
            f"+33 6 39 98 {digits(2)} {digits(2)}", f"01 99 00 {digits(2)} {digits(2)}", f"+1-202-555-01{digits(2)}",
            f"+34 600 00{digits(1)} {digits(3)}", f"+91 98765 4{digits(4)}", f"07700 900{digits(3)}",
        ]
    )  # fmt: skip


def ip() -> str:
    return draw.choice(
        [f"192.0.2.{draw.randint(1, 254)}", f"198.51.100.{draw.randint(1, 254)}", f"203.0.113.{draw.randint(1, 254)}",
         f"2001:db8::{draw.randint(1, 0xFFFF):x}", f"2001:db8:0:1::{draw.randint(1, 0xFFF):x}",
         f"2001:db8:85a3::8a2e:370:{draw.randint(4096, 65535):x}"]
    )  # fmt: skip


POSITIVE = {
    "email": (
        mail,
        """you can reach me at {} if the meeting moves
my new work address is {}, please update it
Invoice copies go to {} from now on.
she wrote from {} yesterday, remember that
sign me up with {} for the newsletter
cc {} and leave my old one out
it bounced: <{}> does not exist any more
Contact ({}) prefers short mails
mailto:{} is on the card
{} is the school's address for sick notes""",
    ),
    "phone": (
        phone,
        """call me on {} after six
my mobile is {} now
The dentist's phone number: {}.
text {} when you are downstairs
grandma's landline is {}, she is slow to pick up
whatsapp me at {} pls
new number, who dis? it's {}
In an emergency dial {} and ask for Bo.
He can be reached at {}.
Tel: {}""",
    ),
    "card": (
        card,
        """pay the hotel with {} please
my visa is {} and it expires 09/28
The card on file, {}, was declined.
use {} for the groceries
card number {} belongs to the company
remember this for the booking: {}""",
    ),
    "iban": (
        iban,
        """transfer the rent to {}
My IBAN is {}.
the landlord's account: {}
salary goes to {} since May
refund it to {}, thanks
for the deposit use {} and write the flat number""",
    ),
    "us_ssn": (
        ssn,
        """my ssn is {}
Social security number {} for the form.
they asked for {} on the phone and I refused
tax form needs {} in box a
SSN: {}
it says {} on the old card""",
    ),
    "ip": (
        ip,
        """the printer is at {}
my home server answers on {} only
ssh to {} with the usual user
banned {} after the third try
camera feed: {} in the hallway
logs show {} at night""",
    ),
}

NEGATIVE = """my order number is {8} and it is late
Ticket {10} was closed without an answer.
tracking 1Z{6} says tomorrow
invoice {4}-{4}-{4} is paid
we upgraded to version 10.4.2.1 last night
firmware 2.0.1.7 fixed the beeping
python 3.11.4 broke the build
the flight is LH{4} at 07:45
it was 2024-0{1d}-1{1d} when we moved in
born on 1{1d}.0{1d}.1987 in a small town
the meeting is 12/0{1d}/2025 at 14:30
rent is 1,250.00 a month, 15,000 a year
that costs $1,299.99 with tax
population 8,336,817 in the last count
room 4{2}, building 7, floor 3
isbn 978-3-16-148410-{1}
I ran 10 km in 00:48:3{1d}
the recipe needs 200 g flour, 3 eggs, 150 ml milk
score was 21-19, 18-21, 21-17
serial no. SN-{4}-{4}-{3}
part 555-{2}-X does not fit
the code of the course is CS-{3}-0{1}
she lives at number 4{1d}, second door
we have {4} followers now
lap times 1:02.{3}, 1:03.{3}
bus 42 leaves at 6.15, 6.35 and 6.55
model XPS {4}-{2} with 16 GB
my lottery numbers are 4 8 15 16 23 42
coordinates 48.8584, 2.2945
page 212 of 415, chapter 5.5.1.2
commit 9f8e7d6c5b4a broke it
case id 2024/{6}/B is open
@ana told me about the concert
meet me at the cafe at 5 dot sharp
the ratio is 3:4:5 for the triangle
mac and cheese at 12:00:30 was the alarm
std::vector and foo::bar are types
ten divided by 3 is 3.3333333333
pi is 3.14159265358979 more or less
the year 1984 and the year 2001 films
batch {7} had 20000 pieces
booking reference {9} for two nights
the parcel weighs 1200 grams, id {12}
confirmation {3}-{3}-{5} arrived
room 101 from 2025-01-0{1d} to 2025-02-1{1d}"""


def filled(template: str) -> str:
    def one(found: re.Match[str]) -> str:
        return str(draw.randint(1, 9)) if found[1] == "1d" else digits(int(found[1]))

    return re.sub(r"\{(\d+d?)\}", one, template)


def bad_card() -> str:
    number = luhn("411111" + digits(9))
    return number[:-1] + str((int(number[-1]) + draw.randint(1, 9)) % 10)


def rows() -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    for kind, (make, templates) in POSITIVE.items():
        lines = templates.splitlines()
        for number in range(42):
            value, template = make(), lines[number % len(lines)]
            before, _, after = template.partition("{}")
            start = len(before)
            told.append({"text": before + value + after, "places": [[start, start + len(value), kind]]})
    for template in NEGATIVE.splitlines():
        told += [{"text": filled(template), "places": []} for _ in range(3)]
    for _ in range(10):
        told.append({"text": f"the membership card says {bad_card()}", "places": []})
        wrong = "DE" + f"{draw.randint(10, 96)}" + digits(18)
        bban = wrong[4:]
        if 98 - int("".join(str(int(c, 36)) for c in bban + "DE00")) % 97 != int(wrong[2:4]):
            told.append({"text": f"the label reads {wrong}", "places": []})
        told.append(
            {"text": f"form 000-{digits(2)}-{digits(4)} is void, so is 666-{digits(2)}-{digits(4)}", "places": []}
        )
        told.append({"text": f"host 300.{draw.randint(256, 999)}.1.1 is a typo", "places": []})
    for _ in range(12):
        first, second = mail(), phone()
        text = f"write {first} or call {second} before noon"
        places = [[6, 6 + len(first), "email"], [text.index(second), text.index(second) + len(second), "phone"]]
        told.append({"text": text, "places": places})
    return told


if __name__ == "__main__":
    lines = [json.dumps(row, ensure_ascii=False) for row in rows()]
    Path(__file__).with_name("personal_chat.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
