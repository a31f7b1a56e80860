"""How strong a trained adapter is served: no stronger than what it is to know asks for. Needs `hf`.

What an adapter changes of everything else falls with its strength; what it knows stays for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.lessons import Curriculum, Lesson
from memos_integrations.backends.lora.rows import looked_at
from memos_integrations.backends.lora.wording import Wording

if TYPE_CHECKING:
    from memos_integrations.backends.lora.student import Student

STRENGTHS = (1.0, 0.85, 0.7)
MOST = 48


def strength_of(
    student: Student, model: HuggingFaceModel, curriculum: Curriculum, *, kept: float
) -> tuple[float, dict[str, dict[str, float]]]:
    """The least strength that keeps recall, and the recall at each that was tried, of `taught` and of `probes`.

    Kept is recall that is no less on what was taught, and at least the share *kept* of what full strength recalls in
    phrasings that were not. Recall is the share of answers whose every token is the likeliest.
    """
    tried: dict[str, dict[str, float]] = {}
    best, full = STRENGTHS[0], None
    for strength in STRENGTHS:
        with student.scaled(strength):
            found = {
                "taught": _recall(student, model, curriculum.taught[:MOST]),
                "probes": _recall(student, model, curriculum.probes[:MOST]),
            }
        tried[str(strength)] = found
        full = full or found
        if found["taught"] < full["taught"] or found["probes"] < kept * full["probes"]:
            break
        best = strength
    return best, tried


def _recall(student: Student, model: HuggingFaceModel, lessons: Sequence[Lesson]) -> float:
    if not lessons:
        return 1.0
    head, rows = Wording(model).rows(lessons)
    seen = looked_at(student.network, head, rows, student.network.dtype)
    return sum(same for _, same in seen) / len(seen)
