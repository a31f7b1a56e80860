"""Bundles: what leaves and arrives, whose it is then, and all that is refused before a word of it is believed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memos_integrations import MemCube, MemOS, Principal, State, TrustLabel
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube import Channel, Link, ModelFingerprint, Provenance, Relation, Trust
from memos_integrations.core.errors import BundleError, CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.interchange import Limits, Redacted
from memos_integrations.core.interchange.canonical import canonical
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

ANA = Principal(tenant="clinic-a", user="ana")
BEN = Principal(tenant="clinic-a", user="ben")
BO = Principal(tenant="clinic-b", user="bo")
CY = Principal(tenant="clinic-b", user="cy")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
OTHER = Ed25519Signer(bytes(range(1, 33)))
ALL = CubeFilter(states=frozenset(State))
MODEL = ModelFingerprint(
    model="m", weights="w" * 64, tokenizer="t", chat_template="c", dtype="float32", positions="rope"
)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def vaults(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[tuple[MemOS, MemOS]]:
    def made(name: str) -> MemOS:
        vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / name)
        return MemOS(vault, embedder=WordsEmbedder() if name == "to" else None, clock=clock)

    with made("from") as source, made("to") as target:
        yield source, target
        assert source.verify_audit().ok
        assert target.verify_audit().ok


def dumped(memos: MemOS, path: Path, **how: Any) -> Any:
    said: dict[str, Any] = {"signer": KEY, "issuer": "clinic-a", "recipient": "clinic-b", "by": ANA}
    return memos.dump(path, **(said | how))


def loaded(memos: MemOS, path: Path, **how: Any) -> Any:
    return memos.load(path, **({"by": BO, "trusted": {KEY.key: "clinic-a"}, "recipient": "clinic-b"} | how))


def texts(memos: MemOS, by: Principal = BO, where: CubeFilter = ALL) -> list[str]:
    return sorted(
        cube.text for cube in memos.find(where, by=by, k=10_000) if cube.descriptive.semantic_type != "import_receipt"
    )


# --- what leaves, what arrives


def test_what_arrives_is_the_recipients_own_private_less_trusted_and_says_where_it_is_from(
    vaults: tuple[MemOS, MemOS], tmp_path: Path
) -> None:
    source, target = vaults
    cube = source.remember(
        "Penicillin gives Mr Example a rash.", by=ANA, readers=["*"], tags=["allergy"], purposes=["care"],
        ttl=timedelta(days=30), sensitivity=["health"], occurred_at=NOW - timedelta(days=3),
        value={"dose": 1.5}, context=None,
    )  # fmt: skip
    made = dumped(source, tmp_path / "a.mip", context=_care())
    assert (made.cubes, made.declined) == (1, {})
    report = loaded(target, tmp_path / "a.mip", into=("clinic-b", "shared"))
    assert report.counts == {"new": 1}
    (found,) = target.find(CubeFilter(), by=BO, context=_care())
    assert found.id != cube.id
    assert found.namespace == ("clinic-b", "shared", "ana")
    assert found.payload == cube.payload
    assert (found.governance.owner, found.governance.readers, found.governance.layer) == ("user:bo", (), "private")
    assert found.governance.purposes == ("care",)
    assert found.governance.expires_at == NOW + timedelta(days=30)
    assert found.governance.sensitivity == ("health",)
    assert found.trust == Trust(channel=Channel.USER, label=TrustLabel.UNVERIFIED)
    assert found.descriptive.tags == cube.descriptive.tags
    assert found.provenance.occurred_at == NOW - timedelta(days=3)
    assert str(found.provenance.signature).startswith(f"mip1:{KEY.key[:16]}:{made.bundle}:1")
    assert target.find(ALL, by=CY, context=_care()) == []
    (hit,) = target.recall("rash of penicillin", by=BO, context=_care(), needed=True).hits
    assert hit.text == cube.text


def _care() -> Any:
    from memos_integrations import CallContext

    return CallContext(purpose="care")


def test_only_what_one_may_share_leaves(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, target = vaults
    source.remember("Ana's own.", by=ANA)
    read_only = source.remember("Ben's, for Ana to read.", by=BEN, readers=["ana"])
    source.remember("Ben's, for Ana to share.", by=BEN, sharers=["ana"])
    source.remember("Ben's secret.", by=BEN)
    made = dumped(source, tmp_path / "a.mip")
    assert (made.cubes, made.declined) == (2, {"not_shared": 1})
    loaded(target, tmp_path / "a.mip")
    assert texts(target) == ["Ana's own.", "Ben's, for Ana to share."]
    listed = zipfile.ZipFile(tmp_path / "a.mip").read("declined.jsonl").decode()
    assert json.loads(listed) == {"id": read_only.id, "why": "not_shared"}
    assert b"secret" not in (tmp_path / "a.mip").read_bytes()
    entries = source.audit(by=Principal(tenant="clinic-a", user="x", roles=frozenset({"admin"})), operation="export")
    assert len(entries) == 1
    assert read_only.id not in entries[0].record.detail["cubes"]


def test_versions_states_links_and_lineage_arrive(vaults: tuple[MemOS, MemOS], tmp_path: Path, clock: Clock) -> None:
    source, target = vaults
    first = source.remember("The review is on Monday.", by=ANA)
    second = source.remember("Bring the plans.", by=ANA, provenance=Provenance(links=(_mentions(first),)))
    clock.now += timedelta(hours=1)
    source.update(first.id, text="The review is on Tuesday.", by=ANA)
    old = source.remember("The old plan.", by=ANA)
    source.move(old.id, "archived", by=ANA)
    summary = source.summarise([first.id, second.id], by=ANA)
    dumped(source, tmp_path / "a.mip")
    report = loaded(target, tmp_path / "a.mip")
    assert report.counts == {"new": 4}
    here = {each.id: each.here for each in report.shown}
    versions = target.history(here[first.id], by=BO)
    assert [each.text for each in versions] == ["The review is on Monday.", "The review is on Tuesday."]
    assert target.get(here[old.id], by=BO).state is State.ARCHIVED
    links = target.get(here[second.id], by=BO).provenance.links
    assert [link.target for link in links] == [here[first.id]]
    arrived = target.get(here[summary.id], by=BO)
    assert {(ref.id, ref.version) for ref in arrived.provenance.derived_from} == {
        (here[first.id], 2),
        (here[second.id], 1),
    }
    target.forget(here[first.id], by=BO)
    with pytest.raises(CubeNotFoundError):
        target.get(here[summary.id], by=BO)


def _mentions(cube: MemCube) -> Link:
    return Link(relation=Relation.MENTIONS, target=cube.id)


def test_what_is_derived_goes_with_all_its_sources_or_not_at_all(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, _ = vaults
    cubes = [source.remember(f"Note {n} on the bridge.", by=ANA, namespace=("clinic-a", "ana", str(n))) for n in (1, 2)]
    source.summarise([cube.id for cube in cubes], by=ANA, namespace=("clinic-a", "ana", "1"))
    made = dumped(source, tmp_path / "a.mip", where=CubeFilter(namespace=("clinic-a", "ana", "1")))
    assert (made.cubes, made.declined) == (1, {"source_missing": 1})


def test_a_later_bundle_brings_the_same_memories_up_to_date(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, clock: Clock
) -> None:
    source, target = vaults
    cube = source.remember("The ward has 12 beds.", by=ANA)
    same = source.remember("The ward is on floor 3.", by=ANA)
    dumped(source, tmp_path / "a.mip")
    here = {each.id: each.here for each in loaded(target, tmp_path / "a.mip").shown}
    clock.now += timedelta(hours=1)
    source.update(cube.id, text="The ward has 14 beds.", by=ANA)
    dumped(source, tmp_path / "b.mip")
    report = loaded(target, tmp_path / "b.mip")
    assert report.counts == {"newer": 1, "same": 1}
    assert {each.here for each in report.shown} == {here[cube.id], here[same.id]}
    assert target.get(here[cube.id], by=BO).text == "The ward has 14 beds."
    assert len(target.history(here[cube.id], by=BO)) == 2
    assert loaded(target, tmp_path / "a.mip", again=True).counts == {"older": 1, "same": 1}
    assert target.get(here[cube.id], by=BO).text == "The ward has 14 beds."


def test_a_dry_run_writes_nothing_and_says_what_would_be(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, target = vaults
    source.remember("A fact.", by=ANA)
    dumped(source, tmp_path / "a.mip")
    before = target.generation(by=BO)
    report = loaded(target, tmp_path / "a.mip", dry_run=True)
    assert (report.counts, report.dry_run) == ({"new": 1}, True)
    assert target.generation(by=BO) == before
    assert target.find(ALL, by=BO) == []
    assert loaded(target, tmp_path / "a.mip").counts == {"new": 1}


def test_a_redaction_decides_what_leaves_in_every_version(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, target = vaults
    cube = source.remember("Call Mr Example at 555-0100.", by=ANA)
    source.update(cube.id, text="Call Mr Example at 555-0199.", by=ANA)
    source.remember("Top secret.", by=ANA)

    def redact(each: MemCube, recipient: str) -> Redacted | None:
        if "secret" in each.text:
            return None
        words = each.text.rpartition(" ")[0] + " [phone]."
        return Redacted(
            each.model_copy(update={"payload": each.payload.model_copy(update={"text": words})}), ("phone",)
        )

    made = dumped(source, tmp_path / "a.mip", redact=redact)
    assert (made.cubes, made.versions, made.declined) == (1, 2, {"redacted_away": 1})
    content = zipfile.ZipFile(tmp_path / "a.mip")
    whole = b"".join(content.read(name) for name in content.namelist())
    assert b"555-01" not in whole
    assert b"secret" not in whole
    assert b"phone" in content.read("redactions.jsonl")
    loaded(target, tmp_path / "a.mip")
    assert texts(target) == ["Call Mr Example at [phone]."]


def test_blobs_go_along(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, target = vaults
    source.remember("A plan of the ward.", by=ANA, blob=b"\x89PNG" + bytes(3_000), media_type="image/png")
    assert dumped(source, tmp_path / "a.mip").blobs == 1
    (arrival,) = loaded(target, tmp_path / "a.mip").shown
    with target.read_blob(arrival.here, by=BO) as stream:
        assert stream.read() == b"\x89PNG" + bytes(3_000)


def test_the_access_log_goes_along_when_asked(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, _ = vaults
    cube = source.remember("A fact.", by=ANA)
    source.get(cube.id, by=ANA)
    dumped(source, tmp_path / "a.mip", access_log=True)
    lines = zipfile.ZipFile(tmp_path / "a.mip").read("access_log.jsonl").decode().splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["record"]["operation"] for entry in entries} >= {"remember", "read"}
    assert all(entry["record"]["cube_id"] == cube.id for entry in entries)


def test_the_same_vault_gives_the_same_members(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, _ = vaults
    for number in range(700):
        source.remember(f"Fact {number}.", by=ANA)
    dumped(source, tmp_path / "a.mip")
    made = dumped(source, tmp_path / "b.mip")
    assert made.cubes == 700
    one, other = (zipfile.ZipFile(tmp_path / name).read("cubes.jsonl") for name in ("a.mip", "b.mip"))
    assert one == other


def test_a_file_is_never_replaced_and_nothing_half_stays(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> None:
    source, _ = vaults
    source.remember("A fact.", by=ANA)
    (tmp_path / "a.mip").write_text("mine")
    with pytest.raises(InvalidMemoryError, match="there already"):
        dumped(source, tmp_path / "a.mip")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dumped(source, tmp_path / "b.mip", progress=stop)
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["a.mip"]


# --- what is refused: the bundle is checked whole, and nothing is written

Member = tuple[str, bytes]


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def packed(path: Path, members: list[Member], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of members as any other program would write it."""
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in members:
            out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
    return path


