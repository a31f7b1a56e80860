"""A bundle that was checked, on its way into the vault: page by page, all of it in one commit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import BlobRef, CubeRef, Label, MemCube, State, Value
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    BundleError,
    CubeNotFoundError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.governance import ALONE, MemGovernance
from memos_integrations.core.interchange.archive import BundleReader
from memos_integrations.core.interchange.arrival import differing
from memos_integrations.core.interchange.ids import Met
from memos_integrations.core.interchange.manifest import ACCESS_LOG, BLOBS, REDACTIONS, Manifest, Member
from memos_integrations.core.interchange.records import cubes_in
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.options import draft_memory
from memos_integrations.core.operator.write import finished, search_text
from memos_integrations.core.ports import AuditRecord, Transaction
from memos_integrations.core.records import NewVersion
from memos_integrations.core.unswept import Unswept

CHUNK = 200
"""So many memories are embedded and looked up at a time."""

AT_ONCE = 500
"""A bundle of so many versions is embedded, then written. A larger one is written page by page, in one commit all the
same, so that little of it is in memory, and embedded afterwards (what a crash leaves out, `embed_missing` makes)."""

SHOWN = 1_000
OVERTAKEN = (AlreadyRememberedError, CubeNotFoundError, StillDerivedError, VersionConflictError)
"""What a commit is refused with when somebody else changed the same memories meanwhile."""

RECEIPT = "import_receipt"
LINES = "application/jsonl"
Progress = Callable[[int, int], object]
Forget = Callable[[str, Caller], object]
"""Erases a memory whole, with what was derived from it."""

_Record = TypeVar("_Record", bound=Value)


class Arrival(Value):
    """What became, or would become, of one memory of a bundle: `new`, `newer`, `same`, `older`, or why not taken.

    `changed` names what is another than in the version that stands here: `payload.text`, `descriptive.tags` …
    """

    id: Label
    here: Label | None = None
    what: Label
    changed: tuple[Label, ...] = ()


class Loaded(Value):
    """What was taken in: counts by what became of a memory, and the first thousand of them.

    `lists`: which memories hold `access_log.jsonl` and `redactions.jsonl` as they came, for `read_blob`; their ids are
    those of the issuer's vault, as in `shown`. `dry_run`: nothing was written. `again`: the bundle had been loaded
    before, and only what was missing was added.
    """

    bundle: str
    issuer: str
    counts: dict[str, int] = Field(default_factory=dict)
    shown: tuple[Arrival, ...] = ()
    lists: dict[str, str] = Field(default_factory=dict)
    dry_run: bool = False
    again: bool = False


@dataclass(slots=True)
class Survey:
    """What a first pass over the checked bundle found: which ids are in it, and what others derive from.

    `here` are the ids that targets of its links have in the vault.
    """

    inside: Met = field(default_factory=Met)
    here: Met = field(default_factory=Met)
    sources: set[str] = field(default_factory=set)
    refused: dict[str, Declined] = field(default_factory=dict)
    versions: int = 0
    cubes: int = 0
    items: int = 0
    blobs: dict[str, BlobRef] = field(default_factory=dict)

    def holds(self, cube_id: str) -> bool:
        """Whether a memory of this id is in the bundle."""
        return cube_id in self.inside


class Place(NamedTuple):
    """Where memories arrive: in whose vault, with which parts of it. `dropped` is told what changed."""

    governance: MemGovernance
    embedding: Embedding
    caller: Caller
    dropped: Callable[[Collection[str], Collection[CubeRef]], None]
    progress: Progress | None = None


class Bundle(NamedTuple):
    """A bundle that was checked."""

    reader: BundleReader
    manifest: Manifest
    survey: Survey


class Arriving(NamedTuple):
    """A version that is to be written, and the key of a new one that stands at an address; `records` go with it."""

    cube: MemCube
    key: str | None = None
    records: tuple[AuditRecord, ...] = ()


class Taking(ABC):
    """One bundle on its way into the vault; who inherits says what becomes of each memory."""

    operation = "import"
    keeps_lists = False

    def __init__(self, place: Place, bundle: Bundle) -> None:
        self._place, self._bundle = place, bundle
        self._governance, self._caller = place.governance, place.caller
        self._survey = bundle.survey
        self._counts: dict[str, int] = {}
        self._shown: list[Arrival] = []
        self._versions: dict[str, int] = {}
        self._sources: dict[str, MemCube] = {}
        self._changed: list[CubeRef] = []
        self._done = 0
        self._sweeping: Unswept | None = None
        self._first: Transaction = ALONE
        self._doomed: list[MemCube] = []

    @abstractmethod
    def _settled(self, page: Sequence[list[MemCube]]) -> list[Arriving]:
        """What is to be written of a page of memories, each with its versions; says what becomes of each."""

    @abstractmethod
    def _beside(self) -> Container[str]:
        """The ids that a version may say to supersede without being asked."""

    @abstractmethod
    def _alike(self, cube: MemCube) -> MemCube:
        """A version as the gate will see it."""

    def go(self, *, write: bool, receipt: NewVersion | None) -> Loaded:
        """Take it in: one commit, all or nothing."""
        lists: dict[str, NewVersion] = {}
        try:
            if not write:
                for _ in self._new_versions(write=False):
                    pass
            elif self._survey.versions <= AT_ONCE:
                waiting = [version for page in self._new_versions(write=True) for version in page]
                lists = self._lists(receipt)
                for blob in dict.fromkeys(blob for each in waiting for blob in each.cube.blobs):
                    self._store(blob)
                waiting = [*_first(receipt, lists), *waiting]
                if waiting or self._first is not ALONE:
                    self._governance.put_many(waiting, operation=self.operation, first=self._first).result()
            else:
                with Unswept() as self._sweeping:
                    lists = self._prepared(receipt)
                    pages = chain([_first(receipt, lists)], self._new_versions(write=True, embedded=False))
                    self._governance.put_whole(pages, operation=self.operation, first=self._first)
                self._embed()
        except OVERTAKEN as exc:
            told = "It was loaded, or what it changes was changed, at the same time; load it again"
            raise BundleError(Refusal.REPLAYED, told) from exc
        if write:
            self._clear()
        manifest = self._bundle.manifest
        return Loaded(
            bundle=manifest.bundle,
            issuer=manifest.issuer,
            counts=self._counts,
            shown=tuple(self._shown),
            lists={name: version.cube.id for name, version in lists.items()},
        )

    def _clear(self) -> None:
        """Let go of what was made of memories that are no more, or say something else now."""
        ids = [each.id for each in self._doomed] + [each.id for each in self._changed]
        if ids:
            self._place.dropped(ids, self._changed)
        self._place.embedding.drop([search_text(cube) for cube in self._doomed])
        if self._doomed and self._governance.gate is not None:
            self._governance.gate.forget()

    def _lists(self, receipt: NewVersion | None) -> dict[str, NewVersion]:
        """What a bundle says about its memories, each list as it came, beside the receipt."""
        members = self._bundle.manifest.by_name()
        found: dict[str, NewVersion] = {}
        for name in (ACCESS_LOG, REDACTIONS) if self.keeps_lists else ():
            if name in members and receipt is not None:
                told = f"{name} of the bundle {self._bundle.manifest.bundle}, as it came."
                blob = self._put(members[name], LINES)
                found[name] = receipt_of(
                    self._bundle.manifest, self._caller, f"{receipt.key} {name}", told, {"list": name}, blob=blob
                )
        return found

    def _embed(self) -> None:
        """Vectors for what was written without; an embedder is asked in batches."""
        while self._place.embedding.is_there and (cubes := self._governance.unembedded(CHUNK)):
            vectors = self._place.embedding.written([search_text(cube) for cube in cubes])
            if vectors is None:
                return
            self._governance.put_vectors(cubes, vectors)

    def _prepared(self, receipt: NewVersion | None) -> dict[str, NewVersion]:
        """The lists. What is stored before the one commit begins is stored when all of the bundle is known to be taken.

        What the gate refuses is on record before, too.
        """
        gate, members = self._governance.gate, self._bundle.manifest.by_name()
        if gate is not None or self._survey.blobs or not members.keys().isdisjoint((ACCESS_LOG, REDACTIONS)):
            for versions in cubes_in(self._bundle.reader, self._bundle.manifest):
                for cube in versions if gate is not None else ():
                    admitted(finished(self._alike(cube)), self._caller, self._governance)
        for blob in self._survey.blobs.values():
            self._store(blob)
        return self._lists(receipt)

    def _new_versions(self, *, write: bool, embedded: bool = True) -> Iterator[list[NewVersion]]:
        page: list[list[MemCube]] = []
        for versions in cubes_in(self._bundle.reader, self._bundle.manifest):
            page.append(versions)
            if len(page) == CHUNK:
                yield self._page(page, write=write, embedded=embedded)
                page = []
        yield self._page(page, write=write, embedded=embedded)

    def _page(self, page: Sequence[list[MemCube]], *, write: bool, embedded: bool) -> list[NewVersion]:
        made = self._settled(page)
        self._done += len(page)
        if self._sweeping is not None:
            self._sweeping.made(len(page))
        if self._place.progress is not None:
            self._place.progress(self._done, self._survey.cubes)
        return self._drafted(made, embedded=embedded) if write else []

    def _drafted(self, arriving: Sequence[Arriving], *, embedded: bool) -> list[NewVersion]:
        drafts = [admitted(finished(each.cube), self._caller, self._governance) for each in arriving]
        texts = [draft.text for draft in drafts if draft.cube.text.strip()]
        rows = self._place.embedding.written(texts) if texts and embedded else None
        found = iter(()) if rows is None else iter(rows)
        beside = self._beside()
        return [
            NewVersion(
                draft.cube,
                self._caller,
                draft.terms if draft.cube.text else (),
                next(found, None) if draft.cube.text.strip() else None,
                each.key,
                beside=beside,
                sources=self._sources,
                verdict=draft.verdict,
                records=each.records,
            )
            for draft, each in zip(drafts, arriving, strict=True)
        ]

    def _declined(self, cube: MemCube) -> Declined | None:
        """Why nothing becomes of a memory here, whatever stands here."""
        declined = self._survey.refused.get(cube.id)
        if declined is None and (is_of_the_books(cube) or cube.descriptive.semantic_type == RECEIPT):
            declined = Declined.RESERVED  # what another vault notes for itself says nothing here
        if declined is None and any(ref.id not in self._versions for ref in cube.provenance.derived_from):
            declined = Declined.SOURCE_MISSING
        return declined

    def _with_sources(self, versions: list[MemCube]) -> list[MemCube]:
        """The versions of a memory; the present one alone, where an earlier one is derived from what is not taken."""
        named = (ref.id for each in versions[:-1] for ref in each.provenance.derived_from)
        return versions if all(each in self._versions for each in named) else versions[-1:]

    def _note(self, cube: MemCube, here: MemCube) -> None:
        """Keep what a later memory of the bundle derives from: *here* says what *cube* says."""
        if cube.id in self._survey.sources:
            self._versions[cube.id] = here.version
            self._sources[here.id] = here

    def _said(
        self, cube: MemCube, here: str | None, what: str, pair: tuple[MemCube, MemCube] | None = None
    ) -> list[Arriving]:
        """Count what becomes of a memory; *pair* is how it stands here and how it would."""
        self._tell(cube.id, here, what, pair)
        return []

    def _tell(self, cube_id: str, here: str | None, what: str, pair: tuple[MemCube, MemCube] | None = None) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1
        if len(self._shown) < SHOWN:
            changed = () if pair is None else differing(*pair)
            self._shown.append(Arrival(id=cube_id, here=here, what=what, changed=changed))

    def _list(self, name: str, kind: type[_Record]) -> Iterator[_Record]:
        """The records of a list, which were checked with the rest of the bundle."""
        member = self._bundle.manifest.by_name().get(name)
        for line in () if member is None else self._bundle.reader.lines(member):
            yield kind.model_validate_json(line)

    def _store(self, blob: BlobRef) -> None:
        self._put(self._bundle.manifest.by_name()[BLOBS + blob.digest], blob.media_type)

    def _put(self, member: Member, media_type: str) -> BlobRef:
        with self._bundle.reader.blob(member) as source:
            stored = self._governance.put_blob(source, media_type)
        if stored.digest != member.sha256:
            raise BundleError(Refusal.DIGEST_DIFFERS, f"{member.name} changed while it was read")
        return stored


def _first(receipt: NewVersion | None, lists: dict[str, NewVersion]) -> list[NewVersion]:
    return [] if receipt is None else [receipt, *lists.values()]


def receipt_of(
    manifest: Manifest, caller: Caller, key: str, told: str, value: dict[str, Any], *, blob: BlobRef | None = None
) -> NewVersion:
    """What stands in the vault for a bundle that was taken in: a memory out of recall, written once under *key*."""
    said = {"bundle": manifest.bundle, "key": manifest.key, "issuer": manifest.issuer} | value
    draft = draft_memory(told, caller, {"semantic_type": RECEIPT, "value": said})
    cube = draft.cube.model_copy(
        update={"state": State.ARCHIVED, "payload": draft.cube.payload.model_copy(update={"blob": blob})}
    )
    return NewVersion(cube, caller, draft.terms, None, key)
