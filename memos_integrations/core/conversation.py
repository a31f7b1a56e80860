"""Conversations read from files: who said what, when, in which session, and who may know.

Two formats are understood. The one of LoCoMo (Maharana et al., ACL 2024), because recall is measured on it, and our
own JSON, which also says what is private:

    {"id": "trip", "timezone": "Europe/Lisbon",
     "participants": [{"name": "Ana", "role": "user"}, {"name": "Memo", "role": "assistant"}],
     "sessions": [{"id": "s1", "at": "2026-03-02T18:30",
                   "messages": [{"id": "s1:1", "speaker": "Ana", "text": "Hello.", "private": false}]}]}

A file is judged as a whole: it loads completely, or not at all with the line or the field that is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, Field, StrictBool, TypeAdapter, ValidationError, model_validator

from memos_integrations.core.cube import MAX_TEXT_BYTES, Label, Moment, Value, check_text
from memos_integrations.core.errors import ConversationFormatError

MAX_FILE_BYTES = 200_000_000
"""Larger files are refused: they are read whole, and a conversation of that size is several."""

Role = Literal["user", "assistant", "tool", "system"]
T = TypeVar("T")


def _check_words(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; a message needs text")
    if (size := len(check_text(text).encode())) > MAX_TEXT_BYTES:
        raise ValueError(f"is {size:,} bytes, more than {MAX_TEXT_BYTES:,}; split it into several messages")
    return text


def _check_subject(subject: str) -> str:
    if subject != "*" and not re.fullmatch(r"(user|group|role):\S.*", subject):
        raise ValueError(f"{subject!r} is not a reader; write user:NAME, group:NAME, role:NAME or *")
    return subject


Words = Annotated[str, AfterValidator(_check_words)]
Readers = tuple[Annotated[Label, AfterValidator(_check_subject)], ...]


class Message(Value):
    """One turn of a conversation. `at` is aware, in UTC; None where the source does not say.

    `private` keeps the message to the one who brings it in; `readers` names others who may read it. The two exclude
    each other.
    """

    id: Label
    speaker: Label
    text: Words
    role: Role = "user"
    at: Moment | None = None
    session_id: Label | None = None
    readers: Readers = ()
    private: StrictBool = False

    @model_validator(mode="after")
    def _one_audience(self) -> Self:
        if self.private and self.readers:
            raise ValueError("is private and has readers; choose one")
        return self


class Conversation(Value):
    """Messages in the order in which they were said. Their ids are unique within it."""

    id: Label
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    participants: tuple[Label, ...] = ()
    source: Label | None = None

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        seen: set[str] = set()
        for message in self.messages:
            if message.id in seen:
                raise ValueError(f"two messages have the id {message.id!r}")
            seen.add(message.id)
        return self

    @classmethod
    def load(cls, path: str | Path, *, sample: str | None = None) -> Self:
        """The conversation in a LoCoMo file or in one of our own format.

        *sample* picks one of several (LoCoMo's `sample_id`); a file that holds a single one needs none. LoCoMo's
        times name no zone and are taken as UTC; a turn has the time of its session. A picture is kept as its
        caption, `text [shares an image: caption]`; the search words that led to it (`query`) are not part of
        what was said and are left out. `source` is the name of the file.

        Raises:
            ConversationFormatError: The file is absent, not a file, too large, not UTF-8, not JSON (line and
                column), not a conversation (the field), or does not hold *sample* (those that it holds).
        """
        path = Path(path)
        try:
            conversation = _from_json(_read(path), path.stem, sample)
            return cls(source=path.name, **conversation)
        except _MisfitError as exc:
            raise ConversationFormatError(f"{path}: {exc}") from exc
        except ValidationError as exc:
            raise ConversationFormatError(f"{path}: {_first_misfit(exc)}") from exc


class _MisfitError(ValueError):
    """What is wrong with the file, and where in it; `load` adds which file."""


class _SavedMessage(Value):
    id: Label
    speaker: Label
    text: Words
    at: str | None = None
    private: StrictBool = False
    readers: Readers = ()


class _SavedSession(Value):
    id: Label
    at: str
    messages: Annotated[tuple[_SavedMessage, ...], Field(min_length=1)]


class _Participant(Value):
    name: Label
    role: Role = "user"


class _SavedConversation(Value):
    id: Label
    timezone: Label | None = None
    participants: Annotated[tuple[_Participant, ...], Field(min_length=1)]
    sessions: Annotated[tuple[_SavedSession, ...], Field(min_length=1)]


class _LocomoTurn(BaseModel):
    speaker: Label
    dia_id: Label
    text: str
    blip_caption: str | None = None

    @property
    def words(self) -> str:
        image = f" [shares an image: {self.blip_caption}]" if self.blip_caption else ""
        return f"{self.text.strip()}{image}".strip()


def _read(path: Path) -> Any:
    try:
        if not path.is_file():
            raise _MisfitError("is a folder, not a file" if path.is_dir() else "there is no such file")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise _MisfitError(f"is {size:,} bytes, more than {MAX_FILE_BYTES:,}; split it by conversation")
        content = path.read_bytes()
    except OSError as exc:
        raise _MisfitError(f"cannot be read: {exc.strerror}") from exc
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _MisfitError(f"line {line}: is not UTF-8; save it as UTF-8") from exc
    except json.JSONDecodeError as exc:
        what = "is empty" if not content.strip() else f"line {exc.lineno}, column {exc.colno}: is not JSON: {exc.msg}"
        raise _MisfitError(what) from exc
    except (RecursionError, ValueError) as exc:
        raise _MisfitError(f"is JSON that cannot be read: {exc}") from exc


def _from_json(content: Any, stem: str, sample: str | None) -> dict[str, Any]:
    if isinstance(content, list):
        return _from_samples(content, sample)
    if not isinstance(content, dict):
        kind = {str: "a string", bool: "true or false", type(None): "null"}.get(type(content), "a number")
        raise _MisfitError(f"holds {kind}, not a conversation")
    if "sessions" in content or "participants" in content:
        return _from_own(content, sample)
    if "conversation" in content:
        return _from_samples([content], sample, prefix="")
    if any(_SESSION.fullmatch(key) for key in content):
        return _from_samples([{"sample_id": stem, "conversation": content}], sample, prefix="")
    raise _MisfitError('is not a conversation: it has neither "sessions" (our format) nor "conversation" (LoCoMo)')


def _from_own(content: dict[str, Any], sample: str | None) -> dict[str, Any]:
    saved = _fit(TypeAdapter(_SavedConversation), content, "")
    _pick([saved.id], sample)
    zone = _zone(saved.timezone)
    roles = {person.name: person.role for person in saved.participants}
    messages: dict[str, Message] = {}
    for s, session in enumerate(saved.sessions):
        began = _moment(session.at, zone, f"sessions[{s}].at")
        for m, said in enumerate(session.messages):
            where = f"sessions[{s}].messages[{m}]"
            if said.speaker not in roles:
                raise _MisfitError(f"{where}.speaker: {said.speaker!r} is not among the participants")
            if said.id in messages:
                raise _MisfitError(f"{where}.id: {said.id!r} is used twice")
            at = _moment(said.at, zone, f"{where}.at") if said.at else began
            fields = said.model_dump() | {"at": at, "role": roles[said.speaker], "session_id": session.id}
            messages[said.id] = _fit(TypeAdapter(Message), fields, where)
    return {"id": saved.id, "messages": tuple(messages.values()), "participants": tuple(roles)}


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, OSError, ValueError) as exc:  # unknown, a folder of the zone tables, or not a name at all
        raise _MisfitError(f"timezone: {name!r} is not a time zone known here (an IANA name: Europe/Paris)") from exc


def _moment(text: str, zone: ZoneInfo | None, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise _MisfitError(f"{where}: {text!r} is not an ISO 8601 time such as 2026-03-02T18:30") from exc
    if moment.tzinfo is None:
        if zone is None:
            raise _MisfitError(f"{where}: {text!r} has no time zone; add an offset, or a timezone to the file")
        moment = moment.replace(tzinfo=zone)
    return moment


_SESSION = re.compile(r"session_(\d+)")
_SESSION_TIME = re.compile(r"(\d{1,2}):(\d{2}) ?([ap])m on (\d{1,2}) ([a-z]+),? (\d{4})", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _from_samples(samples: list[Any], sample: str | None, *, prefix: str = "[{}].") -> dict[str, Any]:
    names: list[str] = []
    for number, entry in enumerate(samples):
        where = prefix.format(number)
        if not isinstance(entry, dict) or not isinstance(entry.get("conversation"), dict):
            raise _MisfitError(f"{where}conversation: is missing or not an object")
        names.append(_fit(TypeAdapter(Label), entry.get("sample_id"), f"{where}sample_id"))
    number = _pick(names, sample)
    where = f"{prefix.format(number)}conversation"
    talk = samples[number]["conversation"]
    messages: dict[str, Message] = {}
    for place, message in _locomo_messages(talk, where):
        if message.id in messages:
            raise _MisfitError(f"{place}.dia_id: {message.id!r} is used twice")
        messages[message.id] = message
    if not messages:
        raise _MisfitError(f"{where}: has no session with a turn")
    named = [talk[key] for key in ("speaker_a", "speaker_b") if isinstance(talk.get(key), str)]
    participants = dict.fromkeys(named or (message.speaker for message in messages.values()))
    return {"id": names[number], "messages": tuple(messages.values()), "participants": tuple(participants)}


def _locomo_messages(talk: Mapping[str, Any], where: str) -> Iterator[tuple[str, Message]]:
    sessions = sorted((int(match[1]), key) for key in talk if (match := _SESSION.fullmatch(key)))
    for _, session in sessions:
        turns = _fit(TypeAdapter(tuple[_LocomoTurn, ...]), talk[session], f"{where}.{session}")
        at = _locomo_moment(talk.get(f"{session}_date_time"), f"{where}.{session}_date_time")
        for number, turn in enumerate(turns):
            place = f"{where}.{session}[{number}]"
            fields = {"id": turn.dia_id, "speaker": turn.speaker, "text": turn.words, "at": at, "session_id": session}
            yield place, _fit(TypeAdapter(Message), fields, place)


def _locomo_moment(text: Any, where: str) -> datetime:
    match = _SESSION_TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[5][:3].lower() not in _MONTHS:
        raise _MisfitError(f'{where}: {text!r} is not a time such as "1:56 pm on 8 May, 2023"')
    hour = int(match[1]) % 12 + (12 if match[3].lower() == "p" else 0)
    month = _MONTHS.index(match[5][:3].lower()) + 1
    try:
        return datetime(int(match[6]), month, int(match[4]), hour, int(match[2]), tzinfo=UTC)
    except ValueError as exc:
        raise _MisfitError(f"{where}: {text!r} is not a time: {exc}") from exc


def _pick(names: Sequence[str], sample: str | None) -> int:
    if sample is None and len(names) == 1:
        return 0
    held = ", ".join(names[:20]) + (" …" if len(names) > 20 else "") or "none"
    if sample is None:
        raise _MisfitError(f"holds {len(names)} conversations; name one as the sample: {held}")
    if names.count(sample) != 1:
        what = "more than one" if sample in names else "no"
        raise _MisfitError(f"holds {what} sample {sample!r}; there is: {held}")
    return names.index(sample)


def _fit(adapter: TypeAdapter[T], value: Any, where: str) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError as exc:
        _refuse(exc, where)


def _refuse(exc: ValidationError, where: str) -> NoReturn:
    raise _MisfitError(_first_misfit(exc, where)) from exc


def _first_misfit(exc: ValidationError, where: str = "") -> str:
    problem = exc.errors(include_url=False, include_input=False)[0]
    for part in problem["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{where.lstrip('.') or 'conversation'}: {problem['msg'].removeprefix('Value error, ')}"
