"""A bundle that was checked, on its way into the vault: what becomes of each memory, and all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

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
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import BundleReader
from memos_integrations.core.interchange.arrival import arrived, arrived_id, version_there
from memos_integrations.core.interchange.ids import Met
from memos_integrations.core.interchange.manifest import (
    BLOBS,
    Manifest,
)
from memos_integrations.core.interchange.records import cubes_in
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.options import draft_memory
from memos_integrations.core.operator.write import finished, search_text
from memos_integrations.core.records import NewVersion

CHUNK = 500
"""So many memories are embedded and looked up at a time."""

AT_ONCE = 2_000
"""A bundle of so many versions is embedded, then written. A larger one is written page by page, in one commit all the
same, so that little of it is in memory, and embedded afterwards (what a crash leaves out, `embed_missing` makes)."""

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
    """What a first pass over the checked bundle found: which ids are in it, and what others derive from.

    `here` are the ids that targets of its links have in the vault.
    """

    inside: Met = field(default_factory=Met)
    here: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    refused: dict[str, Declined] = field(default_factory=dict)
    versions: int = 0
    cubes: int = 0
    blobs: dict[str, BlobRef] = field(default_factory=dict)

    def holds(self, cube_id: str) -> bool:
        """Whether a memory of this id is in the bundle."""
        return cube_id in self.inside


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
        self._done = 0

    def go(self, *, write: bool, receipt: bool) -> Loaded:
        """Take it in: one commit, all or nothing."""
        whole = self._survey.versions <= AT_ONCE
        first = [self._receipt()] if receipt and write else []
        try:
            if not write:
                for _ in self._new_versions(write=False):
                    pass
            elif whole:
                waiting = [*first, *(version for page in self._new_versions(write=True) for version in page)]
                if waiting:
                    self._governance.put_many(waiting, operation="import").result()
            else:
                self._prepare()
                pages = chain([first], self._new_versions(write=True, embedded=False))
                self._governance.put_whole(pages, operation="import")
                self._embed()
        except (AlreadyRememberedError, VersionConflictError) as exc:
            raise BundleError(
                Refusal.REPLAYED, "The bundle, or one of its memories, was loaded at the same time"
            ) from exc
        return Loaded(
            bundle=self._manifest.bundle,
            issuer=self._manifest.issuer,
            counts=self._counts,
            shown=tuple(self._shown),
        )

    def _embed(self) -> None:
        """Vectors for what was written without; an embedder is asked in batches."""
        while cubes := self._governance.unembedded(CHUNK):
            vectors = self._embedding.written([search_text(cube) for cube in cubes])
            if vectors is None:
                return
            self._governance.put_vectors(cubes, vectors)

    def _prepare(self) -> None:
        """What has to be written, or may be refused and then recorded, before the one commit begins."""
        for blob in self._survey.blobs.values():
            self._store(blob)
        if self._governance.gate is not None:
            for versions in cubes_in(self._reader, self._manifest):
                for cube in versions:
                    admitted(finished(self._arrived(cube, 1)), self._caller, self._governance)

    def _new_versions(self, *, write: bool, embedded: bool = True) -> Iterator[list[NewVersion]]:
        page: list[list[MemCube]] = []
        for versions in cubes_in(self._reader, self._manifest):
            page.append(versions)
            if len(page) == CHUNK:
                yield self._page(page, write=write, embedded=embedded)
                page = []
        yield self._page(page, write=write, embedded=embedded)

    def _page(self, page: Sequence[list[MemCube]], *, write: bool, embedded: bool) -> list[NewVersion]:
        ids = [arrived_id(self._manifest, self._caller, versions[-1].id) for versions in page]
        there = self._governance.own_of(ids, self._caller)
        made: list[MemCube] = []
        for cube_id, versions in zip(ids, page, strict=True):
            made += self._of_one(versions, there.get(cube_id), cube_id)
        self._done += len(page)
        if self._progress is not None:
            self._progress(self._done, self._survey.cubes)
        return self._drafted(made, embedded=embedded) if write else []

    def _of_one(self, versions: list[MemCube], there: MemCube | None, cube_id: str) -> list[MemCube]:
        """The versions to write of one memory."""
        cube = versions[-1]
        declined = self._survey.refused.get(cube.id)
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
        made = [self._arrived(each, number) for number, each in enumerate(versions, first)]
        self._note(cube, made[-1].version, made[-1])
        self._said(cube, cube_id, "new" if there is None else "newer")
        return made

    def _arrived(self, cube: MemCube, version: int) -> MemCube:
        sources = {ref.id: self._versions.get(ref.id, ref.version) for ref in cube.provenance.derived_from}
        return arrived(
            cube, self._manifest, self._caller, version=version, namespace=self._into, most=self._most,
            inside=self._survey.holds, versions=sources,
        )  # fmt: skip

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

    def _drafted(self, cubes: Sequence[MemCube], *, embedded: bool) -> list[NewVersion]:
        if embedded:
            for blob in dict.fromkeys(blob for cube in cubes for blob in cube.blobs):
                self._store(blob)
        drafts = [admitted(finished(cube), self._caller, self._governance) for cube in cubes]
        texts = [draft.text for draft in drafts if draft.cube.text.strip()]
        rows = self._embedding.written(texts) if texts and embedded else None
        found = iter(()) if rows is None else iter(rows)
        return [
            NewVersion(
                draft.cube,
                self._caller,
                draft.terms if draft.cube.text else (),
                next(found, None) if draft.cube.text.strip() else None,
                beside=self._survey.here,
                sources=self._sources,
                verdict=draft.verdict,
            )
            for draft in drafts
        ]

    def _store(self, blob: BlobRef) -> None:
        name = BLOBS + blob.digest
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


def receipt_key(manifest: Manifest) -> str:
    """The key of what stands for a bundle that was loaded: one in each tenant."""
    return f"mip1 {manifest.key} {manifest.bundle}"
