"""Labels as rules compare them: what looks like one name is one name, however it was typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from memos_integrations.core.kept import Kept

_KEPT = 1 << 15
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""What nobody sees, and is no control or format character by its category."""


def _seen(label: str) -> str:
    kept = _UNSEEN.sub("", label)
    return "".join(each for each in kept if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf"))


def _folded(label: str) -> str:
    if label.isascii() and label.isprintable():
        return " ".join(label.lower().split())
    plain = label
    for _ in range(3):  # what one step makes of a letter, the next may fold further
        plain = unicodedata.normalize("NFKC", _seen(plain)).casefold()
    return " ".join(plain.split())


folded_label: Callable[[str], str] = Kept(_folded, _KEPT).__getitem__
"""A label without case, compatibility forms (NFKC), characters that nobody sees, and spaces around or doubled.

Letters with marks are other letters (`é` is not `e`), and so are those of other scripts that look alike.
Source: NFKC_Casefold (Unicode Standard, section 3.13), and spaces.
"""


def folded_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Each as `folded_label`."""
    return tuple(map(folded_label, labels))
