"""Finding the rollover counter of a stream that is joined late, and telling whether packets carry an MKI."""

from __future__ import annotations

from collections.abc import Iterable

from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Policy
from imswire.srtp.transform import Transform

COUNTERS = 1 << 32


def locate_mki(policy: Policy, packet: bytes, mki: bytes) -> bool:
    """Whether the octets where an MKI would stand are ``mki``: before the tag, or last behind an AEAD tag."""
    if not mki:
        return False
    end = len(packet) if policy.aead else len(packet) - policy.tag_length
    return end - len(mki) >= header_length(packet) > 0 and packet[end - len(mki) : end] == mki


def strip_mki(policy: Policy, packet: bytes, octets: int) -> bytes:
    """The packet without the MKI."""
    if not octets:
        return packet
    if policy.aead or not policy.tag_length:
        return packet[:-octets]
    return packet[: -policy.tag_length - octets] + packet[-policy.tag_length :]


def search(
    policy: Policy, master: MasterKey, packet: bytes, candidates: Iterable[int], mki_length: int = 0
) -> int | None:
    """The first candidate under which an SRTP packet proves right; None when none does.

    One HMAC or GCM operation a candidate. Without authentication nothing can be proved: the first is taken.
    """
    if not header_length(packet) or len(packet) < policy.tag_length + mki_length + header_length(packet):
        return None
    packet = strip_mki(policy, packet, mki_length)
    transform = Transform(policy, master)
    if not policy.authenticates_rtp:
        return next(iter(candidates), None)
    seq = int.from_bytes(packet[2:4], "big")
    if policy.aead:
        for roc in candidates:
            if 0 <= roc < COUNTERS and transform.unprotect_rtp(packet, roc << 16 | seq) is not None:
                return roc
        return None
    body, tag = packet[: -policy.tag_length], packet[-policy.tag_length :]
    for roc in candidates:
        if 0 <= roc < COUNTERS and transform.rtp_tag(body, roc) == tag:
            return roc
    return None
