"""Two statements held against each other, word by word: what they share, where they differ, and what signals a change.

Beside the claims, which read what a statement says by its frame: these rules need no frame. They want the same holder,
something shared, and a signal (an end, a denial, an opposite, a change, a correction), in the manner of contradiction
detection by alignment (de Marneffe, Rafferty and Manning 2008).
"""

from __future__ import annotations

from memos_integrations.core.contrast.apart import denied_of_another
from memos_integrations.core.contrast.contrast import Contrast, contrast
from memos_integrations.core.contrast.meeting import meetings
from memos_integrations.core.contrast.pair import Pair
from memos_integrations.core.contrast.saying import Statement, frames_of, is_in_passing, said, says_news

__all__ = [
    "Contrast",
    "Pair",
    "Statement",
    "contrast",
    "denied_of_another",
    "frames_of",
    "is_in_passing",
    "meetings",
    "said",
    "says_news",
]