def signed(manifest: dict[str, Any], signer: Ed25519Signer = KEY) -> list[Member]:
    content = canonical(manifest)
    told = {"algorithm": "ed25519", "key": signer.key, "signature": signer.sign(b"MIP-1 manifest\n" + content).hex()}
    return [("manifest.json", content), ("signature.json", canonical(told))]


@pytest.fixture
def bundle(vaults: tuple[MemOS, MemOS], tmp_path: Path) -> Path:
    source, _ = vaults
    source.remember("The first of two facts.", by=ANA)
    source.remember("The second of two facts.", by=ANA, blob=b"a blob", media_type="text/plain")
    dumped(source, tmp_path / "good.mip")
    return tmp_path / "good.mip"


def refused(target: MemOS, path: Path, *codes: str, **how: Any) -> None:
    with pytest.raises(BundleError) as caught:
        loaded(target, path, **how)
    assert caught.value.code in codes, caught.value
    assert target.find(ALL, by=BO) == []


def remade(bundle: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None], signer: Any = KEY) -> Path:
    """The bundle with other members and manifest, signed anew: what somebody with a trusted key could send."""
    members = parts_of(bundle)
    manifest = json.loads(members.pop("manifest.json"))
    members.pop("signature.json")
    change(members, manifest)
    for told in manifest["members"]:
        content = members.get(told["name"])
        if content is not None and not told.pop("keep", False):
            told["size"], told["sha256"] = len(content), sha256(content).hexdigest()
            told["records"] = content.count(b"\n") if told["name"].endswith(".jsonl") else 0
    return packed(bundle.with_name("other.mip"), [*members.items(), *signed(manifest, signer)])


