"""Processes to be killed: ``python -m tests.midcall.base.x2_link.child poi|df2 FOLDER [NUMBER]``.

``poi`` writes through a client for ever, the PDUs of its NUMBER, and says "kept COUNT" when they are on the disk.
``df2`` appends what it commits to FOLDER/committed, says "up", and kills itself between the NUMBERth commit and its
answer (0: never).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from midcall.base.x2_link import Batch, UnixPeer, X2Client, X2Server
from tests.midcall.base.x2_link.world import QUICK, US, events, journal


def say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


async def poi(folder: Path, number: int) -> None:
    client = X2Client(UnixPeer(folder / "x2", US), journal=journal(folder), settings=QUICK)
    running = asyncio.create_task(client.run())
    written = 0
    while not running.done():
        assert await client.put(events(10, written, number))
        written += 10
        say("kept", written)
    await running


async def df2(folder: Path, last: int) -> None:
    commits = 0

    async def commit(batch: Batch) -> None:
        nonlocal commits
        with (folder / "committed").open("ab") as file:
            file.write(b"".join(batch.octets))
        commits += 1
        if commits == last:
            os.kill(os.getpid(), signal.SIGKILL)

    server = X2Server(commit, settings=QUICK)
    await server.listen_unix(folder / "x2", US)
    say("up")
    await asyncio.Event().wait()


if __name__ == "__main__":
    role, place, number = sys.argv[1:]
    asyncio.run({"poi": poi, "df2": df2}[role](Path(place), int(number)))
