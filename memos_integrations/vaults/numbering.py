"""Words, labels, places and readers as the numbers that stand for them in one vault's file: keyed, so it tells none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import lru_cache, partial

from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.kept import Kept
from memos_integrations.core.text import folded_label, folded_labels
from memos_integrations.vaults.leaves import spelling
from memos_integrations.vaults.postings import record_of_one

KEY_BYTES = 32

WORDS_KEPT = 1 << 15
"""How many words and labels keep their number at hand."""

PLACES_KEPT = 4_096
"""How many namespaces and sets of readers keep theirs: as many tenants may write by turns."""


def word_check(key: bytes) -> bytes:
    """What stands beside a word key, to tell a damaged one."""
    return hashlib.sha256(b"word key:" + key).digest()


class Kind(IntEnum):
    """What a label says about a cube. The numbers stand in files: never change one."""

    PURPOSE = 2
    APPLICATION = 3
    NAMESPACE = 4
    SEMANTIC_TYPE = 5
    TAG = 6
    ENTITY = 7
    SPEAKER = 8
    THREAD = 9
    SESSION = 10
    SPELLED = 11
    """A namespace, type, tag, entity or speaker as rules compare it, where its own label says something else."""
    CREATED = 12
    """When its first version was written down (microseconds since 1970), where this one was later."""


Label = tuple[int, int, str]
"""A label: its kind, its number, and both as they are written in what a mark covers."""


_OWN_FORM: dict[Kind, Callable[[str], str]] = {
    Kind.SEMANTIC_TYPE: str, Kind.TAG: str, Kind.ENTITY: str.casefold, Kind.SPEAKER: str.casefold,
}  # fmt: skip
"""How a value is written in its own label, of the kinds that rules speak of; a namespace is written as it is."""


def _label(kind: Kind, number: int) -> Label:
    plain: int = kind._value_  # an `IntEnum` costs more in a format than all the rest
    return plain, number, f"{plain}:{number}"


class Words:
    """Turns words into the numbers that stand for them in one vault's file.

    Raises:
        VaultCorruptError: The key is not the one that *check* was made from; with another nothing would be found.
    """

    def __init__(self, key: bytes, check: bytes) -> None:
        self._key = key
        if not isinstance(key, bytes) or len(key) != KEY_BYTES or check != word_check(key):
            raise VaultCorruptError("The vault's word key is damaged. Restore it from a backup.")
        self._begun = hashlib.blake2b(digest_size=8, key=key)
        # Attributes and not methods: a write asks some fifty times.
        self.terms: Kept[str, int] = Kept(self._hashed_term, WORDS_KEPT)
        """The numbers of full-text terms."""
        self.term: Callable[[str], int] = self.terms.__getitem__
        """The number of a full-text term."""
        self._labels = {kind: Kept(partial(self._hashed_label, kind), WORDS_KEPT) for kind in Kind}
        self.once: Callable[[str], bytes] = Kept(self._hashed_once, WORDS_KEPT).__getitem__
        """The record of a full-text term that stands once in a text; see `postings`."""
        self.namespace: Callable[[tuple[str, ...]], int] = lru_cache(PLACES_KEPT)(self._hashed_namespace)
        """The number of a namespace prefix."""
        self._audience = lru_cache(PLACES_KEPT)(self._hashed_audience)
        self.standing: Callable[[tuple[str, ...], str], list[Label]] = lru_cache(PLACES_KEPT)(self._standing)
        """The labels of a namespace, one for each of its prefixes and for itself, and of a semantic type; sorted."""
        self.stood: Callable[[tuple[str, ...], str], list[Label]] = lru_cache(PLACES_KEPT)(self._stood)
        """Those of a namespace and a semantic type that only rules compare (`SPELLED`)."""
        self._spelled = {kind: Kept(partial(self._hashed_spelling, kind), WORDS_KEPT) for kind in _OWN_FORM}

    def label(self, kind: Kind, value: str) -> int:
        """The number of a label."""
        return self._labels[kind][value][1]

    def labels(self, kind: Kind, values: Iterable[str]) -> list[Label]:
        """Labels, sorted, each once."""
        return sorted({*map(self._labels[kind].__getitem__, values)})

    def spelled(self, kind: Kind, values: Iterable[str]) -> list[Label]:
        """The labels by which rules know these values, of those that do not say so themselves; none for most."""
        known = self._spelled[kind]
        return [label for value in values for label in known[value]]

    def _hashed_spelling(self, kind: Kind, value: str) -> tuple[Label, ...]:
        plain = folded_label(value)
        return () if plain == _OWN_FORM[kind](value) else (_label(Kind.SPELLED, self.label(kind, plain)),)

    def _stood(self, parts: tuple[str, ...], semantic_type: str) -> list[Label]:
        places, plain = [parts[:depth] for depth in range(1, len(parts) + 1)], folded_labels(parts)
        told = [
            _label(Kind.SPELLED, self.namespace(plain[: len(each)])) for each in places if each != plain[: len(each)]
        ]
        return told + self.spelled(Kind.SEMANTIC_TYPE, (semantic_type,))

    def created(self, moment: int) -> Label:
        """The label that says when a first version was written down (microseconds since 1970)."""
        return _label(Kind.CREATED, moment)

    def _standing(self, parts: tuple[str, ...], semantic_type: str) -> list[Label]:
        places = {_label(Kind.NAMESPACE, self.namespace(parts[:depth])) for depth in range(1, len(parts) + 1)}
        return sorted(places) + self.labels(Kind.SEMANTIC_TYPE, (semantic_type,))

    def _hashed_once(self, term: str) -> bytes:
        return record_of_one(self._hashed_term(term))

    def _hashed_term(self, term: str) -> int:
        return self._number(b"t" + _bytes(term))

    def _hashed_label(self, kind: Kind, value: str) -> Label:
        return _label(kind, self._number(b"l%d:" % kind._value_ + _bytes(value)))

    def _hashed_namespace(self, parts: tuple[str, ...]) -> int:
        # Lengths are hashed in, so no character can stand for a boundary.
        return self.label(Kind.NAMESPACE, _joined(parts))

    def path(self, path: tuple[str, ...]) -> int:
        """The number of a path into a structured payload."""
        return self._number(b"p" + _bytes(_joined(path)))

    def leaf(self, value: object) -> int | None:
        """The number of what stands at a path; None for a list or an object."""
        spelled = spelling(value)
        return None if spelled is None else self._number(b"v" + _bytes(spelled))

    def subject(self, subject: str) -> int:
        """The number of somebody who may read."""
        return self._number(b"s" + _bytes(subject))

    def audience(self, readers: frozenset[str]) -> tuple[int, tuple[int, ...]]:
        """The number of a set of readers, and those of each of them."""
        return self._audience(readers)

    def _hashed_audience(self, readers: frozenset[str]) -> tuple[int, tuple[int, ...]]:
        named = sorted(readers)
        number = self._number(b"a" + _bytes(_joined(named)))
        return number, tuple([self.subject(reader) for reader in named])

    def key(self, key: str) -> bytes:
        """What stands for an idempotency key: 16 bytes, because a collision would drop a memory."""
        return hashlib.blake2b(b"k" + _bytes(key), digest_size=16, key=self._key).digest()

    def _number(self, content: bytes) -> int:
        made = self._begun.copy()  # costs half of what a new one costs
        made.update(content)
        return int.from_bytes(made.digest()) >> 1  # SQLite's integers are signed


def _joined(parts: Iterable[str]) -> str:
    return "".join(f"{len(part)}:{part}" for part in parts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
