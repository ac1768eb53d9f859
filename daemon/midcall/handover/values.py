"""What handover works on: contexts of sequence numbers, runs of numbered PDUs, reports for the LI plane."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Literal, NamedTuple

from msgspec import Struct

from midcall.events import EventRecord

Interface = Literal["hi2", "hi3"]
"""What is queued and sent apart. HI1 notifications go with the events of HI2, in their order."""
INTERFACES: tuple[Interface, Interface] = ("hi2", "hi3")
Port = Literal["hi1", "hi2", "hi3"]
"""A port of the handover interface: what is counted, reported and filed apart."""
NUMBERS = 1 << 32  # sequence numbers wrap behind 2^32 - 1 (TS 102 232-1 5.2.5)


class Left(NamedTuple):
    """Events that are not on the disk, in their order, and why; ``why`` is empty when everything was written."""

    records: list[EventRecord]
    why: str


class Kind(IntEnum):
    """Classes of payload that are numbered apart (TS 102 232-1 table 1A); of the TRI those that are buffered.

    The numbers stand in spools: none is given to another class.
    """

    IRI = 1
    CC = 2
    INTEGRITY = 3
    CIN_RESET = 4
    HI1 = 5

    @property
    def is_data(self) -> bool:
        """Whether integrity checks cover it: their dataType has IRI and CC, and nothing for HI1 (annex A)."""
        return self <= Kind.CC


KINDS: dict[Port, Kind] = {"hi1": Kind.HI1, "hi2": Kind.IRI, "hi3": Kind.CC}
PORTS: dict[Kind, Port] = {kind: port for port, kind in KINDS.items()}
QUEUES: dict[Port, Interface] = {"hi1": "hi2", "hi2": "hi2", "hi3": "hi3"}
INTERFACE: dict[Kind, Interface] = {kind: QUEUES[port] for port, kind in KINDS.items()}


class ContextKey(NamedTuple):
    """A sequence of numbers (TS 102 232-1 5.2.5): a member that is absent is a value of its own."""

    liid: str
    operator: str
    element: str | None
    cin: int | None
    delivery_country: str | None
    kind: Kind

    def other(self, kind: Kind) -> ContextKey:
        """The sequence of another class in the same communication."""
        return self._replace(kind=kind)


class Numbered(NamedTuple):
    """One finished PS-PDU; integrity checks go over the interface of their data."""

    liid: str
    interface: Port
    sequence: int
    octets: bytes
    kind: Kind


class Run(NamedTuple):
    """Finished PS-PDUs of one context with consecutive numbers; ``data`` is whose integrity they prove,
    and ``check`` the CheckType by which. ``joined``: they, one behind the other, where somebody has them so already.
    """

    interface: Interface
    key: ContextKey
    first: int
    octets: list[bytes]
    data: ContextKey | None = None
    check: int = 0
    joined: bytes = b""

    def numbered(self) -> Iterator[Numbered]:
        liid, kind = self.key.liid, self.key.kind
        port = PORTS.get(kind, self.interface)
        for place, octets in enumerate(self.octets):
            yield Numbered(liid, port, (self.first + place) % NUMBERS, octets, kind)


class Gap(Struct, frozen=True):
    """Content of one communication that was given up, to be told to the agency on HI2 (ccUnavailable).

    ``ranges`` are the sequence numbers that will not come, first and last of each; those refused before they had
    a number are only counted. ``since``/``until`` in wall ns. ``about``: what was given with the intercept for whom
    puts this into words.
    """

    liid: str
    cin: int | None
    reason: str
    ranges: tuple[tuple[int, int], ...]
    count: int
    since: int
    until: int
    about: bytes = b""


class Lost(Struct, frozen=True):
    """Numbers ``first`` to ``last`` of a context will not reach the LEMF.

    ``liid`` is "?" and a handle when the key that names it is gone; ``cin`` None: isolated, or unknown with it.
    ``last`` None: what stood behind ``first`` is not known, numbering began anew.
    """

    liid: str
    interface: Port
    cin: int | None
    kind: Kind
    first: int
    last: int | None
    reason: str

    @property
    def count(self) -> int:
        return 0 if self.last is None else (self.last - self.first) % NUMBERS + 1


class Completeness(Struct, frozen=True):
    """Records of one intercept on one interface: every one observed is delivered, queued or refused."""

    liid: str
    interface: Port
    observed: int
    delivered: int
    queued: int
    refused: dict[str, int]

    @property
    def holds(self) -> bool:
        return self.observed == self.delivered + self.queued + sum(self.refused.values())
