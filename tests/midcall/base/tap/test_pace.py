"""What comes is read at once; what comes in masses is read together a moment later, and nothing of it twice."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from midcall.base.tap import pace
from midcall.base.tap.pace import PacedReader

SECONDS = 0.03
MANY = pace.BUSY  # far more than comes in what a test takes


class Line:
    """Octets stand for packets; ``reads`` is when some were read, and how many. ``seconds``: what reading takes."""

    def __init__(self) -> None:
        self.seconds = SECONDS
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.reads: list[tuple[float, int]] = []

    def read(self) -> int:
        count = len(self.near.recv(1 << 20))
        self.reads.append((asyncio.get_running_loop().time(), count))
        time.sleep(self.seconds)
        return count

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(0.001)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_little_is_read_at_once_and_much_is_followed_by_a_pause(line):
    async def run() -> None:
        reader = PacedReader([line.near.fileno()], line.read)
        line.far.send(b"x")
        await line.until(lambda: bool(line.reads))
        assert reader._pause is None
        line.far.send(bytes(MANY))
        await line.until(lambda: sum(count for _, count in line.reads) == 1 + MANY)
        assert reader._pause is not None
        line.far.send(b"y")
        line.far.send(b"z")
        await line.until(lambda: sum(count for _, count in line.reads) == 3 + MANY)
        assert line.reads[-1][1] == 2, "what came in the pause is read together"
        assert line.reads[-1][0] - line.reads[-2][0] > 0.9 * 2 * SECONDS, "a pause as long as the reading"
        assert reader._pause is None
        reader.stop()

    asyncio.run(run())


class Loop:
    """An event loop whose clock stands still but for what a test does to it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due = 0.0

    def time(self) -> float:
        return self.now

    def add_reader(self, descriptor: int, ready: Callable[[], None]) -> None:
        self.ready = ready

    def remove_reader(self, descriptor: int) -> None: ...

    def call_at(self, due: float, _: Callable[[], None]) -> None:
        self.due = due


@pytest.mark.parametrize("took", [0.001, 0.01, 0.04, 0.06, 0.3])
def test_a_pause_is_as_long_as_the_reading_took_and_is_over_at_its_bound(monkeypatch, took):
    loop = Loop()

    def read() -> int:
        loop.now += took
        return MANY

    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    PacedReader([0], read)
    loop.ready()
    assert loop.due == pytest.approx(100.0 + min(2 * took, pace.PAUSE))


def test_it_stops_in_a_pause_and_outside_of_one(line):
    async def run() -> None:
        for count in (1, MANY):
            reader = PacedReader([line.near.fileno()], line.read)
            before = len(line.reads)
            line.far.send(bytes(count))
            await line.until(lambda before=before: len(line.reads) > before)
            assert (reader._pause is None) == (count == 1)
            reader.stop()
            line.far.send(b"x")
            await asyncio.sleep(1.2 * pace.PAUSE)
            assert len(line.reads) == before + 1
            line.near.recv(1)

    asyncio.run(run())
