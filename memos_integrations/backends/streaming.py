"""What a model computes piece by piece, for those who wait for it on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

T = TypeVar("T")


async def from_thread(pieces: Iterator[T]) -> AsyncGenerator[T, None]:
    """What *pieces* yields, computed in a worker thread; when nobody listens any more, it stops at the next one.

    What is raised there is raised here, after the pieces before it.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | None] = asyncio.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            for piece in pieces:
                loop.call_soon_threadsafe(queue.put_nowait, piece)
                if left.is_set():
                    break
        finally:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    worker = asyncio.create_task(asyncio.to_thread(work))
    try:
        while (piece := await queue.get()) is not None:
            yield piece
        await worker
    finally:
        left.set()
