"""Where a text comes from: shared wording with memories, and canaries that were planted for licensees."""

from __future__ import annotations

from memos_integrations.core.attribution.canaries import Canaries
from memos_integrations.core.attribution.wording import Attributed, Source

__all__ = ["Attributed", "Canaries", "Source"]
