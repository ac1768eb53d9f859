"""Addresses: four or sixteen octets in the code, text for people and files (RFC 5952, RFC 3986 3.2.2)."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

from imswire.inet.errors import InetError

IPV4_LENGTH = 4
IPV6_LENGTH = 16
MAX_PORT = 65_535
MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv6 address begins with that stands for an IPv4 one (RFC 4291 2.5.5.2)."""


def text(address: bytes) -> str:
    """``192.0.2.1`` or ``2001:db8::1`` (RFC 5952; the IPv4-mapped form keeps its dots, clause 5).

    InetError: neither 4 nor 16 octets.
    """
    if len(address) == IPV4_LENGTH:
        return ".".join(map(str, address))
    if len(address) != IPV6_LENGTH:
        raise InetError(f"address: {len(address)} octets, 4 or 16 expected")
    if address[:12] == MAPPED:
        return "::ffff:" + ".".join(map(str, address[12:]))
    return str(IPv6Address(address))


def pack(address: str) -> bytes:
    """The octets of an address in text form, without brackets and without zone. InetError: it is none."""
    try:
        if ":" in address and "%" not in address:
            return IPv6Address(address).packed
        return IPv4Address(address).packed
    except AddressValueError as error:
        raise InetError(f"address: {error}") from None


def unmapped(address: bytes) -> bytes:
    """The IPv4 address that an IPv4-mapped one stands for; any other as it is.

    One host shows the one form in its messages and the other on the wire (RFC 5118 4.9).
    """
    return address[12:] if address[:12] == MAPPED else address


def endpoint(address: bytes, port: int) -> str:
    """``192.0.2.1:5060``, also for an IPv4-mapped address, or ``[2001:db8::1]:5060``."""
    host = text(unmapped(address))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoint_key(address: bytes, port: int) -> bytes:
    """Address and port in network order, 6 or 18 octets: what :func:`~imswire.inet.peek_udp` finds.

    6 for an IPv4-mapped address too. InetError: no address, or no port.
    """
    if len(address) not in (IPV4_LENGTH, IPV6_LENGTH) or not 0 <= port <= MAX_PORT:
        raise InetError(f"endpoint: {len(address)} octets of address, port {port}")
    return unmapped(address) + port.to_bytes(2, "big")
