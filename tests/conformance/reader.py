"""A reader of the Memory Interchange Protocol in one file, written from MIP.md alone.

It needs nothing but Python; sealed bundles need the package `cryptography`, and are skipped without it. It checks and
counts, and stores nothing. See `run.py` for how it is called.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

MOST = 64 << 20
FULL = 0xFFFFFFFF
LISTS = "cubes access_log redactions declined clocks deletions".split()
CAPABILITIES = {
    "text",
    "history",
    "access_log",
    "redactions",
    "blobs",
    "activation",
    "parameter",
    "clocks",
    "deletions",
}
FIELDS = set(
    "mip bundle created_at expires_at issuer key recipient purpose digest signature requires cube_schema".split()
)
HEX = {length: re.compile(f"[0-9a-f]{{{length}}}") for length in (32, 64, 128)}


class RefusedError(Exception):
    """A bundle that is not to be believed; the argument is the code."""


def refuse(code: str) -> NoReturn:
    """End the reading of a bundle."""
    raise RefusedError(code)


# --- the file


def members_of(content: bytes) -> dict[str, bytes]:
    """The members of a zip that holds nothing else."""
    count, start, stop = directory_of(content)
    found: dict[str, bytes] = {}
    at, place = 0, start
    entries = []
    for _ in range(count):
        head = content[place : place + 46]
        if place + 46 > stop or head[:4] != b"PK\x01\x02":
            refuse("malformed")
        name_size, extra, note, disk = struct.unpack("<4H", head[28:36])
        raw, more = content[place + 46 :][:name_size], content[place + 46 + name_size :][:extra]
        place += 46 + name_size + extra + note
        if note or disk:
            refuse("malformed")
        entries.append((*sizes_of(head, more), head, raw))
    for begin, packed, size, head, raw in sorted(entries, key=lambda entry: entry[0]):
        name = checked_name(raw)
        if name in found:
            refuse("members_differ")
        if begin != at:
            refuse("malformed")
        found[name], at = unpacked(content, head, raw, at, (packed, size))
    if at != start or place != stop:
        refuse("malformed")
    return found


def directory_of(content: bytes) -> tuple[int, int, int]:
    """How many members the directory names, where it begins and where it ends."""
    stop = len(content) - 22
    if stop < 0 or content[stop : stop + 4] != b"PK\x05\x06":
        refuse("malformed")
    disk, start_disk, here, count, size, start, comment = struct.unpack("<4H2LH", content[-18:])
    if 0xFFFF in (here, count) or FULL in (size, start):
        stop -= 76
        here, count, size, start = larger(content[max(0, stop) : -22], stop, (here, count, size, start))
    if disk or start_disk or here != count or comment or start + size != stop:
        refuse("malformed")
    return count, start, stop


def larger(raw: bytes, at: int, said: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of a ZIP64 end record; those that fit are said twice."""
    if at < 0 or len(raw) != 76 or raw[:4] != b"PK\x06\x06":
        refuse("malformed")
    length, _, needs, disk, first, *numbers = struct.unpack("<Q2H2L4Q", raw[4:56])
    agree = all(one in (0xFFFF, FULL, other) for one, other in zip(said, numbers, strict=True))
    located = struct.unpack("<4sLQL", raw[56:]) == (b"PK\x06\x07", 0, at, 1)
    if not agree or not located or (length, disk, first) != (44, 0, 0) or needs > 45:
        refuse("malformed")
    return tuple(numbers)


def sizes_of(head: bytes, extra: bytes) -> tuple[int, int, int]:
    """Where a member begins, its packed and its own size; those that do not fit are in the extra field."""
    packed, size = struct.unpack("<2L", head[20:28])
    begin = struct.unpack("<L", head[42:46])[0]
    more = list(zip64(extra, [size, packed, begin].count(FULL)))
    size, packed, begin = (more.pop(0) if each == FULL else each for each in (size, packed, begin))
    return begin, packed, size


def zip64(extra: bytes, count: int) -> tuple[int, ...]:
    """So many numbers of an extra field that holds nothing else."""
    if len(extra) != (4 + 8 * count if count else 0) or (count and extra[:4] != struct.pack("<2H", 1, 8 * count)):
        refuse("malformed")
    return struct.unpack(f"<{count}Q", extra[4:])


