"""Search a SQLite vault inside one read transaction: filter first, then score, then read what was found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.core.cube import Behaviour, MemCube, State, unique
from memos_integrations.core.errors import IntegrityError, VaultCorruptError
from memos_integrations.core.ports import CubeFilter, Found, Match, VaultQuery, Vectors, Visibility
from memos_integrations.core.ranking import Floats
from memos_integrations.vaults.faiss_index import Numbers
from memos_integrations.vaults.rules import cosines, micros, storable
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.sqlite_rows import Kind, Words

Nearest = Callable[[Vectors, Numbers, int], Numbers]
"""Among sorted vector numbers, those that hold the k best by cosine, and perhaps more."""

_CURRENT = """SELECT c.seq, c.id, c.version, c.state, v.digest, v.body, b.body
    FROM cubes AS c JOIN versions AS v ON v.cube = c.seq AND v.version = c.version
    LEFT JOIN behaviour AS b ON b.cube = c.seq WHERE """


def read_cube(row: tuple[str, int, str, str, bytes, str | None]) -> MemCube:
    """A stored version `(id, version, state, digest, body, behaviour)`, with the state and behaviour beside it.

    Raises:
        IntegrityError: The row does not match its digest, or what stands beside it is damaged.
    """
    cube_id, version, state, digest, body, behaviour = row
    cube = unseal(body, digest, cube_id=cube_id, version=version)
    try:
        beside = {"state": State(state), "behaviour": Behaviour.model_validate_json(behaviour or "")}
    except ValueError as exc:
        raise IntegrityError(f"The state or behaviour of cube {cube_id!r} is damaged", cube_id) from exc
    return cube.model_copy(update=beside)


def current_cubes(connection: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[MemCube]:
    """The current versions of *ids* in *tenant*, in the order asked, each once."""
    asked = [cube_id for cube_id in unique(ids) if storable(cube_id)]
    number = tenant_number(connection, tenant)
    if number is None or not asked:
        return []
    # The plus keeps SQLite from walking the whole tenant by its index.
    rows = connection.execute(
        _CURRENT + "+c.tenant = ? AND c.id IN (SELECT value FROM json_each(?))", (number, json.dumps(asked))
    )
    cubes = {cube.id: cube for cube in (read_cube(row[1:]) for row in rows)}
    for cube in cubes.values():
        check_tenant(cube, tenant)
    return [cubes[cube_id] for cube_id in asked if cube_id in cubes]


def check_tenant(cube: MemCube, tenant: str) -> None:
    """Refuse a cube that a changed row put into another tenant.

    Raises:
        IntegrityError: The cube's body names another tenant.
    """
    if cube.tenant != tenant:
        raise IntegrityError(f"Cube {cube.id!r} stands in a tenant that its body does not name", cube.id)


def tenant_number(connection: sqlite3.Connection, tenant: str) -> int | None:
    """The number that stands for a tenant, or None when it has no cubes."""
    if not storable(tenant):
        return None
    row = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    return None if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The cubes that passed visibility and filter, by rising `seq`. `vector` is 0 where there is none."""

    seq: Numbers
    length: Numbers
    vector: Numbers
    occurred: Numbers


def search(
    connection: sqlite3.Connection, words: Words, query: VaultQuery, visible: Visibility, nearest: Nearest
) -> Found:
    """The best k by each signal asked for, or the latest k; see `Vault.search`."""
    tenant = tenant_number(connection, visible.tenant)
    if tenant is None:
        return Found((), 0, "nothing is stored in this tenant")
    allowed = _allowed(connection, words, tenant, query.filter, visible)
    count, k = int(allowed.seq.size), max(0, min(query.k, allowed.seq.size))
    if not query.terms and query.vector is None:
        latest = _top(connection, allowed.seq, allowed.occurred, k)
        cubes = _cubes(connection, visible.tenant, latest)
        return Found(tuple(Match(cubes[seq]) for seq in latest), count, f"the latest of {count} visible cubes")
    bm25 = _bm25(connection, words, query.terms, tenant, allowed) if query.terms else None
    best = set(_best(connection, bm25, k)) if bm25 is not None else set()
    cosine = None
    if query.vector is not None:
        near = _near(allowed, query.vector, k, nearest)
        cosine = _cosines(connection, near | best, query.vector)
        best |= set(_best(connection, {seq: cosine[seq] for seq in near if seq in cosine}, k))
    matches = [
        Match(
            cube,
            bm25=None if bm25 is None else bm25.get(seq, 0.0),
            cosine=None if cosine is None else cosine.get(seq),
        )
        for seq, cube in _cubes(connection, visible.tenant, best).items()
    ]
    signals = [name for name, scored in (("BM25", bm25), ("exact cosine (FAISS)", cosine)) if scored is not None]
    return Found(
        tuple(sorted(matches, key=lambda match: match.cube.id)),
        count,
        f"{' and '.join(signals)} over {count} visible cubes",
    )


