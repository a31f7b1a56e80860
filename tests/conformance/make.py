"""Makes the bundles of the suite, byte for byte the same each time: `python -m tests.conformance.make`."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = Path(__file__).parent
KEY, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
READER, OTHER, FRESH = (X25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (3, 4, 5))
MODEL = {
    "model": "tiny",
    "weights": "w1",
    "tokenizer": "t1",
    "chat_template": "c1",
    "dtype": "float32",
    "positions": "rope",
    "adapters": [],
}
KNOWS: dict[str, Any] = {
    "trusted": {KEY.public_key().public_bytes_raw().hex(): "clinic-a"},
    "recipient": "clinic-b",
    "purposes": ["transfer"],
    "now": "2026-03-02T12:00:00+00:00",
    "models": [],
    "loaded": ["f" * 32],
    "seal_key": (b"\3" * 32).hex(),
}
LARGE = ("Note. " * 9 + "The pump in hall 7 ran at 12 bar, and nobody said why it did so for a week.\n") * 8_000
"""A text of more than 1,000,000 bytes that is packed small, but is no bomb."""

Record = dict[str, Any]
Members = dict[str, bytes]
Change = Callable[["Bundle"], object]


def memory(number: int = 1, text: str = "The ward has 12 beds.", **more: Any) -> Record:
    """A memory as an outsider would write it."""
    return {
        "id": f"00000000-0000-7000-8000-{number:012d}",
        "version": 1,
        "schema": 1,
        "namespace": ["clinic-a", "ana"],
        "payload": {"kind": "plaintext", "text": text},
        "descriptive": {"created_at": "2026-03-01T09:00:00Z", "recorded_at": "2026-03-01T09:00:00Z"},
        "governance": {"owner": "user:ana"},
    } | more


def tensors(numbers: list[float], header: str | None = None, behind: bytes = b"") -> bytes:
    """A safetensors file of one row."""
    told = header or json.dumps({"t": {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [0, 4 * len(numbers)]}})
    return struct.pack("<Q", len(told)) + told.encode() + struct.pack(f"<{len(numbers)}f", *numbers) + behind


def entry(number: int = 7, said: Record | None = None, previous: str = "a" * 64, **more: Any) -> bytes:
    """An entry of an access log; what is *said* besides is in its record."""
    record = {
        "at": "2026-03-01T09:00:00Z",
        "tenant": "clinic-a",
        "actor": "user:ana",
        "operation": "remember",
        "outcome": "allowed",
        "reason": "",
        "cube_id": memory()["id"],
        "version": 1,
        "owner": "user:ana",
        "digest": "0" * 64,
        "purpose": None,
        "application": None,
        "agent": None,
        "detail": None,
    } | (said or {})
    hashed = sha256(b'[%d,"%b",%b]' % (number, previous.encode(), spelled(record))).hexdigest()
    return spelled({"number": number, "record": record, "previous": previous, "hash": hashed} | more)


class Bundle:
    """A bundle in the making."""

    def __init__(self, *memories: Record | bytes) -> None:
        self.lines = [each if isinstance(each, bytes) else spelled(each) for each in memories or (memory(),)]
        self.members: Members = {}
        self.manifest: Record = {
            "mip": "1.0",
            "bundle": "0" * 32,
            "created_at": "2026-03-02T09:00:00Z",
            "expires_at": "2026-03-09T09:00:00Z",
            "issuer": "clinic-a",
            "key": KEY.public_key().public_bytes_raw().hex(),
            "recipient": "clinic-b",
            "purpose": "transfer",
            "digest": "sha-256",
            "signature": "ed25519",
            "requires": ["text"],
            "cube_schema": 1,
        }
        self.signer, self.algorithm = KEY, "ed25519"
        self.respell: Callable[[bytes], bytes] = lambda content: content
        self.retell: Callable[[list[Record]], object] = lambda told: None
        self.after: Callable[[Members], object] = lambda members: None
        self.method = ZIP_STORED
        self.ending = b"\n"

    def blob(self, content: bytes, media_type: str = "application/safetensors") -> Record:
        """Put a blob in, and say how a memory names it."""
        digest = sha256(content).hexdigest()
        self.members[f"blobs/{digest}"] = content
        self.needs("blobs")
        return {"digest": digest, "size": len(content), "media_type": media_type}

    def needs(self, *names: str) -> None:
        """Say what a reader has to understand."""
        self.manifest["requires"] = sorted({*self.manifest["requires"], *names})

    def add(self, record: Record) -> None:
        """One more memory."""
        self.lines.append(spelled(record))

    def all(self) -> Members:
        """Every member, signed."""
        members = {"cubes.jsonl": b"\n".join(self.lines) + self.ending} | self.members
        told = [
            {
                "name": name,
                "size": len(content),
                "sha256": sha256(content).hexdigest(),
                "records": content.count(b"\n") if name.endswith(".jsonl") else 0,
            }
            for name, content in members.items()
        ]
        self.retell(told)
        manifest = self.respell(spelled(self.manifest | {"members": told}))
        signature = self.signer.sign(b"MIP-1 manifest\n" + manifest).hex()
        key = self.signer.public_key().public_bytes_raw().hex()
        said = {"algorithm": self.algorithm, "key": key, "signature": signature}
        members |= {"manifest.json": manifest, "signature.json": spelled(said)}
        self.after(members)
        return members

    def file(self) -> bytes:
        """The zip."""
        return zipped(list(self.all().items()), self.method)


def spelled(value: Any) -> bytes:
    """Canonical JSON (RFC 8785), as far as the suite needs it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=True).encode()


