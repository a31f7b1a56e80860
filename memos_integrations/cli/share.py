"""The commands of MemStore: offers to others, and news of what others share."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault, moment
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say, tell
from memos_integrations.core.errors import InvalidMemoryError

if TYPE_CHECKING:
    from memos_integrations.core.memstore import Delivery, Publication

Offer = Annotated[str, typer.Argument(metavar="NAME", help="What you call the offer; one of each name.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call the subscription.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Memories with one of these tags; repeatable.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Of these semantic types; repeatable.")]
Place = Annotated[str | None, typer.Option("--namespace", help="Below this namespace, its parts between slashes.")]

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def publish(
    name: Offer,
    *,
    vault: Vault,
    to: Annotated[list[str], typer.Option("--to", help="A user, group:NAME, role:NAME or *; repeatable.")],
    cube: Annotated[str | None, typer.Option("--cube", help="The id of one memory, instead of a query.")] = None,
    tag: Tags = None,
    semantic_type: Types = None,
    namespace: Place = None,
    purpose: Annotated[list[str] | None, typer.Option("--purpose", help="For nothing else; repeatable.")] = None,
    uses: Annotated[int | None, typer.Option("--uses", help="How often its words may be had.")] = None,
    at_most: Annotated[str | None, typer.Option("--at-most", help="How often one may have its words: 3/1h.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Until when they may, ISO 8601 with zone.")] = None,
    contract: Annotated[str, typer.Option("--contract", help="The text of the licence.")] = "",
    rate: Annotated[str | None, typer.Option("--rate", help="At most so many deliveries of one: 3/1h.")] = None,
    price: Annotated[str, typer.Option("--price", help="A tag that is shown; nothing is charged.")] = "",
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Offer one memory of yours, or all that a query names, to others; run it again for what was written since."""
    by, limits, terms = principal(tenant, user), _limits(rate), _terms(contract, uses, until, at_most)
    with opened(vault, Choice.AUTO) as (memos, _, _):
        made = memos.store.publish(
            name, by=by, to=to, cube_id=cube, namespace=_place(namespace), tags=tag or (),
            semantic_types=semantic_type or (), purposes=purpose or (), licence=terms, rate=limits, price=price,
        )  # fmt: skip
    _show([made], as_json=as_json)


def withdraw(name: Offer, *, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False) -> None:
    """Take an offer back: its audience reads its memories no more, and is told that they went."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        count = memos.store.withdraw(name, by=principal(tenant, user))
    tell({"name": name, "memories": count}, f"{name}: taken back; {count} memories.", as_json=as_json)


def offers(*, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False) -> None:
    """Show the offers that you made, or that are made to you."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        found = memos.store.offers(by=principal(tenant, user))
    _show(found, as_json=as_json, many=True)


def subscribe(
    name: Name,
    *,
    vault: Vault,
    tag: Tags = None,
    semantic_type: Types = None,
    namespace: Place = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="written, moved, withdrawn; repeatable.")] = None,
    about: Annotated[str, typer.Option("--about", help="Memories whose words are about this.")] = "",
    own: Annotated[bool, typer.Option("--own", help="Also what you wrote yourself.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="From the very beginning.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Hear of what others share with you, from now on; a subscription that is there keeps its place."""
    wants: dict[str, Any] = {"tags": tuple(tag or ()), "semantic_types": tuple(semantic_type or ()), "about": about}
    wants |= {"namespace": _place(namespace), "kinds": tuple(kind or ()), "own": own}
    with opened(vault, Choice.AUTO) as (memos, _, _):
        made = memos.store.subscribe(name, by=principal(tenant, user), replay=replay, **wants)
    tell(made.model_dump(mode="json"), f"{name}: from event {made.after} on.", as_json=as_json)


def pull(
    name: Name,
    *,
    vault: Vault,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 100,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show what is new for a subscription; until `acknowledge`, it shows the same again."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        batch = memos.store.pull(name, by=principal(tenant, user), limit=limit)
    if as_json:
        news = [_as_json(each) for each in batch.deliveries]
        print_json({"deliveries": news, "upto": batch.upto, "more": batch.more})
        return
    for each in batch.deliveries:
        say(f"{each.kind:9} {each.cube.text if each.cube else each.cube_id}")
    say(f"memos acknowledge {name} {batch.upto}" + ("; there is more" if batch.more else ""), "dim")


def acknowledge(
    name: Name,
    upto: Annotated[int, typer.Argument(metavar="UPTO", help="As `pull` shows it.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say that what was pulled is consumed: it is not shown again."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        done = memos.store.acknowledge(name, upto, by=principal(tenant, user))
    tell(done.model_dump(mode="json"), f"{name}: consumed up to event {done.after}.", as_json=as_json)


def _place(namespace: str | None) -> tuple[str, ...]:
    return tuple(namespace.split("/")) if namespace else ()


def _terms(contract: str, uses: int | None, until: str | None, at_most: str | None) -> Any:
    from memos_integrations.core.cube import Licence
    from memos_integrations.core.memstore.offering import checked

    if uses is None and until is None and at_most is None and not contract:
        return None
    how: dict[str, Any] = {"until": moment(until, "--until"), "rate": _limits(at_most)}
    return checked(Licence, text=contract, uses_left=uses, **how)


def _limits(said: str | None) -> Any:
    from memos_integrations.core.memstore import Rate

    if said is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})/([1-9]\d{0,5})([smhd])", said)
    if not found or int(found[1]) > 10_000:
        raise InvalidMemoryError(f"A rate is COUNT/TIME, like 3/1h or 10/30m, at most 10000, not {said!r}.")
    return Rate(count=int(found[1]), per=timedelta(seconds=int(found[2]) * SECONDS[found[3]]))


def _as_json(news: Delivery) -> dict[str, Any]:
    told: dict[str, Any] = {"id": news.id, "number": news.number, "kind": news.kind, "cube_id": news.cube_id}
    if news.cube is not None:
        told |= {"text": news.cube.text, "owner": news.cube.governance.owner, "version": news.cube.version}
        told |= {"tags": list(news.cube.descriptive.tags), "trust": news.cube.trust.label}
    return told


def _show(found: list[Publication], *, as_json: bool, many: bool = False) -> None:
    if as_json:
        listed = [each.model_dump(mode="json") for each in found]
        print_json({"offers": listed} if many else listed[0])
        return
    for each in found:
        of = each.cube_id or ", ".join((*each.tags, *each.semantic_types, "/".join(each.namespace))).strip(", ")
        say(
            f"{each.publisher} {each.name}: {of}, to {', '.join(each.audience)}"
            + (f", {each.price}" * bool(each.price))
        )