# --- which cubes may be looked at


class _Conditions:
    """The WHERE clause of a query: fixed fragments of SQL, and the values bound to them."""

    def __init__(self) -> None:
        self.sql: list[str] = []
        self.values: list[object] = []

    def add(self, sql: str, *values: object) -> None:
        self.sql.append(sql)
        self.values += values

    def labelled(self, kind: Kind, numbers: Iterable[int], *, unless: str = "") -> None:
        """Keep cubes with one of these labels of this kind, or without any where *unless* names the flag column."""
        exists = """EXISTS (SELECT 1 FROM labels AS l WHERE l.cube = c.seq AND l.kind = ?
            AND l.value IN (SELECT value FROM json_each(?)))"""
        self.add(f"(c.{unless} = 0 OR {exists})" if unless else exists, int(kind), json.dumps(sorted(numbers)))

    def among(self, column: str, wanted: Iterable[str]) -> None:
        values = sorted(value for value in wanted if storable(value))
        self.add(f"c.{column} IN (SELECT value FROM json_each(?))", json.dumps(values))


def _allowed(
    connection: sqlite3.Connection, words: Words, tenant: int, wanted: CubeFilter, visible: Visibility
) -> _Allowed:
    where = _Conditions()
    _visible(where, words, tenant, visible)
    _wanted(where, words, wanted)
    rows = connection.execute(
        "SELECT c.seq, c.length, ifnull(c.vector, 0), c.occurred_at FROM cubes AS c WHERE "
        + " AND ".join(where.sql)
        + " ORDER BY c.seq",
        where.values,
    ).fetchall()
    return _Allowed(*_integers(rows, 4))


def _visible(where: _Conditions, words: Words, tenant: int, visible: Visibility) -> None:
    where.add("c.tenant = ?", tenant)
    where.add("c.quarantined = 0")
    where.add("(c.expires_at IS NULL OR c.expires_at >= ?)", micros(visible.now))
    where.add(
        """c.audience IN (SELECT audience FROM audiences WHERE subject IN (SELECT value FROM json_each(?)))""",
        json.dumps(sorted(words.subject(subject) for subject in visible.subjects)),
    )
    for kind, column, said in (
        (Kind.PURPOSE, "purposes", visible.purpose),
        (Kind.APPLICATION, "applications", visible.application),
    ):
        if said is None:
            where.add(f"c.{column} = 0")
        else:
            where.labelled(kind, (words.label(kind, said),), unless=column)


def _wanted(where: _Conditions, words: Words, wanted: CubeFilter) -> None:
    if wanted.namespace:
        where.labelled(Kind.NAMESPACE, (words.namespace(wanted.namespace),))
    exact = (
        (Kind.SEMANTIC_TYPE, wanted.semantic_types),
        (Kind.TAG, wanted.tags),
        (Kind.THREAD, () if wanted.thread_id is None else (wanted.thread_id,)),
        (Kind.SESSION, () if wanted.session_id is None else (wanted.session_id,)),
    )
    for kind, values in exact:
        if values:
            where.labelled(kind, (words.label(kind, value) for value in values))
    for kind, values in ((Kind.ENTITY, wanted.entities), (Kind.SPEAKER, wanted.speakers)):
        if values:
            where.labelled(kind, (words.folded(kind, value) for value in values))
    for column, names in (("id", wanted.ids), ("state", wanted.states), ("tier", wanted.tiers)):
        if names:
            where.among(column, names)
    if wanted.occurred is not None:
        start, end = wanted.occurred
        where.add("c.occurred_at >= ? AND c.occurred_at < ?", micros(start), micros(end))
    if wanted.valid_at is not None:
        at = micros(wanted.valid_at)
        where.add("(c.valid_from IS NULL OR c.valid_from <= ?) AND (c.valid_to IS NULL OR ? < c.valid_to)", at, at)


# --- scores


