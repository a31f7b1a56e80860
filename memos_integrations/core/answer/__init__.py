"""Answers without a model: from what was recalled to the few words that answer, with their evidence."""

from __future__ import annotations

from memos_integrations.core.answer.answer import Answer, answered

__all__ = ["Answer", "answered"]
