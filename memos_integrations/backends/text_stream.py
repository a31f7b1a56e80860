"""Text out of a stream of token ids: whole characters only, cut at the first stop string. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from memos_integrations.core.errors import ModelError

Decode = Callable[[Sequence[int]], str]


class Detokeniser:
    """Turns ids into text as they come; joined, the pieces are what *decode* gives for all ids at once.

    A character may be spread over several tokens, and a token's text may depend on the one before it (leading
    blanks). So the last tokens are decoded again with the new one, and text is held back while it ends in an
    unfinished character.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._context = 0
        self._read = 0

    def push(self, token: int) -> str:
        """The text that became certain with this token; often empty in the middle of a character."""
        self._ids.append(token)
        text = self._pending()
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        return self._take(text)

    def flush(self) -> str:
        """What was held back, with a replacement character where the last character was never finished."""
        return self._take(self._pending())

    def _pending(self) -> str:
        known = self._decode(self._ids[self._context : self._read])
        return self._decode(self._ids[self._context :])[len(known) :]

    def _take(self, text: str) -> str:
        if text:
            self._context, self._read = self._read, len(self._ids)
        return text


class StopStrings:
    """Passes text on until a stop string is complete; the stop string and what follows are never shown.

    Of several stop strings the one that is complete first counts, wherever the pieces were cut.

    Raises:
        ModelError: A stop string is empty; it would stop before the first word.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stops)
        if "" in self._stops:
            raise ModelError("A stop string is empty; remove it from `stop`.")
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """The text that may be shown now, and whether a stop string was reached."""
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            return self._held[: min(found)[1]], True
        shown = len(self._held) - self._overlap()
        text, self._held = self._held[:shown], self._held[shown:]
        return text, False

    def flush(self) -> str:
        """What was held back because it could have become a stop string, and did not."""
        text, self._held = self._held, ""
        return text

    def _overlap(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = min(max(map(len, self._stops), default=1) - 1, len(self._held))
        for length in range(longest, 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
