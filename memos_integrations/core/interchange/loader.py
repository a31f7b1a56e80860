"""MemLoader: believes nothing of a bundle before all of it was checked, then takes it in. Paper §5.5.3; MIP.md §8."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from memos_integrations.core.access import Verb
from memos_integrations.core.cube import TrustLabel
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.adopting import Adopting, receipt_key
from memos_integrations.core.interchange.arrival import arrived_id
from memos_integrations.core.interchange.checking import Checking
from memos_integrations.core.interchange.manifest import Manifest
from memos_integrations.core.interchange.refusal import Refusal
from memos_integrations.core.interchange.taking import Bundle, Loaded, Place, receipt_of


class MemLoader:
    """Takes bundles in that *checking* lets through."""

    def __init__(self, checking: Checking) -> None:
        self._checking = checking

    def load(
        self, path: Path, place: Place, *, into: tuple[str, ...], most_trusted: TrustLabel, dry_run: bool, again: bool
    ) -> Loaded:
        """Check the bundle, then write all that is to be taken of it, or nothing. See `MemOS.load`."""
        caller = place.caller
        with self._checking.opened(path) as reader:
            manifest = self._checking.believed(reader, caller)
            if manifest.covers is not None:
                raise BundleError(Refusal.CAPABILITY, "The bundle is one of a series between vaults; pass it to `sync`")
            self._checking.check_erasures(manifest)
            known = _known(manifest, place, again=again, dry_run=dry_run)
            survey = self._checking.surveyed(reader, manifest, partial(arrived_id, manifest, caller))
            told = f"Imported {survey.cubes} memories from {manifest.issuer} for {manifest.purpose}."
            receipt = None
            if known is None and not dry_run:
                receipt = receipt_of(manifest, caller, receipt_key(manifest), told, {})
            taking = Adopting(place, Bundle(reader, manifest, survey), into=into, most=most_trusted, again=again)
            taking.erase(write=not dry_run)
            report = taking.go(write=not dry_run, receipt=receipt)
        return report.model_copy(update={"dry_run": dry_run, "again": known is not None})


def _known(manifest: Manifest, place: Place, *, again: bool, dry_run: bool) -> str | None:
    known = place.governance.known(receipt_key(manifest), place.caller)
    if known is None or dry_run:
        return known
    if not again or place.governance.own(known, Verb.READ, place.caller, operation="import") is None:
        raise BundleError(Refusal.REPLAYED, "The bundle was loaded before; say again=True to add what is missing")
    return known