def checked_name(raw: bytes) -> str:
    """The name of a member, if it can be one."""
    lists = "|".join(LISTS)
    if not re.fullmatch(rf"(?:{lists})\.jsonl|manifest\.json|signature\.json|blobs/[0-9a-f]{{64}}".encode(), raw):
        refuse("unsafe_name")
    return raw.decode()


def unpacked(content: bytes, head: bytes, raw: bytes, at: int, sizes: tuple[int, int]) -> tuple[bytes, int]:
    """The bytes of the member that begins at *at*, and where the next one has to begin."""
    flags, method = struct.unpack("<2H", head[8:12])
    packed, size = sizes
    mode = struct.unpack("<L", head[38:42])[0]
    if flags & ~0x800 or mode >> 16 & 0o170000 not in (0, 0o100000) or mode & 0x18:
        refuse("malformed")
    if method not in (0, 8):
        refuse("algorithm")
    if max(packed, size) > MOST or size > max(1 << 20, 100 * packed):
        refuse("too_large")
    start = begun(content, head, raw, at, sizes)
    held = content[start : start + packed]
    if method == 8:
        try:
            engine = zlib.decompressobj(-15)
            held = engine.decompress(held, size + 1)
            if not engine.eof or engine.unused_data:
                refuse("malformed")
        except zlib.error:
            refuse("malformed")
    if len(held) != size or zlib.crc32(held) != struct.unpack("<L", head[16:20])[0]:
        refuse("malformed")
    return held, start + packed


def begun(content: bytes, head: bytes, raw: bytes, at: int, sizes: tuple[int, int]) -> int:
    """Where the bytes of a member begin, before which stands what the directory says."""
    local = content[at : at + 30]
    if len(local) < 30 or local[:4] != b"PK\x03\x04" or max(struct.unpack("<2H", local[4:6] + head[6:8])) > 45:
        refuse("malformed")
    name_size, extra = struct.unpack("<2H", local[26:30])
    start = at + 30 + name_size + extra
    theirs, more = local[18:26], content[at + 30 + name_size : start]
    own, shown = zip64(more, 2 * (theirs == b"\xff" * 8)) or struct.unpack("<2L", theirs)[::-1]
    if (shown, own) != sizes or local[6:10] != head[8:12] or local[14:18] != head[16:20]:
        refuse("malformed")
    return start if content[at + 30 : at + 30 + name_size] == raw else refuse("malformed")


def parsed(content: bytes, code: str = "malformed") -> Any:
    """Strict JSON: UTF-8, each name once, numbers that fit, not nested deeper than 64."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            refuse(code)
        return dict(pairs)

    def deep(value: Any, level: int) -> bool:
        if not isinstance(value, dict | list):
            return False
        inner = value.values() if isinstance(value, dict) else value
        return level > 64 or any(deep(each, level + 1) for each in inner)

    def whole(digits: str) -> int:
        return int(digits) if len(digits) < 21 and -(2**63) <= int(digits) < 2**63 else refuse(code)

    def fraction(digits: str) -> float:
        return float(digits) if math.isfinite(float(digits)) else refuse(code)

    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=once, parse_constant=lambda _: refuse(code), parse_int=whole, parse_float=fraction,
        )  # fmt: skip
        json.dumps(value, ensure_ascii=False).encode()  # no lone surrogate
    except (ValueError, RecursionError):
        refuse(code)
    if deep(value, 1):
        refuse(code)
    return value


def canonical(value: Any) -> bytes:
    """RFC 8785, for what stands in a manifest."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return b"{%b}" % b",".join(b"%b:%b" % (canonical(name), canonical(value[name])) for name in names)
    if isinstance(value, list):
        return b"[%b]" % b",".join(map(canonical, value))
    if isinstance(value, float):
        refuse("malformed")
    return json.dumps(value, ensure_ascii=False).encode()


# --- Ed25519 (RFC 8032 §5.1.7), slowly

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def added(a: Point, b: Point) -> Point:
    """The sum of two points, in extended coordinates."""
    one, two = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    three, four = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = two - one, four - three, four + three, two + one
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    """A point, so many times."""
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = added(total, point)
        point, number = added(point, point), number >> 1
    return total


def point_of(raw: bytes) -> Point | None:
    """The point that 32 bytes say, if they say one."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (not x and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is that of the key under the message."""
    whose, r, s = point_of(key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if whose is None or r is None or s >= Q or BASE is None:
        return False
    hashed = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), added(r, times(hashed, whose))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


