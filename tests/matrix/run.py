"""The doors' tests on the lowest and the highest supported frameworks, each in an environment of its own.

    python tests/matrix/run.py [lowest|highest ...] [--folder DIR] [-- pytest arguments]

`lowest` pins what pyproject.toml names as lower bounds; `highest` takes what pip finds newest within its ranges. The
environments are made beside each other in DIR (default `.venv-matrix`) and used again when the pins did not change.
torch and transformers come from the environment that runs this script; only the frameworks differ.
"""

from __future__ import annotations

import argparse
import os
import re
import site
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ("langchain-core", "langgraph", "langchain", "langchain-classic")
TESTS = ["tests/langchain", "tests/langgraph"]
EDGES = ("lowest", "highest")


def requirements(edge: str) -> list[str]:
    """What pip is asked for: the frameworks at one edge of their ranges, and the rest of the tests' own wishes."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    said = {re.split(r"[<>=!~\[]", line)[0]: line for lines in extras.values() for line in lines}
    wanted = []
    for name in FRAMEWORKS:
        low = re.search(r">=([\d.]+)", said[name])
        assert low, said[name]
        wanted.append(f"{name}=={low[1]}" if edge == "lowest" else said[name])
    return [*wanted, "langchain-tests==1.1.9"]


def environment(edge: str, folder: Path) -> Path:
    """The Python of an environment for *edge*, made if it is not there."""
    home, wanted = folder / edge, requirements(edge)
    python, stamp = home / "bin" / "python", home / "wanted.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        # What is not a framework is seen through this path file; what pip installs here stands before it.
        here = subprocess.run([python, "-c", "import site; print(site.getsitepackages()[0])"], check=True,
                              capture_output=True, text=True).stdout.strip()  # fmt: skip
        quiet = ["--quiet", "--disable-pip-version-check", "--ignore-installed"]
        subprocess.run([python, "-m", "pip", "install", *quiet, *wanted], check=True)
        (Path(here) / "rest.pth").write_text("\n".join([*site.getsitepackages(), str(ROOT)]) + "\n")
        stamp.write_text("\n".join(wanted))
    return python


def main() -> int:
    """Run the tests at each edge; how many edges failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edges", nargs="*", choices=[[], *EDGES], default=[])
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv-matrix")
    arguments, further = parser.parse_known_args()
    failed = 0
    for edge in arguments.edges or EDGES:
        python = environment(edge, arguments.folder.resolve())
        told = f"from importlib.metadata import version; print(*(n + ' ' + version(n) for n in {FRAMEWORKS}), sep=', ')"
        shown = subprocess.run([python, "-c", told], capture_output=True, text=True, check=True).stdout.strip()
        print(f"== {edge}: {shown}", flush=True)
        suite = [python, "-m", "pytest", "-q", "-m", "not slow", "--benchmark-disable", "-p", "no:cacheprovider"]
        environ = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        failed += subprocess.run([*suite, *TESTS, *further], cwd=ROOT, env=environ, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
