"""The decryptor in plain Python: says what is right, and serves what the fast engine cannot."""

from __future__ import annotations

from imswire.srtp.errors import Refusal
from imswire.srtp.index import ReplayWindow, RtpIndex
from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Policy
from imswire.srtp.transform import RTCP_HEADER, Transform


class ReferenceStream:
    """One SSRC under one master key; packets come without MKI."""

    __slots__ = ("_index", "_policy", "_rtcp", "_transform")

    def __init__(self, policy: Policy, master: MasterKey, roc: int) -> None:
        self._policy = policy
        self._transform: Transform | None = Transform(policy, master)
        self._index = RtpIndex(roc)
        self._rtcp = ReplayWindow()

    @property
    def roc(self) -> int:
        return self._index.roc

    def unprotect(self, packet: bytes) -> bytes | Refusal:
        """The RTP packet in clear, or why not."""
        length = header_length(packet)
        if not length or len(packet) < length + self._policy.tag_length:
            return Refusal.MALFORMED
        if self._transform is None:
            return Refusal.AUTH_FAILED
        index = self._index.guess(int.from_bytes(packet[2:4], "big"))
        clear = self._transform.unprotect_rtp(packet, index)
        if clear is None:
            return Refusal.AUTH_FAILED
        # Judged last: a forged copy of a packet is a forgery, not a repetition.
        refusal = self._index.window.refuses(index)
        if refusal is not None:
            return refusal
        self._index.window.accept(index)
        return clear

    def unprotect_rtcp(self, packet: bytes) -> bytes | Refusal:
        """The RTCP packet in clear, or why not; each SRTCP tag length of the policy is tried."""
        if len(packet) < RTCP_HEADER + 4:
            return Refusal.MALFORMED
        if self._transform is None:
            return Refusal.AUTH_FAILED
        for length in self._policy.rtcp_tag_lengths:
            opened = self._transform.unprotect_rtcp(packet, length)
            if opened is None:
                continue
            clear, index = opened
            refusal = self._rtcp.refuses(index)
            if refusal is not None:
                return refusal
            self._rtcp.accept(index)
            return clear
        return Refusal.AUTH_FAILED

    def authentic(self, packet: bytes, roc: int, highest_seq: int) -> bool:
        """Whether a packet that another engine called repeated proves right."""
        if self._transform is None:
            return False
        index = RtpIndex(roc)
        index.window.accept(roc << 16 | highest_seq)
        guess = index.guess(int.from_bytes(packet[2:4], "big"))
        return self._transform.unprotect_rtp(packet, guess) is not None

    def close(self) -> None:
        self._transform = None
