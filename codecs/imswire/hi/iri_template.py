"""Records of events, and integrity checks, at speed: what is the same in all those of a subject or a communication is
encoded once.

Octet for octet what ``eps.build`` and ``build`` make of the same values.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from imswire.ber import BerError
from imswire.hi import eps, times
from imswire.hi.errors import HiError
from imswire.hi.mould import Mould
from imswire.hi.numbers import CheckType, IriType, TimeForm
from imswire.hi.pdu import build
from imswire.hi.places import (
    CIN,
    EPS_CORRELATION,
    EPS_SIP,
    EPS_TIME,
    EPS_VOIP,
    INTEGRITY_CHECK,
    IRI_CONTENTS,
    IRI_KIND,
    MICROSECONDS,
    SECONDS,
    SEQUENCE,
    Path,
    find,
)
from imswire.hi.schema import one_tlv, within
from imswire.hi.tri import INTEGRITY
from imswire.hi.values import Header, IntegrityCheck, Iri, Payload, PsPdu

_SECOND: Final = 1_000_000_000
_UINT32: Final = 1 << 32
_KINDS: Final = {kind.value: bytes((kind,)) for kind in IriType}


class EpsTemplate:
    """ePSIRI of SIP messages that differ in time (to the second, as UTCTime), message and correlation number only.

    ``parameters`` gives all else (its time, season and message are ignored), ``record`` the kind of epsIRIsContent
    (None: iRI-EPS-Parameters). The number that it has alone in ``correlation`` or ``ims_voip`` is of the size of all.
    HiError: a value breaks a bound of the module.
    """

    __slots__ = ("_correlation_octets", "_mould", "_numbers")

    def __init__(self, parameters: eps.IriParameters, record: int | None = None) -> None:
        whole = eps.build(replace(parameters, time=0, season=None, sip_message=b""), record)
        numbers: tuple[Path, ...] = EPS_VOIP if parameters.ims_voip else ()
        if parameters.correlation is not None:
            numbers = (EPS_CORRELATION, *numbers)
        around = (0,) if record is None else (1, record)
        time, message, *others = ((*around, *path) for path in (EPS_TIME, EPS_SIP, *numbers))
        self._mould = Mould(whole, (time, message, *others), fixed=(time, *others))
        self._numbers = len(others)
        number = find(whole, others[0]) if others else None
        self._correlation_octets = 0 if number is None else number.end - number.start

    def contents(self, time_ns: int, sip_message: bytes, correlation: bytes = b"") -> bytes:
        """``Iri.contents`` of one message; HiError when the time is out of range."""
        if not 0 <= time_ns < times.LAST:
            raise HiError("ePSIRI.timeStamp", "a time that UTCTime cannot say")
        if len(correlation) != self._correlation_octets:
            raise HiError("ePSIRI", "a correlation number of another size than the template's")
        return self._mould.filled(_utc(time_ns // _SECOND), sip_message, *(correlation,) * self._numbers)


class HeaderTemplate:
    """PS-PDUs that differ in CIN, sequence number, time, and in what stands at ``places`` of ``payload``.

    ``header`` gives all else (its own sequence, time and CIN are ignored; the time form is microseconds), ``isolated``
    leaves the CIN out. The contents at all but the last of the places never change their size. HiError: a value breaks
    a bound of the module.
    """

    __slots__ = ("_header", "_isolated", "_moulds", "_payload", "_places")

    def __init__(self, header: Header, payload: Payload, places: tuple[Path, ...], *, isolated: bool) -> None:
        self._header = replace(header, time_form=TimeForm.MICROSECONDS)
        numbers = (SEQUENCE, SECONDS, MICROSECONDS) if isolated else (CIN, SEQUENCE, SECONDS, MICROSECONDS)
        self._isolated = isolated
        self._payload = payload
        self._places = (*numbers, *places)
        # By how many octets the numbers take, which is nine at most.
        self._moulds: dict[tuple[int, ...], Mould] = {}
        self._mould((1,) * len(numbers))

    def pdu(self, cin: int, sequence: int, time_ns: int, *contents: bytes) -> bytes:
        """One PS-PDU (``cin`` is passed over in an isolated one); HiError when a number is out of range."""
        if not 0 <= sequence < _UINT32:
            raise HiError("PS-PDU.pSHeader.sequenceNumber", f"{sequence} is not in 0 to 2^32 - 1")
        if not 0 <= cin < _UINT32:
            raise HiError("PS-PDU.pSHeader.communicationIdentifier.communicationIdentityNumber", "not in 0 to 2^32 - 1")
        seconds, since = divmod(time_ns, _SECOND)
        if not 0 <= seconds < 1 << 64:
            raise HiError("PS-PDU.pSHeader.microSecondTimeStamp", "a time before 1970 or out of range")
        numbers = [sequence, seconds, since // 1_000] if self._isolated else [cin, sequence, seconds, since // 1_000]
        integers = [each.to_bytes((each.bit_length() >> 3) + 1, "big") for each in numbers]
        octets = tuple(map(len, integers))
        mould = self._moulds.get(octets) or self._mould(octets)
        return mould.filled(*integers, *contents)

    def _mould(self, octets: tuple[int, ...]) -> Mould:
        """PS-PDUs whose numbers take so many octets each."""
        cin, sequence, seconds, micro = (1 << 8 * each - 8 >> 1 for each in (1, *octets)[-4:])
        cid = replace(self._header.cid, cin=cin if len(octets) == 4 else None)
        head = replace(self._header, cid=cid, sequence=sequence, time=seconds * _SECOND + micro * 1_000)
        made = self._moulds[octets] = Mould(build(PsPdu(head, self._payload)), self._places, fixed=self._places[:-1])
        return made


class IriTemplate:
    """PS-PDUs with one IRI each, which differ in CIN, sequence number, time, kind and contents only.

    ``header`` and ``isolated`` are as in :class:`HeaderTemplate`. HiError: a value breaks a bound of the module.
    """

    __slots__ = ("_head",)

    def __init__(self, header: Header, *, isolated: bool) -> None:
        empty = (Iri(IriType.REPORT, b"\x80\0"),)
        self._head = HeaderTemplate(header, empty, (IRI_KIND, IRI_CONTENTS), isolated=isolated)

    def pdu(self, cin: int, sequence: int, time_ns: int, kind: int, contents: bytes) -> bytes:
        """One PS-PDU (``cin`` is passed over in an isolated one); HiError when a value is out of range, or
        ``contents`` no TLV of IRIContents.
        """
        if kind not in _KINDS:
            raise HiError("PS-PDU.payload.iRIPayloadSequence.iRIType", f"no such value: {kind}")
        try:
            one_tlv(contents)
        except (HiError, BerError) as fault:
            raise within("PS-PDU.payload.iRIPayloadSequence.iRIContents", fault) from None
        return self._head.pdu(cin, sequence, time_ns, _KINDS[kind], contents)


class CheckTemplate:
    """PS-PDUs with an integrity check each, which differ in CIN, sequence number, time and in the check only.

    ``header`` and ``isolated`` are as in :class:`HeaderTemplate`. HiError: a value breaks a bound of the module.
    """

    __slots__ = ("_head",)

    def __init__(self, header: Header, *, isolated: bool) -> None:
        empty = IntegrityCheck((), CheckType.HASH, None, b"")
        self._head = HeaderTemplate(header, empty, (INTEGRITY_CHECK,), isolated=isolated)

    def pdu(self, cin: int, sequence: int, time_ns: int, check: IntegrityCheck) -> bytes:
        """One PS-PDU (``cin`` is passed over in an isolated one); HiError when a value is out of range."""
        try:
            contents = INTEGRITY.write(check)
        except HiError as fault:
            raise within("PS-PDU.payload.tRIPayload.integrityCheck", fault) from None
        return self._head.pdu(cin, sequence, time_ns, contents)


@lru_cache(8)
def _utc(seconds: int) -> bytes:
    """Records come many to a second."""
    return times.utc(seconds * _SECOND).encode()
