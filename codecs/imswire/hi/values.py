"""PS-PDUs of TS 102 232-1 as values: what a record says, without tags and lengths.

Times are nanoseconds since 1970 (UTC); microSecondTimeStamp carries them cut to microseconds.
``Iri.contents``, ``Cc.contents`` and ``Hi1.contents`` are the whole TLV of the chosen alternative: the modules
:mod:`imswire.hi.eps`, :mod:`~imswire.hi.ipmm`, :mod:`~imswire.hi.ts33128`, :mod:`~imswire.hi.voip` and
:mod:`~imswire.hi.hi1` build and read them.
"""

from __future__ import annotations

from msgspec import Struct

from imswire.hi.numbers import PS_PDU_VERSION, FrameType, HashAlgorithm, MmccProtocol, TimeForm


class CommunicationId(Struct, frozen=True, gc=False):
    """communicationIdentifier: operatorIdentifier (1 to 16 octets), networkElementIdentifier (1 to 16),
    communicationIdentityNumber, deliveryCountryCode (2 letters), cINExtension (TLV of CorrelationValues).
    """

    operator: bytes
    element: bytes | None = None
    cin: int | None = None
    country: str | None = None
    extension: bytes | None = None


class Header(Struct, frozen=True, gc=False):
    """PSHeader (TS 102 232-1 5.2).

    ``liid`` 1 to 25 octets, ``sequence`` below 2^32, ``country`` authorizationCountryCode, ``point``
    interceptionPointID (1 to 8 characters), ``extended_point`` extendedInterceptionPointID, ``function``
    networkFunctionIdentifier, ``version`` the last arc of li-psDomainId.
    """

    liid: bytes
    cid: CommunicationId
    sequence: int
    time: int | None = None
    country: str | None = None
    point: str | None = None
    qualifier: int | None = None
    extended_point: bytes | None = None
    function: bytes | None = None
    version: int = PS_PDU_VERSION
    time_form: int = TimeForm.MICROSECONDS


class Iri(Struct, frozen=True, gc=False):
    """IRIPayload: ``kind`` an IriType, ``contents`` the TLV of the IRIContents alternative, directions a Direction.

    The representation shows no contents, which may hold keys.
    """

    kind: int | None
    contents: bytes
    time: int | None = None
    qualifier: int | None = None
    session_direction: int | None = None
    direction: int | None = None
    time_form: int = TimeForm.MICROSECONDS

    def __repr__(self) -> str:
        return f"Iri(kind={self.kind!r}, contents=<{len(self.contents)} octets>, time={self.time})"


class Cc(Struct, frozen=True, gc=False):
    """CCPayload: ``contents`` is the TLV of the CCContents alternative; the representation does not show it."""

    direction: int | None
    contents: bytes
    time: int | None = None
    qualifier: int | None = None
    time_form: int = TimeForm.MICROSECONDS

    def __repr__(self) -> str:
        return f"Cc(direction={self.direction!r}, contents=<{len(self.contents)} octets>, time={self.time})"


# Transport-related information (TRIPayload, TS 102 232-1 6.2, 6.3)


class IntegrityCheck(Struct, frozen=True, gc=False):
    """integrityCheck: a hash (CheckType.HASH) or signature over the PDUs of ``numbers``, in that order."""

    numbers: tuple[int, ...]
    kind: int
    data: int | None
    value: bytes
    hash_algorithm: int | None = HashAlgorithm.SHA_256
    signature_algorithm: int | None = None


class TestPdu(Struct, frozen=True, gc=False):
    """testPDU: sequence number 0."""

    __test__ = False  # no test case, whatever its name begins with


class Padding(Struct, frozen=True, gc=False):
    """paddingPDU."""

    octets: bytes


class KeepAlive(Struct, frozen=True, gc=False):
    """keep-alive."""


class KeepAliveResponse(Struct, frozen=True, gc=False):
    """keep-aliveResponse: with the sequence number of what it answers."""