def _bm25(
    connection: sqlite3.Connection, words: Words, terms: Sequence[str], tenant: int, allowed: _Allowed
) -> dict[int, float]:
    """BM25 of every allowed cube that holds a term; all statistics are of the allowed cubes alone."""
    count = int(allowed.seq.size)
    scores = np.zeros(count)
    if not count:
        return {}
    average = int(allowed.length.sum()) / count
    for term in unique(terms):
        rows = connection.execute(
            "SELECT cube, tf FROM postings WHERE tenant = ? AND term = ? ORDER BY cube", (tenant, words.term(term))
        ).fetchall()
        cubes, tf = _integers(rows, 2)
        places = np.minimum(np.searchsorted(allowed.seq, cubes), count - 1)
        held = allowed.seq[places] == cubes
        places = places[held]
        scores[places] += ranking.bm25(
            tf[held].astype(np.float64),
            allowed.length[places].astype(np.float64),
            weight=ranking.idf(count, int(places.size)),
            average=average,
        )
    hits = np.flatnonzero(scores > 0.0)
    return dict(zip(allowed.seq[hits].tolist(), scores[hits].tolist(), strict=True))


def _near(allowed: _Allowed, query: Vectors, k: int, nearest: Nearest) -> set[int]:
    """The cubes that the index proposes: the k best by cosine are among them."""
    there = np.flatnonzero(allowed.vector)
    there = there[np.argsort(allowed.vector[there])]
    numbers = allowed.vector[there]
    proposed = np.intersect1d(nearest(query, numbers, k), numbers)  # an index can miss, never leak
    return set(allowed.seq[there[np.searchsorted(numbers, proposed)]].tolist())


def _cosines(connection: sqlite3.Connection, seqs: Iterable[int], query: Vectors) -> dict[int, float]:
    """Cosine by cube, from the vectors in the table; cubes without one are left out."""
    rows = connection.execute(
        """SELECT v.cube, v.row, c.id FROM vectors AS v JOIN cubes AS c ON c.seq = v.cube AND c.vector = v.number
        WHERE v.cube IN (SELECT value FROM json_each(?))""",
        (json.dumps(sorted(seqs)),),
    ).fetchall()
    for _, row, cube_id in rows:
        if not isinstance(row, bytes) or len(row) != 4 * query.shape[0]:
            raise IntegrityError(f"The vector of cube {cube_id!r} has the wrong length", cube_id)
    if not rows:
        return {}
    matrix = np.frombuffer(b"".join(row for _, row, _ in rows), dtype="<f4").reshape(len(rows), -1)
    return dict(zip([cube for cube, _, _ in rows], cosines(matrix, query).tolist(), strict=True))


def _integers(rows: Sequence[tuple[int, ...]], width: int) -> Numbers:
    """One array per column.

    Raises:
        VaultCorruptError: A damaged row holds something else.
    """
    try:
        return np.ascontiguousarray(np.array(rows, dtype=np.int64).reshape(-1, width).T)
    except (TypeError, ValueError, OverflowError) as exc:
        raise VaultCorruptError("An index of the vault is damaged. Restore the vault from a backup.") from exc


def _best(connection: sqlite3.Connection, scores: dict[int, float], k: int) -> list[int]:
    seqs = np.fromiter(scores.keys(), dtype=np.int64, count=len(scores))
    return _top(connection, seqs, np.fromiter(scores.values(), dtype=np.float64, count=len(scores)), k)


def _top(connection: sqlite3.Connection, seqs: Numbers, scores: Floats | Numbers, k: int) -> list[int]:
    """The k cubes with the highest scores, best first; of equal scores the smaller id."""
    if k <= 0 or not seqs.size:
        return []
    if seqs.size > k:
        kept = scores >= np.partition(scores, seqs.size - k)[seqs.size - k]
        seqs, scores = seqs[kept], scores[kept]
    by_seq = dict(zip(seqs.tolist(), scores.tolist(), strict=True))
    ids = dict(
        connection.execute(
            "SELECT seq, id FROM cubes WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(list(by_seq)),)
        )
    )
    _check_there(by_seq, ids)
    return sorted(by_seq, key=lambda seq: (-by_seq[seq], str(ids[seq])))[:k]


def _cubes(connection: sqlite3.Connection, tenant: str, seqs: Iterable[int]) -> dict[int, MemCube]:
    asked = sorted(seqs)
    rows = connection.execute(_CURRENT + "c.seq IN (SELECT value FROM json_each(?))", (json.dumps(asked),))
    cubes = {row[0]: read_cube(row[1:]) for row in rows}
    _check_there(asked, cubes)
    for cube in cubes.values():
        check_tenant(cube, tenant)
    return cubes


def _check_there(seqs: Collection[int], found: Mapping[int, object]) -> None:
    """Refuse to go on when an index names cubes that the table lacks: the answer would be short.

    Raises:
        VaultCorruptError: It does.
    """
    if not found.keys() >= set(seqs):
        raise VaultCorruptError("An index of the vault names cubes that are not there. Restore it from a backup.")
