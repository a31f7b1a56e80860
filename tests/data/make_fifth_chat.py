"""Writes fifth_chat.jsonl: a fifth labelled set, a hundred memories as people tell them to an assistant.

The lines were written before any rule was measured with them and without a look at the forms that the rules go by; what
they gave then stands in `FIRST_LOOK` of tests/benchmarks/governance_gate.py. A third of them hold nothing personal, but
numbers that look like it. Values are invented: reserved ranges, or a correct check digit over a drawn body.
`python tests/data/make_fifth_chat.py` writes the file anew, always the same.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stdnum import luhn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.tr import tckimlik

draw = random.Random(50521)


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


LINES: list[tuple[str, dict[str, Any]]] = [
    # mail
    ("ok so my throwaway is {email} don't use the other one", {"email": "kirsty_b.92@mailbox.example"}),
    ("Sis wants the pictures, hers is {email}.", {"email": "Marguerite.Oyelaran@Example.ORG"}),
    ("mail the deposit slip ({email}) and cc me", {"email": "rentals+unit4b@landlord.example"}),
    ("login for the gym portal: {email} / same pw as always", {"email": "t.vandermeer@gym.example.nl"}),
    ("from <{email}>: invoice attached", {"email": "no.reply-billing@sub-domain.example.co.uk"}),
    ("new teacher's address is {email}, she answers on Fridays", {"email": "ødegård.lærer@skole.example.no"}),
    ("my work one changed to {email}!!", {"email": "jo@x.example"}),
    ("contact:{email};subject:lease", {"email": "o'malley@example.ie"}),
    # phone
    ("text Dana on {phone} when you land", {"phone": "(415) 555-0132"}),
    ("gran's landline is {phone}, ring twice", {"phone": "020 7946 0958"}),
    ("the plumber's {phone} — only before noon", {"phone": "+44 7700 900 417"}),
    ("Mein neues Handy: {phone}", {"phone": "0151 23456789"}),
    ("whatsapp me at {phone}", {"phone": "+34 612 345 678"}),
    ("mon numéro c'est le {phone}", {"phone": "06 12 34 56 78"}),
    ("vet emergencies: {phone} ext. 12", {"phone": "1-800-555-0199"}),
    ("call the hostel in Mumbai {phone}", {"phone": "+91 98765 43210"}),
    ("his cell?? {phone} i think", {"phone": "646.555.0187"}),
    ("fax the form to {phone}", {"phone": "+49 (0)30 901820"}),
    ("My number's {phone} now, the old sim is dead", {"phone": "+61 491 570 156"}),
    ("ligue para {phone} depois das 18h", {"phone": "+55 11 91234-5678"}),
    ("tel.{phone}", {"phone": "+48 512 345 678"}),
    ("the clinic in Osaka picks up on {phone}", {"phone": "+81 6-6345-1234"}),
    # card
    ("use the visa, {card}, for flights", {"card": card("4916 #### #### ####")}),
    ("mastercard ending, hm, whole thing is {card}", {"card": card("2223############")}),
    ("amex for business: {card} cvv is on the back", {"card": card("3782 ###### #####")}),
    ("pay with {card} (exp 11/28)", {"card": card("5299-####-####-####")}),
    ("meine Kreditkarte {card} läuft bald ab", {"card": card("4000 00## #### ####")}),
    ("discover card no {card}", {"card": card("6011############")}),
    ("tarjeta: {card}.", {"card": card("5412 75## #### ####")}),
    ("dad's maestro is {card}", {"card": card("6759 #### #### ####")}),
    ("JCB {card} only works in japan lol", {"card": card("3530 #### #### ####")}),
    # iban
    ("rent goes to {iban} on the 1st", {"iban": iban("DE", "3704 0044 #### #### ##")}),
    ("split the bill, mine is {iban}", {"iban": iban("NL", "INGB##########")}),
    ("mon rib {iban}", {"iban": iban("FR", "3000 4000 #### #### #### #47")}),
    ("send it to {iban} ref: boat", {"iban": iban("GB", "MIDL 40## #### #### ##")}),
    ("Konto: {iban}", {"iban": iban("AT", "12000###########")}),
    ("the sanctuary takes donations at {iban}", {"iban": iban("BE", "5390 0754 ####")}),
    ("conto cointestato {iban}", {"iban": iban("IT", "X054 2811 1010 0000 0### ###")}),
    ("przelew na {iban}", {"iban": iban("PL", "1090 1014 #### #### #### ####")}),
    ("{iban} is the account of the club in Lugano", {"iban": iban("CH", "0076 2011 #### #### #")}),
    ("iban (lower case from the app) {iban} fyi", {"iban": iban("ES", "2100################").lower()}),
    # us_ssn
    ("my ssn for the form is {us_ssn}", {"us_ssn": "219-09-4417"}),
    ("W-9: social {us_ssn}, sign by friday", {"us_ssn": "536 22 8726"}),
    ("SSN={us_ssn}", {"us_ssn": "451-83-2290"}),
    ("Mum's social security number is {us_ssn}, keep it safe", {"us_ssn": "078-64-1123"}),
    # ip
    ("home server sits at {ip}", {"ip": "203.0.113.77"}),
    ("ssh pi@{ip} still works", {"ip": "198.51.100.23"}),
    ("my vpn exit was {ip} yesterday", {"ip": "2001:db8:85a3::8a2e:370:7334"}),
    ("whitelist {ip}/32 please", {"ip": "192.0.2.146"}),
    ("the camera answers on http://{ip}:8080/", {"ip": "203.0.113.9"}),
    # national ids
    ("my NHS number is {national_id}", {"national_id": fitting("943 ### ####", nhs.is_valid)}),
    ("mi dni {national_id} caduca en mayo", {"national_id": fitting("5#######@", dni.is_valid)}),
    ("NIE: {national_id}", {"national_id": fitting("Y#######@", nie.is_valid)}),
    ("PESEL babci to {national_id}", {"national_id": fitting("4512#######", pesel.is_valid)}),
    ("bsn for the dentist: {national_id}", {"national_id": fitting("1########", bsn.is_valid)}),
    ("Steuer-ID {national_id} für Elster", {"national_id": fitting("## ### ### ###", idnr.is_valid)}),
    ("my SIN is {national_id} (canada)", {"national_id": fitting("### ### ###", sin.is_valid)}),
    ("cpf do João: {national_id}", {"national_id": fitting("###.###.###-##", cpf.is_valid)}),
    ("aadhaar {national_id} linked to the bank", {"national_id": fitting("#### #### ####", aadhaar.is_valid)}),
    ("AHV-Nummer {national_id}", {"national_id": fitting("756.####.####.##", ahv.is_valid)}),
    ("personnummer {national_id}, till vårdcentralen", {"national_id": fitting("860412-####", personnummer.is_valid)}),
    ("hetu: {national_id}", {"national_id": fitting("131052-###@", hetu.is_valid)}),
    ("numéro de sécu {national_id}", {"national_id": fitting("2 84 05 88 ### ### ##", nir.is_valid)}),
    (
        "codice fiscale {national_id} per la farmacia",
        {"national_id": fitting("MRT@TT91D08F205@", codicefiscale.is_valid)},
    ),
    ("rijksregister {national_id}", {"national_id": fitting("85.07.30-###.##", nn.is_valid)}),
    ("CNP-ul meu este {national_id}", {"national_id": fitting("185102#######", cnp.is_valid)}),
    ("curp {national_id} para el trámite", {"national_id": fitting("BOXW310820HNERXN0#", curp.is_valid)}),
    ("TC kimlik no {national_id}", {"national_id": fitting("#" * 11, tckimlik.is_valid)}),
    # two in a line
    (
        "book under {email}, or they call {phone}",
        {"email": "w.achterberg@example.net", "phone": "+31 6 12345678"},
    ),
    ("card {card}, receipts to {email}", {"card": card("4539 #### #### ####"), "email": "ap@firm.example"}),
    # nothing personal, though it looks like it
    ("order 114-3941689-8772232 arrives on Tuesday", {}),
    ("flight LH 2037 at 06:45, seat 23F, booking ZQ7K4M", {}),
    ("the marathon took me 3:58:21.44, bib 20417", {}),
    ("isbn 978-3-16-148410-0 is the one I wanted", {}),
    ("part no 6205-2RS-C3, about 14.99 each", {}),
    ("build 10.0.22631.4460 broke my printer", {}),
    ("upgrade node to v20.11.1 and chrome to 131.0.6778.86", {}),
    ("UPS 1Z999AA10123456784 says out for delivery", {}),
    ("our mortgage is 312,450.00 at 3.85 % until 2041-06-30", {}),
    ("the house was 1 250 000 kr in 2019", {}),
    ("standup moved to 2026-04-07T09:30:00+02:00", {}),
    ("latitude 52.520008, longitude 13.404954 is where we parked", {}),
    ("commit 3f9a1c7d2b8e4f60 fixed the flicker", {}),
    ("I scored 2 147 483 647 points, the counter is stuck", {}),
    ("my step counts were 10432 11876 9023 12001 this week", {}),
    ("meeting id 845 1122 9034 for zoom", {}),
    ("lot 20251103-77 expires 11/2027", {}),
    ("serial C02XK0AAJG5J for the old macbook", {}),
    ("polls: 48-45-7, margin 3.1", {}),
    ("room 4.117, second door after 4.112", {}),
    ("ratio 16:9, 3840x2160 at 144 Hz", {}),
    ("we met 12.03.2014 and married 12.03.2018", {}),
    ("@marta_builds on insta, not an email", {}),
    ("paint code RAL 7016, filler 0451-2", {}),
    ("win number 4 8 15 16 23 42 again haha", {}),
    ("VIN 1HGCM82633A004352 for the insurance", {}),
    ("pH 7.35-7.45 and 120/80, doc is happy", {}),
    ("ticket #48213377 is still open with the isp", {}),
    ("the pie needs 1-800 grams? no: 1 800 g of apples", {}),
    ("version string is 2.4.0.1 and it crashes", {}),
]


def row(text: str, values: dict[str, str]) -> dict[str, Any]:
    """A line as it is labelled: the text, and the places of its values."""
    places = []
    for kind, value in values.items():
        at = text.index("{" + kind + "}")
        text = text.replace("{" + kind + "}", value)
        places.append([at, at + len(value), kind])
    return {"text": text, "places": places}


def main() -> None:
    told = [json.dumps(row(text, values), ensure_ascii=False) for text, values in LINES]
    Path(__file__).with_name("fifth_chat.jsonl").write_text("\n".join(told) + "\n", "utf-8")


if __name__ == "__main__":
    main()
