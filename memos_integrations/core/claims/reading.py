"""The claims of a text: clause by clause, subject, verb frame and value. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from memos_integrations.core.claims.changes import RATHER, being, replacing, succeeding, turned
from memos_integrations.core.claims.claim import ALL, ANY, NO_ONE, Claim, Strength, bare, kind_of
from memos_integrations.core.claims.clauses import Clause, clauses_of, statements_of
from memos_integrations.core.claims.endings import ended_by
from memos_integrations.core.claims.everyday import DIETS, MARITAL, habit, last_thing, where_a_home_is
from memos_integrations.core.claims.frames import (
    ADVERBS,
    COPULA,
    ENDING,
    FRAMES,
    NOT_DOING,
    PAST_EVENTS,
    PREPOSITIONS,
    STARTING,
    is_known,
    verb_of,
)
from memos_integrations.core.claims.subjects import Subject, split_subject, subject_of

__all__ = ["claims_of", "statements_of"]

_BE = frozenset({"is", "am", "are"})
_WAS = frozenset({"was", "were"})
_OVER = re.compile(r"^(?P<value>.+?)\s+(?:over|to|more than|rather than|instead of)\s+(?P<was>.+)$", re.IGNORECASE)
_GIVING_UP = frozenset(
    {("give", "up"), ("cut", "out"), ("swear", "off"), ("swore", "off"), ("go", "off"), ("get", "rid")}
)
_POINTING = frozenset("it them that this him her one these those there so".split())
_RENT = re.compile(
    r"^(?P<value>\D{0,3}\d[\d.,]*(?: [a-z]+)?)(?: (?:a|per) month)? (?:in |for |of )?(?:my |the )?rent\b", re.IGNORECASE
)
_AGE = re.compile(r"^(?P<value>\d{1,3}(?:(?:, |,? and )\d{1,3})*)(?: years? old| years? of age)?$", re.IGNORECASE)
_TAIL = re.compile(
    r"\s*(?:,\s*(?:so|because|since|as|which|where|who|after|thanks|please|and)\b.*"
    r"|\s(?:because|so that|so (?=no\b|i\b|we\b|please\b|not\b|do\b)"
    r"|after|when"
    r"|where|which|whenever|while"
    r"|every time|thanks to|due to|along with|together with)\s.*|\s+(?:too|as well|very much|a lot|the most|so much"
    r"|at all|either|anyway|more|any))$",
    re.IGNORECASE,
)
_LASTING = frozenset(
    "move relocate settle join start marry promote take get accept land turn become enrol enroll transfer wed"
    " go".split()
)
"""Verbs whose past tense tells what is so now."""
_ALONE = re.compile(r"^(?:on (?:my|his|her|their) own|by (?:my|him|her|them)sel(?:f|ves))$", re.IGNORECASE)
_PARTNERS = frozenset("boyfriend girlfriend partner husband wife fiance fiancee".split())


@lru_cache(maxsize=1 << 13)
def claims_of(text: str, said_at: datetime, me: str = "") -> tuple[Claim, ...]:
    """The claims of a text, in order. *me* is who says "I"; "he" and "she" are whom the text named just before."""
    found: list[Claim] = []
    said_of, before, thing = "", None, None
    for clause in clauses_of(text, said_at):
        split = split_subject(clause.text)
        if split is None or (len(split[0]) > 0 and _headless(split[0])):
            if before is None:
                continue
            subject, words = before, clause.text.split()  # "..., and works at Acme": of the same subject
        else:
            told = subject_of(" ".join(split[0]), me.casefold() or "\x00", said_of)
            if told is None and split[0] == ["it"]:
                told = before if before is not None and not before.personal else thing
            if told is None:
                before, thing = None, last_thing(split[1], me)
                found += _marked(NOBODY, split[1], clause, me.casefold() or "\x00", said_of)
                continue
            if told.personal and len(split[0]) == 1 and split[1] and split[1][0].lower() in {"are", "were"}:
                told = told._replace(personal=told.key == (me.casefold() or "\x00"))  # "Bins are": nobody of that name
            subject, words = told, split[1]
        before, thing = subject, last_thing(words, me)
        if subject.personal and subject.key != (me.casefold() or "\x00"):
            said_of = subject.key
        found += _marked(subject, words, clause, me.casefold() or "\x00", said_of)
    return tuple(found)


def _headless(words: list[str]) -> bool:
    return is_known(words[0]) and words[0].islower()


NOBODY = Subject("", False)
"""Who is not known: only what they did to a thing that is named can be read."""


def _marked(subject: Subject, words: list[str], clause: Clause, me: str, said_of: str) -> Iterator[Claim]:
    for claim in _read(subject, words, clause, me, said_of):
        value, none = _cut(claim.value), claim.value.lower().startswith(("no ", "none "))
        value = value.partition(" ")[2] if none else value
        if not claim.subject or (not bare(value) and not claim.was) or _points(claim, bare(value)):
            continue
        since = clause.since or (clause.at if claim.changed or clause.fresh else None)
        yield replace(
            claim,
            value=value,
            was=_cut(claim.was),
            changed=claim.changed or clause.fresh or subject.fresh,
            ended=claim.ended or clause.ended or subject.former,
            holds=True if clause.ended else claim.holds is not none,
            since=since,
            until=clause.until,
            sentence=clause.sentence,
        )


def _points(claim: Claim, value: str) -> bool:
    """Whether a value only points at what is not known; with whom somebody lives is not alone, whoever it is."""
    return value in _POINTING and claim.attribute != "lives with"


def _cut(value: str) -> str:
    for _ in range(2):
        value = _TAIL.sub("", value).strip(" .,;:!")
    return value


def _read(subject: Subject, words: list[str], clause: Clause, me: str, said_of: str) -> Iterator[Claim]:  # noqa: C901, PLR0911 - a table of forms
    """The claims of one predicate, before the clause's marks are put on them."""
    words = _without_adverbs(words)
    if not words:
        return
    low = words[0].lower()
    if low == "used" and words[1:2] == ["to"]:
        yield from (replace(each, ended=True) for each in _read(subject, words[2:], clause, me, said_of))
        return
    tail = " ".join(words)
    replaced = succeeding(subject, tail, me) or replacing(subject, tail, me, said_of)
    if replaced:
        yield from replaced
        return
    denied = False
    if low in {"do", "does", "did"} and len(words) > 1 and not words[1].lower().endswith("ing"):
        denied = words[1].lower() == "not"
        if low == "did":
            return
        words = _without_adverbs(words[2:] if denied else words[1:])
    elif low == "never":
        denied, words = True, words[1:]
    elif low in {"has", "have", "had"} and len(words) > 1 and _is_participle(words[1:]):
        if low == "had":
            return
        denied = words[1].lower() in {"not", "never"}
        words = _without_adverbs(words[2:] if denied else words[1:])
        if words and words[0].lower() == "been":
            words = _without_adverbs(["is", *words[1:]])
    if not words:
        return
    ended = ended_by(subject, words) or _over(subject, words)
    if ended:
        yield from ended
        return
    is_copula = words[0].lower() in _BE | _WAS
    found = list(_copula(subject, words, me) if is_copula else _verb(subject, words))
    yield from (replace(each, holds=each.holds and not denied) for each in found)


