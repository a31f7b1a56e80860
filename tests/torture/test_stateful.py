"""SQLiteVault against InMemoryVault: any order of deeds, reopenings, damage to the index and writes by another hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from memos_integrations.core.cube import MemCube, PlaintextPayload
from memos_integrations.core.ports import LogQuery, VaultQuery, Visibility
from memos_integrations.testing.cubes import EMBEDDER, cube, put
from memos_integrations.testing.vault_blobs import content_of
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.damage import damage, index_files
from tests.torture.sizes import sizes
from tests.vaults.test_same_answers import PUTS, QUERIES, STEPS, SUBJECTS, VISIBLE, answer, change, outcome

SEEDS = st.integers(0, 2**32)


class TwoVaults(RuleBasedStateMachine):
    """Whatever is done, both give the same outcome; whatever is asked, the same answer."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.plain, self.durable = InMemoryVault(), SQLiteVault(self.folder / "vault")
        self.plain.bind_embedder(EMBEDDER)
        self.durable.bind_embedder(EMBEDDER)
        self.made: list[MemCube] = []

    def both(self, what: Any, durable: SQLiteVault) -> None:
        one, two = outcome(self.plain, what), outcome(durable, what)
        assert one.split()[0] == two.split()[0]
        if not one.startswith("commit"):
            assert one == two

    @rule(step=PUTS | STEPS)
    def do(self, step: tuple[Any, ...]) -> None:
        self.both(change(step, self.made), self.durable)

    @rule(steps=st.lists(PUTS | STEPS, min_size=1, max_size=4))
    def do_by_another_hand(self, steps: list[tuple[Any, ...]]) -> None:
        with SQLiteVault(self.folder / "vault") as other:
            for step in steps:
                self.both(change(step, self.made), other)

    @rule(content=st.binary(max_size=50), readers=SUBJECTS)
    def keep_a_blob(self, content: bytes, readers: frozenset[str]) -> None:
        ref = self.plain.put_blob(content, "image/png")
        assert self.durable.put_blob(content, "image/png") == ref
        made = cube(f"n {len(self.made)}", namespace=("a",), payload=PlaintextPayload(text="picture", blob=ref))
        self.made.append(made)
        self.both(put(made, readers=readers), self.durable)

    @rule()
    def reopen(self) -> None:
        self.durable.close()
        self.durable = SQLiteVault(self.folder / "vault")

    @rule(number=SEEDS, closed=st.booleans())
    def damage_the_index(self, number: int, closed: bool) -> None:
        if closed:
            self.durable.close()
        files, random = index_files(self.folder / "vault"), Random(number)
        if files:
            damage(random.choice(files), random)
        if closed:
            self.durable = SQLiteVault(self.folder / "vault")

    @rule(query=QUERIES, visible=VISIBLE)
    def ask(self, query: VaultQuery, visible: Visibility) -> None:
        one, two = self.plain.search(query, visible), self.durable.search(query, visible)
        assert [row[0] for row in answer(one)] == [row[0] for row in answer(two)]
        for mine, theirs in zip(answer(one), answer(two), strict=True):
            assert theirs[1:] == pytest.approx(mine[1:], abs=1e-9)
        assert one.visible == two.visible

    @rule()
    def look_at_everything(self) -> None:
        for made in self.made:
            tenant = made.tenant
            assert self.plain.history(tenant, made.id) == self.durable.history(tenant, made.id)
            there = self.plain.get(tenant, [made.id])
            assert there == self.durable.get(tenant, [made.id])
            for blob in there[0].blobs if there else ():
                assert content_of(self.plain.open_blob(blob)) == content_of(self.durable.open_blob(blob))
        ids = [made.id for made in self.made]
        assert self.plain.pointing_at("a", ids) == self.durable.pointing_at("a", ids)
        assert self.plain.unembedded(99) == self.durable.unembedded(99)
        every = LogQuery(tenant="a", limit=10_000)
        assert self.plain.log(every) == self.durable.log(every)

    @invariant()
    def both_chains_have_the_same_head(self) -> None:
        if not hasattr(self, "made") or len(self.made) % 5:
            return  # walking the chain after every step would be most of the time
        one, two = self.plain.verify_audit(), self.durable.verify_audit()
        assert (one.entries, one.head, sorted(one.problems)) == (two.entries, two.head, sorted(two.problems))

    def teardown(self) -> None:
        if hasattr(self, "made"):
            self.durable.close()
            shutil.rmtree(self.folder, ignore_errors=True)


@sizes("RUNS", quick=10, whole=300)
def test_sqlite_is_the_reference_whatever_happens(count: int) -> None:
    steps = int(os.environ.get("TORTURE_STEPS", "30" if count > 50 else "20"))
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        TwoVaults,
        settings=settings(
            max_examples=count, stateful_step_count=steps, deadline=None, suppress_health_check=quiet, database=None
        ),
    )
    print(f"\n{count} runs of up to {steps} steps: the same answers")
