"""The Memory Interchange Protocol (MIP): memories as one signed file. MemDumper writes it, MemLoader reads it.

The format is specified in `MIP.md` beside this file. Paper §5.5.3 names the two; MIP is its §8's future work.
"""

from memos_integrations.core.interchange.archive import Limits
from memos_integrations.core.interchange.dumper import Dumped, MemDumper, Redacted, Redaction
from memos_integrations.core.interchange.keys import SignatureCheck, Signer
from memos_integrations.core.interchange.loader import MemLoader
from memos_integrations.core.interchange.manifest import Capability, Manifest, Member
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.interchange.taking import Arrival, Loaded

__all__ = [
    "Arrival",
    "Capability",
    "Declined",
    "Dumped",
    "Limits",
    "Loaded",
    "Manifest",
    "MemDumper",
    "MemLoader",
    "Member",
    "Redacted",
    "Redaction",
    "Refusal",
    "SignatureCheck",
    "Signer",
]
