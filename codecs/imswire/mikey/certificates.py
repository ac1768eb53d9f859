"""Certificates, signatures and envelope keys of the public-key variants (RFC 3830 6.3, 6.5, 6.7, 6.8; RFC 6043 4.2).

Keys are those of the ``cryptography`` package. Who is trusted, and when it is, are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification as x

from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import CertType, ErrorNo, HashFunc, SignType

MAX_CHAIN = 8
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""A signature must fit the 12 bits of its length, and must not keep a processor busy."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHA_1, SHA_256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303 - accepted only where it is asked for
_X509 = frozenset((CertType.X509, CertType.X509_SIGN, CertType.X509_ENCRYPT))
_HASHES = {HashFunc.SHA_1: hashlib.sha1, HashFunc.SHA_256: hashlib.sha256}

# What the library raises on octets that are no certificate, or on one that it does not know how to read.
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    OSError,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,  # where warnings are errors
    x.VerificationError,
    x509.AttributeNotFound,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

PrivateKey = rsa.RSAPrivateKey
PublicKey = rsa.RSAPublicKey


# Certificates


def cert_payloads(chain: Sequence[x509.Certificate]) -> list[v.Payload]:
    """CERT payloads of a chain: the own certificate first, then each that certifies the one before."""
    return [v.Cert(CertType.X509, each.public_bytes(Encoding.DER)) for each in chain]


def read_chain(certs: Sequence[v.Cert], anchors: Sequence[x509.Certificate], at: int) -> x509.Certificate:
    """The first certificate of a chain that leads to one of ``anchors`` and is valid at wall time ``at`` (ns).

    MikeyError: none, too many, of another kind than X.509, or not to be trusted.
    """
    if not certs or len(certs) > MAX_CHAIN:
        raise _bad(f"{len(certs)} certificates, from 1 to {MAX_CHAIN} expected")
    if any(each.cert_type not in _X509 for each in certs):
        raise _bad("only X.509 certificates in the message itself are read")
    try:
        own, *others = [x509.load_der_x509_certificate(each.data) for each in certs]
        when = _EPOCH + timedelta(seconds=at // 1_000_000_000)
        builder = x.PolicyBuilder().store(x.Store(list(anchors))).time(when).max_chain_depth(MAX_CHAIN)
        builder = builder.extension_policies(ca_policy=_CA, ee_policy=x.ExtensionPolicy.permit_all())
        builder.build_client_verifier().verify(own, others)
    except _UNREADABLE as error:
        # Of an error of the library only its kind is told: its text may be long.
        raise _bad(f"not to be trusted ({type(error).__name__})") from None
    public_key(own)
    return own


def _is_ca(_policy: x.Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not a CA")


_CA = x.ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, x.Criticality.AGNOSTIC, _is_ca)


def public_key(certificate: x509.Certificate) -> PublicKey:
    """The RSA key of a certificate; MikeyError: another kind, or too short or long."""
    try:
        key = certificate.public_key()
    except _UNREADABLE:
        raise _bad("its key cannot be read") from None
    if not isinstance(key, rsa.RSAPublicKey) or not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise _bad(f"no RSA key from {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    return key


def uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs that a certificate is about (RFC 5280 4.2.1.6, RFC 5922 7.1)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def chash(certificate: x509.Certificate, hash_func: HashFunc = HashFunc.SHA_256) -> v.Chash:
    """CHASH: names the certificate whose key PKE is for (RFC 3830 6.8)."""
    return v.Chash(hash_func, _HASHES[hash_func](certificate.public_bytes(Encoding.DER)).digest())


def is_named(payload: v.Chash | None, certificate: x509.Certificate) -> bool:
    """Whether a CHASH names this certificate; absent it names the only one."""
    if payload is None:
        return True
    made = _HASHES.get(HashFunc(payload.hash_func)) if payload.hash_func in tuple(HashFunc) else None
    return made is not None and hmac.compare_digest(made(certificate.public_bytes(Encoding.DER)).digest(), payload.hash)


# Signatures


def sign(key: PrivateKey, octets: bytes, sign_type: SignType = SignType.RSA_PKCS1) -> bytes:
    """The value of a SIGN payload over ``octets``, with SHA-256."""
    return key.sign(octets, _padding(sign_type, SHA_256), SHA_256)


def signature_octets(key: PrivateKey) -> int:
    return key.key_size // 8


def accepted(*, sha_1: bool = False) -> tuple[hashes.HashAlgorithm, ...]:
    """The hashes of signatures that count: SHA-256, and SHA-1 where it is asked for."""
    return (SHA_256, SHA_1) if sha_1 else (SHA_256,)


def verify(
    key: PublicKey, payload: v.Sign, octets: bytes, accepted: Sequence[hashes.HashAlgorithm] = (SHA_256,)
) -> None:
    """MikeyError: the signature is wrong, or made in a way that is not accepted."""
    for each in accepted:
        try:
            key.verify(payload.signature, octets, _padding(payload.sign_type, each), each)
        except InvalidSignature:
            continue
        return
    raise MikeyError("SIGN", "the signature is wrong", error_no=ErrorNo.AUTH_FAILURE)


def _padding(sign_type: int, made_with: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if sign_type == SignType.RSA_PKCS1:
        return padding.PKCS1v15()
    if sign_type == SignType.RSA_PSS:
        return padding.PSS(padding.MGF1(made_with), padding.PSS.DIGEST_LENGTH)
    raise MikeyError("SIGN", f"type {sign_type} is no RSA signature", field="sign_type", error_no=ErrorNo.AUTH_FAILURE)


# Envelope keys


def wrap_envelope(key: PublicKey, envelope_key: bytes, *, oaep: bool = False) -> v.Pke:
    """PKE: an envelope key for the holder of the private key, not to be cached (C = 0)."""
    return v.Pke(0, key.encrypt(envelope_key, _encryption(oaep)))


def unwrap_envelope(key: PrivateKey, payload: v.Pke, octets: int, *, oaep: bool = False) -> bytes:
    """The envelope key of ``octets`` octets. MikeyError: one reason for whatever is wrong, so that nobody learns more.

    With PKCS#1 v1.5 the library itself gives a random key for bad padding; the message's own check then fails.
    OAEP is sent with SHA-256, and read with SHA-1 too, the default of PKCS#1 that nothing in PKE can overrule.
    """
    found = b""
    for scheme in (_encryption(oaep), _OAEP_SHA_1) if oaep else (_encryption(oaep),):
        try:
            found = key.decrypt(payload.data, scheme)
            break
        except ValueError:
            continue
    if len(found) != octets:
        raise MikeyError("PKE", "no envelope key", error_no=ErrorNo.AUTH_FAILURE)
    return found


def _encryption(oaep: bool) -> padding.AsymmetricPadding:
    return padding.OAEP(padding.MGF1(SHA_256), SHA_256, None) if oaep else padding.PKCS1v15()


_OAEP_SHA_1 = padding.OAEP(padding.MGF1(SHA_1), SHA_1, None)


def _bad(reason: str) -> MikeyError:
    return MikeyError("CERT", reason, error_no=ErrorNo.INVALID_CERT)
