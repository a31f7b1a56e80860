"""The README's figures, written from the results that the benchmarks left in `results/`.

`python tests/benchmarks/report.py` puts them into README.md; with `--check` it only says whether they stand there.
A result that is not there gives no line, and a figure that is not in its result is not guessed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
START, END = "<!-- measured: make bench-report -->", "<!-- end of measured -->"

Result = Mapping[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def figure(value: object, digits: int = 1) -> str:
    """A number as people write it; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    if digits == 0 or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.{digits}f}"


def where(result: Result) -> str:
    """Machine and date of a run, and the commit it ran on."""
    about = result["meta"]
    machine = about["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, {about['date'][:10]}, commit {about['commit'][:7]}"


def storage(results: Mapping[str, Result]) -> list[str]:
    """Latency against size, ours and the peers' of the same run."""
    lines = []
    rows = []
    for name in ("vault-100k", "vault-1m"):
        if name not in results:
            continue
        ours = results[name]
        size = f"{ours['meta']['cubes']:,} cubes, {ours['meta']['tenants']:,} tenants"
        searched = figure(ours["tenant_search_p50_ms"], 2), figure(ours["global_search_p50_ms"], 2)
        rows.append([f"**ours**, {size}", *searched, figure(ours["durable_add_p50_ms"], 2)])
        peers = sorted(ours.get("peers", {}).items())
        for peer, theirs in peers:
            if theirs.get("survives") != "nothing":
                rows.append([f"{peer}{' (loading cut short)' if theirs.get('capped') else ''}", *_times([theirs])])
        if lost := [(peer, theirs) for peer, theirs in peers if theirs.get("survives") == "nothing"]:
            rows.append([f"{', '.join(peer for peer, _ in lost)} (not durable)", *_times([each for _, each in lost])])
        flat, bare = figure(ours["global_flat_p50_ms"], 2), figure(ours["bare_sqlite_commit_p50_ms"], 2)
        rows.append(["bare FAISS Flat, bare SQLite commit", "–", flat, bare])
        lines.append(f"{size}: {where(ours)}; {_storage_rest(ours)}.")
    return [*table(["p50, ms", "search one tenant", "search all", "add one"], rows), "", *lines] if rows else []


def _times(peers: Sequence[Result]) -> list[str]:
    keys = ("tenant_search_p50_ms", "global_search_p50_ms", "add_p50_ms")
    return [" / ".join(figure(theirs.get(key), 2) for theirs in peers) for key in keys]


def _storage_rest(ours: Result) -> str:
    return (
        f"p95 {figure(ours['tenant_search_p95_ms'])} ms in one tenant, {figure(ours['text_search_p95_ms'])} ms hybrid; "
        f"{figure(ours['bulk_add_per_s'], 0)} cubes/s in bulk; 64 callers {figure(ours['concurrent_add_speedup_64'])}x "
        f"one; open and first answer {figure(ours['open_first_answer_s'], 2)} s; governance costs "
        f"{figure(ours['governance_overhead_pct'], 0)} % of a search"
    )


def recall(results: Mapping[str, Result]) -> list[str]:
    """Turn-level recall on LoCoMo, ours and the peers' of the same run."""
    rows, lines = [], []
    for track in ("recall-lexical", "recall-minilm"):
        if track not in results:
            continue
        ours = results[track]
        label = "no model" if track == "recall-lexical" else "MiniLM"
        adversarial = ours["by_category"].get("adversarial", {}).get("recall_at_10")
        rows.append([f"**ours**, {label}", *(figure(ours[key]) for key in ("recall_at_5", "recall_at_10")),
                     figure(ours["mrr"], 2), figure(adversarial), figure(ours["cpu_p50_ms"], 0)])  # fmt: skip
        alike: dict[tuple[str, ...], list[str]] = {}
        for peer, theirs in sorted(ours.get("peers", {}).items()):
            if track == "recall-minilm" and peer in results.get("recall-lexical", {}).get("peers", {}):
                continue
            found = figure(theirs.get("recall_at_5")), figure(theirs.get("recall_at_10")), figure(theirs.get("mrr"), 2)
            alike.setdefault(found, []).append(peer)
        rows += [[", ".join(peers), *found, "–", "–"] for found, peers in alike.items()]
        lines.append(f"{label}: n = {ours['n']:,}, {where(ours)}.")
    head = ["LoCoMo, turn level", "R@5", "R@10", "MRR", "adversarial R@10", "CPU ms, p50"]
    return [*table(head, rows), "", " ".join(lines)] if rows else []


def activation(results: Mapping[str, Result]) -> list[str]:
    """Activation memory: time to the first token with it and without, what keeping costs, what joining gives."""
    if "ttft" not in results:
        return []
    ours = results["ttft"]
    cuts = ", ".join(
        f"{int(length):,} tokens {figure(row['full_ms'], 0)} → {figure(row['injected_ms'], 0)} ms "
        f"(−{figure(row['cut_pct'])} %)"
        for length, row in ours["lengths"].items()
    )
    about = ours["meta"]
    lines = [
        f"- Time to the first token, {about['model']}, {about['query_tokens']}-token question, one thread, computed "
        f"→ from the store: {cuts}; {where(ours)}."
    ]
    lines += [f"- {'; '.join(kept)}." for kept in (_kept(ours), _joined(ours)) if kept]
    return lines


def _kept(ours: Result) -> list[str]:
    """Exactness, and what keeping costs; what was not measured has no figure."""
    said = (
        [f"{ours['greedy_mismatches']} greedy mismatches over {ours['prompts']} prompts"] if "prompts" in ours else []
    )
    if "fork_ms_4096" in ours:
        said.append(f"a fork of 4,096 tokens {figure(ours['fork_ms_4096'], 3)} ms")
    if "int8" in ours:
        said.append(f"int8 {figure(ours['int8']['ratio'], 2)}x smaller, KL {figure(ours['int8']['kl'], 4)}")
    if "load_vs_recompute" in ours:
        checked = figure(ours.get("sealed_load_vs_recompute"))
        said.append(
            f"loading {figure(ours['load_vs_recompute'], 0)}x faster than computing ({checked}x with its seal checked)"
        )
    if "shared_decode_speedup_8" in ours:
        later = figure(ours.get("shared_decode_speedup_8_kept_pages"))
        said.append(
            f"a step of 8 sessions {figure(ours['shared_decode_speedup_8'])}x faster ({later}x in a warm process)"
        )
    if "conversation_s" in ours:
        talk = ours["conversation_s"]
        said.append(f"{talk['turns']} turns {figure(talk['without'], 0)} → {figure(talk['with'], 0)} s")
    return said


def _joined(ours: Result) -> list[str]:
    """The composition row, and whether the gate lets it be used."""
    rows = ours.get("compose", {})
    said = [
        f"{size}: {figure(row['recall_vs_full_pct'], 0)} % of the recall at {figure(row['cpu_vs_full_pct'], 0)} % of "
        f"the CPU (MemOS's concatenation {figure(row['arms']['memos_concatenation']['recall_vs_full_pct'], 0)} %)"
        for size, row in sorted(rows.items(), key=lambda row: int(row[0]))
    ]
    if said:
        said[0] = f"Memories joined, approximate and opt-in, against full recompute, {said[0]}"
        gate = ours.get("compose_gate", {})
        passes = "passes" if gate.get("allowed") else "fails"
        said += [f"this model {passes} the default gate for {gate.get('memories', 4)}"] if gate else []
    return said


def change(results: Mapping[str, Result]) -> list[str]:
    """What a year of change leaves in the memory, and what an adapter knows without being told."""
    lines = []
    if "drift" in results:
        ours = results["drift"]
        stale, lost = figure(ours["stale_answers_pct"]), figure(ours["lost_true_facts_pct"])
        found, right = figure(ours["conflict_recall_pct"]), figure(ours["conflict_precision_pct"])
        plain = [figure(ours["baselines"][name]["stale_answers_pct"]) for name in ("add_only", "last_write_wins")]
        lines.append(
            f"- A simulated year, {ours['meta']['events']:,} events, rules only: {stale} % stale answers (adding only, "
            f"last write wins: {' / '.join(plain)} %), {lost} % true facts lost, conflicts found {found} % at {right} %"
            f" precision; {where(ours)}."
        )
    if "lora" in results:
        ours = results["lora"]
        taught, otherwise = figure(ours["recall_train"], 2), figure(ours["recall_heldout"], 2)
        lines.append(
            f"- An adapter of 20 facts, {ours['meta']['seeds']} seeds: recall without context {taught} as taught, "
            f"{otherwise} asked otherwise; perplexity {ours['perplexity_change_pct']:+.1f} %; general questions lost "
            f"{figure(ours['general_lost_pct'])} %; {figure(ours['train_cpu_s'], 0)} CPU s; {where(ours)}."
        )
    return lines


def doors(results: Mapping[str, Result]) -> list[str]:
    """What the doors add to a turn."""
    if "doors" not in results:
        return []
    ours = results["doors"]
    times = [
        f"{name} {figure(ours[f'{key}_p50_ms'])} (p95 {figure(ours[f'{key}_p95_ms'])}) ms"
        for name, key in (
            ("the middleware, recall and durable write,", "middleware"),
            ("a retriever", "retriever"),
            ("a node postprocessor", "postprocessor"),
        )
    ]
    return [f"- Added to a turn at {ours['meta']['cubes']:,} cubes: {', '.join(times)}; {where(ours)}."]


def sharing(results: Mapping[str, Result]) -> list[str]:
    """Events and bundles: how fast, and what was refused."""
    if "sharing" not in results:
        return []
    ours = results["sharing"]
    rates = ", ".join(
        f"{figure(ours[f'{key}_per_s'], 0)}{name}"
        for name, key in (("", "events"), (" woken over NATS", "nats_events"), (" over Redis", "redis_events"))
        if f"{key}_per_s" in ours
    )
    largest = results.get("sharing-1m", ours)
    written, read = (figure(ours[f"bundle_{way}_per_s"], 0) for way in ("export", "import"))
    return [
        f"- Events delivered a second: {rates} (p95 {figure(ours['delivery_p95_ms'])} ms); memories a CPU second "
        f"to a bundle {written}, from one {read}, {largest['meta']['cubes']:,} of them in "
        f"{figure(largest['bundle_peak_mb'], 0)} MB; {ours['hostile_bundles_rejected']:,} of "
        f"{ours['hostile_bundles_total']:,} hostile bundles refused; {where(ours)}."
    ]


def governance(results: Mapping[str, Result]) -> list[str]:
    """Attacks, leaks and erasures that were tried, and what governance costs."""
    if "governance" not in results:
        return []
    ours = results["governance"]
    return [
        f"- Edits at rest refused {ours['agmi_rejected']} of {ours['agmi_total']}; {ours['isolation_leaks']} leaks in "
        f"{ours['isolation_cases']:,} cases of access; erasures proved {ours['delete_verified']} of "
        f"{ours['delete_total']}; everyday turns stopped at the gate {figure(ours['gate_false_positive_pct'])} % of "
        f"{ours['gate_turns']:,}; personal numbers found {figure(ours['pii_structured_recall_pct'])} % (first looks at "
        f"new sets: {_first_looks(ours)} %); 1,000,000 entries of the log checked in "
        f"{figure(ours['audit_verify_1m_s'])} s; governance and encryption add "
        f"{figure(ours['write_overhead_ms'], 2)} ms to a write; {where(ours)}."
    ]


def _first_looks(ours: Result) -> str:
    looks = [float(each["recall_pct"]) for each in ours["pii_first_look"].values()]
    return f"{min(looks):.0f} to {max(looks):.0f}"


def local_models_and_time(results: Mapping[str, Result]) -> list[str]:
    """One list of what has no table."""
    return doors(results) + activation(results) + change(results) + governance(results) + sharing(results)


SECTIONS: tuple[Callable[[Mapping[str, Result]], list[str]], ...] = (storage, recall, local_models_and_time)


def rendered(results: Mapping[str, Result]) -> str:
    """The whole block, markers included."""
    parts = [lines for section in SECTIONS if (lines := section(results))]
    lines = [line for part in parts for line in ("", *part)]
    return "\n".join([START, *lines[1:], END])


def read_results(folder: Path = RESULTS) -> dict[str, Result]:
    """The results by name of file."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))}


def replaced(text: str, block: str) -> str:
    """*text* with what stands between the markers replaced.

    Raises:
        ValueError: The markers are not there, or not once.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in after:
        raise ValueError(f"README needs {START} and {END} once each.")
    return before + block + after


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the README says otherwise")
    said = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    wanted = replaced(text, rendered(read_results()))
    if said.check:
        sys.exit(wanted != text)
    readme.write_text(wanted, "utf-8")


if __name__ == "__main__":
    main()
