"""Checks an audit log, proofs and receipts; needs `cryptography`, nothing of the package. Exit 0: all holds, 1: not.

python verifier.py log VAULT.db --public KEY_HEX [--anchor FILE]
python verifier.py proof PROOF.json --public KEY_HEX (or: note NOTE)
"""

from __future__ import annotations

import argparse
import base64
import json
import sqlite3
import sys
from binascii import hexlify
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    """Something does not hold; the message says what."""


def node(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def folded(peaks: list[bytes]) -> bytes:
    """The root over the peaks of whole subtrees, largest first."""
    root = peaks[-1] if peaks else sha256().digest()
    for peak in reversed(peaks[:-1]):
        root = node(peak, root)
    return root


def walk(database: str, sizes: set[int]) -> tuple[int, dict[int, bytes]]:
    """Walk the chain of a log: how many entries it has, and its roots at *sizes* (and at its end)."""
    connection = sqlite3.connect(f"{Path(database).resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytes
    peaks: list[bytes] = []
    count, before, roots = 0, b"0" * 64, {0: folded([])}
    connection.execute("BEGIN")
    rows = connection.execute("SELECT number, previous, hash, record FROM audit ORDER BY number")
    for number, previous, stored, record in rows:
        count += 1
        made = sha256(b'[%d,"%s",%s]' % (number, previous, record)).digest()
        if number != count or previous != before or hexlify(made) != stored:
            raise Refused(f"entry {count} is missing, was changed, or does not follow the one before it")
        before, here, pairs = stored, sha256(b"\x00" + made).digest(), count
        while not pairs & 1:  # each whole pair of subtrees becomes one
            here, pairs = sha256(b"\x01" + peaks.pop() + here).digest(), pairs >> 1
        peaks.append(here)
        if count in sizes:
            roots[count] = folded(peaks)
    entries, head = connection.execute("SELECT entries, hash FROM head").fetchone()
    if (entries, head) != (count, before):
        raise Refused(f"the log ends at entry {count}, but the vault counted {entries}")
    roots[count] = folded(peaks)
    return count, roots


def opened(note: str, public: bytes) -> str:
    """What a signed note says, if the key signed it."""
    body, _, lines = note.rpartition("\n\n")
    for line in lines.splitlines():
        dash, _, rest = line.partition(" ")
        name, _, said = rest.rpartition(" ")
        raw = base64.b64decode(said)
        if dash == "—" and raw[:4] == sha256(name.encode() + b"\n\x01" + public).digest()[:4]:
            Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{body}\n".encode())
            return body
    raise Refused("the note is not signed by this key")


def checkpoint(note: str, public: bytes) -> tuple[int, bytes]:
    """The size and the root that a signed checkpoint names."""
    _, size, root = opened(note, public).splitlines()[:3]
    return int(size), base64.b64decode(root)


def check_log(database: str, public: bytes, anchor: str | None) -> str:
    """Hold the log in a database against the signed checkpoints of an anchor."""
    parts = [part for part in Path(anchor).read_text("utf-8").split("\n\n") if part.strip()] if anchor else []
    notes = zip(parts[::2], parts[1::2], strict=True)  # half a note is none
    said = [checkpoint(f"{body.lstrip()}\n\n{signed}\n", public) for body, signed in notes]
    count, roots = walk(database, {size for size, _ in said})
    for size, root in said or ([(-1, b"")] if anchor else []):  # an anchor without checkpoints shows nothing
        if roots.get(size) != root:
            raise Refused(f"the {size} entries that were signed are not the first of these {count}: cut or changed")
    return f"{count} entries, root {roots[count].hex()}, {len(said)} signed checkpoints hold"


def check_path(said: dict[str, Any], public: bytes) -> str:
    """An inclusion or a consistency proof under a signed checkpoint (RFC 9162 §2.1.3.2, §2.1.4.2)."""
    (size, root), path = checkpoint(said["checkpoint"], public), [bytes.fromhex(step) for step in said["path"]]
    if "entry" in said:
        previous, entry = bytes.fromhex(said["previous"]).hex(), json.loads(said["entry"])  # nothing moved across
        made = sha256(f'[{said["number"]},"{previous}",{said["entry"]}]'.encode()).digest()
        at, before, after = said["number"] - 1, b"", sha256(b"\x00" + made).digest()
        what = f"entry {said['number']} is one of the first {size}, and says {json.dumps(entry)}"
    else:
        at, first = said["first"] - 1, checkpoint(said["first_checkpoint"], public)
        if first[0] != said["first"] or not 0 < first[0] < size:
            raise Refused("the proof is not between its two checkpoints")
        path = [first[1], *path] if first[0] & (first[0] - 1) == 0 else path
        before = after = path.pop(0)
        what = f"the first {first[0]} entries are unchanged among the first {size}"
    skip = (~at & at + 1).bit_length() - 1 if before else 0
    at, last = at >> skip, size - 1 >> skip
    for step in path:
        if last == 0:
            raise Refused("the proof is too long")
        if at & 1 or at == last:
            before, after = before and node(step, before), node(step, after)
            while at & 1 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node(after, step)
        at, last = at >> 1, last >> 1
    if last or after != root or at < 0 or (before and before != first[1]):
        raise Refused("the proof does not lead to the signed root")
    return what


def main() -> int:
    """Check what the command line names; 0 when it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, more in {"what": {"choices": ("log", "proof", "note")}, "file": {}, "--anchor": {}}.items():
        parser.add_argument(name, **more)  # type: ignore[arg-type]
    parser.add_argument("--public", required=True, type=bytes.fromhex)
    asked = parser.parse_args()
    try:
        if asked.what == "log":
            said = check_log(asked.file, asked.public, asked.anchor)
        else:
            text = Path(asked.file).read_text("utf-8")
            said = check_path(json.loads(text), asked.public) if asked.what == "proof" else opened(text, asked.public)
    except (Refused, InvalidSignature, ValueError, LookupError, TypeError, OSError, sqlite3.Error) as exc:
        sys.stdout.write(f"REFUSED: {exc}\n")
        return 1
    sys.stdout.write(f"holds: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