# --- the manifest


def moment(text: Any, zone: str = "Z|[+]00:00", code: str = "malformed") -> datetime:
    """A time with its zone (RFC 3339), which is UTC in a manifest."""
    spelled = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.]\d{{1,9}})?(?:{zone})"
    if not isinstance(text, str) or not re.fullmatch(spelled, text, re.ASCII):
        refuse(code)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (OverflowError, ValueError):
        refuse(code)


def lasts(text: str) -> bool:
    """Whether it is a duration of more than nothing (RFC 3339, appendix A)."""
    days = r"(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})D)?"
    hours = r"(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:[.]\d{1,6})?)S)?)?"
    found = re.fullmatch(rf"P(?=.)(?:(\d{{1,6}})W|{days}{hours})", text, re.ASCII)
    return found is not None and any(float(each) for each in found.groups() if each)


def is_text(value: Any) -> bool:
    """Whether it is a name or label."""
    return isinstance(value, str) and bool(value.strip()) and len(value) <= 1000 and "\0" not in value


def is_count(value: Any, least: int = 0) -> bool:
    """Whether it is a whole number that every language knows."""
    return type(value) is int and least <= value < 2**53


def checked_manifest(members: dict[str, bytes], knows: dict[str, Any]) -> dict[str, Any]:
    """The manifest, signed by somebody who is trusted, for this reader, now."""
    if "signature.json" not in members:
        refuse("unsigned")
    signed = parsed(members["signature.json"])
    if not isinstance(signed, dict) or signed.get("algorithm") != "ed25519":
        refuse("algorithm" if isinstance(signed, dict) else "malformed")
    if set(signed) != {"algorithm", "key", "signature"} or not all(
        isinstance(signed[name], str) and HEX[size].fullmatch(signed[name])
        for name, size in (("key", 64), ("signature", 128))
    ):
        refuse("malformed")
    content = members.get("manifest.json", b"")
    manifest = parsed(content)
    check_form(manifest)
    if canonical(manifest) != content:
        refuse("malformed")
    key, message = bytes.fromhex(signed["key"]), b"MIP-1 manifest\n" + content
    if signed["key"] != manifest["key"] or not is_signed(key, bytes.fromhex(signed["signature"]), message):
        refuse("bad_signature")
    if manifest["key"] not in knows["trusted"]:
        refuse("unknown_key")
    now, purposes = moment(knows["now"]), knows.get("purposes")
    for wrong, code in (
        (manifest["recipient"] != knows["recipient"], "not_yours"),
        (purposes is not None and manifest["purpose"] not in purposes, "purpose"),
        (now > moment(manifest["expires_at"]), "expired"),
        (moment(manifest["created_at"]) > now + timedelta(minutes=5), "not_yet"),
        (manifest["cube_schema"] > 1, "version"),
    ):
        if wrong:
            refuse(code)
    return manifest  # type: ignore[no-any-return]


def check_form(manifest: Any) -> None:
    """The fields of a manifest, before its signature is looked at."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("mip"), str):
        refuse("malformed")
    version = re.fullmatch(r"([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})", manifest["mip"])
    if version is None:
        refuse("malformed")
    if version[1] != "1" or int(version[2]) > 1:
        refuse("version")
    if (manifest.get("digest"), manifest.get("signature")) != ("sha-256", "ed25519"):
        refuse("algorithm")
    fields = set(manifest) - ({"covers"} if version[2] == "1" else set())
    if fields != FIELDS | {"members"} or not (
        isinstance(manifest["members"], list) and isinstance(manifest["requires"], list)
    ):
        refuse("malformed")
    check_fields(manifest)
    since_1_1 = {"clocks", "deletions"}
    held = {each["name"].partition(".")[0] for each in manifest["members"]}
    if version[2] == "0" and since_1_1 & (set(manifest["requires"]) | held):
        refuse("malformed")
    if set(manifest["requires"]) - CAPABILITIES:
        refuse("capability")


def check_fields(manifest: dict[str, Any]) -> None:
    """What the fields say."""
    texts = [manifest[name] for name in ("issuer", "recipient", "purpose")] + manifest["requires"]
    hexes = [(manifest["bundle"], 32), (manifest["key"], 64)]
    if not all(map(is_text, texts)) or not all(
        isinstance(text, str) and HEX[size].fullmatch(text) for text, size in hexes
    ):
        refuse("malformed")
    if moment(manifest["expires_at"]) <= moment(manifest["created_at"]) or not is_count(manifest["cube_schema"], 1):
        refuse("malformed")
    if not all(map(is_member, manifest["members"])) or not ("covers" not in manifest or is_part(manifest["covers"])):
        refuse("malformed")
    names = [each["name"] for each in manifest["members"]]
    if len(set(names)) != len(names) or "cubes.jsonl" not in names:
        refuse("malformed")


def is_part(said: Any) -> bool:
    """Whether it says which part of a vault's life a bundle covers."""
    if not isinstance(said, dict) or set(said) != {"replica", "after", "to"} or not is_text(said["replica"]):
        return False
    return is_count(said["after"]) and is_count(said["to"], said["after"])


