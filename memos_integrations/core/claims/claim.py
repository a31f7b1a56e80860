"""A claim as a value, and when two values are the same, one more exact than the other, or of one kind. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b

from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.text.words import fold


class Strength(IntEnum):
    """How sure it is that a subject has one value of an attribute at a time.

    MANY: it can have several (likes, languages). LIKELY: one as a rule; two values without a word of change are
    doubtful. ONE: one at a time (a home, a phone number): the later value replaces the earlier.
    """

    MANY = 0
    LIKELY = 1
    ONE = 2


ANY = "*"
"""The attribute of a claim that says only what took the place of what."""


ALL = "*"
"""The earlier value of a claim that says that a thing is over, whatever was said of it."""

NO_ONE = "nobody"
"""With whom somebody lives who lives alone."""

MARK = "claim:"
"""Tags that begin so say, as a digest, what a memory is about, so that a new one finds those about the same."""


def mark(subject: str, attribute: str) -> str:
    """The tag of one attribute of one subject."""
    return MARK + blake2b(f"{subject}\0{attribute}".encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """What one clause says.

    `holds` is False where it denies, `ended` True where it says that something was so and is no longer. `changed`: it
    announces a change; `was` is the value that it names as the earlier one. `sign` is -1 for a dislike.
    """

    subject: str
    attribute: str
    value: str
    strength: Strength = Strength.MANY
    holds: bool = True
    ended: bool = False
    changed: bool = False
    was: str = ""
    sign: int = 1
    since: datetime | None = None
    until: datetime | None = None
    sentence: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is about."""
        return self.subject, self.attribute

    @property
    def stands(self) -> bool:
        """Whether it says that something is so."""
        return self.holds and not self.ended


_ARTICLES = re.compile(
    r"^(?:(?:a|an|the|my|our|his|her|their|its|some|any|this|that|called|named|all|very|really|just|only|mostly|about"
    r"|around|now|exactly|at|on|in|for|to|by|of)\s+)+",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\b(?:(?P<h>\d{1,2})(?::(?P<m>[0-5]\d))?\s?(?P<half>[ap])\.?m\b\.?|(?P<h24>[01]?\d|2[0-3])[:.](?P<m24>[0-5]\d)"
    r"|(?P<word>noon|midnight)|at\s(?P<bare>2[0-4]|1\d|[1-9])$|(?P<half_past>half|quarter)\s(?P<way>past"
    r"|to)\s(?P<spelt>\w+))",
    re.IGNORECASE,
)
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTHS = "january february march april may june july august september october november december".split()
_DAY = re.compile(rf"\b({'|'.join(_DAYS)}|mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)s?\b", re.IGNORECASE)
_DATE = re.compile(
    rf"\b(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m1>{'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?"
    rf"|oct|nov|dec)"
    rf"|(?P<m2>{'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec) (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b"
    r"|(?P<iso>\d{4}-\d{2}-\d{2})|(?P<dth>\d{1,2})(?:st|nd|rd|th)\b(?! [A-Za-z]))",
    re.IGNORECASE,
)
_HOURS = re.compile(r"(?<![\d-])([01]?\d|2[0-4])\s?-\s?([01]?\d|2[0-4])(?![\d-])")
_MONTH = re.compile(rf"\b((?i:{'|'.join(m for m in _MONTHS if m not in {'may', 'march'})})|May|March)\b(?: (\d{{4}}))?")
_MONEY = re.compile(
    r"[$€£¥]\s?\d|\d[\d,.]*\s?(?:k\b|euros?|dollars?|pounds?|francs?|usd|eur|gbp|chf|yen|bucks|cents?)\b", re.IGNORECASE
)
_SPELT = dict(
    zip(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred".split(),
        [*range(1, 21), *range(30, 101, 10)],
        strict=True,
    )
)
_NUMBER = re.compile(rf"(?<![\w-])(?:[+#]?\d[\d,.\- ]*\d|\d|(?:{'|'.join(_SPELT)})\b(?!\s+of))", re.IGNORECASE)
_COSTLESS = frozenset({"free", "free of charge", "gratis", "no charge", "nothing"})
_FREQUENCY = re.compile(
    r"(?:(?:only|just|about) )?(?:every (?:other |second |third |two |three |four )?(?:day|week|month|year"
    r"|quarter|night"
    r"|morning|evening|weekend)s?|(?:once|twice|(?:\d+|two|three|four|five|six) times) (?:a|per|every|each) (?:day|week"
    r"|month|year|night)|daily|weekly|fortnightly|monthly|yearly)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[^\s@]@[^\s@]+\.\w|https?://|\bwww\.|\b\w+\.(?:com|org|net|io|dev|pt|de|uk)\b", re.IGNORECASE)
_CAPITAL = re.compile(r"(?:^|(?<=\s))[\"“']?[A-Z][\w'’.-]*")  # noqa: RUF001

KINDS: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "drink": "tea coffee decaf espresso latte cappuccino water juice milk beer wine cocoa matcha soda lemonade"
        " cider kombucha whisky gin rum chai",
        "colour": "blonde brunette ginger red green blue teal yellow orange purple pink black white grey gray brown"
        " turquoise violet"
        " indigo crimson"
        " navy magenta beige gold silver maroon cyan lavender ochre emerald amber scarlet burgundy khaki olive"
        " coral ivory",
        "day": " ".join(_DAYS),
        "season": "spring summer autumn winter fall",
        "diet": "vegan vegetarian pescatarian omnivore carnivore flexitarian keto paleo",
        "marital": "single married divorced engaged widowed separated",
        "transport": "bus train tram bike bicycle car metro subway ferry scooter foot taxi underground",
        "seat": "aisle window middle",
        "pet": "dog cat rabbit parrot hamster tortoise goldfish",
        "size": "xs s m l xl xxl small medium large",
        "shift": "nights days mornings evenings earlies lates",
        "theme": "dark light",
        "school year": "freshman sophomore",
        "channel": "email phone text sms chat call letter post slack whatsapp signal telegram",
        "system": "linux windows macos ubuntu android ios iphone debian fedora",
        "language": "python rust go java kotlin swift ruby javascript typescript",
        "standing": "open closed active inactive paused pending approved rejected cancelled delayed done finished live"
        " blocked enabled disabled available unavailable on off full empty valid invalid confirmed unconfirmed",
    }.items()
}
_KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}


