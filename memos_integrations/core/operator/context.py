"""Recalled memories as context that a model can cite: repeats out, in the order of their dates, numbered.

Recalled text is data: each memory is one line behind its marker, and whatever in it looks like a marker or a tag is
written so that it is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from memos_integrations.core.cube import CubeRef, Provenance, Value
from memos_integrations.core.operator.excerpt import CHARACTERS_PER_TOKEN, excerpt
from memos_integrations.core.operator.recalled import Hit, Recall, marks_of, render
from memos_integrations.core.text import estimate_tokens, same_words

_MARKS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'", "|": "¦"})  # noqa: RUF001
_ROLE = re.compile(r"\b(system|assistant|user|human|developer|tool)\s*:", re.IGNORECASE)


class Citation(Value):
    """What a marker stands for."""

    marker: str
    ref: CubeRef
    provenance: Provenance


class CitedContext(Value):
    """Evidence within a token budget: `text` for a prompt, and the `citations` that its markers stand for."""

    text: str
    citations: tuple[Citation, ...]
    token_count: int
    duplicates: int

    def cited(self, answer: str) -> list[Citation]:
        """The citations that an answer names; markers that there are not are passed over."""
        named = set(re.findall(r"\[(\d+)\]", answer))
        return [each for each in self.citations if each.marker.strip("[]") in named]


def cited_context(
    recall: Recall, *, token_budget: int | None = None, count_tokens: Callable[[str], int] = estimate_tokens
) -> CitedContext:
    """The best hits of a recall that fit into the budget (default: the recall's), oldest first, each with a marker.

    A memory longer than half the budget is shown in part, around the words asked for.
    """
    budget = recall.plan.token_budget if token_budget is None else token_budget
    kept: list[tuple[str, Hit]] = []
    spent = duplicates = 0
    for hit in recall.hits:
        if any(same_words(hit.text, other.text) for _, other in kept):
            duplicates += 1
            continue
        line = _as_data(hit, recall.call.terms, budget * CHARACTERS_PER_TOKEN // 2)
        cost = count_tokens(f"\n[{len(recall.hits)}] {line}")
        if not kept and cost > budget:
            line = _as_data(hit, recall.call.terms, max(1, len(line) * budget // (2 * cost)))
            cost = count_tokens(f"[{len(recall.hits)}] {line}")
        if spent + cost <= budget:
            kept.append((line, hit))
            spent += cost
    ordered = sorted(kept, key=lambda each: (each[1].said_at, each[1].cube.id))
    citations = [
        Citation(marker=f"[{number}]", ref=hit.cube.ref, provenance=hit.provenance)
        for number, (_, hit) in enumerate(ordered, 1)
    ]
    text = "\n".join(f"[{number}] {line}" for number, (line, _) in enumerate(ordered, 1))
    return CitedContext(text=text, citations=tuple(citations), token_count=count_tokens(text), duplicates=duplicates)


def _as_data(hit: Hit, terms: Sequence[str], length: int) -> str:
    """A memory as one line that opens no tag, no marker and no turn of a conversation, in part if it is longer."""
    shown = excerpt(render(hit), terms, length, marks_of(hit))
    line = "".join(letter if letter.isprintable() else " " for letter in shown.removeprefix("- "))
    return " ".join(_ROLE.sub(r"\1 -", line.translate(_MARKS)).split())
