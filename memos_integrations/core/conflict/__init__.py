"""Memories that contradict or repeat each other: by which rule it is decided what they are to each other."""

from __future__ import annotations

from memos_integrations.core.conflict.decision import ConflictJudge, Decided, Evidence, Ruling, Verdict
from memos_integrations.core.conflict.model import ConflictModel, read_with
from memos_integrations.core.conflict.rules import ConflictRules

__all__ = ["ConflictJudge", "ConflictModel", "ConflictRules", "Decided", "Evidence", "Ruling", "Verdict", "read_with"]
