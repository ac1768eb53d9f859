"""SIP out of TCP connections that are seen from beside: framing each direction, finding the way back in."""

from __future__ import annotations

from imswire import sip
from imswire.inet import Flow, StreamData
from midcall.base.bounded import BoundedTable

DIRECTIONS = 65_536


class SipStreams:
    """One framer a direction; a direction that does not begin with SIP is not looked at again."""

    def __init__(self) -> None:
        self._framers: BoundedTable[Flow, sip.StreamFramer | None] = BoundedTable("base.sip_streams", DIRECTIONS)

    def feed(self, piece: StreamData) -> tuple[list[bytes], str | None]:
        """Messages that the piece completed, and what was wrong when the direction cannot be followed on."""
        key = piece.flow
        if piece.lost:
            self._framers.pop(key)
        framer = self._framer(key, piece.data)
        messages: list[bytes] = []
        fault: str | None = None
        if framer is not None and piece.data:
            try:
                messages = framer.feed(piece.data)
            except sip.SipError as error:
                fault = str(error)
                self._framers.pop(key)
        if piece.ended:
            self._framers.pop(key)
        return messages, fault

    def _framer(self, key: Flow, data: bytes) -> sip.StreamFramer | None:
        framer = self._framers.get(key)
        if framer is not None:
            self._framers.touch(key)
            return framer
        if not sip.looks_like_sip(data.lstrip(b"\r\n")):
            return None
        framer = sip.StreamFramer()
        self._framers.put(key, framer)
        return framer
