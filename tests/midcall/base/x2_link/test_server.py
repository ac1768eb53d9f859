"""DF2's end: what peers do wrong costs their own connection, and nobody else's."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from imswire import x2x3
from imswire.x2x3 import Attribute, Pdu
from midcall.base.lab_pki import uri
from midcall.base.x2_link import Batch, UnixPeer, X2LinkSettings
from midcall.base.x2_link.session import UNDER_WAY
from tests.midcall.base.x2_link.world import (
    QUICK,
    US,
    Df2,
    Pki,
    Poi,
    alternate,
    event,
    events,
    run,
)

KEEPALIVE = x2x3.build(x2x3.keepalive(7))
ANSWER = x2x3.build(x2x3.acknowledgement(x2x3.keepalive(7)))


class Raw:
    """A peer that writes what it is told."""

    def __init__(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        self.receive = receive
        self.send = send

    @classmethod
    async def open(cls, pki: Pki, port: int, role: str = "tap") -> Raw:
        peer = pki.peer(port, role)
        return cls(*await peer.open(1 << 16, 10))

    async def ended(self) -> bytes:
        """What came until the other end closed."""
        octets = b""
        with suppress(OSError):
            while data := await self.receive.read(1 << 16):
                octets += data
        self.close()
        return octets

    def close(self) -> None:
        self.send.transport.abort()


BAD_ATTRIBUTES = x2x3.build(Pdu(1, 4, 1, bytes(16), attributes=(Attribute(99, b"abcd"),)))
BAD_ATTRIBUTES = BAD_ATTRIBUTES[:42] + b"\xff\xff" + BAD_ATTRIBUTES[44:]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n" * 4, "major version 71"),
        (b"\x05\x00" + event(0)[2:], "swapped"),
        (event(0)[:8] + b"\x7f\xff\xff\xff" + event(0)[12:], "octets, at most"),
        (event(0)[:4] + bytes(4) + event(0)[8:], "header.length"),
        (BAD_ATTRIBUTES, "reach behind"),
        (ANSWER, "PDU type"),
        (x2x3.build(Pdu(3, 0, 0, bytes(16))), "without sequence number"),
    ],
    ids=["http", "swapped version", "oversized", "no header", "attributes", "an answer", "a nameless keepalive"],
)
def test_garbage_ends_its_connection_alone(pki, octets, reason, caplog):
    """What came before it is committed and answered; another POI goes on; one line and one fault."""

    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port))
        poi.put(events(5))
        await df2.until(lambda: len(df2.octets) == 5)
        for n in range(3):
            raw = await Raw.open(pki, df2.port)
            raw.send.write(event(n, of=2) + KEEPALIVE + octets)
            assert await raw.ended() == ANSWER
        poi.put(events(5, 5))
        await poi.done()
        assert [each for each in df2.octets if x2x3.parse(each).xid == x2x3.parse(event(0)).xid] == events(10)
        assert [each for each in df2.octets if each not in events(10)] == [event(n, of=2) for n in range(3)]
        assert df2.server.counters.garbage == 3 and poi.states() == ["up", "down"]
        await df2.stop()
        found = [each for each in df2.events if each.link == uri("tap")]
        faults = [each for each in found if each.state == "fault"]
        assert reason in faults[0].reason
        assert alternate([each.state for each in found], "up", "down")
        assert alternate([each.state for each in found], "fault", "cleared")

    run(test)
    lines = [record for record in caplog.records if "dropped" in record.getMessage()]
    assert 1 <= len(lines) <= 3


def test_what_cannot_be_committed_is_sent_again(folder):
    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        failures = 3

        async def fail(batch: Batch) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError("no space left on device")

        df2.first = fail
        poi = Poi(UnixPeer(folder / "x2", US))
        poi.put(events(20))
        await poi.done()
        assert df2.octets == events(20) and df2.server.counters.failed == 3
        assert not df2.server.counters.repeats
        await df2.stop()
        states = [each.state for each in df2.events]
        assert alternate(states, "fault", "cleared") and "cleared" in states
        reasons = [each.reason for each in df2.events if each.state == "fault"]
        assert reasons[0] == "what it sends cannot be committed: OSError"

    run(test)


def test_a_slow_commit_of_one_peer_does_not_hold_another(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        go_on = asyncio.Event()

        async def wait(batch: Batch) -> None:
            if batch.peer == uri("tap"):
                await go_on.wait()

        df2.first = wait
        slow = Poi(pki.peer(df2.port, "tap"))
        slow.put(events(3, of=2))
        poi = Poi(pki.peer(df2.port))
        poi.put(events(5))
        await poi.done()
        assert df2.octets == events(5)
        go_on.set()
        await slow.done()
        assert len(df2.octets) == 8
        await df2.stop()

    run(test)


def test_what_comes_is_handed_on_before_what_came_is_safe_and_only_so_much(pki):
    """The next message may say where media go from now on: it does not wait for the disk."""

    async def test() -> None:
        df2 = await Df2().tls(pki)
        begun: asyncio.Queue[Batch] = asyncio.Queue()
        go_on = asyncio.Event()

        async def wait(batch: Batch) -> None:
            if batch.peer == uri("tap"):
                begun.put_nowait(batch)
                await go_on.wait()

        df2.first = wait
        raw = await Raw.open(pki, df2.port)
        for n in range(UNDER_WAY):
            raw.send.write(event(n, of=2) + KEEPALIVE)
            assert (await begun.get()).octets == [event(n, of=2)]
        raw.send.write(event(UNDER_WAY, of=2) + KEEPALIVE)
        poi = Poi(pki.peer(df2.port))
        poi.put(events(5))
        await poi.done()
        assert begun.empty() and df2.octets == events(5)
        go_on.set()
        count = UNDER_WAY + 1
        assert await raw.receive.readexactly(count * len(ANSWER)) == count * ANSWER
        assert df2.octets[5:] == [event(n, of=2) for n in range(count)]
        raw.close()
        await df2.stop()

    run(test)


def test_a_repetition_on_another_connection_waits_for_what_the_first_is_committing(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_: Batch) -> None:
            begun.set()
            await go_on.wait()

        df2.first = wait
        first = await Raw.open(pki, df2.port)
        first.send.write(event(0))
        await begun.wait()
        first.close()
        second = await Raw.open(pki, df2.port)
        second.send.write(event(0) + event(1) + KEEPALIVE)
        go_on.set()
        assert await second.receive.readexactly(len(ANSWER)) == ANSWER
        assert df2.octets == [event(0), event(1)] and df2.server.counters.repeats == 1
        second.close()
        await df2.stop()

    run(test)


def test_who_is_silent_is_let_go(pki):
    """Half a PDU, or nothing at all: a peer that keeps its connection has to keep it alive."""

    async def test() -> None:
        df2 = await Df2(X2LinkSettings(time_p1=0.02, time_p2=0.05)).tls(pki)
        for octets in (b"", event(0)[:50]):
            raw = await Raw.open(pki, df2.port)
            raw.send.write(octets)
            assert await raw.ended() == b""
        assert df2.server.counters.silent == 2 and not df2.octets
        await df2.stop()

    run(test)


def test_a_handshake_that_nobody_ends_is_let_go(pki):
    async def test() -> None:
        df2 = await Df2(X2LinkSettings(connect_seconds=0.05)).tls(pki)
        receive, send = await asyncio.open_connection("127.0.0.1", df2.port)
        with suppress(OSError):
            assert await receive.read(10) == b""
        send.transport.abort()
        assert df2.server.counters.refused == 1
        await df2.stop()

    run(test)


def test_connections_are_bounded(pki, caplog):
    """In all, and of one peer, who is then told off once."""

    async def test() -> None:
        df2 = await Df2(X2LinkSettings(connections=4, connections_of_a_peer=2)).tls(pki)
        held = [await Raw.open(pki, df2.port, role) for role in ("tap", "tap", "poi")]
        for raw in held:
            raw.send.write(KEEPALIVE)
            assert await raw.receive.readexactly(len(ANSWER)) == ANSWER
        for _ in range(3):
            assert await (await Raw.open(pki, df2.port, "tap")).ended() == b""
        assert df2.server.counters.refused == 3
        held.append(await Raw.open(pki, df2.port, "poi"))
        held[-1].send.write(KEEPALIVE)
        assert await held[-1].receive.readexactly(len(ANSWER)) == ANSWER
        with pytest.raises(OSError):
            await Raw.open(pki, df2.port, "poi")
        assert df2.server.counters.refused == 4
        for raw in held:
            raw.close()
        await df2.until(lambda: df2.states().count("down") == 1 and df2.states(uri("tap")).count("down") == 1)
        await df2.stop()

    run(test)
    assert len([record for record in caplog.records if "refused" in record.getMessage()]) == 2


def test_plaintext_gets_nothing(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        receive, send = await asyncio.open_connection("127.0.0.1", df2.port)
        send.write(event(0) + KEEPALIVE)
        octets = b""
        with suppress(OSError):
            octets = await receive.read(1 << 16)
        assert ANSWER not in octets
        send.transport.abort()
        await df2.until(lambda: True)
        await df2.stop()
        assert not df2.octets

    run(test)


def test_kinds_of_later_versions_are_passed_over(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        raw = await Raw.open(pki, df2.port)
        later = x2x3.build(Pdu(77, 4, 1, bytes(16), version=(0, 9)))
        raw.send.write(later + x2x3.build(Pdu(1, 4, 1, bytes(16), payload=b"unnumbered")) + KEEPALIVE)
        assert await raw.receive.readexactly(len(ANSWER)) == ANSWER
        raw.close()
        counters = df2.server.counters
        assert (counters.unknown, counters.unnumbered, counters.committed) == (1, 1, 1)
        await df2.stop()

    run(test)


def test_both_kinds_on_one_connection(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port))
        x3 = [event(n, kind=2) for n in range(4)]
        poi.put([event(0), *x3, event(1)])
        await poi.done()
        assert [e.sequence for b in df2.batches for e in b.events] == [0, 1]
        assert [p.sequence for b in df2.batches for p in b.packets] == [0, 1, 2, 3]
        assert df2.octets == events(2)
        await df2.stop()

    run(test)


def test_gaps_are_told_with_their_peer(pki):
    async def test() -> None:
        df2 = await Df2().tls(pki)
        poi = Poi(pki.peer(df2.port))
        poi.put([event(0), event(3)])
        await poi.done()
        assert [(gap.peer, gap.first, gap.count) for gap in df2.gaps] == [(uri("poi"), 1, 2)]
        await df2.stop()

    run(test)


def test_a_stop_lets_a_commit_end(folder):
    async def test() -> None:
        df2 = await Df2().unix(folder / "x2")
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_: Batch) -> None:
            begun.set()
            await go_on.wait()

        df2.first = wait
        poi = Poi(UnixPeer(folder / "x2", US), settings=QUICK)
        poi.put(events(3))
        await begun.wait()
        stopping = asyncio.create_task(df2.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        assert df2.octets == events(3)
        await poi.cut()

    run(test)


def test_sockets_of_the_dead_are_taken_over_and_those_of_the_living_not(folder):
    async def test() -> None:
        path = folder / "x2"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        df2 = await Df2().unix(path)
        with pytest.raises(FileExistsError, match="listens"):
            await Df2().unix(path)
        await df2.stop()
        path.write_text("a file")
        with pytest.raises(FileExistsError, match="no socket"):
            await Df2().unix(path)

    run(test)


def test_another_user_is_refused(folder):
    async def test() -> None:
        df2 = Df2()
        await df2.server.listen_unix(folder / "x2", {max(US) + 1})
        receive, send = await asyncio.open_unix_connection(folder / "x2")
        assert await receive.read(10) == b""
        send.transport.abort()
        assert df2.server.counters.refused == 1
        await df2.stop()

    run(test)
