"""Whether two claims are about one thing that is called in two ways. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims import Claim
from memos_integrations.core.claims.claim import words_of
from memos_integrations.core.claims.frames import ONE_AT_A_TIME

_RENAMED = re.compile(r"\b(?:re)?named\b", re.IGNORECASE)


def renames(n: Claim, value: str) -> bool:
    """Whether a claim says that what was called *value* is called otherwise now."""
    called = words_of(n.subject)
    return n.changed and _RENAMED.search(n.sentence) is not None and bool(called) and called == words_of(value)


def told_short(n: Claim, o: Claim) -> bool:
    """Whether the later calls the earlier's subject by fewer words, the last among them, and it is clear which.

    It says the other words besides, or tells a change of "the check-up" that was "my check-up", or of what one has one
    of at a time.
    """
    mine, theirs = n.subject.split(), o.subject.split()
    if mine[-1:] != theirs[-1:] or not set(mine) < set(theirs):
        return False
    left, named = set(theirs) - set(mine), words_of(n.sentence)
    own = o.sentence.lower().startswith(("my ", "our ")) and left == {theirs[0]}
    if n.changed and (own or (mine[0] == theirs[0] and mine[-1] in ONE_AT_A_TIME)):
        return True
    return all(words_of(each) <= named for each in left)
