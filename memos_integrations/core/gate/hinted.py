"""Patterns with words of which one stands in whatever they find: most texts hold none, and are done."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memos_integrations.core.gate.chained import Chain

Hinted = Sequence[tuple[tuple[str, ...], re.Pattern[str] | Chain]]


def hinted(rules: tuple[tuple[str, str], ...]) -> Hinted:
    """Rules as they are written: the words, in lower case and set apart by semicolons, and the pattern."""
    return tuple((tuple(hints.split("; ")), re.compile(pattern, re.IGNORECASE)) for hints, pattern in rules)


def holds(rules: Hinted, text: str, folded: str) -> bool:
    """Whether one of the rules finds something in the text (and in lower case)."""
    for hints, pattern in rules:
        for hint in hints:
            if hint in folded:
                if pattern.search(text) is not None:
                    return True
                break
    return False
