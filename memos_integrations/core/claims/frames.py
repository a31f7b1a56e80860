"""The verbs whose meaning the rules know, and the nouns that have one value at a time: closed lists of English."""

from __future__ import annotations

from memos_integrations.core.claims.claim import Strength

ONE, LIKELY, MANY = Strength.ONE, Strength.LIKELY, Strength.MANY

_IRREGULAR = {
    "is": "be", "am": "be", "are": "be", "was": "be", "were": "be", "been": "be", "being": "be",
    "has": "have", "had": "have", "having": "have", "does": "do", "did": "do", "went": "go", "goes": "go", "gone": "go",
    "going": "go", "got": "get", "gotten": "get", "getting": "get", "left": "leave", "leaving": "leave", "sold": "sell",
    "bought": "buy", "took": "take", "taken": "take", "taking": "take", "gave": "give", "given": "give",
    "giving": "give",
    "became": "become", "becoming": "become", "began": "begin", "begun": "begin", "quitting": "quit", "broke": "break",
    "broken": "break", "drove": "drive", "driven": "drive", "driving": "drive", "ate": "eat", "eaten": "eat",
    "drank": "drink", "spoke": "speak", "spoken": "speak", "wore": "wear", "rose": "rise", "risen": "rise",
    "fell": "fall", "fallen": "fall", "met": "meet", "taught": "teach", "ran": "run", "running": "run", "swam": "swim",
    "grew": "grow", "kept": "keep", "paid": "pay", "slept": "sleep", "woke": "wake", "woken": "wake", "wrote": "write",
    "lost": "lose", "held": "hold", "studies": "study", "studied": "study", "married": "marry", "marries": "marry",
    "dating": "date", "died": "die", "tied": "tie", "lying": "lie", "carries": "carry", "carried": "carry",
    "flies": "fly",
    "stands": "stand", "stood": "stand", "chose": "choose", "chosen": "choose", "shrank": "shrink", "saw": "see",
    "seen": "see",
    "tries": "try", "hurries": "hurry", "relies": "rely", "applies": "apply", "identifies": "identify", "costs": "cost",
    "read": "read", "set": "set", "cut": "cut", "put": "put", "made": "make", "found": "find", "won": "win",
    "led": "lead", "brought": "bring",
}  # fmt: skip

FRAMES: dict[tuple[str, str], tuple[str, Strength, int]] = {}
"""(verb, preposition or particle) to (attribute, strength, sign). The longest particle that fits counts."""


def _frames(attribute: str, strength: Strength, verbs: str, particles: str, sign: int = 1) -> None:
    for verb in verbs.split():
        for particle in particles.split("|"):
            FRAMES[verb, particle.strip()] = (attribute, strength, sign)


_frames("home", ONE, "live reside dwell", "in|at|on|near|over in|out in|down in|up in|in the")
_frames("lives with", LIKELY, "live reside", "with|together with")
_frames("lives with", LIKELY, "share", "a flat with|an apartment with|a house with|a room with|the flat with"
        "|my flat with|the house with")  # fmt: skip
_frames("lives with", LIKELY, "move", "in with")
_frames("home", ONE, "relocate", "to|into|over to|back to|out to|in")
_frames("home", ONE, "move", "to|into|over to|back to|out to|in to|house to|away to")
_frames("home", ONE, "settle", "in|down in|at|near")
_frames("employer", ONE, "work", "at|for|over at")
_frames("employer", ONE, "join", "")
_frames("employer", ONE, "start", "at|with")
_frames(
    "employer",
    ONE,
    "take get accept land have start begin",
    "|".join(
        ["hired by", "hired at"]
        + [
            f"{which} {what} {at}"
            for which in ("a", "a new", "my new", "his new", "her new", "the")
            for what in ("job", "position", "role", "post")
            for at in ("at", "with")
        ]
    ),
)
_frames("role", ONE, "work", "as")
_frames("role", ONE, "promote", "to")
_frames("role", LIKELY, "serve", "as")
_frames("school", ONE, "study enrol enroll", "at|in")
_frames("school", LIKELY, "transfer", "to")
_frames("subject", LIKELY, "study", "")
_frames("subject", LIKELY, "major", "in")
_frames("partner", ONE, "marry date wed", "")
_frames("partner", ONE, "get", "married to|engaged to|together with")
_frames("commute", ONE, "commute", "by|on|via")
_frames("supervisor", ONE, "report answer", "to")
_frames("bank", ONE, "bank", "with|at")
_frames("vehicle", LIKELY, "drive", "")
_frames("hobby", MANY, "take", "up")
_frames("name", ONE, "go", "by")
_frames("weight", ONE, "weigh", "")
_frames("price", ONE, "cost", "")
_frames("likes", MANY, "like love enjoy adore favour favor fancy appreciate", "")
_frames("likes", MANY, "care", "for")
_frames("likes", MANY, "hate dislike detest loathe despise abhor", "", -1)
_frames("prefers", LIKELY, "prefer", "")
_frames("wakes", ONE, "wake", "up at|at|up around|around")
_frames("wakes", ONE, "get", "up at|up around")
_frames("sleeps", ONE, "go", "to bed at|to sleep at|to bed around")
_frames("opens", ONE, "open", "at|on")
_frames("closes", ONE, "close shut", "at|on")
_frames("when", ONE, "begin", "at|on|in")
_frames("when", ONE, "happen occur", "at|on")
_frames("school", LIKELY, "attend", "")
_frames("role", ONE, "get", "promoted to")
_frames("work ends", ONE, "finish end stop", "work at")
_frames("work starts", ONE, "start begin", "work at")
_frames("ends", ONE, "expire", "in|on|at")
_frames("ends", ONE, "end finish", "at|on|in")
_frames("leaves", LIKELY, "leave depart", "at|on")
_frames("arrives", LIKELY, "arrive land", "at|on")
_frames("when", ONE, "take", "place on|place at|place in")
_frames("age", ONE, "turn", "")