def _is_participle(words: list[str]) -> bool:
    rest = [word for word in _without_adverbs(words) if word.lower() not in {"not", "never"}]
    if not rest:
        return False
    low = rest[0].lower()
    return low in {"been", "cut", "put", "set", "quit"} or (
        low != verb_of(low) and not low.endswith(("s", "ing")) and is_known(low)
    )


def _without_adverbs(words: list[str]) -> list[str]:
    place = 0
    while place < len(words) and words[place].lower().strip(",") in ADVERBS - {"never"}:
        place += 1
    return words[place:]


# --- what is over


def _over(subject: Subject, words: list[str]) -> list[Claim]:  # noqa: C901, PLR0911 - a table of forms
    verb, rest = verb_of(words[0]), words[1:]
    if words[0].lower() in {"is", "are", "was"} and rest[:1] in (["over"], ["finished"], ["cancelled"], ["canceled"]):
        return [Claim(subject.key, ANY, "", ended=True, was=ALL)] if len(rest) == 1 and not subject.personal else []
    if (verb, *rest[:1]) in _GIVING_UP:
        verb, rest = "stop", rest[1:]
    if verb == "break" and rest[:2] == ["up", "with"]:
        return [Claim(subject.key, "partner", " ".join(rest[2:]), ended=True)]
    if verb == "divorce":
        return [Claim(subject.key, "partner", " ".join(rest), ended=True)]
    if verb == "move" and rest[:2] == ["out", "of"]:
        return [Claim(subject.key, "home", " ".join(rest[2:]), ended=True)]
    if verb not in ENDING or (words[0].lower().endswith("s") and verb in {"leave", "finish", "end"}) or not rest:
        return []
    if words[0].lower() in {"leave", "finish", "end", "lose", "sell"} or not subject.personal:
        return []  # a habit ("I leave at 8"), or not somebody's doing
    if rest[0].lower().endswith("ing"):
        gerund = verb_of(rest[0])
        alone = [Claim(subject.key, gerund, gerund), Claim(subject.key, ANY, "", was=rest[0])] if len(rest) == 1 else []
        found = alone or list(_verb(subject, rest))
        if gerund in {"do", "practise", "practice", "play", "go"} and len(rest) > 1:
            found.append(Claim(subject.key, ANY, "", was=" ".join(rest[1:])))
        return [replace(each, ended=True, changed=True) for each in found]
    if rest[0].lower() in PREPOSITIONS:
        return []
    ended = [Claim(subject.key, ANY, "", ended=True, was=" ".join(rest).removeprefix("of "))]
    thing = subject_of(" ".join(rest), subject.key, subject.key)
    return [*ended, Claim(thing.key, ANY, "", ended=True, was=ALL)] if thing is not None else ended


