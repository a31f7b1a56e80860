"""Tags by which a new memory finds those about the same, and the validity that its own words give it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memos_integrations.core.claims import Claim, mark
from memos_integrations.core.claims.changes import SWITCHED
from memos_integrations.core.conflict.rules import JUDGED, claims_in
from memos_integrations.core.conflict.standing import SWITCHABLE
from memos_integrations.core.contrast import frames_of
from memos_integrations.core.contrast.kinds import sorts_of
from memos_integrations.core.cube import MemCube, unique


def marks_of(claims: Sequence[Claim]) -> tuple[str, ...]:
    """The tags of what is claimed; a change of marital state also looks for the partner."""
    found = [mark(claim.subject, claim.attribute) for claim in claims]
    kin = [mark(claim.subject, each) for claim in claims for each in _LOOKED_FOR.get(claim.attribute, ())]
    return unique([*found, *kin])[:16]


_LOOKED_FOR: dict[str, tuple[str, ...]] = {
    "marital": ("partner",), "eat": ("diet",), "diet": ("eat",), "is a": ("role",),
    SWITCHED: SWITCHABLE, "home": ("lives with",), "employer": ("is", "is a"),
}  # fmt: skip
"""Attributes whose memories are looked for beside those of the same attribute."""


def frame_marks(text: str) -> tuple[str, ...]:
    """The tags of who says what sort of thing, in whichever words: "lives in", "moved to"."""
    return tuple(mark(holder, frame) for holder, frame in (*frames_of(text), *sorts_of(text)))[:8]


def marked(cube: MemCube) -> MemCube:
    """The memory with the tags of what it is about, and the validity that its words give it.

    A validity that the caller gave stays.
    """
    claims = claims_in(cube)
    marks = [*marks_of(claims), *(frame_marks(cube.text) if cube.descriptive.semantic_type in JUDGED else ())]
    if not marks:
        return cube
    fields: dict[str, Any] = {"tags": unique([*cube.descriptive.tags, *marks])}
    told, own = {c.since for c in claims if c.stands}, cube.descriptive
    if len(told) == 1 and own.valid_from is None:
        fields["valid_from"] = next(iter(told))
    ends = {c.until for c in claims if c.stands}
    if len(ends) == 1 and own.valid_to is None:
        fields["valid_to"] = next(iter(ends))
    start, end = fields.get("valid_from", own.valid_from), fields.get("valid_to", own.valid_to)
    if start and end and end < start:
        fields.pop("valid_from", None)
        fields.pop("valid_to", None)
    return cube.model_copy(update={"descriptive": own.model_copy(update=fields)})
