"""HEP of a SIP message read and built, with the chunks in the usual orders and in another; beside struct alone.

Floor: 200 000 messages a second read on one core, nothing else running.
"""

from __future__ import annotations

import argparse
from struct import Struct

from imswire import hep, inet
from scripts.bench.common import rate, show

COUNT = 2_000
TIME = 1_700_000_000_123_456_000
CHUNK = 65_536


def message(source: str, destination: str) -> hep.Hep:
    a, b = inet.pack(source), inet.pack(destination)
    return hep.Hep(a, b, 5_060, 5_062, bytes(1_200), TIME, agent=2_026, key=b"capture-key", correlation=b"call@host")


def shuffled(octets: bytes) -> bytes:
    """The chunks from the last to the first: an order that no agent is known to have."""
    at = 6
    chunks: list[bytes] = []
    while at < len(octets):
        end = at + int.from_bytes(octets[at + 4 : at + 6], "big")
        chunks.append(octets[at:end])
        at = end
    return octets[:6] + b"".join(chunks[::-1])


def bare(messages: list[bytes]) -> None:
    """Lengths, all fields of fixed size and the payload taken at fixed places; nothing is compared."""
    unpack = Struct("!4sH6xB6xB6x4s6x4s6xH6xH6xI6xI6xB6xI").unpack_from
    for octets in messages:
        unpack(octets)
        octets[119:1_319]


def split(data: bytes) -> None:
    splitter = hep.Splitter()
    for at in range(0, len(data), CHUNK):
        splitter.feed(data[at : at + CHUNK])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    four, six = message("192.0.2.1", "198.51.100.7"), message("2001:db8::1", "2001:db8::2")
    limit = rate(COUNT, lambda: bare([hep.build(four)] * COUNT), seconds)
    for name, octets in (
        ("read, IPv4", hep.build(four)),
        ("read, IPv6", hep.build(six)),
        ("read, chunks in another order", shuffled(hep.build(four))),
    ):
        messages = [octets] * COUNT
        figure = rate(COUNT, lambda m=messages: [hep.parse(each) for each in m], seconds)  # type: ignore[misc]
        show(name, figure, "msg/s", limit, "struct alone")
    data = hep.build(four) * COUNT
    show("split off a stream", rate(COUNT, lambda: split(data), seconds), "msg/s", limit, "struct alone")
    built = rate(COUNT, lambda: [hep.build(four) for _ in range(COUNT)], seconds)
    show("built", built, "msg/s", limit, "struct alone")


if __name__ == "__main__":
    main()