class FirstSegment(Struct, frozen=True, gc=False):
    """firstSegmentFlag: the header's sequence number is that of the segment's first data PDU."""


class LastSegment(Struct, frozen=True, gc=False):
    """lastSegmentFlag: the header's sequence number is that of the segment's last data PDU."""


class CinReset(Struct, frozen=True, gc=False):
    """cINReset: LIID "-", CIN 0, sequence number 0."""


class OperatorLeaMessage(Struct, frozen=True, gc=False):
    """operatorLeaMessage: a Priority and 1 to 255 octets."""

    priority: int
    message: bytes


class OptionRequest(Struct, frozen=True, gc=False):
    """optionRequest: the Options that are asked for."""

    options: tuple[int, ...]


class OptionResponse(Struct, frozen=True, gc=False):
    """optionResponse."""

    accepted: tuple[int, ...]
    declined: tuple[int, ...]


class OptionComplete(Struct, frozen=True, gc=False):
    """optionComplete."""


class AckRequest(Struct, frozen=True, gc=False):
    """pDUAcknowledgementRequest."""


class AckResponse(Struct, frozen=True, gc=False):
    """pDUAcknowledgementResponse: with the sequence number of the request, for all sent before that."""


Tri = (
    IntegrityCheck
    | TestPdu
    | Padding
    | KeepAlive
    | KeepAliveResponse
    | FirstSegment
    | LastSegment
    | CinReset
    | OperatorLeaMessage
    | OptionRequest
    | OptionResponse
    | OptionComplete
    | AckRequest
    | AckResponse
)


# Other payloads


class Hi1(Struct, frozen=True, gc=False):
    """hI1-Operation: ``contents`` is the TLV of its alternative, see :mod:`imswire.hi.hi1`."""

    contents: bytes


class EncryptionContainer(Struct, frozen=True, gc=False):
    """encryptionContainer: an EncryptionType, the encrypted octets, an EncryptedPayloadType."""

    kind: int
    octets: bytes
    payload_type: int | None = None


class Opaque(Struct, frozen=True, gc=False):
    """A payload that is not decoded: the context tag of its alternative, and its whole TLV."""

    tag: int
    octets: bytes


Payload = tuple[Iri, ...] | tuple[Cc, ...] | Tri | Hi1 | EncryptionContainer | Opaque


class PsPdu(Struct, frozen=True, gc=False):
    """One PS-PDU. A tuple of Iri or Cc is never empty; an empty sequence is read as Opaque."""

    header: Header
    payload: Payload


# What stays the same in all content records of a stream, see :mod:`imswire.hi.template`


class IpmmStream(Struct, frozen=True, gc=False):
    """iPMMCC of TS 102 232-5: a FrameType, streamIdentifier, a MmccProtocol."""

    frame_type: int | None = FrameType.RTP
    identifier: bytes | None = None
    protocol: int | None = MmccProtocol.RTP


class VoipStream(Struct, frozen=True, gc=False):
    """voipCC-CC-PDU of TS 33.108 B.12; ``correlation`` is what the IRI carry in ``cc`` of imsVoIP.

    ``direction`` is a TpduDirection of :mod:`imswire.hi.voip` (None: what the template's direction says),
    ``ice_type`` an IceType of it, ``sdp``, ``media_format`` (an RTP payload type) and ``media_attributes`` are
    payload-description. The sequence-number of each record is that of the PS-PDU modulo 2^16.
    """

    liid: bytes | None
    correlation: bytes
    direction: int | None = None
    ice_type: int | None = None
    sdp: bytes | None = None
    media_format: int | None = None
    media_attributes: bytes | None = None


class Ts33128Stream(Struct, frozen=True, gc=False):
    """threeGPP33128DefinedCC: IMSCCPDU, with sDPInfo when there is any."""

    sdp: bytes | None = None


CcForm = IpmmStream | VoipStream | Ts33128Stream
