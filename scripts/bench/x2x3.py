"""X3 PDUs of a voice stream built, split and read; X2 PDUs of SIP messages; beside what struct alone takes.

Floor: 400 000 PDUs a second built on one core, nothing else running.
"""

from __future__ import annotations

import argparse
from struct import Struct

from imswire import inet, x2x3
from imswire.hi import ts33128
from imswire.x2x3 import Attribute, AttributeType
from scripts.bench.common import rate, show

COUNT = 2_000
TIME = 1_700_000_000_123_456_789
XID, CORRELATION = bytes(range(16)), bytes(range(8))
A, B = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
CHUNK = 65_536  # as a shell reads from its connection


def stream(format_: int) -> x2x3.X3Template:
    """A stream in format 5 as the standard recommends it, or bare RTP, which needs its addresses beside it."""
    held = [Attribute(AttributeType.NFID, b"agw-1.example.net"), Attribute(AttributeType.IPID, b"media")]
    if format_ == x2x3.PayloadFormat.RTP:
        held += [Attribute(AttributeType.SOURCE_IPV4, A), Attribute(AttributeType.DESTINATION_IPV4, B)]
        held += [Attribute(AttributeType.SOURCE_PORT, 4_000), Attribute(AttributeType.DESTINATION_PORT, 4_002)]
    pdu = x2x3.Pdu(x2x3.PduType.X3, format_, x2x3.Direction.FROM_TARGET, XID, CORRELATION, tuple(held))
    return x2x3.X3Template(pdu)


def bare_build(records: list[tuple[int, bytes]]) -> None:
    """The same fields packed by struct, as constants in one piece each; nothing is checked."""
    pack = Struct("!8sI54sI4sII4s").pack
    before, middle, between, after = bytes(8), bytes(54), bytes(4), bytes(4)
    for number, (time, payload) in enumerate(records):
        (
            pack(before, len(payload), middle, number, between, time // 1_000_000_000, time % 1_000_000_000, after)
            + payload
        )


def bare_read(pdus: list[bytes]) -> None:
    """Lengths, number, time and payload taken at fixed places; nothing is compared."""
    unpack = Struct("!4xII58xI4xII").unpack_from
    for octets in pdus:
        header, _, _, _, _ = unpack(octets)
        octets[header:]


def split(data: bytes) -> None:
    splitter = x2x3.Splitter()
    for at in range(0, len(data), CHUNK):
        splitter.feed(data[at : at + CHUNK])


def split_and_read(data: bytes, reader: x2x3.PacketReader) -> None:
    splitter = x2x3.Splitter()
    for at in range(0, len(data), CHUNK):
        reader.packets(splitter.feed(data[at : at + CHUNK]))


def event(head: x2x3.X2Head, message: bytes) -> bytes:
    sip = ts33128.SipMessage(A, B, message)
    seen = ts33128.ImsMessage(message=sip, direction=ts33128.SessionDirection.FROM_TARGET)
    return x2x3.build(x2x3.xiri(head, seen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    for name, format_, payload in (
        ("IPv4 packet, 200 octets", 5, bytes(200)),
        ("IPv4 packet, 1 240 octets", 5, bytes(1_240)),
        ("bare RTP, 172 octets", 8, bytes(172)),
    ):
        template, records = stream(format_), [(TIME, payload)] * COUNT
        limit = rate(COUNT, lambda r=records: bare_build(r), seconds)  # type: ignore[misc]
        built = rate(COUNT, lambda t=template, r=records: t.pdus(0, r), seconds)  # type: ignore[misc]
        show(f"built: {name}", built, "PDU/s", limit, "struct alone")
        pdus = template.pdus(0, records)
        data, reader = b"".join(pdus), x2x3.PacketReader()
        limit = rate(COUNT, lambda p=pdus: bare_read(p), seconds)  # type: ignore[misc]
        read = rate(COUNT, lambda p=pdus, r=reader: r.packets(p), seconds)  # type: ignore[misc]
        show("  read, form known", read, "PDU/s", limit, "struct alone")
        show("  split off a stream", rate(COUNT, lambda d=data: split(d), seconds), "PDU/s", limit, "struct alone")  # type: ignore[misc]
        both = rate(COUNT, lambda d=data, r=reader: split_and_read(d, r), seconds)  # type: ignore[misc]
        show("  split off and read", both, "PDU/s", limit, "struct alone")
        every = rate(COUNT, lambda p=pdus: [x2x3.parse(octets) for octets in p], seconds)  # type: ignore[misc]
        show("  parsed in full", every, "PDU/s", limit, "struct alone")
    head = x2x3.X2Head(
        xid=XID, nfid=b"pcscf-1", ipid=b"sip-in", sequence=0, time=TIME, matched=("<impu>sip:a@x</impu>",)
    )
    message = bytes(1_200)
    octets = event(head, message)
    copying = rate(COUNT, lambda: [bytes(bytearray(octets)) for _ in range(COUNT)], seconds)
    made = rate(COUNT, lambda: [event(head, message) for _ in range(COUNT)], seconds)
    show("X2 of a SIP message of 1 200 octets, built", made, "PDU/s", copying, "copying its octets")
    opened = rate(COUNT, lambda: [x2x3.contents(x2x3.parse(octets)) for _ in range(COUNT)], seconds)
    show("X2 of a SIP message of 1 200 octets, read", opened, "PDU/s", copying, "copying its octets")


if __name__ == "__main__":
    main()
