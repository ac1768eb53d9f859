"""Copies of all messages to the points of interception of this host; a call never waits for one, nor fails with it.

What waits is bounded, and kept until the point of interception says that it is safe. When there is no room, what can be
missed goes first: registrations and what belongs to a running dialog; new dialogs and answers go last.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from midcall.base import sip_copies
from midcall.base.sip_copies import ANSWER_OCTETS, MAX_PACKET, SipCopy
from midcall.cscf.values import Hop, Listener, Out, Outs, bracketed

RETRY_SECONDS = 0.5
BUFFER_OCTETS = 4 << 20

Owner = Callable[[bytes], int]
"""To which of them a message belongs."""


class PoiLink:
    """The socket of one point of interception, and what waits for it: at most ``bound`` octets.

    ``counts``: ``copies``, ``dropped``, ``connected``.
    """

    def __init__(self, path: str, bound: int) -> None:
        self._path = path
        self._bound = bound
        self.counts: Counter[str] = Counter()
        self._kept: OrderedDict[int, SipCopy] = OrderedDict()
        self._minor: OrderedDict[int, None] = OrderedDict()  # those that may be missed first
        self._octets = 0
        self._sent = 0  # the last number that was sent on this connection
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False
        self._blocked = False
        self._closed = False
        self._connect()

    @property
    def waiting(self) -> tuple[int, int]:
        """Copies and octets that are not known to be safe."""
        return len(self._kept), self._octets

    def put(self, copy: SipCopy, *, minor: bool) -> None:
        """Keep a copy, and send it soon."""
        self.counts["copies"] += 1
        self._kept[copy.number] = copy
        self._octets += sip_copies.size(copy)
        if minor:
            self._minor[copy.number] = None
        while self._octets > self._bound:
            self._drop()
        if not self._asked and self._socket is not None and not self._blocked:
            self._asked = True
            self._loop.call_soon(self._send)

    def _drop(self) -> None:
        number = next(iter(self._minor), None)
        self._forget(next(iter(self._kept)) if number is None else number)
        self.counts["dropped"] += 1

    def _forget(self, number: int) -> None:
        copy = self._kept.pop(number)
        self._minor.pop(number, None)
        self._octets -= sip_copies.size(copy)

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
        self._asked = False
        while (made := self._socket) is not None:
            batch = self._batch()
            if not batch:
                return
            try:
                made.send(sip_copies.packet(batch))
            except (BlockingIOError, InterruptedError):
                if not self._blocked:
                    self._blocked = True
                    self._loop.add_writer(made.fileno(), self._writable)
                return
            except OSError:
                self._lost()
                return
            self._sent = batch[-1].number

    def _writable(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
        self._blocked = False
        self._send()

    def _batch(self) -> list[SipCopy]:
        batch: list[SipCopy] = []
        octets = 0
        for number in reversed(self._kept):
            if number <= self._sent:
                break
            batch.append(self._kept[number])
        batch.reverse()
        for place, copy in enumerate(batch):
            octets += sip_copies.size(copy)
            if octets > MAX_PACKET:
                return batch[: max(place, 1)]
        return batch

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
        if self._timer is not None:
            self._timer.cancel()
        self._lost()


class Copies:
    """One link to each point of interception; ``owner`` says to which of them a message belongs."""

    def __init__(self, paths: Sequence[str], bound: int, listeners: Sequence[Listener], owner: Owner) -> None:
        self.links = [PoiLink(path, bound) for path in paths]
        self._here = [f"{bracketed(each.host)}:{each.port}" for each in listeners]
        self._owner = owner if len(paths) > 1 else lambda _: 0
        # Numbers go on after a restart: what is counted from is the time.
        self._number = time.time_ns()

    def put(self, octets: bytes, listener: int, source: Hop, outs: Outs) -> None:
        """A message that was received, and what became of it."""
        self._number += 1
        sent = tuple(
            (f"{bracketed(out.hop.host)}:{out.hop.port}", out.octets)
            for out in outs
            if isinstance(out, Out) and out.onward
        )
        copy = SipCopy(
            self._number,
            octets,
            f"{bracketed(source.host)}:{source.port}",
            self._here[listener],
            time.time_ns(),
            time.monotonic_ns(),
            sent,
        )
        self.links[self._owner(octets)].put(copy, minor=is_minor(octets))

    def close(self) -> None:
        for link in self.links:
            link.close()


_NEW = (b"INVITE ", b"SIP/2.0 2", b"SIP/2.0 18", b"BYE ", b"CANCEL ")


def is_minor(octets: bytes) -> bool:
    """Whether a message may be missed before others: it begins no dialog, answers none and ends none."""
    return not octets.startswith(_NEW)
