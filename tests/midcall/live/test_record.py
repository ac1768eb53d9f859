"""A live run is written down, and run again: the same octets for the agencies, and on X2."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from imswire import hi, inet, sip, x2x3
from imswire.hi import hi1
from midcall.base.x2 import Encoder, Node
from midcall.base.x2_link import Batch
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from midcall.cli.lab_lemf import Received
from midcall.cli.lab_process import LabProcess, LabRole
from midcall.config import Profile
from midcall.events import SipSeen, Task
from midcall.live import trace
from midcall.live.clock import now
from midcall.live.poi import PoiService
from midcall.live.recording import RecordedPoi
from midcall.live.trace import TraceWriter
from midcall.poi import PointOfInterception
from tests.midcall.cli.test_commands import midcall
from tests.midcall.live.live_site import LiveSite, until
from tests.midcall.live.recorded import (
    ALICE,
    CAROL,
    DID,
    POI_BEGUN,
    HandClock,
    Site,
    again,
    assert_the_same,
    counts,
    datagrams,
    one_call,
    pdus,
    records,
    thirds,
    written,
)
from tests.scenarios.world import World


def test_a_call_that_a_warrant_comes_into_gives_the_same_octets_again(tmp_path):
    world = one_call()
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        site.activate()
        await site.settle()
        for each in rest:
            site.say(each)
            await site.settle()
        await site.deactivate()
        await site.stop()

    asyncio.run(run())
    events, packets, checks = counts(tmp_path)
    assert events == 3 and packets == sum(not sip.looks_like_sip(e.payload) for each in rest for e in each)
    assert checks >= 4
    assert_the_same(tmp_path)
    for name in ("df.trace", "poi.trace"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_signatures_are_those_of_the_live_run(tmp_path):
    world = one_call()
    before, *rest = thirds(datagrams(world))
    key = Ed25519PrivateKey.generate()

    async def run() -> None:
        site = Site(tmp_path, world, sign=key.sign)
        site.say(before)
        site.activate()
        await site.settle()
        for each in rest:
            site.say(each)
            await site.settle()
        await site.deactivate()
        await site.stop()

    asyncio.run(run())
    checks = [
        each.payload for each in pdus(tmp_path / "live" / "hi3.ber") if isinstance(each.payload, hi.IntegrityCheck)
    ]
    assert hi.CheckType.SIGNATURE in {each.kind for each in checks}
    assert key.private_bytes_raw() not in (tmp_path / "df.trace").read_bytes()
    assert_the_same(tmp_path)
    kept = [
        structs.replace(each, signed=[]) if isinstance(each, trace.Committed) else each
        for each in records(tmp_path / "df.trace")
    ]
    (error,) = again(written(tmp_path / "other.trace", *kept), tmp_path / "unsigned").errors
    assert "has signed other hashes" in error


def test_two_calls_of_two_warrants_one_of_which_ends_in_the_middle(tmp_path):
    world = World(names=("alice", "bob", "carol", "dave"))
    calls = [world.call(), world.call(world.party("carol"), world.party("dave"), call_id="call-2@lab")]
    for call, owner, peer in zip(calls, ("alice", "carol"), ("bob", "dave"), strict=True):
        call.establish(world.held(owner=owner, peer=peer))
        call.talk(2)
        call.hang_up()
    before, middle, after = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        site.activate(ALICE)
        site.activate(CAROL)
        await site.settle()
        site.say(middle)
        await site.deactivate(ALICE)
        site.say(after)
        await site.settle()
        await site.deactivate(CAROL)
        await site.stop()
        assert site.keys.asked == 2

    asyncio.run(run())
    for name in ("hi2.ber", "hi3.ber"):
        liids = [each.header.liid for each in pdus(tmp_path / "live" / name)]
        assert set(liids) == {b"LI-alice", b"LI-carol"}
    assert_the_same(tmp_path)


def test_notifications_of_a_task_that_is_changed_in_the_middle_of_a_call(tmp_path):
    world = one_call()
    before, middle, after = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world, profile=Profile(hi1=True))
        site.say(before)
        site.activate()
        await site.settle()
        site.say(middle)
        await site.settle()
        site.change(location=False)
        site.say(after)
        await site.deactivate()
        await site.stop()

    asyncio.run(run())
    told = [each.payload for each in pdus(tmp_path / "live" / "hi1.ber")]
    assert [hi1.name(hi1.parse(each.contents)) for each in told] == ["liActivated", "liModified", "liDeactivated"]
    assert assert_the_same(tmp_path).pdus[DID]["hi1"] == 3


def test_keys_that_come_late(tmp_path):
    world = one_call()
    before, middle, after = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.keys.may.clear()
        site.say(before)
        site.activate()
        await site.settle(keys=False)
        site.say(middle)
        assert site.df.counts["content"] == 0, "held, for want of keys"
        site.keys.may.set()
        await site.settle()
        site.say(after)
        await site.deactivate()
        await site.stop()

    asyncio.run(run())
    assert counts(tmp_path)[1] == sum(not sip.looks_like_sip(each.payload) for each in middle + after)
    assert_the_same(tmp_path)


def test_what_a_poi_sends_again_is_no_second_event(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        site.activate()
        await site.settle()
        sent = next(each for each in records(tmp_path / "poi.trace") if isinstance(each, trace.Sent))
        await site.bring(sent.octets[0])
        for each in rest:
            site.say(each)
        await site.stop()

    asyncio.run(run())
    assert counts(tmp_path)[0] == 3
    found = again(tmp_path / "df.trace", tmp_path / "again")
    assert found.errors == [] and found.x2.most_common(1)[0][1] == 2
    assert (tmp_path / "again" / DID / "hi2.ber").read_bytes() == (tmp_path / "live" / "hi2.ber").read_bytes()


def test_an_event_of_somebody_else_than_the_order_is_for(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.activate()
        site.say(before)
        await site.settle()
        sent = [each for each in records(tmp_path / "poi.trace") if isinstance(each, trace.Sent)]
        invite = next(octets for each in sent for octets in each.octets if b"INVITE sip:" in octets)
        await site.bring(invite.replace(b">sip:alice@", b">sip:carol@"))
        assert site.df.counts["outside"] == 1
        for each in rest:
            site.say(each)
        await site.stop()

    asyncio.run(run())
    found = again(tmp_path / "df.trace", tmp_path / "again")
    assert found.errors == []
    assert (tmp_path / "again" / DID / "hi2.ber").read_bytes() == (tmp_path / "live" / "hi2.ber").read_bytes()


def test_media_that_a_poi_sends_by_x3_and_product_before_its_order(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))
    reader, xid = x2x3.PacketReader(), x2x3.xid_octets(ALICE)
    template = x2x3.X3Template(
        x2x3.Pdu(x2x3.PduType.X3, x2x3.PayloadFormat.IPV4, x2x3.Direction.UNKNOWN, xid, bytes(8))
    )

    def x3(each: inet.Datagram, number: int) -> x2x3.Packet:
        packet = each.frame[each.ip_offset : each.payload_end]
        return reader.packet(template.pdu(number, time.time_ns(), packet))

    async def run() -> None:
        site = Site(tmp_path, world)
        site.say(before)
        start = time.time_ns()
        site.arm(ALICE, start)
        await site.settle()
        assert site.df.counts["unknown"] == 2
        site.order(ALICE, start)
        await site.settle()
        for part in rest:
            media = [each for each in part if not sip.looks_like_sip(each.payload)]
            await site.commit(Batch("media", [], [], [x3(each, number) for number, each in enumerate(media)]))
            site.say([each for each in part if sip.looks_like_sip(each.payload)])
        await site.stop()
        assert site.df.counts["x3"] == site.df.counts["content"] > 0

    asyncio.run(run())
    assert_the_same(tmp_path)


def test_what_time_alone_brings_comes_when_it_came(tmp_path):
    world = one_call(1)
    before, *rest = thirds(datagrams(world))

    async def run() -> None:
        site = Site(tmp_path, world)
        clocks = [HandClock(), HandClock()]
        for inputs, service, clock in zip((site.inputs, site.poi_inputs), (site.df, site.poi), clocks, strict=True):
            inputs.clock._clock = service._clock._clock = clock  # type: ignore[attr-defined, union-attr]
        site.say(before)
        site.activate()
        await site.settle()
        for each in rest:
            site.say(each)
        await site.settle()
        assert site.df._df3.places(), "packets under way still count"
        clocks[0].ring()
        assert not site.df._df3.places()
        clocks[1].ring()
        assert len(site.poi.core) == 0
        await site.stop()

    asyncio.run(run())
    found = [type(each).__name__ for each in records(tmp_path / "df.trace")]
    assert found[found.index("Woken") + 1] == "Told"
    assert "Woken" in [type(each).__name__ for each in records(tmp_path / "poi.trace")]
    assert_the_same(tmp_path)


def test_a_poi_goes_on_with_what_a_former_run_kept(tmp_path):
    """What its journal gave is in the trace, and what it refused is refused again."""
    before, *_ = thirds(datagrams(one_call(1)))
    messages = [
        SipSeen(each.payload, inet.endpoint(each.src, each.sport), inet.endpoint(each.dst, each.dport), now())
        for each in before if sip.looks_like_sip(each.payload)
    ]  # fmt: skip

    class Journal:
        def calls(self, now):
            yield 1, messages

        def adopt(self, number, call, messages=()):
            assert call is not None

    class Client:
        def put(self, pdus):
            pass

    async def run() -> None:
        inputs = RecordedPoi(TraceWriter(tmp_path / "poi.trace", POI_BEGUN))
        core = PointOfInterception(bytes(32), bytes(32))
        journal = inputs.journal(Journal())  # type: ignore[arg-type]
        service = PoiService(core, Encoder(Node("poi-1", "sip-1")), inputs.client(Client()), journal, inputs.clock)
        assert await service.recall() == 1
        for task in (Task("x", ()), Task(ALICE, ("sip:alice@example.com",))):
            inputs.armed(task)
            try:
                service.arm(task)
            except ValueError:
                assert not task.targets
        inputs.disarmed(ALICE)
        service.disarm(ALICE)
        inputs.sip(service.take)(SipSeen(b"no SIP", "192.0.2.1:1", "192.0.2.2:1", now()))
        inputs.close()

    asyncio.run(run())
    found = again(tmp_path / "poi.trace", tmp_path / "again")
    assert found.errors == [] and found.waiting == 0
    assert found.x2.total() == 3  # start, session, release


# The whole site


class Recorded(LabRole):
    """A role whose inputs are written down beside its configuration."""

    def __enter__(self) -> LabRole:
        arguments = ["--config", str(self._config), "--role", self.role, "--record", str(trace_of(self._config))]
        self._process = LabProcess("run", arguments, self._hear, self._known.set)
        return self


def trace_of(config: Path) -> Path:
    return config.with_suffix(".trace")


class Running(LiveSite):
    """A site that is recorded, and calls that have begun."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, tap: bool) -> None:
        super().__init__(folder, stack, Users(2), tap=tap)
        self._tap = tap
        self.calls = [self.call(number) for number in range(2)]

    def role(self, name: str) -> LabRole:
        config = self.folder / "site" / f"{name}.toml"
        kind = LabRole if name == "kms" else Recorded
        return kind(name, config, self.site.li_log(name))

    def talk(self, *those: int) -> None:
        for number in those:
            self.calls[number].talk(0.5)

    def intercept(self, number: int) -> activate.Order:
        """The caller of a call, from now on."""
        order = self.order(self.calls[number].call.caller.uri, liid(number))
        if not self._tap:
            node = self._stack.enter_context(self.site.media_node(order.warrant.targets[0].xid))
            self.calls[number].wire.media_copy = node.copy
        assert asyncio.run(activate.begin(order)) == 0
        until(lambda: len(self.of(number, "hi2").look()) == 1, "the event of a call that ran already")
        return order

    def of(self, number: int, name: str) -> Received:
        return self.received(liid(number), name)

    def replay(self) -> Path:
        """Both traces, by the command; the folder with the DF's results."""
        out = self.folder / "again"
        traces = [trace_of(self.folder / "site" / f"{name}.toml") for name in ("df", "poi")]
        done = midcall("replay", *traces, "--out", out)
        assert (done.returncode, json.loads((out / "report.json").read_text())["errors"]) == (0, []), done.stderr
        return out / "1"


