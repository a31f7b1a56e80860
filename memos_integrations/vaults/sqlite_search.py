"""Search a SQLite vault inside one read transaction: filter first, then score, then read what was found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from heapq import nsmallest

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.core.cube import MemCube, unique
from memos_integrations.core.errors import IntegrityError, VaultCorruptError
from memos_integrations.core.ports import Found, Match, VaultQuery, Vectors, Visibility
from memos_integrations.core.ranking import Floats
from memos_integrations.vaults.allowed import Asked, CheckIds, allowed
from memos_integrations.vaults.columns import Allowed, Columns, Numbers, TenantColumns
from memos_integrations.vaults.handing import Handed, Handing, with_beside
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.planner import Sought
from memos_integrations.vaults.postings import Postings, Tails
from memos_integrations.vaults.rules import cosines, storable
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.sqlite_around import NOTHING_AROUND, Scores, posting, scores_around

NO_SCORES: Scores = (np.zeros(0, dtype=np.int64), np.zeros(0))

Nearest = Callable[[sqlite3.Connection, Sought], tuple[Numbers, str]]
"""The places of the numbers sought that hold the k best by cosine, and perhaps some more; and how they were found."""


def read_cube(row: tuple[str, int, str, str, bytes, str | None]) -> MemCube:
    """A stored version `(id, version, state, digest, body, behaviour)`, with the state and behaviour beside it.

    Raises:
        IntegrityError: The row does not match its digest, or what stands beside it is damaged.
    """
    cube_id, version, state, digest, body, behaviour = row
    return with_beside(unseal(body, digest, cube_id=cube_id, version=version), state, behaviour or "")


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
class Searching:
    """What a search needs besides its question: the word key, the columns held, the index, who hands out."""

    words: Words
    columns: TenantColumns
    tails: Tails
    nearest: Nearest
    handing: Handing
    check_ids: CheckIds
    past: Callable[[Asked, Columns, VaultQuery, datetime, Postings], Found]


def search(connection: sqlite3.Connection, by: Searching, query: VaultQuery, visible: Visibility) -> Found:
    """The best k by each signal asked for, or the latest k; see `Vault.search`."""
    tenant, changed = tenant_at(connection, visible.tenant)
    if tenant is None:
        return Found((), 0, "nothing is stored in this tenant")
    columns = by.columns.at(connection, tenant, changed)
    asked = Asked(connection, by.words, tenant, visible, query.filter, by.check_ids)
    if query.as_of is not None:
        postings = Postings(connection, tenant, by.tails.at(connection, tenant, changed))
        return by.past(asked, columns, query, query.as_of, postings)
    there = allowed(asked, columns)
    k = max(0, min(query.k, there.count))
    if not query.terms and query.vector is None:
        latest = latest_page(asked, there, query)
        rows = cubes_at(connection, by.handing, visible.tenant, latest)
        rows.sort(key=lambda row: (-int(there.occurred[np.searchsorted(there.seq, row[0])]), row[1].id))
        return Found(tuple(Match(cube) for _, cube in rows), there.count, f"the latest of {there.count} visible cubes")
    best: set[int] = set()
    bm25 = NO_SCORES
    around = NOTHING_AROUND
    matching: dict[str, int] = {}
    told = []
    if query.terms:
        terms = [by.words.term(term) for term in unique(query.terms)]
        postings = Postings(connection, tenant, by.tails.at(connection, tenant, changed))
        bm25, counts, how = _bm25(postings, terms, there, there.count == columns.table.shape[1])
        matching = dict(zip(unique(query.terms), counts, strict=True))
        best.update(_top(asked, *bm25, k))
        told.append(how)
        if query.around:
            around = scores_around(postings, terms, there, columns, bm25)
            best.update(_top(asked, around.seqs, around.context, k))
    cosine: dict[int, float] = {}
    if query.vector is not None:
        numbers, seqs = there.numbered
        places, how = by.nearest(connection, Sought(tenant, query.vector, numbers, k))
        near = set(seqs[places].tolist())
        stored = partial(stored_vectors, connection, there, dim=query.vector.size)
        # All are checked, because what the others say of their vectors keeps them out.
        rows, vectors = by.handing.with_vectors(connection, visible.tenant, near | best, stored)
        _check_found(rows, near | best)
        cosine = cosines_with(vectors, query.vector)
        best.update(_top(asked, *_columns({seq: cosine[seq] for seq in near}), k))
        told.append(how)
    else:
        rows = cubes_at(connection, by.handing, visible.tenant, best)
    words = _of(bm25, best) if query.terms else {}
    beside = around.of(best)
    matches = [
        Match(cube, bm25=words.get(seq), cosine=cosine.get(seq), around=beside.get(seq, {}))
        for seq, cube in rows
        if seq in best
    ]
    how = f"{' and '.join(told)} over {there.count} visible cubes"
    return Found(tuple(sorted(matches, key=lambda match: match.cube.id)), there.count, how, matching)


def tenant_at(connection: sqlite3.Connection, name: str) -> tuple[int | None, int]:
    """A tenant's number and change number, as of the connection's transaction."""
    if not storable(name):
        return None, 0
    row = connection.execute("SELECT number, changed FROM tenants WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None, 0
    number, changed = row
    if not isinstance(number, int) or not isinstance(changed, int):
        raise VaultCorruptError("A tenant's row in the vault is damaged. Restore the vault from a backup.")
    return number, changed


# --- scores


def _bm25(postings: Postings, terms: Sequence[int], there: Allowed, everything: bool) -> tuple[Scores, list[int], str]:
    """BM25 of every allowed cube that holds a telling term, in how many each is, and how it was computed.

    All statistics are of the allowed cubes alone.
    """
    count = there.count
    if not count:
        return NO_SCORES, [0] * len(terms), "BM25"
    read: dict[int, tuple[Numbers, Numbers]] = {}
    if everything and count >= ranking.MANY:
        # All of the tenant's cubes may be seen, so its counts give nothing away, and common words need not be read.
        matching = [postings.count(term) for term in terms]
    else:
        read = {term: posting(postings, term, there) for term in terms}
        matching = [int(read[term][0].size) for term in terms]
    telling = ranking.telling(matching, count)
    scores = np.zeros(count)
    for term in (terms[place] for place in telling):
        places, tf = read[term] if read else posting(postings, term, there)
        scores[places] += ranking.bm25(
            tf.astype(np.float64),
            there.length[places].astype(np.float64),
            weight=ranking.idf(count, int(places.size)),
            average=there.average,
        )
    hits = np.flatnonzero(scores > 0.0)
    how = "BM25" if len(telling) == len(terms) else f"BM25 of the {len(telling)} most telling of {len(terms)} words"
    return (there.seq[hits], scores[hits]), matching, how


def _of(scored: Scores, seqs: Collection[int]) -> dict[int, float]:
    """The scores of these cubes; nothing for those that have none."""
    asked = np.fromiter(seqs, dtype=np.int64, count=len(seqs))
    known, scores = scored
    if not known.size:
        return dict.fromkeys(seqs, 0.0)
    places = np.minimum(np.searchsorted(known, asked), known.size - 1)
    return dict(zip(asked.tolist(), np.where(known[places] == asked, scores[places], 0.0).tolist(), strict=True))


def stored_vectors(connection: sqlite3.Connection, there: Allowed, seqs: Iterable[int], dim: int) -> dict[int, bytes]:
    """The vectors of these cubes from the table; cubes without one are left out."""
    asked = np.array(sorted(seqs), dtype=np.int64)
    numbers = there.vector[np.searchsorted(there.seq, asked)]
    cube_of = dict(zip(numbers[numbers > 0].tolist(), asked[numbers > 0].tolist(), strict=True))
    found = connection.execute(
        "SELECT number, cube, row FROM vectors WHERE number IN (SELECT value FROM json_each(?))",
        (json.dumps(list(cube_of)),),
    ).fetchall()
    if len(found) < len(cube_of) or any(cube_of[number] != seq for number, seq, _ in found):
        raise VaultCorruptError("A vector of the vault is not where its cube says. Restore it from a backup.")
    for _, seq, row in found:
        if not isinstance(row, bytes) or len(row) != 4 * dim:
            cube_id = _ids_read(connection, [seq])[seq]
            raise IntegrityError(f"The vector of cube {cube_id!r} has the wrong length", cube_id)
    return {seq: row for _, seq, row in found}


def cosines_with(vectors: Mapping[int, bytes], query: Vectors) -> dict[int, float]:
    """The cosine of each of these vectors with the query's."""
    if not vectors:
        return {}
    matrix = np.frombuffer(b"".join(vectors.values()), dtype="<f4").reshape(len(vectors), -1)
    return dict(zip(vectors, cosines(matrix, query).tolist(), strict=True))