def zipped(members: list[tuple[str, bytes]], method: int = ZIP_STORED, mode: int = 0o100600) -> bytes:
    """A plain zip, without any clock in it."""
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for name, content in members:
            entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, mode << 16
            entry.compress_type = method if name == "cubes.jsonl" else ZIP_STORED
            archive.writestr(entry, content)
    return out.getvalue()


def raw_zip(
    members: list[tuple[str, bytes]],
    *,
    method: int = 0,
    tail: bytes = b"",
    local_crc: int | None = None,
    local_size: int | None = None,
    local_method: int | None = None,
    local_name: bytes | None = None,
    local_extra: bytes = b"",
    local_64: bool = False,
    extra: bytes = b"",
    disk: int = 0,
    attributes: int = 0o100600 << 16,
    end_64: bytes | None = None,
    needs_64: int = 45,
) -> bytes:
    """A zip put together by hand; what is said besides is said of its first member. `end_64`: with a ZIP64 end."""
    out = directory = b""
    for number, (member, content) in enumerate(members):
        first, name, crc = not number, member.encode(), zlib.crc32(content)
        engine = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = engine.compress(content) + engine.flush() if first and method else content
        packed += tail if first else b""
        place, sizes = len(out), (len(packed), len(content))
        said = crc, *sizes
        if first:
            said = crc if local_crc is None else local_crc, *(sizes if local_size is None else (local_size,) * 2)
        more = local_extra if first else b""
        if first and local_64:
            said, more = (crc, 0xFFFFFFFF, 0xFFFFFFFF), struct.pack("<2H2Q", 1, 16, sizes[1], sizes[0])
        how = method if first else 0
        shown = name if not first or local_name is None else local_name
        told = how if not first or local_method is None else local_method
        out += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, told, 0, 0x21, *said, len(shown), len(more)) + shown + more
        out += packed
        beside = extra if first else b""
        shown_as = attributes if first else 0o100600 << 16
        numbers = (len(name), len(beside), 0, disk if first else 0, 0, shown_as, place)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 0x314, 20, 0, how, 0, 0x21, crc, *sizes, *numbers)
        directory += name + beside
    count, place, size = len(members), len(out), len(directory)
    if end_64 is None:
        return out + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, place, 0)
    record = (
        struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44 + len(end_64), 45, needs_64, 0, 0, count, count, size, place) + end_64
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return out + directory + record + locator + end


def sealed(content: bytes, reader: X25519PrivateKey = READER) -> bytes:
    """A sealed bundle, with a key that is always the same: never do that elsewhere."""
    fresh, theirs = FRESH.public_key().public_bytes_raw(), reader.public_key().public_bytes_raw()
    agreed = FRESH.exchange(reader.public_key())
    cipher = ChaCha20Poly1305(HKDF(SHA256(), 32, fresh + theirs, b"MIP-1 seal key\n").derive(agreed))
    chunks = [content[at : at + 65536] for at in range(0, len(content), 65536)] or [b""]
    parts = [
        cipher.encrypt(number.to_bytes(11, "big") + bytes([number + 1 == len(chunks)]), chunk, None)
        for number, chunk in enumerate(chunks)
    ]
    return b"MIP-1 sealed\n" + fresh + b"".join(parts)


def made(change: Change = lambda bundle: None, *memories: Record | bytes) -> bytes:
    """The file of a bundle that was changed before it was signed."""
    bundle = Bundle(*memories)
    change(bundle)
    return bundle.file()


def with_manifest(**fields: Any) -> bytes:
    """A bundle whose manifest says something else, signed."""
    return made(lambda bundle: bundle.manifest.update(fields))


def with_record(**fields: Any) -> bytes:
    """A bundle of one memory that says something else."""
    return made(lambda bundle: None, memory() | fields)


def with_adapter(content: bytes, *, named: bool = True) -> bytes:
    """A bundle with a memory and an adapter that was made of it."""
    bundle = Bundle()
    if named:
        bundle.needs("parameter")
    payload = {"kind": "parameter", "adapter": bundle.blob(content), "base": MODEL}
    bundle.add(memory(2, payload=payload, provenance={"derived_from": [{"id": memory()["id"], "version": 1}]}))
    return bundle.file()


def with_cache(content: bytes) -> bytes:
    """A bundle with a memory and a KV cache that was made of it."""
    bundle = Bundle()
    bundle.needs("activation")
    payload = {
        "kind": "activation",
        "segments": [bundle.blob(content)],
        "token_ids_digest": "0" * 64,
        "token_count": 3,
        "fingerprint": MODEL,
    }
    bundle.add(memory(2, payload=payload, provenance={"derived_from": [{"id": memory()["id"], "version": 1}]}))
    return bundle.file()


