"""Several vaults of one person stay the same through a folder: offline first, no duplicates, nothing comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memos_integrations import MemCube, MemOS, Principal, State
from memos_integrations.backends.sealing_key import X25519Key
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.conflict import ConflictJudge, ConflictRules
from memos_integrations.core.errors import CubeNotFoundError, IllegalTransitionError, InvalidMemoryError, LegalHoldError
from memos_integrations.core.interchange import Synced
from memos_integrations.core.interchange.joining import content
from memos_integrations.core.items import Address, ItemWrite
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.conformance import make

ANA = Principal(tenant="home", user="ana")
BEN = Principal(tenant="home", user="ben")
ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEYS = [Ed25519Signer(bytes([number]) * 32) for number in range(1, 5)]
ALL = CubeFilter(states=frozenset(State))
EXAMPLES = int(os.environ.get("SYNC_EXAMPLES", "40"))


class Device:
    """A vault with a key and a clock of its own."""

    def __init__(self, number: int, vault: Any, conflicts: ConflictJudge | None = None) -> None:
        self.key, self.now = KEYS[number], NOW
        self.trusted = {each.key: f"device {place}" for place, each in enumerate(KEYS) if each is not self.key}
        self.memos = MemOS(vault, clock=lambda: self.now, conflicts=conflicts)

    def sync(self, folder: Path, **how: Any) -> Synced:
        said: dict[str, Any] = {"by": ANA, "signer": self.key, "trusted": self.trusted, "group": "ana"}
        return self.memos.sync(folder, **(said | how))

    def there(self) -> dict[str, MemCube]:
        found = self.memos.find(ALL, by=ANA, k=10_000)
        return {cube.id: cube for cube in found if cube.descriptive.semantic_type != "import_receipt"}

    def told(self) -> dict[str, tuple[bytes, State]]:
        return {cube_id: (content(cube), cube.state) for cube_id, cube in self.there().items()}


@pytest.fixture(params=["memory", "sqlite"])
def devices(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Device, Device, Device]]:
    def made(number: int) -> Device:
        return Device(number, InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / str(number)))

    found = (made(0), made(1), made(2))
    yield found
    for device in found:
        assert device.memos.verify_audit().ok
        device.memos.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    place.mkdir()
    return place


def test_what_one_wrote_the_others_have_as_it_is(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    first = laptop.memos.remember("The review is on Monday.", by=ANA, tags=["work"], ttl=timedelta(days=90))
    laptop.now += timedelta(hours=1)
    laptop.memos.update(first.id, text="The review is on Tuesday.", by=ANA)
    private = laptop.memos.remember("For care only.", by=ANA, purposes=["care"])
    done = laptop.sync(folder)
    assert (done.read, done.written) == (0, 1)
    got = phone.sync(folder)
    assert (got.read, got.counts, got.refused) == (1, {"new": 2}, {})
    assert phone.told() == laptop.told()
    assert [each.text for each in phone.memos.history(first.id, by=ANA)] == [
        "The review is on Monday.",
        "The review is on Tuesday.",
    ]
    assert phone.memos.history(first.id, by=ANA)[0] == laptop.memos.history(first.id, by=ANA)[0]
    assert private.id not in phone.there()  # a purpose is asked for here, too
    assert phone.memos.audit(by=ANA, cube_id=private.id, operation="sync")


def test_nothing_is_read_or_written_twice(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, tablet = devices
    laptop.memos.remember("A fact.", by=ANA)
    for _ in range(3):
        for device in devices:
            device.sync(folder)
    names = sorted(folder.iterdir())
    for device in (laptop, phone, tablet):
        assert device.sync(folder) == Synced()
    assert sorted(folder.iterdir()) == names
    assert len(laptop.there()) == len(phone.there()) == len(tablet.there()) == 1


def test_what_was_written_apart_is_decided_alike_and_kept(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, tablet = devices
    cube = laptop.memos.remember("The ward has 12 beds.", by=ANA)
    laptop.sync(folder), phone.sync(folder)
    laptop.now += timedelta(hours=1)
    phone.now += timedelta(hours=2)
    laptop.memos.update(cube.id, text="The ward has 13 beds.", by=ANA)
    phone.memos.update(cube.id, text="The ward has 14 beds.", by=ANA)
    laptop.sync(folder)
    assert phone.sync(folder).counts == {"conflict": 1}
    assert laptop.sync(folder).counts["newer"] == 1
    tablet.sync(folder)
    for device in devices:
        assert device.memos.get(cube.id, by=ANA).text == "The ward has 14 beds."
    assert {each.text for each in phone.memos.history(cube.id, by=ANA)} == {
        f"The ward has {beds} beds." for beds in (12, 13, 14)
    }
    # Whoever goes on writing has seen both: no conflict any more, though the clock of this one is far behind.
    laptop.now = NOW
    laptop.memos.update(cube.id, text="The ward has 15 beds.", by=ANA)
    laptop.sync(folder)
    counts = phone.sync(folder).counts
    assert counts["newer"] == 1
    assert "conflict" not in counts
    assert phone.memos.get(cube.id, by=ANA).text == "The ward has 15 beds."


def test_what_was_changed_apart_is_flagged(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    cube = laptop.memos.remember("The ward has 12 beds.", by=ANA)
    laptop.sync(folder), phone.sync(folder)
    for device, beds in ((phone, 14), (laptop, 13)):
        device.now += timedelta(hours=1)
        device.memos.update(cube.id, text=f"The ward has {beds} beds.", by=ANA)
    laptop.sync(folder)
    (found,) = phone.sync(folder).conflicts
    assert (found.id, found.ruling) == (cube.id, ""), "nobody was asked"
    kept, lost = (
        each.text for each in phone.memos.history(cube.id, by=ANA) if each.version in (found.kept, found.kept - 1)
    )
    assert {kept, lost} == {"The ward has 13 beds.", "The ward has 14 beds."}
    (entry,) = phone.memos.audit(by=ANA, cube_id=cube.id, operation="changed_apart")
    assert entry.record.detail == {"id": cube.id, "kept": found.kept, "ruling": "", "reason": ""}
    assert laptop.sync(folder).conflicts == ()
    phone.sync(folder), laptop.sync(folder)
    assert [phone.sync(folder), laptop.sync(folder)] == [Synced(), Synced()], "to flag it is no change to tell of"


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[tuple[Device, Device, Device]]:
    found = tuple(Device(number, SQLiteVault(tmp_path / f"judged {number}"), ConflictRules()) for number in range(3))
    yield found
    for device in found:
        device.memos.close()


def test_the_judge_decides_between_what_was_said_in_two_vaults(
    judged: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, tablet = judged
    laptop.memos.remember("I live in Lyon.", by=ANA)
    for device in judged:
        device.now += timedelta(days=30)
    newer = phone.memos.remember("I moved to Turin.", by=ANA)
    laptop.sync(folder)
    (decided,) = phone.sync(folder).decisions
    assert (decided.ruling, decided.newer) == ("supersede", newer.id)
    for _ in range(2):
        for device in judged:
            assert device.sync(folder).decisions == (), "what was decided is known to the others"
    assert laptop.told() == phone.told() == tablet.told()
    for device in judged:
        assert device.memos.get(decided.older, by=ANA).state is State.ARCHIVED
        assert [each.text for each in device.memos.find(CubeFilter(), by=ANA)] == ["I moved to Turin."]
    phone.memos.undo(decided, by=ANA)
    for _ in range(2):
        for device in (phone, laptop, tablet):
            assert device.sync(folder).decisions == (), "what was taken back is not decided again"


def test_the_judge_is_asked_about_what_was_changed_apart(judged: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = judged
    cube = laptop.memos.remember("I live in Lyon.", by=ANA)
    laptop.sync(folder), phone.sync(folder)
    for device, town in ((laptop, "Nice"), (phone, "Turin")):
        device.now += timedelta(hours=1)
        device.memos.update(cube.id, text=f"I live in {town}.", by=ANA)
    laptop.sync(folder)
    (found,) = phone.sync(folder).conflicts
    assert found.ruling in {"supersede", "flag"}
    assert found.reason


def test_a_crash_before_it_was_judged_loses_neither_flag_nor_decision(
    judged: tuple[Device, Device, Device], folder: Path, tmp_path: Path
) -> None:
    laptop, phone, _ = judged
    cube = laptop.memos.remember("The ward has 12 beds.", by=ANA)
    laptop.sync(folder), phone.sync(folder)
    home = phone.memos.remember("I live in Lyon.", by=ANA)
    for device, beds in ((phone, 14), (laptop, 13)):
        device.now += timedelta(hours=1)
        device.memos.update(cube.id, text=f"The ward has {beds} beds.", by=ANA)
    laptop.now += timedelta(days=30)
    newer = laptop.memos.remember("I moved to Turin.", by=ANA)
    laptop.sync(folder)
    phone.memos.close()
    words = [sys.executable, "-m", "tests.core.interchange.sync_worker", str(tmp_path / "judged 1"), str(folder)]
    killed = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "asked\n"), killed.stderr

    again = Device(1, SQLiteVault(tmp_path / "judged 1"), ConflictRules())
    again.now += timedelta(days=60)
    assert again.there().keys() == {cube.id, home.id, newer.id}, "all of it was read"
    (entry,) = again.memos.audit(by=ANA, cube_id=cube.id, operation="changed_apart")
    assert entry.record.detail is not None, "flagged in the commit that brought it"
    found = again.sync(folder)
    assert [(each.id, each.kept) for each in found.conflicts] == [(cube.id, entry.record.detail["kept"])]
    assert [(each.ruling, each.newer, each.older) for each in found.decisions] == [("supersede", newer.id, home.id)]
    assert found.read == 0
    assert again.sync(folder).conflicts == (), "once"
    again.memos.close()


def test_the_later_state_holds(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, tablet = devices
    cube = laptop.memos.remember("The old plan.", by=ANA)
    for device in devices:
        device.sync(folder)
    laptop.memos.move(cube.id, "archived", by=ANA)
    laptop.sync(folder)
    assert phone.sync(folder).counts["moved"] == 1
    assert phone.memos.get(cube.id, by=ANA).state is State.ARCHIVED
    phone.now += timedelta(hours=1)
    phone.memos.move(cube.id, "activated", by=ANA)
    for device in (tablet, phone, tablet, laptop):
        device.sync(folder)
    assert {device.memos.get(cube.id, by=ANA).state for device in devices} == {State.ACTIVATED}


def test_what_one_archived_and_another_merged_away_ends_in_one_state(
    judged: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, _ = judged
    laptop.memos.remember("I moved to Lyon.", by=ANA)
    repeat = phone.memos.remember("I moved to Lyon.", by=ANA)
    phone.sync(folder)
    phone.memos.move(repeat.id, "archived", by=ANA)
    for _ in range(3):
        for device in judged:
            device.sync(folder)
    one, two, three = (device.told() for device in judged)
    assert one == two == three
    assert [device.sync(folder) for device in judged] == [Synced()] * 3
    assert {device.memos.get(repeat.id, by=ANA).state for device in judged} == {State.MERGED}, "the later holds"
    entries = phone.memos.audit(by=ANA, cube_id=repeat.id)
    passed = [each.record.operation for each in entries if each.record.operation.startswith("to_")]
    assert passed[-2:] == ["to_activated", "to_merged"], "each step of the way is on record"


def test_what_was_erased_stays_erased_with_what_was_derived(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, tablet = devices
    cubes = [laptop.memos.remember(f"Note {number} on the bridge.", by=ANA) for number in (1, 2)]
    summary = laptop.memos.summarise([cube.id for cube in cubes], by=ANA)
    laptop.sync(folder), phone.sync(folder), tablet.sync(folder)
    assert phone.told().keys() == {*(cube.id for cube in cubes), summary.id}
    tablet.now += timedelta(hours=5)
    tablet.memos.update(cubes[0].id, text="Written later than it was erased.", by=ANA)
    phone.memos.forget(cubes[0].id, by=ANA)
    for _ in range(2):
        for device in (tablet, phone, laptop):
            device.sync(folder)
    for device in devices:
        assert device.there().keys() == {cubes[1].id}
        with pytest.raises(CubeNotFoundError):
            device.memos.get(summary.id, by=ANA)


def test_a_late_device_does_not_bring_back_what_it_never_saw_erased(
    devices: tuple[Device, Device, Device], tmp_path: Path
) -> None:
    laptop, phone, tablet = devices
    near, far = tmp_path / "near", tmp_path / "far"
    near.mkdir(), far.mkdir()
    cube = laptop.memos.remember("A fact.", by=ANA)
    laptop.sync(near), tablet.sync(near)
    laptop.memos.forget(cube.id, by=ANA)
    laptop.sync(far), phone.sync(far)  # the phone hears of the end of what it never had
    tablet.sync(far)
    shutil.copytree(near, far, dirs_exist_ok=True)
    for device in (phone, laptop, tablet, phone):
        device.sync(far)
    assert [device.there() for device in devices] == [{}, {}, {}]


def test_a_held_memory_is_left_alone(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    admin = Principal(tenant="home", user="root", roles=frozenset({"admin"}))
    one, two = (laptop.memos.remember(text, by=ANA) for text in ("One.", "Two."))
    laptop.sync(folder), phone.sync(folder)
    phone.memos.hold(one.id, by=admin), phone.memos.hold(two.id, by=admin)
    laptop.memos.update(one.id, text="Another.", by=ANA)
    laptop.memos.forget(two.id, by=ANA)
    laptop.sync(folder)
    assert phone.sync(folder).counts == {"on_hold": 2}
    assert {cube.text for cube in phone.there().values()} == {"One.", "Two."}


def test_a_hold_holds_on_a_device_that_wrote_later_without_having_heard_of_it(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, tablet = devices
    admin = Principal(tenant="home", user="root", roles=frozenset({"admin"}))
    cube = laptop.memos.remember("One.", by=ANA)
    for device in devices:
        device.sync(folder)
    phone.memos.hold(cube.id, by=admin)
    laptop.now += timedelta(hours=1)
    laptop.memos.update(cube.id, text="Another.", by=ANA)
    for device in (phone, laptop, tablet, phone, laptop):
        device.sync(folder)
    assert [device.there()[cube.id].governance.legal_hold for device in devices] == [True, True, True]
    for device in devices:
        with pytest.raises(LegalHoldError):
            device.memos.forget(cube.id, by=ANA)


def test_only_ones_own_memories_come_and_go(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    laptop.memos.remember("Ben's, for Ana to read and share.", by=BEN, readers=["ana"], sharers=["ana"])
    laptop.memos.remember("Ana's.", by=ANA)
    laptop.sync(folder)
    # Ben, who reads the folder with a key that Ana's devices trust, gets nothing of hers.
    report = phone.sync(folder, by=BEN)
    assert report.counts == {"not_yours": 1}
    assert phone.sync(folder).counts == {"new": 1}
    assert {cube.text for cube in phone.there().values()} == {"Ana's."}


def test_items_keep_their_address_and_the_later_value_holds(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, tablet = devices
    address = Address(("prefs",), "theme")
    phone.now += timedelta(minutes=1)
    for device, value in ((laptop, "light"), (phone, "dark")):
        device.memos.items.write([ItemWrite(address, {"theme": value})], by=ANA)
    for _ in range(2):
        for device in devices:
            device.sync(folder)
    for device in devices:
        (item,) = device.memos.items.read([address], by=ANA)
        assert item is not None
        assert item.value == {"theme": "dark"}
        assert len(device.there()) == 1
    laptop.now += timedelta(hours=1)
    laptop.memos.items.write([ItemWrite(address, {"theme": "blue"})], by=ANA)
    laptop.sync(folder), tablet.sync(folder)
    (item,) = tablet.memos.items.read([address], by=ANA)
    assert item is not None
    assert item.value == {"theme": "blue"}


@pytest.mark.parametrize("state", ["archived", "activated"])
def test_an_erasure_is_passed_on_though_the_memory_was_moved_elsewhere_meanwhile(
    devices: tuple[Device, Device, Device], folder: Path, state: str
) -> None:
    laptop, phone, tablet = devices
    cube = laptop.memos.remember("The boiler is serviced in May.", by=ANA)
    laptop.sync(folder), phone.sync(folder)
    phone.memos.forget(cube.id, by=ANA)
    laptop.memos.update(cube.id, text="The boiler is serviced in June.", by=ANA)
    laptop.memos.move(cube.id, state, by=ANA)
    for _ in range(2):
        for device in devices:
            device.sync(folder)
    assert laptop.there() == phone.there() == tablet.there() == {}


def test_a_gap_a_forgery_and_a_stranger_are_refused_by_name(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, tablet = devices
    laptop.memos.remember("One.", by=ANA)
    laptop.sync(folder)
    (first,) = folder.iterdir()
    laptop.memos.remember("Two.", by=ANA)
    laptop.sync(folder)
    second = max(folder.iterdir())
    kept = first.read_bytes()
    first.unlink()
    assert phone.sync(folder).refused == {second.name: "gap"}
    first.write_bytes(kept[:-100])
    assert phone.sync(folder).refused == {first.name: "malformed"}
    first.write_bytes(second.read_bytes())  # one of its own, in another's place
    assert phone.sync(folder).refused == {first.name: "malformed"}
    first.write_bytes(kept)
    assert tablet.sync(folder, trusted={KEYS[1].key: "phone"}).refused == {first.name: "unknown_key"}
    assert phone.there() == tablet.there() == {}
    assert phone.sync(folder).counts == {"new": 2}
    # Nobody can make a vault believe that it wrote what it did not.
    phone.memos.remember("Three.", by=ANA)
    forged = folder / f"{phone.key.key[:16]}-{0:015d}-{10**9:015d}.mip"
    forged.write_bytes(kept)
    assert phone.sync(folder).written == 1
    with pytest.raises(InvalidMemoryError, match="own"):
        laptop.sync(folder, trusted={laptop.key.key: "me"})
    with pytest.raises(InvalidMemoryError, match="folder"):
        laptop.sync(folder / "none")


def test_with_a_secret_the_folder_tells_nothing(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, tablet = devices
    secret = X25519Key(bytes(range(32)))
    laptop.memos.remember("The safe is behind the clock.", by=ANA)
    laptop.sync(folder, secret=secret)
    (bundle,) = folder.iterdir()
    assert b"safe" not in bundle.read_bytes()
    assert b"manifest" not in bundle.read_bytes()
    assert tablet.sync(folder).refused == {bundle.name: "sealed"}
    assert tablet.sync(folder, secret=X25519Key(bytes(32))).refused == {bundle.name: "sealed"}
    assert phone.sync(folder, secret=secret).counts == {"new": 1}
    assert laptop.sync(folder, secret=secret).written == 0


def test_the_books_of_the_store_are_those_of_one_vault(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    laptop.memos.store.subscribe("news", by=ANA, own=True)
    laptop.memos.remember("A fact.", by=ANA)
    laptop.memos.store.push("news", lambda news: None, by=ANA)
    laptop.sync(folder), phone.sync(folder)
    assert phone.memos.store.subscriptions(by=ANA) == []
    laptop.memos.store.replay("news", by=ANA)
    laptop.sync(folder)
    laptop.memos.store.replay("news", by=ANA)
    assert laptop.sync(folder) == Synced(), "to go on reading is no change for the others"


class Vaults(RuleBasedStateMachine):
    """Three vaults that write, erase and meet in any order, each by a clock of its own, end up the same."""

    judge: ConflictJudge | None = None
    rounds = 3

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.erased: set[str] = set()
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.devices = [Device(number, InMemoryVault(), self.judge) for number in range(3)]

    which = st.integers(0, 2)

    @rule(device=which)
    def write(self, device: int) -> None:
        self.count += 1
        self.devices[device].memos.remember(f"Fact {self.count}.", by=ANA)

    @rule(device=which, pick=st.integers(0, 5))
    def change(self, device: int, pick: int) -> None:
        there = sorted(self.devices[device].there())
        if there:
            self.count += 1
            cube_id = there[pick % len(there)]
            self.devices[device].memos.update(cube_id, text=f"Change {self.count}.", by=ANA)

    @rule(device=which, pick=st.integers(0, 5))
    def forget(self, device: int, pick: int) -> None:
        there = sorted(self.devices[device].there())
        if there:
            cube_id = there[pick % len(there)]
            self.devices[device].memos.forget(cube_id, by=ANA)
            self.erased.add(cube_id)

    @rule(device=which, pick=st.integers(0, 5), state=st.sampled_from(["archived", "activated"]))
    def move(self, device: int, pick: int, state: str) -> None:
        there = sorted(self.devices[device].there())
        if there:
            with suppress(IllegalTransitionError):
                self.devices[device].memos.move(there[pick % len(there)], state, by=ANA)

    @rule(device=which, value=st.integers(0, 3))
    def put(self, device: int, value: int) -> None:
        self.count += 1
        write = ItemWrite(Address(("prefs",), str(value % 2)), {"n": self.count})
        self.devices[device].memos.items.write([write], by=ANA)

    @rule(device=which, minutes=st.integers(-30, 30))
    def tick(self, device: int, minutes: int) -> None:
        self.devices[device].now += timedelta(minutes=minutes)

    @rule(device=which)
    def meet(self, device: int) -> None:
        assert self.devices[device].sync(self.folder).refused == {}

    @invariant()
    def nothing_erased_is_here(self) -> None:
        for device in getattr(self, "devices", ()):
            seen = device.memos.find(ALL, by=ANA, k=1_000)
            assert len({cube.id for cube in seen}) == len(seen)

    def teardown(self) -> None:
        try:
            for _ in range(self.rounds):
                for device in self.devices:
                    device.sync(self.folder)
            one, two, three = (device.told() for device in self.devices)
            assert one == two == three
            assert not self.erased & one.keys()
            assert [device.sync(self.folder) for device in self.devices] == [Synced()] * 3
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


TestVaults = Vaults.TestCase
TestVaults.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


class JudgedVaults(Vaults):
    """So do vaults whose judge decides between what was said in them."""

    judge = ConflictRules()
    rounds = 5

    @rule(device=Vaults.which, town=st.sampled_from(["Lyon", "Turin", "Nice"]), moved=st.booleans())
    def say(self, device: int, town: str, moved: bool) -> None:
        said = f"I moved to {town}." if moved else f"I live in {town}."
        self.devices[device].memos.remember(said, by=ANA)


TestJudgedVaults = JudgedVaults.TestCase
TestJudgedVaults.settings = TestVaults.settings


def twice(device: Device, number: int, place: Path) -> Device:
    """The device as it was copied, file by file, to another place."""
    shutil.copytree(place / str(number), place / f"copy of {number}")
    copy = Device(number, SQLiteVault(place / f"copy of {number}"))
    copy.now = device.now
    return copy


def rounds(folder: Path, devices: Sequence[Device], times: int = 3) -> list[dict[str, str]]:
    return [device.sync(folder).refused for _ in range(times) for device in devices]


def of_one_life(place: Path, folder: Path) -> tuple[Device, Device, str]:
    """Two devices in step, and a memory that both have."""
    laptop, phone = Device(0, SQLiteVault(place / "0")), Device(1, SQLiteVault(place / "1"))
    cube = laptop.memos.remember("The key is under the mat.", by=ANA)
    rounds(folder, (laptop, phone), 2)
    return laptop, phone, cube.id


def test_what_is_written_after_a_vault_was_restored_reaches_the_others(tmp_path: Path, folder: Path) -> None:
    laptop, phone, kept = of_one_life(tmp_path, folder)
    laptop.memos.close()
    shutil.copytree(tmp_path / "0", tmp_path / "backup")
    laptop = Device(0, SQLiteVault(tmp_path / "0"))
    laptop.now += timedelta(hours=1)
    gone = [laptop.memos.remember(f"Written after the backup, {n}.", by=ANA).id for n in range(3)]
    laptop.memos.update(kept, text="The key is in the shed.", by=ANA)
    rounds(folder, (laptop, phone))
    laptop.memos.close()
    shutil.rmtree(tmp_path / "0")
    shutil.copytree(tmp_path / "backup", tmp_path / "0")
    laptop = Device(0, SQLiteVault(tmp_path / "0"))
    laptop.now += timedelta(hours=2)
    later = laptop.memos.remember("Written after it was restored.", by=ANA)
    laptop.memos.update(kept, text="The key is at the neighbour's.", by=ANA)
    done = laptop.sync(folder)
    assert not done.refused
    assert {*gone, later.id} <= laptop.there().keys(), "what was lost comes back from its own parts"
    assert not any(rounds(folder, (phone, laptop)))
    assert phone.told() == laptop.told()
    assert phone.there()[kept].text == "The key is at the neighbour's."
    said = [[each.text for each in device.memos.history(kept, by=ANA)] for device in (laptop, phone)]
    assert all("The key is in the shed." in each for each in said), "the other one stays in the history"
    assert rounds(folder, (laptop, phone)) == [{}] * 6
    names = sorted(folder.iterdir())
    rounds(folder, (laptop, phone))
    assert sorted(folder.iterdir()) == names
    laptop.memos.close(), phone.memos.close()


def test_a_copy_and_what_it_was_copied_from_lose_nothing(tmp_path: Path, folder: Path) -> None:
    laptop, phone, kept = of_one_life(tmp_path, folder)
    laptop.memos.close()
    copy = twice(laptop, 0, tmp_path)
    laptop = Device(0, SQLiteVault(tmp_path / "0"))
    for number, device in enumerate((laptop, copy)):
        device.now += timedelta(hours=1 + number)
        device.memos.remember(f"Told to number {number}.", by=ANA)
        device.memos.update(kept, text=f"The key is with number {number}.", by=ANA)
    assert not any(rounds(folder, (laptop, copy, phone)))
    assert laptop.told() == copy.told() == phone.told()
    assert len(phone.there()) == 3
    assert phone.there()[kept].text == "The key is with number 1."
    names = sorted(folder.iterdir())
    rounds(folder, (laptop, copy, phone))
    assert sorted(folder.iterdir()) == names
    for device in (laptop, copy, phone):
        device.memos.close()


def test_two_new_vaults_with_one_key_lose_nothing(folder: Path) -> None:
    first, second, third = Device(0, InMemoryVault()), Device(0, InMemoryVault()), Device(1, InMemoryVault())
    first.memos.remember("From the first.", by=ANA)
    second.memos.remember("From the second.", by=ANA)
    assert not any(rounds(folder, (first, second, third)))
    assert first.told() == second.told() == third.told()
    assert len(third.there()) == 2


def test_a_part_that_is_only_named_like_ones_own_begins_no_new_life(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    laptop, phone, _ = devices
    laptop.memos.remember("A fact.", by=ANA)
    laptop.sync(folder)
    (own,) = folder.iterdir()
    phone.memos.remember("Another.", by=ANA)
    phone.sync(folder)
    forged = folder / f"{laptop.key.key[:16]}-{1:015d}-{9:015d}.mip"
    shutil.copy(next(each for each in folder.iterdir() if each != own), forged)
    laptop.memos.remember("A third.", by=ANA)
    laptop.sync(folder)
    assert {each.name[:16] for each in folder.iterdir()} == {laptop.key.key[:16], phone.key.key[:16]}
    assert not [each for each in folder.iterdir() if each.name[16] != "-"]


def test_a_clock_that_was_years_behind_holds_nothing_up(devices: tuple[Device, Device, Device], folder: Path) -> None:
    laptop, phone, _ = devices
    laptop.now -= timedelta(days=4_000)
    laptop.memos.remember("Written in what it took for another year.", by=ANA)
    laptop.sync(folder)
    laptop.now = NOW
    laptop.memos.remember("Written when its clock was set.", by=ANA)
    laptop.sync(folder)
    assert not phone.sync(folder).refused
    assert len(phone.there()) == 2


def test_no_edit_is_missing_from_any_history(devices: tuple[Device, Device, Device], folder: Path) -> None:
    cube = devices[0].memos.remember("Who waters the plants?", by=ANA)
    rounds(folder, devices)
    for number, device in enumerate(devices):
        device.now += timedelta(hours=1 + number)
        device.memos.update(cube.id, text=f"Number {number} waters the plants.", by=ANA)
    rounds(folder, devices, 4)
    wanted = {"Who waters the plants?", *(f"Number {number} waters the plants." for number in range(3))}
    for device in devices:
        told = [each.text for each in device.memos.history(cube.id, by=ANA)]
        assert set(told) == wanted
        assert device.there()[cube.id].text == "Number 2 waters the plants."


@pytest.mark.parametrize("group", ["", "  ", "x" * 10_000])
def test_a_group_that_is_no_name_is_an_error_of_ours(
    devices: tuple[Device, Device, Device], folder: Path, group: str
) -> None:
    for secret in (None, X25519Key(bytes(32))):
        with pytest.raises(InvalidMemoryError, match="group"):
            devices[0].sync(folder, group=group, secret=secret)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mip"))


@pytest.mark.parametrize("more", [False, True], ids=["nothing new", "something new"])
def test_a_part_that_was_cut_off_on_its_way_is_written_again(
    devices: tuple[Device, Device, Device], folder: Path, more: bool
) -> None:
    one, two, _ = devices
    one.memos.remember("The boat is moored at pier 4.", by=ANA)
    one.sync(folder)
    cut = _parts(folder)[0]
    cut.write_bytes(cut.read_bytes()[:500])
    if more:
        one.memos.remember("The sail is at the loft.", by=ANA)
    assert one.sync(folder).written == 1
    two.sync(folder)
    assert two.told() == one.told()
    assert (two.sync(folder).refused, one.sync(folder).written) == ({}, 0)


def test_a_part_that_is_gone_from_the_middle_is_made_good(devices: tuple[Device, Device, Device], folder: Path) -> None:
    one, two, three = devices
    for text in ("The boat is moored at pier 4.", "The sail is at the loft.", "The anchor is new."):
        one.memos.remember(text, by=ANA)
        one.sync(folder)
    two.sync(folder)
    _parts(folder)[1].unlink()
    one.sync(folder)
    for device in (three, two, three):
        device.sync(folder)
    assert three.told() == two.told() == one.told()
    assert three.sync(folder).refused == {}


def test_a_strangers_file_named_like_a_first_part_holds_nothing_up(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    one, two, _ = devices
    one.memos.remember("The boat is moored at pier 4.", by=ANA)
    one.sync(folder)
    one.memos.remember("The sail is at the loft.", by=ANA)
    one.sync(folder)
    junk = folder / f"{one.key.key[:16]}-{0:015d}-{0:015d}.mip"
    junk.write_bytes(b"junk")
    two.sync(folder)
    assert two.told() == one.told()


@pytest.mark.parametrize("years", [8, -8])
def test_a_clock_that_was_years_ahead_holds_nothing_up(
    devices: tuple[Device, Device, Device], folder: Path, years: int
) -> None:
    laptop, phone, _ = devices
    laptop.memos.remember("Written before its clock went wrong.", by=ANA)
    laptop.sync(folder)
    laptop.now += timedelta(days=365 * years)
    laptop.memos.remember("Written in what it took for another year.", by=ANA)
    laptop.sync(folder)
    laptop.sync(folder)
    laptop.now = NOW
    laptop.memos.remember("Written when its clock was set.", by=ANA)
    assert not any(rounds(folder, (laptop, phone)))
    assert phone.told() == laptop.told()
    assert len(phone.there()) == 3
    names = _parts(folder)
    assert [device.sync(folder) for device in (laptop, phone)] == [Synced()] * 2
    assert _parts(folder) == names


def test_a_clock_that_is_behind_takes_nothing_of_another_life_away(tmp_path: Path, folder: Path) -> None:
    laptop, phone, kept = of_one_life(tmp_path, folder)
    laptop.memos.close()
    copy = twice(laptop, 0, tmp_path)
    laptop = Device(0, SQLiteVault(tmp_path / "0"))
    laptop.memos.update(kept, text="The key is in the shed.", by=ANA)
    laptop.sync(folder)
    laptop.memos.close()
    copy.now = NOW - timedelta(days=4_000)
    copy.memos.remember("Written by the copy, with a clock that is behind.", by=ANA)
    copy.sync(folder)
    copy.now = NOW
    assert not any(rounds(folder, (copy, phone)))
    assert phone.told() == copy.told()
    assert phone.there()[kept].text == "The key is in the shed."
    copy.memos.close(), phone.memos.close()


def test_two_ways_to_the_same_words_are_both_in_the_history(
    devices: tuple[Device, Device, Device], folder: Path
) -> None:
    cube = devices[0].memos.remember("Who waters the plants?", by=ANA)
    rounds(folder, devices)
    for number, device in enumerate(devices[:2]):
        device.memos.update(cube.id, text=f"Number {number} said it first.", by=ANA)
        device.memos.update(cube.id, text="They are watered.", by=ANA)
    rounds(folder, devices)
    for device in devices:
        told = {each.text for each in device.memos.history(cube.id, by=ANA)}
        assert told == {"Who waters the plants?", "They are watered.", *(f"Number {n} said it first." for n in (0, 1))}


def test_a_copy_whose_clock_stands_still_counts_no_write_twice(tmp_path: Path, folder: Path) -> None:
    laptop, phone = Device(0, SQLiteVault(tmp_path / "0")), Device(1, InMemoryVault())
    laptop.memos.remember("The boat is moored at pier 4.", by=ANA)
    laptop.sync(folder)
    cube = laptop.memos.remember("The key is under the mat.", by=ANA)
    laptop.memos.close()
    copy = twice(laptop, 0, tmp_path)
    laptop = Device(0, SQLiteVault(tmp_path / "0"))
    copy.memos.update(cube.id, text="The key is with the copy.", by=ANA)
    copy.sync(folder)
    laptop.memos.update(cube.id, text="The key is with the laptop.", by=ANA)
    phone.sync(folder)
    assert not any(rounds(folder, (laptop, copy, phone)))
    assert laptop.told() == copy.told() == phone.told()
    for device in (laptop, copy, phone):
        told = {each.text for each in device.memos.history(cube.id, by=ANA)}
        assert told == {"The key is under the mat.", "The key is with the copy.", "The key is with the laptop."}
        device.memos.close()


def part_of(folder: Path, *memories: make.Record, vector: dict[str, int]) -> Path:
    """A part of the series of the first device that says what our writer would not."""
    key = make.KEY.public_key().public_bytes_raw().hex()
    bundle = make.Bundle(*memories)
    when = "2026-03-01T09:00:00Z"
    clock = {"id": memories[0]["id"], "vector": vector, "at": when, "by": next(iter(vector))}
    bundle.members["clocks.jsonl"] = make.spelled(clock) + b"\n"
    bundle.needs("clocks", "history")
    covers = {"replica": key[:16], "after": 0, "to": 5}
    bundle.manifest |= {"mip": "1.1", "recipient": "ana", "purpose": "sync", "covers": covers}
    path = folder / f"{key[:16]}-{0:015d}-{5:015d}.mip"
    path.write_bytes(bundle.file())
    return path


@pytest.mark.parametrize(
    "vector", [{"r" * 65: 1}, {"a,b=1": 1}, {"a b": 1}, {"r": 2**53 - 1}, {f"{n:064d}": 1 for n in range(24)}]
)
def test_a_clock_that_could_not_be_kept_is_refused_by_name(folder: Path, vector: dict[str, int]) -> None:
    path = part_of(folder, make.memory(namespace=["home", "ana"]), vector=vector)
    laptop = Device(1, InMemoryVault())
    laptop.memos.remember("A fact.", by=ANA)
    done = laptop.sync(folder)
    assert (done.refused, done.written) == ({path.name: "record"}, 1)
    assert len(laptop.there()) == 1


@pytest.mark.parametrize("early", [{"namespace": ["work", "ana"]}, {"governance": {"owner": "user:ben"}}])
def test_a_version_that_was_somebody_elses_holds_nothing_up(folder: Path, early: dict[str, Any]) -> None:
    mine = {"namespace": ["home", "ana"]}
    part_of(folder, make.memory(**(mine | early)), make.memory(text="Now.", version=2, **mine), vector={"r": 2})
    laptop = Device(1, InMemoryVault())
    assert laptop.sync(folder).counts == {"new": 1}
    (cube,) = laptop.there().values()
    assert [each.text for each in laptop.memos.history(cube.id, by=ANA)] == ["Now."]
