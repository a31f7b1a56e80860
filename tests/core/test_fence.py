"""The bounds around the engine: time, and faults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from contextvars import ContextVar

import pytest

from memos_integrations.core.errors import IdentityError, InvalidMemoryError, TooSlowError, VaultBusyError
from memos_integrations.core.fence import MOST_IDLE, MOST_LEFT_BEHIND, MOST_TRIES, Fence, Owed, TimeBox


def fail() -> None:
    raise VaultBusyError("locked")


def late() -> None:
    raise TimeoutError("the network's own")


async def test_what_the_call_returns_or_raises_comes_through() -> None:
    place: ContextVar[str] = ContextVar("place", default="")
    place.set("here")
    for box in (TimeBox(None), TimeBox(5.0)):
        assert box.run(place.get) == await box.arun(place.get) == "here"
        for call, error in ((fail, VaultBusyError), (late, TimeoutError)):
            with pytest.raises(error):
                box.run(call)
            with pytest.raises(error):
                await box.arun(call)


async def test_after_its_time_the_caller_goes_on_and_the_call_ends_by_itself() -> None:
    box, release, ended = TimeBox(0.02), threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(20)
        ended.set()

    with pytest.raises(TooSlowError):
        box.run(slow)
    with pytest.raises(TooSlowError):
        await box.arun(slow)
    release.set()
    assert ended.wait(20)


async def test_the_event_loop_turns_while_a_call_runs() -> None:
    calling = asyncio.ensure_future(TimeBox(20.0).arun(lambda: time.sleep(0.2)))
    ticks = 0
    while not calling.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 3


def test_an_engine_that_hangs_is_left_alone_until_it_answers_again() -> None:
    box, release = TimeBox(0.01), threading.Event()
    for _ in range(MOST_LEFT_BEHIND):
        with pytest.raises(TooSlowError, match="within"):
            box.run(lambda: release.wait(20))
    with pytest.raises(TooSlowError, match="still hang"):
        box.run(lambda: True)
    release.set()
    patience, answered = time.monotonic() + 20, False
    while not answered and time.monotonic() < patience:
        with contextlib.suppress(TooSlowError):
            answered = box.run(lambda: True)
    assert answered


def test_threads_stay_for_the_next_call_and_do_not_pile_up() -> None:
    box = TimeBox(20.0)
    for _ in range(50):
        assert box.run(lambda: 7) == 7
    assert sum(thread.name == "memos-timebox" for thread in threading.enumerate()) <= MOST_LEFT_BEHIND + MOST_IDLE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    code = """
import os
from memos_integrations.core.fence import TimeBox
box = TimeBox(20.0)
box.run(lambda: 1)
child = os.fork()
if child == 0:
    os._exit(box.run(lambda: 7))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "7", done.stderr


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_limit_is_above_nothing(seconds: float) -> None:
    with pytest.raises(InvalidMemoryError):
        TimeBox(seconds)


def test_a_fence_keeps_faults_and_lets_the_rest_pass(caplog: pytest.LogCaptureFixture) -> None:
    with Fence("open", "recall") as fence:
        raise OSError("the private words of somebody")
    assert isinstance(fence.fault, OSError)
    assert "OSError" in caplog.text
    assert "private words" not in caplog.text
    for policy, error in (("open", IdentityError), ("closed", VaultBusyError), ("open", KeyboardInterrupt)):
        with pytest.raises(error), Fence(policy, "recall"):  # type: ignore[arg-type]
            raise error("no")


def test_what_failed_is_made_up_for_in_order_and_what_never_can_be_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owed, done, down = Owed(most=4), list[int](), True

    def write(number: int) -> int:
        if down:
            raise VaultBusyError("locked")
        if number == 2:
            raise InvalidMemoryError("no words")
        done.append(number)
        return number

    for number in range(5):
        with pytest.raises(VaultBusyError):
            owed.settle(lambda number=number: write(number))  # type: ignore[misc]
    assert len(owed) == 4
    down = False
    assert owed.settle(lambda: write(5)) == 5
    assert done[-3:] == [3, 4, 5]
    assert "given up" in caplog.text
    with pytest.raises(InvalidMemoryError):
        owed.settle(lambda: write(2))
    assert len(owed) == 0


def test_what_fails_while_others_succeed_stands_in_nobodys_way(caplog: pytest.LogCaptureFixture) -> None:
    owed, done = Owed(), list[int]()

    def write(number: int) -> int:
        if number == 0:
            raise ValueError("the embedder does not take this text")
        done.append(number)
        return number

    with pytest.raises(ValueError, match="embedder"):
        owed.settle(lambda: write(0))
    for number in range(1, 2 + MOST_TRIES):
        assert owed.settle(lambda number=number: write(number)) == number  # type: ignore[misc]
    assert done == list(range(1, 2 + MOST_TRIES))
    assert len(owed) == 0
    assert "given up" in caplog.text
    assert "embedder does not" not in caplog.text
