"""The part of `VaultContract` that is about blobs: durable before they are named, checked when read."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import hashlib
import io
import os
from datetime import UTC, datetime
from typing import BinaryIO

import pytest

from memos_integrations.core.cube import BlobRef, MemCube, PlaintextPayload
from memos_integrations.core.errors import IntegrityError, InvalidMemoryError, VaultClosedError
from memos_integrations.core.ports import Erase, Vault
from memos_integrations.testing.cubes import cube, days, put, record, revised, stored, submit


class SlowStream(io.RawIOBase):
    """A stream that is read once, in pieces of its own size, and has no length."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._left = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.read(min(size, 4_000) if size >= 0 else 4_000)


def beside(ref: BlobRef, text: str = "a picture") -> MemCube:
    """A cube that is the caption of a blob."""
    return cube(payload=PlaintextPayload(text=text, blob=ref))


def content_of(stream: BinaryIO) -> bytes:
    """Everything that a stream holds; closes it."""
    with stream:
        return stream.read()


class VaultBlobContract:
    """What a vault promises of blobs."""

    def test_a_blob_comes_back_whole(self, vault: Vault) -> None:
        small, large = b"\x00\xffkettle", os.urandom(3_000_001)
        for content in (small, large, b""):
            ref = vault.put_blob(content, "image/png")
            assert ref == BlobRef(digest=hashlib.sha256(content).hexdigest(), size=len(content), media_type="image/png")
            assert content_of(vault.open_blob(ref)) == content
            assert vault.put_blob(SlowStream(content), "image/png") == ref  # type: ignore[arg-type]
            assert content_of(vault.open_blob(ref)) == content

    def test_a_blob_that_is_not_there_is_refused(self, vault: Vault) -> None:
        ref = vault.put_blob(b"kettle")
        for wrong in (ref.model_copy(update={"digest": "0" * 64}), ref.model_copy(update={"size": 5})):
            with pytest.raises(IntegrityError, match=wrong.digest):
                vault.open_blob(wrong)

    def test_what_is_no_blob_is_refused(self, vault: Vault) -> None:
        for source in (io.StringIO("text"), io.BytesIO(b"x")):
            with pytest.raises(InvalidMemoryError):
                vault.put_blob(source, "" if isinstance(source, io.BytesIO) else "text/plain")  # type: ignore[arg-type]

    def test_a_stream_that_does_not_wait_is_no_shorter_blob(self, vault: Vault) -> None:
        """What it gives later would be left out."""

        class Soon(io.RawIOBase):
            given = iter((b"first", None, b"second", b""))

            def read(self, size: int = -1) -> bytes | None:
                return next(self.given)

        with pytest.raises(InvalidMemoryError):
            vault.put_blob(Soon())  # type: ignore[arg-type]
        with pytest.raises(InvalidMemoryError):
            vault.put_blob(5)  # type: ignore[arg-type]

    def test_a_blob_goes_with_the_last_cube_that_names_it(self, vault: Vault) -> None:
        ref = vault.put_blob(b"kettle")
        one, two = stored(vault, beside(ref)), stored(vault, beside(ref, "the same picture"))
        submit(vault, Erase(one.id), audit=(record(one, "forget"),))
        assert content_of(vault.open_blob(ref)) == b"kettle"
        submit(vault, Erase(two.id), audit=(record(two, "forget"),))
        with pytest.raises(IntegrityError):
            vault.open_blob(ref)
        assert set(vault.traces(two.id).values()) == {0}
        assert vault.put_blob(b"kettle") == ref  # and can come again
        assert content_of(vault.open_blob(ref)) == b"kettle"

    def test_an_older_version_keeps_its_blob(self, vault: Vault) -> None:
        old, new = vault.put_blob(b"old"), vault.put_blob(b"new")
        first = stored(vault, beside(old))
        stored(vault, revised(first, "other", payload=PlaintextPayload(text="other", blob=new)))
        late = datetime.now(UTC) + days(365)
        assert vault.collect_blobs(late) == 0
        assert [content_of(vault.open_blob(v.blobs[0])) for v in vault.history("acme", first.id)] == [b"old", b"new"]
        submit(vault, Erase(first.id))
        for ref in (old, new):
            with pytest.raises(IntegrityError):
                vault.open_blob(ref)

    def test_an_upload_that_waits_outlives_the_erasure_of_its_twin(self, vault: Vault) -> None:
        ref = vault.put_blob(b"kettle")
        first = stored(vault, beside(ref))
        vault.put_blob(b"kettle")  # somebody else is about to name it
        submit(vault, Erase(first.id))
        assert content_of(vault.open_blob(ref)) == b"kettle"
        second = stored(vault, beside(ref))
        submit(vault, Erase(second.id))
        with pytest.raises(IntegrityError):
            vault.open_blob(ref)

    def test_a_blob_that_nobody_names_is_collected_after_a_grace(self, vault: Vault) -> None:
        named, orphan = vault.put_blob(b"named"), vault.put_blob(b"orphan")
        first = stored(vault, beside(named))
        now = datetime.now(UTC)
        assert vault.collect_blobs(now, days(1)) == 0
        assert content_of(vault.open_blob(orphan)) == b"orphan"
        assert vault.collect_blobs(now + days(1.1), days(1)) == 1
        assert vault.collect_blobs(now + days(1.1), days(1)) == 0
        with pytest.raises(IntegrityError):
            vault.open_blob(orphan)
        assert content_of(vault.open_blob(first.blobs[0])) == b"named"

    def test_a_refused_write_names_no_blob(self, vault: Vault) -> None:
        ref = vault.put_blob(b"kettle")
        with pytest.raises(LookupError):
            submit(vault, put(beside(ref)), Erase("no such"))
        assert vault.collect_blobs(datetime.now(UTC) + days(2)) == 1

    def test_a_closed_vault_has_no_blobs(self, vault: Vault) -> None:
        ref = vault.put_blob(b"kettle")
        vault.close()
        for verb in (
            lambda: vault.put_blob(b"x"), lambda: vault.open_blob(ref), lambda: vault.collect_blobs(datetime.now(UTC))
        ):  # fmt: skip
            with pytest.raises(VaultClosedError):
                verb()
