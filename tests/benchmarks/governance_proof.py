"""What governance proves and what it costs: `python -m tests.benchmarks.governance_proof --json FILE`.

Keys: agmi_rejected / agmi_total (edits at rest that a read refuses, anchor on), isolation_cases / isolation_leaks
(memories asked for by strangers, per read path), delete_verified / delete_total (canaries with a signed receipt),
policy_overhead_pct (a policy of two rules against none), audit_verify_1m_s (the independent verifier).
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from memos_integrations.backends.policy_file import read_policy
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import CubeFilter, Outcome
from memos_integrations.memos import MemOS
from memos_integrations.vaults import verifier
from tests.vaults.test_residue import erased_canaries

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
POLICY = """\
rules:
  - {name: salaries, who: [group:personnel, owner], may: [read], memories: {tags: [salary]}}
  - {name: interns, who: [role:intern], may_not: [read], memories: {tags: [plan]}}
"""


def agmi() -> dict[str, int]:
    """Edits at rest, by the public suite."""
    from agmi.attacks.at_rest import AT_REST_ATTACKS_WITH_SNAPSHOT  # type: ignore[import-not-found,import-untyped]

    from tests.vaults.agmi_adapter import VaultAdapter

    found = [attack().run(VaultAdapter(anchored=True)) for attack in AT_REST_ATTACKS_WITH_SNAPSHOT]
    return {"agmi_rejected": sum(each.status == "safe" for each in found), "agmi_total": len(found)}


def isolation(cases: int) -> dict[str, int]:
    """Every memory says whose it is; strangers ask for it by every read path."""
    chance = Random(7)
    leaks = asked = 0
    with tempfile.TemporaryDirectory() as folder, MemOS.open(folder, clock=lambda: NOW) as memos:
        people = [Principal(tenant=f"t{tenant}", user=f"u{user}") for tenant in range(10) for user in range(3)]
        ids: dict[str, str] = {}
        for by in people:
            for cube in memos.remember_many([f"kettle {number} of {by.tenant}" for number in range(20)], by=by):
                ids[cube.id] = f"{by.tenant}/{by.user}"
        every = list(ids)
        while asked < cases:
            by = chance.choice(people)
            me, some = f"{by.tenant}/{by.user}", chance.sample(every, 200)
            found = [hit.cube for hit in memos.recall(f"kettle {chance.randrange(20)}", by=by, k=50, needed=True).hits]
            found += memos.get_many(some, by=by) + memos.find(CubeFilter(ids=tuple(some)), by=by, k=500)
            known = memos.may_read(some, by=by)
            for cube_id in some[:3]:
                for read in (memos.get, memos.history, memos.provenance, memos.decisions, memos.read_blob):
                    try:
                        read(cube_id, by=by)
                    except MemOSError:
                        continue
                    known.add(cube_id)
            said = f"kettle {chance.randrange(20)} of t{chance.randrange(10)}"
            found += [each.cube for each in memos.attribute(f"They wrote: {said}.", by=by).sources]
            answered = memos.answer(f"Which {said}?", by=by).text
            # What was refused stands there too, by the id that was asked for, whether it exists or not.
            seen = (each.record for each in memos.audit(by=by, limit=200) if each.record.outcome is Outcome.ALLOWED)
            known |= {each.cube_id for each in seen if each.cube_id in ids}
            leaks += sum(ids[cube.id] != me for cube in found) + sum(ids[each] != me for each in known)
            leaks += any(f"of t{number}" in answered for number in range(10) if by.tenant != f"t{number}")
            asked += 3 * len(some) + 4 * len(every) + 15
    return {"isolation_cases": asked, "isolation_leaks": leaks}


def overhead(cubes: int = 5_000, rounds: int = 60) -> dict[str, float]:
    """A recall with a policy against one without, in turns, by their medians."""
    by = Principal(tenant="acme", user="ira", roles=frozenset({"intern"}))
    with tempfile.TemporaryDirectory() as folder, MemOS.open(folder, clock=lambda: NOW) as memos:
        memos.remember_many([f"kettle {number} stands on shelf {number % 97}" for number in range(cubes)], by=by)
        policies, times = (None, read_policy(POLICY)), ([], [])  # type: ignore[var-annotated]
        for number in range(rounds):
            for policy, spent in zip(policies, times, strict=True):
                memos._policy = policy
                started = time.perf_counter()
                memos.recall(f"which kettle stands on shelf {number % 97}", by=by, needed=True)
                spent.append(time.perf_counter() - started)
    without, with_it = (statistics.median(each[5:]) for each in times)
    return {"policy_overhead_pct": round((with_it / without - 1) * 100, 2)}


def audit_of(entries: int) -> dict[str, float]:
    """The independent verifier over a log of so many entries, written as the vault would."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vault.db")
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("CREATE TABLE audit (number INTEGER PRIMARY KEY, previous TEXT, hash TEXT, record BLOB)")
        connection.execute("CREATE TABLE head (entries INTEGER, hash TEXT)")
        rows, previous = [], "0" * 64
        for number in range(1, entries + 1):
            said = {"actor": "user:ana", "at": "2026-03-09T12:00:00Z", "cube_id": f"{number:032x}", "operation": "read"}
            record = json.dumps(said, separators=(",", ":")).encode()
            made = sha256(b'[%d,"%s",%s]' % (number, previous.encode(), record)).hexdigest()
            rows.append((number, previous, made, record))
            previous = made
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO head VALUES (?, ?)", (entries, previous))
        connection.execute("COMMIT")
        connection.close()
        started, cpu = time.perf_counter(), time.process_time()
        count, _ = verifier.walk(str(file), {entries})
        assert count == entries
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        per_million = 1e6 / entries
        return {
            "audit_verify_1m_s": round(wall * per_million, 2),
            "audit_verify_1m_cpu_s": round(cpu * per_million, 2),
        }


def measured(*, cases: int, canaries: int, entries: int) -> dict[str, Any]:
    """All keys."""
    found: dict[str, Any] = dict(agmi()) | isolation(cases) | overhead()
    with tempfile.TemporaryDirectory() as folder:
        found["delete_verified"], found["delete_total"] = erased_canaries(Path(folder), canaries, Random(11))
    return found | audit_of(entries)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--canaries", type=int, default=200)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = measured(cases=asked.cases, canaries=asked.canaries, entries=asked.entries) | {"cpus": os.cpu_count()}
    text = json.dumps(found, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
