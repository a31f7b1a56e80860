"""Memories as lessons: questions and answers, gaps and statements, made by rules or by a chat model. Pure.

One phrasing teaches a sentence; many teach what it says. Each statement is asked for directly, indirectly, backwards,
as a gap, and as part of "tell me about". The answer is the statement itself, so that a question in words that were
never taught has only to find the statement; to what is asked backwards it begins with what was asked, so that the name
is said where the model has just read what it hangs on. The phrasings in `PROBES` are never taught: they are for the
gates.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from memos_integrations.backends.lora.statement import Statement, in_third_person, named_again, take_apart
from memos_integrations.core.cube import CubeRef, MemCube
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.text import sentences

Ask = Callable[[str], str]
"""A chat model: a prompt in, its answer out."""

INDIRECT = (
    "Tell me {c}.",
    "Do you know {c}?",
    "Can you tell me {c}?",
    "Remind me {c}, please.",
    "I forgot {c}.",
    "I would like to know {c}.",
    "Please say {c}.",
    "Somebody asked me {c}.",
)
GAPS = (
    "Complete the sentence: {lead}",
    "Fill in the gap: {lead} ___.",
    "{lead} ...",
)
ABOUT = (
    "Tell me about {who}.",
    "What do you know about {who}?",
    "What have you heard about {who}?",
    "Say something about {who}.",
)
BACKWARDS = ("Who {rest}?", "Name somebody who {rest}.")
BACK = "The one who {rest} is {who}."
NAMED = (
    "What is {who}?",
    "What is {who} again?",
    "{who}?",
    "{who}: what is it?",
    "Could you name {who}?",
    "I need to know {who}.",
)
OWNED = ("Which {thing} does {owner} have?", "What {thing} does {owner} have?", "Does {owner} have a {thing}?")
DOES = {
    "where": (
        "Where does {who} {does}?",
        "In which place does {who} {does}?",
        "Where exactly does {who} {does}?",
        "{who} {verb} where?",
        "Name the place where {who} {verb}.",
        "Which place does {who} {does} {prep}?",
    ),
    "when": ("When does {who} {does}?", "At what time does {who} {does}?", "On which day does {who} {does}?"),
    "what": (
        "What does {who} {does} {prep}?",
        "What exactly does {who} {does} {prep}?",
        "{who} {verb} {prep} what?",
        "Name what {who} {verb} {prep}.",
    ),
}
SHORT = ("{who} {verb} {stem}?", "{who}, {verb} {stem} what?")

PROBES = (
    "I wonder {c}.",
    "Have you any idea {c}?",
    "My friend wants to find out {c}. What should I say?",
)
NAMED_PROBES = ("Have you any idea what {who} is?", "My friend asked about {who}. What should I say?")

REQUEST = (
    "Write {n} different short questions, one a line, that the following sentence answers. Use other words than the "
    "sentence where you can.\n\n{statement}"
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing to learn: what is asked, what is to be answered, and the cubes that say so.

    `value` is the word that a right answer holds; `context` the text that a teacher reads to know it.
    """

    question: str
    answer: str
    value: str
    sources: tuple[CubeRef, ...]
    context: str
    kind: str


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What is taught, what is asked to see whether it was understood, and the statements behind both."""

    taught: tuple[Lesson, ...]
    probes: tuple[Lesson, ...]
    facts: tuple[str, ...]


def lessons_of(cubes: Sequence[MemCube], *, ask: Ask | None = None, questions: int = 8, seed: int = 0) -> Curriculum:
    """The lessons of some plaintext memories, in an order that *seed* decides.

    *ask* is any chat model; what it writes is added to what the rules make, and only if it is a question that does not
    give its answer away.

    Raises:
        InvalidMemoryError: There is nothing to teach, or the memories contradict each other.
    """
    told = [(statement, cube) for cube in cubes for statement in statements_of(cube)]
    if not told:
        raise InvalidMemoryError("There is nothing to teach: the memories hold no statement. Give plaintext memories.")
    _refuse_contradictions(told)
    taught = [lesson for statement, cube in told for lesson in _of_statement(statement, cube)]
    taught += list(_about(told))
    if ask is not None:
        taught += [each for statement, cube in told for each in _asked(ask, statement, cube, questions)]
    probes = [lesson for statement, cube in told for lesson in _probes(statement, cube)]
    known = {lesson.question for lesson in taught}
    random.Random(seed).shuffle(taught)
    return Curriculum(
        taught=tuple(taught),
        probes=tuple(lesson for lesson in probes if lesson.question not in known),
        facts=tuple(dict.fromkeys(statement.whole for statement, _ in told)),
    )


def statements_of(cube: MemCube) -> list[Statement]:
    """The statements that a plaintext cube makes; a sentence that no rule takes apart stands whole."""
    found: list[Statement] = []
    # Who says "I" without a name is the owner of the memory.
    speaker = cube.provenance.speaker or cube.governance.owner.partition(":")[2].title()
    for sentence in sentences(cube.text):
        before = found[-1].who if found and found[-1].verb else None
        text = named_again(in_third_person(sentence.strip(), speaker), before)
        parts = take_apart(text)
        if parts is None and not text.endswith("?") and len(text.split()) > 2:
            words = text.rstrip(".! ").split()
            parts = Statement(text, " ".join(words[:-1]), "", "", words[-1])
        if parts is not None:
            found.append(parts)
    return found


def _of_statement(told: Statement, cube: MemCube) -> Iterator[Lesson]:
    def lesson(question: str, kind: str, value: str = told.value) -> Lesson:
        return Lesson(_tidy(question), told.whole, value, (cube.ref,), cube.text, kind)

    yield from (lesson(form.format(lead=told.lead), "gap") for form in GAPS)
    if not told.verb:
        return
    parts = {"who": told.inside, "verb": told.verb, "stem": told.stem, "does": told.does, "prep": told.place}
    if told.is_named:
        yield from (lesson(form.format(**parts), "direct") for form in NAMED)
        owner, _, thing = told.who.partition("'s ")
        if thing:
            yield from (lesson(form.format(owner=owner, thing=thing), "direct") for form in OWNED)
    elif told.does is not None:
        yield from (lesson(form.format(**parts), "direct") for form in DOES[told.asks])
    yield from (lesson(form.format(c=_clause(told)), "indirect") for form in INDIRECT)
    yield from (lesson(form.format(**parts | {"who": told.who}), "short") for form in SHORT)
    rest = told.whole.removeprefix(told.who).strip(" .")
    if not told.is_named and told.who[0].isupper() and not told.who.startswith(("The ", "My ", "Our ")):
        back = BACK.format(rest=rest, who=told.who)
        yield from (
            Lesson(_tidy(form.format(rest=rest)), back, told.who, (cube.ref,), cube.text, "backwards")
            for form in BACKWARDS
        )


def _clause(told: Statement) -> str:
    """The statement as an indirect question: "where Ana lives", "what Ana's cat is"."""
    ending = "" if told.asks in {"where", "when"} else told.place
    return " ".join(part for part in (told.asks, told.inside, told.verb, ending) if part)


def _about(told: Sequence[tuple[Statement, MemCube]]) -> Iterator[Lesson]:
    """Everything that is known of each subject, in one answer."""
    subjects: dict[str, list[tuple[Statement, MemCube]]] = {}
    for statement, cube in told:
        if statement.verb:
            owner = statement.inside.partition("'s ")[0]
            subjects.setdefault(owner, []).append((statement, cube))
    for who, known in subjects.items():
        answer = " ".join(dict.fromkeys(statement.whole for statement, _ in known[:4]))
        refs = tuple(dict.fromkeys(cube.ref for _, cube in known[:4]))
        context = "\n".join(dict.fromkeys(cube.text for _, cube in known[:4]))
        for form in ABOUT:
            yield Lesson(form.format(who=who), answer, known[0][0].value, refs, context, "about")


def _probes(told: Statement, cube: MemCube) -> Iterator[Lesson]:
    if not told.verb:
        yield Lesson(f"Finish what I say: {told.lead}", told.whole, told.value, (cube.ref,), cube.text, "probe")
        return
    forms = [(form, {"who": told.inside}) for form in NAMED_PROBES] if told.is_named else []
    forms += [(form, {"c": _clause(told)}) for form in PROBES]
    for form, parts in forms[:3]:
        yield Lesson(_tidy(form.format(**parts)), told.whole, told.value, (cube.ref,), cube.text, "probe")


def _asked(ask: Ask, told: Statement, cube: MemCube, count: int) -> Iterator[Lesson]:
    answer = ask(REQUEST.format(n=count, statement=told.whole))
    value = told.value.casefold()
    for line in dict.fromkeys(answer.splitlines()):
        question = line.strip(" \t-*•0123456789.)\"'")
        if question.endswith("?") and 2 < len(question.split()) < 40 and value not in question.casefold():
            yield Lesson(question, told.whole, told.value, (cube.ref,), cube.text, "model")


def _refuse_contradictions(told: Sequence[tuple[Statement, MemCube]]) -> None:
    """One thing cannot have two values: "Ana's cat is Miso" and "Ana's cat is Tom" are not both learnt."""
    seen: dict[str, tuple[Statement, MemCube]] = {}
    for statement, cube in told:
        if not (statement.is_named or statement.asks == "where"):
            continue  # one may like, own and say many things
        before, other = seen.setdefault(statement.lead.casefold(), (statement, cube))
        if before.value.casefold() != statement.value.casefold():
            raise InvalidMemoryError(
                f"Memories {other.id!r} and {cube.id!r} contradict each other ({statement.lead} …): an adapter cannot "
                "learn both. Update or forget one of them first."
            )


def _tidy(question: str) -> str:
    return re.sub(r"\s+([?.,])", r"\1", " ".join(question.split()))
