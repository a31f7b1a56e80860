"""The Memory Interchange Protocol (MIP): memories as one signed file. MemDumper writes it, MemLoader reads it.

MemSync keeps several vaults of one principal the same. The format is specified in `MIP.md` beside this file.
Paper §5.5.3 names the first two; MIP is its §8's future work.
"""

from memos_integrations.core.interchange.addressee import Addressee
from memos_integrations.core.interchange.archive import Limits
from memos_integrations.core.interchange.changes import changed
from memos_integrations.core.interchange.checking import Checking
from memos_integrations.core.interchange.clocks import Clock
from memos_integrations.core.interchange.dumper import Dumped, MemDumper, Terms
from memos_integrations.core.interchange.joining import Apart
from memos_integrations.core.interchange.keys import Opener, Seal, SignatureCheck, Signer
from memos_integrations.core.interchange.loader import MemLoader
from memos_integrations.core.interchange.manifest import Capability, Covers, Manifest, Member
from memos_integrations.core.interchange.redacting import Redacted, Redaction, by_gate
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.interchange.syncing import MemSync, Synced
from memos_integrations.core.interchange.taking import Arrival, Loaded, Place
from memos_integrations.core.interchange.writing import Wanted

__all__ = [
    "Addressee",
    "Apart",
    "Arrival",
    "Capability",
    "Checking",
    "Clock",
    "Covers",
    "Declined",
    "Dumped",
    "Limits",
    "Loaded",
    "Manifest",
    "MemDumper",
    "MemLoader",
    "MemSync",
    "Member",
    "Opener",
    "Place",
    "Redacted",
    "Redaction",
    "Refusal",
    "Seal",
    "SignatureCheck",
    "Signer",
    "Synced",
    "Terms",
    "Wanted",
    "by_gate",
    "changed",
]