def good() -> dict[str, tuple[bytes, int, int, dict[str, int], Record]]:
    """Name -> file, memories, versions, declined, what the reader knows besides."""
    plain = made()
    versions = [memory(), memory(text="The ward has 14 beds.", version=2)]
    derived = memory(2, provenance={"derived_from": [{"id": memory()["id"], "version": 1}]})
    blob = Bundle()
    caption = {"kind": "plaintext", "text": "A plan.", "blob": blob.blob(b"\x89PNG", "image/png")}
    blob.add(memory(2, payload=caption))
    lists = Bundle()
    lists.members = {
        "access_log.jsonl": entry() + b"\n",
        "redactions.jsonl": spelled({"id": "x", "version": 1, "removed": ["phone"]}) + b"\n",
        "declined.jsonl": spelled({"id": "y", "why": "not_shared"}) + b"\n",
    }
    lists.needs("access_log", "redactions")
    deflated = Bundle(*(memory(number, f"Fact {number}.") for number in range(1, 4)))
    deflated.method = ZIP_DEFLATED
    odd = memory(2, text='\u20ac \U0001f600 "quoted": \\ \u2028', tags=None)
    del odd["tags"]
    structured = memory(3, payload={"kind": "plaintext", "text": "", "value": {"a": [1, 2.5, None], "\u00e9": True}})
    later = lambda bundle: bundle.manifest.update(mip="1.1")  # noqa: E731
    fits = {"models": [MODEL]}
    return {
        "plain": (plain, 1, 1, {}, {}),
        "history": (made(lambda b: b.needs("history"), *versions), 1, 2, {}, {}),
        "derived": (made(lambda b: None, memory(), derived), 2, 2, {}, {}),
        "blob": (blob.file(), 2, 2, {}, {}),
        "lists": (lists.file(), 1, 1, {}, {}),
        "deflated": (deflated.file(), 3, 3, {}, {}),
        "odd-texts": (made(lambda b: None, memory(), odd, structured), 3, 3, {}, {}),
        "empty": (made(_no_memories), 0, 0, {}, {}),
        "adapter-fits": (with_adapter(tensors([1.0, 2.0])), 2, 2, {}, fits),
        "adapter-declined": (with_adapter(tensors([1.0, 2.0])), 2, 2, {"fingerprint": 1}, {}),
        "cache-fits": (with_cache(tensors([1.0])), 2, 2, {}, fits),
        "cache-declined": (with_cache(tensors([1.0])), 2, 2, {"fingerprint": 1}, {}),
        "version-1.1": (made(later), 1, 1, {}, {}),
        "any-purpose": (with_manifest(purpose="research"), 1, 1, {}, {"purposes": None}),
        "last-moment": (plain, 1, 1, {}, {"now": "2026-03-09T09:00:00+00:00"}),
        "sealed": (sealed(plain), 1, 1, {}, {}),
    } | _odd_but_good()


_NO_DURATIONS = (
    ("words", "1 day"), ("clock", "1:00:00"), ("none", "PT0S"), ("below", "-P1D"), ("empty", "P"), ("open", "P1DT"),
    ("comma", "PT1,5S"), ("order", "P1D1Y"), ("number", 86_400), ("hours", "PT1000000H"), ("seconds", "PT100000000S"),
)  # fmt: skip


def _fading(half_life: object) -> Record:
    return {"owner": "user:ana", "half_life": half_life}


def _odd_but_good() -> dict[str, tuple[bytes, int, int, dict[str, int], Record]]:
    """What an outsider may write, although we do not."""
    members = list(Bundle().all().items())
    brackets = memory(2, text="[" * 80 + '"{"\\"[[')
    deepest = memory(3, payload={"kind": "plaintext", "text": "", "value": _nested(62)})
    gone = Bundle()
    gone.members["deletions.jsonl"] = spelled({"id": "x", "at": "2026-03-01T09:00:00Z"}) + b"\n"
    gone.manifest["mip"] = "1.1"
    gone.needs("deletions")
    numbers = {"low": -(1 << 63), "high": (1 << 63) - 1, "part": 1e300}
    value = memory(2, payload={"kind": "plaintext", "text": "", "value": numbers})
    spans = "P1D", "P2W", "P1Y2M3D", "PT90M", "P1DT0.5S", "PT1H1M1.000001S"
    offered = memory(governance=_offered({"to": ["user:ben"], "uses_left": 1}))
    fading = [memory(number, governance=_fading(span)) for number, span in enumerate(spans, 1)]
    books = memory(2, namespace=["clinic-a", "memstore", "publications"])
    books["descriptive"] = books["descriptive"] | {"semantic_type": "item"}
    books["payload"] = {"kind": "plaintext", "text": "", "value": {"key": "k", "value": {}}}
    return {
        "time-of-javascript": (with_manifest(created_at="2026-03-02T09:00:00.000Z"), 1, 1, {}, {}),
        "time-with-nanoseconds": (with_manifest(created_at="2026-03-02T09:00:00.123456789Z"), 1, 1, {}, {}),
        "time-with-offset": (with_manifest(expires_at="2026-03-09T09:00:00+00:00"), 1, 1, {}, {}),
        "zip64-end": (raw_zip(members, end_64=b""), 1, 1, {}, {}),
        "zip64-member": (raw_zip(members, local_64=True), 1, 1, {}, {}),
        "brackets-in-text": (made(lambda b: None, memory(), brackets, deepest), 3, 3, {}, {}),
        "numbers": (made(lambda b: None, memory(), value), 2, 2, {}, {}),
        "durations": (made(lambda b: None, *fading), len(fading), len(fading), {}, {}),
        "licences-apart": (made(lambda b: None, offered), 1, 1, {}, {}),
        "deletions": (gone.file(), 1, 1, {}, {}),
        "books-reserved": (made(lambda b: None, memory(), books), 2, 2, {"reserved": 1}, {}),
    } | _taken_apart()


