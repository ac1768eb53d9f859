"""The resolver against a server of the DNS on loopback, whose answers are written as RFC 1035 4.1 has it."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from imswire.dns import Type
from midcall.cscf.shell import names
from midcall.cscf.shell.names import Resolver, Server
from midcall.cscf.values import Found, Resolve

ANY = ("udp", "tcp", "tls")
ASKED = Resolve("far.example", ANY)


def name(text: str) -> bytes:
    return b"".join(bytes((len(each),)) + each.encode() for each in text.split(".")) + b"\0"


def srv(priority: int, weight: int, port: int, target: str) -> bytes:
    return struct.pack("!3H", priority, weight, port) + name(target)


def naptr(order: int, service: str, replacement: str) -> bytes:
    texts = b"".join(bytes((len(each),)) + each.encode() for each in ("s", service, ""))
    return struct.pack("!2H", order, 10) + texts + name(replacement)


class Zone(asyncio.DatagramProtocol):
    """Answers what it knows; what it does not know is not there. With ``silent`` it says nothing, with ``cut`` a
    datagram only says that there is more (RFC 1035 4.1.1).
    """

    def __init__(
        self, records: dict[tuple[str, Type], list[bytes]], *, silent: bool = False, cut: bool = False
    ) -> None:
        self._records = records
        self._silent = silent
        self._cut = cut
        self.asked: list[tuple[str, Type]] = []
        self.on_streams = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: object) -> None:
        answer = self._answer(data)
        if self._silent or self.transport is None:
            return
        if self._cut:
            answer = data[:2] + struct.pack("!5H", 0x8380, 1, 0, 0, 0) + data[12 : data.index(b"\0", 12) + 5]
        self.transport.sendto(b"\0\0" + answer[2:], addr)  # not its number: not heard
        self.transport.sendto(answer, addr)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = self._answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
        self.on_streams += 1
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()
        writer.close()

    def _answer(self, data: bytes) -> bytes:
        end = data.index(b"\0", 12)
        labels, place = [], 12
        while place < end:
            labels.append(data[place + 1 : place + 1 + data[place]].decode())
            place += 1 + data[place]
        asked = ".".join(labels), Type(int.from_bytes(data[end + 1 : end + 3], "big"))
        self.asked.append(asked)
        found = self._records.get(asked, [])
        head = data[:2] + struct.pack("!5H", 0x8180 if found else 0x8183, 1, len(found), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", asked[1], 1, 30, len(each)) + each for each in found)
        return head + data[12 : end + 5] + records


def look_up(asked: Resolve, records: dict, *, dead: bool = False) -> tuple[Found, list]:
    async def go() -> tuple[Found, list]:
        loop = asyncio.get_running_loop()
        transport, zone = await loop.create_datagram_endpoint(lambda: Zone(records, silent=dead), ("127.0.0.1", 0))
        told: asyncio.Future[Found] = loop.create_future()
        port = transport.get_extra_info("sockname")[1]
        resolver = Resolver(lambda _, found: told.set_result(found), (Server("127.0.0.1", port),))
        resolver.ask(asked)
        found = await asyncio.wait_for(told, 10)
        resolver.close()
        transport.close()
        return found, zone.asked

    return asyncio.run(go())


def hops(found: Found) -> list[tuple[str, int]]:
    spots = sorted(found.spots, key=lambda spot: spot.priority)
    return [(hop.transport, hop.port) for spot in spots for hop in spot.hops if hop.host == "127.0.0.1"]


def test_services_of_each_transport():
    records = {
        ("_sip._udp.far.example", Type.SRV): [srv(20, 0, 5072, "localhost"), srv(10, 5, 5071, "localhost")],
        ("_sip._tcp.far.example", Type.SRV): [srv(5, 0, 5073, "localhost")],
    }
    found, asked = look_up(ASKED, records)
    assert hops(found) == [("udp", 5071), ("udp", 5072), ("tcp", 5073)] and found.seconds == 30
    assert [spot.weight for spot in found.spots if spot.hops[0].port == 5071] == [5]
    assert asked[0] == ("far.example", Type.NAPTR) and len(asked) == 4


def test_pointers_say_which_services_and_in_which_order():
    records = {
        ("far.example", Type.NAPTR): [
            naptr(90, "SIP+D2U", "_sip._udp.other.example"),
            naptr(50, "SIP+D2T", "_sip._tcp.other.example"),
            naptr(10, "SIPS+D2X", "_x.other.example"),
        ],
        ("_sip._udp.other.example", Type.SRV): [srv(0, 0, 5081, "localhost")],
        ("_sip._tcp.other.example", Type.SRV): [srv(0, 0, 5082, "localhost")],
    }
    found, asked = look_up(ASKED, records)
    assert hops(found) == [("tcp", 5082), ("udp", 5081)]
    assert {each for each, _ in asked} == {"far.example", "_sip._udp.other.example", "_sip._tcp.other.example"}


def test_a_transport_that_is_said_needs_no_pointer():
    records = {("_sips._tcp.far.example", Type.SRV): [srv(0, 0, 5091, "localhost"), srv(0, 0, 1, "nobody.invalid")]}
    found, asked = look_up(Resolve("far.example", ("tls",)), records)
    assert hops(found) == [("tls", 5091)] and asked == [("_sips._tcp.far.example", Type.SRV)]


@pytest.mark.parametrize("asked", [Resolve("localhost", ANY), Resolve("localhost", ("udp",), 5070, services=False)])
def test_addresses_of_the_name_itself(asked):
    found, questions = look_up(asked, {})
    assert ("udp", asked.port or 5060) in hops(found) and questions == [] and found.seconds == 60


def test_nobody_knows(monkeypatch):
    monkeypatch.setattr(names, "ASK_SECONDS", 0.01)
    found, questions = look_up(Resolve("far.invalid", ANY), {}, dead=True)
    assert found.spots == () and questions[0] == ("far.invalid", Type.NAPTR)


def test_what_fits_no_datagram_is_asked_for_on_a_stream():
    services = [srv(each, 0, 5100 + each, "localhost") for each in range(100)]

    async def go() -> tuple[Found, Zone]:
        loop = asyncio.get_running_loop()
        zone = Zone({("_sip._udp.far.example", Type.SRV): services}, cut=True)
        transport, _ = await loop.create_datagram_endpoint(lambda: zone, ("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        told: asyncio.Future[Found] = loop.create_future()
        resolver = Resolver(lambda _, found: told.set_result(found), (Server("127.0.0.1", port),))
        async with await asyncio.start_server(zone.stream, "127.0.0.1", port):
            resolver.ask(Resolve("far.example", ("udp",)))
            found = await asyncio.wait_for(told, 10)
        transport.close()
        return found, zone

    found, zone = asyncio.run(go())
    assert hops(found) == [("udp", 5100 + each) for each in range(names.MOST_SPOTS)] and zone.on_streams == 1


def test_the_resolvers_of_this_host(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# x\nsearch a\nnameserver 192.0.2.53\nnameserver x\nnameserver 2001:db8::53\nnameserver\n")
    assert names.servers(path) == (Server("192.0.2.53"), Server("2001:db8::53"))
    assert names.servers(Path("/nowhere")) == ()
