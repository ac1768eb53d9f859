"""Hostile inputs of a size and of twice the size: processor time of both, and their ratio (2 is linear)."""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable

from imswire import ber, hep, hi, inet, mikey, pcap, sdp, sip, x2x3
from imswire.errors import WireError
from imswire.mikey import values as v
from imswire.mikey.fields import fields
from imswire.sip import hop
from imswire.sip.edit import Editor
from imswire.sip.verdict import judge
from scripts.fuzz import targets

Run = Callable[[bytes], object]
HEAD = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n"
HEAD += b"CSeq: 1 OPTIONS\r\n"
SDP = b"v=0\r\nc=IN IP4 1.2.3.4\r\n"


def quiet(run: Run) -> Run:
    """The parser's own error ends a run like its value."""

    def tried(octets: bytes) -> object:
        try:
            return run(octets)
        except WireError:
            return None

    return tried


def message(octets: bytes) -> None:
    targets.attempt("sip-message", octets)


def line_of(start: bytes, unit: bytes, end: bytes = b"\r\n\r\n") -> Callable[[int], bytes]:
    return lambda size: start + unit * (size // len(unit)) + end


def bytewise(octets: bytes) -> None:
    framer = sip.StreamFramer()
    for place in range(0, len(octets), 16):
        framer.feed(octets[place : place + 16])


def multipart(size: int) -> bytes:
    part = b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nx"
    body = part * (size // len(part)) + b"\r\n--b--"
    return HEAD + b"Content-Type: multipart/mixed;boundary=b\r\n\r\n" + body


def mikey_of(payload: v.Payload) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        one = len(mikey.build(v.Header(0, 0, 1, 1), [payload])) - 10
        return mikey.build(v.Header(0, 0, 1, 1), [payload] * max(size // one, 1))

    return make


def sessions(size: int) -> bytes:
    """As many crypto sessions as the header can count, with many policies each."""
    each = v.GenericSession(1, 0, False, tuple(range(100)), b"", b"x" * 100)
    return mikey.build(v.Header(14, 0, 1, 2, (each,) * min(size // 206, 255)), [v.Rand(b"x" * (size // 300))])


def segments(octets: bytes) -> None:
    """TCP segments of 20 octets in reverse order, then the first."""
    streams = inet.TcpStreams()
    for place in range(len(octets) // 20 - 1, -1, -1):
        frame = inet.tcp_frame(b"\1\2\3\4", 1, b"\5\6\7\x08", 2, octets[:20], seq=1 + 20 * place)
        found = inet.decode(inet.ETHERNET, frame)
        assert isinstance(found, inet.Datagram)
        streams.add(found, 0)
    streams.finish()


def fragments(octets: bytes) -> None:
    """Fragments of 64 octets in reverse order."""
    frame = inet.udp_frame(b"\1\2\3\4", 1, b"\5\6\7\x08", 2, octets[:65_000])
    reassembler = inet.Reassembler()
    for piece in reversed(inet.fragment_frame(inet.ETHERNET, frame, 84)):
        found = inet.decode(inet.ETHERNET, piece)
        assert isinstance(found, inet.Fragment)
        reassembler.add(found, 0)


def empty_members(size: int) -> bytes:
    """gzip members without content behind the first."""
    return gzip.compress(pcap.file_header(1)) + gzip.compress(b"") * (size // 20)


def edits(octets: bytes) -> None:
    """What a proxy does to a request, and its answer."""
    request = sip.parse(octets)
    Editor(request).pop_last("Route")
    hop.forwarded(request, hop.Change(b"Via: SIP/2.0/UDP h\r\n", routes=1), stream=True)
    hop.answer(request, 404, "Not Found", to_tag="t")


def interfaces(size: int) -> bytes:
    """Sections of pcapng with an interface each, two packets on it, and a block that nobody reads."""
    packets = pcap.ng_packet(0, b"x") + pcap.ng_packet(1, b"")
    unread = (99).to_bytes(4, "little") + 2 * (12).to_bytes(4, "little")
    one = pcap.ng_section(inet.ETHERNET) + packets + unread
    return one * (size // len(one))


def records(size: int) -> bytes:
    return pcap.file_header(1) + pcap.record(0, b"x") * (size // 17)


def record(octets: bytes) -> None:
    targets.attempt("hi", octets)


def handed_over(octets: bytes) -> None:
    """A stream of PS-PDUs in pieces of 16 octets."""
    splitter = hi.Splitter()
    for place in range(0, len(octets), 16):
        splitter.feed(octets[place : place + 16])


PDU_HEADER = hi.build(hi.PsPdu(hi.Header(b"L", hi.CommunicationId(b"O"), 0), hi.KeepAlive()))[2:-6]


def pdu_of(unit: bytes, payload: bytes) -> Callable[[int], bytes]:
    """A PS-PDU with as many units in a payload of this tag as make the size."""

    def make(size: int) -> bytes:
        inside = ber.tlv(payload, unit * (size // len(unit)))
        return ber.tlv(b"\x30", PDU_HEADER + ber.tlv(b"\xa2", inside))

    return make


def numbered(size: int) -> bytes:
    """An integrityCheck of as many sequence numbers."""
    check = ber.tlv(b"\xa0", b"\x02\x01\x01" * (size // 3)) + b"\x81\x01\x01\x83\x00"
    return ber.tlv(b"\x30", PDU_HEADER + ber.tlv(b"\xa2", ber.tlv(b"\xa2", ber.tlv(b"\xa0", check))))


def endless(size: int) -> bytes:
    """Indefinite lengths in one another, with much in the innermost."""
    depth = 30
    inside = b"\x04\x01x" * (size // 3)
    return b"\x30\x80" + PDU_HEADER + b"\xa2\x80" * (depth - 1) + inside + b"\0\0" * depth


def in_pieces(size: int) -> bytes:
    """paddingPDU in pieces of one octet."""
    padding = ber.tlv(b"\xa2", b"\x04\x01x" * (size // 3))
    return ber.tlv(b"\x30", PDU_HEADER + ber.tlv(b"\xa2", ber.tlv(b"\xa2", padding)))


def piecewise(feed: Callable[[bytes], object], octets: bytes) -> None:
    """A connection that brings 16 octets at a time."""
    for place in range(0, len(octets), 16):
        feed(octets[place : place + 16])


def attributes(unit: bytes) -> Callable[[int], bytes]:
    """An X2 PDU with as many attributes as a header may have, as long as the size asks for."""

    def make(size: int) -> bytes:
        value = unit * (size // 1_000 // len(unit))
        held = (x2x3.Attribute(17, value.decode()),) * 900
        return x2x3.build(x2x3.Pdu(1, 2, 5, bytes(16), attributes=held))

    return make


def x2x3_read(octets: bytes) -> None:
    pdu = x2x3.parse(octets)
    for text in pdu.matched:
        x2x3.read_target(text)
    x2x3.check(pdu)


def chunks_of_hep(size: int) -> bytes:
    return b"HEP3" + min(size, 65_535).to_bytes(2, "big") + b"\0\0\0\x0e\0\6" * (size // 6)


def one_target(octets: bytes) -> None:
    x2x3.read_target(octets.decode())


FAMILIES: dict[str, tuple[Run, Callable[[int], bytes]]] = {
    "many header lines": (quiet(judge), line_of(HEAD, b"X: y\r\n", b"\r\n")),
    "folded lines": (message, line_of(HEAD + b"Subject: x", b"\r\n y")),
    "commas in Via": (message, line_of(HEAD + b"Via: SIP/2.0/UDP a", b",SIP/2.0/UDP a")),
    "quotes": (message, line_of(HEAD + b'Contact: "', b'\\"')),
    "brackets": (message, line_of(HEAD + b"Route: ", b"<,>")),
    "parameters": (message, line_of(HEAD + b"Contact: <sip:a>", b";a=b")),
    "escapes in a URI": (message, line_of(b"OPTIONS sip:", b"%41", b"@x SIP/2.0\r\n" + HEAD[23:] + b"\r\n")),
    "multipart": (message, multipart),
    "routes edited": (quiet(edits), line_of(HEAD + b"Route: <sip:a>", b",<sip:a>")),
    "empty routes edited": (quiet(edits), line_of(HEAD, b"Route: ,\r\n", b"\r\n")),
    "a stream in small pieces": (bytewise, line_of(HEAD, b"X: y\r\n", b"\r\n")),
    "messages on a stream": (bytewise, lambda size: b"OPTIONS sip:x SIP/2.0\r\nl: 0\r\n\r\n" * (size // 31)),
    "media lines": (quiet(sdp.parse), line_of(SDP, b"m=audio 4 RTP/AVP 0\r\n", b"")),
    "attributes": (quiet(sdp.parse), line_of(SDP + b"m=audio 4 RTP/AVP 0\r\n", b"a=rtpmap:9 x/1\r\n", b"")),
    "crypto lines": (quiet(sdp.parse), line_of(SDP + b"m=audio 4 RTP/SAVP 0\r\n", b"a=crypto:1 x inline:y\r\n", b"")),
    "one long key-mgmt": (quiet(sdp.parse), line_of(SDP + b"a=key-mgmt:mikey ", b"AAAA", b"\r\n")),
    "MIKEY payloads": (quiet(fields), mikey_of(v.Extension(0, b"x" * 200))),
    "MIKEY policies": (quiet(fields), mikey_of(v.Sp(1, 0, tuple((n, bytes(10)) for n in range(20))))),
    "MIKEY sessions": (quiet(fields), sessions),
    "one long MIKEY payload": (quiet(fields), lambda size: mikey.build(v.Header(0, 0, 1, 1), [v.Id(0, b"x" * size)])),
    "TCP segments in reverse": (segments, lambda size: b"x" * size),
    "fragments in reverse": (fragments, lambda size: b"x" * size),
    "sections of pcapng": (quiet(lambda octets: targets.captures(octets)), interfaces),
    "empty members of gzip": (quiet(lambda octets: targets.captures(octets)), empty_members),
    "IRI in a PS-PDU": (record, pdu_of(b"\x30\x07\x80\x01\x04\xa2\x02\xa4\x00", b"\xa0")),
    "sequence numbers in an integrityCheck": (record, numbered),
    "unknown members in a PS-PDU": (record, pdu_of(b"\x9f\x63\x00", b"\xa2")),
    "indefinite lengths": (record, endless),
    "a string in pieces": (record, in_pieces),
    "PS-PDUs in small pieces": (handed_over, lambda size: in_pieces(100) * (size // len(in_pieces(100)))),
    "one long PS-PDU in small pieces": (handed_over, in_pieces),
    "an endless PS-PDU in small pieces": (handed_over, endless),
    "attributes of a PDU": (x2x3_read, attributes(b"<a>")),
    "references in an identifier": (one_target, line_of(b"<a>", b"&amp;", b"</a>")),
    "spaces in an identifier": (one_target, line_of(b"<a ", b" ", b"x")),
    "one PDU in small pieces": (
        lambda octets: piecewise(x2x3.Splitter().feed, octets),
        lambda size: x2x3.build(x2x3.Pdu(2, 5, 3, bytes(16), payload=bytes(size))),
    ),
    "keepalives in small pieces": (
        lambda octets: piecewise(x2x3.Splitter().feed, octets),
        lambda size: x2x3.build(x2x3.keepalive(1)) * (size // 48),
    ),
    "chunks of HEP": (quiet(hep.parse), chunks_of_hep),
    "HEP in small pieces": (
        lambda octets: piecewise(hep.Splitter().feed, octets),
        lambda size: b"HEP3\0\6" * (size // 6),
    ),
    "records of a capture": (quiet(lambda octets: targets.captures(octets)), records),
}


def seconds(run: Run, octets: bytes, least: float) -> float:
    """Processor time of one run, from as many as fill ``least`` seconds."""
    count, began = 0, time.process_time()
    while time.process_time() - began < least:
        run(octets)
        count += 1
    return (time.process_time() - began) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long each figure is measured")
    least = parser.parse_args().seconds
    for name, (run, make) in FAMILIES.items():
        once, twice = seconds(run, make(30_000), least), seconds(run, make(60_000), least)
        print(f"{name:28} {once * 1e3:8.2f} ms for 30 000 octets   {twice / once:5.2f} times that for 60 000")


if __name__ == "__main__":
    main()
