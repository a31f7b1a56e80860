"""What is of the wrong kind, or out of bounds, is refused in words of our own, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, MemOSError
from memos_integrations.backends.pipelines import load_pipeline, parse_pipeline
from memos_integrations.cli import main
from memos_integrations.core.cube import State
from memos_integrations.core.errors import ClockError, InvalidMemoryError, PipelineError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.vaults.memory import InMemoryVault
from tests.lifetime import ANA, START, Clock

LAST = datetime.max.replace(tzinfo=UTC)
BEYOND = datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))
TAKES_NONE = MemPipeline("none", [lambda run: None])
ASKED: dict[str, tuple[type[MemOSError], Callable[[MemOS, Any], object]]] = {
    "tick at the end of time": (ClockError, lambda m, _: m.tick(by=ANA, now=LAST)),
    "tick beyond it": (InvalidMemoryError, lambda m, _: m.tick(by=ANA, now=BEYOND)),
    "as_of beyond it": (InvalidMemoryError, lambda m, i: m.get(i, by=ANA, as_of=BEYOND)),
    "ageing": (InvalidMemoryError, lambda m, _: m.tick(by=ANA, ageing=5)),  # type: ignore[arg-type]
    "tiering": (InvalidMemoryError, lambda m, _: m.tick(by=ANA, tiering=5)),  # type: ignore[arg-type]
    "undo None": (InvalidMemoryError, lambda m, _: m.undo(None, by=ANA)),  # type: ignore[arg-type]
    "undo 5": (InvalidMemoryError, lambda m, _: m.undo(5, by=ANA)),  # type: ignore[arg-type]
    "roll_back": (InvalidMemoryError, lambda m, _: m.roll_back(START, by=ANA, namespace=5)),
    "roll_back of a number": (InvalidMemoryError, lambda m, _: m.roll_back(START, by=ANA, principal=5)),
    "roll_back of a source": (InvalidMemoryError, lambda m, _: m.roll_back(START, by=ANA, source=5)),
    "consolidate": (InvalidMemoryError, lambda m, _: m.consolidate(by=ANA, namespace=7)),  # type: ignore[arg-type]
    "recall": (InvalidMemoryError, lambda m, _: m.recall("x", by=ANA, namespace=7)),  # type: ignore[arg-type]
    "run": (PipelineError, lambda m, _: m.run(TAKES_NONE, by=ANA, given=5)),  # type: ignore[arg-type]
    "run with a list": (PipelineError, lambda m, _: m.run(TAKES_NONE, by=ANA, given=["a"])),  # type: ignore[arg-type]
    "begin": (PipelineError, lambda m, _: m.begin(TAKES_NONE, by=ANA, given=5)),  # type: ignore[arg-type]
    "merge one id": (InvalidMemoryError, lambda m, i: m.merge(i, by=ANA)),
    "merge a number": (InvalidMemoryError, lambda m, _: m.merge(5, by=ANA)),  # type: ignore[arg-type]
    "summarise one id": (InvalidMemoryError, lambda m, i: m.summarise(i, by=ANA)),
    "parse": (PipelineError, lambda *_: parse_pipeline(None)),  # type: ignore[arg-type]
    "load": (PipelineError, lambda *_: load_pipeline(None)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("asked", ASKED)
def test_it_is_refused_in_our_own_words(asked: str, clock: Clock) -> None:
    kind, ask = ASKED[asked]
    with MemOS(InMemoryVault(), clock=clock) as memos:
        cube = memos.remember("The kettle is green.", by=ANA)
        with pytest.raises(kind) as raised:
            ask(memos, cube.id)
        assert type(raised.value) is kind
        assert memos.history(cube.id, by=ANA) == [cube]


def test_a_text_is_no_list_of_ids(clock: Clock) -> None:
    with (
        MemOS(InMemoryVault(), clock=clock) as memos,
        pytest.raises(InvalidMemoryError, match="list of ids"),
    ):
        memos.merge(memos.remember("The kettle is green.", by=ANA).id, by=ANA)


def test_a_rest_without_end_lets_everything_stay(clock: Clock) -> None:
    with MemOS(InMemoryVault(), clock=clock) as memos:
        cube = memos.remember("The kettle is green.", by=ANA)
        clock.now += timedelta(days=4_000)
        memos.tick(by=ANA, ageing=Ageing(rest=timedelta.max))
        assert memos.get(cube.id, by=ANA).state is State.GENERATED
        memos.tick(by=ANA, ageing=Ageing(rest=timedelta(days=5_000_000)))


def test_a_namespace_may_come_from_a_generator(clock: Clock) -> None:
    with MemOS(InMemoryVault(), clock=clock) as memos:
        memos.remember("The kettle is green.", by=ANA, namespace=("acme", "ana", "kitchen"))
        assert len(memos.recall("kettle", by=ANA, namespace=(part for part in ("acme", "ana"))).hits) == 1  # type: ignore[arg-type]
        assert not memos.recall("kettle", by=ANA, namespace=(part for part in ("acme", "ana", "hall"))).hits  # type: ignore[arg-type]


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with MemOS.open(tmp_path) as memos:
        memos.remember("The kettle is green.", by=ANA)
    for now in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"):
        with pytest.raises(SystemExit) as ended:
            main(["tick", "--now", now, "--vault", str(tmp_path), "--user", "ana"])
        assert ended.value.code == 2, now
        assert len(capsys.readouterr().err.strip().splitlines()) == 1, now
