"""Memories of somebody else that become one's own: new ids, private, no more trusted than one says. MIP.md §8."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from memos_integrations.core.books import ITEM, is_of_the_books
from memos_integrations.core.cube import MemCube, TrustLabel
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
)
from memos_integrations.core.gatekeeping import gone_elsewhere
from memos_integrations.core.interchange.arrival import Arrivals, arrived_id, version_there
from memos_integrations.core.interchange.manifest import DELETIONS, Manifest
from memos_integrations.core.interchange.records import DeletionRecord
from memos_integrations.core.interchange.refusal import Declined
from memos_integrations.core.interchange.taking import CHUNK, Arriving, Bundle, Place, Taking
from memos_integrations.core.item import Address, content_of, vault_key
from memos_integrations.core.ports import AuditRecord, Transaction
from memos_integrations.core.records import joined


class Adopting(Taking):
    """Takes memories in below the namespace *into*; items of a store keep their address within it."""

    keeps_lists = True

    def __init__(
        self, place: Place, bundle: Bundle, *, into: tuple[str, ...], most: TrustLabel, again: bool = False
    ) -> None:
        super().__init__(place, bundle)
        self._into, self._again = into, again
        self._arrivals = Arrivals(bundle.manifest, place.caller, most=most, inside=bundle.survey.holds)
        self._addresses: dict[str, str] = {}
        self._named: set[str] = set()
        self._going: set[str] = set()

    def erase(self, *, write: bool) -> None:
        """Find what the issuer erased of what arrived from its key; it goes in the commit that brings the rest.

        Done again it changes nothing. Nothing else has such ids.
        """
        named = {arrived_id(self._bundle.manifest, self._caller, said.id): said.id for said in self._erasures()}
        ids, elsewhere = list(named), list[AuditRecord]()
        for start in range(0, len(ids), CHUNK):
            page = ids[start : start + CHUNK]
            held = self._governance.held(page, self._caller)
            known = self._governance.forgotten_of([each for each in page if each not in held], self._caller)
            for here in page:
                if here in held:
                    self._doom(held[here], named[here], write=write)
                elif here not in known:
                    elsewhere.append(gone_elsewhere(here, self._caller))  # what is older may come later
        self._named.update(ids)
        if write and (self._doomed or elsewhere):
            erasing = self._governance.erasing(self._doomed, self._caller)
            self._first = joined(erasing, Transaction((), tuple(elsewhere)))

    def _erasures(self) -> Iterator[DeletionRecord]:
        return self._list(DELETIONS, DeletionRecord)

    def _doom(self, cube: MemCube, there: str, *, write: bool) -> None:
        """Let a memory go with all that was derived from it, where nothing holds it."""
        what = Declined.ON_HOLD.value if cube.governance.legal_hold else "erased"
        try:
            if write:
                closure = self._governance.closure(cube.id, self._caller)
                self._doomed += [each for each in closure if each.id not in self._going]
                self._going.update(each.id for each in closure)
            elif what == "erased":
                self._going.add(cube.id)
        except (LegalHoldError, IllegalTransitionError):
            what = Declined.ON_HOLD.value
        except (CubeNotFoundError, AccessDeniedError):
            return  # it is somebody else's by now
        self._tell(there, cube.id, what)

    def _beside(self) -> Container[str]:
        return self._survey.here

    def _alike(self, cube: MemCube) -> MemCube:
        return self._arrived(cube, 1)

    def _settled(self, page: Sequence[list[MemCube]]) -> list[Arriving]:
        ids = [arrived_id(self._bundle.manifest, self._caller, versions[-1].id) for versions in page]
        held = self._governance.held(ids, self._caller)
        there = {each: cube for each, cube in held.items() if cube.governance.owner == self._caller.by.subject}
        gone = set() if self._again else self._governance.forgotten_of(sorted({*ids} - held.keys()), self._caller)
        made: list[Arriving] = []
        for cube_id, versions in zip(ids, page, strict=True):
            if cube_id in gone or cube_id in self._named or cube_id in self._going:
                self._tell(versions[-1].id, None, Declined.FORGOTTEN.value)
                continue
            made += self._of_one(versions, there.get(cube_id), cube_id)
        return made

    def _of_one(self, versions: list[MemCube], there: MemCube | None, cube_id: str) -> list[Arriving]:
        """The versions to write of one memory."""
        cube = versions[-1]
        declined, is_item = self._declined(cube), cube.descriptive.semantic_type == ITEM
        if declined is None and is_item and is_of_the_books(self._arrived(cube, 1)):
            declined = Declined.RESERVED
        if declined is not None:
            return self._said(cube, None, declined.value)
        key, first = None, 1
        versions = self._with_sources(versions)
        if there is not None:
            known = version_there(there)
            if known == 0 and there.version > 1:  # what was written over it here does not say where it came from
                known = max(map(version_there, self._governance.versions(there.id, self._caller)), default=0)
            if known >= cube.version:
                self._note(cube, there)
                return self._said(cube, cube_id, "same" if known == cube.version else "older")
            versions = [each for each in versions if each.version > known]
            first = there.version + 1
        made = [self._arrived(each, number) for number, each in enumerate(versions, first)]
        if there is not None and not self._governance.aftermath.may_change(there, made[-1], self._caller):
            return self._said(cube, cube_id, Declined.ON_HOLD.value)
        if there is None and is_item:
            key = address_key(made[-1], self._caller.by.subject)
            if key is not None and self._is_taken(key, cube_id):
                return self._said(cube, None, Declined.ADDRESS_TAKEN.value)
        self._note(cube, made[-1])
        self._said(cube, cube_id, *(("new",) if there is None else ("newer", (there, made[-1]))))
        if there is not None:
            self._changed.append(made[-1].ref)
        return [Arriving(each, key if each.version == 1 else None) for each in made]

    def _is_taken(self, key: str, cube_id: str) -> bool:
        """Whether another item stands at an address, or will; one that goes in the same commit leaves it."""
        there = self._governance.known(key, self._caller)
        stands = there is not None and there not in self._going
        return stands or self._addresses.setdefault(key, cube_id) != cube_id

    def _arrived(self, cube: MemCube, version: int) -> MemCube:
        into = self._into
        if not into:
            tenant = self._caller.by.tenant
            into = (tenant,) if cube.descriptive.semantic_type == ITEM else (tenant, self._caller.by.user)
        sources = {ref.id: self._versions.get(ref.id, ref.version) for ref in cube.provenance.derived_from}
        return self._arrivals.arrived(cube, version=version, namespace=into, versions=sources)


def address_key(cube: MemCube, subject: str) -> str | None:
    """The vault's key of the address at which an item of *subject* stands; None: the memory is no item."""
    key = content_of(cube).get("key")
    return vault_key(Address(cube.namespace[1:], key), subject) if isinstance(key, str) else None


def receipt_key(manifest: Manifest) -> str:
    """The key of what stands for a bundle that was loaded: one in each tenant."""
    return f"mip1 {manifest.key} {manifest.bundle}"
