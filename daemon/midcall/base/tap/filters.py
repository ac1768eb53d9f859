"""The filters that decide in the kernel what enters user space.

Both read Ethernet with up to two VLAN tags in the frame (one more may stand beside it, where the network card or
the kernel has put it), IPv4 with options, IPv6 with the extension headers that :mod:`imswire.inet` knows and as many
of them. Whatever else there is, is dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from struct import Struct

from imswire import inet
from midcall.base.tap.assembler import Line, assemble

SNAP_LENGTH = 262_144
"""Octets of a frame that are kept: all of it."""
PLACE_OCTETS = 20
ADDRESS_OCTETS = 16
COUNTER = Struct("=Q")
"""The value of each entry: packets that it let in."""
NO_PACKETS = COUNTER.pack(0)
MAX_SIP_PORTS = 64
"""Each costs two comparisons a packet; an instance listens on two or three."""

_IPV4_OCTETS = 4
_MAX_PORT = 65_535
_MAPPED = bytes(10) + b"\xff\xff"
_VLAN_TAGS = 2
_TAG_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)
_IPV4, _IPV6 = 0x0800, 0x86DD
_EXTENSIONS = 16
_EXTENSION_HEADERS = (0, 43, 60, 135, 139, 140)
_FRAGMENT_HEADER, _AUTHENTICATION, _DESTINATION_OPTIONS = 44, 51, 60
_MAP_LOOKUP, _LOAD_BYTES = 1, 26
_KEY = -24
"""Where on the stack the key stands: address (IPv4 in its mapped form), port, two octets of nothing."""


def place_key(place: bytes) -> bytes:
    """The key of an :func:`imswire.inet.endpoint_key`: 16 octets of address, port, two octets of nothing."""
    if len(place) == _IPV4_OCTETS + 2:
        return _MAPPED + place + b"\0\0"
    if len(place) == ADDRESS_OCTETS + 2:
        return place + b"\0\0"
    raise ValueError(f"a place has 6 or 18 octets, not {len(place)}")


def media_filter(places: int, addresses: int) -> bytes:
    """UDP to an address and port in the map ``places``; later fragments to an address in the map ``addresses``.

    Both are descriptors. A later fragment has no port: it passes for its address, and is counted there.
    """
    return assemble(
        [
            *_headers((inet.UDP,)),
            "ports:",
            *_load_bytes("r8", 2, _KEY + ADDRESS_OCTETS, 2),
            ("sth", "r10", _KEY + ADDRESS_OCTETS + 2, 0),
            *_look_up(places),
            ("jne", "r0", 0, "count"),
            ("ja", "drop"),
            "later:",
            *_look_up(addresses),
            ("jeq", "r0", 0, "drop"),
            "count:",
            ("mov", "r1", 1),
            ("xadd", "r0", 0, "r1"),
            *_verdicts(),
        ]
    )


def sip_filter(ports: Iterable[int]) -> bytes:
    """UDP and TCP from or to one of ``ports``, and later fragments of anything that may be either."""
    wanted = sorted(set(ports))
    if not 0 < len(wanted) <= MAX_SIP_PORTS or not 0 < wanted[0] <= wanted[-1] <= _MAX_PORT:
        raise ValueError(f"1 to {MAX_SIP_PORTS} ports of SIP are needed, each from 1 to {_MAX_PORT}")
    carriers = (inet.UDP, inet.TCP)
    return assemble(
        [
            *_headers(carriers),
            "ports:",
            ("ldh", "r8", 0),
            *(("jeq", "r0", port, "pass") for port in wanted),
            ("ldh", "r8", 2),
            *(("jeq", "r0", port, "pass") for port in wanted),
            ("ja", "drop"),
            "later:",
            *(("jeq", "r9", each, "pass") for each in (*carriers, _AUTHENTICATION, _DESTINATION_OPTIONS)),
            ("ja", "drop"),
            *_verdicts(),
        ]
    )


def _headers(carriers: Iterable[int]) -> list[Line]:
    """From the frame to ``ports``, or to ``later`` with a fragment that is not the first.

    There r6 is the context, r8 the offset of the transport header, r9 its protocol (with IPv6 fragments what their
    header announces), and the destination address begins the key on the stack.
    """
    return [
        ("mov", "r6", "r1"),
        ("mov", "r7", 14),  # the offset of the IP header
        ("ldh", 12),
        *_vlan_tags(),
        "ipv4:",
        ("ldb", "r7", 0),
        ("mov", "r8", "r0"),
        ("rsh", "r0", 4),
        ("jne", "r0", 4, "drop"),
        ("and", "r8", 15),
        ("lsh", "r8", 2),
        ("jlt", "r8", 20, "drop"),
        ("add", "r8", "r7"),
        ("stdw", "r10", _KEY, 0),
        # Not in one: Linux 6.1 tracks such a value, and lets only CAP_PERFMON write behind it in the same slot.
        ("sth", "r10", _KEY + 8, int.from_bytes(_MAPPED[8:10], sys.byteorder, signed=True)),
        ("sth", "r10", _KEY + 10, int.from_bytes(_MAPPED[10:], sys.byteorder, signed=True)),
        *_load_bytes("r7", 16, _KEY + 12, 4),
        ("ldb", "r7", 9),
        ("mov", "r9", "r0"),
        ("ldh", "r7", 6),
        ("and", "r0", 0x1FFF),
        ("jne", "r0", 0, "later"),
        ("ja", "upper"),
        "ipv6:",
        ("ldb", "r7", 0),
        ("rsh", "r0", 4),
        ("jne", "r0", 6, "drop"),
        *_load_bytes("r7", 24, _KEY, ADDRESS_OCTETS),
        ("ldb", "r7", 6),
        ("mov", "r9", "r0"),
        ("mov", "r8", "r7"),
        ("add", "r8", 40),
        "upper:",
        *_extensions(tuple(carriers)),
    ]


def _vlan_tags() -> list[Line]:
    """r0 is an EtherType: to the IP header that it announces, past the tags before it."""
    known: list[Line] = [("jeq", "r0", _IPV4, "ipv4"), ("jeq", "r0", _IPV6, "ipv6")]
    lines = list(known)
    for number in range(_VLAN_TAGS):
        tag = f"tag{number}"
        lines += [("jeq", "r0", each, tag) for each in _TAG_TYPES]
        lines += [("ja", "drop"), f"{tag}:", ("add", "r7", 4), ("ldh", "r7", -2), *known]
    return [*lines, ("ja", "drop")]


def _extensions(carriers: tuple[int, ...]) -> list[Line]:
    """r9 is a protocol, r8 the offset of its header: to the ports of a carrier, past the headers before it."""
    known: list[Line] = [("jeq", "r9", each, "ports") for each in carriers]
    lines = list(known)
    for number in range(_EXTENSIONS):
        options, authentication, fragment, following = (f"{name}{number}" for name in ("eight", "four", "part", "next"))
        lines += [("jeq", "r9", each, options) for each in _EXTENSION_HEADERS]
        lines += [
            ("jeq", "r9", _AUTHENTICATION, authentication),
            ("jne", "r9", _FRAGMENT_HEADER, "drop"),
            ("ldb", "r8", 0),
            ("mov", "r9", "r0"),
            ("ldh", "r8", 2),
            ("and", "r0", 0xFFF8),
            ("jne", "r0", 0, "later"),
            ("add", "r8", 8),
            ("ja", following),
            *_skip(options, 3, following),
            *_skip(authentication, 2, following),
            f"{following}:",
            *known,
        ]
    return [*lines, ("ja", "drop")]


def _skip(label: str, shift: int, following: str) -> list[Line]:
    """Past an extension header whose length counts units of 2 ** shift octets behind the first eight."""
    return [
        f"{label}:",
        ("ldb", "r8", 0),
        ("mov", "r9", "r0"),
        ("ldb", "r8", 1),
        ("lsh", "r0", shift),
        ("add", "r8", "r0"),
        ("add", "r8", 8),
        ("ja", following),
    ]


def _load_bytes(base: str, offset: int, to: int, count: int) -> list[Line]:
    """Octets of the frame to the stack; a frame that is too short is dropped."""
    return [
        ("mov", "r1", "r6"),
        ("mov", "r2", base),
        ("add", "r2", offset),
        ("mov", "r3", "r10"),
        ("add", "r3", to),
        ("mov", "r4", count),
        ("call", _LOAD_BYTES),
        ("jne", "r0", 0, "drop"),
    ]


def _look_up(descriptor: int) -> list[Line]:
    return [("ldmap", "r1", descriptor), ("mov", "r2", "r10"), ("add", "r2", _KEY), ("call", _MAP_LOOKUP)]


def _verdicts() -> list[Line]:
    return ["pass:", ("mov", "r0", SNAP_LENGTH), ("exit",), "drop:", ("mov", "r0", 0), ("exit",)]
