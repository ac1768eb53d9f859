"""IRI and CC of TS 102 232-5, module IPMultimediaPDU version13: SIP messages and media packets."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from msgspec import Struct

from imswire import ber
from imswire.hi.common import NATIONAL, NationalParameters
from imswire.hi.errors import HiError
from imswire.hi.numbers import CcContents, FrameType, IriContents, MmccProtocol
from imswire.hi.primitives import Enumerated, Integer, Octets, Oid, Raw, Text
from imswire.hi.schema import Choice, Member, Sequence, SequenceOf, must, read_contents, write_contents

VERSION: Final = 13
_MODULE = (5, 5)  # li-ps(5) iPMultimedia(5), relative to lawfulIntercept(2)


class IpType(IntEnum):
    """iP-type."""

    IPV4 = 0
    IPV6 = 1


class Assignment(IntEnum):
    """iP-assignment."""

    STATIC = 1
    DYNAMIC = 2
    NOT_KNOWN = 3


class MessageForm(IntEnum):
    """The alternative of IPMMIRIContents: its tag."""

    ORIGINAL = 0
    SIP = 1
    H323 = 2
    NATIONAL = 3
    XCAP = 4
    IRI_ONLY_ORIGINAL = 5
    IRI_ONLY_SIP = 6


class IpAddress(Struct, frozen=True, gc=False):
    """IPAddress: ``address`` is 4 to 16 octets (iPBinaryAddress) or 7 to 45 characters (iPTextAddress)."""

    kind: int
    address: bytes | str
    assignment: int | None = None
    prefix: int | None = None
    mask: bytes | None = None

    @classmethod
    def of(cls, packed: bytes) -> IpAddress:
        """Of 4 or 16 octets in network order."""
        return cls(IpType.IPV4 if len(packed) == 4 else IpType.IPV6, packed)


class SipMessage(Struct, frozen=True, gc=False):
    """SIPMessage: with the addresses of the network layer where it was seen."""

    source: IpAddress
    destination: IpAddress
    content: bytes


class IpmmIri(Struct, frozen=True, gc=False):
    """IPMMIRI. ``message`` is a SipMessage for the SIP forms, NationalParameters for the national one, else octets
    (for H.323 the contents of H323Message). ``headers`` are sipHeaderLines of additionalSignalling, ``location`` the
    contents of targetLocation.
    """

    form: int
    message: SipMessage | NationalParameters | bytes
    headers: tuple[bytes, ...] | None = None
    location: bytes | None = None
    version: int = VERSION


class IpmmCc(Struct, frozen=True, gc=False):
    """IPMMCC: one packet; a FrameType says where it begins, ``identifier`` is streamIdentifier."""

    contents: bytes
    frame_type: int | None = None
    identifier: bytes | None = None
    protocol: int | None = None
    version: int = VERSION


def _pick_address(value: bytes | str) -> tuple[int, Any]:
    return (1, value) if isinstance(value, bytes) else (2, value)


IP_ADDRESS: Final = Sequence(
    IpAddress,
    (
        must(1, "iP-type", "kind", Enumerated(IpType, "iPV4 iPV6")),
        must(
            2,
            "iP-value",
            "address",
            Choice(
                (
                    must(1, "iPBinaryAddress", "", Octets(4, 16, binary=True)),
                    must(2, "iPTextAddress", "", Text(ber.IA5_STRING, 7, 45)),
                ),
                _pick_address,
                lambda _, inner: inner,
            ),
        ),
        Member(3, "iP-assignment", "assignment", Enumerated(Assignment, "static dynamic notKnown")),
        Member(4, "iPv6PrefixLength", "prefix", Integer(1, 128)),
        Member(5, "iPv4SubnetMask", "mask", Octets(4, 4)),
    ),
)
_SIP_MESSAGE = Sequence(
    SipMessage,
    (
        must(0, "iPSourceAddress", "source", IP_ADDRESS),
        must(1, "iPDestinationAddress", "destination", IP_ADDRESS),
        must(2, "sIPContent", "content", Octets()),
    ),
)
_CONTENTS = Choice(
    (
        must(MessageForm.ORIGINAL, "originalIPMMMessage", "", Octets()),
        must(MessageForm.SIP, "sIPMessage", "", _SIP_MESSAGE),
        must(MessageForm.H323, "h323Message", "", Raw()),
        must(MessageForm.NATIONAL, "nationalIPMMIRIParameters", "", NATIONAL),
        must(MessageForm.XCAP, "xCAPMessage", "", Octets()),
        must(MessageForm.IRI_ONLY_ORIGINAL, "iRIOnlyOriginalIPMMMessage", "", Octets()),
        must(MessageForm.IRI_ONLY_SIP, "iRIOnlySIPMessage", "", _SIP_MESSAGE),
    ),
    lambda value: value,
    lambda tag, inner: (MessageForm(tag), inner),
)
_SIGNALLING = Choice(
    (must(0, "sipHeaderLine", "", Octets()),),
    lambda value: (0, value),
    lambda _, inner: inner,
)


def _iri(found: dict[str, Any]) -> IpmmIri:
    form, message = found.pop("contents")
    return IpmmIri(form, message, **found)


IPMM_IRI: Final = Sequence(
    IpmmIri,
    (
        must(0, "iPMMIRIObjId", "version", Oid(_MODULE, 1, (1,), relative=True)),
        must(1, "iPMMIRIContents", "contents", _CONTENTS, lambda iri: (iri.form, iri.message)),
        Member(2, "targetLocation", "location", Raw()),
        Member(3, "additionalSignalling", "headers", SequenceOf(_SIGNALLING)),
    ),
    make=_iri,
)
FRAME_TYPE: Final = Enumerated(
    FrameType, "ipFrame udpFrame rtpFrame audioFrame tcpFrame artificialRtpFrame udptlFrame msrpFrame"
)
IPMM_CC: Final = Sequence(
    IpmmCc,
    (
        must(0, "iPMMCCObjId", "version", Oid(_MODULE, 1, (2,), relative=True)),
        must(1, "mMCCContents", "contents", Octets(binary=True)),
        Member(2, "frameType", "frame_type", FRAME_TYPE),
        Member(3, "streamIdentifier", "identifier", Octets()),
        Member(4, "mMCCprotocol", "protocol", Enumerated(MmccProtocol, "rTP mSRP uDPTL")),
    ),
)
_IRI_HEAD = ber.identifier(ber.CONTEXT, IriContents.IPMM, True)
_CC_HEAD = ber.identifier(ber.CONTEXT, CcContents.IPMM, True)


def build_iri(iri: IpmmIri) -> bytes:
    """iPMMIRI for ``Iri.contents``."""
    if isinstance(iri.message, SipMessage) != (iri.form in (MessageForm.SIP, MessageForm.IRI_ONLY_SIP)):
        raise HiError("iPMMIRI", "a SIP message in a form for another, or the other way round")
    if isinstance(iri.message, NationalParameters) != (iri.form == MessageForm.NATIONAL):
        raise HiError("iPMMIRI", "national parameters in a form for another, or the other way round")
    return write_contents("iPMMIRI", _IRI_HEAD, IPMM_IRI, iri)


def parse_iri(contents: bytes) -> IpmmIri:
    """Of ``Iri.contents``; HiError when it is no iPMMIRI."""
    return read_contents("iPMMIRI", IriContents.IPMM, IPMM_IRI, contents)  # type: ignore[no-any-return]


def build_cc(cc: IpmmCc) -> bytes:
    """iPMMCC for ``Cc.contents``."""
    return write_contents("iPMMCC", _CC_HEAD, IPMM_CC, cc)


def parse_cc(contents: bytes) -> IpmmCc:
    """Of ``Cc.contents``; HiError when it is no iPMMCC."""
    return read_contents("iPMMCC", CcContents.IPMM, IPMM_CC, contents)  # type: ignore[no-any-return]
