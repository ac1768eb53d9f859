"""Transport-related information, the TRIPayload of TS 102 232-1."""

from __future__ import annotations

from typing import Any, Final

from imswire import ber
from imswire.hi import values as v
from imswire.hi.numbers import CheckType, DataType, HashAlgorithm, Option, Priority, SignatureAlgorithm, TriTag
from imswire.hi.primitives import Enumerated, Integer, Null, Octets
from imswire.hi.schema import Choice, Member, Sequence, SequenceOf, must

TRI_CLASSES: Final = (
    v.IntegrityCheck,
    v.TestPdu,
    v.Padding,
    v.KeepAlive,
    v.KeepAliveResponse,
    v.FirstSegment,
    v.LastSegment,
    v.CinReset,
    v.OperatorLeaMessage,
    v.OptionRequest,
    v.OptionResponse,
    v.OptionComplete,
    v.AckRequest,
    v.AckResponse,
)  # in the order of their tags
_TAGS: dict[type, int] = {cls: tag for tag, cls in enumerate(TRI_CLASSES)}

INTEGRITY: Final = Sequence(
    v.IntegrityCheck,
    (
        must(0, "includedSequenceNumbers", "numbers", SequenceOf(Integer(0, (1 << 32) - 1))),
        must(1, "checkType", "kind", Enumerated(CheckType, "hash signature")),
        Member(2, "dataType", "data", Enumerated(DataType, "iRI cC iLHI")),
        must(3, "checkValue", "value", Octets(binary=True)),
        Member(4, "hashAlgorithm", "hash_algorithm", Enumerated(HashAlgorithm, "sHA-1 sHA-256 sHA-384 sHA-512")),
        Member(5, "signatureAlgorithm", "signature_algorithm", Enumerated(SignatureAlgorithm, "dSA eCDSA edDSA")),
    ),
    make=lambda found: v.IntegrityCheck(**({"data": None, "hash_algorithm": None} | found)),
)
_MESSAGE = Sequence(
    v.OperatorLeaMessage,
    (
        must(0, "messagePriority", "priority", Enumerated(Priority, "error informational")),
        must(1, "message", "message", Octets(1, 255)),
    ),
)
_KNOWN = frozenset(Option)
_OPTIONS = SequenceOf(
    Choice(
        (must(Option.PDU_ACKNOWLEDGEMENT, "pDUAcknowledgement", "", Null()),),
        lambda option: (option, True if option in _KNOWN else ber.tlv(ber.identifier(ber.CONTEXT, option, False), b"")),
        lambda tag, _: Option(tag),
        lambda tag, _: tag,  # an option that is newer than this module can be declined by its tag
    )
)
_REQUEST = Sequence(v.OptionRequest, (must(0, "requestedOptions", "options", _OPTIONS),))
_RESPONSE = Sequence(
    v.OptionResponse,
    (must(0, "acceptedOptions", "accepted", _OPTIONS), must(1, "declinedOptions", "declined", _OPTIONS)),
)


def _pick(value: Any) -> tuple[int, Any]:
    return _TAGS[type(value)], value.octets if isinstance(value, v.Padding) else value


def _make(tag: int, inner: Any) -> Any:
    return v.Padding(inner) if tag == TriTag.PADDING_PDU else inner


TRI: Final = Choice(
    (
        must(TriTag.INTEGRITY_CHECK, "integrityCheck", "", INTEGRITY),
        must(TriTag.TEST_PDU, "testPDU", "", Null(v.TestPdu())),
        must(TriTag.PADDING_PDU, "paddingPDU", "", Octets(binary=True)),
        must(TriTag.KEEP_ALIVE, "keep-alive", "", Null(v.KeepAlive())),
        must(TriTag.KEEP_ALIVE_RESPONSE, "keep-aliveResponse", "", Null(v.KeepAliveResponse())),
        must(TriTag.FIRST_SEGMENT_FLAG, "firstSegmentFlag", "", Null(v.FirstSegment())),
        must(TriTag.LAST_SEGMENT_FLAG, "lastSegmentFlag", "", Null(v.LastSegment())),
        must(TriTag.CIN_RESET, "cINReset", "", Null(v.CinReset())),
        must(TriTag.OPERATOR_LEA_MESSAGE, "operatorLeaMessage", "", _MESSAGE),
        must(TriTag.OPTION_REQUEST, "optionRequest", "", _REQUEST),
        must(TriTag.OPTION_RESPONSE, "optionResponse", "", _RESPONSE),
        must(TriTag.OPTION_COMPLETE, "optionComplete", "", Null(v.OptionComplete())),
        must(TriTag.PDU_ACKNOWLEDGEMENT_REQUEST, "pDUAcknowledgementRequest", "", Null(v.AckRequest())),
        must(TriTag.PDU_ACKNOWLEDGEMENT_RESPONSE, "pDUAcknowledgementResponse", "", Null(v.AckResponse())),
    ),
    _pick,
    _make,
    v.Opaque,
)
