"""English as the engine sees it: search terms, sentences, names, tags and a token estimate.

Pure functions over strings, called when a memory is written and when a prompt is read, so that both sides compare
the same terms. No model, no word list beyond what stands here, no locale. The rules are English; text in other
scripts is still searchable (see `terms`), but gets no stemming and few names.
"""

from __future__ import annotations

from memos_integrations.core.text.forms import forms, with_forms
from memos_integrations.core.text.labels import folded_label, folded_labels
from memos_integrations.core.text.names import entities
from memos_integrations.core.text.pieces import english, pieces
from memos_integrations.core.text.repeats import same_words
from memos_integrations.core.text.spellings import is_told_apart
from memos_integrations.core.text.stem import stem
from memos_integrations.core.text.words import (
    STOP_WORDS,
    estimate_tokens,
    keywords,
    sentences,
    terms,
    terms_and_keywords,
)

__all__ = [
    "STOP_WORDS",
    "english",
    "entities",
    "estimate_tokens",
    "folded_label",
    "folded_labels",
    "forms",
    "is_told_apart",
    "keywords",
    "pieces",
    "same_words",
    "sentences",
    "stem",
    "terms",
    "terms_and_keywords",
    "with_forms",
]
