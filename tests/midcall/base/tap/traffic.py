"""Sending and reading for the tests of the tap: nothing here waits for a time, but for packets."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imswire import inet
from midcall.base.tap import Mirror, TapPort
from midcall.events import MediaPacket, SipSeen
from scripts import netns

LEFT, RIGHT = netns.ADDRESSES
PATIENCE = 10
"""Seconds without a single packet after which a test gives up."""
MARK = 65_000
"""A port to which the last packet of a test goes."""


def place(address: str, port: int) -> bytes:
    return inet.endpoint_key(inet.pack(address), port)


def udp_socket(end: netns.Namespace, family: int = socket.AF_INET) -> socket.socket:
    with end.inside():
        return socket.socket(family, socket.SOCK_DGRAM)


def raw_socket(end: netns.Namespace) -> socket.socket:
    """Sends frames as they are."""
    with end.inside():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((netns.INTERFACE, 0))
    return sock


@contextmanager
def sending(
    end: netns.Namespace, address: str, count: int, *ports: int, step: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """``count`` numbered datagrams to each of the ports, from a process of its own; see ``sender.py``."""
    command = [sys.executable, "-S", "-E", str(Path(__file__).with_name("sender.py")), address, str(count), str(step)]
    with end.inside():
        process = subprocess.Popen([*command, *map(str, ports)], stdin=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def arrived(port: TapPort | Mirror) -> bool:
    """Wait for something to read."""
    return bool(select.select(port.filenos(), [], [], PATIENCE)[0])


def until_mark(port: TapPort, end: netns.Namespace, address: str = RIGHT[0]) -> list[MediaPacket]:
    """All that was tapped before now: packets stay in their order, so those before a last one are all there are."""
    mark = place(address, MARK)
    port.arm(mark)
    with udp_socket(end, socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.sendto(b"mark", (address, MARK))
    packets: list[MediaPacket] = []
    while arrived(port):
        packets += port.read()
        if packets and packets[-1].place == mark:
            port.disarm(mark)
            return packets[:-1]
    raise AssertionError("the last packet did not arrive")


def messages(mirror: Mirror, count: int) -> list[SipSeen]:
    seen: list[SipSeen] = []
    while len(seen) < count and arrived(mirror):
        seen += mirror.read()
    return seen


def numbers(packets: list[MediaPacket], port: int) -> list[int]:
    return [int.from_bytes(each.payload[:4], "big") for each in packets if each.datagram.dport == port]
