"""A year of simulated use: what people tell an assistant while their facts change, repeat, end and expire.

The world is drawn first (who has which value of what, from when to when), the sentences after it. Nothing here imports
the rules that read them, and nothing there knows these sentences.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2025, 1, 6, 8, tzinfo=UTC)

CITIES = "Lisbon Porto Bergen Tartu Ghent Graz Cork Malmo Trieste Leipzig Nantes Gdansk Faro Basel Turku Split".split()
FIRMS = "Brightwell Corvane Nordlicht Umbra Fennick Halvorsen Pellworm Quillon Tarn Verity Ostara Lumen".split()
PEOPLE = "Mira Jonas Ines Pavel Noor Tessa Emil Salma Viktor Lena Oskar Yara Bruno Ada Milo Petra".split()
COLOURS = "teal crimson ochre indigo olive violet amber turquoise grey".split()
FOODS = "olives,sushi,blue cheese,mushrooms,liquorice,anchovies,tofu,beetroot,oysters,marzipan,kimchi,aubergine".split(
    ","
)
TONGUES = "Portuguese Norwegian Estonian Flemish Polish Finnish Croatian Catalan".split()
CARS = ["Skoda", "Volvo", "Fiat", "Renault", "Mazda", "Seat", "Opel"]
DRINKS = "tea coffee cocoa".split()
PLANTS = "a cactus,a fern,a lemon tree,an orchid,a bonsai".split(",")
HOBBIES = "bouldering,pottery,chess,rowing,birdwatching,knitting,archery,fencing".split(",")
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday".split()
TASKS = "Apollo Borealis Cobalt Dahlia".split()
NOISE = [
    "We had a long lunch by the river and talked about nothing much.",
    "The bus was late again this morning, so I walked.",
    "Watched a documentary about lighthouses with {who} yesterday.",
    "{who} sent me a postcard from the mountains.",
    "I finally fixed the squeaky kitchen door.",
    "It rained all weekend and we played cards.",
    "{who} baked a walnut cake for the neighbours.",
    "I lost my umbrella on the tram, then found it at the depot.",
    "Somebody left a bicycle in front of the house for three days.",
    "{who} told a very long joke about a penguin.",
]
UNSURE = [
    "{Subject} might move to {city} one day.",
    "{Subject} would love to live in {city}.",
    "If things go well, {subject} could end up at {firm}.",
    "I wonder whether {subject} will ever leave for {city}.",
    "{Subject} visited {city} for a weekend.",
    "{Subject} had an interview at {firm} but nothing came of it.",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """Somebody's value of an attribute."""

    who: str
    attribute: str
    value: str


@dataclass(slots=True)
class Event:
    """One thing that is told: its words, what it states, and what it says is so no longer."""

    at: datetime
    user: str
    text: str
    kind: str
    states: tuple[Fact, ...] = ()
    ends: tuple[Fact, ...] = ()
    until: datetime | None = None


@dataclass(slots=True)
class World:
    """What is true at the moment of the story, for one user."""

    user: str
    people: list[str]
    one: dict[tuple[str, str], str] = field(default_factory=dict)
    many: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def conflicts(self, fact: Fact, event: Event) -> bool:
        """Whether a memory of this fact is no longer true after what the event tells."""
        if fact in event.ends:
            return True
        same = [each for each in event.states if (each.who, each.attribute) == (fact.who, fact.attribute)]
        return fact.attribute not in MANY and any(each.value != fact.value for each in same)

    def facts(self) -> Iterator[Fact]:
        """Everything that is true."""
        for (who, attribute), value in self.one.items():
            yield Fact(who, attribute, value)
        for (who, attribute), values in self.many.items():
            for value in values:
                yield Fact(who, attribute, value)


