"""A power cut at any moment of a vault's life: what was acknowledged is there, what is there is whole.

The vault runs once over a recording VFS (see `recording_vfs.py`, also for what is not simulated). Then, for many
moments of that life, a folder is made of what a cut might have left on the disk, opened as a vault and looked through.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import Erase, Move, Use
from memos_integrations.testing.cubes import EMBEDDER, NOW, asked, cube, record, revised, stored, submit, unit
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.recording_vfs import Disk, Event, Recording
from tests.torture.sizes import seed, sizes

LIVES, DEEDS = 3, 30


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The life of a small vault: opened, written, closed, three times over."""
    folder = tmp_path_factory.mktemp("recorded") / "vault"
    recording = Recording(beside=folder / "vault.key")
    if not recording.is_pythons:
        pytest.skip("Python's sqlite3 does not use the library that can be reached; nothing could be recorded")
    random = Random(seed())
    living: list[MemCube] = []
    with recording.recording():
        for life in range(LIVES):
            with SQLiteVault(folder) as vault:
                vault.bind_embedder(EMBEDDER)
                for deed in range(DEEDS):
                    live(vault, recording, random, living, f"{life} {deed}")
    assert Counter(event.what for event in recording.events)["sync"] > LIVES * DEEDS
    return recording


def live(vault: SQLiteVault, recording: Recording, random: Random, living: list[MemCube], name: str) -> None:
    """One deed; noted before it is begun, and again when it was acknowledged."""
    choice = random.random()
    if choice < 0.5 or not living:
        new = cube(f"cube {name} " + "words " * random.randrange(600))
        recording.note("begun", (new.id, 1))
        stored(vault, new, vector=unit(random.randrange(99)), key=new.id)
        recording.note("put", (new.id, 1))
        living.append(new)
        return
    number = random.randrange(len(living))
    old = living[number]
    if choice < 0.7:
        new = revised(old, f"{old.text[:20]} again {name}")
        recording.note("begun", (new.id, new.version))
        stored(vault, new, vector=unit(random.randrange(99)))
        recording.note("put", (new.id, new.version))
        living[number] = new
    elif choice < 0.85:
        recording.note("erasing", old.id)
        submit(vault, Erase(old.id), audit=(record(old, "forget"),))
        recording.note("erased", old.id)
        del living[number]
    elif choice < 0.95:
        submit(vault, Use(old.id, NOW, "r"))
    elif old.state is State.GENERATED:
        submit(vault, Move(old.id, State.GENERATED, State.ACTIVATED))
        living[number] = old.model_copy(update={"state": State.ACTIVATED})


def left_by(disk: Disk, random: Random, folder: Path) -> None:
    """Make *folder* what a cut now might leave."""
    folder.mkdir(mode=0o700)
    for name, content in disk.after_cut(random).items():
        (folder / name).write_bytes(content)


def told_until(events: list[Event]) -> tuple[set[tuple[str, int]], set[str], set[str]]:
    """What was acknowledged as written, what as erased, and what was being erased."""
    put = {event.content for event in events if event.what == "put"}
    erased = {event.content for event in events if event.what == "erased"}
    return put, erased, {event.content for event in events if event.what == "erasing"}


def check(folder: Path, before: list[Event]) -> Counter[str]:
    """Open what the cut left, and hold it against what had been acknowledged before."""
    put, erased, erasing = told_until(before)
    newest: dict[str, int] = {}
    for cube_id, version in put:
        newest[cube_id] = max(version, newest.get(cube_id, 0))
    begun = {event.content for event in before if event.what == "begun"}
    seen: Counter[str] = Counter()
    with SQLiteVault(folder) as vault:
        for cube_id, version in newest.items():
            versions = vault.history("acme", cube_id)
            if cube_id in erased:
                seen["erased returned"] += bool(versions)
            elif len(versions) < version and not (cube_id in erasing and not versions):
                seen["acknowledged lost"] += 1
        assert not +seen, seen
        bound = vault.embedder() is not None
        found = asked(vault, k=10_000, states=frozenset(), vector=unit(1) if bound else None)
        assert not {match.cube.id for match in found.matches} & erased
        for match in asked(vault, k=10_000, states=frozenset()).matches:  # none is torn: body, words, vector, key
            each = match.cube
            assert (each.id, each.version) in begun
            assert vault.find_key("acme", each.id) == each.id
            word = f"cube {' '.join(each.text.split()[1:3])}"
            assert each.id in {m.cube.id for m in asked(vault, word, k=10_000, states=frozenset()).matches}
        assert found.visible == len(found.matches), "a cube without its vector"
        report = vault.verify_audit()
        assert report.problems == ()
        stored(vault, cube("life goes on"))
        seen["cubes looked at"] += len(newest)
    return seen


@pytest.mark.answers("fault 32")
@sizes("CUTS", quick=60, whole=2_000)
def test_what_was_acknowledged_survives_a_power_cut(recording: Recording, tmp_path: Path, count: int) -> None:
    random = Random(seed() + 1)
    events = recording.events
    moments = sorted(random.randrange(len(events) + 1) for _ in range(count))
    disk, done, seen = Disk(), 0, Counter[str]()
    for number, moment in enumerate(moments):
        for event in events[done:moment]:
            disk.take(event)
        done = moment
        folder = tmp_path / f"cut {number}"
        left_by(disk, random, folder)
        try:
            seen += check(folder, events[:moment])
        except BaseException:
            print(f"\nseed {seed()}, cut {number} of {count}, after event {moment} of {len(events)}: {folder}")
            raise
        for file in folder.iterdir():
            if file.is_file():
                file.unlink()
    print(f"\n{count} power cuts (seed {seed()}): 0 acknowledged lost, 0 erased returned, 0 torn; {dict(seen)}")


def test_the_simulation_finds_a_vault_that_does_not_sync(recording: Recording, tmp_path: Path) -> None:
    """Its own proof: with the syncs taken out of the record, acknowledged writes are lost."""
    random, lost = Random(5), 0
    unsynced = [event for event in recording.events if event.what != "sync"]
    for number in range(40):
        moment = random.randrange(len(unsynced) // 3, len(unsynced))
        disk = Disk()
        for event in unsynced[:moment]:
            disk.take(event)
        folder = tmp_path / f"cut {number}"
        left_by(disk, random, folder)
        try:
            check(folder, unsynced[:moment])
        except (AssertionError, MemOSError):
            lost += 1
    assert lost > 10
