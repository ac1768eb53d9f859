"""The octets of TCP connections in their order (RFC 9293), seen from beside them.

A tap cannot ask for a retransmission: what the capture lost is skipped after a while, and said so.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from msgspec import Struct

from imswire.inet.values import FIN, RST, SYN, TCP, Datagram

MAX_FLOWS = 65_536
MAX_FLOW_OCTETS = 256 * 1024
"""Octets that wait behind a hole in one direction; more than any window that SIP needs."""
MAX_FLOW_PIECES = 512
MAX_OCTETS = 64 * 1024 * 1024
MAX_WAIT_NS = 3 * 10**9
"""A retransmission comes after 1 s at first (RFC 6298 2.1), then after 2 s more."""
RESET_WINDOW = 1 << 20
"""How far ahead of the stream a reset may stand to be believed."""
_WRAP = 1 << 32


class Flow(NamedTuple):
    """One direction of a connection."""

    src: bytes
    sport: int
    dst: bytes
    dport: int

    def reversed(self) -> Flow:
        """The other direction."""
        return Flow(self.dst, self.dport, self.src, self.sport)


class StreamData(Struct, frozen=True, gc=False):
    """The next octets of a flow.

    ``lost`` octets are missing before them: a reader that cuts the stream into messages must begin anew.
    ``ended``: nothing follows (``data`` may be empty then); the next octets are those of another connection.
    """

    flow: Flow
    data: bytes
    lost: int = 0
    ended: bool = False


class TcpStreams:
    """Puts the segments of all connections in order: repeated, reordered, overlapping, lost.

    Of octets that were sent twice the first seen win. A connection whose beginning was not seen starts with
    the first segment that carries data. Bounded in flows (the longest silent gives way), in octets that wait
    behind holes, and in the time that they wait.
    """

    def __init__(
        self,
        max_flows: int = MAX_FLOWS,
        max_flow_octets: int = MAX_FLOW_OCTETS,
        max_octets: int = MAX_OCTETS,
        max_wait_ns: int = MAX_WAIT_NS,
    ) -> None:
        self._max_flows = max_flows
        self._max_flow_octets = max_flow_octets
        self._max_octets = max_octets
        self._max_wait_ns = max_wait_ns
        self._flows: dict[Flow, _Direction] = {}  # the longest silent first
        self._waiting: dict[Flow, int] = {}  # flows with a hole and since when, oldest first
        self._octets = 0

    @property
    def octets(self) -> int:
        """Octets that wait behind holes."""
        return self._octets

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, segment: Datagram, now_ns: int) -> list[StreamData]:
        """What can be read now that ``segment`` is here, of its flow and of flows that waited long enough."""
        out = self.flush(now_ns) if self._waiting else []
        if segment.protocol != TCP:
            return out
        flow = Flow(segment.src, segment.sport, segment.dst, segment.dport)
        direction = self._flows.pop(flow, None)
        if segment.flags & RST:
            self._reset(flow, direction, segment.seq, out)
            return out
        if direction is None or segment.flags & SYN or direction.is_over(segment):
            direction = self._begin(flow, direction, segment, out)
            if direction is None:
                return out
        self._flows[flow] = direction
        if direction.finished:
            return out  # what was sent before the end comes again
        self._advance(flow, direction, segment, now_ns, out)
        if len(self._flows) > self._max_flows:
            self._drop(next(iter(self._flows)), out)
        return out

    def next_deadline(self) -> int | None:
        """When :meth:`flush` will have something to skip, in nanoseconds of the caller's clock."""
        for since in self._waiting.values():
            return since + self._max_wait_ns
        return None

    def flush(self, now_ns: int) -> list[StreamData]:
        """Skips the holes whose time is up."""
        out: list[StreamData] = []
        while self._waiting:
            flow, since = next(iter(self._waiting.items()))
            if now_ns - since < self._max_wait_ns:
                break
            self._skip(flow, self._flows[flow], out)
            self._note_waiting(flow, self._flows[flow], now_ns)
        return out

    def finish(self) -> list[StreamData]:
        """The capture ends: everything that still waits, its holes skipped."""
        out: list[StreamData] = []
        for flow in list(self._waiting):
            direction = self._flows[flow]
            while direction.pending:
                self._skip(flow, direction, out)
        self._waiting.clear()
        return out

    def _begin(
        self, flow: Flow, known: _Direction | None, segment: Datagram, out: list[StreamData]
    ) -> _Direction | None:
        """The direction that the segment opens; None when it opens none."""
        if segment.flags & SYN:
            start = (segment.seq + 1) % _WRAP
            if known is not None and known.start == start:
                return known  # the same SYN again
            if known is not None:
                self._end(flow, known, out)
            return _Direction(start)
        return _Direction(segment.seq) if segment.payload else None

    def _advance(
        self, flow: Flow, direction: _Direction, segment: Datagram, now_ns: int, out: list[StreamData]
    ) -> None:
        before, was_at = len(direction.pending), direction.next
        self._octets -= direction.octets
        data = direction.add(segment)
        self._octets += direction.octets
        if direction.finished or data:
            out.append(StreamData(flow, data, ended=direction.finished))
        while direction.octets > self._max_flow_octets or len(direction.pending) > MAX_FLOW_PIECES:
            self._skip(flow, direction, out)
        while direction.pending and self._octets > self._max_octets:
            self._skip(flow, direction, out)
        if not before or not direction.pending or direction.next != was_at:
            self._note_waiting(flow, direction, now_ns)

    def _note_waiting(self, flow: Flow, direction: _Direction, now_ns: int) -> None:
        """The clock of a hole starts when it opens, and again whenever the flow moved on."""
        self._waiting.pop(flow, None)
        if direction.pending:
            self._waiting[flow] = now_ns

    def _skip(self, flow: Flow, direction: _Direction, out: list[StreamData]) -> None:
        self._octets -= direction.octets
        lost, data = direction.skip()
        self._octets += direction.octets
        out.append(StreamData(flow, data, lost, direction.finished))

    def _reset(self, flow: Flow, direction: _Direction | None, seq: int, out: list[StreamData]) -> None:
        """Both directions end, if the reset fits into the stream (RFC 5961 3.2; segments may be lost)."""
        if direction is None:
            return
        self._flows[flow] = direction
        if not 0 <= direction.distance(seq) <= RESET_WINDOW:
            return
        self._end(flow, direction, out)
        other = self._flows.get(flow.reversed())
        if other is not None:
            self._end(flow.reversed(), other, out)

    def _end(self, flow: Flow, direction: _Direction, out: list[StreamData]) -> None:
        self._octets -= direction.octets
        self._waiting.pop(flow, None)
        if direction.end():
            out.append(StreamData(flow, b"", ended=True))

    def _drop(self, flow: Flow, out: list[StreamData]) -> None:
        self._end(flow, self._flows.pop(flow), out)


