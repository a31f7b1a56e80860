"""News of a vault carried to other processes: a relay puts it on a wire, subscribers are woken by it.

The wire says that something happened, and no more: who may have what of it, and how far a subscriber has got, is asked
of the vault. So a wire that loses, repeats, reorders or invents costs time, and never a memory or a secret.

It also means that every subscriber opens the same vault: a broker spares the processes of one host to look again and
again, and takes no memory to another host. One letter stands for all that a relay found at one look, up to 1,000
events; what is delivered, and how fast, is the vault's pull. To another vault memories go by signed bundle:
`MemOS.sync`, `dump` and `load`.
"""

from __future__ import annotations

from memos_integrations.core.wire.envelope import Envelope
from memos_integrations.core.wire.local import LocalWire
from memos_integrations.core.wire.relay import Relay
from memos_integrations.core.wire.subscriber import WireSubscriber

__all__ = ["Envelope", "LocalWire", "Relay", "WireSubscriber"]