# --- what is so


def _copula(subject: Subject, words: list[str], me: str) -> Iterator[Claim]:  # noqa: C901 - a table of forms
    past, rest = words[0].lower() in _WAS, _without_adverbs(words[1:])
    denied = bool(rest) and rest[0].lower() in {"not", "never"}
    rest = _without_adverbs(rest[1:] if denied else rest)
    if not rest:
        return
    tail = " ".join(rest)
    if rest[0].lower() == "due" and subject.plain != "deadline":
        subject = subject._replace(key=f"{subject.key} deadline", personal=False, plain="deadline")
    for length in (4, 3, 2, 1):
        known = COPULA.get(" ".join(word.lower() for word in rest[:length]))
        if known is not None and len(rest) > length:
            attribute, strength, sign = known
            if past and attribute not in {"role"}:
                return
            yield Claim(
                subject.key, attribute, " ".join(rest[length:]), strength, holds=not denied, sign=sign, changed=past
            )
            return
    if (
        rest[0].lower().endswith("ing")
        and rest[0].islower()
        and rest[0] not in NOT_DOING
        and len(rest) > 1
        and not past
    ):
        yield from (replace(each, holds=not denied) for each in _verb(subject, rest))
        return
    if past:
        return
    word = bare(tail)
    age = _AGE.match(tail)
    if subject.personal and age:
        yield Claim(subject.key, "age", age["value"], Strength.ONE, holds=not denied)
    elif word in MARITAL and subject.personal:
        yield Claim(subject.key, "marital", word, Strength.ONE, holds=not denied)
    elif word in DIETS:
        yield Claim(subject.key, "diet", word, Strength.ONE, holds=not denied)
    elif other := turned(subject, tail, me):
        yield replace(other, holds=not denied)
    else:
        yield replace(being(subject, rest), holds=not denied)


