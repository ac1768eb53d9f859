"""SIP out of TCP connections that are seen from beside: framing each direction, finding the way back in."""

from __future__ import annotations

import re

from imswire import sip
from imswire.inet import Flow, StreamData
from midcall.base.bounded import BoundedTable

DIRECTIONS = 65_536


# A start line with a header line behind it (RFC 3261 7.1, 7.2): where reading goes on. A request begins a line; a
# response may follow on a body that did not end its own; its reason is bounded, lest the search take the square.
_START = re.compile(
    rb"(?:(?:\A|\n)([\w\-.!%*+`'~]+ [^\s]+ SIP/2\.0)|(SIP/2\.0 [1-6]\d\d [^\r\n]{0,200}))\r?\n(?:[\w\-]+[ \t]*:|\Z)",
    re.ASCII,
)
# What a piece may end in before its start line does.
_HALF_START = re.compile(rb"(?:[A-Z]{3,16} (?:sips?|tel|urn):|SIP/2\.0 )[^\n]*\Z")


class _Direction:
    """One direction that may be SIP; it is once a message was read. ``seeking``: octets are missing, or misread."""

    __slots__ = ("framer", "is_sip", "seeking")

    def __init__(self) -> None:
        self.framer = sip.StreamFramer()
        self.is_sip = False
        self.seeking = False

    def begin_anew(self) -> None:
        self.framer = sip.StreamFramer()
        self.seeking = True


class SipStreams:
    """One framer a direction; octets that do not begin with a start line of SIP are passed over.

    A direction that was SIP goes on, behind what is missing, with the next start line wherever it stands: messages
    between proxies follow one another without regard to segments.
    """

    def __init__(self) -> None:
        self._directions: BoundedTable[Flow, _Direction] = BoundedTable("base.sip_streams", DIRECTIONS)

    def feed(self, piece: StreamData) -> tuple[list[bytes], str | None]:
        """Messages that the piece completed, and what was wrong when the direction cannot be followed on."""
        direction = self._known(piece)
        data = piece.data
        if direction is None:
            direction = self._opened(piece.flow, data)
        elif direction.seeking:
            data = _from_start_line(data)
            direction.seeking = not data
        messages: list[bytes] = []
        fault: str | None = None
        if direction is not None and data:
            messages = direction.framer.feed(data)
            direction.is_sip |= any(sip.looks_like_sip(message) for message in messages)
            if direction.framer.fault is not None:
                fault = str(direction.framer.fault) if direction.is_sip else None
                self._lose(piece.flow, direction)
        if piece.ended:
            self._directions.pop(piece.flow)
        return messages, fault

    def _known(self, piece: StreamData) -> _Direction | None:
        direction = self._directions.get(piece.flow)
        if direction is not None:
            self._directions.touch(piece.flow)
            if piece.lost:
                self._lose(piece.flow, direction)
        return self._directions.get(piece.flow)

    def _lose(self, flow: Flow, direction: _Direction) -> None:
        if direction.is_sip:
            direction.begin_anew()
        else:
            self._directions.pop(flow)

    def _opened(self, flow: Flow, data: bytes) -> _Direction | None:
        head = data.lstrip(b"\r\n")
        # The first segment may end inside the start line.
        if not sip.looks_like_sip(head) and (b"\n" in head or not head[:1].isupper()):
            return None
        direction = _Direction()
        self._directions.put(flow, direction)
        return direction


def _from_start_line(data: bytes) -> bytes:
    """The octets from the first start line on; none when there is none."""
    found = _START.search(data)
    if found is not None:
        return data[found.start(found.lastindex or 0) :]
    head = data.lstrip(b"\r\n")
    return head if _HALF_START.match(head) else b""
