"""One connection to a LEMF: options, keep-alives, acknowledgements, and what they prove (TS 102 232-1 6.3).

A core: it is told what was sent and what came, on a monotonic clock in ns. What stands in the data sent is counted
in marks, which the shell chooses; an answer releases the data before what it answers.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from imswire import hi
from midcall.handover.settings import LinkSettings

_NS = 1_000_000_000
LINK_LIID = b"-"  # as in cINReset: the PDU belongs to no intercept
# The first window and the PDUs before the first question; both double with each answer in time, so that a slow LEMF is
# not sent more than it can answer for, and a link that breaks again and again proves something each time.
FIRST_WINDOW = 16 << 10  # one row
FIRST_PDUS = 32


class LinkLost(Exception):
    """The connection is to be dropped and opened anew; says why."""


class _Ask(NamedTuple):
    tri: type[hi.KeepAlive] | type[hi.AckRequest]
    number: int
    mark: int
    at: int


class TriNumbers:
    """Sequence numbers of the TRI of a link, each kind its own, over all its connections."""

    def __init__(self) -> None:
        self._next: dict[type, int] = {}

    def take(self, tri: type) -> int:
        number = self._next.get(tri, 0)
        self._next[tri] = (number + 1) % (1 << 32)
        return number


class Link:
    """What is under way on one connection.

    ``answered``: this LEMF has answered before, so that silence is a fault. ``released`` is the mark up to which
    receipt is proved, ``unproved`` says that only TCP's word stands behind it.
    """

    def __init__(self, settings: LinkSettings, cid: hi.CommunicationId, numbers: TriNumbers, answered: bool) -> None:
        self.settings = settings
        self.answered = answered
        self.heard = False  # on this connection
        self.released = 0
        self.mode = {"auto": "keep-alive"}.get(settings.proof, settings.proof)
        self.window = min(FIRST_WINDOW, settings.window_octets)
        self._most = min(FIRST_PDUS, settings.proof_pdus)
        self.late = False
        self.strays = 0  # answers to nothing that was asked
        self.unasked = 0  # PDUs that a LEMF has no reason to send
        self._cid = cid
        self._numbers = numbers
        self._asks: deque[_Ask] = deque()
        self._mark = 0
        self._pdus = 0  # sent and not asked about
        self._since: int | None = None  # when the first of them was sent
        self._traffic = 0

    @property
    def unproved(self) -> bool:
        return self.mode == "transport"

    def start(self, now: int, wall: int) -> bytes:
        """What opens the connection."""
        self._traffic = now
        if self.settings.proof != "auto":
            return b""
        return self._pdu(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), wall)[1]

    def sent(self, mark: int, pdus: int, now: int) -> None:
        """Data up to ``mark`` were written to the connection."""
        self._mark = mark
        self._pdus += pdus
        self._traffic = now
        if self._since is None:
            self._since = now

    def ask(self, now: int, wall: int) -> bytes:
        """A question behind the data when it is time for one, or when the link was idle for TIME1."""
        if self.mode == "transport":
            return self._idle(now, wall)
        interval = self.settings.time6 if self.mode == "acknowledgement" else self.settings.proof_seconds
        if self._pdus >= self._most or (self._since is not None and now >= self._since + int(interval * _NS)):
            return self._question(hi.AckRequest() if self.mode == "acknowledgement" else hi.KeepAlive(), now, wall)
        return self._idle(now, wall)

    def urge(self, now: int, wall: int) -> bytes:
        """A question at once, when something is under way that none was asked about."""
        if self._since is None or self.mode == "transport":
            return b""
        return self._question(hi.AckRequest() if self.mode == "acknowledgement" else hi.KeepAlive(), now, wall)

    def received(self, pdu: hi.PsPdu, now: int, wall: int) -> bytes:
        """An answer of the LEMF; returns what is to be sent for it. LinkLost: it talks too much nonsense."""
        self._traffic = now
        number, tri = pdu.header.sequence, pdu.payload
        if isinstance(tri, hi.KeepAliveResponse):
            self._answer(hi.KeepAlive, number, now)
        elif isinstance(tri, hi.AckResponse):
            self._answer(hi.AckRequest, number, now)
        elif isinstance(tri, hi.OptionResponse) and self.settings.proof == "auto":
            return self._option(tri, wall)
        else:
            self.unasked += 1
        if self.unasked + self.strays > self.settings.answers:
            raise LinkLost(f"more than {self.settings.answers} PDUs that answer nothing")
        return b""

    def tick(self, now: int, acked: bool) -> None:
        """Time passes; ``acked``: TCP has confirmed all that was written. LinkLost: no answer came in time."""
        if self.mode == "transport" and acked:
            self.released, self._since, self._pdus = self._mark, None, 0
        if not self._asks:
            self.late = False
            return
        waited = now - self._asks[0].at
        expected, most = self._patience(self._asks[0])
        self.late = waited >= expected
        never = self.settings.proof == "auto" and not self.answered and acked
        if waited < (min(most, int(self.settings.silence * _NS)) if never else most):
            return
        if never:
            # It takes data and answers nothing, ever: what TCP says is all there is (6.4.3, first definition).
            self.mode, self.late = "transport", False
            self._asks.clear()
            self.released, self._since, self._pdus = self._mark, None, 0
            return
        raise LinkLost(f"no answer within {most // _NS} s")

    def next_deadline(self) -> int:
        """When to call ``ask`` and ``tick`` next, at the latest."""
        due = self._traffic + int(self.settings.time1 * _NS)
        if self._since is not None:
            interval = self.settings.time6 if self.mode == "acknowledgement" else self.settings.proof_seconds
            due = min(due, self._since + int(interval * _NS))
        if self._asks:
            expected, most = self._patience(self._asks[0])
            due = min(due, self._asks[0].at + (most if self.late else expected))
        return due

    # Inside

    def _patience(self, ask: _Ask) -> tuple[int, int]:
        timers = self.settings
        if ask.tri is hi.AckRequest:
            return int(timers.time4 * _NS), int(timers.time5 * _NS)
        return int(timers.time2 * _NS), int(timers.time3 * _NS)

    def _idle(self, now: int, wall: int) -> bytes:
        if now < self._traffic + int(self.settings.time1 * _NS):
            return b""
        if self.mode == "transport":  # an answer would be welcome, its lack proves nothing
            self._traffic = now
            return self._pdu(hi.KeepAlive(), wall)[1]
        return self._question(hi.KeepAlive(), now, wall)

    def _question(self, tri: hi.KeepAlive | hi.AckRequest, now: int, wall: int) -> bytes:
        number, octets = self._pdu(tri, wall)
        self._asks.append(_Ask(type(tri), number, self._mark, now))
        self._pdus, self._since, self._traffic = 0, None, now
        return octets

    def _answer(self, tri: type, number: int, now: int) -> None:
        """A wrong number does not count; a right one settles all questions before it too."""
        for place, ask in enumerate(self._asks):
            if ask.tri is tri and ask.number == number:
                for _ in range(place + 1):
                    self._asks.popleft()
                self.released = max(self.released, ask.mark)
                self.answered = self.heard = True
                if now - ask.at < self._patience(ask)[0] // 2:
                    self.window = min(2 * self.window, self.settings.window_octets)
                    self._most = min(2 * self._most, self.settings.proof_pdus)
                return
        if self.mode == "transport" and tri is hi.KeepAlive:
            self.mode, self.answered, self.heard = "keep-alive", True, True
            return
        self.strays += 1

    def _option(self, tri: hi.OptionResponse, wall: int) -> bytes:
        self.answered = self.heard = True
        if hi.Option.PDU_ACKNOWLEDGEMENT in tri.accepted and self.mode != "acknowledgement":
            self.mode = "acknowledgement"
            return self._pdu(hi.OptionComplete(), wall)[1]
        self.unasked += self.mode == "acknowledgement"
        return b""

    def _pdu(self, tri: hi.Tri, wall: int) -> tuple[int, bytes]:
        number = self._numbers.take(type(tri))
        head = hi.Header(LINK_LIID, self._cid, number, wall, None, None, hi.Qualifier.TIME_OF_MEDIATION)
        return number, hi.build(hi.PsPdu(head, tri))
