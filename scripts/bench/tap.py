"""The tap: what a packet costs in the ring reader, as far as a MediaPacket, and as DF3 has it, beside a recv loop.

All read the same packets, which wait in the ring or the socket's buffer until the clock runs. Then what the filter
costs the kernel, and a sender at full speed against a reader: what is dropped. Times are of the processor. Needs the
rights of root and iproute2; works in network namespaces of its own.
"""

from __future__ import annotations

import argparse
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from imswire import inet
from midcall.base.tap import Geometry, Ring, Source, Tap, TapPort
from scripts import netns

PACKETS = 40_000
VOICE, VIDEO = 172, 1_200
PORT, SILENT = 4_000, 4_002
PLACES = (100, 10_000, 60_000)
LARGE = Geometry(1 << 18, 384)
_SO_RCVBUFFORCE = 33
_ALL_PROTOCOLS = 3
_SENDER = """
import socket, sys
send = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto
octets, to = bytes(int(sys.argv[3])), (sys.argv[1], int(sys.argv[2]))
for _ in range(int(sys.argv[4])):
    send(octets, to)
"""


def place(port: int) -> bytes:
    return inet.endpoint_key(inet.pack(netns.ADDRESSES[1][0]), port)


def send(left: netns.Namespace, payload: int, port: int = PORT) -> float:
    """PACKETS datagrams to the right; ns for each, the way to the tap included."""
    with left.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        octets, to = bytes(payload), (netns.ADDRESSES[1][0], port)
        begun = time.process_time()
        for _ in range(PACKETS):
            sock.sendto(octets, to)
        return (time.process_time() - begun) / PACKETS * 1e9


def best(rounds: int, fill: Callable[[], object], drain: Callable[[], int]) -> float:
    """The best ns a packet of ``drain``, which gives back how many there were."""
    figures = []
    for _ in range(rounds):
        fill()
        begun = time.process_time()
        count = drain()
        taken = time.process_time() - begun
        if count != PACKETS:
            raise SystemExit(f"{PACKETS} packets were sent, {count} found: too little memory for this benchmark")
        figures.append(taken / count * 1e9)
    return min(figures)


def plain(left: netns.Namespace, right: netns.Namespace, payload: int, rounds: int) -> float:
    """A packet socket without a ring: one call a packet."""
    with right.inside():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 29)
        sock.bind((netns.INTERFACE, _ALL_PROTOCOLS))
        sock.setblocking(False)

        def drain() -> int:
            receive, count = sock.recv, 0
            try:
                while True:
                    frame = receive(2_048)
                    count += frame[23] == inet.UDP and len(frame) > payload
            except BlockingIOError:
                return count

        return best(rounds, lambda: send(left, payload), drain)


def raw_ring(left: netns.Namespace, right: netns.Namespace, payload: int, rounds: int) -> float:
    with right.inside():
        ring = Ring.open(netns.INTERFACE, LARGE)
    with closing(ring):

        def drain() -> int:
            count = 0
            while count < PACKETS and select.select([ring], [], [], 1.0)[0]:
                count += sum(frame[23] == inet.UDP and len(frame) > payload for _, frame, _ in ring.read())
            return count

        return best(rounds, lambda: send(left, payload), drain)


def media(
    port: TapPort, left: netns.Namespace, payload: int, rounds: int, read: Callable[[], Sequence[object]]
) -> float:
    def drain() -> int:
        count = 0
        while count < PACKETS and select.select(port.filenos(), [], [], 1.0)[0]:
            count += len(read())
        return count

    return best(rounds, lambda: send(left, payload), drain)


def reading(left: netns.Namespace, right: netns.Namespace, rounds: int) -> None:
    for payload in (VOICE, VIDEO):
        loop = plain(left, right, payload, rounds)
        ring = raw_ring(left, right, payload, rounds)
        with right.inside():
            port = Tap(Source((netns.INTERFACE,), LARGE)).open()
        with closing(port):
            port.arm(place(PORT))
            packet = media(port, left, payload, rounds, port.read)
            quick = media(port, left, payload, rounds, port.media)
        print(f"payload of {payload} octets")
        for name, figure in (
            ("recv loop", loop),
            ("ring reader", ring),
            ("ring to MediaPacket", packet),
            ("as DF3 reads", quick),
        ):
            print(f"  {name:42} {figure:8.0f} ns/pkt {figure / loop:6.2f} of the recv loop")


def filtering(left: netns.Namespace, right: netns.Namespace, rounds: int) -> None:
    """What a packet that nobody wants costs its sender, with nobody listening and behind the filter."""
    bare = min(send(left, VOICE, SILENT) for _ in range(rounds))
    print("packets that nobody wants")
    print(f"  {'no tap':42} {bare:8.0f} ns/pkt   1.00 of no tap")
    for count in PLACES:
        with right.inside():
            port = Tap(Source((netns.INTERFACE,))).open()
        with closing(port):
            begun = time.process_time()
            for number in range(count):
                port.arm(inet.endpoint_key(bytes((198, 51, 100 + number // 60_000, number % 250)), 1 + number % 60_000))
            armed = (time.process_time() - begun) / count * 1e6
            cost = min(send(left, VOICE, SILENT) for _ in range(rounds))
            entered = port.counters().rings[0].packets
        name = f"tap, {count} places armed, {entered} entered"
        print(f"  {name:42} {cost:8.0f} ns/pkt {cost / bare:6.2f} of no tap; {armed:.1f} us to arm a place")


def full_speed(left: netns.Namespace, right: netns.Namespace, count: int) -> None:
    """A sender in another process as fast as it can, the reader with the tap's own geometry."""
    with right.inside():
        port = Tap(Source((netns.INTERFACE,))).open()
    with closing(port):
        port.arm(place(PORT))
        command = [sys.executable, "-S", "-E", "-c", _SENDER, netns.ADDRESSES[1][0], str(PORT), str(VOICE), str(count)]
        with left.inside():
            sender = subprocess.Popen(command)  # noqa: S603 - the interpreter that runs this
        read, first, last = 0, 0, 0
        used = time.process_time()
        while select.select(port.filenos(), [], [], 1.0)[0]:
            packets = port.media()
            if packets:
                read += len(packets)
                first, last = first or packets[0][0], packets[-1][0]
        used = time.process_time() - used
        sender.wait()
        counters = port.counters()
        rate = read / (last - first) * 1e9
        print(f"sender at full speed: {rate:,.0f} pkt/s, {read} read, {counters.dropped} dropped,", end=" ")
        print(f"{used / max(read, 1) * 1e9:.0f} ns of processor time a packet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="each figure is the best of so many")
    parser.add_argument("--packets", type=int, default=300_000, help="of the sender at full speed")
    arguments = parser.parse_args()
    with netns.wire() as (left, right):
        reading(left, right, arguments.rounds)
        filtering(left, right, arguments.rounds)
        full_speed(left, right, arguments.packets)


if __name__ == "__main__":
    main()
