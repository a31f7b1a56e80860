"""The gate: a text comes in, a verdict comes out; it says which rules found something, never what they found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from memos_integrations.core.cube import MAX_TEXT_BYTES, Channel, TrustLabel
from memos_integrations.core.gate.burst import Bursts
from memos_integrations.core.gate.hygiene import cleaned
from memos_integrations.core.gate.identifiers import personal_in
from memos_integrations.core.gate.instructions import Likeness, likeness_of
from memos_integrations.core.gate.marked import Detector, Marked, Pseudonym, apart, overlapping, replaced
from memos_integrations.core.gate.secrets import secrets_in

TRUSTED_CHANNELS = frozenset({Channel.USER})
MOST_SEEN = 2048
UNSEEN = "[unseen characters]"
"""What is left of a text that nobody could see any of."""


class Ruling(StrEnum):
    """What is done with a text, from least to most."""

    ALLOW = "allow"
    REDACT = "redact"
    QUARANTINE = "quarantine"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided on a text: what may be stored of it, and how often each rule found something."""

    ruling: Ruling
    text: str = field(repr=False)
    found: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    alarm: bool = False
    """Whether somebody is to be told: the first memory by which a source goes beyond what is usual."""

    def for_audit(self) -> dict[str, Any]:
        """The verdict without a word of the text."""
        return {"ruling": self.ruling.value, "found": dict(sorted(self.found.items())), "reason": self.reason}


