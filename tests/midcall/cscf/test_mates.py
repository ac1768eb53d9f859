"""Workers share calls: whose a call is, who has it while that one is not there, and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from midcall.cscf.calls import Calls
from midcall.cscf.shell.mates import Mates
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, request

CALLS = Calls(b"k" * 32)


class Crew:
    """Workers in one loop; ``served`` is what each was given by others."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers
        self.served: list[list[bytes]] = [[] for _ in range(workers)]
        self.there: dict[int, Mates] = {}

    async def start(self, me: int) -> Mates:
        def take(octets: bytes, listener: int, hop: Hop) -> None:
            assert (listener, hop) == (0, ALICE)
            self.served[me].append(octets)

        made = Mates(self._folder, me, self._workers, CALLS, take, take, lambda _: None)
        self.there[me] = made
        await made.told()
        return made

    def stop(self, me: int) -> None:
        self.there.pop(me).close()

    def reads(self, me: int, octets: bytes) -> bool:
        """A worker reads a message; True: it hands it over."""
        return self.there[me].pass_on(octets, 0, ALICE)

    async def serves(self, me: int, octets: bytes) -> None:
        async with asyncio.timeout(5):
            while octets not in self.served[me]:
                await asyncio.sleep(0.001)
        self.served[me].clear()


def run(folder: Path, workers: int, play: Callable[[Crew], Awaitable[None]]) -> None:
    async def go() -> None:
        crew = Crew(folder, workers)
        for me in range(workers):
            await crew.start(me)
        await play(crew)
        for me in tuple(crew.there):
            crew.stop(me)

    asyncio.run(go())


def of(worker: int, workers: int) -> bytes:
    """A message of a call that is this worker's."""
    for number in range(1_000):
        octets = request(call_id=f"call-{number}").encode()
        if CALLS.of(octets) % workers == worker:
            return octets
    raise AssertionError


def test_a_message_is_handed_to_the_one_whose_call_it_is(tmp_path):
    async def play(crew: Crew) -> None:
        message = of(1, 3)
        assert not crew.reads(1, message)
        for reader in (0, 2):
            assert crew.reads(reader, message)
            await crew.serves(1, message)

    run(tmp_path / "mates", 3, play)


def test_while_one_is_not_there_all_hand_its_calls_to_the_same_other(tmp_path):
    async def play(crew: Crew) -> None:
        message = of(1, 3)
        crew.stop(1)
        assert crew.reads(0, message)
        await crew.serves(2, message)
        assert not crew.reads(2, message)

    run(tmp_path / "mates", 3, play)


def test_one_that_comes_back_leaves_the_calls_where_they_are(tmp_path):
    """What is under way would not be known to it."""

    async def play(crew: Crew) -> None:
        message = of(1, 3)
        crew.stop(1)
        assert crew.reads(0, message)
        await crew.serves(2, message)
        await crew.start(1)
        assert not crew.reads(2, message)  # the one that has it goes on
        assert crew.reads(1, message)
        await crew.serves(2, message)
        assert crew.reads(0, message)
        await crew.serves(2, message)  # by way of the one whose call it is
        assert crew.served[1] == []
        crew.stop(2)
        assert not crew.reads(1, message)  # and when the other is gone, it serves it itself

    run(tmp_path / "mates", 3, play)


def test_one_that_comes_back_at_once_is_told_at_once(tmp_path):
    """Although somebody has just found that it was not there, and would not try again so soon."""

    async def play(crew: Crew) -> None:
        message = of(1, 2)
        crew.stop(1)
        assert not crew.reads(0, message)  # and it has tried
        assert not crew.reads(0, of(1, 2))
        await crew.start(1)
        assert crew.reads(1, message)
        await crew.serves(0, message)

    run(tmp_path / "mates", 2, play)


def test_one_alone_serves_all(tmp_path):
    async def play(crew: Crew) -> None:
        crew.stop(1)
        assert not crew.reads(0, of(1, 2))
        assert not crew.reads(0, of(0, 2))

    run(tmp_path / "mates", 2, play)


@pytest.mark.parametrize(
    ("octets", "same"),
    [
        (b"INVITE x\r\nCall-ID: one\r\n\r\nCall-ID: two\r\n", True),
        (b"INVITE x\r\ni:one\r\n\r\n\r\nCall-ID: two\r\n", True),
        (b"INVITE x\nCALL-ID :  one \nv: x\n\n", True),
        (b"INVITE x\r\nCall-ID: One\r\n\r\n", False),
    ],
)
def test_the_call_of_a_message_is_that_of_its_head(octets, same):
    assert (CALLS.of(octets) == CALLS.of(request(call_id="one").encode())) is same


def test_a_message_of_no_call_is_everybodys(tmp_path):
    assert CALLS.of(b"OPTIONS x\r\nX: y\r\n\r\nCall-ID: one") == 0

    async def play(crew: Crew) -> None:
        assert not crew.reads(0, b"OPTIONS x\r\n\r\n")

    run(tmp_path / "mates", 2, play)