def _verb(subject: Subject, words: list[str]) -> Iterator[Claim]:  # noqa: PLR0911 - a table of forms
    low = words[0].lower()
    verb, rest = verb_of(low), words[1:]
    if verb in STARTING and rest and rest[0].lower().endswith("ing") and is_known(rest[0]):
        yield from (replace(each, changed=True) for each in _verb(subject, rest))
        return
    if verb == "start" and rest[:1] == ["to"] and len(rest) > 1:
        yield from (replace(each, changed=True) for each in _verb(subject, rest[1:]))
        return
    past = low in PAST_EVENTS or (low.endswith("ed") and low != verb)
    if verb == "live" and not low.endswith("ed") and (rest[:1] == ["alone"] or _ALONE.match(" ".join(rest))):
        yield Claim(subject.key, "lives with", NO_ONE, Strength.LIKELY)
        return
    if (told := habit(subject, verb, rest, past=past)) is not None:
        yield told
        return
    if not rest and is_known(low) and not past:
        yield Claim(subject.key, verb, verb)
        return
    if (framed := _framed(subject, verb, low, rest, past=past)) is not None:
        yield from framed
        return
    silent = verb in {"say", "think", "know", "tell", "feel", "go", "get", "come", "see"}
    if past or not rest or low.endswith("ed") or silent:
        return
    if rest[0].lower() == "to" or (subject.key and low == verb and not is_known(low) and subject.plain != subject.key):
        return
    yield from _plain_verb(subject, verb, rest)


def _framed(subject: Subject, verb: str, low: str, rest: list[str], *, past: bool) -> list[Claim] | None:
    """The claims of a verb that the frames know, with the longest particle that fits; None where none does."""
    for length in (4, 3, 2, 1, 0):
        known = FRAMES.get((verb, " ".join(word.lower() for word in rest[:length])))
        if known is None or len(rest) <= length:
            continue
        attribute, strength, sign = known
        if verb == "start" and not subject.personal:
            attribute = "when"
        if (past and verb not in _LASTING) or (verb == "have" and not length) or (verb == "date" and past):
            return []
        value = " ".join(rest[length:])
        over = (_OVER if attribute == "prefers" else RATHER).match(value)
        was, value = (over["was"], over["value"]) if over else ("", value)
        value = where_a_home_is(value) if attribute == "home" else value
        if attribute == "home" and kind_of(value) in {"time", "number", "money"}:
            return []
        if attribute == "age" and kind_of(value) != "number":
            return []
        if verb == "join" and (
            kind_of(value) != "name" or value.lower().startswith(("a ", "an ", "the ", "my ", "our "))
        ):
            return []
        if attribute == "home" and not subject.personal:
            attribute = "where"
        changed = past or (low.endswith("ing") and verb in {"move", "join"})
        value, _, role = value.partition(" as ") if attribute == "employer" else (value, "", "")
        found = [Claim(subject.key, attribute, value, strength, changed=changed, was=was, sign=sign)]
        owner, _, kin = subject.key.rpartition(" ")
        if attribute == "lives with" and bare(value) in {"me", "us"} and owner:
            found.append(Claim(owner, attribute, kin, strength, changed=changed))
        return [*found, Claim(subject.key, "role", role, Strength.ONE, changed=past)] if role else found
    return None


def _plain_verb(subject: Subject, verb: str, rest: list[str]) -> Iterator[Claim]:
    rent = _RENT.match(" ".join(rest)) if verb == "pay" else None
    if rent is not None:
        yield Claim(subject.key, "rent", rent["value"], Strength.ONE)
        return
    verb = "have" if verb == "own" else verb
    particle = rest[0].lower() if rest[0].lower() in PREPOSITIONS and len(rest) > 1 else ""
    value = " ".join(rest[1:] if particle else rest)
    rather = RATHER.match(value)
    was, value = (rather["was"], rather["value"]) if rather else ("", value)
    sort = "number" if kind_of(value) == "frequency" else kind_of(" ".join(value.split()[:2]))
    numeric = sort in {"time", "number", "money"} and not value.startswith(("a ", "an "))
    if verb == "have" and bare(value) in _PARTNERS and not particle:
        yield Claim(subject.key, "partner", value, Strength.ONE)
        return
    attribute = f"{verb} {particle}".strip()
    yield Claim(subject.key, attribute, value, Strength.LIKELY if numeric else Strength.MANY, was=was)
