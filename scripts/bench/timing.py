"""What many targets cost the calls of others, and what being one shows: processor time, A beside B.

Of the point of interception the work for a call of which nobody is a target, with nobody and with 10 000 looked for.
Of the proxy, in front of a point of interception of its own, the work for a call in both states, and for calls of
targets beside those of others. A and B take turns in short runs, by lot, on the processor's own clock; what is told is
the median of the ratios of the pairs, and the range it is in with a certainty of 99.9 %, which supposes nothing of how
they are distributed. Bound: 5 %. Beside it, that a difference of 10 % would have been found.
"""

from __future__ import annotations

import argparse
import gc
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import comb
from pathlib import Path
from typing import NamedTuple

from imswire import sip
from imswire.sip import hop
from midcall.events import Instant
from midcall.poi import MATCHING_ALL
from scripts.bench.cscf import cscf
from scripts.bench.poi import armed, messages, track

BOUND = 0.05
DOUBT = 0.001
TARGETS = 10_000
PAIRS = 60
MOST_PAIRS = 600
CALLS_A_RUN = 50
NEVER = Instant(0, 0)
PLACEMENTS = 12
"""How often objects are made anew: where they happen to lie in memory is no difference between A and B."""


class Ratio(NamedTuple):
    """Of B to A: the median of all pairs, and where it is but for DOUBT."""

    median: float
    low: float
    high: float
    pairs: int

    @property
    def is_equal(self) -> bool:
        """It is shown that they are within the bound of each other."""
        return self.low >= 1 - BOUND and self.high <= 1 + BOUND

    @property
    def is_other(self) -> bool:
        """It is shown that they are not."""
        return self.high < 1 - BOUND or self.low > 1 + BOUND


