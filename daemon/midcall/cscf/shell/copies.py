"""Copies of all messages to the points of interception of this host; a call never waits for one, nor fails with it.

What waits is bounded, and kept until the point of interception says that it is safe. When there is no room, what can be
missed goes first: registrations and what belongs to a running dialog; new dialogs and answers go last.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from functools import lru_cache

from midcall.base import sip_copies
from midcall.base.sip_copies import ANSWER_OCTETS, MAX_PACKET, SipCopy
from midcall.cscf.calls import Calls
from midcall.cscf.values import Hop, Listener, Out, Outs, bracketed

RETRY_SECONDS = 0.5
GATHER_SECONDS = 0.004
"""How long a copy waits for others, so that they go, and are answered, in one packet."""
GATHER_OCTETS = MAX_PACKET // 2
"""With so many octets nothing waits any more."""
BUFFER_OCTETS = 4 << 20
EACH_OCTETS = 128
"""What a copy takes besides its own octets, about."""


class PoiLink:
    """The socket of one point of interception, and what waits for it: at most ``bound`` octets.

    ``counts``: ``copies``, ``dropped``, ``connected``.
    """

    def __init__(self, path: str, bound: int) -> None:
        self._path = path
        self._bound = bound
        self.counts: Counter[str] = Counter()
        self._kept: OrderedDict[int, bytes] = OrderedDict()  # as they stand in a packet
        self._minor: OrderedDict[int, None] = OrderedDict()  # those that may be missed first
        self._unsent: deque[int] = deque()  # their numbers; some may be gone
        self._octets = 0
        self._gathered = 0
        self._sent = 0  # the last number that was sent on this connection
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked: asyncio.TimerHandle | None = None
        self._blocked = False
        self._closed = False
        self._connect()

    @property
    def waiting(self) -> tuple[int, int]:
        """Copies and octets that are not known to be safe."""
        return len(self._kept), self._octets

    def put(self, number: int, copy: bytes, *, minor: bool) -> None:
        """Keep a written copy, and send it soon."""
        self.counts["copies"] += 1
        self._kept[number] = copy
        self._unsent.append(number)
        self._octets += len(copy) + EACH_OCTETS
        self._gathered += len(copy)
        if minor:
            self._minor[number] = None
        while self._octets > self._bound:
            self._drop()
        if self._socket is None or self._blocked:
            return
        if self._gathered > GATHER_OCTETS:
            self._send()
        elif self._asked is None:
            self._asked = self._loop.call_later(GATHER_SECONDS, self._send)

    def _drop(self) -> None:
        number = next(iter(self._minor), None)
        self._forget(next(iter(self._kept)) if number is None else number)
        self.counts["dropped"] += 1
        if len(self._unsent) > 2 * len(self._kept) + 64:
            self._unsent = deque(number for number in self._unsent if number in self._kept)

    def _forget(self, number: int) -> None:
        self._octets -= len(self._kept.pop(number)) + EACH_OCTETS
        self._minor.pop(number, None)

    # The socket

    def _connect(self) -> None:
        self._timer = None
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.setblocking(False)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
            made.connect(self._path)
        except OSError:
            made.close()
            self._later()
            return
        self._socket = made
        self._sent = 0
        self._unsent = deque(self._kept)
        self._blocked = False
        self.counts["connected"] += 1
        self._loop.add_reader(made.fileno(), self._answered)
        self._send()

    def _later(self) -> None:
        if not self._closed:
            self._timer = self._loop.call_later(RETRY_SECONDS, self._connect)

    def _lost(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            self._loop.remove_reader(made.fileno())
            self._loop.remove_writer(made.fileno())
            made.close()
            self._later()

    def _send(self) -> None:
        """As much as the socket takes, many copies in a packet."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None
        self._gathered = 0
        while (made := self._socket) is not None and not self._blocked:
            numbers = self._batch()
            if not numbers:
                return
            try:
                made.send(sip_copies.packet([self._kept[number] for number in numbers]))
            except (BlockingIOError, InterruptedError):
                self._unsent.extendleft(reversed(numbers))
                self._blocked = True
                self._loop.add_writer(made.fileno(), self._writable)
                return
            except OSError:
                self._lost()
                return
            self._sent = numbers[-1]

    def _writable(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
        self._blocked = False
        self._send()

    def _batch(self) -> list[int]:
        """The next ones that fit into a packet; they are taken from what is unsent."""
        numbers: list[int] = []
        octets = 0
        unsent, kept = self._unsent, self._kept
        while unsent:
            copy = kept.get(unsent[0])
            if copy is not None:
                octets += len(copy)
                if numbers and octets > MAX_PACKET:
                    break
                numbers.append(unsent[0])
            unsent.popleft()
        return numbers

    def _answered(self) -> None:
        made = self._socket
        if made is None:
            return
        try:
            octets = made.recv(ANSWER_OCTETS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            octets = b""
        if len(octets) != ANSWER_OCTETS:
            self._lost()
            return
        safe = int.from_bytes(octets, "big")
        while self._kept and (first := next(iter(self._kept))) <= min(safe, self._sent):
            self._forget(first)

    def close(self) -> None:
        """What still waits is lost."""
        self._closed = True
        for timer in (self._timer, self._asked):
            if timer is not None:
                timer.cancel()
        self._lost()


class Copies:
    """One link to each point of interception; a call belongs to one of them."""

    def __init__(self, paths: Sequence[str], bound: int, listeners: Sequence[Listener], calls: Calls) -> None:
        self.links = [PoiLink(path, bound) for path in paths]
        self._here = [f"{bracketed(each.host)}:{each.port}" for each in listeners]
        self._calls = calls
        # Numbers go on after a restart: what is counted from is the time.
        self._number = time.time_ns()

    def put(
        self,
        octets: bytes,
        listener: int,
        source: Hop,
        outs: Outs,
        now: int,
        asserted: str | None = None,
        *,
        heeded: bool = True,
    ) -> None:
        """A message that was received, and what became of it (as :class:`SipCopy` has it); ``now`` monotonic ns."""
        self._number = number = self._number + 1
        sent = tuple([(_place(out.hop), out.octets) for out in outs if isinstance(out, Out) and out.onward])
        copy = sip_copies.written(
            SipCopy(number, octets, _place(source), self._here[listener], time.time_ns(), now, sent, asserted, heeded)
        )
        link = self.links[self._calls.of(octets) % len(self.links) if len(self.links) > 1 else 0]
        link.put(number, copy, minor=is_minor(octets))

    def close(self) -> None:
        for link in self.links:
            link.close()


@lru_cache(maxsize=4_096)
def _place(hop: Hop) -> str:
    return f"{bracketed(hop.host)}:{hop.port}"


_NEW = (b"INVITE ", b"SIP/2.0 2", b"SIP/2.0 18", b"BYE ", b"CANCEL ")


def is_minor(octets: bytes) -> bool:
    """Whether a message may be missed before others: it begins no dialog, answers none and ends none."""
    return not octets.startswith(_NEW)