class WriteGate:
    """Looks at every text before it is embedded, logged or stored.

    Args:
        secrets, personal, orders: What is done where keys and passwords, personal identifiers, or orders to a model
            are found. Orders as people also talk are let through from the user, and set apart from elsewhere.
        detectors: More that find personal places, for example `backends.identifiers.national_ids`.
        pseudonyms: Names what stands where a personal identifier was redacted, from tenant, kind and value; see
            `memos_integrations.pseudonyms.Pseudonyms`. Default: its kind, and nothing leads back.
        max_bytes: Longer texts are refused.
        untrusted_ttl: For how long a memory lives that came from a tool or from outside; None: as long as it is said.
        unverified_ttl: For how long one lives that a model or a document brought; None: as long as it is said.
        bursts: What is done with what one source, other than the user, brings beyond `burst_most` memories within
            `burst_within`. By default it is stored; the first raises an alarm, on record and as an event
            (`AlarmRaised`). None: nobody counts. 300 a minute is more than a tool tells, less than an import.
        contradictions: The same for memories of one source that contradict what is there, beyond `contradictions_most`
            within `contradictions_within`; counted where memories are judged (`MemOS(conflicts=...)`). A document that
            is up to date contradicts a few memories; who contradicts twenty in an hour rewrites them. Set apart, or
            refused, it changes nothing that is there. Both are counted by process, and begin anew with it.
    """

    def __init__(
        self,
        *,
        secrets: Ruling = Ruling.REDACT,
        personal: Ruling = Ruling.ALLOW,
        orders: Ruling = Ruling.QUARANTINE,
        detectors: Sequence[Detector] = (),
        pseudonyms: Pseudonym | None = None,
        max_bytes: int = MAX_TEXT_BYTES,
        untrusted_ttl: timedelta | None = timedelta(days=30),
        unverified_ttl: timedelta | None = None,
        bursts: Ruling | None = Ruling.ALLOW,
        burst_most: int = 300,
        burst_within: timedelta = timedelta(minutes=1),
        contradictions: Ruling | None = Ruling.ALLOW,
        contradictions_most: int = 20,
        contradictions_within: timedelta = timedelta(hours=1),
    ) -> None:
        self._secrets, self._personal, self._orders = Ruling(secrets), Ruling(personal), Ruling(orders)
        self._detectors = tuple(detectors)
        self._pseudonyms = pseudonyms
        self._max_bytes = max_bytes
        self._lives = {TrustLabel.UNTRUSTED: untrusted_ttl, TrustLabel.UNVERIFIED: unverified_ttl}
        self._brought = Bursts("burst", "brought", bursts, burst_most, burst_within)
        self._contradicted = Bursts(
            "contradictions", "contradicted", contradictions, contradictions_most, contradictions_within
        )
        # What was just looked at is looked at again by the doorway; it is not kept long, nor much of it.
        self._seen = lru_cache(maxsize=MOST_SEEN)(self._look)

    def lives(self, label: TrustLabel) -> timedelta | None:
        """For how long a memory of this trust lives by default."""
        return self._lives.get(label)

    def examine(self, text: str, channel: Channel = Channel.USER, *, tenant: str = "") -> Verdict:
        """The verdict on a text that came through a channel; *tenant* is whose pseudonyms stand in it."""
        tenant = tenant if self._pseudonyms is not None else ""
        if len(text) > 4096:
            return self._look(text, channel in TRUSTED_CHANNELS, tenant)
        verdict = self._seen(text, channel in TRUSTED_CHANNELS, tenant)
        if tenant and verdict.text != text:  # a name in it may have been erased since
            return self._look(text, channel in TRUSTED_CHANNELS, tenant)
        return verdict

    def counted(self, source: tuple[str, ...], channel: Channel, now: datetime) -> Verdict | None:
        """The verdict on the pace of a source that just brought a memory; None while it is no burst."""
        return _paced(self._brought, source, channel, now)

    def contradicted(self, source: tuple[str, ...], channel: Channel, now: datetime) -> Verdict | None:
        """The verdict on a source whose memory just contradicted others; None while that is rare."""
        return _paced(self._contradicted, source, channel, now)

    def forget(self) -> None:
        """Keep nothing of what was looked at: after an erasure."""
        self._seen.cache_clear()

    def _look(self, text: str, trusted: bool, tenant: str) -> Verdict:
        if len(text.encode("utf-8", "surrogatepass")) > self._max_bytes:
            return Verdict(Ruling.REFUSE, "", {"size": 1}, f"it is larger than {self._max_bytes:,} bytes")
        clean = cleaned(text)
        found = Counter({f"unicode:{kind}": count for kind, count in clean.removed.items()})
        rulings = [Ruling.REDACT] if clean.removed else []
        reasons = ["characters that nobody sees"] if clean.removed else []
        told = self._taken_out(clean.text, tenant, found, rulings, reasons)
        likeness = max(likeness_of(clean.text), likeness_of(clean.hidden) if clean.hidden else Likeness.NONE)
        if len(clean.hidden) >= 8:  # no script needs words in tags: whoever wrote them hid them
            likeness = Likeness.STRONG
        if likeness is Likeness.STRONG or (likeness is Likeness.WEAK and not trusted):
            found["orders"] += 1
            rulings.append(self._orders)
            reasons.append("it gives orders to a model")
        ruling = max(rulings, key=list(Ruling).index, default=Ruling.ALLOW)
        if text.strip() and not told.strip():
            told = UNSEEN  # a turn of a conversation is kept as a turn
        return Verdict(ruling, told, dict(found), "; ".join(reasons))

    def _taken_out(self, text: str, tenant: str, found: Counter[str], rulings: list[Ruling], reasons: list[str]) -> str:
        """The text without what is to be redacted; what was found is counted, and what is to be done is noted."""
        secrets = secrets_in(text)
        personal = [*personal_in(text), *(each for detect in self._detectors for each in detect(text))]
        taken: list[Marked] = []
        for kind, places, ruling, reason in (
            ("secret", secrets, self._secrets, "it holds a secret"),
            ("personal", personal, self._personal, "it holds a personal identifier"),
        ):
            if not places:
                continue
            found.update(f"{kind}:{each.kind}" for each in places)
            rulings.append(ruling)
            if ruling is not Ruling.ALLOW:
                reasons.append(reason)
            # A secret is taken out of what is set apart, too: quarantine hides it, and release would show it.
            if ruling is Ruling.REDACT or (kind == "secret" and ruling is Ruling.QUARANTINE):
                taken += places
        if not taken:
            return text
        places = apart(taken)
        if self._pseudonyms is None or not tenant:  # without a tenant there is nobody whose name it could be
            return replaced(text, places, lambda each: f"[{each.kind}]")
        named, holding = self._pseudonyms, {each for each, _ in overlapping(places, secrets)}

        def written(each: Marked) -> str:
            # A secret is never kept under a name.
            return f"[{each.kind}]" if each in holding else named(tenant, each.kind, text[each.start : each.end])

        return replaced(text, places, written)


def _paced(bursts: Bursts, source: tuple[str, ...], channel: Channel, now: datetime) -> Verdict | None:
    """The verdict on one more memory of a source; where bursts are let through, on the first of one only."""
    if channel in TRUSTED_CHANNELS or bursts.ruling is None:
        return None
    before = bursts.is_burst(source, now)
    ruling = Ruling(bursts.ruling)
    if bursts.count(source, now) <= bursts.most or (ruling is Ruling.ALLOW and before):
        return None
    reason = f"one source {bursts.does} more than {bursts.most} memories within {bursts.within}"
    return Verdict(ruling, "", {bursts.name: 1}, reason, alarm=not before)
