"""Asking which memories a text was taken from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.asked import whole
from memos_integrations.core.attribution import Attributed, Source
from memos_integrations.core.attribution.wording import (
    FEWEST_WORDS,
    containment,
    is_source,
    shingles,
    windows,
    words_of,
)
from memos_integrations.core.cube import MemCube, State, Tier, unique
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.walk import Walk

MOST_TEXT = 1_000_000
PER_WINDOW = 20
ANYWHERE = CubeFilter(states=frozenset(State), tiers=frozenset({Tier.PLAINTEXT}))


class Attributing(Walk):
    """`Walk`, with attribution."""

    def attribute(
        self,
        text: str,
        *,
        by: Principal,
        k: int = 5,
        where: CubeFilter | None = None,
        context: CallContext | None = None,
    ) -> Attributed:
        """The memories whose wording stands in *text*, of those that *by* may read, best first, *k* at most. On record.

        It finds memories again after changes of case, punctuation and white space and after smaller edits, in a longer
        text too. It does not see paraphrase or translation; see `attribution.wording`. To be found is no proof that the
        text was taken from here: both may be taken from a third place.

        Raises:
            InvalidMemoryError: The text is no text, or too long.
        """
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise InvalidMemoryError(f"attribute() takes a text of at most {MOST_TEXT:,} characters.")
        whole("k", k)
        caller, words = self._caller(by, context), words_of(text)
        there = shingles(words)
        near: dict[str, MemCube] = {}
        for piece in windows(words) if len(words) >= FEWEST_WORDS else ():
            query = VaultQuery(k=PER_WINDOW, terms=unique(terms_of(piece)), filter=where or ANYWHERE)
            near |= {match.cube.id: match.cube for match in self._governance.search(query, caller).matches}
        spoken = {cube_id: words_of(cube.text) for cube_id, cube in near.items()}
        pairs = {cube_id: shingles(told) for cube_id, told in spoken.items() if len(told) >= FEWEST_WORDS}
        among = Counter(pair for each in pairs.values() for pair in each)
        shares = {cube_id: containment(mine, there, among) for cube_id, mine in pairs.items()}
        # Only what is given away is read, and counts as a use of a licence.
        like = sorted((each for each in shares if is_source(*shares[each])), key=lambda each: _rank(each, shares))
        given = self._governance.readable(like[:k], caller, operation="attribute") if like else []
        found = [
            Source(cube=cube, share=shares[cube.id][0], shared=shares[cube.id][1])
            for cube in given
            if cube.ref == near[cube.id].ref and self._governance.use_up(cube, caller, operation="attribute")
        ]
        note = "" if len(words) >= FEWEST_WORDS else f"Fewer than {FEWEST_WORDS} words are too few to tell."
        return Attributed(sources=tuple(found), words=len(words), note=note, by=by.subject)

    async def aattribute(self, text: str, *, by: Principal, **how: Any) -> Attributed:
        """`attribute`, in the read pool."""
        return await self._off_loop(self.attribute, text, by=by, **how)


def _rank(cube_id: str, shares: Mapping[str, tuple[float, int]]) -> tuple[float, str]:
    share, shared = shares[cube_id]
    return -share * shared, cube_id
