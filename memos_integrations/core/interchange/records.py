"""The records of `cubes.jsonl`: read one by one, and held to their order. MIP.md §5."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import Field, ValidationError

from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import (
    SCHEMA,
    Label,
    MemCube,
    Moment,
    Number,
    State,
    Value,
    behaviour_of,
    canonical_cube,
    canonical_json,
    first_problem,
    parts_of,
    sha256,
)
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.archive import LINE_BYTES, BundleReader
from memos_integrations.core.interchange.canonical import MAX_DEPTH, has_long, is_strict, plain_json, strict_json
from memos_integrations.core.interchange.clocks import Clock
from memos_integrations.core.interchange.manifest import (
    ACCESS_LOG,
    CLOCKS,
    CUBES,
    DECLINED,
    DELETIONS,
    REDACTIONS,
    TIME,
    Manifest,
)
from memos_integrations.core.interchange.refusal import Refusal
from memos_integrations.core.ports import AuditEntry

_WITH_TIMES = ("descriptive", "provenance", "governance", "behaviour")
_DURATIONS = frozenset({"half_life", "per"})
_DURATION = re.compile(
    r"P(?=.)(?:\d{1,6}W|(?:\d{1,6}Y)?(?:\d{1,6}M)?(?:\d{1,6}D)?"
    r"(?:T(?=.)(?:\d{1,6}H)?(?:\d{1,6}M)?(?:\d{1,8}(?:\.\d{1,6})?S)?)?)",
    re.ASCII,
)
_LONG = re.compile(rb'"(?:half_life|per)":"P\d{7}')
_TIMES = frozenset("created_at recorded_at valid_from valid_to occurred_at expires_at until last_read at".split())
_STATE, _BEHAVIOUR = b',"state":"', b'","behaviour":'
_STATE_BYTES, _BEHAVIOUR_BYTES = len(_STATE), len(_BEHAVIOUR)
_STATES = {state.value.encode(): state for state in State}


def record_line(cube: MemCube) -> bytes:
    """A record: the canonical form that the digest covers, and what stands beside it."""
    state, beside = cube.state.value.encode(), cube.behaviour._canonical
    return b'%b,"state":"%b","behaviour":%b}' % (cube.canonical()[:-1], state, beside)


def is_record(line: bytes) -> bool:
    """Whether readers take a record that was written: none that is larger or deeper than they have to take."""
    return len(line) <= LINE_BYTES and is_strict(line) and not _lasts_too_long(line)


def _lasts_too_long(line: bytes) -> bool:
    """Whether it has a duration of more digits than readers have to take; looked for where a text begins so."""
    if b':"P' not in line or not _LONG.search(line):
        return False
    try:
        _checked(line)
    except BundleError:
        return True
    return False


def entry_line(entry: AuditEntry) -> bytes:
    """A record of `access_log.jsonl`, whose `record` is spelled as its hash covers it."""
    told = orjson.dumps({"number": entry.number, "previous": entry.previous, "hash": entry.hash})
    return b'%b,"record":%b}' % (told[:-1], entry.record._canonical)


def check_lists(reader: BundleReader, manifest: Manifest) -> None:
    """Refuse lists beside the memories of which a record is not what it should be.

    Raises:
        BundleError: One is not, or an audit entry does not match its hash.
    """
    members = manifest.by_name()
    for name, kind in _KINDS.items():
        for line in reader.lines(members[name]) if name in members else ():
            try:
                said = strict_json(line, f"a record of {name}")
                if isinstance(said, dict):
                    check_times(said, said.get("moved"), said.get("record"))
                found = kind.model_validate_json(line, strict=True)
            except (ValidationError, BundleError) as exc:
                raise BundleError(Refusal.RECORD, f"A record of {name} is not what it should be") from exc
            if isinstance(found, AuditEntry):
                _check_hash(found, said["record"])


def _check_hash(entry: AuditEntry, said: Any) -> None:
    # As it was said: others, who are handed the list as it came, hold the same words against the hash.
    covered = b'[%d,"%b",%b]' % (entry.number, entry.previous.encode(), canonical_json(said))
    if sha256(covered) != entry.hash:
        raise BundleError(Refusal.RECORD, f"Entry {entry.number} of {ACCESS_LOG} does not match its hash")


class Moved(Value):
    """When a memory was passed to its state by hand or by age, and in which vault."""

    at: Moment
    by: Annotated[Label, Field(max_length=64)]


class ClockRecord(Clock):
    """A record of `clocks.jsonl`."""

    id: Label
    moved: Moved | None = None


class DeletionRecord(Value):
    """A record of `deletions.jsonl`."""

    id: Label
    at: Moment


class RedactionRecord(Value):
    """A record of `redactions.jsonl`."""

    id: Label
    version: Number
    removed: tuple[Label, ...]


class DeclinedRecord(Value):
    """A record of `declined.jsonl`; a later reason is one that this reader does not know."""

    id: Label
    why: Label


_KINDS: dict[str, type[Value]] = {
    ACCESS_LOG: AuditEntry,
    REDACTIONS: RedactionRecord,
    DECLINED: DeclinedRecord,
    CLOCKS: ClockRecord,
    DELETIONS: DeletionRecord,
}


def cube_in(line: bytes) -> MemCube:
    """The version that a record holds.

    Raises:
        BundleError: It holds none.
    """
    try:
        cube = _as_written(line) or MemCube.model_validate_json(_checked(line), strict=True)
    except (ValidationError, BundleError) as exc:
        said = first_problem(exc) if isinstance(exc, ValidationError) else str(exc)
        raise BundleError(Refusal.RECORD, f"A record of {CUBES} is no memory: {said}") from exc
    if cube.schema_ > SCHEMA:
        raise BundleError(Refusal.RECORD, f"Memory {cube.id!r} is of schema {cube.schema_}, newer than {SCHEMA}")
    return cube


def _checked(line: bytes) -> bytes:
    """A record that is strict JSON and spells its times as it must; what a model reads more kindly is refused."""
    said = strict_json(line, "it")
    parts = [said.get(name) for name in _WITH_TIMES] if isinstance(said, dict) else []
    licences = [part.get("licence") for part in parts if isinstance(part, dict)]
    licences += [each.get("licence") for each in _listed(parts[-1] if parts else None, "beside")]
    licences += [each for one in licences for each in _listed(one, "apart")]
    check_times(*parts, *licences)
    _check_durations(*parts, *(licence.get("rate") for licence in licences if isinstance(licence, dict)))
    return line


def _listed(part: Any, name: str) -> list[dict[str, Any]]:
    """The objects of a list that a part may have."""
    there = part.get(name) if isinstance(part, dict) else None
    return [each for each in there if isinstance(each, dict)] if isinstance(there, list) else []


def _check_durations(*parts: Any) -> None:
    for part in parts:
        for name in _DURATIONS & part.keys() if isinstance(part, dict) else ():
            said = part[name]
            if said is not None and not (isinstance(said, str) and _DURATION.fullmatch(said)):
                raise BundleError(Refusal.RECORD, f"{name} is {said!r:.60}, no duration (RFC 3339, appendix A)")


def check_times(*parts: Any) -> None:
    """Refuse objects with times that are not spelled as RFC 3339 has it.

    Raises:
        BundleError: One is not.
    """
    for part in parts:
        for name in _TIMES & part.keys() if isinstance(part, dict) else ():
            if part[name] is not None and not (isinstance(part[name], str) and TIME.fullmatch(part[name])):
                raise BundleError(Refusal.RECORD, f"{name} is {part[name]!r:.60}, no time with its zone (RFC 3339)")


def _as_written(line: bytes) -> MemCube | None:
    """The version in a record as `record_line` spells it, at a fifth of the time; None where it is spelled otherwise.

    What is spelled so has every name once, and no number that JSON does not know.
    """
    found = _split(line)
    cube = None if found is None else canonical_cube(found[0])
    if cube is not None and found is not None:
        cube.__dict__.update(found[1])  # nobody else has it yet
    return cube


def _split(line: bytes) -> tuple[bytes, dict[str, Any]] | None:
    """The canonical form in a record, and what stands beside it."""
    at, beside = line.rfind(_STATE), line.rfind(_BEHAVIOUR)
    state = _STATES.get(line[at + _STATE_BYTES : beside])
    if not 0 < at < beside or state is None or line[-1:] != b"}":
        return None
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH:
        return None
    try:
        return line[:at] + b"}", {"state": state, "behaviour": behaviour_of(line[beside + _BEHAVIOUR_BYTES : -1])}
    except ValueError:
        return None


def cubes_in(reader: BundleReader, manifest: Manifest) -> Iterator[list[MemCube]]:
    """The memories of a bundle, each with the versions that are in it, the present one last.

    Raises:
        BundleError: A record is no memory, or the versions of one are not next to each other, from the first on.
    """
    versions: list[MemCube] = []
    for line in reader.lines(manifest.by_name()[CUBES]):
        cube = cube_in(line)
        if versions and cube.id == versions[-1].id:
            versions.append(cube)
            continue
        if versions:
            yield versions
        versions = [cube]
    if versions:
        yield versions


class Outline(NamedTuple):
    """What a record says of its place among the others; `cube` where it is more than text."""

    id: str
    version: int
    sources: tuple[tuple[str, int], ...] = ()
    targets: tuple[str, ...] = ()
    cube: MemCube | None = None
    is_item: bool = False


def outlined(reader: BundleReader, manifest: Manifest) -> Iterator[list[Outline]]:
    """The outlines of `cubes_in`, at a third of the time: names once, no NaN, order and versions are checked.

    Raises:
        BundleError: A record is no JSON, or the versions of one memory are not in order, from the first on.
    """
    versions: list[Outline] = []
    for line in reader.lines(manifest.by_name()[CUBES]):
        made = _outline(line)
        if versions and made.id == versions[-1].id:
            if made.version != versions[-1].version + 1 or versions[0].version != 1:
                raise BundleError(Refusal.RECORD, f"The versions of memory {made.id!r} are not in order")
            versions.append(made)
            continue
        if versions:
            yield versions
        versions = [made]
    if versions:
        yield versions


def _outline(line: bytes) -> Outline:
    made = None if has_long(line) else _plain_outline(line)
    if made is not None:
        return made
    try:
        said = plain_json(line) or strict_json(line, f"a record of {CUBES}")
    except BundleError as exc:
        raise BundleError(Refusal.RECORD, str(exc)) from exc
    try:
        told, payload = said.get("provenance") or {}, said["payload"]
        plain = payload["kind"] == "plaintext" and payload.get("blob") is None
        if plain and not told.get("derived_from") and not told.get("links") and isinstance(said["id"], str):
            is_item = said["descriptive"]["semantic_type"] == ITEM
            return Outline(said["id"], _whole(said.get("version", 1)), is_item=is_item)
    except (AttributeError, KeyError, TypeError):
        pass  # it is no memory; what is wrong with it is said here:
    return _outline_of(cube_in(line))


def _plain_outline(line: bytes) -> Outline | None:
    """The outline of a record as `record_line` spells it, of a memory that is text alone and stands by itself."""
    found = _split(line)
    parts = None if found is None else parts_of(found[0])
    if parts is None or parts["payload"].blob is not None:
        return None
    told = parts["provenance"]
    if told.derived_from or told.links:
        return None
    return Outline(parts["id"], parts["version"], is_item=parts["descriptive"].semantic_type == ITEM)


def _outline_of(cube: MemCube) -> Outline:
    told = cube.provenance
    return Outline(
        cube.id,
        cube.version,
        tuple([(ref.id, ref.version) for ref in told.derived_from]),
        tuple([link.target for link in told.links]),
        cube if cube.blobs else None,
        cube.descriptive.semantic_type == ITEM,
    )


def _whole(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError("not a whole number")
    return number
