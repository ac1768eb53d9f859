"""From what the cores give to what the agency gets: records of events and of content, numbered and written.

The hand-over of a replay: one intercept, one agency. A shell for two files; the spool takes the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from imswire.hi.hi1 import NotificationKind
from midcall.base import owner_only
from midcall.base.services import narrower
from midcall.config import ReplayConfig
from midcall.df2 import Agency, Communications, IriMediation, KeysFound, notifications
from midcall.df3 import Content, ContentRecords
from midcall.events import (
    Cc,
    CcRecord,
    EventRecord,
    Failure,
    Hi1Record,
    Instant,
    Intercept,
    IriRecord,
    Terms,
    X2Event,
)
from midcall.handover import Assembler, Numbered, gaps
from midcall.handover.values import INTERFACES, Gap, Port

DESTINATION = "lemf"


class Sink(Protocol):
    """Where unnumbered records go."""

    def iri(self, records: Sequence[EventRecord], now: int) -> None: ...

    def cc(self, records: list[CcRecord], now: int) -> None: ...

    def next_deadline(self) -> int | None: ...

    def deadline(self, now: int) -> None: ...

    def end(self, liid: str, now: int) -> None: ...


class Sinks:
    """Several sinks that get the same."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def iri(self, records: Sequence[EventRecord], now: int) -> None:
        for sink in self._sinks:
            sink.iri(records, now)

    def cc(self, records: list[CcRecord], now: int) -> None:
        for sink in self._sinks:
            sink.cc(records, now)

    def next_deadline(self) -> int | None:
        return min((due for sink in self._sinks if (due := sink.next_deadline()) is not None), default=None)

    def deadline(self, now: int) -> None:
        for sink in self._sinks:
            sink.deadline(now)

    def end(self, liid: str, now: int) -> None:
        for sink in self._sinks:
            sink.end(liid, now)


class Records:
    """Mediation of one task under ``config``; ``xid`` is its task's."""

    def __init__(self, config: ReplayConfig, xid: str, sink: Sink) -> None:
        self.config = config
        self.xid = xid
        self.communications = Communications()
        self.removed: dict[str, int] = {}
        self._sink = sink
        self._iri = IriMediation(self.communications, removed=self._count)
        self._content = ContentRecords()
        self._agency: Agency | None = None

    @property
    def correlation_key(self) -> bytes:
        """What keys the correlation identifiers."""
        return bytes.fromhex(self.config.network.correlation_key)

    def arm(self, start: int | None, end: int | None, at: int) -> Terms:
        """The terms of the task, whose interception begins ``at``; its window in wall ns."""
        warranted, profile = self.config.warranted, self.config.profile
        terms = Terms(
            warranted.liid,
            start,
            end,
            content=warranted.scope == "iri+cc",
            keys_to_lemf=warranted.keys == "keys-to-lemf",
            location=warranted.location,
            encrypted=profile.on_key_failure == "encrypted",
            services=narrower(warranted.services),
        )
        self._agency = Agency(terms, profile, self.config.network)
        self._iri.order(self.xid, self._agency)
        self._content.order(self.xid, terms, profile)
        self._notify(NotificationKind.ACTIVATED, at)
        return terms

    def x2(self, event: X2Event) -> None:
        """An event of the POI."""
        self._give(self._iri.x2(event))

    def keys(self, found: KeysFound) -> None:
        """Session keys."""
        self._give(self._iri.keys(found))

    def failure(self, failure: Failure) -> None:
        """Media that stay encrypted."""
        self._give(self._iri.failure(failure))

    def content(self, content: list[Content]) -> None:
        """Packets of the target's media."""
        records = self._content.of(content)
        if records:
            self._sink.cc(records, records[-1].time)

    def unavailable(self, gap: Gap) -> bytes:
        """Contents of the record that declares a gap."""
        assert self._agency is not None, "there is content only of what is armed"
        return self._iri.cc_unavailable(self._agency, self.xid, gap.cin, gap.until, gaps.told(gap))

    def alarm(self, gap: Gap, at: int) -> list[Hi1Record]:
        """What HI1 tells of gaps."""
        if not self.config.profile.hi1:
            return []
        return [notifications.alarm(self.config.network, gap.liid, gaps.alarm(gap), at)]

    def next_deadline(self) -> int | None:
        """When time alone brings something, in wall ns."""
        return self._sink.next_deadline()

    def deadline(self, now: int) -> None:
        """Whatever is due."""
        self._sink.deadline(now)

    def deactivated(self, now: Instant) -> None:
        """The interception is over."""
        self._notify(NotificationKind.DEACTIVATED, now.wall)
        self.end(now)

    def end(self, now: Instant) -> None:
        """Nothing more comes of it here."""
        self._sink.end(self.config.warranted.liid, now.wall)

    def _notify(self, kind: NotificationKind, at: int) -> None:
        if self.config.profile.hi1:
            liid = self.config.warranted.liid
            self._sink.iri([notifications.notification(self.config.network, liid, kind, at)], at)

    def _give(self, records: list[IriRecord]) -> None:
        if records:
            self._sink.iri(records, records[-1].at)

    def _count(self, _xid: str, what: tuple[str, ...]) -> None:
        for each in what:
            self.removed[each] = self.removed.get(each, 0) + 1


def intercept(config: ReplayConfig, xid: str) -> Intercept:
    """What stands in the headers of a replay's records."""
    network = config.network
    return Intercept(
        config.warranted.liid,
        xid,
        network.operator,
        network.element,
        network.country,
        network.delivery_country,
        DESTINATION,
    )


class HandoverFiles:
    """hi2.ber, hi3.ber and, when there are notifications, hi1.ber: the PS-PDUs as they would be sent, one behind the
    other.
    """

    def __init__(self, folder: Path, assembler: Assembler) -> None:
        self._assembler = assembler
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self.pdus: dict[str, int] = {}
        for interface in INTERFACES:
            self._open(interface)

    def iri(self, records: Sequence[EventRecord], now: int) -> None:
        self._write(self._assembler.iri(records, now))

    def cc(self, records: Iterable[Cc], now: int) -> None:
        self._write(self._assembler.cc(records, now))

    def next_deadline(self) -> int | None:
        return self._assembler.next_deadline()

    def deadline(self, now: int) -> None:
        self._write(self._assembler.deadline(now))

    def end(self, liid: str, now: int) -> None:
        self._write(self._assembler.end(liid, now))

    def close(self) -> None:
        """Finish both files."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> HandoverFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, port: Port) -> None:
        self._files[port] = owner_only.create(self._folder / f"{port}.ber")
        self.pdus[port] = 0

    def _write(self, numbered: list[Numbered]) -> None:
        if "hi1" not in self._files and any(each.interface == "hi1" for each in numbered):
            self._open("hi1")
        for interface, file in self._files.items():
            octets = [each.octets for each in numbered if each.interface == interface]
            self.pdus[interface] += len(octets)
            file.write(b"".join(octets))