def _taken_apart() -> dict[str, tuple[bytes, int, int, dict[str, int], Record]]:
    """Of which a reader takes some, and says why not the others."""
    here = memory()["id"]
    gone, foreign, past = Bundle(), Bundle(), Bundle()
    gone.members["deletions.jsonl"] = spelled({"id": here, "at": "2026-03-01T09:00:00Z"}) + b"\n"
    gone.manifest["mip"] = "1.1"
    gone.needs("deletions")
    gone.add(_derived(2, here))
    for bundle in (foreign, past):
        bundle.needs("parameter", "history")
    foreign.add(memory(2, payload=_adapter(foreign, [1.0]), provenance=_derived(2, here)["provenance"]))
    foreign.add(_derived(3, memory(2)["id"]))
    past.add(memory(2, payload=_adapter(past, [1.0])))
    past.add(memory(2, version=2))
    short = Bundle()
    short.needs("parameter")
    payload = _adapter(short, [1.0])
    short.add(memory(2, payload=payload | {"base": {name: said for name, said in MODEL.items() if name != "adapters"}}))
    items = [
        memory(
            number, "", namespace=["clinic-a", place], descriptive=memory()["descriptive"] | {"semantic_type": "item"}
        )
        | {"payload": {"kind": "plaintext", "text": "", "value": {"key": "k", "value": {"n": number}}}}
        for number, place in ((1, "a"), (2, "b"), (3, "a"))
    ]
    nul = memory(2, payload={"kind": "plaintext", "text": "", "value": {"a\0": ["\0"]}})
    top = memory(3, payload={"kind": "plaintext", "text": "", "value": "\0"})
    older = [_derived(2, here), memory(2, "The ward has 14 beds.", version=2)]
    return {
        "deletions-of-its-own": (gone.file(), 2, 2, {"forgotten": 1, "source_missing": 1}, {}),
        "adapter-declined-derived": (foreign.file(), 3, 3, {"fingerprint": 1, "source_missing": 1}, {}),
        "adapter-in-the-past": (past.file(), 2, 3, {"fingerprint": 1}, {}),
        "adapter-of-a-short-name": (short.file(), 2, 2, {}, {"models": [MODEL]}),
        "items-at-one-address": (made(lambda b: None, *items), 3, 3, {"address_taken": 1}, {}),
        "value-nul": (made(lambda b: None, memory(), nul, top), 3, 3, {}, {}),
        "derived-in-the-past": (made(lambda b: b.needs("history"), memory(), *older), 2, 3, {}, {}),
    }


def _derived(number: int, source: str, version: int = 1) -> Record:
    return memory(number, provenance={"derived_from": [{"id": source, "version": version}]})


def _adapter(bundle: Bundle, numbers: list[float]) -> Record:
    return {"kind": "parameter", "adapter": bundle.blob(tensors(numbers)), "base": MODEL}


def _no_memories(bundle: Bundle) -> None:
    bundle.lines, bundle.ending = [], b""


def hostile() -> dict[str, tuple[bytes, str, Record]]:
    """Name -> file, codes, what the reader knows besides."""
    found: dict[str, tuple[bytes, str, Record]] = {}
    for part in (_files(), _hidden(), _manifests(), _members(), _records(), _almost(), _computed(), _sealed()):
        found |= {name: (*said, {}) if len(said) == 2 else said for name, said in part.items()}  # type: ignore[misc]
    return found