COPULA: dict[str, tuple[str, Strength, int]] = {
    "based in": ("home", ONE, 1), "based out of": ("home", ONE, 1), "located in": ("where", ONE, 1),
    "located at": ("where", ONE, 1), "located on": ("where", ONE, 1), "settled in": ("home", ONE, 1),
    "employed by": ("employer", ONE, 1), "employed at": ("employer", ONE, 1), "married to": ("partner", ONE, 1),
    "engaged to": ("partner", ONE, 1), "in a relationship with": ("partner", ONE, 1),
    "dating": ("partner", ONE, 1), "called": ("name", ONE, 1),
    "named": ("name", ONE, 1),
    "known as": ("name", LIKELY, 1), "allergic to": ("allergy", MANY, 1), "intolerant to": ("allergy", MANY, 1),
    "into": ("hobby", MANY, 1), "fond of": ("likes", MANY, 1), "keen on": ("likes", MANY, 1),
    "a fan of": ("likes", MANY, 1),
    "a big fan of": ("likes", MANY, 1), "crazy about": ("likes", MANY, 1), "sick of": ("likes", MANY, -1),
    "tired of": ("likes", MANY, -1), "afraid of": ("fears", MANY, 1), "scared of": ("fears", MANY, 1),
    "scheduled for": ("when", ONE, 1), "due on": ("when", ONE, 1), "due at": ("when", ONE, 1), "due": ("when", ONE, 1),
    "set for": ("when", ONE, 1), "planned for": ("when", ONE, 1), "insured with": ("insurer", ONE, 1),
    "owned by": ("owner", ONE, 1),
    "led by": ("lead", ONE, 1), "run by": ("lead", ONE, 1), "managed by": ("lead", ONE, 1),
    "headed by": ("lead", ONE, 1),
    "promoted to": ("role", ONE, 1), "worth": ("price", ONE, 1), "priced at": ("price", ONE, 1),
    "hosted on": ("host", ONE, 1),
    "hosted by": ("host", ONE, 1), "written in": ("written in", ONE, 1), "stored in": ("where", ONE, 1),
    "kept in": ("where", ONE, 1),
    "parked in": ("where", ONE, 1), "assigned to": ("assigned", ONE, 1), "painted": ("colour", ONE, 1),
}  # fmt: skip
"""What follows a form of "be", to attribute, strength and sign."""

CHANGED = frozenset(
    "change move switch reschedule postpone shift push bring rename update raise rise fall drop increase decrease lower"
    " cut reduce go delay reset extend shorten grow relocate upgrade downgrade bump adjust revise convert migrate"
    " transfer set put"
    " turn slip slide climb jump".split()
)
"""Verbs that give something another value, with "to", "until" or "for"."""

ENDING = frozenset("stop quit cease finish end cancel drop ditch abandon sell lose leave discontinue scrap".split())
"""Verbs that say that something is over."""

STARTING = frozenset("start begin resume take".split())

ONE_AT_A_TIME = frozenset(
    """
    name nickname surname birthday birthdate age height weight size colour colors number phone mobile telephone email
    mail
    address password passcode pin code key login username handle job profession occupation title role salary wage income
    rent mortgage price cost fee rate budget limit quota deadline date time day schedule slot start end duration
    location
    place venue room floor office desk home hometown city country boss manager supervisor lead leader owner dentist
    doctor
    physician therapist landlord landlady lawyer accountant barber hairdresser vet mechanic trainer tutor teacher coach
    husband wife spouse partner boyfriend girlfriend fiance fiancee mother father car bike laptop computer bank insurer
    insurance provider carrier plan diet status state version release branch url link website domain timezone zone
    capital
    currency language editor browser system database host hostname port address ip major degree school university
    employer
    company team department seat gate platform flight train hotel theme font format unit default preference contact
    assistant ceo cto cfo president director head chair chairman captain goalkeeper host speaker president
    headquarters hq
    area extension iban account balance score rating level grade target goal total capacity population temperature
    mentor gp midwife sponsor
    babysitter nanny gardener cleaner deputy secretary treasurer physiotherapist optician
    stock threshold interval frequency mood blood type shoe ring dose dosage medication favourite workplace gym pharmacy
    """.split()
)
"""Nouns of which somebody or something has one at a time, as a rule: "my dentist", "the deadline"."""

