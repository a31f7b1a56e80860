"""Counts over a shared pool with differential privacy, through OpenDP (extra `privacy`), within a budget that is kept.

What is protected is each *owner* of memories in the pool: whoever sees the published counts learns little more about
an owner than if nothing of that owner were in the pool (pure epsilon-differential privacy, Laplace noise on integers,
Dwork et al. 2006; budgets add up). Nothing is claimed for texts or embeddings, for who is in the pool's tenant, or
against somebody who may read the memories anyway: publish the numbers, not the pool.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import BudgetSpentError, InvalidMemoryError, VersionConflictError
from memos_integrations.core.extras import require
from memos_integrations.core.operator import parts
from memos_integrations.core.ports import CubeFilter

KIND = "privacy_ledger"
LEDGERS = "memos.privacy"
MOST_CUBES = 100_000
MAX_TRIES = 100
UNIT = 1_000_000
"""A budget is counted in millionths, so that what was spent adds up exactly."""


class PrivateStatistics:
    """Noisy counts over the memories in *pool* that *steward* may read; every release is paid from one *budget*.

    Args:
        memos: A `MemOS`, or what has its `remember`, `update` and `find`.
        steward: Reads the pool and owns the ledger. Give it to code that answers analysts, never to analysts.
        pool: The namespace, tenant first. The ledger is kept apart from it.
        budget: The epsilon that all releases over this pool may spend together; the first one to ask fixes it.
        most_per_owner: So many memories of one owner count at most; more noise for more.

    Raises:
        MissingExtraError: The extra `privacy` is not installed.
        InvalidMemoryError: A number makes no sense.
    """

    def __init__(
        self, memos: Any, *, steward: Principal, pool: Sequence[str], budget: float, most_per_owner: int = 10
    ) -> None:
        self._dp: Any = require("opendp.prelude", extra="privacy")
        self._dp.enable_features("contrib")
        if not isinstance(most_per_owner, int) or most_per_owner < 1:
            raise InvalidMemoryError(f"most_per_owner is a whole number of at least 1, not {most_per_owner!r}.")
        self._memos, self._steward, self._pool = memos, steward, parts(pool)
        self._budget, self._most = _millionths(budget), most_per_owner
        self._key = json.dumps([KIND, *self._pool])

    def count(self, *, epsilon: float, where: CubeFilter | None = None) -> int:
        """How many memories are in the pool, with noise of scale `most_per_owner / epsilon`; it may be below zero.

        Raises:
            BudgetSpentError: The budget has no *epsilon* left; nothing was spent or released.
        """
        self._spend(epsilon)
        return self._noisy([sum(self._per_owner(lambda _: True, where).values())], epsilon)[0]

    def histogram(
        self,
        of: Callable[[MemCube], str | None],
        bins: Sequence[str],
        *,
        epsilon: float,
        where: CubeFilter | None = None,
    ) -> dict[str, int]:
        """How many memories fall into each of the *bins*, which are fixed beforehand: found ones would tell of people.

        `of(cube)` names the bin; others are not counted.

        Raises:
            BudgetSpentError: The budget has no *epsilon* left; nothing was spent or released.
        """
        names = [*dict.fromkeys(bins)]
        if not names:
            raise InvalidMemoryError("A histogram needs bins.")
        self._spend(epsilon)
        found = self._per_owner(of, where)
        return dict(zip(names, self._noisy([found.get(name, 0) for name in names], epsilon), strict=True))

    def total(
        self, of: Callable[[MemCube], int], *, low: int, high: int, epsilon: float, where: CubeFilter | None = None
    ) -> int:
        """The sum of whole numbers `of(cube)`, each held between *low* and *high*, with noise.

        Raises:
            BudgetSpentError: The budget has no *epsilon* left; nothing was spent or released.
        """
        if not all(isinstance(each, int) for each in (low, high)) or low > high or not max(-low, high):
            raise InvalidMemoryError("A total needs whole numbers low <= high that are not both 0.")
        self._spend(epsilon)
        found = self._per_owner(lambda cube: min(high, max(low, int(of(cube)))), where)
        exact = sum(value * count for value, count in found.items())
        return self._noisy([exact], epsilon, reach=self._most * max(abs(low), abs(high)))[0]

    def left(self) -> float:
        """The epsilon that is left for this pool."""
        _, spent, limit = self._ledger()
        return (limit - spent) / UNIT

    def _per_owner(self, of: Callable[[MemCube], Any], where: CubeFilter | None) -> Mapping[Any, int]:
        """What memories come to, of each owner the first *most_per_owner* by id."""
        scope = where or CubeFilter()
        if scope.namespace and scope.namespace[: len(self._pool)] != self._pool:
            raise InvalidMemoryError(f"The namespace {scope.namespace} is not within the pool {self._pool}.")
        import dataclasses

        scope = dataclasses.replace(scope, namespace=scope.namespace or self._pool)
        cubes = self._memos.find(scope, by=self._steward, k=MOST_CUBES + 1, counts=False)
        if len(cubes) > MOST_CUBES:
            raise InvalidMemoryError(f"The pool holds more than {MOST_CUBES:,} memories; narrow it with `where`.")
        taken: Counter[str] = Counter()
        found: Counter[Any] = Counter()
        for cube in sorted(cubes, key=lambda cube: cube.id):
            taken[cube.governance.owner] += 1
            if taken[cube.governance.owner] <= self._most and (bin_ := of(cube)) is not None:
                found[bin_] += 1
        return found

    def _noisy(self, exact: Sequence[int], epsilon: float, reach: int | None = None) -> list[int]:
        domain = self._dp.vector_domain(self._dp.atom_domain(T=int))
        reach = self._most if reach is None else reach
        spent = _millionths(epsilon) / UNIT
        measure = self._dp.m.make_laplace(domain, self._dp.l1_distance(T=int), scale=reach / spent)
        return [int(each) for each in measure([*exact])]

    def _spend(self, epsilon: float) -> None:
        """Write into the ledger, durably, that *epsilon* is spent: before anything is read or released.

        Raises:
            BudgetSpentError: There is not so much left.
        """
        asked = _millionths(epsilon)
        for _ in range(MAX_TRIES):
            cube, spent, limit = self._ledger()
            if spent + asked > limit:
                raise BudgetSpentError(epsilon, (limit - spent) / UNIT)
            told = json.dumps({"spent": spent + asked, "limit": limit})
            try:
                self._memos.update(cube.id, by=self._steward, text=told, expected_version=cube.version)
            except VersionConflictError:
                continue  # another one spent meanwhile: look again at what is left
            return
        raise VersionConflictError(cube.id, cube.version, cube.version + 1)

    def _ledger(self) -> tuple[MemCube, int, int]:
        cube: MemCube = self._memos.remember(
            json.dumps({"spent": 0, "limit": self._budget}),
            by=self._steward,
            key=self._key,
            namespace=(self._steward.tenant, LEDGERS),
            semantic_type=KIND,
        )
        told = json.loads(cube.text)
        return cube, int(told["spent"]), int(told["limit"])


def _millionths(epsilon: float) -> int:
    if not isinstance(epsilon, int | float) or not math.isfinite(epsilon) or epsilon * UNIT < 1:
        raise InvalidMemoryError(f"An epsilon is a number of at least {1 / UNIT:f}, not {epsilon!r}.")
    return math.ceil(round(epsilon * UNIT, 3))
