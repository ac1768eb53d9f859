"""A process that raises writers and senders, to be killed: ``python -m tests.midcall.handover.nursery``.

It is told on stdin "writer FOLDER KEYS", "sender FOLDER KEYS PKI PORT" or "end FOLDER KEYS", forks, and says what
happens on stdout, a line each: "born ROLE PID", "acked EVENTS CONTENT" after each commit, "ended EVENTS CONTENT".
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from midcall.handover import Kind
from midcall.handover.settings import LinkSettings, SpoolSettings
from midcall.handover.shell.segments import SpoolInUse
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool
from tests.midcall.handover.receiver import Pki
from tests.midcall.handover.world import cc, intercept, iri, keys, streams, unavailable

SETTINGS = SpoolSettings(segment_octets=300_000, reserve_octets=0, retry_seconds=0.02)
LINK = LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.02, poll_seconds=0.05)


def say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def opened(folder: str, key_folder: str) -> Spool:
    store = keys(Path(key_folder))
    while True:
        with suppress(SpoolInUse):  # the one before is not quite dead yet
            return Spool(Path(folder), "lemf", store, [intercept()], unavailable, time.time_ns(), settings=SETTINGS)


def standing(spool: Spool) -> tuple[int, int]:
    """How many events and how much content are on the disk."""
    return spool.last_key("LAB-1") + 1, spool.next_number("LAB-1", 1, Kind.CC)


def writer(folder: str, key_folder: str) -> None:
    """Write until killed; each record says which it is, so that a repetition or an omission would show."""
    spool = opened(folder, key_folder)
    stream = streams()[0]
    events, content = standing(spool)
    while True:
        spool.write_iri([iri(events), iri(events + 1)], time.time_ns())
        spool.write_cc(cc(stream, 100, content), time.time_ns())
        events += 2
        content += 100
        say("acked", events, content)


def end(folder: str, key_folder: str) -> None:
    spool = opened(folder, key_folder)
    spool.end("LAB-1", time.time_ns())
    say("ended", *standing(spool))


def sender(folder: str, key_folder: str, pki: str, port: str) -> None:
    async def run() -> None:
        peer = Pki(Path(pki)).peer(int(port))
        await Sender(Path(folder), "lemf", keys(Path(key_folder)), peer, "operator", settings=LINK).run()

    asyncio.run(run())


ROLES: dict[str, Callable[..., None]] = {"writer": writer, "end": end, "sender": sender}


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's business
    children = []
    for line in sys.stdin:
        role, *words = line.split()
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                ROLES[role](*words)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        children.append(child)
        say("born", role, child)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
