"""Many intercepted two-way calls from the tap to the files of the LEMF, through the live system as processes.

Goals on a fast machine: 500 calls, 50 000 packets a second, for five minutes (``--calls 500 --seconds 300``; some 10 GB
are written): none lost, 99 % of them in the LEMF's file 50 ms after the tap saw them. Each call has a warrant of its
own, all talk in SRTP, and the LEMF writes its packets and its sound. Speakers, roles and LEMF share this machine: what
each packet costs the processor in each role says what they would need of one each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

from imswire import hi
from imswire.hi.peek import peek
from midcall.cli.lab_lemf import LabLemf, Received, Watch
from midcall.cli.lab_site import ROLES
from midcall.lemf.shell.store import folder_name
from scripts.bench.crowd import Crowd, Speaker
from scripts.bench.voices import FRAME_NS

WATCHED = 5
"""Calls whose files are looked at all the time: each look costs this machine something, too."""
BEGIN_NS = 2_000_000_000
"""In which all streams are new: for each a key has to be found and its counter proved."""
LIMIT = 120.0
STILL_SECONDS = 8.0
"""Without a record: a hash comes a second after what it covers, and a busy disk holds everything up for a while."""
MILLI = 1_000_000
CHUNK = 1 << 20
_TICK = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> float:
    """Seconds of processor time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def queue_drops() -> int:
    """Packets that the kernel had no room for on their way from a sender to whoever is there to see them."""
    lines = Path("/proc/net/softnet_stat").read_text().splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


def content_of(path: Path) -> int:
    """Content records in a file of the LEMF."""
    splitter, found = hi.Splitter(), 0
    with path.open("rb") as file:
        while octets := file.read(CHUNK):
            pdus = splitter.feed(octets)
            while pdus:
                found += sum(peek(each).tag == hi.PayloadTag.CC for each in pdus)
                pdus = splitter.feed(b"")
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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        crowd = stack.enter_context(closing(Crowd(folder, arguments.calls)))
        lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None))
        address = lemf.address
        roles = {each: stack.enter_context(crowd.site.role(each)) for each in ROLES}
        for role in roles.values():
            role.wait()
        crowd.connect()
        for number in range(arguments.calls):
            crowd.intercept(address, number)
        liids = [crowd.liid(number) for number in range(arguments.calls)]
        files = [folder / "lemf" / folder_name(liid.encode()) / "hi3.ber" for liid in liids]
        watched = [Received(folder / "lemf", liid, "hi3") for liid in liids[:WATCHED]]
        pids = {each: role.pid for each, role in roles.items()} | {"lemf": lemf.pid}
        before = {each: used(pid) for each, pid in pids.items()}
        drops = queue_drops()
        with Watch(*watched):
            spoken = Speaker(crowd.voices(), arguments.seconds).wait()
            until_still(files)
        spent = {each: used(pid) - before[each] for each, pid in pids.items()}
        drops = queue_drops() - drops
        crowd.hang_up()
        until_still(files)
        kept = sum(content_of(path) for path in files if path.exists())
        findings = (folder / "lemf" / "findings.jsonl").read_text().count("\n")
        begun = spoken.times[0]
        delays: dict[bool, list[int]] = {True: [], False: []}
        for each in watched:
            for pdu, at in zip(each.records, each.at, strict=True):
                seen = pdu.header.time or 0
                delays[seen < begun + BEGIN_NS].append(at - seen)
    frames = len(spoken.times)
    seconds = frames * FRAME_NS / 1e9
    print(
        f"{arguments.calls} calls, {spoken.sent} packets in {seconds:g} s: {spoken.sent / seconds:,.0f} pkt/s;", end=" "
    )
    print(f"{spoken.late} of {frames} frames late")
    lost = f"lost: {spoken.sent - kept} (dropped on this machine before any tap: {drops})"
    print(f"{lost}; findings of the LEMF: {findings}")
    for what, values in (("in the first two seconds", delays[True]), ("after that", delays[False])):
        figures = f"p50 {quantile(values, 0.5):.1f} ms, p99 {quantile(values, 0.99):.1f} ms"
        print(f"tap to the LEMF's file, {what}: {figures}")
    for process, took in (spent | {"speakers": spoken.processor}).items():
        print(f"  processor time of {process:12} {took / spoken.sent * 1e6:8.2f} us a packet")


if __name__ == "__main__":
    main()
