"""The tap beside dumpcap on the same interface: the same frames, octet for octet."""

from __future__ import annotations

import io
import os
import select
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imswire import inet, pcap
from midcall.base.tap import NotPermitted, Source, Tap
from scripts.netns import INTERFACE
from tests.midcall.base.tap.conftest import networks, unable
from tests.midcall.base.tap.traffic import LEFT, PATIENCE, RIGHT, place, raw_socket, udp_socket, until_mark

pytestmark = pytest.mark.peer

PORT, READY = 4_000, 4_001
FILE_HEADER = 24
LAST = b"the last of them"
SECOND = 1_000_000_000


def frames_to_send() -> list[bytes]:
    src, dst = inet.pack(LEFT[0]), inet.pack(RIGHT[0])
    frames = [
        inet.udp_frame(src, 9, dst, PORT, b"number %d" % number, vlans=range(5, 5 + number % 3), identification=number)
        for number in range(60)
    ]
    return [*frames, inet.udp_frame(src, 9, dst, PORT, LAST)]


def captured(output: int, begin: Callable[[], object], send: Callable[[], object]) -> dict[bytes, int]:
    """Frames to PORT and their times: ``begin`` is repeated until the first packet shows that the capture runs."""
    octets = b""
    while len(octets) <= FILE_HEADER:
        begin()
        if select.select([output], [], [], 0.05)[0]:
            octets += os.read(output, 1 << 16)
    send()
    while LAST not in octets and select.select([output], [], [], PATIENCE)[0]:
        octets += os.read(output, 1 << 16)
    found = {}
    for batch in pcap.Reader(io.BytesIO(octets).read).batches():
        for time, frame, _ in batch:
            decoded = inet.decode(inet.ETHERNET, frame)
            if isinstance(decoded, inet.Datagram) and decoded.dport == PORT:
                found[frame] = time
    return found


def test_the_tap_and_dumpcap_see_the_same(peer: Callable[[str], Path]) -> None:
    dumpcap = peer("dumpcap")
    frames = frames_to_send()
    with networks() as (left, right):
        with right.inside():
            try:
                port = Tap(Source((INTERFACE,))).open()
            except NotPermitted as why:
                unable(why)
            process = subprocess.Popen(
                [str(dumpcap), "-q", "-P", "-i", INTERFACE, "-w", "-"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        with closing(port), raw_socket(left) as sock, udp_socket(left) as ready:
            assert process.stdout is not None
            try:
                port.arm(place(RIGHT[0], PORT))
                seen = captured(
                    process.stdout.fileno(),
                    lambda: ready.sendto(b"ready", (RIGHT[0], READY)),
                    lambda: [sock.send(frame) for frame in frames],
                )
            finally:
                process.kill()
                process.communicate()
            tapped = until_mark(port, left)
    assert [each.datagram.frame for each in tapped] == frames
    assert set(seen) == set(frames)
    assert all(abs(seen[each.datagram.frame] - each.time) < SECOND for each in tapped)