def is_member(said: Any) -> bool:
    """Whether it tells of a member; `records` may be left out of a blob."""
    if not isinstance(said, dict) or {*said} - {"records"} != {"name", "size", "sha256"}:
        return False
    name, digest, records = said["name"], said["sha256"], said.get("records", 0)
    hexes = isinstance(digest, str) and HEX[64].fullmatch(digest) is not None
    blob = isinstance(name, str) and name.startswith("blobs/")
    return isinstance(name, str) and hexes and is_count(said["size"]) and is_count(records) and not (blob and records)


def check_members(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """What is in the file is what the manifest says."""
    told = {each["name"]: each for each in manifest["members"]}
    if set(told) != set(members) - {"manifest.json", "signature.json"}:
        refuse("members_differ")
    for name, said in told.items():
        content = members[name]
        digest = hashlib.sha256(content).hexdigest()
        if said.get("size") != len(content) or said.get("sha256") != digest:
            refuse("digest_differs")
        if name.startswith("blobs/"):
            if name != f"blobs/{digest}":
                refuse("digest_differs")
        elif content.count(b"\n") != said.get("records") or (content and not content.endswith(b"\n")):
            refuse("malformed")


# --- the memories


def fits(value: Any, schema: Any, whole: dict[str, Any]) -> bool:
    """Whether a value is what a JSON Schema says, as far as `memory.json` needs it."""
    if isinstance(schema, bool) or not set(schema) & {"$ref", "anyOf", "oneOf", "type", "enum", "const"}:
        return True
    if "$ref" in schema:
        return fits(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    for word in ("anyOf", "oneOf"):
        if word in schema and not any(fits(value, each, whole) for each in schema[word]):
            return False
    kinds = {
        "object": isinstance(value, dict), "array": isinstance(value, list), "string": isinstance(value, str),
        "integer": type(value) is int, "number": type(value) in (int, float), "boolean": isinstance(value, bool),
        "null": value is None,
    }  # fmt: skip
    if not kinds.get(schema.get("type"), True) or ("const" in schema and value != schema["const"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        extra = schema.get("additionalProperties", True)
        return (
            set(schema.get("required", ())) <= set(value)
            and all(fits(each, known.get(name, extra), whole) for name, each in value.items())
            and (extra is not False or set(value) <= set(known))
        )
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)) and all(
            fits(each, schema.get("items", True), whole) for each in value
        )
    if isinstance(value, str):
        return fits_text(value, schema)
    return value is None or schema.get("minimum", value) <= value <= schema.get("maximum", value)


def fits_text(value: str, schema: dict[str, Any]) -> bool:
    """Whether a text is what a JSON Schema says."""
    if schema.get("format") == "date-time":
        moment(value, r"Z|[+-]\d\d:\d\d", "record")
    if schema.get("format") == "duration" and not lasts(value):
        return False
    fits_in = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    pattern = schema.get("pattern", "").replace("$", r"\Z")  # Python's `$` stands before a last line break, too
    return fits_in and "\0" not in value and re.search(pattern, value) is not None


def memories(members: dict[str, bytes], schema: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The memories, each with its versions."""
    seen: set[str] = set()
    versions: list[dict[str, Any]] = []
    for line in members["cubes.jsonl"].split(b"\n")[:-1]:
        if len(line) > 8 << 20:
            refuse("too_large")
        cube = parsed(line, "record")
        if not isinstance(cube, dict) or not fits(cube, schema, schema) or not makes_sense(cube):
            refuse("record")
        cube.setdefault("version", 1)
        if versions and versions[-1]["id"] == cube["id"]:
            if cube["version"] != versions[-1]["version"] + 1 or versions[0]["version"] != 1:
                refuse("record")
            versions.append(cube)
            continue
        if cube["id"] in seen:
            refuse("record")
        seen.add(cube["id"])
        if versions:
            yield versions
        versions = [cube]
    if versions:
        yield versions


def check_lists(members: dict[str, bytes]) -> None:
    """The other lists hold what they should, and each audit entry matches its hash."""
    fields = {
        "access_log": {"number", "record", "previous", "hash"}, "redactions": {"id", "version", "removed"},
        "declined": {"id", "why"}, "clocks": {"id", "vector", "at", "by"}, "deletions": {"id", "at"},
    }  # fmt: skip
    for name, wanted in fields.items():
        for line in members.get(f"{name}.jsonl", b"").split(b"\n")[:-1]:
            if len(line) > 8 << 20:
                refuse("too_large")
            said = parsed(line, "record")
            if not isinstance(said, dict) or set(said) - ({"moved"} if name == "clocks" else set()) != wanted:
                refuse("record")
            if not all(is_field(each, what, said) for each, what in said.items()):
                refuse("record")
            if name == "access_log":
                record = json.dumps(said["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                if not is_record(said["record"]):
                    refuse("record")
                covered = f'[{said["number"]},"{said["previous"]}",{record}]'
                if hashlib.sha256(covered.encode()).hexdigest() != said["hash"]:
                    refuse("record")


def is_field(name: str, value: Any, said: dict[str, Any]) -> bool:
    """Whether a field of a list's record is of its kind."""
    if name == "at":
        return bool(moment(value, r"Z|[+-]\d\d:\d\d", "record"))
    if name == "moved":
        if value is None:
            return True
        if not isinstance(value, dict) or set(value) != {"at", "by"} or not is_text(value["by"]):
            return False
        return len(value["by"]) <= 64 and is_field("at", value["at"], value)
    if name == "vector":
        if not isinstance(value, dict) or not 1 <= len(value) <= 24:
            return False
        return all(is_text(k) and is_count(v) for k, v in value.items())
    if name == "removed":
        return isinstance(value, list) and all(map(is_text, value))
    if name in ("version", "number"):
        return is_count(value, 1)
    if name in ("previous", "hash"):
        return isinstance(value, str) and HEX[64].fullmatch(value) is not None
    return isinstance(value, dict) if name == "record" else is_text(value)


def is_record(said: dict[str, Any]) -> bool:
    """Whether an audit entry says what one says."""
    names = {"cube_id", "owner", "purpose", "application", "agent"}
    digest, version = said.get("digest"), said.get("version")
    return (
        {"at", "tenant", "actor", "operation", "outcome"} <= set(said)
        and set(said)
        <= {"at", "tenant", "actor", "operation", "outcome", "reason", "version", "digest", "detail"} | names
        and bool(moment(said["at"], r"Z|[+-]\d\d:\d\d", "record"))
        and all(map(is_text, (said["tenant"], said["actor"], said["operation"])))
        and said["outcome"] in ("allowed", "denied")
        and all(said.get(name) is None or is_text(said[name]) for name in names)
        and (digest is None or (isinstance(digest, str) and HEX[64].fullmatch(digest) is not None))
        and (version is None or is_count(version, 1))
        and isinstance(said.get("reason", ""), str)
        and "\0" not in said.get("reason", "")
        and is_small(said.get("detail"))
    )


def makes_sense(cube: dict[str, Any]) -> bool:
    """What no schema says of a memory."""
    payload, when, rules = cube["payload"], cube["descriptive"], cube["governance"]
    start, end = when.get("valid_from"), when.get("valid_to")
    zone = r"Z|[+-]\d\d:\d\d"
    ordered = not start or not end or moment(start, zone) <= moment(end, zone)
    private = rules.get("layer", "private") == "private"
    shared = any(rules.get(name) for name in ("readers", "writers", "sharers"))
    small = len(payload.get("text", "").encode()) <= 1_000_000 and is_small(payload.get("value"))
    small = small and is_small(payload.get("training"))
    licence = rules.get("licence") or {}
    apart = [licence, cube.get("behaviour", {}).get("licence") or {}]
    flat = all(each.get("to") and not each.get("apart") for one in apart for each in one.get("apart", ()))
    whole = says_something(payload) and small and ordered and flat
    return cube.get("schema", 1) <= 1 and whole and not (private and shared)


def is_small(value: Any) -> bool:
    """Whether a JSON value is one that a memory, or an audit entry, may hold."""
    return len(json.dumps(value, ensure_ascii=False).encode()) <= 1_000_000


def says_something(payload: dict[str, Any]) -> bool:
    """Whether a plaintext payload holds anything; there is nothing to say of the others."""
    if payload.get("kind", "plaintext") != "plaintext":
        return True
    return bool(payload["text"].strip()) or payload.get("value") is not None or payload.get("blob") is not None


def blobs_of(cube: dict[str, Any]) -> list[dict[str, Any]]:
    """What a memory names besides its text."""
    payload = cube["payload"]
    found = payload.get("segments") or [payload.get("adapter") or payload.get("blob")]
    return [each for each in found if each]


def check_tensors(content: bytes) -> None:
    """A safetensors file of finite numbers, without gaps."""
    size = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else len(content)
    if not 2 <= size <= min(16 << 20, len(content) - 8):
        refuse("tensors")
    header = parsed(content[8 : 8 + size], "tensors")
    about = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        refuse("tensors")
    if len(header) > 100_000:
        refuse("tensors")
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
    at = 0
    try:
        for said in sorted(header.values(), key=lambda each: each["data_offsets"]):
            (start, end), shape = said["data_offsets"], said["shape"]
            sizes = isinstance(shape, list) and len(shape) <= 8 and all(map(is_size, [start, end, *shape]))
            if not sizes or len(said) != 3 or start != at:
                refuse("tensors")
            if end - start != math.prod(shape) * widths[said["dtype"]]:
                refuse("tensors")
            check_finite(content[8 + size + start : 8 + size + end], said["dtype"])
            at = end
    except (AttributeError, KeyError, TypeError, ValueError, struct.error):
        refuse("tensors")
    if 8 + size + at != len(content):
        refuse("tensors")


def is_size(number: Any) -> bool:
    """Whether it is a size or place in a file of tensors."""
    return type(number) is int and 0 <= number < 1 << 48


def check_finite(raw: bytes, dtype: str) -> None:
    """Refuse numbers that are infinite or none."""
    ones = {"F64": ("Q", 0x7FF0 << 48), "F32": ("L", 0x7F800000), "F16": ("H", 0x7C00), "BF16": ("H", 0x7F80)}
    if dtype in ones:
        kind, mask = ones[dtype]
        if any(number & mask == mask for (number,) in struct.iter_unpack(f"<{kind}", raw)):
            refuse("tensors")


def looked_through(
    members: dict[str, bytes], manifest: dict[str, Any], knows: dict[str, Any], schema: Any
) -> dict[str, Any]:
    """Every memory: its lineage, its blobs, whether there is a model for it; the verdict."""
    there: dict[str, int] = {}
    taken = Taken(members, knows)
    held = {name.partition(".")[0] for name in members}
    needs = {"text"} | held & {"access_log", "redactions", "clocks", "deletions"}
    count = total = 0
    for versions in memories(members, schema):
        cube = versions[-1]
        if any(each["id"] not in there for version in versions for each in sources_of(version)):
            refuse("lineage")
        if any(there[each["id"]] != each["version"] for each in sources_of(cube)):
            refuse("lineage")
        there[cube["id"]] = cube["version"]
        for version in versions:
            needs |= {version["payload"]["kind"]} - {"plaintext"}
            for blob in blobs_of(version):
                content = members.get(f"blobs/{blob['digest']}")
                if content is None or len(content) != blob["size"]:
                    refuse("members_differ")
                needs.add("blobs")
                if version["payload"]["kind"] != "plaintext":
                    check_tensors(content)
        needs |= {"history"} if len(versions) > 1 else set()
        count, total = count + 1, total + len(versions)
        taken.add(versions)
    check_lists(members)
    if needs - set(manifest["requires"]):
        refuse("capability")
    return {"verdict": "accepted", "memories": count, "versions": total, "declined": taken.declined}


class Taken:
    """What becomes of memories in a vault that is empty."""

    def __init__(self, members: dict[str, bytes], knows: dict[str, Any]) -> None:
        gone = (parsed(line, "record") for line in members.get("deletions.jsonl", b"").split(b"\n")[:-1])
        self.erased = {said["id"] for said in gone if isinstance(said, dict) and isinstance(said.get("id"), str)}
        self.models = [model_of(each) for each in knows.get("models", [])]
        self.ids: set[str] = set()
        self.addresses: set[tuple[str, ...]] = set()
        self.declined: dict[str, int] = {}

    def add(self, versions: list[dict[str, Any]]) -> None:
        """Take the next memory, or count why it is not taken."""
        why = self.why_not(versions)
        if why is None:
            self.ids.add(versions[-1]["id"])
        else:
            self.declined[why] = self.declined.get(why, 0) + 1

    def why_not(self, versions: list[dict[str, Any]]) -> str | None:
        """Why a memory is not taken; None: it is."""
        cube, kind = versions[-1], versions[-1]["descriptive"].get("semantic_type")
        payloads = [each["payload"] for each in versions if each["payload"]["kind"] != "plaintext"]
        fit = all(model_of(each.get("fingerprint") or each.get("base")) in self.models for each in payloads)
        if cube["id"] in self.erased:
            return "forgotten"
        if not fit:
            return "fingerprint"
        if kind == "import_receipt" or (kind == "item" and cube["namespace"][1:2] == ["memstore"]):
            return "reserved"
        if any(each["id"] not in self.ids for each in sources_of(cube)):
            return "source_missing"
        value = cube["payload"].get("value")
        key = value.get("key") if kind == "item" and isinstance(value, dict) else None
        if not isinstance(key, str):
            return None
        address = (*cube["namespace"][1:], "", key)
        stands = address in self.addresses
        self.addresses.add(address)
        return "address_taken" if stands else None


def model_of(said: dict[str, Any]) -> dict[str, Any]:
    """A fingerprint with what it may leave out."""
    return {"adapters": []} | said


def sources_of(cube: dict[str, Any]) -> list[dict[str, Any]]:
    """What a version is derived from."""
    return cube.get("provenance", {}).get("derived_from", [])  # type: ignore[no-any-return]


# --- sealed bundles


def unsealed(content: bytes, key: str | None) -> bytes:
    """What was sealed for the holder of a private key (X25519, HKDF-SHA-256, ChaCha20-Poly1305 in chunks)."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if key is None or len(content) < 45:
        refuse("sealed")
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(key))
    fresh, at, number, clear = content[13:45], 45, 0, b""
    try:
        agreed = private.exchange(X25519PublicKey.from_public_bytes(fresh))
        salt = fresh + private.public_key().public_bytes_raw()
        cipher = ChaCha20Poly1305(HKDF(SHA256(), 32, salt, b"MIP-1 seal key\n").derive(agreed))
        while True:
            chunk, at = content[at : at + 65552], at + 65552
            clear += cipher.decrypt(number.to_bytes(11, "big") + bytes([at >= len(content)]), chunk, None)
            number += 1
            if at >= len(content):
                return clear
    except (InvalidTag, ValueError):
        refuse("sealed")


def verdict(bundle: Path, knows: dict[str, Any], schemas: Path) -> dict[str, Any]:
    """What becomes of one bundle."""
    try:
        content = bundle.read_bytes()
        if content.startswith(b"MIP-1 sealed\n"):
            content = unsealed(content, knows.get("seal_key"))
        members = members_of(content)
        manifest = checked_manifest(members, knows)
        check_members(members, manifest)
        if "covers" in manifest:
            refuse("capability")  # it is for a vault that takes part in a series, which this reader has none of
        if manifest["bundle"] in knows.get("loaded", ()):
            refuse("replayed")
        return looked_through(members, manifest, knows, json.loads((schemas / "memory.json").read_text("utf-8")))
    except RefusedError as exc:
        return {"verdict": "refused", "code": str(exc)}
    except ImportError as exc:
        return {"verdict": "skipped", "why": str(exc)}


if __name__ == "__main__":
    path, said, folder = map(Path, sys.argv[1:4])
    sys.stdout.write(json.dumps(verdict(path, json.loads(said.read_text("utf-8")), folder)) + "\n")
