"""Writes sixth_chat.jsonl: a sixth labelled set, 150 memories as people tell them to an assistant.

The lines were written before any rule was measured with them and without a look at the forms that the rules go by; what
they gave then stands in `FIRST_LOOK` of tests/benchmarks/governance_gate.py. A quarter of them are harmless, but hold
numbers that look like it, or names of things. Values are invented: reserved ranges, or a correct check digit over a
drawn body. `python tests/data/make_sixth_chat.py` writes the file anew, always the same.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stdnum import luhn
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.ie import pps
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.za import idnr as za

draw = random.Random(61126)


def fitting(form: str, check: Callable[[str], bool] = lambda _: True) -> str:
    """The form with a drawn digit for every `#` and a drawn capital for every `@`, so that it passes the check."""
    while True:
        found = re.sub("#", lambda _: draw.choice("0123456789"), form)
        found = re.sub("@", lambda _: draw.choice("ABCDEFGHJKLMNPRSTVWXYZ"), found)
        if check(found):
            return found


def card(form: str) -> str:
    return fitting(form, lambda number: luhn.is_valid(re.sub(r"\D", "", number)))


def iban(country: str, form: str) -> str:
    body = fitting(form)
    plain = body.replace(" ", "")
    number = int("".join(str(int(each, 36)) for each in plain + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{plain}"
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if " " in body else whole


LINES: list[tuple[str, list[tuple[str, str]]]] = [
    # mail
    ("for the recipe newsletter i signed up as {}", [("email", "flourandsalt+recipes@inbox.example.com")]),
    (
        "PTA list: {}, {}, {}",
        [("email", "nina@pta.example"), ("email", "r.obi@pta.example"), ("email", "kc_99@pta.example.org")],
    ),
    ("zoe's mail?? {} (all lowercase!)", [("email", "zoe-marie.k@students.example.edu")]),
    ("mailto:{}?subject=hi is what the flyer says", [("email", "allotments@parish.example.uk")]),
    ("Meine neue Mailadresse lautet {} – bitte überall ändern.", [("email", "h.grünwald@beispiel.example.de")]),
    ("apple id = {}", [("email", "MARTA.LIMA@ICLOUD.EXAMPLE")]),
    ('he writes from "{}" when he travels', [("email", "yusuf_at_sea@mail-1.example.net")]),
    ("forward the tickets to <{}> please", [("email", "b.o'neill@venue.example.ie")]),
    ("Correo del colegio: {}.", [("email", "secretaria@colegio-sur.example.es")]),
    ("my two inboxes are {}/{}", [("email", "ana@home.example"), ("email", "ana.v@work.example")]),
    # phone
    ("Babysitter: {} (Jules), she doesn't do Sundays", [("phone", "(212) 555-0164")]),
    ("the new extension at work is 4417 but from outside it's {}", [("phone", "+1 617-555-0110")]),
    ("ring {} and ask for the night desk", [("phone", "0161 496 0733")]),
    ("dad picked up a uk sim, {}", [("phone", "07700 900461")]),
    ("Tierarzt Notdienst {}", [("phone", "089 / 123 456 78")]),
    ("neue Nummer von Oma: {}", [("phone", "+49 171 2345678")]),
    ("mon portable: {}", [("phone", "+33 6 39 98 12 34")]),
    ("el fontanero contesta en el {}", [("phone", "612 34 56 78")]),
    ("numero di casa {}", [("phone", "+39 06 6982 1234")]),
    ("call me on {} tonight", [("phone", "+353 86 123 4567")]),
    ("the pharmacy picks up at {}", [("phone", "555-867-5309")]),
    ("hotel reception {} / room service 9", [("phone", "+81-3-3224-9999")]),
    ("signal works best for me: {}", [("phone", "+46 70 123 45 67")]),
    ("text STOP doesn't help, {} keeps calling", [("phone", "+1.305.555.0177")]),
    ("landlord's cell is {}, don't call after 8", [("phone", "9175550148")]),
    ("Praxis Dr. Wendt, Tel. {}", [("phone", "030-9018-20")]),
    ("tia em lisboa: {}", [("phone", "+351 912 345 678")]),
    ("the driver's number was {} I think", [("phone", "+91-99876-54321")]),
    ("if the alarm goes off: {}", [("phone", "0800 555 0199")]),
    ("Nieuw nummer van Joost: {}", [("phone", "06-12345678")]),
    # card
    ("the joint card is {}, use it for groceries", [("card", card("4147 20## #### ####"))]),
    ("new mastercard arrived!! {}", [("card", card("5425############"))]),
    ("amex {} exp 04/29 cvc somewhere in the drawer", [("card", card("3714 ###### #####"))]),
    ("the rental kept my card no. ({}) on file", [("card", card("4532-####-####-####"))]),
    ("numéro de carte : {}", [("card", card("4970 1### #### ####"))]),
    ("Kreditkarte für Abos: {}", [("card", card("5301 25## #### ####"))]),
    ("don't use {} any more, it was skimmed in Rome", [("card", card("6011 00## #### ####"))]),
    ("card ending 4242 is the old one, the full new one is {}", [("card", card("4242 #### #### ####"))]),
    # iban
    ("landlord's new account: {}", [("iban", iban("DE", "1203 0000 #### #### ##"))]),
    ("kannst du das Geld auf {} schicken", [("iban", iban("DE", "50010517##########"))]),
    ("sepa: {} (mine) and {} (his)", [("iban", iban("NL", "RABO##########")), ("iban", iban("BE", "#######3####"))]),
    ("iban for the choir trip {}", [("iban", iban("IE", "AIBK 9311 52## #### ##"))]),
    ("virement à faire sur {} avant le 5", [("iban", iban("FR", "2004 1010 0505 #### #M02 606"))]),
    ("cuenta del club: {}", [("iban", iban("ES", "0049 0001 #### #### ####"))]),
    ("przelej na {} do piątku", [("iban", iban("PL", "114020040000############"))]),
    ("the danish cottage wants {}", [("iban", iban("DK", "0040 0440 #### ##"))]),
    ("IBAN:{};BIC:XXXXDEFF", [("iban", iban("LU", "0019400644######"))]),
    # us_ssn
    ("her social is {} – needed for the lease", [("us_ssn", "472-81-0094")]),
    ("ssn {}", [("us_ssn", "318-44-9027")]),
    ("the accountant still has SSN: {} on the old form", [("us_ssn", "601 55 3318")]),
    ("social security no. {} goes on line 2", [("us_ssn", "229-61-7745")]),
    # ip
    ("the printer is at {} again", [("ip", "198.51.100.61")]),
    ("router says wan {} since the outage", [("ip", "203.0.113.204")]),
    ("my ipv6 is {} if you want to test", [("ip", "2001:db8:0:12::7f")]),
    ("block {} and {} in the firewall", [("ip", "192.0.2.33"), ("ip", "192.0.2.200")]),
    ("ping {} -c 4", [("ip", "198.51.100.8")]),
    # national ids
    ("NHS no {} for the referral", [("national_id", fitting("485 ### ####", nhs.is_valid))]),
    ("mi dni es {}", [("national_id", fitting("7#######@", dni.is_valid))]),
    ("pesel {} do recepty", [("national_id", fitting("8805#######", pesel.is_valid))]),
    ("BSN {} doorgeven aan de huisarts", [("national_id", fitting("2########", bsn.is_valid))]),
    ("Steueridentifikationsnummer: {}", [("national_id", fitting("###########", idnr.is_valid))]),
    ("CPF {} para a nota", [("national_id", fitting("###.###.###-##", cpf.is_valid))]),
    ("aadhaar no. {}", [("national_id", fitting("#### #### ####", aadhaar.is_valid))]),
    ("PAN card {} for the refund", [("national_id", fitting("@@@P@####@", pan.is_valid))]),
    ("AHV {} steht auf der Karte", [("national_id", fitting("756.####.####.##", ahv.is_valid))]),
    ("hetu {} kelaa varten", [("national_id", fitting("070874-###@", hetu.is_valid))]),
    ("ma sécu c'est {}", [("national_id", fitting("1 79 03 75 ### ### ##", nir.is_valid))]),
    ("codice fiscale: {}", [("national_id", fitting("BNCLRA85C45H501@", codicefiscale.is_valid))]),
    ("rijksregisternummer {}", [("national_id", fitting("79.11.02-###.##", nn.is_valid))]),
    ("PPS number {} for revenue", [("national_id", fitting("#######@A", pps.is_valid))]),
    ("fødselsnummer {} til banken", [("national_id", fitting("120590#####", fodselsnummer.is_valid))]),
    ("cpr-nummer {}, husk det til lægen", [("national_id", fitting("230487-####", cpr.is_valid))]),
    ("rodné číslo {} pro pojišťovnu", [("national_id", fitting("805612/####", rc.is_valid))]),
    ("ЕГН {} за лекаря", [("national_id", fitting("7501######", egn.is_valid))]),
    ("my tfn is {} (new job)", [("national_id", fitting("### ### ###", tfn.is_valid))]),
    ("RUT {} para la boleta", [("national_id", fitting("12.###.###-#", rut.is_valid))]),
    ("SA id number {}", [("national_id", fitting("900615#######", za.is_valid))]),
    # hidden in unusual writing
    ("card with dots: {}", [("card", card("4556.####.####.####"))]),
    ("full width from the japanese keyboard {}", [("phone", "＋８１ ９０ １２３４ ５６７８")]),
    ("no-break spaces: {}", [("card", card("4024 #### #### ####"))]),
    ("en dashes ruin everything: {}", [("us_ssn", "409–52–1886")]),
    ("phone with no-break hyphens {}", [("phone", "+44 20‑7946‑0321")]),
    # several kinds in one
    (
        "dentist: {}, {}, bring card {}",
        [("phone", "(303) 555-0119"), ("email", "desk@dental.example"), ("card", card("4929 #### #### ####"))],
    ),
    ("{} | {} | newsletter yes", [("email", "kim@studio.example"), ("phone", "+82 10-1234-5678")]),
    # names and addresses
    ("{} is picking the kids up on Thursday", [("person", "Odalys Ferreira")]),
    ("had lunch with {} and {}", [("person", "Graham Tully"), ("person", "Ines Vandevelde")]),
    ("my therapist is called {}", [("person", "Dr. Miriam Adeyemi")]),
    ("the contract goes to {}, {}", [("person", "Petra Wolanski"), ("address", "48 Mill Lane, Otley LS21 3DQ")]),
    ("we moved: {}", [("address", "Lindenstraße 17, 10969 Berlin")]),
    ("deliver to {}, ring twice", [("address", "1207 Cedar Ridge Dr, Austin, TX 78704")]),
    ("{} owes me forty quid", [("person", "Callum Reid")]),
    ("pls remind me that {} is vegan now", [("person", "Anneke")]),
    ("{} from accounts signs off the invoices", [("person", "Deborah Nwosu")]),
    ("my brother-in-law {} lives in Porto", [("person", "Nuno Salgueiro")]),
    ("Unser Vermieter heißt {}", [("person", "Herr Krautschneider")]),
    ("spare key is with {} at {}", [("person", "Mrs. Abernathy"), ("address", "9 Thornton Crescent, Leeds LS17 8HB")]),
    ("{}'s recital is on the 12th", [("person", "Bea Lindholm")]),
    ("call {} about the boiler", [("person", "Stan Kowalczyk")]),
    ("the cat sitter, {}, has the code", [("person", "Yuki Tanabe")]),
    ("send flowers to {}", [("address", "22 rue Oberkampf, 75011 Paris")]),
    ("met {} at the climbing wall, works at a bank", [("person", "Tobias Engström")]),
    ("my sister {} had a baby girl, {}", [("person", "Farah"), ("person", "Leila")]),
    ("office is now at {}", [("address", "350 Harbour Street, Suite 410, Vancouver BC V6B 2W9")]),
    ("grandma's address: {}", [("address", "Calle de Atocha 61, 28012 Madrid")]),
    ("old {} taught me to weld", [("person", "Mr Pritchard")]),
    ("interview with {} of Northgate on Monday", [("person", "Sunniva Bakke")]),
    ("garage is {}", [("address", "15B Station Road, Ely CB7 4BS")]),
    ("I trust {} with the accounts but not {}", [("person", "Wei Zhang"), ("person", "Roland Petit")]),
    ("yoga with {} at seven", [("person", "Camille")]),
    ("parcel went to the neighbours at {}", [("address", "Kerkstraat 102, 1017 GP Amsterdam")]),
    # nothing personal, though it looks like it
    ("tracking 9400 1118 9956 2209 3321 00 says delayed", []),
    ("invoice 2026-000417, due 30 days net, total 1,249.00", []),
    ("booking ref KX7P2M, coach C seat 42", []),
    ("ean 4006381333931 is the blue marker", []),
    ("my half marathon splits: 5:12 5:09 5:15 5:21", []),
    ("kernel 6.8.0-51 finally fixed the wifi", []),
    ("the drill takes 18 V 5.0 Ah batteries, model 2804-20", []),
    ("sourdough: 500 g flour, 350 g water, 10 g salt, 100 g starter", []),
    ("score was 3-2, 17 minutes of extra time", []),
    ("bus 73 then 390 then walk 600 m", []),
    ("firmware 4.3.6.11681 is the bad one", []),
    ("asin B08N5WRWNW, the older one was better", []),
    ("blood pressure 128/84, pulse 61, twice this week", []),
    ("the lease runs 2024-09-01 to 2027-08-31", []),
    ("we need 24 chairs, 6 tables, 3 tents by 14:30", []),
    ("gps track: 47.3769 N 8.5417 E, 432 m up", []),
    ("warranty no. WRN-00-4471-88-2 ends in March", []),
    ("sudoku 123456789 987654321 finished in 11:42", []),
    ("quote #88-20416 for the windows: 7.480,50", []),
    ("the combination for the bike shed rhymes with nothing", []),
    ("train ICE 1174 leaves 08:03 from platform 7", []),
    ("issue 4417 and PR 4420 both touch the parser", []),
    ("temperature fell from 21.4 to 3.9 in 6 h", []),
    ("lottery 3 14 27 33 41 bonus 8", []),
    ("paint 5 L of Farrow 2005, two coats", []),
    ("the meter reads 048213 kWh today", []),
    ("passcode-free wifi at the library now", []),
    ("postcode lottery again no win", []),
    ("I prefer april to may, and jasmine to rose", []),
    ("mercury is in retrograde, paris by night, amazon prime day", []),
    ("version 2025.11.3.1 of the app crashes on start", []),
    ("error 0x80070057 at 00:14:37", []),
    ("will hunt for mark downs; bill is due, sue nobody", []),
    ("doi 10.1000/182 and arXiv 2506.01234", []),
    ("mac 00:1A:2B:3C:4D:5E is the tv", []),
    ("three for two at the garden centre until 31.05.", []),
    ("run 16 x 400 m at 1:32 with 60 s rest", []),
    ("case number 24-CV-01187 was settled", []),
    ("part 16 of 20, chapter 7, page 201", []),
    ("seed packets: 12 x 0.35 g, sow 1-2 cm deep, 15-20 days", []),
]  # fmt: skip


def row(text: str, values: list[tuple[str, str]]) -> dict[str, Any]:
    """A line as it is labelled: the text, and the places of its values, which stand for `{}` in turn."""
    places = []
    for kind, value in values:
        at = text.index("{}")
        text = text.replace("{}", value, 1)
        places.append([at, at + len(value), kind])
    return {"text": text, "places": places}


def main() -> None:
    told = [json.dumps(row(text, values), ensure_ascii=False) for text, values in LINES]
    Path(__file__).with_name("sixth_chat.jsonl").write_text("\n".join(told) + "\n", "utf-8")


if __name__ == "__main__":
    main()
