"""Content that another maker's POI sends for a task, of sessions that nobody here has a plan for (TS 103 221-2 X3).

A core. Whose it is, is what its XID and Correlation ID say; what it is, the description that came with it. It goes over
as it came: without a session there is no key. Own POIs send X2 that tells more, and X3 beside a plan alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from imswire import hi, inet, sdp, x2x3
from midcall.base.bounded import BoundedTable
from midcall.base.services import covers, of_line
from midcall.base.x2_link.media import X3Packet
from midcall.config import Profile
from midcall.df3.records import describe, form
from midcall.events import CcRecord, CcStream, DialogId, Failure, Instant, MediaPacket, Terms

STREAMS: Final = 65_536
CALLS: Final = 65_536
NO_KEYS = "media of a point of interception that has told no session: there is nothing to ask the KMS about"
KEPT_BACK = "encrypted media that no key opens are not handed over"
_RTP_HEADER, _RTCP_HEADER, _VERSION_BITS = 12, 8, 0x80
_DIRECTIONS: dict[int, int] = {
    x2x3.Direction.TO_TARGET: hi.Direction.TO_TARGET,
    x2x3.Direction.FROM_TARGET: hi.Direction.FROM_TARGET,
    x2x3.Direction.SEVERAL: hi.Direction.COMBINED,
}

_Key = tuple[bytes, bytes, int, bytes, bool]


class _Passed(Struct, frozen=True, gc=False):
    """One stream: what its records have in common, of which description, whether it is encrypted, and of a service
    (None: it is not said) that the order is for.
    """

    described: bytes | None
    records: CcStream
    secure: bool
    covered: bool


class PassedContent:
    """``cin`` numbers a communication by XID and correlation.

    ``dropped`` counts, by reason, packets that are no content: ``outside`` the window, ``scope`` of events only,
    ``not_rtp``, ``service``: of none that the order is for, ``kept_back``: encrypted, where the agency's profile wants
    none such.
    """

    def __init__(self, cin: Callable[[str, bytes], int]) -> None:
        self.dropped: Counter[str] = Counter()
        self._cin = cin
        self._orders: dict[str, tuple[Terms, Profile]] = {}
        self._streams: BoundedTable[_Key, _Passed] = BoundedTable("df3.passed", STREAMS)
        self._told: BoundedTable[tuple[str, bytes], None] = BoundedTable("df3.passed.told", CALLS)
        self._failures: list[Failure] = []

    def order(self, xid: str, terms: Terms, profile: Profile) -> None:
        """The terms and the agency's profile of a task."""
        self._orders[xid] = (terms, profile)

    def end(self, xid: str) -> None:
        """Nothing of a task is content any more."""
        self._orders.pop(xid, None)
        octets = x2x3.xid_octets(xid)
        for key in [key for key in self._streams if key[0] == octets]:
            self._streams.pop(key)

    def of(self, packets: Iterable[X3Packet]) -> list[CcRecord]:
        """Records of what is content, in its order; packets of a task without an order give none."""
        records = []
        for each in packets:
            record = self._record(each)
            if record is not None:
                records.append(record)
        return records

    def take_failures(self) -> list[Failure]:
        """Calls whose media are encrypted, each once, since the last time."""
        failures, self._failures = self._failures, []
        return failures

    def _record(self, each: X3Packet) -> CcRecord | None:
        xid, packet = x2x3.xid_text(each.xid), each.packet
        order = self._orders.get(xid)
        if order is None:
            return None
        terms = order[0]
        reason = _reason(terms, packet)
        if reason:
            self.dropped[reason] += 1
            return None
        stream = self._stream(xid, each, order)
        if not stream.covered:
            self.dropped["service"] += 1
            return None
        if stream.secure:
            self._tell(xid, each, terms)
            if not (terms.encrypted or terms.keys_to_lemf):
                self.dropped["kept_back"] += 1
                return None
        return CcRecord(packet.time, stream.records, packet.payload)

    def _stream(self, xid: str, each: X3Packet, order: tuple[Terms, Profile]) -> _Passed:
        control = _is_control(each.packet.payload)
        key = (each.xid, each.correlation, each.direction, each.packet.place, control)
        known = self._streams.get(key)
        if known is not None and known.described is each.sdp:
            return known
        terms, profile = order
        line = None if each.sdp is None else _line(each.sdp, each)
        secure = line is not None and (line.secure or line.proto.upper() in sdp.DTLS_PROFILES)
        described = None
        if line is not None:
            datagram = each.packet.datagram
            place = inet.endpoint(datagram.dst, datagram.dport)
            described = describe(place, line.kind, line.codecs, secure=secure, control=control).encode()
        direction = _DIRECTIONS.get(each.direction, hi.Direction.INDETERMINATE)
        shape = form(profile, terms.liid, each.correlation, described)
        covered = covers(terms.services, None if line is None else of_line(line.kind, line.proto))
        cin = self._cin(xid, each.correlation) if covered else 0
        found = _Passed(each.sdp, CcStream(terms.liid, cin, direction, shape), secure, covered)
        self._streams.put(key, found)
        return found

    def _tell(self, xid: str, each: X3Packet, terms: Terms) -> None:
        call = (xid, each.correlation)
        if call in self._told:
            return
        self._told.put(call, None)
        dialog, at = DialogId(each.correlation.hex(), "", ""), Instant(each.packet.time, 0)
        self._failures.append(Failure(xid, each.correlation, dialog, at, 0, NO_KEYS, keys=True))
        if not (terms.encrypted or terms.keys_to_lemf):
            self._failures.append(Failure(xid, each.correlation, dialog, at, 0, KEPT_BACK, keys=False, missing=True))


def _is_control(payload: bytes) -> bool:
    return 192 <= payload[1] <= 223


def _reason(terms: Terms, packet: MediaPacket) -> str:
    """Why a packet is no content; empty: it is."""
    if not terms.content:
        return "scope"
    if (terms.start is not None and packet.time < terms.start) or (terms.end is not None and packet.time >= terms.end):
        return "outside"
    payload = packet.payload
    if len(payload) < _RTCP_HEADER or payload[0] & 0xC0 != _VERSION_BITS:
        return "not_rtp"
    return "" if len(payload) >= _RTP_HEADER or _is_control(payload) else "not_rtp"


def _line(description: bytes, each: X3Packet) -> sdp.Media | None:
    """The m-line that a packet goes to, or the only one there is."""
    try:
        lines = [line for line in sdp.parse(description).media if not line.rejected]
    except sdp.SdpError:
        return None
    for line in lines:
        if any(_goes_to(each.packet.place, place) for place in (line.endpoint, line.rtcp)):
            return line
    return lines[0] if len(lines) == 1 else None


def _goes_to(place: bytes, endpoint: sdp.Endpoint | None) -> bool:
    try:
        return endpoint is not None and inet.endpoint_key(inet.pack(endpoint.address), endpoint.port) == place
    except inet.InetError:
        return False