@pytest.mark.answers("AISVS 6.1.3")
def test_signatures_keys_recipients_purposes_and_times_are_checked(
    vaults: tuple[MemOS, MemOS], bundle: Path, clock: Clock
) -> None:
    _, target = vaults
    members = parts_of(bundle)
    unsigned = packed(bundle.with_name("u.mip"), [each for each in members.items() if each[0] != "signature.json"])
    refused(target, unsigned, "unsigned")
    refused(target, bundle, "unknown_key", trusted={OTHER.key: "clinic-a"})
    refused(target, remade(bundle, lambda m, t: None, OTHER), "bad_signature")
    refused(target, bundle, "not_yours", recipient="clinic-c")
    refused(target, bundle, "purpose", purposes=["research"])
    clock.now = NOW + timedelta(days=7, seconds=1)
    refused(target, bundle, "expired")
    clock.now = NOW - timedelta(hours=1)
    refused(target, bundle, "not_yet")
    clock.now = NOW + timedelta(days=7)
    assert loaded(target, bundle).counts == {"new": 2}
    with pytest.raises(BundleError) as again:
        loaded(target, bundle)
    assert again.value.code == "replayed"
    with pytest.raises(BundleError):
        loaded(target, bundle, by=CY, again=True)
    assert loaded(target, bundle, again=True).counts == {"same": 2}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("mip", "2.0", "version"),
        ("mip", "1.2", "version"),
        ("mip", "one", "malformed"),
        ("digest", "md5", "algorithm"),
        ("signature", "none", "algorithm"),
        ("signature", "rsa", "algorithm"),
        ("requires", ["text", "telepathy"], "capability"),
        ("cube_schema", 99, "version"),
        ("extra", 1, "malformed"),
        ("requires", ["clocks", "text"], "malformed"),
        ("covers", {"replica": "r", "after": 0, "to": 1}, "malformed"),
        ("bundle", "../../etc", "malformed"),
        ("expires_at", "2026-03-01T00:00:00Z", "malformed"),
        ("created_at", "yesterday", "malformed"),
        ("key", "00" * 32, "bad_signature"),
        ("members", [], "malformed"),
    ],
)
def test_a_manifest_that_says_what_it_must_not_is_refused(
    vaults: tuple[MemOS, MemOS], bundle: Path, field: str, value: object, code: str
) -> None:
    other = remade(bundle, lambda members, manifest: manifest.update({field: value}))
    refused(vaults[1], other, code)


