"""A conversation on its way into the vault: every message once, many to a transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field

from memos_integrations.core.access import Caller
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import AlreadyRememberedError, ForgottenError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.bulk import EMBEDDED
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.receipts import IngestReport
from memos_integrations.core.operator.write import Draft, followed, scoped_key
from memos_integrations.core.records import NewVersion

INGESTED = 256
"""How many messages become true together, in one transaction."""

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Ingestion:
    """One conversation, written batch by batch, each message linked to the one before it in its session.

    A message that was ingested before is left as it is; one that was forgotten since stays forgotten, unless *again*.
    """

    conversation: Conversation
    caller: Caller
    draft: Callable[[Message], Draft]
    linked: Callable[[Draft, Sequence[Draft]], Draft]
    judged: Callable[[Sequence[MemCube]], None]
    embedding: Embedding
    governance: MemGovernance
    again: bool = False
    _cubes: list[str] = field(default_factory=list)
    _last: dict[str | None, str] = field(default_factory=dict)
    _known: int = 0
    _forgotten: int = 0

    def run(self, progress: Progress | None) -> IngestReport:
        """Write what is missing; durable on return."""
        messages = self.conversation.messages
        for start in range(0, len(messages), INGESTED):
            batch = messages[start : start + INGESTED]
            missing = self._missing(batch)
            instead = self._put(missing)
            self._follow_up(instead)
            self.judged([draft.cube for draft, _ in missing if draft.cube.id not in instead])
            if progress is not None:
                progress(start + len(batch), len(messages))
        return IngestReport(
            conversation=self.conversation.id,
            cubes=tuple(self._cubes),
            written=len(self._cubes) - self._known,
            known=self._known,
            forgotten=self._forgotten,
        )

    def _missing(self, messages: Sequence[Message]) -> list[tuple[Draft, str]]:
        """Those of the messages that are not there yet, with their keys."""
        source = [self.conversation.source, self.conversation.id]
        keys = [scoped_key(json.dumps([*source, message.id]), self.caller) for message in messages]
        gone = set() if self.again else self.governance.forgotten(keys, self.caller)
        missing: list[tuple[Draft, str]] = []
        for message, key in zip(messages, keys, strict=True):
            cube_id = self.governance.known(key, self.caller)
            if cube_id is not None:
                self._known += 1
            elif key in gone:
                self._forgotten += 1
                continue
            else:
                draft = followed(self.draft(message), self._last.get(message.session_id))
                draft = self.linked(draft, [each for each, _ in missing[-EMBEDDED:]])
                missing.append((draft, key))
                cube_id = draft.cube.id
            self._last[message.session_id] = cube_id
            self._cubes.append(cube_id)
        return missing

    def _put(self, missing: Sequence[tuple[Draft, str]]) -> dict[str, str | None]:
        """Put a batch, durable on return; the id that counts for those that somebody else was faster with, or None."""
        beside = {draft.cube.id for draft, _ in missing}
        versions: list[NewVersion] = []
        for start in range(0, len(missing), EMBEDDED):
            part = missing[start : start + EMBEDDED]
            found = self.embedding.written([draft.text for draft, _ in part])
            rows = [None] * len(part) if found is None else found
            versions += [
                NewVersion(draft.cube, self.caller, draft.terms, row, key, beside, self.again, draft.verdict)
                for (draft, key), row in zip(part, rows, strict=True)
            ]
        if not versions:
            return {}
        durability = missing[0][0].durability
        try:
            self.governance.put_many(versions, operation="remember", durability=durability).result()
        except (AlreadyRememberedError, ForgottenError):
            return self._put_singly(versions)
        return {}

    def _put_singly(self, versions: Sequence[NewVersion]) -> dict[str, str | None]:
        """Somebody ingested, or forgot, one of them meanwhile: each for itself."""
        futures = [self.governance.put_many([version], operation="remember") for version in versions]
        wait(futures)
        instead: dict[str, str | None] = {}
        for version, future in zip(versions, futures, strict=True):
            try:
                future.result()
            except AlreadyRememberedError as exc:
                instead[version.cube.id] = exc.cube_id
            except ForgottenError:
                instead[version.cube.id] = None
        return instead

    def _follow_up(self, instead: dict[str, str | None]) -> None:
        if not instead:
            return
        there = [(cube_id, instead.get(cube_id, cube_id)) for cube_id in self._cubes]
        self._cubes = [now for _, now in there if now is not None]
        gone = sum(now is None for now in instead.values())
        self._forgotten += gone
        self._known += len(instead) - gone
        last = {session: instead.get(cube_id, cube_id) for session, cube_id in self._last.items()}
        self._last = {session: cube_id for session, cube_id in last.items() if cube_id is not None}
