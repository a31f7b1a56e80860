"""What a caller may say of a memory, and how it becomes a draft with every default filled in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypedDict, cast

from pydantic import ValidationError

from memos_integrations.core.access import Caller, as_subject
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import (
    Channel,
    Governance,
    Json,
    Layer,
    Licence,
    Link,
    Origin,
    Provenance,
    Relation,
    Trust,
    TrustLabel,
    first_problem,
    unique,
)
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.write import Draft, draft_cube, layer_for
from memos_integrations.core.ports import Durability

TRUST_OF_ROLE = {
    "user": Trust(channel=Channel.USER, label=TrustLabel.STATED),
    "assistant": Trust(channel=Channel.ASSISTANT, label=TrustLabel.UNVERIFIED),
    "system": Trust(channel=Channel.ASSISTANT, label=TrustLabel.UNVERIFIED),
    "tool": Trust(channel=Channel.TOOL, label=TrustLabel.UNTRUSTED),
}
TRUST_OF_ORIGIN: dict[str, Trust] = {
    Origin.EXTERNAL_RETRIEVAL: Trust(channel=Channel.EXTERNAL),
    Origin.INFERENCE_EXTRACTION: Trust(channel=Channel.ASSISTANT),
    Origin.PARAMETER_FINETUNING: Trust(channel=Channel.ASSISTANT),
    Origin.IMPORT: Trust(channel=Channel.IMPORT),
}
"""What a memory is worth that says where it comes from, and not how it arrived."""

ORIGIN_OF_ROLE = {
    "user": Origin.USER_INPUT,
    "assistant": Origin.INFERENCE_EXTRACTION,
    "system": Origin.INFERENCE_EXTRACTION,
    "tool": Origin.EXTERNAL_RETRIEVAL,
}


class MemoryChanges(TypedDict, total=False):
    """What an update may change besides the words; see `MemoryOptions`.

    trust: how the new words arrived: the next version is trusted no more than they are. It never raises trust. What was
        verified stays so: who may not verify does not change it.
    """

    readers: Iterable[str]
    writers: Iterable[str]
    sharers: Iterable[str]
    layer: Layer | str
    semantic_type: str
    tags: Sequence[str]
    topic: str | None
    concept: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    expires_at: datetime | None
    half_life: timedelta | None
    priority: int
    purposes: Sequence[str]
    applications: Sequence[str]
    sensitivity: Sequence[str]
    licence: Licence | None
    trust: Trust


class MemoryOptions(MemoryChanges, total=False):
    """What may be said of a memory when it is written; everything has a default.

    namespace: where it stands, tenant first. Default `(tenant, user)`.
    readers, writers, sharers: users (`ana`), `group:NAME`, `role:NAME` or `*`. Default: nobody but the owner.
    layer: private, shared or global. Default: private; shared when somebody is named; global for the reader `*`.
    ttl or expires_at: for how long. half_life: after how long half of its weight is gone.
    occurred_at: when it was said or happened. valid_from, valid_to: when it held in the world.
    purposes, applications: the calling contexts in which it may be used. Default: any.
    licence: how often, and until when, others than the owner may use it. Default: as often as they like.
    supersedes: ids of the cubes that it replaces.
    value: a structured value (JSON) beside the words, which recall does not search; new words drop it.
    durability: what the acknowledged write survives: `commit` (power loss) or `process` (`kill -9`). Default: as the
        vault was opened.
    """

    namespace: Sequence[str]
    language: str
    origin: Origin | str
    provenance: Provenance
    occurred_at: datetime
    ttl: timedelta
    supersedes: Sequence[str]
    value: Json
    durability: Durability | str


OPTIONS = frozenset(MemoryOptions.__annotations__) | frozenset(MemoryChanges.__annotations__)
DESCRIPTIVE = frozenset({"semantic_type", "topic", "concept", "valid_from", "valid_to", "language", "origin"})
GOVERNANCE = frozenset({"expires_at", "half_life", "priority", "purposes", "applications", "sensitivity", "licence"})
SUBJECTS = ("readers", "writers", "sharers")


def draft_memory(text: str, caller: Caller, options: MemoryOptions) -> Draft:
    """A draft of a memory of the caller.

    Raises:
        InvalidMemoryError: The text or an option is not valid, or there is no such option; the message names it.
    """
    if not isinstance(text, str):
        raise InvalidMemoryError(f"A memory is text (str), not {type(text).__name__}.")
    if not options:
        return draft_cube(text, **_told_by(caller.by.tenant, caller.by.user, caller.by.subject), now=caller.now)
    said: dict[str, Any] = dict(options)
    if not said.keys() <= OPTIONS:
        raise InvalidMemoryError(f"remember() has no option {', '.join(sorted(said.keys() - OPTIONS))}.")
    try:
        draft = draft_cube(
            text,
            namespace=parts(said.get("namespace") or (caller.by.tenant, caller.by.user)),
            governance=_governance(caller, said),
            now=caller.now,
            provenance=_provenance(caller, said),
            trust=_trust(said),
            tags=labels(said.get("tags", ())),
            value=said.get("value"),
            links=[Link(relation=Relation.SUPERSEDES, target=target) for target in labels(said.get("supersedes", ()))],
            **{name: value for name, value in said.items() if name in DESCRIPTIVE},
        )
        survives = said.get("durability")
        return draft if survives is None else replace(draft, durability=Durability(survives))
    except InvalidMemoryError:  # says itself what is wrong; it is a ValueError, too
        raise
    except ValidationError as exc:
        raise InvalidMemoryError(f"This memory cannot be stored: {first_problem(exc)}.") from exc
    except (TypeError, AttributeError, OverflowError) as exc:
        raise InvalidMemoryError(f"This memory cannot be stored, an option has the wrong type: {exc}.") from exc
    except ValueError as exc:
        raise InvalidMemoryError(f"durability is 'commit' or 'process', not {said.get('durability')!r}.") from exc


def draft_message(message: Message, conversation: Conversation, caller: Caller, options: MemoryOptions) -> Draft:
    """A draft of one message of a conversation, with its id, speaker, session and date as provenance."""
    said: dict[str, Any] = {"semantic_type": "message", "namespace": None, **options}
    said["namespace"] = said["namespace"] or (caller.by.tenant, caller.by.user, conversation.id)
    if message.private:
        said = {name: value for name, value in said.items() if name not in (*SUBJECTS, "layer")}
    elif message.readers:
        said |= {"readers": message.readers, "writers": (), "sharers": (), "layer": None}
    said["provenance"] = Provenance(
        source=conversation.source,
        message_id=message.id,
        speaker=message.speaker,
        thread_id=conversation.id,
        session_id=message.session_id,
        occurred_at=message.at,
    )
    said.setdefault("trust", TRUST_OF_ROLE[message.role])
    said.setdefault("origin", ORIGIN_OF_ROLE[message.role])
    return draft_memory(message.text, caller, cast(MemoryOptions, said))


def changes_by_part(changes: MemoryChanges) -> dict[str, dict[str, Any]]:
    """The changes under the part of the header where they belong.

    Raises:
        InvalidMemoryError: There is no such field to change.
    """
    said: dict[str, Any] = dict(changes)
    unknown = set(said) - MemoryChanges.__annotations__.keys()
    if unknown:
        raise InvalidMemoryError(f"update() cannot change {', '.join(sorted(unknown))}.")
    descriptive = {name: value for name, value in said.items() if name in DESCRIPTIVE}
    governance = {name: value for name, value in said.items() if name in (*GOVERNANCE, "layer")}
    if "tags" in said:
        descriptive["tags"] = unique(labels(said["tags"]))
    governance |= {name: _subjects(said[name]) for name in SUBJECTS if name in said}
    arrived = {"trust": _trust(said).model_dump()} if "trust" in said else {}
    return {"descriptive": descriptive, "governance": governance, **arrived}


def parts(namespace: Sequence[str]) -> tuple[str, ...]:
    """A namespace as a tuple of strings.

    Raises:
        InvalidMemoryError: It is one string (a classic slip), no sequence, or holds something else than strings.
    """
    named = None if isinstance(namespace, str) or not isinstance(namespace, Iterable) else tuple(namespace)
    if named is None or not all(isinstance(part, str) for part in named):
        raise InvalidMemoryError(f"A namespace is a sequence of strings such as ('acme', 'ana'), not {namespace!r}.")
    return named


def _trust(said: Mapping[str, Any]) -> Trust:
    trust: Trust = said.get("trust") or TRUST_OF_ORIGIN.get(said.get("origin", ""), TRUST_OF_ROLE["user"])
    if any(trust is ours for ours in TRUST_OF_ROLE.values()):
        return trust
    return Trust.model_validate(trust.model_dump(warnings=False))


def _provenance(caller: Caller, said: Mapping[str, Any]) -> Provenance:
    provenance: Provenance | None = said.get("provenance")
    if provenance is None and "occurred_at" not in said:
        return _by(caller.by.subject)
    fields = (provenance or Provenance()).model_dump(warnings=False)
    fields |= {"occurred_at": said["occurred_at"]} if "occurred_at" in said else {}
    return Provenance.model_validate(fields | {"author": caller.by.subject})


# Most memories are told by their owner, for nobody else, without a word more.


@lru_cache(maxsize=4096)
def _by(author: str) -> Provenance:
    return Provenance(author=author)


@lru_cache(maxsize=4096)
def _private(owner: str) -> Governance:
    return Governance(owner=owner)


@lru_cache(maxsize=4096)
def _told_by(tenant: str, user: str, author: str) -> dict[str, Any]:
    """The header of what somebody tells without a word more."""
    return {
        "namespace": (tenant, user),
        "governance": _private(author),
        "provenance": _by(author),
        "trust": TRUST_OF_ROLE["user"],
        "tags": (),
        "links": (),
    }


def _governance(caller: Caller, said: Mapping[str, Any]) -> Governance:
    if said.keys().isdisjoint((*SUBJECTS, *GOVERNANCE, "ttl", "layer")):
        return _private(caller.by.subject)
    subjects: dict[str, Any] = {name: _subjects(said.get(name, ())) for name in SUBJECTS}
    rules: dict[str, Any] = {name: value for name, value in said.items() if name in GOVERNANCE}
    if "ttl" in said:
        if "expires_at" in rules:
            raise InvalidMemoryError("Say either ttl or expires_at, not both.")
        if said["ttl"] <= timedelta(0):
            raise InvalidMemoryError(f"A ttl must be positive, not {said['ttl']}.")
        rules["expires_at"] = caller.now + said["ttl"]
    layer = said.get("layer") or layer_for(subjects)
    return Governance(owner=caller.by.subject, layer=layer, **subjects, **rules)


def _subjects(names: Iterable[str]) -> tuple[str, ...]:
    return unique(as_subject(name) for name in labels(names))


def labels(names: Iterable[str]) -> list[str]:
    """Names as a list of strings.

    Raises:
        InvalidMemoryError: It is one string (a classic slip), no list, or holds something else than strings.
    """
    if isinstance(names, str):
        raise InvalidMemoryError(f"Give a list of names, not the single string {names!r}.")
    if not isinstance(names, Iterable):
        raise InvalidMemoryError(f"Give a list of names, not {names!r}.")
    listed = list(names)
    if not all(isinstance(name, str) for name in listed):
        raise InvalidMemoryError(f"Names are strings; got {listed!r}.")
    return listed
