"""Runs the cores from a capture: one pass, in the order and by the clock of the frames.

A shell: it feeds what it reads to the cores and writes what they give. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from imswire import inet, pcap, sip
from midcall.base.capture import BrokenStream, Found, FrameSorter
from midcall.df2 import Communications, KeysFound, MediaClose, Mediation, Output
from midcall.df2 import keys as key_client
from midcall.df3 import Content, ContentMediation
from midcall.events import Failure, Instant, KeyAnswer, KeyQuery, MediaPacket, MediaPlan, SipSeen, Task, Terms, X2Event
from midcall.kms import GetKeys, Kms, KmsRefusal
from midcall.poi import MATCHING_REPLAY, PointOfInterception
from midcall.records import Records
from midcall.report import Report

NEVER = 1 << 63
# A lab's key: the same capture gives the same hashes and correlation in every run.
LAB_KEY = bytes(32)
XID = "00000000-0000-4000-8000-000000000001"
SECOND = 1_000_000_000
# What a SIP datagram may begin with: a token, or the end of a line (RFC 3261 7.1, 7.5). Neither is RTP.
SIP_BEGINS = sip.TOKEN | frozenset(b"\r\n")
# And a tunnel in UDP: GTP-U of version 1; VXLAN with its flag I, whatever the others say (RFC 7348 5). RTP with that
# bit has eight sources or more, and finds its way from there too.
TUNNEL_BEGINS = frozenset((*range(0x30, 0x40), *(octet for octet in range(256) if octet & 0x08)))
LOOKED_AT = SIP_BEGINS | TUNNEL_BEGINS


class Window(Struct, frozen=True):
    """When the lab's warrant begins and ends, in ns after the first packet; None: open."""

    start: int | None = None
    end: int | None = None


class Product(Protocol):
    """Where content goes."""

    def content(self, content: list[Content]) -> None: ...


