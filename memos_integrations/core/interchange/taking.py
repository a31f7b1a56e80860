"""A bundle that was checked, on its way into the vault: what becomes of each memory, and all of it at once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import (
    BlobRef,
    Label,
    MemCube,
    State,
    TrustLabel,
    Value,
)
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    BundleError,
    CubeNotFoundError,
    InvalidMemoryError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import BundleReader
from memos_integrations.core.interchange.arrival import arrived, arrived_id, version_there
from memos_integrations.core.interchange.manifest import (
    BLOBS,
    CUBES,
    Manifest,
)
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.options import draft_memory
from memos_integrations.core.operator.write import finished
from memos_integrations.core.records import NewVersion

CHUNK = 1_000
"""So many memories are embedded and looked up at a time."""

AT_ONCE = 20_000
"""A bundle of so many versions becomes true in one transaction, all or nothing; a larger one in several.

If one of several fails, the memories that came are erased again; newer versions of those there before stay. If the
process dies between two, what came so far stays; loading the bundle again with `again=True` adds what is missing.
"""

SHOWN = 1_000
RECEIPT = "import_receipt"
Progress = Callable[[int, int], object]


class Arrival(Value):
    """What became, or would become, of one memory of a bundle: `new`, `newer`, `same`, `older`, or why not taken."""

    id: Label
    here: Label | None = None
    what: Label


class Loaded(Value):
    """What was taken in: counts by what became of a memory, and the first thousand of them.

    `dry_run`: nothing was written. `again`: the bundle had been loaded before, and only what was missing was added.
    """

    bundle: str
    issuer: str
    counts: dict[str, int] = Field(default_factory=dict)
    shown: tuple[Arrival, ...] = ()
    dry_run: bool = False
    again: bool = False


@dataclass(slots=True)
class Survey:
    """What a first pass over the checked bundle found: which ids are in it, and what others derive from."""

    inside: dict[int, int] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    refused: dict[int, Declined] = field(default_factory=dict)
    versions: int = 0
    cubes: int = 0

    def holds(self, cube_id: str) -> bool:
        """Whether a memory of this id is in the bundle."""
        return key_of(cube_id) in self.inside


class Taking:
    """One bundle on its way into the vault."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        reader: BundleReader,
        survey: Survey,
        *,
        manifest: Manifest,
        caller: Caller,
        into: tuple[str, ...],
        most: TrustLabel,
        progress: Progress | None,
    ) -> None:
        self._governance, self._embedding = governance, embedding
        self._reader, self._manifest, self._survey = reader, manifest, survey
        self._caller, self._into, self._most, self._progress = caller, into, most, progress
        self._counts: dict[str, int] = {}
        self._shown: list[Arrival] = []
        self._versions: dict[str, int] = {}
        self._sources: dict[str, MemCube] = {}
        self._written: list[str] = []
        self._done = 0

    def go(self, *, write: bool, receipt: bool) -> Loaded:
        """Take it in, in one transaction where it is small enough; else in several, undone when one fails."""
        waiting: list[NewVersion] = []
        whole = self._survey.versions <= AT_ONCE
        try:
            if receipt and write:
                waiting.append(self._receipt())
            for versions in self._new_versions(write=write):
                waiting += versions
                if not whole and len(waiting) >= CHUNK:
                    self._put(waiting)
                    waiting = []
            if write:
                self._put(waiting)
        except BaseException:
            self._undo()
            raise
        return Loaded(
            bundle=self._manifest.bundle,
            issuer=self._manifest.issuer,
            counts=self._counts,
            shown=tuple(self._shown),
        )

    def _put(self, versions: list[NewVersion]) -> None:
        if not versions:
            return
        try:
            self._governance.put_many(versions, operation="import").result()
        except (AlreadyRememberedError, VersionConflictError) as exc:
            raise BundleError(
                Refusal.REPLAYED, "The bundle, or one of its memories, was loaded at the same time"
            ) from exc
        self._written += [each.cube.id for each in versions if each.cube.version == 1]

    def _undo(self) -> None:
        for cube_id in reversed(self._written):
            try:
                self._governance.erase(cube_id, self._caller)
            except CubeNotFoundError:
                continue

    def _new_versions(self, *, write: bool) -> Iterator[list[NewVersion]]:
        page: list[list[MemCube]] = []
        for versions in cubes_in(self._reader, CUBES, self._manifest):
            page.append(versions)
            if len(page) == CHUNK:
                yield self._page(page, write=write)
                page = []
        yield self._page(page, write=write)

    def _page(self, page: Sequence[list[MemCube]], *, write: bool) -> list[NewVersion]:
        ids = [arrived_id(self._manifest, self._caller, versions[-1].id) for versions in page]
        there = {cube_id: cube for cube_id in ids if (cube := self._governance.own(cube_id, self._caller)) is not None}
        made: list[MemCube] = []
        for cube_id, versions in zip(ids, page, strict=True):
            made += self._of_one(versions, there.get(cube_id), cube_id)
        self._done += len(page)
        if self._progress is not None:
            self._progress(self._done, self._survey.cubes)
        return self._drafted(made) if write else []

    def _of_one(self, versions: list[MemCube], there: MemCube | None, cube_id: str) -> list[MemCube]:
        """The versions to write of one memory."""
        cube = versions[-1]
        declined = self._survey.refused.get(key_of(cube.id))
        if declined is None and any(ref.id not in self._versions for ref in cube.provenance.derived_from):
            declined = Declined.SOURCE_MISSING
        if declined is not None:
            return self._said(cube, None, declined.value)
        first = 1
        if there is not None:
            known = version_there(there)
            if known >= cube.version:
                self._note(cube, there.version, there)
                return self._said(cube, cube_id, "same" if known == cube.version else "older")
            versions = [each for each in versions if each.version > known]
            first = there.version + 1
        made = [
            arrived(
                each, self._manifest, self._caller, version=number, namespace=self._into, most=self._most,
                inside=self._survey.holds, versions=self._mapped(each),
            )
            for number, each in enumerate(versions, first)
        ]  # fmt: skip
        self._note(cube, made[-1].version, made[-1])
        self._said(cube, cube_id, "new" if there is None else "newer")
        return made

    def _mapped(self, cube: MemCube) -> dict[str, int]:
        return {ref.id: self._versions.get(ref.id, ref.version) for ref in cube.provenance.derived_from}

    def _note(self, cube: MemCube, version: int, here: MemCube) -> None:
        """Keep what a later memory derives from."""
        if cube.id in self._survey.sources:
            self._versions[cube.id] = version
            self._sources[here.id] = here

    def _said(self, cube: MemCube, here: str | None, what: str) -> list[MemCube]:
        self._counts[what] = self._counts.get(what, 0) + 1
        if len(self._shown) < SHOWN:
            self._shown.append(Arrival(id=cube.id, here=here, what=what))
        return []

    def _drafted(self, cubes: Sequence[MemCube]) -> list[NewVersion]:
        members = self._manifest.by_name()
        for blob in dict.fromkeys(blob for cube in cubes for blob in cube.blobs):
            self._store(blob, members[BLOBS + blob.digest].name)
        drafts = [admitted(finished(cube), self._caller, self._governance) for cube in cubes]
        texts = [draft.text for draft in drafts if draft.cube.text.strip()]
        rows = self._embedding.written(texts) if texts else None
        found = iter(()) if rows is None else iter(rows)
        beside = {cube.id for cube in cubes}
        return [
            NewVersion(
                draft.cube,
                self._caller,
                draft.terms if draft.cube.text else (),
                next(found, None) if draft.cube.text.strip() else None,
                beside=beside,
                sources=self._sources,
                verdict=draft.verdict,
            )
            for draft in drafts
        ]

    def _store(self, blob: BlobRef, name: str) -> None:
        with self._reader.blob(self._manifest.by_name()[name]) as source:
            stored = self._governance.put_blob(source, blob.media_type)
        if stored.digest != blob.digest:
            raise BundleError(Refusal.DIGEST_DIFFERS, f"{name} changed while it was read")

    def _receipt(self) -> NewVersion:
        manifest = self._manifest
        told = f"Imported {self._survey.cubes} memories from {manifest.issuer} for {manifest.purpose}."
        value = {"bundle": manifest.bundle, "key": manifest.key, "issuer": manifest.issuer}
        draft = draft_memory(told, self._caller, {"semantic_type": RECEIPT, "value": value})
        cube = draft.cube.model_copy(update={"state": State.ARCHIVED})
        return NewVersion(cube, self._caller, draft.terms, None, receipt_key(manifest))


