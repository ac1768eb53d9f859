"""kill -9 of the writer and of the sender at random instants: nothing lost, nothing doubled, no gap."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from imswire import hi
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.status import completeness
from tests.midcall.handover.ledger import Ledger
from tests.midcall.handover.receiver import Manner, Pki, Receiver
from tests.midcall.handover.world import keys

ROOT = Path(__file__).parents[3]
# An instant within a commit or two of the writer, or of a batch of the sender.
INSTANT = 0.02


class Nursery:
    """The process that raises the others."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.acked = (0, 0)
        self.ended: tuple[int, int] | None = None
        self.born: asyncio.Queue[int] = asyncio.Queue()
        self.commits = 0
        self.heard = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls) -> Nursery:
        pipe = asyncio.subprocess.PIPE
        module = "tests.midcall.handover.nursery"
        return cls(
            await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=pipe, stdout=pipe, cwd=ROOT)
        )

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            what, first, second = line.split()
            if what == b"born":
                self.born.put_nowait(int(second))
            elif what == b"acked":
                assert (int(first), int(second)) > self.acked, "what was acknowledged is forgotten"
                self.acked = (int(first), int(second))
                self.commits += 1
            else:
                self.ended = (int(first), int(second))
            self.heard.set()

    async def raise_(self, role: str, *words: object) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, (role, *words))).encode() + b"\n")
        async with asyncio.timeout(60):
            return await self.born.get()

    async def until_commits(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.commits < count:
                self.heard.clear()
                await self.heard.wait()

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening


async def instant(draw: random.Random, event: asyncio.Event) -> None:
    """Some part of an instant, in which anything may happen."""
    event.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(draw.random() * INSTANT):
            while True:
                event.clear()
                await event.wait()


async def killing(folder: Path, pki: Pki, kills: int, manner: Manner) -> None:
    draw = random.Random(kills)
    ledger = Ledger() if kills < 50 else Ledger().forget_octets()
    receiver = await Receiver(pki, manner, ledger).start()
    nursery = await Nursery.start()
    places = (folder / "spool", folder / "keys")
    sending = (*places, pki.folder, receiver.port)
    try:
        writer = await nursery.raise_("writer", *places)
        sender = await nursery.raise_("sender", *sending)
        for kill in range(kills):
            if draw.random() < 0.75:  # else while it is still beginning
                await nursery.until_commits(nursery.commits + draw.randrange(1, 4))
            if kill % 4 == 3:
                await receiver.until(lambda before=receiver.pdus: receiver.pdus > before)  # type: ignore[misc]
            await instant(draw, nursery.heard)
            os.kill(writer, signal.SIGKILL)
            writer = await nursery.raise_("writer", *places)
            await instant(draw, receiver.changed)
            os.kill(sender, signal.SIGKILL)
            sender = await nursery.raise_("sender", *sending)
        await nursery.until_commits(nursery.commits + 1)
        os.kill(writer, signal.SIGKILL)
        acked = nursery.acked
        await nursery.raise_("end", *places)
        async with asyncio.timeout(60):
            while nursery.ended is None:
                nursery.heard.clear()
                await nursery.heard.wait()
        events, content = nursery.ended
        await receiver.until(
            lambda: (ledger.count(hi.PayloadTag.IRI), ledger.count(hi.PayloadTag.CC)) == (events, content)
        )
        store = keys(folder / "keys")
        await receiver.until(lambda: all(e.queued == 0 for e in completeness(Folder(folder / "spool"), store, "LAB-1")))
        os.kill(sender, signal.SIGKILL)
        assert (events, content) >= acked
        assert [e.holds for e in completeness(Folder(folder / "spool"), store, "LAB-1")] == [True, True]
        store.close()
    finally:
        await nursery.stop()
        await receiver.stop()
    ledger.assert_whole()
    for place, octets in enumerate(ledger.octets(hi.PayloadTag.CC)):
        assert octets.endswith(place.to_bytes(8, "big")) or place.to_bytes(8, "big") in octets
    for place, octets in enumerate(ledger.octets(hi.PayloadTag.IRI)):
        assert octets.endswith(b"event %d" % place)


@pytest.mark.parametrize("manner", [Manner(), Manner(acknowledges=True)], ids=["keep-alives", "acknowledgements"])
def test_kills(tmp_path: Path, manner: Manner) -> None:
    asyncio.run(killing(tmp_path, Pki(tmp_path / "pki"), 5, manner))


@pytest.mark.proof
def test_two_hundred_kills(tmp_path: Path) -> None:
    asyncio.run(killing(tmp_path, Pki(tmp_path / "pki"), 200, Manner()))
