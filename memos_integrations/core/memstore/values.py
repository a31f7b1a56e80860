"""What is offered, what is wanted, and what is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from memos_integrations.core.cube import Label, Labels, Licence, MemCube, Moment, Rate, Text, Value

Kind = Literal["written", "moved", "withdrawn"]
"""`written`: a new memory, or a new version. `moved`: it is in another state of its life. `withdrawn`: it was given
before, and now is forgotten, no longer shared, or over."""

KINDS: tuple[Kind, ...] = ("written", "moved", "withdrawn")


class Publication(Value):
    """Something offered to an audience: one memory, or all of the publisher's that a query names, now and later.

    `licence` says how often and until when its words may be had, with the text of the contract; `purposes`, in which
    calling contexts. Both bind the audience, never the publisher. `rate`: at most so many deliveries of one memory to
    one subscriber. It paces the news and is no wall: whoever may read the memory may look it up as often as they
    like, unless its licence has a rate, too, or uses, which count every reading of it by others than its owner.
    `price` is a tag: data that is shown to whoever may have it; nothing is charged.
    """

    name: Label
    publisher: Label
    audience: Labels
    cube_id: Label | None = None
    namespace: Labels = ()
    tags: Labels = ()
    semantic_types: Labels = ()
    purposes: Labels = ()
    licence: Licence | None = None
    rate: Rate | None = None
    price: Text = ""
    at: Moment
    withdrawn: bool = False


class Wants(Value):
    """What a subscriber wants to hear of; an empty field means any.

    `tags`: one of them. `namespace`: at or below it. `kinds`: of event. `about` and `at_least`: memories whose words
    are about it, by the embedder's cosine, or without an embedder by the share of its words that they hold. `own`: also
    what the subscriber wrote.
    """

    tags: Labels = ()
    namespace: Labels = ()
    semantic_types: Labels = ()
    kinds: tuple[Kind, ...] = ()
    about: Text = ""
    at_least: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    own: bool = False


class Subscription(Value):
    """What a subscriber wants, and how far it has got: events up to number `after` are consumed."""

    name: Label
    wants: Wants
    after: Annotated[int, Field(ge=0)] = 0
    at: Moment


@dataclass(frozen=True, slots=True)
class Delivery:
    """One piece of news for one subscriber.

    The same news has the same `id` however often it is delivered: a consumer that writes with it as `key` does so once.
    `cube` is the memory as the subscriber may read it now; None where it was withdrawn.
    """

    id: str
    number: int
    kind: Kind
    cube_id: str
    cube: MemCube | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries in order, and the number up to which they are to be acknowledged. `more`: there is more at once."""

    deliveries: tuple[Delivery, ...]
    upto: int
    more: bool = False


class DeadLetter(Value):
    """A delivery that its consumer failed on too often: which, and the name of the error. No words are in it."""

    id: Label
    number: int
    kind: Kind
    cube_id: Label
    error: Label
    at: Moment
