"""What links tell: numbers that are missing, and what they have done so far."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from imswire.x2x3 import Packet, Pdu, SequenceKey


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