# Each bank: how it is told first, how a change, how it is told again. {S} is "I" or a name, {P} "my" or "Ana's",
# a verb in braces has the forms for "I" and for others.
ONE: dict[str, tuple[list[str], list[str], list[str]]] = {
    "city": (
        ["{S} {live|lives} in {v}.", "{S} {am|is} based in {v}.", "{S} {have|has} been living in {v} for years.",
         "{S} {reside|resides} in {v}, near the station."],
        ["{S} moved to {v}.", "{S} {have|has} relocated from {o} to {v}.", "{S} {live|lives} in {v} now.",
         "{S} no longer {live|lives} in {o}; {s} {have|has} settled in {v}.", "{S} left {o} for {v} last week.",
         "Since last month {s} {live|lives} in {v}.", "{P} new home is in {v}.",
         "{S} just moved house, from {o} to {v}.",
         "{S} {am|is} living in {v} these days."],
        ["{S} {live|lives} in {v}.", "As you know, {s} {live|lives} in {v}.", "{S} {am|is} still in {v}, by the way."],
    ),
    "employer": (
        ["{S} {work|works} at {v}.", "{S} {work|works} for {v}.", "{S} {am|is} employed by {v}.",
        "{P} employer is {v}."],
        ["{S} started at {v}.", "{S} quit {o} and joined {v}.", "{S} {work|works} for {v} now.",
        "{S} left {o} for {v}.",
         "{S} no longer {work|works} at {o}. {S} joined {v}.", "{S} got a job at {v}.", "{S} switched from {o} to {v}.",
         "{P} new employer is {v}."],
        ["{S} {work|works} at {v}.", "{S} {work|works} for {v}, remember?"],
    ),
    "phone": (
        ["{P} phone number is {v}.", "You can reach {m} at {v}.", "{P} mobile number: {v}.",
        "The number of {p} phone is {v}."],
        ["{P} new phone number is {v}.", "{P} phone number has changed to {v}.", "{S} changed {q} phone number to {v}.",
         "{P} number is now {v}.", "Please use {v} instead of {o} to call {m}.",
         "{P} phone number is {v} from now on."],
        ["{P} phone number is {v}.", "Just to repeat: {p} phone number is {v}."],
    ),
    "colour": (
        ["{P} favourite colour is {v}.", "{v} is {p} favourite colour.", "{P} favorite color is {v}."],
        ["{P} favourite colour is {v} now.", "{P} favourite colour changed from {o} to {v}.",
        "{P} new favourite colour is {v}.",
         "{P} favourite colour isn't {o} anymore, it's {v}."],
        ["{P} favourite colour is {v}."],
    ),
    "car": (
        ["{S} {drive|drives} a {v}.", "{P} car is a {v}.", "{S} {own|owns} a {v}."],
        ["{S} sold the {o} and bought a {v}.", "{S} traded the {o} for a {v}.", "{S} {drive|drives} a {v} now.",
         "{S} replaced the {o} with a {v}.", "{P} new car is a {v}.",
         "{S} now {drive|drives} a {v} instead of the {o}."],
        ["{S} {drive|drives} a {v}."],
    ),
    "drink": (
        ["{S} {prefer|prefers} {v} in the morning.", "In the morning {s} {drink|drinks} {v}.",
        "{S} {prefer|prefers} {v}."],
        ["{S} switched from {o} to {v}.", "{S} {prefer|prefers} {v} now.", "{S} {have|has} gone from {o} to {v}.",
         "{S} now {prefer|prefers} {v} to {o}.", "{S} {drink|drinks} {v} instead of {o} these days."],
        ["{S} {prefer|prefers} {v}."],
    ),
    "manager": (
        ["{P} manager is {v}.", "{S} {report|reports} to {v}.", "{v} is {p} manager."],
        ["{P} new manager is {v}.", "{v} is {p} manager now, not {o}.",
        "{S} {report|reports} to {v} since the reorganisation.",
         "{P} manager changed from {o} to {v}.", "{o} is no longer {p} manager; {v} is."],
        ["{P} manager is {v}."],
    ),
    "rent": (
        ["{P} rent is {v} euros a month.", "{S} {pay|pays} {v} euros rent a month."],
        ["{P} rent went up to {v} euros.", "{P} rent is now {v} euros a month.",
        "The landlord raised {p} rent from {o} to {v} euros.",
         "{P} rent increased from {o} euros to {v} euros."],
        ["{P} rent is {v} euros a month."],
    ),
}  # fmt: skip

