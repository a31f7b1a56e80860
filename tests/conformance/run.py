"""Puts every bundle of the MIP conformance suite before a reader, and compares its verdicts. Standard library only.

    python run.py [--only NAME] -- COMMAND …

COMMAND is run once for each bundle, with three more arguments: the bundle's path, the path of a JSON file with what the
reader knows (`trusted`, `recipient`, `purposes`, `now`, `models`, `loaded`, `seal_key`), and the folder of the schemas.
It prints one JSON object: `{"verdict": "accepted", "memories": 2, "versions": 3, "declined": {}}`, or
`{"verdict": "refused", "code": "expired"}`, or `{"verdict": "skipped", "why": …}` for what it does not do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run the suite; 0 when every verdict was right."""
    parser = argparse.ArgumentParser(description="The MIP conformance suite.")
    parser.add_argument("--only", default="", help="the bundles whose name begins so")
    parser.add_argument("--vectors", type=Path, default=HERE, help="the folder of vectors.json")
    parser.add_argument("--schemas", type=Path, default=HERE)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    command = [each for each in chosen.command if each != "--"]
    if not command:
        parser.error("say which reader: run.py -- COMMAND …")
    wrong = skipped = 0
    suite = json.loads((chosen.vectors / "vectors.json").read_text("utf-8"))
    for vector in suite["vectors"]:
        if not vector["name"].startswith(chosen.only):
            continue
        said = verdict_of(command, chosen.vectors, chosen.schemas, suite["knows"] | vector.get("knows", {}), vector)
        skipped += said.get("verdict") == "skipped"
        if (problem := difference(vector, said)) is not None:
            wrong += 1
            sys.stdout.write(f"WRONG {vector['name']}: {problem}\n")
    total = len([each for each in suite["vectors"] if each["name"].startswith(chosen.only)])
    sys.stdout.write(f"{total - wrong - skipped} of {total} verdicts right, {skipped} skipped, {wrong} wrong\n")
    return int(wrong > 0)


def verdict_of(
    command: list[str], folder: Path, schemas: Path, knows: dict[str, Any], vector: dict[str, Any]
) -> dict[str, Any]:
    """What the reader says of one bundle."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "knows.json")
        file.write_text(json.dumps(knows), "utf-8")
        words = [*command, str(folder / "vectors" / vector["file"]), str(file), str(schemas)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        said = {"verdict": "none", "said": (done.stdout + done.stderr)[-300:]}
    return said if isinstance(said, dict) else {"verdict": "none"}


def difference(vector: dict[str, Any], said: dict[str, Any]) -> str | None:
    """What is wrong with a verdict; None: nothing."""
    if said.get("verdict") == "skipped" and vector.get("optional"):
        return None
    if vector["verdict"] == "refused":
        right = said.get("verdict") == "refused" and said.get("code") in vector["codes"]
        return None if right else f"expected a refusal for {' or '.join(vector['codes'])}, got {said}"
    wanted = {name: vector[name] for name in ("verdict", "memories", "versions", "declined")}
    return None if {name: said.get(name) for name in wanted} == wanted else f"expected {wanted}, got {said}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
