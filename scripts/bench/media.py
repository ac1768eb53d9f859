"""Many intercepted two-way calls from the tap to the files of the LEMF, through the live system as processes.

Goals on a fast machine: 500 calls, 50 000 packets a second, for five minutes (``--calls 500 --seconds 300``; some 15 GB
are written): none lost, 99 % of them in the LEMF's file 50 ms after the tap saw them. Each call has a warrant of its
own, all talk in SRTP; the LEMF judges and stores all of it (and with ``--media`` makes pcap and WAV files too). What
they say is recorded first (256 octets a packet), and played into one end of a wire between two network namespaces; the
roles and the LEMF are at the other, and share this machine with the player. Needs the rights of root and iproute2.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imswire import hi
from imswire.hi.peek import peek
from midcall.cli.lab_lemf import LabLemf
from midcall.cli.lab_site import ROLES
from midcall.lemf.shell.store import folder_name
from scripts import netns
from scripts.bench.crowd import Crowd
from scripts.bench.tape import Player
from scripts.bench.voices import FRAME_NS

WATCHED = 10
"""Calls whose files are looked at all the time: each look costs this machine something, too."""
LOOK_SECONDS = 0.004
"""From one look to the next: a delay is told too long by so much at most."""
BEGIN_NS = 2_000_000_000
"""In which all streams are new: for each a key has to be found and its counter proved."""
LIMIT = 120.0
STILL_SECONDS = 8.0
"""Without a record: a hash comes a second after what it covers, and a busy disk holds everything up for a while."""
MILLI = 1_000_000
CHUNK = 1 << 20
_TICK = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """Seconds of processor time of a process, its threads included: its own, and the kernel's for it."""

    user: float
    system: float

    @classmethod
    def by(cls, pid: int) -> Used:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return cls(int(fields[11]) / _TICK, int(fields[12]) / _TICK)

    def since(self, before: Used) -> Used:
        return Used(self.user - before.user, self.system - before.system)


def queue_drops() -> int:
    """Packets that the kernel had no room for on their way from a sender to whoever is there to see them."""
    lines = Path("/proc/net/softnet_stat").read_text().splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


def pdus_of(path: Path) -> Iterator[bytes]:
    """Of a file of the LEMF."""
    splitter = hi.Splitter()
    with path.open("rb") as file:
        while octets := file.read(CHUNK):
            pdus = splitter.feed(octets)
            while pdus:
                yield from pdus
                pdus = splitter.feed(b"")


def content_of(path: Path) -> int:
    """Content records in a file of the LEMF."""
    return sum(peek(each).tag == hi.PayloadTag.CC for each in pdus_of(path))


class Watch:
    """Looks at how large files are all the time, in a thread; what is in them can wait."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._grown: list[list[tuple[int, int]]] = [[] for _ in paths]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with ExitStack() as stack:
            files: list[BinaryIO | None] = [None for _ in self._paths]
            sizes = [0] * len(files)
            while not self._stop.wait(LOOK_SECONDS):
                for place, file in enumerate(files):
                    if file is None:
                        with suppress(FileNotFoundError):
                            files[place] = stack.enter_context(self._paths[place].open("rb", buffering=0))
                    elif (size := os.fstat(file.fileno()).st_size) != sizes[place]:
                        self._grown[place].append((size, time.time_ns()))
                        sizes[place] = size

    def delays(self) -> list[tuple[int, int]]:
        """Of each content record that was seen to come: when a tap had it (wall ns), and how long it took (ns)."""
        found = []
        for path, grown in zip(self._paths, self._grown, strict=True):
            looks, end, at = iter(grown), 0, 0
            for octets in pdus_of(path):
                end += len(octets)
                while end > at:
                    at, seen = next(looks)
                if peek(octets).tag == hi.PayloadTag.CC:
                    intercepted = hi.parse(octets).header.time or 0
                    found.append((intercepted, seen - intercepted))
        return found


def until_still(paths: list[Path]) -> None:
    """Until nothing more comes. SystemExit: it never ends."""
    before, end = -1, time.monotonic() + LIMIT
    while (now := sum(path.stat().st_size for path in paths if path.exists())) != before:
        if time.monotonic() > end:
            raise SystemExit(f"something still comes {LIMIT:g} s after the last packet")
        before = now
        time.sleep(STILL_SECONDS)


def quantile(values: list[int], share: float) -> float:
    """In ms."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / MILLI


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long they talk")
    parser.add_argument("--media", action="store_true", help="the LEMF makes files of media, too")
    arguments = parser.parse_args()
    with netns.wire() as (mirror, site), site.inside(), tempfile.TemporaryDirectory() as name:
        frames = round(arguments.seconds * 1e9 / FRAME_NS)
        measure(Path(name), mirror, arguments.calls, frames, media=arguments.media)


