"""Records of HI2 in the forms that an agency may want: TS 33.108 EPS, TS 102 232-5, TS 33.128.

What a form has no record for goes as EPS: the start of interception in TS 102 232-5, keys and their failure in
both others.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from imswire import inet, sip
from imswire.hi import EpsTemplate, eps, ipmm, ts33128
from midcall.base import redaction
from midcall.config import Network, Profile
from midcall.df2 import modifications
from midcall.events import Side, Terms

UNKNOWN = "sip:anonymous@anonymous.invalid"
NO_PLACE = b"\0\0\0\0"


class Agency(Struct, frozen=True):
    """What the records of one task look like, and what its warrant allows."""

    terms: Terms
    profile: Profile
    network: Network

    def is_like(self, other: Agency) -> bool:
        """Whether records look alike, and the same is disclosed in them: windows aside."""
        terms = structs.replace(other.terms, start=self.terms.start, end=self.terms.end)
        return structs.replace(other, terms=terms) == self


class About(Struct, frozen=True, gc=False):
    """What records of one event have in common: whom it concerns, when (wall ns), and which record it is."""

    identity: str
    target: Side | None
    correlation: bytes | None
    at: int
    kind: int


class Parties(Struct, frozen=True, gc=False):
    """The two ends of a session as its messages name them."""

    caller: tuple[str, ...]
    callee: str | None


# Each of these makes the contents of an IRIPayload.


def sip_message(
    agency: Agency, about: About, seen: sip.SipMessage, left: redaction.Redacted, source: str, destination: str
) -> bytes:
    """What is left of a SIP message that was seen between two places ("ip:port"): TS 33.128 tells what is not.

    The form ``eps`` has no places: see :func:`sip_template`.
    """
    if agency.profile.iri == "ipmm":
        ends = (ipmm.IpAddress.of(_packed(source)), ipmm.IpAddress.of(_packed(destination)))
        kind = ipmm.MessageForm.SIP if agency.terms.content else ipmm.MessageForm.IRI_ONLY_SIP
        return ipmm.build_iri(ipmm.IpmmIri(kind, ipmm.SipMessage(*ends, left.octets)))
    message = ts33128.SipMessage(_packed(source), _packed(destination), left.octets)
    removed = modifications.declared(seen, left)
    event = ts33128.ImsMessage(message=message, direction=_session(about.target), modifications=removed)
    return ts33128.build_iri(ts33128.IriPayload(event, _targets(about.identity)))


def sip_template(agency: Agency, about: About) -> EpsTemplate:
    """What SIP messages have in common in the form ``eps``; they differ in time, correlation number and octets."""
    whole = eps.ImsEvent.UNFILTERED_SIP_MESSAGE if agency.terms.content else eps.ImsEvent.SIP_HEADER_ONLY
    given = _eps(agency, about, event=whole, initiator=_initiator(about.target))
    return EpsTemplate(given, _record(agency, about))


class Session(Struct, frozen=True, gc=False):
    """The offer and answer in force: heads of the messages that carried them, and the descriptions."""

    offer_head: bytes | None = None
    offer: bytes | None = None
    answer_head: bytes | None = None
    answer: bytes | None = None


def start_of_interception(agency: Agency, about: About, session: Session, parties: Parties) -> bytes:
    """The warrant began in a running session (TS 33.107 7A.3.1, TS 33.128 7.12.4.2.2)."""
    if agency.profile.iri == "ts33128":
        caller = parties.caller or (UNKNOWN,)
        event = ts33128.StartOfInterception(
            originating=tuple(ts33128.Impu.of(_text(uri)) for uri in caller),
            terminating=ts33128.Impu.of(_text(parties.callee or UNKNOWN)),
            sdp=tuple(each for each in (session.offer, session.answer) if each is not None) or None,
        )
        return ts33128.build_iri(ts33128.IriPayload(event, _targets(about.identity)))
    return _built(
        agency,
        about,
        event=eps.ImsEvent.START_OF_INTERCEPTION,
        initiator=_initiator(about.target),
        header_offer=session.offer_head,
        header_answer=session.answer_head,
        sdp_offer=session.offer,
        sdp_answer=session.answer,
    )


def keys(agency: Agency, about: About, found: tuple[eps.CcKeyInfo, ...]) -> bytes:
    """Session keys for the agency that decrypts (TS 33.107 7A.7.2)."""
    return _built(agency, about, event=eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE, keys=found)


def no_keys(agency: Agency, about: About) -> bytes:
    """Keys could not be had (TS 33.107 7A.7.2)."""
    failure = eps.SecurityFailure.GENERIC_FAILURE
    return _built(agency, about, event=eps.ImsEvent.DECRYPTION_KEYS_AVAILABLE, security_failure=failure)


def cc_unavailable(agency: Agency, about: About, reason: str) -> bytes:
    """Content is missing (TS 33.108 ccUnavailable, TS 33.128 IMSCCUnavailable)."""
    if agency.profile.iri == "ts33128":
        event = ts33128.ImsCcUnavailable(reason)
        return ts33128.build_iri(ts33128.IriPayload(event, _targets(about.identity) if about.identity else None))
    return _built(agency, about, event=eps.ImsEvent.CC_UNAVAILABLE, cc_unavailable_reason=reason)


# EPS


def _eps(agency: Agency, about: About, **members: Any) -> eps.IriParameters:
    network = agency.network
    element = None if network.element is None else network.element.encode()
    return eps.IriParameters(
        liid=agency.terms.liid.encode(),
        time=about.at,
        parties=_party(about.identity),
        national=tuple(bytes.fromhex(each) for each in agency.profile.national) or None,
        network=eps.NetworkId(network.network_operator.encode(), element),
        ims_voip=_voip(agency, about),
        correlation=_events_alone(agency, about),
        **members,
    )


def _record(agency: Agency, about: About) -> int | None:
    """The kind of record that stands in the contents, where the agency wants it there."""
    return about.kind if agency.profile.wrapping == "content" else None


def _built(agency: Agency, about: About, **members: Any) -> bytes:
    return eps.build(_eps(agency, about, **members), _record(agency, about))


def _voip(agency: Agency, about: About) -> tuple[eps.ImsVoip, ...] | None:
    """Where content comes apart from the events (TS 33.108 12)."""
    if about.correlation is None or not agency.terms.content:
        return None
    return (eps.ImsVoip(about.correlation, eps.IriToCc((about.correlation,))),)


def _events_alone(agency: Agency, about: About) -> eps.Correlation | None:
    if about.correlation is None or agency.terms.content:
        return None
    return eps.Correlation(to_iri=about.correlation)


def _initiator(target: Side | None) -> int:
    if target is None:
        return eps.Initiator.NOT_AVAILABLE
    return eps.Initiator.ORIGINATING_TARGET if target is Side.CALLER else eps.Initiator.TERMINATING_TARGET


def _party(identity: str) -> tuple[eps.PartyInformation, ...] | None:
    """The target as TS 33.108 names one: its module knows no other party."""
    qualifier = eps.PartyQualifier.EPS_TARGET
    octets = identity.encode("utf-8", "surrogateescape")
    scheme = identity.partition(":")[0].lower()
    if not identity:
        return None
    if scheme == "tel":
        return (eps.PartyInformation(qualifier, tel_uri=octets),)
    if scheme == "urn":
        imei = _imei(identity)
        return None if imei is None else (eps.PartyInformation(qualifier, imei=imei),)
    return (eps.PartyInformation(qualifier, sip_uri=octets),)


def _imei(urn: str) -> bytes | None:
    """An IMEI of an instance ID (RFC 7254) as eight octets of swapped digits, filled with F."""
    digits = "".join(each for each in urn.rpartition("imei:")[2].partition(";")[0] if each.isdigit())
    if "imei:" not in urn or not 14 <= len(digits) <= 16:
        return None
    filled = digits.ljust(16, "f")
    return bytes(int(filled[at + 1] + filled[at], 16) for at in range(0, 16, 2))


# TS 33.128


def _session(target: Side | None) -> int:
    if target is None:
        return ts33128.SessionDirection.INDETERMINATE
    directions = (ts33128.SessionDirection.FROM_TARGET, ts33128.SessionDirection.TO_TARGET)
    return directions[target]


def _targets(identity: str) -> tuple[ts33128.TargetIdentifier, ...]:
    kind = ts33128.IdentifierKind.INSTANCE_URN if identity[:4].lower() == "urn:" else ts33128.IdentifierKind.IMPU
    value = _text(identity) if kind is ts33128.IdentifierKind.INSTANCE_URN else ts33128.Impu.of(_text(identity))
    return (ts33128.TargetIdentifier(ts33128.Identifier(kind, value), ts33128.Provenance.MATCHED_ON),)


def _text(uri: str) -> str:
    return uri.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _packed(place: str) -> bytes:
    """The address of "ip:port"; four zeros when it is none, which a capture cannot give."""
    try:
        return inet.pack(place.rpartition(":")[0].strip("[]"))
    except inet.InetError:
        return NO_PLACE
