"""Our vault as the agent-memory-integrity suite (agmi) sees a store: public verbs in front, a file behind."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from agmi.adapters.base import MemoryAdapter, Record

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import LogQuery, Visibility
from memos_integrations.testing.cubes import NOW, asked, cube, seen_by, stored
from memos_integrations.vaults.sqlite import SQLiteVault

COLUMNS = ("seq", "id", "tenant", "digest", "body", "occurred_at")
READ = """SELECT c.seq, c.id, c.tenant, v.digest, v.body, c.occurred_at FROM cubes AS c
    JOIN versions AS v ON v.cube = c.seq AND v.version = c.version JOIN tenants AS t ON t.number = c.tenant
    WHERE t.name = ? ORDER BY c.seq"""
OF_A_CUBE = ("seals", "behaviour", "vectors", "words", "labels", "leaves", "links", "keys", "blobs", "versions")


class VaultAdapter(MemoryAdapter):
    """One vault, tenants `mine` and `theirs`; the anchor, when there is one, stands outside the folder."""

    name = "memos-integrations SQLiteVault"
    supports_replay = supports_metadata = supports_snapshot = True

    def __init__(self, *, anchored: bool) -> None:
        self._anchored = anchored
        self.name += " + anchor" if anchored else ""

    def setup(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="agmi-vault-"))
        self._folder = self._root / "vault"
        self._open()

    def _open(self) -> None:
        self._refused: MemOSError | None = None
        self._vault: SQLiteVault | None = None
        try:
            self._vault = SQLiteVault(self._folder, anchor=self._root / "anchor" if self._anchored else None)
        except MemOSError as exc:
            self._refused = exc

    def _close(self) -> None:
        if self._vault is not None:
            self._vault.close()

    def teardown(self) -> None:
        self._close()
        shutil.rmtree(self._root, ignore_errors=True)

    def seed(self, n: int) -> None:
        self._seed("mine", n)

    def seed_other(self, n: int) -> None:
        self._seed("theirs", n)

    def _seed(self, tenant: str, n: int) -> None:
        assert self._vault is not None
        for number in range(n):
            stored(self._vault, cube(f"{tenant} remembers {number}", namespace=(tenant,)))

    def append_genuine(self) -> None:
        self.reload()
        self._seed("mine", 1)
        self._close()

    # --- the file, behind the vault's back

    def _raw(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._folder / "vault.db")
        connection.isolation_level = None
        return connection

    def _records(self, tenant: str) -> list[Record]:
        with closing(self._raw()) as raw:
            rows = raw.execute(READ, (tenant,)).fetchall()
        return [Record(seq, dict(zip(COLUMNS, row, strict=True))) for seq, row in enumerate(rows)]

    def read_all_raw(self) -> list[Record]:
        return self._records("mine")

    def read_other_raw(self) -> list[Record]:
        return self._records("theirs")

    def _row(self, place: int) -> int | None:
        records = self.read_all_raw()
        return records[place].fields["seq"] if place < len(records) else None

    def write_raw(self, record: Record) -> None:
        row, said = self._row(record.seq), record.fields
        with closing(self._raw()) as raw:
            if row is None:  # a forgery: every row that a genuine cube has, copied and changed
                self._copy(raw, said)
            else:
                raw.execute(
                    "UPDATE versions SET digest = ?, body = ? WHERE cube = ?", (said["digest"], said["body"], row)
                )

    @staticmethod
    def _copy(raw: sqlite3.Connection, said: dict[str, Any]) -> None:
        like = said["like"]
        for table in ("cubes", *OF_A_CUBE):
            key = "seq" if table == "cubes" else "cube"
            names = [name for _, name, *_ in raw.execute(f"PRAGMA table_info({table})")]
            for row in raw.execute(f"SELECT * FROM {table} WHERE {key} = ?", (like,)).fetchall():
                new = dict(zip(names, row, strict=True)) | {key: said["seq"]}
                if table == "cubes":
                    new["id"] = said["id"]
                if table in ("versions", "vectors"):
                    del new["number"]
                if table == "versions":
                    new |= {"digest": said["digest"], "body": said["body"]}
                if table != "keys":
                    raw.execute(
                        f"INSERT INTO {table} ({','.join(new)}) VALUES ({','.join('?' * len(new))})", [*new.values()]
                    )

    def delete_raw(self, seq: int) -> None:
        row = self._row(seq)
        with closing(self._raw()) as raw:
            for table in OF_A_CUBE:
                raw.execute(f"DELETE FROM {table} WHERE cube = ?", (row,))
            raw.execute("DELETE FROM cubes WHERE seq = ?", (row,))

    def mutate_payload(self, record: Record) -> Record:
        said = json.loads(record.fields["body"])
        said["payload"]["text"] += " and pays eve"
        return self._rewritten(record, said)

    @staticmethod
    def _rewritten(record: Record, said: dict[str, Any]) -> Record:
        """The digest is made to fit: whoever edits the file can do that."""
        changed = MemCube.from_json(json.dumps(said))
        record.fields |= {"body": changed.canonical(), "digest": changed.digest}
        return record

    def forge_record(self, template: Record) -> Record:
        forged = Record(template.seq + 1, dict(template.fields) | {"like": template.fields["seq"]})
        said = json.loads(forged.fields["body"])
        said["id"] = said["id"][:-1] + ("0" if said["id"][-1] != "0" else "1")
        said["payload"]["text"] = "forged"
        forged.fields |= {"id": said["id"], "seq": template.fields["seq"] + 1000}
        return self._rewritten(forged, said)

    def replay_onto(self, victim_seq: int, donor: Record) -> None:
        row = self._row(victim_seq)
        with closing(self._raw()) as raw:
            raw.execute(
                "UPDATE versions SET digest = ?, body = ? WHERE cube = ?",
                (donor.fields["digest"], donor.fields["body"], row),
            )

    def identity_of(self, record: Record) -> str:
        return str(record.fields["id"])

    def payload_of(self, record: Record) -> str:
        return str(record.fields["body"])

    def owner_of(self, record: Record) -> str | None:
        return str(record.fields["tenant"])

    def read_meta(self, seq: int) -> dict[str, Any]:
        return {"occurred_at": self.read_all_raw()[seq].fields["occurred_at"]}

    def write_meta(self, seq: int, meta: dict[str, Any]) -> None:
        """When it happened, by a day: the suite's own field has no column here."""
        with closing(self._raw()) as raw:
            raw.execute("UPDATE cubes SET occurred_at = occurred_at + 86400000000 WHERE seq = ?", (self._row(seq),))

    def snapshot_store(self) -> object:
        self._close()
        return self._copy_store(self._folder)

    def restore_store(self, token: object) -> None:
        self._close()
        self._restore_store(str(token), self._folder)

    # --- the vault's own answer

    def reload(self) -> None:
        self._close()
        self._open()

    def verify(self) -> bool:
        """What an application does: search, read what was found, read the log. No audit, no doctor."""
        try:
            if self._vault is None:
                raise self._refused or AssertionError
            everything: Visibility = seen_by(tenant="mine", now=NOW)
            found = asked(self._vault, k=100, by=everything)
            self._vault.get("mine", [match.cube.id for match in found.matches])
            self._vault.log(LogQuery(tenant="mine"))
        except MemOSError as exc:
            self.verify_detail = f"{type(exc).__name__}: {exc}"
            return False
        return True
