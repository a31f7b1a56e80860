"""Clocks of memories that more vaults wrote than a clock can name: they agree, and nothing is lost without a word."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.interchange import Clock, clocks
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def written(clock: Clock, name: str, at: datetime) -> Clock:
    return Clock(vector=clocks.counted(clock.vector, name), at=max(at, clock.at + clocks.TICK), by=name)


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_order_they_are_merged_clocks_of_many_replicas_agree(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"{number:016x}" for number in range(40)]
    first = Clock(vector={names[0]: 1}, at=NOW, by=names[0])
    held = dict.fromkeys(names, first)
    made = [first]
    for step in range(400):
        name = rng.choice(names)
        if rng.random() < 0.5:
            held[name] = written(held[name], name, NOW + timedelta(seconds=step))
            assert held[name].vector not in [each.vector for each in made]
            made.append(held[name])
        else:
            held[name] = held[name].merged(held[rng.choice(names)])
        assert len(held[name].vector) <= clocks.MOST_REPLICAS
    ends = []
    for _ in range(3):
        rng.shuffle(made)
        whole = first
        for each in made:
            whole = whole.merged(each)
        ends.append(whole)
    assert ends[0] == ends[1] == ends[2]
    assert ends[0].merged(ends[0]) == ends[0]


def test_vaults_that_are_more_than_a_clock_names_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "MOST_REPLICAS", 2)
    now = [NOW]
    signers = [Ed25519Signer(bytes([number] * 32)) for number in range(4)]
    vaults = [MemOS(InMemoryVault(), clock=lambda: now[0]) for _ in signers]

    def synced(number: int) -> int:
        trusted = {each.key: "mine" for each in signers if each is not signers[number]}
        done = vaults[number].sync(tmp_path, by=ANA, signer=signers[number], trusted=trusted, group="ana")
        assert done.refused == {}
        return done.read

    cube = vaults[0].remember("Edit 0.", by=ANA)
    for number in (0, 1, 2, 3):
        synced(number)
    said = {"Edit 0."}
    for turn in range(8):
        now[0] += timedelta(minutes=1)
        number = turn % 4
        text = f"Edit {turn + 1}."
        vaults[number].update(cube.id, text=text, by=ANA)
        said.add(text)
        if turn % 3 == 0:
            now[0] += timedelta(minutes=1)
            text = f"Apart {turn}."
            vaults[(number + 1) % 4].update(cube.id, text=text, by=ANA)
            said.add(text)
        for each in (number, (number + 1) % 4, (number + 2) % 4):
            synced(each)
    for _ in range(12):
        if not sum(synced(number) for number in range(4)):
            break
    else:
        pytest.fail("They never come to rest.")
    last = {vault.get(cube.id, by=ANA).text for vault in vaults}
    assert len(last) == 1
    for vault in vaults:
        assert {each.text for each in vault.history(cube.id, by=ANA)} == said
        vault.close()
