"""What a recipient gets of a memory of which not all is for them: its labels tell nothing of the words that go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from secrets import token_bytes
from typing import NamedTuple

from memos_integrations.core.cube import MemCube, PlaintextPayload
from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.gate import Ruling, WriteGate
from memos_integrations.core.interchange.keys import Signer
from memos_integrations.core.interchange.naming import Finds, Named, named_by, renamed
from memos_integrations.core.interchange.records import cube_in, record_line
from memos_integrations.core.operator.admission import looked_at
from memos_integrations.core.operator.write import finished, reworded
from memos_integrations.core.text import terms


class Redacted(NamedTuple):
    """What a redaction makes of a memory: the memory without the words, and what was taken out of it, by kind."""

    cube: MemCube
    removed: tuple[str, ...] = ()


Redaction = Callable[[MemCube, str], Redacted | None]
"""Decides what a recipient gets of a version of a memory: the same, another with the same id and version, or None."""


class Cut(NamedTuple):
    """A redaction for one recipient, and what stands for names that it takes something out of.

    `finds` says what it takes out of a name by itself; None: the words that it took out of the text are looked for.
    """

    of: Callable[[MemCube], Redacted | None]
    named: Named
    finds: Finds | None = None


NAMES = ("author", "message_id", "thread_id", "session_id")
"""Names that others gave, in which a number or an address of a person often stands; without it they name nothing."""

NAMES_OF = b"MIP-1 names\n"
"""The signature of this and a recipient, which is given to nobody, is the secret behind the names of its bundles."""

UNNAMED = "words"
"""The kind of what a redaction took out and did not name."""


def cut_for(recipient: str, redact: Redaction | WriteGate | None, signer: Signer) -> Cut | None:
    """What is taken out for a recipient; None: nothing. *signer* alone can make the names that stand for others."""
    if redact is None:
        return None
    secret = signer.sign(NAMES_OF + recipient.encode())
    return by_gate(redact, secret) if isinstance(redact, WriteGate) else by_function(redact, recipient, secret)


def by_function(redact: Redaction, recipient: str, secret: bytes) -> Cut:
    """Takes out what *redact* takes out for a recipient."""
    return Cut(partial(_asked, redact, recipient), named_by(secret))


def _asked(redact: Redaction, recipient: str, cube: MemCube) -> Redacted | None:
    return redact(cube, recipient)


def by_gate(gate: WriteGate, secret: bytes | None = None) -> Cut:
    """Takes out of a memory what *gate* takes out of what is written: text, values and tags, and names of threads.

    Its pseudonyms, where it has such, stand for persons. What it cannot look into (files, keys and values, adapters)
    does not go; what it refuses does not, either. A part of the namespace, the key of an item and a subject in which it
    finds something stand under another name, the same one for one *secret* (None: one that is drawn).
    """
    named = named_by(secret or token_bytes(32))

    def finds(name: str) -> str | None:
        verdict = gate.examine(name, tenant="")
        if verdict.text == name and verdict.ruling is not Ruling.REFUSE:
            return None
        return next((_kind(each) for each in verdict.found if not each.startswith("unicode:")), "characters")

    def redact(cube: MemCube) -> Redacted | None:
        if not isinstance(cube.payload, PlaintextPayload):
            return None
        told, removed = renamed(cube, finds, named)  # first: a name that is taken out is nothing to refuse
        clean, verdicts = looked_at(told, gate, tenant=cube.tenant)
        if any(verdict.ruling is Ruling.REFUSE for verdict in verdicts):
            return None
        taken = {kind for verdict in verdicts if verdict.ruling is not Ruling.ALLOW for kind in verdict.found}
        removed |= {*map(_kind, taken)} if clean is not told else set()
        clean, others = _unnamed(clean, finds)
        removed |= others
        payload = clean.payload
        if isinstance(payload, PlaintextPayload) and payload.blob is not None:
            if not payload.text.strip() and payload.value is None:
                return None
            clean = clean.model_copy(update={"payload": payload.model_copy(update={"blob": None})})
            removed.add("blob")
        return Redacted(clean, tuple(sorted(removed)))

    return Cut(redact, named, finds)


def _kind(found: str) -> str:
    """The kind of what a rule found: `email` of `personal:email`."""
    return found.partition(":")[2] or found


def _unnamed(cube: MemCube, finds: Finds) -> tuple[MemCube, set[str]]:
    """A version without those names of threads, sessions and messages in which something is found; and what was."""
    said = cube.provenance
    found = {name: kind for name in NAMES if (each := getattr(said, name)) and (kind := finds(each)) is not None}
    gone = said.model_copy(update=dict.fromkeys(found))
    return (cube.model_copy(update={"provenance": gone}) if found else cube), {*found.values()}


def redacted(cube: MemCube, redact: Cut, hidden: Collection[str]) -> Redacted | None:
    """What *redact* leaves of a version, with labels found anew; None: nothing.

    *hidden* are words that were taken out of what it is derived from: where it says one of them, it does not go.

    Raises:
        InvalidMemoryError: The redaction made another memory of it, or none that a reader takes.
    """
    made = redact.of(cube)
    if made is None:
        return None
    if made.cube.ref != cube.ref:
        raise InvalidMemoryError("A redaction gives the same version of the same cube back, with fewer words.")
    if not _words(made.cube.text).isdisjoint(hidden):
        return None
    if made.cube.payload == cube.payload and not hidden:
        return made
    gone = lost(cube, made.cube) | {*hidden}
    clean, others = _labelled(cube, made.cube, gone), set[str]()
    if redact.finds is None:
        clean, others = renamed(clean, lambda name: None if _words(name).isdisjoint(gone) else UNNAMED, redact.named)
    try:
        cube_in(record_line(clean))
    except BundleError as exc:
        raise InvalidMemoryError(f"A redaction left of {cube.id!r} what is no memory: {exc}") from exc
    is_named = made.removed or clean.payload == cube.payload
    return Redacted(clean, tuple(sorted({*(made.removed if is_named else (UNNAMED,)), *others})))


def lost(before: MemCube, after: MemCube) -> frozenset[str]:
    """The words of one version's text that another does not have."""
    return _words(before.text) - _words(after.text)


