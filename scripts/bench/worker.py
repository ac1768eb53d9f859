"""One DF3 worker from the tap to the spool: what each stage costs a packet, and the highest rate with none lost.

Floor on a fast machine: 150 000 packets a second, 1 500 two-way calls; fast is one whose libsrtp alone, in a loop in C,
does 2.34 million a second, so that the floor is 15.6 times what a packet costs it. A sender in another process speaks
for so many calls, 100 packets a second each, over a wire between two network namespaces; the worker has a ring there,
decrypts, encodes, seals, and commits to the disk. Costs are of the processor; the rate is what this machine did with
sender and worker side by side. Needs the rights of root and iproute2.

With ``--workers N`` the calls are shared out to N of them, as tasks are to DFs that share nothing: each a process with
a tap and a spool of its own on the same wire. What they can do together is compared with what one alone can.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

from imswire import inet, srtp
from imswire.sdp import Codec, Endpoint
from midcall.base.seal import SealKey
from midcall.base.tap import Geometry, PacedReader, Source, Tap, TapPort
from midcall.base.tap.pace import PAUSE
from midcall.config import Integrity, Profile
from midcall.df3 import ContentMediation, ContentRecords
from midcall.events import (
    Cc,
    CryptoContext,
    DialogId,
    Instant,
    Intercept,
    MediaFlow,
    MediaPlan,
    SessionKey,
    Side,
    TapPacket,
    Terms,
)
from midcall.handover.assembler import Assembler
from midcall.handover.settings import SpoolSettings
from midcall.handover.shell.keys import KeyStore
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.writer import Writer
from midcall.live.roles import COLLECTED
from scripts import netns
from scripts.bench.srtp import c_loop
from scripts.bench.voices import CLEAR, Voice, Voices

FRAME_SECONDS = 0.02
ADDRESS = netns.ADDRESSES[1][0]
FIRST_PORT = 10_000
FIRST_SSRC = 0x10000
PACKETS_OF_A_CALL = 100
"""A second."""
FRAMES = round(PAUSE / FRAME_SECONDS)
"""Packets of each stream that are read, and committed, together at such rates."""
CHECKED = 10
"""Rounds that a second of media takes: each call has an integrity check then."""
LARGE = Geometry(1 << 18, 384)
SETTLED_NS = 1_000_000_000
"""Of media, in which all calls begin at once: that is no part of what a packet costs."""
QUIET_SECONDS = 0.3
"""Without a packet, after the sender has ended."""
TURNS = 3
SEED = bytes(range(30))


def port(stream: int) -> int:
    return FIRST_PORT + 2 * stream


def key(stream: int) -> bytes:
    return stream.to_bytes(4, "big") + SEED[4:]


def voices(calls: int, sequence: int = 1_000) -> list[Voice]:
    """Two streams of each call."""
    address = inet.pack(ADDRESS)
    return [Voice(address, port(n), FIRST_SSRC + n, 0, sequence, key(n)) for n in range(2 * calls)]


def liid(call: int, intercepts: int) -> str:
    return f"BENCH-{call % intercepts}"


def plan(call: int, intercepts: int) -> MediaPlan:
    """A call as DF2 tells DF3 of it."""
    flows, contexts = [], []
    for n, side in ((2 * call, Side.CALLER), (2 * call + 1, Side.CALLEE)):
        to = Endpoint(ADDRESS, port(n))
        flows.append(MediaFlow(n & 1, "audio", side, (to,), (), None, {0: Codec("PCMU", 8_000)}, True))
        master = srtp.MasterKey(key(n)[:16], key(n)[16:])
        session = SessionKey(1 + (n & 1), 0, FIRST_SSRC + n, 0, 0, srtp.AES_CM_128_HMAC_SHA1_80, master, True)
        contexts.append(CryptoContext(0, n, n & 1, side, session))
    at = Instant(time.time_ns(), time.monotonic_ns())
    dialog = DialogId(f"call-{call}", "a", "b")
    xid, correlation = liid(call, intercepts), call.to_bytes(8, "big")
    return MediaPlan(
        xid, call + 1, correlation, dialog, at, None, None, at, Side.CALLER, tuple(flows), tuple(contexts), False
    )


class Worker:
    """The cores and the spool of a worker, with every call armed at its tap."""

    def __init__(self, folder: Path, tap: TapPort, calls: Iterable[int], intercepts: int) -> None:
        self.tap = tap
        self.df3 = ContentMediation()
        self.content = ContentRecords()
        names = [liid(n, intercepts) for n in range(intercepts)]
        self.ordered = [Intercept(name, name, "operator", "element", "XX", None, "lemf") for name in names]
        self.keys = KeyStore(folder / "keys.db", SealKey(bytes(32)))
        settings = SpoolSettings(reserve_octets=0)
        self.spool = Spool(
            folder / "spool", "lemf", self.keys, self.ordered, lambda _: b"\x8a\0", time.time_ns(), settings=settings
        )
        for name in names:
            self.content.order(name, Terms(name), Profile())
        for call in calls:
            made = plan(call, intercepts)
            self.df3.plan(made, made.at)
        for place in self.df3.places():
            tap.arm(place)

    def close(self) -> None:
        self.spool.close()
        self.keys.close()


# What each stage costs


class Costs:
    """Processor time of each stage in ns a packet; the best of some rounds."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def time(self, name: str, count: int, run: Callable[[], object]) -> None:
        begun = time.process_time()
        run()
        took = (time.process_time() - begun) / count * 1e9
        self.best[name] = min(took, self.best.get(name, took))


