"""Opening a stream: the engine that serves its policy best, and the MKI taken off before it sees a packet."""

from __future__ import annotations

from typing import Literal, Protocol

from imswire.srtp import engine as fast
from imswire.srtp.errors import Refusal, SrtpError
from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Policy
from imswire.srtp.reference import ReferenceStream
from imswire.srtp.rollover import strip_mki

Engine = Literal["auto", "libsrtp", "reference"]


class Unprotector(Protocol):
    """One SSRC under one master key (RFC 3711 3.3)."""

    @property
    def roc(self) -> int: ...

    def unprotect(self, packet: bytes) -> bytes | Refusal: ...

    def unprotect_rtcp(self, packet: bytes) -> bytes | Refusal: ...

    def close(self) -> None: ...


def open_stream(
    policy: Policy,
    master: MasterKey,
    ssrc: int,
    *,
    roc: int = 0,
    mki_length: int = 0,
    engine: Engine = "auto",
) -> Unprotector:
    """A stream whose first packet has rollover counter ``roc``; ``mki_length`` octets of MKI are in each packet.

    SrtpError: the key does not fit the policy, or the engine that was asked for does not know it.
    """
    master.fits(policy)
    stream: Unprotector
    usable = fast.serves(policy) and fast.probe()
    if engine == "libsrtp" and not usable:
        raise SrtpError(f"libsrtp does not serve {policy.name} here")
    if usable and engine != "reference":
        stream = fast.LibsrtpStream(policy, master, ssrc, roc)
    else:
        stream = ReferenceStream(policy, master, roc)
    return stream if not mki_length else _Stripped(policy, master.mki, stream)


class _Stripped:
    """Takes the MKI off each packet; one that names another key does not prove right under this one."""

    __slots__ = ("_mki", "_policy", "_stream")

    def __init__(self, policy: Policy, mki: bytes, stream: Unprotector) -> None:
        self._policy = policy
        self._mki = mki
        self._stream = stream

    @property
    def roc(self) -> int:
        return self._stream.roc

    def unprotect(self, packet: bytes) -> bytes | Refusal:
        width, tag = len(self._mki), 0 if self._policy.aead else self._policy.tag_length
        length = header_length(packet)
        if not length or len(packet) < length + width + self._policy.tag_length:
            return Refusal.MALFORMED
        end = len(packet) - tag
        if packet[end - width : end] != self._mki:
            return Refusal.AUTH_FAILED
        return self._stream.unprotect(strip_mki(self._policy, packet, width))

    def unprotect_rtcp(self, packet: bytes) -> bytes | Refusal:
        """The MKI stands behind E and index, before the tag (AEAD: last); a packet may also have none."""
        width = len(self._mki)
        for tag in (0,) if self._policy.aead else self._policy.rtcp_tag_lengths:
            end = len(packet) - tag
            if end > width and packet[end - width : end] == self._mki:
                verdict = self._stream.unprotect_rtcp(packet[: end - width] + packet[end:])
                if isinstance(verdict, bytes) or verdict is not Refusal.AUTH_FAILED:
                    return verdict
        return self._stream.unprotect_rtcp(packet)

    def close(self) -> None:
        self._stream.close()
