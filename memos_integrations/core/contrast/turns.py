"""Events that end a state: what was broken is repaired, what was looked for is found, who was single marries. Pure."""

from __future__ import annotations

from memos_integrations.core.contrast.lexicon import root

_TURNS = """
* birth born deliver / pregnant expect
* graduate diploma / student study undergraduate trainee apprentice
back return / miss missing lose lost
find found locate turn / look search seek lose lost miss missing want need
arrive receive deliver come get got complete / wait await expect order outstanding transit delay overdue
let rent lease / free vacant empty
repair fix mend replace unblock / flat break broken defective leak damage out fail jam block crack torn stuck
pay repay settle transfer / owe unpaid due outstanding debt overdue
* hire / unemployed jobless unemployment
* resume / leave sabbatical vacation holiday sick ill
* recover heal cure / ill sick injure injury broken flu cold fever surgery operation concussion
back return home discharge / hospital clinic rehab ward prison jail
back return home discharge / holiday vacation leave trip travel abroad away hospital workshop repair garage sick
* marry wed engage meet / single engaged fiance fiancee unmarried
* divorce separate split break / marry married engaged together girlfriend boyfriend partner husband wife couple
fix solve / open
approve grant accept reject refuse / pending apply wait application review
answer reply / wait
finish complete submit pass / read write study work learn prepare draft
retire / work employ
sell / own sale belong
fill staff / open vacant
wake / asleep coma
land / flight fly
refill restock / low empty
charge recharge / flat empty
wash clean / dirty
merge / review draft
submit / draft
certify qualify / trainee learner
fluent / learn study
* reconcile forgive / fight quarrel feud
close resolve uphold dismiss decide / investigate investigation dispute
resume restart pick run underway ahead continue / hold pause suspend freeze shelve
release free clear / hold held detain seize block
reinstate restore reactivate / suspend lock block freeze
open reopen / close closed shut
close shut / open
switch turn / off on
fine better heal / hurt ache sore
normal / high low elevated overweight underweight irregular
run finish complete / train
renew extend / expire lapse
pick collect fetch / workshop repair garage cleaner shop mechanic vet dealership
expire lapse terminate revoke / valid active force run
sign / negotiate unsigned
buy order / need want save look
launch release ship / beta develop build
* geboren / schwanger
gefunden / suche suchen verloren
repariert / kaputt
bezahlt / schulde offen
* geheiratet / ledig single
encontre encontrado / busco buscando
* case casado casada / soltera soltero
reparado arreglado / roto rota estropeado
"""

AJAR = frozenset(map(root, "open close shut".split()))
"""What is so for a while as well ("closed this Monday")."""

TURNS: dict[str, frozenset[str]] = {}
"""The roots of what happens, to the roots of the states that it ends."""

OF_PEOPLE: dict[str, frozenset[str]] = {}
"""Those of them, marked with a star, that end a state of somebody whatever else is told."""
LIVES: dict[str, frozenset[str]] = {}
"""Events and states of people, to the names of the lines that they stand in: which memories may be about the same."""
for _number, _line in enumerate(_TURNS.strip().splitlines()):
    _events, _states = (frozenset(map(root, _side.split())) for _side in _line.removeprefix("* ").split(" / "))
    for _into in [TURNS, OF_PEOPLE] if _line.startswith("*") else [TURNS]:
        for _event in _events:
            _into[_event] = _into.get(_event, frozenset()) | _states
    for _each in (_events | _states) if _line.startswith("*") else ():
        LIVES[_each] = LIVES.get(_each, frozenset()) | {f"@life{_number}"}


def turned(table: dict[str, frozenset[str]], acts: frozenset[str], states: frozenset[str]) -> frozenset[str]:
    """Those of the *states* that something of *acts* ends."""
    return frozenset[str]().union(*(table[each] for each in acts & table.keys())) & states
