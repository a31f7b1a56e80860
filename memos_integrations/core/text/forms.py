"""Irregular forms of English words, and their two spellings: no stemmer sees that "bought" is "buy".

A question most often has the plain form ("What did she buy?"), what was said the past one. Here stand verbs and nouns
of daily use; forms that a stemmer joins by itself, and those of stop words, have no place here.
"""

from __future__ import annotations

from collections.abc import Iterable

from memos_integrations.core.text.stem import stem

_TOGETHER = """
arise arose arisen, awake awoke awoken, beat beaten, become became, begin began begun, bend bent, bind bound, bite
bit bitten, bleed bled, blow blew blown, break broke broken, breed bred, bring brought, build built, buy bought,
catch caught, choose chose chosen, cling clung, come came, creep crept, deal dealt, dig dug, draw drew drawn, dream
dreamt, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen, feed fed, feel felt, fight fought,
find found, flee fled, fly flew flown, forbid forbade forbidden, forget forgot forgotten, forgive forgave forgiven,
freeze froze frozen, get got gotten, give gave given, go went gone, grind ground, grow grew grown, hang hung, hear
heard, hide hid hidden, hold held, keep kept, kneel knelt, know knew known, lead led, lean leant, learn learnt,
leave left, lend lent, light lit, lose lost, make made, mean meant, meet met, mistake mistook mistaken, pay paid,
ride rode ridden, ring rang rung, rise rose risen, run ran, say said, see saw seen, seek sought, sell sold, send
sent, sew sewn, shake shook shaken, shine shone, shoot shot, show shown, shrink shrank shrunk, sing sang sung, sink
sank sunk, sit sat, sleep slept, slide slid, speak spoke spoken, spend spent, spin spun, spring sprang sprung, stand
stood, steal stole stolen, stick stuck, sting stung, strike struck, swear swore sworn, sweep swept, swim swam swum,
swing swung, take took taken, teach taught, tear tore torn, tell told, think thought, throw threw thrown, understand
understood, undertake undertook undertaken, wake woke woken, wear wore worn, weave wove woven, weep wept, win won,
withdraw withdrew withdrawn, write wrote written, calf calves, child children, foot feet, goose geese, half halves,
knife knives, leaf leaves, life lives, loaf loaves, man men, mouse mice, person people, scarf scarves, shelf
shelves, thief thieves, tooth teeth, wife wives, wolf wolves, woman women
"""

_SPELT = """
colour color, favourite favorite, neighbour neighbor, behaviour behavior, honour honor, humour humor, flavour flavor,
harbour harbor, labour labor, rumour rumor, odour odor, parlour parlor, vapour vapor, armour armor, savoury savory,
centre center, theatre theater, metre meter, kilometre kilometer, centimetre centimeter, litre liter, fibre fiber,
grey gray, catalogue catalog, dialogue dialog, cheque check, tyre tire, kerb curb, plough plow, mould mold, moustache
mustache, pyjamas pajamas, aluminium aluminum, jewellery jewelry, jeweller jeweler, storey story, organise organize,
realise realize, recognise recognize, apologise apologize, memorise memorize, organisation organization, specialise
specialize, analyse analyze, paralyse paralyze, defence defense, licence license, offence offense, practise practice,
travelled traveled, cancelled canceled, labelled labeled, modelled modeled, traveller traveler, sceptical skeptical,
programme program, doughnut donut, yoghurt yogurt, whisky whiskey, mum mom, mummy mommy, aeroplane airplane, cosy
cozy, tonne ton, ageing aging, fulfil fulfill, enrol enroll, skilful skillful, instalment installment
"""


def _by_stem() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in f"{_TOGETHER}, {_SPELT}".replace("\n", " ").split(","):
        stems = tuple(dict.fromkeys(map(stem, group.split())))
        for each in stems:
            others = tuple(other for other in stems if other != each)
            found[each] = tuple(dict.fromkeys((*found.get(each, ()), *others)))
    return found


_FORMS = _by_stem()


def forms(term: str) -> tuple[str, ...]:
    """The search terms (see `terms`) of a term's other forms; none for most.

    "buy" has "bought", "color" has "colour"; "leav" both "left" and, as leaves are many, "leaf".
    """
    return _FORMS.get(term, ())


def with_forms(asked: Iterable[str]) -> tuple[str, ...]:
    """Search terms without repeats, in order, and after them their other forms."""
    known = dict.fromkeys(asked)
    return (*known, *dict.fromkeys(form for term in known for form in forms(term) if form not in known))
