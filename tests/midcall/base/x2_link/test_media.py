"""X3 as datagrams, for DF3."""

from __future__ import annotations

from imswire import inet, x2x3
from imswire.x2x3 import Attribute, AttributeType, Direction, PacketReader, PayloadFormat, Pdu, PduType
from midcall.base.x2_link import X3Packet, X3Reader
from midcall.base.x2_link import media as media_module
from tests.midcall.base.x2_link.world import TIME, xid

A4, B4 = inet.pack("192.0.2.1"), inet.pack("198.51.100.7")
A6, B6 = inet.pack("2001:db8::1"), inet.pack("2001:db8::2")
RTP = b"\x80\x00" + bytes(170)
SDP = b"v=0\r\nm=audio 4002 RTP/AVP 0\r\n"


def pdu(form: int, payload: bytes, *more: Attribute, sequence: int = 0, of: int = 1, time: bool = True) -> bytes:
    held = [Attribute(AttributeType.SEQUENCE_NUMBER, sequence)]
    if time:
        held.append(Attribute(AttributeType.TIMESTAMP, TIME + sequence))
    attributes = tuple(sorted((*held, *more), key=lambda each: each.type))
    return x2x3.build(Pdu(PduType.X3, form, Direction.TO_TARGET, xid(of), b"\1" * 8, attributes, payload))


def read(reader: X3Reader, *pdus: bytes) -> list[X3Packet]:
    return reader.x3_packets(PacketReader().packets(pdus))


def sdp(text: bytes) -> Attribute:
    return Attribute(AttributeType.SDP, text)


def ipv4(payload: bytes = RTP) -> bytes:
    return inet.udp_frame(A4, 4_000, B4, 4_002, payload)[14:]


PLACED = (
    Attribute(AttributeType.SOURCE_IPV4, A4),
    Attribute(AttributeType.DESTINATION_IPV4, B4),
    Attribute(AttributeType.SOURCE_PORT, 4_000),
    Attribute(AttributeType.DESTINATION_PORT, 4_002),
)


def test_ip_packets():
    six = inet.udp_frame(A6, 4_000, B6, 4_002, RTP)[14:]
    found = read(X3Reader(), pdu(5, ipv4()), pdu(6, six, sequence=1))
    assert [each.packet.payload for each in found] == [RTP, RTP]
    assert [each.packet.place for each in found] == [inet.endpoint_key(B4, 4_002), inet.endpoint_key(B6, 4_002)]
    assert [each.packet.time for each in found] == [TIME, TIME + 1]
    assert found[0].packet.datagram.frame == ipv4() and found[0].packet.source == "192.0.2.1:4000"
    assert (found[0].xid, found[0].correlation, found[0].direction) == (xid(1), b"\1" * 8, Direction.TO_TARGET)


def test_rtp_with_addresses_in_attributes():
    (found,) = read(X3Reader(), pdu(8, RTP, *PLACED))
    assert found.packet.payload == RTP and found.packet.place == inet.endpoint_key(B4, 4_002)
    datagram = found.packet.datagram
    assert (datagram.src, datagram.sport) == (A4, 4_000)
    assert inet.decode(inet.RAW, datagram.frame) == datagram, "whoever writes packets finds one"


def test_rtp_from_somewhere():
    """A source that is not said, or of another family, is none; the destination is what selects."""
    (found,) = read(X3Reader(), pdu(8, RTP, PLACED[1], PLACED[3]))
    assert found.packet.source == "0.0.0.0:0"
    six = Attribute(AttributeType.SOURCE_IPV6, A6)
    (found,) = read(X3Reader(), pdu(8, RTP, six, PLACED[1], PLACED[3]))
    assert found.packet.source == "0.0.0.0:0"


def test_a_description_holds_until_the_next_one():
    reader = X3Reader()
    other = SDP.replace(b"4002", b"5002")
    found = read(
        reader,
        pdu(5, ipv4(), sequence=0),
        pdu(5, ipv4(), sdp(SDP), sequence=1),
        pdu(5, ipv4(), sequence=2),
        pdu(5, ipv4(), sequence=3, of=2),
        pdu(8, RTP, *PLACED, sequence=4),
        pdu(5, ipv4(), sdp(other), sequence=5),
        pdu(5, ipv4(), sequence=6),
        pdu(5, ipv4(), sdp(SDP), sequence=7),
        pdu(5, ipv4(), sequence=8),
    )
    assert [each.sdp for each in found] == [None, SDP, SDP, None, SDP, other, other, SDP, SDP]
    assert [each.sdp for each in read(reader, pdu(5, ipv4(), sequence=9))] == [SDP]
    reader.forget(xid(1))
    assert [each.sdp for each in read(reader, pdu(5, ipv4(), sequence=10))] == [None]


def test_descriptions_are_bounded_in_octets(monkeypatch):
    monkeypatch.setattr(media_module, "DESCRIPTION_OCTETS", 10_000)
    reader = X3Reader()
    for of in range(20):
        read(reader, pdu(5, ipv4(), sdp(b"%03d" % of + bytes(997)), of=of))
    assert reader._octets == 10_000 and len(reader._descriptions) == 10
    assert read(reader, pdu(5, ipv4(), sequence=1, of=19))[0].sdp is not None
    assert read(reader, pdu(5, ipv4(), sequence=1, of=0))[0].sdp is None


def test_fragments_are_put_together():
    pieces = inet.fragment_packet(ipv4(bytes(3_000)), 1_500)
    reader = X3Reader()
    found = read(reader, *(pdu(5, piece, sequence=n) for n, piece in enumerate(pieces)))
    assert [each.packet.payload for each in found] == [bytes(3_000)] and reader.counters.fragments == len(pieces)


def test_what_comes_to_nothing_is_counted():
    reader = X3Reader()
    tcp = inet.tcp_frame(A4, 1, B4, 2, b"x", seq=1)[14:]
    nothing = (
        pdu(PayloadFormat.UNSTRUCTURED, b"x"),
        pdu(5, b"\x45"),
        pdu(5, tcp),
        pdu(8, RTP),
        pdu(8, bytes(65_530), *PLACED),
        pdu(5, ipv4(), time=False),
    )
    assert read(reader, *nothing) == []
    counters = reader.counters
    assert (counters.format, counters.malformed, counters.place, counters.time) == (1, 3, 1, 1)
