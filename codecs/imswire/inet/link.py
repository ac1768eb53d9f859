"""Link layers of captures: where in a frame the IP header begins (the LINKTYPE_ registry of tcpdump.org)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

NULL = 0
"""BSD loopback: four octets of address family in the byte order of the capturing host."""
ETHERNET = 1
RAW_BSD = 12
"""Raw IP; the number is that of most BSDs."""
RAW_OPENBSD = 14
RAW = 101
LOOP = 108
"""OpenBSD loopback: like NULL, in network byte order."""
LINUX_SLL = 113
IPV4 = 228
IPV6 = 229
LINUX_SLL2 = 276

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
TAGS = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
"""VLAN tags: IEEE 802.1Q, 802.1ad and the two numbers in use before it."""
ETHERTYPE_PPPOE = 0x8864
_MAX_LENGTH = 1_500
"""Up to here an EtherType is none, but the length of an IEEE 802.3 frame."""
_SNAP = bytes.fromhex("aaaa03000000")
"""LLC and SNAP before an EtherType (RFC 1042)."""
MPLS = frozenset((0x8847, 0x8848))
MAX_TAGS = 8
"""Nobody stacks more; a frame of nothing but tags ends here."""

_VERSION_OF = {ETHERTYPE_IPV4: 4, ETHERTYPE_IPV6: 6}
_PPP = {0x0021: 4, 0x0057: 6}
"""PPP's numbers of IPv4 and IPv6 behind PPPoE (RFC 2516, RFC 1661)."""
_FAMILIES = {2: 4, 10: 6, 24: 6, 28: 6, 30: 6}
"""AF_INET everywhere; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS."""


class IpAt(Struct, frozen=True, gc=False):
    """An IP header: its version (4 or 6) and the offset of its first octet in the frame."""

    version: int
    offset: int


_ETHERTYPE_OF = {4: ETHERTYPE_IPV4.to_bytes(2, "big"), 6: ETHERTYPE_IPV6.to_bytes(2, "big")}
_FAMILY_OF = {4: 2, 6: 30}


def header(link_type: int, version: int) -> bytes:
    """A link header that goes before a bare IP packet; addresses in it are zero. Ethernet's for unknown types."""
    ethertype = _ETHERTYPE_OF[version]
    if link_type in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return b""
    if link_type == LINUX_SLL:
        return bytes((0, 0, 0, 1)) + bytes(10) + ethertype
    if link_type == LINUX_SLL2:
        return ethertype + bytes((0, 0, 0, 0, 0, 0, 0, 1)) + bytes(10)
    if link_type in (NULL, LOOP):
        return _FAMILY_OF[version].to_bytes(4, "little" if link_type == NULL else "big")
    return bytes(12) + ethertype


Locator = Callable[[bytes], IpAt | None]


def locate(link_type: int, frame: bytes) -> IpAt | None:
    """Where the IP header of ``frame`` starts; None when there is none or the link type is unknown."""
    locator = LOCATORS.get(link_type)
    return locator(frame) if locator is not None else None


def _after_ethertype(frame: bytes, type_at: int, offset: int) -> IpAt | None:
    """Past any VLAN tags: ``type_at`` is where the EtherType stands, ``offset`` the end of its header."""
    for _ in range(MAX_TAGS + 1):
        ethertype = int.from_bytes(frame[type_at : type_at + 2], "big")
        if ethertype in MPLS:
            return _after_labels(frame, offset)
        if ethertype == ETHERTYPE_PPPOE:
            protocol = int.from_bytes(frame[offset + 6 : offset + 8], "big")
            return _checked(frame, _PPP.get(protocol), offset + 8)
        if ethertype <= _MAX_LENGTH and frame[offset : offset + len(_SNAP)] == _SNAP:
            type_at = offset + len(_SNAP)
            offset = type_at + 2
            continue
        if ethertype not in TAGS:
            return _checked(frame, _VERSION_OF.get(ethertype), offset)
        type_at = offset + 2
        offset += 4
    return None


def _after_labels(frame: bytes, offset: int) -> IpAt | None:
    """Past MPLS labels (RFC 3032 2.1): the packet itself tells its version."""
    for _ in range(MAX_TAGS):
        if len(frame) <= offset + 4:
            return None
        last = frame[offset + 2] & 1
        offset += 4
        if last:
            version = frame[offset] >> 4
            return IpAt(version, offset) if version in (4, 6) else None
    return None


def _checked(frame: bytes, version: int | None, offset: int) -> IpAt | None:
    """The header only if the version that it states is the one that the link layer announced."""
    if version is None or len(frame) <= offset or frame[offset] >> 4 != version:
        return None
    return IpAt(version, offset)


def _ethernet(frame: bytes) -> IpAt | None:
    return _after_ethertype(frame, 12, 14)


def _linux_sll(frame: bytes) -> IpAt | None:
    return _after_ethertype(frame, 14, 16)


def _linux_sll2(frame: bytes) -> IpAt | None:
    return _after_ethertype(frame, 0, 20)


def _raw(frame: bytes) -> IpAt | None:
    version = frame[0] >> 4 if frame else 0
    return IpAt(version, 0) if version in (4, 6) else None


def _ipv4(frame: bytes) -> IpAt | None:
    return _checked(frame, 4, 0)


def _ipv6(frame: bytes) -> IpAt | None:
    return _checked(frame, 6, 0)


def _null(frame: bytes) -> IpAt | None:
    family = frame[:4]
    version = _FAMILIES.get(int.from_bytes(family, "little")) or _FAMILIES.get(int.from_bytes(family, "big"))
    return _checked(frame, version, 4)


def _loop(frame: bytes) -> IpAt | None:
    return _checked(frame, _FAMILIES.get(int.from_bytes(frame[:4], "big")), 4)


LOCATORS: dict[int, Locator] = {
    NULL: _null,
    ETHERNET: _ethernet,
    RAW_BSD: _raw,
    RAW_OPENBSD: _raw,
    RAW: _raw,
    LOOP: _loop,
    LINUX_SLL: _linux_sll,
    IPV4: _ipv4,
    IPV6: _ipv6,
    LINUX_SLL2: _linux_sll2,
}
