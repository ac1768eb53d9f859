"""Another payload behind the headers of a captured UDP frame: what decryption does to each packet.

Nearly all of the headers is the same in all packets of a flow, and so is its part of the checksums. A
template holds both; a packet then costs one unpack, one sum over the new payload and one pack.
"""

from __future__ import annotations

from struct import Struct, error

from imswire.inet.checksum import partial
from imswire.inet.decode import decoder
from imswire.inet.errors import InetError
from imswire.inet.values import UDP, Datagram


class UdpRewriter:
    """Rewrites the frames of one flow; when headers change (another TTL, another router) it learns anew.

    ``link_type`` is that of the frames. Give each flow its own: one for all is right too, but slow.
    """

    __slots__ = ("_decode", "_template")

    def __init__(self, link_type: int) -> None:
        self._decode = decoder(link_type)
        self._template: _Ipv4Template | _Ipv6Template | None = None

    def rewrite(self, frame: bytes, payload: bytes) -> bytes:
        """``frame`` with another payload: same link, IP and UDP headers, lengths and checksums right.

        An IPv4 UDP checksum of 0 (none) stays 0. Padding behind the packet goes. InetError: ``frame`` is no
        unfragmented UDP datagram, or the payload is longer than one can be.
        """
        template = self._template
        rewritten = template.fill(frame, payload) if template is not None else None
        if rewritten is not None:
            return rewritten
        self._template = template = self._learn(frame)
        rewritten = template.fill(frame, payload)
        if rewritten is None:
            raise InetError(f"payload: {len(payload)} octets do not fit into a UDP datagram")
        return rewritten

    def _learn(self, frame: bytes) -> _Ipv4Template | _Ipv6Template:
        datagram = self._decode(frame)
        if not isinstance(datagram, Datagram) or datagram.protocol != UDP:
            raise InetError("frame: no UDP datagram in it")
        return _Ipv4Template(datagram) if len(datagram.dst) == 4 else _Ipv6Template(datagram)


def replace_udp_payload(link_type: int, frame: bytes, payload: bytes) -> bytes:
    """One frame rewritten; see :meth:`UdpRewriter.rewrite`."""
    return UdpRewriter(link_type).rewrite(frame, payload)


class _Ipv4Template:
    """Constant are: link header to type of service; flags to protocol; addresses, options and ports."""

    __slots__ = ("_before", "_header_sum", "_middle", "_overhead", "_pack", "_unpack", "_udp_sum", "_upper")

    def __init__(self, datagram: Datagram) -> None:
        ip, frame = datagram.ip_offset, datagram.frame
        ports = datagram.payload_offset - 8
        layout = Struct(f"!{ip + 2}sHH4sH{ports + 4 - ip - 12}sHH")
        self._unpack, self._pack = layout.unpack_from, layout.pack
        self._before, _, _, self._middle, _, self._upper, _, _ = layout.unpack_from(frame)
        self._overhead = datagram.payload_offset - ip
        self._header_sum = partial(self._before[ip:] + self._middle + self._upper[:-4])
        self._udp_sum = partial(datagram.src + datagram.dst + self._upper[-4:]) + UDP

    def fill(self, frame: bytes, payload: bytes) -> bytes | None:
        """None: the frame has other headers, or the payload is too long."""
        try:
            before, _, identification, middle, _, upper, _, checksum = self._unpack(frame)
            if upper != self._upper or middle != self._middle or before != self._before:
                return None
            octets = len(payload)
            length = octets + 8
            total = octets + self._overhead
            if checksum:
                words = int.from_bytes(payload, "big")
                if octets & 1:
                    words <<= 8
                checksum = 65_535 - (self._udp_sum + 2 * length + words) % 65_535
            header = -(self._header_sum + total + identification) % 65_535
            return self._pack(before, total, identification, middle, header, upper, length, checksum) + payload
        except error:
            return None


class _Ipv6Template:
    """Constant are: link header to flow label; next header to ports, extension headers among them."""

    __slots__ = ("_before", "_overhead", "_pack", "_udp_sum", "_unpack", "_upper")

    def __init__(self, datagram: Datagram) -> None:
        ip, frame = datagram.ip_offset, datagram.frame
        ports = datagram.payload_offset - 8
        layout = Struct(f"!{ip + 4}sH{ports + 4 - ip - 6}sHH")
        self._unpack, self._pack = layout.unpack_from, layout.pack
        self._before, _, self._upper, _, _ = layout.unpack_from(frame)
        self._overhead = datagram.payload_offset - ip - 40
        self._udp_sum = partial(datagram.src + datagram.dst + self._upper[-4:]) + UDP

    def fill(self, frame: bytes, payload: bytes) -> bytes | None:
        """None: the frame has other headers, or the payload is too long."""
        try:
            before, _, upper, _, _ = self._unpack(frame)
            if upper != self._upper or before != self._before:
                return None
            octets = len(payload)
            length = octets + 8
            words = int.from_bytes(payload, "big")
            if octets & 1:
                words <<= 8
            checksum = 65_535 - (self._udp_sum + 2 * length + words) % 65_535
            return self._pack(before, octets + self._overhead, upper, length, checksum) + payload
        except error:
            return None
