"""Classes of words by which two statements are held against each other: closed lists of English, some German, Spanish.

Classes of meaning, not phrases: what says no, what ends, what changes, what corrects, which predicates are about the
same, which words exclude each other, which predicates have several values.
"""

from __future__ import annotations

from functools import lru_cache

from memos_integrations.core.text import stem
from memos_integrations.core.text.words import fold

IRREGULAR = {
    form: verb
    for verb, forms in {
        "leave": "left", "sell": "sold", "buy": "bought", "take": "took taken", "give": "gave given",
        "speak": "spoke",
        "become": "became", "begin": "began begun", "break": "broke broken", "drive": "drove driven",
        "eat": "ate eaten",
        "drink": "drank drunk", "wear": "wore worn", "rise": "rose risen", "fall": "fell fallen", "meet": "met",
        "teach": "taught", "run": "ran", "swim": "swam", "grow": "grew grown", "keep": "kept", "pay": "paid",
        "sleep": "slept", "wake": "woke", "write": "wrote written", "rewrite": "rewrote rewritten", "lose": "lost",
        "hold": "held", "find": "found", "choose": "chose chosen", "shrink": "shrank shrunk", "see": "saw seen",
        "make": "made", "win": "won", "lead": "led", "go": "went gone", "get": "got gotten", "have": "had has",
        "come": "came", "sit": "sat", "stand": "stood", "know": "knew known", "fly": "flew flown", "throw": "threw",
        "ride": "rode ridden", "think": "thought", "bring": "brought", "build": "built", "rebuild": "rebuilt",
        "die": "died dying", "lie": "lying", "hide": "hid hidden", "hurt": "hurts", "forbid": "forbade forbidden",
        "spend": "spent", "send": "sent", "lend": "lent", "draw": "drew drawn", "withdraw": "withdrew withdrawn",
        "undergo": "underwent",
        "overcome": "overcame", "outgrow": "outgrew outgrown",
        "dye": "dyed dyeing", "sing": "sang sung", "tear": "tore torn", "swear": "swore sworn", "do": "did"
                   " done does",
    }.items()
    for form in forms.split()
}  # fmt: skip


@lru_cache(maxsize=1 << 13)
def root(word: str) -> str:
    """A word in the form in which it is compared."""
    low = fold(word)
    low = _CALLED.get(low, low)
    if low in _NOUNS:
        return "appointment"
    return stem(IRREGULAR.get(low, low))


_NOUNS = frozenset({"appointment", "appointments"})
"""Who is appointed has an office; an appointment is on a day."""
_CALLED = {
    "mum": "mother", "mom": "mother", "mama": "mother", "dad": "father", "papa": "father", "grandma": "grandmother",
    "grandpa": "grandfather", "child": "children", "kid": "child", "kids": "children",
}  # fmt: skip
"""Kin by the names that they are called, to what they are."""


def _roots(words: str) -> frozenset[str]:
    return frozenset(root(word) for word in words.split())


FILLERS = frozenset(
    """
    a an the this that these those some any each every i me my mine we us our ours you your he him his she her hers it
    its they them their who whom whose which what when where how am is are was were be been being do does did have has
    had having will would can could shall should and or but nor if then than so because as until while of at by for
    with about into through during to from in out on off onto up down over under here there only just very really
    also too not no yes never none nor cannot n't now again still already ever well please sorry oh hi hey ok
    user users there's it's one's own same other another such all both even quite rather almost mostly usually always
    often sometimes currently nowadays lately recently instead anymore longer more most much many lot bit
    get got gets getting make makes made take takes took taking give gives go goes going went come comes
    coming came put keep
    new newly current former previous latest updated days day last
    let around near next since without within per via till anyway actually probably definitely finally unfortunately
    der die das den dem des ein eine einen einem einer und oder aber ich du er sie es wir ihr mich mir uns mein meine
    meinen meinem meiner unser unsere sein seine ihre ist sind war waren bin habe hat haben wird werden wurde nicht
    kein keine keinen keiner nie mehr auch jetzt nun noch schon sehr im in am an auf zu zum zur bei von vom mit nach
    fur als um aus sondern letzten letzte letztes seit
    el la los las un una unos unas y o pero yo tu el ella nosotros me te se nos mi mis su sus nuestro nuestra es
    soy esta estoy estan fue era ha he han no ya ahora tambien muy en de del a al con por para que como mas sino lo
    """.split()
)
"""Words that carry no matter of a statement."""