def _columns(scores: dict[int, float]) -> tuple[Numbers, Floats]:
    seqs = np.fromiter(scores.keys(), dtype=np.int64, count=len(scores))
    return seqs, np.fromiter(scores.values(), dtype=np.float64, count=len(scores))


def _top(asked: Asked, seqs: Numbers, scores: Floats | Numbers, k: int) -> list[int]:
    """The k cubes with the highest scores, in no order; of equal scores the smaller id."""
    if k <= 0 or seqs.size <= k:
        return seqs.tolist() if k > 0 else []
    threshold = np.partition(scores, seqs.size - k)[seqs.size - k]
    above: list[int] = seqs[scores > threshold].tolist()
    tied: list[int] = seqs[scores == threshold].tolist()
    if len(above) + len(tied) > k:
        ids = ids_of(asked, tied)
        tied = nsmallest(k - len(above), tied, key=ids.__getitem__)
    return above + tied


def latest_page(asked: Asked, there: Allowed, query: VaultQuery) -> list[int]:
    """The latest k, after the `skip` latest; only the ids of those left out are read."""
    k = max(0, query.k)
    latest = _top(asked, there.seq, there.occurred, min(k + query.skip, there.count))
    if not query.skip:
        return latest
    ids = ids_of(asked, latest)
    at = dict(zip(latest, there.occurred[np.searchsorted(there.seq, latest)].tolist(), strict=True))
    latest.sort(key=lambda seq: (-at[seq], ids[seq]))
    return latest[query.skip :]


