"""Packet indices: estimating the rollover counter, and telling repeated packets (RFC 3711 3.3.1, 3.3.2)."""

from __future__ import annotations

from imswire.srtp.errors import Refusal

WINDOW = 1024
_HALF = 1 << 15
_SEQUENCES = 1 << 16


class ReplayWindow:
    """The highest index accepted, and which of the WINDOW indices up to it have been."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest: int | None = None
        self._seen = 0

    def refuses(self, index: int) -> Refusal | None:
        if self.highest is None or index > self.highest:
            return None
        behind = self.highest - index
        if behind >= WINDOW:
            return Refusal.TOO_OLD
        return Refusal.REPLAYED if self._seen >> behind & 1 else None

    def accept(self, index: int) -> None:
        if self.highest is None:
            self.highest, self._seen = index, 1
        elif index > self.highest:
            step = index - self.highest
            self._seen = 1 if step >= WINDOW else (self._seen << step | 1) & ((1 << WINDOW) - 1)
            self.highest = index
        else:
            self._seen |= 1 << (self.highest - index)


def estimate(roc: int, highest_seq: int | None, seq: int) -> int:
    """The 48-bit index that ``seq`` most likely has, given the counter and the highest sequence number."""
    if highest_seq is None:
        return roc * _SEQUENCES + seq
    if highest_seq < _HALF:
        if seq - highest_seq > _HALF and roc > 0:
            roc -= 1
    elif highest_seq - _HALF > seq:
        roc += 1
    return roc * _SEQUENCES + seq


class RtpIndex:
    """Index of one SSRC: starts at a known counter and follows the packets that prove right."""

    __slots__ = ("_roc", "window")

    def __init__(self, roc: int) -> None:
        self._roc = roc
        self.window = ReplayWindow()

    @property
    def roc(self) -> int:
        highest = self.window.highest
        return self._roc if highest is None else highest >> 16

    def guess(self, seq: int) -> int:
        highest = self.window.highest
        return estimate(self.roc, None if highest is None else highest & 0xFFFF, seq)