TITLES = frozenset("dr mr mrs ms prof herr frau don dona".split())
"""Words before the name of somebody; they tell nobody from another."""

ANYBODY = frozenset(
    "somebody someone anybody anyone nobody everybody everyone people jemand niemand alguien nadie".split()
)
"""Subjects that name nobody in particular."""

YO = frozenset(
    "soy estoy tengo vivo trabajo estudio uso bebo hago juego voy somos estamos tenemos vivimos fumo".split()
)
"""Spanish verbs that say by their form that it is the speaker."""

ME = frozenset("i me my mine we us our ours user user's users ich wir mein meine unser unsere yo mi mis nos me".split())
POSSESSIVES = frozenset(
    "my our his her their your mein meine meinen meinem meiner unser unsere mi mis su nuestra".split()
)
DETERMINERS = POSSESSIVES | frozenset(
    "a an the this that these those der die das den dem ein eine el la los las".split()
)

KIN = frozenset(
    """
    sister brother mother father mum mom dad parents son daughter wife husband partner boyfriend girlfriend fiance
    friend cousin aunt uncle grandmother grandfather grandma grandpa nephew niece boss manager colleague neighbour
    neighbor roommate flatmate landlord landlady tenant teacher coach trainer tutor ex twin kid kids child children baby
    stepfather stepmother godmother godfather assistant flatmates neighbours neighbors colleagues family
    grandparents in-laws
    schwester bruder mutter vater sohn tochter frau mann onkel tante oma opa freund freundin chef chefin kollege
    eltern kinder geschwister grosseltern schwiegereltern nachbar nachbarin mitbewohner kollegin cousin neffe nichte
    hermana hermano madre padre hijo hija mujer marido esposa esposo tia tio abuela abuelo amigo amiga jefe jefa
    padres hijos hijas hermanos abuelos suegros primo prima vecino vecina novio novia sobrino sobrina companero
    companera
    """.split()
)
"""Nouns that name somebody by what they are to the speaker."""

KINDRED = _roots(" ".join(KIN)) | {"@me", "@mine"}
"""Their roots, and the speaker's marks."""

NEGATIONS = frozenset("not no never none nor neither cannot without nobody nothing n't nicht kein keine keinen keiner"
                      " keinem nie niemals ohne nunca jamas ningun ninguna sin".split())  # fmt: skip

ENDING = _roots(
    "wipe erase stop quit cease discontinue cancel terminate drop"
    " ditch scrap abandon abolish finish complete conclude end sell"
    " return leave lose resign retire withdraw unsubscribe unfollow uninstall divorce separate split die expire"
    " sunset"
    " decommission dissolve dismiss fire sack outsource hand pass recover heal remove delete disband dismantle"
    " replace"
    " overcome outgrow vacate evict deactivate deregister demolish axe purge disconnect relinquish forfeit"
    " swap trade exchange donate repay forgo forsake renounce lapse cure revoke repeal withdraw"
    " kundigen gekundigt aufgehort verkauft beendet abgesagt abgemeldet abgeschafft weggegeben"
    " dejar dejado deje dejo vendi vendio vendido cancele cancelado terminado acabado"
)
"""Verbs that say that what they are about goes on no longer, or not here."""