class _Direction:
    """One direction's place in its sequence space, counted on without wrapping.

    ``pending`` are the pieces behind a hole: sorted, none overlapping another.
    """

    __slots__ = ("fin_at", "finished", "next", "octets", "pending", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.next = start
        self.pending: list[tuple[int, bytes]] = []
        self.octets = 0
        self.fin_at: int | None = None
        self.finished = False

    def distance(self, seq: int) -> int:
        """From the next octet to ``seq``, negative for what is past (RFC 9293 3.4: modulo 2**32)."""
        return (seq - self.next + _WRAP // 2) % _WRAP - _WRAP // 2

    def is_over(self, segment: Datagram) -> bool:
        """Whether the direction had ended, and this is nothing of it.

        Then its ports are in use anew and the SYN was missed; or what ended it was a reset that the receiver did not
        believe, for it was not exactly at the next octet (RFC 5961 3.2).
        """
        if not self.finished or not segment.payload:
            return False
        ahead = RESET_WINDOW if self.fin_at is not None else 0
        return not -RESET_WINDOW <= self.distance(segment.seq) < ahead

    def add(self, segment: Datagram) -> bytes:
        """The octets that are in order now."""
        position = self.next + self.distance(segment.seq) + bool(segment.flags & SYN)
        data = segment.payload
        if segment.flags & FIN and self.fin_at is None:
            self.fin_at = max(position + len(data), self.next)
        if data and position == self.next and not self.pending:
            self.next += len(data)
        elif data:
            self._keep(position, data)
            data = self._take()
        self._check_end()
        return data

    def skip(self) -> tuple[int, bytes]:
        """Gives the first hole up: its size and the octets behind it."""
        lost = self.pending[0][0] - self.next
        self.next += lost
        data = self._take()
        self._check_end()
        return lost, data

    def end(self) -> bool:
        """Forgets what is pending; False when the direction had ended before."""
        self.pending.clear()
        self.octets = 0
        ended, self.finished = not self.finished, True
        return ended

    def _check_end(self) -> None:
        if self.fin_at is not None and self.next >= self.fin_at:
            self.end()

    def _keep(self, start: int, data: bytes) -> None:
        """Puts ``data`` where nothing is yet: of octets that came twice the first stay."""
        if start < self.next:
            data, start = data[self.next - start :], self.next
        at = bisect_left(self.pending, (start,))
        if at:
            known, octets = self.pending[at - 1]
            overlap = max(0, known + len(octets) - start)
            data, start = data[overlap:], start + overlap
        while data:
            room = self.pending[at][0] - start if at < len(self.pending) else len(data)
            if room > 0:
                self.pending.insert(at, (start, data[:room]))
                self.octets += min(room, len(data))
                at += 1
            if room >= len(data):
                return
            past = room + len(self.pending[at][1])
            data, start = data[past:], start + past
            at += 1

    def _take(self) -> bytes:
        """The pieces that follow on ``next`` without a hole."""
        count = 0
        for position, octets in self.pending:
            if position != self.next:
                break
            self.next += len(octets)
            count += 1
        data = b"".join(octets for _, octets in self.pending[:count])
        del self.pending[:count]
        self.octets -= len(data)
        return data
