"""The filled vaults of a benchmark: made once, and where asked kept, so that another run can measure on copies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.corpus import Corpus, Lookup
from tests.benchmarks.ours import Filled, fill

TENANTS, ALL = "tenants", "all"


def single(corpus: Corpus) -> Corpus:
    """The same rows in one tenant."""
    return Corpus(corpus.cubes, 1, corpus.seed)


class Vaults:
    """Vaults that hold a corpus. *kept* is where they stay; without it they are made where they are measured.

    *about* are the circumstances of this run, which stay beside the vaults that it fills.
    """

    def __init__(self, kept: Path | None, about: Mapping[str, Any]) -> None:
        self._kept, self._about = kept, about
        self._filled: dict[str, dict[str, Any]] = {}
        self._begun: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def unfit(kept: Path, corpus: Corpus) -> str | None:
        """Why the vaults there cannot be used for a corpus, or None."""
        for name, wanted in ((TENANTS, corpus), (ALL, single(corpus))):
            file = kept / f"{name}.json"
            if not file.is_file():
                return f"{file} is missing: fill the vaults with --keep {kept} first"
            said = json.loads(file.read_text())["corpus"]
            if said != _sizes(wanted):
                return f"{file} is of another corpus: {said}, not {_sizes(wanted)}"
        return None

    def begin(self, corpus: Corpus, name: str, folder: Path) -> None:
        """Let a process of its own fill a vault meanwhile; `bring` waits for it."""
        place = folder if self._kept is None else self._kept
        if not (place / f"{name}.json").exists():
            sizes = [f"--cubes={corpus.cubes}", f"--tenants={corpus.tenants}", f"--seed={corpus.seed}"]
            command = [sys.executable, sys.argv[0], *sizes, f"--fill={place / name}"]
            self._begun[name] = subprocess.Popen(command)

    def bring(self, corpus: Corpus, name: str, folder: Path, say: Callable[[str], None]) -> None:
        """Let a closed vault with this corpus stand in *folder*."""
        place = folder if self._kept is None else self._kept
        record = place / f"{name}.json"
        if not record.exists():
            say(f"filling the vault: {name}")
            if name in self._begun:
                if self._begun[name].wait():
                    raise SystemExit(f"The vault {name} was not filled.")
            else:
                filled_in(place / name, corpus)
            said = json.loads(record.read_text()) | {"meta": dict(self._about), "at_once": bool(self._begun)}
            record.write_text(json.dumps(said, indent=1))
        self._filled[name] = json.loads(record.read_text())
        if place != folder:
            say(f"copying the vault: {name}")
            shutil.copytree(place / name, folder / name)

    def figures(self, name: str, corpus: Corpus) -> dict[str, Any]:
        """How fast a vault was filled, and under which circumstances when it was not this run that did it."""
        said = self._filled[name]
        rates = {
            "bulk_add_per_s": corpus.cubes / said["cpu_s"],
            "bulk_add_wall_per_s": corpus.cubes / said["wall_s"],
            "filled_at_once": said["at_once"],
        }
        return rates if said["meta"] == dict(self._about) else rates | {"filled": said["meta"]}


def filled_in(folder: Path, corpus: Corpus) -> None:
    """Fill a vault, close it, and write beside it what it holds and how long that took."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    filled = Filled(folder, corpus, Lookup())
    wall, cpu = fill(filled, lambda rows: None)
    filled.memos.close()  # which seals the index; left open, that happens beside the first searches
    said = {"corpus": _sizes(corpus), "wall_s": wall, "cpu_s": cpu}
    aside = folder.with_name(f"{folder.name}.json.tmp")
    aside.write_text(json.dumps(said))
    aside.replace(folder.with_name(f"{folder.name}.json"))


def _sizes(corpus: Corpus) -> dict[str, int]:
    return {"cubes": corpus.cubes, "tenants": corpus.tenants, "seed": corpus.seed}
