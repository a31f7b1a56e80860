"""Turns of everyday speech in plain words: "haven't smoked for years" is "do not smoke any more". Pure.

Both readings, by claims and by contrast, take a sentence so. Contractions are written out before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from memos_integrations.core.claims.frames import PERSONAL, is_known, verb_of

_I = r"(?:I|we|he|she|they|my|our|his|her|their)"
_LONG = r"(?:[\w-]+ ){0,3}(?:weeks?|months?|years?|decades?|ages|(?:long )?(?:time|while))"
_NOT_SINCE = re.compile(
    rf"\b(?P<has>have|has) (?:not|never) (?P<verb>\w+)(?P<what>(?: [\w'-]+){{0,5}}?),? (?:for|in"
    rf"|since) {_LONG}(?: now)?\b"
    r"(?=[.,;!]|$)",
    re.IGNORECASE,
)
_CAN_NO_MORE = re.compile(r"\b(?:can|am able to|are able to) not\b(?= .*\bany ?(?:more|longer)\b)", re.IGNORECASE)
_NO_LONGER_CAN = re.compile(r"\b(?:can no longer|no longer can)\b", re.IGNORECASE)
_WHY_FIRST = re.compile(
    rf"^(?:with|because of|due to|thanks to|owing to|after|since|following) (?:(?!(?:I|we|he|she|they"
    rf"|that)\b)[\w'-]+ ){{0,5}}(?!I\b)[\w'-]+?,? "
    rf"(?={_I} (?:no longer|can|do|does|am|is|are|have|has|now|had to|stopped|quit|gave)\b"
    rf"|(?:my|our) [\w-]+ (?:is|are|takes|has|costs|no longer)\b)",
    re.IGNORECASE,
)
_WHY_WORDS = re.compile(r"^(?:after|since) (?:I|we|he|she|they|it)\b", re.IGNORECASE)
"""A clause of its own, not the reason of the one that follows."""
_MADE = re.compile(
    r"^(?:My |Our |The )?[\w'-]+(?: [\w'-]+)? (?:has |have )?(?:made|got|had|convinced|persuaded"
    r"|talked) me (?:to |into )?"
    r"(?=(?:start|begin|stop|quit|give|giv|switch|cut)\w*\b)",
    re.IGNORECASE,
)
_HAVE_GOT = re.compile(
    r"\b(have|has) got (?=(?:a|an|the|my|our|his|her|no|some|one|two|three|four|five|six|\d+)\b)", re.IGNORECASE
)
_A_NAMED = re.compile(r"\b(is|are|am) (?:a|an) [\w-]+(?: [\w-]+){0,2}? (?:called|named) (?=[A-Z])")
_PARENTS = re.compile(r"\b(?:my )?(?:mum|mom|mother|mama) and (?:my )?(?:dad|father|papa)\b", re.IGNORECASE)
_WHOSE_NAME = re.compile(
    r"\b(?P<who>(?:my|our|his|her|[A-Z]\w+'s) (?:new )?(?:girlfriend|boyfriend|wife|husband|partner|fiancee?"
    r"|boss|manager"
    r"|dentist|doctor|landlord|landlady|therapist|teacher|coach|nanny))(?:'s name is| is (?:called|named)) (?=[A-Z])",
    re.IGNORECASE,
)
_GOING_PLACES = re.compile(r"\b(am|is|are) (?:going|flying|driving|off) to (?=(?:the )?[A-Z])")
_EVENT = (
    r"trip|wedding|party|meeting|concert|holiday|date|engagement|dinner|visit|deal|event|sale|move|match|game|show"
    r"|lesson|class|course|appointment|interview|conference|flight|barbecue|picnic|tour|cruise|weekend|theatre|cinema|play|film|race|run|lunch|walk|excursion"
)
_IS_OFF = re.compile(rf"\b({_EVENT}) (?:is|are|was) (?:all )?off(?: now)?(?=[.,;!]|$)", re.IGNORECASE)
_AFTER_ALL = re.compile(r",? after all(?=[.,;!]|$)", re.IGNORECASE)
_HIRED = re.compile(
    r"\b(?:(?:found|landed) (?:(?:an?|my first|my|his|her) (?:new )?(?:job|position)|work)"
    r"|(?:got|have|has) (?:an?|my first|my) (?:new )?(?:job|position)(?! (?:at|with|for|in"
    r"|to)\b))\b(?! (?:interview|offer)\b)",
    re.IGNORECASE,
)
_RESUMED = re.compile(
    r"\b(?:am|is|are|went|goes|go|came|come) back (?:at|to|in) (?:work|the office|school|uni|university)\b",
    re.IGNORECASE,
)
_GAVE_BIRTH = re.compile(
    r"\bhad (?:her|the|our|my|a|their|an) (?:baby|babies|child|twins|(?:little |baby )?(?:boy|girl))\b", re.IGNORECASE
)
_TREATED = re.compile(
    r"\bhad ((?:my|his|her|the) (?:[\w-]+ )?(?:operation|surgery|exam|interview|check-?up|scan|procedure|treatment))\b",
    re.IGNORECASE,
)
_WAITS = re.compile(r"\bon (?:a|the) (?:waiting list|waitlist) for\b", re.IGNORECASE)
_REACHED_AT = re.compile(
    r"^(?:please |from now on,? |you can )*(?:use|write to|e-?mail me (?:at|on)|mail me at|reach me (?:at|on)"
    r"|send (?:it|mail|everything) to) (\S+@[\w.-]+\w)",
    re.IGNORECASE,
)
_RUNG_AT = re.compile(
    r"^(?:please |from now on,? |you can )*(?:call|reach|text|ring) me (?:at|on) (\+?\d[\d /-]{5,}\d)", re.IGNORECASE
)
_OPEN_UNTIL = re.compile(
    r"\b(?:stays?|is|are|remains?) (now )?open (?:until|till) (?=\d|noon|midnight|half|quarter|one|two|three"
    r"|four|five|six|seven"
    r"|eight|nine|ten|eleven|twelve)",
    re.IGNORECASE,
)
_HOURS = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13), strict=True))
_SPELT_HOUR = re.compile(
    rf"\b(at|to|until|till|from|around) ({'|'.join(_HOURS)})(?: (thirty|fifteen|forty-five))?"
    r"(?=[.,;!]|$| (?:now|from|instead|sharp|today|on|in the|every|each|o'clock)\b)",
    re.IGNORECASE,
)
_MINUTES = {"thirty": ":30", "fifteen": ":15", "forty-five": ":45"}
_WILL_BE = re.compile(r"\b(?:is|are|am) going to be (?=called|named|at|on|in|held)", re.IGNORECASE)
_WANTS_THE_NAME = re.compile(
    r"\b(?:wants?|asked|asks|prefers?|would like) to be (?:called|known as|referred to as)\b", re.IGNORECASE
)
_GIVES_THE_NAME = re.compile(
    r"^(?:I|We|They|He|She) (?:have |has )?(?:renamed|named|(?:decided|want|chose) to (?:re)?(?:name|call)) "
    r"((?:the|our|my|his|her|their) [a-z]+(?: [a-z]+)?) ([A-Z][\w-]+)(?: instead)?(?=[.,;!]|$)"
)
_IN_LOVE = re.compile(r"\b(?:(?:have|has) )?(?:fallen|fell) in love with\b", re.IGNORECASE)
_PUT_OFF = re.compile(
    r"\b(?:put off|postponed|delayed|pushed|rescheduled|shifted|moved|adjourned) (?:back )?(?:until|till) ",
    re.IGNORECASE,
)
_HEARD = re.compile(
    r"^I (?:hear|heard|learned|learnt|found out)(?: from ([A-Z]\w+) that (?:he|she)| that)?\b ?(?!about|of|from|how|to)"
)
_LET_GO = re.compile(
    r"^[A-Z][\w'-]+(?: [A-Z][\w'-]+)? (?:has |have )?(?:let me go|(?:fired|sacked|dismissed) me|laid me off"
    r"|made me redundant)\b"
)
_OWN_TASTE = re.compile(
    r"^I(?:'d say| (?:think|guess|believe|feel|would say|(?:have )?decided|realized|realised))"
    r"(?: that)? (?=.*\b(?:my (?:new )?favou?rite|I (?:like|love|prefer"
    r"|hate))\b)"
)
_NOT_UNTIL = re.compile(
    r"\b(does|will) not (open|close|start|begin|leave|arrive|end) (?:until|till|before) "
    r"([^.,;]+?)(?: any ?(?:more|longer))?(?=[.,;]|$)",
    re.IGNORECASE,
)
_OUT_OF = re.compile(
    r"\b(?:got out of|came out of|was released from|is out of|was let out of) (?:the )?(?=prison|jail|hospital"
    r"|rehab|the clinic)",
    re.IGNORECASE,
)
_HABIT_OF = re.compile(
    r"\b(?:have |has )?(?:broken|broke|kicked|dropped|given up|gave up|got rid of|lost) (?:the|my|his|her"
    r"|their) habit of "
    r"(?=\w+ing\b)",
    re.IGNORECASE,
)
_BOUGHT_A_HOME = re.compile(
    r"\b(?:have |has )?(?:bought|rented|found|got|purchased) "
    r"((?:an?|our|my|his|her|their|the) (?:[\w-]+ ){0,3}?(?:house"
    r"|home|flat|apartment|condo|place|townhouse|studio)\b[^,.;]*?)"
    r",? and (?:have |has |are |am |is |just )*(?:moved|moving) in(?:to it)?\b",
    re.IGNORECASE,
)
_RENAMED = re.compile(r"\brenamed (?=[A-Z])")
_AN_HOUR = re.compile(r"\b(takes?|lasts?|took|lasted) (?:about |only |around )?an? (hour|day|week|minute|month|year)\b")
_HALF_AN_HOUR = re.compile(r"\bhalf an hour\b", re.IGNORECASE)
_WORN = r"((?:the|my|his|her) (?:braces?|cast|plaster|stitches|bandages?|boot|sling|splint))"
_TAKEN_OFF = re.compile(rf"\b{_WORN} (?:is|are) off\b", re.IGNORECASE)
_GOT_OFF = re.compile(rf"\b(?:I )?(?:got|had) {_WORN} (?:off|taken off|removed)\b", re.IGNORECASE)
_REPORTED_OF = re.compile(
    r"^([A-Z]\w+)'s (?:\w+) (?:says|told me|tells me|mentioned|mentions|said)(?: that)? (?:he|she)\b"
)
_REPORTED = re.compile(
    r"^(?:my )?[A-Za-z]+(?:'s [a-z]+)? (?:says|tells me|told me|mentioned|mentions|reports"
    r"|writes)(?: to me)?(?: that)? "
    r"(?=(?!I\b)(?:[A-Z][\w'-]+|my|our|his|her|the) (?:[\w'-]+ ){0,2}?(?:is|are|has|have|left|quit|no longer"
    r"|does|died|got|gave"
    r"|went|sold|bought|[a-z]{2,}ed|[a-z]{3,}s)\b)"
)


_IN_OFFICE_AGAIN = re.compile(
    r"\b(?:am|are|is) (?:now )?back in(?:to)? the office (?=(?:\w+ )?(?:days?|full[- ]time|daily|every)\b)",
    re.IGNORECASE,
)

_CALLED_ME = re.compile(
    r"^(?:(?:please|just|you can|people|everybody|everyone|friends"
    r"|most people) )*calls? me ([A-Z]\w+)(?=[.,;!]|$| now\b| from now on\b)"
)
_TIME = re.compile(r"\b(full|part) time\b", re.IGNORECASE)
_DIAGNOSED = re.compile(
    r"\b(?:was|were|am|is|have been|has been|got|been) (?:just |recently |newly )?diagnosed with (?=\w)", re.IGNORECASE
)
_NO_JOB = re.compile(
    r"\b(do|does) not (?:currently )?have (?:a|any) (?:job|work)(?=[.,;!]|$| right now| at the moment)", re.IGNORECASE
)
_WAS_HIRED = re.compile(r"\b(?:was|were|am|is|has been|have been) (?:just |recently )?hired (by|at) ", re.IGNORECASE)


def _jobless(found: re.Match[str]) -> str:
    return "am unemployed" if found[1].lower() == "do" else "is unemployed"


_SELDOM = re.compile(
    r"\b(?:hardly ever|rarely|seldom|barely ever) (?=[^.;]*\b(?:now|these days|nowadays|any ?more|lately)\b)",
    re.IGNORECASE,
)
_TIRED = re.compile(
    r"\b(?:have |has )?(?:got|gotten|grown|grew|become|became) (tired|sick|weary|fond) of\b", re.IGNORECASE
)
_WEARY = {"tired": "am now tired of", "sick": "am now sick of", "weary": "am now tired of", "fond": "am now fond of"}
_PROLONGED = re.compile(
    r"\b(extended|prolonged|renewed) ((?:my|our|the|his|her|their) [\w-]+(?: [\w-]+)?) (?:until|till|through) ", re.I
)
_WILL_NOW = re.compile(
    r"\bwill (?:now )?(land|leave|depart|arrive|open|close|end|start"
    r"|begin|meet)(?= (?:at|on) [^.;]*\b(?:instead|now|from now on))",
    re.IGNORECASE,
)
_NOT_RENEWED = re.compile(
    r"\b(?:(?:did|will|am going to|have|has|are going to) not renew(?:ed)?|decided not to renew)\b", re.IGNORECASE
)
_LET_LAPSE = re.compile(r"\blet (?=[^.;,]{3,60} (?:expire|lapse|run out)\b)", re.IGNORECASE)
_NO_INTEREST = re.compile(r"\b(?:(?:have|has) )?lost (?:all |my |his |her )?interest in\b", re.IGNORECASE)
_REMARRIED = re.compile(r"\bremarried\b", re.IGNORECASE)
_TAKEN_JOB = re.compile(
    r"\b(took|accepted|got|landed|started|found) (?:an?"
    r"|my) (?:[\w-]+ ){0,4}?(?:job|position|role|post|gig) (at|with) (?=\w)",
    re.I,
)
_AVOIDS = re.compile(
    r"\b(?:avoid|(?:am|are) avoiding|stay away from) (?=(?:all |any )?(?:dairy"
    r"|meat|alcohol|sugar|gluten|carbs|caffeine|lactose|pork|seafood)\b)",
    re.IGNORECASE,
)

_BROKEN = re.compile(
    r"^((?:the|my|our|[A-Z]\w+'s) (?:[\w'-]+ ){1,6}?)"
    r"(?:(?:does|do) not (?:work|function)|(?:is|are) not working|(?:is|are) out of (?:order|service))(?: properly)?"
    r"(?=[.,;!]|$)",
    re.IGNORECASE,
)
_HAS_A_NEW = re.compile(
    r"^(?:(?P<me>I|we)|(?P<who>[A-Z]\w+|(?:my|our|the) \w+)) (?:now )?(?:has|have|got) (?:got )?an? new "
    r"(?P<what>[a-z]+(?: [a-z]+)?)(?: named| called|,) (?=[A-Z])",
    re.IGNORECASE,
)
"""Who has a new one, by name: of what one has one of at a time the reading decides."""
_HANDLES = re.compile(
    r"\b(?:looks after|takes care of|(?:is|are) (?:now )?(?:in charge of|responsible for)|deals with)"
    r" (?=the |our |all )",
    re.IGNORECASE,
)


def _new(found: re.Match[str]) -> str:
    return f"{'my' if found['me'] else found['who'] + chr(39) + 's'} new {found['what']} is "


def _broken(found: re.Match[str]) -> str:
    of_somebody = found[1].split()[-1].lower() in PERSONAL
    return found[0] if of_somebody else f"{found[1]}is broken"


_TURNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_SELDOM, "never "),
    (_CALLED_ME, r"my name is \1"),
    (_TIME, r"\1-time"),
    (_DIAGNOSED, "now have "),
    (_WAS_HIRED, r"got hired \1 "),
    (_TIRED, lambda found: _WEARY[found[1].lower()]),
    (_PROLONGED, r"\1 \2 to "),
    (_WILL_NOW, r"now \1s"),
    (_NOT_RENEWED, "cancelled"),
    (_LET_LAPSE, "cancelled "),
    (_NO_INTEREST, "no longer like"),
    (_REMARRIED, "married"),
    (_TAKEN_JOB, r"\1 a job \2 "),
    (_AVOIDS, "do not have "),
    (_IN_OFFICE_AGAIN, "now work in the office "),
    (_RESUMED, "resumed work"),
    (_GAVE_BIRTH, "gave birth"),
    (_TREATED, r"completed \1"),
    (_WAITS, "waiting for"),
    (_REACHED_AT, r"my email is now \1"),
    (_RUNG_AT, r"my phone number is now \1"),
    (_OPEN_UNTIL, r"\1closes at "),
    (_WILL_BE, "will be "),
    (_HABIT_OF, "stopped "),
    (_LET_GO, "I was fired"),
    (_OWN_TASTE, ""),
    (_NOT_UNTIL, r"\2s at \3"),
    (_OUT_OF, "was discharged from "),
    (_BOUGHT_A_HOME, r"moved into \1"),
    (_RENAMED, "renamed to "),
    (_AN_HOUR, r"\1 one \2"),
    (_HALF_AN_HOUR, "30 minutes"),
    (_TAKEN_OFF, r"\1 came off"),
    (_GOT_OFF, r"\1 came off"),
    (_WANTS_THE_NAME, "is now called"),
    (_GIVES_THE_NAME, r"\1 is now called \2"),
    (_IN_LOVE, "now love"),
    (_PUT_OFF, "postponed to "),
    (_BROKEN, _broken),
    (_HAS_A_NEW, _new),
    (_HANDLES, "handles "),
)


@lru_cache(maxsize=1 << 12)
def plainly(sentence: str) -> str:
    """The sentence with such turns in plain words, all else as it was."""
    if '"' not in sentence:
        sentence = _HEARD.sub(lambda found: f"{found[1]} " if found[1] else "", sentence)
        sentence = _REPORTED.sub("", _REPORTED_OF.sub(r"\1", sentence))
    sentence = _PARENTS.sub("my parents", sentence)
    sentence = _NOT_SINCE.sub(_given_up, sentence)
    sentence = _NO_LONGER_CAN.sub("no longer", _CAN_NO_MORE.sub("do not", sentence))
    if not _WHY_WORDS.match(sentence):
        sentence = _WHY_FIRST.sub("", sentence)
    sentence = _HAVE_GOT.sub(r"\1 ", _MADE.sub("I ", sentence))
    sentence = _WHOSE_NAME.sub(r"\g<who> is ", _A_NAMED.sub(r"\1 ", sentence))
    sentence = _NO_JOB.sub(_jobless, sentence)
    sentence = _HIRED.sub(r"\g<0>, got hired", _AFTER_ALL.sub("", sentence))
    for pattern, into in _TURNS:
        sentence = pattern.sub(into, sentence)
    sentence = _GOING_PLACES.sub(r"\1 travelling to ", sentence)
    sentence = _SPELT_HOUR.sub(_in_digits, sentence)
    return _IS_OFF.sub(r"\1 is cancelled", sentence)


def _in_digits(found: re.Match[str]) -> str:
    return f"{found[1]} {_HOURS[found[2].lower()]}{_MINUTES.get((found[3] or '').lower(), '')}"


def _given_up(found: re.Match[str]) -> str:
    verb = verb_of(found["verb"])
    if found["verb"].lower() in {"been", "had", "got"} or not (is_known(verb) or found["verb"].endswith("ed")):
        return found[0]
    plain = verb if is_known(verb) else found["verb"].removesuffix("ed")
    return f"{'do' if found['has'].lower() == 'have' else 'does'} not {plain}{found['what']} any more"