def _labelled(before: MemCube, after: MemCube, gone: Collection[str]) -> MemCube:
    """A version whose tags, entities and other labels tell no word that is *gone*; nor does what was counted of it."""
    if isinstance(after.payload, PlaintextPayload):
        known = before.model_copy(update={"descriptive": after.descriptive})
        named = reworded(known, after.text, after.payload.value, {}).descriptive
    else:
        named = after.descriptive
    told = after.provenance
    kept = {
        "tags": _without(named.tags, gone),
        "entities": _without(named.entities, gone),
        "topic": _or_none(named.topic, gone),
        "concept": _or_none(named.concept, gone),
    }
    who = {name: _or_none(getattr(told, name), gone) for name in ("speaker", "source", "trigger", *NAMES)}
    clean = after.model_copy(
        update={"descriptive": named.model_copy(update=kept), "provenance": told.model_copy(update=who)}
    )
    return finished(clean).cube


def _without(labels: Iterable[str], gone: Collection[str]) -> tuple[str, ...]:
    return tuple(label for label in labels if _words(label).isdisjoint(gone))


def _or_none(label: str | None, gone: Collection[str]) -> str | None:
    return label if label is None or _words(label).isdisjoint(gone) else None


def _words(text: str) -> frozenset[str]:
    return frozenset(terms(text))


def hidden_in(sources: Sequence[MemCube], redact: Cut) -> set[str]:
    """The words that *redact* takes out of memories that others are derived from."""
    made = ((source, redact.of(source)) for source in sources)
    return {word for source, each in made if each is not None for word in lost(source, each.cube)}
