"""What links tell: changes of their state, numbers that are missing, and what they have done so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from msgspec import Struct

from imswire.x2x3 import Packet, Pdu, SequenceKey

State = Literal["up", "down", "fault", "cleared"]


class LinkEvent(Struct, frozen=True):
    """A change, for a report over X1 (TS 103 221-1 6.5) and for the LI plane.

    ``link`` is the destination's or the peer's name, ``part`` what has changed: the connection, or the buffer of
    the POI's end. Up and down of one part follow each other strictly, and so do fault and cleared.
    """

    link: str
    part: Literal["connection", "buffer"]
    state: State
    reason: str
    at: int


class SequenceGap(Struct, frozen=True):
    """``count`` PDUs from ``first`` on did not come, or come late (TS 103 221-2 5.3.9)."""

    peer: str
    key: SequenceKey
    first: int
    count: int


class Batch(NamedTuple):
    """What one connection brought, in its order, without repetitions.

    ``peer`` is the name that its certificate has shown and that is allowed, or ``unix:UID``. ``events``: X2 PDUs, and
    ``octets`` the same as they came; ``packets``: X3 PDUs as :class:`imswire.x2x3.PacketReader` gives them.
    """

    peer: str
    events: list[Pdu]
    octets: list[bytes]
    packets: list[Packet]


class ClientCounters(Struct):
    """What the POI's end has done since its start, in PDUs but for the first two and the last two.

    ``kept`` = ``released`` + ``dropped`` + what is queued, also across restarts (``restored`` counts as kept);
    ``unwritten``: kept in memory alone for a time, for the disk did not take them; ``unreadable``: rows that the key
    does not open.
    """

    connections: int = 0
    refused: int = 0
    kept: int = 0
    restored: int = 0
    sent: int = 0
    resent: int = 0
    released: int = 0
    dropped: int = 0
    unwritten: int = 0
    strays: int = 0
    unreadable: int = 0


class ServerCounters(Struct):
    """What DF2's end has done since its start.

    Connections: ``connections``, ``refused`` (one too many, or not allowed), ``garbage`` (dropped for what they sent),
    ``silent`` (dropped for what they did not send), ``failed`` (dropped since what they brought could not be
    committed). PDUs: ``committed``, ``repeats``, ``gaps`` (and how many are ``missing`` in them), ``late`` (behind
    others of their row), ``restarts`` (a row that began anew), ``unnumbered``, ``unknown`` (of types of later
    versions), ``keepalives``.
    """

    connections: int = 0
    refused: int = 0
    garbage: int = 0
    silent: int = 0
    failed: int = 0
    committed: int = 0
    repeats: int = 0
    gaps: int = 0
    missing: int = 0
    late: int = 0
    restarts: int = 0
    unnumbered: int = 0
    unknown: int = 0
    keepalives: int = 0


Tell = Callable[[LinkEvent], None]


class Report:
    """Remembers what was told last of one part of a link, and tells only what is new. ``wall``: ns since 1970."""

    def __init__(
        self, link: str, part: Literal["connection", "buffer"], tell: Tell, wall: Callable[[], int] = time.time_ns
    ) -> None:
        self.is_up = False
        self.fault: str | None = None
        self._link = link
        self._part: Literal["connection", "buffer"] = part
        self._tell = tell
        self._wall = wall

    def up(self) -> None:
        if not self.is_up:
            self.is_up = True
            self._say("up", "")

    def down(self, reason: str) -> None:
        if self.is_up:
            self.is_up = False
            self._say("down", reason)

    def failed(self, reason: str) -> None:
        """A fault begins; while it lasts no other is told."""
        if self.fault is None:
            self.fault = reason
            self._say("fault", reason)

    def cleared(self) -> None:
        if self.fault is not None:
            self.fault = None
            self._say("cleared", "")

    def _say(self, state: State, reason: str) -> None:
        self._tell(LinkEvent(self._link, self._part, state, reason, self._wall()))
