"""What is wrong with a PS-PDU: the bounds and mandatory members of the modules, and the rules of the prose.

For a receiver: reading (:func:`imswire.hi.parse`) takes what can be understood, this names what a sender should
not have sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from imswire import ber
from imswire.ber import BerError
from imswire.hi import eps, hi1, voip
from imswire.hi import values as v
from imswire.hi.eps_values import ImsEvent, IriParameters
from imswire.hi.errors import HiError
from imswire.hi.examination import Finding, Node, Report
from imswire.hi.numbers import CcContents, CheckType, IriContents, IriType
from imswire.hi.pdu import PS_PDU, parse
from imswire.hi.primitives import sequence

_HEADER = "pSHeader"
_OPTIONAL = tuple(set(IriParameters.__struct_fields__) - {"liid", "time", "season", "release"})


def check(octets: bytes) -> list[Finding]:
    """Every rule that the octets of one PS-PDU break, with path and offset; empty when there is none.

    Nothing is raised: octets that are no PS-PDU are a finding too.
    """
    try:
        outer = sequence(octets)
    except (HiError, BerError) as fault:
        return [Finding("PS-PDU", fault.reason, fault.offset or 0)]
    report = Report(values=False)
    root = PS_PDU.examine(octets, outer, "PS-PDU", report)
    try:
        broken = [*_twice_timed(root), *rules(parse(octets))]
    except HiError as fault:
        path = fault.path.removeprefix("PS-PDU.")
        if (path, fault.reason) not in {(finding.path, finding.rule) for finding in report.findings}:
            report.findings.append(Finding(path, fault.reason, fault.offset or 0))
        return report.findings
    report.findings.extend(Finding(path, rule, _place(root, path)) for path, rule in broken)
    return report.findings


def _twice_timed(root: Node) -> Iterator[tuple[str, str]]:
    header = next((node for node in root.inside if node.name == _HEADER), root)
    if {"timeStamp", "microSecondTimeStamp"} <= {node.name for node in header.inside}:
        yield _HEADER, "timeStamp and microSecondTimeStamp, where one of them is meant"


def _place(node: Node, path: str) -> int:
    """The offset of a member, or of the innermost around it that is there."""
    for name in path.replace("[", ".[").split("."):
        found = next((inner for inner in node.inside if inner.name == name), None)
        if found is None:
            break
        node = found
    return node.offset


def rules(pdu: v.PsPdu) -> Iterator[tuple[str, str]]:
    """The rules of the prose that a PS-PDU breaks, as path and rule."""
    yield from _header(pdu)
    if isinstance(pdu.payload, tuple):
        for number, each in enumerate(pdu.payload):
            if isinstance(each, v.Iri):
                yield from _iri(pdu.header, each, f"payload.iRIPayloadSequence[{number}]")
            elif isinstance(each, v.Cc):
                yield from _cc(pdu.header, each, f"payload.cCPayloadSequence[{number}]")
    elif isinstance(pdu.payload, v.IntegrityCheck):
        yield from _integrity(pdu.payload, "payload.tRIPayload.integrityCheck")
    elif isinstance(pdu.payload, v.Hi1):
        yield from _hi1(pdu.header, pdu.payload, "payload.hI1-Operation")


def _header(pdu: v.PsPdu) -> Iterator[tuple[str, str]]:
    header, payload = pdu.header, pdu.payload
    records = payload if isinstance(payload, tuple) else ()
    wanted = isinstance(payload, v.KeepAlive | v.KeepAliveResponse)
    wanted = wanted or any(isinstance(each, v.Iri) and each.time is None for each in records)
    if header.time is None and wanted:
        yield _HEADER, "no time stamp (TS 102 232-1 5.2.6)"
    if header.time is not None and isinstance(payload, v.FirstSegment | v.LastSegment):
        yield _HEADER, "segment flag with a time stamp"
    if header.cid.cin is None and any(isinstance(each, v.Cc) for each in records):
        yield f"{_HEADER}.communicationIdentifier", "content without a communicationIdentityNumber (5.2.4)"
    if isinstance(payload, v.TestPdu | v.CinReset) and header.sequence:
        yield f"{_HEADER}.sequenceNumber", "not 0"
    if isinstance(payload, v.CinReset) and (header.liid != b"-" or header.cid.cin != 0):
        yield _HEADER, 'cINReset with a LIID that is not "-", or a CIN that is not 0'


def _integrity(check: v.IntegrityCheck, path: str) -> Iterator[tuple[str, str]]:
    if not check.numbers:
        yield f"{path}.includedSequenceNumbers", "no sequence numbers"
    if check.data is None:
        yield path, "no dataType: what was hashed is not said"
    if check.kind == CheckType.HASH and check.hash_algorithm is None:
        yield path, "hash without hashAlgorithm"
    if check.kind == CheckType.SIGNATURE and check.signature_algorithm is None:
        yield path, "signature without signatureAlgorithm"


def _iri(header: v.Header, iri: v.Iri, path: str) -> Iterator[tuple[str, str]]:
    if iri.kind is None:
        yield path, "no iRIType (5.2.10)"
    if _tag(iri.contents) != IriContents.EPS:
        return
    try:
        records = eps.parse_all(iri.contents)
    except HiError:
        return  # the examination has named what is wrong
    path += ".iRIContents.ePSIRI"
    for kind, parameters in records:
        if kind is not None and iri.kind is not None and kind != iri.kind:
            yield path, f"record of type {int(kind)} in an IRIPayload of type {int(iri.kind)}"
        if parameters.liid != header.liid:
            yield path, "lawfulInterceptionIdentifier is not that of the header (TS 102 232-7 table A.1)"
        yield from _event(parameters, path)
        if (
            kind != IriType.END
            and iri.kind != IriType.END
            and all(getattr(parameters, name) is None for name in _OPTIONAL)
        ):
            yield path, "no optional member, where one at least is to go with such a record (TS 33.108 B.3)"


def _event(parameters: IriParameters, path: str) -> Iterator[tuple[str, str]]:
    """What belongs to an IMSevent (TS 33.107 7A, TS 33.108)."""
    event = parameters.event
    message = parameters.sip_message is not None
    if event in (ImsEvent.UNFILTERED_SIP_MESSAGE, ImsEvent.SIP_HEADER_ONLY) and not message:
        yield path, "iMSevent of a SIP message without sIPMessage"
    if event == ImsEvent.DECRYPTION_KEYS_AVAILABLE and parameters.keys is None and parameters.security_failure is None:
        yield path, "decryptionKeysAvailable with neither mediaDecryption-info nor mediaSecFailureIndication"
    if event == ImsEvent.START_OF_INTERCEPTION and parameters.header_offer is None and parameters.sdp_offer is None:
        yield path, "startOfInterceptionForIMSEstablishedSession without an offer"
    if event == ImsEvent.CC_UNAVAILABLE and parameters.cc_unavailable_reason is None:
        yield path, "ccUnavailable without ccUnavailableReason"


def _cc(header: v.Header, cc: v.Cc, path: str) -> Iterator[tuple[str, str]]:
    if cc.direction is None:
        yield path, "no payloadDirection"
    if _tag(cc.contents) != CcContents.VOIP_CC_PDU:
        return
    try:
        inner = voip.parse(cc.contents)
    except HiError:
        return
    if inner.liid is not None and inner.liid != header.liid:
        yield f"{path}.cCContents.voipCC-CC-PDU", "lIID is not that of the header"


def _hi1(header: v.Header, notification: v.Hi1, path: str) -> Iterator[tuple[str, str]]:
    try:
        found = hi1.parse(notification.contents)
    except HiError:
        return
    if not isinstance(found, hi1.NationalHi1) and found.liid not in (None, header.liid):
        yield path, "lawfulInterceptionIdentifier is not that of the header"


def _tag(contents: bytes) -> int | None:
    """Of the alternative; None: it is not one TLV, which the examination has named."""
    try:
        return ber.only(contents).number
    except BerError:
        return None