def measure(folder: Path, mirror: netns.Namespace, calls: int, frames: int, *, media: bool) -> None:
    with ExitStack() as stack:
        crowd = stack.enter_context(closing(Crowd(folder, calls, interface=netns.INTERFACE)))
        lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None, media=media))
        address = lemf.address
        roles = {each: stack.enter_context(crowd.site.role(each)) for each in ROLES}
        for role in roles.values():
            role.wait()
        crowd.connect()
        for number in range(calls):
            crowd.intercept(address, number)
        liids = [crowd.liid(number) for number in range(calls)]
        files = [folder / "lemf" / folder_name(liid.encode()) / "hi3.ber" for liid in liids]
        watch = Watch(files[:WATCHED])
        pids = {each: role.pid for each, role in roles.items()} | {"lemf": lemf.pid, "this": os.getpid()}
        with mirror.inside():
            player = Player(crowd.voices(), frames, folder / "tape", netns.INTERFACE)
        before = {each: Used.by(pid) for each, pid in pids.items()}
        drops = queue_drops()
        with watch:
            player.play()
            played = player.wait()
            until_still(files)
        spent = {each: Used.by(pid).since(before[each]) for each, pid in pids.items()}
        drops = queue_drops() - drops
        crowd.hang_up()
        until_still(files)
        kept = sum(content_of(path) for path in files if path.exists())
        delays = watch.delays()
        findings = (folder / "lemf" / "findings.jsonl").read_text().count("\n")
    seconds = frames * FRAME_NS / 1e9
    print(f"{calls} calls, {played.sent} packets in {seconds:g} s: {played.sent / seconds:,.0f} pkt/s;", end=" ")
    print(f"{played.late} of {frames} frames late")
    lost = f"lost: {played.sent - kept} (dropped on this machine before any tap: {drops})"
    print(f"{lost}; findings of the LEMF: {findings}")
    tell_delays(delays, played.times[0] + BEGIN_NS)
    tell_processors(spent | {"player": Used(*played.processor)}, played.sent, seconds)


def tell_delays(delays: list[tuple[int, int]], begun: int) -> None:
    """``begun``: wall ns from which on nothing is new."""
    new = [delay for seen, delay in delays if seen < begun]
    later = [delay for seen, delay in delays if seen >= begun]
    for what, values in (("in the first two seconds", new), ("after that", later)):
        figures = f"p50 {quantile(values, 0.5):.1f} ms, p99 {quantile(values, 0.99):.1f} ms"
        print(f"tap to the LEMF's file, {what}: {figures}")


def tell_processors(spent: dict[str, Used], packets: int, seconds: float) -> None:
    """What each process took; its share is of one processor, while there was something to hear."""
    total = Used(sum(each.user for each in spent.values()), sum(each.system for each in spent.values()))
    for process, took in (spent | {"all": total}).items():
        user, system = (each / packets * 1e6 for each in took)
        share = sum(took) / seconds
        print(f"  processor time of {process:7} {user:6.2f} + {system:5.2f} us a packet (user + system): {share:7.1%}")


if __name__ == "__main__":
    main()
