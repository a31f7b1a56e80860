"""Writes held_out_chat.jsonl: a second labelled set, written without a look at the rules that are measured with it.

Other countries, spacing, languages and carriers than personal_chat.jsonl, names and postal addresses as well (which
only a model finds), and look-alikes that are nobody's: orders, versions, dates, prices, numbers failing their check.
Values are invented: reserved ranges, or a correct check digit over a drawn body.
`python tests/data/make_held_out_chat.py` writes the file anew, always the same.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from stdnum import luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel

draw = random.Random(811)


def digits(count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def grouped(text: str, sizes: list[int], by: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return by.join([*parts, text[at:]] if text[at:] else parts)


def card() -> str:
    start, size = draw.choice(
        [("4539", 16), ("5105", 16), ("2720", 16), ("3714", 15), ("6011", 16), ("3528", 16), ("3056", 14)]
    )
    body = start + digits(size - 5)
    number = body + luhn.calc_check_digit(body)
    sizes = {16: [4, 4, 4], 15: [4, 6], 14: [4, 6]}[size]
    return grouped(number, sizes, draw.choice(["", " ", "-", "\u00a0", "."]))


def iban() -> str:
    country, body = draw.choice(
        [
            ("SE", digits(20)),
            ("NO", digits(11)),
            ("DK", digits(14)),
            ("PT", digits(21)),
            ("IE", "TEST" + digits(14)),
            ("FI", digits(14)),
            ("CZ", digits(20)),
            ("LT", digits(16)),
            ("GR", digits(23)),
            ("GB", "TEST" + digits(14)),
            ("DE", digits(18)),
            ("BR", digits(23) + "C1"),
        ]
    )
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{body}"
    shown = grouped(whole, [4] * (len(whole) // 4), draw.choice(["", " ", "\u00a0", "-"]))
    return shown.lower() if draw.random() < 0.2 else shown


def phone() -> str:
    return draw.choice(
        [
            lambda: f"+44 20 7946 0{digits(3)}",
            lambda: f"07700 900 {digits(3)}",
            lambda: f"+1 (212) 555-01{digits(2)}",
            lambda: f"212.555.01{digits(2)}",
            lambda: f"1-800-555-01{digits(2)}",
            lambda: f"+49 (0)30 23125 {digits(3)}",
            lambda: f"+49 171 39200{digits(2)}",
            lambda: f"+61 491 570 {digits(3)}",
            lambda: f"+353 20 91{digits(1)} {digits(4)}",
            lambda: f"+55 11 9{digits(4)}-{digits(4)}",
            lambda: f"+91 98{digits(3)} {digits(5)}",
            lambda: f"+34 6{digits(2)} {digits(2)} {digits(2)} {digits(2)}",
            lambda: f"+39 06 698 {digits(5)}",
            lambda: f"+31 6 1{digits(3)} {digits(4)}",
            lambda: f"+48 601 {digits(3)} {digits(3)}",
            lambda: f"0033 6 39 98 {digits(2)} {digits(2)}",
            lambda: f"+81-90-{digits(4).replace('0', '3')}-{digits(4)}",
            lambda: f"+52 55 5{digits(3)} {digits(4)}",
        ]
    )()


def email() -> str:
    name = draw.choice(
        [
            "m.okafor",
            "jürgen.w",
            "PRIYA_K",
            "sven-ole",
            "lucia.b+shop",
            "q7",
            "info.kova",
            "anne--marie",
            "x.y.z",
            "d'arcy",
            "b%20c",
            "t_2024",
        ]
    )
    host = draw.choice(
        ["example.de", "mail.example.co.uk", "post.example.museum", "EXAMPLE.ORG", "a-b.example", "uni.example.ac.jp"]
    )
    return f"{name}@{host}"


def ip() -> str:
    v6 = f"2001:db8:{draw.randrange(1, 9999):x}::{draw.randrange(1, 9999):x}"
    return draw.choice(
        [f"198.51.100.{draw.randrange(1, 255)}", f"203.0.113.{draw.randrange(1, 255)}", v6, "2001:DB8::" + digits(2)]
    )


def ssn() -> str:
    return f"{draw.randrange(10, 665):03d}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}"


def national() -> str:
    def brazil() -> str:
        body = digits(9)
        return cpf.format(body + cpf._calc_check_digits(body))

    def spain() -> str:
        body = digits(8)
        return body + draw.choice(["", "-"]) + dni.calc_check_digit(body)

    def italy() -> str:
        body = f"RSS{draw.choice(['MRA', 'LCU', 'GNN'])}{draw.randrange(50, 99)}A{draw.randrange(10, 29)}H501"
        return body + codicefiscale.calc_check_digit(body)

    def netherlands() -> str:
        while not bsn.is_valid(found := digits(9)):
            pass
        return found

    def poland() -> str:
        body = f"{draw.randrange(50, 99)}0{draw.randrange(1, 9)}1{draw.randrange(0, 9)}{digits(4)}"
        return body + pesel.calc_check_digit(body)

    def germany() -> str:
        while not idnr.is_valid(found := draw.choice("123456789") + digits(10)):
            pass
        return grouped(found, [2, 3, 3], draw.choice(["", " "]))

    made: list[Callable[[], str]] = [brazil, spain, italy, netherlands, poland, germany]
    return draw.choice(made)()


PEOPLE = (
    "Marta Olszewska,Tom Hadley,Ngozi Eze,Jürgen Weidmann,Lucía Barrios,Pieter van Dam,Aisha Rahman,Kenji Mori,"
    "Chloé Lambert,Dimitri Pappas,Sarah O'Neill,Rajesh Kulkarni,Ingrid Solberg,Carlos Medina,Wei Zhang,Helen Brooks"
).split(",")
STREETS = (
    "14 Larch Close, Ely CB7 4XX|Lindenstraße 27, 10969 Berlin|1208 Maple Avenue, Springfield, IL 62704|"
    "Calle Mayor 5, 2º B, 28013 Madrid|3 rue des Lilas, 69003 Lyon|Prinsengracht 512, 1017 KH Amsterdam|"
    "Flat 3, 88 Harbour Road, Leith|ul. Polna 9/4, 00-622 Warszawa|77 King St W, Toronto|Via Verdi 40, 20121 Milano"
).split("|")
VALUES: dict[str, Callable[[], str]] = {
    "card": card,
    "iban": iban,
    "phone": phone,
    "email": email,
    "ip": ip,
    "us_ssn": ssn,
    "national_id": national,
    "person": lambda: draw.choice(PEOPLE),
    "address": lambda: draw.choice(STREETS),
}
# One memory a line; <kind> is where a value stands. Each line is used six times, a look-alike four times.
CARRIERS = """\
pls remember: put the hotel on <card> exp 04/29, not on the company one
La tarjeta que uso para el gimnasio es <card>.
Karte für die Bahn: <card>, gültig bis 11/28
the support bot asked for my card so i typed "<card>" and it crashed
old card (<card>) was cancelled in March; new one comes Friday
Refund goes back to card no. <card>/<person> within 5 days
rent goes to <iban> on the 1st
Überweise die Kaution bitte an <iban>, Verwendungszweck "Wohnung 12"
mi IBAN nuevo: <iban>
IBAN=<iban>;BIC=TESTGB2L
Salary account changed to <iban>. Tell HR.
my mum's number is <phone>, call after six
<phone> <- plumber, fast and not too dear
Ruf mich unter <phone> an, wenn du da bist
llámame al <phone> o escríbeme a <email>
Tel.: <phone> / Mail: <email>
new mobile <phone>, delete the old one
whatsapp me on <phone>!
if the alarm goes off ring <phone> and ask for <person>
send the scans to <email> please
Meine Adresse ist <email>, nicht die alte.
cc <email>,<email> on everything about the flat
mailto:<email>?subject=keys
<<email>> bounced again
ssh into the pi at <ip> from home only
router logs show <ip> trying port 22 all night
vpn exit is <ip> port 51820 this month
whitelist <ip>/32 for the staging box
my ssn is <us_ssn>, needed for the W-4
SSN: <us_ssn> (wife's: <us_ssn>)
social security number <us_ssn> was on the letter
Mein Steuer-ID-Brief und der DNI: <national_id>, bitte merken
tax id / national id number <national_id> goes on the form
ID (carnet, CPF, BSN, PESEL or codice fiscale) on file: <national_id>.
<person> is allergic to walnuts
I'm meeting <person> and <person> for lunch on Tuesday
Der Hausarzt heißt <person>, Praxis um die Ecke
El cumpleaños de <person> es en mayo
remind me that <person> prefers tea, no sugar
my therapist <person> moved the slot to 4 pm
<person>'s daughter starts school in September
we live at <address> now
parcel should go to <address>, not to the office
Unsere neue Adresse: <address>
<person> moved to <address> last month, phone <phone>
"""
NONE = """\
order no. {16} shipped, arrives Thursday
tracking 1Z{16}4 says out for delivery
invoice 2026-{4}-{6} is still open
upgraded to v{1}.{2}.{1}.{1} and the tests pass
python 3.{2}.{1} breaks the build, 3.11.9 is fine
chrome 126.0.{4}.{3} crashes on that page
meeting on 2026-0{1}-1{1} at 14:30, room {3}
Termin am 1{1}.0{1}.2026 um 9:15 Uhr
the flat costs 1.{3}.000,00 euros, too much
price went from $1,{3},{3} to $9{2},{3}
commit 4f{6}ab fixes issue {4}
isbn 978-3-16-{6}-0 was the book
the score was {1}-{1} after {2} minutes
flight LH{4} seat 2{1}C gate B4{1}
ratio 1:{2}, chapter 3:{2}, psalm 119:{2}
call me maybe, section 12.{1}.{1}.{1} of the spec
uuid 123e4567-e89b-12d3-a456-{6}{6}
temperature log: 21.{1} 22.{1} 23.{1} 24.{1}
ticket JIRA-{5} duplicates JIRA-{4}
lottery numbers {2} {2} {2} {2} {2} {2}
pi is 3.14159265358979323846, he knows it by heart
epoch 17{8} was in the log, ms 17{8}000
we need 12{3} x 8{2} x 2{2} mm boards
@marta_codes on the forum, and use @property in the class
part number 55{2}-{4}-{3}-A, not 55{2}-{4}-{3}-B
between 1990-2026 there were {5}-{5} visitors
"""


def broken_card() -> str:
    body = "4539" + digits(11)
    return body + str((int(luhn.calc_check_digit(body)) + draw.randrange(1, 9)) % 10)


def rows() -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for carrier in CARRIERS.splitlines():
        for _ in range(6):
            text, places, at = "", [], 0
            for hole in re.finditer(r"<(\w+)>", carrier):
                text += carrier[at : hole.start()]
                value = VALUES[hole[1]]()
                places.append([len(text), len(text) + len(value), hole[1]])
                text, at = text + value, hole.end()
            made.append({"text": text + carrier[at:], "places": places})
    for carrier in NONE.splitlines():
        for _ in range(4):
            made.append({"text": re.sub(r"\{(\d+)\}", _filled, carrier), "places": []})
    for _ in range(8):
        made.append({"text": f"reference {broken_card()} is no card, the last digit is off", "places": []})
        made.append({"text": f"DE00 {digits(4)} {digits(4)} {digits(4)} {digits(4)} {digits(2)} bounced", "places": []})
        made.append({"text": f"sample ssn 000-{digits(2)}-{digits(4)} from the manual", "places": []})
        made.append({"text": f"host 300.{digits(1)}.2.{digits(1)} is a typo", "places": []})
    return made


def _filled(hole: re.Match[str]) -> str:
    if hole[1] == "16":
        while luhn.is_valid(found := "9" + digits(15)):  # sixteen digits which are no card
            pass
        return found
    return draw.choice("123456789") + digits(int(hole[1]) - 1)


if __name__ == "__main__":
    path = Path(__file__).with_name("held_out_chat.jsonl")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()), "utf-8")