@lru_cache(maxsize=1 << 13)
def bare(value: str) -> str:
    """The value without articles, possessives and signs around it, folded."""
    return _ARTICLES.sub("", fold(value).strip(" .,;:!\"'()")).strip(" .,;:!\"'()")


@lru_cache(maxsize=1 << 13)
def words_of(value: str) -> frozenset[str]:
    """What a value is compared by: the terms of its words, numbers in one form."""
    plain = re.sub(r"(?<=\d)[,\s.\-](?=\d)", "", bare(value))
    plain = " ".join(str(_SPELT.get(word, word)) for word in plain.split())
    return frozenset((terms_of(plain) or plain.split()) if plain else ())


@lru_cache(maxsize=1 << 13)
def moments_of(value: str) -> dict[str, object]:
    """The clock time, the day and the date that a value names."""
    found: dict[str, object] = {}
    clock = _CLOCK.search(value)
    if clock is not None:
        at = _minutes(clock)
        if not clock["bare"]:
            found["clock"] = at
        if isinstance(at, int):
            found["dial"] = at % (12 * 60)  # "at 3" may be "at 15:00"
    date = _DATE.search(value)
    if date is not None:
        day = date["d1"] or date["d2"] or date["dth"]
        month = (date["m1"] or date["m2"] or "")[:3].lower()
        found["date"] = date["iso"] or (int(day), month)
    days = [day[:3].lower() for day in _DAY.findall(value)]
    if days:
        found["day"] = days[0] if len(set(days)) == 1 else frozenset(days)
    hours = _HOURS.search(value)
    if hours is not None and clock is None and date is None:
        found["hours"] = hours[1], hours[2]
    month_named = _MONTH.search(value)
    if month_named is not None and date is None:
        found["month"] = month_named[0].lower()
    return found