def ratio(found: list[float]) -> Ratio:
    """The median and its range by ranks: how many of n fall on one side of it is as with a coin."""
    ordered, count = sorted(found), len(found)
    rank, chance = 0, 0.0
    while True:
        chance += comb(count, rank) / 2**count
        if chance > DOUBT / 2:
            break
        rank += 1
    if rank == 0:
        return Ratio(ordered[count // 2], 0.0, float("inf"), count)
    return Ratio(ordered[count // 2], ordered[rank - 1], ordered[count - rank], count)


def compared(pairs: Iterator[tuple[float, float]]) -> Ratio:
    """Pairs of A and B until it is clear, or there are enough."""
    found: list[float] = []
    for a, b in pairs:
        found.append(b / a)
        if len(found) >= PAIRS and len(found) % PAIRS == 0:
            so_far = ratio(found)
            if so_far.is_equal or so_far.is_other or len(found) >= MOST_PAIRS:
                return so_far
    return ratio(found)


Run = Callable[[], object]


def spent(run: Run) -> int:
    """ns of the processor that this thread takes for it."""
    begun = time.thread_time_ns()
    run()
    return time.thread_time_ns() - begun


def turns(a: Run, b: Run, clock: Callable[[Run], int], count: int, lot: random.Random) -> Iterator[tuple[float, float]]:
    """Times of both, whose turn is first by lot; what a first run warms up is not counted."""
    clock(a)
    clock(b)
    for _ in range(count):
        if lot.random() < 0.5:
            first = clock(a)
            yield first, clock(b)
        else:
            second = clock(b)
            yield clock(a), second


# The point of interception


def of_the_poi(targets: int = TARGETS, *, more: float = 0.0) -> Ratio:
    """Calls of others, with nobody and with ``targets`` armed; ``more``: a part of each run that B does twice."""
    seen, lot = messages(), random.Random(1)  # noqa: S311 - lots
    size = CALLS_A_RUN * 7

    def pairs() -> Iterator[tuple[float, float]]:
        while True:
            nobody, many = armed(0, MATCHING_ALL), armed(targets, MATCHING_ALL)
            place = lot.randrange(0, len(seen) - size, 7)
            some = seen[place : place + size]
            extra = some[: int(more * CALLS_A_RUN) * 7]

            def b(many=many, some=some, extra=extra) -> None:  # type: ignore[no-untyped-def]
                track(some, many)
                track(extra, many)

            gc.collect()
            gc.freeze()
            gc.disable()
            try:
                yield from turns(lambda n=nobody, s=some: track(s, n), b, spent, PAIRS // PLACEMENTS, lot)  # type: ignore[misc]
            finally:
                gc.enable()
                gc.unfreeze()

    return compared(pairs())


# The proxy

_LOOKING = """\
import asyncio, sys
from pathlib import Path
from midcall.events import Instant, Task
from midcall.poi import MATCHING_ALL, PointOfInterception
from midcall.poi.shell.copies import CopyDoor

TARGETS = [f"sip:target{number}@ims.example" for number in range(int(sys.argv[2]))]
seen = events = 0

async def main():
    poi = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL)
    def take(copy):
        global seen, events
        seen += 1
        events += len(poi.sip_seen(copy))
    CopyDoor(Path(sys.argv[1]), (), take, durable=False)
    armed = False
    def told():
        nonlocal armed
        word = sys.stdin.readline().strip()
        for number, target in enumerate(TARGETS if word != "count" else ()):
            if (word == "arm") == armed:
                break
            task = Task(f"x{number}", (target,))
            poi.arm(task, Instant(0, 0)) if word == "arm" else poi.disarm(task.xid, Instant(0, 0))
        armed = word == "arm" or (armed and word == "count")
        print(seen, events, flush=True)
    asyncio.get_running_loop().add_reader(0, told)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

_INVITE = (
    "INVITE sip:{callee}@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKi{number}\r\n"
    "From: <sip:{caller}@ims.example>;tag=a\r\nTo: <sip:{callee}@ims.example>\r\nCall-ID: {number}@timing\r\n"
    "CSeq: 1 INVITE\r\nContact: <sip:127.0.0.1:{port}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
_WITHIN = (
    "{method} sip:127.0.0.1:{far} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{method}{number}\r\n"
    "{route}From: <sip:{caller}@ims.example>;tag=a\r\nTo: <sip:{callee}@ims.example>;tag=b\r\n"
    "Call-ID: {number}@timing\r\nCSeq: {sequence} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
_CALLS_OF_PROXY = 60


class Caller:
    """Both ends of calls through a proxy, one call after another."""

    def __init__(self, proxy: int, near: socket.socket, far: socket.socket) -> None:
        self._proxy, self._near, self._far = proxy, near, far
        self._number = 0

    def call(self, caller: str, callee: str) -> None:
        """One call that is answered, and ends."""
        self._number += 1
        names = {"caller": caller, "callee": callee, "number": f"{self._number:06d}"}
        names |= {"port": self._near.getsockname()[1], "far": self._far.getsockname()[1]}
        invited = self._request(_INVITE.format(**names))
        contact = f"Contact: <sip:127.0.0.1:{names['far']}>"
        self._answer(invited, contact)
        answered = sip.parse(self._near.recv(65_535))
        while not answered.status or answered.status < 200:
            answered = sip.parse(self._near.recv(65_535))
        names["route"] = "".join(f"Route: {each}\r\n" for each in answered.values("Record-Route")[::-1])
        self._request(_WITHIN.format(method="ACK", sequence=1, **names))
        self._answer(self._request(_WITHIN.format(method="BYE", sequence=2, **names)))
        self._near.recv(65_535)

    def _request(self, text: str) -> sip.SipMessage:
        """As it arrives at the other end."""
        self._near.sendto(text.encode(), ("127.0.0.1", self._proxy))
        return sip.parse(self._far.recv(65_535))

    def _answer(self, request: sip.SipMessage, *more: str) -> None:
        octets = hop.answer(request, 200, "OK", to_tag="b")
        head, _, body = octets.partition(b"\r\n\r\n")
        lines = b"".join(b"\r\n" + each.encode() for each in more)
        self._far.sendto(head + lines + b"\r\n\r\n" + body, ("127.0.0.1", self._proxy))


class Proxied:
    """A proxy with a point of interception behind it, as processes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        near, far = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        for each in (near, far):
            each.bind(("127.0.0.1", 0))
            each.settimeout(20)
        door = folder / "copies" / "poi"
        self._poi = stack.enter_context(_looking(door))
        more = f'[cscf.copies]\nto = ["{door}"]\n'
        programs, port = stack.enter_context(cscf(folder, far.getsockname()[1], more))
        self._process = Path(f"/proc/{programs[0].pid}/task")
        self._caller = Caller(port, near, far)

    def told(self, word: str) -> tuple[int, int]:
        """``arm``, ``disarm`` or ``count``: copies that came, and events there were to tell."""
        assert self._poi.stdin is not None and self._poi.stdout is not None
        self._poi.stdin.write(f"{word}\n")
        self._poi.stdin.flush()
        seen, events = self._poi.stdout.readline().split()
        return int(seen), int(events)

    def spent(self, run: Run) -> int:
        """ns of the processor that the proxy takes for it, all threads."""
        before = self._time()
        run()
        return self._time() - before

    def _time(self) -> int:
        return sum(int(each.read_text().split()[0]) for each in self._process.glob("*/schedstat"))

    def calls(self, caller: str, callee: str) -> None:
        for _ in range(_CALLS_OF_PROXY):
            self._caller.call(caller, callee)


@contextmanager
def _looking(door: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _LOOKING, str(door), str(TARGETS)]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert program.stdout is not None and program.stdout.readline() == "ready\n"
        yield program
    finally:
        program.kill()
        program.communicate()


def of_the_proxy(folder: Path) -> tuple[Ratio, Ratio, int]:
    """Calls of others with 10 000 targets beside nobody; calls of targets beside those of others; how many events the
    point of interception had of the targets' calls (none of the others').
    """
    lot = random.Random(1)  # noqa: S311 - lots
    with ExitStack() as stack:
        proxied = Proxied(folder, stack)

        def others() -> None:
            proxied.calls("nobody77", "nobody78")

        def of_state(word: str) -> int:
            proxied.told(word)
            return proxied.spent(others)

        proxied.calls("nobody77", "nobody78")

        def states() -> Iterator[tuple[float, float]]:
            while True:
                words = ["disarm", "arm"]
                lot.shuffle(words)
                took = {word: of_state(word) for word in words}
                yield took["disarm"], took["arm"]

        by_state = compared(states())
        proxied.told("arm")
        assert proxied.told("count")[1] == 0, "nobody is a target"
        whose = compared(turns(others, lambda: proxied.calls("target77", "target78"), proxied.spent, MOST_PAIRS, lot))
        return by_state, whose, proxied.told("count")[1]


def show(name: str, found: Ratio) -> None:
    verdict = "equal within 5 %" if found.is_equal else "OTHER" if found.is_other else "not clear"
    print(f"{name:64} {found.median:.4f} ({found.low:.4f} to {found.high:.4f}, {found.pairs} pairs) {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    show("POI, calls of others: 10 000 targets / nobody", of_the_poi())
    show("POI, the same with a leak of 10 %", of_the_poi(more=0.1))
    with tempfile.TemporaryDirectory() as folder:
        by_state, whose, events = of_the_proxy(Path(folder))
    show("proxy, calls of others: 10 000 targets / nobody", by_state)
    show(f"proxy, 10 000 targets: calls of targets / of others ({events} events)", whose)


if __name__ == "__main__":
    main()
