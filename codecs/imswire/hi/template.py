"""Content records of one stream at speed: what is the same in all of them is encoded once.

One record is built in full and cut at the places of what changes; each further one is those pieces, of which only the
lengths are set, with the new values between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imswire import ber
from imswire.hi import ipmm, ts33128, voip
from imswire.hi.errors import HiError
from imswire.hi.mould import Mould
from imswire.hi.numbers import CcContents, TimeForm
from imswire.hi.pdu import build
from imswire.hi.places import MICROSECONDS, PAYLOADS, SECONDS, SEQUENCE, VOIP_NUMBER
from imswire.hi.values import Cc, CcForm, Header, IpmmStream, PsPdu, Ts33128Stream, VoipStream

MAX_SHAPES: Final = 1_024  # kept of one stream: widths of numbers times sizes of payloads; then it starts anew
_SECOND: Final = 1_000_000_000
_SEQUENCES: Final = 1 << 32
_PAYLOADS: Final = {
    IpmmStream: PAYLOADS[CcContents.IPMM],
    VoipStream: PAYLOADS[CcContents.VOIP_CC_PDU],
    Ts33128Stream: PAYLOADS[CcContents.TS33128],
}
_OCTETS: Final = tuple(bytes((octet,)) for octet in range(256))


def contents(stream: CcForm, direction: int | None, sequence: int, payload: bytes) -> bytes:
    """``Cc.contents`` of one record of a stream; only the number of voipCC-CC-PDU depends on ``sequence``."""
    if isinstance(stream, IpmmStream):
        return ipmm.build_cc(ipmm.IpmmCc(payload, stream.frame_type, stream.identifier, stream.protocol))
    if isinstance(stream, VoipStream):
        return voip.build(_voip(stream, direction, sequence, payload))
    return ts33128.build_cc(ts33128.CcPayload(ts33128.ImsCc(payload, stream.sdp)))


def _voip(stream: VoipStream, direction: int | None, sequence: int, payload: bytes) -> voip.VoipCc:
    described = voip.PayloadDescription(stream.sdp, stream.media_format, stream.media_attributes)
    return voip.VoipCc(
        liid=stream.liid,
        correlation=stream.correlation,
        sequence=sequence & 0xFFFF,
        direction=stream.direction if stream.direction is not None else voip.of_direction(direction),
        ice_type=stream.ice_type,
        description=described if described != voip.PayloadDescription() else None,
        payload=payload,
    )


class CcTemplate:
    """CC PS-PDUs that differ in sequence number, time and payload only.

    ``header`` gives all else (its own sequence and time are ignored; the time form is microseconds),
    ``direction`` is a Direction for payloadDirection (None: absent). Octet for octet what ``build`` makes of
    the same values. HiError: a value breaks a bound of the module.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_between",
        "_block",
        "_counted",
        "_direction",
        "_from",
        "_header",
        "_inside",
        "_mould",
        "_now",
        "_shape",
        "_shapes",
        "_stream",
        "_time",
    )

    def __init__(self, header: Header, direction: int | None, stream: CcForm) -> None:
        self._header, self._direction, self._stream = header, direction, stream
        self._counted = isinstance(stream, VoipStream)
        self._shapes: dict[tuple[int, ...], list[bytes]] = {}
        # What holds for one second and for 128 numbers, in which no more than the last octet changes.
        self._from, self._block = -_SECOND, -1
        self._now: dict[int, tuple[bytes, ...]] = {}
        # Of that, the pieces of the shape that came last: many streams are in hand at once, and each object counts.
        self._shape = -1
        self._before = self._time = self._between = self._inside = self._behind = b""
        payload = _PAYLOADS[type(stream)]
        places = (SEQUENCE, SECONDS, MICROSECONDS, *((VOIP_NUMBER, payload) if self._counted else (payload,)))
        self._mould = Mould(build(self.full(0, 0, b"")), places)

    def full(self, sequence: int, time_ns: int, payload: bytes) -> PsPdu:
        """The record as a value."""
        old = self._header
        header = Header(
            old.liid,
            old.cid,
            sequence,
            time_ns,
            old.country,
            old.point,
            old.qualifier,
            old.extended_point,
            old.function,
            old.version,
            TimeForm.MICROSECONDS,
        )
        return PsPdu(header, (Cc(self._direction, contents(self._stream, self._direction, sequence, payload)),))

    def pdu(self, sequence: int, time_ns: int, payload: bytes) -> bytes:
        """One PS-PDU; HiError when the sequence number or the time is out of range."""
        since = time_ns - self._from
        if not 0 <= since < _SECOND or sequence >> 7 != self._block:
            since = self._renew(sequence, time_ns)
        micro = since // 1_000
        fine = micro.bit_length() >> 3
        if len(payload) << 2 | fine != self._shape:
            self._turn(sequence, payload, fine)
        low, micros = _OCTETS[sequence & 0xFF], micro.to_bytes(fine + 1, "big")
        if self._counted:
            inside = (self._between, low, self._inside, payload, self._behind)
            return b"".join((self._before, low, self._time, micros, *inside))
        return b"".join((self._before, low, self._time, micros, self._between, payload, self._behind))

    def _turn(self, sequence: int, payload: bytes, fine: int) -> None:
        """To the pieces of another shape."""
        shape = len(payload) << 2 | fine
        pieces = self._now.get(shape) or self._learn(sequence, payload, fine)
        self._shape = shape
        if self._counted:
            self._before, self._time, self._between, self._inside, self._behind = pieces
        else:
            self._before, self._time, self._between, self._behind = pieces

    def pdus(self, sequence: int, records: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """PS-PDUs of (time, payload), numbered from ``sequence`` on, which wraps at 2^32."""
        pdu = self.pdu
        return [
            pdu(number % _SEQUENCES, time_ns, payload) for number, (time_ns, payload) in enumerate(records, sequence)
        ]

    def _renew(self, sequence: int, time_ns: int) -> int:
        """A new second or a new block of numbers; how far into the second it is."""
        if not 0 <= sequence < _SEQUENCES:
            raise HiError("PS-PDU.pSHeader.sequenceNumber", f"{sequence} is not in 0 to 2^32 - 1")
        seconds, since = divmod(time_ns, _SECOND)
        if not 0 <= seconds < 1 << 64:
            raise HiError("PS-PDU.pSHeader.microSecondTimeStamp", "a time before 1970 or out of range")
        self._from, self._block = seconds * _SECOND, sequence >> 7
        self._now.clear()
        self._shape = -1
        return since

    def _learn(self, sequence: int, payload: bytes, fine: int) -> tuple[bytes, ...]:
        """The pieces around what changes, for records like this one in this second and block."""
        seconds = ber.integer_contents(self._from // _SECOND)
        high = ber.integer_contents(sequence)[:-1]
        if self._counted:
            number = ber.integer_contents(sequence & 0xFFFF)
            sizes: tuple[int, ...] = (len(high) + 1, len(seconds), fine + 1, len(number), len(payload))
            before, time, then, between, inside, behind = self._pieces(sizes)
            found: tuple[bytes, ...] = before + high, time + seconds + then, between + number[:-1], inside, behind
        else:
            before, time, then, between, behind = self._pieces((len(high) + 1, len(seconds), fine + 1, len(payload)))
            found = before + high, time + seconds + then, between, behind
        if len(self._now) >= MAX_SHAPES:
            self._now.clear()
        self._now[len(payload) << 2 | fine] = found
        return found

    def _pieces(self, sizes: tuple[int, ...]) -> list[bytes]:
        shape = self._shapes.get(sizes)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[sizes] = self._mould.pieces(*sizes)
        return shape