def liid(number: int) -> str:
    return f"LI-{number}"


@pytest.mark.proof
@pytest.mark.parametrize("tap", [True, False], ids=["tap", "x3"])
def test_a_site_is_recorded_and_gives_the_same_product_again(tmp_path, tap):
    """Two calls under two warrants: keys that come late, a deactivation in the middle."""
    with contextlib.ExitStack() as stack:
        running = Running(tmp_path, stack, tap=tap)
        calls = running.calls
        running.talk(0, 1)
        first = running.intercept(0)
        before = len(calls[0].media())
        running.talk(0)
        until(lambda: len(running.of(0, "hi3").look()) >= len(calls[0].media()) - before, "content of a call")
        running.kill("kms")
        second = running.intercept(1)
        before = len(calls[1].media())
        running.talk(1, 0)
        running.begin("kms")
        until(lambda: len(running.of(1, "hi3").look()) >= len(calls[1].media()) - before, "held content")
        assert asyncio.run(activate.end(first)) == 0
        running.talk(0, 1)
        for call in calls:
            call.hang_up()
        until(lambda: len(running.of(1, "hi2").look()) == 3, "the end of a call")
        until(lambda: len(running.of(1, "hi3").look()) >= len(calls[1].media()) - before, "the rest of it")
        assert asyncio.run(activate.end(second)) == 0
    running.assert_no_findings()
    found = running.replay()
    replayed = {name: [hi_pdu for path in found.glob(f"*/{name}.ber") for hi_pdu in pdu_octets(path)] for name in HI}
    for number in range(2):
        for name in HI:
            stored = running.of(number, name).path.read_bytes()
            own = [each for each in replayed[name] if hi.parse(each).header.liid == liid(number).encode()]
            assert b"".join(own) == stored
            kinds = {type(each.payload) for each in pdus(running.of(number, name).path)}
            assert kinds == ({hi.Hi1} if name == "hi1" else {tuple, hi.IntegrityCheck})
        assert [each.header.sequence for each in running.of(number, "hi1").look()] == [0, 1]
    assert sum(map(len, replayed.values())) == sum(len(pdus(each)) for each in tmp_path.glob("lemf/liid-*/*.ber"))


HI = ("hi1", "hi2", "hi3")


def pdu_octets(path: Path) -> list[bytes]:
    return hi.Splitter().feed(path.read_bytes())
