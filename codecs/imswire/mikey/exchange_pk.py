"""Ticket Request and Ticket Resolve in their public-key variants (RFC 6043 4.2.1, 4.2.3).

``HDR, T, RANDR, IDR, {CERT}, IDRkms, TP or TICKET, [CHASH], PKE, SIGN``: the envelope key in PKE takes the place of
the pre-shared key in everything that follows; the answers are those of :mod:`imswire.mikey.exchange`.
"""

from __future__ import annotations

from cryptography import x509
from msgspec import Struct

from imswire.mikey import certificates as c
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.exchange import Asked, Suite, kms_protection
from imswire.mikey.message import MikeyMessage, build
from imswire.mikey.numbers import DataType, ErrorNo, IdRole, MapType, PayloadType, PrfFunc, RandRole, SignType

ENVELOPE_OCTETS = {PrfFunc.MIKEY_1: 16, PrfFunc.HMAC_SHA_256: 32}


class Signer(Struct, frozen=True):
    """Who asks: private key and certificate chain, own certificate first; shows neither."""

    key: c.PrivateKey
    chain: tuple[x509.Certificate, ...]
    sign_type: SignType = SignType.RSA_PKCS1

    def __repr__(self) -> str:
        return "Signer(<redacted>)"


class KmsIdentity(Struct, frozen=True):
    """The KMS in the PK variants: its private key and certificate, and whose certificates it trusts."""

    key: c.PrivateKey
    certificate: x509.Certificate
    anchors: tuple[x509.Certificate, ...]
    oaep: bool = False
    accepts_sha_1: bool = False

    def __repr__(self) -> str:
        return "KmsIdentity(<redacted>)"


def request_init(
    suite: Suite,
    signer: Signer,
    kms_certificate: x509.Certificate,
    envelope_key: bytes,
    *,
    csb_id: int,
    timestamp: v.Timestamp,
    rand: bytes,
    initiator: v.Idr,
    kms: v.Idr,
    policy: v.TicketPolicy,
    oaep: bool = False,
) -> bytes:
    """REQUEST_INIT_PK: asks for a ticket with the wished policy. ``envelope_key``: random, as long as the suite's."""
    header = v.Header(DataType.REQUEST_INIT_PK, suite.prf, csb_id, MapType.EMPTY, expects_response=True)
    begin = (timestamp, v.Randr(RandRole.INITIATOR, rand))
    return _signed(header, begin, initiator, signer, (kms, policy), kms_certificate, envelope_key, oaep)


def resolve_init(
    suite: Suite,
    signer: Signer,
    kms_certificate: x509.Certificate,
    envelope_key: bytes,
    *,
    csb_id: int,
    timestamp: v.Timestamp,
    rand: bytes,
    responder: v.Idr,
    kms: v.Idr,
    ticket: v.Ticket,
    oaep: bool = False,
) -> bytes:
    """RESOLVE_INIT_PK: asks for the keys in a ticket."""
    header = v.Header(DataType.RESOLVE_INIT_PK, suite.prf, csb_id, MapType.EMPTY, expects_response=True)
    begin = (timestamp, v.Randr(RandRole.RESPONDER, rand))
    return _signed(header, begin, responder, signer, (kms, ticket), kms_certificate, envelope_key, oaep)


def _signed(
    header: v.Header,
    begin: tuple[v.Payload, ...],
    who: v.Idr,
    signer: Signer,
    asked: tuple[v.Idr, v.Payload],
    kms_certificate: x509.Certificate,
    envelope_key: bytes,
    oaep: bool,
) -> bytes:
    """The message with SIGN last: the signature covers all before it and both identities."""
    kms, subject = asked
    pke = c.wrap_envelope(c.public_key(kms_certificate), envelope_key, oaep=oaep)
    certs = c.cert_payloads(signer.chain)
    payloads = [*begin, who, *certs, kms, subject, c.chash(kms_certificate), pke]
    empty = v.Sign(signer.sign_type, bytes(c.signature_octets(signer.key)))
    octets = build(header, [*payloads, empty])
    unsigned = octets[: len(octets) - len(empty.signature)]
    return unsigned + c.sign(signer.key, unsigned + who.data + kms.data, signer.sign_type)


class SignedBy(Struct, frozen=True):
    """A message of a PK variant, proved right: what to answer it with, and whose certificate it carries."""

    asked: Asked
    certificate: x509.Certificate


def check_asked(message: MikeyMessage, me: KmsIdentity, name: bytes, at: int) -> SignedBy:
    """Check certificate, signature and envelope of a REQUEST_INIT_PK or RESOLVE_INIT_PK at wall time ``at`` (ns).

    ``name``: the KMS's own, which the signature covers when the message leaves it out. MikeyError: why not.
    """
    resolving = message.header.data_type == DataType.RESOLVE_INIT_PK
    who = message.identity(IdRole.RESPONDER if resolving else IdRole.INITIATOR)
    certificate = c.read_chain(message.all(v.Cert), me.anchors, at)
    named = message.identity(IdRole.KMS)
    tail = (b"" if who is None else who.data) + (name if named is None else named.data)
    _check_signature(message, c.public_key(certificate), tail, me)
    if not c.is_named(message.first(v.Chash), me.certificate):
        raise MikeyError("CHASH", "it names another certificate than that of this KMS", error_no=ErrorNo.INVALID_CERT)
    octets = ENVELOPE_OCTETS.get(PrfFunc(message.header.prf)) if message.header.prf in tuple(PrfFunc) else None
    if octets is None:
        raise MikeyError("HDR", f"PRF function {message.header.prf} is not known", error_no=ErrorNo.INVALID_PRF)
    envelope_key = c.unwrap_envelope(me.key, message.need(v.Pke), octets, oaep=me.oaep)
    return SignedBy(Asked(message, kms_protection(message, envelope_key, 2)), certificate)


def _check_signature(message: MikeyMessage, key: c.PublicKey, tail: bytes, me: KmsIdentity) -> None:
    placed = message.placed(PayloadType.SIGN)
    if placed is None:
        raise MikeyError("SIGN", "missing", error_no=ErrorNo.AUTH_FAILURE)
    assert isinstance(placed.value, v.Sign)
    unsigned = message.octets[: len(message.octets) - len(placed.value.signature)]
    c.verify(key, placed.value, unsigned + tail, c.accepted(sha_1=me.accepts_sha_1))
