"""Bundles: how fast they are written and taken in, in how much memory, whether anything is lost, what is refused.

    python tests/benchmarks/sharing_bundles.py --cubes 100000 --json FILE

Export and import run in processes of their own, so that the peak is theirs alone (`VmHWM`, the interpreter included;
`ru_maxrss` would start with the peak of the process that started them). Cubes per second are per second of processor
time of all threads (`…_per_s`: per core) and of the clock on the wall (`…_wall_per_s`). No embedder: what it costs is
`bench-vault`'s matter.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from memos_integrations import MemCube, MemOS, Principal, State  # noqa: E402
from memos_integrations.backends.signing import Ed25519Signer  # noqa: E402
from memos_integrations.core.cube import Link, Provenance, Relation  # noqa: E402
from memos_integrations.core.errors import BundleError  # noqa: E402
from memos_integrations.core.ports import CubeFilter  # noqa: E402
from memos_integrations.vaults.memory import InMemoryVault  # noqa: E402
from memos_integrations.vaults.sqlite import SQLiteVault  # noqa: E402
from tests.benchmarks.meta import THREADS, meta, single_threaded  # noqa: E402

ANA = Principal(tenant="a", user="ana")
BO = Principal(tenant="b", user="bo")
KEY, OTHER = Ed25519Signer(bytes(range(32))), Ed25519Signer(bytes(range(1, 33)))
PAGE = 2_000
SUITE = ROOT / "tests" / "conformance"
EVERYTHING = CubeFilter(states=frozenset(State))


def fill(folder: Path, cubes: int) -> None:
    """A vault of invented notes."""
    with MemOS(SQLiteVault(folder / "from")) as memos:
        for start in range(0, cubes, PAGE):
            numbers = range(start, min(cubes, start + PAGE))
            memos.remember_many(
                (f"Note {n}: the pump in hall {n % 97} ran at {n % 1000} bar in week {n % 52}." for n in numbers),
                by=ANA,
            )


def export(folder: Path) -> None:
    """Everything, to a bundle."""
    with MemOS(SQLiteVault(folder / "from")) as memos:
        memos.dump(folder / "all.mip", by=ANA, signer=KEY, issuer="a", recipient="b")


def take(folder: Path) -> None:
    """The bundle, to an empty vault."""
    with MemOS(SQLiteVault(folder / "to")) as memos:
        memos.load(folder / "all.mip", by=BO, trusted={KEY.key: "a"}, recipient="b")


def timed(work: Callable[[], object], cubes: int) -> dict[str, float]:
    """Cubes per second, by processor and by wall, and the peak of this process in MB."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"per_s": cubes / cpu, "wall_per_s": cubes / wall, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this program has had since it began."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def apart(step: str, folder: Path, cubes: int) -> dict[str, Any]:
    """One step in a process of its own."""
    words = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--cubes", str(cubes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def speeds(cubes: int) -> dict[str, float]:
    """How fast, and in how much memory."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder, cubes)
        out, back = apart("export", folder, cubes), apart("import", folder, cubes)
    return {
        "bundle_export_per_s": out["per_s"],
        "bundle_export_wall_per_s": out["wall_per_s"],
        "bundle_export_peak_mb": out["peak_mb"],
        "bundle_import_per_s": back["per_s"],
        "bundle_import_wall_per_s": back["wall_per_s"],
        "bundle_import_peak_mb": back["peak_mb"],
        "bundle_peak_mb": max(out["peak_mb"], back["peak_mb"]),
    }


# --- nothing is lost


def roundtrip() -> dict[str, Any]:
    """Whether what was dumped and loaded, and what was synchronised, says what the vault says that it came from.

    Fields, version numbers, states, edges, and every audit entry of the memories. How often a memory was used is each
    vault's own, and starts anew (`behaviour`, but for the fingerprint); so are, after a load, what MIP.md §6 and §8
    change: id, place, owner, audience, the time of recording, origin, mark, a label that may not rise.
    """
    clock = [datetime(2026, 3, 2, 9, tzinfo=UTC)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "folder")
        folder.mkdir()
        one, two, three = (MemOS(SQLiteVault(Path(place, name)), clock=lambda: clock[0]) for name in "123")
        lived_in(one, clock)
        for memos, key, other in ((one, KEY, OTHER), (two, OTHER, KEY)):
            memos.sync(folder, by=ANA, signer=key, trusted={other.key: "other"}, group="ana")
        cubes = {cube.id: cube for cube in one.find(EVERYTHING, by=ANA, k=10_000)}
        synced = {cube_id: two.history(cube_id, by=ANA) for cube_id in cubes}
        one.dump(Path(place, "all.mip"), by=ANA, signer=KEY, issuer="a", recipient="b", access_log=True)
        report = three.load(Path(place, "all.mip"), by=BO, trusted={KEY.key: "a"}, recipient="b")
        here = {each.id: str(each.here) for each in report.shown}
        loaded = {cube_id: three.history(here[cube_id], by=BO) for cube_id in cubes}
        histories = {cube_id: one.history(cube_id, by=ANA) for cube_id in cubes}
        same = all(
            [said(each, lambda known: known) for each in versions]
            == [said(each, lambda known: known) for each in synced[cube_id]]
            for cube_id, versions in histories.items()
        )
        same &= all(
            [adopted(each, here.__getitem__) for each in versions]
            == [adopted(each, lambda known: known) for each in loaded[cube_id]]
            for cube_id, versions in histories.items()
        )
        states = all(two.get(cube_id, by=ANA).state is cube.state for cube_id, cube in cubes.items())
        states &= all(three.get(here[cube_id], by=BO).state is cube.state for cube_id, cube in cubes.items())
        edges = sum(
            len(versions[-1].provenance.links) + len(versions[-1].provenance.derived_from)
            for versions in loaded.values()
        )
        with three.read_blob(report.lists["access_log.jsonl"], by=BO) as log:
            told = [json.loads(line) for line in log.read().splitlines()]
        own = [entry for entry in one.audit(by=ANA, limit=10_000) if entry.record.cube_id in cubes]
        proofs = bool(told) and all(is_proof(each) for each in told)
        # The record of the dump itself, and of the look before, came after the bundle had its log, or names no memory.
        proofs &= {each["hash"] for each in told} == {
            each.hash for each in own if each.number <= max(line["number"] for line in told)
        }
        whole = all(memos.verify_audit().ok for memos in (one, two, three))
        for memos in (one, two, three):
            memos.close()
    return {
        "roundtrip_equal": bool(same and states and proofs and whole),
        "roundtrip_memories": len(cubes),
        "roundtrip_versions": sum(map(len, histories.values())),
        "roundtrip_edges": edges,
        "roundtrip_audit_entries": len(told),
    }


def said(cube: MemCube, moved: Callable[[str], str]) -> dict[str, Any]:
    """What a version says, but for how often it was used; its edges as they lead in the other vault."""
    told: dict[str, Any] = json.loads(cube.to_json())
    told["behaviour"] = told["behaviour"]["fingerprint"]
    told["provenance"]["signature"] = None
    del told["state"]
    for each in told["provenance"]["derived_from"]:
        each["id"] = moved(each["id"])
    for each in told["provenance"]["links"]:
        each["target"] = moved(each["target"])
    return told


def adopted(cube: MemCube, moved: Callable[[str], str]) -> dict[str, Any]:
    """What a version says that a load does not change."""
    told = said(cube, moved)
    for part, names in (
        (told, ("id", "namespace")),
        (told["descriptive"], ("recorded_at", "origin")),
        (told["trust"], ("label", "verified_by")),
        (told["governance"], ("owner", "readers", "writers", "sharers", "layer", "legal_hold")),
    ):
        for name in names:
            del part[name]
    return told


def is_proof(entry: dict[str, Any]) -> bool:
    """Whether a line of an access log is what its hash says (MIP.md §6)."""
    record = json.dumps(entry["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    covered = f'[{entry["number"]},"{entry["previous"]}",{record}]'
    return bool(sha256(covered.encode()).hexdigest() == entry["hash"])


def lived_in(memos: MemOS, clock: list[datetime]) -> None:
    """Memories that were changed, linked, derived, moved and given limits."""
    made = [memos.remember(f"Fact {n} of the bridge.", by=ANA, tags=[f"t{n % 5}"]) for n in range(60)]
    for n, cube in enumerate(made):
        clock[0] += timedelta(minutes=1)
        if n % 3 == 0:
            memos.update(cube.id, text=f"Fact {n} of the bridge, looked at again.", by=ANA)
        if n % 7 == 0:
            memos.move(cube.id, "archived", by=ANA)
    link = Link(relation=Relation.MENTIONS, target=made[1].id)
    memos.remember("A note on fact 1.", by=ANA, provenance=Provenance(links=(link,)))
    memos.remember("For care alone, for a month.", by=ANA, ttl=timedelta(days=30), sensitivity=["health"])
    memos.summarise([cube.id for cube in made[1:6:2]], by=ANA)


# --- what is refused


def hostile() -> dict[str, int]:
    """How many of the bundles that are to be refused are, with nothing written."""
    suite = json.loads((SUITE / "vectors.json").read_text("utf-8"))
    refused = total = 0
    with tempfile.TemporaryDirectory() as place:
        for knows, file, again in cases(suite, Path(place)):
            total += 1
            refused += is_refused(suite["knows"] | knows, file, again=again)
    return {"hostile_bundles_rejected": refused, "hostile_bundles_total": total}


def cases(suite: dict[str, Any], place: Path) -> Iterator[tuple[dict[str, Any], Path, bool]]:
    """The suite's hostile bundles, and a good one cut off after every byte."""
    for vector in suite["vectors"]:
        if vector["verdict"] == "refused":
            yield vector.get("knows", {}), SUITE / "vectors" / vector["file"], vector["codes"] == ["replayed"]
    good, cut = (SUITE / "vectors" / "good-derived.mip").read_bytes(), place / "cut.mip"
    for length in range(len(good)):
        cut.write_bytes(good[:length])
        yield {}, cut, False


