"""Copies of SIP to a point of interception: none is lost over its restart, and it can neither stop nor delay a call."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midcall.base import sip_copies
from midcall.base.sip_copies import SipCopy
from midcall.cscf.calls import Calls
from midcall.cscf.shell.copies import Copies, PoiLink, is_minor
from midcall.cscf.values import Hop, Listener, Out
from midcall.events import SipSeen
from midcall.poi.shell.copies import CopyDoor
from tests.midcall.cscf.stage import request

HERE = (Listener("udp", "192.0.2.1", 5060), Listener("udp", "2001:db8::1", 5060, ipv6=True))
SOURCE = Hop("udp", "192.0.2.10", 5070)
BOUND = 1 << 20
CALLS = Calls(b"k" * 32)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.002)


def messages(count: int, method: str = "INVITE") -> list[bytes]:
    return [request(method, call_id=f"c{number}").encode() for number in range(count)]


def written(number: int, octets: bytes) -> bytes:
    return sip_copies.written(SipCopy(number, octets, "x", "y", 0, 0))


def test_a_packet_is_read_as_it_was_made():
    copies = (SipCopy(1, b"a", "x", "y", 2, 3), SipCopy(2, b"b", "x", "y", 2, 3, (("z", b"c"),)))
    assert sip_copies.copies(sip_copies.packet([sip_copies.written(each) for each in copies])) == copies
    assert int.from_bytes(sip_copies.answer(2**40), "big") == 2**40


@pytest.mark.parametrize("durable", [False, True])
def test_every_message_arrives_with_where_it_came_from_and_went_to(tmp_path, durable):
    async def go() -> None:
        taken: list[SipSeen] = []
        door = CopyDoor(tmp_path / "poi", (), taken.append, durable=durable)
        copies = Copies([str(tmp_path / "poi")], BOUND, HERE, CALLS)
        outs = [Out(0, Hop("udp", "192.0.2.20", 5060), b"on its way", "b", onward=True), Out(0, SOURCE, b"Trying")]
        copies.put(messages(1)[0], 0, SOURCE, outs, 0)
        copies.put(messages(1)[0], 1, Hop("udp", "2001:db8::9", 5060), [], 0)
        await until(lambda: len(taken) == 2)
        one, two = taken
        assert (one.source, one.destination) == ("192.0.2.10:5070", "192.0.2.1:5060")
        assert one.octets == messages(1)[0] and one.sent == (("192.0.2.20:5060", b"on its way"),)
        assert (two.source, two.destination, two.sent) == ("[2001:db8::9]:5060", "[2001:db8::1]:5060", ())
        assert abs(one.at.wall - time.time_ns()) < 10**10
        if durable:
            assert copies.links[0].waiting[0] == 2
            door.committed()
        await until(lambda: copies.links[0].waiting == (0, 0))
        copies.close()
        door.close()

    asyncio.run(go())


def test_nothing_is_lost_when_it_starts_anew(tmp_path):
    async def go() -> None:
        path = tmp_path / "poi"
        copies = Copies([str(path)], 16 << 20, HERE, CALLS)
        first: list[SipSeen] = []
        all_of_them = messages(3_000)
        for octets in all_of_them[:1_000]:
            copies.put(octets, 0, SOURCE, [], 0)
        door = CopyDoor(path, (), first.append, durable=True)
        await until(lambda: len(first) == 1_000)
        door.committed()
        for octets in all_of_them[1_000:2_000]:
            copies.put(octets, 0, SOURCE, [], 0)
        await until(lambda: len(first) == 2_000)
        door.close()  # before it was safe
        await until(lambda: copies.links[0]._socket is None)
        for octets in all_of_them[2_000:]:
            copies.put(octets, 0, SOURCE, [], 0)
        second: list[SipSeen] = []
        door = CopyDoor(path, (), second.append, durable=True)
        await until(lambda: len(second) == 2_000)
        assert [each.octets for each in second] == all_of_them[1_000:]
        assert [each.octets for each in first] == all_of_them[:2_000]
        door.committed()
        await until(lambda: copies.links[0].waiting == (0, 0))
        copies.close()
        door.close()

    asyncio.run(go())


def test_what_can_be_missed_goes_first(tmp_path):
    async def go() -> None:
        link = PoiLink(str(tmp_path / "nobody"), 5_000)
        for number, octets in enumerate([*messages(6, "REGISTER"), *messages(6), *messages(6, "UPDATE")], 1):
            link.put(number, written(number, octets), minor=is_minor(octets))
        kept, octets = link.waiting
        assert octets <= 5_000 and link.counts["dropped"] == 18 - kept > 0
        assert [b"INVITE" in copy for number, copy in link._kept.items() if 6 < number <= 12] == [True] * 6
        for number, octets in enumerate(messages(60), 100):
            link.put(number, written(number, octets), minor=is_minor(octets))
        assert list(link._kept)[-1] == 159 and link.waiting[1] <= 5_000
        link.close()

    asyncio.run(go())


def test_one_that_does_not_read_costs_nothing_but_room(tmp_path):
    async def go() -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(tmp_path / "poi"))
        listener.listen(1)
        link = PoiLink(str(tmp_path / "poi"), 20_000_000)
        for number in range(1, 20_001):
            link.put(number, written(number, b"INVITE " + bytes(1_000)), minor=False)
            if number % 100 == 0:
                await asyncio.sleep(0)
        assert link.waiting[1] <= 20_000_000 and link.counts["dropped"] > 0
        link.close()
        listener.close()

    asyncio.run(go())


def test_a_foreign_user_and_a_broken_packet(tmp_path, monkeypatch):
    async def go() -> None:
        taken: list[SipSeen] = []
        door = CopyDoor(tmp_path / "poi", (), taken.append, durable=False)
        broken = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        broken.connect(str(tmp_path / "poi"))
        broken.send(b"\xc1")
        await until(lambda: door.counts["broken"] == 1)
        assert broken.recv(1) == b""
        link = PoiLink(str(tmp_path / "poi"), BOUND)
        link.put(1, written(1, b"no SIP at all"), minor=True)
        await until(lambda: door.counts["other"] == 1 and link.waiting == (0, 0))
        link.close()
        door.close()
        monkeypatch.setattr(os, "geteuid", lambda: 54_321)
        door = CopyDoor(tmp_path / "poi", (), taken.append, durable=False)
        link = PoiLink(str(tmp_path / "poi"), BOUND)
        await until(lambda: door.counts["foreign"] == 1)
        link.close()
        door.close()
        broken.close()
        with pytest.raises(KeyError):
            CopyDoor(Path(tmp_path / "poi"), ("nobody-of-this-name",), taken.append, durable=False)

    asyncio.run(go())
