"""Pronouns resolved against the recent turns, where exactly one antecedent fits; everything else is left as it is."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from memos_integrations.core.reader.call import Turn
from memos_integrations.core.reader.need import without_languages
from memos_integrations.core.text import STOP_WORDS, entities
from memos_integrations.core.text.words import fold

_I = re.IGNORECASE
RECENT_USER_TURNS = 3
_LONGEST_TURN = 4_000  # characters of a turn that are looked at: an antecedent stands near, not in a pasted document

_PERSON = r"he|she|him|her|his|hers|that person|that (?:man|woman|guy|girl|boy)"
_GROUP = r"they|them|their|theirs|both of them|the two of them"
_PLACE = r"there|that place|this place|that (?:city|town|country|village)"
_OF_TWO = r"the (?:former|latter)"
_TRIP = r"that (?:trip|journey|visit|holiday|vacation)"
_PRONOUN = re.compile(
    rf"(?<![\w'])(?:(?P<person>{_PERSON})|(?P<group>{_GROUP})|(?P<place>{_PLACE})|(?P<two>{_OF_TWO})|(?P<trip>{_TRIP})|(?P<thing>it|its))(?:'(?P<verb>s|re"
    r"|d|ll|ve))?(?![\w'-])",
    _I,
)
_POSSESSIVES = frozenset("his hers their theirs its".split())

_DUMMY_THERE = re.compile(
    r"(?:\b(?:is|are|was|were|be|been|will|would|can|could|has|have|had|isn't|aren't|wasn't|hi|hello|hey|over|out|in"
    r"|up) there\b"
    r"|\bthere(?:'s|'re| (?:is|are|was|were|has|have|had|will|would|could|can|might|may|must|should|exists?)\b))",
    _I,
)
_DUMMY_IT = re.compile(
    r"\b(?:what (?:time|day|date|year|month) (?:is|was) it\b|(?:is|was|isn't|wasn't|would) it (?:true|ok|okay"
    r"|possible|important|raining|snowing|sunny|cold|hot|warm|late|early|worth|likely|time|my|that|me|a good)\b"
    r"|it(?:'s| is| was| would be| seems| looks| turns| turned| took| takes)? (?:true|ok|okay|possible|important"
    r"|raining|rains?|snowing|late|early|likely|time|clear|good|nice|great|hard|easy|like|out|that|me)\b"
    r"|(?:make|made|get|got|take|call|believe|doing) it\b|how(?:'s| is) it going|so be it|of it all)",
    _I,
)
_PLACE_CUE = re.compile(
    r"(?:\b(?:in|at|near|around|towards?|visit(?:s|ed|ing)?|explor(?:e|ed|ing)|leav(?:e|ing)|left|via|into)"
    r"|\b(?:trip|travel(?:s|led|ed|ling|ing)?|w[eo]nt|go(?:es|ing)?|mov(?:e|ed|es|ing)|fl(?:y|ew|ying)|dr(?:ive|ove"
    r"|iving)|been|return(?:ed|ing)?|relocat(?:e|ed|ing)|flight|way|journey) (?:back )?to"
    r"|\b(?:back|away) from) (?:the )?$",
    _I,
)
_NOT_PEOPLE = re.compile(
    r"\d|^@|@|://|^[A-Z]{2,}$|[a-z][A-Z]|\b(?:of|University|College|School|Hospital|Museum|Park|Street|Road|Inc|Ltd"
    r"|Corp|Bank|Church|Club|Festival|Team|Project|Centre|Center|Hotel|Airport|Lake|Mount|River|Beach)\b"
    r"|^(?:Christmas|Easter|Thanksgiving|Halloween|Diwali|Hanukkah|Ramadan|Eid|Internet|God|Bible)$"
)
_THING = re.compile(
    r"\b(?:my|our|(?:bought|got|have|own|ordered|lost|found|sold|adopted|rented|built|made|wrote|started|finished"
    r"|broke) (?:a|an|the)|(?:gave|sent|brought|lent|showed|handed) (?:me|us|him|her|them) (?:a|an|the))"
    r" (?:(?:new|old|first|second|favou?rite|big|small|red|blue|green|black|white|broken|used|own"
    r"|little) )?([a-z]{3,})\b",
    _I,
)
_RELATIVE = frozenset(
    """
    mother mom mum father dad brother sister wife husband partner spouse son daughter kid child friend boss colleague
    neighbour neighbor uncle aunt cousin grandma grandpa grandmother grandfather girlfriend boyfriend doctor teacher
    manager roommate dentist landlord
    """.split()
)
_KIN = _RELATIVE | frozenset(
    """
    parents brothers sisters kids children friends colleagues neighbours neighbors cousins family team lot bit few
    couple week month year day days birthday name life mind time way own idea great good nice fun chance
    """.split()
)
_OF_SOMEBODY = re.compile(r"\b(?P<whose>[Mm]y|[Oo]ur|[A-Z][\w-]+'s) (?P<who>[a-z]+)\b(?! [A-Z]|'s)")
_PLURAL = re.compile(
    r"\b(?:my|our|the|some|two|three|four|five|many|several|these|those|new|his|her|their|both) (?:\w+ )?"
    r"(?!(?:always|perhaps|was|is|has|this|yes|us)\b)\w+[^\Ws]s\b|\b(?:people|children|kids)\b",
    _I,
)


@dataclass(frozen=True, slots=True)
class _Antecedents:
    """What the recent turns offer: people, the one group they form if they do, places and things."""

    people: tuple[str, ...]
    group: str | None
    places: tuple[str, ...]
    things: tuple[str, ...]
    has_plurals: bool


def resolve(query: str, history: Sequence[Turn], speakers: Collection[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """*query* with its pronouns replaced where exactly one antecedent fits, and the pairs (pronoun, antecedent).

    People come from the last user turns, and from the answers between them only if those name nobody. "My sister" and
    "Ana's mother" are people too. No gender is guessed: two people leave "she" alone. A query that names a person
    itself keeps its personal pronouns. "The former" and "the latter" are the first and second of two people, or of two
    places; "that trip" leads to the one place.
    """
    if not history or not _PRONOUN.search(query):
        return query, ()
    here = _antecedents([query], speakers)
    found = _recent(history, speakers)
    pairs: list[tuple[str, str]] = []

    def replaced(match: re.Match[str]) -> str:
        referent = _referent(match, here, found)
        if referent is None:
            return match.group()
        pairs.append((match.group().split("'")[0], referent))
        if match.group().lower() == "there":
            return f"in {referent}"
        if match["trip"]:
            return f"the {match.group().split()[-1]} to {referent}"
        return referent + ("'s" if _is_possessive(match) or match["verb"] == "s" else "")

    return _PRONOUN.sub(replaced, query), tuple(dict.fromkeys(pairs))


def _recent(history: Sequence[Turn], speakers: Collection[str]) -> _Antecedents:
    mine: list[str] = []
    answers: list[str] = []
    known = {*speakers, *(turn.speaker for turn in history if turn.speaker)}
    for turn in reversed(history):
        if turn.role == "user":
            mine.append(turn.text[-_LONGEST_TURN:])
            if len(mine) == RECENT_USER_TURNS:
                break
        elif turn.role == "assistant":
            answers.append(turn.text[-_LONGEST_TURN:])
    said, answered = _antecedents(mine[::-1], known), _antecedents(answers[::-1], known)
    return _Antecedents(
        people=said.people or answered.people,
        group=said.group if said.people else answered.group,
        places=said.places or answered.places,
        things=said.things,
        has_plurals=said.has_plurals,
    )


def _antecedents(texts: list[str], speakers: Collection[str]) -> _Antecedents:
    people: dict[str, str] = {}
    places: dict[str, str] = {}
    things: dict[str, str] = {}
    known = {fold(name) for name in speakers}
    for text in texts:
        introduced = {fold(name) for name in re.findall(r"\b(?:I'm|I am|[Mm]y name is|[Tt]his is) ([A-Z]\w+)", text)}
        for name in entities(without_languages(text)):
            if fold(name) in introduced:
                continue
            is_place = _stands_as_place(name, text)
            if fold(name) in known or not (is_place or _NOT_PEOPLE.search(name)):
                _add_person(people, name)
            elif is_place:
                places[fold(name)] = name
            else:
                things[fold(name)] = name
        for match in _OF_SOMEBODY.finditer(text):
            asked = match["whose"].lower() in {"my", "our"} and text.rstrip().endswith("?")  # the answer may name them
            if match["who"] in _RELATIVE and not asked:
                person = _in_small_letters(match.group())
                people[fold(person)] = person
        for match in _THING.finditer(text):
            noun = match[1].lower()
            if noun not in _KIN and noun not in STOP_WORDS:
                things[noun] = re.sub(r"^.*\b(?:a|an|the) ", "the ", _in_small_letters(match.group()))
    names = tuple(people.values())
    pair = " and ".join(names)
    group = pair if len(names) == 2 and any(pair in text for text in texts) else None
    return _Antecedents(
        names, group, tuple(places.values()), tuple(things.values()), any(_PLURAL.search(text) for text in texts)
    )


def _in_small_letters(words: str) -> str:
    """The words with a "My" or "Our" that opened a sentence as it stands within one."""
    return words[0].lower() + words[1:] if words.startswith(("My ", "Our ")) else words


def _stands_as_place(name: str, text: str) -> bool:
    """Whether the name follows "in", "moved to" and the like somewhere, and owns nothing: "at Ana's" is no place."""
    at = text.find(name)
    while at >= 0:
        if _PLACE_CUE.search(text[max(0, at - 32) : at]) and not re.match(r"'s|\w", text[at + len(name) :][:2]):
            return True
        at = text.find(name, at + 1)
    return False


def _add_person(people: dict[str, str], name: str) -> None:
    """Add a name unless it is the first or last name of somebody who is there; the fuller name stays."""
    key = fold(name)
    for other in list(people):
        if key in other.split():
            return
        if other in key.split():
            del people[other]
    people[key] = name


def _referent(match: re.Match[str], here: _Antecedents, found: _Antecedents) -> str | None:
    if match["person"]:
        return _one(found.people) if not here.people else None
    if match["group"]:
        plural = here.people or here.has_plurals or found.has_plurals
        return None if plural else found.group or _one(found.people)
    if match["two"]:
        return _of_two(match.group(), here, found)
    around = match.string[max(0, match.start() - 24) : match.end() + 24]
    if match["place"] or match["trip"]:
        is_dummy = match.group().lower().startswith("there") and _DUMMY_THERE.search(around)
        return _one(found.places) if not here.places and not is_dummy else None
    if match["thing"] == "IT" or _DUMMY_IT.search(around) or here.things or here.places or here.people:
        return None
    return _one(found.things)


def _one(found: Sequence[str]) -> str | None:
    """The only one; None where there are more, or none."""
    return found[0] if len(found) == 1 else None


def _of_two(words: str, here: _Antecedents, found: _Antecedents) -> str | None:
    """The first or second of two people, or, where nobody is named, of two places; None where there are not two."""
    pair = found.people or found.places
    if len(pair) != 2 or here.people or here.places:
        return None
    return pair[0] if words.casefold().endswith("former") else pair[1]


_AFTER_OBJECT = STOP_WORDS | frozenset(
    "yesterday today tomorrow tonight last next again back home then ago once twice please sometime later".split()
)


def _is_possessive(match: re.Match[str]) -> bool:
    """Whether the pronoun owns what follows: "his job", "her job", but not "asked her yesterday"."""
    word = match.group().lower()
    if word in _POSSESSIVES:
        return True
    following = re.match(r" (\w[\w'-]*)", match.string[match.end() : match.end() + 40])
    return word == "her" and following is not None and fold(following[1]) not in _AFTER_OBJECT
