"""MemOS as the agent-memory-integrity suite (agmi) sees it from the front: writes by channel, what recall trusts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agmi.adapters.semantic_base import MemoryItem, Retrieved, SemanticMemoryAdapter
from agmi.attacks.memory_specific import ALL_MEMORY_ATTACKS
from agmi.signing import KEYRING

from memos_integrations import Channel, MemOS, MemOSError, Origin, Principal, Trust, TrustLabel
from memos_integrations.core.gate import WriteGate
from memos_integrations.core.operator.surfacing import Surfaced
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
VERIFIER = Principal(tenant="suite", user="reviewer", roles=frozenset({"verifier"}))
TOLD = ("external", "laundered")
"""The channels that a runtime can tell apart from the user's own. What the agent itself signs as the user's is not."""


class FrontDoor(SemanticMemoryAdapter):
    """The application knows the user's session by its signature, and says through which channel a text came."""

    name = "memos-integrations MemOS"

    def __init__(self, *, confirmed: bool = True) -> None:
        """*confirmed*: what the user signed was also confirmed by a verifier, so that it surfaces whatever it says."""
        self._confirmed = confirmed
        self.reset()

    def reset(self) -> None:
        self._memos = MemOS(InMemoryVault(), clock=lambda: NOW, gate=WriteGate())

    def add_memory(self, item: MemoryItem) -> None:
        by = Principal(tenant="suite", user=item.user_id)
        signed = KEYRING.verify(item.user_id, item.source, item.text, item.signature)
        told: dict[str, Any] = {"tags": [f"{key}={value}" for key, value in item.metadata.items()]}
        if not signed or item.source != "user":
            told |= {
                "trust": Trust(channel=Channel.EXTERNAL, label=TrustLabel.UNTRUSTED),
                "origin": Origin.EXTERNAL_RETRIEVAL,
            }
        try:
            cube = self._memos.remember(item.text, by=by, **told)
            if self._confirmed and "trust" not in told and not cube.trust.quarantined:
                self._memos.verify([cube.id], by=VERIFIER)
        except MemOSError:
            return  # refused at the gate: the attacker is told nothing

    def retrieve(self, query: str, user_id: str, k: int = 5) -> list[Retrieved]:
        return self._trusted(query, user_id, k, CubeFilter())

    def retrieve_where(self, query: str, user_id: str, where: dict[str, Any], k: int = 5) -> list[Retrieved]:
        return self._trusted(
            query, user_id, k, CubeFilter(tags=tuple(f"{key}={value}" for key, value in where.items()))
        )

    def _trusted(self, query: str, user_id: str, k: int, where: CubeFilter) -> list[Retrieved]:
        by = Principal(tenant="suite", user=user_id)
        recall = self._memos.recall(query, by=by, k=k, needed=True, where=where)
        return [Retrieved(hit.text, user_id, hit.score) for hit in recall.hits if hit.surfaced is Surfaced.TRUSTED]


def outcomes() -> dict[str, list[bool | None]]:
    """By attack and channel, whether each planted memory came back as trusted; None where there is no verdict."""
    told: dict[str, list[bool | None]] = {}
    for attack in ALL_MEMORY_ATTACKS:
        result = attack().run(FrontDoor())
        if not result.channels:
            raise AssertionError(f"{result.attack} did not run: {result.error}")
        for channel, each in result.channels.items():
            told[f"{result.attack} {channel}"] = list(each)
    return told
