"""Handover: encode, seal and durable append; spool to TLS to a receiver; a backlog beside live records.

Floors on fast cores: 150 000 CC records a second (172 octets of RTP) for the first two; a backlog drains at five
times the live rate with flat memory. Processor time is what a core of its own would need; the clock says what this
machine did.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imswire import hi
from imswire.hi.peek import peek
from midcall.base.lab_pki import LabPki
from midcall.base.seal import SealKey
from midcall.base.sqlite import connect, transaction
from midcall.base.tls import Identity, client_context, server_context
from midcall.base.tls_end import TlsEnd
from midcall.events import CcRecord, CcStream, Intercept
from midcall.handover.settings import LinkSettings, SpoolSettings
from midcall.handover.shell.channel import Peer
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool
from scripts.bench.common import show

RTP = bytes(172)
BATCH = 7_500  # 50 ms at 150 000 records a second
SPOOL = SpoolSettings(reserve_octets=0)


def opened(folder: Path) -> Spool:
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    keys = KeyStore(folder / "keys" / "keys.db", SealKey(bytes(32)))
    intercept = Intercept("BENCH", "bench", "operator", "element", "XX", None, "lemf")
    return Spool(folder / "spool", "lemf", keys, [intercept], lambda _: b"\x8a\0", time.time_ns(), settings=SPOOL)


def streams(calls: int) -> list[CcStream]:
    form = hi.IpmmStream()
    return [CcStream("BENCH", cin, side, form) for cin in range(calls) for side in (0, 1)]


def batch(of: list[CcStream], count: int, at: int) -> list[CcRecord]:
    step = 50_000_000 // max(count, 1)
    return [CcRecord(at + n * step, of[n % len(of)], RTP) for n in range(count)]


class Figure:
    """Records over processor time and over the clock."""

    def __init__(self, count: int, run: Callable[[], object]) -> None:
        clock, core = time.perf_counter(), time.process_time()
        run()
        self.clock = count / (time.perf_counter() - clock)
        self.core = count / (time.process_time() - core)


def append(records: int, calls: int) -> Figure:
    """Records through numbers, templates, hashes, seals and commits onto the disk."""
    with tempfile.TemporaryDirectory() as folder:
        spool = opened(Path(folder))
        of = streams(calls)
        batches = [batch(of, BATCH, time.time_ns() + n * 50_000_000) for n in range(records // BATCH)]
        spool.write_cc(batches[0], batches[0][0].time)

        def run() -> None:
            for each in batches:
                assert spool.write_cc(each, each[0].time)

        figure = Figure(len(batches) * BATCH, run)
        spool.close()
        spool.keys.close()
        return figure


def plain(records: int) -> Figure:
    """The limit: as many octets into the same SQLite in the same commits, made by nobody."""
    with tempfile.TemporaryDirectory() as folder:
        database = connect(Path(folder) / "plain.db", "rwc")
        database.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB)")
        octets = BATCH * 280
        rows = [os.urandom(128 << 10) for _ in range(octets // (128 << 10) + 1)]

        def run() -> None:
            for _ in range(records // BATCH):
                with transaction(database):
                    database.executemany("INSERT INTO rows(body) VALUES(?)", [(row,) for row in rows])

        figure = Figure(records // BATCH * BATCH, run)
        database.close()
        return figure


# To a receiver in another process


async def receive(folder: Path) -> None:
    """Count PDUs, answer keep-alives, until the PDUs that ``folder/expected`` names have come."""
    identity = Identity(folder / "lemf.pem", folder / "lemf.key", folder / "ca.pem")
    done = asyncio.Event()

    async def serve(receiving: asyncio.StreamReader, sending: asyncio.StreamWriter) -> None:
        splitter = hi.Splitter()
        try:
            while data := await receiving.read(1 << 18):
                answer(splitter.feed(data), sending)
        except ConnectionResetError:
            pass
        finally:
            sending.close()
            done.set()

    def answer(pdus: list[bytes], sending: asyncio.StreamWriter) -> None:
        for octets in pdus:
            tri = peek(octets).tri
            if tri == hi.TriTag.KEEP_ALIVE:
                reply: hi.Tri = hi.KeepAliveResponse()
            elif tri == hi.TriTag.OPTION_REQUEST:
                reply = hi.OptionResponse((), (hi.Option.PDU_ACKNOWLEDGEMENT,))
            else:
                continue
            sending.write(hi.build(hi.PsPdu(hi.parse(octets).header, reply)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(identity), limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await done.wait()
    print(time.process_time(), flush=True)
    server.close()


class Receiver:
    """The process of :func:`receive`."""

    def __init__(self, folder: Path) -> None:
        LabPki(folder).make(("df", "lemf"))
        code = f"import asyncio; from pathlib import Path; from scripts.bench.handover import receive; asyncio.run(receive(Path({str(folder)!r})))"  # noqa: E501
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert self.process.stdout is not None
        port = int(self.process.stdout.readline())
        identity = Identity(folder / "df.pem", folder / "df.key", folder / "ca.pem")
        self.peer = Peer("127.0.0.1", port, TlsEnd(client_context(identity), None))

    def core(self) -> float:
        """Processor time that it took."""
        assert self.process.stdout is not None
        seconds = float(self.process.stdout.readline())
        self.process.wait()
        return seconds


async def until_empty(sender: Sender, count: int) -> None:
    running = asyncio.create_task(sender.run())
    while sum(each.released for each in sender.counters().values()) < count:
        await asyncio.sleep(0.01)
    sender.stop(10)
    await running


def deliver(records: int) -> tuple[Figure, float]:
    """From the spool to a receiver; its rate on its own core comes with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = opened(folder)
        of = streams(20)
        for n in range(records // BATCH):
            spool.write_cc(batch(of, BATCH, time.time_ns() + n * 50_000_000), time.time_ns())
        receiver = Receiver(folder / "pki")
        settings = LinkSettings(poll_seconds=0.05)
        sender = Sender(folder / "spool", "lemf", spool.keys, receiver.peer, "operator", settings=settings)
        count = records // BATCH * BATCH
        figure = Figure(count, lambda: asyncio.run(until_empty(sender, count)))
        theirs = count / receiver.core()
        spool.close()
        spool.keys.close()
        return figure, theirs


def write_live(folder: Path, rate: int, seconds: float) -> None:
    """A process that writes at a steady rate and says how much it wrote."""
    spool = opened(folder)
    of = streams(20)
    written, begun = 0, time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        due = int(passed * rate) - written
        if due >= rate // 20:
            spool.write_cc(batch(of, due, time.time_ns()), time.time_ns())
            written += due
        time.sleep(0.005)
    print(written)
    spool.close()


def drain(backlog: int, rate: int) -> None:
    """A backlog goes out while another process writes behind it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = opened(folder)
        of = streams(20)
        for n in range(backlog // BATCH):
            spool.write_cc(batch(of, BATCH, time.time_ns() + n * 50_000_000), time.time_ns())
        spool.close()
        receiver = Receiver(folder / "pki")
        code = f"from pathlib import Path; from scripts.bench.handover import write_live; write_live(Path({name!r}), {rate}, 600)"  # noqa: E501
        live = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)  # noqa: S603
        keys = KeyStore(folder / "keys" / "keys.db", SealKey(bytes(32)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sender = Sender(folder / "spool", "lemf", keys, receiver.peer, "operator", settings=LinkSettings())
        seconds, released = asyncio.run(_drain(sender, backlog))
        live.kill()
        live.wait()
        receiver.core()
        keys.close()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        show(f"backlog of {backlog:,}, live {rate:,}/s", released / seconds, "rec/s", rate, "the live rate")
        print(f"{'peak memory of the sender, above the start':44} {grown:12.1f} MB")


async def _drain(sender: Sender, backlog: int) -> tuple[float, int]:
    running = asyncio.create_task(sender.run())
    counters = sender.channels[0].counters
    while not counters.released:
        await asyncio.sleep(0.01)
    begun, first = time.perf_counter(), counters.released
    while counters.released < backlog:
        await asyncio.sleep(0.01)
    seconds, released = time.perf_counter() - begun, counters.released - first
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return seconds, released


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=600_000, help="content records for each figure")
    parser.add_argument("--live", type=int, default=10_000, help="live records a second beside the backlog")
    arguments = parser.parse_args()
    limit = plain(arguments.records)
    for calls in (1, 750):
        own = append(arguments.records, calls)
        show(f"encode, seal, append: {calls} calls, core", own.core, "rec/s", limit.core, "plain SQLite")
        show(f"encode, seal, append: {calls} calls, clock", own.clock, "rec/s", limit.clock, "plain SQLite")
    ours, theirs = deliver(arguments.records)
    show("spool to TLS, sender's core", ours.core, "rec/s", theirs, "the receiver's core")
    show("spool to TLS to receiver, clock", ours.clock, "rec/s", theirs, "the receiver's core")
    drain(max(arguments.records, 1_000_000), arguments.live)


if __name__ == "__main__":
    main()
