"""AdapterStore: adapters on disk and on a model, each sealed, each with its sources, gone when one of them goes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.adapter_file import CONFIG, WEIGHTS, attach_adapter, detach_adapter, read_adapter
from memos_integrations.backends.lora.files import Files
from memos_integrations.backends.lora.gates import GateReport
from memos_integrations.backends.lora.lessons import Lesson
from memos_integrations.backends.sealed_files import KEY_FILE as SEALED_KEY
from memos_integrations.backends.sealed_files import folder_seal, kept_secret
from memos_integrations.core.cube import CubeRef, ModelFingerprint, canonical_json, new_id
from memos_integrations.core.errors import ModelError
from memos_integrations.core.ports import KeyProvider, least_allowed

RECORD, KEY_FILE, TRAININGS, SOURCES, NEW = "memos.json", "key", "trainings", "sources.json", ".new-"
COMPOSED = "composed"
"""In the record of an adapter made of others: their names."""
SAME = ("weights", "tokenizer", "chat_template", "positions")
"""What of a base model decides whether an adapter fits; the number format does not."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter: what it was made from and for whom, how it did, and whether it may serve."""

    name: str
    tenant: str
    folder: Path
    digest: str
    sources: frozenset[CubeRef]
    base: ModelFingerprint
    report: GateReport
    probes: tuple[Lesson, ...]
    training: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether it passed its gates. What did not is kept as evidence, and never served."""
        return self.report.passed

    @property
    def size(self) -> int:
        """Bytes of its weights on disk."""
        return (self.folder / WEIGHTS).stat().st_size


class AdapterStore:
    """The adapters of one model. Thread-safe; fills the `Derivative` port.

    Args:
        model: The model that they serve on, unmerged: its own weights are never touched.
        folder: Where they are kept, each in a folder of its own in PEFT's format; readable by its owner.
        secret: Seals them; the default is kept in the folder. What it did not seal is not used.
        keys: Encrypt the folder: give those of the vault. Other programs cannot read the adapters there then.

    Raises:
        ModelError: The folder cannot be used, or holds adapters in clear and is to be encrypted.
        VaultKeyError: The folder is encrypted, and *keys* are none or not its own.
    """

    def __init__(
        self,
        model: HuggingFaceModel,
        folder: str | Path,
        *,
        secret: bytes | None = None,
        keys: KeyProvider | None = None,
    ) -> None:
        self.model, self.folder = model, Path(folder)
        self._lock = threading.RLock()
        self._held: dict[str, Adapter] = {}
        self._gone: dict[str, float] = {}
        self.refused: list[str] = []
        """Folders that were found and not believed, each with the reason."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _check_empty(self.folder, keys)
            seal = folder_seal(self.folder, keys)
            self._secret = secret or (seal.key if seal else kept_secret(self.folder / KEY_FILE))
        except OSError as exc:
            raise ModelError(f"{self.folder} cannot hold adapters: {exc}. Name another folder.") from exc
        self.files = Files(seal)
        for each in sorted(self.folder.iterdir()):
            self._adopt(each)

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[Adapter]:
        with self._lock:
            return iter(list(self._held.values()))

    def get(self, name: str) -> Adapter:
        """An adapter that is kept, accepted or not.

        Raises:
            ModelError: There is none of this name.
        """
        with self._lock:
            if name not in self._held:
                raise ModelError(f"There is no adapter {name!r}; it may have gone with one of its sources.")
            return self._held[name]

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the adapters that can be asked for now."""
        with self._lock:
            return tuple(name for name in self.model.adapters if name in self._held)

    def staging(self) -> Path:
        """An empty folder for files that `keep` will take over, or that `discard` removes."""
        try:
            made = self.folder / f"{NEW}{secrets.token_hex(8)}"
            made.mkdir(mode=0o700)
        except OSError as exc:
            raise ModelError(f"{self.folder} cannot hold a new adapter: {exc}. Free some space.") from exc
        return made

    def discard(self, staged: Path) -> None:
        """Remove what was staged."""
        shutil.rmtree(staged, ignore_errors=True)

    def keep(
        self,
        staged: Path,
        *,
        tenant: str,
        sources: Collection[CubeRef],
        report: GateReport,
        probes: Sequence[Lesson] = (),
        training: dict[str, Any] | None = None,
        base: ModelFingerprint | None = None,
    ) -> Adapter:
        """Take over the files in a staged folder as an adapter with a name of its own; by one rename, or not at all.

        Raises:
            ModelError: A source is gone meanwhile, or the disk refused; nothing is kept.
        """
        name = f"memos-{new_id()}"
        made = Adapter(
            name=name,
            tenant=tenant,
            folder=staged,
            digest=self.files.digest(staged / WEIGHTS),
            sources=frozenset(sources),
            base=base or self.model.fingerprint,
            report=report,
            probes=tuple(probes),
            training=training or {},
        )
        with self._lock:
            if self.is_gone(sources):
                self.discard(staged)
                raise ModelError("A memory was changed or forgotten while it was learnt; the adapter is not kept.")
            try:
                self.files.put(staged / RECORD, json.dumps(self._sealed(made), indent=1).encode())
                os.rename(staged, self.folder / name)
            except OSError as exc:
                self.discard(staged)
                raise ModelError(f"{self.folder} cannot hold a new adapter: {exc}. Free some space.") from exc
            made = replace(made, folder=self.folder / name)
            self._held[name] = made
        return made

    def activate(self, name: str) -> Adapter:
        """Load an accepted adapter on the model; running answers go on, each with what it asked for.

        Raises:
            ModelError: It was rejected, is of another base model, or its files are not whole.
        """
        with self._lock:
            found = self.get(name)
            if not found.accepted:
                raise ModelError(f"Adapter {name!r} did not pass its gates ({'; '.join(found.report.failed)}).")
            self.check_base(found.base, name)
            if name not in self.model.adapters:
                tensors, said = read_adapter(found.folder, files=self.files)
                with self.model.lock:
                    attach_adapter(self.model.network, name, tensors, said)
            self.model.taught[name] = found.sources
            return found

    def composed_of(self, one: str, other: str) -> str | None:
        """The active adapter that was composed of these two; None where there is none."""
        with self._lock:
            made = [name for name in self.active if {one, other} == set(self.get(name).training.get(COMPOSED, ()))]
        return made[-1] if made else None

    def retire(self, name: str, *, erase: bool = False) -> None:
        """Take an adapter off the model; with *erase* its files, too. The model answers as it did before."""
        with self._lock:
            detach_adapter(self.model, name)
            self.model.taught.pop(name, None)
            for each in list(self._held.values()):  # what was made of it does not outlive it
                if name in each.training.get(COMPOSED, ()):
                    self.retire(each.name, erase=erase)
            found = self._held.get(name)
            if erase and found is not None:
                del self._held[name]
                shutil.rmtree(found.folder, ignore_errors=True)
                if found.folder.exists():
                    raise ModelError(f"{found.folder} could not be erased; it is not served any more. Remove it.")

    def check_base(self, base: ModelFingerprint, name: str) -> None:
        """Refuse an adapter of another model.

        Raises:
            ModelError: Its weights, tokenizer, template or positions are others.
        """
        here = self.model.fingerprint
        differs = [each for each in SAME if getattr(here, each) != getattr(base, each)]
        if differs:
            raise ModelError(
                f"Adapter {name!r} was trained on {base.model}, which has another {', '.join(differs)} than "
                f"{self.model.name}; it is not loaded. Train it again on this model."
            )

    # --- the Derivative port ------------------------------------------------------------------------------------

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Retire and erase every adapter, and every unfinished training, made from one of the cubes; how many."""
        gone = set(cube_ids)
        with self._lock:
            self._gone |= least_allowed(gone, now, self._gone)
            doomed = [each for each in self._held.values() if gone.intersection(ref.id for ref in each.sources)]
            for each in doomed:
                if each.name in self._held:  # or it went with one that it was composed of
                    self.retire(each.name, erase=True)
            halves = [each for each in self._unfinished() if gone & {ref.id for _, ref in self._named(each)}]
            for half in halves:
                shutil.rmtree(half, ignore_errors=True)
        return len(doomed) + len(halves)

    def sources(self) -> set[tuple[str, CubeRef]]:
        """The cubes that something kept, or half learnt, was made from, each with its tenant."""
        with self._lock:
            kept = {(each.tenant, ref) for each in self._held.values() for ref in each.sources}
            return kept.union(*map(self._named, self._unfinished()))

    def training_folder(self, key: str, tenant: str, sources: Collection[CubeRef]) -> Path:
        """Where a training keeps its state; it goes with its sources, too."""
        folder = self.folder / TRAININGS / key
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            named = [ref.model_dump() for ref in sorted(sources, key=lambda ref: ref.id)]
            self.files.put(folder / SOURCES, json.dumps({"tenant": tenant, "sources": named}).encode())
        except OSError as exc:
            raise ModelError(f"{self.folder} cannot hold a training: {exc}. Free some space.") from exc
        return folder

    def is_gone(self, sources: Collection[CubeRef]) -> bool:
        """Whether one of the cubes was dropped since the store was opened, and is not a later version."""
        with self._lock:
            return any(ref.version < self._gone.get(ref.id, 0) for ref in sources)

    def end_training(self, key: str) -> None:
        """Remove a training's state."""
        shutil.rmtree(self.folder / TRAININGS / key, ignore_errors=True)

    def close(self) -> None:
        """Take all of its adapters off the model; their files stay."""
        with self._lock:
            for name in self.active:
                detach_adapter(self.model, name)

    # --- parts --------------------------------------------------------------------------------------------------

    def _unfinished(self) -> list[Path]:
        place = self.folder / TRAININGS
        return [each for each in place.iterdir() if each.is_dir()] if place.is_dir() else []

    def _named(self, training: Path) -> set[tuple[str, CubeRef]]:
        try:
            said = json.loads(self.files.get(training / SOURCES))
            return {(str(said["tenant"]), CubeRef.model_validate(each)) for each in said["sources"]}
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def _adopt(self, folder: Path) -> None:
        if folder.name.startswith(NEW):
            shutil.rmtree(folder, ignore_errors=True)  # a crash between two steps; nobody has been told of it
        elif folder.is_dir() and folder.name != TRAININGS:
            try:
                found = self._read(folder)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
                self.refused.append(f"{folder.name}: no sealed adapter ({type(exc).__name__}: {exc})")
            else:
                self._held[found.name] = found

    def _sealed(self, made: Adapter) -> dict[str, Any]:
        said = {
            "name": made.name,
            "tenant": made.tenant,
            "sources": [ref.model_dump() for ref in sorted(made.sources, key=lambda ref: ref.id)],
            "base": made.base.model_dump(mode="json"),
            "report": made.report.model_dump(mode="json"),
            "probes": [[p.question, p.answer, p.value] for p in made.probes],
            "training": made.training,
            "files": {name: self.files.digest(made.folder / name) for name in (WEIGHTS, CONFIG)},
        }
        return said | {"seal": self._seal(said)}

    def _seal(self, said: dict[str, Any]) -> str:
        return hmac.new(self._secret, canonical_json(said), hashlib.sha256).hexdigest()

    def _read(self, folder: Path) -> Adapter:
        said = json.loads(self.files.get(folder / RECORD))
        seal = str(said.pop("seal"))
        genuine = hmac.compare_digest(self._seal(said).encode(), seal.encode(errors="replace"))
        if not genuine or said["name"] != folder.name:
            raise ValueError("its seal is not ours")
        if any(self.files.digest(folder / name) != found for name, found in said["files"].items()):
            raise ValueError("its files were changed")
        sources = frozenset(CubeRef.model_validate(each) for each in said["sources"])
        return Adapter(
            name=said["name"],
            tenant=said["tenant"],
            folder=folder,
            digest=said["files"][WEIGHTS],
            sources=sources,
            base=ModelFingerprint.model_validate(said["base"]),
            report=GateReport.model_validate(said["report"]),
            probes=tuple(
                Lesson(question, answer, value, tuple(sources), "", "probe")
                for question, answer, value in said["probes"]
            ),
            training=said["training"],
        )


def _check_empty(folder: Path, keys: KeyProvider | None) -> None:
    """Refuse to encrypt a folder that holds adapters already: what a disk keeps in clear is not undone so."""
    if keys is not None and not (folder / SEALED_KEY).exists() and any(folder.glob("memos-*")):
        raise ModelError(
            f"{folder} holds adapters in clear, and is to be encrypted. Name another folder, or erase this one: "
            "adapters that are parameter cubes are taken from their vault again."
        )
