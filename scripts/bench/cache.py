"""The ticket cache at scale: what a running dialog costs in memory, how fast one is found, what the collector takes,
and a restart from the disk.

``--alike``: dialogs of one target, of which its task reports some at a time: how long others wait meanwhile.

Goals: at most 2 KB a dialog above the octets of its messages, with a million of them; a look-up of one identity below a
millisecond; after a restart new copies are taken at once. Beside them, in the same run: a plain table of the same
messages by Call-ID, and a look-up there; parsing the messages of a call. ``--dialogs 1000000`` takes 4 GB.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from imswire import pcap, sip
from midcall.base.capture import FrameSorter
from midcall.base.seal import SealKey
from midcall.base.x2 import Encoder, Node
from midcall.events import Instant, SipSeen, Task
from midcall.live.clock import now
from midcall.live.poi import ROTATE_GROUPS, PoiService
from midcall.live.roles import COLLECTED
from midcall.poi import PointOfInterception
from midcall.poi.dialog import Call
from midcall.poi.limits import PoiLimits
from midcall.poi.shell.journal import SipJournal
from scripts.bench.common import lab_call

MICRO, MILLI, SECOND = 1_000, 1_000_000, 1_000_000_000
PAGE = 4_096
GROUP = 500
LOOKED_UP = 1_000
ROUNDS = 500
HASH_KEY = bytes(range(32))


def begun() -> list[SipSeen]:
    """The messages that begin a call, as a proxy passes them on."""
    capture, _ = lab_call(0)
    sorter, found = FrameSorter(1), []
    for batch in pcap.Reader(io.BytesIO(capture).read).batches():
        for number, (at, frame, _) in enumerate(batch):
            found += [each for each in sorter.sort(at, frame, number) if isinstance(each, SipSeen)]
    return [each for each in found if b"BYE" not in each.octets]


def of_call(messages: list[SipSeen], number: int, at: Instant) -> Iterator[SipSeen]:
    """The same of other users."""
    name = b"c%07d" % number
    for each in messages:
        octets = each.octets.replace(b"bench@lab", name + b"@lab").replace(b"sip:alice@", b"sip:a" + name + b"@")
        yield SipSeen(octets.replace(b"sip:bob@", b"sip:b" + name + b"@"), each.source, each.destination, at)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def raw(call: Call) -> int:
    """Octets of the messages that are kept of a call."""
    kept = [call.offer]
    for dialog in call.dialogs:
        current = dialog.negotiation.current
        kept += [] if current is None else [current.offer, current.answer]
    return sum({id(each.octets): len(each.octets) for each in kept if each is not None}.values())


def show(what: str, figure: str, peer: str = "") -> None:
    print(f"{what:52} {figure:>16}  {peer}", flush=True)


def middle(values: list[int], share: float = 0.5) -> int:
    return sorted(values)[int(len(values) * share)]


def in_memory(messages: list[SipSeen], dialogs: int) -> None:
    limits = PoiLimits(calls=dialogs + GROUP, octets=1 << 40, max_age=48 * 3_600 * SECOND)
    poi = PointOfInterception(HASH_KEY, HASH_KEY, limits=limits)
    for each in of_call(messages, dialogs, now()):
        poi.sip_seen(each)
    # As a role does when it is ready.
    gc.collect()
    gc.freeze()
    pauses = [0]

    def collects(phase: str, _: object) -> None:
        """The time since the clock was set on, when a collection ends."""
        pauses[-1] = time.perf_counter_ns() - pauses[-1]
        if phase == "stop":
            pauses.append(0)

    gc.callbacks.append(collects)
    before, at, began = resident(), now(), time.process_time_ns()
    for number in range(dialogs):
        for each in of_call(messages, number, at):
            poi.sip_seen(each)
    took = time.process_time_ns() - began
    grown = resident() - before
    longest = max(pauses)
    gc.callbacks.remove(collects)
    octets = sum(map(raw, poi._tracker.calls)) / (dialogs + 1)
    began = time.process_time_ns()
    for number in range(GROUP):
        for each in of_call(messages, number, at):
            sip.parse(each.octets).belongs()
    parsed = (time.process_time_ns() - began) / GROUP
    show("dialogs in memory", f"{len(poi) - 1:,}")
    show("octets of the messages kept, a dialog", f"{octets:,.0f}")
    show(
        "octets above these",
        f"{grown / dialogs - octets:,.0f}",
        f"{grown / dialogs / octets:.2f} of the raw ones in all",
    )
    show("CPU to take one in", f"{took / dialogs / MICRO:,.1f} us", f"{took / dialogs / parsed:.2f} of parsing alone")
    look_up(poi, dialogs)
    began = time.perf_counter_ns()
    gc.collect()
    whole = time.perf_counter_ns() - began
    show(
        "longest pause of the collector meanwhile",
        f"{longest / MILLI:,.2f} ms",
        f"a full one now: {whole / MILLI:.2f} ms",
    )


def look_up(poi: PointOfInterception, dialogs: int) -> None:
    """One identity among all, with all that activation does: arm, find, report."""
    plain = {b"sip:ac%07d@example.com" % number: number for number in range(dialogs)}
    found, armed, table = [], [], []
    for number in random.sample(range(dialogs), min(LOOKED_UP, dialogs)):
        uri = f"sip:ac{number:07d}@example.com"
        began = time.perf_counter_ns()
        hashes = poi._hasher.of_uri(uri)
        calls = [call for hashed in hashes for call in poi._index.calls(hashed)]
        found.append(time.perf_counter_ns() - began)
        assert len(calls) == 1
        began = time.perf_counter_ns()
        events = poi.arm(Task("x", (uri,)), now())
        armed.append(time.perf_counter_ns() - began)
        assert events
        poi.disarm("x", now())
        key = uri.encode()
        began = time.perf_counter_ns()
        assert plain[key] == number
        table.append(time.perf_counter_ns() - began)
    base = middle(table)
    for what, took in (("look-up of one identity", found), ("arming it, with the report of its dialog", armed)):
        beside = f"{middle(took) / base:.0f} of a plain table's {base / MICRO:.2f} us"
        show(what, f"{middle(took) / MICRO:,.1f} us", f"p99 {middle(took, 0.99) / MICRO:.1f} us; {beside}")


class _Nobody:
    def put(self, pdus: object) -> None:
        """Nothing is armed."""


def service(journal: SipJournal, dialogs: int) -> PoiService:
    limits = PoiLimits(calls=2 * dialogs + GROUP, octets=1 << 40)
    core = PointOfInterception(HASH_KEY, HASH_KEY, limits=limits, journal=journal)
    return PoiService(core, Encoder(Node("poi-1", "sip-1")), _Nobody(), journal)


def restart(messages: list[SipSeen], dialogs: int, folder: Path) -> None:
    path, master = folder / "cache.db", SealKey(bytes(32))
    journal = SipJournal(path, master)
    former, at, began = service(journal, dialogs), now(), time.process_time_ns()
    for number in range(dialogs):
        for each in of_call(messages, number, at):
            former.core.sip_seen(each)
        if number % GROUP == 0:
            journal.flush()
    journal.close()
    wrote = time.process_time_ns() - began
    del former
    show(
        "dialogs on the disk",
        f"{dialogs:,}",
        f"{path.stat().st_size / dialogs:,.0f} octets each, {wrote / dialogs / MICRO:.0f} us of CPU",
    )
    asyncio.run(_restarted(messages, dialogs, path, master))


async def _restarted(messages: list[SipSeen], dialogs: int, path: Path, master: SealKey) -> None:
    began, cpu = time.perf_counter_ns(), time.process_time_ns()
    journal = SipJournal(path, master)
    again = service(journal, dialogs)
    gc.collect()
    gc.freeze()
    loading = asyncio.create_task(again.recall())
    await asyncio.sleep(0)
    first, turns, number = 0, [], dialogs
    while not loading.done():
        asked = time.perf_counter_ns()
        for each in of_call(messages, number, now()):
            again.take(each)
        first = first or time.perf_counter_ns() - began
        number += 1
        await asyncio.sleep(0.005)
        turns.append(time.perf_counter_ns() - asked - 5 * MILLI)
    whole, cpu = time.perf_counter_ns() - began, time.process_time_ns() - cpu
    assert await loading == dialogs and journal.lost == 0
    show("start until the first new call is taken", f"{first / MILLI:,.1f} ms")
    waits = f"p50 {middle(turns) / MILLI:.1f} ms, p99 {middle(turns, 0.99) / MILLI:.1f} ms"
    show("what a new call then waits while the others load", waits)
    show("until all are loaded", f"{whole / SECOND:,.1f} s", f"{cpu / dialogs / MICRO:.0f} us of CPU a dialog")
    keeping = asyncio.create_task(again.keep())
    for what in ("while nothing else happens", "while the keys of the disk change"):
        turns = []
        for _ in range(ROUNDS):
            asked = time.perf_counter_ns()
            for each in of_call(messages, number, now()):
                again.take(each)
            number += 1
            await asyncio.sleep(0.005)
            turns.append(time.perf_counter_ns() - asked - 5 * MILLI)
        waits = f"p50 {middle(turns) / MILLI:.1f} ms, p99 {middle(turns, 0.99) / MILLI:.1f} ms"
        show(f"the same {what}", waits)
        journal.rotate(ROTATE_GROUPS)
    assert journal.rotating or dialogs < GROUP
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    journal.close()


async def alike(messages: list[SipSeen], dialogs: int) -> None:
    """A task whose target is called in all dialogs."""
    limits = PoiLimits(calls=dialogs + GROUP, octets=1 << 40)
    core, at = PointOfInterception(HASH_KEY, HASH_KEY, limits=limits), now()
    for number in range(dialogs):
        for each in of_call(messages, number, at):
            octets = each.octets.replace(b"sip:bc%07d@" % number, b"sip:hotline@")
            core.sip_seen(SipSeen(octets, each.source, each.destination, at))
    poi = PoiService(core, Encoder(Node("poi-1", "sip-1")), _Nobody())
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED)
    going_on = asyncio.create_task(poi.arming(lambda _: None, lambda _: 0))
    task, turns, worked = Task("00000000-0000-4000-8000-000000000001", ("sip:hotline@example.com",)), [], []
    began, cpu = time.perf_counter_ns(), time.process_time_ns()
    poi.arm(task)
    armed = time.perf_counter_ns() - began
    while poi.counts["x2"] < 2 * dialogs:
        asked, used = time.perf_counter_ns(), time.process_time_ns()
        await asyncio.sleep(0)
        turns.append(time.perf_counter_ns() - asked)
        worked.append(time.process_time_ns() - used)
    cpu = time.process_time_ns() - cpu
    show("dialogs of one target", f"{dialogs:,}")
    show("its task is armed, and X1 answered, after", f"{armed / MILLI:,.1f} ms")
    show(
        "all are reported after",
        f"{(time.perf_counter_ns() - began) / SECOND:,.1f} s",
        f"{cpu / dialogs / MICRO:,.0f} us of CPU each",
    )
    longest = f"p99 {middle(turns, 0.99) / MILLI:.1f} ms; longest {max(worked) / MILLI:.1f} ms of CPU"
    show("what others wait meanwhile", f"p50 {middle(turns) / MILLI:,.1f} ms", longest)
    cpu = time.process_time_ns()
    poi.disarm(task.xid)
    show("its end, in one turn", f"{(time.process_time_ns() - cpu) / MILLI:,.1f} ms of CPU")
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogs", type=int, default=100_000, help="in memory")
    parser.add_argument("--stored", type=int, default=20_000, help="on the disk, for the restart")
    parser.add_argument("--alike", type=int, default=5_000, help="dialogs of one target")
    arguments = parser.parse_args()
    messages = begun()
    if arguments.alike:
        asyncio.run(alike(messages, arguments.alike))
    if arguments.stored:
        with tempfile.TemporaryDirectory() as name:
            restart(messages, arguments.stored, Path(name))
    if arguments.dialogs:
        in_memory(messages, arguments.dialogs)


if __name__ == "__main__":
    main()