ENDING_PAIRS = frozenset(
    {("give", "up"), ("get", "rid"), ("step", "down"), ("break", "up"), ("call", "off"), ("pull", "out"),
     ("drop", "out"), ("move", "out"), ("shut", "down"), ("close", "down"), ("phase", "out"), ("cut", "out"),
     ("throw", "away"),
     ("wind", "down"), ("pack", "in"), ("opt", "out"), ("take", "off"), ("give", "notice"), ("sign", "off"),
     ("give", "away"), ("turn", "down"), ("fall", "through"), ("fall", "out"),
     ("grow", "out"), ("wear", "out"), ("get", "over"),
     ("let", "lapse"),
     ("let", "go"), ("come", "off"), ("run", "out"), ("do", "away"), ("take", "down"),
     ("pass", "away"), ("back", "out"), ("shut", "off"), ("wean", "off"), ("wear", "off"), ("clear", "up"),
     ("write", "off"), ("pay", "off"),
     ("check", "out"), ("throw", "out"), ("kick", "out"), ("rip", "out"), ("cut", "off")}
)  # fmt: skip
"""The same of a verb and its particle."""

OVER = frozenset("over gone finished cancelled canceled dead expired done past history vorbei fort terminado".split())
"""Said of something, that it is no more."""

CHANGING = _roots(
    "change move switch shift transfer migrate upgrade downgrade bump raise rise increase decrease reduce lower"
    " rename"
    " relocate reschedule postpone delay extend shorten convert rewrite rebuild redesign become turn promote"
    " replace swap"
    " trade exchange revise adjust update reassign elect appoint graduate climb shrink grow repaint"
    " outsource switch overhaul cut sell slip push dye bleach rebrand remodel refit waive reassign"
    " escalate double halve revise reset verschoben gewechselt gezogen umgezogen geandert"
    " mude mudo mudado muda verlangert verlegt erhoht gesenkt cambie cambiado"
    " traslade"
)
"""Verbs that say that something is another than before."""

BEGINNING = _roots("start begin join enter empezar anfangen angefangen")
"""Verbs that say that something is so from now on."""

MANY = _roots(
    "like love enjoy adore hate dislike detest loathe know speak learn study play visit watch cook eat support offer"
    " stock sell include cover contain buy own need want meet work use collect read bake grow afraid scared good bad"
    " interested be have get try recommend follow join teach order attend see hear been start wear drink can"
    " write say tell show let listen run swim walk ride practise exercise admire invest fly travel dance paint draw"
    " help bring send sprech mag esse gust habl com beb tengo tenemos trink va vas van"
)
"""Predicates that several values can have at once."""

FRAMES: dict[str, str] = {
    each: f"@{name}"
    for name, words in {
        "reside": "live reside dwell move relocate settle home wohne wohnt wohnen lebe lebt gezogen umgezogen"
                  " ziehe vivo vive"
                  " vivimos vivia mude mudo mudado muda",
        "employ": "work job employ employed employer employment arbeite arbeitet arbeiten trabajo trabaja trabajar",
        "name": "call name heißt heisst heisse llama llamo named called",
        "cost": "cost price pay fee charge rate",
        "weigh": "weigh weight",
        "last": "last duration long",
        "meet": "meet meeting treffen",
        "coach": "coach train trainer",
        "sit": "sit seat desk",
        "favourite": "favourite favorite liebling",
        "like": "like love enjoy adore fond fan keen hate dislike detest loathe gusta encanta"
                " mag mogen",
        "begin": "begin start",
        "fear": "afraid scared fear terrified frightened phobia dread",
        "drink": "drink alcohol",
        "smoke": "smoke smoker cigarette cigar",
        "repair": "repair fix mend",
        "renovate": "renovate renovation refurbish",
        "supply": "supply supplier provide provider",
        "wed": "marry wedding married wed",
        "swell": "swell swollen swelling",
        "lead": "lead leader manage manager",
        "contact": "contact reach",
        "search": "search look hunt seek",
        "test": "test exam",
        "rent": "rent lease tenancy",
        "subscribe": "subscribe subscription subscriber unsubscribe",
        "therapy": "therapy therapist",
        "office": "office desk",
        "school": "school kindergarten nursery daycare preschool university college primary secondary",
        "ticket": "ticket fare",
    }.items()
    for each in _roots(words)
}  # fmt: skip
"""Words by which the same thing is told."""

