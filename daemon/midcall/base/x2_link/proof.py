"""One connection of the POI's end: its keepalives, and what their answers prove (TS 103 221-2 6.2.4).

No I/O: it is told what was sent and what came, on a monotonic clock in ns. Data are counted in marks, which rise; the
answer to a keepalive releases the data before it. A peer that confirms what it has committed answers then only; of
another one the answer proves that it has read so far, which is the most that the standard offers.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from imswire import x2x3
from midcall.base.x2_link.settings import X2LinkSettings

NS = 1_000_000_000


class LinkLost(Exception):
    """The connection is to be dropped and opened anew; says why."""


class _Question(NamedTuple):
    number: int
    mark: int


class Numbers:
    """Sequence numbers of the keepalives of one link, over all its connections."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        number = self._next
        self._next = x2x3.following(number)
        return number


class Proof:
    """``released`` is the mark up to which all is proved; ``heard``: a valid answer has come on this connection."""

    def __init__(self, settings: X2LinkSettings, numbers: Numbers, now: int) -> None:
        self.released = 0
        self.heard = False
        self.strays = 0
        self._settings = settings
        self._numbers = numbers
        self._questions: deque[_Question] = deque()
        self._mark = 0
        self._pdus = 0  # sent and not asked about
        self._since: int | None = None  # when the first of them was sent
        self._asked_at = now
        self._answered_at = now

    def hello(self, now: int) -> bytes:
        """What opens the connection: its answer shows that the peer has let us in."""
        return self._ask(now)

    def sent(self, mark: int, pdus: int, now: int) -> None:
        """Data up to ``mark`` were written to the connection."""
        self._mark = mark
        self._pdus += pdus
        if self._since is None:
            self._since = now

    def due(self, now: int, urgent: bool = False) -> bytes:
        """A keepalive when it is time for one; ``urgent``: also behind data that none stands behind yet."""
        behind = self._since is not None and (
            urgent
            or self._pdus >= self._settings.proof_pdus
            or now >= self._since + int(self._settings.proof_seconds * NS)
        )
        return self._ask(now) if behind or now >= self._asked_at + int(self._settings.time_p1 * NS) else b""

    def received(self, pdu: x2x3.Pdu, now: int) -> None:
        """A PDU of the peer; a wrong number does not count. LinkLost: there are too many that answer nothing."""
        if pdu.kind == x2x3.PduType.KEEPALIVE_ACK:
            for place, question in enumerate(self._questions):
                if question.number == pdu.sequence:
                    for _ in range(place + 1):
                        self._questions.popleft()
                    self.released = question.mark
                    self.heard = True
                    self._answered_at = now
                    return
        self.strays += 1
        if self.strays > self._settings.answers:
            raise LinkLost(f"more than {self._settings.answers} PDUs that answer nothing")

    def tick(self, now: int) -> None:
        """Time passes. LinkLost: no valid answer within TIME_P2."""
        if self._questions and now >= self._answered_at + int(self._settings.time_p2 * NS):
            raise LinkLost(f"no valid answer to keepalives within {self._settings.time_p2:g} s")

    def next_deadline(self) -> int:
        """When to call ``due`` and ``tick`` next, at the latest."""
        deadline = self._asked_at + int(self._settings.time_p1 * NS)
        if self._since is not None:
            deadline = min(deadline, self._since + int(self._settings.proof_seconds * NS))
        if self._questions:
            deadline = min(deadline, self._answered_at + int(self._settings.time_p2 * NS))
        return deadline

    def _ask(self, now: int) -> bytes:
        number = self._numbers.take()
        self._questions.append(_Question(number, self._mark))
        self._pdus, self._since, self._asked_at = 0, None, now
        return x2x3.build(x2x3.keepalive(number))