def is_refused(knows: dict[str, Any], file: Path, *, again: bool) -> bool:
    """Whether a bundle is refused, and leaves nothing."""
    from memos_integrations.backends.sealing_key import X25519Key

    now = datetime.fromisoformat(knows["now"])
    opener = None if knows["seal_key"] is None else X25519Key(bytes.fromhex(knows["seal_key"]))
    with MemOS(InMemoryVault(), clock=lambda: now) as memos:
        how: dict[str, Any] = {"by": BO, "trusted": knows["trusted"], "recipient": knows["recipient"]}
        how |= {"purposes": knows["purposes"], "opener": opener}
        if again:
            memos.load(file, **how)
        before = memos.generation(by=BO)
        try:
            memos.load(file, **how)
        except BundleError:
            return memos.generation(by=BO) == before
    return False


def measured(cubes: int) -> dict[str, Any]:
    """All figures."""
    return speeds(cubes) | roundtrip() | hostile()


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cubes", type=int, default=5_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", choices=["export", "import"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step is not None:
        work = export if asked.step == "export" else take
        print(json.dumps(timed(lambda: work(asked.folder), asked.cubes)))
        return
    single_threaded()
    found = measured(asked.cubes)
    for name, figure in found.items():
        print(f"{name:26} {figure:,.0f}" if not isinstance(figure, bool) else f"{name:26} {figure}")
    if asked.json is not None:
        told = {"meta": meta(ROOT, cubes=asked.cubes, threads=THREADS)} | found
        asked.json.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