SEVERAL = frozenset(
    "sister brother friend colleague cousin son daughter child kid aunt uncle neighbour cat dog pet hobby interest"
    " language"
    " skill goal problem issue idea thing allergy book film movie song dish food meal game sport subject point"
    " reason".split()
)

NOUNS: dict[str, str] = {
    noun: attribute
    for attribute, nouns in {
        "phone": "phone number,number,phone,telephone number,cell number,mobile number,contact number,phone phone",
        "email": "email address,email,mail address",
        "supervisor": "manager,boss,supervisor,line manager,team lead,superior",
        "employer": "employer,company,workplace,firm",
        "vehicle": "car,vehicle",
        "home": "home,hometown,residence,home city,home town",
        "rent": "rent,monthly rent",
        "partner": "partner,wife,husband,spouse,boyfriend,girlfriend,fiance,fiancee",
        "role": "job,profession,occupation,job title,title,role,position",
        "hobby": "hobby,pastime,main hobby",
        "diet": "diet",
        "age": "age",
        "weight": "weight",
        "income": "income,salary,wage,monthly income,annual income,annual"
        " salary,yearly salary,monthly salary,hourly wage",
        "subject": "major,college major,field of study",
        "bank": "bank",
        "name": "name",
    }.items()
    for noun in nouns.split(",")
}
"""Nouns for what verbs tell as well: "Ana's employer is X" is "Ana works at X"."""

PERSONAL = frozenset(
    """
    sister brother mother father mum mom dad parents son daughter wife husband partner boyfriend girlfriend fiance
    fiancee
    friend cousin aunt uncle grandmother grandfather grandma grandpa boss manager colleague neighbour neighbor roommate
    flatmate flatmates teacher dentist doctor landlord therapist niece nephew ex twin kids children team
    """.split()
)

JUDGING = frozenset(
    """
    new old broken slow fast quick nice good great bad fine okay lovely beautiful ugly pretty big huge tiny heavy
    light expensive cheap safe unsafe easy hard difficult boring interesting exciting strict kind friendly rude
    funny quiet loud noisy clean dirty messy warm cold hot cool comfortable uncomfortable tired busy ill sick well
    happy sad angry useful useless reliable unreliable strong weak long short tall young clever smart stupid
    important simple complicated famous popular wonderful terrible awful perfect amazing annoying lost gone
    missing wet dry damaged dead flat late early
    """.split()
)
"""Adjectives that say how something is: two of them can be true of one thing, and none is the value of an attribute."""

PREPOSITIONS = frozenset(
    "at in on for with to from by as of about into near over under around via per than off".split()
)
ADVERBS = frozenset(
    """
    still also really actually always usually generally officially absolutely simply only even both all definitely
    totally
    mostly mainly primarily typically normally finally often sometimes never ever rather quite very truly kind sort
    sadly happily gladly strongly much far certainly clearly then temporarily first lately soon exclusively
    """.split()
)
NOT_DOING = frozenset(
    "interesting boring amazing exciting tiring missing outstanding annoying charming nothing something anything"
    " everything"
    " willing during morning evening demanding disappointing surprising confusing relaxing promising following".split()
)
"""Words in -ing that are no verbs."""

PAST_EVENTS = frozenset(
    """
    went got saw had ate bought took met made did came found told said gave thought felt ran wrote spoke lost won heard
    let drank drove flew knew paid rang sang sat slept stood swam taught threw woke wore understood began broke brought
    built caught chose drew fell forgot grew held hid hit hurt led lent lit rode rose sent shook shot showed slid spent
    swore tore fed dug bent bound
    """.split()
)


def verb_of(word: str) -> str:
    """The plain form of a verb, well enough to look it up: `lives`, `living`, `lived` are `live`."""
    low = word.lower()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if low in _KNOWN:
        return low
    for ending in ("ing", "ed", "es", "s", "d"):
        if low.endswith(ending) and len(low) > len(ending) + 1:
            stem = low[: -len(ending)]
            doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            for form in (stem, f"{stem}e", doubled):
                if form in _KNOWN:
                    return form
    for ending in ("ing", "es", "s"):
        if low.endswith(ending) and len(low) > len(ending) + 2 and not low.endswith("ss"):
            return low[: -len(ending)]
    return low


_KNOWN = (
    frozenset(verb for verb, _ in FRAMES)
    | CHANGED
    | ENDING
    | STARTING
    | frozenset(
        "use own play speak eat need want know practise practice support follow subscribe attend take teach smoke run"
        " find"
        " swim cycle walk sing paint cook bake collect keep have do be meet contain include require charge deliver"
        " offer serve belong wear sleep read write train volunteer visit replace swap trade exchange buy adopt give"
        " step resign succeed"
        " break divorce become retire graduate hold carry run end pay rent manage lead teach see believe".split()
    )
)


def is_known(word: str) -> bool:
    """Whether the word is a form of a verb that the lists know."""
    return verb_of(word) in _KNOWN
