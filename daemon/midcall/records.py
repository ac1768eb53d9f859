"""From what the cores give to what the agency gets: records of events and of content, numbered and written.

The hand-over of a replay: one intercept, one agency. A shell for two files; the spool takes the same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from midcall.base import owner_only
from midcall.config import ReplayConfig
from midcall.df2 import Agency, Communications, IriMediation, KeysFound
from midcall.df3 import Content, ContentRecords
from midcall.events import CcRecord, Failure, Instant, Intercept, IriRecord, Terms, X2Event
from midcall.handover import Assembler, Numbered, gaps
from midcall.handover.values import Gap

DESTINATION = "lemf"


class Sink(Protocol):
    """Where unnumbered records go."""

    def iri(self, records: list[IriRecord], now: int) -> None: ...

    def cc(self, records: list[CcRecord], now: int) -> None: ...

    def next_deadline(self) -> int | None: ...

    def deadline(self, now: int) -> None: ...

    def end(self, liid: str, now: int) -> None: ...


class Sinks:
    """Several sinks that get the same."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def iri(self, records: list[IriRecord], now: int) -> None:
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

    @property
    def correlation_key(self) -> bytes:
        """What keys the correlation identifiers."""
        return bytes.fromhex(self.config.network.correlation_key)

    def arm(self, start: int | None, end: int | None) -> Terms:
        """The terms of the task from now on; its window in wall ns."""
        warranted, profile = self.config.warranted, self.config.profile
        terms = Terms(
            warranted.liid,
            start,
            end,
            content=warranted.scope == "iri+cc",
            keys_to_lemf=warranted.keys == "keys-to-lemf",
            location=warranted.location,
            encrypted=profile.on_key_failure == "encrypted",
        )
        self._iri.order(self.xid, Agency(terms, profile, self.config.network))
        self._content.order(self.xid, terms, profile)
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
        return self._iri.cc_unavailable(self.xid, gap.cin, gap.until, gaps.told(gap))

    def next_deadline(self) -> int | None:
        """When time alone brings something, in wall ns."""
        return self._sink.next_deadline()

    def deadline(self, now: int) -> None:
        """Whatever is due."""
        self._sink.deadline(now)

    def end(self, now: Instant) -> None:
        """The interception is over."""
        self._sink.end(self.config.warranted.liid, now.wall)

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
    """hi2.ber and hi3.ber: the PS-PDUs as they would be sent, one behind the other."""

    def __init__(self, folder: Path, assembler: Assembler) -> None:
        self._assembler = assembler
        self._files: dict[str, BinaryIO] = {
            interface: owner_only.create(folder / f"{interface}.ber") for interface in ("hi2", "hi3")
        }
        self.pdus = {"hi2": 0, "hi3": 0}

    def iri(self, records: list[IriRecord], now: int) -> None:
        self._write(self._assembler.iri(records, now))

    def cc(self, records: list[CcRecord], now: int) -> None:
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

    def _write(self, numbered: list[Numbered]) -> None:
        for interface, file in self._files.items():
            octets = [each.octets for each in numbered if each.interface == interface]
            self.pdus[interface] += len(octets)
            file.write(b"".join(octets))