def cubes_in(reader: BundleReader, name: str, manifest: Manifest) -> Iterator[list[MemCube]]:
    """The memories of a bundle, each with the versions that are in it, the present one last.

    Raises:
        BundleError: A record is no memory, or the versions of one are not next to each other, from the first on.
    """
    versions: list[MemCube] = []
    for line in reader.lines(manifest.by_name()[name]):
        try:
            cube = MemCube.from_json(line)
        except InvalidMemoryError as exc:
            raise BundleError(Refusal.RECORD, f"A record of {name} is no memory: {exc}") from exc
        if versions and cube.id == versions[-1].id:
            if cube.version != versions[-1].version + 1 or versions[0].version != 1:
                raise BundleError(Refusal.RECORD, f"The versions of memory {cube.id!r} are not in order")
            versions.append(cube)
            continue
        if versions:
            yield versions
        versions = [cube]
    if versions:
        yield versions


def receipt_key(manifest: Manifest) -> str:
    """The key of what stands for a bundle that was loaded: one in each tenant."""
    return f"mip1 {manifest.key} {manifest.bundle}"


_SALT = secrets.token_bytes(16)


def key_of(cube_id: str) -> int:
    """A number that stands for an id: a million of them fit where a million ids would not. Nobody can aim at one."""
    return int.from_bytes(hashlib.blake2b(cube_id.encode(), digest_size=8, key=_SALT).digest())
