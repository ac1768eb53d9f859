"""A process with few capabilities or none.

``confined.py open INTERFACE CAPABILITY...``: opens a tap with these (by number) and nothing else.
``confined.py read DESCRIPTOR PLACE COUNT``: takes a tap from the socket, with none, and reads from it.
Prints one line of JSON when it is armed, and one at the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import struct
import sys
from contextlib import closing
from pathlib import Path

from midcall.base.tap import NotPermitted, Source, Tap, TapError, TapPort
from midcall.events import MediaPacket

NOBODY = 65_534
KEEP_CAPABILITIES = 8
CAPABILITIES = 0x20080522
SO_DETACH_FILTER = 27


def confine(kept: list[int]) -> None:
    """Another user, and of what root may only ``kept``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    bits = sum(1 << each for each in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    if libc.capset(struct.pack("=Ii", CAPABILITIES, 0), data):
        raise OSError(ctypes.get_errno(), "capset")
    assert b"CapEff:\t%016x\n" % bits in Path("/proc/self/status").read_bytes()  # no codec can be imported any more


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def try_to_open(interface: str, kept: list[int]) -> None:
    confine(kept)
    try:
        Tap(Source((interface,), promiscuous=True), places=64).open().close()
    except NotPermitted as why:
        say(missing=why.missing)
    except TapError as why:
        say(error=str(why))
    else:
        say(opened=True)


def read(connection: socket.socket, place: bytes, count: int) -> None:
    confine([])
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        own = True
    except PermissionError:
        own = False
    with closing(TapPort.receive(connection)) as port:
        port.arm(place)
        port.arm(place[:-2] + b"\0\1")
        port.disarm(place[:-2] + b"\0\1")
        say(armed=len(port.armed))
        packets: list[MediaPacket] = []
        while len(packets) < count and select.select(port.filenos(), [], [], 10)[0]:
            packets += port.read()
        ring = socket.socket(fileno=os.dup(port.filenos()[0]))
        try:
            ring.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            locked = False
        except PermissionError:
            locked = True
        ring.close()
        say(
            own=own,
            locked=locked,
            numbers=[int.from_bytes(each.payload[:4], "big") for each in packets],
            dropped=port.counters().dropped,
            counted=port.disarm(place),
        )


def main() -> None:
    action, *rest = sys.argv[1:]
    if action == "open":
        try_to_open(rest[0], [int(each) for each in rest[1:]])
    else:
        read(socket.socket(fileno=int(rest[0])), bytes.fromhex(rest[1]), int(rest[2]))


if __name__ == "__main__":
    main()
