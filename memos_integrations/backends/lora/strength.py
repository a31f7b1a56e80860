"""How strong a trained adapter is served: no stronger than what it is to know asks for. Needs `hf`.

What an adapter changes of everything else falls with its strength; what it knows stays for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.lessons import Lesson
from memos_integrations.backends.lora.rows import looked_at
from memos_integrations.backends.lora.wording import Wording

if TYPE_CHECKING:
    from memos_integrations.backends.lora.student import Student

STRENGTHS = (1.0, 0.85)
MOST = 48


def strength_of(
    student: Student, model: HuggingFaceModel, probes: Sequence[Lesson], *, kept: float
) -> tuple[float, dict[str, float]]:
    """The least strength that keeps recall of *probes*, and the recall at each that was tried.

    Kept is at least the share *kept* of what full strength recalls. Recall is the share of answers whose every token is
    the likeliest.
    """
    head, rows = Wording(model).rows(probes[:MOST]) if probes else ([], [])
    tried: dict[str, float] = {}
    best = STRENGTHS[0]
    for strength in STRENGTHS:
        with student.scaled(strength):
            seen = looked_at(student.network, head, rows)
        tried[str(strength)] = sum(same for _, same in seen) / len(seen) if seen else 1.0
        if tried[str(strength)] < kept * tried[str(STRENGTHS[0])]:
            break
        best = strength
    return best, tried
