"""Random damage to the files of a vault folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

TRUTH = ("vault.db", "vault.db-wal", "vault.db-shm", "vault.db-journal")


def index_files(folder: Path) -> list[Path]:
    """Files that are made from the database, and may be lost or damaged without harm."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name not in TRUTH and not {"vault.blobs"} & {*file.relative_to(folder).parts}
        and ("faiss" in file.as_posix() or "index" in file.as_posix() or "segment" in file.as_posix())
    )  # fmt: skip


def damage(file: Path, random: Random) -> str:
    """Do something bad to a file; says what. A file that another one maps is replaced, not changed in place."""
    content = bytearray(file.read_bytes())
    what = random.choice(["cut", "flipped", "gone", "zeroed", "older", "longer"])
    kept = file.with_name(f"{file.name}.kept")
    if what == "gone":
        file.unlink()
        return what
    if what == "cut":
        del content[random.randrange(len(content) + 1) :]
    elif what == "flipped" and content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    elif what == "zeroed" and content:
        start = random.randrange(len(content))
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    elif what == "longer":
        content += os.urandom(100)
    elif what == "older" and kept.exists():
        content = bytearray(kept.read_bytes())
    if random.random() < 0.2:
        shutil.copyfile(file, kept)
    aside = file.with_name(f"{file.name}.damaged")
    aside.write_bytes(content)
    aside.replace(file)
    return what