@pytest.mark.answers("JDP-2026-003", "input 8")
def test_every_kind_of_wrong_member_is_refused(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    _, target = vaults
    members = list(parts_of(bundle).items())

    def with_(*more: Member) -> Path:
        return packed(bundle.with_name("m.mip"), [*members, *more])

    refused(target, with_(("extra.jsonl", b"{}\n")), "unsafe_name")
    refused(target, with_(("redactions.jsonl", b"{}\n")), "members_differ")
    refused(target, with_(("../../../etc/passwd", b"x")), "unsafe_name")
    refused(target, with_(("/abs", b"x")), "unsafe_name")
    refused(target, with_(("blobs\\..\\x", b"x")), "unsafe_name")
    refused(target, with_(("CUBES.jsonl", b"x")), "unsafe_name")
    refused(target, with_(("payload.pkl", b"\x80\x04.")), "unsafe_name")
    refused(target, packed(bundle.with_name("m.mip"), members[1:]), "members_differ", "malformed")
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = with_(("cubes.jsonl", b"{}\n"))
    refused(target, doubled, "members_differ")
    swapped = [(name, content[::-1] if name == "cubes.jsonl" else content) for name, content in members]
    refused(target, packed(bundle.with_name("m.mip"), swapped), "digest_differs")


@pytest.mark.answers("JDP-2026-003", "input 8")
def test_links_encryption_comments_and_hidden_bytes_are_refused(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    _, target = vaults
    content = bundle.read_bytes()
    place = bundle.with_name("z.mip")
    place.write_bytes(b"#!/bin/sh\n" + content)
    refused(target, place, "malformed")
    place.write_bytes(content + b"behind")
    refused(target, place, "malformed")
    with zipfile.ZipFile(place, "w") as out:
        for name, member in parts_of(bundle).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o120777 if name == "cubes.jsonl" else 0o100600) << 16
            out.writestr(entry, member)
    refused(target, place, "malformed")
    with zipfile.ZipFile(place, "w") as out:
        for name, member in parts_of(bundle).items():
            out.writestr(name, member)
        out.comment = b"hello"
    refused(target, place, "malformed")
    packed(place, list(parts_of(bundle).items()), compression=zipfile.ZIP_LZMA)
    refused(target, place, "algorithm", "malformed")
    place.write_bytes(b"\x80\x04\x95pickle")
    refused(target, place, "malformed")
    place.write_bytes(b"")
    refused(target, place, "malformed")
    refused(target, bundle.with_name("none.mip"), "unreadable")
    refused(target, bundle.parent, "unreadable")


@pytest.mark.answers("input 8")
def test_bombs_are_refused_before_they_grow(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    _, target = vaults
    members = [each for each in parts_of(bundle).items() if each[0] != "cubes.jsonl"]
    bomb = packed(bundle.with_name("b.mip"), [("cubes.jsonl", bytes(64 << 20)), *members])
    refused(target, bomb, "too_large")
    refused(target, bundle, "too_large", limits=Limits(unpacked_bytes=100))
    refused(target, bundle, "too_large", limits=Limits(file_bytes=100))
    refused(target, bundle, "too_large", limits=Limits(members=2))
    refused(target, bundle, "too_large", limits=Limits(line_bytes=100))
    refused(target, bundle, "too_large", limits=Limits(manifest_bytes=100))


@pytest.mark.answers("input 8")
def test_a_bundle_cut_off_anywhere_is_refused(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    _, target = vaults
    content = bundle.read_bytes()
    place = bundle.with_name("cut.mip")
    for length in range(0, len(content), 7):
        place.write_bytes(content[:length])
        with pytest.raises(BundleError):
            loaded(target, place)
    assert target.find(ALL, by=BO) == []


def test_no_flipped_byte_changes_what_arrives(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    """A flip is refused, or it changes nothing that is read (a time stamp of the zip, for one)."""
    _, target = vaults
    content, place = bundle.read_bytes(), bundle.with_name("flip.mip")
    good, members, refusals = loaded(target, bundle, dry_run=True), parts_of(bundle), 0
    for at in range(0, len(content), 5):
        place.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        try:
            assert loaded(target, place, dry_run=True) == good
        except BundleError:
            refusals += 1
            continue
        # Not even every bit of a compressed member counts: what it unpacks to does.
        assert parts_of(place) == members, "what a member holds was changed, and nobody noticed"
    assert refusals > len(content) // 10
    assert target.find(ALL, by=BO) == []


def test_records_that_are_no_memories_are_refused(vaults: tuple[MemOS, MemOS], bundle: Path) -> None:
    _, target = vaults
    lines = parts_of(bundle)["cubes.jsonl"].splitlines(keepends=True)
    first = json.loads(lines[0])

    def with_lines(*new: bytes) -> Path:
        return remade(bundle, lambda members, _: members.update({"cubes.jsonl": b"".join(new)}))

    def changed(**fields: Any) -> bytes:
        return json.dumps(first | fields).encode() + b"\n"

    refused(target, with_lines(b"not json\n"), "record")
    refused(target, with_lines(changed(unknown=1)), "record")
    refused(target, with_lines(*lines, lines[0]), "record")
    refused(target, with_lines(changed(version=0)), "record")
    refused(target, with_lines(changed(id="a"), changed(id="a", version=3)), "record")
    refused(target, with_lines(changed(payload={"kind": "plaintext", "text": "x\x00"})), "record")
    refused(target, with_lines(changed(payload={"kind": "plaintext", "text": " "})), "record")
    refused(target, with_lines(lines[0][:-1]), "malformed", "digest_differs")
    derived = first["provenance"] | {"derived_from": [{"id": "elsewhere", "version": 1}]}
    refused(target, with_lines(changed(provenance=derived)), "lineage")
    blob = {"digest": "0" * 64, "size": 3, "media_type": "x/y"}
    refused(target, with_lines(changed(payload={"kind": "plaintext", "text": "x", "blob": blob})), "members_differ")


# --- computed memory


def tensors(values: np.ndarray[Any, Any], *, header: bytes | None = None) -> bytes:
    """A safetensors file of one tensor."""
    told = json.dumps({"t": {"dtype": "F32", "shape": list(values.shape), "data_offsets": [0, values.nbytes]}}).encode()
    head = told if header is None else header
    return struct.pack("<Q", len(head)) + head + values.tobytes()


def with_adapter(bundle: Path, blob: bytes) -> Path:
    digest = sha256(blob).hexdigest()
    first = json.loads(parts_of(bundle)["cubes.jsonl"].splitlines()[0])
    ref = {"id": first["id"], "version": 1}
    adapter = first | {
        "id": "adapter-1",
        "payload": {
            "kind": "parameter",
            "adapter": {"digest": digest, "size": len(blob), "media_type": "application/safetensors"},
            "base": MODEL.model_dump(mode="json"),
        },
        "provenance": first["provenance"] | {"derived_from": [ref]},
    }

    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        members["cubes.jsonl"] += json.dumps(adapter).encode() + b"\n"
        members[f"blobs/{digest}"] = blob
        manifest["members"].append({"name": f"blobs/{digest}", "size": 0, "sha256": digest, "records": 0})
        manifest["requires"] = sorted({*manifest["requires"], "parameter", "blobs"})

    return remade(bundle, change)


@pytest.mark.answers("AISVS 6.1.2")
def test_an_adapter_is_taken_where_its_base_is_there_and_declined_by_name_elsewhere(
    vaults: tuple[MemOS, MemOS], bundle: Path
) -> None:
    _, target = vaults
    other = with_adapter(bundle, tensors(np.ones((2, 3), np.float32)))
    report = loaded(target, other, dry_run=True)
    assert report.counts == {"new": 2, "fingerprint": 1}
    assert loaded(target, other, models=[MODEL]).counts == {"new": 3}


@pytest.mark.answers("input 9")
@pytest.mark.parametrize(
    "blob",
    [
        tensors(np.array([[1.0, np.nan]], np.float32)),
        tensors(np.array([[1.0, np.inf]], np.float32)),
        tensors(np.ones((2, 3), np.float32))[:-1],
        tensors(np.ones((2, 3), np.float32)) + b"behind",
        tensors(np.ones((2, 3), np.float32), header=b'{"t":{"dtype":"F32","shape":[9],"data_offsets":[0,24]}}'),
        tensors(np.ones((2, 3), np.float32), header=b'{"t":{"dtype":"F32","shape":[6],"data_offsets":[4,28]}}'),
        tensors(np.ones((2, 3), np.float32), header=b'{"t":1,"t":2}'),
        tensors(np.ones((2, 3), np.float32), header=b'{"__metadata__":{"a":1}}'),
        struct.pack("<Q", 1 << 62) + b"{}",
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
        b"",
    ],
)
def test_tensors_that_are_none_are_refused(vaults: tuple[MemOS, MemOS], bundle: Path, blob: bytes) -> None:
    refused(vaults[1], with_adapter(bundle, blob), "tensors", "malformed", models=[MODEL])


# --- all or nothing


def test_a_large_bundle_that_fails_midway_leaves_nothing(
    vaults: tuple[MemOS, MemOS], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memos_integrations.core.interchange import taking

    source, target = vaults
    for number in range(60):
        source.remember(f"Fact {number}.", by=ANA)
    dumped(source, tmp_path / "a.mip")
    monkeypatch.setattr(taking, "AT_ONCE", 10)
    monkeypatch.setattr(taking, "CHUNK", 8)
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded(target, tmp_path / "a.mip", progress=stop)
    assert len(calls) > 3
    assert target.find(ALL, by=BO) == []
    assert loaded(target, tmp_path / "a.mip").counts == {"new": 60}
    assert len(texts(target)) == 60


def test_a_key_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    made = Ed25519Signer.in_file(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert Ed25519Signer.in_file(tmp_path / "key").key == made.key
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(InvalidMemoryError, match="chmod"):
        Ed25519Signer.in_file(tmp_path / "key")


def test_canonical_json_is_that_of_rfc_8785() -> None:
    assert canonical({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}) == (
        b'{"\\r":2,"1":4,"\xc2\x80":6,"\xc3\xb6":7,"\xe2\x82\xac":1,"\xf0\x9f\x98\x80":5,"\xef\xac\xb3":3}'
    )
    assert canonical(['\u2028/\x0f"\\', None, True, -5]) == b'["\xe2\x80\xa8/\\u000f\\"\\\\",null,true,-5]'
    for bad in (1.5, 2**53, {"a": object()}, b"x"):
        with pytest.raises((TypeError, ValueError)):
            canonical(bad)
    assert io.BytesIO(canonical({})).read() == b"{}"
