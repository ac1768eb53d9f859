"""Copies by HEP: from whom they count, and what else is dropped."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from msgspec import structs

from imswire import hep, inet
from midcall.base import tls
from midcall.base.lab_pki import LabPki
from midcall.base.tls_end import TlsEnd
from midcall.poi.shell.hep import CLOCK_NS, HepAgent, HepReceiver

KEY = b"agent key"
INVITE = b"INVITE sip:b@c SIP/2.0\r\n\r\n"


def message(**changes) -> hep.Hep:
    made = hep.Hep(
        inet.pack("10.0.0.1"), inet.pack("10.0.0.2"), 5060, 5062, INVITE, time=time.time_ns(), key=KEY, agent=7
    )
    return structs.replace(made, **changes)


class Taken(list):
    """Collects; ``await_count`` waits for so many."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def __call__(self, seen) -> None:
        self.append(seen)
        self.more.set()

    async def count(self, wanted: int) -> None:
        async with asyncio.timeout(20):
            while len(self) < wanted:
                self.more.clear()
                await self.more.wait()


def receiver(take=lambda _: None) -> HepReceiver:
    return HepReceiver((HepAgent("127.0.0.1", KEY), HepAgent("2001:db8::1", b"other")), take)


def test_what_an_agent_copies():
    seen = []
    got = receiver(seen.append)
    before = time.time_ns()
    got.datagram(hep.build(message(time=before - 1_000_000)), "127.0.0.1")
    (only,) = seen
    assert (only.octets, only.source, only.destination) == (INVITE, "10.0.0.1:5060", "10.0.0.2:5062")
    assert only.at.wall == (before - 1_000_000) // 1_000 * 1_000
    assert got.counts == {"taken": 1, "unauthenticated": 1} and not only.authenticated


@pytest.mark.parametrize(
    ("octets", "address", "count"),
    [
        (lambda: hep.build(message()), "127.0.0.2", "foreign"),
        (lambda: hep.build(message()), "2001:db8::1", "refused"),
        (lambda: hep.build(message(key=b"wrong")), "127.0.0.1", "refused"),
        (lambda: hep.build(message(key=None)), "127.0.0.1", "refused"),
        (lambda: b"HEP3\0\6x", "127.0.0.1", "broken"),
        (lambda: b"", "::ffff:127.0.0.1", "broken"),
        (lambda: hep.build(message(kind=hep.ProtocolType.RTCP)), "127.0.0.1", "other"),
        (lambda: hep.build(message(payload=b"\x80\0\0\0")), "127.0.0.1", "other"),
        (lambda: hep.build(message()), "nonsense", "foreign"),
    ],
)
def test_whatever_else_comes_is_counted_and_dropped(octets, address, count):
    seen = []
    got = receiver(seen.append)
    got.datagram(octets(), address)
    assert seen == [] and got.counts == {count: 1}


@pytest.mark.parametrize("off", [-CLOCK_NS * 2, CLOCK_NS * 2, None])
def test_a_clock_that_is_far_off_is_not_believed(off):
    seen = []
    got = receiver(seen.append)
    before = time.time_ns()
    got.datagram(hep.build(message(time=None if off is None else before + off)), "127.0.0.1")
    assert before <= seen[0].at.wall <= time.time_ns() and got.counts["clock"] == 1


def test_datagrams_over_a_socket():
    async def run():
        taken = Taken()
        got = receiver(taken)
        host, port = got.listen_udp("127.0.0.1", 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            for number in range(200):
                agent.sendto(hep.build(message(payload=INVITE + b"%d" % number)), (host, port))
        await taken.count(200)
        await got.close()

    asyncio.run(run())


def test_a_stream_from_a_listed_agent():
    async def run():
        taken = Taken()
        got = receiver(taken)
        host, port = await got.listen_tcp("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(host, port)
        octets = hep.build(message()) * 3
        writer.write(octets[:50])
        await writer.drain()
        writer.write(octets[50:] + b"garbage" * 10)
        await writer.drain()
        await taken.count(3)
        assert not any(each.authenticated for each in taken), "who is on the path can have forged them"
        assert await reader.read() == b"", "garbage ends the stream"
        writer.close()
        assert got.counts["broken"] == 1
        await got.close()

    asyncio.run(run())


def test_a_stream_with_a_certificate_needs_no_key(tmp_path):
    LabPki(tmp_path).make(("poi", "cscf", "kms"))

    def identity(role: str) -> tls.Identity:
        return tls.Identity(tmp_path / f"{role}.pem", tmp_path / f"{role}.key", tmp_path / "ca.pem")

    async def run():
        taken = Taken()
        got = receiver(taken)
        peers = tls.PeerName("urn:midcall:lab:cscf")
        host, port = await got.listen_tls("127.0.0.1", 0, TlsEnd.server(identity("poi"), peers))
        for role in ("cscf", "kms"):
            context = tls.client_context(identity(role), check_host=False)
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(hep.build(message(key=None)))
            if role == "cscf":
                await taken.count(1)
                assert taken[0].authenticated
            else:
                assert await reader.read() == b"", "a certificate of another role is refused"
            writer.close()
        assert len(taken) == 1 and not got.counts["unauthenticated"]
        await got.close()

    asyncio.run(run())
