"""The Internet checksum (RFC 1071): a ones' complement sum is the number itself modulo 65 535."""

from __future__ import annotations


def partial(octets: bytes) -> int:
    """The sum of the 16-bit words, 0 ... 65 534; an odd last octet counts as the high one of its word.

    Partial sums of parts that begin on even offsets may be added.
    """
    total = int.from_bytes(octets, "big")
    return (total << 8 if len(octets) & 1 else total) % 65_535


def internet(octets: bytes) -> int:
    """The checksum of ``octets``, in which its own field must be zero."""
    return -partial(octets) % 65_535


def transport(src: bytes, dst: bytes, protocol: int, segment: bytes) -> int:
    """The checksum of a UDP datagram or TCP segment under its pseudo-header (RFC 768, 9293 3.1, 8200 8.1).

    The field in ``segment`` must be zero. UDP sends a result of 0 as 65 535: 0 says that there is none.
    """
    checksum = -(partial(src + dst) + protocol + len(segment) + partial(segment)) % 65_535
    return checksum or 65_535 if protocol == 17 else checksum
