"""The header of a cube: what it is, where it came from, how far to trust it, who may use it, how it was used."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from memos_integrations.core.cube.values import Count, Label, Labels, Moment, Number, Once, Text, Value


class Origin(StrEnum):
    """How the memory came to be (paper §4.2, origin signature)."""

    USER_INPUT = "user_input"
    INFERENCE_EXTRACTION = "inference_extraction"
    EXTERNAL_RETRIEVAL = "external_retrieval"
    PARAMETER_FINETUNING = "parameter_finetuning"
    IMPORT = "import"


class Channel(StrEnum):
    """What the content came through; survives every copy, summary and bundle."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    DOCUMENT = "document"
    EXTERNAL = "external"
    IMPORT = "import"


class TrustLabel(StrEnum):
    """How far a memory may be relied on, from least to most. Derivation can only lower it."""

    UNTRUSTED = "untrusted"
    UNVERIFIED = "unverified"
    STATED = "stated"
    VERIFIED = "verified"


class Layer(StrEnum):
    """The semantic layer (paper §5.3): the owner's alone, shared with named subjects, or for the whole tenant."""

    PRIVATE = "private"
    SHARED = "shared"
    GLOBAL = "global"


class State(StrEnum):
    """Where a cube stands in its life (paper §5.4.3)."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    FROZEN = "frozen"


class CubeRef(Value):
    """One version of one cube."""

    id: Label
    version: Number


class Relation(StrEnum):
    """How one cube stands to another."""

    FOLLOWS = "follows"
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"
    MENTIONS = "mentions"
    MERGED_INTO = "merged_into"
    MERGED_FROM = "merged_from"


class Link(Value):
    """An edge from this cube to another."""

    relation: Relation
    target: Label


class Descriptive(Value):
    """Descriptive identifiers: what the memory is, and when it holds (bi-temporal)."""

    created_at: Moment
    recorded_at: Moment
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    origin: Origin = Origin.USER_INPUT
    semantic_type: Label = "fact"
    tags: Labels = ()
    topic: Label | None = None
    concept: Label | None = None
    entities: Labels = ()
    language: Label | None = None

    @property
    def first_recorded_at(self) -> datetime:
        """When its first version was written down; of an import, where it came from. No change makes it later."""
        return min(self.created_at, self.recorded_at)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self


class Provenance(Value):
    """Where the memory came from. Every recalled text carries it along."""

    source: Label | None = None
    message_id: Label | None = None
    speaker: Label | None = None
    author: Label | None = None
    thread_id: Label | None = None
    session_id: Label | None = None
    occurred_at: Moment | None = None
    model_id: Label | None = None
    trigger: Label | None = None
    derived_from: tuple[CubeRef, ...] = ()
    links: tuple[Link, ...] = ()
    signature: Label | None = None


class Trust(Value):
    """How the content arrived and how far it may be relied on.

    Where no label is said, the channel says it: `stated` is what the user said, `untrusted` what a tool or anything
    outside did, the rest is `unverified`.
    """

    channel: Channel = Channel.USER
    label: TrustLabel = TrustLabel.STATED
    verified_by: Label | None = None
    quarantined: bool = False

    @model_validator(mode="before")
    @classmethod
    def _labelled(cls, said: Any) -> Any:
        if isinstance(said, dict) and "label" not in said and said.get("channel", Channel.USER) != Channel.USER:
            outside = said["channel"] in (Channel.TOOL, Channel.EXTERNAL)
            return {**said, "label": TrustLabel.UNTRUSTED if outside else TrustLabel.UNVERIFIED}
        return said


class Rate(Value):
    """At most *count* times within *per*."""

    count: Annotated[int, Field(ge=1, le=10_000)]
    per: Annotated[timedelta, Field(gt=timedelta(0))]


class Licence(Value):
    """What a licensee may still do with the memory; its owner needs none.

    `uses_left`: how often its words are handed out to others than the owner: each recall that gives it, each reading by
    id, each listing. Counted in the vault, beside the version, before the words are given; at none they are refused.
    A new version goes on counting under an equal licence. `until`: the last moment at which they may read it.
    `purposes`: the calling contexts in which they may; empty: any. `rate`: how often one person is handed its words
    within a time, counted likewise, by the audit log. `apart`: others, each for whom it names in `to`, each counted by
    itself; `offer` tells those apart that say the same. Such a one binds whom it names instead of this one.
    """

    text: Text = ""
    uses_left: Count | None = None
    until: Moment | None = None
    purposes: Labels = ()
    rate: Rate | None = None
    to: Labels = ()
    offer: Label | None = None
    apart: Annotated[tuple[Licence, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _is_flat(self) -> Self:
        if any(each.apart or not each.to for each in self.apart):
            raise ValueError("a licence apart says whom it is for, and has none apart itself")
        return self

    def binding(self, subjects: frozenset[str]) -> Licence:
        """The one that binds somebody of these names: that by name before those by group or role, the last of equals.

        Without whom it is for, so that it counts as the same when that changes.
        """
        mine = [each for each in self.apart if not subjects.isdisjoint(each.to)]
        chosen = max(reversed(mine), key=lambda each: _nearness(subjects.intersection(each.to)), default=None)
        return self if chosen is None else chosen.model_copy(update={"to": ()})

    def is_over(self, now: datetime) -> bool:
        """Whether it is past its end. The last instant still counts."""
        return self.until is not None and now > self.until

    @Once
    def _canonical(self) -> bytes:
        # What it does not say is spelled as before one could say it: what was stored keeps its digest.
        spelled: bytes = super()._canonical
        for name, unsaid in _UNSAID.items():
            spelled = spelled if getattr(self, name) else spelled.replace(unsaid, b"", 1)
        return spelled

    @model_serializer(mode="wrap")
    def _told(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = told(self)
        unsaid = {name for name in _UNSAID if not getattr(self, name)}
        return {name: value for name, value in said.items() if name not in unsaid}


_UNSAID = {
    "apart": b'"apart":[],',
    "offer": b'"offer":null,',
    "purposes": b'"purposes":[],',
    "rate": b'"rate":null,',
    "to": b'"to":[],',
}
"""How the canonical form spells what a licence does not say."""


def _nearness(names: frozenset[str]) -> int:
    return 2 if any(name.startswith("user:") for name in names) else int(names != {"*"})


class Licensed(Value):
    """How often a licence was used."""

    licence: Licence
    uses: Count


class Governance(Value):
    """Who may do what, in which context, for how long.

    `owner` and the entries of `readers`, `writers`, `sharers` are subjects: `user:NAME`, `group:NAME`, `role:NAME`
    or `*` (everyone in the tenant). Empty `purposes` and `applications` mean any.
    """

    owner: Label
    readers: Labels = ()
    writers: Labels = ()
    sharers: Labels = ()
    layer: Layer = Layer.PRIVATE
    purposes: Labels = ()
    applications: Labels = ()
    expires_at: Moment | None = None
    half_life: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    priority: int = Field(default=0, ge=-100, le=100)
    sensitivity: Labels = ()
    licence: Licence | None = None
    watermark: Label | None = None
    legal_hold: bool = False

    @model_validator(mode="after")
    def _layer_fits(self) -> Self:
        if self.layer is Layer.PRIVATE and (self.readers or self.writers or self.sharers):
            raise ValueError("a private cube has no readers, writers or sharers; use layer='shared'")
        return self

    @Once
    def read_by(self) -> frozenset[str]:
        """The subjects that may read, before tenant, context and time are looked at."""
        everyone = ("*",) if self.layer is Layer.GLOBAL else ()
        return frozenset((self.owner, *everyone, *self.readers, *self.writers, *self.sharers))

    def licence_for(self, subjects: frozenset[str]) -> Licence | None:
        """The licence that binds somebody of these names; see `Licence.binding`."""
        return None if self.licence is None else self.licence.binding(subjects)

    def is_expired(self, now: datetime) -> bool:
        """Whether the cube is past its time. The last instant still counts as alive."""
        return self.expires_at is not None and now > self.expires_at


class Behaviour(Value):
    """How the cube has been used. Stored beside the version; changes on every read.

    `licensed` uses were counted under `licence`, the last that was used; `beside` has the counts of others.
    """

    reads: Count = 0
    last_read: Moment | None = None
    heat: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    recalls: Labels = ()
    fingerprint: Text = ""
    helpful: Count = 0
    wrong: Count = 0
    trust: float | None = Field(default=None, ge=0.0, le=1.0)
    licensed: Count = 0
    licence: Licence | None = None
    beside: Annotated[tuple[Licensed, ...], Field(max_length=64)] = ()

    def uses_of(self, licence: Licence) -> int:
        """How often a licence was used."""
        counted = {each.licence: each.uses for each in self.beside}
        return self.licensed if self.licence == licence else counted.get(licence, 0)

    @Once
    def _canonical(self) -> bytes:
        if self.__pydantic_fields_set__ == _NEVER_USED:  # of a new cube
            return _NEW % orjson.dumps(self.fingerprint)
        spelled: bytes = super()._canonical
        return spelled if self.beside else spelled.replace(b'{"beside":[],', b"{", 1)

    @model_serializer(mode="wrap")
    def _told(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = told(self)
        return said if self.beside else {name: value for name, value in said.items() if name != "beside"}


_NEVER_USED = {"fingerprint"}
_NEW = (
    b'{"fingerprint":%b,"heat":0.0,"helpful":0,"last_read":null,"licence":null,"licensed":0,"reads":0,"recalls":[],'
    b'"trust":null,"wrong":0}'
)
