"""Memories that come from other systems' files, and go to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.books import BOOKS, ITEM, is_of_the_books
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import (
    Channel,
    Label,
    MemCube,
    Origin,
    PlaintextPayload,
    Provenance,
    Trust,
    TrustLabel,
    Value,
    canonical_json,
    sha256,
    thawed,
)
from memos_integrations.core.cube.values import check_carriable
from memos_integrations.core.errors import ImportFormatError, InvalidMemoryError
from memos_integrations.core.formats import Form, Record
from memos_integrations.core.formats.memories import read_langgraph
from memos_integrations.core.interchange.ids import key_of
from memos_integrations.core.interchange.taking import RECEIPT
from memos_integrations.core.item import Address, ItemWrite, item_of
from memos_integrations.core.operator import IngestReport, draft_memory, parts
from memos_integrations.core.operator.write import Draft, followed
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.walk import Walk

BATCH = 256
PAGE = 1_000
ROLE_OF_CHANNEL = {Channel.ASSISTANT: "assistant", Channel.TOOL: "tool"}


class Moved(Value):
    """What an import did: `found` records, of which `written` are new, `known` were there, `forgotten` stay so."""

    form: Label
    found: int = Field(ge=0)
    written: int = Field(default=0, ge=0)
    known: int = Field(default=0, ge=0)
    forgotten: int = Field(default=0, ge=0)


class Moving(Walk):
    """`Walk`, with importers and exporters."""

    def import_file(
        self,
        path: str | Path,
        form: Form,
        *,
        by: Principal,
        into: Sequence[str] = (),
        dry_run: bool = False,
        again: bool = False,
        progress: Callable[[int, int], object] | None = None,
        context: CallContext | None = None,
    ) -> Moved:
        """Take the memories of a foreign file in, as *by*'s own, private ones under *into* (default: tenant, user).

        The file is read twice: once to check all of it, so that a malformed one leaves nothing behind, then to write,
        256 to a transaction. What an interrupted import has written stands, and importing again adds the rest: an
        external id comes into a namespace once, also when the foreign system gave it other words since. What was
        forgotten stays so, unless *again*. Imported memories are `unverified` (words of tools: `untrusted`), and their
        channel is `import`. With *dry_run* nothing is written.

        Raises:
            ImportFormatError: The file is not of this format; file and line are named, and nothing was written.
        """
        source = Path(path)
        caller, place = self._caller(by, context), self._into(by, into)
        found = sum(self._fits(record, form.name, place, caller) for record in form.read(source))
        if dry_run:
            return Moved(form=form.name, found=found)
        return self._imported(form.read(source), form.name, found, place, caller, again=again, progress=progress)

    def import_items(
        self, path: str | Path, *, by: Principal, namespace: Sequence[str] = (), context: CallContext | None = None
    ) -> int:
        """Put the items of a LangGraph store's file (`read_langgraph`) where they stood, below *namespace*; how many.

        `MemOSStore.get`, or any store of *by*'s in this vault, finds them by namespace and key; what stands at an
        address already is written over. `import_file` makes memories of the same file, which stand at no address.

        Raises:
            ImportFormatError: The file is not of this format; nothing was written.
            InvalidMemoryError: An item cannot be stored; the batches of 256 before it stand.
        """
        source, below = Path(path), parts(namespace)
        found = 0
        for found, record in enumerate(read_langgraph(source), start=1):  # noqa: B007
            _put_of(record, below)
        records = iter(read_langgraph(source))
        while batch := [*islice(records, BATCH)]:
            writes = {(write := _put_of(record, below)).address: write for record in batch}
            self.items.write([*writes.values()], by=by, context=context)
        return found

    def import_records(
        self,
        records: Iterable[Record],
        *,
        by: Principal,
        name: str,
        into: Sequence[str] = (),
        again: bool = False,
        context: CallContext | None = None,
    ) -> Moved:
        """Take records in, as `import_file` does; *name* is the system that they come from. Batches stand one by one.

        Raises:
            InvalidMemoryError: One cannot be stored; the batches before it stand.
        """
        return self._imported(records, name, 0, self._into(by, into), self._caller(by, context), again=again)

    def export_file(
        self,
        path: str | Path,
        form: Form,
        *,
        by: Principal,
        where: CubeFilter | None = None,
        context: CallContext | None = None,
    ) -> int:
        """Write the plaintext memories that *by* may read, of what passes *where*, to a new file; how many. On record.

        An item of a store is written as namespace, key and value. What has a value and no words is written with the
        value as words. The books of `MemStore` stay, unless *where* names their namespace `(tenant, "memstore")`.

        Raises:
            ImportFormatError: The format cannot be written, or there is something at *path*.
        """
        if form.write is None:
            raise ImportFormatError(f"The format {form.name!r} can only be read.")
        return form.write(self._records(where or CubeFilter(), by, context), Path(path))

    async def aimport_file(self, path: str | Path, form: Form, *, by: Principal, **how: Any) -> Moved:
        """`import_file`, off the loop."""
        return await self._off_loop(self.import_file, path, form, by=by, **how)

    async def aexport_file(self, path: str | Path, form: Form, *, by: Principal, **how: Any) -> int:
        """`export_file`, off the loop."""
        return await self._off_loop(self.export_file, path, form, by=by, **how)

    def _into(self, by: Principal, into: Sequence[str]) -> tuple[str, ...]:
        place = parts(into) or (by.tenant, by.user)
        if place[0] != by.tenant:
            raise InvalidMemoryError(f"The namespace {place} is not within the tenant {by.tenant!r}.")
        return place

    def _imported(
        self,
        records: Iterable[Record],
        name: str,
        total: int,
        place: tuple[str, ...],
        caller: Caller,
        *,
        again: bool,
        progress: Callable[[int, int], object] | None = None,
    ) -> Moved:
        done = {"found": 0, "written": 0, "known": 0, "forgotten": 0}
        last: dict[str, str] = {}
        records = iter(records)
        while batch := [*islice(records, BATCH)]:
            by_id = {record.id: record for record in reversed(batch)}  # of one id the first, as across batches
            by_id = {record_id: by_id[record_id] for record_id in dict.fromkeys(record.id for record in batch)}
            report = self._batch(by_id, name, place, caller, last, again=again)
            done["found"] += len(batch)
            done["written"] += report.written
            done["known"] += report.known + len(batch) - len(by_id)
            done["forgotten"] += report.forgotten
            if progress is not None:
                progress(done["found"], total)
        return Moved(form=name, **done)

    def _batch(
        self,
        records: dict[str, Record],
        name: str,
        place: tuple[str, ...],
        caller: Caller,
        last: dict[str, str],
        *,
        again: bool,
    ) -> IngestReport:
        """Write those of the records that are not there, each after the one before it in its thread; see *last*."""
        strands = {record.id: _strand(record) for record in records.values()}
        first = {strand: record_id for record_id, strand in reversed(strands.items())}
        messages = tuple(
            Message(id=each.id, speaker="import", text=each.text, session_id=strands[each.id])
            for each in records.values()
        )

        def draft(message: Message) -> Draft:
            made, strand = self._drafted(records[message.id], name, place, caller), strands[message.id]
            return followed(made, last.get(strand)) if first[strand] == message.id else made

        where = sha256(json.dumps([name, *place]).encode())
        talk = Conversation(id=where, messages=messages, source="memos.import")
        report = self._writer.ingest(talk, caller, draft=draft, progress=None, again=again)
        if report.forgotten:
            last.clear()  # ids and cubes do not pair; the engine then looks for what stands last
            return report
        for each, cube_id in zip(records.values(), report.cubes, strict=True):
            if each.thread or each.session:
                last[strands[each.id]] = cube_id
        return report

    def _fits(self, record: Record, name: str, place: tuple[str, ...], caller: Caller) -> int:
        try:
            self._drafted(record, name, place, caller)
            check_carriable(record.value)
        except InvalidMemoryError as exc:
            raise ImportFormatError(f"The record {record.id!r:.80} cannot be a memory: {exc}") from exc
        return 1

    def _drafted(self, record: Record, name: str, place: tuple[str, ...], caller: Caller) -> Draft:
        label = TrustLabel.UNTRUSTED if record.role == "tool" else TrustLabel.UNVERIFIED
        provenance = Provenance(
            source=f"import:{name}",
            message_id=record.id,
            speaker=record.speaker,
            thread_id=record.thread,
            session_id=record.session,
            occurred_at=record.at,
            trigger=f"import of {record.role}",
        )
        return draft_memory(
            record.text,
            caller,
            {
                "namespace": place,
                "semantic_type": record.kind,
                "tags": record.tags,
                "valid_from": record.valid_from,
                "valid_to": record.valid_to,
                "value": thawed(record.value),
                "origin": Origin.IMPORT,
                "trust": Trust(channel=Channel.IMPORT, label=label),
                "provenance": provenance,
            },
        )

    def _records(self, where: CubeFilter, by: Principal, context: CallContext | None) -> Iterator[Record]:
        """What may be read, each once, until a pass over it finds nothing that was not there before."""
        caller, met = self._caller(by, context), set[int]()
        while True:
            before, skip, fresh_in_pass = self._governance.generation(caller), 0, False
            while page := self._governance.search(VaultQuery(k=PAGE, filter=where, skip=skip), caller).matches:
                skip += len(page)
                fresh = [match.cube.id for match in page if key_of(match.cube.id) not in met]
                met.update(map(key_of, fresh))
                fresh_in_pass = fresh_in_pass or bool(fresh)
                for cube in self._governance.readable(fresh, caller, operation="export") if fresh else ():
                    if _is_told(cube, where) and self._governance.use_up(cube, caller, operation="export"):
                        yield record_of(cube)
            if self._governance.generation(caller) == before or not fresh_in_pass:
                return


def _strand(record: Record) -> str:
    """What a record follows something in: its thread and session; one without stands for itself."""
    if record.thread is None and record.session is None:
        return record.id
    return sha256(json.dumps([record.thread, record.session]).encode())


def _put_of(record: Record, below: tuple[str, ...]) -> ItemWrite:
    told = record.value
    place = (*below, *told["namespace"])
    if place[:1] == BOOKS:  # else a file made offers in the name of whoever reads it in
        raise ImportFormatError(
            f"The item {record.id!r} stands among the books of MemStore; name a `namespace` for it."
        )
    return ItemWrite(Address(place, told["key"]), thawed(told["value"]), record.text)


def _is_told(cube: MemCube, where: CubeFilter) -> bool:
    """Whether other systems are told of a memory: of the vault's own notes and books, only where they are named."""
    if cube.descriptive.semantic_type == RECEIPT or not isinstance(cube.payload, PlaintextPayload):
        return False
    return not is_of_the_books(cube) or where.namespace[1:2] == BOOKS


def record_of(cube: MemCube) -> Record:
    """A cube as a record: its words and header, without what the foreign formats have no place for."""
    source, told = cube.provenance, cube.descriptive
    role = "user" if source.trigger is None else source.trigger.removeprefix("import of ")
    if role not in ("user", "assistant", "system", "tool") or cube.trust.channel is not Channel.IMPORT:
        role = ROLE_OF_CHANNEL.get(cube.trust.channel, "user")
    value = thawed(cube.payload.value) if isinstance(cube.payload, PlaintextPayload) else None
    item = item_of(cube) if told.semantic_type == ITEM else None
    if item is not None:
        value = {"namespace": [*item.address.namespace], "key": item.address.key, "value": item.value}
    words = cube.text if cube.text.strip() else canonical_json(value if item is None else item.value).decode()
    fields: dict[str, Any] = {"text": words, "id": cube.id, "kind": told.semantic_type, "role": role}
    return Record(
        **fields,
        speaker=source.speaker,
        at=source.occurred_at or told.created_at,
        thread=source.thread_id,
        session=source.session_id,
        tags=told.tags,
        valid_from=told.valid_from,
        valid_to=told.valid_to,
        value=value,
    )
