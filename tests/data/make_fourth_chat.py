"""Writes fourth_chat.jsonl: a fourth labelled set, of wordings, countries and shapes that the others lack.

The lines were written before any rule was measured with them and without a look at the forms that the rules go by; what
they gave then stands in `FIRST_LOOK` of tests/benchmarks/governance_gate.py. Values are invented: reserved ranges, or a
correct check digit over a drawn body. `python tests/data/make_fourth_chat.py` writes the file anew, always the same.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.au import tfn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.cz import rc
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import nif

draw = random.Random(7331)


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
    ("put the hotel on {card} pls, the other one is blocked", {"card": card("4539 #### #### ####")}),
    ("Kartennummer {card}, gültig bis 09/29", {"card": card("5183-####-####-####")}),
    ("they asked me to read {card} out loud on the bus!!", {"card": card("4916############")}),
    ("mi tarjeta nueva: {card}. la vieja la corto", {"card": card("5412 #### #### ####")}),
    ("carte bleue {card} (celle de Paul)", {"card": card("4974 #### #### ####")}),
    ("Amex is {card}", {"card": card("3714 ###### #####")}),
    ("карта {card}, если что", {"card": card("2200 #### #### ####")}),
    ("carta prepagata n. {card}", {"card": card("5333############")}),
    ("refund to {card}? yes, thanks", {"card": card("6011-####-####-####")}),
    ("cartão final {card} nao, o outro", {"card": card("4035 #### #### ####")}),
    ("pay rent to {iban} on the 1st", {"iban": iban("NL", "INGB ##########".replace(" ", ""))}),
    ("IBAN: {iban}\nBIC: XXXXATWW", {"iban": iban("AT", "#### #### #### ####")}),
    ("Überweis mir das bitte auf {iban} :)", {"iban": iban("DE", "#### #### #### #### ##")}),
    ("número de cuenta {iban}", {"iban": iban("ES", "#### #### #### #### ####")}),
    ("tili {iban}, viite 12344", {"iban": iban("FI", "##############")}),
    ("konto {iban}", {"iban": iban("NO", "###########")}),
    ("my Irish account is {iban}.", {"iban": iban("IE", "AIBK ##############".replace(" ", ""))}),
    ("nr konta: {iban} (mama)", {"iban": iban("PL", "#### #### #### #### #### ####")}),
    ("účet {iban}", {"iban": iban("CZ", "#### #### #### #### ####")}),
    ("Para gönder: {iban}", {"iban": iban("TR", "##### # ################".replace(" ", ""))}),
    ("mail me at {email} (not the gmail!)", {"email": "t.okonkwo-hale@studio-nine.example"}),
    ("write to <{email}>", {"email": "Billing.EU@kestrel.example.com"}),
    ("Meine Adresse ist {email}, oder per SMS", {"email": "jutta_93@post.example.de"}),
    ("reply-to={email};cc=none", {"email": "ops+alerts@north.example.io"}),
    ("login: {email} / pw the usual", {"email": "o'hara@law.example.ie"}),
    ("correo {email}", {"email": "x1@a.example.co"}),
    ("{email}?? nobody reads that one", {"email": "info@bäckerei.example"}),
    ("escríbeme a {email}, gracias", {"email": "lucía.p@correo.example.es"}),
    ("call me on {phone} after six", {"phone": "(0)20 7946 0182"}),
    ("my cell: {phone}", {"phone": "415.555.0134"}),
    ("ring {phone}, ask for the night desk", {"phone": "+353 1 555 0190"}),
    ("Handy {phone}", {"phone": "0171/5550199"}),
    ("tel. fijo {phone}", {"phone": "912 555 014"}),
    ("mon numéro c'est le {phone}", {"phone": "06 39 98 12 47"}),
    ("whatsapp {phone}!", {"phone": "+55 11 95555-0143"}),
    ("numero di cellulare {phone}", {"phone": "338 555 0127"}),
    ("text {phone} when you land", {"phone": "+1 (604) 555-0177"}),
    ("телефон {phone}", {"phone": "+7 912 555-01-22"}),
    ("電話は {phone} です", {"phone": "03-5555-0156"}),
    ("puh. {phone}", {"phone": "040 555 0188"}),
    ("mobil {phone} (privat)", {"phone": "0701-740 623"}),
    ("numer telefonu: {phone}", {"phone": "600 555 012"}),
    ("bel me op {phone}", {"phone": "06-55501234"}),
    ("fax went to {phone} by mistake", {"phone": "212-555-0148"}),
    ("SSN for the form: {us_ssn}", {"us_ssn": "219-09-9999"}),
    ("my social is {us_ssn}, don't share it", {"us_ssn": "457 55 5462"}),
    ("social security no {us_ssn}", {"us_ssn": "078051121"}),
    ("server at {ip} is down again", {"ip": "203.0.113.77"}),
    ("ssh root@{ip}", {"ip": "198.51.100.23"}),
    ("my home address is {ip} today, they change it weekly", {"ip": "2001:db8:4f1:9::a2"}),
    ("blocked {ip}/32", {"ip": "192.0.2.201"}),
    ("NIF {national_id}", {"national_id": fitting("2########", nif.is_valid)}),
    ("o meu contribuinte é {national_id}", {"national_id": fitting("1########", nif.is_valid)}),
    ("ΑΜΚΑ: {national_id}", {"national_id": fitting("150385#####", amka.is_valid)}),
    ("moj OIB je {national_id}", {"national_id": fitting("###########", oib.is_valid)}),
    ("ЕГН {national_id}", {"national_id": fitting("900315####", egn.is_valid)}),
    ("isikukood {national_id}", {"national_id": fitting("3850215####", ik.is_valid)}),
    ("rodné číslo {national_id}", {"national_id": fitting("8503154###", rc.is_valid)}),
    ("CPR-nummer {national_id}", {"national_id": fitting("150385-####", cpr.is_valid)}),
    ("fødselsnummer {national_id} står i skjemaet", {"national_id": fitting("150385#####", fodselsnummer.is_valid)}),
    ("my PPS number is {national_id}", {"national_id": fitting("#######@", pps.is_valid)}),
    ("TFN {national_id} for the new job", {"national_id": fitting("### ### ###", tfn.is_valid)}),
    ("CPF {national_id}, pode emitir a nota", {"national_id": fitting("###.###.###-##", cpf.is_valid)}),
    ("mi CUIT es {national_id}", {"national_id": fitting("20-########-#", cuit.is_valid)}),
    ("DNI {national_id} caducado", {"national_id": fitting("########@", dni.is_valid)}),
    ("BSN is {national_id}", {"national_id": fitting("#########", bsn.is_valid)}),
    ("PESEL {national_id}", {"national_id": fitting("850315#####", pesel.is_valid)}),
    ("codice fiscale {national_id}", {"national_id": fitting("RSSMRA85C15H501@", codicefiscale.is_valid)}),
    # what only looks so
    ("order 4539 1488 0343 6468 1122 shipped, tracking 00340434161094042557", {}),
    ("the part number is 415-555-01-X, rev 2.0.113.7", {}),
    ("ISBN 978-3-16-148410-0, second edition", {}),
    ("we sold 219,099 units at 12.50 in week 14", {}),
    ("meeting 2026-03-15 from 09:30 to 11:45 in room 4.101", {}),
    ("invoice DE-2026-370400440532 is open", {}),
    ("my score was 600 555 points, ha", {}),
    ("python 3.11.4 on kernel 6.1.0-18", {}),
    ("follow @studio_nine on there", {}),
    ("seed 1234567890, 15 epochs, loss 0.0701740623", {}),
    ("the ratio is 2001:1918, see chapter 4::2", {}),
    ("lat 52.5200, lon 13.4050", {}),
    ("commit 4f19a2b, ticket 8503154", {}),
    ("it costs 912 555 pesos", {}),
    # names and postal addresses
    ("lunch with {person} on Thursday", {"person": "Tunde Okonkwo"}),
    ("{person} is my new manager, she starts in May", {"person": "Marguerite Vasseur"}),
    ("ask {person} about the boiler", {"person": "Mr. Prabhakaran"}),
    ("my daughter {person} turns six", {"person": "Saoirse"}),
    ("ich treffe {person} am Bahnhof", {"person": "Heinrich Altmann"}),
    ("{person} llega mañana en tren", {"person": "Itziar Goñi"}),
    ("we hired {person} for the garden", {"person": "Piotr Zawadzki"}),
    ("dinner at {person}'s, bring wine", {"person": "Oluwaseun"}),
    ("{person} moved out last week", {"person": "Caoimhe Brannigan"}),
    ("the dentist is called {person}", {"person": "Dr. Yuki Hasegawa"}),
    ("sorry, {person}, I was on the phone", {"person": "Delphine"}),
    ("thanks! - {person}", {"person": "Rasmus Holm"}),
    ("call {person}, she knows", {"person": "aunt Philippa"}),
    ("hat {person} geantwortet?", {"person": "Frau Lindqvist"}),
    ("{person} et moi partons lundi", {"person": "Anouk Lefebvre"}),
    ("my landlord {person} wants cash", {"person": "Giancarlo Ferri"}),
    ("did {person} pay you back", {"person": "kwame mensah"}),
    ("{person} sent the photos", {"person": "NADIA RAHMAN"}),
    ("emergency contact: {person}, brother", {"person": "Tomasz Wrona"}),
    ("I share the flat with {person}", {"person": "Ngozi and Bao"}),
    ("send it to {address}", {"address": "27 Quarry Lane, Flat 3, Leeds LS6 2QT"}),
    ("I live at {address}", {"address": "1180 Juniper Hollow Rd, Asheville, NC 28803"}),
    ("Lieferung an {address}", {"address": "Am Steinbruch 14a, 04229 Leipzig"}),
    ("nous habitons {address}", {"address": "8 bis rue des Tanneurs, 37000 Tours"}),
    ("vivo en {address}", {"address": "Calle del Molino 45, 3º B, 41003 Sevilla"}),
    ("we moved to {address} in June", {"address": "Lindgracht 210, 1015 KL Amsterdam"}),
    ("pick me up at {address}", {"address": "63 Harbour View Terrace"}),
    ("abito in {address}", {"address": "via Garibaldi 12, 10122 Torino"}),
    ("parcel shop: {address}", {"address": "Unit 5, Millbrook Industrial Estate, Cork"}),
    ("the notary is at {address}", {"address": "Storgata 31, 0184 Oslo"}),
    ("new place: {address}, top floor", {"address": "ul. Klonowa 7/19, 30-415 Kraków"}),
    ("address on file is {address}", {"address": "PO Box 4471, Hobart TAS 7001"}),
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
    Path(__file__).with_name("fourth_chat.jsonl").write_text("\n".join(told) + "\n", "utf-8")


if __name__ == "__main__":
    main()
