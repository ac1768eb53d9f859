"""SIP out of TCP connections that are seen from beside: framing each direction, finding the way back in."""

from __future__ import annotations

from imswire import sip
from imswire.inet import Flow, StreamData
from midcall.base.bounded import BoundedTable

DIRECTIONS = 65_536


class _Direction:
    """One direction that may be SIP; it is once a message was read."""

    __slots__ = ("framer", "is_sip")

    def __init__(self) -> None:
        self.framer = sip.StreamFramer()
        self.is_sip = False


class SipStreams:
    """One framer a direction; octets that do not begin with a start line of SIP are passed over."""

    def __init__(self) -> None:
        self._directions: BoundedTable[Flow, _Direction] = BoundedTable("base.sip_streams", DIRECTIONS)

    def feed(self, piece: StreamData) -> tuple[list[bytes], str | None]:
        """Messages that the piece completed, and what was wrong when the direction cannot be followed on."""
        if piece.lost:
            self._directions.pop(piece.flow)
        direction = self._direction(piece.flow, piece.data)
        messages: list[bytes] = []
        fault: str | None = None
        if direction is not None and piece.data:
            messages = direction.framer.feed(piece.data)
            direction.is_sip |= any(sip.looks_like_sip(message) for message in messages)
            if direction.framer.fault is not None:
                fault = str(direction.framer.fault) if direction.is_sip else None
                self._directions.pop(piece.flow)
        if piece.ended:
            self._directions.pop(piece.flow)
        return messages, fault

    def _direction(self, flow: Flow, data: bytes) -> _Direction | None:
        direction = self._directions.get(flow)
        if direction is not None:
            self._directions.touch(flow)
            return direction
        head = data.lstrip(b"\r\n")
        # The first segment may end inside the start line.
        if not sip.looks_like_sip(head) and (b"\n" in head or not head[:1].isupper()):
            return None
        direction = _Direction()
        self._directions.put(flow, direction)
        return direction