class Replay:
    """One capture under one lab warrant for ``targets``."""

    def __init__(
        self,
        reader: pcap.Reader,
        targets: tuple[str, ...],
        window: Window,
        kms: Kms,
        product: Product,
        report: Report,
        progress: Callable[[int], None] = lambda _: None,
        records: Records | None = None,
    ) -> None:
        self._reader = reader
        self._targets = targets
        self._window = window
        self._kms = kms
        self._product = product
        self._report = report
        self._progress = progress
        self._records = records
        correlation_key = LAB_KEY if records is None else records.correlation_key
        self._poi = PointOfInterception(LAB_KEY, correlation_key, MATCHING_REPLAY, census=report.dialog_seen)
        self._df2 = Mediation(Communications() if records is None else records.communications)
        self._df3 = ContentMediation()
        self._sorter = FrameSorter(reader.link_type)
        self._peek = inet.peek_udp(reader.link_type)
        self._decode = inet.decoder(reader.link_type)
        self._media: list[MediaPacket] = []
        self._frame = 0
        self._now = 0
        self._at = Instant.of_capture(0)
        self._started = False
        self._armed = False
        self._arm_at = NEVER
        self._disarm_at = NEVER
        self._next = -NEVER
        self._sieve = pcap.Sieve(inet.plain_udp(reader.link_type, self._df3.tapped, LOOKED_AT), -NEVER)

    def run(self) -> None:
        """Read the capture to its end; one that breaks off is processed as far as it goes."""
        try:
            for link_type, records in self._reader.sifted(self._sieve):
                if link_type == self._reader.link_type:
                    self._frames(records)
                else:
                    self._of_another_link(link_type, records)
                self._flush()
                self._progress(self._frame)
        except pcap.PcapError as error:
            self._report.capture_error(self._frame, f"the capture ends here: {error}")
        for found in self._sorter.finish(self._now, self._frame):
            self._found(found)
        self._flush()
        self._content(self._df3.finish(Instant.of_capture(self._now)))
        self._collect()
        if self._records is not None and self._armed:
            self._records.end(Instant.of_capture(self._now))
        self._report.finish(self._frame, self._now)

    def _frames(self, records: Iterator[pcap.Numbered]) -> None:
        peek, tapped = self._peek, self._df3.tapped
        for number, time, frame, original in records:
            self._frame = number
            if time >= self._next:
                self._due(time)
            self._now = max(self._now, time)
            hit = peek(frame)
            if hit is None or len(frame) < original:
                self._report.truncated += len(frame) < original
                self._slow(time, frame)
                continue
            place, at = hit
            if at < len(frame) and frame[at] in LOOKED_AT:
                # May be SIP; asked before the taps, lest a session that names a SIP port as its media hide it.
                self._slow(time, frame)
            elif tapped(place):
                datagram = self._decode(frame)
                if isinstance(datagram, inet.Datagram):
                    self._media.append(MediaPacket(time, place, datagram, number))

    def _of_another_link(self, link_type: int, records: Iterator[pcap.Numbered]) -> None:
        """Frames of an interface that is not of the first one's link type."""
        for number, time, frame, original in records:
            self._frame = number
            if time >= self._next:
                self._due(time)
            self._now = max(self._now, time)
            self._report.truncated += len(frame) < original
            self._slow(time, frame, link_type)

    # Frames

    def _slow(self, time: int, frame: bytes, link_type: int | None = None) -> None:
        """SIP, fragments, TCP, tunnels, headers out of the ordinary."""
        for found in self._sorter.sort(time, frame, self._frame, link_type):
            if isinstance(found, inet.Datagram):
                place = inet.endpoint_key(found.dst, found.dport)
                if self._df3.tapped(place):
                    self._media.append(MediaPacket(time, place, found, self._frame))
            else:
                self._found(found)

    def _found(self, found: Found) -> None:
        if isinstance(found, SipSeen):
            self._sip(found)
        elif isinstance(found, BrokenStream):
            self._report.capture_error(found.frame, f"SIP over TCP from {found.source}: {found.reason}")

    def _sip(self, seen: SipSeen) -> None:
        self._flush()
        try:
            events = self._poi.sip_seen(seen)
        except sip.SipError as error:
            self._report.sip_error(seen.octets, seen.frame, f"SIP: {error}")
            return
        self._report.sip += 1
        self._at = seen.at
        self._x2(events)
        self._reschedule()

    # Time

    def _due(self, time: int) -> None:
        """Whatever has to happen before a frame of ``time``."""
        self._flush()
        if not self._started:
            self._begin(time)
        if self._arm_at <= time:
            at, self._arm_at = self._arm_at, NEVER
            self._arm(at)
        if self._records is not None:
            self._records.deadline(time)
        self._at = Instant.of_capture(time)
        self._x2(self._poi.deadline(self._at))
        self._df3.deadline(time)
        if self._disarm_at <= time:
            at, self._disarm_at = self._disarm_at, NEVER
            self._x2(self._poi.disarm(XID, Instant.of_capture(at)))
            self._disarmed(at)
        self._collect()
        self._reschedule()

    def _begin(self, first: int) -> None:
        self._started = True
        self._report.began(first)
        window = self._window
        if window.start is None:
            self._arm(first)
        else:
            self._arm_at = first + window.start
        if window.end is not None:
            self._disarm_at = first + window.end

    def _arm(self, at: int) -> None:
        start = None if self._window.start is None else self._report.first + self._window.start
        end = None if self._window.end is None else self._report.first + self._window.end
        self._report.armed(start, end)
        terms = Terms("", start, end) if self._records is None else self._records.arm(start, end, at)
        self._armed = True
        self._df2.order(XID, terms)
        self._at = Instant.of_capture(at)
        self._x2(self._poi.arm(Task(XID, self._targets, start, end, services=terms.services), self._at))

    def _disarmed(self, at: int) -> None:
        self._armed = False
        if self._records is not None:
            self._records.deactivated(Instant.of_capture(at))

    def _reschedule(self) -> None:
        deadlines = [self._arm_at, self._disarm_at]
        following = [self._poi.next_deadline(), self._df3.next_deadline()]
        if self._records is not None:
            following.append(self._records.next_deadline())
        deadlines += [each for each in following if each is not None]
        self._next = min(deadlines)
        self._sieve.wake = self._next // SECOND

    # Between the cores

    def _x2(self, events: list[X2Event]) -> None:
        for event in events:
            self._report.event(event)
            if self._records is not None:
                self._records.x2(event)
            self._follow(self._df2.x2(event))

    def _follow(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, KeyQuery):
                self._follow(self._df2.keys(self._ask(output), self._at))
            elif isinstance(output, MediaPlan):
                self._content(self._df3.plan(output, output.at))
            elif isinstance(output, MediaClose):
                self._content(self._df3.close(output.xid, output.dialog, output.at, linger=output.linger))
            elif isinstance(output, Failure):
                self._failed(output)
                self._report.failure(output.dialog, output.frame, output.reason)
            elif isinstance(output, KeysFound) and self._records is not None:
                self._records.keys(output)

    def _failed(self, failure: Failure) -> None:
        if self._records is not None:
            self._records.failure(failure)

    def _content(self, content: list[Content]) -> None:
        if content:
            self._product.content(content)
            if self._records is not None:
                self._records.content(content)
        for failure in self._df3.take_failures():
            self._failed(failure)
            if not failure.missing:  # the report counts that by stream
                self._report.failure(failure.dialog, failure.frame, failure.reason)

    def _ask(self, query: KeyQuery) -> KeyAnswer:
        try:
            answer = self._kms.get_keys(GetKeys(query.identity, query.exchange, query.parties))
        except KmsRefusal as refusal:
            return key_client.refused(query.query, refusal.reason)
        return key_client.answered(query.query, answer.keys, answer.failures)

    def _flush(self) -> None:
        if self._media:
            media, self._media = self._media, []
            self._content(self._df3.packets(media))

    def _collect(self) -> None:
        for finished in self._df3.take_finished():
            self._report.finished(finished)
