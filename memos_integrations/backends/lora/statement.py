"""A sentence taken apart for teaching: who, what is said of them, and the word that answers. Pure, by rules.

The rules know English word order and no topic. A sentence that they cannot take apart is still taught, as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ADVERBS = "always also often now still usually never currently recently really mostly sometimes just only already"
_LINKS = "is are was were has have had does did can could will would may might must should"
_STEMS = (
    "in at on to from with for as by near of about into over under behind through called named a an the his her their "
    "its your our my not currently born married based located"
)
_PLACES = frozenset("in at near to from into behind".split())
_TIMES = re.compile(
    r"^(?:\d|noon|midnight|dawn|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july"
    r"|august|september|october|november|december|(?:every|last|next|this)\b|summer|winter|spring|autumn)",
    re.IGNORECASE,
)
_NAME = r"[A-Z][\w'.-]*(?: (?:of |de |van |von |al-)?[A-Z][\w'.-]*){0,4}"  # an apostrophe ends a name's owner
_OWNED = rf"{_NAME}(?:'s) (?:\w[\w-]* ){{0,3}}?\w[\w-]*"
_THING_WORDS = "The|My|Our|Their|Her|His|Your|This|That|A|An"
_THING = rf"(?:{_THING_WORDS}) (?:[\w'-]+ ){{0,4}}?[\w'-]+"
_ADVERB = rf"(?:(?:{'|'.join(_ADVERBS.split())}) )*"
_LINKED = re.compile(
    rf"^(?P<who>{_OWNED}|{_THING}|{_NAME}) (?P<verb>{_ADVERB}(?:{'|'.join(_LINKS.split())})) (?P<rest>.+)$"
)
_ACTIVE = re.compile(rf"^(?P<who>{_OWNED}|{_NAME}(?<!'s)|{_THING}) (?P<verb>{_ADVERB}[a-z]+(?:s|ed)) (?P<rest>.+)$")
_ANY = re.compile(rf"^(?P<who>{_NAME})(?<!'s) (?P<verb>{_ADVERB}[a-z]+) (?P<rest>.+)$")
_MOST = 240


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence: *who*, the *verb*, the small words before the *value*, and what comes after them.

    `whole` is the sentence as it was said, with its full stop.
    """

    whole: str
    who: str
    verb: str
    stem: str
    value: str

    @property
    def lead(self) -> str:
        """The sentence up to its value: what a gap is put after."""
        return " ".join(part for part in (self.who, self.verb, self.stem) if part)

    @property
    def inside(self) -> str:
        """Who, as it stands inside a sentence: "the printer" rather than "The printer"."""
        first = self.who.split(" ")[0]
        return self.who[:1].lower() + self.who[1:] if first in _THING_WORDS.split("|") else self.who

    @property
    def place(self) -> str:
        """The preposition that the value stands after; empty where there is none."""
        first = self.stem.split(" ")[0] if self.stem else ""
        return "" if first in {"a", "an", "the", "his", "her", "their", "its", "your", "our", "my", "not"} else first

    @property
    def asks(self) -> str:
        """The word that asks for the value: where, when or what."""
        if _TIMES.match(self.value):
            return "when"
        return "where" if self.place in _PLACES and self.value[:1].isupper() else "what"

    @property
    def does(self) -> str | None:
        """The verb without its ending, for questions with "does"; None where only the verb itself will do."""
        verb = self.verb.split(" ")[-1]
        if verb in _LINKS.split() and verb != "has":
            return None
        if verb == "has":
            return "have"
        if verb.endswith("ies") and len(verb) > 4:
            return verb[:-3] + "y"
        if verb.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
            return verb[:-2]
        return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else None

    @property
    def is_named(self) -> bool:
        """Whether something of somebody is said to be something: "Ana's cat is Miso"."""
        return self.verb.split(" ")[-1] in {"is", "are", "was", "were"} and self.place in {"", "called", "named"}


def take_apart(sentence: str) -> Statement | None:
    """The parts of a declarative sentence; None where the rules see none."""
    whole = " ".join(sentence.replace("\u2019", "'").split())
    bare = whole.rstrip(".! ")
    if whole.endswith("?") or len(whole) > _MOST:
        return None
    found = _LINKED.match(bare) or _ACTIVE.match(bare) or _ANY.match(bare)
    if found is None:
        return None
    words = found["rest"].split(" ")
    cut = 0
    while cut < len(words) - 1 and words[cut] in _STEMS.split():
        cut += 1
    return Statement(f"{bare}.", found["who"], found["verb"], " ".join(words[:cut]), " ".join(words[cut:]))


def named_again(sentence: str, before: str | None) -> str:
    """A sentence about "she" or "it", with the name of whom the sentence before was about."""
    first, _, rest = sentence.partition(" ")
    return f"{before} {rest}" if before and rest and first in {"He", "She", "It"} else sentence


def in_third_person(sentence: str, speaker: str | None) -> str:
    """What a speaker said of themselves, with their name: "I live in Rome" becomes "Ana lives in Rome"."""
    if not speaker:
        return sentence
    match = re.match(r"(I'm|I am|I've|I have|I was|I|My) (.*)", sentence.replace("\u2019", "'"), re.DOTALL)
    if match is None:
        return sentence
    said, rest = match[1], match[2]
    if said == "My":
        return f"{speaker}'s {rest}"
    fixed = {"I'm": "is", "I am": "is", "I've": "has", "I have": "has", "I was": "was"}.get(said)
    if fixed is None:
        verb, _, rest = rest.partition(" ")
        fixed = verb if verb.endswith("ed") or verb in _PAST else _with_s(verb)
    return re.sub(r"\bmy\b", "their", f"{speaker} {fixed} {rest}".strip())


_PAST = frozenset(
    "was had did went got bought moved met saw came took made found left ate won lost gave said told knew thought "
    "felt began became brought built chose fell flew grew heard kept led ran sang sat sold sent slept spent swam "
    "taught wore wrote could would can will should must may might".split()
)


def _with_s(verb: str) -> str:
    if verb.endswith("y") and verb[-2:-1] not in set("aeiou"):
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("ch", "sh", "ss", "x", "z", "o")) else "s")
