"""Protecting RTP and RTCP: for UE simulators, captures and tests."""

from __future__ import annotations

from imswire.srtp.errors import SrtpError
from imswire.srtp.index import estimate
from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Policy
from imswire.srtp.transform import Transform


class Protector:
    """The sending side of one SSRC: follows sequence numbers over their wraps, counts SRTCP from 1."""

    def __init__(self, policy: Policy, master: MasterKey, roc: int = 0, *, mki: bool = False) -> None:
        self._policy = policy
        self._transform = Transform(policy, master)
        self._mki = master.mki if mki else b""
        self._roc = roc
        self._highest: int | None = None
        self._rtcp_index = 0

    @property
    def roc(self) -> int:
        return self._roc

    def protect(self, packet: bytes) -> bytes:
        """SRTP of an RTP packet; SrtpError when it is none."""
        if not header_length(packet):
            raise SrtpError("no RTP packet")
        seq = int.from_bytes(packet[2:4], "big")
        index = estimate(self._roc, self._highest, seq)
        if self._highest is None or index > (self._roc << 16 | self._highest):
            self._roc, self._highest = index >> 16, index & 0xFFFF
        return self._with_mki(self._transform.protect_rtp(packet, index), self._policy.tag_length)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP of an RTCP packet."""
        self._rtcp_index += 1
        octets = self._transform.protect_rtcp(packet, self._rtcp_index)
        return self._with_mki(octets, self._policy.rtcp_tag_lengths[0])

    def _with_mki(self, octets: bytes, tag: int) -> bytes:
        if not self._mki:
            return octets
        if self._policy.aead or not tag:
            return octets + self._mki
        return octets[:-tag] + self._mki + octets[-tag:]