def ids_of(asked: Asked, seqs: Sequence[int]) -> dict[int, str]:
    """The ids of cubes; held against what was sealed, as those that are not handed out decide what is."""
    ids = _ids_read(asked.connection, seqs)
    asked.check_ids(asked.connection, asked.visible.tenant, ids)
    return ids


def _ids_read(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, str]:
    found = connection.execute(
        "SELECT c.seq, c.id FROM json_each(?) AS a CROSS JOIN cubes AS c ON c.seq = a.value", (str(seqs),)
    )
    ids = dict(found.fetchall())
    if len(ids) < len(seqs):
        raise _missing()
    return ids


def cubes_at(
    connection: sqlite3.Connection, handing: Handing, tenant: str, seqs: Iterable[int], *, keep: bool = True
) -> Handed:
    """The current versions of the cubes with these numbers, each held against its seal, in no order; see `Handing`."""
    asked = list(seqs)
    found = handing.by_number(connection, tenant, asked, keep=keep)
    _check_found(found, asked)
    return found


def _check_found(found: Handed, asked: Collection[int]) -> None:
    if len(found) < len(asked):
        raise _missing()


def _missing() -> VaultCorruptError:
    """What to say when an index names cubes that the table lacks: the answer would be short."""
    return VaultCorruptError("An index of the vault names cubes that are not there. Restore it from a backup.")
