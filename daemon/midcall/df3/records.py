"""Content as records for HI3: which form, direction and communication each packet goes under.

A core. In clear or as captured is the warrant's choice: with ``keys_to_lemf`` a packet that its tag has proved goes
over as it was on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imswire import hi
from imswire.sdp import Codec
from midcall.config import Profile
from midcall.df3.stream import Content, Given, Recorded, Stream
from midcall.events import Cc, CcRecord, CcStream, Terms

CRLF = "\r\n"
# Each packet comes through here: nothing is called that need not be.
_make: Callable[[type[CcRecord], tuple[int, CcStream, bytes]], CcRecord] = tuple.__new__


_Order = tuple[Terms, Profile, Given]


class ContentRecords:
    """Makes records of the content of armed tasks; ``order`` says under what terms and in which form."""

    def __init__(self) -> None:
        self._orders: dict[str, _Order] = {}

    def order(self, xid: str, terms: Terms, profile: Profile) -> None:
        """The terms and the agency's profile of a task."""
        former = self._orders.get(xid)
        given = Given() if former is None else former[2]
        given.open, given.wire = True, terms.keys_to_lemf
        self._orders[xid] = (terms, profile, given)

    def end(self, xid: str) -> None:
        """Nothing more is content of a task."""
        order = self._orders.pop(xid, None)
        if order is not None:
            order[2].open = False

    def given(self, xid: str) -> tuple[int, int]:
        """When a packet of a task was handed over last (wall ns; 0: none was), and the octets of all."""
        order = self._orders.get(xid)
        return (0, 0) if order is None else (order[2].last, order[2].octets)

    def of(self, content: list[Content]) -> list[CcRecord]:
        """Records of the content, in its order; content of a task without an order gives none."""
        records: list[CcRecord] = []
        append = records.append
        for time, stream, payload, datagram, encrypted in content:
            known = stream.records
            if known is None or known[0] is not stream.flow or known[1] is not encrypted or not known[3].open:
                known = self.begin(stream, encrypted)
                if known is None:
                    continue
            given = known[3]
            given.last = time
            given.octets += len(payload)
            append(_make(CcRecord, (time, known[2], datagram.payload if given.wire else payload)))
        return records

    def add(self, made: list[Cc], time: int, stream: Stream, payload: bytes) -> None:
        """The record of one packet that goes over as it was on the wire, where that is encrypted as captured."""
        known, encrypted = stream.records, stream.flow.secure
        if known is None or known[0] is not stream.flow or known[1] is not encrypted or not known[3].open:
            known = self.begin(stream, encrypted)
        if known is not None:
            known[3].last = time
            known[3].octets += len(payload)
            made.append((time, known[2], payload))

    def begin(self, stream: Stream, encrypted: bool) -> Recorded | None:
        """What all records of a stream have in common from now on; None: its task has no order."""
        order = self._orders.get(stream.xid)
        if order is None:
            return None
        stream.records = stream.flow, encrypted, _stream(stream, order, encrypted), order[2]
        return stream.records


def _stream(stream: Stream, order: _Order, encrypted: bool) -> CcStream:
    """What all records of a stream have in common."""
    terms, profile, _ = order
    secure = encrypted or (terms.keys_to_lemf and stream.flow.secure)
    return CcStream(terms.liid, stream.cin, _direction(stream), _form(stream, profile, terms.liid, secure))


def _direction(stream: Stream) -> int:
    if stream.target is None:
        return hi.Direction.INDETERMINATE
    return hi.Direction.FROM_TARGET if stream.flow.sender == stream.target else hi.Direction.TO_TARGET


def _form(stream: Stream, profile: Profile, liid: str, secure: bool) -> hi.CcForm:
    flow = stream.flow
    described = describe(stream.destination, flow.kind, flow.codecs, secure=secure, control=stream.control)
    return form(profile, liid, stream.correlation, described.encode())


def form(profile: Profile, liid: str, correlation: bytes, described: bytes | None) -> hi.CcForm:
    """What the records of a stream are like for an agency."""
    if profile.cc == "voip":
        return hi.VoipStream(liid.encode(), correlation, sdp=described)
    if profile.cc == "ts33128":
        return hi.Ts33128Stream(described)
    return hi.IpmmStream(identifier=described)


def describe(destination: str, kind: str, codecs: Mapping[int, Codec], *, secure: bool, control: bool) -> str:
    """The c= and m= lines of a stream as they stand for its destination (TS 102 232-5 5.3: streamIdentifier)."""
    address, _, port = destination.rpartition(":")
    version = "IP6" if address.startswith("[") else "IP4"
    formats = " ".join(str(each) for each in sorted(codecs)) or "0"
    profile = "RTP/SAVP" if secure else "RTP/AVP"
    lines = [f"c=IN {version} {address.strip('[]')}", f"m={kind} {port} {profile} {formats}"]
    if control:
        # The port of the m-line is the one that the packets go to, here that of RTCP.
        lines.append(f"a=rtcp:{port}")
    lines += [f"a=rtpmap:{number} {codec.name}/{codec.rate}" for number, codec in sorted(codecs.items())]
    return CRLF.join(lines)