WISHING = _roots("want need prefer") | {"@like"}

SINGLE = frozenset({"@reside", "@employ", "@name", "@cost", "@weigh", "@last", "@sit", "@lead", "@school", "@meet",
                    "@begin", "@supply", "@contact"})  # fmt: skip
"""Frames that one thing has one value of at a time, as a rule."""

_OPPOSED = """
open / close closed shut locked
good / bad poor
allow allowed permit permitted welcome / forbid forbidden prohibit prohibited ban banned
work function run / broken defective fail break down
full / empty
available / sold unavailable
alive living / dead die
valid / expired expire
paid settled / unpaid overdue outstanding owing
single unmarried ledig / married engaged verheiratet verlobt
together zusammen juntos / apart separated getrennt separados
share shared / own
awake / asleep
employed / unemployed jobless fired
self-employed freelance freelancing / employed employee
enable enabled on / disable disabled off
present / absent away
healthy well fit / ill sick unwell
safe / dangerous unsafe
hot warm / cold cool
like love enjoy adore fond fan keen / hate dislike detest loathe unbearable despise dread
easy / hard difficult
fast quick / slow
cheap / expensive pricey
oldest eldest / youngest
old / young
biggest largest / smallest
big large / small tiny
early / late
always / never
indoors inside indoor / outdoors outside outdoor
public / private
online / offline
full-time / part-time
agree / disagree refuse
accept accepted / reject rejected decline
include included / exclude excluded
remember / forget
win / lose
pass / fail
true / false
clean / dirty
dry / wet
heavy / light
strong / weak
left / right
north / south
east / west
rise increase / fall decrease
busy booked occupied taken / free idle vacant
optional voluntary / mandatory compulsory required obligatory
finished done complete completed / unfinished incomplete pending overdue ongoing
repaired fixed / broken
furnished / unfurnished
married / divorced separated widowed
solved resolved fixed / unresolved unsolved
locked / unlocked
visible / hidden
vegetarian vegan / carnivore omnivore
deaf / hearing
urgent / unimportant
crowded / deserted
loud noisy / quiet silent
happy glad content / unhappy sad miserable
manual / automatic automated
upstairs / downstairs
temporary / permanent
remote / on-site onsite
strict / lenient lax
fixed / variable
junior / senior
high / low
wired / wireless
up / down
in-person / virtual
"""
OPPOSED: dict[str, tuple[tuple[int, int], ...]] = {}
"""Roots of words to the scales that they are on, and to which side."""
for _number, _line in enumerate(_OPPOSED.strip().splitlines()):
    for _side, _words in enumerate(_line.split(" / ")):
        for _each in _roots(_words):
            OPPOSED[_each] = (*OPPOSED.get(_each, ()), (_number, _side))

NEGATING_PREFIXES = ("un", "in", "dis", "non", "im", "ir", "non-", "un-")
NEGATING_SUFFIXES = ("less", "-free", "-less")
NUMERALS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen"
    " nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand once twice thrice"
    " zwei drei vier funf sechs sieben acht neun zehn zwolf zweimal dreimal viermal"
    " dos tres cuatro cinco seis siete ocho nueve diez doce".split()
)
ORDINALS = frozenset("first second third fourth fifth sixth seventh eighth ninth tenth".split())
DAYS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag"
    " samstag sonntag"
    " montags lunes martes miercoles jueves viernes sabado domingo".split()
)
PARTS = frozenset(
    "morning afternoon evening night noon lunch breakfast dinner week weekend month year day time".split()
)
MONTHS = frozenset(
    "january february march april may june july august september october november december"
    " spring summer autumn winter".split()
)
