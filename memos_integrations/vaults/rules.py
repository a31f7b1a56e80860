"""What every vault here decides alike: refusals, cosines, the count of a use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from memos_integrations.core.cube import Behaviour, Licensed, MemCube, check_text
from memos_integrations.core.errors import (
    EmbedderMismatchError,
    EmbeddingError,
    LicenceSpentError,
    RateSpentError,
    VaultCorruptError,
    VersionConflictError,
)
from memos_integrations.core.ports import EmbedderIdentity, LogQuery, Outcome, Room, Use, Vectors, cooled
from memos_integrations.core.ranking import Floats

RECALLS_KEPT = 100
"""How many recall ids a cube's behaviour names, newest last: a lineage, not a log (the audit chain is that)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exact (floats lose them after 2106)."""
    return (moment - _EPOCH) // _MICROSECOND


def occurred_at(cube: MemCube) -> datetime:
    """When the remembered thing happened: the event's time where it is known, else the cube's."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def edges_from(cube: MemCube) -> list[tuple[str, str]]:
    """What a cube points at, as `(relation, target id)` in order, each once."""
    said = cube.provenance
    links = {(link.relation.value, link.target) for link in said.links}
    return sorted(links | {("derived_from", ref.id) for ref in said.derived_from})


def storable(text: str) -> bool:
    """Whether any stored name can equal *text*: NULs and lone surrogates never get in."""
    try:
        check_text(text)
    except ValueError:
        return False
    return True


def checked_row(vector: Vectors) -> Vectors:
    """The vector as one float32 row of its own.

    Raises:
        EmbeddingError: It is not one row of finite numbers of length 1 (or all zero: a text that says nothing).
    """
    row = np.array(vector, dtype="<f4")
    with np.errstate(all="ignore"):
        # What is not finite fails this too, and goes on to be told apart.
        if row.ndim == 1 and abs(float(row.dot(row)) - 1.0) < 1e-3:
            return row
    if row.ndim != 1 or not np.isfinite(row).all():
        raise EmbeddingError("The embedder gave a vector that is not one row of finite numbers; nothing was written.")
    length = float(np.linalg.norm(row.astype(np.float64)))
    if length != 0.0 and abs(length - 1.0) > 1e-3:
        raise EmbeddingError(f"The embedder gave a vector of length {length:.3g}, not 1; normalise its rows.")
    return row


def checked_rows(vectors: Sequence[Vectors]) -> list[bytes]:
    """Each vector as `checked_row` gives it, in bytes; many are looked at together.

    Raises:
        EmbeddingError: See `checked_row`.
    """
    if len(vectors) > 1 and len({row.shape for row in vectors}) == 1 and vectors[0].ndim == 1:
        table = np.concatenate(vectors, dtype="<f4", casting="unsafe").reshape(len(vectors), -1)
        with np.errstate(all="ignore"):
            lengths = np.einsum("ij,ij->i", table, table)
            right = bool((np.abs(lengths - 1.0) < 1e-3).all())  # what is not finite fails this too
        if right:
            raw, size = table.tobytes(), 4 * table.shape[1]
            return [raw[at : at + size] for at in range(0, len(raw), size)]
    return [checked_row(row).tobytes() for row in vectors]


def check_fits(row: Vectors | bytes, identity: EmbedderIdentity | None) -> None:
    """Refuse a vector, or the bytes of one, that cannot be compared with the vault's.

    Raises:
        EmbedderMismatchError: No embedder is bound, or its vectors have another length.
    """
    if identity is None:
        raise EmbedderMismatchError("The vault has no embedder yet; call bind_embedder before the first vector.")
    length = len(row) // 4 if isinstance(row, bytes) else row.shape[0]
    if length != identity.dim:
        raise EmbedderMismatchError(
            f"The vault holds vectors of {identity.name!r} (length {identity.dim}), not of length {length}. "
            "Open it with that embedder, or re-embed into a new vault."
        )


def check_same_embedder(bound: EmbedderIdentity, asked: EmbedderIdentity) -> None:
    """Refuse a second embedder.

    Raises:
        EmbedderMismatchError: *asked* is not the one that is bound.
    """
    if bound != asked:
        raise EmbedderMismatchError(
            f"The vault was filled with {bound.name!r} (length {bound.dim}), not {asked.name!r} (length {asked.dim}). "
            "Open it with that embedder, or re-embed into a new vault."
        )


def cosines(rows: Vectors, query: Vectors) -> Floats:
    """Cosine of each unit row with the unit query, in double precision.

    Summed row by row instead of by BLAS: there a row's last bit depends on its place in the matrix, and equal
    vectors would no longer tie.
    """
    result: Floats = np.multiply(rows, query, dtype=np.float64).sum(axis=1)
    return result


def used(behaviour: Behaviour, use: Use) -> Behaviour:
    """The behaviour after one more use.

    Raises:
        LicenceSpentError: The licence has none left.
    """
    newest = use.at if behaviour.last_read is None else max(use.at, behaviour.last_read)
    cooler = cooled(behaviour.heat, behaviour.last_read, newest)
    if use.looked or use.judged:
        beside: dict[str, object] = {"last_read": newest.astimezone(UTC), "heat": cooler}
        if use.judged:
            beside[use.judged] = getattr(behaviour, use.judged) + 1
        return Behaviour.of_checked(**{**behaviour.__dict__, **beside})
    recalls = [recall for recall in behaviour.recalls if recall != use.recall_id]
    if use.recall_id:
        recalls.append(use.recall_id)
    counted: dict[str, object] = {
        "reads": behaviour.reads + 1,
        "last_read": newest.astimezone(UTC),
        "heat": cooled(behaviour.heat, behaviour.last_read, use.at) + 1.0,
        "recalls": tuple(recalls[-RECALLS_KEPT:]),
    }
    if use.licence is not None and use.licence.uses_left is not None:
        licensed = behaviour.uses_of(use.licence)
        if licensed >= use.licence.uses_left:
            raise LicenceSpentError(use.cube_id)
        counted |= {"licensed": licensed + 1, "licence": use.licence}
        if behaviour.licence not in (None, use.licence):
            before = Licensed(licence=behaviour.licence, uses=behaviour.licensed)
            others = (each for each in behaviour.beside if each.licence not in (use.licence, before.licence))
            counted["beside"] = (*others, before)[-COUNTS_KEPT:]
    return Behaviour.of_checked(**{**behaviour.__dict__, **counted})


def state_conflict(cube_id: str, version: int, expected: str, found: str) -> VersionConflictError:
    """The refusal of a Move whose cube has moved in the meantime."""
    error = VersionConflictError(cube_id, version, version)
    error.args = (f"Cube {cube_id!r} is {found}, not {expected}: it moved since you read it. Read it again.",)
    return error


MOST_COUNTED = 10_000
COUNTS_KEPT = 64
"""So many licences of one memory are counted beside the last that was used."""


def given_of(room: Room) -> LogQuery:
    """The audit entries that a Room counts; the newest that it may hold are never more than `MOST_COUNTED`."""
    return LogQuery(
        tenant=room.tenant, actor=room.actor, cube_id=room.cube_id, operation=room.operation, since=room.since,
        outcome=Outcome.ALLOWED, limit=MOST_COUNTED,
    )  # fmt: skip


def check_room(room: Room, given: Iterable[int | None]) -> None:
    """Refuse to go on when so many versions were *given* that there is no room for another one.

    Raises:
        RateSpentError: There is none.
    """
    if (len(list(given)) if room.every else len({*given} - {room.version})) >= room.count:
        raise RateSpentError(room.cube_id)


def identity_from(meta: dict[str, bytes]) -> EmbedderIdentity | None:
    """The embedder that the meta rows name.

    Raises:
        VaultCorruptError: They name half of one.
    """
    name, dim = meta.get("embedder"), meta.get("dim")
    if name is None and dim is None:
        return None
    try:
        return EmbedderIdentity((name or b"").decode(), int(dim or b""))
    except (ValueError, AttributeError) as exc:
        raise VaultCorruptError("The vault's record of its embedder is damaged. Restore it from a backup.") from exc
