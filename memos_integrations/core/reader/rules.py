"""`read_by_rules`, the reader without a model, and `MemReader`, which asks a parser first if it was given one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from memos_integrations.core.errors import InvalidMemoryError, MemOSError
from memos_integrations.core.reader.call import MAX_PROMPT, Intent, MemoryCall, Turn
from memos_integrations.core.reader.coreference import resolve
from memos_integrations.core.reader.emphasis import asks_for, statement_of
from memos_integrations.core.reader.intent import (
    asks_when,
    intent_of,
    is_about_future,
    is_about_past,
    semantic_types,
    straight,
)
from memos_integrations.core.reader.need import unquote, why_no_memory, without_languages
from memos_integrations.core.reader.question import question_type, slots_of
from memos_integrations.core.text import STOP_WORDS, entities, keywords, terms
from memos_integrations.core.text.names import CALENDAR_NAMES
from memos_integrations.core.text.words import LIGHT_WORDS, fold
from memos_integrations.core.when import TimeWindow, find_windows, most_specific

Parser = Callable[[str, Sequence[Turn], datetime], MemoryCall | None]
"""Reads (prompt, history, now) in another way, with an LLM for instance. None means "I could not"."""

_LOOKED_AT = 4_000
"""Of a longer prompt, intent and pronouns are read from this many characters: half from either end."""

_FUTURE = re.compile(
    r"\b(?:will|shall|going to|gonna|upcoming|plans?|planned|planning|scheduled|due|deadline|coming up|do i have"
    r"|am i|are we)\b",
    re.IGNORECASE,
)
_PAST = re.compile(r"\b(?:did|was|were|had|went|said|told|been|happened|ago|last)\b", re.IGNORECASE)
# Names that are ordinary words too: only their capital tells "Will" from "will".
_ORDINARY = (
    STOP_WORDS
    | CALENDAR_NAMES
    | frozenset(
        """
    will mark rose grace hope bill art joy faith dawn summer autumn chase rich frank sue rob nick gene guy miles penny
    ruby pearl iris lily ivy daisy max drew pat sky river olive angel star jack ray dean major rusty skip grant
    """.split()
    )
)
_TOPIC_WORDS = 4
_MOST_WINDOWS = 16  # a prompt with more is a pasted document; its dates are content


class MemReader:
    """Turns prompts into memory calls.

    *parser* is asked first; when it returns None or raises a `MemOSError` or a `ValueError` (so also pydantic's
    `ValidationError`), the rules answer. Errors of other kinds are the parser's own and pass through.
    """

    def __init__(self, *, parser: Parser | None = None) -> None:
        self._parser = parser

    def read(
        self, prompt: str, *, history: Sequence[Turn] = (), now: datetime, speakers: Collection[str] = ()
    ) -> MemoryCall:
        """What *prompt* asks of memory, given the turns before it (oldest first) and the time.

        *speakers* are the people whose statements are remembered, besides those who speak in *history*.

        Raises:
            InvalidMemoryError: The prompt is empty, longer than `MAX_PROMPT` characters or not valid text, or *now*
                has no time zone.
        """
        _check(prompt, now)
        call = self._parsed(prompt, history, now)
        return call or read_by_rules(prompt, history=history, now=now, speakers=speakers)

    def _parsed(self, prompt: str, history: Sequence[Turn], now: datetime) -> MemoryCall | None:
        if self._parser is None:
            return None
        try:
            call = self._parser(prompt, history, now)
        except (MemOSError, ValueError):
            return None
        return (
            call.model_copy(update={"prompt": prompt}) if isinstance(call, MemoryCall) and call.query.strip() else None
        )


def read_by_rules(
    prompt: str, *, history: Sequence[Turn] = (), now: datetime, speakers: Collection[str] = ()
) -> MemoryCall:
    """What *prompt* asks of memory, by rules alone: same input, same call.

    Raises:
        InvalidMemoryError: As `MemReader.read`.
    """
    _check(prompt, now)
    is_long = len(prompt) > _LOOKED_AT
    looked_at = f"{prompt[: _LOOKED_AT // 2]}\n{prompt[-_LOOKED_AT // 2 :]}" if is_long else prompt
    intent, asked = intent_of(looked_at)
    query, resolved = resolve(asked, history, speakers)
    query = straight(prompt) if is_long else query
    # An opener such as "Noor" in "what did Noor say" is a name in the prompt, perhaps first in the query.
    names = entities(query if resolved else prompt)
    why_not = why_no_memory(prompt, entities(without_languages(unquote(prompt)))) if not is_long else None
    windows = find_windows(prompt, now, assume_past=_looks_back(looked_at))
    timeless = _without(windows, query)
    topic = _topic(timeless, names)
    words = keywords(query, 8)
    window = _over_all(windows) if intent is Intent.COMPARE else most_specific(windows)
    said_by = _named_speakers(timeless, history, speakers)
    is_when = asks_when(asked, looked_at)
    asked_for = None if why_not else question_type(query, looked_at, summary=intent is Intent.SUMMARISE)
    return MemoryCall(
        prompt=prompt,
        query=query,
        intent=Intent.NONE if why_not else intent,
        is_memory_needed=why_not is None,
        why_not=why_not,
        topic=topic,
        concept=_concept(topic, names, words),
        entities=names,
        keywords=words,
        terms=tuple(dict.fromkeys(terms(query))),
        window=window,
        semantic_types=semantic_types(asked),
        speakers=said_by,
        resolved=resolved,
        asks_when=is_when,
        about_past=is_about_past(_without(windows, asked)),
        about_future=is_about_future(asked),
        question_type=asked_for,
        slots=slots_of(query, asked_for, entities=names, speakers=said_by, window=window),
        asks_for=asks_for(looked_at, of_then=is_when or window is not None),
        statement_of=statement_of(straight(looked_at)),
    )


def _check(prompt: str, now: datetime) -> None:
    if not isinstance(prompt, str):
        raise InvalidMemoryError(f"A prompt is text (str), not {type(prompt).__name__}.")
    if now.tzinfo is None or now.utcoffset() is None:
        raise InvalidMemoryError("`now` has no time zone; pass an aware datetime, such as datetime.now(UTC).")
    if not prompt.strip():
        raise InvalidMemoryError("The prompt is empty; there is nothing to read. Pass the user's message.")
    if len(prompt) > MAX_PROMPT:
        raise InvalidMemoryError(
            f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT:,} are read. Shorten it."
        )
    if "\x00" in prompt:
        raise InvalidMemoryError("The prompt contains a NUL character; remove it.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise InvalidMemoryError(
            "The prompt contains a lone surrogate, which is not valid Unicode; decode it properly."
        ) from exc


def _looks_back(text: str) -> bool:
    """Whether "on Friday" means the last one: unless the prompt speaks of the future and not of the past."""
    return _FUTURE.search(text) is None or _PAST.search(text) is not None


def _over_all(windows: list[TimeWindow]) -> TimeWindow | None:
    """One window over all that are compared: "May and June", "last year vs. this year"."""
    if len(windows) < 2:
        return most_specific(windows)
    words = " … ".join(window.text for window in windows)
    return TimeWindow(start=min(w.start for w in windows), end=max(w.end for w in windows), text=words)


def _without(windows: list[TimeWindow], query: str) -> str:
    """The query without its time words: "in May" names no speaker called May, and no topic."""
    text = straight(query)
    for window in windows[:_MOST_WINDOWS]:
        text = re.sub(re.escape(window.text), " , ", text, count=1, flags=re.IGNORECASE)
    return text


def _topic(text: str, names: tuple[str, ...]) -> str | None:
    """The longest run of content words (the last of equals: in English, objects follow verbs)."""
    people = {part for name in names if not name.isupper() for part in fold(name).split()}
    best: list[str] = []
    for avoided in (LIGHT_WORDS | people, LIGHT_WORDS, frozenset[str]()):
        for run in _runs(text, avoided):
            if len(run) >= len(best):
                best = run
        if best:
            return " ".join(best).lower()
    return None


def _runs(text: str, avoided: frozenset[str]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for word in re.findall(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s]", text):
        folded = fold(word).removesuffix("'s")
        if not word[0].isalnum() or folded.replace("'", "") in STOP_WORDS or folded in avoided:
            runs.append([])
        elif len(runs[-1]) < _TOPIC_WORDS:
            runs[-1].append(word)
    return [run for run in runs if any(not word.isdigit() for word in run)]


def _concept(topic: str | None, names: tuple[str, ...], words: tuple[str, ...]) -> str | None:
    """The first name, or else the first keyword, that the topic does not already say."""
    said = fold(topic or "")
    return next((word for word in (*names, *words) if fold(word) not in said and word not in CALENDAR_NAMES), None)


def _named_speakers(query: str, history: Sequence[Turn], speakers: Collection[str]) -> tuple[str, ...]:
    """The known speakers that the query names, by full or (if unique) first name, in the order of their names in it."""
    known = list(dict.fromkeys([*sorted(speakers), *(turn.speaker for turn in history if turn.speaker)]))
    firsts = [fold(name).split(" ")[0] for name in known]
    folded = fold(query)
    found: list[tuple[int, str]] = []
    for name, first in zip(known, firsts, strict=True):
        if not first or first not in folded:
            continue
        wanted = {fold(name), first} if firsts.count(first) == 1 else {fold(name)}
        places = [at for form in wanted if (at := _place_of(form, query, folded)) is not None]
        if places:
            found.append((min(places), name))
    return tuple(name for _, name in sorted(found))


def _place_of(name: str, query: str, folded: str) -> int | None:
    if name in _ORDINARY:
        match = re.search(
            rf"(?<=[^\W_]\W){re.escape(name.capitalize())}(?!\w)|^{re.escape(name.capitalize())}(?='s)", query
        )
    else:
        match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", folded)
    return match.start() if match else None