THINGS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "deadline": (
        ["The {t} deadline is {v}.", "The deadline for {t} is {v}.", "{t} is due on {v}."],
        ["The {t} deadline moved to {v}.", "The deadline for {t} was pushed back to {v}.",
        "The {t} deadline is now {v}.",
         "They postponed the {t} deadline from {o} to {v}.", "The deadline of {t} has been extended to {v}."],
        ["The {t} deadline is {v}.", "Reminder: the {t} deadline is {v}."],
    ),
    "review": (
        ["The {t} review is on {v}.", "The weekly {t} review takes place on {v}.", "The {t} review is every {v}."],
        ["The {t} review has been moved to {v}.", "The {t} review is on {v} from now on.",
        "The {t} review moved from {o} to {v}.",
         "We rescheduled the {t} review to {v}.", "From now on the {t} review takes place on {v}."],
        ["The {t} review is on {v}."],
    ),
}  # fmt: skip

MANY: dict[str, tuple[list[str], list[str], list[str]]] = {
    "likes": (
        ["{S} {like|likes} {v}.", "{S} {love|loves} {v}.", "{S} {am|is} fond of {v}.",
        "{S} really {enjoy|enjoys} {v}."],
        ["{S} {don't|doesn't} like {v} anymore.", "{S} no longer {like|likes} {v}.", "{S} can't stand {v} anymore.",
         "{S} {hate|hates} {v} now.", "{S} {have|has} stopped liking {v}."],
        ["{S} {like|likes} {v}.", "{S} {love|loves} {v}!"],
    ),
    "speaks": (
        ["{S} {speak|speaks} {v}.", "{S} {speak|speaks} fluent {v}."],
        ["{S} no longer {speak|speaks} {v}.",
        "{S} {have|has} forgotten all {q} {v} and {don't|doesn't} speak it anymore."],
        ["{S} {speak|speaks} {v}."],
    ),
    "hobby": (
        ["{S} {do|does} {v} on weekends.", "{S} took up {v}.", "{P} hobby is {v}.", "{S} {am|is} into {v}."],
        ["{S} gave up {v}.", "{S} quit {v}.", "{S} stopped doing {v}.", "{S} {am|is} no longer into {v}."],
        ["{S} {am|is} into {v}."],
    ),
    "plant": (
        ["{S} {have|has} {v} on the windowsill.", "{S} {own|owns} {v}.", "{S} {have|has} {v}."],
        ["{S} {don't|doesn't} have {v} anymore.", "{S} no longer {have|has} {v}."],
        ["{S} {have|has} {v}."],
    ),
}  # fmt: skip

VALUES: dict[str, list[str]] = {
    "city": CITIES, "employer": FIRMS, "colour": COLOURS, "car": CARS, "drink": DRINKS, "manager": PEOPLE,
    "review": WEEKDAYS, "likes": FOODS, "speaks": TONGUES, "hobby": HOBBIES, "plant": PLANTS,
}  # fmt: skip

QUESTIONS = {
    "city": "Where {do|does} {s} live?",
    "employer": "Where {do|does} {s} work? Which employer?",
    "phone": "What is {p} phone number?",
    "colour": "What is {p} favourite colour?",
    "car": "Which car {do|does} {s} drive?",
    "drink": "What {do|does} {s} prefer to drink in the morning?",
    "manager": "Who is {p} manager?",
    "rent": "How much is {p} rent?",
    "deadline": "When is the {t} deadline?",
    "review": "On which day is the {t} review?",
}


def worded(template: str, who: str, *, v: str = "", o: str = "", t: str = "") -> str:
    """A sentence of a bank about the user (empty *who*) or somebody else."""
    me = not who
    words = {
        "S": "I" if me else who, "s": "I" if me else who, "P": "My" if me else f"{who}'s",
        "p": "my" if me else f"{who}'s",
        "q": "my" if me else "the", "m": "me" if me else who, "v": v, "o": o, "t": t,
    }  # fmt: skip
    text = template
    for name, word in words.items():
        text = text.replace("{" + name + "}", word)
    while "{" in text:
        start, end = text.index("{"), text.index("}")
        first, other = text[start + 1 : end].split("|")
        text = text[:start] + (first if me else other) + text[end + 1 :]
    return text[:1].upper() + text[1:]


