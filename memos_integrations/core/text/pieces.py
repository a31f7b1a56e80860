"""Pieces of words, for languages whose endings and compounds no rule here knows.

The stemmer is English: to it "Waschmaschine" and "Maschinen" have nothing in common. Four letters in a row they share.
McNamee and Mayfield 2004 (Information Retrieval 7, 73-97): in European languages such pieces find as much as the words
that a stemmer made for the language gives, and more where words are put together.
"""

from __future__ import annotations

from itertools import chain

from memos_integrations.core.kept import Kept
from memos_integrations.core.text.words import STOP_WORDS, words_of

PIECE = 4


def pieces(text: str) -> frozenset[str]:
    """Every four letters in a row of a text's words, the beginning of a word marked; shorter words whole.

    Of Chinese, Japanese and Korean runs the pairs that `terms` gives, and each character.
    """
    return frozenset(chain.from_iterable(map(_OF_WORD.__getitem__, words_of(text))))


def _of_word(word: str) -> tuple[str, ...]:
    marked = f"_{word}"
    letters = tuple(word) if not word.isascii() and len(word) == 2 else ()
    return tuple([marked[at : at + PIECE] for at in range(max(1, len(marked) - PIECE + 1))]) + letters


_OF_WORD: Kept[str, tuple[str, ...]] = Kept(_of_word, 1 << 15)
"""Most words of a memory stand in others too."""


def english(text: str) -> float:
    """The share of a text's words that are `STOP_WORDS`: a third or more of plain English, a twentieth of German."""
    words = words_of(text)
    return sum(word in STOP_WORDS for word in words) / len(words) if words else 0.0