def _files() -> dict[str, Any]:
    plain, members = made(), Bundle().all()
    several = list(members.items())
    end = struct.unpack("<L", plain[-6:-2])[0]
    entry_of = plain.index(b"PK\x01\x02")
    commented = BytesIO(plain)
    with ZipFile(commented, "a") as archive:
        archive.comment = b"hello"
    bomb = Bundle()
    bomb.method, bomb.lines = ZIP_DEFLATED, [bytes(4 << 20)]
    link = [(name, content) for name, content in several]
    lzma = zipped(several, ZIP_LZMA)
    flagged = bytearray(plain)
    flagged[entry_of + 8] |= 1
    local = bytearray(plain)
    local[6] |= 1
    gap = plain[:end] + b"hidden" + plain[end:-6] + struct.pack("<LH", end + 6, 0)
    doubled = plain[entry_of : plain.index(b"PK\x01\x02", entry_of + 4)]
    count = struct.unpack("<H", plain[-12:-10])[0] + 1
    size = struct.unpack("<L", plain[-10:-6])[0] + len(doubled)
    twice = plain[:end] + doubled + plain[end:-22] + plain[-22:-14] + struct.pack("<2H2LH", count, count, size, end, 0)

    def more(name: str) -> bytes:
        return zipped([*several, (name, b"x")])

    return {
        "file-empty": (b"", "malformed"),
        "file-pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.", "malformed"),
        "file-cut-short": (plain[:-1], "malformed"),
        "file-cut-in-half": (plain[: len(plain) // 2], "malformed"),
        "file-script-before": (b"#!/bin/sh\n" + plain, "malformed"),
        "file-bytes-behind": (plain + b"behind", "malformed"),
        "file-comment": (commented.getvalue(), "malformed"),
        "file-gap-before-directory": (gap, "malformed"),
        "entry-overlapping": (twice, "malformed members_differ"),
        "entry-encrypted": (bytes(flagged), "malformed"),
        "entry-local-flag": (bytes(local), "malformed"),
        "entry-link": (zipped(link, mode=0o120777), "malformed"),
        "entry-lzma": (lzma, "algorithm malformed"),
        "entry-bomb": (bomb.file(), "too_large"),
        "name-unknown": (more("extra.jsonl"), "unsafe_name"),
        "name-escape": (more("../../etc/passwd"), "unsafe_name"),
        "name-absolute": (more("/etc/passwd"), "unsafe_name"),
        "name-backslash": (more("blobs\\..\\x"), "unsafe_name"),
        "name-case": (more("CUBES.jsonl"), "unsafe_name"),
        "name-pickle": (more("payload.pkl"), "unsafe_name"),
        "name-nul": (more("cubes.jsonl-txt").replace(b"cubes.jsonl-txt", b"cubes.jsonl\0txt"), "unsafe_name malformed"),
        "name-folder": (more("blobs/"), "unsafe_name"),
    }


def _hidden() -> dict[str, Any]:
    """Bytes that no digest covers, and headers that say two things."""
    members = list(Bundle().all().items())
    more = struct.pack("<2H", 0x9999, 600) + b"H" * 600
    return {
        f"hidden-{name}": (raw_zip(members, **how), "malformed")
        for name, how in {
            "behind-stored": {"tail": b"HIDDEN"},
            "behind-deflated": {"tail": b"HIDDEN", "method": 8},
            "in-extra-field": {"extra": more},
            "in-local-extra-field": {"local_extra": more},
            "in-zip64-end": {"end_64": b"H" * 100},
            "local-crc": {"local_crc": 1},
            "local-size": {"local_size": 7},
            "local-method": {"local_method": 8},
            "local-name": {"local_name": b"CUBES.jsonl"},
            "disk": {"disk": 1},
            "folder-of-dos": {"attributes": 0x10},
            "zip64-end-needs": {"end_64": b"", "needs_64": 63},
        }.items()
    }


def _manifests() -> dict[str, Any]:
    def signer(bundle: Bundle) -> None:
        bundle.signer = STRANGER

    def flipped(members: Members) -> None:
        said = json.loads(members["signature.json"])
        said["signature"] = ("0" if said["signature"][0] != "0" else "1") + said["signature"][1:]
        members["signature.json"] = spelled(said)

    def named(bundle: Bundle) -> None:
        bundle.signer = STRANGER
        bundle.manifest["key"] = STRANGER.public_key().public_bytes_raw().hex()

    def changed(old: bytes, new: bytes) -> bytes:
        return made(lambda bundle: setattr(bundle, "respell", lambda content: content.replace(old, new)))

    def after(change: Callable[[Members], object]) -> bytes:
        return made(lambda bundle: setattr(bundle, "after", change))

    def first(content: bytes) -> bytes:
        return b'{"mip":"1.0",' + content[1:].replace(b'"mip":"1.0",', b"")

    covers = {"replica": "r", "after": 0, "to": 1}
    when = memory()["descriptive"]["created_at"]
    return {
        "unsigned": (after(lambda members: members.pop("signature.json")), "unsigned"),
        "manifest-missing": (after(lambda members: members.pop("manifest.json")), "malformed"),
        "signature-flipped": (after(flipped), "bad_signature"),
        "signature-of-another": (made(signer), "bad_signature"),
        "signature-stranger": (made(named), "unknown_key"),
        "signature-none": (made(lambda bundle: setattr(bundle, "algorithm", "none")), "algorithm"),
        "signature-hmac": (made(lambda bundle: setattr(bundle, "algorithm", "hs256")), "algorithm"),
        "manifest-changed": (
            after(lambda m: m.update({"manifest.json": m["manifest.json"].replace(b"transfer", b"research")})),
            "bad_signature",
        ),
        "recipient-another": (with_manifest(recipient="clinic-c"), "not_yours"),
        "purpose-another": (with_manifest(purpose="research"), "purpose"),
        "time-over": (made(), "expired", {"now": "2026-03-09T09:00:01+00:00"}),
        "time-ahead": (made(), "not_yet", {"now": "2026-03-02T08:54:59+00:00"}),
        "time-backwards": (with_manifest(expires_at="2026-03-02T09:00:00Z"), "malformed"),
        "time-not-in-utc": (with_manifest(created_at="2026-03-02T11:00:00+02:00"), "malformed"),
        "time-number": (with_manifest(created_at=1772442000), "malformed"),
        "issuer-nul": (with_manifest(issuer="a\0b"), "malformed"),
        "field-null": (with_manifest(covers=None), "malformed"),
        "schema-0": (with_manifest(cube_schema=0), "malformed"),
        "time-naive": (with_manifest(created_at="2026-03-02T09:00:00"), "malformed"),
        "replayed": (with_manifest(bundle="f" * 32), "replayed"),
        "version-2": (with_manifest(mip="2.0"), "version"),
        "version-later": (with_manifest(mip="1.9"), "version"),
        "version-garbage": (with_manifest(mip="one"), "malformed"),
        "version-1.0-clocks": (
            _beside("clocks", {"id": memory()["id"], "vector": {"r": 1}, "at": when, "by": "r"}),
            "malformed",
        ),
        "version-1.0-deletions": (_beside("deletions", {"id": "x", "at": when}), "malformed"),
        "capability-deletions": (_beside("deletions", {"id": "x", "at": when}, mip="1.1"), "capability"),
        "capability-access-log": (_beside("access_log", entry()), "capability"),
        "capability-redactions": (_beside("redactions", {"id": "x", "version": 1, "removed": ["email"]}), "capability"),
        "capability-history": (made(lambda bundle: None, memory(), memory(version=2)), "capability"),
        "version-1.0-covers": (with_manifest(covers=covers), "malformed"),
        "series": (with_manifest(mip="1.1", covers=covers, requires=["clocks", "text"]), "capability"),
        "schema-later": (with_manifest(cube_schema=99), "version"),
        "digest-md5": (with_manifest(digest="md5"), "algorithm"),
        "manifest-signature-none": (with_manifest(signature="none"), "algorithm"),
        "capability-unknown": (with_manifest(requires=["telepathy", "text"]), "capability"),
        "field-unknown": (with_manifest(extra=1), "malformed"),
        "bundle-path": (with_manifest(bundle="../../../etc/passwd"), "malformed"),
        "manifest-spaces": (changed(b'"mip":', b'"mip": '), "malformed"),
        "manifest-no-version": (changed(b'"mip":"1.0",', b""), "malformed"),
        "manifest-order": (made(lambda bundle: setattr(bundle, "respell", first)), "malformed"),
        "manifest-name-twice": (changed(b'"mip":', b'"mip":"1.0","mip":'), "malformed"),
        "manifest-nan": (changed(b'"cube_schema":1', b'"cube_schema":NaN'), "malformed"),
        "manifest-fraction": (changed(b'"cube_schema":1', b'"cube_schema":1.0'), "malformed"),
        "manifest-deep": (changed(b'"cube_schema":1', b'"cube_schema":' + b"[" * 70 + b"]" * 70), "malformed"),
        "manifest-latin": (changed(b"clinic-a", b"clinic-\xe9"), "malformed"),
        "manifest-list": (made(lambda bundle: setattr(bundle, "respell", lambda content: b"[]")), "malformed"),
    }


def _beside(name: str, said: Record | bytes, **manifest: Any) -> bytes:
    """A bundle with a list of which its manifest does not say that it is there."""
    bundle = Bundle()
    bundle.members[f"{name}.jsonl"] = (said if isinstance(said, bytes) else spelled(said)) + b"\n"
    bundle.manifest |= manifest
    return bundle.file()


def _members() -> dict[str, Any]:
    def told(change: Callable[[list[Record]], object]) -> bytes:
        return made(lambda bundle: setattr(bundle, "retell", change))

    def after(change: Callable[[Members], object]) -> bytes:
        return made(lambda bundle: setattr(bundle, "after", change))

    other = Bundle()
    other.members["blobs/" + "0" * 64] = b"not that"
    counted = Bundle()
    picture = {"kind": "plaintext", "text": "A plan.", "blob": counted.blob(b"\x89PNG", "image/png")}
    counted.add(memory(2, payload=picture))
    counted.retell = lambda said: [each.update(records=5) for each in said if each["name"].startswith("blobs/")]
    extra = {"name": "declined.jsonl", "size": 0, "sha256": sha256(b"").hexdigest(), "records": 0}
    return {
        "member-not-told": (after(lambda members: members.update({"redactions.jsonl": b"{}\n"})), "members_differ"),
        "member-not-there": (told(lambda said: said.append(extra)), "members_differ"),
        "member-told-twice": (told(lambda said: said.append(said[0])), "malformed"),
        "member-cubes-missing": (after(lambda members: members.pop("cubes.jsonl")), "members_differ"),
        "member-cubes-not-told": (told(lambda said: said.clear()), "malformed"),
        "member-changed": (
            after(lambda m: m.update({"cubes.jsonl": m["cubes.jsonl"].replace(b"12", b"13")})),
            "digest_differs",
        ),
        "member-size": (told(lambda said: said[0].update(size=1)), "digest_differs"),
        "member-records": (told(lambda said: said[0].update(records=7)), "malformed"),
        "member-no-last-line": (made(lambda bundle: setattr(bundle, "ending", b"")), "malformed"),
        "member-blob-name": (other.file(), "digest_differs"),
        "member-blob-records": (counted.file(), "malformed"),
        "member-field-unknown": (told(lambda said: said[0].update(extra=1)), "malformed"),
        "member-records-true": (told(lambda said: said[0].update(records=True)), "malformed"),
    }


def _records() -> dict[str, Any]:
    lines = spelled(memory())

    def raw(old: bytes, new: bytes) -> bytes:
        return made(lambda bundle: None, lines.replace(old, new))

    def derived(cube_id: str, version: int) -> Record:
        return memory(2, provenance={"derived_from": [{"id": cube_id, "version": version}]})

    def two(one: Record, other: Record) -> bytes:
        return made(lambda bundle: bundle.needs("history"), one, other)

    def listed(name: str, line: bytes) -> bytes:
        return made(lambda bundle: bundle.members.update({f"{name}.jsonl": line + b"\n"}))

    lost = {"kind": "plaintext", "text": "x", "blob": {"digest": "0" * 64, "size": 3, "media_type": "x/y"}}
    here = memory()["id"]
    when = memory()["descriptive"]["created_at"]

    def clock(**more: Any) -> tuple[bytes, str]:
        told = {"id": here, "vector": {"r": 1}, "at": when, "by": "r"} | more
        line = {"clocks.jsonl": spelled(told) + b"\n"}
        said = {"mip": "1.1", "requires": ["clocks", "text"]}
        return made(lambda bundle: (bundle.members.update(line), bundle.manifest.update(said))), "record"

    return {
        "record-no-json": (made(lambda bundle: None, b"not json"), "record"),
        "record-list": (made(lambda bundle: None, b"[]"), "record"),
        "record-name-twice": (raw(b'"schema":', b'"schema":1,"schema":'), "record"),
        "record-name-twice-inside": (raw(b'"text":', b'"text":"Good.","text":'), "record"),
        "record-nan": (raw(b'"version":1', b'"version":NaN'), "record"),
        "record-deep": (with_record(payload={"kind": "plaintext", "text": "x", "value": _nested(80)}), "record"),
        "record-field-unknown": (with_record(unknown=1), "record"),
        "record-field-missing": (
            made(lambda bundle: None, {k: v for k, v in memory().items() if k != "governance"}),
            "record",
        ),
        "record-version-0": (with_record(version=0), "record"),
        "record-namespace-empty": (with_record(namespace=[]), "record"),
        "record-payload-no-kind": (with_record(payload={"text": "x"}), "record"),
        "record-payload-kind": (with_record(payload={"kind": "pickle", "text": "x"}), "record"),
        "record-payload-nothing": (with_record(payload={"kind": "plaintext", "text": " "}), "record"),
        "record-text-nul": (with_record(payload={"kind": "plaintext", "text": "x\0"}), "record"),
        "record-latin": (raw(b"beds", b"b\xe9ds"), "record"),
        "record-state": (with_record(state="immortal"), "record"),
        "versions-gap": (two(memory(), memory(version=3)), "record"),
        "versions-not-from-1": (two(memory(version=2), memory(version=3)), "record"),
        "versions-twice": (two(memory(), memory()), "record"),
        "memory-twice": (made(lambda bundle: None, memory(), memory(2), memory()), "record"),
        "lineage-missing": (made(lambda bundle: None, memory(), derived("elsewhere", 1)), "lineage"),
        "lineage-version": (made(lambda bundle: None, memory(), derived(here, 2)), "lineage"),
        "lineage-before": (made(lambda bundle: None, derived(here, 1), memory()), "lineage"),
        "lineage-past-missing": (two(derived("elsewhere", 1), memory(2, version=2)), "lineage"),
        "lineage-past-itself": (two(derived(memory(2)["id"], 1), memory(2, version=2)), "lineage"),
        "lineage-itself": (with_record(provenance={"derived_from": [{"id": here, "version": 1}]}), "lineage"),
        "log-hash": (listed("access_log", entry(hash="b" * 64)), "record"),
        "log-renumbered": (listed("access_log", entry(number=8).replace(b'"number":8', b'"number":9')), "record"),
        "log-changed": (listed("access_log", entry().replace(b"user:ana", b"user:eve")), "record"),
        "log-respelled": (listed("access_log", entry().replace(b"09:00:00Z", b"10:00:00+01:00")), "record"),
        "log-outcome": (listed("access_log", entry(said={"outcome": "perhaps"})), "record"),
        "log-tenant": (listed("access_log", entry(said={"tenant": None})), "record"),
        "log-actor": (listed("access_log", entry(said={"actor": 7})), "record"),
        "log-time": (listed("access_log", entry(said={"at": "today"})), "record"),
        "log-field-unknown": (listed("access_log", entry(said={"x": 1})), "record"),
        "log-previous": (listed("access_log", entry(previous="a" * 63)), "record"),
        "log-number-0": (listed("access_log", entry(number=0)), "record"),
        "log-number-2-53": (listed("access_log", entry(number=1 << 53)), "record"),
        "log-version-0": (listed("access_log", entry(said={"version": 0})), "record"),
        "log-version-2-53": (listed("access_log", entry(said={"version": 1 << 53})), "record"),
        "log-reason-nul": (listed("access_log", entry(said={"reason": "x\0"})), "record"),
        "clocks-moved-text": clock(moved="x"),
        "clocks-moved-nothing": clock(moved={}),
        "clocks-moved-by": clock(moved={"at": when, "by": "r" * 65}),
        "clocks-vector-25": clock(vector={f"{number:016x}": 1 for number in range(25)}),
        "redactions-no-json": (listed("redactions", b"{"), "record"),
        "redactions-version-2-53": (
            listed("redactions", spelled({"id": "x", "version": 1 << 53, "removed": []})),
            "record",
        ),
        "redactions-field": (listed("redactions", spelled({"id": "x", "version": 1})), "record"),
        "declined-name-twice": (listed("declined", b'{"id":"x","id":"y","why":"not_shared"}'), "record"),
        "blob-missing": (with_record(payload=lost), "members_differ"),
    }


def _almost() -> dict[str, Any]:
    """Records that a kind reader would take for memories."""
    lines, said = spelled(memory()), memory()["descriptive"]
    large = Bundle(memory(text=LARGE))
    large.method = ZIP_DEFLATED

    def raw(old: bytes, new: bytes) -> tuple[bytes, str]:
        return made(lambda bundle: None, lines.replace(old, new)), "record"

    def at(time: Any) -> tuple[bytes, str]:
        return with_record(descriptive=said | {"created_at": time}), "record"

    def valued(value: Any) -> tuple[bytes, str]:
        return with_record(payload={"kind": "plaintext", "text": "x", "value": value}), "record"

    return {
        "record-version-text": (with_record(version="1"), "record"),
        **{
            f"record-duration-{name}": (with_record(governance=_fading(said)), "record") for name, said in _NO_DURATIONS
        },
        "record-version-fraction": (with_record(version=1.0), "record"),
        "record-version-true": (with_record(version=True), "record"),
        "record-version-2-53": (with_record(version=1 << 53), "record"),
        "record-version-2-63": (with_record(version=1 << 63), "record"),
        "record-reads-2-53": (with_record(behaviour={"reads": 1 << 53}), "record"),
        "record-uses-left-2-53": (
            with_record(governance={"owner": "user:ana", "licence": {"uses_left": 1 << 53}}),
            "record",
        ),
        "record-beside-time": (
            with_record(behaviour={"beside": [{"uses": 1, "licence": {"until": "2026-03-01 09:00:00Z"}}]}),
            "record",
        ),
        "record-digest": (with_record(payload=_cache("0" * 63 + "g")), "record"),
        "record-digest-line-break": (with_record(payload=_cache("0" * 64 + "\n")), "record"),
        "record-number-2-64": valued(1 << 64),
        "record-number-infinite": raw(b'"text":', b'"value":1e400,"text":'),
        "record-deep-63": valued(_nested(63)),
        "record-schema-2": (with_record(schema=2), "record"),
        "record-time-number": at(1772442000),
        "record-time-naive": at("2026-03-01T09:00:00"),
        "record-time-space": at("2026-03-01 09:00:00Z"),
        "record-text-large": (large.file(), "record"),
        "record-valid-backwards": (
            with_record(descriptive=said | {"valid_from": "2026-03-02T09:00:00Z", "valid_to": "2026-03-01T09:00:00Z"}),
            "record",
        ),
        "record-private-readers": (with_record(governance={"owner": "user:ana", "readers": ["user:ben"]}), "record"),
        "record-licence-for-nobody": (with_record(governance=_offered({"uses_left": 1})), "record"),
        "record-licence-nested": (
            with_record(governance=_offered({"to": ["user:ben"], "apart": [{"to": ["user:cat"]}]})),
            "record",
        ),
        "record-surrogate": raw(b"The ward", b"\\ud800"),
        "record-id-blank": (with_record(id=" "), "record"),
        "record-namespace-blank": (with_record(namespace=["clinic-a", " "]), "record"),
    }


def _cache(tokens: str) -> Record:
    """A payload whose blob is nowhere, which is seen later than what it says."""
    blob = {"digest": "0" * 64, "size": 3}
    return {
        "kind": "activation",
        "segments": [blob],
        "token_ids_digest": tokens,
        "token_count": 1,
        "fingerprint": MODEL,
    }


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _computed() -> dict[str, Any]:
    wide = '{"t":{"dtype":"F32","shape":[9],"data_offsets":[0,8]}}'
    shifted = '{"t":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}'
    both = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    scalar = '{"t":{"dtype":"F32","shape":"","data_offsets":[0,4]}}'
    half = '{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    pickle = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."
    return {
        "adapter-not-said": (with_adapter(tensors([1.0]), named=False), "capability"),
        "adapter-nan": (with_adapter(tensors([1.0, float("nan")])), "tensors"),
        "adapter-infinite": (with_adapter(tensors([float("inf")])), "tensors"),
        "adapter-pickle": (with_adapter(pickle), "tensors malformed"),
        "adapter-nothing": (with_adapter(b""), "tensors"),
        "adapter-behind": (with_adapter(tensors([1.0, 2.0], behind=b"x")), "tensors"),
        "adapter-cut": (with_adapter(tensors([1.0, 2.0])[:-1]), "tensors"),
        "adapter-shape": (with_adapter(tensors([1.0, 2.0], wide)), "tensors"),
        "adapter-gap": (with_adapter(tensors([1.0, 2.0], shifted)), "tensors"),
        "adapter-overlap": (with_adapter(tensors([1.0, 2.0], both)), "tensors"),
        "adapter-huge-header": (with_adapter(struct.pack("<Q", 1 << 62) + b"{}"), "tensors"),
        "adapter-dtype": (with_adapter(tensors([1.0, 2.0], wide.replace("F32", "OBJ"))), "tensors"),
        "adapter-dtype-list": (with_adapter(tensors([1.0, 2.0], wide.replace('"F32"', "[]"))), "tensors"),
        "adapter-shape-negative": (with_adapter(tensors([1.0, 2.0], wide.replace("[9]", "[-1,-2]"))), "tensors"),
        "adapter-shape-text": (with_adapter(tensors([1.0], scalar)), "tensors"),
        "adapter-shape-fraction": (with_adapter(tensors([1.0, 2.0], wide.replace("[9]", "[2.0]"))), "tensors"),
        "adapter-name-surrogate": (with_adapter(tensors([1.0], half)), "tensors"),
        "adapter-past-nan": (_past([float("nan")], "parameter"), "tensors"),
        "adapter-past-not-said": (_past([1.0]), "capability"),
        "cache-nan": (with_cache(tensors([float("nan")])), "tensors"),
        "cache-foreign-nan": (with_cache(tensors([float("-inf")])), "tensors", {"models": [MODEL]}),
    }


def _past(numbers: list[float], *needs: str) -> bytes:
    """A bundle of a memory that was an adapter once."""
    bundle = Bundle()
    bundle.needs("history", *needs)
    bundle.add(memory(2, payload=_adapter(bundle, numbers)))
    bundle.add(memory(2, version=2))
    return bundle.file()


def _sealed() -> dict[str, Any]:
    whole = sealed(made())
    flipped = bytearray(whole)
    flipped[100] ^= 1
    return {
        "sealed-for-another": (sealed(made(), OTHER), "sealed"),
        "sealed-no-key": (whole, "sealed", {"seal_key": None}),
        "sealed-flipped": (bytes(flipped), "sealed"),
        "sealed-cut": (whole[:-1], "sealed"),
        "sealed-head-only": (whole[:45], "sealed"),
        "sealed-nothing": (whole[:20], "sealed"),
        "sealed-hostile": (sealed(with_manifest(recipient="clinic-c")), "not_yours"),
    }


def suite() -> tuple[Record, Members]:
    """`vectors.json`, and the files."""
    vectors: list[Record] = []
    files: Members = {}
    for name, (content, memories, versions, declined, knows) in good().items():
        said = {"verdict": "accepted", "memories": memories, "versions": versions, "declined": declined}
        vectors.append(_told(f"good-{name}", said, knows, files, content))
    for name, (content, codes, knows) in hostile().items():
        said = {"verdict": "refused", "codes": codes.split()}
        vectors.append(_told(f"bad-{name}", said, knows, files, content))
    return {"mip": "1.1", "knows": KNOWS, "vectors": vectors}, files


def _told(name: str, said: Record, knows: Record, files: Members, content: bytes) -> Record:
    digest = f"{zlib.crc32(content):08x}"
    files[f"{name}.mip"] = content
    vector = {"name": name, "file": f"{name}.mip", "crc32": digest} | copy.deepcopy(said)
    if "sealed" in name:
        vector["optional"] = True
    return vector | ({"knows": knows} if knows else {})


def write() -> None:
    """Put the suite where it belongs."""
    told, files = suite()
    folder = HERE / "vectors"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.mip"):
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (HERE / "vectors.json").write_text(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def _offered(apart: dict[str, Any]) -> dict[str, Any]:
    return {"owner": "user:ana", "licence": {"apart": [apart]}}


if __name__ == "__main__":
    write()