def _minutes(clock: re.Match[str]) -> object:
    if clock["word"]:
        return 720 if clock["word"].lower() == "noon" else 0
    if clock["spelt"]:
        return clock[0].lower()
    hour, minute = int(clock["h"] or clock["h24"] or clock["bare"]), int(clock["m"] or clock["m24"] or 0)
    if clock["half"]:
        hour = hour % 12 + (12 if clock["half"].lower() == "p" else 0)
    return hour * 60 + minute


@lru_cache(maxsize=1 << 13)
def kind_of(value: str) -> str:  # noqa: PLR0911 - a table of cases
    """What sort of value it is: `time`, `money`, `address`, `number`, a kind of `KINDS`, `name`, or `words`."""
    plain = bare(value)
    if moments_of(value) and not plain.startswith("+"):
        return "time"
    if _MONEY.search(value) or plain in _COSTLESS:
        return "money"
    if _FREQUENCY.fullmatch(value.strip()):
        return "frequency"
    if _ADDRESS.search(value):
        return "address"
    if _NUMBER.search(value):
        return "number"
    last = plain.split()[-1:] or [""]
    for word in (last[0], plain.split()[0] if plain else ""):
        if word in _KIND_OF or word.removesuffix("s") in _KIND_OF:
            return _KIND_OF.get(word) or _KIND_OF[word.removesuffix("s")]
    return "name" if _CAPITAL.match(_ARTICLES.sub("", value.strip())) else "words"


_UNITS: dict[str, tuple[str, float]] = {
    unit: (dimension, factor)
    for dimension, units in dict[str, dict[str, float]](
        {
            "length": {"mm": 0.001, "cm": 0.01, "m": 1, "metre": 1, "meter": 1, "km": 1000, "kilometre": 1000},
            "mass": {"g": 1, "gram": 1, "kg": 1000, "kilo": 1000, "kilogram": 1000, "tonne": 1_000_000},
            "duration": {"second": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400, "week": 604_800},
        }
    ).items()
    for unit, factor in units.items()
}
_MEASURE = re.compile(r"^(\d+(?:\.\d+)?)\s*([a-z]+)\b", re.IGNORECASE)
_PERIOD = re.compile(r"\b(?:a|an|per|each|every)\s+(hour|day|night|week|month|quarter|year)\b", re.IGNORECASE)


def measured(value: str) -> tuple[str, float] | None:
    """The dimension of a quantity and its size in one unit of it; None where it is none."""
    plain = " ".join(str(_SPELT.get(word, word)) for word in bare(value).split())
    found = _MEASURE.match(plain)
    unit = found and (_UNITS.get(found[2]) or _UNITS.get(found[2].removesuffix("s")))
    return (unit[0], round(float(found[1]) * unit[1], 6)) if found and unit else None


def period_of(value: str) -> str:
    """Per what a value is told: `month` in "10 euros a month"; empty where it is not."""
    found = _PERIOD.search(value)
    return found[1].lower() if found else ""


def same_value(one: str, other: str) -> bool:
    """Whether two values say the same: the same words, or the same moment."""
    mine, theirs = moments_of(one), moments_of(other)
    if mine and theirs:
        shared = mine.keys() & theirs.keys()
        return bool(shared) and mine == theirs and _standing(one) == _standing(other)
    size = measured(one)
    if {bare(one), bare(other)} <= _COSTLESS:
        return True
    return words_of(one) == words_of(other) or (size is not None and size == measured(other))


_STANDING = KINDS["standing"] - {"on", "off"}


def _standing(value: str) -> frozenset[str]:
    """Whether it is open or closed then, confirmed or not."""
    return frozenset(bare(value).split()) & _STANDING


def refines(one: str, other: str) -> bool:
    """Whether one value only says more than the other ("Lisbon", "Lisbon, Portugal"), so that both can be true."""
    mine, theirs = moments_of(one), moments_of(other)
    if mine and theirs:
        shared = mine.keys() & theirs.keys()
        return all(mine[name] == theirs[name] for name in shared) and _standing(one) == _standing(other)
    a, b = words_of(one), words_of(other)
    return bool(a and b) and (a <= b or b <= a)
