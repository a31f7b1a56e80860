"""MemLoader: believes nothing of a bundle before all of it was checked, then takes it in. Paper §5.5.3; MIP.md §8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import (
    SCHEMA,
    ActivationPayload,
    MemCube,
    ModelFingerprint,
    ParameterPayload,
    Tier,
    TrustLabel,
)
from memos_integrations.core.errors import (
    BundleError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import BundleReader, Limits
from memos_integrations.core.interchange.arrival import arrived_id
from memos_integrations.core.interchange.keys import SignatureCheck
from memos_integrations.core.interchange.manifest import (
    BLOBS,
    CUBES,
    MANIFEST,
    SIGNATURE,
    Capability,
    Manifest,
    read_manifest,
    read_signature,
)
from memos_integrations.core.interchange.records import outlined
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.interchange.taking import Loaded, Progress, Survey, Taking, receipt_key
from memos_integrations.core.interchange.tensors import check_tensors
from memos_integrations.core.operator.embedding import Embedding


class MemLoader:
    """Takes bundles in for a caller. `trusted` are the public keys that are believed, each with the issuer's name."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        *,
        trusted: Mapping[str, str],
        check: SignatureCheck,
        recipient: str,
        purposes: frozenset[str] | None,
        models: Sequence[ModelFingerprint],
        limits: Limits,
    ) -> None:
        self._governance, self._embedding = governance, embedding
        self._trusted, self._check, self._recipient = dict(trusted), check, recipient
        self._purposes, self._models, self._limits = purposes, tuple(models), limits

    def load(
        self,
        path: Path,
        caller: Caller,
        *,
        into: Sequence[str],
        most_trusted: TrustLabel,
        dry_run: bool,
        again: bool,
        progress: Progress | None,
    ) -> Loaded:
        """Check the bundle, then write all that is to be taken of it, or nothing. See `MemOS.load`."""
        with BundleReader(path, self._limits) as reader:
            manifest = self._believed(reader, caller)
            known = self._known(manifest, caller, again=again, dry_run=dry_run)
            survey = self._surveyed(reader, manifest, caller)
            taking = Taking(
                self._governance,
                self._embedding,
                reader,
                survey,
                manifest=manifest,
                caller=caller,
                into=tuple(into),
                most=most_trusted,
                progress=progress,
            )
            report = taking.go(write=not dry_run, receipt=known is None)
        return report.model_copy(update={"dry_run": dry_run, "again": known is not None})

    # --- before anything is believed

    def _believed(self, reader: BundleReader, caller: Caller) -> Manifest:
        content = reader.small(MANIFEST)
        signed = read_signature(reader.small(SIGNATURE))
        manifest = read_manifest(content)
        if signed.key != manifest.key:
            raise BundleError(Refusal.BAD_SIGNATURE, "The bundle is signed with another key than it names")
        if not self._check(signed.key, bytes.fromhex(signed.signature), manifest.signed):
            raise BundleError(Refusal.BAD_SIGNATURE, "The signature does not fit the manifest")
        if manifest.key not in self._trusted:
            raise BundleError(Refusal.UNKNOWN_KEY, f"Nobody here vouches for the key {manifest.key[:16]}…")
        manifest.check(recipient=self._recipient, purposes=self._purposes, now=caller.now)
        if manifest.cube_schema > SCHEMA:
            raise BundleError(
                Refusal.VERSION, f"Its memories are of schema {manifest.cube_schema}, newer than {SCHEMA}"
            )
        reader.verify(manifest.by_name())
        return manifest

    def _known(self, manifest: Manifest, caller: Caller, *, again: bool, dry_run: bool) -> str | None:
        known = self._governance.known(receipt_key(manifest), caller)
        if known is None or dry_run:
            return known
        if not again or self._governance.own(known, caller) is None:
            raise BundleError(Refusal.REPLAYED, "The bundle was loaded before; say again=True to add what is missing")
        return known

    def _surveyed(self, reader: BundleReader, manifest: Manifest, caller: Caller) -> Survey:
        """Look over every record: order, lineage, blobs, needs. Its other fields are checked before it is taken."""
        survey, needs = Survey(), {Capability.TEXT.value}
        for outlines in outlined(reader, manifest):
            last = outlines[-1]
            for source, version in last.sources:
                if survey.inside.version(source) != version:
                    raise BundleError(
                        Refusal.LINEAGE, f"Memory {last.id!r} is derived from what does not stand before it"
                    )
                survey.sources.add(source)
            survey.inside.add(last.id, last.version)
            survey.cubes, survey.versions = survey.cubes + 1, survey.versions + len(outlines)
            survey.here.update(arrived_id(manifest, caller, each) for outline in outlines for each in outline.targets)
            self._look_at(reader, manifest, [each.cube for each in outlines if each.cube is not None], survey, needs)
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