class Year:
    """Draws the events of a year for a number of users. The same seed gives the same year."""

    def __init__(self, events: int, users: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.worlds = []
        for number in range(users):
            people = self.random.sample(PEOPLE, 4)
            self.worlds.append(World(f"user{number}", people))
        self._count = events

    def events(self) -> Iterator[Event]:
        """In the order of time."""
        step = timedelta(days=364) / self._count
        for number in range(self._count):
            world = self.random.choice(self.worlds)
            at = START + number * step
            yield self._next(world, at)

    def value_of(self, attribute: str, *other_than: str) -> str:
        """A value, other than the present one."""
        while True:  # until it is another
            if attribute == "phone":
                found = f"{self.random.randint(200, 999)}-{self.random.randint(1000, 9999)}"
            elif attribute == "rent":
                found = str(self.random.randrange(600, 1500, 10))
            elif attribute == "deadline":
                found = f"{self.random.randint(1, 28)} {self.random.choice(['September', 'October', 'November'])}"
            else:
                found = self.random.choice(VALUES[attribute])
            if found not in other_than:
                return found

    def _next(self, world: World, at: datetime) -> Event:
        draw = self.random.random()
        who = self.random.choice(["", "", *world.people])
        if draw < 0.10:
            text = self.random.choice(NOISE).format(who=self.random.choice(world.people))
            return Event(at, world.user, text, "noise")
        if draw < 0.14:
            subject = who or "I"
            text = self.random.choice(UNSURE).format(
                Subject=subject, subject=subject, city=self.random.choice(CITIES), firm=self.random.choice(FIRMS)
            )
            return Event(at, world.user, text, "unsure")
        if draw < 0.16:
            code = str(self.random.randint(1000, 9999))
            text = f"The guest code for the {self.random.choice(['garage', 'gym', 'office'])} is {code}."
            return Event(at, world.user, text, "passing", (Fact("", "code", code),), until=at + timedelta(days=14))
        if draw < 0.40:
            return self._of_many(world, who, at)
        if draw < 0.55:
            return self._of_thing(world, at)
        return self._of_one(world, who, self.random.choice(list(ONE)), ONE, at)

    def _of_one(
        self,
        world: World,
        who: str,
        attribute: str,
        banks: dict[str, tuple[list[str], list[str], list[str]]],
        at: datetime,
    ) -> Event:
        first, change, again = banks[attribute]
        key, thing = (who, attribute), who if banks is THINGS else ""
        old = world.one.get(key)
        told = "" if banks is THINGS else who
        if old is None:
            value = self.value_of(attribute, who)
            world.one[key] = value
            text = worded(self.random.choice(first), told, v=value, t=thing)
            return Event(at, world.user, text, "first", (Fact(who, attribute, value),))
        if self.random.random() < 0.45:
            value = self.value_of(attribute, old, who)
            world.one[key] = value
            text = worded(self.random.choice(change), told, v=value, o=old, t=thing)
            return Event(at, world.user, text, "change", (Fact(who, attribute, value),), (Fact(who, attribute, old),))
        text = worded(self.random.choice(again if self.random.random() < 0.6 else first), told, v=old, t=thing)
        return Event(at, world.user, text, "repeat", (Fact(who, attribute, old),))

    def _of_thing(self, world: World, at: datetime) -> Event:
        return self._of_one(world, self.random.choice(TASKS), self.random.choice(list(THINGS)), THINGS, at)

    def _of_many(self, world: World, who: str, at: datetime) -> Event:
        attribute = self.random.choice(list(MANY))
        first, over, again = MANY[attribute]
        held = world.many.setdefault((who, attribute), [])
        draw = self.random.random()
        if held and draw < 0.25:
            value = self.random.choice(held)
            held.remove(value)
            text = worded(self.random.choice(over), who, v=value)
            return Event(at, world.user, text, "end", (), (Fact(who, attribute, value),))
        if held and draw < 0.5:
            value = self.random.choice(held)
            text = worded(self.random.choice(again), who, v=value)
            return Event(at, world.user, text, "repeat", (Fact(who, attribute, value),))
        free = [value for value in VALUES[attribute] if value not in held]
        if not free:
            return Event(at, world.user, self.random.choice(NOISE).format(who=world.people[0]), "noise")
        value = self.random.choice(free)
        held.append(value)
        return Event(
            at, world.user, worded(self.random.choice(first), who, v=value), "first", (Fact(who, attribute, value),)
        )