def wait_for(tap: TapPort) -> bool:
    return bool(select.select(tap.filenos(), [], [], 0.1)[0])


def measure(worker: Worker, sender: Voices, rounds: int) -> dict[str, float]:
    """Rounds of packets that wait in the ring; each stage takes all that the stage before gave."""
    costs = Costs()
    alone = Assembler(worker.ordered, Integrity())
    now = time.time_ns()
    count = FRAMES * sender.count
    for number in range(rounds):
        for _ in range(FRAMES):
            sender.frame()
        packets: list[TapPacket] = []
        records: list[Cc] = []

        def read(into: list[TapPacket] = packets) -> None:
            while wait_for(worker.tap):
                into.extend(worker.tap.media())

        def decrypt(out: list[Cc] = records, given: list[TapPacket] = packets) -> None:
            out.extend(worker.df3.media(given, worker.content))

        costs.time("ring", count, read)
        costs.time("whose, SRTP", count, decrypt)
        if not len(packets) == len(records) == count:
            raise SystemExit(f"{count} packets were sent, {len(packets)} read, {len(records)} decrypted")
        costs.time("encode, hash", count, lambda: alone.cc_runs(records, now))  # noqa: B023
        costs.time("encode, hash, seal, append", count, lambda: worker.spool.write_cc(records, now))  # noqa: B023
        if number % CHECKED == CHECKED - 1:
            now += 2_000_000_000
            costs.time("integrity checks", count * CHECKED, lambda: alone.due_runs("hi3", now))  # noqa: B023
            worker.spool.write_cc([], now)
    return costs.best


# The highest rate


