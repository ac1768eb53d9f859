"""What small objects have left in the interpreter's own pools is overwritten, soon after it was let go of.

glibc overwrites what is freed (:mod:`midcall.base.memory`), but objects of up to 512 octets never reach it: the
interpreter keeps their places, as they were, for the next ones of their size. To ask glibc for each of them would cost
a process that works all the time a good part of its speed. So where somebody's name has just been let go of, all free
places are taken once, by objects of nothing, and given back.
"""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Iterator
from pathlib import Path

from midcall.base import memory

SOON_SECONDS = 1.0
AGAIN_SECONDS = 15.0
"""Once more: what held itself was perhaps collected only after the first time, or stood in a connection's buffers."""
_STEP, _SMALL = 16, 512
_SIZES = (48, *range(_SMALL, 48, -_STEP), 32, 16)
"""48 first: pools of nobody go to it, in which it leaves no more than 16 octets untouched at their end."""
_HEAD_OF_BYTES = 33
_TOGETHER = 1 << 17
"""Octets that are taken between two turns of the loop: about a millisecond."""
_ARENA = 1 << 20
_MOST = 1 << 32


class Sweep:
    """Once for all who ask meanwhile; nothing where this process was not begun to overwrite what is freed."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def soon(self, *, wanted: bool = True) -> None:
        """From within a running loop, if it is ``wanted``."""
        if wanted and memory.overwrites_freed(small=False) and not memory.overwrites_freed(small=True):
            self.cancel()
            self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        for seconds in (SOON_SECONDS, AGAIN_SECONDS):
            await asyncio.sleep(seconds)
            gc.collect(1)
            for _ in taken():
                await asyncio.sleep(0.001)


def taken() -> Iterator[int]:
    """Take all free places of small objects, size by size, piece by piece; they are free again at the end of it.

    That none is left shows by another arena that the interpreter has to ask the kernel for.
    """
    held: list[list[object]] = []
    total = 0
    for size in _SIZES:
        count, expected = _TOGETHER // size, _octets()
        while _octets() - expected < _ARENA and total < _MOST:
            held.append(_objects(size, count))
            total += count * size
            # The list itself may have grown the process, too.
            expected += 8 * count + 4_096
            yield total
    while held:
        held.pop()
        yield total


def _objects(size: int, count: int) -> list[object]:
    """As many objects of nothing, each as large as its place."""
    if size > 2 * _STEP:
        return [bytes(size - _HEAD_OF_BYTES) for _ in range(count)]
    if size == _STEP:
        return [object() for _ in range(count)]
    return list(range(1 << 40, (1 << 40) + count))


def _octets() -> int:
    """Of memory of this process that is no file."""
    return int(Path("/proc/self/statm").read_bytes().split()[5]) * resource.getpagesize()
