"""Whole packets from their fragments (RFC 791 3.2, RFC 8200 4.5), whatever an attacker sends as fragments."""

from __future__ import annotations

from msgspec.structs import replace

from imswire.inet.build import with_header_checksum
from imswire.inet.decode import decode_ip
from imswire.inet.link import IpAt
from imswire.inet.values import Datagram, Fragment

MAX_PACKETS = 1_024
MAX_OCTETS = 16 * 1024 * 1024
MAX_PIECES = 1_024
"""Fragments a packet; the longest one takes 124 over a link of 576 octets."""
MAX_AGE_NS = 30 * 10**9
"""RFC 1122 3.3.2 and RFC 8200 4.5 wait 60 s for the last fragment; networks deliver them within one."""
_MAX_TOTAL = 65_535
_IPV6_LENGTH = 40


class Reassembler:
    """Collects fragments until a packet is whole.

    Overlapping fragments condemn their packet (RFC 5722 for IPv6; here for IPv4 too), exact repetitions are
    ignored. Bounded in packets, octets and age; the oldest packet gives way. ``given_up`` counts the packets
    that came to nothing.
    """

    def __init__(
        self, max_packets: int = MAX_PACKETS, max_octets: int = MAX_OCTETS, max_age_ns: int = MAX_AGE_NS
    ) -> None:
        self._max_packets = max_packets
        self._max_octets = max_octets
        self._max_age_ns = max_age_ns
        self._packets: dict[bytes, _Partial] = {}  # in order of their first fragment
        self._octets = 0
        self.given_up = 0

    @property
    def octets(self) -> int:
        """Octets kept: data, and the header of each first fragment."""
        return self._octets

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, fragment: Fragment, now_ns: int) -> Datagram | None:
        """The datagram that ``fragment`` completed, or None.

        Its ``frame`` is a new one: the link and IP header of the first fragment, then the whole payload.
        """
        self._expire(now_ns)
        packet = self._packets.get(fragment.key)
        if packet is None:
            packet = self._packets[fragment.key] = _Partial(now_ns)
        if packet.condemned:
            return None
        self._octets -= packet.octets
        packet.add(fragment)
        self._octets += packet.octets
        if packet.condemned:
            self.given_up += 1
        elif packet.complete:
            self._forget(fragment.key)
            datagram = packet.datagram()
            self.given_up += datagram is None
            return datagram
        while len(self._packets) > self._max_packets or self._octets > self._max_octets:
            self._give_up(next(iter(self._packets)))
        return None

    def _expire(self, now_ns: int) -> None:
        while self._packets:
            key, packet = next(iter(self._packets.items()))
            if now_ns - packet.since_ns <= self._max_age_ns:
                return
            self._give_up(key)

    def _give_up(self, key: bytes) -> None:
        if not self._forget(key).condemned:
            self.given_up += 1

    def _forget(self, key: bytes) -> _Partial:
        packet = self._packets.pop(key)
        self._octets -= packet.octets
        return packet


class _Partial:
    """One packet in the making. Once condemned it stays, empty, so that late fragments start nothing new."""

    __slots__ = ("complete", "condemned", "data_octets", "first", "pieces", "since_ns", "total")

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self.pieces: dict[int, bytes] = {}
        self.data_octets = 0
        self.total: int | None = None
        self.first: Fragment | None = None  # its data and all of its frame behind the header left out
        self.complete = False
        self.condemned = False

    @property
    def octets(self) -> int:
        return self.data_octets + (len(self.first.frame) if self.first is not None else 0)

    def add(self, fragment: Fragment) -> None:
        if not self._accept(fragment):
            self._condemn()
            return
        if self.total is not None and self.data_octets >= self.total:
            self.complete = self._contiguous()
            if not self.complete:
                self._condemn()

    def _accept(self, fragment: Fragment) -> bool:
        """False: no honest sender makes this one."""
        data, offset = fragment.data, fragment.offset
        end = offset + len(data)
        known = self.pieces.get(offset)
        if known is not None:
            return known == data
        if not data or end > _MAX_TOTAL or (fragment.more and len(data) % 8) or len(self.pieces) >= MAX_PIECES:
            return False
        if not fragment.more:
            if self.total is not None:
                return False
            self.total = end
        if self.total is not None and end > self.total:
            return False
        if offset == 0:
            self.first = replace(fragment, data=b"", frame=fragment.frame[: fragment.header_end])
        self.pieces[offset] = data
        self.data_octets += len(data)
        return True

    def _contiguous(self) -> bool:
        expected = 0
        for offset in sorted(self.pieces):
            if offset != expected:
                return False
            expected += len(self.pieces[offset])
        return expected == self.total

    def _condemn(self) -> None:
        self.condemned = True
        self.pieces.clear()
        self.data_octets = 0
        self.first = None

    def datagram(self) -> Datagram | None:
        """What the complete packet decodes to; None: too long for its length field, or no datagram."""
        body = b"".join(self.pieces[offset] for offset in sorted(self.pieces))
        frame = _unfragmented(self.first, body) if self.first is not None else None
        decoded = decode_ip(*frame) if frame is not None else None
        return decoded if isinstance(decoded, Datagram) else None


def _unfragmented(first: Fragment, body: bytes) -> tuple[bytes, IpAt] | None:
    """The header of the first fragment, as it was before the packet was cut, and the whole body."""
    ip, head = first.ip_offset, bytearray(first.frame)
    version = 6 if first.next_header_at else 4
    length = len(head) - ip - (_IPV6_LENGTH if version == 6 else 0) + len(body)
    if length > _MAX_TOTAL:
        return None
    if version == 6:
        head[ip + 4 : ip + 6] = length.to_bytes(2, "big")
        head[first.next_header_at] = first.protocol
        return bytes(head) + body, IpAt(6, ip)
    head[ip + 2 : ip + 4] = length.to_bytes(2, "big")
    head[ip + 6 : ip + 8] = bytes(2)
    return bytes(head[:ip]) + with_header_checksum(bytes(head[ip:])) + body, IpAt(4, ip)