class Run:
    """The worker as it runs in service: one thread that reads and decrypts, one that commits."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.read = 0
        self.kept = 0
        # When the first packet came (wall ns), and what was read and spent when all calls were under way.
        self.first = 0
        self.settled: tuple[int, float] | None = None

    @property
    def cost(self) -> float:
        """ns of processor time a packet, of calls that are under way."""
        read, spent = self.settled or (0, 0.0)
        return (time.process_time() - spent) / max(self.read - read, 1) * 1e9

    async def until_quiet(self, done: Callable[[], bool]) -> None:
        worker = self.worker
        writer = Writer(worker.spool, lambda commit: self._told(commit.cc if commit.whole else 0))
        running = asyncio.create_task(writer.run())

        def ready() -> int:
            packets = worker.tap.media()
            self.read += len(packets)
            records = worker.df3.media(packets, worker.content)
            if records:
                writer.cc(records)
            if packets and self.settled is None:
                self.first = self.first or packets[0][0]
                if packets[-1][0] - self.first > SETTLED_NS:
                    self.settled = self.read, time.process_time()
            return len(packets)

        reader = PacedReader(worker.tap.filenos(), ready)
        read = -1
        while not done() or read < self.read:
            read = self.read
            await asyncio.sleep(QUIET_SECONDS)
        reader.stop()
        writer.stop()
        await running

    def _told(self, count: int) -> None:
        self.kept += count


def trial(worker: Worker, left: netns.Namespace, calls: int, seconds: float, sequence: int) -> tuple[int, int, float]:
    """Packets that were sent and kept, and ns of processor time of the worker for each of calls that are under way."""
    sender = speaking(left, calls, seconds, sequence)
    run = Run(worker)
    asyncio.run(run.until_quiet(lambda: sender.poll() is not None))
    cost = run.cost
    assert sender.stdout is not None
    return int(sender.stdout.read()), run.kept, cost


def speaking(left: netns.Namespace, calls: int, seconds: float, sequence: int) -> subprocess.Popen[str]:
    """The sender, which says at its end how many packets there were."""
    command = [sys.executable, "-c", _SENDER, str(calls), str(seconds), str(sequence)]
    with left.inside():
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - the interpreter that runs this


# Several workers

Wire = tuple[netns.Namespace, netns.Namespace]


class Share(NamedTuple):
    """What one of several workers did: packets it kept, and ns of processor time."""

    kept: int
    took: float


def together(
    workers: int, wire: Wire, folder: Path, calls: int, intercepts: int, seconds: float
) -> tuple[int, list[Share]]:
    """Packets that were sent, and what each worker made of its share of the calls."""
    context = multiprocessing.get_context("fork")
    over = context.Event()
    folder.mkdir(exist_ok=True)
    running = []
    with ExitStack() as opened:
        for number in range(workers):
            with wire[1].inside():
                tap = opened.enter_context(closing(Tap(Source((netns.INTERFACE,))).open()))
            place = folder / f"{workers}-{calls}-{number}"
            place.mkdir()
            here, there = context.Pipe()
            given = (place, tap, range(number, calls, workers), intercepts, over, there)
            running.append((context.Process(target=alone, args=given), here))
            running[-1][0].start()
        for _, pipe in running:
            pipe.recv()  # it is ready
        sender = speaking(wire[0], calls, seconds, 1_000)
        sender.wait()
        over.set()
        shares = [pipe.recv() for _, pipe in running]
        for process, _ in running:
            process.join()
    assert sender.stdout is not None
    return int(sender.stdout.read()), shares


def alone(folder: Path, tap: TapPort, calls: range, intercepts: int, over: Event, told: Connection) -> None:
    """One worker, in a process of its own, until the sender is done."""
    with closing(Worker(folder, tap, calls, intercepts)) as worker:
        told.send(None)
        run = Run(worker)
        begun = time.process_time()
        asyncio.run(run.until_quiet(over.is_set))
        told.send(Share(run.kept, (time.process_time() - begun) * 1e9))


def compare(workers: int, wire: Wire, folder: Path, given: argparse.Namespace) -> None:
    """At each rate, one worker with the calls of one, and all with those of all, in turn: the best of each."""
    for calls in given.calls:
        each = max(calls // workers, 1)
        could: dict[int, float] = {}
        lost = dict.fromkeys((1, workers), 0)
        for turn in range(TURNS):
            for count, rate in ((1, each), (workers, each * workers)):
                place = folder / f"{calls}-{turn}"
                sent, shares = together(count, wire, place, rate, min(rate, given.intercepts), given.seconds)
                lost[count] += sent - sum(one.kept for one in shares)
                could[count] = max(could.get(count, 0), sum(one.kept / one.took * 1e9 for one in shares))
        for count, rate in ((1, each), (workers, each * workers)):
            print(
                f"{count:3} workers, {rate:6} calls, {rate * PACKETS_OF_A_CALL:9,} pkt/s: {lost[count]} lost,", end=" "
            )
            print(f"{could[count]:9,.0f} pkt/s on as many cores, by processor time")
        print(f"    {could[workers] / could[1]:.2f} times what one can")


_SENDER = """
import socket, sys
from scripts.bench import worker
from scripts.bench.voices import Voices
sender = Voices(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), worker.voices(int(sys.argv[1]), int(sys.argv[3])))
sender.run(float(sys.argv[2]))
print(sender.sent)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="each cost is the best of so many")
    parser.add_argument("--calls", type=int, nargs="*", default=[100, 200, 300, 400, 500, 750, 1_000, 1_500])
    parser.add_argument("--intercepts", type=int, default=100, help="LIIDs that share the calls")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each rate is kept up")
    parser.add_argument("--workers", type=int, default=1, help="several share the calls, and are compared with one")
    arguments = parser.parse_args()
    most = max(arguments.calls)
    gc.set_threshold(*COLLECTED)
    if arguments.workers > 1:
        with netns.wire() as wire, tempfile.TemporaryDirectory() as name:
            compare(arguments.workers, wire, Path(name), arguments)
        return
    with netns.wire() as (left, right), tempfile.TemporaryDirectory() as name:
        libsrtp = c_loop(Path(name))
        with right.inside():
            tap = Tap(Source((netns.INTERFACE,), LARGE)).open()
        with left.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with closing(tap), sock, closing(Worker(Path(name), tap, range(most), arguments.intercepts)) as worker:
            report(measure(worker, Voices(sock, voices(most)), arguments.rounds), 1e9 / libsrtp(CLEAR))
        for calls in arguments.calls:
            with right.inside():
                tap = Tap(Source((netns.INTERFACE,))).open()
            folder = Path(name) / str(calls)
            folder.mkdir()
            with closing(tap), closing(Worker(folder, tap, range(calls), min(calls, arguments.intercepts))) as worker:
                sent, kept, cost = trial(worker, left, calls, arguments.seconds, 1_000)
                dropped = tap.counters().dropped
            limit = 1e9 / libsrtp(CLEAR)  # how fast this machine is just now
            rate = calls * PACKETS_OF_A_CALL
            print(f"{calls:6} calls, {rate:9,} pkt/s: {sent - kept} of {sent} lost ({dropped} by the ring),", end=" ")
            print(f"{cost:6.0f} ns of the worker's processor a packet: {1e9 / cost:9,.0f} pkt/s on one core,", end=" ")
            print(f"{cost / limit:.1f} times libsrtp alone")
            if kept < sent:
                break


def report(costs: dict[str, float], limit: float) -> None:
    """Each stage, and all of them, beside what libsrtp alone takes; ns a packet."""
    whole = sum(figure for name, figure in costs.items() if name != "encode, hash")
    costs["seal, append"] = costs.pop("encode, hash, seal, append") - costs["encode, hash"]
    for name, figure in costs.items():
        print(f"  {name:42} {figure:8.0f} ns/pkt {figure / whole:6.2f} of all")
    print(f"  {'libsrtp alone, in C, one stream':42} {limit:8.0f} ns/pkt {limit / whole:6.2f} of all")
    print(f"  {'tap to spool':42} {whole:8.0f} ns/pkt: {1e9 / whole:9,.0f} pkt/s on one core,", end=" ")
    print(f"{whole / limit:.1f} times libsrtp alone")


if __name__ == "__main__":
    main()
