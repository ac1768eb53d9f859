"""What is fuzzed of the interfaces that bring SIP and media to be intercepted: X2/X3 and HEP."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from imswire import hep, x2x3
from imswire.errors import WireError
from imswire.hi import eps
from imswire.x2x3 import exchange

DATA = Path(__file__).parents[2] / "tests" / "data"


def x2x3_pdu(octets: bytes) -> None:
    """A PDU is what its values build, its contents read or refuse; the short way reads what the long one reads."""
    pdu = x2x3.parse(octets, range(256))
    assert x2x3.build(pdu) == octets
    x2x3.check(pdu, of_3gpp=True)
    for text in (*pdu.matched, *pdu.others):
        x2x3.read_target(text)
    reader = x2x3.PacketReader(range(256))
    for _ in range(2):
        packet = reader.packet(octets)
        assert (packet.sequence, packet.time, packet.payload) == (pdu.sequence, pdu.time, pdu.payload)
    for read in (x2x3.contents, exchange.context_of):
        with suppress(WireError):
            read(pdu)
    message = exchange.parse(pdu.payload)
    assert exchange.build(message) == pdu.payload


def x2x3_stream(octets: bytes) -> None:
    """However a stream is cut, it gives the same PDUs and the same fault."""
    _cut(x2x3.Splitter, octets)


def hep_message(octets: bytes) -> None:
    """A message is what its values build; a stream of them is the same however it is cut."""
    _cut(hep.Splitter, octets)
    message = hep.parse(octets)
    if len(message.payload) < 60_000:
        assert hep.parse(hep.build(message)) == message


def _cut(splitter: type[x2x3.Splitter] | type[hep.Splitter], octets: bytes) -> None:
    found: list[list[bytes]] = []
    faults: list[str] = []
    place = octets[-1] * len(octets) // 256 if octets else 0
    for pieces in ((octets,), (octets[:place], octets[place:])):
        feed = splitter()
        got: list[bytes] = []
        with suppress(WireError):
            for piece in pieces:
                got += feed.feed(piece)
        found.append(got)
        faults.append(str(feed.fault))
    assert found[0] == found[1] and faults[0] == faults[1]


def _octets_of(path: Path) -> Iterator[bytes]:
    """All that stands as "octets" in a file of vectors."""
    return (bytes.fromhex(text) for text in re.findall(r'"octets": "([0-9a-f]+)"', path.read_text()))


def x2x3_pdus() -> Iterator[bytes]:
    yield from _octets_of(DATA / "x2x3" / "vectors.json")
    head = x2x3.X2Head(xid=bytes(16), nfid=b"n", ipid=b"i", sequence=0, time=1, domain=b"d", others=("<a>b</a>",))
    dialog, at = exchange.Dialog("c", "a", "b"), exchange.Moment(1, 2)
    kept = exchange.Kept(b"x", at)
    made = exchange.Exchange(0, 1, kept, kept, (exchange.Update(0, kept, kept),))
    yield x2x3.build(exchange.pdu(head, exchange.Session("i", dialog, at, at, 1, 0, kept, kept, (made,), True)))
    yield x2x3.build(exchange.pdu(head, exchange.Fault(dialog, at, 1, "r")))
    context = exchange.context(exchange.Context(dialog, 1, 2, 3))
    yield x2x3.build(head.pdu(9, 3, b"BYE", (context, x2x3.Attribute(21, x2x3.AdditionalXid(bytes(16), bytes(8), 1)))))
    parameters = eps.IriParameters(liid=b"1", time=0, event=4, header_offer=b"h", sdp_offer=b"s")
    yield x2x3.build(x2x3.start_of_interception(head, parameters))


def x2x3_streams() -> Iterator[bytes]:
    pdus = list(x2x3_pdus())
    return (one + other for one in pdus for other in pdus[:2])


def hep_messages() -> Iterator[bytes]:
    yield from _octets_of(DATA / "hep" / "kamailio-siptrace.json")
    packed = zlib.compress(b"BYE sip:b SIP/2.0\r\n\r\n")
    octets = hep.build(hep.Hep(bytes(16), bytes(16), 1, 2, packed, 1_000, correlation=b"c", keepalive=1, vlan=2))
    yield octets
    yield octets.replace(b"\0\0\0\x0f", b"\0\0\0\x10")
