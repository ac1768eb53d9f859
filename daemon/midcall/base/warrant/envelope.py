"""The signatures of a warrant: JWS in general JSON serialisation (RFC 7515 7.2.1), Ed25519 (RFC 9864) and nothing else.

The protected header of a signature is the same for all but the key's identifier, so it is compared, not interpreted:
there is no algorithm to choose, no unprotected header and no extension. The identifier is the key's thumbprint
(RFC 7638).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from msgspec import Meta, Struct

from midcall.base.warrant.value import MAX_PAYLOAD, FormError, canonical

ALGORITHM = "Ed25519"
TYPE = "midcall-warrant+json"
MAX_SIGNATURES = 8
MAX_PROTECTED = 256
SIGNATURE_OCTETS = 64
MAX_OCTETS = (MAX_PAYLOAD + 2) // 3 * 4 + MAX_SIGNATURES * 512 + 64
"""Of a whole file."""

KeyId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
_Base64Url = r"\A[A-Za-z0-9_-]*\Z"


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """Protected header of a signature, in this order."""

    alg: str
    kid: KeyId
    typ: str


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """One signature, as it stands in the file."""

    protected: Annotated[str, Meta(max_length=MAX_PROTECTED, pattern=_Base64Url)]
    signature: Annotated[str, Meta(max_length=128, pattern=_Base64Url)]


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """A file: the signed octets, and who has signed them so far (none: a draft)."""

    payload: Annotated[str, Meta(min_length=1, max_length=(MAX_PAYLOAD + 2) // 3 * 4, pattern=_Base64Url)]
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=MAX_SIGNATURES)] = ()

    @property
    def signed(self) -> bytes:
        """The octets under the signatures. FormError."""
        return decoded(self.payload)


_DECODER = msgspec.json.Decoder(Envelope)
_HEADER = msgspec.json.Decoder(Header)


class HeaderError(FormError):
    """A signature whose header asks for something else than is done here."""


def read(octets: bytes) -> Envelope:
    """A file's octets, which have one spelling. FormError."""
    if len(octets) > MAX_OCTETS:
        raise FormError(f"longer than {MAX_OCTETS} octets")
    return canonical(octets, _DECODER)


def write(envelope: Envelope) -> bytes:
    """The octets of a file."""
    return msgspec.json.encode(envelope)


def draft(payload: bytes) -> Envelope:
    """Nobody has signed yet."""
    return Envelope(encoded(payload))


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 thumbprint of the key as a JWK (RFC 7638, RFC 8037 2)."""
    x = encoded(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return encoded(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())


def signer(signature: Signature) -> str:
    """The key that is said to have signed. HeaderError when the header is not the one that it has to be."""
    try:
        header = canonical(decoded(signature.protected), _HEADER)
    except FormError as error:
        raise HeaderError(f"protected header: {error}") from None
    if header.alg != ALGORITHM or header.typ != TYPE:
        raise HeaderError(f"protected header: alg has to be {ALGORITHM}, typ {TYPE}")
    return header.kid


def verifies(envelope: Envelope, signature: Signature, key: OKPKey) -> bool:
    """Whether ``key`` made ``signature`` over the payload."""
    if len(signature.signature) != len(encoded(bytes(SIGNATURE_OCTETS))):
        return False
    alone: jws.GeneralJSONSerialization = {
        "payload": envelope.payload,
        "signatures": [{"protected": signature.protected, "signature": signature.signature}],
    }
    try:
        jws.deserialize_json(alone, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        return False
    return True


def sign(envelope: Envelope, key: Ed25519PrivateKey) -> Envelope:
    """The envelope with one signature more. FormError when there is no room."""
    if len(envelope.signatures) >= MAX_SIGNATURES:
        raise FormError(f"{MAX_SIGNATURES} have signed already")
    header = {"alg": ALGORITHM, "kid": key_id(key.public_key()), "typ": TYPE}
    made = jws.serialize_json([{"protected": header}], envelope.signed, OKPKey.import_key(key), algorithms=[ALGORITHM])[
        "signatures"
    ][0]
    return Envelope(envelope.payload, (*envelope.signatures, Signature(made["protected"], made["signature"])))


def signature(envelope: Envelope, key: Ed25519PublicKey, sign: Callable[[bytes], bytes]) -> Signature:
    """One signature, by whoever holds the private half and signs octets as they are (RFC 7515 5.1)."""
    protected = encoded(msgspec.json.encode(Header(ALGORITHM, key_id(key), TYPE)))
    return Signature(protected, encoded(sign(f"{protected}.{envelope.payload}".encode("ascii"))))


def decoded(text: str) -> bytes:
    """Base64url without padding, in its one spelling. FormError."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise FormError("not base64url") from None
    if encoded(octets) != text:
        raise FormError("not base64url in its one spelling")
    return octets


def encoded(octets: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
