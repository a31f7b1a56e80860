"""What a run of a pipeline did, or would do: cube by cube, before and after. Pure."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Literal

from pydantic import Field

from memos_integrations.core.access import Caller, Verb, may_read, subjects_for
from memos_integrations.core.aftermath import Aftermath
from memos_integrations.core.cube import Digest, Label, MemCube, State, Value
from memos_integrations.core.ports import Stage
from memos_integrations.core.releasing import Releasing, withheld


class CubeChange(Value):
    """One cube that a run changes: `before` and `after` are `(version, state)`, None where it is not there.

    `diff` holds the lines of its words that go (`-`) and come (`+`); `becomes`, of what is written, is a digest
    of its words, labels and readers: who agrees to a change agrees to what it says.
    """

    cube_id: Label
    what: Literal["new", "changed", "moved", "erased"]
    before: tuple[int, State] | None = None
    after: tuple[int, State] | None = None
    diff: tuple[str, ...] = ()
    becomes: Digest | None = None

    def __str__(self) -> str:
        ways = " -> ".join("none" if each is None else f"v{each[0]} {each[1]}" for each in (self.before, self.after))
        return "\n".join([f"{self.what} {self.cube_id}: {ways}", *(f"  {line}" for line in self.diff)])


class PipelineReport(Value):
    """What a run did: which pipeline (name, version, digest), the steps taken, and what changed.

    `commit` is the number of its one transaction; None where nothing was written: a dry run, or nothing to change.
    `changes` are those that the principal may see; `unseen` counts the others, such as what was derived from an erased
    cube by somebody else. `attempts` is above 1 where somebody changed the same cubes meanwhile, and it ran anew.
    """

    run: Label
    pipeline: Label
    version: Label
    digest: Digest
    steps: tuple[Label, ...] = ()
    changes: tuple[CubeChange, ...] = ()
    unseen: int = 0
    dry_run: bool = False
    commit: int | None = None
    attempts: int = Field(default=1, ge=1)
    known: bool = False
    """Whether this run had been done before; nothing was done again, and `changes` is empty."""


Pairs = Sequence[tuple[MemCube | None, MemCube | None]]


def changes_in(stage: Stage, pairs: Pairs, caller: Caller) -> tuple[tuple[CubeChange, ...], int]:
    """The changes that the caller may see, and how many others there are; *pairs* are those of `Stage.changed`.

    Of what is derived of something that they may not see by now, or that is another by now, no words are told.
    """
    seen: list[CubeChange] = []
    unseen = 0
    derived = [cube for pair in pairs if (cube := pair[1] or pair[0]) is not None and _is_derived(pair)]
    stands = {cube.id for cube in Releasing(stage, Aftermath(stage)).of(derived, caller)} if derived else set()
    ids = [cube.id for pair in pairs for cube in pair[:1] if cube is not None]
    away = withheld(stage, ids, caller)
    for was, now in pairs:
        there = [cube for cube in (was, now) if cube is not None]
        if there and all(_may_see(cube, caller, away) for cube in there):
            change = _change(was, now)
            told = there[0].id in stands or not _is_derived((was, now))
            seen.append(change if told else change.model_copy(update={"diff": ()}))
        else:
            unseen += bool(there)
    return tuple(seen), unseen


def _is_derived(pair: tuple[MemCube | None, MemCube | None]) -> bool:
    return any(cube is not None and cube.provenance.derived_from for cube in pair)


def _may_see(cube: MemCube, caller: Caller, away: Container[str]) -> bool:
    return cube.governance.owner == caller.by.subject or (cube.id not in away and may_read(cube, caller))


def touched(changes: Iterable[CubeChange]) -> Counter[tuple[str, str, str | None]]:
    """Which memories the changes are about, how, and what they come to say; versions and ids of new ones may differ."""
    return Counter((each.what, "" if each.what == "new" else each.cube_id, each.becomes) for each in changes)


def _change(was: MemCube | None, now: MemCube | None) -> CubeChange:
    cube = now or was
    assert cube is not None
    what: Literal["new", "changed", "moved", "erased"] = "changed"
    if was is None:
        what = "new"
    elif now is None:
        what = "erased"
    elif was.version == now.version:
        what = "moved"
    return CubeChange(
        cube_id=cube.id,
        what=what,
        before=None if was is None else (was.version, was.state),
        after=None if now is None else (now.version, now.state),
        diff=_lines(was.text if was else "", now.text if now else ""),
        becomes=_told(now) if now is not None and what in {"new", "changed"} else None,
    )


def _told(cube: MemCube) -> str:
    own, rules = cube.descriptive, cube.governance
    readers = sorted(subjects_for(Verb.READ, rules))
    said = [cube.text, own.semantic_type, sorted(own.tags), readers, list(cube.namespace), rules.priority, cube.state]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def _lines(before: str, after: str) -> tuple[str, ...]:
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in found if not line.startswith(("---", "+++", "@@")))
