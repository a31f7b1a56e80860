"""Believing nothing of a bundle before it was checked: from whom, for whom, every digest, every record. MIP.md §3-5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import SCHEMA, ActivationPayload, MemCube, ModelFingerprint, ParameterPayload, Tier
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.archive import BundleReader, Limits
from memos_integrations.core.interchange.keys import Opener, SignatureCheck
from memos_integrations.core.interchange.manifest import (
    BLOBS,
    CUBES,
    DELETIONS,
    MANIFEST,
    SAID,
    SIGNATURE,
    SKEW,
    Capability,
    Manifest,
    read_manifest,
    read_signature,
    signed,
)
from memos_integrations.core.interchange.records import check_lists, outlined
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.interchange.taking import Survey
from memos_integrations.core.interchange.tensors import check_tensors


class Checking:
    """What a reader knows before it opens a bundle: whom it trusts, who it is, what it may use, what it understands."""

    def __init__(
        self,
        *,
        trusted: Mapping[str, str],
        check: SignatureCheck,
        recipient: str,
        purposes: frozenset[str] | None,
        models: Sequence[ModelFingerprint],
        limits: Limits,
        opener: Opener | None,
        skew: timedelta = SKEW,
    ) -> None:
        self._trusted = {key.lower(): name for key, name in trusted.items()}
        self._check, self._recipient = check, recipient
        self._purposes, self._models, self._limits = purposes, tuple(models), limits
        self._opener, self._skew = opener, skew

    def opened(self, path: Path) -> BundleReader:
        """The bundle in a file, whose form was checked; unsealed where it is sealed.

        Raises:
            BundleError: It is none.
        """
        return BundleReader(path, self._limits, self._opener)

    def signed(self, reader: BundleReader) -> Manifest:
        """The manifest, by somebody who is trusted.

        Raises:
            BundleError: It is none, or the signature does not fit, or is nobody's who is known here.
        """
        content = reader.small(MANIFEST)
        said = read_signature(reader.small(SIGNATURE))
        manifest = read_manifest(content)
        if said.key != manifest.key:
            raise BundleError(Refusal.BAD_SIGNATURE, "The bundle is signed with another key than it names")
        if not self._check(said.key, bytes.fromhex(said.signature), signed(content)):
            raise BundleError(Refusal.BAD_SIGNATURE, "The signature does not fit the manifest")
        if manifest.key not in self._trusted:
            raise BundleError(Refusal.UNKNOWN_KEY, f"Nobody here vouches for the key {manifest.key[:16]}…")
        return manifest

    def believed(self, reader: BundleReader, caller: Caller) -> Manifest:
        """The manifest, for this reader, here and now, and true of every member.

        Raises:
            BundleError: Something does not fit.
        """
        manifest = self.signed(reader)
        manifest.check(recipient=self._recipient, purposes=self._purposes, now=caller.now, skew=self._skew)
        if manifest.cube_schema > SCHEMA:
            raise BundleError(
                Refusal.VERSION, f"Its memories are of schema {manifest.cube_schema}, newer than {SCHEMA}"
            )
        reader.verify(manifest.by_name())
        return manifest

    def is_ahead(self, manifest: Manifest, caller: Caller) -> bool:
        """Whether it is dated later than a reader with the clock of *caller* would take it."""
        return manifest.created_at > caller.now + self._skew

    def check_erasures(self, manifest: Manifest) -> None:
        """Refuse a bundle that erases more than can be in one commit; of a series, each erasure is one of its own.

        Raises:
            BundleError: It does.
        """
        erased = manifest.by_name().get(DELETIONS)
        if erased is not None and erased.records > self._limits.erasures:
            raise BundleError(Refusal.TOO_LARGE, f"It erases more than {self._limits.erasures:,} memories at once")

    def surveyed(self, reader: BundleReader, manifest: Manifest, moved: Callable[[str], str]) -> Survey:
        """Look over every record: order, lineage, blobs, needs. Its other fields are checked before it is taken."""
        survey, needs = Survey(), {Capability.TEXT.value}
        needs |= {name.partition(".")[0] for name in manifest.by_name().keys() & set(SAID)}
        for outlines in outlined(reader, manifest):
            last = outlines[-1]
            named = {each for outline in outlines for each, _ in outline.sources}
            known = {each: survey.inside.version(each) for each in named}
            if None in known.values() or any(known[source] != version for source, version in last.sources):
                raise BundleError(Refusal.LINEAGE, f"Memory {last.id!r} is derived from what does not stand before it")
            survey.sources |= named
            survey.inside.add(last.id, last.version)
            survey.items += last.is_item
            needs |= {Capability.HISTORY.value} if len(outlines) > 1 else set()
            survey.cubes, survey.versions = survey.cubes + 1, survey.versions + len(outlines)
            for target in {each for outline in outlines for each in outline.targets}:
                survey.here.add(moved(target), 1)
            self._look_at(reader, manifest, [each.cube for each in outlines if each.cube is not None], survey, needs)
        check_lists(reader, manifest)
        if survey.inside.settle():
            raise BundleError(Refusal.RECORD, f"A memory stands twice in {CUBES}")
        if unsaid := sorted(needs - set(manifest.requires)):
            raise BundleError(Refusal.CAPABILITY, f"The bundle holds {', '.join(unsaid)}, and does not say so")
        return survey

    def _look_at(
        self, reader: BundleReader, manifest: Manifest, cubes: Sequence[MemCube], survey: Survey, needs: set[str]
    ) -> None:
        """What is more than text."""
        self._check_blobs(reader, manifest, cubes)
        for cube in cubes:
            survey.blobs.update((blob.digest, blob) for blob in cube.blobs)
            needs |= {cube.tier.value, Capability.BLOBS.value} - {Tier.PLAINTEXT.value}
            if cube.tier is not Tier.PLAINTEXT and not self._fits(cube):
                survey.refused[cube.id] = Declined.FINGERPRINT

    def _check_blobs(self, reader: BundleReader, manifest: Manifest, versions: Sequence[MemCube]) -> None:
        members = manifest.by_name()
        for cube in versions:
            for blob in cube.blobs:
                member = members.get(BLOBS + blob.digest)
                if member is None or member.size != blob.size:
                    raise BundleError(Refusal.MEMBERS_DIFFER, f"A blob of memory {cube.id!r} is not in the bundle")
                if cube.tier is not Tier.PLAINTEXT:
                    with reader.blob(member) as source:
                        check_tensors(source, blob.size, f"blob {blob.digest[:16]}…")

    def _fits(self, cube: MemCube) -> bool:
        match cube.payload:
            case ActivationPayload(fingerprint=fingerprint):
                return fingerprint in self._models
            case ParameterPayload(base=base):
                return base in self._models
            case _:
                return True
